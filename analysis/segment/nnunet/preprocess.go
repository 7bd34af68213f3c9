package nnunet

import (
	"context"
	"fmt"
	"math"

	"rfanode/analysis/volume"
)

// picture is intensities seen along the model's axes, without a copy of them.
type picture struct {
	data []float32
	grid grid
	norm *normalisation // nil: as they are
}

// normalisation is nnU-Net's CTNormalization, in single precision.
type normalisation struct {
	low, high, mean, std float32
}

func (n *normalisation) apply(x float32) float32 {
	return float32(min(max(x, n.low), n.high)-n.mean) / n.std
}

// nonZero is the box of all voxels that are not exactly 0. nnU-Net fills holes before it looks for the box, which
// cannot change it.
func (p picture) nonZero(ctx context.Context) (box, error) {
	type found struct {
		box
		bad bool
	}
	g := p.grid
	slices := make([]found, g.size[0])
	err := parallel(ctx, g.size[0], func(z, _ int) {
		f := &slices[z]
		f.lo, f.hi = g.size, [3]int{}
		for y := range g.size[1] {
			at := g.start + z*g.stride[0] + y*g.stride[1]
			for x := range g.size[2] {
				v := p.data[at+x*g.stride[2]]
				if v != 0 {
					f.lo = [3]int{z, min(f.lo[1], y), min(f.lo[2], x)}
					f.hi = [3]int{z + 1, max(f.hi[1], y+1), max(f.hi[2], x+1)}
				}
				if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
					f.bad = true
				}
			}
		}
	})
	if err != nil {
		return box{}, err
	}
	b := box{lo: g.size}
	for _, f := range slices {
		if f.bad {
			return b, fmt.Errorf("the volume holds values that are no numbers: convert it again")
		}
		for a := range 3 {
			b.lo[a], b.hi[a] = min(b.lo[a], f.lo[a]), max(b.hi[a], f.hi[a])
		}
	}
	if b.empty() {
		return b, fmt.Errorf("every voxel is 0: there is no image to segment")
	}
	return b, nil
}

// plane reads slice n across an axis, row by row along the other two, in double precision.
func (p picture) plane(axis, n int, dst []float64) {
	rows, cols := others(axis)
	g := p.grid
	start := g.start + n*g.stride[axis]
	i := 0
	for y := range g.size[rows] {
		at := start + y*g.stride[rows]
		for range g.size[cols] {
			v := p.data[at]
			if p.norm != nil {
				v = p.norm.apply(v)
			}
			dst[i] = float64(v)
			at += g.stride[cols]
			i++
		}
	}
}

// others are the two axes across one, in order.
func others(axis int) (int, int) {
	switch axis {
	case 0:
		return 1, 2
	case 1:
		return 0, 2
	}
	return 0, 1
}

// array is a packed array z,y,x.
type array struct {
	size [3]int
	data []float32
}

// newShape is compute_new_shape.
func newShape(size [3]int, spacing, target [3]float64) [3]int {
	var out [3]int
	for a := range 3 {
		out[a] = int(math.RoundToEven(spacing[a] / target[a] * float64(size[a])))
	}
	return out
}

// axis is the one that is resampled apart from the others, by nearest neighbour; -1: none
// (determine_do_sep_z_and_axis).
func (s separation) axis(current, target [3]float64) int {
	aniso := func(x [3]float64) bool { return max(x[0], x[1], x[2])/min(x[0], x[1], x[2]) > s.threshold }
	switch {
	case s.force != nil && !*s.force:
		return -1
	case s.force != nil, aniso(current):
		return coarsest(current)
	case aniso(target):
		return coarsest(target)
	}
	return -1
}

// coarsest is the axis with the largest spacing; -1 if several have it.
func coarsest(spacing [3]float64) int {
	axis := -1
	widest := max(spacing[0], spacing[1], spacing[2])
	for a, x := range spacing {
		if widest/x == 1 {
			if axis >= 0 {
				return -1
			}
			axis = a
		}
	}
	return axis
}

// resample resizes with cubic splines as nnU-Net resizes images: all axes at once, or, with separate ≥ 0, slices across
// that axis each by itself and the nearest of them along it. Values stay within those of the input (of the slice).
func (p picture) resample(ctx context.Context, size [3]int, separate int) (array, error) {
	out := array{size, make([]float32, size[0]*size[1]*size[2])}
	if p.grid.size == size {
		return out, parallel(ctx, size[0], func(z, _ int) { p.copySlice(z, out.data[z*size[1]*size[2]:]) })
	}
	var t [3]taps
	for a := range 3 {
		in := p.grid.size[a]
		switch {
		case in == size[a]:
			t[a] = same(in)
		case a == separate:
			t[a] = nearest(in, size[a], gridCoordinate(in, size[a]))
		default:
			t[a] = cubic(in, size[a], gridCoordinate(in, size[a]))
		}
	}
	if separate >= 0 {
		return out, p.resampleSlices(ctx, out, t, separate)
	}
	return out, p.resampleAll(ctx, out.data, t)
}

func (p picture) copySlice(z int, dst []float32) {
	g := p.grid
	i := 0
	for y := range g.size[1] {
		at := g.start + z*g.stride[0] + y*g.stride[1]
		for range g.size[2] {
			v := p.data[at]
			if p.norm != nil {
				v = p.norm.apply(v)
			}
			dst[i] = v
			at += g.stride[2]
			i++
		}
	}
}

