package volume

import "math"

// Vec is a point or a vector in the patient coordinate system, LPS, in mm, or a triple of voxel indices (i, j, k); the
// name of the variable says which.
type Vec [3]float64

// Geometry places a regular grid in the patient: Image Plane Module of PS3.3 C.7.6.2, extended to the stack of slices.
// Axis 0 (i) runs along a row (increasing column index), axis 1 (j) down a column, axis 2 (k) from slice to slice.
type Geometry struct {
	Size      [3]int     // number of voxels along i, j, k
	Spacing   [3]float64 // distance of voxel centres along i, j, k, mm
	Origin    Vec        // centre of voxel (0,0,0), LPS mm
	Direction [3]Vec     // unit vectors of the axes i, j, k in LPS
}

// Axial returns a geometry whose axes are L, P and S.
func Axial(size [3]int, spacing [3]float64, origin Vec) Geometry {
	return Geometry{Size: size, Spacing: spacing, Origin: origin, Direction: [3]Vec{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}}
}

// Len is the number of voxels.
func (g Geometry) Len() int { return g.Size[0] * g.Size[1] * g.Size[2] }

// Offset is the position of voxel (i, j, k) in a data slice: arrays are z,y,x with x (i) fastest.
func (g Geometry) Offset(i, j, k int) int { return (k*g.Size[1]+j)*g.Size[0] + i }

// VoxelML is the volume of one voxel in mL.
func (g Geometry) VoxelML() float64 { return g.Spacing[0] * g.Spacing[1] * g.Spacing[2] / 1000 }

// Point maps continuous voxel indices to LPS mm.
func (g Geometry) Point(idx Vec) Vec {
	p := g.Origin
	for a := range 3 {
		d := idx[a] * g.Spacing[a]
		for c := range 3 {
			p[c] += d * g.Direction[a][c]
		}
	}
	return p
}

// Index maps a point in LPS mm to continuous voxel indices. The axes are orthonormal, so the inverse is the transpose.
func (g Geometry) Index(p Vec) Vec {
	d := Vec{p[0] - g.Origin[0], p[1] - g.Origin[1], p[2] - g.Origin[2]}
	var idx Vec
	for a := range 3 {
		idx[a] = (d[0]*g.Direction[a][0] + d[1]*g.Direction[a][1] + d[2]*g.Direction[a][2]) / g.Spacing[a]
	}
	return idx
}

// Same reports whether two grids have the same voxels to within a hundredth of a voxel at every corner.
func (g Geometry) Same(o Geometry) bool {
	if g.Size != o.Size {
		return false
	}
	for c := range 8 {
		idx := Vec{}
		for a := range 3 {
			if c>>a&1 == 1 {
				idx[a] = float64(g.Size[a] - 1)
			}
		}
		back := o.Index(g.Point(idx))
		for a := range 3 {
			if math.Abs(back[a]-idx[a]) > 0.01 {
				return false
			}
		}
	}
	return true
}
