package segment

import (
	"strings"
	"testing"

	"rfanode/analysis/volume"
)

// A model's mask is judged like any other: a wrong result is worse than none.
func TestExchangedIsJudged(t *testing.T) {
	g := volume.Axial([3]int{60, 60, 60}, [3]float64{1, 1, 1}, volume.Vec{})
	ball := func(x, r int) *volume.Mask {
		m := volume.NewMask(g)
		for k := range 60 {
			for j := range 60 {
				for i := range 60 {
					if (i-x)*(i-x)+(j-30)*(j-30)+(k-30)*(k-30) <= r*r {
						m.Data[m.Offset(i, j, k)] = 1
					}
				}
			}
		}
		return m
	}
	lungs := &Lungs{Hull: ball(25, 24)}
	found := Lesion{GTR: Structure{Mask: ball(25, 6)}, PTZ: Structure{Mask: ball(25, 12)}}
	for name, tc := range map[string]struct {
		gtr, ptz *volume.Mask
		says     string
	}{
		"the same":             {ball(25, 6), ball(25, 12), ""},
		"a little larger":      {ball(25, 7), nil, ""},
		"another place":        {ball(37, 6), nil, "disagree on the tumour"},
		"many times the size":  {ball(25, 20), nil, "33.4"},
		"outside of the lungs": {ball(55, 6), nil, "outside of the lungs"},
		"a speck":              {ball(25, 1), nil, "expected"},
		"zone like the tumour": {nil, ball(25, 6), "not larger than"},
	} {
		got := found.Exchanged(tc.gtr, tc.ptz, lungs, lungs)
		text := strings.Join(got.HoldReasons, "; ")
		if (tc.says == "") != (text == "") || !strings.Contains(text, tc.says) {
			t.Errorf("%s: %q; it should say %q", name, text, tc.says)
		}
	}
	if len(found.HoldReasons) != 0 {
		t.Error("the lesion that was given has changed")
	}
}
