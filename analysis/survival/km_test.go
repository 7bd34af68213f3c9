package survival

import (
	"math"
	"path/filepath"
	"testing"
)

func compareCurve(t *testing.T, name string, curves []Curve, kind Interval, want node) {
	t.Helper()
	var time, surv, se, lower, upper []float64
	for _, c := range curves {
		lo, hi := c.CI(kind)
		time, surv = append(time, c.Time...), append(surv, c.Surv...)
		for k, v := range c.StdErr {
			if c.Surv[k] == 0 { // infinite; JSON has no word for it
				v = math.NaN()
			}
			se = append(se, v)
		}
		lower, upper = append(lower, lo...), append(upper, hi...)
	}
	nears(t, name+" time", time, want.get("time").nums(), 1e-12)
	nears(t, name+" surv", surv, want.get("surv").nums(), 1e-10)
	nears(t, name+" se", se, want.get("std.err").nums(), 1e-9)
	nears(t, name+" lower", lower, want.get("lower").nums(), 1e-9)
	nears(t, name+" upper", upper, want.get("upper").nums(), 1e-9)
}

func byGroup(y Outcome, group []int) []Curve {
	var out []Curve
	for g := 0; ; g++ {
		var idx []int
		for i, v := range group {
			if v == g {
				idx = append(idx, i)
			}
		}
		if idx == nil {
			return out
		}
		out = append(out, KaplanMeier(y.Pick(idx)))
	}
}

// TestKaplanMeierCohort: curves, limits and quantiles of the reference cohort, against R's survfit.
func TestKaplanMeierCohort(t *testing.T) {
	dir := shared(t)
	tb := readTable(t, filepath.Join(dir, "clinical.csv"))
	ref := readNode(t, filepath.Join(dir, "ref_cohort_R.json"))
	y := tb.outcome(t, "time", "event")
	tcr := tb.ints(t, "tcr1")
	curves := byGroup(y, tcr)
	all := KaplanMeier(y)
	for k, kind := range []string{"log", "log-log", "plain"} {
		compareCurve(t, "tcr1 "+kind, curves, Interval(k), ref.get("km_tcr1", kind))
		compareCurve(t, "all "+kind, []Curve{all}, Interval(k), ref.get("km_all", kind))
		for g, level := range []string{"tcr1=0", "tcr1=1"} {
			for p, name := range map[float64]string{.25: "25", .5: "50", .75: "75"} {
				q := ref.get("km_tcr1", kind, "quantile")
				near(t, "quantile", curves[g].Quantile(p), q.get("quantile", level, name).num(), 1e-12)
				lo, hi := curves[g].QuantileCI(p, Interval(k))
				near(t, "quantile lower "+kind+level+name, lo, q.get("lower", level, name).num(), 1e-12)
				near(t, "quantile upper "+kind+level+name, hi, q.get("upper", level, name).num(), 1e-12)
			}
		}
	}
	follow := FollowUp(y)
	nears(t, "reverse KM", []float64{follow.Quantile(.25), follow.Quantile(.5), follow.Quantile(.75)}, []float64{24.7, 34.9, 54.1}, 1e-12)
	set := make([]int, y.Len())
	for i, s := range tb.text("set") {
		set[i] = map[string]int{"external": 0, "internal": 1, "train": 2}[s]
	}
	nature := tb.ints(t, "nature")
	for i := range nature {
		nature[i]--
	}
	for name, group := range map[string][]int{"logrank_tcr1": tcr, "logrank_nature": nature, "logrank_set": set} {
		for rho, key := range []string{"rho0", "rho1"} {
			r, err := LogRank(y, group, nil, float64(rho))
			if err != nil {
				t.Fatal(err)
			}
			want := ref.get(name, key)
			nears(t, name+" obs", r.Observed, want.get("obs").nums(), 1e-10)
			nears(t, name+" exp", r.Expected, want.get("exp").nums(), 1e-10)
			near(t, name+" chisq", r.Test.Statistic, want.get("chisq").num(), 1e-9)
			near(t, name+" p", r.Test.P, want.get("p").num(), 1e-7)
			for a, row := range want.get("var").list() {
				nears(t, name+" var", r.Var[a], row.nums(), 1e-9)
			}
		}
	}
	r, err := LogRank(y, tcr, set, 0)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "stratified log-rank", r.Test.Statistic, ref.get("stratified_lr", "chisq").num(), 1e-9)
}

// TestKaplanMeierPublic: curves and log-rank tests of the public sets by their first covariate.
func TestKaplanMeierPublic(t *testing.T) {
	dir := shared(t)
	ref := readNode(t, filepath.Join(dir, "ref_public_R.json"))
	by := map[string]string{"lung": "sex", "rossi": "fin", "veteran": "trt", "gbsg2": "horTh"}
	for _, s := range publicSets {
		if by[s.name] == "" {
			continue
		}
		tb := readTable(t, filepath.Join(dir, "datasets", s.name+".csv"))
		y := tb.outcome(t, s.time, s.event)
		g := tb.ints(t, by[s.name])
		low := g[0]
		for _, v := range g {
			low = min(low, v)
		}
		for i := range g {
			g[i] -= low
		}
		compareCurve(t, s.name, byGroup(y, g), LogLog, ref.get(s.name, "km"))
		for rho, key := range []string{"rho0", "rho1"} {
			r, err := LogRank(y, g, nil, float64(rho))
			if err != nil {
				t.Fatal(err)
			}
			near(t, s.name+key, r.Test.Statistic, ref.get(s.name, "logrank", key, "chisq").num(), 1e-9)
		}
	}
}

// TestCurveLookups: the value at, just before and beyond a time, by hand.
func TestCurveLookups(t *testing.T) {
	y := Outcome{[]float64{1, 2, 2, 3, 4}, []int{1, 1, 0, 0, 1}}
	c := KaplanMeier(y) // 4/5 at 1; 4/5 x 3/4 at 2; 0 at 4
	for _, v := range []struct{ got, want float64 }{{c.At(0.5), 1}, {c.At(1), .8}, {c.Before(1), 1}, {c.At(2.5), .6}, {c.Before(2), .8}, {c.At(9), 0}, {float64(c.AtRiskAt(2)), 4}, {float64(c.AtRiskAt(4.1)), 0},
		{c.RestrictedMean(3), 1 + .8 + .6}} {
		if math.Abs(v.got-v.want) > 1e-12 {
			t.Errorf("%g, want %g", v.got, v.want)
		}
	}
	g := CensoringCurve(y) // at 2: the event leaves first, so 1 of 3
	if math.Abs(g.At(2)-2./3) > 1e-12 || g.Before(2) != 1 {
		t.Errorf("G(2) = %g, want 2/3", g.At(2))
	}
}
