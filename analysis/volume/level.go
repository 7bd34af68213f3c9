package volume

import "math"

// AtSlices is the value at continuous voxel indices, linear within the slices and cubic along k (Keys' kernel with
// a = −½, IEEE Trans. Acoust. Speech Signal Process. 29, 1981, which reproduces parabolas). It is for signed levels on
// thick slices: between slices of 5 mm, linear interpolation cuts 0.3 mm off a sphere of 10 mm radius. Beyond the first
// and last slice the values continue on a straight line. Outside as for At.
func (v *Volume) AtSlices(idx Vec, outside float32) float32 {
	n := v.Size[2]
	if !(idx[2] >= -0.5 && idx[2] <= float64(n)-0.5) {
		return outside
	}
	if n == 1 {
		return v.At(Vec{idx[0], idx[1], 0}, outside)
	}
	if !(idx[0] >= -0.5 && idx[0] <= float64(v.Size[0])-0.5 && idx[1] >= -0.5 && idx[1] <= float64(v.Size[1])-0.5) {
		return outside
	}
	k := min(max(int(math.Floor(idx[2])), 0), n-2)
	t := float32(idx[2] - float64(k))
	b, c := v.inSlice(idx, k), v.inSlice(idx, k+1)
	if t <= 0 || t >= 1 {
		return b + t*(c-b)
	}
	a, d := 2*b-c, 2*c-b
	if k > 0 {
		a = v.inSlice(idx, k-1)
	}
	if k+2 < n {
		d = v.inSlice(idx, k+2)
	}
	return b + t/2*(c-a+t*(2*a-5*b+4*c-d+t*(3*(b-c)+d-a)))
}

// inSlice is the bilinear value in slice k.
func (v *Volume) inSlice(idx Vec, k int) float32 {
	x := min(max(idx[0], 0), float64(v.Size[0]-1))
	y := min(max(idx[1], 0), float64(v.Size[1]-1))
	i, j := int(x), int(y)
	i2, j2 := min(i+1, v.Size[0]-1), min(j+1, v.Size[1]-1)
	f, g := float32(x-float64(i)), float32(y-float64(j))
	return mix(mix(v.Data[v.Offset(i, j, k)], v.Data[v.Offset(i2, j, k)], f), mix(v.Data[v.Offset(i, j2, k)], v.Data[v.Offset(i2, j2, k)], f), g)
}

// Fraction is the share, 0 to 1, of each voxel of g that the voxels set in m cover. The axes of the two grids must be
// parallel and point the same way; ok is false if they are not.
func Fraction(m *Mask, g Geometry) (v *Volume, ok bool) {
	if !aligned(m.Geometry, g) {
		return nil, false
	}
	v = New(m.Geometry)
	for i, x := range m.Data {
		v.Data[i] = float32(x)
	}
	start, step := indexMap(g, m.Geometry)
	for a := range 3 {
		v = filterAxis(v, a, overlapTaps(m.Size[a], g.Size[a], start[a], step[a][a]))
	}
	v.Geometry = g
	return v, true
}

// overlapTaps weigh the n samples of an axis by their overlap with the m boxes of width step round start + o·step.
func overlapTaps(n, m int, start, step float64) []tap {
	taps := make([]tap, m)
	for o := range taps {
		lo := start + (float64(o)-0.5)*step
		hi := lo + step
		first, last := max(int(math.Floor(lo+0.5)), 0), min(int(math.Ceil(hi-0.5)), n-1)
		if first > last {
			continue
		}
		taps[o] = tap{first: first, w: make([]float32, last-first+1)}
		for i := first; i <= last; i++ {
			taps[o].w[i-first] = float32(max(0, min(hi, float64(i)+0.5)-max(lo, float64(i)-0.5)) / step)
		}
	}
	return taps
}
