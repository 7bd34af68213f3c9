package register

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"rfanode/analysis/volume"
)

// fixedScan is the chest itself on a grid of 3 mm slices.
func fixedScan(c chest) (*volume.Volume, *volume.Mask) {
	g := volume.Axial([3]int{80, 60, 62}, [3]float64{2.2, 2.2, 3}, volume.Vec{-87, -65, -92})
	return c.scan(g, Identity(), 15, 11)
}

func rotated(deg float64, axis volume.Vec) Affine {
	l := norm(axis)
	x, y, z := axis[0]/l, axis[1]/l, axis[2]/l
	s, c := math.Sincos(deg * math.Pi / 180)
	t := 1 - c
	return Affine{M: [3][3]float64{
		{t*x*x + c, t*x*y - s*z, t*x*z + s*y},
		{t*x*y + s*z, t*y*y + c, t*y*z - s*x},
		{t*x*z - s*y, t*y*z + s*x, t*z*z + c},
	}}
}

// worst is the greatest distance of two maps over the lungs' extent.
func worst(a, b Transform) float64 {
	w := 0.0
	for i := range 27 {
		p := volume.Vec{64 * float64(i%3-1), 40 * float64(i/3%3-1), 62 * float64(i/9-1)}
		w = max(w, norm(sub(a.Map(p), b.Map(p))))
	}
	return w
}

func TestLinearRecoversAffine(t *testing.T) {
	c := newChest(1)
	fixed, fixedLung := fixedScan(c)
	breath := rotated(4, volume.Vec{1, 2, 3})
	breath.M[2][2] *= 1.08
	breath.M[0][1] += 0.03
	breath.T = volume.Vec{4, -6, 9}
	far := Translation(volume.Vec{310, -220, 1400}).Compose(breath)
	coronal := volume.Geometry{
		Size: [3]int{78, 74, 46}, Spacing: [3]float64{2.3, 2.6, 2.9}, Origin: volume.Vec{-86, 68, 96},
		Direction: [3]volume.Vec{{1, 0, 0}, {0, 0, -1}, {0, -1, 0}},
	}
	tilted := volume.Axial([3]int{84, 66, 50}, [3]float64{2, 2.1, 4}, volume.Vec{})
	turn := rotated(12, volume.Vec{1, 0, 0})
	for a := range 3 {
		tilted.Direction[a] = turn.Map(tilted.Direction[a])
	}
	tilted.Origin = turn.Map(volume.Vec{-84, -68, -100})
	around := func(g volume.Geometry, truth Affine) volume.Geometry { // the same grid where truth puts the chest
		g.Origin = add(g.Origin, truth.T)
		return g
	}
	axial := volume.Axial([3]int{76, 60, 64}, [3]float64{2.4, 2.4, 3}, volume.Vec{-90, -70, -95})
	short := volume.Axial([3]int{76, 60, 38}, [3]float64{2.4, 2.4, 3}, volume.Vec{-90, -70, -95})
	for _, tc := range []struct {
		name  string
		truth Affine
		grid  volume.Geometry
		limit float64
	}{
		{"same position", Identity(), axial, 1},
		{"breath, rotation and shear", breath, around(axial, breath), 1},
		{"tables far apart, no overlap", far, around(axial, far), 1},
		{"coronal slices", breath, around(coronal, breath), 1},
		{"tilted gantry, 4 mm slices", breath, around(tilted, breath), 1},
		{"apices cut off by the scan", far, around(short, far), 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			back, err := tc.truth.Inverse()
			if err != nil {
				t.Fatal(err)
			}
			moving, movingLung := c.scan(tc.grid, back, 15, 12)
			r, err := Linear(context.Background(), fixed, moving, fixedLung, movingLung, LinearOptions{SpacingMM: 2.5})
			if err != nil {
				t.Fatal(err)
			}
			if r.Fallback || len(r.Reasons) > 0 {
				t.Errorf("levels refused: %v", r.Reasons)
			}
			if w := worst(r, tc.truth); w > tc.limit {
				t.Errorf("wrong by up to %.2f mm within the lungs, at most %g expected: %+v", w, tc.limit, r)
			}
			if r.LungDice < 0.95 {
				t.Errorf("lungs overlap by %.3f only", r.LungDice)
			}
			if math.Abs(r.VolumeScale-tc.truth.Det()) > 0.03 || math.Abs(r.RotationDegree-tc.truth.RotationDeg()) > 1 {
				t.Errorf("scale %.3f and rotation %.1f degrees, true %.3f and %.1f", r.VolumeScale, r.RotationDegree, tc.truth.Det(), tc.truth.RotationDeg())
			}
		})
	}
}

