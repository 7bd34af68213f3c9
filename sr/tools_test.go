package sr

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"rfanode/analysis/ct"
	"rfanode/analysis/volume"
	"rfanode/internal/tooltest"
)

// writeObjects writes the objects of all variants to a folder and returns the paths by variant and role.
func writeObjects(t *testing.T, dir string) map[string]map[string]string {
	t.Helper()
	out := map[string]map[string]string{}
	for _, v := range variants() {
		out[v.name] = map[string]string{}
		_, objects := v.standard()
		for role, o := range objects {
			path := filepath.Join(dir, strings.ReplaceAll(v.name, " ", "-")+"-"+role+".dcm")
			if err := os.WriteFile(path, o.Data, 0o600); err != nil {
				t.Fatal(err)
			}
			out[v.name][role] = path
		}
	}
	return out
}

// A PACS that validates what it receives refuses objects with errors.
func TestValidatorsFindNoErrors(t *testing.T) {
	dciodvfy, dsrdump, dsr2html := tooltest.Need(t, "dciodvfy"), tooltest.Need(t, "dsrdump"), tooltest.Need(t, "dsr2html")
	for name, paths := range writeObjects(t, t.TempDir()) {
		for role, path := range paths {
			out, _ := exec.Command(dciodvfy, "-new", path).CombinedOutput() // its exit status counts warnings too
			lines := bufio.NewScanner(bytes.NewReader(out))
			seen := false
			for lines.Scan() {
				seen = true
				if strings.HasPrefix(lines.Text(), "Error") {
					t.Errorf("%s %s: dciodvfy: %s", name, role, lines.Text())
				}
			}
			if !seen {
				t.Errorf("%s %s: dciodvfy said nothing", name, role)
			}
			if role != "sr" {
				continue
			}
			if out, err := exec.Command(dsrdump, "+Pc", path).CombinedOutput(); err != nil {
				t.Errorf("%s: dsrdump: %v\n%s", name, err, out)
			}
			if out, err := exec.Command(dsr2html, "+U8", path, path+".html").CombinedOutput(); err != nil {
				t.Errorf("%s: dsr2html: %v\n%s", name, err, out)
			}
		}
	}
}

// What testdata/read.py prints.
type highdicomResult struct {
	PatientName      string `json:"patient_name"`
	FrameOfReference string `json:"frame_of_reference"`
	Comments         []string
	Groups           []struct {
		TrackingID   string   `json:"tracking_id"`
		TrackingUID  string   `json:"tracking_uid"`
		Finding      []string `json:"finding"`
		Laterality   [][]string
		Segmentation string
		Segment      int
		Measurements [][3]any
		Evaluations  [][2]string
	}
	Segments []struct {
		Label       string
		Type        []string
		TrackingUID string `json:"tracking_uid"`
		Planes      []struct {
			Position volume.Vec
			SHA256   string
		}
	}
	Shape []int
}

