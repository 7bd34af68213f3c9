package coverage

import (
	"math"

	"rfanode/analysis/volume"
)

// MaxDiameter is the largest distance, in mm, between two points of a mask's surface: IBSI L0JK, maximum 3-D diameter,
// with the vertices that marching cubes gives a mask, half way between a voxel inside and its face neighbour outside.
// 0 for an empty mask.
func MaxDiameter(m *volume.Mask) float64 {
	points := lineEnds(m)
	largest := 0.0
	for i, p := range points {
		for _, q := range points[i+1:] {
			x, y, z := p[0]-q[0], p[1]-q[1], p[2]-q[2]
			largest = max(largest, x*x+y*y+z*z)
		}
	}
	return math.Sqrt(largest)
}

// lineEnds gives, for every grid line of each direction through the mask, the outermost two surface points, in mm along
// the axes: what lies between them on the line cannot be an end of the largest diameter.
func lineEnds(m *volume.Mask) []volume.Vec {
	lo, hi, ok := m.Bounds()
	if !ok {
		return nil
	}
	var out []volume.Vec
	for axis := range 3 {
		b, c := (axis+1)%3, (axis+2)%3
		for j := lo[b]; j <= hi[b]; j++ {
			for k := lo[c]; k <= hi[c]; k++ {
				first, last := -1, -1
				for i := lo[axis]; i <= hi[axis]; i++ {
					var at [3]int
					at[axis], at[b], at[c] = i, j, k
					if m.Data[m.Offset(at[0], at[1], at[2])] != 0 {
						if first < 0 {
							first = i
						}
						last = i
					}
				}
				if first < 0 {
					continue
				}
				for _, x := range [2]float64{float64(first) - 0.5, float64(last) + 0.5} {
					var p volume.Vec
					p[axis], p[b], p[c] = x*m.Spacing[axis], float64(j)*m.Spacing[b], float64(k)*m.Spacing[c]
					out = append(out, p)
				}
			}
		}
	}
	return out
}

// Isotropic is the region where a level is positive, on a grid of 1 mm along the level's own axes: what the volume and
// the diameter of a structure on thick slices are taken from. An empty level gives an empty mask of one voxel.
func Isotropic(level *volume.Volume) *volume.Mask {
	part, err := cutLevel(level, 0, ErrNoTumour)
	if err != nil {
		g := level.Geometry
		g.Size, g.Spacing = [3]int{1, 1, 1}, [3]float64{gridMM, gridMM, gridMM}
		return volume.NewMask(g)
	}
	g := part.Geometry
	for a := range 3 {
		g.Size[a] = int(float64(part.Size[a]-1)*part.Spacing[a]/gridMM) + 1
		g.Spacing[a] = gridMM
	}
	m := volume.NewMask(g)
	for n := range m.Data {
		if part.AtSlices(part.Index(voxelPoint(g, n)), -1) > 0 {
			m.Data[n] = 1
		}
	}
	return m
}
