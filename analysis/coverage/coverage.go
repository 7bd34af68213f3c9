// Package coverage measures how much of the target lies inside the ablation zone: target coverage ratio, minimal
// ablative margin, the tumour's surface by margin, the uncovered part, and where the margin is smallest.
//
// Definitions (Wang et al. 2026, doi 10.13929/j.issn.1003-3289.2026.03.004, for GTR, PTV, PTZ and TCR; Sandu et al.,
// Int. J. Hyperthermia 36, 2019, for the signed margin): GTR is the tumour carried into the post frame, PTV_m all
// points at most m mm from it, PTZ the ablation zone, TCR = vol(PTV_5 ∩ PTZ) / vol(PTV_5). All are taken on a grid of
// 1 mm in the post frame, distances from voxel centre to voxel centre; with these conventions TCR = 1 exactly when
// MAM > 5 mm, which every run checks.
//
// It knows nothing of how the regions were found or registered.
package coverage

import (
	"context"
	"errors"
	"fmt"

	"rfanode/analysis/volume"
)

// Margins of the target, mm.
const (
	MarginMM      = 5  // the paper's PTV
	WideMarginMM  = 10 // the margin at which progression becomes rare in the literature
	pleuraNearMM  = 5  // surface nearer to the pleura is left out of MAMInLung
	pleuraReachMM = 40 // distances to the pleura are known up to here
	gridMM        = 1
)

// Input is one lesion. All coordinates are LPS mm.
type Input struct {
	GTR                 *volume.Volume              // signed level of the tumour on the pre grid, mm-like: > 0 inside, 0 at the surface
	ToPre               func(volume.Vec) volume.Vec // point of post → point of pre; called from several goroutines
	PTZ                 *volume.Volume              // signed level of the ablation zone on the post grid
	Lung                *volume.Mask                // both lungs, filled, on the post grid
	Laterality          string                      // "R", "L"; empty: taken from the middle of Lung
	RegistrationErrorMM float64                     // of the tumour's place in the post frame, for the range
	GTRErrorMM          float64                     // of the tumour's surface, for the range
	PTZErrorMM          float64                     // of the zone's surface, for the range
}

// Result is what was measured. Lengths mm, volumes mL, ratios 0 to 1.
type Result struct {
	TCR         float64
	TCRRange    [2]float64 // smallest and largest TCR that the errors leave open, see tcrRange
	TCRInLung   float64    // PTV clipped to the lung, which is Lung united with GTR and PTZ
	TCR10       float64    // margin of 10 mm
	Complete    bool       // TCR = 1
	MAM         float64    // minimal ablative margin
	MAMP5       float64    // 5th percentile of the margin over the tumour's surface
	MAMInLung   *float64   // MAM of the surface more than 5 mm from the pleura; nil: there is none
	MarginShare [4]float64 // share of the tumour's surface with a margin < 0, 0 to < 5, 5 to < 10, ≥ 10 mm
	Worst       Worst
	GTRML       float64 // on the 1 mm grid
	PTVML       float64
	PTZML       float64
	UncoveredML float64
	// OutsideScan is the share of the PTV beyond the scan range of the post CT, where no ablation zone can be seen: with
	// more than 0 the coverage ratio is too low by up to this share.
	OutsideScan float64
	Fine        Regions // on the 1 mm grid
	Native      Regions // on the post CT's own grid
}

// Worst is the point of the tumour's surface with the smallest margin.
type Worst struct {
	Point     volume.Vec
	Slice     int      // 1-based slice of the post grid
	Direction string   // seen from the tumour's centre, see Direction
	PleuraMM  *float64 // distance to the pleura; nil: more than 40 mm, or no lung round it
}

// Regions are the masks of one lesion in the post frame.
type Regions struct{ GTR, PTV, PTZ, Uncovered *volume.Mask }

// Reasons why nothing can be measured.
var (
	ErrTumourOutside = errors.New("the tumour, carried into the post CT, lies outside of it: the scan range does not hold it, or the registration failed")
	ErrNoTumour      = errors.New("the tumour is empty")
	ErrNoZone        = errors.New("the ablation zone is empty")
)

// Measure takes all figures of one lesion.
func Measure(ctx context.Context, in Input) (*Result, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	f, err := newField(ctx, in)
	if err != nil {
		return nil, err
	}
	r := &Result{}
	tumour, zone := f.mask(f.gtr, 0), f.mask(f.ptz, 0)
	r.Fine, r.TCR, r.TCR10 = target(tumour, zone)
	r.Complete = r.TCR == 1
	r.GTRML, r.PTVML, r.PTZML, r.UncoveredML = tumour.VolumeML(), r.Fine.PTV.VolumeML(), zone.VolumeML(), r.Fine.Uncovered.VolumeML()
	r.OutsideScan = outsideScan(r.Fine.PTV, in.PTZ.Geometry)
	pleura := f.pleura(in.Lung, tumour, zone)
	r.TCRInLung = clipped(r.Fine, pleura)
	surface := margins(tumour, zone)
	if err := r.margins(surface, pleura); err != nil {
		return nil, err
	}
	r.Worst = worst(in, surface, pleura, tumour)
	if r.TCRRange, err = f.tcrRange(ctx, in, r.TCR); err != nil {
		return nil, err
	}
	r.Native, err = native(in.PTZ.Geometry, r.Fine, r.Worst.Point)
	return r, err
}

func (in *Input) check() error {
	switch {
	case in.GTR == nil || in.PTZ == nil || in.Lung == nil || in.ToPre == nil:
		return errors.New("coverage: tumour, ablation zone, lung and transform are needed")
	case !in.Lung.Geometry.Same(in.PTZ.Geometry):
		return errors.New("coverage: lung and ablation zone lie on different grids")
	case in.Laterality != "" && in.Laterality != "R" && in.Laterality != "L":
		return fmt.Errorf("coverage: laterality %q is neither R nor L", in.Laterality)
	case !(in.RegistrationErrorMM >= 0 && in.RegistrationErrorMM <= 50 && max(in.GTRErrorMM, in.PTZErrorMM) <= 20 && min(in.GTRErrorMM, in.PTZErrorMM) >= 0):
		return fmt.Errorf("coverage: errors of %g mm (registration), %g mm (tumour) and %g mm (zone) are not possible", in.RegistrationErrorMM, in.GTRErrorMM, in.PTZErrorMM)
	}
	return nil
}
