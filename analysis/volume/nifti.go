package volume

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"

	"rfanode/durable"
)

// NIfTI-1 as in nifti1.h (NIfTI Data Format Working Group, 2004): a header of 348 bytes, 4 bytes of extension flags,
// then the voxels, x fastest. Its world is RAS, ours LPS: the first two coordinates change sign, which is exact.
const (
	niftiHeader   = 348
	niftiMaxVoxel = math.MaxInt32 // offsets of voxels are 32-bit numbers in places
)

// Data types of nifti1.h that are read; uint8 and float32 are also written.
const (
	niftiUint8   = 2
	niftiInt16   = 4
	niftiInt32   = 8
	niftiFloat32 = 16
	niftiFloat64 = 64
	niftiInt8    = 256
	niftiUint16  = 512
	niftiUint32  = 768
)

// ReadNIfTI reads a three-dimensional .nii or .nii.gz file. The place in the patient comes from sform if it is set, else
// from qform; a file with neither, or with sheared axes, is refused: it does not say where it lies. Values are scaled by
// scl_slope and scl_inter.
func ReadNIfTI(path string) (*Volume, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading NIfTI: %w", err)
	}
	defer f.Close()
	var r io.Reader = bufio.NewReaderSize(f, 1<<20)
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("reading NIfTI: %w", err)
	}
	likely := info.Size()
	if magic, err := r.(*bufio.Reader).Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		likely *= likelyDeflation
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, fmt.Errorf("reading NIfTI %s: %w", path, err)
		}
		r = bufio.NewReaderSize(z, 1<<20)
	}
	v, err := decodeNIfTI(r, likely)
	if err != nil {
		return nil, fmt.Errorf("reading NIfTI %s: %w", path, err)
	}
	return v, nil
}

// likelyDeflation is how far a CT may well have been compressed.
const likelyDeflation = 16

// ReadMaskNIfTI reads a NIfTI file as a mask: every voxel whose value is at least ½ is set.
func ReadMaskNIfTI(path string) (*Mask, error) {
	v, err := ReadNIfTI(path)
	if err != nil {
		return nil, err
	}
	return Threshold(v, 0.5, float32(math.Inf(1))), nil
}

// decodeNIfTI reads header and voxels from r, which is likely to hold about the given number of bytes.
func decodeNIfTI(r io.Reader, likely int64) (*Volume, error) {
	head := make([]byte, niftiHeader)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, fmt.Errorf("the header of %d bytes is cut short: %w", niftiHeader, err)
	}
	var order binary.ByteOrder = binary.LittleEndian
	if order.Uint32(head) != niftiHeader {
		order = binary.BigEndian
	}
	if order.Uint32(head) != niftiHeader || string(head[344:347]) != "n+1" {
		return nil, errors.New("not a NIfTI-1 file with header and voxels in one (.nii)")
	}
	h := niftiFields{head, order}
	g, err := h.geometry()
	if err != nil {
		return nil, err
	}
	skip := h.float(108) - niftiHeader
	if !(skip >= 0 && skip < 1<<30) {
		return nil, fmt.Errorf("vox_offset %g is impossible", h.float(108))
	}
	if _, err := io.CopyN(io.Discard, r, int64(skip)); err != nil {
		return nil, fmt.Errorf("the file ends before the voxels: %w", err)
	}
	data, err := h.voxels(r, g, likely)
	if err != nil {
		return nil, err
	}
	return &Volume{Geometry: g, Data: data}, nil
}

// niftiFields reads the header's fields by their offset in nifti1.h.
type niftiFields struct {
	b     []byte
	order binary.ByteOrder
}

func (h niftiFields) short(at int) int { return int(int16(h.order.Uint16(h.b[at:]))) }

func (h niftiFields) float(at int) float64 {
	return float64(math.Float32frombits(h.order.Uint32(h.b[at:])))
}

