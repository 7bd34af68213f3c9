package nnunet

import (
	"context"
	"math"
)

// decoder turns logits into labels on the grid of the picture they came from, slice by slice: all classes at the size of
// a CT would take gigabytes.
type decoder struct {
	logits *logits
	labels *labelSet
	t      [3]taps
}

func newDecoder(l *logits, labels *labelSet, size [3]int, separate int) *decoder {
	d := &decoder{logits: l, labels: labels}
	for a := range 3 {
		in := l.size[a]
		switch {
		case in == size[a]:
			d.t[a] = same(in)
		case a == separate:
			d.t[a] = nearest(in, size[a], gridCoordinate(in, size[a]))
		default:
			d.t[a] = linear(in, size[a], gridCoordinate(in, size[a]))
		}
	}
	return d
}

// decode writes the label of every voxel of a grid laid over dst.
func (d *decoder) decode(ctx context.Context, dst []uint8, g grid) error {
	type buffers struct {
		plane, row, line []float64
		best             []int32
		label            []uint8
	}
	all := make([]buffers, workers(g.size[0]))
	rows, cols := d.logits.size[1], d.logits.size[2]
	width := g.size[2]
	return parallel(ctx, g.size[0], func(z, w int) {
		b := &all[w]
		if b.plane == nil {
			*b = buffers{make([]float64, rows*cols), make([]float64, cols), make([]float64, width), make([]int32, g.size[1]*width), make([]uint8, g.size[1]*width)}
		}
		clear(b.label)
		for head := range d.logits.heads {
			d.blend(b.plane, head, z)
			for y := range g.size[1] {
				d.row(b.row, b.plane, y)
				d.t[2].read(b.line, b.row, 1, 0)
				d.take(head, b.line, b.best[y*width:][:width], b.label[y*width:][:width])
			}
		}
		for y := range g.size[1] {
			at := g.start + z*g.stride[0] + y*g.stride[1]
			for _, label := range b.label[y*width:][:width] {
				dst[at] = label
				at += g.stride[2]
			}
		}
	})
}

// blend interpolates a head along the slow axis.
func (d *decoder) blend(dst []float64, head, z int) {
	rows, cols := d.logits.size[1], d.logits.size[2]
	t := d.t[0]
	first := t.first[z]
	a, stride := d.logits.slice(head, first)
	if t.count == 1 || t.weight[2*z+1] == 0 {
		for y := range rows {
			for x, h := range a[y*stride:][:cols] {
				dst[y*cols+x] = float64(h.float())
			}
		}
		return
	}
	b, _ := d.logits.slice(head, first+1)
	wa, wb := t.weight[2*z], t.weight[2*z+1]
	for y := range rows {
		other := b[y*stride:][:cols]
		for x, h := range a[y*stride:][:cols] {
			dst[y*cols+x] = float64(wa*float64(h.float())) + float64(wb*float64(other[x].float()))
		}
	}
}

// row interpolates a row of the result between the rows of a plane.
func (d *decoder) row(dst, plane []float64, y int) {
	t, cols := d.t[1], d.logits.size[2]
	first := t.first[y]
	a := plane[first*cols:][:cols]
	if t.count == 1 || t.weight[2*y+1] == 0 {
		copy(dst, a)
		return
	}
	b := plane[(first+1)*cols:][:cols]
	wa, wb := t.weight[2*y], t.weight[2*y+1]
	for x := range dst {
		dst[x] = float64(wa*a[x]) + float64(wb*b[x])
	}
}

// take lets a head's values, rounded to half precision, decide the labels: the first of the largest wins, or, with
// regions, the last that is above ½.
func (d *decoder) take(head int, values []float64, best []int32, label []uint8) {
	if d.labels.order != nil {
		l := uint8(d.labels.order[head])
		for x, v := range values {
			if h := doubleToHalf(v); h&0x8000 == 0 && h >= regionThreshold {
				label[x] = l
			}
		}
		return
	}
	for x, v := range values {
		r := rank(doubleToHalf(v))
		if head == 0 || r > best[x] {
			best[x], label[x] = r, uint8(head)
		}
	}
}

// rank orders halves by their value; +0 and -0 are the same.
func rank(h half) int32 {
	if h&0x8000 != 0 {
		return -int32(h & 0x7fff)
	}
	return int32(h)
}

// regionThreshold is the smallest positive half whose sigmoid, in single precision, is above ½. Just above 0 the
// exponential is rounded to 1.
var regionThreshold = func() half {
	for h := halfSmallest; ; h++ {
		if 1/(1+float32(math.Exp(-float64(h.float())))) > 0.5 {
			return h
		}
	}
}()
