package analysis

import (
	"context"
	"slices"

	"rfanode/analysis/segment"
	"rfanode/analysis/volume"
)

// Given is what a person, or another program, gives for a structure: its mask, or a point that says which one is meant.
type Given struct {
	Mask  *volume.Mask
	Point *volume.Vec // LPS mm
	What  string      // what it is and where it comes from: "contour in the SEG 1.2.3, segment 1"; empty: "mask given with the scans"
	By    string      // who made it, a person's name; only for the report
}

// manual is the family (CID 7162) of what a person has drawn.
const manual = "Manual Processing"

// takeGiven brings the given masks onto the CT's own grid, and holds what cannot be used.
func (f *Findings) takeGiven(opts *Options, pre, post *volume.Volume) {
	for _, m := range []struct {
		role  string
		given *Given
		ct    *volume.Volume
	}{{"gtr", &opts.GTR, pre}, {"ptz", &opts.PTZ, post}} {
		g := m.given
		if g.Mask == nil && g.Point == nil {
			continue
		}
		if g.What == "" {
			g.What = "mask given with the scans"
		}
		if g.Mask == nil {
			continue
		}
		if !g.Mask.Geometry.Same(m.ct.Geometry) {
			f.warn("the given mask %s lies on another grid than its CT and was brought onto it", m.role)
			g.Mask = volume.ResampleNearest(g.Mask, m.ct.Geometry)
		}
		if g.Mask.Count() == 0 {
			f.hold("the given mask %s is empty, or lies outside of its CT", m.role)
		}
	}
}

// nameGiven says, in the algorithms of the lesion that was marked, what was given for it.
func (f *Findings) nameGiven(opts Options) {
	f.Algorithms = slices.Clone(f.Algorithms)
	for i := range f.Algorithms {
		a := &f.Algorithms[i]
		g := opts.GTR
		switch a.Role {
		case "gtr":
		case "ptz":
			g = opts.PTZ
		default:
			continue
		}
		if g.Mask == nil && g.Point == nil {
			continue
		}
		a.Prompt, a.By = g.What, g.By
		if g.Mask != nil {
			a.Name, a.Version, a.Family, a.Source = "drawn, not computed", Version, manual, g.What
		}
	}
}

// lesions finds the lesions of a pair; what is given decides which, and takes the place of what would be found.
func lesions(ctx context.Context, in segment.LesionInput, opts Options) ([]segment.Lesion, error) {
	gtr, ptz := opts.GTR.Mask, opts.PTZ.Mask
	if gtr == nil || ptz == nil {
		in.Marks = segment.Marks{PreAt: opts.GTR.Point, PostAt: opts.PTZ.Point, GTR: gtr, PTZ: ptz}
		return segment.Lesions(ctx, in)
	}
	toPre, err := in.Refine(ctx, ptz)
	if err != nil {
		return nil, err
	}
	return []segment.Lesion{{GTR: given(gtr), PTZ: given(ptz), ToPre: toPre, Laterality: side(gtr, in.PreLungs), Marked: true}}, nil
}

func given(m *volume.Mask) segment.Structure {
	return segment.Structure{Mask: m, Level: volume.SignedDistance(m)}
}

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
