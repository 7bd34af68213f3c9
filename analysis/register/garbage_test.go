package register

import (
	"context"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"rfanode/analysis/volume"
)

// garbage is a volume of some size in some place that shows nothing, in one of the ways in which real scans can.
func garbage(r *rand.Rand) (*volume.Volume, *volume.Mask) {
	var g volume.Geometry
	for a := range 3 {
		g.Size[a] = 1 + r.IntN(40)
		g.Spacing[a] = 0.3 + 8*r.Float64()
		g.Origin[a] = 1000 * r.NormFloat64()
	}
	turn := rotated(180*r.Float64(), volume.Vec{r.NormFloat64(), r.NormFloat64(), r.NormFloat64()})
	for a := range 3 {
		for c := range 3 {
			g.Direction[a][c] = turn.M[c][a]
		}
	}
	if r.IntN(3) == 0 {
		g.Direction = [3]volume.Vec{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}
	}
	if r.IntN(4) == 0 { // a left-handed stack
		for c := range 3 {
			g.Direction[2][c] *= -1
		}
	}
	v := volume.New(g)
	kind, level := r.IntN(5), float32(2000*r.NormFloat64())
	wave := newField(r.Uint64(), 3+60*r.Float64())
	for k := range g.Size[2] {
		for j := range g.Size[1] {
			for i := range g.Size[0] {
				o := g.Offset(i, j, k)
				switch kind {
				case 0:
					v.Data[o] = level
				case 1:
					v.Data[o] = float32(1000 * r.NormFloat64())
				case 2: // blocks
					v.Data[o] = float32((i/5+j/5+k/5)%3) * 700
				case 3: // a ramp: no block differs from its neighbour
					v.Data[o] = float32(20*i - 10*j)
				case 4:
					v.Data[o] = float32(-600 + 300*wave.at(g.Point(volume.Vec{float64(i), float64(j), float64(k)})))
				}
			}
		}
	}
	if r.IntN(4) == 0 {
		v.Data[r.IntN(len(v.Data))] = math.MaxFloat32
		v.Data[r.IntN(len(v.Data))] = -math.MaxFloat32
	}
	var m *volume.Mask
	switch r.IntN(4) {
	case 0: // anywhere
		m = volume.NewMask(g)
		for n := range m.Data {
			m.Data[n] = uint8(r.IntN(2))
		}
	case 1: // one voxel
		m = volume.NewMask(g)
		m.Data[r.IntN(len(m.Data))] = 1
	case 2: // a plane
		m = volume.NewMask(g)
		for n := range g.Size[0] * g.Size[1] {
			m.Data[n] = 1
		}
	}
	return v, m
}

// The linear part carries the tumour where nothing better is found: whatever the two volumes hold, it is a map of a
// patient onto himself, and one that never was found says so.
func TestLinearOfGarbage(t *testing.T) {
	r := rand.New(rand.NewPCG(2024, 7))
	fitted, refused := 0, 0
	for n := range 150 {
		fixed, fixedLung := garbage(r)
		moving, movingLung := garbage(r)
		l, err := Linear(context.Background(), fixed, moving, fixedLung, movingLung, LinearOptions{SpacingMM: 3 + 3*r.Float64()})
		if err != nil {
			t.Fatalf("round %d: %v", n, err)
		}
		if err := plausible(l.Affine); err != nil {
			t.Fatalf("round %d: %v: %+v", n, err, l)
		}
		q := l.Quality
		for name, x := range map[string]float64{"overlap": q.LungDice, "bits before": q.BitsBefore, "bits after": q.BitsAfter, "rotation": q.RotationDegree, "scale": q.VolumeScale} {
			if math.IsNaN(x) || math.IsInf(x, 0) {
				t.Fatalf("round %d: %s is %g", n, name, x)
			}
		}
		if l.Fallback == (l.Levels >= minLevels) || l.Fallback && (l.M != Identity().M || len(l.Reasons) == 0) {
			t.Fatalf("round %d: %d levels were accepted, fallback %v, reasons %q: %+v", n, l.Levels, l.Fallback, l.Reasons, l.Affine)
		}
		if l.Fallback {
			refused++
		} else {
			fitted++
		}
		f, dq, err := Deformable(context.Background(), fixed, moving, fixedLung, movingLung, l.Affine, DeformableOptions{SpacingMM: 4})
		if err != nil {
			continue // too small or no overlap: said in words, tested elsewhere
		}
		for _, u := range f.U {
			for _, x := range u {
				if x-x != 0 {
					t.Fatalf("round %d: a displacement of %g mm", n, x)
				}
			}
		}
		if !l.Fallback && len(dq.Doubts()) == 0 && l.LungDice < minLungDice {
			t.Errorf("round %d: garbage passes for a patient: %+v, %+v", n, l, dq)
		}
	}
	if refused < 100 {
		t.Errorf("of 150 pairs of garbage %d were fitted", fitted)
	}
}

