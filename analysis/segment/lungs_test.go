package segment

import (
	"context"
	"errors"
	"testing"

	"rfanode/analysis/volume"
)

// Without the lungs in the right place every later stage measures nothing or the wrong thing.
func TestFindLungs(t *testing.T) {
	g := chestGrid(2, 4)
	nodule := volume.Vec{-72 - 49, 0, 0} // sits on the lateral pleura of the right lung
	v := chest(g, nil, shape{hu: 40, lung: true, depth: ball(nodule, 9, 0).depth})
	l, err := FindLungs(context.Background(), v)
	if err != nil {
		t.Fatal(err)
	}
	truth, n, wrong, juxta, juxtaIn := 0, 0, 0, 0, 0
	for k := range g.Size[2] {
		for j := range g.Size[1] {
			for i := range g.Size[0] {
				p, o := g.Point(volume.Vec{float64(i), float64(j), float64(k)}), g.Offset(i, j, k)
				r, lf := rightLung.depth(p) > 0, leftLung.depth(p) > 0
				heart := ball(volume.Vec{0, -30, -20}, 38, 0).depth(p) > 0
				in := (r || lf) && !heart
				if in {
					truth++
				}
				if l.Hull.Data[o] != 0 {
					n++
					if !in {
						wrong++
					}
				}
				if r && ball(nodule, 9, 0).depth(p) > 0 {
					juxta++
					juxtaIn += int(l.Hull.Data[o])
				}
				if r && l.Left.Data[o] != 0 || lf && l.Right.Data[o] != 0 {
					t.Fatalf("point %v is on the wrong side", p)
				}
			}
		}
	}
	if dice := 2 * float64(n-wrong) / float64(n+truth); dice < 0.97 {
		t.Errorf("Dice of the hull %.3f, want 0.97", dice)
	}
	// One voxel of 2 mm along the wall is within the rounding of the closing.
	if share := float64(juxtaIn) / float64(juxta); share < 0.75 {
		t.Errorf("only %.2f of the nodule on the pleura is inside the hull", share)
	}
	for _, p := range []volume.Vec{{0, -5, 70}, {0, 0, 25}} {
		if at(l.Hull, p) {
			t.Errorf("the trachea at %v is in the lungs", p)
		}
	}
	if l.CutSuperior || l.CutInferior {
		t.Error("whole lungs reported as cut by the scan range")
	}
}

func at(m *volume.Mask, p volume.Vec) bool {
	i := m.Index(p)
	return m.Data[m.Offset(int(i[0]+0.5), int(i[1]+0.5), int(i[2]+0.5))] != 0
}

// Slices may come feet first; right stays right, and above stays above.
func TestFindLungsReversedAndCut(t *testing.T) {
	g := chestGrid(2, 4)
	v := chest(g, nil)
	keep := g.Size[2] - 14 // cut the top 14 slices off
	r := volume.New(volume.Geometry{Size: [3]int{g.Size[0], g.Size[1], keep}, Spacing: g.Spacing,
		Origin:    g.Point(volume.Vec{0, float64(g.Size[1] - 1), float64(keep - 1)}),
		Direction: [3]volume.Vec{{1, 0, 0}, {0, -1, 0}, {0, 0, -1}}})
	for k := range keep {
		for j := range g.Size[1] {
			copy(r.Data[r.Offset(0, g.Size[1]-1-j, keep-1-k):][:g.Size[0]], v.Data[v.Offset(0, j, k):][:g.Size[0]])
		}
	}
	l, err := FindLungs(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	if !l.CutSuperior || l.CutInferior {
		t.Errorf("cut above %v, below %v; want only above", l.CutSuperior, l.CutInferior)
	}
	if !at(l.Right, volume.Vec{-72, 30, 0}) || !at(l.Left, volume.Vec{72, 30, 0}) {
		t.Error("right and left are wrong in a stack that runs downwards")
	}
}

// Lungs that touch in front of the heart are still two lungs.
func TestFindLungsJoined(t *testing.T) {
	bridge := ellipsoid(volume.Vec{0, -45, 40}, volume.Vec{40, 10, 12}, -850)
	l, err := FindLungs(context.Background(), chest(chestGrid(2, 4), nil, bridge))
	if err != nil {
		t.Fatal(err)
	}
	r, lf := l.Right.VolumeML(), l.Left.VolumeML()
	if r < 900 || lf < 900 {
		t.Errorf("joined lungs of about 1300 mL each split into %.0f and %.0f mL", r, lf)
	}
}

func TestFindLungsNone(t *testing.T) {
	g := chestGrid(4, 5)
	belly := volume.New(g)
	gas := ball(volume.Vec{60, -30, 0}, 45, 0) // 380 mL of gas in a stomach is no lung
	for k := range g.Size[2] {
		for j := range g.Size[1] {
			for i := range g.Size[0] {
				p, o := g.Point(volume.Vec{float64(i), float64(j), float64(k)}), g.Offset(i, j, k)
				belly.Data[o] = -1000
				if ellipsoid(chestCentre, volume.Vec{150, 110, 1e4}, 0).depth(p) > 0 && gas.depth(p) < 0 {
					belly.Data[o] = 40
				}
			}
		}
	}
	if _, err := FindLungs(context.Background(), belly); !errors.Is(err, ErrNoLungs) {
		t.Errorf("error %v, want ErrNoLungs", err)
	}
	coronal := belly
	coronal.Direction = [3]volume.Vec{{1, 0, 0}, {0, 0, -1}, {0, 1, 0}}
	if _, err := FindLungs(context.Background(), coronal); err == nil {
		t.Error("coronal slices accepted")
	}
}

func TestConvexHull(t *testing.T) {
	g := volume.Axial([3]int{9, 7, 1}, [3]float64{1, 1, 1}, volume.Vec{})
	m := volume.NewMask(g)
	for _, p := range [][2]int{{1, 1}, {7, 1}, {1, 5}, {7, 5}, {4, 3}} {
		m.Data[g.Offset(p[0], p[1], 0)] = 1
	}
	if n := convexHull(m).Count(); n != 7*5 {
		t.Errorf("hull of the corners of a 7 × 5 box has %d voxels, want 35", n)
	}
	m.Data[g.Offset(7, 5, 0)] = 0 // a triangle: rows of 7, 5.5, 4, 2.5, 1 voxels, cut off
	m.Data[g.Offset(4, 3, 0)] = 0
	if n := convexHull(m).Count(); n != 7+5+4+2+1 {
		t.Errorf("hull of the triangle has %d voxels, want 19", n)
	}
}
