package analysis

import (
	"context"

	"rfanode/analysis/coverage"
	"rfanode/analysis/ct"
	"rfanode/analysis/prognosis"
	"rfanode/analysis/register"
	"rfanode/analysis/segment"
	"rfanode/analysis/volume"
)

// Uncertainty of a surface that a person or a model drew, mm: what pixels leave open, and of the slice distance s the
// part s/6. A slice that is drawn or not puts the surface off by up to s/2 along the slice normal, s/√12 in the root mean
// square, and 1/√3 of that along the surface's own normal, averaged over all directions.
const (
	surfaceErrorMM    = 0.15
	surfaceErrorSlice = 1.0 / 6
)

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
func (f *Findings) measure(ctx context.Context, l segment.Lesion, pre, post *ct.Series, lungs *segment.Lungs, field *register.Field) error {
	if l.PTZ.Mask != nil {
		f.PTZ = &Structure{VolumeML: l.PTZ.Mask.VolumeML(), NativeML: l.PTZ.Mask.VolumeML(), Mask: l.PTZ.Mask}
		if err := f.takeFeatures(ctx, post.Volume, l.PTZ.Mask); err != nil {
			return err
		}
	}
	if l.GTR.Level == nil || l.PTZ.Level == nil {
		return nil
	}
	near, err := field.NearZone(ctx, register.ZoneInput{
		Fixed: post.Volume, Moving: pre.Volume, Zone: l.PTZ.Mask, Lung: lungs.Mask, Tumour: l.GTR.Mask,
	})
	if err != nil {
		return err
	}
	f.takeNearZone(near)
	fine := coverage.Isotropic(l.GTR.Level)
	f.GTR = &Structure{VolumeML: fine.VolumeML(), NativeML: l.GTR.Mask.VolumeML(), MaxDiameterMM: coverage.MaxDiameter(fine), Mask: l.GTR.Mask}
	registrationError := maxLesionError // where the neighbourhood could not be registered; the segmentation holds the lesion then
	if local, ok := l.ToPre.(register.LocalResult); ok {
		registrationError = f.takeLocal(local)
	}
	r, err := coverage.Measure(ctx, coverage.Input{
		GTR: l.GTR.Level, ToPre: l.ToPre.Map, PTZ: l.PTZ.Level, Lung: lungs.Hull, Laterality: l.Laterality,
		RegistrationErrorMM: registrationError, GTRErrorMM: surfaceError(l.Figures.GTRErrorMM, pre), PTZErrorMM: surfaceError(l.Figures.PTZErrorMM, post),
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

// surfaceError is the uncertainty of a surface, mm: what the segmentation measured, or where it did not find the surface
// itself, an estimate by the slice distance.
func surfaceError(measuredMM float64, s *ct.Series) float64 {
	if measuredMM > 0 {
		return measuredMM
	}
	return surfaceErrorMM + surfaceErrorSlice*s.Volume.Spacing[2]
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
