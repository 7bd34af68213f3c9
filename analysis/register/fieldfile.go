package register

import "rfanode/analysis/volume"

// WriteNIfTI writes the displacement from a point of fixed to its point of moving, LPS mm, affine included, at the nodes
// of the field (.nii or .nii.gz; see volume.WriteVectorsNIfTI). Between the nodes it is trilinear, as Map itself is, so
// that nothing is lost; a reader that takes it as zero outside of its grid differs from Map there, away from the lungs.
func (f *Field) WriteNIfTI(path string) error {
	v := make([][3]float32, len(f.U))
	o := 0
	for k := range f.Grid.Size[2] {
		for j := range f.Grid.Size[1] {
			for i := range f.Grid.Size[0] {
				p := f.Grid.Point(volume.Vec{float64(i), float64(j), float64(k)})
				for c, x := range sub(f.Map(p), p) {
					v[o][c] = float32(x)
				}
				o++
			}
		}
	}
	return volume.WriteVectorsNIfTI(path, f.Grid, v)
}

// ReadField reads a displacement field, LPS mm, as WriteNIfTI and other programs write it. It is known everywhere.
func ReadField(path string) (*Field, error) {
	g, v, err := volume.ReadVectorsNIfTI(path)
	if err != nil {
		return nil, err
	}
	return &Field{Affine: Identity(), Grid: g, U: v}, nil
}
