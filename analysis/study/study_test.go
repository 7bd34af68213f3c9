package study

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"rfanode/analysis/phantom"
	"rfanode/analysis/prognosis"
	"rfanode/analysis/survival"
	"rfanode/internal/tooltest"
)

// synthetic is a cohort of the generator with every step-th feature, so that tests are quick.
func synthetic(t testing.TB, o phantom.CohortOptions, step int) *Cohort {
	t.Helper()
	p, err := phantom.MakeCohort(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	informative := make(map[string]bool)
	for _, n := range p.Truth.Informative {
		informative[n] = true
	}
	var names []string
	var cols [][]float64
	for j, n := range p.FeatureNames {
		if j%step == 0 || informative[n] {
			names, cols = append(names, n), append(cols, p.Features[j])
		}
	}
	p.FeatureNames, p.Features = names, cols
	dir := t.TempDir()
	if err := p.Write(dir); err != nil {
		t.Fatal(err)
	}
	table, err := os.Open(filepath.Join(dir, "cohort.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	features, err := os.Open(filepath.Join(dir, "features.csv.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer features.Close()
	c, err := ReadCohort(table, features)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// quick is a study that takes a second.
func quick() Spec {
	s := DefaultSpec()
	s.Folds, s.Repeats, s.InnerRepeats, s.CrossfitFolds, s.Ensemble, s.Bootstraps = 5, 2, 1, 3, 2, 40
	s.Training.Epochs, s.Training.Patience, s.Training.LearningRate = 150, 20, 5e-3
	return s
}

// TestStudySameBytes: the whole study writes every file, the bundle among them loads, and the bytes are the same on one
// processor and on several.
func TestStudySameBytes(t *testing.T) {
	dir := t.TempDir()
	c := synthetic(t, phantom.CohortOptions{Seed: 6}, 9)
	for _, name := range []string{"a", "b"} {
		if name == "b" {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
		}
		r, err := Run(context.Background(), c, quick(), "rfanode test", nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Write(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	files := 0
	err := filepath.WalkDir(filepath.Join(dir, "a"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(filepath.Join(dir, "a"), path)
		a, _ := os.ReadFile(path)
		b, err := os.ReadFile(filepath.Join(dir, "b", rel))
		if err != nil || !bytes.Equal(a, b) {
			t.Errorf("%s differs between runs: %v", rel, err)
		}
		files++
		return nil
	})
	if err != nil || files < 34 {
		t.Errorf("%d files, %v", files, err)
	}
	checkReport(t, filepath.Join(dir, "a"))
}

// checkReport: the HTML needs nothing from outside, and the parts that a reader looks for are there.
func checkReport(t *testing.T, dir string) {
	t.Helper()
	html, err := os.ReadFile(filepath.Join(dir, "report.html"))
	if err != nil {
		t.Fatal(err)
	}
	if m := regexp.MustCompile(`(src|href)=|<script|url\(|@import`).Find(html); m != nil {
		t.Errorf("the report refers to something outside: %s", m)
	}
	for _, want := range []string{"Research use only", "Table 1", "Nomogram", "Attention", "Decision curve", "LASSO path", "calibration slope", "printed Brier", "What the paper printed", "0.906"} {
		if !strings.Contains(string(html), want) && !(want == "printed Brier" && strings.Contains(string(html), "do not show good calibration")) {
			t.Errorf("the report lacks %q", want)
		}
	}
	if strings.Contains(string(html), "NaN") {
		t.Error("the report prints NaN")
	}
	var v any
	j, err := os.ReadFile(filepath.Join(dir, "result.json"))
	if err != nil || json.Unmarshal(j, &v) != nil {
		t.Errorf("result.json: %v", err)
	}
	tripod, err := os.ReadFile(filepath.Join(dir, "tripod.md"))
	if err != nil || strings.Count(string(tripod), "\n| ") < 45 || !strings.Contains(string(tripod), byTheSite) {
		t.Errorf("tripod.md: %v", err)
	}
	if _, err := prognosis.Load(filepath.Join(dir, "bundle")); err != nil {
		t.Error(err)
	}
}

// TestStudyVariants: a cohort that says nothing, one with separation, competing deaths and missing values, one without
// features, and the network on features themselves: each study ends, says what it met, and its bundle loads.
func TestStudyVariants(t *testing.T) {
	for _, v := range []struct {
		name     string
		o        phantom.CohortOptions
		change   func(c *Cohort, s *Spec)
		contains []string
	}{
		{"separation", phantom.CohortOptions{Seed: 3, Separation: true}, nil, []string{"Maximum likelihood diverged"}},
		{"competing and missing", phantom.CohortOptions{Seed: 4, Competing: true, Missing: true}, nil, []string{"Death without progression is coded"}},
		{"median", phantom.CohortOptions{Seed: 4, Missing: true}, func(_ *Cohort, s *Spec) { s.Missing = "median" }, nil},
		{"no features", phantom.CohortOptions{Seed: 5}, func(c *Cohort, _ *Spec) { c.Features, c.FeatureNames = nil, nil }, []string{"No radiomic features"}},
		{"network on features", phantom.CohortOptions{Seed: 6}, func(_ *Cohort, s *Spec) { s.Inputs = "features" }, nil},
		{"empty model", phantom.CohortOptions{Seed: 6, Weak: true}, func(_ *Cohort, s *Spec) { s.LambdaRule = "1se" }, []string{"selected no feature"}},
		{"resampling", phantom.CohortOptions{Seed: 6}, func(_ *Cohort, s *Spec) { s.Nested, s.Optimism, s.Permute, s.Bootstraps = 3, 2, 2, 10 }, nil},
		{"selection and grid", phantom.CohortOptions{Seed: 6}, func(_ *Cohort, s *Spec) { s.Selection, s.L2Grid = "univariable", []float64{.001, .1} }, nil},
	} {
		c := synthetic(t, v.o, 25)
		s := quick()
		s.Bootstraps, s.CrossfitFolds, s.Repeats = 0, 2, 1
		if v.change != nil {
			v.change(c, &s)
		}
		r, err := Run(context.Background(), c, s, "test", nil)
		if err != nil {
			t.Errorf("%s: %v", v.name, err)
			continue
		}
		if err := r.Write(t.TempDir()); err != nil {
			t.Errorf("%s: %v", v.name, err)
		}
		for _, want := range v.contains {
			if !strings.Contains(strings.Join(r.Remarks, " "), want) {
				t.Errorf("%s: no remark says %q: %q", v.name, want, r.Remarks)
			}
		}
		if v.name == "resampling" {
			if r.Nested == nil || r.Nested.Runs != 3 || r.Optimism == nil || r.Permuted == nil || !(r.Optimism.Optimism[ModelRadscore] > 0) {
				t.Errorf("%s: %+v %+v %+v", v.name, r.Nested, r.Optimism, r.Permuted)
			}
		}
		if v.name == "competing and missing" && (len(r.Incidence) == 0 || r.bundle.Competing != "cif" || r.Flow[0].NotComplete == 0) {
			t.Errorf("%s: %d incidences, bundle %s, %+v", v.name, len(r.Incidence), r.bundle.Competing, r.Flow[0])
		}
	}
}

// TestNothingLeaks: with outcomes dealt to other patients, the whole procedure validates at .5 over 40 runs, for the
// network, both Cox models and the Radscore alone.
func TestNothingLeaks(t *testing.T) {
	c := synthetic(t, phantom.CohortOptions{Seed: 8}, 13)
	s := quick()
	s.Repeats, s.CrossfitFolds, s.Ensemble = 1, 0, 1
	s.Training.Epochs, s.Training.Dropout = 40, 0
	r, err := Permuted(context.Background(), c, s, 40, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	for m, v := range r.C {
		if math.Abs(float64(v)-.5) > .02 {
			t.Errorf("%s: mean validation C %.3f (SD %.3f) with permuted outcomes", m, float64(v), float64(r.SD[m]))
		}
	}
	if len(r.C) < 3 {
		t.Errorf("measured %v", r.C)
	}
}

// TestReferenceCohort: on the cohort of the notes the network is within .03 of the reference runs, or better.
func TestReferenceCohort(t *testing.T) {
	dir := filepath.Join(tooltest.Shared(t), "reference", "cohort")
	table, err := os.Open(filepath.Join(dir, "clinical.csv"))
	if err != nil {
		t.Skip("no reference cohort in the shared data")
	}
	defer table.Close()
	features, err := os.Open(filepath.Join(dir, "radiomics.csv.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer features.Close()
	c, err := ReadCohort(table, features)
	if err != nil {
		t.Fatal(err)
	}
	s := DefaultSpec()
	s.Repeats, s.InnerRepeats, s.CrossfitFolds, s.Bootstraps = 3, 1, 5, 0
	r, err := Run(context.Background(), c, s, "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	for set, want := range map[string]float64{Internal: .839, External: .777} {
		got := float64(r.Performance[set][ModelDeepSurv].C[0])
		t.Logf("%s: C %.3f, reference run %.3f", set, got, want)
		if got < want-.03 {
			t.Errorf("%s: C %.3f, the reference run has %.3f", set, got, want)
		}
	}
	if got := float64(r.Performance[External][ModelClinical].C[0]); math.Abs(got-.692) > 1e-9 {
		t.Errorf("clinical Cox, external C %.4f, want .692", got)
	}
	if got := float64(r.Performance[External][ModelClinical].Brier["24"][0]); math.Abs(got-.18171907) > 1e-6 {
		t.Errorf("clinical Cox, external Brier %.7f, want .1817191", got)
	}
	for _, e := range r.AllPatients {
		want := map[string]float64{"male": 1.576132, "fib": 1.543740, "tcr1": .109503}[e.Name]
		if math.Abs(e.HR-want) > 2e-6 {
			t.Errorf("all patients, HR of %s %.6f, want %.6f", e.Name, e.HR, want)
		}
	}
}

// TestSplit: 155 patients of the development centre give 109 and 46, events in proportion, the same for a seed, another
// for another.
func TestSplit(t *testing.T) {
	make155 := func() *Cohort {
		c := &Cohort{}
		for i := range 217 {
			c.ID, c.Center = append(c.ID, fmt.Sprint("p", i)), append(c.Center, "A")
			if i >= 155 {
				c.Center[i] = "B"
			}
			c.Y.Time, c.Y.Event = append(c.Y.Time, float64(i+1)), append(c.Y.Event, i%3%2)
		}
		return c
	}
	a, b, other := make155(), make155(), make155()
	for _, x := range []struct {
		c    *Cohort
		seed uint64
	}{{a, 1}, {b, 1}, {other, 2}} {
		if err := x.c.Split(x.seed); err != nil {
			t.Fatal(err)
		}
	}
	if len(a.Rows(Train)) != 109 || len(a.Rows(Internal)) != 46 || len(a.Rows(External)) != 62 {
		t.Errorf("%d, %d, %d", len(a.Rows(Train)), len(a.Rows(Internal)), len(a.Rows(External)))
	}
	if e := a.Y.Pick(a.Rows(Train)).Events(); e != 36 && e != 37 { // 52 x 109/155 = 36.6
		t.Errorf("%d of 52 events train", e)
	}
	if a.SplitHash() != b.SplitHash() || a.SplitHash() == other.SplitHash() {
		t.Error("the split does not follow the seed")
	}
}

// TestReadCohortRefuses: each thing that a table must not hold is refused, and the message names it.
func TestReadCohortRefuses(t *testing.T) {
	for _, c := range []struct{ table, features, want string }{
		{"", "", "empty"},
		{"id,time\na,1\n", "", `no column "event"`},
		{"id,time,event\na,1,1\na,2,0\n", "", "duplicate"},
		{"id,time,event\na,0,1\n", "", "months > 0"},
		{"id,time,event\na,NaN,1\n", "", "months > 0"},
		{"id,time,event\na,1,3\n", "", "0, 1 or 2"},
		{"id,time,event,set\na,1,1,test\n", "", "train, internal or external"},
		{"id,time,event,fib\na,1,1,high\n", "", "fib"},
		{"id,time,event,tcr\na,1,1,1.2\n", "", "not a ratio"},
		{"id,time,event,x,x\na,1,1,1,1\n", "", "used twice"},
		{"id,time,event\na,1,1\n", "id,f\nb,1\n", "not in the cohort"},
		{"id,time,event\na,1,1\nb,1,0\n", "id,f\na,1\n", "no features"},
		{"id,time,event\na,1,1\n", "id,f\na,x\n", "a number is needed"},
		{"id,time,event\na,1,1\n", "name,f\na,1\n", "id is needed"},
		{"id,time,event\na,1,1\n", "id,error,f\na,empty mask,\n", "empty mask"},
		{"id,time,event\na,1,1\nb,1,0\n", "id,settings_sha256,f\na,x,1\nb,y,1\n", "other settings"},
	} {
		var features *strings.Reader
		var err error
		if c.features == "" {
			_, err = ReadCohort(strings.NewReader(c.table), nil)
		} else {
			features = strings.NewReader(c.features)
			_, err = ReadCohort(strings.NewReader(c.table), features)
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.table, err, c.want)
		}
	}
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	w.Write([]byte("id,image,mask,label,profile,settings_sha256,warnings,error,f,g\na,x.nii,m.nii,1,default,abc,,,1,2\nb,x.nii,m.nii,1,default,abc,small,,3,\n"))
	w.Close()
	c, err := ReadCohort(strings.NewReader("\ufeffid,time,event,sex,tcr\na,1,1,M,1\nb,2,0,F,\n"), &z)
	if err != nil {
		t.Fatal(err)
	}
	if c.SettingsSHA256 != "abc" || c.Profile != "default" || len(c.Features) != 1 || len(c.LostFeatures) != 1 || c.Columns["male"][0] != 1 || c.Columns["male"][1] != 0 || c.Columns["tcr1"][0] != 1 || !math.IsNaN(c.Columns["tcr1"][1]) {
		t.Errorf("%+v", c)
	}
	if _, err := ReadSpec(strings.NewReader(`{"sede": 3}`)); err == nil || !strings.Contains(err.Error(), "sede") {
		t.Errorf("an unknown field: %v", err)
	}
	for _, bad := range []string{`{"filter": 0}`, `{"missing": "drop"}`, `{"horizons": []}`, `{"ensemble": 0}`, `{"lambda_rule": "best"}`} {
		if _, err := ReadSpec(strings.NewReader(bad)); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
}

// TestTable1Rule: the specification may force either description; as the paper's Table 1, BMI by mean, age by median.
func TestTable1Rule(t *testing.T) {
	c := synthetic(t, phantom.CohortOptions{Seed: 6}, 600)
	s := DefaultSpec()
	s.MeanSD, s.MedianIQR = []string{"diameter"}, []string{"bmi"}
	tests := map[string]Table1Row{}
	for _, r := range c.table1(s) {
		if r.Level == "" {
			tests[r.Name] = r
		}
	}
	if tests["diameter"].Test != "F" || tests["bmi"].Test != "H" || tests["male"].Test != "chi-square" {
		t.Errorf("%+v", tests)
	}
	if p := float64(tests["male"].P); math.Abs(p-.845) > .0005 { // the generator has the paper's counts
		t.Errorf("sex: P %.4f, the paper prints .845", p)
	}
}

// TestPreviousScan dates progression back to the scan before, never a censoring.
func TestPreviousScan(t *testing.T) {
	y := survival.Outcome{Time: []float64{.3, 1, 2.9, 3.1, 7, 12, 13, 24, 30, 30}, Event: []int{1, 1, 1, 1, 1, 1, 1, 1, 1, 0}}
	want := []float64{.3, .5, 1, 3, 6, 6, 12, 12, 24, 30}
	for i, got := range previousScan(y) {
		if got != want[i] {
			t.Errorf("%g months: %g, want %g", y.Time[i], got, want[i])
		}
	}
}
