package segment

import (
	"math"
	"slices"

	"rfanode/analysis/volume"
)

// The tumour's surface lies near half the contrast between tumour and lung. For a convex object imaged with blur and
// slices of some thickness the half level lies inside the true surface; 0.45 gives balls of 5 to 15 mm radius on slices
// of 1 to 5 mm their volume to within 2 %.
const (
	gtrLevel        = 0.45
	levelRange      = 0.1
	gtrRoomMM       = 16 // of the box round the candidate
	ringInnerMM     = 6  // the ring that tells the lung's density
	ringOuterMM     = 15
	aeratedHU       = -500 // what counts as lung in that ring
	vesselMM        = 5    // radius of the opening that cuts vessels off, at most
	usualElongation = 1.3  // of tumours, up to
	spikeMM         = 1.5  // regrown after it: spicules and corners
	minRing         = 100  // voxels without which the lung's density is not known
	minGlass        = 30   // and that of ground glass

	minGlassShare    = 0.1 // of a part-solid tumour
	maxGlassSpreadHU = 140 // between its quartiles; an even spread between lung and tissue has 200
)

// surface is a refined structure on its fine grid.
type surface struct {
	region      region
	mask        *volume.Mask
	dense       *volume.Mask // of a tumour, the part as dense as tissue: after an ablation it looks as before
	hull        *volume.Mask
	insideHU    float64 // core of a tumour, outer layer of a zone
	lungHU      float64
	glassHU     float64    // of the ground glass of a tumour; 0: none
	shellHU     float64    // median of the lung 1 to 3 mm outside a tumour: ground glass round it shows here
	tumourShare float64    // of a zone: the part of the tumour that lies in it
	rangeML     [2]float64 // volumes at levelRange above and below the level
}

// level is the signed distance to the surface, mm.
func (s surface) level() *volume.Volume { return volume.SignedDistance(s.mask) }

// structure brings a surface to the grid of its CT.
func (s surface) structure() Structure {
	fine := s.level()
	return Structure{Mask: s.region.slab(fine), Level: s.region.level(fine)}
}

// refine finds the surface of a nodule on pre; ok is false where there is none to find. A solid core in ground glass is
// found first, then the glass round it.
func (p *pair) refine(n nodule) (t surface, ok bool) {
	ct := p.in.Pre.Geometry
	r, ok := regionAround(ct, n.mask, gtrRoomMM)
	if !ok {
		return t, false
	}
	t = surface{region: r, hull: r.mask(p.in.PreLungs.Hull)}
	hu := r.values(p.in.Pre)
	seed := volume.Intersect(volume.ResampleNearest(n.mask, r.Geometry), t.hull)
	if seed.Count() == 0 {
		return t, false
	}
	if t.lungHU, ok = ringMedian(hu, t.hull, seed); !ok {
		return t, false
	}
	t.insideHU = coreMedian(hu, seed)
	if t.insideHU < groundGlassHU {
		t.dense = volume.NewMask(r.Geometry)
		return t, t.takeGlass(hu, seed, t.insideHU)
	}
	t.mask = t.cut(hu, seed, t.insideHU, gtrLevel)
	t.dense = t.mask
	t.rangeML = [2]float64{t.cut(hu, seed, t.insideHU, gtrLevel+levelRange).VolumeML(), t.cut(hu, seed, t.insideHU, gtrLevel-levelRange).VolumeML()}
	t.shellHU = shellMedian(hu, t.hull, t.mask, t.lungHU)
	if t.mask.Count() > 0 {
		t.findGlass(hu, seed)
	}
	return t, t.mask.Count() > 0
}

// findGlass looks for ground glass round a solid core: what is clearly denser than lung, and neither the edge of the core
// nor its own. Where there is enough of it the tumour is part-solid and as large as its glass.
func (s *surface) findGlass(hu *volume.Volume, seed *volume.Mask) {
	const coreLevel = 0.65 // between ground glass and tissue
	core := s.cut(hu, seed, s.insideHU, coreLevel)
	if core.Count() == 0 {
		return
	}
	wide := s.cut(volume.Smooth(hu, glassSmoothMM), core, s.lungHU+2*glassRiseHU, 0.5)
	old := s.dense
	s.dense = core
	glassHU, share, ok := s.glassMedian(hu, wide)
	if !ok || share < minGlassShare || glassHU-s.lungHU < glassRiseHU || !s.takeGlass(hu, core, glassHU) {
		s.dense = old
	}
}

