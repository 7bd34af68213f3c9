package nnunet

import "math"

// Interpolation as scipy.ndimage.zoom and skimage.transform.resize do it, one axis after the other: their tensor-product
// splines are the same in any order of the axes.

// splinePad is the number of edge samples that scipy sets on both ends before filtering (mode nearest).
const splinePad = 12

// splinePole is the pole of the cubic B-spline's prefilter, √3 - 2, and splineGain the gain of its two passes. They are
// variables so that all that is computed from them is rounded to double precision at each step, as in scipy.
var (
	splinePole = -0.267949192431122706472553658494127633
	splineGain = (1 - splinePole) * (1 - 1/splinePole)
)

// taps say how each sample of a resized axis is made of samples of the original one.
type taps struct {
	in, out int
	pad     int   // edge samples on both ends that first counts from; with them the line is prefiltered
	count   int   // samples a result takes: 1, 2 or 4
	first   []int // out indices into the padded line
	weight  []float64
}

// identity says that a resized axis is the original one.
func (t taps) identity() bool { return t.count == 1 && t.in == t.out }

// coordinate is where sample o of a resized axis lies on the original one.
type coordinate func(o int) float64

// gridCoordinate keeps the outer borders of the first and last sample (skimage; scipy's grid_mode).
func gridCoordinate(in, out int) coordinate {
	scale := float64(in) / float64(out)
	return func(o int) float64 { return (float64(o)+0.5)*scale - 0.5 }
}

// centreCoordinate keeps the centres of the first and last sample (scipy.ndimage.zoom by default).
func centreCoordinate(in, out int) coordinate {
	scale := 1.0
	if out > 1 {
		scale = float64(in-1) / float64(out-1)
	}
	return func(o int) float64 { return float64(o) * scale }
}

// same leaves an axis as it is.
func same(n int) taps {
	t := taps{in: n, out: n, count: 1, first: make([]int, n), weight: make([]float64, n)}
	for o := range n {
		t.first[o], t.weight[o] = o, 1
	}
	return t
}

// nearest is order 0.
func nearest(in, out int, at coordinate) taps {
	t := same(out)
	t.in = in
	for o := range out {
		t.first[o] = clamp(int(math.Floor(at(o)+0.5)), 0, in-1)
	}
	return t
}

// linear is order 1.
func linear(in, out int, at coordinate) taps {
	t := taps{in: in, out: out, count: 2, first: make([]int, out), weight: make([]float64, 2*out)}
	if in == 1 {
		return nearest(in, out, at)
	}
	for o := range out {
		x := min(max(at(o), 0), float64(in-1))
		lo := min(int(x), in-2)
		f := x - float64(lo)
		t.first[o], t.weight[2*o], t.weight[2*o+1] = lo, 1-f, 1-(1-f) // as scipy rounds it
	}
	return t
}

// cubic is order 3.
func cubic(in, out int, at coordinate) taps {
	t := taps{in: in, out: out, pad: splinePad, count: 4, first: make([]int, out), weight: make([]float64, 4*out)}
	for o := range out {
		x := min(max(at(o)+splinePad, 1), float64(in+2*splinePad-3))
		lo := math.Floor(x)
		y := x - lo
		z := 1 - y
		w := t.weight[4*o:]
		w[0] = z * z * z / 6
		w[1] = (y*y*(y-2)*3 + 4) / 6
		w[2] = (z*z*(z-2)*3 + 4) / 6
		w[3] = 1 - w[0] - w[1] - w[2]
		t.first[o] = int(lo) - 1
	}
	return t
}

func clamp(x, lo, hi int) int { return min(max(x, lo), hi) }

