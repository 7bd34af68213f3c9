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
	gtrLevel    = 0.45
	levelRange  = 0.1
	gtrRoomMM   = 16 // of the box round the candidate
	ringInnerMM = 6  // the ring that tells the lung's density
	ringOuterMM = 15
	aeratedHU   = -500 // what counts as lung in that ring
	vesselMM    = 3    // radius of the opening that cuts vessels off, but half the radius of a small tumour
	spikeMM     = 1.5  // regrown after it: spicules and corners
	minRing     = 100  // voxels without which the lung's density is not known
)

// surface is a refined structure on its fine grid.
type surface struct {
	region   region
	mask     *volume.Mask
	hull     *volume.Mask
	insideHU float64 // core of a tumour, outer layer of a zone
	lungHU   float64
	shellHU  float64    // median of the lung 1 to 3 mm outside a tumour: ground glass round it shows here
	rangeML  [2]float64 // volumes at levelRange above and below the level
}

// level is the signed distance to the surface, mm.
func (s surface) level() *volume.Volume { return volume.SignedDistance(s.mask) }

// structure brings a surface to the grid of its CT.
func (s surface) structure() Structure {
	fine := s.level()
	return Structure{Mask: s.region.slab(fine), Level: s.region.level(fine)}
}

// refine finds the surface of a nodule on pre; ok is false where there is none to find.
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
	opening := min(vesselMM, n.radiusMM/2)
	cut := func(level float64) *volume.Mask {
		threshold := float32(t.lungHU + level*(t.insideHU-t.lungHU))
		dense := volume.Intersect(volume.Threshold(hu, threshold, volume.Far), t.hull)
		body := touching(volume.Open(dense, opening), seed)
		body = volume.Intersect(volume.Dilate(body, spikeMM), dense)
		return touching(volume.FillHoles(body), seed)
	}
	t.mask = cut(gtrLevel)
	t.rangeML = [2]float64{cut(gtrLevel + levelRange).VolumeML(), cut(gtrLevel - levelRange).VolumeML()}
	t.shellHU = shellMedian(hu, t.hull, t.mask, t.lungHU)
	return t, t.mask.Count() > 0
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
