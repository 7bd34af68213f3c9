package radiomics

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"rfanode/analysis/volume"
)

// openNIfTI reads the header of a NIfTI-1 file (nifti1.h) as ITK does: spacing from pixdim, axes and origin from sform,
// else qform, turned from RAS to LPS. volume.ReadNIfTI takes the spacing from sform, which can differ in the last bit;
// here that would move voxels.
func openNIfTI(path string) (source, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s := &fileSource{path: path, whole: true, order: binary.LittleEndian}
	var r io.Reader = f
	var magic [2]byte
	if _, err := io.ReadFull(f, magic[:]); err != nil {
		return nil, fmt.Errorf("the file has no header: %w", err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	if magic == [2]byte{0x1f, 0x8b} {
		r = newGunzip(f)
	} else {
		s.whole = false
	}
	h := make([]byte, 348)
	if _, err := io.ReadFull(r, h); err != nil {
		return nil, fmt.Errorf("the header of 348 bytes is cut short: %w", err)
	}
	if s.order.Uint32(h) != 348 {
		s.order = binary.BigEndian
	}
	if s.order.Uint32(h) != 348 || string(h[344:347]) != "n+1" {
		return nil, errors.New("no NIfTI-1 file with header and voxels in one")
	}
	short := func(at int) int { return int(int16(s.order.Uint16(h[at:]))) }
	float := func(at int) float64 { return float64(math.Float32frombits(s.order.Uint32(h[at:]))) }
	dims := short(40)
	for a := 1; a <= 7; a++ {
		n := 1
		if a <= dims {
			n = short(40 + 2*a)
		}
		if a > 3 && n > 1 {
			return nil, fmt.Errorf("dimension %d has %d samples: a volume of three dimensions is needed", a, n)
		}
		if a <= 3 {
			s.g.Size[a-1] = n
		}
	}
	unit := map[int]float64{1: 1000, 3: 0.001}[int(h[123])&7]
	if unit == 0 {
		unit = 1
	}
	for a := range 3 {
		s.g.Spacing[a] = math.Abs(float(80+4*a)) * unit
	}
	m := niftiMatrix(short, float)
	for r, sign := range [3]float64{-1, -1, 1} {
		s.g.Origin[r] = sign * m[r][3] * unit
	}
	for a := range 3 {
		c := volume.Vec{-m[0][a], -m[1][a], m[2][a]}
		n := math.Sqrt(c[0]*c[0] + c[1]*c[1] + c[2]*c[2])
		for r := range 3 {
			s.g.Direction[a][r] = c[r]/n + 0 // no negative zero
		}
	}
	if s.cell = map[int]cellType{2: cellUint8, 4: cellInt16, 8: cellInt32, 16: cellFloat, 64: cellDouble, 256: cellInt8, 512: cellUint16,
		768: cellUint32, 1024: cellInt64, 1280: cellUint64}[short(70)]; s.cell.bytes == 0 {
		return nil, fmt.Errorf("data type %d is not supported", short(70))
	}
	if s.slope, s.offset = float(112), float(116); s.slope == 0 {
		s.slope, s.offset = 1, 0
	}
	if skip := float(108); skip >= 348 && skip < 1<<30 {
		s.skip = int64(skip)
	} else {
		return nil, fmt.Errorf("vox_offset %g is impossible", skip)
	}
	if math.IsNaN(s.slope) || math.IsInf(s.slope, 0) || math.IsNaN(s.offset) || math.IsInf(s.offset, 0) {
		return nil, errors.New("scl_slope or scl_inter is no finite number")
	}
	return s, checkGrid(s.g)
}

// niftiMatrix maps voxel indices to RAS mm.
func niftiMatrix(short func(int) int, float func(int) float64) (m [3][4]float64) {
	switch {
	case short(254) > 0:
		for r := range 3 {
			for c := range 4 {
				m[r][c] = float(280 + 16*r + 4*c)
			}
		}
	case short(252) > 0:
		b, c, d := float(256), float(260), float(264)
		a := math.Sqrt(max(0, 1-b*b-c*c-d*d))
		m = [3][4]float64{
			{a*a + b*b - c*c - d*d, 2 * (b*c - a*d), 2 * (b*d + a*c), float(268)},
			{2 * (b*c + a*d), a*a + c*c - b*b - d*d, 2 * (c*d - a*b), float(272)},
			{2 * (b*d - a*c), 2 * (c*d + a*b), a*a + d*d - b*b - c*c, float(276)}}
		if float(76) < 0 {
			for r := range 3 {
				m[r][2] = -m[r][2]
			}
		}
	default:
		m = [3][4]float64{{-1, 0, 0, 0}, {0, -1, 0, 0}, {0, 0, 1, 0}}
	}
	return m
}