func readWithHighdicom(t *testing.T, paths map[string]map[string]string) map[string]highdicomResult {
	t.Helper()
	args := []string{filepath.Join("testdata", "read.py")}
	for _, v := range variants() {
		for _, p := range paths[v.name] {
			args = append(args, p)
		}
	}
	cmd := exec.Command(tooltest.Python(t), args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("read.py: %v\n%s", err, stderr.String())
	}
	var r map[string]highdicomResult
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// highdicom must read the same numbers as the findings hold and the same voxels as the masks.
func TestHighdicomReadsTheSame(t *testing.T) {
	tooltest.Python(t)
	paths := writeObjects(t, t.TempDir())
	results := readWithHighdicom(t, paths)
	for _, v := range variants() {
		t.Run(v.name, func(t *testing.T) {
			c, _ := v.standard()
			compareReport(t, c, v, results[paths[v.name]["sr"]])
			var post, pre []*volume.Mask
			for _, f := range c.findings {
				post = append(post, f.GTRPost.Mask, f.PTV.Mask, f.PTZ.Mask, f.Uncovered.Mask)
				pre = append(pre, f.GTR.Mask)
			}
			compareMasks(t, "seg-post", results[paths[v.name]["seg-post"]], c.post, post)
			compareMasks(t, "seg-pre", results[paths[v.name]["seg-pre"]], c.pre, pre)
			if s := results[paths[v.name]["sc-1"]].Shape; len(s) != 3 || s[0] != 1024 || s[1] != 1024 || s[2] != 3 {
				t.Errorf("summary picture: shape %v", s)
			}
		})
	}
}

func compareReport(t *testing.T, c testCase, v variant, r highdicomResult) {
	t.Helper()
	if want := strings.TrimRight(v.patient, "="); strings.TrimRight(r.PatientName, "=") != want {
		t.Errorf("patient name %q, want %q", r.PatientName, want)
	}
	if len(r.Groups) != 6*v.lesions {
		t.Fatalf("%d volumetric groups, want %d", len(r.Groups), 6*v.lesions)
	}
	if len(r.Comments) == 0 || !strings.Contains(r.Comments[0], "TCR") || r.Comments[len(r.Comments)-1] != RUO {
		t.Errorf("sentences: %q", r.Comments)
	}
	for n, f := range c.findings {
		g := r.Groups[n]
		cov := f.Coverage
		want := map[string]float64{"TCR": cov.TCR * 100, "TCRLUNG": cov.TCRInLung * 100, "MAM": cov.MAMMM, "MAMP5": cov.MAMP5MM, "UNCOVVOL": cov.UncoveredML,
			"REGDICE": f.Registration.LungDice, "MHLT0": cov.MarginShare[0] * 100, "TCRLO": cov.TCRRange[0] * 100, "TCRHI": cov.TCRRange[1] * 100}
		if f.Prognosis != nil {
			want["RELHAZ"] = f.Prognosis.RelativeHazard
		}
		got := map[string]float64{}
		for _, m := range g.Measurements {
			got[m[0].(string)] = m[1].(float64)
		}
		for code, w := range want {
			if x, ok := got[code]; !ok || math.Abs(x-w) > 1e-3 {
				t.Errorf("lesion %d: %s = %v, want %v", f.Lesion, code, x, w)
			}
		}
		if _, ok := got["RELHAZ"]; ok != (f.Prognosis != nil) {
			t.Errorf("lesion %d: relative hazard is there: %v", f.Lesion, ok)
		}
		masks := []*volume.Mask{f.GTR.Mask, f.GTRPost.Mask, f.PTV.Mask, f.PTZ.Mask, f.Uncovered.Mask}
		for i, m := range masks {
			g := r.Groups[len(c.findings)+5*n+i]
			if len(g.Measurements) == 0 || g.Measurements[0][0] != "118565006" || math.Abs(g.Measurements[0][1].(float64)-m.VolumeML()) > 1e-3 {
				t.Errorf("%s: volume %v, want %v", g.TrackingID, g.Measurements, m.VolumeML())
			}
			if (v.laterality == "") != (len(g.Laterality) == 0) {
				t.Errorf("%s: laterality %v, want %q", g.TrackingID, g.Laterality, v.laterality)
			}
		}
	}
}

func compareMasks(t *testing.T, role string, r highdicomResult, s *ct.Series, masks []*volume.Mask) {
	t.Helper()
	if r.FrameOfReference != s.FrameOfReferenceUID {
		t.Errorf("%s: frame of reference %s, want that of its CT %s", role, r.FrameOfReference, s.FrameOfReferenceUID)
	}
	if len(r.Segments) != len(masks) {
		t.Fatalf("%s: %d segments, want %d", role, len(r.Segments), len(masks))
	}
	for n, m := range masks {
		seen := map[int]bool{}
		plane := m.Size[0] * m.Size[1]
		for _, p := range r.Segments[n].Planes {
			idx := m.Index(p.Position)
			k := int(math.Round(idx[2]))
			if math.Abs(idx[0]) > 1e-3 || math.Abs(idx[1]) > 1e-3 || math.Abs(idx[2]-float64(k)) > 1e-3 || k < 0 || k >= m.Size[2] {
				t.Fatalf("%s segment %d: plane at %v is index %v of the CT", role, n+1, p.Position, idx)
			}
			seen[k] = true
			if sum := sha256.Sum256(m.Data[k*plane : (k+1)*plane]); hex.EncodeToString(sum[:]) != p.SHA256 {
				t.Errorf("%s segment %d, slice %d: other voxels", role, n+1, k)
			}
		}
		for _, f := range framesOf([]segment{{s: structure(m)}}) {
			if !seen[f.k] {
				t.Errorf("%s segment %d: slice %d is missing", role, n+1, f.k)
			}
		}
	}
}

// A second validator knows the templates row by row. It takes half a minute a file, so it runs on request.
func TestPixelMedFindsNoErrors(t *testing.T) {
	jar := "/usr/share/java/pixelmed.jar"
	if os.Getenv("RFANODE_PIXELMED") == "" {
		t.Skip("set RFANODE_PIXELMED=1 to run PixelMed's SR validator (slow)")
	}
	if _, err := os.Stat(jar); err != nil {
		t.Fatalf("%s is missing: install pixelmed-apps", jar)
	}
	paths := writeObjects(t, t.TempDir())
	for _, name := range []string{"axial", "two lesions", "one study", "no side"} {
		out, err := exec.Command("java", "-Djdk.xml.xpathExprGrpLimit=0", "-Djdk.xml.xpathExprOpLimit=0", "-Djdk.xml.xpathTotalOpLimit=0",
			"-cp", jar, "com.pixelmed.validate.DicomSRValidator", paths[name]["sr"]).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "Root Template Validation Complete") {
			t.Errorf("%s: validator: %v\n%s", name, err, out)
		}
		for line := range strings.Lines(string(out)) {
			if strings.HasPrefix(line, "Error") {
				t.Errorf("%s: %s", name, line)
			}
		}
	}
}
