package nnunet

import (
	"context"
	"errors"
)

// network is the weights of one fold, ready to run.
type network interface {
	// run computes the logits of one patch: in holds its voxels, out its heads one after the other. When ctx ends it
	// returns within a second; in and out must then not be used again.
	run(ctx context.Context, in, out []float32) error
	close()
}

// errOverflow is nnU-Net's own failure at the same place.
var errOverflow = errors.New("the network's answers are too large for half precision: nnU-Net's own predictor fails on this image too")

// logits are the network's answers over a whole image, in half precision like nnU-Net's.
type logits struct {
	heads  int
	size   [3]int // of the image, padding left out
	padded [3]int // as the values are stored
	pad    [3]int // where the image begins in them
	values []half // heads one after the other
}

// slice is plane z of a head, without padding: rows start stride apart.
func (l *logits) slice(head, z int) (values []half, stride int) {
	n := l.padded[0] * l.padded[1] * l.padded[2]
	at := head*n + ((z+l.pad[0])*l.padded[1]+l.pad[1])*l.padded[2] + l.pad[2]
	return l.values[at : at+(l.size[1]-1)*l.padded[2]+l.size[2]], l.padded[2]
}

// slider moves the patch over an image and adds up what the network says of each place.
type slider struct {
	patch   [3]int
	heads   int
	step    float64
	mirrors [][]int // sets of axes to flip, the empty one first
	weights []half
	tile    func() // called when a tile is done; nil: nobody counts
}

// predict runs one network over an image (predict_sliding_window_return_logits).
func (s *slider) predict(ctx context.Context, net network, image array) (*logits, error) {
	l := &logits{heads: s.heads, size: image.size}
	for a := range 3 {
		l.padded[a] = max(image.size[a], s.patch[a])
		l.pad[a] = (l.padded[a] - image.size[a]) / 2
	}
	n := l.padded[0] * l.padded[1] * l.padded[2]
	l.values = make([]half, s.heads*n)
	sums := make([]half, n)
	voxels := s.patch[0] * s.patch[1] * s.patch[2]
	in := make([]float32, voxels)
	answer := make([]float32, s.heads*voxels)
	var flipped, turned []float32
	if len(s.mirrors) > 1 {
		flipped, turned = make([]float32, voxels), make([]float32, s.heads*voxels)
	}
	for _, corner := range tiles(l.padded, s.patch, s.step) {
		s.cut(in, image, corner, l.pad)
		if err := net.run(ctx, in, answer); err != nil {
			return nil, err
		}
		for _, axes := range s.mirrors[1:] {
			flip(flipped, in, s.patch, axes)
			if err := net.run(ctx, flipped, turned); err != nil {
				return nil, err
			}
			if err := s.addFlipped(ctx, answer, turned, axes); err != nil {
				return nil, err
			}
		}
		if err := s.add(ctx, l, sums, answer, corner); err != nil {
			return nil, err
		}
		if s.tile != nil {
			s.tile()
		}
	}
	return l, l.divide(ctx, sums)
}

// cut takes the patch at a corner of the padded image; padding is 0, after normalisation.
func (s *slider) cut(dst []float32, image array, corner, pad [3]int) {
	clear(dst)
	x0 := corner[2] - pad[2] // in the image
	lo, hi := max(0, -x0), min(s.patch[2], image.size[2]-x0)
	for z := range s.patch[0] {
		iz := corner[0] - pad[0] + z
		if iz < 0 || iz >= image.size[0] {
			continue
		}
		for y := range s.patch[1] {
			iy := corner[1] - pad[1] + y
			if iy < 0 || iy >= image.size[1] || lo >= hi {
				continue
			}
			row := image.data[(iz*image.size[1]+iy)*image.size[2]:]
			copy(dst[(z*s.patch[1]+y)*s.patch[2]+lo:], row[x0+lo:x0+hi])
		}
	}
}

// flipStrides say where element 0 of a flipped array lies in the original, and how to go on from there.
func flipStrides(size [3]int, axes []int) (start int, stride [3]int) {
	g := dense(size)
	stride = g.stride
	for _, a := range axes {
		start += (size[a] - 1) * stride[a]
		stride[a] = -stride[a]
	}
	return start, stride
}