// planeResizer resizes slices in two dimensions; one a goroutine.
type planeResizer struct {
	rows, cols          taps
	in, half, out, work []float64
}

func newPlaneResizer(rows, cols taps) *planeResizer {
	return &planeResizer{
		rows: rows, cols: cols,
		in:   make([]float64, rows.in*cols.in),
		half: make([]float64, rows.in*cols.out),
		out:  make([]float64, rows.out*cols.out),
		work: make([]float64, max(4*(cols.in+2*cols.pad), (rows.in+2*rows.pad)*cols.out)),
	}
}

// resize turns in into out.
func (r *planeResizer) resize() {
	r.cols.rows(r.half, r.in, r.rows.in, r.work)
	r.rows.columns(r.out, r.half, r.cols.out, r.work)
}

func extremes(values []float64) (lo, hi float64) {
	lo, hi = math.Inf(1), math.Inf(-1)
	for _, v := range values {
		lo, hi = min(lo, v), max(hi, v)
	}
	return lo, hi
}

// resampleSlices resizes the slices across an axis, each within its own range of values, and sets the nearest of them
// along the axis.
func (p picture) resampleSlices(ctx context.Context, out array, t [3]taps, axis int) error {
	rows, cols := others(axis)
	uses := make([][]int, p.grid.size[axis]) // which slices of the result a slice of the input makes
	for o, i := range t[axis].first {
		uses[i] = append(uses[i], o)
	}
	g := dense(out.size)
	resizers := make([]*planeResizer, workers(len(uses)))
	return parallel(ctx, len(uses), func(n, w int) {
		if len(uses[n]) == 0 {
			return
		}
		if resizers[w] == nil {
			resizers[w] = newPlaneResizer(t[rows], t[cols])
		}
		r := resizers[w]
		p.plane(axis, n, r.in)
		lo, hi := extremes(r.in)
		r.resize()
		for _, o := range uses[n] {
			i := 0
			for y := range out.size[rows] {
				at := o*g.stride[axis] + y*g.stride[rows]
				for range out.size[cols] {
					out.data[at] = float32(min(max(r.out[i], lo), hi))
					at += g.stride[cols]
					i++
				}
			}
		}
	})
}

// resampleAll resizes all three axes: slices first, where most of the shrinking is, then along the slow axis. Values
// stay within those of the input.
func (p picture) resampleAll(ctx context.Context, out []float32, t [3]taps) error {
	depth := p.grid.size[0]
	n := t[1].out * t[2].out
	slices := make([]float64, depth*n)
	ranges := make([][2]float64, depth)
	resizers := make([]*planeResizer, workers(depth))
	err := parallel(ctx, depth, func(z, w int) {
		if resizers[w] == nil {
			resizers[w] = newPlaneResizer(t[1], t[2])
		}
		r := resizers[w]
		p.plane(0, z, r.in)
		ranges[z][0], ranges[z][1] = extremes(r.in)
		r.resize()
		copy(slices[z*n:], r.out)
	})
	if err != nil {
		return err
	}
	lo, hi := ranges[0][0], ranges[0][1]
	for _, r := range ranges {
		lo, hi = min(lo, r[0]), max(hi, r[1])
	}
	width := t[2].out
	type buffers struct{ in, out, work []float64 }
	all := make([]buffers, workers(t[1].out))
	return parallel(ctx, t[1].out, func(y, w int) {
		b := &all[w]
		if b.in == nil {
			*b = buffers{make([]float64, depth*width), make([]float64, t[0].out*width), make([]float64, (depth+2*t[0].pad)*width)}
		}
		for z := range depth {
			copy(b.in[z*width:][:width], slices[z*n+y*width:])
		}
		t[0].columns(b.out, b.in, width, b.work)
		for z := range t[0].out {
			dst := out[z*n+y*width:][:width]
			for x, v := range b.out[z*width:][:width] {
				dst[x] = float32(min(max(v, lo), hi))
			}
		}
	})
}

// preprocessed is what the network sees, and where it lies.
type preprocessed struct {
	array
	crop box // of the picture that was given
}

// preprocess crops to what is not zero, normalises and resamples (DefaultPreprocessor.run_case_npy).
func (p *plans) preprocess(ctx context.Context, in picture, spacing [3]float64) (preprocessed, error) {
	var out preprocessed
	var err error
	if out.crop, err = in.nonZero(ctx); err != nil {
		return out, err
	}
	in.grid = in.grid.crop(out.crop)
	in.norm = &normalisation{p.clip[0], p.clip[1], p.mean, p.std}
	size := newShape(in.grid.size, spacing, p.spacing)
	if err := checkSize(size); err != nil {
		return out, err
	}
	out.array, err = in.resample(ctx, size, p.separateData.axis(spacing, p.spacing))
	return out, err
}

// maxVoxels bounds a resampled array.
const maxVoxels = math.MaxInt32

func checkSize(size [3]int) error {
	n := 1
	for _, s := range size {
		if s < 1 || s > 1<<15 {
			return fmt.Errorf("resampled to the model's spacing the image would have %v voxels along its axes: is its spacing in mm?", size)
		}
		n *= s
	}
	if n > maxVoxels {
		return fmt.Errorf("resampled to the model's spacing the image would have %v voxels, too many", size)
	}
	return nil
}

// pictureOf shows a volume along the model's axes.
func pictureOf(v *volume.Volume, m axisMap) picture {
	return picture{data: v.Data, grid: m.over(v.Geometry)}
}
