package survival

import (
	"errors"
	"math"
	"path/filepath"
	"strings"
	"testing"
)

// compareCox holds a fit against R's coxph and cox.zph.
func compareCox(t *testing.T, name string, f *CoxFit, want node) {
	t.Helper()
	const tol = 1e-8 // the issue asks for 1e-6
	nears(t, name+" coef", f.Coef, want.get("coef").nums(), tol)
	nears(t, name+" se", f.SE, want.get("se").nums(), tol)
	nears(t, name+" loglik", f.LogLik[:], want.get("loglik").nums(), 1e-10)
	if want.get("z").v != nil {
		nears(t, name+" z", f.Z, want.get("z").nums(), 1e-7)
		nears(t, name+" p", f.P, want.get("p").nums(), 1e-6)
		nears(t, name+" lower", f.Lower, want.get("lo").nums(), tol)
		nears(t, name+" upper", f.Upper, want.get("hi").nums(), tol)
		for i, row := range want.get("var").list() {
			nears(t, name+" var", f.Var[i], row.nums(), 1e-7)
		}
	}
	for what, got := range map[string]Test{"lrt": f.Likelihood, "score": f.Score} {
		if w := want.get(what).nums(); len(w) == 3 {
			nears(t, name+" "+what, []float64{got.Statistic, got.DF, got.P}, w, 1e-7)
		}
	}
	if w := want.get("wald").nums(); len(w) == 3 && math.Abs(f.Wald.Statistic-w[0]) > 0.0051 { // R prints two decimals
		t.Errorf("%s wald %g, want %g", name, f.Wald.Statistic, w[0])
	}
	for k, transform := range []string{"km", "rank", "identity"} {
		if w := want.get("zph", transform, "chisq").nums(); len(w) > 0 {
			r := f.PHTest(TimeTransform(k))
			var got []float64
			for _, c := range r.Covariates {
				got = append(got, c.Statistic)
			}
			nears(t, name+" zph "+transform, append(got, r.Global.Statistic), w, 1e-8)
		}
	}
	if w := want.get("basehaz"); w.get("time").v != nil {
		b := f.Baseline()[0]
		nears(t, name+" basehaz time", b.Time, w.get("time").nums(), 1e-12)
		nears(t, name+" basehaz", b.CumHaz, w.get("cumhaz").nums(), 1e-7)
	}
	if w := want.get("martingale").nums(); len(w) > 0 {
		nears(t, name+" martingale", f.Martingale(), w, 1e-7)
	}
}

func dummies(v []float64, levels ...float64) [][]float64 {
	var out [][]float64
	for _, l := range levels {
		col := make([]float64, len(v))
		for i, x := range v {
			if x == l {
				col[i] = 1
			}
		}
		out = append(out, col)
	}
	return out
}

// TestCoxCohort: every Cox model of the reference cohort, against R.
func TestCoxCohort(t *testing.T) {
	dir := shared(t)
	tb := readTable(t, filepath.Join(dir, "clinical.csv"))
	ref := readNode(t, filepath.Join(dir, "ref_cohort_R.json"))
	y := tb.outcome(t, "time", "event")
	for name, want := range ref.get("uni_efron_all").v.(map[string]any) {
		var x [][]float64
		switch {
		case strings.HasPrefix(name, "factor(location"):
			x = dummies(tb.floats(t, "location"), 1, 2, 3, 4)
		case strings.HasPrefix(name, "factor(nature"):
			x = dummies(tb.floats(t, "nature"), 2, 3)
		default:
			x = tb.columns(t, name)
		}
		f, err := Cox(y, x, CoxOptions{})
		if err != nil {
			t.Fatal(name, err)
		}
		compareCox(t, name, f, node{want})
	}
	clin := []string{"male", "fib", "tcr1"}
	train := tb.where("set", "train")
	for _, c := range []struct {
		name  string
		cols  []string
		ties  Ties
		train bool
	}{{"multi_efron", clin, Efron, false}, {"multi_breslow", clin, Breslow, false}, {"multi_train", clin, Efron, true}, {"multi4", []string{"male", "fib", "nature", "tcr1"}, Efron, false}} {
		y, x := y, tb.columns(t, c.cols...)
		if c.train {
			y, x = y.Pick(train), PickColumns(x, train)
		}
		f, err := Cox(y, x, CoxOptions{Ties: c.ties, Names: c.cols})
		if err != nil {
			t.Fatal(err)
		}
		compareCox(t, c.name, f, ref.get(c.name))
	}
}