// geometry reads dim, pixdim and sform or qform.
func (h niftiFields) geometry() (Geometry, error) {
	var g Geometry
	dims := h.short(40)
	voxels := 1
	for a := 1; a <= 7; a++ {
		n := h.short(40 + 2*a)
		if a > dims {
			n = 1
		}
		if n < 1 || a > 3 && n > 1 {
			return g, fmt.Errorf("dimension %d has %d samples: a volume of three dimensions is needed", a, n)
		}
		if a <= 3 {
			g.Size[a-1] = n
			voxels *= n
		}
	}
	if dims < 3 || dims > 7 || voxels > niftiMaxVoxel {
		return g, fmt.Errorf("%d dimensions and %d voxels: a volume of three dimensions is needed", dims, voxels)
	}
	var m [3][4]float64 // RAS mm = m · (i, j, k, 1)
	switch {
	case h.short(254) > 0:
		for r := range 3 {
			for c := range 4 {
				m[r][c] = h.float(280 + 16*r + 4*c)
			}
		}
	case h.short(252) > 0:
		m = h.qform()
	default:
		return g, errors.New("neither sform nor qform is set: the file does not say where the volume lies in the patient")
	}
	unit := 1.0
	switch int(h.b[123]) & 7 {
	case 1:
		unit = 1000 // metre
	case 3:
		unit = 0.001 // micrometre
	}
	for r, sign := range [3]float64{-1, -1, 1} { // RAS → LPS
		g.Origin[r] = sign * m[r][3] * unit
	}
	for a := range 3 {
		column := Vec{-m[0][a], -m[1][a], m[2][a]}
		length := math.Sqrt(column[0]*column[0] + column[1]*column[1] + column[2]*column[2])
		g.Spacing[a] = length * unit
		if !(length > 0) || math.IsInf(length, 0) || math.IsInf(g.Origin[a], 0) || math.IsNaN(g.Origin[a]) {
			return g, errors.New("sform or qform is no valid matrix")
		}
		for c := range 3 {
			g.Direction[a][c] = column[c] / length
		}
	}
	for a := range 3 {
		d, e := g.Direction[a], g.Direction[(a+1)%3]
		if dot := d[0]*e[0] + d[1]*e[1] + d[2]*e[2]; math.Abs(dot) > 1e-3 {
			return g, fmt.Errorf("axes %d and %d are not perpendicular (cosine %.4f): resample the volume without shear", a, (a+1)%3, dot)
		}
	}
	return g, nil
}

// qform builds the matrix from the quaternion and pixdim, method 2 of nifti1.h.
func (h niftiFields) qform() (m [3][4]float64) {
	b, c, d := h.float(256), h.float(260), h.float(264)
	a := math.Sqrt(max(0, 1-b*b-c*c-d*d))
	r := [3][3]float64{
		{a*a + b*b - c*c - d*d, 2 * (b*c - a*d), 2 * (b*d + a*c)},
		{2 * (b*c + a*d), a*a + c*c - b*b - d*d, 2 * (c*d - a*b)},
		{2 * (b*d - a*c), 2 * (c*d + a*b), a*a + d*d - b*b - c*c}}
	qfac := 1.0
	if h.float(76) < 0 {
		qfac = -1
	}
	for row := range 3 {
		for col := range 3 {
			m[row][col] = r[row][col] * h.float(80+4*col)
		}
		m[row][2] *= qfac
		m[row][3] = h.float(268 + 4*row)
	}
	return m
}

