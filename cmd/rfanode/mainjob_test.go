package main

import (
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"rfanode/analysis"
	"rfanode/analysis/phantom"
	"rfanode/internal/tooltest"
	"rfanode/router"
)

// caseLimit is how long one case may take here: tests run on small and busy machines.
const caseLimit = 5 * time.Minute

// The main job on real CT: sent by a real sender, returned to a real PACS, read by independent readers.
func TestRealPairs(t *testing.T) {
	if testing.Short() {
		t.Skip("real pairs take minutes")
	}
	shared := tooltest.Shared(t)
	for _, name := range []string{"pair-lidc-covered", "pair-r01-partial"} {
		dir := t.TempDir()
		archive := filepath.Join(shared, "data", name+".tar.xz")
		if out, err := exec.Command("tar", "xJf", archive, "-C", dir).CombinedOutput(); err != nil {
			t.Fatalf("unpack %s: %v\n%s", archive, err, out)
		}
		pair := filepath.Join(dir, name)
		t.Run(name, func(t *testing.T) { realPair(t, pair) })
		t.Run(name+" without descriptions", func(t *testing.T) {
			blankDescriptions(t, pair)
			realPair(t, pair)
		})
	}
}

func realPair(t *testing.T, pair string) {
	var truth struct{ TCR float64 }
	readJSON(t, filepath.Join(pair, "truth.json"), &truth)
	f := mainJob(t, filepath.Join(pair, "pre"), filepath.Join(pair, "post"))
	t.Logf("TCR %.3f, true %.3f, range %.3f to %.3f", f.Coverage.TCR, truth.TCR, f.Coverage.TCRRange[0], f.Coverage.TCRRange[1])
	if d := math.Abs(f.Coverage.TCR - truth.TCR); d > 0.05 {
		t.Errorf("TCR %.3f is off by %.3f from the true %.3f", f.Coverage.TCR, d, truth.TCR)
	}
	if r := f.Coverage.TCRRange; truth.TCR < r[0] || truth.TCR > r[1] {
		t.Errorf("the true TCR %.3f lies outside of the stated range %.3f to %.3f", truth.TCR, r[0], r[1])
	}
}

// mainJob sends two series to a node in front of Orthanc, waits for the result there, and holds it against the findings.
func mainJob(t *testing.T, pre, post string) analysis.Findings {
	t.Helper()
	pacs := newOrthanc(t)
	pacs.start()
	n := newNode(t, pacs.address)
	n.start()
	n.send(pre, post)
	c := n.waitFor(caseLimit, router.Delivered, router.Held, router.Failed, router.NotDelivered, router.PartlyDelivered)
	if c.State != router.Delivered {
		t.Fatalf("the case is %s: %s", c.State, c.Reason)
	}
	f := caseFindings(t, n, c)
	if f.Status != analysis.Final {
		t.Fatalf("delivered, but the findings are %s: %v", f.Status, f.Reasons)
	}
	checkObjects(t, pacs, f)
	n.stop()
	return f
}

// caseFindings reads findings.json of a case. The folder of a case is named relative to the data folder.
func caseFindings(t *testing.T, n *running, c router.Case) analysis.Findings {
	t.Helper()
	var f analysis.Findings
	folder := c.Folder
	if !filepath.IsAbs(folder) {
		folder = filepath.Join(n.data, folder)
	}
	readJSON(t, filepath.Join(folder, "findings.json"), &f)
	return f
}

