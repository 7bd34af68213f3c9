package register

import (
	"context"
	"errors"
	"math"
	"testing"

	"rfanode/analysis/volume"
)

// ramp is a volume whose value is linear in space, so that trilinear interpolation is exact.
func ramp(g volume.Geometry) *volume.Volume {
	v := volume.New(g)
	for k := range g.Size[2] {
		for j := range g.Size[1] {
			for i := range g.Size[0] {
				p := g.Point(volume.Vec{float64(i), float64(j), float64(k)})
				v.Data[g.Offset(i, j, k)] = float32(10 + p[0] - 2*p[1] + 3*p[2])
			}
		}
	}
	return v
}

// onlyMap hides that a transform is an affine, so that every voxel is mapped by itself.
type onlyMap struct{ Transform }

func TestWarpVolumeOnAnyGrids(t *testing.T) {
	moving := volume.Axial([3]int{30, 28, 20}, [3]float64{2, 2, 3}, volume.Vec{-30, -28, -30})
	turn := rotated(20, volume.Vec{1, 1, 0})
	for a := range 3 {
		moving.Direction[a] = turn.Map(moving.Direction[a])
	}
	moving.Origin = turn.Map(moving.Origin)
	v := ramp(moving)
	a := rotated(10, volume.Vec{0, 1, 1})
	a.T = volume.Vec{3, -2, 1}
	g := volume.Axial([3]int{12, 10, 9}, [3]float64{1.5, 2, 2}, volume.Vec{-8, -9, -8})
	for name, tr := range map[string]Transform{"affine": a, "any transform": onlyMap{a}} {
		out, err := WarpVolume(context.Background(), v, tr, g, -1)
		if err != nil {
			t.Fatal(err)
		}
		for k := range g.Size[2] {
			for j := range g.Size[1] {
				for i := range g.Size[0] {
					q := a.Map(g.Point(volume.Vec{float64(i), float64(j), float64(k)}))
					want := 10 + q[0] - 2*q[1] + 3*q[2]
					if got := float64(out.Data[g.Offset(i, j, k)]); math.Abs(got-want) > 1e-3 {
						t.Fatalf("%s: voxel %d %d %d is %g, want %g", name, i, j, k, got, want)
					}
				}
			}
		}
	}
	far, err := WarpVolume(context.Background(), v, Translation(volume.Vec{500, 0, 0}), g, -1)
	if err != nil {
		t.Fatal(err)
	}
	for o, x := range far.Data {
		if x != -1 {
			t.Fatalf("voxel %d outside of moving is %g, want the outside value", o, x)
		}
	}
}

func TestWarpMaskMovesWholeVoxels(t *testing.T) {
	g := volume.Axial([3]int{10, 10, 10}, [3]float64{1, 1, 2}, volume.Vec{5, 5, 5})
	m := volume.NewMask(g)
	m.Data[g.Offset(6, 3, 4)] = 1
	out, err := WarpMask(context.Background(), m, Translation(volume.Vec{2, -1, 2}), g)
	if err != nil {
		t.Fatal(err)
	}
	if out.Count() != 1 || out.Data[g.Offset(4, 4, 3)] != 1 {
		t.Errorf("a voxel of moving at +(2,-1,2) mm did not come to where fixed sees it (%d set)", out.Count())
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := WarpMask(ctx, m, Identity(), g); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
}

func TestAffineAlgebra(t *testing.T) {
	a := rotated(25, volume.Vec{1, 2, 3})
	a.M[0][1] += 0.2
	a.M[2][2] *= 1.1
	a.T = volume.Vec{10, 20, -30}
	inv, err := a.Inverse()
	if err != nil {
		t.Fatal(err)
	}
	p := volume.Vec{12, -34, 56}
	for name, got := range map[string]volume.Vec{"inverse after": inv.Map(a.Map(p)), "composed": a.Compose(inv).Map(p)} {
		if norm(sub(got, p)) > 1e-9 {
			t.Errorf("%s: %v, want %v", name, got, p)
		}
	}
	if d := rotated(25, volume.Vec{1, 2, 3}).RotationDeg(); math.Abs(d-25) > 1e-6 {
		t.Errorf("rotation by 25 degrees measured as %g", d)
	}
	if _, err := (Affine{}).Inverse(); err == nil {
		t.Error("the zero map has no inverse, yet no error")
	}
	if d := (Affine{}).RotationDeg(); d != 180 {
		t.Errorf("rotation of a singular map: %g, want 180", d)
	}
}