// voxels reads the values row by row, so that memory grows only with what the file really holds: room is made at once
// for what its length, likely, promises, and further room as rows come.
func (h niftiFields) voxels(r io.Reader, g Geometry, likely int64) ([]float32, error) {
	width := map[int]int{niftiUint8: 1, niftiInt8: 1, niftiInt16: 2, niftiUint16: 2, niftiInt32: 4, niftiUint32: 4, niftiFloat32: 4, niftiFloat64: 8}
	kind := h.short(70)
	w, ok := width[kind]
	if !ok {
		return nil, fmt.Errorf("data type %d is not supported: convert to int16 or float32", kind)
	}
	slope, inter := h.float(112), h.float(116)
	if slope == 0 || math.IsNaN(slope) || math.IsInf(slope, 0) || math.IsNaN(inter) || math.IsInf(inter, 0) {
		slope, inter = 1, 0 // nifti1.h: slope 0 means no scaling
	}
	data := make([]float32, 0, min(int64(g.Len()), likely/int64(w)))
	row := make([]byte, g.Size[0]*w)
	for n := range g.Size[1] * g.Size[2] {
		if _, err := io.ReadFull(r, row); err != nil {
			return nil, fmt.Errorf("the voxels end at row %d of %d: %w", n, g.Size[1]*g.Size[2], err)
		}
		for i := range g.Size[0] {
			x := h.value(row[i*w:], kind)
			if slope != 1 || inter != 0 {
				x = x*slope + inter
			}
			data = append(data, float32(x))
		}
	}
	return data, nil
}

func (h niftiFields) value(b []byte, kind int) float64 {
	switch kind {
	case niftiUint8:
		return float64(b[0])
	case niftiInt8:
		return float64(int8(b[0]))
	case niftiInt16:
		return float64(int16(h.order.Uint16(b)))
	case niftiUint16:
		return float64(h.order.Uint16(b))
	case niftiInt32:
		return float64(int32(h.order.Uint32(b)))
	case niftiUint32:
		return float64(h.order.Uint32(b))
	case niftiFloat32:
		return float64(math.Float32frombits(h.order.Uint32(b)))
	default: // niftiFloat64: voxels has refused all others
		return math.Float64frombits(h.order.Uint64(b))
	}
}

// WriteNIfTI writes a volume as float32; the name's ending says whether it is compressed (.nii.gz) or not (.nii).
func WriteNIfTI(path string, v *Volume) error {
	return writeNIfTI(path, v.Geometry, encodeNIfTIHeader(v.Geometry, niftiFloat32, 32), func(w io.Writer) error {
		row := make([]byte, 4*v.Size[0])
		for n := 0; n < len(v.Data); n += v.Size[0] {
			for i, x := range v.Data[n : n+v.Size[0]] {
				binary.LittleEndian.PutUint32(row[4*i:], math.Float32bits(x))
			}
			if _, err := w.Write(row); err != nil {
				return err
			}
		}
		return nil
	})
}

// WriteMaskNIfTI writes a mask as uint8, 0 and 1.
func WriteMaskNIfTI(path string, m *Mask) error {
	return writeNIfTI(path, m.Geometry, encodeNIfTIHeader(m.Geometry, niftiUint8, 8), func(w io.Writer) error {
		_, err := w.Write(m.Data)
		return err
	})
}

func writeNIfTI(path string, g Geometry, header []byte, voxels func(io.Writer) error) error {
	for a := range 3 {
		if g.Size[a] < 1 || g.Size[a] > math.MaxInt16 {
			return fmt.Errorf("writing NIfTI %s: %d samples along axis %d do not fit the format", path, g.Size[a], a)
		}
	}
	err := durable.WriteFile(path, func(w io.Writer) error {
		b := bufio.NewWriterSize(w, 1<<20)
		if !strings.HasSuffix(path, ".gz") {
			if err := writeTo(b, header, voxels); err != nil {
				return err
			}
			return b.Flush()
		}
		z, err := gzip.NewWriterLevel(b, gzip.BestSpeed)
		if err != nil {
			return err
		}
		if err := writeTo(z, header, voxels); err != nil {
			return err
		}
		if err := z.Close(); err != nil {
			return err
		}
		return b.Flush()
	})
	if err != nil {
		return fmt.Errorf("writing NIfTI: %w", err)
	}
	return nil
}

