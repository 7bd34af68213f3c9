package radiomics

import "math"

// recursion holds the coefficients of a fourth-order recursive filter: Deriche's approximation of a Gaussian and its
// derivatives (INRIA report 1893, 1993) with the refinements of Farnebäck and Westin (J. Math. Imaging Vis. 26, 2006), as
// ITK's RecursiveGaussianImageFilter has it.
type recursion struct {
	n, m, d [4]float64 // n: of x_i … x_(i-3); m: of x_(i+1) … x_(i+4); d: of the four values before
	bn, bm  [4]float64 // the d of values outside, where the edge value continues
}

// ripple is one pair of exponentially damped waves for the smoothing filter and the second derivative.
var (
	waveA1 = [3]float64{1.3530, -0.6724, -1.3563}
	waveB1 = [3]float64{1.8151, -3.4327, 5.2318}
	waveA2 = [3]float64{-0.3531, 0.6724, 0.3446}
	waveB2 = [3]float64{0.0902, 0.6100, -2.2355}
)

const (
	waveW1, waveL1 = 0.6681, -1.3932
	waveW2, waveL2 = 2.0787, -1.3732
)

// newRecursion makes the filter for a width of sigma mm on voxels of spacing mm: smoothing (second false), or the second
// derivative, multiplied by sigma² so that scales compare.
func newRecursion(sigma, spacing float64, second bool) *recursion {
	r := &recursion{}
	s := sigma / spacing
	sin1, cos1, exp1 := math.Sin(waveW1/s), math.Cos(waveW1/s), math.Exp(waveL1/s)
	sin2, cos2, exp2 := math.Sin(waveW2/s), math.Cos(waveW2/s), math.Exp(waveL2/s)
	r.d[3] = exp1 * exp1 * exp2 * exp2
	r.d[2] = -2*cos1*exp1*exp2*exp2 + -2*cos2*exp2*exp1*exp1
	r.d[1] = 4*cos2*cos1*exp1*exp2 + exp1*exp1 + exp2*exp2
	r.d[0] = -2 * (exp2*cos2 + exp1*cos1)
	sd := 1 + r.d[0] + r.d[1] + r.d[2] + r.d[3]
	dd := r.d[0] + 2*r.d[1] + 3*r.d[2] + 4*r.d[3]
	ed := r.d[0] + 4*r.d[1] + 9*r.d[2] + 16*r.d[3]
	numerator := func(k int) (n [4]float64, sn, dn, en float64) {
		a1, b1, a2, b2 := waveA1[k], waveB1[k], waveA2[k], waveB2[k]
		n[0] = a1 + a2
		n[1] = exp2*(b2*sin2-(a2+2*a1)*cos2) + exp1*(b1*sin1-(a1+2*a2)*cos1)
		n[2] = (a1+a2)*cos2*cos1 - b1*cos2*sin1 - b2*cos1*sin2
		n[2] *= 2 * exp1 * exp2
		n[2] += a2*exp1*exp1 + a1*exp2*exp2
		n[3] = exp2*exp1*exp1*(b2*sin2-a2*cos2) + exp1*exp2*exp2*(b1*sin1-a1*cos1)
		return n, n[0] + n[1] + n[2] + n[3], n[1] + 2*n[2] + 3*n[3], n[1] + 4*n[2] + 9*n[3]
	}
	n0, sn0, dn0, en0 := numerator(0)
	if !second {
		alpha := 2*sn0/sd - n0[0]
		for k := range 4 {
			r.n[k] = n0[k] * (1 / alpha)
		}
	} else {
		n2, sn2, dn2, en2 := numerator(2)
		beta := -(2*sn2 - sd*n2[0]) / (2*sn0 - sd*n0[0])
		for k := range 4 {
			r.n[k] = n2[k] + beta*n0[k]
		}
		sn, dn, en := sn2+beta*sn0, dn2+beta*dn0, en2+beta*en0
		alpha := en*sd*sd - ed*sn*sd - 2*dn*dd*sd + 2*dd*dd*sn
		alpha /= sd * sd * sd
		for k := range 4 {
			r.n[k] *= sigma * sigma / alpha
		}
	}
	for k := range 3 {
		r.m[k] = r.n[k+1] - r.d[k]*r.n[0]
	}
	r.m[3] = -r.d[3] * r.n[0]
	sn := r.n[0] + r.n[1] + r.n[2] + r.n[3]
	sm := r.m[0] + r.m[1] + r.m[2] + r.m[3]
	for k := range 4 {
		r.bn[k] = r.d[k] * sn / sd
		r.bm[k] = r.d[k] * sm / sd
	}
	return r
}

// bundle is n samples of w lines side by side: sample i of line l at data[i*step+l].
type bundle struct {
	data       []float64
	n, w, step int
}

// row is sample i of all lines.
func (b *bundle) row(i int) []float64 { return b.data[i*b.step:][:b.w] }

// filter runs the two passes over a bundle. y gets the sum, n rows of w; back has room for four rows, the last values of
// the backward pass.
func (r *recursion) filter(x bundle, y, back []float64) {
	r.forward(x, y)
	r.backward(x, y, back)
}

