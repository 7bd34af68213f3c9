// Package volume holds regular three-dimensional grids placed in the patient, and what is done to them regardless of
// what they show: resampling, the exact Euclidean distance transform, connected components, hole filling, and reading
// and writing NIfTI. It knows nothing of DICOM, of lungs or of tumours.
//
// Units: mm and mL; coordinates LPS; arrays z,y,x with x fastest.
package volume

// Volume is a grid of values: Hounsfield units of a CT, a signed distance in mm, a displacement component.
type Volume struct {
	Geometry
	Data []float32 // Len() values
}

// New returns a volume of zeros.
func New(g Geometry) *Volume { return &Volume{Geometry: g, Data: make([]float32, g.Len())} }

// Mask is a set of voxels of a grid.
type Mask struct {
	Geometry
	Data []uint8 // Len() values, 0 or 1
}

// NewMask returns an empty mask.
func NewMask(g Geometry) *Mask { return &Mask{Geometry: g, Data: make([]uint8, g.Len())} }

// Count is the number of voxels set.
func (m *Mask) Count() int {
	n := 0
	for _, v := range m.Data {
		n += int(v)
	}
	return n
}

// VolumeML is the volume of the voxels set, in mL.
func (m *Mask) VolumeML() float64 { return float64(m.Count()) * m.VoxelML() }

// Clone returns a copy that shares nothing.
func (m *Mask) Clone() *Mask {
	return &Mask{Geometry: m.Geometry, Data: append([]uint8(nil), m.Data...)}
}

// Centroid is the mean of the voxel centres set, LPS mm; the origin of coordinates if there is none.
func (m *Mask) Centroid() Vec {
	var sum Vec
	n := 0
	for k := range m.Size[2] {
		for j := range m.Size[1] {
			for i, x := range m.Data[m.Offset(0, j, k):][:m.Size[0]] {
				if x != 0 {
					sum[0] += float64(i)
					sum[1] += float64(j)
					sum[2] += float64(k)
					n++
				}
			}
		}
	}
	if n == 0 {
		return Vec{}
	}
	return m.Point(Vec{sum[0] / float64(n), sum[1] / float64(n), sum[2] / float64(n)})
}