func writeTo(w io.Writer, header []byte, voxels func(io.Writer) error) error {
	if _, err := w.Write(header); err != nil {
		return err
	}
	return voxels(w)
}

// encodeNIfTIHeader gives the header and the empty extension flags; sform and qform say the same.
func encodeNIfTIHeader(g Geometry, kind, bits uint16) []byte {
	h := make([]byte, niftiHeader+4)
	le := binary.LittleEndian
	float := func(at int, x float64) { le.PutUint32(h[at:], math.Float32bits(float32(x))) }
	le.PutUint32(h, niftiHeader)
	le.PutUint16(h[40:], 3)
	for a := range 7 {
		le.PutUint16(h[42+2*a:], 1)
		float(80+4*a, 1)
	}
	var m [3][4]float64
	for a := range 3 {
		le.PutUint16(h[42+2*a:], uint16(g.Size[a]))
		float(80+4*a, g.Spacing[a])
	}
	for r, sign := range [3]float64{-1, -1, 1} { // LPS → RAS
		for a := range 3 {
			m[r][a] = sign * g.Direction[a][r]
		}
		m[r][3] = sign * g.Origin[r]
	}
	b, c, d, qfac := quaternion(m)
	float(76, qfac)
	le.PutUint16(h[70:], kind)
	le.PutUint16(h[72:], bits)
	float(108, niftiHeader+4)
	float(112, 1)
	h[123] = 2 // mm
	le.PutUint16(h[252:], 1)
	le.PutUint16(h[254:], 1)
	for i, x := range [3]float64{b, c, d} {
		float(256+4*i, x)
	}
	for r := range 3 {
		float(268+4*r, m[r][3])
		for a := range 3 {
			float(280+16*r+4*a, m[r][a]*g.Spacing[a])
		}
		float(292+16*r, m[r][3])
	}
	copy(h[344:], "n+1\x00")
	return h
}

// quaternion gives b, c, d and qfac of nifti1.h for a matrix of orthonormal columns.
func quaternion(m [3][4]float64) (b, c, d, qfac float64) {
	var r [3][3]float64
	for i := range 3 {
		copy(r[i][:], m[i][:3])
	}
	qfac = 1
	det := r[0][0]*(r[1][1]*r[2][2]-r[1][2]*r[2][1]) - r[0][1]*(r[1][0]*r[2][2]-r[1][2]*r[2][0]) + r[0][2]*(r[1][0]*r[2][1]-r[1][1]*r[2][0])
	if det < 0 {
		qfac = -1
		for i := range 3 {
			r[i][2] = -r[i][2]
		}
	}
	// The largest of the four components is taken from the diagonal, the others from sums and differences with it.
	t := [4]float64{1 + r[0][0] + r[1][1] + r[2][2], 1 + r[0][0] - r[1][1] - r[2][2], 1 - r[0][0] + r[1][1] - r[2][2], 1 - r[0][0] - r[1][1] + r[2][2]}
	best := 0
	for i := range t {
		if t[i] > t[best] {
			best = i
		}
	}
	s := math.Sqrt(t[best]) / 2
	q := 1 / (4 * s)
	var a float64
	switch best {
	case 0:
		a, b, c, d = s, (r[2][1]-r[1][2])*q, (r[0][2]-r[2][0])*q, (r[1][0]-r[0][1])*q
	case 1:
		a, b, c, d = (r[2][1]-r[1][2])*q, s, (r[0][1]+r[1][0])*q, (r[0][2]+r[2][0])*q
	case 2:
		a, b, c, d = (r[0][2]-r[2][0])*q, (r[0][1]+r[1][0])*q, s, (r[1][2]+r[2][1])*q
	default:
		a, b, c, d = (r[1][0]-r[0][1])*q, (r[0][2]+r[2][0])*q, (r[1][2]+r[2][1])*q, s
	}
	if a < 0 { // nifti1.h wants a ≥ 0
		b, c, d = -b, -c, -d
	}
	return b, c, d, qfac
}
