package phantom

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/grailbio/go-dicom"
	"github.com/grailbio/go-dicom/dicomtag"

	"rfanode/analysis/ct"
	"rfanode/analysis/volume"
	"rfanode/internal/tooltest"
)

// The files must be taken by any archive and say what the pair says; the truth lies beside them.
func TestWriteDICOM(t *testing.T) {
	o := small(7)
	o.ObliqueDeg, o.Reversed, o.Contrast = 6, true, true
	r := must(t)(Pair(t.Context(), o))
	dir := t.TempDir()
	if err := r.WriteDICOM(dir); err != nil {
		t.Fatal(err)
	}
	truthBesideImages(t, r, dir)
	readBack(t, r.Pre, filepath.Join(dir, "pre"))
	readBack(t, r.Post, filepath.Join(dir, "post"))
	readByAnother(t, r.Pre, filepath.Join(dir, "pre", "0003.dcm"))
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

func truthBesideImages(t *testing.T, r *PairResult, dir string) {
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
}

// readBack compares a series with what the node's own reader makes of its files.
func readBack(t *testing.T, want *ct.Series, dir string) {
	got, err := ct.LoadDir(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if got.Patient != want.Patient || got.StudyInstanceUID != want.StudyInstanceUID || got.FrameOfReferenceUID != want.FrameOfReferenceUID ||
		got.SeriesDescription != want.SeriesDescription || got.ConvolutionKernel != want.ConvolutionKernel || got.ContrastAgent != want.ContrastAgent {
		t.Errorf("header read back: %+v\nwritten: %+v", got.Header, want.Header)
	}
	if !got.Volume.Same(want.Volume.Geometry) {
		t.Fatalf("grid read back: %+v, written: %+v", got.Volume.Geometry, want.Volume.Geometry)
	}
	for i, v := range want.Volume.Data {
		if math.Abs(float64(got.Volume.Data[i]-v)) > 0.01 {
			t.Fatalf("voxel %d read back as %g HU, written %g", i, got.Volume.Data[i], v)
		}
	}
	for k, in := range want.Instances {
		if got.Instances[k] != in {
			t.Fatalf("slice %d read back as %+v, written %+v", k, got.Instances[k], in)
		}
	}
}

// readByAnother reads one file with a second, independent library.
func readByAnother(t *testing.T, want *ct.Series, path string) {
	set, err := dicom.ReadDataSetFromFile(path, dicom.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for tag, value := range map[dicomtag.Tag]string{dicomtag.PatientName: want.Patient.Name, dicomtag.PatientID: want.Patient.ID,
		dicomtag.SeriesInstanceUID: want.SeriesInstanceUID, dicomtag.PhotometricInterpretation: "MONOCHROME2", dicomtag.InstanceNumber: "3"} {
		e, err := set.FindElementByTag(tag)
		if err != nil {
			t.Errorf("%v: %v", tag, err)
			continue
		}
		if got := e.MustGetString(); got != value {
			t.Errorf("%v: %q, written %q", tag, got, value)
		}
	}
}

// A series with a hole, a short one and one cut at the lesion are what the node must refuse.
func TestNegatives(t *testing.T) {
	o := small(8)
	o.CutPost = true
	r := must(t)(Pair(t.Context(), o))
	dir := t.TempDir()
	paths, err := WriteSeries(dir, r.Pre, func(k int) bool { return k < 10 || k > 12 })
	if err != nil || len(paths) != len(r.Pre.Instances)-3 {
		t.Errorf("%d files of %d with three dropped: %v", len(paths), len(r.Pre.Instances), err)
	}
	if _, err := ct.Load(t.Context(), paths); !ct.IsProblem(err, ct.Gap) {
		t.Errorf("a series with a hole is read as whole: %v", err)
	}
	upper, lower := r.ToPost(add(r.Centre(), vec{0, 0, 9})), r.ToPost(add(r.Centre(), vec{0, 0, -9}))
	if contains(r.Post.Volume.Geometry, upper) == contains(r.Post.Volume.Geometry, lower) {
		t.Error("the scan range of post does not end in the lesion")
	}
}
