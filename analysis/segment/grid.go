package segment

import (
	"math"

	"rfanode/analysis/volume"
)

// The work grid: fine enough for organs and nodules, coarse enough to be quick. Slices thicker than workSliceMM stay as
// they are, thinner ones are averaged in groups.
const (
	workPixelMM = 1.5
	workSliceMM = 2.5
)

// workGrid is the work grid of a CT: blocks of f voxels. Blocks at the far end may hold fewer voxels.
func workGrid(ct volume.Geometry) (g volume.Geometry, f [3]int) {
	for a := range 2 {
		f[a] = max(1, int(math.Round(workPixelMM/ct.Spacing[a])))
	}
	f[2] = max(1, int(workSliceMM/ct.Spacing[2]+1e-6))
	g = ct
	centre := volume.Vec{}
	for a := range 3 {
		g.Size[a] = (ct.Size[a] + f[a] - 1) / f[a]
		g.Spacing[a] = ct.Spacing[a] * float64(f[a])
		centre[a] = float64(f[a]-1) / 2
	}
	g.Origin = ct.Point(centre)
	return g, f
}

// workVolume is a CT on its work grid: the mean of each block.
func workVolume(v *volume.Volume) *volume.Volume { return blockMeans(v.Geometry, v.Data) }

// share is the share of each voxel of the work grid that a mask covers.
func share(m *volume.Mask) *volume.Volume { return blockMeans(m.Geometry, m.Data) }

func blockMeans[T float32 | uint8](ct volume.Geometry, data []T) *volume.Volume {
	g, f := workGrid(ct)
	w := volume.New(g)
	sums, counts := make([]float32, g.Size[0]), make([]float32, g.Size[0])
	for k := range g.Size[2] {
		for j := range g.Size[1] {
			clear(sums)
			clear(counts)
			for kk := k * f[2]; kk < min((k+1)*f[2], ct.Size[2]); kk++ {
				for jj := j * f[1]; jj < min((j+1)*f[1], ct.Size[1]); jj++ {
					row := data[ct.Offset(0, jj, kk):][:ct.Size[0]]
					for i, x := range row {
						sums[i/f[0]] += float32(x)
						counts[i/f[0]]++
					}
				}
			}
			out := w.Data[w.Offset(0, j, k):][:g.Size[0]]
			for i := range out {
				out[i] = sums[i] / counts[i]
			}
		}
	}
	return w
}

// toGrid carries a mask of the work grid to the grid it was averaged from: trilinear, at least one half. Both grids have
// the same axes.
func toGrid(m *volume.Mask, g volume.Geometry) *volume.Mask {
	out := volume.NewMask(g)
	var lo [3][]int
	var frac [3][]float32
	start, step := m.Index(g.Origin), [3]float64{}
	for a := range 3 {
		step[a] = g.Spacing[a] / m.Spacing[a]
		lo[a], frac[a] = make([]int, g.Size[a]), make([]float32, g.Size[a])
		for i := range lo[a] {
			x := min(max(start[a]+float64(i)*step[a], 0), float64(m.Size[a]-1))
			lo[a][i] = min(int(x), max(m.Size[a]-2, 0))
			frac[a][i] = float32(x - float64(lo[a][i]))
		}
	}
	column := make([]float32, m.Size[0]) // the row of m blended along j and k
	for k := range g.Size[2] {
		for j := range g.Size[1] {
			if !blendRow(m, lo[1][j], lo[2][k], frac[1][j], frac[2][k], column) {
				continue
			}
			row := out.Data[out.Offset(0, j, k):][:g.Size[0]]
			for i := range row {
				l := lo[0][i]
				x := column[l]
				if f := frac[0][i]; f > 0 {
					x += f * (column[l+1] - x)
				}
				if x >= 0.5 {
					row[i] = 1
				}
			}
		}
	}
	return out
}

// blendRow blends four rows of m bilinearly into row and reports whether anything is set there.
func blendRow(m *volume.Mask, j, k int, fj, fk float32, row []float32) bool {
	clear(row)
	any := false
	for dk := range 2 {
		for dj := range 2 {
			w := (float32(1-dk) + float32(2*dk-1)*fk) * (float32(1-dj) + float32(2*dj-1)*fj)
			if w == 0 {
				continue
			}
			for i, x := range m.Data[m.Offset(0, j+dj, k+dk):][:m.Size[0]] {
				if x != 0 {
					row[i] += w
					any = true
				}
			}
		}
	}
	return any
}

// sliceOf is slice k of a mask as a mask of its own, sharing its voxels.
func sliceOf(m *volume.Mask, k int) *volume.Mask {
	g := m.Geometry
	n := g.Size[0] * g.Size[1]
	g.Origin = m.Point(volume.Vec{0, 0, float64(k)})
	g.Size[2] = 1
	return &volume.Mask{Geometry: g, Data: m.Data[k*n : (k+1)*n]}
}

// inSlices applies an operation to every slice on its own: two-dimensional morphology.
func inSlices(m *volume.Mask, op func(*volume.Mask) *volume.Mask) *volume.Mask {
	out := volume.NewMask(m.Geometry)
	n := m.Size[0] * m.Size[1]
	for k := range m.Size[2] {
		copy(out.Data[k*n:(k+1)*n], op(sliceOf(m, k)).Data)
	}
	return out
}

// closeInSlices closes every slice with a disc: two-dimensional, and as if the slice went on empty beyond its edge.
func closeInSlices(m *volume.Mask, mm float64) *volume.Mask {
	return inSlices(m, func(s *volume.Mask) *volume.Mask {
		lo, hi, ok := s.Bounds()
		if !ok {
			return s
		}
		part := s.Crop(lo, hi) // a closing stays within the bounds of what is closed
		room := [3]int{int(mm/s.Spacing[0]) + 2, int(mm/s.Spacing[1]) + 2, 0}
		g := part.Geometry
		g.Origin = part.Point(volume.Vec{-float64(room[0]), -float64(room[1]), 0})
		g.Size[0] += 2 * room[0]
		g.Size[1] += 2 * room[1]
		wide := volume.NewMask(g)
		wide.Paste(part, room)
		wide = volume.Erode(volume.Dilate(wide, mm), mm)
		out := s.Clone()
		out.Paste(wide.Crop(room, [3]int{room[0] + hi[0] - lo[0], room[1] + hi[1] - lo[1], 0}), lo)
		return volume.Union(out, s)
	})
}
