package nnunet

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"rfanode/analysis/volume"
	"rfanode/internal/tooltest"
)

// referenceImage is testdata/image.nii.gz with the spacing of a case.
func referenceImage(t testing.TB, spacing [3]float64) *volume.Volume {
	t.Helper()
	v := readVolume(t, "testdata/image.nii.gz")
	v.Spacing = [3]float64{spacing[2], spacing[1], spacing[0]}
	return v
}

func openReference(t testing.TB, name string) *Model {
	t.Helper()
	m, err := Open(t.Context(), filepath.Join("testdata", name), Options{Library: tooltest.ONNXRuntime(t)})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Folders that the export script wrote give nnU-Net's own label map: three-dimensional splines, transposed axes, no
// resampling, odd padding, steps, mirroring over some axes, folds, regions.
func TestCasesAreNNUNets(t *testing.T) {
	for name, tc := range readReference(t).Cases {
		t.Run(name, func(t *testing.T) {
			m := openReference(t, name)
			got, err := m.Segment(t.Context(), referenceImage(t, tc.Spacing), SegmentOptions{Mirror: tc.Mirror, Step: tc.Step})
			if err != nil {
				t.Fatal(err)
			}
			want := readVolume(t, filepath.Join("testdata", name, "seg.nii.gz"))
			different := 0
			for i, x := range got.Data {
				if float32(x) != want.Data[i] {
					different++
				}
			}
			t.Logf("%d of %d voxels differ", different, len(got.Data))
			for label := 1; label < len(tc.Counts); label++ {
				if d := dice(got.Data, want.Data, label); d < 0.9999 {
					t.Errorf("Dice of label %d is %.6f", label, d)
				}
			}
		})
	}
}

// The same patient, stored along other axes, gives the same labels in the same places.
func TestOrientationFollowsTheSidecar(t *testing.T) {
	m := openReference(t, "isotropic") // trained on LPS
	spacing := readReference(t).Cases["isotropic"].Spacing
	v := referenceImage(t, spacing)
	v.Direction = [3]volume.Vec{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}
	want, err := m.Segment(t.Context(), v, SegmentOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for name, order := range map[string]axisMap{
		"rows and columns reversed": {axis: [3]int{0, 1, 2}, reverse: [3]bool{true, true, false}},
		"coronal":                   {axis: [3]int{0, 2, 1}, reverse: [3]bool{false, true, false}},
		"sagittal, upside down":     {axis: [3]int{1, 2, 0}, reverse: [3]bool{true, false, true}},
	} {
		t.Run(name, func(t *testing.T) {
			other, from := rearranged(v, order)
			got, err := m.Segment(t.Context(), other, SegmentOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for i, x := range got.Data {
				if x != want.Data[from[i]] {
					t.Fatalf("voxel %d has label %d, in the axial image %d", i, x, want.Data[from[i]])
				}
			}
		})
	}
}

// rearranged stores a volume along other axes: axis a of the result is axis order.axis[a] of v. from gives each voxel's
// place in v.
func rearranged(v *volume.Volume, order axisMap) (out *volume.Volume, from []int) {
	g := volume.Geometry{Origin: v.Origin}
	corner := volume.Vec{}
	for a, f := range order.axis {
		g.Size[a], g.Spacing[a], g.Direction[a] = v.Size[f], v.Spacing[f], v.Direction[f]
		if order.reverse[a] {
			corner[f] = float64(v.Size[f] - 1)
			for c := range 3 {
				g.Direction[a][c] = -g.Direction[a][c]
			}
		}
	}
	g.Origin = v.Point(corner)
	out = volume.New(g)
	from = make([]int, g.Len())
	each(g, func(i, j, k int) {
		var at [3]int
		for a, n := range [3]int{i, j, k} {
			f := order.axis[a]
			at[f] = n
			if order.reverse[a] {
				at[f] = v.Size[f] - 1 - n
			}
		}
		o := g.Offset(i, j, k)
		from[o] = v.Offset(at[0], at[1], at[2])
		out.Data[o] = v.Data[from[o]]
	})
	return out, from
}

// A cropped image is segmented as if it ended there; outside is background.
func TestCropping(t *testing.T) {
	m := openReference(t, "isotropic")
	v := referenceImage(t, readReference(t).Cases["isotropic"].Spacing)
	region := volume.NewMask(v.Geometry)
	for k := 8; k < 14; k++ {
		for j := 12; j < 20; j++ {
			for i := 10; i < 25; i++ {
				region.Data[v.Offset(i, j, k)] = 1
			}
		}
	}
	got, err := m.Segment(t.Context(), v, SegmentOptions{Within: region, MarginMM: 2.1})
	if err != nil {
		t.Fatal(err)
	}
	// 2.1 mm are 2 voxels of 1.0 and 0.9 mm, and 1 slice of 1.1 mm.
	lo, hi := [3]int{8, 10, 7}, [3]int{27, 22, 15}
	part := volume.New(volume.Axial([3]int{hi[0] - lo[0], hi[1] - lo[1], hi[2] - lo[2]}, v.Spacing, volume.Vec{}))
	for k := range part.Size[2] {
		for j := range part.Size[1] {
			copy(part.Data[part.Offset(0, j, k):][:part.Size[0]], v.Data[v.Offset(lo[0], lo[1]+j, lo[2]+k):])
		}
	}
	want, err := m.Segment(t.Context(), part, SegmentOptions{})
	if err != nil {
		t.Fatal(err)
	}
	each(v.Geometry, func(i, j, k int) {
		x := uint8(0)
		if a, b, c := i-lo[0], j-lo[1], k-lo[2]; a >= 0 && b >= 0 && c >= 0 && i < hi[0] && j < hi[1] && k < hi[2] {
			x = want.Data[part.Offset(a, b, c)]
		}
		if got.Data[v.Offset(i, j, k)] != x {
			t.Fatalf("voxel %d %d %d has label %d, should have %d", i, j, k, got.Data[v.Offset(i, j, k)], x)
		}
	})
	if _, err := m.Segment(t.Context(), v, SegmentOptions{Within: volume.NewMask(v.Geometry)}); err == nil {
		t.Error("an empty region passed")
	}
}

// Regions and labels are found by name; what the model does not know is said.
func TestMasksByName(t *testing.T) {
	m := openReference(t, "regions")
	l, err := m.Segment(t.Context(), referenceImage(t, [3]float64{3, 1, 1}), SegmentOptions{})
	if err != nil {
		t.Fatal(err)
	}
	counts := readReference(t).Cases["regions"].Counts
	whole, err := l.Mask("whole")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := whole.Count(), counts[1]+counts[2]; math.Abs(float64(got-want)) > 3 {
		t.Errorf("region whole has %d voxels, should have %d", got, want)
	}
	if _, err := l.Mask("spleen"); err == nil || !strings.Contains(err.Error(), "spleen") {
		t.Errorf("a label that is not there: %v", err)
	}
}

// The wrapper goes to its own spacing and back; at the image's own spacing it changes nothing.
func TestWrapperRoundTrip(t *testing.T) {
	m := openReference(t, "isotropic")
	v := referenceImage(t, readReference(t).Cases["isotropic"].Spacing)
	plain, err := m.Segment(t.Context(), v, SegmentOptions{})
	if err != nil {
		t.Fatal(err)
	}
	wrapped := *m
	side := *m.side
	wrapped.side = &side
	side.Wrapper = &wrapper{Kind: "totalsegmentator", Spacing: []float64{float64(float32(1.0)), float64(float32(0.9)), float64(float32(1.1))}, Order: 1, Integer: true}
	same, err := wrapped.Segment(t.Context(), v, SegmentOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i, x := range same.Data {
		if x != plain.Data[i] {
			t.Fatalf("voxel %d changed from %d to %d though the spacing is the same", i, plain.Data[i], x)
		}
	}
	side.Wrapper = &wrapper{Kind: "totalsegmentator", Spacing: []float64{1.25, 1.5, 1.75}, Order: 3, Integer: true}
	got, err := wrapped.Segment(t.Context(), v, SegmentOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// The same in steps: axes x, y, z, a volume of the new spacing, the model alone, and back.
	xyz := axisMap{axis: [3]int{0, 1, 2}}.over(v.Geometry)
	changed, err := changeSpacing(t.Context(), picture{data: v.Data, grid: xyz}, [3]float64{float64(float32(1.0)), float64(float32(0.9)), float64(float32(1.1))}, [3]float64{1.25, 1.5, 1.75}, 3, true)
	if err != nil {
		t.Fatal(err)
	}
	coarse := volume.New(volume.Axial(changed.size, [3]float64{1.25, 1.5, 1.75}, volume.Vec{}))
	packed := dense(changed.size)
	at := func(i, j, k int) int { return i*packed.stride[0] + j*packed.stride[1] + k }
	each(coarse.Geometry, func(i, j, k int) { coarse.Data[coarse.Offset(i, j, k)] = changed.data[at(i, j, k)] })
	alone, err := m.Segment(t.Context(), coarse, SegmentOptions{})
	if err != nil {
		t.Fatal(err)
	}
	labels := make([]uint8, len(changed.data))
	each(coarse.Geometry, func(i, j, k int) { labels[at(i, j, k)] = alone.Data[coarse.Offset(i, j, k)] })
	want := make([]uint8, v.Len())
	labelsBack(want, xyz, labels, changed.size)
	for i, x := range got.Data {
		if x != want[i] {
			t.Fatalf("voxel %d has label %d, should have %d", i, x, want[i])
		}
	}
}

// each visits every voxel of a grid.
func each(g volume.Geometry, visit func(i, j, k int)) {
	for k := range g.Size[2] {
		for j := range g.Size[1] {
			for i := range g.Size[0] {
				visit(i, j, k)
			}
		}
	}
}

// Sums over tiles are added in order: the number of processors must not show.
func TestSameForAnyNumberOfProcessors(t *testing.T) {
	m := openReference(t, "transposed")
	v := referenceImage(t, readReference(t).Cases["transposed"].Spacing)
	var first *Labels
	for _, n := range []int{1, 5} {
		before := runtime.GOMAXPROCS(n)
		got, err := m.Segment(t.Context(), v, SegmentOptions{})
		runtime.GOMAXPROCS(before)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = got
			continue
		}
		for i, x := range got.Data {
			if x != first.Data[i] {
				t.Fatalf("voxel %d differs", i)
			}
		}
	}
}

// A cancelled case gives the processor back within a second, in the middle of a network.
func TestCancelWithinASecond(t *testing.T) {
	m := openBare(t, case1(t))
	v := readVolume(t, filepath.Join(m.dir, "input.nii.gz"))
	ctx, cancel := context.WithCancel(t.Context())
	var cancelled time.Time
	_, err := m.Segment(ctx, v, SegmentOptions{Mirror: true, Progress: func(done, _ int) {
		if done == 0 {
			time.AfterFunc(100*time.Millisecond, func() { cancelled = time.Now(); cancel() })
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("%v", err)
	}
	if d := time.Since(cancelled); d > time.Second {
		t.Errorf("it took %v to stop", d)
	}
}

// What would not fit is refused before it is begun.
func TestMemoryLimit(t *testing.T) {
	m := openReference(t, "isotropic")
	v := referenceImage(t, [3]float64{1, 1, 1})
	if _, err := m.Segment(t.Context(), v, SegmentOptions{MemoryBytes: 1 << 20}); err == nil || !strings.Contains(err.Error(), "memory_gib") {
		t.Errorf("%v", err)
	}
	if _, err := m.Segment(t.Context(), v, SegmentOptions{MemoryBytes: 1 << 30}); err != nil {
		t.Error(err)
	}
}

// Images that cannot be segmented are refused with a word on why.
func TestImpossibleImages(t *testing.T) {
	m := openReference(t, "isotropic")
	empty := volume.New(volume.Axial([3]int{20, 20, 20}, [3]float64{1, 1, 1}, volume.Vec{}))
	nan := referenceImage(t, [3]float64{1, 1, 1})
	nan.Data[nan.Offset(20, 20, 10)] = float32(math.NaN())
	huge := referenceImage(t, [3]float64{1, 1, 1})
	huge.Spacing[0] = 1e9
	tiny := referenceImage(t, [3]float64{1, 1, 1})
	tiny.Spacing[0] = 1e-9
	short := referenceImage(t, [3]float64{1, 1, 1})
	short.Data = short.Data[:100]
	for name, v := range map[string]*volume.Volume{"none": nil, "zeros": empty, "NaN": nan, "huge spacing": huge, "tiny spacing": tiny, "too little data": short} {
		if l, err := m.Segment(t.Context(), v, SegmentOptions{}); err == nil {
			t.Errorf("%s: %d labels", name, len(l.Data))
		}
	}
	for _, step := range []float64{-1, 1.5, math.NaN()} {
		if _, err := m.Segment(t.Context(), referenceImage(t, [3]float64{1, 1, 1}), SegmentOptions{Step: step}); err == nil {
			t.Errorf("step %g passed", step)
		}
	}
}

// copyModel makes a folder that a test may spoil.
func copyModel(t testing.TB, name string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", name))); err != nil {
		t.Fatal(err)
	}
	return dir
}

// A folder that is not as it was exported is refused, and the message names the file and the cure.
func TestSpoiltFolders(t *testing.T) {
	library := tooltest.ONNXRuntime(t)
	append1 := func(name string) func(dir string) error {
		return func(dir string) error {
			f, err := os.OpenFile(filepath.Join(dir, name), os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			f.Write([]byte(" "))
			return f.Close()
		}
	}
	replace := func(name, old, new string) func(dir string) error {
		return func(dir string) error {
			path := filepath.Join(dir, name)
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			changed := strings.Replace(string(data), old, new, 1)
			if changed == string(data) {
				return errors.New(old + " is not in " + name)
			}
			return os.WriteFile(path, []byte(changed), 0o600)
		}
	}
	for name, tc := range map[string]struct {
		spoil func(dir string) error
		says  string
	}{
		"network changed":      {append1("fold_1.onnx"), "fold_1.onnx is not the file"},
		"plans changed":        {append1("plans.json"), "plans.json is not the file"},
		"labels changed":       {append1("dataset.json"), "dataset.json is not the file"},
		"self-check changed":   {append1("selfcheck.npz"), "selfcheck.npz is not the file"},
		"network missing":      {func(dir string) error { return os.Remove(filepath.Join(dir, "fold_0.onnx")) }, "has no fold_0.onnx"},
		"no sidecar":           {func(dir string) error { return os.Remove(filepath.Join(dir, SidecarName)) }, "tools/export_nnunet.py"},
		"no plans":             {func(dir string) error { return os.Remove(filepath.Join(dir, "plans.json")) }, "no plans.json"},
		"other schema":         {replace(SidecarName, SidecarSchema, "rfanode-nnunet/9"), "rfanode-nnunet/9"},
		"folds exchanged":      {exchangeFolds, "self-check of fold_"},
		"other heads":          {replace(SidecarName, `"heads": 3`, `"heads": 4`), "heads"},
		"other patch":          {replace(SidecarName, "16,", "32,"), "patch_size"},
		"no orientation":       {replace(SidecarName, `"array_orientation": "LPS"`, `"array_orientation": "LPL"`), "array_orientation"},
		"file outside":         {replace(SidecarName, `"file": "fold_0.onnx"`, `"file": "../fold_0.onnx"`), "same folder"},
		"unknown wrapper":      {replace(SidecarName, `"wrapper": null`, `"wrapper": {"kind": "monai"}`), "monai"},
		"mirror axis 7":        {replace(SidecarName, `"mirror_axes": [`, `"mirror_axes": [ 7,`), "mirror_axes"},
		"other input name":     {replace(SidecarName, `"input_name": "input"`, `"input_name": "x"`), `takes "input"`},
		"impossible tile step": {replace(SidecarName, `"tile_step": 0.5`, `"tile_step": 0`), "tile_step"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := copyModel(t, "folds")
			if err := tc.spoil(dir); err != nil {
				t.Fatal(err)
			}
			_, err := Open(t.Context(), dir, Options{Library: library})
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%v; it should say %q", err, tc.says)
			}
		})
	}
}

// exchangeFolds swaps the files of two folds and their hashes: only the self-check can tell.
func exchangeFolds(dir string) error {
	path := filepath.Join(dir, SidecarName)
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	swapped := strings.NewReplacer("fold_0.onnx", "fold_1.onnx", "fold_1.onnx", "fold_0.onnx").Replace(string(data))
	s, err := parseSidecar(data)
	if err != nil {
		return err
	}
	one, two := s.Folds[0].SHA256, s.Folds[1].SHA256
	return os.WriteFile(path, []byte(strings.NewReplacer(one, two, two, one).Replace(swapped)), 0o600)
}

// A library that is not there is said with the cure; it is not needed before.
func TestMissingLibrary(t *testing.T) {
	t.Setenv(LibraryVariable, "")
	_, err := Open(t.Context(), "testdata/isotropic", Options{Library: "/nowhere/libonnxruntime.so"})
	if !errors.Is(err, ErrNoLibrary) || !strings.Contains(err.Error(), "install-onnxruntime") {
		t.Errorf("%v", err)
	}
}

// The network of the exactness tests segments nothing medical; no sidecar makes a model of it.
func TestReferenceNetworkIsNoModel(t *testing.T) {
	dir := copyModel(t, "isotropic")
	path := filepath.Join(dir, SidecarName)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := parseSidecar(data)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(data), s.Folds[0].SHA256, referenceNetwork, 1)
	if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), dir, Options{}); err == nil || !strings.Contains(err.Error(), "segments nothing medical") {
		t.Errorf("%v", err)
	}
}
