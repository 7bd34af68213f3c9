package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rfanode/analysis/phantom"
	"rfanode/analysis/volume"
	"rfanode/internal/tooltest"
)

// modelFolder is a model whose answer can be foreseen: dense is what lies above -350 HU.
func modelFolder(t *testing.T) string {
	t.Helper()
	t.Setenv("RFANODE_ONNXRUNTIME", tooltest.ONNXRuntime(t))
	return filepath.Join(tooltest.ModuleRoot(), "analysis", "testdata", "threshold-model")
}

// A DICOM folder and the same CT as NIfTI give the same label map, on the CT's own grid, and a bare folder is enough.
func TestSegmentCommand(t *testing.T) {
	model := modelFolder(t)
	dir, pair := writePhantom(t, phantom.Options{Seed: 2, Size: 64, SliceMM: 5})
	out := t.TempDir()
	ct := filepath.Join(out, "ct.nii.gz")
	if err := volume.WriteNIfTI(ct, pair.Pre.Volume); err != nil {
		t.Fatal(err)
	}
	bare := filepath.Join(out, "bare")
	if err := os.CopyFS(bare, os.DirFS(model)); err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{"rfanode-model.json": "unused.json", "fold_0.onnx": "model.onnx"} {
		if err := os.Rename(filepath.Join(bare, from), filepath.Join(bare, to)); err != nil {
			t.Fatal(err)
		}
	}
	var masks []*volume.Volume
	for i, args := range [][]string{{filepath.Join(dir, "pre"), "--model", model}, {ct, "--model", model}, {ct, "--model", bare}} {
		path := filepath.Join(out, []string{"a.nii.gz", "b.nii.gz", "c.nii"}[i])
		code, text := run(t, out, append([]string{"segment", "-o", path, "--json"}, args...)...)
		if code != 0 {
			t.Fatalf("%v: status %d: %s", args, code, text)
		}
		v, err := volume.ReadNIfTI(path)
		if err != nil {
			t.Fatal(err)
		}
		if !v.Geometry.Same(pair.Pre.Volume.Geometry) {
			t.Errorf("%v: the label map lies at %+v, the CT at %+v", args, v.Geometry, pair.Pre.Volume.Geometry)
		}
		masks = append(masks, v)
	}
	dense := 0
	for i, x := range masks[0].Data {
		if x == 1 {
			dense++
		}
		if masks[1].Data[i] != x {
			t.Fatalf("voxel %d: %g from DICOM, %g from NIfTI", i, x, masks[1].Data[i])
		}
	}
	if share := float64(dense) / float64(len(masks[0].Data)); share < 0.1 || share > 0.9 {
		t.Errorf("%.2f of a chest is dense", share)
	}
}

// What cannot work ends with a sentence that says why.
func TestSegmentCommandRefuses(t *testing.T) {
	model := modelFolder(t)
	dir, _ := writePhantom(t, phantom.Options{Seed: 2, Size: 64, SliceMM: 5})
	ct := filepath.Join(dir, "pre")
	out := filepath.Join(t.TempDir(), "seg.nii.gz")
	for says, args := range map[string][]string{
		".nii.gz":             {ct, "--model", model, "-o", out + ".dcm"},
		"export_nnunet.py":    {ct, "--model", t.TempDir(), "-o", out},
		"tile step":           {ct, "--model", model, "-o", out, "--step", "3"},
		"limit":               {ct, "--model", model, "-o", out, "--memory", "0.001"},
		"install-onnxruntime": {ct, "--model", model, "-o", out, "--onnx-library", "/nowhere/libonnxruntime.so"},
	} {
		code, text := run(t, filepath.Dir(out), append([]string{"segment"}, args...)...)
		if code == 0 || !strings.Contains(text, says) {
			t.Errorf("%v: status %d, %q; it should say %q", args, code, text, says)
		}
	}
}

// check opens every model as the node would.
func TestCheckModels(t *testing.T) {
	model := modelFolder(t)
	write := func(text string) string {
		path := filepath.Join(t.TempDir(), "rfanode.toml")
		if err := os.WriteFile(path, []byte("data = \""+t.TempDir()+"\"\nlisten = \"127.0.0.1:0\"\n[limits]\ndisk_reserve_gib = 0\n"+text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	quoted, err := json.Marshal(model)
	if err != nil {
		t.Fatal(err)
	}
	good := "[segment.gtr]\nmodel = " + string(quoted) + "\nlabels = [\"dense\"]\n"
	if code, text := run(t, t.TempDir(), "check", "-c", write(good)); code != 0 || !strings.Contains(text, "self-check passed") {
		t.Errorf("status %d: %s", code, text)
	}
	bad := strings.Replace(good, "dense", "lesion", 1)
	if code, text := run(t, t.TempDir(), "check", "-c", write(bad)); code == 0 || !strings.Contains(text, `no label "lesion"`) {
		t.Errorf("status %d: %s", code, text)
	}
}
