package register

import (
	"rfanode/analysis/volume"
)

// The ring that Local reads: lung whose distance from the zone, mm, lies between these. Descriptors look 4.5 mm far
// (three voxels of 1.5 mm), a block is also compared one step nearer to the zone, and the zone's border is blurred by
// about a voxel of the CT beyond that: what lies nearer than 8 mm sees the zone. Blocks of moving then find their place in
// fixed only away from the zone, and the tumour grows by several percent: by 6 % with 4 mm, 2 % with 6, 1 % with 8. Thick
// slices blur more, see RingInner. Beyond 24 mm lung says little about the place of the tumour. Lung nearer to the wall
// than descriptors look is left out too: it sees ribs, along which it slides.
const (
	RingInnerMM = 8.0 // least
	RingOuterMM = 24.0

	descriptorReachMM = 4.5
	searchStepMM      = 1.5
	sliceReach        = 0.7 // of the slice distance, over which the border of the zone is blurred
)

// RingInner is the inner radius of the ring, mm, for masks of the given grid: RingInnerMM, more where slices are thicker
// than 2.8 mm (9.5 mm for slices of 5 mm).
func RingInner(g volume.Geometry) float64 {
	return max(RingInnerMM, descriptorReachMM+searchStepMM+sliceReach*g.Spacing[2])
}

// Ring is the lung around a zone for Local, on the grid of both masks (which must be the same): RingInner to
// RingOuterMM from the zone, the zone itself left out, and more than 4.5 mm deep in the lung. The zone counts as lung:
// what it covers of the lung's surface is no wall.
func Ring(lung, zone *volume.Mask) *volume.Mask {
	out := volume.NewMask(lung.Geometry)
	lo, hi, ok := zone.Around(RingOuterMM + descriptorReachMM)
	if !ok {
		return out
	}
	hole := zone.Crop(lo, hi)
	near, depth := volume.Distance(hole), volume.SignedDistance(volume.Union(lung.Crop(lo, hi), hole))
	ring, inner := volume.NewMask(hole.Geometry), float32(RingInner(lung.Geometry))
	for i, d := range near.Data {
		if d > inner && d <= RingOuterMM && depth.Data[i] > descriptorReachMM {
			ring.Data[i] = 1
		}
	}
	out.Paste(ring, lo)
	return out
}
