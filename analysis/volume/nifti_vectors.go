package volume

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
)

// niftiVector is NIFTI_INTENT_VECTOR: at each voxel a vector, its components along the fifth dimension.
const niftiVector = 1007

// WriteVectorsNIfTI writes a vector for each voxel of g (v: Len() of them), as registration programs exchange displacement
// fields: five dimensions, the fifth of length 3, intent "vector", float32. Grid as in WriteNIfTI; the vectors stay as
// they are, LPS mm for a displacement, which ITK and ANTs expect under this intent.
func WriteVectorsNIfTI(path string, g Geometry, v [][3]float32) error {
	if len(v) != g.Len() {
		return fmt.Errorf("writing NIfTI %s: %d vectors for %d voxels", path, len(v), g.Len())
	}
	h := encodeNIfTIHeader(g, niftiFloat32, 32)
	binary.LittleEndian.PutUint16(h[40:], 5)
	binary.LittleEndian.PutUint16(h[50:], 3)
	binary.LittleEndian.PutUint16(h[68:], niftiVector)
	return writeNIfTI(path, g, h, func(w io.Writer) error {
		row := make([]byte, 4*g.Size[0])
		for c := range 3 {
			for n := 0; n < len(v); n += g.Size[0] {
				for i, x := range v[n : n+g.Size[0]] {
					binary.LittleEndian.PutUint32(row[4*i:], math.Float32bits(x[c]))
				}
				if _, err := w.Write(row); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// ReadVectorsNIfTI reads what WriteVectorsNIfTI writes (.nii or .nii.gz, float32 only).
func ReadVectorsNIfTI(path string) (Geometry, [][3]float32, error) {
	g, v, err := readVectors(path)
	if err != nil {
		return Geometry{}, nil, fmt.Errorf("reading NIfTI vectors %s: %w", path, err)
	}
	return g, v, nil
}

func readVectors(path string) (Geometry, [][3]float32, error) {
	f, err := os.Open(path)
	if err != nil {
		return Geometry{}, nil, err
	}
	defer f.Close()
	b := bufio.NewReaderSize(f, 1<<20)
	var r io.Reader = b
	if magic, err := b.Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		if r, err = gzip.NewReader(b); err != nil {
			return Geometry{}, nil, err
		}
	}
	head := make([]byte, niftiHeader)
	if _, err := io.ReadFull(r, head); err != nil {
		return Geometry{}, nil, fmt.Errorf("the header of %d bytes is cut short: %w", niftiHeader, err)
	}
	h := niftiFields{head, binary.LittleEndian}
	if h.order.Uint32(head) != niftiHeader || string(head[344:347]) != "n+1" {
		return Geometry{}, nil, fmt.Errorf("not a little-endian NIfTI-1 file with header and voxels in one (.nii)")
	}
	if h.short(40) != 5 || h.short(50) != 3 || h.short(70) != niftiFloat32 {
		return Geometry{}, nil, fmt.Errorf("no vectors: %d dimensions, the fifth of length %d, data type %d; 5, 3 and float32 are read", h.short(40), h.short(50), h.short(70))
	}
	// The grid is that of the first three dimensions.
	h.order.PutUint16(head[40:], 3)
	g, err := h.geometry()
	if err != nil {
		return Geometry{}, nil, err
	}
	if _, err := io.CopyN(io.Discard, r, int64(h.float(108))-niftiHeader); err != nil {
		return Geometry{}, nil, fmt.Errorf("the file ends before the voxels: %w", err)
	}
	var v [][3]float32 // grows with what is there, not with what the header says
	row := make([]byte, 4*g.Size[0])
	for c := range 3 {
		for n := 0; n < g.Len(); n += g.Size[0] {
			if _, err := io.ReadFull(r, row); err != nil {
				return Geometry{}, nil, fmt.Errorf("the file ends before the voxels: %w", err)
			}
			for i := range g.Size[0] {
				if c == 0 {
					v = append(v, [3]float32{})
				}
				v[n+i][c] = math.Float32frombits(h.order.Uint32(row[4*i:]))
			}
		}
	}
	return g, v, nil
}
