package register

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"rfanode/analysis/volume"
)

// breathing is a smooth deformation of the chest of texture_test, several mm and known everywhere.
func breathing() wave {
	a := rotated(2, volume.Vec{0, 1, 2})
	a.T = volume.Vec{120, -60, 35}
	return wave{a, 2.5, [3]field{newField(31, 70), newField(32, 70), newField(33, 70)}}
}

// breathingPair is the chest and the chest after a breath. The moving scan shows the body where fixed → moving puts it:
// its point y shows what fixed has at the x with truth(x) = y.
func breathingPair(t *testing.T) (fixed, moving *volume.Volume, fixedLung, movingLung *volume.Mask, truth wave, start Affine) {
	t.Helper()
	c := chest{newField(5, 8), newField(6, 20)}
	truth = breathing()
	g := volume.Axial([3]int{88, 68, 92}, [3]float64{2, 2, 2}, volume.Vec{-88, -67, -92})
	fixed, fixedLung = c.scan(g, Identity(), 10, 1)
	inside, err := Sampled(context.Background(), truth, truth.a, volume.Axial([3]int{60, 50, 64}, [3]float64{4, 4, 4}, volume.Vec{-118, -98, -126}))
	if err != nil {
		t.Fatal(err)
	}
	back, err := inside.Invert(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	g.Origin = add(g.Origin, truth.a.T)
	moving, movingLung = c.scan(g, back, 10, 2)
	return fixed, moving, fixedLung, movingLung, truth, truth.a
}

// errorsIn are the distances of two maps at the lung's voxels that lie on every third row and slice.
func errorsIn(m *volume.Mask, a, b Transform) []float64 {
	var e []float64
	for k := 0; k < m.Size[2]; k += 3 {
		for j := 0; j < m.Size[1]; j += 3 {
			for i := range m.Size[0] {
				if m.Data[m.Offset(i, j, k)] != 0 {
					p := m.Point(volume.Vec{float64(i), float64(j), float64(k)})
					e = append(e, norm(sub(a.Map(p), b.Map(p))))
				}
			}
		}
	}
	slices.Sort(e)
	return e
}

func TestDeformableRecoversBreathing(t *testing.T) {
	fixed, moving, fixedLung, movingLung, truth, start := breathingPair(t)
	opts := DeformableOptions{}
	f, q, err := Deformable(context.Background(), fixed, moving, fixedLung, movingLung, start, opts)
	if err != nil {
		t.Fatal(err)
	}
	before, after := errorsIn(fixedLung, start, truth), errorsIn(fixedLung, f, truth)
	median, p95 := after[len(after)/2], after[len(after)*95/100]
	if m := before[len(before)/2]; m < 2 {
		t.Fatalf("too easy a case: %.2f mm before", m)
	}
	if median > 0.5 || p95 > 1.5 {
		t.Errorf("median error %.2f mm, 95th percentile %.2f mm; before %.2f and %.2f", median, p95, before[len(before)/2], before[len(before)*95/100])
	}
	if q.FoldingPercent != 0 || q.Min <= 0.2 || q.LungDice < 0.96 || q.LungDice < q.LungDiceBefore || q.BitsAfter > 0.8*q.BitsBefore || q.InverseMeanMM > 0.2 {
		t.Errorf("quality %+v", q)
	}
	if d := q.Doubts(); len(d) > 0 {
		t.Errorf("doubts: %v", d)
	}
	mid := volume.Vec{-36, 0, 0}
	if !f.Defined(mid) || f.Defined(volume.Vec{0, 0, 400}) {
		t.Error("defined outside or not defined inside of the lungs")
	}
	for _, threads := range []int{1, 2, 5} {
		opts.Threads = threads
		g, r, err := Deformable(context.Background(), fixed, moving, fixedLung, movingLung, start, opts)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(f.U, g.U) || !slices.Equal(f.Known, g.Known) || q != r {
			t.Errorf("%d threads give another field", threads)
		}
	}
}

// A field between scans that do not belong together must raise doubts.
func TestDeformableDoubts(t *testing.T) {
	good := DeformableQuality{LungDice: 0.97, BitsBefore: 15, BitsAfter: 10, Likeness: 0.5, InverseMeanMM: 0.1, InverseP95MM: 0.3}
	if d := good.Doubts(); len(d) > 0 {
		t.Errorf("a good field: %v", d)
	}
	for want, change := range map[string]func(*DeformableQuality){
		"folds":    func(q *DeformableQuality) { q.FoldingPercent = 0.2 },
		"disagree": func(q *DeformableQuality) { q.InverseMeanMM = 2.5 },
		"backward": func(q *DeformableQuality) { q.InverseP95MM = 6 },
		"overlap":  func(q *DeformableQuality) { q.LungDice = 0.85 },
		"become":   func(q *DeformableQuality) { q.BitsAfter = 15 },
		"beside":   func(q *DeformableQuality) { q.Likeness = 0.95 },
	} {
		q := good
		change(&q)
		if d := q.Doubts(); len(d) != 1 || !strings.Contains(d[0], want) {
			t.Errorf("%s: got %q", want, d)
		}
	}
}

func TestDeformableRefusesUnusableInput(t *testing.T) {
	c := newChest(9)
	v, lung := fixedScan(c)
	ctx := context.Background()
	gone, cancel := context.WithCancel(ctx)
	cancel()
	one := volume.NewMask(v.Geometry)
	one.Data[one.Offset(40, 30, 30)] = 1
	far := Translation(volume.Vec{5000, 0, 0})
	mirror := Identity()
	mirror.M[1][1] = -1
	run := func(ctx context.Context, lung *volume.Mask, start Affine, o DeformableOptions) error {
		_, _, err := Deformable(ctx, v, v, lung, lung, start, o)
		return err
	}
	for _, tc := range []struct {
		name   string
		err    error
		want   string
		cancel bool
	}{
		{"empty lung", run(ctx, volume.NewMask(v.Geometry), Identity(), DeformableOptions{}), "lung mask of the fixed", false},
		{"lung of one voxel", run(ctx, one, Identity(), DeformableOptions{SpacingMM: 4}), "too small", false},
		{"little memory", run(ctx, lung, Identity(), DeformableOptions{MemoryBytes: 1 << 20}), "MiB", false},
		{"mirror", run(ctx, lung, mirror, DeformableOptions{}), "mirror", false},
		{"no overlap", run(ctx, lung, far, DeformableOptions{SpacingMM: 4}), "no part of the lungs", false},
		{"cancelled", run(gone, lung, Identity(), DeformableOptions{SpacingMM: 4}), "", true},
	} {
		if tc.err == nil || !strings.Contains(tc.err.Error(), tc.want) || errors.Is(tc.err, context.Canceled) != tc.cancel {
			t.Errorf("%s: got %v", tc.name, tc.err)
		}
	}
}

// What lies outside of moving's scan range is not known, and does not disturb the rest.
func TestDeformableWithShortScan(t *testing.T) {
	fixed, moving, fixedLung, movingLung, truth, start := breathingPair(t)
	top := moving.Size[2] * 2 / 3
	moving, movingLung = moving.Crop([3]int{}, [3]int{moving.Size[0] - 1, moving.Size[1] - 1, top}), movingLung.Crop([3]int{}, [3]int{moving.Size[0] - 1, moving.Size[1] - 1, top})
	f, _, err := Deformable(context.Background(), fixed, moving, fixedLung, movingLung, start, DeformableOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var e []float64
	for _, x := range []float64{-36, 36} {
		for z := -50.0; z <= 10; z += 5 {
			p := volume.Vec{x, 5, z}
			if !f.Defined(p) {
				t.Errorf("not defined at %v", p)
			}
			e = append(e, norm(sub(f.Map(p), truth.Map(p))))
		}
		if p := (volume.Vec{x, 5, 60}); f.Defined(p) {
			t.Errorf("defined at %v, which moving does not show", p)
		}
	}
	if slices.Sort(e); e[len(e)/2] > 0.6 || !(e[len(e)-1] < 2) {
		t.Errorf("errors %.2f mm", e)
	}
}

func BenchmarkDeformable(b *testing.B) {
	c := newChest(5)
	v, lung := fixedScan(c)
	for b.Loop() {
		if _, _, err := Deformable(context.Background(), v, v, lung, lung, Translation(volume.Vec{3, 2, 4}), DeformableOptions{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(v.Len()), "voxels")
}

func BenchmarkMessage(b *testing.B) {
	for _, l := range deformLevels {
		e := newEnvelopes(labels{l.radius, 1}.side())
		sum := make([]float32, labels{l.radius, 1}.len())
		choice := make([]uint16, len(sum))
		for i := range sum {
			sum[i] = float32(i * 7919 % 101)
		}
		b.Run(string(rune('0'+l.radius)), func(b *testing.B) {
			for b.Loop() {
				e.message(sum, choice, 0.9, [3]float32{0.1, -0.2, 0.3})
			}
		})
	}
}
