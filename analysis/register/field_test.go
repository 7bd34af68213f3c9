package register

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"testing"

	"rfanode/analysis/volume"
)

// wave is a smooth map with known derivatives.
type wave struct {
	a   Affine
	amp float64
	f   [3]field
}

func newWave(a Affine, ampMM float64) wave {
	return wave{a, ampMM, [3]field{newField(21, 60), newField(22, 60), newField(23, 60)}}
}

func (w wave) Map(p volume.Vec) volume.Vec {
	q := w.a.Map(p)
	for c := range 3 {
		q[c] += w.amp * w.f[c].at(p)
	}
	return q
}

func sampledWave(t *testing.T, ampMM, spacing float64) (wave, *Field) {
	t.Helper()
	a := rotated(5, volume.Vec{1, 2, 1})
	a.T = volume.Vec{40, -20, 300}
	w := newWave(a, ampMM)
	n := int(120/spacing) + 1
	g := volume.Axial([3]int{n, n, n}, [3]float64{spacing, spacing, spacing}, volume.Vec{-60, -60, -60})
	turn := rotated(8, volume.Vec{0, 1, 1})
	for c := range 3 {
		g.Direction[c] = turn.Map(g.Direction[c])
	}
	f, err := Sampled(context.Background(), w, a, g)
	if err != nil {
		t.Fatal(err)
	}
	return w, f
}

// probes are points inside the grid of sampledWave.
func probes() []volume.Vec {
	var p []volume.Vec
	for i := range 125 {
		p = append(p, volume.Vec{13.3 * float64(i%5-2), 11.7 * float64(i/5%5-2), 12.1 * float64(i/25-2)})
	}
	return p
}

func TestFieldAlgebra(t *testing.T) {
	ctx := context.Background()
	w, f := sampledWave(t, 2, 3)
	back, err := f.Invert(ctx)
	if err != nil {
		t.Fatal(err)
	}
	same, err := back.Compose(ctx, f)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range probes() {
		if d := norm(sub(f.Map(p), w.Map(p))); d > 0.1 {
			t.Errorf("at %v the field is off by %.3f mm", p, d)
		}
		if d := norm(sub(back.Map(f.Map(p)), p)); d > 0.05 {
			t.Errorf("at %v there and back is off by %.3f mm", p, d)
		}
		if d := norm(sub(same.Map(p), p)); d > 0.05 {
			t.Errorf("at %v the composition of both is off by %.3f mm", p, d)
		}
		if !back.Defined(f.Map(p)) || !f.Defined(p) {
			t.Errorf("not defined at %v", p)
		}
	}
	far := volume.Vec{500, 0, 0}
	if f.Defined(far) || back.Defined(far) {
		t.Error("a field is defined half a metre from where it was made")
	}
	if q := f.Map(far); math.IsNaN(norm(q)) {
		t.Errorf("the field has no continuation: %v", q)
	}
}

func TestJacobian(t *testing.T) {
	a := rotated(10, volume.Vec{1, 0, 1})
	a.M[0][0] *= 1.2
	if d := Jacobian(a, volume.Vec{3, 4, 5}); math.Abs(d-a.Det()) > 1e-9 {
		t.Errorf("determinant of an affine %.4f, want %.4f", d, a.Det())
	}
	w, f := sampledWave(t, 2, 2)
	for _, p := range probes() {
		if d, want := Jacobian(f, p), Jacobian(w, p); math.Abs(d-want) > 0.03 {
			t.Errorf("at %v: %.3f, want %.3f", p, d, want)
		}
	}
	g := volume.Axial([3]int{20, 20, 20}, [3]float64{3, 3, 3}, volume.Vec{-30, -30, -30})
	m := volume.NewMask(g)
	for i := range m.Data {
		m.Data[i] = uint8(i & 1)
	}
	ctx := context.Background()
	q, err := FoldingIn(ctx, f, m)
	if err != nil {
		t.Fatal(err)
	}
	j, err := JacobianMap(ctx, f, g)
	if err != nil {
		t.Fatal(err)
	}
	lo, hi := math.Inf(1), math.Inf(-1)
	for i, d := range j.Data {
		if m.Data[i] != 0 {
			lo, hi = min(lo, float64(d)), max(hi, float64(d))
		}
	}
	if q.Points != 4000 || q.FoldingPercent != 0 || math.Abs(q.Min-lo) > 1e-6 || math.Abs(q.Max-hi) > 1e-6 || !(q.SDLog > 0) {
		t.Errorf("%+v; the map goes from %g to %g", q, lo, hi)
	}
	_, folded := sampledWave(t, 25, 2)
	if q, err = FoldingIn(ctx, folded, m); err != nil || q.FoldingPercent < 5 || q.Min > 0 {
		t.Errorf("a field that folds: %+v, %v", q, err)
	}
	back, err := folded.Invert(ctx)
	if err != nil {
		t.Fatal(err)
	}
	unknown := 0
	for _, k := range back.Known {
		unknown += 1 - int(k)
	}
	if unknown == 0 {
		t.Error("a field that folds was inverted everywhere")
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := f.Invert(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// Other programs read the field: the file must give the same map.
func TestFieldFile(t *testing.T) {
	_, f := sampledWave(t, 2, 5)
	path := filepath.Join(t.TempDir(), "field.nii.gz")
	if err := f.WriteNIfTI(path); err != nil {
		t.Fatal(err)
	}
	r, err := ReadField(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range probes() {
		if d := norm(sub(f.Map(p), r.Map(p))); d > 1e-3 {
			t.Errorf("at %v the file says %v, the field %v", p, r.Map(p), f.Map(p))
		}
	}
}