// What cannot be registered for its form is refused in words, by all parts alike.
func TestFormIsRefused(t *testing.T) {
	c := newChest(9)
	v, lung := fixedScan(c)
	with := func(change func(*volume.Volume)) *volume.Volume {
		out := &volume.Volume{Geometry: v.Geometry, Data: append([]float32(nil), v.Data...)}
		change(out)
		return out
	}
	far := lung.Clone()
	far.Origin[2] += 5000
	short := &volume.Mask{Geometry: lung.Geometry, Data: lung.Data[1:]}
	for _, tc := range []struct {
		name, want string
		v          *volume.Volume
		lung       *volume.Mask
		spacing    float64
	}{
		{"NaN", "1 voxels of the moving volume are not finite", with(func(v *volume.Volume) { v.Data[7] = float32(math.NaN()) }), lung, 0},
		{"infinite", "2 voxels", with(func(v *volume.Volume) {
			v.Data[1000], v.Data[2000] = float32(math.Inf(1)), float32(math.Inf(-1))
		}), lung, 0},
		{"no slice distance", "spacing of 0 mm", with(func(v *volume.Volume) { v.Spacing[2] = 0 }), lung, 0},
		{"no place", "origin", with(func(v *volume.Volume) { v.Origin[1] = math.NaN() }), lung, 0},
		{"sheared", "right angles", with(func(v *volume.Volume) { v.Direction[2] = volume.Vec{0.2, 0, 0.98} }), lung, 0},
		{"immense", "too large", with(func(v *volume.Volume) { v.Spacing = [3]float64{1e9, 1e9, 1e9} }), nil, 0},
		{"another series' lung", "lies beside it", v, far, 0},
		{"lung mask cut short", "do not fit", v, short, 0},
		{"spacing too fine", "choose", v, lung, 1e-6},
		{"spacing negative", "choose", v, lung, -2},
		{"spacing NaN", "choose", v, lung, math.NaN()},
	} {
		_, err := Linear(context.Background(), v, tc.v, lung, tc.lung, LinearOptions{SpacingMM: tc.spacing})
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: the linear part says %v", tc.name, err)
		}
		_, _, err = Deformable(context.Background(), v, tc.v, lung, tc.lung, Identity(), DeformableOptions{SpacingMM: tc.spacing})
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: the deformable part says %v", tc.name, err)
		}
	}
	if _, _, err := Deformable(context.Background(), v, v, lung, lung, Identity(), DeformableOptions{Smoothness: math.NaN()}); err == nil || !strings.Contains(err.Error(), "smoothness") {
		t.Errorf("smoothness of NaN: %v", err)
	}
}

// Volumes of a few voxels, and those that show nothing, end in a word, not in a panic.
func TestNothingToSee(t *testing.T) {
	for _, n := range []int{1, 2, 5, 9} {
		v := volume.New(volume.Axial([3]int{n, n, n}, [3]float64{2, 2, 5}, volume.Vec{}))
		l, err := Linear(context.Background(), v, v, nil, nil, LinearOptions{})
		if err != nil || !l.Fallback || plausible(l.Affine) != nil {
			t.Errorf("%d voxels a side: %+v, %v", n, l, err)
		}
		if _, _, err := Deformable(context.Background(), v, v, nil, nil, Identity(), DeformableOptions{}); err == nil || !strings.Contains(err.Error(), "too small") {
			t.Errorf("%d voxels a side, deformable: %v", n, err)
		}
	}
	c := newChest(11)
	v, lung := fixedScan(c)
	for name, moving := range map[string]*volume.Volume{"both constant": constant(v, -800), "all air": constant(v, -1024)} {
		f, q, err := Deformable(context.Background(), constant(v, -800), moving, lung, lung, Identity(), DeformableOptions{SpacingMM: 3})
		if err != nil {
			t.Fatal(err)
		}
		if q.MaxMM > 1e-3 || q.FoldingPercent != 0 || !strings.Contains(strings.Join(q.Doubts(), " "), "more alike") {
			t.Errorf("%s: displacements up to %g mm, doubts %v", name, q.MaxMM, q.Doubts())
		}
		if !f.Defined(volume.Vec{-36, 0, 0}) {
			t.Errorf("%s: not defined in the lung", name)
		}
	}
}

// A patient turned over, or a stack whose left and right are exchanged, is no breath: no map may bring them together
// and say nothing.
func TestTurnedPatientsAreInDoubt(t *testing.T) {
	c := newChest(13)
	fixed, fixedLung := fixedScan(c)
	for name, turn := range map[string]Affine{
		"prone": rotated(180, volume.Vec{0, 0, 1}), "upside down": rotated(180, volume.Vec{1, 0, 0}),
		"on the side": rotated(90, volume.Vec{0, 0, 1}), "mirrored": {M: [3][3]float64{{-1, 0, 0}, {0, 1, 0}, {0, 0, 1}}},
	} {
		t.Run(name, func(t *testing.T) {
			g := volume.Axial([3]int{80, 80, 62}, [3]float64{2.4, 2.4, 3}, volume.Vec{-95, -95, -92})
			moving, movingLung := c.scan(g, turn, 15, 14)
			l, err := Linear(context.Background(), fixed, moving, fixedLung, movingLung, LinearOptions{SpacingMM: 3})
			if err != nil {
				t.Fatal(err)
			}
			if err := plausible(l.Affine); err != nil {
				t.Errorf("%v: %+v", err, l.Affine)
			}
			_, q, err := Deformable(context.Background(), fixed, moving, fixedLung, movingLung, l.Affine, DeformableOptions{SpacingMM: 3})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("fallback %v, doubts %v, levels %d, dice %.3f, bits %.1f to %.1f (linear %.1f to %.1f, likeness %.3f)", l.Fallback, q.Doubts(), l.Levels, q.LungDice, q.BitsBefore, q.BitsAfter, l.BitsBefore, l.BitsAfter, q.Likeness)
			if !l.Fallback && len(q.Doubts()) == 0 {
				t.Errorf("brought together without a doubt: %+v, %+v", l, q)
			}
		})
	}
}
