package coverage

import (
	"context"
	"math"
	"runtime"

	"golang.org/x/sync/errgroup"

	"rfanode/analysis/volume"
)

// tcrRange gives the smallest and the largest TCR that the errors leave open. Three things can be wrong, each for reasons
// of its own: the tumour's surface, the zone's surface, and the place of the tumour. Each is moved by its error alone, and
// what that changes is added in quadrature, downwards and upwards apart: that all three are wrong at once, and in the
// direction that hurts most, is far rarer than any of them alone. Where the zone just covers the target no error alone may
// change anything; so all three together, each by its error over √3, count as well.
func (f *field) tcrRange(ctx context.Context, in Input, tcr float64) ([2]float64, error) {
	// Only the neighbourhood of the largest target counts. The distances to the tumour are taken once a size; a shift
	// moves the target, which is where they are ≤ 5 mm.
	lo, hi, _ := f.mask(f.gtr, in.GTRErrorMM).Around(MarginMM + in.RegistrationErrorMM + 1)
	tumour := func(mm float64) *volume.Volume {
		m := f.mask(f.gtr, mm).Crop(lo, hi)
		if _, _, ok := m.Bounds(); !ok {
			return nil // a tumour thinner than the error vanishes; then this size is left out
		}
		return volume.Distance(m)
	}
	zone := func(mm float64) *volume.Mask { return f.mask(f.ptz, mm).Crop(lo, hi) }
	found, seen := tumour(0), zone(0)
	trials := [3][]func() float64{}
	for _, mm := range signed(in.GTRErrorMM) {
		trials[0] = append(trials[0], func() float64 {
			if d := tumour(mm); d != nil {
				return coverageShifted(d, seen, volume.Vec{})
			}
			return tcr
		})
	}
	for _, mm := range signed(in.PTZErrorMM) {
		trials[1] = append(trials[1], func() float64 { return coverageShifted(found, zone(mm), volume.Vec{}) })
	}
	for _, shift := range directions(in.RegistrationErrorMM) {
		trials[2] = append(trials[2], func() float64 { return coverageShifted(found, seen, shift) })
	}
	down, up := 0.0, 0.0
	for _, cause := range trials {
		lo, hi, err := extremes(ctx, cause, tcr)
		if err != nil {
			return [2]float64{}, err
		}
		down, up = math.Hypot(down, tcr-lo), math.Hypot(up, hi-tcr)
	}
	joint := math.Sqrt(1.0 / 3)
	for _, sign := range [2]float64{-1, 1} { // a smaller tumour in a larger zone, and the reverse
		d, z := tumour(-sign*joint*in.GTRErrorMM), zone(sign*joint*in.PTZErrorMM)
		if d == nil {
			continue
		}
		together := []func() float64{func() float64 { return coverageShifted(d, z, volume.Vec{}) }}
		for _, shift := range directions(joint * in.RegistrationErrorMM) {
			together = append(together, func() float64 { return coverageShifted(d, z, shift) })
		}
		lo, hi, err := extremes(ctx, together, tcr)
		if err != nil {
			return [2]float64{}, err
		}
		down, up = max(down, tcr-lo), max(up, hi-tcr)
	}
	return [2]float64{max(tcr-down, 0), min(tcr+up, 1)}, nil
}

// extremes are the least and the greatest of tcr and what the trials give.
func extremes(ctx context.Context, trials []func() float64, tcr float64) (lo, hi float64, err error) {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	values := make([]float64, len(trials))
	for i, trial := range trials {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			values[i] = trial()
			return nil
		})
	}
	lo, hi = tcr, tcr
	if err := group.Wait(); err != nil {
		return lo, hi, err
	}
	for _, x := range values {
		lo, hi = min(lo, x), max(hi, x)
	}
	return lo, hi, nil
}

// signed is an error in both directions; none if it is 0.
func signed(mm float64) []float64 {
	if mm == 0 {
		return nil
	}
	return []float64{-mm, mm}
}

// directions are shifts of the given length along the axes and the space diagonals, in voxels of the 1 mm grid; none if
// it is 0.
func directions(mm float64) []volume.Vec {
	if mm == 0 {
		return nil
	}
	var out []volume.Vec
	for a := range 3 {
		for _, s := range signed(mm) {
			var v volume.Vec
			v[a] = s / gridMM
			out = append(out, v)
		}
	}
	for corner := range 8 {
		var v volume.Vec
		for a := range 3 {
			v[a] = mm / gridMM / math.Sqrt(3) * float64(2*(corner>>a&1)-1)
		}
		out = append(out, v)
	}
	return out
}

// coverageShifted is the coverage by a zone of the target moved by shift.
func coverageShifted(distance *volume.Volume, zone *volume.Mask, shift volume.Vec) float64 {
	all, both, n := 0, 0, 0
	for k := range distance.Size[2] {
		for j := range distance.Size[1] {
			for i := range distance.Size[0] {
				x := distance.At(volume.Vec{float64(i) - shift[0], float64(j) - shift[1], float64(k) - shift[2]}, volume.Far)
				if x <= MarginMM+1e-4 {
					all++
					both += int(zone.Data[n])
				}
				n++
			}
		}
	}
	if all == 0 {
		return 0
	}
	return float64(both) / float64(all)
}
