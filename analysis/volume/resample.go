package volume

import "math"

// At is the value at continuous voxel indices by trilinear interpolation. The grid reaches half a voxel beyond the
// outermost voxel centres, where the nearest centre's value holds; beyond that, and for indices that are not numbers,
// it is outside.
func (v *Volume) At(idx Vec, outside float32) float32 {
	var lo, hi [3]int
	var f [3]float32
	for a := range 3 {
		n := v.Size[a]
		x := idx[a]
		if !(x >= -0.5 && x <= float64(n)-0.5) {
			return outside
		}
		x = min(max(x, 0), float64(n-1))
		i := int(x)
		lo[a], hi[a], f[a] = i, min(i+1, n-1), float32(x-float64(i))
	}
	nx, nxy := v.Size[0], v.Size[0]*v.Size[1]
	r00, r10 := lo[2]*nxy+lo[1]*nx, lo[2]*nxy+hi[1]*nx
	r01, r11 := hi[2]*nxy+lo[1]*nx, hi[2]*nxy+hi[1]*nx
	d := v.Data
	a := mix(d[r00+lo[0]], d[r00+hi[0]], f[0])
	b := mix(d[r10+lo[0]], d[r10+hi[0]], f[0])
	c := mix(d[r01+lo[0]], d[r01+hi[0]], f[0])
	e := mix(d[r11+lo[0]], d[r11+hi[0]], f[0])
	return mix(mix(a, b, f[1]), mix(c, e, f[1]), f[2])
}

func mix(a, b, f float32) float32 { return a + f*(b-a) }

// antiAliasSigma is the Gaussian's sigma in units of the coarser spacing: half amplitude at about 0.42 of the new
// sampling rate, the usual compromise between aliasing and blur. Up to 1.3 × the old spacing nothing is smoothed: linear
// interpolation alone blurs enough there.
const (
	antiAliasSigma = 0.45
	coarser        = 1.3
)

// Resample returns v on the grid g by trilinear interpolation. Along the axes of v where g is coarser by
// more than 1.3, v is first smoothed by a Gaussian of sigma 0.45 × the new spacing, so that fine structure does not alias. Voxels of g outside v
// (see At) get the value outside.
func Resample(v *Volume, g Geometry, outside float32) *Volume {
	if v.Len() == 0 || g.Len() == 0 {
		return filled(g, outside)
	}
	if v.Size == g.Size && v.Geometry.Same(g) {
		return &Volume{Geometry: g, Data: append([]float32(nil), v.Data...)}
	}
	if aligned(v.Geometry, g) {
		return resampleAligned(v, g, outside)
	}
	src := v
	for a := range 3 {
		if s := antiAlias(v.Geometry, g, a); s > 0 {
			src = filterAxis(src, a, smoothingTaps(v.Size[a], s))
		}
	}
	return sample(src, g, outside)
}

// ResampleNearest carries a mask to the grid g by the nearest voxel; outside the mask's grid it is empty.
func ResampleNearest(m *Mask, g Geometry) *Mask {
	out := NewMask(g)
	start, step := indexMap(g, m.Geometry)
	parallel(g.Size[2], func(k int) {
		for j := range g.Size[1] {
			row := out.Data[g.Offset(0, j, k):][:g.Size[0]]
			for i := range row {
				idx, inside := [3]int{}, true
				for a := range 3 {
					x := math.Floor(start[a] + float64(i)*step[0][a] + float64(j)*step[1][a] + float64(k)*step[2][a] + 0.5)
					inside = inside && x >= 0 && x < float64(m.Size[a])
					if inside {
						idx[a] = int(x)
					}
				}
				if inside {
					row[i] = m.Data[m.Offset(idx[0], idx[1], idx[2])]
				}
			}
		}
	})
	return out
}

func filled(g Geometry, value float32) *Volume {
	out := New(g)
	if value != 0 {
		for i := range out.Data {
			out.Data[i] = value
		}
	}
	return out
}

// aligned reports whether the axes of two grids point the same way to within 1e-6 rad.
func aligned(a, b Geometry) bool {
	for i := range 3 {
		for c := range 3 {
			if math.Abs(a.Direction[i][c]-b.Direction[i][c]) > 1e-6 {
				return false
			}
		}
	}
	return true
}

// antiAlias is the sigma, in voxels of v, of the smoothing along axis a of v that sampling at g needs; 0: none.
func antiAlias(v, g Geometry, a int) float64 {
	h := 0.0
	for b := range 3 {
		dot := v.Direction[a][0]*g.Direction[b][0] + v.Direction[a][1]*g.Direction[b][1] + v.Direction[a][2]*g.Direction[b][2]
		h = max(h, math.Abs(dot)*g.Spacing[b])
	}
	if h <= coarser*v.Spacing[a] {
		return 0
	}
	return antiAliasSigma * h / v.Spacing[a]
}

// indexMap gives the affine map from indices of g to indices of v: start + i·step[0] + j·step[1] + k·step[2].
func indexMap(g, v Geometry) (start Vec, step [3]Vec) {
	start = v.Index(g.Point(Vec{}))
	for a := range 3 {
		var e Vec
		e[a] = 1
		p := v.Index(g.Point(e))
		for c := range 3 {
			step[a][c] = p[c] - start[c]
		}
	}
	return start, step
}

// sample evaluates v at the voxel centres of g.
func sample(v *Volume, g Geometry, outside float32) *Volume {
	out := New(g)
	start, step := indexMap(g, v.Geometry)
	parallel(g.Size[2], func(k int) {
		for j := range g.Size[1] {
			row := out.Data[g.Offset(0, j, k):][:g.Size[0]]
			var base Vec
			for c := range 3 {
				base[c] = start[c] + float64(j)*step[1][c] + float64(k)*step[2][c]
			}
			for i := range row {
				x := float64(i)
				row[i] = v.At(Vec{base[0] + x*step[0][0], base[1] + x*step[0][1], base[2] + x*step[0][2]}, outside)
			}
		}
	})
	return out
}

// resampleAligned is Resample for grids with the same axes: smoothing and interpolation along each axis become one
// short weighted sum, the axis that shrinks most first.
func resampleAligned(v *Volume, g Geometry, outside float32) *Volume {
	start, step := indexMap(g, v.Geometry)
	var taps [3][]tap
	var gain [3]float64
	for a := range 3 {
		taps[a] = resamplingTaps(v.Size[a], g.Size[a], start[a], step[a][a], antiAlias(v.Geometry, g, a))
		gain[a] = float64(g.Size[a]) / float64(v.Size[a])
	}
	order := [3]int{0, 1, 2}
	for i := range 3 {
		for j := i + 1; j < 3; j++ {
			if gain[order[j]] < gain[order[i]] {
				order[i], order[j] = order[j], order[i]
			}
		}
	}
	out := v
	for _, a := range order {
		out = filterAxis(out, a, taps[a])
	}
	out.Geometry = g
	blankOutside(out, taps, outside)
	return out
}

// blankOutside writes outside to the voxels that some axis puts beyond the source grid (taps without weights).
func blankOutside(v *Volume, taps [3][]tap, outside float32) {
	if outside == 0 {
		return // an empty tap has already given 0
	}
	parallel(v.Size[2], func(k int) {
		for j := range v.Size[1] {
			row := v.Data[v.Offset(0, j, k):][:v.Size[0]]
			off := len(taps[2][k].w) == 0 || len(taps[1][j].w) == 0
			for i := range row {
				if off || len(taps[0][i].w) == 0 {
					row[i] = outside
				}
			}
		}
	})
}
