package ct

import (
	"reflect"
	"slices"
	"testing"
)

// Slice by slice gives what all at once gives.
func TestOpenDir(t *testing.T) {
	dir := t.TempDir()
	small().write(t, dir, explicitLittle, nil)
	whole, err := LoadDir(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := OpenDir(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if s.Series.Volume.Geometry != whole.Volume.Geometry || !reflect.DeepEqual(s.Series.Instances, whole.Instances) || !s.Integer() {
		t.Errorf("grid %v, %d instances, whole numbers %v", s.Series.Volume.Geometry, len(s.Series.Instances), s.Integer())
	}
	g := whole.Volume.Geometry
	n := g.Size[0] * g.Size[1]
	out := make([]float32, n)
	for k := g.Size[2] - 1; k >= 0; k-- {
		if err := s.Slice(k, out); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(out, whole.Volume.Data[k*n:][:n]) {
			t.Errorf("slice %d differs", k)
		}
	}
	if s.Slice(-1, out) == nil || s.Slice(g.Size[2], out) == nil || s.Slice(0, out[1:]) == nil {
		t.Error("a slice that is not there, or does not fit, is read")
	}
	if _, err := OpenDir(t.Context(), t.TempDir()); err == nil {
		t.Error("an empty folder is opened")
	}
}
