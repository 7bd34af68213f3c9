package volume

import "io"

// WriteLabelsNIfTI writes a label for every voxel of a grid, 0 for none, as uint8.
func WriteLabelsNIfTI(path string, g Geometry, labels []uint8) error {
	return writeNIfTI(path, g, encodeNIfTIHeader(g, niftiUint8, 8), func(w io.Writer) error {
		_, err := w.Write(labels)
		return err
	})
}
