package segment

import (
	"errors"
	"testing"

	"rfanode/analysis/phantom"
	"rfanode/analysis/volume"
)

// Lungs that a model has found are completed as our own are: both ways must give the same hull and sides.
func TestLungsFromMasks(t *testing.T) {
	pair, err := phantom.Pair(t.Context(), phantom.Options{Seed: 2, Size: 96, SliceMM: 5})
	if err != nil {
		t.Fatal(err)
	}
	own, err := FindLungs(t.Context(), pair.Pre.Volume)
	if err != nil {
		t.Fatal(err)
	}
	right, left := volume.Intersect(own.Mask, own.Right), volume.Intersect(own.Mask, own.Left)
	got, err := LungsFromMasks(t.Context(), right, left)
	if err != nil {
		t.Fatal(err)
	}
	for name, m := range map[string][2]*volume.Mask{"mask": {got.Mask, own.Mask}, "hull": {got.Hull, own.Hull}, "right": {got.Right, own.Right}, "left": {got.Left, own.Left}} {
		d := 2 * float64(volume.Intersect(m[0], m[1]).Count()) / float64(m[0].Count()+m[1].Count())
		if d < 0.98 { // the way to the work grid and back rounds the surface once more
			t.Errorf("%s: Dice %.3f", name, d)
		}
	}
	empty := volume.NewMask(right.Geometry)
	if one, err := LungsFromMasks(t.Context(), right, empty); err != nil || one.Left.Count() != 0 || one.Right.Count() == 0 {
		t.Errorf("one lung: %v", err)
	}
	if _, err := LungsFromMasks(t.Context(), empty, empty); !errors.Is(err, ErrNoLungs) {
		t.Errorf("no lung: %v", err)
	}
}