var publicSets = []struct {
	name, time, event string
	x                 []string
}{
	{"lung", "time", "event", []string{"age", "sex", "ph.ecog", "wt.loss"}},
	{"rossi", "week", "arrest", []string{"fin", "age", "race", "wexp", "mar", "paro", "prio"}},
	{"veteran", "time", "status", []string{"trt", "karno", "diagtime", "age", "prior", "sq", "small", "adeno"}},
	{"gbsg2", "time", "cens", []string{"horTh", "age", "menostat", "tsize", "g2", "g3", "pnodes", "progrec", "estrec"}},
	{"whas500", "time", "event", nil},
}

// TestCoxPublic: the public data sets, Efron and Breslow, with Harrell's and Uno's concordance of the Efron model.
func TestCoxPublic(t *testing.T) {
	dir := shared(t)
	ref := readNode(t, filepath.Join(dir, "ref_public_R.json"))
	for _, s := range publicSets {
		tb := readTable(t, filepath.Join(dir, "datasets", s.name+".csv"))
		want := ref.get(s.name)
		y := tb.outcome(t, s.time, s.event)
		cols := s.x
		if cols == nil {
			for _, n := range want.get("efron", "names").list() {
				cols = append(cols, n.str())
			}
		}
		x := tb.columns(t, cols...)
		f, err := Cox(y, x, CoxOptions{})
		if err != nil {
			t.Fatal(s.name, err)
		}
		compareCox(t, s.name, f, want.get("efron"))
		b, err := Cox(y, x, CoxOptions{Ties: Breslow})
		if err != nil {
			t.Fatal(s.name, err)
		}
		compareCox(t, s.name+" breslow", b, want.get("breslow"))
		lp := f.Predict(x)
		for w := range ConcordanceWeight(5) {
			name := w.String()
			c := Concordance(y, lp, ConcordanceOptions{Weight: w})
			near(t, s.name+" C "+name, c.C, want.get("cindex", name, "C").num(), 1e-9)
		}
	}
}

// TestFirth: near separation (3 events among the completely covered) and complete separation.
func TestFirth(t *testing.T) {
	dir := shared(t)
	tb := readTable(t, filepath.Join(dir, "clinical.csv"))
	y, x := tb.outcome(t, "time", "event"), tb.columns(t, "male", "fib", "tcr1")
	train := tb.where("set", "train")
	var separated []int
	for _, i := range train {
		if !(x[2][i] == 1 && y.Event[i] == 1) {
			separated = append(separated, i)
		}
	}
	var all []int
	for i := range y.Time {
		all = append(all, i)
	}
	for _, c := range []struct {
		name     string
		idx      []int
		ties     Ties
		coef     [3]float64
		pll      float64
		ci       [2]float64
		penalty  bool
		hasCoef  bool
		hasLimit bool
	}{
		{"train", train, Breslow, [3]float64{.754905, -.129239, -1.947587}, -199.663962, [2]float64{-3.24171, -1.00064}, true, true, true},
		{"all", all, Breslow, [3]float64{.450520, .434994, -2.135857}, -391.838999, [2]float64{-3.04291, -1.41102}, true, true, true},
		{"separated", separated, Breslow, [3]float64{.660421, -.140194, -3.794899}, -181.662816, [2]float64{}, true, true, false},
		{"separated, Efron", separated, Efron, [3]float64{.661416, -.139128, -3.796166}, math.NaN(), [2]float64{-8.6351, -1.8547}, true, true, true},
		{"train, ML", train, Efron, [3]float64{}, math.NaN(), [2]float64{-3.51607, -1.09476}, false, false, true},
	} {
		f, err := Cox(y.Pick(c.idx), PickColumns(x, c.idx), CoxOptions{Ties: c.ties, Firth: c.penalty})
		if err != nil {
			t.Fatal(c.name, err)
		}
		if c.hasCoef {
			for j := range c.coef {
				if math.Abs(f.Coef[j]-c.coef[j]) > 1e-5 {
					t.Errorf("%s: coefficient %d %.6f, want %.6f", c.name, j, f.Coef[j], c.coef[j])
				}
			}
			if !math.IsNaN(c.pll) && math.Abs(f.LogLik[1]-c.pll) > 1e-5 {
				t.Errorf("%s: penalised likelihood %.6f, want %.6f", c.name, f.LogLik[1], c.pll)
			}
			if f.Diverged {
				t.Errorf("%s: said to have diverged", c.name)
			}
		}
		if c.hasLimit {
			ci := f.ProfileCI(2)
			for k, got := range []float64{ci.Lower, ci.Upper} {
				if math.Abs(got-c.ci[k]) > 1e-4 {
					t.Errorf("%s: profile limit %.5f, want %.5f", c.name, got, c.ci[k])
				}
			}
		}
	}
	f, err := Cox(y.Pick(separated), PickColumns(x, separated), CoxOptions{})
	if err == nil && !f.Diverged {
		t.Errorf("complete separation went unseen: coefficient %v, SE %v", f.Coef, f.SE)
	}
}

