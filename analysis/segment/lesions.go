package segment

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"rfanode/analysis/register"
	"rfanode/analysis/volume"
)

// LesionInput is a pair of CTs of one patient.
type LesionInput struct {
	Pre, Post           *volume.Volume // HU, before and after the ablation
	PreLungs, PostLungs *Lungs
	ToPre               register.Transform // linear: point of post → point of pre, LPS mm
	// Refine gives a better map near a zone, found roughly, on the grid of Post; it draws pleura and tumour sharper in
	// the zone. nil: ToPre serves. An error holds the lesion with its text.
	Refine func(ctx context.Context, zone *volume.Mask) (register.Transform, error)
	Marks  Marks // what a person has marked or drawn
}

// Structure is one region: the voxels that are at least half inside, and a level that carries its surface between them.
type Structure struct {
	Mask *volume.Mask
	// Level is the distance to the surface in mm, > 0 inside, on the grid of Mask, cut at ±30. Read between slices with
	// volume.AtSlices, its zero surface is the region's; on thick slices that is more accurate than the voxels of Mask.
	Level *volume.Volume
}

// Lesion is one ablated tumour and its zone. Where no tumour was found under a zone, GTR is empty (nil fields) and the
// lesion is held.
type Lesion struct {
	GTR, PTZ   Structure          // tumour on the grid of Pre, ablation zone on the grid of Post
	Laterality string             // "R" or "L"
	Marked     bool               // the one that LesionInput.Marks chose
	ToPre      register.Transform // what Refine gave, else the linear map
	Figures    Figures
	// HoldReasons say why the result must not go out unseen; Warnings what a reader must know. Plain sentences.
	HoldReasons, Warnings []string
}

// NoLesionError says that the pair shows no ablation zone, and what was seen instead.
type NoLesionError struct{ Reason string }

func (e *NoLesionError) Error() string { return "looking for the ablation zone: " + e.Reason }

// maxMarginMM is how much thicker a zone is than the tumour under it at most.
const maxMarginMM = 11

// maxZones bounds the work on a pair whose lungs changed everywhere.
const maxZones = 8

// Lesions finds the ablated tumours of a pair and their zones, the largest zone first: change test on the linearly
// registered pair → zones → the nodule under each → surfaces → reasons to hold. The error is a *NoLesionError if no
// new opacity is thick enough to be a zone, or that of ctx.
func Lesions(ctx context.Context, in LesionInput) ([]Lesion, error) {
	if in.Pre == nil || in.Post == nil || in.PreLungs == nil || in.PostLungs == nil || in.ToPre == nil {
		return nil, errors.New("segmenting the lesions: both CTs, their lungs and a registration are needed")
	}
	p, err := newPair(ctx, in)
	if err != nil {
		return nil, err
	}
	all := p.zones()
	n := 0
	for n < len(all) && n < maxZones && all[n].radiusMM >= thinZoneMM {
		n++
	}
	var found, bare []finding
	switch {
	case in.Marks.any():
		if found, bare, err = p.chosen(all, n); err != nil {
			return nil, err
		}
	case len(all) == 0:
		return nil, &NoLesionError{"there is no new opacity in the lungs"}
	default:
		if found, bare = p.search(all[:n]); all[0].radiusMM < minZoneMM && (len(found) == 0 || !p.plausible(found[0])) {
			return nil, &NoLesionError{fmt.Sprintf("no new opacity in the lungs is thick enough: the largest ball that fits into one has %.1f mm radius, a zone needs %d mm", all[0].radiusMM, minZoneMM)}
		}
		if len(found) == 0 {
			found, bare = bare[:1], bare[1:] // shown, and held for what it lacks
		}
	}
	scene := p.survey(all, found, bare)
	lesions := make([]Lesion, 0, len(found))
	for _, f := range found {
		l, err := p.lesion(ctx, f, scene)
		if err != nil {
			return nil, err
		}
		lesions = append(lesions, l)
	}
	return lesions, nil
}

// search matches zones with dense nodules; where that gives nothing plausible, with ground glass. Thin zones, which motion
// alone can make, count only where no thick one has a tumour under it.
func (p *pair) search(zones []zone) (found, bare []finding) {
	thick := zones
	for n, z := range zones {
		if z.radiusMM < minZoneMM {
			thick = zones[:n]
			break
		}
	}
	var unlikely, lone []finding
	for n, set := range [][]zone{thick, zones} {
		if n > 0 && len(set) == len(thick) {
			break
		}
		for _, glass := range []bool{false, true} {
			all, without := p.match(set, glass)
			likely := slices.DeleteFunc(slices.Clone(all), func(f finding) bool { return !p.plausible(f) })
			if len(likely) > 0 {
				return likely, append(slices.DeleteFunc(all, p.plausible), without...)
			}
			if len(unlikely) == 0 {
				unlikely, lone = all, without
			}
		}
	}
	return unlikely, lone
}