func constant(v *volume.Volume, hu float32) *volume.Volume {
	out := volume.New(v.Geometry)
	for i := range out.Data {
		out.Data[i] = hu
	}
	return out
}

// What cannot be registered must come back as a flagged translation, never as NaN, a mirror or a patient upside down.
func TestLinearFallsBack(t *testing.T) {
	c := newChest(3)
	fixed, fixedLung := fixedScan(c)
	moving, movingLung := c.scan(volume.Axial([3]int{76, 60, 64}, [3]float64{2.4, 2.4, 3}, volume.Vec{-60, -60, -115}), Translation(volume.Vec{-30, -10, 20}), 15, 5)
	tiny := volume.NewMask(fixed.Geometry)
	tiny.Data[fixed.Offset(40, 30, 30)] = 1
	for _, tc := range []struct {
		name          string
		fixed, moving *volume.Volume
		lung          *volume.Mask
	}{
		{"both constant", constant(fixed, -800), constant(moving, -800), fixedLung},
		{"one all air", fixed, constant(moving, -1024), fixedLung},
		{"lung of one voxel", fixed, moving, tiny},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, err := Linear(context.Background(), tc.fixed, tc.moving, tc.lung, movingLung, LinearOptions{SpacingMM: 4})
			if err != nil {
				t.Fatal(err)
			}
			if err := plausible(r.Affine); err != nil {
				t.Errorf("result is not plausible: %v: %+v", err, r)
			}
			if !r.Fallback {
				t.Errorf("nothing to go by, yet no fallback: %+v", r)
			}
			if r.Levels+len(r.Reasons) != len(linearLevels) {
				t.Errorf("%d levels accepted and %d reasons, want a reason for every other level: %q", r.Levels, len(r.Reasons), r.Reasons)
			}
			if math.IsNaN(r.LungDice + r.BitsBefore + r.BitsAfter + r.VolumeScale + r.RotationDegree) {
				t.Errorf("quality is not a number: %+v", r.Quality)
			}
		})
	}
}

func TestImplausibleFitsAreRefused(t *testing.T) {
	mirror := Identity()
	mirror.M[0][0] = -1
	grown := Identity()
	grown.M[0][0], grown.M[1][1] = 1.5, 1.5
	nan := Identity()
	nan.T[1] = math.NaN()
	for _, tc := range []struct {
		name string
		a    Affine
		want string
	}{
		{"mirror", mirror, "mirror"},
		{"twice the volume", grown, "volume"},
		{"prone against supine", rotated(180, volume.Vec{0, 0, 1}), "180 degrees"},
		{"NaN", nan, "finite"},
	} {
		if err := plausible(tc.a); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want an error with %q", tc.name, err, tc.want)
		}
	}
	if err := plausible(rotated(29, volume.Vec{1, 1, 0})); err != nil {
		t.Errorf("29 degrees: %v", err)
	}
}

// Matches in a plane leave the affine open across it.
func TestFitRefusesThinSets(t *testing.T) {
	var flat, few []match
	for i := range 100 {
		p := volume.Vec{float64(i % 10 * 10), float64(i / 10 * 10), 0}
		flat = append(flat, match{p, p, 1})
		if i < minMatches-1 {
			few = append(few, match{p, volume.Vec{p[1], p[0], float64(i)}, 1})
		}
	}
	for name, m := range map[string][]match{"plane": flat, "few": few, "none": nil} {
		if a, _, _, err := robustFit(m); err == nil {
			t.Errorf("%s: fitted %+v, want an error", name, a)
		}
	}
}