// rows resizes n lines that lie one after the other: src holds n·in values, dst n·out. line is space for the padded
// lines of four, 4·(in+2·pad).
func (t taps) rows(dst, src []float64, n int, line []float64) {
	if t.identity() {
		copy(dst, src)
		return
	}
	if t.pad == 0 {
		for r := range n {
			t.read(dst[r*t.out:][:t.out], src[r*t.in:][:t.in], 1, 0)
		}
		return
	}
	// Four lines side by side: the filter waits for its own last result, so one line alone would leave the processor idle.
	padded := t.in + 2*t.pad
	line = line[:4*padded]
	for r := 0; r < n; r += 4 {
		here := min(4, n-r)
		for q := range here {
			s := src[(r+q)*t.in:][:t.in]
			for i := range padded {
				line[4*i+q] = s[clamp(i-t.pad, 0, t.in-1)]
			}
		}
		prefilter(line, padded, 4)
		for q := range here {
			t.read(dst[(r+q)*t.out:][:t.out], line, 4, q)
		}
	}
}

// read takes the weighted samples of one line; sample i lies at line[i·stride+offset].
func (t taps) read(dst, line []float64, stride, offset int) {
	switch t.count {
	case 1:
		for o := range dst {
			dst[o] = line[t.first[o]*stride+offset]
		}
	case 2:
		for o := range dst {
			w := t.weight[2*o : 2*o+2]
			i := t.first[o]*stride + offset
			dst[o] = float64(w[0]*line[i]) + float64(w[1]*line[i+stride])
		}
	default:
		for o := range dst {
			w := t.weight[4*o : 4*o+4]
			i := t.first[o]*stride + offset
			dst[o] = float64(w[0]*line[i]) + float64(w[1]*line[i+stride]) + float64(w[2]*line[i+2*stride]) + float64(w[3]*line[i+3*stride])
		}
	}
}

// columns resizes along the slow axis: src holds in rows of width values, dst out rows. work is space for the padded
// rows, (in+2·pad)·width.
func (t taps) columns(dst, src []float64, width int, work []float64) {
	if t.identity() {
		copy(dst, src)
		return
	}
	lines := src
	if t.pad > 0 {
		padded := t.in + 2*t.pad
		lines = work[:padded*width]
		for i := range padded {
			copy(lines[i*width:][:width], src[clamp(i-t.pad, 0, t.in-1)*width:][:width])
		}
		prefilter(lines, padded, width)
	}
	for o := range t.out {
		out, w := dst[o*width:][:width], t.weight[o*t.count:][:t.count]
		a := lines[t.first[o]*width:]
		switch t.count {
		case 1:
			copy(out, a)
		case 2:
			b := a[width:][:width]
			for x := range out {
				out[x] = float64(w[0]*a[x]) + float64(w[1]*b[x])
			}
		default:
			b, c, d := a[width:][:width], a[2*width:][:width], a[3*width:][:width]
			for x := range out {
				out[x] = float64(w[0]*a[x]) + float64(w[1]*b[x]) + float64(w[2]*c[x]) + float64(w[3]*d[x])
			}
		}
	}
}

// prefilter turns samples into coefficients of the cubic B-spline through them, for width lines side by side: n rows of
// width values. The ends are mirrored at the border of the outermost sample (scipy's reflect).
func prefilter(c []float64, n, width int) {
	pole, gain := splinePole, splineGain
	for i := range c[:n*width] {
		c[i] *= gain
	}
	first := c[:width]
	zn := math.Pow(pole, float64(n))
	for x := range first {
		sum, z := c[x]+float64(zn*c[(n-1)*width+x]), pole
		for i := 1; i < n && math.Abs(z) > 1e-20; i++ {
			sum += float64(z * (c[i*width+x] + float64(zn*c[(n-1-i)*width+x])))
			z *= pole
		}
		first[x] += sum * (pole / (1 - zn*zn))
	}
	for i := 1; i < n; i++ {
		before, here := c[(i-1)*width:][:width], c[i*width:][:width]
		for x := range here {
			here[x] += float64(pole * before[x])
		}
	}
	last := c[(n-1)*width:][:width]
	for x := range last {
		last[x] *= pole / (pole - 1)
	}
	for i := n - 2; i >= 0; i-- {
		after, here := c[(i+1)*width:][:width], c[i*width:][:width]
		for x := range here {
			here[x] = float64(pole * (after[x] - here[x]))
		}
	}
}
