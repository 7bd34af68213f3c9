package contour

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"rfanode/analysis/ct"
	"rfanode/analysis/volume"
	"rfanode/internal/tooltest"
)

func different(a, b *volume.Mask) int {
	n := 0
	for i := range a.Data {
		if a.Data[i] != b.Data[i] {
			n++
		}
	}
	return n
}

func dice(a, b *volume.Mask) float64 {
	return 2 * float64(volume.Intersect(a, b).Count()) / float64(a.Count()+b.Count())
}

func problemOf(err error) Problem { return problem(err) }

// expectation is one line of what testdata/make.py has made.
type expectation struct {
	Object    string
	Structure int
	Mask      string
	Dice      float64 // 1: the very voxels
	Label     string
	Problem   Problem
	Point     *volume.Vec
	Within    float64 // mm
}

// Objects that highdicom and pydicom wrote become the masks and points they were made from.
func TestOtherProgramsObjects(t *testing.T) {
	dir := madeObjects(t)
	series := madeSeries(t, dir)
	var all []expectation
	text, err := os.ReadFile(filepath.Join(dir, "expect.json"))
	if err != nil || json.Unmarshal(text, &all) != nil || len(all) == 0 {
		t.Fatalf("expect.json: %v, %d lines", err, len(all))
	}
	for _, e := range all {
		t.Run(fmt.Sprintf("%s %d", e.Object, e.Structure), func(t *testing.T) { e.check(t, dir, series) })
	}
}

// made is the folder that testdata/make.py has filled, once for all tests.
var made struct {
	sync.Once
	dir string
	err error
}

func madeObjects(t *testing.T) string {
	t.Helper()
	python := tooltest.Python(t)
	made.Do(func() {
		if made.dir, made.err = os.MkdirTemp("", "contour-test-"); made.err != nil {
			return
		}
		if out, err := exec.Command(python, filepath.Join("testdata", "make.py"), made.dir).CombinedOutput(); err != nil {
			made.err = fmt.Errorf("%w\n%s", err, out)
		}
	})
	if made.err != nil {
		t.Fatal(made.err)
	}
	return made.dir
}

func TestMain(m *testing.M) {
	code := m.Run()
	if made.dir != "" {
		os.RemoveAll(made.dir)
	}
	os.Exit(code)
}

func madeSeries(t *testing.T, dir string) *ct.Series {
	t.Helper()
	series, err := ct.LoadDir(t.Context(), filepath.Join(dir, "ct"))
	if err != nil {
		t.Fatal(err)
	}
	return series
}

func madeMask(t *testing.T, dir string, series *ct.Series, name string) *volume.Mask {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return &volume.Mask{Geometry: series.Volume.Geometry, Data: data}
}

func (e expectation) check(t *testing.T, dir string, series *ct.Series) {
	c, err := Read(filepath.Join(dir, e.Object))
	if err != nil {
		t.Fatal(err)
	}
	i, err := c.Structure(fmt.Sprint(e.Structure))
	if err != nil {
		t.Fatal(err)
	}
	if e.Label != "" && c.Structures[i].Label != e.Label {
		t.Errorf("label %q, want %q", c.Structures[i].Label, e.Label)
	}
	if !slices.Contains(c.Series, series.SeriesInstanceUID) || c.Made.IsZero() || c.Maker.Manufacturer == "" {
		t.Errorf("refers to %v, made %s by %+v", c.Series, c.Made, c.Maker)
	}
	if e.Point != nil {
		p, err := c.Point(series, i)
		if err != nil {
			t.Fatal(err)
		}
		d := sub(p, *e.Point)
		if far := math.Sqrt(dot(d, d)); !(far <= e.Within) {
			t.Errorf("point %v, want %v: %.3f mm apart", p, *e.Point, far)
		}
		return
	}
	got, err := c.Mask(series, i)
	if e.Problem != "" {
		if problemOf(err) != e.Problem {
			t.Errorf("error %v, want one of %q", err, e.Problem)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	want := madeMask(t, dir, series, e.Mask)
	d := dice(got, want)
	t.Logf("Dice %.4f", d)
	if d < e.Dice || e.Dice == 1 && different(got, want) > 0 {
		t.Errorf("Dice %.4f, want %.3f; %d of %d voxels differ", d, e.Dice, different(got, want), want.Count())
	}
}
