package survival

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"
)

// The tests of this file need nothing but testdata: a synthetic cohort (tied times, competing events, a centre without
// events, 120 features on 90 subjects) and what R and scikit-survival say of it; see reference/survival.R and .py.

func synthetic(t testing.TB) (table, Outcome, [][]float64, node) {
	tb := readTable(t, "testdata/cohort.csv")
	return tb, tb.outcome(t, "time", "event"), tb.columns(t, "age", "marker", "treated"), readNode(t, "testdata/cohort_R.json")
}

func centres(tb table) []int {
	var out []int
	for _, c := range tb.text("centre") {
		out = append(out, int(c[0]-'a'))
	}
	return out
}

// TestSyntheticCox: Efron, Breslow, strata (one without events) and an offset, with every figure of a summary.
func TestSyntheticCox(t *testing.T) {
	tb, y, x, ref := synthetic(t)
	age := tb.floats(t, "age")
	offset := make([]float64, len(age))
	for i, v := range age {
		offset[i] = .03 * v
	}
	for name, c := range map[string]struct {
		x [][]float64
		o CoxOptions
	}{"efron": {x, CoxOptions{}}, "breslow": {x, CoxOptions{Ties: Breslow}}, "stratified": {x, CoxOptions{Strata: centres(tb)}}, "offset": {x[2:], CoxOptions{Offset: offset}}} {
		f, err := Cox(y, c.x, c.o)
		if err != nil {
			t.Fatal(name, err)
		}
		want := ref.get(name)
		if name == "offset" { // R's baseline of a model with an offset is at the mean offset
			delete(want.v.(map[string]any), "basehaz")
			nears(t, name, append(f.Coef, f.SE...), []float64{want.get("coef").num(), want.get("se").num()}, 1e-9)
			near(t, name+" zph", f.PHTest(RankTime).Global.Statistic, want.get("zph", "rank", "chisq").nums()[1], 1e-8)
			nears(t, name+" martingale", f.Martingale(), want.get("martingale").nums(), 1e-7)
			continue
		}
		compareCox(t, name, f, want)
	}
	var first, second []int
	for i := range y.Time {
		if i%2 == 0 {
			first = append(first, i)
		} else {
			second = append(second, i)
		}
	}
	f, err := Cox(y.Pick(first), PickColumns(x, first), CoxOptions{})
	if err != nil {
		t.Fatal(err)
	}
	slope, se, err := CalibrationSlope(y.Pick(second), f.Predict(PickColumns(x, second)))
	if err != nil {
		t.Fatal(err)
	}
	nears(t, "slope", []float64{slope, se}, []float64{ref.get("slope", "slope").num(), ref.get("slope", "se").num()}, 1e-8)
}

// TestSyntheticCurves: Kaplan-Meier with three intervals, log-rank, stratified log-rank, cumulative incidences.
func TestSyntheticCurves(t *testing.T) {
	tb, y, _, ref := synthetic(t)
	km := KaplanMeier(y)
	for k, kind := range []string{"log", "log-log", "plain"} {
		want := ref.get("km", kind)
		compareCurve(t, kind, []Curve{km}, Interval(k), want)
		q := want.get("quantile")
		for i, p := range []float64{.1, .25, .5} {
			near(t, "quantile", km.Quantile(p), q.get("quantile").nums()[i], 1e-12)
			lo, hi := km.QuantileCI(p, Interval(k))
			near(t, kind+" lower", lo, q.get("lower").nums()[i], 1e-12)
			near(t, kind+" upper", hi, q.get("upper").nums()[i], 1e-12)
		}
	}
	for rho, key := range []string{"rho0", "rho1"} {
		r, err := LogRank(y, tb.ints(t, "group"), nil, float64(rho))
		if err != nil {
			t.Fatal(err)
		}
		near(t, key, r.Test.Statistic, ref.get("logrank", key, "chisq").num(), 1e-9)
		near(t, key+" p", r.Test.P, ref.get("logrank", key, "p").num(), 1e-9)
	}
	r, err := LogRank(y, tb.ints(t, "group"), centres(tb), 0)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "stratified", r.Test.Statistic, ref.get("logrank", "stratified").num(), 1e-9)
	causes := Outcome{y.Time, tb.ints(t, "cause")}
	one, two := CumulativeIncidence(causes, Event), CumulativeIncidence(causes, Competing)
	for i, h := range ref.get("cif", "times").nums() {
		near(t, "incidence", one.At(h), ref.get("cif", "one").nums()[i], 1e-9)
		near(t, "incidence of 2", two.At(h), ref.get("cif", "two").nums()[i], 1e-9)
	}
}

