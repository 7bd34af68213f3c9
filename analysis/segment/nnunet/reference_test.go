package nnunet

import (
	"math"
	"os"
	"path/filepath"
	"testing"

	"rfanode/analysis/volume"
	"rfanode/internal/tooltest"
)

// case1 is a CT, a small network, and what nnU-Net 2.8.1's own predictor made of them.
func case1(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(tooltest.Shared(t), "reference", "nnunet-case1")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no reference case at %s", dir)
	}
	return dir
}

func readVolume(t testing.TB, path string) *volume.Volume {
	t.Helper()
	v, err := volume.ReadNIfTI(path)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func openBare(t testing.TB, dir string) *Model {
	t.Helper()
	m, err := Open(t.Context(), dir, Options{Library: tooltest.ONNXRuntime(t), Bare: true})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// plansOf reads the plans of a folder; that needs no library.
func plansOf(t testing.TB, dir string) *plans {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "plans.json"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := parsePlans(data, "")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// dice compares one label of two maps.
func dice(a []uint8, b []float32, label int) float64 {
	var both, sum int
	for i, x := range a {
		p, q := int(x) == label, int(b[i]) == label
		if p && q {
			both += 2
		}
		if p {
			sum++
		}
		if q {
			sum++
		}
	}
	if sum == 0 {
		return 1
	}
	return float64(both) / float64(sum)
}

// The crop and what the network is shown are nnU-Net's own.
func TestPreprocessingIsNNUNets(t *testing.T) {
	dir := case1(t)
	v := readVolume(t, filepath.Join(dir, "input.nii.gz"))
	p := plansOf(t, dir)
	axes := fileOrder().transposed(p.transpose)
	got, err := p.preprocess(t.Context(), pictureOf(v, axes), axes.spacing(v.Geometry))
	if err != nil {
		t.Fatal(err)
	}
	if want := (box{[3]int{2, 3, 7}, [3]int{38, 243, 247}}); got.crop != want {
		t.Errorf("crop %v, should be %v", got.crop, want)
	}
	f, err := os.Open(filepath.Join(dir, "preprocessed_f16.npy"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want, err := readNpy(f)
	if err != nil {
		t.Fatal(err)
	}
	if len(want.values) != len(got.data) {
		t.Fatalf("size %v, should be %v", got.size, want.shape)
	}
	worst, rounded := 0.0, 0
	for i, x := range got.data {
		worst = max(worst, math.Abs(float64(x)-want.values[i]))
		if float64(toHalf(x).float()) != want.values[i] {
			rounded++
		}
	}
	if worst > 2e-3 { // half a unit of half precision at 4, the largest value here
		t.Errorf("preprocessed image differs by %g", worst)
	}
	t.Logf("largest difference %.2g; %d of %d values differ after rounding to half precision", worst, rounded, len(got.data))
}

// The sums over tiles, in half precision, are nnU-Net's own.
func TestLogitsAreNNUNets(t *testing.T) {
	dir := case1(t)
	m := openBare(t, dir)
	job, err := m.prepare(readVolume(t, filepath.Join(dir, "input.nii.gz")), SegmentOptions{})
	if err != nil {
		t.Fatal(err)
	}
	image, err := m.plans.preprocess(t.Context(), job.picture, job.spacing)
	if err != nil {
		t.Fatal(err)
	}
	l, err := job.infer(t.Context(), image.array)
	if err != nil {
		t.Fatal(err)
	}
	want, err := readNpz(filepath.Join(dir, "logits_nomirror_f16.npz"), "logits")
	if err != nil {
		t.Fatal(err)
	}
	values := want["logits"].values
	if n := l.heads * l.size[0] * l.size[1] * l.size[2]; n != len(values) {
		t.Fatalf("%d logits, should be %d", n, len(values))
	}
	worst, i := 0.0, 0
	for head := range l.heads {
		for z := range l.size[0] {
			plane, stride := l.slice(head, z)
			for y := range l.size[1] {
				for _, h := range plane[y*stride:][:l.size[2]] {
					worst = max(worst, math.Abs(float64(h.float())-values[i]))
					i++
				}
			}
		}
	}
	// In the corners the weights are subnormal, and one rounding is worth 0.03.
	if worst > 0.05 {
		t.Errorf("logits differ by %g", worst)
	}
	t.Logf("largest difference %.3f", worst)
}

// The label map is nnU-Net's own, with mirroring and without.
func TestLabelsAreNNUNets(t *testing.T) {
	dir := case1(t)
	m := openBare(t, dir)
	v := readVolume(t, filepath.Join(dir, "input.nii.gz"))
	for _, mirror := range []bool{false, true} {
		name := map[bool]string{false: "seg_nomirror.nii.gz", true: "seg_mirror.nii.gz"}[mirror]
		want := readVolume(t, filepath.Join(dir, name))
		got, err := m.Segment(t.Context(), v, SegmentOptions{Mirror: mirror})
		if err != nil {
			t.Fatal(err)
		}
		different := 0
		for i, x := range got.Data {
			if float32(x) != want.Data[i] {
				different++
			}
		}
		for label := 1; label < m.labels.heads; label++ {
			if d := dice(got.Data, want.Data, label); d < 0.9999 {
				t.Errorf("%s: Dice of label %d is %.7f", name, label, d)
			}
		}
		t.Logf("%s: %d of %d voxels differ", name, different, len(got.Data))
	}
}

// TotalSegmentator's own change of spacing, on its own arrays. Cutting off to whole HU makes a step of 1 HU of any
// difference in the last bit, so nothing may differ at all.
func TestWrapperIsTotalSegmentators(t *testing.T) {
	path := filepath.Join(tooltest.Shared(t), "reference", "ts-wrapper", "ts_change_spacing.npz")
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no reference arrays at %s", path)
	}
	in := npzArray(t, path, "input_xyz")
	given, err := readNpz(path, "spacing_xyz")
	if err != nil {
		t.Fatal(err)
	}
	var spacing [3]float64
	copy(spacing[:], given["spacing_xyz"].values)
	for _, tc := range []struct {
		name  string
		order int
		mm    float64
	}{
		{"order1_1.5mm_int32", 1, 1.5},
		{"order1_3.0mm_int32", 1, 3},
		{"order3_1.5mm_int32", 3, 1.5},
		{"order3_3.0mm_int32", 3, 3},
	} {
		got, err := changeSpacing(t.Context(), picture{data: in.data, grid: dense(in.size)}, spacing, [3]float64{tc.mm, tc.mm, tc.mm}, tc.order, true)
		if err != nil {
			t.Fatal(err)
		}
		want := npzArray(t, path, tc.name)
		if got.size != want.size {
			t.Errorf("%s: size %v, should be %v", tc.name, got.size, want.size)
			continue
		}
		off := 0
		for i, x := range got.data {
			if x != want.data[i] {
				off++
			}
		}
		if off > 0 {
			t.Errorf("%s: %d of %d voxels differ", tc.name, off, len(got.data))
		}
	}
	labels, want := npzArray(t, path, "seg_1.5mm"), npzArray(t, path, "seg_back_order0")
	back := make([]uint8, len(in.data))
	labelsBack(back, dense(in.size), bytesOf(labels.data), labels.size)
	for i, x := range back {
		if float32(x) != want.data[i] {
			t.Fatalf("label %d brought back is %d, should be %g", i, x, want.data[i])
		}
	}
}

func bytesOf(data []float32) []uint8 {
	out := make([]uint8, len(data))
	for i, x := range data {
		out[i] = uint8(x)
	}
	return out
}

func npzArray(t testing.TB, path, name string) array {
	t.Helper()
	all, err := readNpz(path, name)
	if err != nil {
		t.Fatal(err)
	}
	n := all[name]
	if len(n.shape) != 3 {
		t.Fatalf("%s has the shape %v", name, n.shape)
	}
	a := array{size: [3]int(n.shape), data: make([]float32, len(n.values))}
	for i, v := range n.values {
		a.data[i] = float32(v)
	}
	return a
}
