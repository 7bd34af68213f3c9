package segment

import (
	"math"
	"testing"

	"rfanode/analysis/volume"
)

// On slices of 5 mm the level must keep the volume that voxels lose: coverage stands on it.
func TestLevelOfThickSlices(t *testing.T) {
	ct := volume.Axial([3]int{60, 60, 12}, [3]float64{0.7, 0.7, 5}, volume.Vec{})
	for _, radius := range []float64{5, 8, 13} {
		c := volume.Vec{21.2, 20.7, 26.5}
		r := newRegion(ct, [3]int{1, 1, 1}, [3]int{58, 58, 10})
		fine := volume.New(r.Geometry)
		s := ball(c, radius, 0)
		for k := range r.Size[2] {
			for j := range r.Size[1] {
				for i := range r.Size[0] {
					fine.Data[r.Offset(i, j, k)] = float32(s.depth(r.Point(volume.Vec{float64(i), float64(j), float64(k)})))
				}
			}
		}
		level, n := r.level(fine), 0
		for k := range 56 {
			for j := range 42 {
				for i := range 42 {
					if level.AtSlices(level.Index(volume.Vec{float64(i), float64(j), float64(k)}), -1) > 0 {
						n++
					}
				}
			}
		}
		truth := 4.0 / 3 * math.Pi * radius * radius * radius
		if ratio := float64(n) / truth; math.Abs(ratio-1) > 0.02 {
			t.Errorf("radius %.0f mm: the level holds %.3f of the volume", radius, ratio)
		}
		if ratio := r.slab(fine).VolumeML() * 1000 / truth; math.Abs(ratio-1) > 0.1 {
			t.Errorf("radius %.0f mm: the voxels hold %.3f of the volume", radius, ratio)
		}
	}
}

// The work grid must place averaged voxels where their blocks are, and masks must come back in place.
func TestWorkGrid(t *testing.T) {
	g := volume.Axial([3]int{41, 30, 9}, [3]float64{0.7, 0.7, 1}, volume.Vec{-10, 5, 3})
	v := volume.New(g)
	m := volume.NewMask(g)
	for k := range g.Size[2] {
		for j := range g.Size[1] {
			for i := range g.Size[0] {
				p := g.Point(volume.Vec{float64(i), float64(j), float64(k)})
				v.Data[g.Offset(i, j, k)] = float32(p[0] + 2*p[1] + 3*p[2])
				if p[0] > -3 && p[0] < 8 && p[1] > 10 && p[1] < 20 {
					m.Data[g.Offset(i, j, k)] = 1
				}
			}
		}
	}
	w := workVolume(v)
	for _, idx := range [][3]int{{0, 0, 0}, {7, 3, 2}, {19, 14, 3}} {
		p := w.Point(volume.Vec{float64(idx[0]), float64(idx[1]), float64(idx[2])})
		if d := float64(w.Data[w.Offset(idx[0], idx[1], idx[2])]) - (p[0] + 2*p[1] + 3*p[2]); math.Abs(d) > 1e-3 {
			t.Errorf("voxel %v is off by %.4f", idx, d)
		}
	}
	coarse := volume.Threshold(share(m), 0.5, 2)
	wrong := 0
	for i, x := range toGrid(coarse, g).Data {
		if x != m.Data[i] {
			wrong++
		}
	}
	if limit := m.Count() / 8; wrong > limit {
		t.Errorf("%d of %d voxels differ after the way to the work grid and back", wrong, m.Count())
	}
}

func TestHullShare(t *testing.T) {
	g := volume.Axial([3]int{10, 10, 3}, [3]float64{1, 1, 5}, volume.Vec{})
	m, hull := volume.NewMask(g), volume.NewMask(g)
	for j := range 10 {
		for i := range 10 {
			if i < 6 {
				hull.Data[g.Offset(i, j, 1)] = 1
				if i > 1 && j > 2 && j < 7 { // a 4 × 4 block whose right side is the hull's
					m.Data[g.Offset(i, j, 1)] = 1
				}
			}
		}
	}
	if s := hullShare(m, hull); s != 0.25 {
		t.Errorf("share %.3f, want 0.25", s)
	}
}

// The zone's surface within the tumour is the visible surface continued, not the chord of its outline.
func TestThroughTumour(t *testing.T) {
	g := volume.Axial([3]int{60, 60, 60}, [3]float64{1, 1, 1}, volume.Vec{-30, -30, -30})
	zone := ellipsoid(volume.Vec{0, 0, 0}, volume.Vec{17, 14, 20}, 0)
	tumour := ball(volume.Vec{13, 2, 0}, 8, 0)
	body, old, hull, want := volume.NewMask(g), volume.NewMask(g), volume.NewMask(g), volume.NewMask(g)
	for k := range 60 {
		for j := range 60 {
			for i := range 60 {
				o, p := g.Offset(i, j, k), g.Point(volume.Vec{float64(i), float64(j), float64(k)})
				z, n := zone.depth(p) > 0, tumour.depth(p) > 0
				hull.Data[o] = 1
				if n {
					old.Data[o] = 1
					if z {
						want.Data[o] = 1
					}
				} else if z {
					body.Data[o] = 1
				}
			}
		}
	}
	got := volume.Intersect(throughTumour(body, old, body, hull), old)
	if dice := 2 * float64(volume.Intersect(got, want).Count()) / float64(got.Count()+want.Count()); dice < 0.98 {
		t.Errorf("Dice of the zone within the tumour %.3f, want 0.98", dice)
	}
	if q, ok := continued(hull, body.Centroid()); ok {
		t.Errorf("a full box has a smooth surface: %+v", q)
	}
}
