package coverage

import (
	"context"
	"fmt"
	"math"
	"runtime"

	"golang.org/x/sync/errgroup"

	"rfanode/analysis/volume"
)

// maxFine bounds the 1 mm grid, in voxels: 300 mm cubed is more than any lesion and zone in one chest need.
const maxFine = 27_000_000

// field holds the two levels on the 1 mm grid that contains the tumour with its wide margin and the zone.
type field struct {
	volume.Geometry
	gtr, ptz []float32 // signed levels, mm-like
}

// newField places the grid and evaluates both levels on it.
func newField(ctx context.Context, in Input) (*field, error) {
	gtr, err := cutLevel(in.GTR, in.GTRErrorMM, ErrNoTumour)
	if err != nil {
		return nil, err
	}
	ptz, err := cutLevel(in.PTZ, in.PTZErrorMM, ErrNoZone)
	if err != nil {
		return nil, err
	}
	post := in.PTZ.Geometry
	lo, hi, err := tumourBox(post, gtr.Geometry, in.ToPre)
	if err != nil {
		return nil, err
	}
	// Room for the margin of 10 mm, for the shifts and growths of the range, and a voxel for rounding.
	room := WideMarginMM + in.RegistrationErrorMM + in.GTRErrorMM + 2
	zoneLo, zoneHi := cornerMM(post, ptz.Geometry)
	for a := range 3 {
		lo[a], hi[a] = min(lo[a]-room, zoneLo[a]-2), max(hi[a]+room, zoneHi[a]+2)
	}
	g := volume.Geometry{Spacing: [3]float64{gridMM, gridMM, gridMM}, Direction: post.Direction, Origin: post.Origin}
	for a := range 3 {
		first := math.Floor(lo[a])
		g.Size[a] = int(math.Ceil(hi[a]-first)) + 1
		for c := range 3 {
			g.Origin[c] += first * post.Direction[a][c]
		}
	}
	if g.Len() > maxFine {
		return nil, fmt.Errorf("coverage: the registration spreads the tumour, with the ablation zone, over %d × %d × %d mm of the post CT", g.Size[0], g.Size[1], g.Size[2])
	}
	f := &field{Geometry: g, gtr: make([]float32, g.Len()), ptz: make([]float32, g.Len())}
	return f, f.evaluate(ctx, gtr, ptz, in.ToPre)
}

// evaluate takes the levels at every point of the grid: the tumour where the point lies in the pre CT.
func (f *field) evaluate(ctx context.Context, gtr, ptz *volume.Volume, toPre func(volume.Vec) volume.Vec) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	farGTR, farPTZ := -clampMM(gtr.Geometry), -clampMM(ptz.Geometry)
	for k := range f.Size[2] {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			for j := range f.Size[1] {
				for i := range f.Size[0] {
					n := f.Offset(i, j, k)
					p := f.Point(volume.Vec{float64(i), float64(j), float64(k)})
					f.gtr[n] = gtr.AtSlices(gtr.Index(toPre(p)), farGTR)
					f.ptz[n] = ptz.AtSlices(ptz.Index(p), farPTZ)
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// mask is where a level, raised by grow mm, is positive.
func (f *field) mask(level []float32, grow float64) *volume.Mask {
	m := volume.NewMask(f.Geometry)
	for n, x := range level {
		if float64(x)+grow > 0 {
			m.Data[n] = 1
		}
	}
	return m
}

// clampMM is where a level may be cut off without moving its zero between slices: the samples that decide there lie
// within two slices of it. Levels that jump to huge values beyond a box would otherwise make the cubic overshoot.
func clampMM(g volume.Geometry) float32 { return float32(2*g.Spacing[2] + 5) }

// cutLevel returns the part of a level round its positive values, clamped.
func cutLevel(level *volume.Volume, errorMM float64, empty error) (*volume.Volume, error) {
	m := volume.Threshold(level, math.SmallestNonzeroFloat32, float32(math.Inf(1)))
	lo, hi, ok := m.Around(errorMM + 2*max(level.Spacing[0], level.Spacing[1], level.Spacing[2]))
	if !ok {
		return nil, empty
	}
	part := level.Crop(lo, hi)
	limit := clampMM(level.Geometry)
	for n, x := range part.Data {
		if !(x > -limit) { // NaN too
			x = -limit
		}
		part.Data[n] = min(x, limit)
	}
	return part, nil
}

// cornerMM gives a box's extent in mm along the axes of the grid post, from its first voxel centre.
func cornerMM(post, box volume.Geometry) (lo, hi volume.Vec) {
	lo, hi = volume.Vec{math.Inf(1), math.Inf(1), math.Inf(1)}, volume.Vec{math.Inf(-1), math.Inf(-1), math.Inf(-1)}
	for corner := range 8 {
		var idx volume.Vec
		for a := range 3 {
			if corner>>a&1 == 1 {
				idx[a] = float64(box.Size[a] - 1)
			}
		}
		at := post.Index(box.Point(idx))
		for a := range 3 {
			lo[a], hi[a] = min(lo[a], at[a]*post.Spacing[a]), max(hi[a], at[a]*post.Spacing[a])
		}
	}
	return lo, hi
}

// latticeMM is the step of the search for the tumour in the post frame; the box searched for is never smaller, because
// cutLevel leaves two slices and more round the tumour.
const latticeMM = 4

// tumourBox finds where the box of the tumour lies in the post frame: the transform is known from post to pre only, so
// the post CT is searched for points that map into the box. The result is in mm along the axes of post.
func tumourBox(post, box volume.Geometry, toPre func(volume.Vec) volume.Vec) (lo, hi volume.Vec, err error) {
	var n [3]int
	for a := range 3 {
		n[a] = int(math.Ceil(float64(post.Size[a]-1)*post.Spacing[a]/latticeMM)) + 1
		lo[a], hi[a] = math.Inf(1), math.Inf(-1)
	}
	for k := range n[2] {
		for j := range n[1] {
			for i := range n[0] {
				at := volume.Vec{float64(i) * latticeMM, float64(j) * latticeMM, float64(k) * latticeMM}
				idx := box.Index(toPre(post.Point(volume.Vec{at[0] / post.Spacing[0], at[1] / post.Spacing[1], at[2] / post.Spacing[2]})))
				inside := true
				for a := range 3 {
					slack := latticeMM / box.Spacing[a]
					inside = inside && idx[a] >= -slack && idx[a] <= float64(box.Size[a]-1)+slack
				}
				if !inside {
					continue
				}
				for a := range 3 {
					lo[a], hi[a] = min(lo[a], at[a]-latticeMM), max(hi[a], at[a]+latticeMM)
				}
			}
		}
	}
	if math.IsInf(lo[0], 1) {
		return lo, hi, ErrTumourOutside
	}
	return lo, hi, nil
}
