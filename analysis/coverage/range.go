package coverage

import (
	"context"
	"math"
	"runtime"

	"golang.org/x/sync/errgroup"

	"rfanode/analysis/volume"
)

// tcrRange gives the smallest and the largest TCR that the errors leave open: the tumour where it was found and shifted
// by the registration error along the axes and the diagonals between them, each with both surfaces moved in and out by
// the mask error.
func (f *field) tcrRange(ctx context.Context, in Input, tcr float64) ([2]float64, error) {
	grow := []float64{0}
	if in.MaskErrorMM > 0 {
		grow = []float64{-in.MaskErrorMM, 0, in.MaskErrorMM}
	}
	// Only the neighbourhood of the largest target counts. The distances to the tumour are taken once a size; a shift
	// moves the target, which is where they are ≤ 5 mm.
	lo, hi, _ := f.mask(f.gtr, in.MaskErrorMM).Around(MarginMM + in.RegistrationErrorMM + 1)
	distances := make([]*volume.Volume, len(grow))
	zones := make([]*volume.Mask, len(grow))
	for i, mm := range grow {
		tumour := f.mask(f.gtr, mm).Crop(lo, hi)
		if _, _, ok := tumour.Bounds(); ok { // a tumour thinner than the error vanishes; then this size is left out
			distances[i] = volume.Distance(tumour)
		}
		zones[i] = f.mask(f.ptz, mm).Crop(lo, hi)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	shifts := directions(in.RegistrationErrorMM)
	ranges := make([][2]float64, len(shifts))
	for s, shift := range shifts {
		group.Go(func() error {
			ranges[s] = [2]float64{tcr, tcr}
			for _, d := range distances {
				if d == nil {
					continue
				}
				if err := ctx.Err(); err != nil {
					return err
				}
				for _, x := range coverageShifted(d, zones, shift) {
					ranges[s] = [2]float64{min(ranges[s][0], x), max(ranges[s][1], x)}
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return [2]float64{}, err
	}
	out := [2]float64{tcr, tcr}
	for _, r := range ranges {
		out = [2]float64{min(out[0], r[0]), max(out[1], r[1])}
	}
	return out, nil
}

// directions are shifts of the given length along the axes and the space diagonals, and none, in voxels of the 1 mm grid.
func directions(mm float64) []volume.Vec {
	out := []volume.Vec{{}}
	if mm == 0 {
		return out
	}
	for a := range 3 {
		for _, s := range [2]float64{-mm, mm} {
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

// coverageShifted is the coverage by each zone of the target moved by shift.
func coverageShifted(distance *volume.Volume, zones []*volume.Mask, shift volume.Vec) []float64 {
	all := 0
	both := make([]int, len(zones))
	n := 0
	for k := range distance.Size[2] {
		for j := range distance.Size[1] {
			for i := range distance.Size[0] {
				x := distance.At(volume.Vec{float64(i) - shift[0], float64(j) - shift[1], float64(k) - shift[2]}, volume.Far)
				if x <= MarginMM+1e-4 {
					all++
					for z, m := range zones {
						both[z] += int(m.Data[n])
					}
				}
				n++
			}
		}
	}
	out := make([]float64, len(zones))
	for z := range zones {
		if all > 0 {
			out[z] = float64(both[z]) / float64(all)
		}
	}
	return out
}