func (r *recursion) forward(x bundle, y []float64) {
	w, first := x.w, x.row(0)
	// The first four samples see the edge value before the line, and its steady answer.
	for i := range 4 {
		for l := range w {
			v := func(k int) float64 {
				if k < 0 {
					return first[l]
				}
				return x.row(k)[l]
			}
			a := float64(v(i)*r.n[0]) + float64(v(i-1)*r.n[1]) + float64(v(i-2)*r.n[2]) + float64(v(i-3)*r.n[3])
			b := 0.0
			for k := range 4 {
				if j := i - 1 - k; j >= 0 {
					b += float64(y[j*w+l] * r.d[k])
				} else {
					b += float64(first[l] * r.bn[k])
				}
			}
			y[i*w+l] = a - b
		}
	}
	n0, n1, n2, n3 := r.n[0], r.n[1], r.n[2], r.n[3]
	d1, d2, d3, d4 := r.d[0], r.d[1], r.d[2], r.d[3]
	for i := 4; i < x.n; i++ {
		out := y[i*w:][:w]
		x0, x1, x2, x3 := x.row(i)[:len(out)], x.row(i - 1)[:len(out)], x.row(i - 2)[:len(out)], x.row(i - 3)[:len(out)]
		y1, y2, y3, y4 := y[(i-1)*w:][:len(out)], y[(i-2)*w:][:len(out)], y[(i-3)*w:][:len(out)], y[(i-4)*w:][:len(out)]
		for l := range out {
			a := float64(x0[l]*n0) + float64(x1[l]*n1) + float64(x2[l]*n2) + float64(x3[l]*n3)
			out[l] = a - (float64(y1[l]*d1) + float64(y2[l]*d2) + float64(y3[l]*d3) + float64(y4[l]*d4))
		}
	}
}

// backward adds its values to y; back[k*w:] is row k of a ring.
func (r *recursion) backward(x bundle, y, back []float64) {
	n, w := x.n, x.w
	last := x.row(n - 1)
	ring := func(i int) []float64 { return back[i&3*w:][:w] }
	for i := n - 1; i >= n-4; i-- {
		for l := range w {
			v := func(k int) float64 {
				if k >= n {
					return last[l]
				}
				return x.row(k)[l]
			}
			a := float64(v(i+1)*r.m[0]) + float64(v(i+2)*r.m[1]) + float64(v(i+3)*r.m[2]) + float64(v(i+4)*r.m[3])
			b := 0.0
			for k := range 4 {
				if j := i + 1 + k; j < n {
					b += float64(ring(j)[l] * r.d[k])
				} else {
					b += float64(last[l] * r.bm[k])
				}
			}
			ring(i)[l] = a - b
			y[i*w+l] += a - b
		}
	}
	m1, m2, m3, m4 := r.m[0], r.m[1], r.m[2], r.m[3]
	d1, d2, d3, d4 := r.d[0], r.d[1], r.d[2], r.d[3]
	for i := n - 5; i >= 0; i-- {
		out := y[i*w:][:w]
		x1, x2, x3, x4 := x.row(i + 1)[:len(out)], x.row(i + 2)[:len(out)], x.row(i + 3)[:len(out)], x.row(i + 4)[:len(out)]
		y1, y2, y3, y4 := ring(i + 1)[:len(out)], ring(i + 2)[:len(out)], ring(i + 3)[:len(out)], ring(i + 4)[:len(out)]
		for l := range out {
			a := float64(x1[l]*m1) + float64(x2[l]*m2) + float64(x3[l]*m3) + float64(x4[l]*m4)
			b := a - (float64(y1[l]*d1) + float64(y2[l]*d2) + float64(y3[l]*d3) + float64(y4[l]*d4))
			y4[l] = b // row i of the ring is that of i+4
			out[l] += b
		}
	}
}

// laplacianOfGaussian is ITK's LaplacianRecursiveGaussianImageFilter, normalised across scales, for the voxels of the box
// [low, low+size) of f, which is what is returned. Every axis of f has at least four samples.
func laplacianOfGaussian(f *field, sigma float64, low, size [3]int) *field {
	out := *f
	out.size, out.single = size, true
	var high [3]int
	for a := range 3 {
		out.at[a] += low[a]
		high[a] = low[a] + size[a]
	}
	out.data = make([]float64, out.len())
	work := make([]float64, len(f.data))
	longest := max(f.size[0], f.size[1], f.size[2])
	turned, sum, back := make([]float64, longest*laneWidth), make([]float64, longest*laneWidth), make([]float64, 4*laneWidth)
	for axis := range 3 {
		// A line is filtered only if a later pass, or the box, needs it.
		from := f.data
		l, h := [3]int{}, f.size
		pass := func(along int, second bool) {
			r := newRecursion(sigma, f.spacing[along], second)
			eachBundle(f.size, along, l, h, func(start, step, lane, w int) {
				n := f.size[along]
				x := bundle{from[start:], n, w, step}
				if lane != 1 { // lines along x: samples side by side have to be turned
					x = bundle{turned, n, w, w}
					for l := range w {
						for i, v := range from[start+l*lane:][:n] {
							turned[i*w+l] = v
						}
					}
				}
				r.filter(x, sum, back)
				// The images between ITK's passes are float32.
				if lane != 1 {
					for l := range w {
						row := work[start+l*lane:][:n]
						for i := range row {
							row[i] = float64(float32(sum[i*w+l]))
						}
					}
					return
				}
				for i := range n {
					row := work[start+i*step:][:w]
					for l, v := range sum[i*w:][:w] {
						row[l] = float64(float32(v))
					}
				}
			})
			from = work
			l[along], h[along] = low[along], high[along]
		}
		pass(axis, true)
		for other := range 3 {
			if other != axis {
				pass(other, false)
			}
		}
		square := f.spacing[axis] * f.spacing[axis]
		n := 0
		for k := low[2]; k < high[2]; k++ {
			for j := low[1]; j < high[1]; j++ {
				for _, v := range work[(k*f.size[1]+j)*f.size[0]+low[0]:][:size[0]] {
					out.data[n] = round32(out.data[n] + v/square)
					n++
				}
			}
		}
	}
	return &out
}

// reach is how many voxels beyond a place the filter still feels there: the slowest wave falls by e^(1.37/s) a voxel.
func reach(sigma, spacing float64) int { return int(math.Ceil(27*sigma/spacing)) + 4 }