func TestFitIgnoresOutliers(t *testing.T) {
	truth := rotated(5, volume.Vec{1, 1, 1})
	truth.T = volume.Vec{3, 4, 5}
	var m []match
	for i := range 300 {
		p := volume.Vec{float64(i*37%101) - 50, float64(i*53%97) - 48, float64(i*71%89) - 44}
		q := truth.Map(p)
		if i%3 == 0 {
			q = add(q, volume.Vec{20, float64(i % 7), -15})
		}
		m = append(m, match{p, q, 1})
	}
	a, _, median, err := robustFit(m)
	if err != nil {
		t.Fatal(err)
	}
	if w := worst(a, truth); w > 0.01 || median > 0.01 {
		t.Errorf("with a third of outliers the fit is wrong by %g mm (median residual %g)", w, median)
	}
}

func TestLinearDoesNotDependOnThreads(t *testing.T) {
	c := newChest(7)
	fixed, fixedLung := fixedScan(c)
	moving, movingLung := c.scan(fixed.Geometry, Translation(volume.Vec{3, -5, 8}), 15, 5)
	var first LinearResult
	for _, threads := range []int{1, 2, 5} {
		r, err := Linear(context.Background(), fixed, moving, fixedLung, movingLung, LinearOptions{SpacingMM: 3, Threads: threads})
		if err != nil {
			t.Fatal(err)
		}
		if threads == 1 {
			first = r
		}
		if r.Affine != first.Affine || r.Quality != first.Quality || !slices.Equal(r.Reasons, first.Reasons) {
			t.Errorf("%d threads give %+v, one gives %+v", threads, r, first)
		}
	}
}

func TestLinearRefusesUnusableInput(t *testing.T) {
	c := newChest(9)
	v, lung := fixedScan(c)
	ctx := context.Background()
	gone, cancel := context.WithCancel(ctx)
	cancel()
	for _, tc := range []struct {
		name   string
		run    func() error
		want   string
		cancel bool
	}{
		{"no volume", func() error { _, err := Linear(ctx, nil, v, lung, lung, LinearOptions{}); return err }, "fixed volume", false},
		{"data too short", func() error {
			_, err := Linear(ctx, v, &volume.Volume{Geometry: v.Geometry, Data: v.Data[1:]}, lung, lung, LinearOptions{})
			return err
		}, "moving volume", false},
		{"empty lung", func() error {
			_, err := Linear(ctx, v, v, lung, volume.NewMask(v.Geometry), LinearOptions{})
			return err
		}, "lung mask of the moving", false},
		{"little memory", func() error { _, err := Linear(ctx, v, v, lung, lung, LinearOptions{MemoryBytes: 1 << 20}); return err }, "MiB", false},
		{"cancelled", func() error { _, err := Linear(gone, v, v, lung, lung, LinearOptions{}); return err }, "", true},
	} {
		err := tc.run()
		if err == nil || !strings.Contains(err.Error(), tc.want) || errors.Is(err, context.Canceled) != tc.cancel {
			t.Errorf("%s: got %v", tc.name, err)
		}
	}
}

// A case dropped while it is registered must free its processor at once.
func TestLinearStopsWhenCancelled(t *testing.T) {
	c := newChest(9)
	v, lung := fixedScan(c)
	ctx, cancel := context.WithCancel(context.Background())
	started := time.Now()
	time.AfterFunc(100*time.Millisecond, cancel)
	_, err := Linear(ctx, v, v, lung, lung, LinearOptions{SpacingMM: 0.8, MemoryBytes: 1 << 32})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("after %v: %v; it did not notice that it was cancelled", time.Since(started), err)
	}
	if d := time.Since(started); d > 5*time.Second {
		t.Errorf("went on for %v after it was cancelled", d)
	}
}

func ExampleAffine() {
	a := Translation(volume.Vec{1, 2, 3})
	fmt.Println(a.Map(volume.Vec{10, 10, 10}), a.Det())
	// Output: [11 12 13] 1
}