// cut is what lies above a level between lung and inside, connected with seed, without the vessels that end in it.
func (s *surface) cut(hu *volume.Volume, seed *volume.Mask, insideHU, level float64) *volume.Mask {
	threshold := float32(s.lungHU + level*(insideHU-s.lungHU))
	dense := volume.Intersect(volume.Threshold(hu, threshold, volume.Far), s.hull)
	// Vessels are thinner than the body they end in: the opening is as wide as the body allows, and wider where a thick
	// vessel is left that makes the body long.
	deepest := 0.0
	for i, d := range volume.SignedDistance(dense).Data {
		if seed.Data[i] != 0 {
			deepest = max(deepest, float64(d))
		}
	}
	var best *volume.Mask
	least := math.Inf(1)
	for _, part := range [3]float64{0.5, 0.65, 0.8} {
		body := touching(volume.Open(dense, min(max(part*deepest, 1), vesselMM)), seed)
		body = volume.Intersect(volume.Dilate(body, spikeMM), dense)
		body = touching(volume.FillHoles(body), seed)
		if e := elongation(body); best == nil || e > 0 && e < 0.9*least {
			best, least = body, e
		}
		if least <= usualElongation {
			break
		}
	}
	return best
}

// takeGlass widens a surface to the ground glass round the seed, which is glassHU dense at first guess; false if there
// is none.
func (s *surface) takeGlass(hu *volume.Volume, seed *volume.Mask, glassHU float64) bool {
	smooth := s.withoutTissue(volume.Smooth(hu, glassSmoothMM), hu, glassHU)
	for range 2 {
		g, _, ok := s.glassMedian(hu, s.cut(smooth, seed, glassHU, gtrLevel))
		if !ok { // too small to look into
			break
		}
		glassHU = g
	}
	if glassHU-s.lungHU < glassRiseHU {
		return false
	}
	wide := s.cut(smooth, seed, glassHU, gtrLevel)
	if wide.Count() <= s.dense.Count() {
		return false
	}
	s.mask, s.glassHU = wide, glassHU
	s.rangeML = [2]float64{s.cut(smooth, seed, glassHU, gtrLevel+levelRange).VolumeML(), s.cut(smooth, seed, glassHU, gtrLevel-levelRange).VolumeML()}
	s.shellHU = shellMedian(hu, s.hull, s.mask, s.lungHU)
	return true
}

// withoutTissue takes out of a smoothed image what is denser than ground glass and no part of the solid core: vessels, and
// the chest wall where the hull holds some of it.
func (s *surface) withoutTissue(smooth, hu *volume.Volume, glassHU float64) *volume.Volume {
	const tissueHU, coreMM = 40, 2
	core := volume.Dilate(s.dense, coreMM)
	for i, x := range hu.Data {
		if float64(x) > (glassHU+tissueHU)/2 && core.Data[i] == 0 {
			smooth.Data[i] = float32(s.lungHU)
		}
	}
	return smooth
}

// glassMedian is the median HU of the part of a tumour that is neither its rim nor its solid core, and that part's share;
// ok is false if it is too little to tell, or no plateau: the blurred edge of a solid tumour takes all values alike.
func (s *surface) glassMedian(hu *volume.Volume, m *volume.Mask) (medianHU, share float64, ok bool) {
	pixelMM := max(s.region.ct.Spacing[0], s.region.ct.Spacing[1])
	rimMM, coreMM := 0.75, 1.25+0.25*(s.region.ct.Spacing[2]-1)+max(0, pixelMM-1) // thick slices and coarse pixels blur more
	var glass []float32
	depth := volume.SignedDistance(m)
	var core *volume.Volume
	if s.dense.Count() > 0 {
		core = volume.Distance(s.dense)
	}
	for i, d := range depth.Data {
		if float64(d) > rimMM && (core == nil || float64(core.Data[i]) > coreMM) && hu.Data[i] < groundGlassHU {
			glass = append(glass, hu.Data[i])
		}
	}
	if len(glass) < minGlass {
		return 0, 0, false
	}
	medianHU = median(glass) // sorts
	spread := float64(glass[3*len(glass)/4] - glass[len(glass)/4])
	return medianHU, float64(len(glass)) / float64(m.Count()), spread <= maxGlassSpreadHU
}