// plausible reports whether a nodule is as compact as a tumour and lies in a zone that is no layer along the pleura.
func (p *pair) plausible(f finding) bool {
	n := f.nodules[0]
	return n.hullShare <= maxHullShare && n.elongation <= maxTumourElongation && hullShare(f.zone.mask, p.hull) <= maxHullShare &&
		f.zone.radiusMM-n.radiusMM < maxMarginMM
}

// finding is a zone with the nodules under it, best first.
type finding struct {
	zone    zone
	nodules []nodule
	marked  bool // by a person
}

// match looks for the nodule under each zone; a zone is bare that holds too little of any. Zones over the same nodule are
// parts of one: the thickest stands for it. With glass, nodules of ground glass count.
func (p *pair) match(zones []zone, glass bool) (found, bare []finding) {
	for _, z := range zones {
		f := finding{zone: z, nodules: p.nodules(z, glass)}
		if len(f.nodules) == 0 || f.nodules[0].overlap < minOverlap {
			bare = append(bare, f)
			continue
		}
		same := false
		for i, other := range found {
			if nearer(f.nodules[0].mask.Centroid(), other.nodules[0].mask.Centroid(), f.nodules[0].radiusMM) {
				found[i].zone.mask = volume.Union(other.zone.mask, z.mask)
				same = true
			}
		}
		if !same {
			found = append(found, f)
		}
	}
	return found, bare
}

func nearer(a, b volume.Vec, mm float64) bool {
	d := volume.Vec{a[0] - b[0], a[1] - b[1], a[2] - b[2]}
	return d[0]*d[0]+d[1]*d[1]+d[2]*d[2] < mm*mm
}

// lesion refines one finding.
func (p *pair) lesion(ctx context.Context, f finding, s scene) (Lesion, error) {
	l := Lesion{ToPre: p.in.ToPre, Laterality: p.laterality(f.zone), Marked: f.marked}
	l.Figures = s.figures
	l.Figures.ZoneRadiusMM = f.zone.radiusMM
	l.HoldReasons, l.Warnings = append(l.HoldReasons, s.hold...), append(l.Warnings, s.warn...)
	if len(f.nodules) == 0 {
		l.hold("no tumour on the pre CT lies under the new opacity: ground glass, too small, or not an ablation; mark the tumour or check the pair")
		l.PTZ.Mask = toGrid(f.zone.mask, p.in.Post.Geometry)
		return l, ctx.Err()
	}
	if p.in.Refine != nil {
		better, err := p.in.Refine(ctx, toGrid(f.zone.mask, p.in.Post.Geometry))
		if ctx.Err() != nil {
			return l, ctx.Err()
		}
		if err != nil {
			l.hold("the registration near the zone failed: " + err.Error())
		} else {
			l.ToPre = better
		}
	}
	l.choice(p, f)
	gtr, ok := p.tumour(f)
	if !ok {
		l.hold("the tumour's surface cannot be measured: no contrast to the lung round it")
		return l, ctx.Err()
	}
	ptz, ok := p.ablated(f, gtr, l.ToPre)
	if !ok {
		l.hold("the zone's surface cannot be measured: no aerated lung round it")
		return l, ctx.Err()
	}
	l.GTR, l.PTZ = gtr.structure(), ptz.structure()
	l.takeDrawn(p.in.Marks)
	l.measure(gtr, ptz)
	l.check(p, gtr, ptz)
	return l, ctx.Err()
}

// laterality is the side that most of the zone lies on.
func (p *pair) laterality(z zone) string {
	right, left := 0, 0
	lo, hi, _ := z.mask.Bounds()
	r, l := p.in.PreLungs.Right, p.in.PreLungs.Left
	for k := lo[2]; k <= hi[2]; k++ {
		for j := lo[1]; j <= hi[1]; j++ {
			for i := lo[0]; i <= hi[0]; i++ {
				if z.mask.Data[z.mask.Offset(i, j, k)] == 0 {
					continue
				}
				q := p.in.ToPre.Map(z.mask.Point(volume.Vec{float64(i), float64(j), float64(k)}))
				right += valueAt(r, q)
				left += valueAt(l, q)
			}
		}
	}
	if right >= left {
		return "R"
	}
	return "L"
}

// valueAt is the mask's value in the voxel that holds a point; 0 outside its grid.
func valueAt(m *volume.Mask, q volume.Vec) int {
	at := m.Index(q)
	var n [3]int
	for a := range 3 {
		n[a] = int(at[a] + 0.5)
		if at[a] < -0.5 || n[a] >= m.Size[a] {
			return 0
		}
	}
	return int(m.Data[m.Offset(n[0], n[1], n[2])])
}
