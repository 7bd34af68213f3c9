package radiomics

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"

	"rfanode/analysis/ct"
	"rfanode/analysis/volume"
)

// ExtractFiles is Extract on files: NIfTI (.nii, .nii.gz), NRRD (.nrrd, .nhdr), for the image also a folder with one
// DICOM CT series. Files are read slice by slice and only what the filters feel is kept.
func ExtractFiles(ctx context.Context, image, mask string, p Profile, o Options) (*Result, error) {
	i, err := open(ctx, image)
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", image, err)
	}
	m, err := open(ctx, mask)
	if err != nil {
		return nil, fmt.Errorf("mask %s: %w", mask, err)
	}
	return extract(ctx, i, m, p, o)
}

// ExtractDrawn is Extract on an image file and a mask that is drawn on its grid: draw gets the series as far as the image
// tells (a DICOM folder: its identity and instances; else only the grid), without the pixels.
func ExtractDrawn(ctx context.Context, image string, draw func(*ct.Series) (*volume.Mask, error), p Profile, o Options) (*Result, error) {
	i, err := open(ctx, image)
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", image, err)
	}
	series := &ct.Series{Volume: &volume.Volume{Geometry: i.geometry()}}
	if s, ok := i.(*stackSource); ok {
		series = s.stack.Series
	}
	m, err := draw(series)
	if err != nil {
		return nil, err
	}
	o.Label = 1
	return extract(ctx, i, maskSource{m}, p, o)
}

func open(ctx context.Context, path string) (source, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		s, err := ct.OpenDir(ctx, path)
		if err != nil {
			return nil, err
		}
		return &stackSource{s}, nil
	}
	switch name := strings.ToLower(path); {
	case strings.HasSuffix(name, ".nii"), strings.HasSuffix(name, ".nii.gz"):
		return openNIfTI(path)
	case strings.HasSuffix(name, ".nrrd"), strings.HasSuffix(name, ".nhdr"):
		return openNRRD(path)
	}
	return nil, errors.New("NIfTI (.nii, .nii.gz), NRRD (.nrrd, .nhdr) or a folder with a DICOM series is needed")
}

// stackSource is a DICOM series, read slice by slice.
type stackSource struct{ stack *ct.Stack }

func (s *stackSource) geometry() volume.Geometry { return s.stack.Series.Volume.Geometry }

func (s *stackSource) kind() pixelKind {
	if s.stack.Integer() {
		return kindInt16
	}
	return kindSingle
}

func (s *stackSource) planes(ctx context.Context, do func(int, []float64) error) error {
	g := s.geometry()
	raw, plane := make([]float32, g.Size[0]*g.Size[1]), make([]float64, g.Size[0]*g.Size[1])
	for k := range g.Size[2] {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.stack.Slice(k, raw); err != nil {
			return err
		}
		for i, v := range raw {
			plane[i] = float64(v)
		}
		if err := do(k, plane); err != nil {
			return err
		}
	}
	return nil
}

// fileSource is an image in a file whose voxels lie one after the other, x fastest.
type fileSource struct {
	path   string
	skip   int64 // bytes before the voxels (before they are unpacked); -1: they are the last bytes of the file
	gz     bool  // the voxels are packed
	whole  bool  // the whole file is packed, its header too, and skip counts unpacked bytes
	order  binary.ByteOrder
	cell   cellType
	g      volume.Geometry
	slope  float64
	offset float64
}

// cellType is how a voxel is stored.
type cellType struct {
	name  string
	bytes int
	kind  pixelKind
}

var (
	cellInt8   = cellType{"int8", 1, pixelKind{integer: true, low: math.MinInt8, high: math.MaxInt8}}
	cellUint8  = cellType{"uint8", 1, pixelKind{integer: true, low: 0, high: math.MaxUint8}}
	cellInt16  = cellType{"int16", 2, kindInt16}
	cellUint16 = cellType{"uint16", 2, pixelKind{integer: true, low: 0, high: math.MaxUint16}}
	cellInt32  = cellType{"int32", 4, pixelKind{integer: true, low: math.MinInt32, high: math.MaxInt32}}
	cellUint32 = cellType{"uint32", 4, pixelKind{integer: true, low: 0, high: math.MaxUint32}}
	cellInt64  = cellType{"int64", 8, pixelKind{integer: true, low: math.MinInt64, high: math.MaxInt64}}
	cellUint64 = cellType{"uint64", 8, pixelKind{integer: true, low: 0, high: math.MaxUint64}}
	cellFloat  = cellType{"float32", 4, kindSingle}
	cellDouble = cellType{"float64", 8, kindDouble}
)

