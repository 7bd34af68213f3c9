package segment

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"rfanode/analysis/register"
	"rfanode/analysis/volume"
)

// twoUnderOneZone is a pair that the program cannot decide: two nodules in one zone.
func twoUnderOneZone(t *testing.T) (in LesionInput, a, b volume.Vec) {
	a, b = volume.Vec{-75, 8, 10}, volume.Vec{-75, 32, 10}
	return scans(t, []shape{tumourAt(a, 6), tumourAt(b, 6)}, zoneAt(volume.Vec{-75, 20, 10}, 21)), a, b
}

// A point on a nodule says which of two was treated: within it, or near it.
func TestMarkedNodule(t *testing.T) {
	in, a, b := twoUnderOneZone(t)
	if l := one(t, in); !strings.Contains(strings.Join(l.HoldReasons, "; "), "two nodules") {
		t.Fatalf("held for %q: this pair does not ask for a point", l.HoldReasons)
	}
	for _, c := range []struct {
		name  string
		point volume.Vec
		want  volume.Vec
	}{
		{"within the first", volume.Vec{a[0] + 2, a[1], a[2]}, a},
		{"within the second", b, b},
		{"7 mm beside the second", volume.Vec{b[0], b[1] + 13, b[2]}, b},
	} {
		in.Marks = Marks{PreAt: &c.point}
		l := one(t, in)
		if !l.Marked || l.held() {
			t.Errorf("%s: marked %v, held %q", c.name, l.Marked, l.HoldReasons)
		}
		wantShape(t, c.name, l.GTR.Level, register.Identity(), ball(c.want, 6, 0), c.want, 20, 0.90, 0.12)
	}
}

// Where there is no dense candidate, the tumour is grown from the point: here ground glass.
func TestMarkedGroundGlass(t *testing.T) {
	in := everyday(t)
	c := treated
	in.Pre, in.PreLungs = chest(chestGrid(2, 4), nil, inLung(ball(c, 9, -550))), nil
	in = withLungs(t, in)
	in.Marks = Marks{PreAt: &c}
	l := one(t, in)
	if all := strings.Join(l.HoldReasons, "; "); !strings.Contains(all, "ground glass") {
		t.Errorf("held for %q, want ground glass: a point does not make its outline surer", all)
	}
	wantShape(t, "GTR", l.GTR.Level, register.Identity(), ball(c, 9, 0), c, 25, 0.85, 0.15) // the Dice asked for on real CT
}

// A point on post says which of two opacities is the zone; one that no opacity is near is refused.
func TestMarkedZone(t *testing.T) {
	a, b := volume.Vec{-75, 20, 10}, volume.Vec{75, 20, 10}
	in := scans(t, []shape{tumourAt(a, 7), tumourAt(b, 7)}, append(zoneAt(a, 17), zoneAt(b, 15)...))
	at := toPost(b)
	in.Marks = Marks{PostAt: &at}
	l, err := Lesions(context.Background(), in)
	if err != nil || len(l) != 2 {
		t.Fatalf("%v; %d lesions, want both: the program had found the marked one by itself", err, len(l))
	}
	if !l[0].Marked || l[0].Laterality != "L" || l[1].Marked {
		t.Errorf("first lesion: marked %v, side %s", l[0].Marked, l[0].Laterality)
	}
	far := toPost(volume.Vec{75, -40, -40})
	in.Marks = Marks{PostAt: &far}
	var none *NoLesionError
	if _, err := Lesions(context.Background(), in); !errors.As(err, &none) {
		t.Errorf("a point in healthy lung: %v", err)
	}
}

// What is drawn is taken voxel for voxel, also where the program itself finds no tumour, and the other structure is
// found around it.
func TestDrawn(t *testing.T) {
	in, c := everyday(t), treated
	inBall := func(g volume.Geometry, c volume.Vec, r float64) *volume.Mask {
		m := volume.NewMask(g)
		for k := range g.Size[2] {
			for j := range g.Size[1] {
				for i := range g.Size[0] {
					p := g.Point(volume.Vec{float64(i), float64(j), float64(k)})
					if math.Sqrt(sq(p[0]-c[0])+sq(p[1]-c[1])+sq(p[2]-c[2])) <= r {
						m.Data[g.Offset(i, j, k)] = 1
					}
				}
			}
		}
		return m
	}
	in.Pre, in.PreLungs = chest(chestGrid(2, 4), nil), nil // no tumour to see
	in = withLungs(t, in)
	gtr := inBall(in.Pre.Geometry, c, 10)
	in.Marks = Marks{GTR: gtr}
	l := one(t, in)
	if l.held() || !l.Marked || l.GTR.Mask != gtr {
		t.Errorf("held %q, marked %v, the mask itself %v", l.HoldReasons, l.Marked, l.GTR.Mask == gtr)
	}
	wantShape(t, "PTZ", l.PTZ.Level, breath, ball(c, 17, 0), toPost(c), 35, 0.95, 0.06)

	in = everyday(t)
	ptz := inBall(in.Post.Geometry, toPost(c), 13)
	in.Marks = Marks{PTZ: ptz}
	l = one(t, in)
	if l.held() || l.PTZ.Mask != ptz {
		t.Errorf("held %q, the mask itself %v", l.HoldReasons, l.PTZ.Mask == ptz)
	}
	wantShape(t, "GTR", l.GTR.Level, register.Identity(), ball(c, 8, 0), c, 25, 0.90, 0.12)

	elsewhere := inBall(in.Pre.Geometry, volume.Vec{75, -20, -20}, 8)
	in.Marks = Marks{GTR: elsewhere}
	var none *NoLesionError
	if _, err := Lesions(context.Background(), in); !errors.As(err, &none) {
		t.Errorf("a tumour drawn where nothing has changed: %v", err)
	}
}
