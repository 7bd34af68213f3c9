package register

import (
	"context"
	"math"

	"rfanode/analysis/volume"
)

// image is a CT as registration sees it: on an isotropic grid along L, P, S, in whole grey values HU + 1024, clamped to
// -1024 … 2500 HU.
type image struct {
	volume.Geometry
	data    []uint16
	scanned volume.Geometry // the grid of the CT itself: outside of it the image is filled with air
}

// inside reports whether a point, LPS mm, was scanned.
func (m *image) inside(p volume.Vec) bool {
	idx := m.scanned.Index(p)
	for a := range 3 {
		if idx[a] < -0.5 || idx[a] > float64(m.scanned.Size[a])-0.5 {
			return false
		}
	}
	return true
}

// grey turns HU into the grey value of an image.
func grey(hu float32) uint16 {
	return uint16(max(min(hu, maxLevelHU), -1024) + 1024.5)
}

// newImage resamples a CT to the isotropic grid g, smoothed along its slice axis by sliceSigmaMM (see sliceSmoothing).
// What lies in leaveOut (on any grid, nil: nothing) does not spread to its surroundings by that.
func newImage(v *volume.Volume, g volume.Geometry, sliceSigmaMM float64, leaveOut *volume.Mask) *image {
	src := v
	if sliceSigmaMM > 0 {
		src = part(v, g, 4*sliceSigmaMM)
		var out []uint8
		if leaveOut != nil {
			out = volume.ResampleNearest(leaveOut, src.Geometry).Data
		}
		src = smoothSlices(src, sliceSigmaMM, out)
	}
	r := volume.Resample(src, g, -1024)
	m := &image{Geometry: g, data: make([]uint16, g.Len()), scanned: v.Geometry}
	for i, hu := range r.Data {
		m.data[i] = grey(hu)
	}
	return m
}

// warped returns moving ∘ a on the grid g; what lies outside of moving becomes air.
func (m *image) warped(ctx context.Context, out *image, a Affine, threads int) error {
	at := linearSampler(out.Geometry, m.Geometry, a)
	return parallel(ctx, threads, out.Size[2], func(_, k int) {
		row := make([]float32, out.Size[0])
		for j := range out.Size[1] {
			sampleRow(row, m.data, m.Size, at, j, k, 0)
			dst := out.data[out.Offset(0, j, k):][:len(row)]
			for i, v := range row {
				dst[i] = uint16(v + 0.5)
			}
		}
	})
}

// indexMap is an affine map from the voxel indices of one grid to the continuous indices of another.
type indexMap struct {
	step  [3]volume.Vec // change of the source index for one voxel along i, j, k
	start volume.Vec    // source index of voxel (0, 0, 0)
}

// linearSampler returns the map from indices of g to indices of src under the transform a of points.
func linearSampler(g, src volume.Geometry, a Affine) indexMap {
	at := indexMap{start: src.Index(a.Map(g.Point(volume.Vec{})))}
	for ax := range 3 {
		var one volume.Vec
		one[ax] = 1
		at.step[ax] = sub(src.Index(a.Map(g.Point(one))), at.start)
	}
	return at
}

func (at indexMap) at(i, j, k float64) volume.Vec {
	p := at.start
	for c := range 3 {
		p[c] += i*at.step[0][c] + j*at.step[1][c] + k*at.step[2][c]
	}
	return p
}

// sampleRow fills one row of the target grid by trilinear interpolation of data. A point within half a voxel outside of
// the source is clamped to its border; further out it is outside.
func sampleRow[T uint8 | uint16 | float32](row []float32, data []T, size [3]int, at indexMap, j, k int, outside float32) {
	p := at.at(0, float64(j), float64(k))
	for i := range row {
		x := p[0] + float64(i)*at.step[0][0]
		y := p[1] + float64(i)*at.step[0][1]
		z := p[2] + float64(i)*at.step[0][2]
		row[i] = trilinear(data, size, x, y, z, outside)
	}
}

// trilinear interpolates data at continuous indices.
func trilinear[T uint8 | uint16 | float32](data []T, size [3]int, x, y, z float64, outside float32) float32 {
	mx, my, mz := float64(size[0]-1), float64(size[1]-1), float64(size[2]-1)
	if !(x >= -0.5 && y >= -0.5 && z >= -0.5 && x <= mx+0.5 && y <= my+0.5 && z <= mz+0.5) {
		return outside
	}
	x, y, z = min(max(x, 0), mx), min(max(y, 0), my), min(max(z, 0), mz)
	i, j, k := int(x), int(y), int(z)
	fx, fy, fz := float32(x-float64(i)), float32(y-float64(j)), float32(z-float64(k))
	di, dj, dk := 1, size[0], size[0]*size[1]
	if i == size[0]-1 {
		di = 0
	}
	if j == size[1]-1 {
		dj = 0
	}
	if k == size[2]-1 {
		dk = 0
	}
	o := (k*size[1]+j)*size[0] + i
	a := float32(data[o]) + fx*(float32(data[o+di])-float32(data[o]))
	b := float32(data[o+dj]) + fx*(float32(data[o+dj+di])-float32(data[o+dj]))
	o += dk
	c := float32(data[o]) + fx*(float32(data[o+di])-float32(data[o]))
	d := float32(data[o+dj]) + fx*(float32(data[o+dj+di])-float32(data[o+dj]))
	a += fy * (b - a)
	c += fy * (d - c)
	return a + fz*(c-a)
}

// isotropic returns the axial grid of the given spacing that holds all points of the boxes plus a margin, but nothing
// beyond what was scanned (within one voxel).
func isotropic(spacing, marginMM float64, lo, hi volume.Vec, scanned volume.Geometry) volume.Geometry {
	slo, shi := bounds(scanned, [3]int{}, [3]int{scanned.Size[0] - 1, scanned.Size[1] - 1, scanned.Size[2] - 1})
	var size [3]int
	for a := range 3 {
		lo[a] = max(lo[a]-marginMM, slo[a])
		hi[a] = min(hi[a]+marginMM, shi[a])
		size[a] = max(1, int(math.Floor((hi[a]-lo[a])/spacing))+1)
	}
	return volume.Axial(size, [3]float64{spacing, spacing, spacing}, lo)
}

// bounds is the box in LPS mm around the voxel centres lo … hi of a grid.
func bounds(g volume.Geometry, lo, hi [3]int) (a, b volume.Vec) {
	a = volume.Vec{math.Inf(1), math.Inf(1), math.Inf(1)}
	b = volume.Vec{math.Inf(-1), math.Inf(-1), math.Inf(-1)}
	for c := range 8 {
		var idx volume.Vec
		for ax := range 3 {
			idx[ax] = float64(lo[ax])
			if c>>ax&1 == 1 {
				idx[ax] = float64(hi[ax])
			}
		}
		p := g.Point(idx)
		for ax := range 3 {
			a[ax], b[ax] = min(a[ax], p[ax]), max(b[ax], p[ax])
		}
	}
	return a, b
}

// centroid is the mean of the voxels set, LPS mm.
func centroid(m *volume.Mask) volume.Vec {
	var sum [3]float64
	n := 0.0
	for k := range m.Size[2] {
		for j := range m.Size[1] {
			row := m.Data[m.Offset(0, j, k):][:m.Size[0]]
			for i, v := range row {
				if v != 0 {
					n++
					sum[0] += float64(i)
					sum[1] += float64(j)
					sum[2] += float64(k)
				}
			}
		}
	}
	return m.Point(volume.Vec{sum[0] / n, sum[1] / n, sum[2] / n})
}
