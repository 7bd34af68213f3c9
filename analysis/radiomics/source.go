package radiomics

import (
	"context"
	"fmt"
	"math"

	"rfanode/analysis/volume"
)

// source is an image or a mask that is read slice by slice, so that a large CT need not be in memory.
type source interface {
	geometry() volume.Geometry
	kind() pixelKind
	// planes calls do with each slice in order; the values are do's only until it returns.
	planes(ctx context.Context, do func(k int, plane []float64) error) error
}

// pixelKind says how PyRadiomics would hold the values.
type pixelKind struct {
	integer   bool
	single    bool    // float32
	low, high float64 // range of an integer type
}

var (
	kindInt16  = pixelKind{integer: true, low: math.MinInt16, high: math.MaxInt16}
	kindSingle = pixelKind{single: true}
	kindDouble = pixelKind{}
)

// store is ITK's cast of an interpolated value to the image's type: towards zero for whole numbers.
func (k pixelKind) store(v float64) float64 {
	switch {
	case k.integer:
		return math.Trunc(min(max(v, k.low), k.high))
	case k.single:
		return round32(v)
	}
	return v
}

// volumeSource is a volume in memory.
type volumeSource struct {
	v *volume.Volume
	k pixelKind
}

// newVolumeSource takes a volume of whole numbers (a CT) as PyRadiomics takes an int16 image, any other as float32.
func newVolumeSource(v *volume.Volume) *volumeSource {
	s := &volumeSource{v, kindInt16}
	for _, x := range v.Data {
		if x != float32(int32(x)) || x < math.MinInt16 || x > math.MaxInt16 {
			s.k = kindSingle
			break
		}
	}
	return s
}

func (s *volumeSource) geometry() volume.Geometry { return s.v.Geometry }
func (s *volumeSource) kind() pixelKind           { return s.k }

func (s *volumeSource) planes(ctx context.Context, do func(int, []float64) error) error {
	return eachPlane(ctx, s.v.Geometry, len(s.v.Data), func(i int) float64 { return float64(s.v.Data[i]) }, do)
}

// maskSource is a mask in memory; its label is 1.
type maskSource struct{ m *volume.Mask }

func (s maskSource) geometry() volume.Geometry { return s.m.Geometry }
func (s maskSource) kind() pixelKind           { return kindInt16 }

func (s maskSource) planes(ctx context.Context, do func(int, []float64) error) error {
	return eachPlane(ctx, s.m.Geometry, len(s.m.Data), func(i int) float64 { return float64(s.m.Data[i]) }, do)
}

func eachPlane(ctx context.Context, g volume.Geometry, held int, value func(i int) float64, do func(int, []float64) error) error {
	n := g.Size[0] * g.Size[1]
	if held != n*g.Size[2] {
		return fmt.Errorf("%d values for %d × %d × %d voxels", held, g.Size[0], g.Size[1], g.Size[2])
	}
	plane := make([]float64, n)
	for k := range g.Size[2] {
		if err := ctx.Err(); err != nil {
			return err
		}
		for i := range plane {
			plane[i] = value(k*n + i)
		}
		if err := do(k, plane); err != nil {
			return err
		}
	}
	return nil
}
