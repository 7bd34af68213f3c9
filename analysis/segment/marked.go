package segment

import (
	"fmt"
	"math"
	"slices"

	"rfanode/analysis/register"
	"rfanode/analysis/volume"
)

// What a person has marked or drawn decides which lesion is meant: a point on the tumour chooses the nodule, a point in
// the zone the new opacity; what is drawn is taken as it is.
const (
	markReachMM = 10 // from a point to a candidate that does not contain it
	markBoxMM   = 30 // of pre round a point, in which candidates are looked for
	markSeedMM  = 2.5
	missedMM    = 20 // from a marked tumour to a zone that does not reach it
)

// Marks are what a person gives with a pair; nil: found here. Points in LPS mm.
type Marks struct {
	PreAt, PostAt *volume.Vec  // on the tumour, in the zone
	GTR, PTZ      *volume.Mask // drawn, on the grids of Pre and Post
}

func (m Marks) any() bool { return m.PreAt != nil || m.PostAt != nil || m.GTR != nil || m.PTZ != nil }

// onPre says whether the tumour was marked or drawn.
func (m Marks) onPre() bool { return m.PreAt != nil || m.GTR != nil }

// chosen finds the lesion that is marked. Other lesions that were found by themselves stay, unless the marked one is not
// among them: then the program was wrong about this pair.
func (p *pair) chosen(all []zone, thick int) (found, bare []finding, err error) {
	z, ok, err := p.markedZone(all)
	if err != nil {
		return nil, nil, err
	}
	n, hasNodule, err := p.markedNodule()
	if err != nil {
		return nil, nil, err
	}
	if !ok {
		if z, err = p.zoneOver(all, n); err != nil {
			return nil, nil, err
		}
	}
	this := finding{zone: z, marked: true}
	if hasNodule {
		n.overlap = overlapWith(n.mask, p.zonePoints(z.mask), p.zoneStepML(z.mask))
		this.nodules = []nodule{n}
	} else {
		this.nodules = p.nodules(z, false)
	}
	others, bare := p.search(all[:thick])
	found = []finding{this}
	known := false
	for _, o := range others {
		if common(o.zone.mask, z.mask) {
			known = true
			continue
		}
		found = append(found, o)
	}
	if !known {
		found = found[:1]
	}
	bare = slices.DeleteFunc(bare, func(o finding) bool { return common(o.zone.mask, z.mask) })
	return found, bare, nil
}

// markedZone is the zone that is drawn, or that holds the point on post or lies nearest to it; ok is false if neither is
// given.
func (p *pair) markedZone(all []zone) (z zone, ok bool, err error) {
	if drawn := p.in.Marks.PTZ; drawn != nil {
		m := volume.ResampleNearest(drawn, p.hull.Geometry)
		if m.Count() == 0 { // smaller than the work grid sees
			m = voxelAt(p.hull.Geometry, drawn.Centroid())
		}
		return zone{mask: m, radiusMM: float64(slices.Max(volume.SignedDistance(m).Data))}, true, nil
	}
	at := p.in.Marks.PostAt
	if at == nil {
		return z, false, nil
	}
	best := math.Inf(1)
	for _, c := range all {
		if d := distanceTo(c.mask, *at); d < best {
			best, z = d, c
		}
	}
	if best > markReachMM {
		return z, false, &NoLesionError{"there is no new opacity at the point that was marked on the post CT: draw the zone"}
	}
	return z, true, nil
}

// markedNodule is the tumour that is drawn, or the candidate that holds the point on pre, or the nearest; where there is
// none, a small ball at the point, from which the surface is grown.
func (p *pair) markedNodule() (n nodule, ok bool, err error) {
	if drawn := p.in.Marks.GTR; drawn != nil {
		lo, hi, ok := drawn.Around(2 * drawn.Spacing[2])
		if !ok {
			return n, false, &NoLesionError{"the tumour that was drawn is empty"}
		}
		return nodule{mask: drawn, radiusMM: float64(slices.Max(volume.SignedDistance(drawn.Crop(lo, hi)).Data))}, true, nil
	}
	at := p.in.Marks.PreAt
	if at == nil {
		return n, false, nil
	}
	ct := p.in.Pre.Geometry
	idx := ct.Index(*at)
	a, b, ok := around(ct, idx, idx, markBoxMM)
	if !ok {
		return n, false, &NoLesionError{"the point that was marked on the pre CT lies outside of it"}
	}
	r := newRegion(ct, a, b)
	g := isotropic(r.Geometry, nodulePixelMM)
	hu := volume.Resample(p.in.Pre.Crop(a, b), g, noCT)
	hull := volume.Threshold(volume.Resample(volume.SignedDistance(p.in.PreLungs.Hull.Crop(a, b)), g, -volume.Far), 0, volume.Far)
	dense := volume.Intersect(volume.Threshold(hu, noduleHU, volume.Far), hull)
	depth := volume.SignedDistance(dense)
	for _, seedMM := range []float32{3, 2} {
		best := math.Inf(1)
		for _, c := range candidates(dense, depth, seedMM, nil, 0) {
			if d := distanceTo(c.mask, *at); d < best {
				best, n = d, c
			}
		}
		if best <= markReachMM {
			return n, true, nil
		}
	}
	ball := volume.Dilate(voxelAt(g, *at), markSeedMM)
	n = nodule{mask: ball, radiusMM: markSeedMM}
	if t, ok := p.refine(n); ok { // how thick it is decides what counts as a vessel on it
		n.radiusMM = max(markSeedMM, float64(slices.Max(volume.SignedDistance(t.mask).Data)))
	}
	return n, true, nil
}

