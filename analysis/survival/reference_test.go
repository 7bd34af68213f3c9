package survival

import (
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"rfanode/internal/tooltest"
)

// table is a CSV file by column name.
type table struct {
	header []string
	rows   [][]string
	column map[string]int
}

func readTable(t testing.TB, path string) table {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	all, err := csv.NewReader(r).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	tb := table{all[0], all[1:], map[string]int{}}
	for j, name := range all[0] {
		tb.column[name] = j
	}
	return tb
}

func (tb table) text(name string) []string {
	out := make([]string, len(tb.rows))
	for i, r := range tb.rows {
		out[i] = r[tb.column[name]]
	}
	return out
}

func (tb table) floats(t testing.TB, name string) []float64 {
	t.Helper()
	if _, ok := tb.column[name]; !ok {
		t.Fatalf("no column %q", name)
	}
	out := make([]float64, len(tb.rows))
	for i, s := range tb.text(name) {
		v, err := strconv.ParseFloat(s, 64)
		if err != nil {
			t.Fatal(err)
		}
		out[i] = v
	}
	return out
}

func (tb table) columns(t testing.TB, names ...string) [][]float64 {
	var out [][]float64
	for _, n := range names {
		out = append(out, tb.floats(t, n))
	}
	return out
}

func (tb table) ints(t testing.TB, name string) []int {
	var out []int
	for _, v := range tb.floats(t, name) {
		out = append(out, int(v))
	}
	return out
}

// where gives the rows whose column has the value.
func (tb table) where(name, value string) []int {
	var out []int
	for i, s := range tb.text(name) {
		if s == value {
			out = append(out, i)
		}
	}
	return out
}

func (tb table) outcome(t testing.TB, time, event string) Outcome {
	return Outcome{tb.floats(t, time), tb.ints(t, event)}
}

// shared is the folder of the reference cohort that was handed over with the task, or skips.
func shared(t testing.TB) string {
	dir := filepath.Join(tooltest.Shared(t), "reference", "cohort")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("no reference cohort in the shared data")
	}
	return dir
}

func readJSON(t testing.TB, path string, v any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// node walks decoded JSON: objects by name.
type node struct{ v any }

func (n node) get(path ...string) node {
	for _, p := range path {
		m, ok := n.v.(map[string]any)
		if !ok {
			return node{}
		}
		n = node{m[p]}
	}
	return n
}

func (n node) num() float64 {
	switch v := n.v.(type) {
	case float64:
		return v
	case []any: // R's toJSON writes a scalar as a list of one
		if len(v) == 1 {
			return node{v[0]}.num()
		}
	}
	return math.NaN()
}

func (n node) nums() []float64 {
	l, ok := n.v.([]any)
	if !ok {
		if f, ok := n.v.(float64); ok {
			return []float64{f}
		}
		return nil
	}
	out := make([]float64, len(l))
	for i, v := range l {
		out[i] = node{v}.num()
	}
	return out
}

func (n node) list() []node {
	l, _ := n.v.([]any)
	var out []node
	for _, v := range l {
		out = append(out, node{v})
	}
	return out
}

func (n node) str() string {
	s, _ := n.v.(string)
	return s
}

func readNode(t testing.TB, path string) node {
	var v any
	readJSON(t, path, &v)
	return node{v}
}

// near compares with a relative tolerance (absolute below 1e-3).
func near(t testing.TB, what string, got, want, tol float64) {
	t.Helper()
	if math.IsNaN(got) && math.IsNaN(want) {
		return
	}
	if !(math.Abs(got-want) <= tol*math.Max(math.Abs(want), 1e-3)) {
		t.Errorf("%s: %.15g, want %.15g (off by %.2g)", what, got, want, got-want)
	}
}

func nears(t testing.TB, what string, got, want []float64, tol float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d values, want %d", what, len(got), len(want))
		return
	}
	bad := 0
	for i := range got {
		if math.IsNaN(got[i]) && math.IsNaN(want[i]) {
			continue
		}
		if !(math.Abs(got[i]-want[i]) <= tol*math.Max(math.Abs(want[i]), 1e-3)) {
			if bad++; bad <= 3 {
				t.Errorf("%s[%d]: %.15g, want %.15g", what, i, got[i], want[i])
			}
		}
	}
	if bad > 3 {
		t.Errorf("%s: %d of %d values off", what, bad, len(got))
	}
}