// TestCoxRefuses: what cannot be fitted is refused by name, never a NaN in a table.
func TestCoxRefuses(t *testing.T) {
	y := Outcome{[]float64{1, 2, 3, 4, 5, 6}, []int{1, 0, 1, 1, 0, 1}}
	v := []float64{1, 4, 2, 6, 3, 9}
	twice := []float64{2, 8, 4, 12, 6, 18}
	var collinear CollinearError
	if _, err := Cox(y, [][]float64{v, twice}, CoxOptions{Names: []string{"a", "b"}}); !errors.As(err, &collinear) || collinear.Name != "b" {
		t.Errorf("a doubled covariate: %v", err)
	}
	if _, err := Cox(y, [][]float64{{5, 5, 5, 5, 5, 5}}, CoxOptions{}); !errors.As(err, &collinear) {
		t.Errorf("a constant covariate: %v", err)
	}
	if _, err := Cox(Outcome{y.Time, make([]int, 6)}, [][]float64{v}, CoxOptions{}); !errors.Is(err, ErrNoEvents) {
		t.Errorf("no events: %v", err)
	}
	for _, bad := range []Outcome{{[]float64{1, math.NaN()}, []int{1, 0}}, {[]float64{1, -1}, []int{1, 0}}, {[]float64{1, 2}, []int{1, 7}}, {nil, nil}, {[]float64{1}, []int{1, 0}}} {
		if _, err := Cox(bad, [][]float64{{1, 2}}, CoxOptions{}); err == nil {
			t.Errorf("%v was accepted", bad)
		}
	}
	if _, err := Cox(y, [][]float64{{1, 2, math.Inf(1), 3, 4, 5}}, CoxOptions{}); err == nil {
		t.Error("an infinite covariate was accepted")
	}
}

// TestCoxStrata: a stratum without events adds nothing, and two copies of a data set as strata give its coefficients
// with half the variance.
func TestCoxStrata(t *testing.T) {
	tb := readTable(t, "testdata/cohort.csv")
	y, x := tb.outcome(t, "time", "event"), tb.columns(t, "age", "marker", "treated")
	one, err := Cox(y, x, CoxOptions{})
	if err != nil {
		t.Fatal(err)
	}
	n := y.Len()
	var two []int
	strata := make([]int, 2*n)
	for i := range 2 * n {
		two = append(two, i%n)
		strata[i] = i / n
	}
	f, err := Cox(y.Pick(two), PickColumns(x, two), CoxOptions{Strata: strata})
	if err != nil {
		t.Fatal(err)
	}
	nears(t, "two copies", f.Coef, one.Coef, 1e-9)
	near(t, "variance", f.Var[0][0], one.Var[0][0]/2, 1e-9)
	y2 := y.Pick(two)
	for i := n; i < 2*n; i++ {
		y2.Event[i] = 0
	}
	f, err = Cox(y2, PickColumns(x, two), CoxOptions{Strata: strata})
	if err != nil {
		t.Fatal(err)
	}
	nears(t, "stratum without events", f.Coef, one.Coef, 1e-9)
}