// zoneOver is the new opacity that holds most of a nodule, or the nearest to it.
func (p *pair) zoneOver(all []zone, n nodule) (z zone, err error) {
	most, nearest := 0.0, math.Inf(1)
	var near zone
	for _, c := range all {
		points := p.zonePoints(c.mask)
		if o := overlapWith(n.mask, points, p.zoneStepML(c.mask)); o > most {
			most, z = o, c
		}
		centre := n.mask.Centroid()
		for _, q := range points {
			d := volume.Vec{q[0] - centre[0], q[1] - centre[1], q[2] - centre[2]}
			if l := math.Sqrt(d[0]*d[0] + d[1]*d[1] + d[2]*d[2]); l < nearest {
				nearest, near = l, c
			}
		}
	}
	switch {
	case most > 0:
		return z, nil
	case nearest <= n.radiusMM+missedMM:
		return near, nil
	case len(all) == 0:
		return z, &NoLesionError{"there is no new opacity in the lungs: draw the zone"}
	}
	return z, &NoLesionError{fmt.Sprintf("no new opacity lies at the tumour that was marked: the nearest is %.0f mm away; draw the zone", nearest)}
}

// drawnTumour is the surface of a tumour that is drawn; where the lung round it cannot be measured, its density is that
// of aerated lung.
func (p *pair) drawnTumour(m *volume.Mask) (t surface, ok bool) {
	r, ok := regionAround(p.in.Pre.Geometry, m, gtrRoomMM)
	if !ok {
		return t, false
	}
	hu := r.values(p.in.Pre)
	t = surface{region: r, hull: r.mask(p.in.PreLungs.Hull), mask: r.mask(m)}
	if t.mask.Count() == 0 {
		t.mask = volume.ResampleNearest(m, r.Geometry)
	}
	if t.mask.Count() == 0 {
		return t, false
	}
	t.lungHU = aeratedLungHU
	if x, ok := ringMedian(hu, t.hull, t.mask); ok {
		t.lungHU = x
	}
	t.insideHU, t.shellHU, t.dense = coreMedian(hu, t.mask), t.lungHU, t.mask
	t.rangeML = [2]float64{t.mask.VolumeML(), t.mask.VolumeML()}
	return t, true
}

const aeratedLungHU = -850

// drawnZone is the surface of a zone that is drawn.
func (p *pair) drawnZone(m *volume.Mask) (s surface, ok bool) {
	r, ok := regionAround(p.in.Post.Geometry, m, ptzRoomMM)
	if !ok {
		return s, false
	}
	hu := r.values(p.in.Post)
	s = surface{region: r, hull: r.mask(p.in.PostLungs.Hull), mask: r.mask(m)}
	if s.mask.Count() == 0 {
		return s, false
	}
	s.lungHU = aeratedLungHU
	if x, ok := ringMedian(hu, s.hull, s.mask); ok {
		s.lungHU = x
	}
	s.insideHU = layerMedian(hu, s.mask, s.hull)
	s.rangeML = [2]float64{s.mask.VolumeML(), s.mask.VolumeML()}
	return s, true
}

// tumour is the surface of the nodule of a finding, drawn or found.
func (p *pair) tumour(f finding) (surface, bool) {
	if m := p.in.Marks.GTR; f.marked && m != nil {
		return p.drawnTumour(m)
	}
	return p.refine(f.nodules[0])
}

// ablated is the surface of the zone of a finding, drawn or found.
func (p *pair) ablated(f finding, tumour surface, toPre register.Transform) (surface, bool) {
	if m := p.in.Marks.PTZ; f.marked && m != nil {
		return p.drawnZone(m)
	}
	return p.refineZone(f.zone, tumour, toPre)
}

// takeDrawn puts what was drawn, voxel for voxel, in the place of the surfaces that were only needed on the way.
func (l *Lesion) takeDrawn(m Marks) {
	if l.Marked && m.GTR != nil {
		l.GTR = asDrawn(m.GTR)
	}
	if l.Marked && m.PTZ != nil {
		l.PTZ = asDrawn(m.PTZ)
	}
}

// asDrawn is a structure voxel for voxel.
func asDrawn(m *volume.Mask) Structure { return Structure{Mask: m, Level: volume.SignedDistance(m)} }

// distanceTo is the distance from a point to the nearest voxel of a mask, mm; 0 within it.
func distanceTo(m *volume.Mask, p volume.Vec) float64 {
	best := math.Inf(1)
	lo, hi, ok := m.Bounds()
	if !ok {
		return best
	}
	for k := lo[2]; k <= hi[2]; k++ {
		for j := lo[1]; j <= hi[1]; j++ {
			for i := lo[0]; i <= hi[0]; i++ {
				if m.Data[m.Offset(i, j, k)] == 0 {
					continue
				}
				at := m.Index(p)
				sum := 0.0
				for a, n := range [3]int{i, j, k} {
					d := max(math.Abs(at[a]-float64(n))-0.5, 0) * m.Spacing[a]
					sum += d * d
				}
				best = min(best, sum)
			}
		}
	}
	return math.Sqrt(best)
}

// voxelAt is the voxel nearest to a point.
func voxelAt(g volume.Geometry, p volume.Vec) *volume.Mask {
	m := volume.NewMask(g)
	at := g.Index(p)
	var n [3]int
	for a := range 3 {
		n[a] = min(max(int(math.Round(at[a])), 0), g.Size[a]-1)
	}
	m.Data[m.Offset(n[0], n[1], n[2])] = 1
	return m
}

func common(a, b *volume.Mask) bool {
	for i, x := range a.Data {
		if x&b.Data[i] != 0 {
			return true
		}
	}
	return false
}
