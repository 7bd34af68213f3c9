package segment

import (
	"cmp"
	"math"
	"slices"

	"rfanode/analysis/volume"
)

// Which nodule was treated: candidates on pre are dense objects within the lung's hull near the zone; the one that the
// zone holds most of, weighted by its thickness and roundness (vessels are thin and long), was ablated.
const (
	nodulePixelMM = 1
	noduleHU      = -400
	noduleRoomMM  = 20  // round the zone, carried to pre
	minOverlap    = 0.3 // of the nodule within the zone
	maxRunnerUp   = 0.5 // of the best score
	glassRiseHU   = 150 // half of what ground glass is denser by than lung
	glassSmoothMM = 1   // sigma of the images in which ground glass is told from noise
	smallGlassMM  = 1.5 // radius of the smallest nodule of ground glass, its edge taken off
	nearMM        = 8   // from the opacity to a large nodule that sticks out of it so far that it hides where they meet
	nearRadiusMM  = 4
	nearOverlap   = 0.2

	glassToTissueHU = -300
	vesselTreeML    = 0.15 // dense parts larger than this are vessels or wall; smaller ones may be the core of a tumour
)

// nodule is a candidate on a fine grid of pre.
type nodule struct {
	mask     *volume.Mask
	radiusMM float64
	overlap  float64 // share of it within the zone
	// elongation of vessels is 2 and more, see elongation
	elongation float64
	hullShare  float64 // of its in-plane outline, drawn by the hull
}

func (n nodule) score() float64 { return n.overlap * n.radiusMM / max(n.elongation, 1) }

// nodules returns the candidates under a zone, best first; none if nothing dense overlaps it. With glass, they are what is
// as dense as ground glass.
func (p *pair) nodules(z zone, glass bool) []nodule {
	if out := p.nodulesIn(z.mask, glass); len(out) > 0 && out[0].overlap >= minOverlap {
		return out
	}
	near := p.nodulesIn(volume.Intersect(volume.Dilate(z.mask, nearMM), p.hull), glass)
	if len(near) > 0 && near[0].overlap >= nearOverlap && near[0].radiusMM >= nearRadiusMM {
		near[0].overlap = max(near[0].overlap, minOverlap)
	}
	return near
}

func (p *pair) nodulesIn(zone *volume.Mask, glass bool) []nodule {
	points := p.zonePoints(zone)
	ct := p.in.Pre.Geometry
	lo, hi := volume.Vec{math.Inf(1), math.Inf(1), math.Inf(1)}, volume.Vec{math.Inf(-1), math.Inf(-1), math.Inf(-1)}
	for _, q := range points {
		at := ct.Index(q)
		for a := range 3 {
			lo[a], hi[a] = min(lo[a], at[a]), max(hi[a], at[a])
		}
	}
	a, b, ok := around(ct, lo, hi, noduleRoomMM)
	if !ok {
		return nil
	}
	r := newRegion(ct, a, b)
	g := isotropic(r.Geometry, nodulePixelMM)
	hu := volume.Resample(p.in.Pre.Crop(a, b), g, noCT)
	hull := volume.Threshold(volume.Resample(volume.SignedDistance(p.in.PreLungs.Hull.Crop(a, b)), g, -volume.Far), 0, volume.Far)
	threshold, tissue := float32(noduleHU), (*volume.Mask)(nil)
	if glass {
		tissue = largeParts(volume.Threshold(hu, glassToTissueHU, volume.Far), vesselTreeML)
		hu = volume.Smooth(hu, glassSmoothMM)
		threshold = lungMedian(hu, hull) + glassRiseHU
	}
	dense := volume.Intersect(volume.Threshold(hu, threshold, volume.Far), hull)
	seeds := []float32{3, 2} // half the thickness; small tumours only if nothing larger is there
	if glass {
		dense = volume.Subtract(dense, tissue)
		seeds = append(seeds, smallGlassMM)
	}
	depth := volume.SignedDistance(dense)
	var best []nodule
	for _, seedMM := range seeds {
		out := candidates(dense, depth, seedMM, points, p.zoneStepML(zone))
		for i := range out {
			if out[i].overlap > 0 {
				out[i].hullShare = hullShare(out[i].mask, hull)
			}
		}
		if len(out) > 0 && out[0].overlap >= minOverlap {
			return out
		}
		if len(out) > 0 && out[0].overlap > 0 && (best == nil || out[0].score() > best[0].score()) {
			best = out
		}
	}
	return best
}

