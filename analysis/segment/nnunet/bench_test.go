package nnunet

import (
	"context"
	"path/filepath"
	"testing"

	"rfanode/analysis/volume"
)

// constant is a network that answers at once, so that what surrounds a network can be measured.
type constant struct{}

func (constant) run(_ context.Context, in, out []float32) error {
	for i := range out {
		out[i] = in[i%len(in)] * float32(1+i/len(in))
	}
	return nil
}

func (constant) close() {}

// BenchmarkAround is all that is done round the network for a CT of 512 x 512 x 60 voxels of 0.7 x 0.7 x 5 mm and a model of
// 1.5 mm, 3 classes and a patch of 96 x 128 x 128.
func BenchmarkAround(b *testing.B) {
	v := volume.New(volume.Axial([3]int{512, 512, 60}, [3]float64{0.7, 0.7, 5}, volume.Vec{}))
	for i := range v.Data {
		v.Data[i] = float32(i*7919%1400) - 1000
	}
	p := &plans{transpose: [3]int{0, 1, 2}, spacing: [3]float64{1.5, 1.5, 1.5}, patch: [3]int{96, 128, 128}, clip: [2]float32{-1000, 300}, mean: -300, std: 400,
		separateData: separation{threshold: anisotropy}, separateOut: separation{threshold: anisotropy}}
	labels := &labelSet{heads: 3}
	for b.Loop() {
		axes := fileOrder()
		spacing := axes.spacing(v.Geometry)
		in := pictureOf(v, axes)
		image, err := p.preprocess(b.Context(), in, spacing)
		if err != nil {
			b.Fatal(err)
		}
		s := &slider{patch: p.patch, heads: 3, step: 0.5, mirrors: mirrorings(nil), weights: gaussian(p.patch)}
		l, err := s.predict(b.Context(), constant{}, image.array)
		if err != nil {
			b.Fatal(err)
		}
		cropped := in.grid.crop(image.crop)
		if err := newDecoder(l, labels, cropped.size, p.separateOut.axis(p.spacing, spacing)).decode(b.Context(), make([]uint8, v.Len()), cropped); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCase is the reference case from image to labels.
func BenchmarkCase(b *testing.B) {
	m := openBare(b, case1(b))
	v := readVolume(b, filepath.Join(m.dir, "input.nii.gz"))
	for b.Loop() {
		if _, err := m.Segment(b.Context(), v, SegmentOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}
