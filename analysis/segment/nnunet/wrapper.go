package nnunet

import (
	"context"
	"math"
)

// wrapper is what TotalSegmentator does round nnU-Net: the image is brought to a spacing of its own first, rounded to
// whole HU, and the labels are brought back by nearest neighbour (change_spacing in totalsegmentator/resampling.py).
type wrapper struct {
	Kind         string    `json:"kind"`
	Spacing      []float64 `json:"spacing"` // of x, y, z
	Order        int       `json:"order"`
	Integer      bool      `json:"integer"`
	CropLabels   []string  `json:"crop_labels"`
	CropMarginMM float64   `json:"crop_margin_mm"`
}

func (w *wrapper) check() error {
	if w.Kind != "totalsegmentator" {
		return unsupported("%s: wrapper kind %q", SidecarName, w.Kind)
	}
	if w.Order != 0 && w.Order != 1 && w.Order != 3 {
		return unsupported("%s: wrapper order %d: 0, 1 or 3", SidecarName, w.Order)
	}
	if len(w.Spacing) != 3 {
		return damaged("%s: wrapper spacing %v does not have three values", SidecarName, w.Spacing)
	}
	for _, s := range w.Spacing {
		if !(s >= minSpacing && s <= maxSpacing) {
			return damaged("%s: wrapper spacing %v is impossible", SidecarName, w.Spacing)
		}
	}
	if !(w.CropMarginMM >= 0 && w.CropMarginMM <= 1000) {
		return damaged("%s: wrapper crop_margin_mm %g is impossible", SidecarName, w.CropMarginMM)
	}
	return nil
}

// changeSpacing is scipy.ndimage.zoom as TotalSegmentator calls it. Axes are x, y, z in this order, which is also that of
// the result: cutting off to whole HU makes a step of one of a difference in the last bit, so additions and products must
// come in scipy's order.
func changeSpacing(ctx context.Context, in picture, spacing, target [3]float64, order int, integer bool) (array, error) {
	size := newShape(in.grid.size, spacing, target)
	if err := checkSize(size); err != nil {
		return array{}, err
	}
	out := array{size, make([]float32, size[0]*size[1]*size[2])}
	z := zoomer{picture: in, taps: zoomTaps(in.grid.size, size, order)}
	if order == 3 {
		if err := z.prefilter(ctx); err != nil {
			return out, err
		}
	}
	lines := make([][]float64, workers(size[0]))
	plane := size[1] * size[2]
	return out, parallel(ctx, size[0], func(x, w int) {
		if lines[w] == nil {
			lines[w] = make([]float64, size[2])
		}
		for y := range size[1] {
			z.line(lines[w], x, y)
			dst := out.data[x*plane+y*size[2]:][:size[2]]
			for i, v := range lines[w] {
				if integer {
					v = math.Trunc(v) // conversion to an integer type
				}
				dst[i] = float32(v)
			}
		}
	})
}

// zoomer computes single values of a resized picture.
type zoomer struct {
	picture
	taps         [3]taps
	coefficients []float64 // of the spline, with its padding; nil: the values themselves serve
	padded       grid
}

// prefilter computes the coefficients of the spline through the padded picture, axis after axis.
func (z *zoomer) prefilter(ctx context.Context) error {
	size := z.grid.size
	var padded [3]int
	for a := range 3 {
		padded[a] = size[a] + 2*splinePad
	}
	z.padded = dense(padded)
	z.coefficients = make([]float64, padded[0]*padded[1]*padded[2])
	err := parallel(ctx, padded[0], func(x, _ int) {
		from := z.grid.start + clamp(x-splinePad, 0, size[0]-1)*z.grid.stride[0]
		for y := range padded[1] {
			row := from + clamp(y-splinePad, 0, size[1]-1)*z.grid.stride[1]
			dst := z.coefficients[(x*padded[1]+y)*padded[2]:][:padded[2]]
			for i := range dst {
				dst[i] = float64(z.data[row+clamp(i-splinePad, 0, size[2]-1)*z.grid.stride[2]])
			}
		}
	})
	for axis := 0; axis < 3 && err == nil; axis++ {
		err = z.filterAxis(ctx, axis)
	}
	return err
}

// filterAxis filters along one axis, in bundles of lines.
func (z *zoomer) filterAxis(ctx context.Context, axis int) error {
	g := z.padded
	a, b := others(axis)
	n := g.size[axis]
	buffers := make([][]float64, workers(g.size[a]))
	return parallel(ctx, g.size[a], func(i, w int) {
		width := g.size[b]
		if buffers[w] == nil {
			buffers[w] = make([]float64, n*width)
		}
		c := buffers[w]
		for k := range n {
			for j := range width {
				c[k*width+j] = z.coefficients[i*g.stride[a]+j*g.stride[b]+k*g.stride[axis]]
			}
		}
		prefilter(c, n, width)
		for k := range n {
			for j := range width {
				z.coefficients[i*g.stride[a]+j*g.stride[b]+k*g.stride[axis]] = c[k*width+j]
			}
		}
	})
}

// line computes the values at (x, y, ·) of the resized picture.
func (z *zoomer) line(dst []float64, x, y int) {
	clear(dst)
	t, g := &z.taps, z.grid
	if z.coefficients != nil {
		g = z.padded
	}
	count := t[0].count
	for i := range count {
		for j := range t[1].count {
			at := g.start + (t[0].first[x]+i)*g.stride[0] + (t[1].first[y]+j)*g.stride[1]
			wi, wj := t[0].weight[x*count+i], t[1].weight[y*t[1].count+j]
			n := t[2].count
			for o := range dst {
				from := at + t[2].first[o]*g.stride[2]
				for k, wk := range t[2].weight[o*n:][:n] {
					var v float64
					if z.coefficients != nil {
						v = z.coefficients[from+k*g.stride[2]]
					} else {
						v = float64(z.data[from+k*g.stride[2]])
					}
					dst[o] += float64(float64(float64(v*wi)*wj) * wk)
				}
			}
		}
	}
}

func zoomTaps(in, out [3]int, order int) (t [3]taps) {
	for a := range 3 {
		at := centreCoordinate(in[a], out[a])
		switch {
		case order == 0:
			t[a] = nearest(in[a], out[a], at)
		case order == 1:
			t[a] = linear(in[a], out[a], at)
		default:
			t[a] = cubic(in[a], out[a], at)
		}
	}
	return t
}

// labelsBack brings labels from the wrapper's grid to the image's own by nearest neighbour.
func labelsBack(dst []uint8, g grid, src []uint8, size [3]int) {
	t := zoomTaps(size, g.size, 0)
	for z := range g.size[0] {
		for y := range g.size[1] {
			row := src[(t[0].first[z]*size[1]+t[1].first[y])*size[2]:][:size[2]]
			at := g.start + z*g.stride[0] + y*g.stride[1]
			for x := range g.size[2] {
				dst[at] = row[t[2].first[x]]
				at += g.stride[2]
			}
		}
	}
}
