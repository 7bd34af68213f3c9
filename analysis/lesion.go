package analysis

import (
	"context"
	"strings"

	"rfanode/analysis/coverage"
	"rfanode/analysis/ct"
	"rfanode/analysis/prognosis"
	"rfanode/analysis/register"
	"rfanode/analysis/segment"
	"rfanode/analysis/volume"
)

// Limits beyond which a case is held (a recommendation of radiotherapy, TG-132, and round numbers about it).
const (
	minLungDice     = 0.90 // overlap of the lungs after registration
	maxRingResidual = 3.0  // mm, mean of the fit round the zone
	maxLesionError  = 3.0  // mm, estimated at the lesion
	minLesionScale  = 0.7  // determinant of the map used for the tumour
	maxLesionScale  = 1.4
)

// Uncertainty of a surface, mm: a part of the slice distance beside what pixels and thresholds leave open.
const (
	surfaceErrorMM    = 0.15
	surfaceErrorSlice = 0.06
)

// takeLinear notes the linear registration and holds what must not stand on it.
func (f *Findings) takeLinear(r register.LinearResult) {
	f.Registration = Registration{
		Method: ringRegistration, Fallback: r.Fallback, LungDice: r.LungDice, RotationDeg: r.RotationDegree, Determinant: r.VolumeScale,
	}
	if r.Fallback {
		f.hold("the registration of the two scans failed: %s", strings.Join(r.Reasons, "; "))
	}
	if r.LungDice < minLungDice {
		f.hold("the lungs overlap by %.2f only after registration (less than %.2f)", r.LungDice, minLungDice)
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

// forLesion begins the findings of one lesion with what holds for the pair.
func (f Findings) forLesion(number int, l segment.Lesion) Findings {
	f.Lesion, f.Laterality = number, l.Laterality
	f.Reasons = append([]string{}, f.Reasons...)
	f.Warnings = append([]string{}, f.Warnings...)
	for _, r := range l.HoldReasons {
		f.hold("%s", r)
	}
	for _, w := range l.Warnings {
		f.warn("%s", w)
	}
	return f
}

// measure fills in structures, coverage and prognosis of a lesion. What the segmentation could not find stays out.
func (f *Findings) measure(ctx context.Context, l segment.Lesion, pre, post *ct.Series, lungs *segment.Lungs) error {
	if l.PTZ.Mask != nil {
		f.PTZ = &Structure{VolumeML: l.PTZ.Mask.VolumeML(), NativeML: l.PTZ.Mask.VolumeML(), Mask: l.PTZ.Mask}
	}
	if l.GTR.Level == nil || l.PTZ.Level == nil {
		return nil
	}
	fine := coverage.Isotropic(l.GTR.Level)
	f.GTR = &Structure{VolumeML: fine.VolumeML(), NativeML: l.GTR.Mask.VolumeML(), MaxDiameterMM: coverage.MaxDiameter(fine), Mask: l.GTR.Mask}
	registrationError := maxLesionError // where the neighbourhood could not be registered; the segmentation holds the lesion then
	if local, ok := l.ToPre.(register.LocalResult); ok {
		registrationError = f.takeLocal(local)
	}
	slice := max(pre.Volume.Spacing[2], post.Volume.Spacing[2])
	r, err := coverage.Measure(ctx, coverage.Input{
		GTR: l.GTR.Level, ToPre: l.ToPre.Map, PTZ: l.PTZ.Level, Lung: lungs.Hull, Laterality: l.Laterality,
		RegistrationErrorMM: registrationError, MaskErrorMM: surfaceErrorMM + surfaceErrorSlice*slice,
	})
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		f.hold("the coverage cannot be measured: %v", err)
		return nil
	}
	f.takeCoverage(r, l, post)
	return nil
}

// takeLocal notes the registration near the lesion and returns its error, mm.
func (f *Findings) takeLocal(r register.LocalResult) float64 {
	g := &f.Registration
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

func (f *Findings) takeCoverage(r *coverage.Result, l segment.Lesion, post *ct.Series) {
	region := func(fineML float64, native *volume.Mask) *Structure {
		return &Structure{VolumeML: fineML, NativeML: native.VolumeML(), Mask: native}
	}
	f.GTRPost = region(r.GTRML, r.Native.GTR)
	f.PTV = region(r.PTVML, r.Native.PTV)
	f.PTZ = region(r.PTZML, l.PTZ.Mask)
	f.Uncovered = region(r.UncoveredML, r.Native.Uncovered)
	c := &Coverage{
		TCR: r.TCR, TCRRange: r.TCRRange, TCRInLung: r.TCRInLung, TCR10: r.TCR10, Complete: r.Complete,
		MAMMM: r.MAM, MAMP5MM: r.MAMP5, MAMInLung: r.MAMInLung, MarginShare: r.MarginShare, UncoveredML: r.UncoveredML,
		Worst: Worst{Point: r.Worst.Point, Slice: r.Worst.Slice, Direction: r.Worst.Direction, PleuraMM: r.Worst.PleuraMM},
	}
	if k := r.Worst.Slice - 1; k >= 0 && k < len(post.Instances) {
		c.Worst.InstanceNumber = post.Instances[k].InstanceNumber
	}
	f.Coverage = c
	if r.OutsideScan > 0 {
		f.hold("the scan range of the post CT cuts off %.0f %% of the target: what lies beyond cannot be judged", 100*r.OutsideScan)
	}
	p := prognosis.Published(nil, r.Complete)
	f.Prognosis = &Prognosis{
		Model: p.Model, Status: p.Status, RelativeHazard: p.RelativeHazard, CI95: p.CI95, Reference: p.Reference,
		InputsUsed: p.InputsUsed, InputsMissing: p.InputsMissing, Text: p.Text,
	}
	if r.TCR < 1 && r.TCRInLung >= 0.995 {
		f.warn("the part of the target that is not covered lies outside of the lung")
	}
	if lo, hi := r.TCRRange[0], r.TCRRange[1]; lo < 1 && hi >= 1 {
		f.warn("complete coverage is neither sure nor excluded: the ratio may lie between %.3f and %.3f", lo, hi)
	}
}
