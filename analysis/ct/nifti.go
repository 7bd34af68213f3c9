package ct

import (
	"fmt"
	"math"
	"slices"

	"rfanode/analysis/volume"
)

// FromNIfTI reads a CT volume in HU from a NIfTI file. It has no DICOM identity: the header is empty, there are no
// instances, and no objects can be made for it. Slices must be axial; a left-handed stack is turned over, so that axis k
// runs along row × column as in every Series.
func FromNIfTI(path string) (*Series, error) {
	v, err := volume.ReadNIfTI(path)
	if err != nil {
		return nil, err
	}
	row, col, k := v.Direction[0], v.Direction[1], v.Direction[2]
	normal := volume.Vec{row[1]*col[2] - row[2]*col[1], row[2]*col[0] - row[0]*col[2], row[0]*col[1] - row[1]*col[0]}
	if math.Abs(normal[2]) < axialCos {
		return nil, fmt.Errorf("reading %s: %w", path, refuse(NotAxial, "the third axis of the volume does not run along the body: reorder it so that its slices are axial"))
	}
	if v.Size[2] < MinSlices {
		return nil, fmt.Errorf("reading %s: %w", path, refuse(TooFew, "the volume has %d slices; at least %d are needed to cover the lung", v.Size[2], MinSlices))
	}
	if dot(normal, k) < 0 {
		turnOver(v)
	}
	for i, x := range v.Data {
		if !(x >= Air) { // NaN too
			v.Data[i] = Air
		}
	}
	return &Series{Volume: v}, nil
}

// turnOver reverses the order of the slices; every voxel stays in its place in the patient.
func turnOver(v *volume.Volume) {
	v.Origin = v.Point(volume.Vec{0, 0, float64(v.Size[2] - 1)})
	for c := range 3 {
		v.Direction[2][c] = -v.Direction[2][c]
	}
	n := v.Size[0] * v.Size[1]
	for a, b := 0, v.Size[2]-1; a < b; a, b = a+1, b-1 {
		lower := slices.Clone(v.Data[a*n:][:n])
		copy(v.Data[a*n:][:n], v.Data[b*n:][:n])
		copy(v.Data[b*n:][:n], lower)
	}
}
