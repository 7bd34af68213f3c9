package phantom

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"rfanode/analysis/volume"
	"rfanode/internal/tooltest"
)

// small is a pair that a test makes in about a second.
func small(seed uint64) Options {
	return Options{Seed: seed, Size: 96, SliceMM: 4, Slices: 28, TumourRadiusMM: 9}
}

func pair(t *testing.T, o Options) *PairResult {
	t.Helper()
	r, err := Pair(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Without this a failing seed could not be looked at again on another machine.
func TestSameBytesOnAnyNumberOfProcessors(t *testing.T) {
	o := small(3)
	a := pair(t, o)
	before := runtime.GOMAXPROCS(1)
	b := pair(t, o)
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
	o.Seed = 4
	c := pair(t, o)
	if c.Pre.StudyInstanceUID == a.Pre.StudyInstanceUID || c.Pre.Instances[0].SOPInstanceUID == a.Pre.Instances[0].SOPInstanceUID {
		t.Error("another seed gives the same UIDs: the second phantom would be taken for a duplicate of the first")
	}
}

// The truth must be what the definitions say, or every accuracy figure measured against it is wrong.
func TestTruthOfEveryCoverage(t *testing.T) {
	for _, want := range []Coverage{Partial, Full, NoAblation} {
		for seed := range uint64(3) {
			o := small(10 + seed)
			o.Coverage = want
			r := pair(t, o)
			tr := r.Truth
			if want == NoAblation {
				if tr.TCR != nil || tr.PTZML != 0 || r.PTZPost.Count() != 0 {
					t.Errorf("seed %d: no ablation, but a zone of %.2f mL", o.Seed, tr.PTZML)
				}
				continue
			}
			both := volume.Intersect(r.Fine.PTV, r.Fine.PTZ)
			if got := both.VolumeML() / r.Fine.PTV.VolumeML(); math.Abs(got-*tr.TCR) > 1e-9 {
				t.Errorf("seed %d %s: TCR %.4f, the masks say %.4f", o.Seed, want, *tr.TCR, got)
			}
			if full := *tr.MAMMM > marginMM; full != (*tr.TCR == 1) || full != (want == Full) {
				t.Errorf("seed %d %s: TCR %.4f with a margin of %.2f mm", o.Seed, want, *tr.TCR, *tr.MAMMM)
			}
			if want == Partial && (*tr.TCR < partialLow || *tr.TCR > partialHigh) {
				t.Errorf("seed %d: TCR %.3f is no partial coverage", o.Seed, *tr.TCR)
			}
			if tr.PTVOutsideLung != 0 {
				t.Errorf("seed %d: %.3f of the target of a free tumour lies outside the lung", o.Seed, tr.PTVOutsideLung)
			}
			if ball := 4.0 / 3 * math.Pi * 0.9 * 0.9 * 0.9; math.Abs(tr.GTRML/ball-1) > 0.35 {
				t.Errorf("seed %d: tumour of %.2f mL with a radius of 9 mm (%.2f mL)", o.Seed, tr.GTRML, ball)
			}
			native := r.GTRPre.VolumeML()
			if math.Abs(native/tr.GTRML-1) > 0.2 {
				t.Errorf("seed %d: tumour %.2f mL on the grid of pre, in truth %.2f mL", o.Seed, native, tr.GTRML)
			}
		}
	}
}

// Registration is judged by this map: it must be invertible and show the same tissue in both images.
func TestMotion(t *testing.T) {
	o := small(5)
	o.NoiseHU, o.Coverage, o.Slices, o.BreathingMM = -1, NoAblation, 0, 20
	r := pair(t, o)
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
	o := small(6)
	o.Slices = 0
	r := pair(t, o)
	if ml := r.LungPre.VolumeML(); ml < 2200 || ml > 5500 {
		t.Errorf("lungs of %.0f mL", ml)
	}
	inner := volume.Erode(r.LungPre, 8)
	var below, dense, n float64
	for i, in := range inner.Data {
		if in != 0 {
			n++
			v := r.Pre.Volume.Data[i]
			if v < -800 {
				below++
			}
			if v > -500 {
				dense++
			}
		}
	}
	if below/n < 0.6 || dense/n < 0.01 || dense/n > 0.1 {
		t.Errorf("inside the lungs %.2f is below -800 HU and %.3f above -500 HU", below/n, dense/n)
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
		"columns": {Size: 4}, "slice": {SliceMM: 50}, "radius": {TumourRadiusMM: 80}, "sex": {Sex: "X"}, "contraction": {Contraction: 2},
	} {
		if _, err := Pair(context.Background(), o); err == nil || !strings.Contains(err.Error(), "choose") {
			t.Errorf("%s: error %v does not name the cure", name, err)
		}
	}
	o := small(1)
	o.TumourRadiusMM = 30
	if _, err := Pair(context.Background(), o); err == nil {
		t.Error("a tumour of 60 mm with its margin fits freely into the lung")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Pair(ctx, small(1)); err != context.Canceled {
		t.Errorf("cancelled: %v", err)
	}
}

func TestSites(t *testing.T) {
	for _, site := range []Site{Subpleural, NearVessel, Fissure, Mediastinal} {
		o := small(20)
		o.Site, o.TumourRadiusMM = site, 8
		r := pair(t, o)
		if cut := site == Subpleural || site == Mediastinal; cut != (r.Truth.PTVOutsideLung > 0) {
			t.Errorf("%s: %.3f of the target lies outside the lung", site, r.Truth.PTVOutsideLung)
		}
		if *r.Truth.TCRInLung < *r.Truth.TCR {
			t.Errorf("%s: TCR %.3f, in the lung %.3f", site, *r.Truth.TCR, *r.Truth.TCRInLung)
		}
	}
}

// The files must be taken by any archive: no error from the validator, and the truth beside them.
func TestWriteDICOM(t *testing.T) {
	o := small(7)
	o.ObliqueDeg, o.Reversed, o.Contrast = 6, true, true
	r := pair(t, o)
	dir := t.TempDir()
	if err := r.WriteDICOM(dir); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "truth.json"))
	if err != nil {
		t.Fatal(err)
	}
	var truth map[string]any
	if err := json.Unmarshal(text, &truth); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"case", "variant", "gtr_ml", "ptz_ml", "tcr", "tcr_ptv_clipped_to_lung", "ptv_ml", "ptv_outside_lung_frac",
		"landmarks", "initial_tre_mm", "initial_tre_max", "mam_mm", "seed", "options"} {
		if _, ok := truth[key]; !ok {
			t.Errorf("truth.json lacks %s", key)
		}
	}
	m, err := volume.ReadMaskNIfTI(filepath.Join(dir, "ptz_post.nii.gz"))
	if err != nil || m.Count() != r.PTZPost.Count() || !m.Same(r.Post.Volume.Geometry) {
		t.Errorf("ptz_post.nii.gz is not the zone on the grid of post: %v", err)
	}
	scout, err := WriteLocalizer(filepath.Join(dir, "scout"), r.Pre)
	if err != nil {
		t.Fatal(err)
	}
	validator := tooltest.Need(t, "dciodvfy")
	for _, path := range []string{scout, filepath.Join(dir, "pre", "0003.dcm"), filepath.Join(dir, "post", "0028.dcm")} {
		out, _ := exec.Command(validator, path).CombinedOutput()
		if !bytes.Contains(out, []byte("CTImage")) || bytes.Contains(out, []byte("Error")) {
			t.Errorf("dciodvfy %s:\n%s", filepath.Base(path), out)
		}
	}
}

// A series with a hole, a short one and one cut at the lesion are what the node must refuse.
func TestNegatives(t *testing.T) {
	o := small(8)
	o.CutPost = true
	r := pair(t, o)
	paths, err := WriteSeries(t.TempDir(), r.Pre, func(k int) bool { return k < 10 || k > 12 })
	if err != nil || len(paths) != len(r.Pre.Instances)-3 {
		t.Errorf("%d files of %d with three dropped: %v", len(paths), len(r.Pre.Instances), err)
	}
	if contains(r.Post.Volume.Geometry, r.ToPost(add(r.Centre(), vec{0, 0, 9}))) && contains(r.Post.Volume.Geometry, r.ToPost(add(r.Centre(), vec{0, 0, -9}))) {
		t.Error("the scan range of post holds the whole lesion although it was to be cut")
	}
}