func (s *fileSource) geometry() volume.Geometry { return s.g }

// kind: ITK reads whole numbers that are to be scaled as float32.
func (s *fileSource) kind() pixelKind {
	if s.cell.kind.integer && s.scaled() {
		return kindSingle
	}
	return s.cell.kind
}

func (s *fileSource) scaled() bool { return s.slope != 1 || s.offset != 0 }

// check refuses a grid that cannot be.
func checkGrid(g volume.Geometry) error {
	voxels := 1.0
	for a := range 3 {
		if g.Size[a] < 1 {
			return fmt.Errorf("the image has %d voxels along axis %s", g.Size[a], "xyz"[a:a+1])
		}
		voxels *= float64(g.Size[a])
		if !(g.Spacing[a] > 0) || math.IsInf(g.Spacing[a], 0) {
			return fmt.Errorf("the spacing along axis %s is %g mm", "xyz"[a:a+1], g.Spacing[a])
		}
		for _, v := range append(g.Direction[a][:], g.Origin[a]) {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return errors.New("the header gives no place in space")
			}
		}
	}
	if voxels > math.MaxInt32 {
		return fmt.Errorf("%.0f voxels are more than can be read", voxels)
	}
	return nil
}

func (s *fileSource) planes(ctx context.Context, do func(int, []float64) error) error {
	f, err := os.Open(s.path)
	if err != nil {
		return err
	}
	defer f.Close()
	r, err := s.voxels(f)
	if err != nil {
		return fmt.Errorf("reading %s: %w", filepath.Base(s.path), err)
	}
	n := s.g.Size[0] * s.g.Size[1]
	raw := make([]byte, n*s.cell.bytes)
	plane := make([]float64, n)
	for k := range s.g.Size[2] {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := io.ReadFull(r, raw); err != nil {
			return fmt.Errorf("reading %s: the file ends in slice %d of %d: %w", filepath.Base(s.path), k+1, s.g.Size[2], err)
		}
		s.decode(plane, raw)
		if err := do(k, plane); err != nil {
			return err
		}
	}
	return nil
}

// voxels is the stream of the voxels' bytes.
func (s *fileSource) voxels(f *os.File) (io.Reader, error) {
	if s.whole {
		z := newGunzip(f)
		_, err := io.CopyN(io.Discard, z, s.skip)
		return z, err
	}
	skip := s.skip
	if skip < 0 {
		info, err := f.Stat()
		if err != nil {
			return nil, err
		}
		if skip = info.Size() - int64(s.g.Len())*int64(s.cell.bytes); skip < 0 {
			return nil, errors.New("the file is shorter than its header says")
		}
	}
	if _, err := f.Seek(skip, io.SeekStart); err != nil {
		return nil, err
	}
	if s.gz {
		return newGunzip(f), nil
	}
	return bufio.NewReaderSize(f, 1<<18), nil
}

func (s *fileSource) decode(out []float64, raw []byte) {
	little := s.order == binary.LittleEndian
	switch {
	case s.cell == cellInt16 && little:
		for i := range out {
			out[i] = float64(int16(uint16(raw[2*i]) | uint16(raw[2*i+1])<<8))
		}
	case s.cell == cellUint8:
		for i := range out {
			out[i] = float64(raw[i])
		}
	default:
		for i := range out {
			out[i] = s.value(raw[i*s.cell.bytes:])
		}
	}
	if s.scaled() {
		single := s.kind().single
		for i, v := range out {
			out[i] = v*s.slope + s.offset
			if single {
				out[i] = round32(out[i])
			}
		}
	}
}

func (s *fileSource) value(b []byte) float64 {
	switch s.cell {
	case cellInt8:
		return float64(int8(b[0]))
	case cellInt16:
		return float64(int16(s.order.Uint16(b)))
	case cellUint16:
		return float64(s.order.Uint16(b))
	case cellInt32:
		return float64(int32(s.order.Uint32(b)))
	case cellUint32:
		return float64(s.order.Uint32(b))
	case cellInt64:
		return float64(int64(s.order.Uint64(b)))
	case cellUint64:
		return float64(s.order.Uint64(b))
	case cellFloat:
		return float64(math.Float32frombits(s.order.Uint32(b)))
	case cellDouble:
		return math.Float64frombits(s.order.Uint64(b))
	}
	return float64(b[0])
}
