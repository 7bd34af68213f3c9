package ct

import (
	"context"
	"fmt"

	"rfanode/analysis/volume"
)

// Stack is a series whose slices are read one at a time, for work that needs a part of a large CT only.
type Stack struct {
	Series  *Series // as LoadDir gives it, but Volume.Data is empty
	sorted  []InstanceHeader
	tables  map[scaling][]float32
	integer bool
}

// OpenDir is LoadDir without the pixels.
func OpenDir(ctx context.Context, dir string) (*Stack, error) {
	headers, err := theSeries(ctx, dir)
	if err != nil {
		return nil, err
	}
	sorted, g, err := stack(headers)
	if err != nil {
		return nil, fmt.Errorf("reading CT from %s: %w", dir, err)
	}
	s := &Stack{Series: &Series{Header: sorted[0].Header, Volume: &volume.Volume{Geometry: g}}, sorted: sorted, tables: map[scaling][]float32{}, integer: true}
	for i := range sorted {
		h := &sorted[i]
		s.Series.Instances = append(s.Series.Instances, Instance{SOPClassUID: h.SOPClassUID, SOPInstanceUID: h.SOPInstanceUID, InstanceNumber: h.InstanceNumber, Frame: h.Frame})
		s.integer = s.integer && h.Slope == float64(int(h.Slope)) && h.Intercept == float64(int(h.Intercept))
	}
	return s, nil
}

// Integer reports whether all HU are whole numbers, by slope and intercept.
func (s *Stack) Integer() bool { return s.integer }

// Slice reads slice k in HU, as Load does; out holds a value for each pixel. Not for use by several goroutines at a time.
func (s *Stack) Slice(k int, out []float32) error {
	g := s.Series.Volume.Geometry
	if k < 0 || k >= len(s.sorted) || len(out) != g.Size[0]*g.Size[1] {
		return fmt.Errorf("slice %d of %d, room for %d pixels of %d", k+1, len(s.sorted), len(out), g.Size[0]*g.Size[1])
	}
	h := &s.sorted[k]
	scale := h.scaling()
	if s.tables[scale] == nil {
		s.tables[scale] = scale.hounsfield()
	}
	return h.readPixels(out, s.tables[scale])
}
