package phantom

import (
	"bytes"
	"context"
	"math"
	"runtime"
	"strings"
	"sync"
	"testing"

	"rfanode/analysis/volume"
)

// small is a pair that a test makes in about a second.
func small(seed uint64) Options {
	return Options{Seed: seed, Size: 96, SliceMM: 4, Slices: 28, TumourRadiusMM: 9}
}

// shared is a pair that several tests look at and none changes.
var shared = sync.OnceValues(func() (*PairResult, error) {
	return Pair(context.Background(), Options{Seed: 6, Size: 80, SliceMM: 5, TumourRadiusMM: 9})
})

func must(t *testing.T) func(*PairResult, error) *PairResult {
	return func(r *PairResult, err error) *PairResult {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
}

// Without this a failing seed could not be looked at again on another machine.
func TestSameBytesOnAnyNumberOfProcessors(t *testing.T) {
	a := must(t)(shared())
	before := runtime.GOMAXPROCS(1)
	b := must(t)(Pair(t.Context(), a.Truth.Options))
	runtime.GOMAXPROCS(before)
	for k := range a.Post.Instances {
		var x, y bytes.Buffer
		if err := EncodeSlice(&x, a.Post, k); err != nil {
			t.Fatal(err)
		}
		if err := EncodeSlice(&y, b.Post, k); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(x.Bytes(), y.Bytes()) {
			t.Fatalf("slice %d differs between one and %d processors", k, before)
		}
	}
	if other := small(7); other.uid("pre/study") == a.options.uid("pre/study") {
		t.Error("another seed gives the same UIDs: the second phantom would be taken for a duplicate of the first")
	}
}

// The truth must be what the definitions say, or every accuracy figure measured against it is wrong.
func TestTruthOfEveryCoverage(t *testing.T) {
	for _, want := range []Coverage{Partial, Full, NoAblation} {
		for seed := uint64(10); seed < 12 && (seed == 10 || want == Partial); seed++ {
			o := small(seed)
			o.Coverage = want
			r := must(t)(settle(t.Context(), o))
			tr := r.Truth
			if tr.PTVOutsideLung != 0 {
				t.Errorf("seed %d: %.3f of the target of a free tumour lies outside the lung", seed, tr.PTVOutsideLung)
			}
			if ball := 4.0 / 3 * math.Pi * 0.9 * 0.9 * 0.9; math.Abs(tr.GTRML/ball-1) > 0.35 {
				t.Errorf("seed %d: tumour of %.2f mL with a radius of 9 mm (%.2f mL)", seed, tr.GTRML, ball)
			}
			if want == NoAblation {
				if tr.TCR != nil || tr.MAMMM != nil || tr.PTZML != 0 {
					t.Errorf("seed %d: no ablation, but a zone of %.2f mL", seed, tr.PTZML)
				}
				continue
			}
			both := volume.Intersect(r.Fine.PTV, r.Fine.PTZ)
			if got := both.VolumeML() / r.Fine.PTV.VolumeML(); math.Abs(got-*tr.TCR) > 1e-9 {
				t.Errorf("seed %d %s: TCR %.4f, the masks say %.4f", seed, want, *tr.TCR, got)
			}
			if full := *tr.MAMMM > marginMM; full != (*tr.TCR == 1) || full != (want == Full) {
				t.Errorf("seed %d %s: TCR %.4f with a margin of %.2f mm", seed, want, *tr.TCR, *tr.MAMMM)
			}
			if want == Partial && (*tr.TCR < partialLow || *tr.TCR > partialHigh) {
				t.Errorf("seed %d: TCR %.3f is no partial coverage", seed, *tr.TCR)
			}
		}
	}
}

// Two spheres whose margin and coverage are known by formula: radii r and R, centres d apart.
func TestMarginAndCoverageOfSpheres(t *testing.T) {
	for _, c := range []struct{ r, R, d, mam, tcr float64 }{
		{10, 17, 3, 4, 0.981}, {10, 18, 2, 6, 1}, {10, 12, 5, -3, 0.480},
	} {
		g := volume.Axial([3]int{61, 61, 61}, [3]float64{1, 1, 1}, vec{-30, -30, -30})
		gtr, ptz := volume.NewMask(g), volume.NewMask(g)
		each(g, func(o int, p vec) {
			if length(p) <= c.r {
				gtr.Data[o] = 1
			}
			if length(sub(p, vec{c.d, 0, 0})) <= c.R {
				ptz.Data[o] = 1
			}
		})
		if got := margin(gtr, ptz); math.Abs(got-c.mam) > 0.5 {
			t.Errorf("r %g R %g d %g: margin %.2f mm, by formula %g", c.r, c.R, c.d, got, c.mam)
		}
		if got := share(grown(gtr, marginMM), ptz); math.Abs(got-c.tcr) > 0.015 {
			t.Errorf("r %g R %g d %g: TCR %.3f, by formula %.3f", c.r, c.R, c.d, got, c.tcr)
		}
	}
}

// The masks on the grids of the images must be the structures of the truth.
func TestNativeMasks(t *testing.T) {
	r := must(t)(shared())
	for name, v := range map[string][2]float64{
		"tumour on pre": {r.GTRPre.VolumeML(), r.Truth.GTRML}, "tumour on post": {r.GTRPost.VolumeML(), r.Truth.GTRPostML},
		"zone on post": {r.PTZPost.VolumeML(), r.Truth.PTZML},
	} {
		if math.Abs(v[0]/v[1]-1) > 0.1 {
			t.Errorf("%s: %.2f mL on the grid of the image, in truth %.2f mL", name, v[0], v[1])
		}
	}
}

// Registration is judged by this map: it must be invertible and show the same tissue in both images.
func TestMotion(t *testing.T) {
	o := small(5)
	o.NoiseHU, o.Coverage, o.Slices, o.BreathingMM, o.Size = -1, NoAblation, 0, 20, 80
	r := must(t)(Pair(t.Context(), o))
	if r.Truth.LeastDet < leastDeterminant {
		t.Errorf("least Jacobian %.3f", r.Truth.LeastDet)
	}
	if len(r.Landmarks) != 300 {
		t.Fatalf("%d landmarks", len(r.Landmarks))
	}
	var here, there float64
	for _, l := range r.Landmarks {
		if d := distance(r.ToPost(l.Pre), l.Post); d > 0.01 {
			t.Fatalf("the inverse misses %v by %.3f mm", l.Post, d)
		}
		post := float64(r.Post.Volume.At(r.Post.Volume.Index(l.Post), -1000))
		here += math.Abs(post - float64(r.Pre.Volume.At(r.Pre.Volume.Index(l.Pre), -1000)))
		there += math.Abs(post - float64(r.Pre.Volume.At(r.Pre.Volume.Index(l.Post), -1000)))
	}
	if here > 0.6*there {
		t.Errorf("mean difference at true pairs %.0f HU, at equal coordinates %.0f HU: the map is not the motion", here/300, there/300)
	}
}

// Algorithms that work on real CT must find here what they look for.
func TestLooksLikeCT(t *testing.T) {
	r := must(t)(shared())
	if ml := r.LungPre.VolumeML(); ml < 2200 || ml > 5500 {
		t.Errorf("lungs of %.0f mL", ml)
	}
	inner := volume.Erode(r.LungPre, 8)
	var below, dense, n float64
	for i, in := range inner.Data {
		if in != 0 {
			n++
			v := r.Pre.Volume.Data[i]
			if v < -780 {
				below++
			}
			if v > -600 {
				dense++
			}
		}
	}
	if below/n < 0.6 || dense/n < 0.02 || dense/n > 0.12 {
		t.Errorf("inside the lungs %.2f is below -780 HU and %.3f above -600 HU", below/n, dense/n)
	}
	zone, count := 0.0, 0.0
	for i, in := range volume.Erode(r.PTZPost, 3).Data {
		if in != 0 {
			zone += float64(r.Post.Volume.Data[i])
			count++
		}
	}
	if mean := zone / count; mean < -480 || mean > 0 {
		t.Errorf("mean of the ablation zone %.0f HU", mean)
	}
}

func TestOptionsRefused(t *testing.T) {
	for name, o := range map[string]Options{
		"columns": {Size: 4}, "slice": {SliceMM: 50}, "radius": {TumourRadiusMM: 80}, "sex": {Sex: "X"},
		"contraction": {Contraction: 2}, "kernel": {Kernel: 7}, "nodules": {Nodules: -1}, "tilt": {ObliqueDeg: 80},
	} {
		if _, err := Pair(t.Context(), o); err == nil || !strings.Contains(err.Error(), "choose") {
			t.Errorf("%s: error %v does not name the cure", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Pair(ctx, small(1)); err != context.Canceled {
		t.Errorf("cancelled: %v", err)
	}
}

func TestSites(t *testing.T) {
	for _, site := range []Site{Subpleural, NearVessel, Fissure, Mediastinal} {
		o := small(20)
		o.Site, o.TumourRadiusMM = site, 8
		r := must(t)(settle(t.Context(), o))
		if cut := site == Subpleural || site == Mediastinal; cut != (r.Truth.PTVOutsideLung > 0) {
			t.Errorf("%s: %.3f of the target lies outside the lung", site, r.Truth.PTVOutsideLung)
		}
		if *r.Truth.TCRInLung < *r.Truth.TCR {
			t.Errorf("%s: TCR %.3f, in the lung %.3f", site, *r.Truth.TCR, *r.Truth.TCRInLung)
		}
	}
}

// A tumour that fits nowhere must be refused, not put into the mediastinum.
func TestTooLarge(t *testing.T) {
	o, err := Options{Seed: 1, TumourRadiusMM: 30}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	c, err := newChest(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if p, ok := c.place(newStream(1, "place"), Free, 40); ok {
		t.Errorf("a tumour of 80 mm is free in the lung at %v", p)
	}
}

// The table of accuracy stands on these: every seed must give a pair, and the kinds must be mixed.
func TestHard(t *testing.T) {
	var kinds, sites, kernels [8]int
	for seed := range uint64(200) {
		o := Hard(seed)
		kinds[o.Tumour]++
		sites[o.Site]++
		kernels[o.Kernel]++
		if o != Hard(seed) {
			t.Fatalf("seed %d gives two descriptions", seed)
		}
	}
	for _, n := range append(append(kinds[:3], sites[:5]...), kernels[:2]...) {
		if n < 10 {
			t.Errorf("of 200 hard pairs: densities %v, sites %v, kernels %v", kinds, sites, kernels)
		}
	}
	for seed := range uint64(2) {
		must(t)(settleHard(t.Context(), seed))
	}
}
