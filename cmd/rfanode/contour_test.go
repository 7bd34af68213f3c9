package main

import (
	"bytes"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"rfanode/analysis"
	"rfanode/dimse"
	"rfanode/internal/tooltest"
	"rfanode/router"
	"rfanode/sr"
)

// draw writes a segmentation of a series with highdicom into a folder of its own, and returns that and the volume, mL.
func draw(t *testing.T, series, mask, label string, growMM string, frame ...string) (dir string, ml float64) {
	t.Helper()
	dir = t.TempDir()
	args := append([]string{filepath.Join("testdata", "draw.py"), series, mask, filepath.Join(dir, "seg.dcm"), label, growMM}, frame...)
	var stderr bytes.Buffer
	cmd := exec.Command(tooltest.Python(t), args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	if ml, err = strconv.ParseFloat(strings.TrimSpace(string(out)), 64); err != nil {
		t.Fatal(err)
	}
	return dir, ml
}

// A radiologist draws the tumour larger than the program found it and sends it: the PACS receives a new version that
// names the report it replaces and says whose contour it used, and the coverage has changed with it. A contour of
// another frame of reference is refused where an operator sees it, and changes nothing.
func TestRadiologistCorrects(t *testing.T) {
	if testing.Short() {
		t.Skip("two analyses")
	}
	pair := anyPair(t).dir
	pacs := newOrthanc(t)
	pacs.start()
	n := newNode(t, pacs.address)
	n.start()
	n.send(filepath.Join(pair, "pre"), filepath.Join(pair, "post"))
	first := n.waitFor(caseLimit, router.Delivered, router.Held, router.Failed)
	if first.State != router.Delivered {
		t.Fatalf("the case is %s: %s", first.State, first.Reason)
	}
	found := caseFindings(t, n, first)

	wrong, _ := draw(t, filepath.Join(pair, "pre"), filepath.Join(pair, "gtr_pre.nii.gz"), "GTR", "3", "1.2.3.4")
	n.send(wrong)
	n.waitFor(caseLimit, router.ContourRefused)
	list, err := exec.Command(rfanode(t), "cases", "-c", n.config).CombinedOutput()
	if err != nil || !strings.Contains(string(list), "another frame of reference") {
		t.Errorf("rfanode cases does not say why the contour is refused (%v):\n%s", err, list)
	}

	drawn, ml := draw(t, filepath.Join(pair, "pre"), filepath.Join(pair, "gtr_pre.nii.gz"), "Tumor", "3")
	n.send(drawn)
	var second router.Case
	eventually(t, caseLimit, "a new version is delivered", func() bool {
		for _, c := range n.cases() {
			if c.Predecessor == first.ID {
				second = c
			}
		}
		return slices.Contains([]router.State{router.Delivered, router.Held, router.Failed}, second.State)
	})
	if second.State != router.Delivered {
		t.Fatalf("the new version is %s: %s", second.State, second.Reason)
	}
	corrected := caseFindings(t, n, second)
	checkCorrected(t, found, corrected, ml)
	checkVersions(t, pacs, corrected)
	if log := n.log.String(); strings.Contains(log, "Reader") {
		t.Error("the radiologist's name is in the log")
	}
	n.stop()
}

func checkCorrected(t *testing.T, found, corrected analysis.Findings, ml float64) {
	t.Helper()
	if d := math.Abs(corrected.GTR.NativeML - ml); d > 1e-6*ml {
		t.Errorf("the tumour has %.4f mL, drawn were %.4f", corrected.GTR.NativeML, ml)
	}
	// 3 mm more on every side: what is left of the margin shrinks by as much, and the ratio falls.
	if corrected.Coverage.TCR >= found.Coverage.TCR || corrected.Coverage.MAMMM > found.Coverage.MAMMM-1 {
		t.Errorf("TCR %.3f, margin %.1f mm; before %.3f, %.1f mm", corrected.Coverage.TCR, corrected.Coverage.MAMMM, found.Coverage.TCR, found.Coverage.MAMMM)
	}
	if r := corrected.PTZ.VolumeML / found.PTZ.VolumeML; math.Abs(r-1) > 0.05 {
		t.Errorf("the zone, which nobody touched, has changed by a factor of %.2f", r)
	}
	for _, a := range corrected.Algorithms {
		if a.Role == "gtr" && (a.Family != "Manual Processing" || !strings.Contains(a.Prompt, "contour in the SEG")) {
			t.Errorf("how the tumour came about: %+v", a)
		}
	}
}

// checkVersions reads the two reports and the last segmentation that the PACS holds.
func checkVersions(t *testing.T, pacs *orthanc, corrected analysis.Findings) {
	t.Helper()
	files := pacs.download(t.TempDir())
	if len(files["SR"]) != 2 || len(files["SEG"]) != 4 {
		t.Fatalf("the PACS holds %d reports and %d segmentations, want 2 and 4", len(files["SR"]), len(files["SEG"]))
	}
	var reports []*sr.Report
	for _, path := range files["SR"] {
		noErrors(t, path)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		r, err := sr.ReadReport(data)
		if err != nil {
			t.Fatal(err)
		}
		reports = append(reports, r)
	}
	if len(reports[0].Predecessor) > 0 {
		slices.Reverse(reports)
	}
	if len(reports[1].Predecessor) != 1 || reports[1].Predecessor[0].SOPInstanceUID != reports[0].SOPInstanceUID {
		t.Errorf("the new report names %v, the first is %s", reports[1].Predecessor, reports[0].SOPInstanceUID)
	}
	text := strings.Join(reports[1].Groups[0].Comments, "\n")
	for _, want := range []string{"Tumor: not computed, but taken from the contour in the SEG", "Viewer Inc Viewer", "drawn or marked by Reader^One"} {
		if !strings.Contains(text, want) {
			t.Errorf("the new report does not say %q:\n%s", want, text)
		}
	}
	for _, path := range files["SEG"] {
		noErrors(t, path)
	}
}

// Every kind of object that a viewer may send a contour in is accepted, in every encoding, and read.
func TestContourObjectsAreAccepted(t *testing.T) {
	dir := t.TempDir()
	make := filepath.Join(tooltest.ModuleRoot(), "analysis", "contour", "testdata", "make.py")
	if out, err := exec.Command(tooltest.Python(t), make, dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	n := newNode(t, "")
	n.start()
	files, err := filepath.Glob(filepath.Join(dir, "*.dcm"))
	if err != nil || len(files) < 20 {
		t.Fatalf("%d objects, %v", len(files), err)
	}
	var objects []dimse.Object
	for _, path := range files {
		o, err := dimse.FileObject(path)
		if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, o)
	}
	client := dimse.Client{AETitle: "VIEWER"}
	err = client.Store(t.Context(), dimse.Peer{AETitle: "RFANODE", Address: n.address}, objects, func(i int, o dimse.Outcome) {
		if !o.Stored {
			t.Errorf("%s: %s", filepath.Base(files[i]), o)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, caseLimit, "all contours are read", func() bool { return len(n.cases()) >= len(files) })
	for _, c := range n.cases() {
		if c.State != router.ContourWaiting {
			t.Errorf("%s %s: %s", c.ID, c.State, c.Reason)
		}
	}
}