// shellMedian is the median HU of what lies 1 to 3 mm outside a tumour, in the hull and less dense than vessels; where
// there is too little of it, that of the lung.
func shellMedian(hu *volume.Volume, hull, tumour *volume.Mask, lungHU float64) float64 {
	const fromMM, toMM, vesselHU = 1, 3, -300
	var shell []float32
	for i, d := range volume.SignedDistance(tumour).Data {
		if d <= -fromMM && d >= -toMM && hull.Data[i] != 0 && hu.Data[i] < vesselHU {
			shell = append(shell, hu.Data[i])
		}
	}
	if len(shell) < minRing {
		return lungHU
	}
	return median(shell)
}

// regionAround is the fine grid over the part of a CT that surrounds a mask of another grid.
func regionAround(ct volume.Geometry, m *volume.Mask, mm float64) (region, bool) {
	lo, hi, ok := m.Bounds()
	if !ok {
		return region{}, false
	}
	from, to := boxIn(ct, m.Geometry, lo, hi)
	a, b, ok := around(ct, from, to, mm)
	if !ok {
		return region{}, false
	}
	return newRegion(ct, a, b), true
}

// ringMedian is the median HU of the aerated lung ringInnerMM to ringOuterMM from seed.
func ringMedian(hu *volume.Volume, hull, seed *volume.Mask) (float64, bool) {
	var ring []float32
	for i, d := range volume.Distance(seed).Data {
		if d >= ringInnerMM && d <= ringOuterMM && hull.Data[i] != 0 && hu.Data[i] < aeratedHU && hu.Data[i] > noCT {
			ring = append(ring, hu.Data[i])
		}
	}
	if len(ring) < minRing {
		return 0, false
	}
	return median(ring), true
}

// coreMedian is the median HU of the inner half of a mask, by depth.
func coreMedian(hu *volume.Volume, m *volume.Mask) float64 {
	depth := volume.SignedDistance(m)
	limit := slices.Max(depth.Data) / 2
	var core []float32
	for i, d := range depth.Data {
		if d >= limit {
			core = append(core, hu.Data[i])
		}
	}
	return median(core)
}

// median sorts x, which must not be empty.
func median(x []float32) float64 {
	slices.Sort(x)
	return float64(x[len(x)/2])
}

// radiusOf is the radius in mm of a ball of so many mL.
func radiusOf(ml float64) float64 { return math.Cbrt(ml * 1000 * 3 / (4 * math.Pi)) }

// touching keeps the components of m that share a voxel with seed.
func touching(m, seed *volume.Mask) *volume.Mask {
	labels, sizes := volume.Components(m, 6)
	keep := make([]bool, len(sizes))
	for i, l := range labels {
		if l > 0 && seed.Data[i] != 0 {
			keep[l] = true
		}
	}
	out := volume.NewMask(m.Geometry)
	for i, l := range labels {
		if keep[l] {
			out.Data[i] = 1
		}
	}
	return out
}

// boxIn gives the bounds, in voxels of ct, of the box lo … hi of another grid.
func boxIn(ct, g volume.Geometry, lo, hi [3]int) (a, b volume.Vec) {
	for c := range 8 {
		var idx volume.Vec
		for x := range 3 {
			idx[x] = float64(lo[x])
			if c>>x&1 == 1 {
				idx[x] = float64(hi[x])
			}
		}
		at := ct.Index(g.Point(idx))
		for x := range 3 {
			if c == 0 || at[x] < a[x] {
				a[x] = at[x]
			}
			if c == 0 || at[x] > b[x] {
				b[x] = at[x]
			}
		}
	}
	return a, b
}
