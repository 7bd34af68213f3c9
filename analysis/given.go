package analysis

import (
	"context"
	"fmt"
	"slices"

	"rfanode/analysis/segment"
	"rfanode/analysis/volume"
)

// givenMask stands in the results for a structure that was not found here but given with the scans.
var givenMask = Algorithm{Name: "mask given with the scans", Version: Version, Family: "Manual Processing", Source: "the person or program that made it"}

// takeMasks notes which structures are given, brings them onto the CT's own grid, and holds what cannot be used.
func (f *Findings) takeMasks(opts *Options, pre, post *volume.Volume) {
	f.Algorithms = slices.Clone(f.Algorithms)
	for _, m := range []struct {
		role string
		mask **volume.Mask
		ct   *volume.Volume
	}{{"gtr", &opts.GTR, pre}, {"ptz", &opts.PTZ, post}} {
		if *m.mask == nil {
			continue
		}
		for i, a := range f.Algorithms {
			if a.Role == m.role {
				f.Algorithms[i] = givenMask
				f.Algorithms[i].Role = m.role
			}
		}
		if !(*m.mask).Geometry.Same(m.ct.Geometry) {
			f.warn("the given mask %s lies on another grid than its CT and was brought onto it", m.role)
			*m.mask = volume.ResampleNearest(*m.mask, m.ct.Geometry)
		}
		if (*m.mask).Count() == 0 {
			f.hold("the given mask %s is empty, or lies outside of its CT", m.role)
		}
	}
}

// lesions finds the lesions of a pair, or takes them from the masks given.
func lesions(ctx context.Context, in segment.LesionInput, gtr, ptz *volume.Mask) ([]segment.Lesion, error) {
	if gtr != nil && ptz != nil {
		toPre, err := in.Refine(ctx, ptz)
		if err != nil {
			return nil, err
		}
		return []segment.Lesion{{GTR: given(gtr), PTZ: given(ptz), ToPre: toPre, Laterality: side(gtr, in.PreLungs)}}, nil
	}
	found, err := segment.Lesions(ctx, in)
	if err != nil || gtr == nil && ptz == nil {
		return found, err
	}
	for _, l := range found {
		if gtr != nil && meet(gtr, l.GTR.Mask) {
			l.GTR = given(gtr)
			return []segment.Lesion{l}, nil
		}
		if ptz != nil && meet(ptz, l.PTZ.Mask) {
			l.PTZ = given(ptz)
			return []segment.Lesion{l}, nil
		}
	}
	return nil, fmt.Errorf("the given mask lies on none of the %d lesions that were found: give the other mask too", len(found))
}

func given(m *volume.Mask) segment.Structure {
	return segment.Structure{Mask: m, Level: volume.SignedDistance(m)}
}

func meet(a, b *volume.Mask) bool { return b != nil && volume.Intersect(a, b).Count() > 0 }

// side is the lung that most of a mask on pre lies in; empty if it lies in none.
func side(m *volume.Mask, lungs *segment.Lungs) string {
	right, left := volume.Intersect(m, lungs.Right).Count(), volume.Intersect(m, lungs.Left).Count()
	switch {
	case right == 0 && left == 0:
		return ""
	case right >= left:
		return "R"
	}
	return "L"
}
