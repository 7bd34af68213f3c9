package ct

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"rfanode/analysis/volume"
)

// Air is the lowest value of a volume, HU: padding and what scanners write outside the field of view become air.
const Air = -1024

// Load reads the instances of one series, in any order, as a volume. Stored values become HU by the slice's own rescale
// slope and intercept (PS3.3 C.11.1.1.2); padding (0028,0120) and everything below -1024 HU becomes -1024. A set that is
// no regular stack is refused with a *StackError.
func Load(ctx context.Context, paths []string) (*Series, error) {
	headers, err := readHeaders(ctx, paths)
	if err != nil {
		return nil, err
	}
	return loadStack(ctx, headers)
}

func readHeaders(ctx context.Context, paths []string) ([]InstanceHeader, error) {
	frames := make([][]InstanceHeader, len(paths))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, path := range paths {
		group.Go(func() (err error) {
			if err = ctx.Err(); err == nil {
				frames[i], err = ReadFrames(path)
			}
			return err
		})
	}
	err := group.Wait()
	return slices.Concat(frames...), err
}

func loadStack(ctx context.Context, headers []InstanceHeader) (*Series, error) {
	sorted, g, err := stack(headers)
	if err != nil {
		return nil, err
	}
	s := &Series{Header: sorted[0].Header, Volume: volume.New(g), Instances: make([]Instance, len(sorted))}
	n := g.Size[0] * g.Size[1]
	tables := map[scaling][]float32{} // usually one for all slices
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for k := range sorted {
		h := &sorted[k]
		s.Instances[k] = Instance{SOPClassUID: h.SOPClassUID, SOPInstanceUID: h.SOPInstanceUID, InstanceNumber: h.InstanceNumber, Frame: h.Frame}
		if !h.Acquired.IsZero() && (s.Acquired.IsZero() || h.Acquired.Before(s.Acquired)) {
			s.Acquired = h.Acquired
		}
		s.LossyCompression = s.LossyCompression || h.LossyCompression
		scale := h.scaling()
		if tables[scale] == nil {
			tables[scale] = scale.hounsfield()
		}
		table := tables[scale]
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return h.readPixels(s.Volume.Data[k*n:][:n], table)
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return s, nil
}

// scaling is how a slice's pixel cells become HU.
type scaling struct {
	slope, intercept float64
	stored, high     int // bits stored, high bit
	signed, padded   bool
	padding          paddingRange
}

func (h *InstanceHeader) scaling() scaling {
	s := scaling{slope: h.Slope, intercept: h.Intercept, stored: h.BitsStored, high: h.HighBit, signed: h.Signed}
	if h.padding != nil {
		s.padded, s.padding = true, *h.padding
	}
	return s
}

// hounsfield maps every 16-bit pattern of a pixel cell to HU.
func (s scaling) hounsfield() []float32 {
	table := make([]float32, 1<<16)
	down, spare := s.high+1-s.stored, 32-s.stored
	for cell := range table {
		bits := uint32(cell) >> down << spare
		value := int32(bits >> spare)
		if s.signed {
			value = int32(bits) >> spare
		}
		hu := float32(s.slope*float64(value) + s.intercept)
		if s.isPadding(uint16(cell), value) || hu < Air {
			hu = Air
		}
		table[cell] = hu
	}
	return table
}

// isPadding reports whether a cell is padding: by its whole pattern, because some senders pad with values beyond the
// bits stored, or by its value.
func (s scaling) isPadding(cell uint16, value int32) bool {
	if !s.padded {
		return false
	}
	a, b, whole := int32(s.padding.value), int32(s.padding.limit), int32(cell)
	if s.signed {
		a, b, whole = int32(int16(s.padding.value)), int32(int16(s.padding.limit)), int32(int16(cell))
	}
	lo, hi := min(a, b), max(a, b)
	return lo <= value && value <= hi || lo <= whole && whole <= hi
}

// LoadDir reads the series in a folder and its subfolders: the only one, or the only regular CT stack among localizers,
// reports and the like. No such series, or several, is an error that names what is there.
func LoadDir(ctx context.Context, dir string) (*Series, error) {
	headers, err := theSeries(ctx, dir)
	if err != nil {
		return nil, err
	}
	s, err := loadStack(ctx, headers)
	if err != nil {
		return nil, fmt.Errorf("reading CT from %s: %w", dir, err)
	}
	return s, nil
}

// theSeries finds the headers of the series that LoadDir reads.
func theSeries(ctx context.Context, dir string) ([]InstanceHeader, error) {
	series, err := scan(ctx, dir)
	if err != nil {
		return nil, fmt.Errorf("reading CT from %s: %w", dir, err)
	}
	var good [][]InstanceHeader
	var names, faults []string
	var fault error
	for _, headers := range series {
		name := describe(headers)
		if err := CheckStack(headers); err != nil {
			fault = err
			faults = append(faults, name+": "+err.Error())
			continue
		}
		good = append(good, headers)
		names = append(names, name)
	}
	switch {
	case len(series) == 0:
		return nil, fmt.Errorf("reading CT from %s: there are no DICOM files", dir)
	case len(good) == 0 && len(series) == 1:
		return nil, fmt.Errorf("reading CT from %s: %w", dir, fault)
	case len(good) == 0:
		return nil, fmt.Errorf("reading CT from %s: none of the %d series is a usable CT: %s", dir, len(series), strings.Join(faults, "; "))
	case len(good) > 1:
		return nil, fmt.Errorf("reading CT from %s: %d CT series are there, name the folder of one: %s", dir, len(good), strings.Join(names, "; "))
	}
	return good[0], nil
}

// scan groups the DICOM files below dir by series, in the order of their UIDs. Files that are no DICOM are passed over.
func scan(ctx context.Context, dir string) ([][]InstanceHeader, error) {
	bySeries := map[string][]InstanceHeader{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if !entry.Type().IsRegular() || strings.EqualFold(entry.Name(), "DICOMDIR") {
			return nil
		}
		frames, err := ReadFrames(path)
		switch {
		case errors.Is(err, ErrNotDICOM):
			return nil
		case err != nil:
			return err
		}
		uid := frames[0].SeriesInstanceUID
		bySeries[uid] = append(bySeries[uid], frames...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	uids := make([]string, 0, len(bySeries))
	for uid := range bySeries {
		uids = append(uids, uid)
	}
	slices.Sort(uids)
	var out [][]InstanceHeader
	for _, uid := range uids {
		out = append(out, bySeries[uid])
	}
	return out, nil
}

// describe names a series as a person finds it, without naming the patient.
func describe(headers []InstanceHeader) string {
	h := headers[0]
	return fmt.Sprintf("series %s %q (%s, %d images)", h.SeriesNumber, h.SeriesDescription, h.Modality, len(headers))
}
