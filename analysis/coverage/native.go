package coverage

import (
	"fmt"
	"math"

	"rfanode/analysis/volume"
)

// half is the share of its volume that a voxel of the CT's grid must have in a region to belong to it.
const half = 0.5 - 1e-5 // the shares are sums of rounded products

// native brings the regions back to the CT's own grid, which is what a viewer can lay over the slices.
func native(post volume.Geometry, fine Regions, worst volume.Vec) (Regions, error) {
	var out Regions
	for _, m := range []struct {
		from *volume.Mask
		to   **volume.Mask
	}{{fine.GTR, &out.GTR}, {fine.PTV, &out.PTV}, {fine.PTZ, &out.PTZ}, {fine.Uncovered, &out.Uncovered}} {
		back, err := toGrid(m.from, post)
		if err != nil {
			return out, err
		}
		*m.to = back
	}
	if _, _, some := fine.Uncovered.Bounds(); some && out.Uncovered.Count() == 0 {
		// An insufficient case must not look complete: the voxel that holds the uncovered point nearest to the worst one.
		keep(out.Uncovered, fine.Uncovered, worst)
	}
	return out, nil
}

func toGrid(m *volume.Mask, post volume.Geometry) (*volume.Mask, error) {
	out := volume.NewMask(post)
	lo, hi, ok := m.Bounds()
	if !ok {
		return out, nil
	}
	from, to := cornerMM(post, m.Box(lo, hi))
	for a := range 3 {
		lo[a] = max(int(math.Floor(from[a]/post.Spacing[a]))-1, 0)
		hi[a] = min(int(math.Ceil(to[a]/post.Spacing[a]))+1, post.Size[a]-1)
		if lo[a] > hi[a] {
			return out, nil // beyond the scan range
		}
	}
	share, ok := volume.Fraction(m, post.Box(lo, hi))
	if !ok {
		return nil, fmt.Errorf("coverage: the fine grid is not parallel to the CT's")
	}
	part := volume.Threshold(share, half, 2)
	out.Paste(part, lo)
	return out, nil
}

func keep(out, fine *volume.Mask, worst volume.Vec) {
	best, distance := -1, math.Inf(1)
	for n, x := range fine.Data {
		if x == 0 {
			continue
		}
		if d := apart(voxelPoint(fine.Geometry, n), worst); d < distance {
			best, distance = n, d
		}
	}
	idx := out.Index(voxelPoint(fine.Geometry, best))
	var at [3]int
	for a := range 3 {
		at[a] = min(max(int(math.Round(idx[a])), 0), out.Size[a]-1)
	}
	out.Data[out.Offset(at[0], at[1], at[2])] = 1
}
