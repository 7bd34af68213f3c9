package register

import (
	"context"

	"rfanode/analysis/volume"
)

// WarpVolume returns moving as it looks in fixed: the value at a voxel of g is that of moving at t of the voxel's centre,
// by one trilinear interpolation. Points that fall outside of moving get the value outside. Where g is coarser than
// moving, resample moving first (volume.Resample smooths). The only error is that of ctx.
func WarpVolume(ctx context.Context, moving *volume.Volume, t Transform, g volume.Geometry, outside float32) (*volume.Volume, error) {
	out := volume.New(g)
	err := warpRows(ctx, moving.Data, moving.Geometry, t, g, outside, func(o int, row []float32) { copy(out.Data[o:], row) })
	if err != nil {
		return nil, err
	}
	return out, nil
}

// WarpMask is WarpVolume for a mask: a voxel is set where trilinear interpolation gives at least one half. A structure of
// few slices is better carried as a signed distance with WarpVolume and cut at 0.
func WarpMask(ctx context.Context, moving *volume.Mask, t Transform, g volume.Geometry) (*volume.Mask, error) {
	out := volume.NewMask(g)
	err := warpRows(ctx, moving.Data, moving.Geometry, t, g, 0, func(o int, row []float32) {
		for i, v := range row {
			if v >= 0.5 {
				out.Data[o+i] = 1
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// warpRows interpolates data row by row of g and hands each row over with the offset of its first voxel.
func warpRows[T uint8 | float32](ctx context.Context, data []T, src volume.Geometry, t Transform, g volume.Geometry, outside float32, done func(int, []float32)) error {
	a, affine := t.(Affine)
	var at indexMap
	if affine {
		at = linearSampler(g, src, a)
	}
	return parallel(ctx, threadCount(0), g.Size[2], func(_, k int) {
		row := make([]float32, g.Size[0])
		for j := range g.Size[1] {
			if affine {
				sampleRow(row, data, src.Size, at, j, k, outside)
			} else {
				for i := range row {
					p := src.Index(t.Map(g.Point(volume.Vec{float64(i), float64(j), float64(k)})))
					row[i] = trilinear(data, src.Size, p[0], p[1], p[2], outside)
				}
			}
			done(g.Offset(0, j, k), row)
		}
	})
}