// TestSyntheticPerformance: concordance with five weights and its variance, also with tied risks; Brier, AUC and Uno's
// C with the censoring distribution of the set and of train.
func TestSyntheticPerformance(t *testing.T) {
	_, y, x, ref := synthetic(t)
	f, err := Cox(y, x, CoxOptions{})
	if err != nil {
		t.Fatal(err)
	}
	lp := f.Predict(x)
	compare := func(name string, c Concord, want node) {
		near(t, name, c.C, want.get("C").num(), 1e-9)
		nears(t, name+" counts", []float64{c.Concordant, c.Discordant, c.TiedRisk, c.TiedTime, c.TiedBoth}, want.get("count").nums(), 1e-9)
	}
	for w := range ConcordanceWeight(5) {
		name := w.String()
		c := Concordance(y, lp, ConcordanceOptions{Weight: w})
		compare(name, c, ref.get("concordance", name))
		if name == "n" {
			near(t, "variance", c.StdErr*c.StdErr, ref.get("concordance", name, "var").num(), 1e-8)
		}
	}
	tied := make([]float64, len(lp))
	low := slices.Min(lp)
	for i, v := range lp {
		tied[i] = math.RoundToEven((v - low) * 10)
	}
	c := Concordance(y, tied, ConcordanceOptions{})
	compare("tied", c, ref.get("concordance_tied"))
	near(t, "tied variance", c.StdErr*c.StdErr, ref.get("concordance_tied", "var").num(), 1e-8)

	py := readNode(t, "testdata/cohort_py.json")
	var first, second []int
	for i := range y.Time {
		if i%2 == 0 {
			first = append(first, i)
		} else {
			second = append(second, i)
		}
	}
	f, err = Cox(y.Pick(first), PickColumns(x, first), CoxOptions{})
	if err != nil {
		t.Fatal(err)
	}
	nears(t, "coef", f.Coef, py.get("coef").nums(), 1e-9)
	base := BreslowBaseline(y.Pick(first), f.Predict(PickColumns(x, first)))
	lp, y2 := f.Predict(PickColumns(x, second)), y.Pick(second)
	g := CensoringCurve(y.Pick(first))
	for name, o := range map[string]IPCW{"own": {At: true}, "train": {At: true, G: &g}} {
		want := py.get(name)
		for k, h := range py.get("horizons").nums() {
			s := make([]float64, len(lp))
			for i := range s {
				s[i] = base.Surv(h, lp[i])
				near(t, "survival", s[i], py.get("surv").list()[i].nums()[k], 1e-8)
			}
			near(t, "Brier "+name, Brier(y2, s, h, o), want.get("brier").nums()[k], 1e-8)
			near(t, "AUC "+name, AUC(y2, lp, h, o), want.get("auc").nums()[k], 1e-8)
		}
		near(t, "IBS "+name, IntegratedBrier(y2, func(i int, u float64) float64 { return base.Surv(u, lp[i]) }, Grid(4, 18, .5), o), want.get("ibs").num(), 1e-8)
		near(t, "Uno "+name, Concordance(y2, lp, ConcordanceOptions{Weight: Uno, Tau: 18, G: o.G, GAt: true}).C, want.get("uno").num(), 1e-8)
	}
	var rare []float64
	rare = append(rare, py.get("firth", "rare").nums()...)
	ff, err := Cox(y, [][]float64{x[0], rare}, CoxOptions{Ties: Breslow, Firth: true})
	if err != nil {
		t.Fatal(err)
	}
	nears(t, "Firth", ff.Coef, py.get("firth", "coef").nums(), 1e-5)
	near(t, "Firth likelihood", ff.LogLik[1], py.get("firth", "loglik").num(), 1e-7)
}

