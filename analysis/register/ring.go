package register

import (
	"rfanode/analysis/volume"
)

// The ring that Local reads: lung whose distance from the zone, mm, lies between these. Nearer than 4 mm the zone's own
// border and the descriptors that look across it would be matched with the tumour; beyond 24 mm lung says little about
// the place of the tumour.
const (
	RingInnerMM = 4.0
	RingOuterMM = 24.0
)

// Ring is the lung around a zone for Local, on the grid of both masks (which must be the same): RingInnerMM to
// RingOuterMM from the zone, the zone itself left out. Wall and mediastinum stay out as far as the lung mask leaves
// them out.
func Ring(lung, zone *volume.Mask) *volume.Mask {
	out := volume.NewMask(lung.Geometry)
	lo, hi, ok := zone.Around(RingOuterMM)
	if !ok {
		return out
	}
	near := volume.Distance(zone.Crop(lo, hi))
	ring := lung.Crop(lo, hi)
	for i, d := range near.Data {
		if d <= RingInnerMM || d > RingOuterMM {
			ring.Data[i] = 0
		}
	}
	out.Paste(ring, lo)
	return out
}