func flip(dst, src []float32, size [3]int, axes []int) {
	start, stride := flipStrides(size, axes)
	i := 0
	for z := range size[0] {
		for y := range size[1] {
			at := start + z*stride[0] + y*stride[1]
			for range size[2] {
				dst[i] = src[at]
				at += stride[2]
				i++
			}
		}
	}
}

// addFlipped adds the answers for a flipped patch, turned back; with the last set of axes the sum becomes the mean.
func (s *slider) addFlipped(ctx context.Context, answer, turned []float32, axes []int) error {
	voxels := s.patch[0] * s.patch[1] * s.patch[2]
	plane := s.patch[1] * s.patch[2]
	start, stride := flipStrides(s.patch, axes)
	last := len(axes) == len(s.mirrors[len(s.mirrors)-1])
	scale := float32(1)
	if last {
		scale = float32(len(s.mirrors)) // a power of two: dividing is exact
	}
	return parallel(ctx, s.heads*s.patch[0], func(i, _ int) {
		head, z := i/s.patch[0], i%s.patch[0]
		dst := answer[head*voxels+z*plane:][:plane]
		src := turned[head*voxels:][:voxels]
		for y := range s.patch[1] {
			at := start + z*stride[0] + y*stride[1]
			for x := range s.patch[2] {
				dst[y*s.patch[2]+x] = (dst[y*s.patch[2]+x] + src[at]) / scale
				at += stride[2]
			}
		}
	})
}

// add lays the weighted answers of a tile onto the sums, rounding each sum to half precision.
func (s *slider) add(ctx context.Context, l *logits, sums []half, answer []float32, corner [3]int) error {
	n := l.padded[0] * l.padded[1] * l.padded[2]
	voxels := s.patch[0] * s.patch[1] * s.patch[2]
	width := s.patch[2]
	return parallel(ctx, s.patch[0], func(z, _ int) {
		for y := range s.patch[1] {
			at := ((corner[0]+z)*l.padded[1]+corner[1]+y)*l.padded[2] + corner[2]
			from := (z*s.patch[1] + y) * width
			weights := s.weights[from:][:width]
			for head := range s.heads {
				dst := l.values[head*n+at:][:width]
				src := answer[head*voxels+from:][:width]
				for x, w := range weights {
					dst[x] = toHalf(dst[x].float() + float32(src[x]*w.float()))
				}
			}
			dst := sums[at:][:width]
			for x, w := range weights {
				dst[x] = toHalf(dst[x].float() + w.float())
			}
		}
	})
}

// divide makes weighted sums the weighted mean.
func (l *logits) divide(ctx context.Context, sums []half) error {
	n := len(sums)
	plane := l.padded[1] * l.padded[2]
	overflow := make([]bool, l.heads*l.padded[0])
	err := parallel(ctx, len(overflow), func(i, _ int) {
		head, z := i/l.padded[0], i%l.padded[0]
		dst, by := l.values[head*n+z*plane:][:plane], sums[z*plane:][:plane]
		for x, d := range by {
			h := toHalf(dst[x].float() / d.float())
			overflow[i] = overflow[i] || h&0x7c00 == halfInf
			dst[x] = h
		}
	})
	if err != nil {
		return err
	}
	for _, o := range overflow {
		if o {
			return errOverflow
		}
	}
	return nil
}

// addFold adds the answers of a further fold.
func (l *logits) addFold(ctx context.Context, other *logits) error {
	return l.each(ctx, func(i int) half { return toHalf(l.values[i].float() + other.values[i].float()) })
}

// average divides the sum over folds.
func (l *logits) average(ctx context.Context, folds int) error {
	return l.each(ctx, func(i int) half { return toHalf(l.values[i].float() / float32(folds)) })
}

func (l *logits) each(ctx context.Context, f func(i int) half) error {
	chunk := l.padded[1] * l.padded[2]
	return parallel(ctx, l.heads*l.padded[0], func(n, _ int) {
		for i := n * chunk; i < (n+1)*chunk; i++ {
			l.values[i] = f(i)
		}
	})
}