// TestSyntheticTables: the tests of Table 1 against R, small samples of Shapiro-Wilk included.
func TestSyntheticTables(t *testing.T) {
	tb, _, _, ref := synthetic(t)
	group, treated := tb.ints(t, "group"), tb.ints(t, "treated")
	split := func(v []float64, by []int) [][]float64 {
		var out [][]float64
		for i, g := range by {
			for len(out) <= g {
				out = append(out, nil)
			}
			out[g] = append(out[g], v[i])
		}
		return out
	}
	for _, name := range []string{"age", "marker"} {
		v, want := tb.floats(t, name), ref.get("table1", name)
		kw := KruskalWallis(split(v, group))
		nears(t, name+" Kruskal-Wallis", []float64{kw.Statistic, kw.P}, want.get("kruskal").nums(), 1e-9)
		w, p := ShapiroWilk(v)
		near(t, name+" W", w, want.get("shapiro").nums()[0], 1e-6)
		near(t, name+" Shapiro P", p, want.get("shapiro").nums()[1], 1e-6)
		two := split(v, treated)
		s := Summarise(two)
		tt := WelchT(s[0], s[1])
		nears(t, name+" Welch", []float64{tt.Statistic, tt.DF, tt.P}, want.get("welch").nums(), 1e-9)
		tt = StudentT(s[0], s[1])
		nears(t, name+" t", []float64{tt.Statistic, tt.DF, tt.P}, want.get("t").nums(), 1e-9)
		near(t, name+" ANOVA of two is t squared", ANOVA(s).P, tt.P, 1e-9)
		a, b, c := MannWhitney(two[0], two[1])
		nears(t, name+" Mann-Whitney", []float64{a, b, c}, want.get("wilcoxon").nums(), 1e-9)
		for i, p := range []float64{.1, .25, .5, .9} {
			near(t, name+" quantile 7", Quantile(v, p, 7), want.get("quantile7").nums()[i], 1e-12)
			near(t, name+" quantile 6", Quantile(v, p, 6), want.get("quantile6").nums()[i], 1e-12)
		}
	}
	marker := tb.floats(t, "marker")
	for i, m := range []int{3, 5, 8, 11, 12} {
		_, p := ShapiroWilk(marker[:m])
		near(t, fmt.Sprint("Shapiro of ", m), p, ref.get("table1", "shapiro_small").nums()[i], 1e-6)
	}
	for _, name := range []string{"centre", "treated"} {
		want := ref.get("counts", name)
		var counts [][]int
		for _, row := range want.get("table").list() {
			var r []int
			for _, v := range row.nums() {
				r = append(r, int(v))
			}
			counts = append(counts, r)
		}
		near(t, name+" chi2", ChiSquare(counts).Statistic, want.get("chi2").num(), 1e-9)
		p, exact := FisherExact(counts)
		if !exact {
			t.Errorf("%s: not enumerated", name)
		}
		near(t, name+" Fisher", p, want.get("fisher").num(), 1e-7)
	}
}

// TestSyntheticLasso: the path, its cross-validation and the elastic net against glmnet run to convergence, with p > n.
func TestSyntheticLasso(t *testing.T) {
	tb, y, _, ref := synthetic(t)
	var x [][]float64
	for j := range 120 {
		x = append(x, tb.floats(t, fmt.Sprintf("f%d", j+1)))
	}
	cv, err := LassoCV(context.Background(), y, x, tb.ints(t, "fold"), GroupedDeviance, LassoOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := ref.get("lasso")
	n := len(want.get("lambda").nums())
	near(t, "null deviance", cv.NullDeviance, want.get("nulldev").num(), 1e-10)
	comparePath(t, "lasso", cv.Path, want, n)
	checkKKT(t, y, x, cv.Path, 1, 1)
	nears(t, "cvm", cv.Mean[:n], want.get("cvm").nums(), 1e-5)
	nears(t, "cvsd", cv.SE[:n], want.get("cvsd").nums(), 1e-4)
	near(t, "lambda.min", cv.Lambda[cv.Min], want.get("lambda.min").num(), 2e-9)
	near(t, "lambda.1se", cv.Lambda[cv.OneSE], want.get("lambda.1se").num(), 2e-9)
	e, err := Lasso(context.Background(), y, x, LassoOptions{Alpha: .5})
	if err != nil {
		t.Fatal(err)
	}
	comparePath(t, "elastic net", e, ref.get("enet"), len(ref.get("enet", "lambda").nums()))
	checkKKT(t, y, x, e, .5, 1)
}

// TestFoldsHoldEvents: every fold has its share of events, and the seed alone decides.
func TestFoldsHoldEvents(t *testing.T) {
	_, y, _, _ := synthetic(t)
	a, b := StratifiedFolds(y, 10, 4), StratifiedFolds(y, 10, 4)
	events := make([]int, 11)
	for i, f := range a {
		if f != b[i] {
			t.Fatal("one seed, two draws")
		}
		events[f] += y.Event[i]
	}
	for f := 1; f <= 10; f++ {
		if events[f] < 4 || events[f] > 5 { // 45 events
			t.Errorf("fold %d holds %d of 45 events", f, events[f])
		}
	}
}