// checkObjects reads what the PACS holds with dciodvfy and highdicom.
func checkObjects(t *testing.T, pacs *orthanc, f analysis.Findings) {
	t.Helper()
	files := pacs.download(t.TempDir())
	if len(files["SR"]) != 1 || len(files["SEG"]) != 2 || len(files["OT"]) != 1 {
		t.Fatalf("the PACS holds %d SR, %d SEG and %d pictures; want 1, 2 and 1", len(files["SR"]), len(files["SEG"]), len(files["OT"]))
	}
	all := slices.Concat(files["SR"], files["SEG"], files["OT"])
	for _, path := range all {
		noErrors(t, path)
	}
	read := exec.Command(tooltest.Python(t), append([]string{filepath.Join(tooltest.ModuleRoot(), "sr", "testdata", "read.py")}, all...)...)
	read.Stderr = os.Stderr
	out, err := read.Output()
	if err != nil {
		t.Fatalf("highdicom cannot read the objects: %v", err)
	}
	var objects map[string]readObject
	if err := json.Unmarshal(out, &objects); err != nil {
		t.Fatal(err)
	}
	report := objects[files["SR"][0]]
	if len(report.Groups) != 6 {
		t.Fatalf("highdicom finds %d measurement groups, want 6", len(report.Groups))
	}
	c := f.Coverage
	for code, want := range map[string]float64{"TCR": 100 * c.TCR, "TCRLUNG": 100 * c.TCRInLung, "MAM": c.MAMMM, "MAMP5": c.MAMP5MM, "UNCOVVOL": c.UncoveredML} {
		if got, ok := report.Groups[0].value(code); !ok || math.Abs(got-want) > 1e-3 {
			t.Errorf("report: %s is %g (there: %v), findings.json says %g", code, got, ok, want)
		}
	}
	segments := map[string]int{} // voxels
	voxelML := map[string]float64{}
	for _, path := range files["SEG"] {
		for _, s := range objects[path].Segments {
			segments[s.Label] = s.Voxels
			voxelML[s.Label] = objects[path].VoxelML
		}
	}
	for prefix, s := range map[string]*analysis.Structure{"GTR tumor (pre)": f.GTR, "GTR tumor (pre, def": f.GTRPost, "PTV": f.PTV, "PTZ": f.PTZ, "Uncovered": f.Uncovered} {
		found := false
		for label, n := range segments {
			if strings.HasPrefix(label, prefix) {
				found = true
				if got := float64(n) * voxelML[label]; math.Abs(got-s.NativeML) > 1e-3 {
					t.Errorf("segment %q holds %.4f mL, findings.json says %.4f", label, got, s.NativeML)
				}
			}
		}
		if !found {
			t.Errorf("no segment %q", prefix)
		}
	}
}

// readObject is what sr/testdata/read.py prints of one file.
type readObject struct {
	VoxelML  float64     `json:"voxel_ml"`
	Groups   []readGroup `json:"groups"`
	Segments []struct {
		Label  string
		Voxels int
	}
}

type readGroup struct{ Measurements [][3]any }

func (g readGroup) value(code string) (float64, bool) {
	for _, m := range g.Measurements {
		if m[0] == code {
			v, ok := m[1].(float64)
			return v, ok
		}
	}
	return 0, false
}

func blankDescriptions(t *testing.T, pair string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(pair, "p*", "*.dcm"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no DICOM files in %s (%v)", pair, err)
	}
	args := append([]string{"-nb", "-imt", "-ma", "StudyDescription=", "-ma", "SeriesDescription=", "-ma", "DerivationDescription="}, files...)
	if out, err := exec.Command(tooltest.Need(t, "dcmodify"), args...).CombinedOutput(); err != nil {
		t.Fatalf("dcmodify: %v\n%s", err, out)
	}
}

func readJSON(t *testing.T, path string, v any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// A first-time user runs the demo and believes what it says.
func TestDemo(t *testing.T) {
	out := t.TempDir()
	cmd := exec.Command(rfanode(t), "demo", "--json", "--out", out)
	cmd.Stderr = os.Stderr
	text, err := cmd.Output()
	if err != nil {
		t.Fatalf("rfanode demo: %v\n%s", err, text)
	}
	var r demoResult
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	if !r.Pass || math.Abs(r.TCR.Measured-r.TCR.True) > tcrTolerance {
		t.Errorf("%+v", r)
	}
	if len(r.Sentences) == 0 || !strings.Contains(r.Sentences[len(r.Sentences)-1], "RESEARCH USE ONLY") {
		t.Errorf("the report does not end with its limits: %q", r.Sentences)
	}
	if info, err := os.Stat(filepath.Join(out, "summary.png")); err != nil || info.Size() < 10_000 {
		t.Errorf("summary.png: %v", err)
	}
}

// The accuracy that the main job promises on slices of 2 mm, over ten patients whose truth is known by construction.
func TestPhantomSeeds(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes")
	}
	for seed := uint64(1); seed <= 10; seed++ {
		pair, err := phantom.Pair(t.Context(), phantom.Options{Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		findings, err := analysis.Run(t.Context(), pair.Pre, pair.Post, analysis.Options{})
		if err != nil {
			t.Fatal(err)
		}
		f, truth := findings[0], *pair.Truth.TCR
		if f.Status != analysis.Final || len(findings) != 1 {
			t.Errorf("seed %d: %d findings, the first is %s: %v", seed, len(findings), f.Status, f.Reasons)
			continue
		}
		t.Logf("seed %d: TCR %.3f, true %.3f", seed, f.Coverage.TCR, truth)
		if math.Abs(f.Coverage.TCR-truth) > tcrTolerance {
			t.Errorf("seed %d: TCR %.3f is off by more than %.2f from the true %.3f", seed, f.Coverage.TCR, tcrTolerance, truth)
		}
		if r := f.Coverage.TCRRange; truth < r[0] || truth > r[1] {
			t.Errorf("seed %d: the true TCR %.3f lies outside of the stated range %.3f to %.3f", seed, truth, r[0], r[1])
		}
	}
}
