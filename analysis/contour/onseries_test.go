package contour

import (
	"testing"

	"rfanode/analysis/ct"
	"rfanode/analysis/volume"
)

// A mark on a frame of a multi-frame CT lies in that frame's slice.
func TestPointOnAFrame(t *testing.T) {
	g := volume.Axial([3]int{10, 10, 20}, [3]float64{1, 1, 2}, volume.Vec{})
	series := &ct.Series{Volume: volume.New(g)}
	for k := range 20 {
		series.Instances = append(series.Instances, ct.Instance{SOPInstanceUID: "1.2", Frame: 20 - k})
	}
	for frame, want := range map[int]float64{20: 0, 17: 6, 1: 38} {
		c := &Contour{Structures: []Structure{{points: []somewhere{{point: volume.Vec{3.5, 4.5}, instance: "1.2", frame: frame}}}}}
		if p, err := c.Point(series, 0); err != nil || p != (volume.Vec{3, 4, want}) {
			t.Errorf("frame %d: %v, %v", frame, p, err)
		}
	}
	c := &Contour{Structures: []Structure{{points: []somewhere{{instance: "1.2"}}}}}
	if _, err := c.Point(series, 0); problemOf(err) != OtherScan {
		t.Errorf("no frame stated: %v", err)
	}
}