// candidates are the parts of dense at least 2 × seedMM thick, regrown.
func candidates(dense *volume.Mask, depth *volume.Volume, seedMM float32, points []volume.Vec, pointML float64) []nodule {
	seeds := volume.Threshold(depth, seedMM, volume.Far)
	labels, sizes := volume.Components(seeds, 26)
	if len(sizes) < 2 {
		return nil
	}
	n := len(sizes)
	radius := make([]float64, n)
	for i, l := range labels {
		radius[l] = max(radius[l], float64(depth.Data[i]))
	}
	out := make([]nodule, 0, n-1)
	for l := 1; l < n; l++ {
		grown := volume.Intersect(volume.Dilate(labelled(dense.Geometry, labels, int32(l)), float64(seedMM)+0.75), dense)
		out = append(out, nodule{mask: grown, radiusMM: radius[l], overlap: overlapWith(grown, points, pointML), elongation: elongation(grown)})
	}
	slices.SortStableFunc(out, func(a, b nodule) int { return cmp.Compare(b.score(), a.score()) })
	return out
}

// overlapWith is the share of a nodule that the points of a zone, each of so many mL, fill.
func overlapWith(m *volume.Mask, points []volume.Vec, pointML float64) float64 {
	inside := 0
	for _, q := range points {
		at := m.Index(q)
		i, j, k := int(math.Round(at[0])), int(math.Round(at[1])), int(math.Round(at[2]))
		if i >= 0 && j >= 0 && k >= 0 && i < m.Size[0] && j < m.Size[1] && k < m.Size[2] {
			inside += int(m.Data[m.Offset(i, j, k)])
		}
	}
	return min(float64(inside)*pointML/m.VolumeML(), 1)
}

// zoneSteps divides each voxel of the work grid so that points lie about a millimetre apart.
func zoneSteps(g volume.Geometry) (n [3]int) {
	for a := range 3 {
		n[a] = max(1, int(math.Ceil(g.Spacing[a]-1e-6)))
	}
	return n
}

func (p *pair) zoneStepML(m *volume.Mask) float64 {
	n := zoneSteps(m.Geometry)
	return m.VoxelML() / float64(n[0]*n[1]*n[2])
}

// zonePoints fills the zone with points about a millimetre apart, carried to pre.
func (p *pair) zonePoints(m *volume.Mask) []volume.Vec {
	n := zoneSteps(m.Geometry)
	var out []volume.Vec
	lo, hi, _ := m.Bounds()
	for k := lo[2]; k <= hi[2]; k++ {
		for j := lo[1]; j <= hi[1]; j++ {
			for i := lo[0]; i <= hi[0]; i++ {
				if m.Data[m.Offset(i, j, k)] == 0 {
					continue
				}
				for s := range n[0] * n[1] * n[2] {
					at := volume.Vec{
						float64(i) + (float64(s%n[0])+0.5)/float64(n[0]) - 0.5,
						float64(j) + (float64(s/n[0]%n[1])+0.5)/float64(n[1]) - 0.5,
						float64(k) + (float64(s/n[0]/n[1])+0.5)/float64(n[2]) - 0.5,
					}
					out = append(out, p.in.ToPre.Map(m.Point(at)))
				}
			}
		}
	}
	return out
}

// isotropic is a grid over the same box with equal spacing.
func isotropic(g volume.Geometry, mm float64) volume.Geometry {
	for a := range 3 {
		g.Size[a] = max(1, int(float64(g.Size[a]-1)*g.Spacing[a]/mm)+1)
		g.Spacing[a] = mm
	}
	return g
}

// lungMedian is the median HU of the aerated lung in a hull.
func lungMedian(hu *volume.Volume, hull *volume.Mask) float32 {
	var lung []float32
	for i, x := range hull.Data {
		if x != 0 && hu.Data[i] < aeratedHU && hu.Data[i] > noCT {
			lung = append(lung, hu.Data[i])
		}
	}
	if len(lung) == 0 {
		return aeratedHU
	}
	return float32(median(lung))
}

// largeParts keeps the components of at least so many mL.
func largeParts(m *volume.Mask, ml float64) *volume.Mask {
	labels, sizes := volume.Components(m, 6)
	out := volume.NewMask(m.Geometry)
	for i, l := range labels {
		if l > 0 && float64(sizes[l])*m.VoxelML() >= ml {
			out.Data[i] = 1
		}
	}
	return out
}
