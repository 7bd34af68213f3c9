package analysis

import (
	"context"
	"math"
	"slices"
	"strings"

	"rfanode/analysis/register"
	"rfanode/analysis/segment"
	"rfanode/analysis/volume"
)

// Limits beyond which a case is held (a recommendation of radiotherapy, TG-132, and round numbers about it).
const (
	maxRingResidual = 3.0 // mm, mean of the fit round the zone
	maxLesionError  = 3.0 // mm, estimated at the lesion
	minLesionScale  = 0.7 // determinant of the map used for the tumour
	maxLesionScale  = 1.4
)

// registerLungs brings the lungs of the two scans together: an affine, which shows what has changed and is where the
// neighbourhood of a lesion starts from, and a field. The field judges the registration; a tumour is never carried by it
// (see nearLesion).
func (f *Findings) registerLungs(ctx context.Context, pre, post *volume.Volume, preLungs, postLungs *segment.Lungs) (register.Affine, *register.Field, error) {
	linear, err := register.Linear(ctx, post, pre, postLungs.Hull, preLungs.Hull, register.LinearOptions{})
	if err != nil {
		return register.Affine{}, nil, err
	}
	f.takeLinear(linear)
	field, quality, err := register.Deformable(ctx, post, pre, postLungs.Hull, preLungs.Hull, linear.Affine, register.DeformableOptions{})
	if err != nil {
		return register.Affine{}, nil, err
	}
	f.takeField(quality)
	return linear.Affine, field, nil
}

// takeLinear notes the linear registration and holds what must not stand on it.
func (f *Findings) takeLinear(r register.LinearResult) {
	f.Registration = Registration{
		Method: registrationMethod, Fallback: r.Fallback, RotationDeg: r.RotationDegree, Determinant: r.VolumeScale,
	}
	if r.Fallback {
		f.hold("the registration of the two scans failed: %s", strings.Join(r.Reasons, "; "))
	}
}

// takeField notes what the field says about the registration, and holds what is in doubt.
func (f *Findings) takeField(q register.DeformableQuality) {
	g := &f.Registration
	g.LungDice, g.LungDiceLinear = q.LungDice, q.LungDiceBefore
	g.FoldedPercent, g.InverseMeanMM, g.InverseP95MM = q.FoldingPercent, q.InverseMeanMM, q.InverseP95MM
	g.Likeness = q.Likeness
	for _, doubt := range q.Doubts() {
		f.hold("%s", doubt)
	}
}

// takeNearZone notes how good the field is round the zone, and holds what is in doubt there.
func (f *Findings) takeNearZone(q register.ZoneQuality) {
	g := &f.Registration
	if q.Points > 0 {
		g.ZoneJacobian = &[2]float64{q.Min, q.Max}
	}
	if q.RingVoxels > 0 && q.BitsBefore > 0 {
		ratio := q.BitsAfter / q.BitsBefore
		g.FieldDescriptorRatio = &ratio
	}
	if !math.IsNaN(q.TumourRatio) {
		g.FieldTumourRatio = &q.TumourRatio
	}
	for _, doubt := range q.Doubts() {
		f.hold("%s", doubt)
	}
}

// nearLesion registers the neighbourhood of a zone: the lung round it decides, the zone itself is not looked at, since
// it is what has changed.
type nearLesion struct {
	fixed, moving *volume.Volume
	lung          *volume.Mask // post
	start         register.Affine
}

// refine is the map near a zone: a register.LocalResult.
func (n nearLesion) refine(ctx context.Context, zone *volume.Mask) (register.Transform, error) {
	centre := zone.Centroid()
	ring := register.Ring(volume.Union(n.lung, zone), zone)
	r, err := register.Local(ctx, n.fixed, n.moving, n.start, ring, register.LocalOptions{Centre: &centre, Zone: zone})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// takeLocal notes the registration near the lesion and returns its error, mm.
func (f *Findings) takeLocal(r register.LocalResult) float64 {
	g := &f.Registration
	g.Method = registrationMethod + "-" + r.Variant
	f.Algorithms = slices.Clone(f.Algorithms) // other lesions of the pair may have another variant
	for i := range f.Algorithms {
		if f.Algorithms[i].Role == "registration" {
			f.Algorithms[i].Name = g.Method
		}
	}
	g.RingResidualMM, g.LesionErrorMM, g.LesionJacobian = &r.ResidualMM, &r.ErrorMM, &r.VolumeScale
	g.RingPoints = r.Matches
	if r.BitsBefore > 0 {
		ratio := r.BitsAfter / r.BitsBefore
		g.DescriptorRatio = &ratio
	}
	if r.Fallback {
		f.hold("the registration near the lesion failed: %s", strings.Join(r.Reasons, "; "))
	}
	if r.ResidualMM > maxRingResidual {
		f.hold("the lung round the zone does not match between the scans: %.1f mm remain on average", r.ResidualMM)
	}
	if r.ErrorMM > maxLesionError {
		f.hold("the registration near the lesion may be off by %.1f mm", r.ErrorMM)
	}
	if r.VolumeScale < minLesionScale || r.VolumeScale > maxLesionScale {
		f.hold("the registration near the lesion changes volumes by a factor of %.2f", r.VolumeScale)
	}
	return r.ErrorMM
}
