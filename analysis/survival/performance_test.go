package survival

import (
	"math"
	"path/filepath"
	"testing"
)

// eachModel visits the two reference models in each set: outcomes, linear predictor, baseline of train.
func eachModel(t *testing.T, visit func(name string, y, train Outcome, lp []float64, base Baseline, ref node)) {
	dir := shared(t)
	tb := readTable(t, filepath.Join(dir, "clinical.csv"))
	ref := readNode(t, filepath.Join(dir, "ref_cohort_py.json"))
	y := tb.outcome(t, "time", "event")
	train := y.Pick(tb.where("set", "train"))
	for _, model := range []string{"clin", "clin_rad"} {
		base := BreslowBaseline(train, ref.get(model, "train", "lp").nums())
		want := ref.get(model, "breslow_baseline_uncentered")
		for k, h := range want.get("time").nums() {
			near(t, model+" baseline", base.At(h), want.get("cumhaz").nums()[k], 1e-7)
		}
		for _, set := range []string{"train", "internal", "external"} {
			r := ref.get(model, set)
			visit(model+" "+set, y.Pick(tb.where("set", set)), train, r.get("lp").nums(), base, r)
		}
	}
}

// TestPerformanceCohort: discrimination, accuracy, calibration and net benefit of the reference models in every set,
// against lifelines, scikit-survival and R.
func TestPerformanceCohort(t *testing.T) {
	eachModel(t, func(name string, y, train Outcome, lp []float64, base Baseline, ref node) {
		const tol = 1e-6
		c := Concordance(y, lp, ConcordanceOptions{})
		h := ref.get("harrell")
		near(t, name+" C", c.C, h.get("C").num(), 1e-9)
		nears(t, name+" pairs", []float64{c.Concordant, c.Discordant, c.TiedRisk}, []float64{h.get("concordant").num(), h.get("discordant").num(), h.get("tied_risk").num()}, 1e-12)
		gTrain := CensoringCurve(train)
		for tau, key := range map[float64]string{24: "24", 36: "36"} {
			near(t, name+" Uno train", Concordance(y, lp, ConcordanceOptions{Weight: Uno, Tau: tau, G: &gTrain, GAt: true}).C, ref.get("uno_ipcw_train_tau"+key).num(), tol)
			near(t, name+" Uno own", Concordance(y, lp, ConcordanceOptions{Weight: Uno, Tau: tau, GAt: true}).C, ref.get("uno_ipcw_own_tau"+key).num(), tol)
		}
		surv := func(i int, h float64) float64 { return base.Surv(h, lp[i]) }
		at := func(h float64) (s, risk []float64) {
			for i := range lp {
				s = append(s, surv(i, h))
				risk = append(risk, 1-surv(i, h))
			}
			return s, risk
		}
		km := KaplanMeier(train)
		for k, h := range []float64{12, 24, 36} {
			key := []string{"12.0", "24.0", "36.0"}[k]
			s, risk := at(h)
			near(t, name+" Brier train", Brier(y, s, h, IPCW{G: &gTrain, At: true}), ref.get("brier_ipcw_train", key).num(), tol)
			near(t, name+" Brier own", Brier(y, s, h, IPCW{At: true}), ref.get("brier_ipcw_own", key).num(), tol)
			near(t, name+" AUC own", AUC(y, lp, h, IPCW{At: true}), ref.get("auc_t_ipcw_own").nums()[k], tol)
			near(t, name+" AUC train", AUC(y, lp, h, IPCW{G: &gTrain, At: true}), ref.get("auc_t_ipcw_train").nums()[k], tol)
			near(t, name+" IPA", IPA(y, s, km.At(h), h, IPCW{At: true}), ref.get("IPA").nums()[k], 10*tol)
			near(t, name+" O:E", ObservedExpected(y, risk, h), ref.get("O_over_E_risk").nums()[k], tol)
		}
		near(t, name+" IBS", IntegratedBrier(y, surv, Grid(6, 36, .5), IPCW{At: true}), ref.get("ibs_6_36_step0.5_ipcw_own").num(), tol)
		slope, se, err := CalibrationSlope(y, lp)
		if err != nil {
			t.Fatal(err)
		}
		near(t, name+" slope", slope, ref.get("calibration_slope").num(), max(tol, 1e-4)) // lifelines stops early; TestSynthetic holds the slope against R
		near(t, name+" slope SE", se, ref.get("calibration_slope_se").num(), max(tol, 1e-4))
		_, risk := at(24)
		for _, d := range ref.get("dca_24").list() {
			m, all := NetBenefit(y, risk, d.get("pt").num(), 24)
			near(t, name+" net benefit", m, d.get("net_benefit").num(), tol)
			near(t, name+" treat all", all, d.get("treat_all").num(), tol)
		}
		cal := CalibrationCurve(y, risk, 24, 5)
		n := 0
		for _, g := range cal.Groups {
			n += g.N
		}
		if n != y.Len() || len(cal.Curve) != y.Len() || !(cal.ICI >= 0 && cal.ICI <= cal.E90+1 && cal.E50 <= cal.E90) {
			t.Errorf("%s: calibration of %d subjects, curve of %d, ICI %g", name, n, len(cal.Curve), cal.ICI)
		}
		if name == "clin external" { // R's pec and riskRegression, G(T-)
			s, _ := at(24)
			near(t, name, Brier(y, s, 24, IPCW{}), .18171907, 1e-7)
			near(t, name+" IBS", IntegratedBrier(y, surv, Grid(6, 36, .5), IPCW{}), .148923, 4e-6)
			near(t, name+" AUC", AUC(y, lp, 24, IPCW{}), .671445, 1e-6)
			near(t, name+" Uno", Concordance(y, lp, ConcordanceOptions{Weight: Uno, Tau: 36}).C, .667683, 1e-6)
			own := KaplanMeier(y).At(24)
			near(t, name+" IPA own", IPA(y, s, own, 24, IPCW{At: true}), -.041, .02)
		}
	})
}

// TestConcordanceCohort: R's five weights with the infinitesimal-jackknife variance, by set.
func TestConcordanceCohort(t *testing.T) {
	dir := shared(t)
	ref := readNode(t, filepath.Join(dir, "ref_cohort_R.json"))
	eachModel(t, func(name string, y, _ Outcome, lp []float64, _ Baseline, _ node) {
		if name[:5] != "clin " {
			return
		}
		for w := range ConcordanceWeight(5) {
			key := w.String()
			c := Concordance(y, lp, ConcordanceOptions{Weight: w})
			want := ref.get("cindex_clin", name[5:], key)
			near(t, name+" C "+key, c.C, want.get("C").num(), 1e-9)
			n := want.get("count")
			nears(t, name+" counts "+key, []float64{c.Concordant, c.Discordant, c.TiedRisk, c.TiedTime, c.TiedBoth},
				[]float64{n.get("concordant").num(), n.get("discordant").num(), n.get("tied.x").num(), n.get("tied.y").num(), n.get("tied.xy").num()}, 1e-9)
			if key == "n" {
				near(t, name+" var", c.StdErr*c.StdErr, want.get("var").num(), 1e-6)
			}
		}
	})
}

// TestConcordanceByCounting: the tree gives what counting every pair gives, with tied times and risks.
func TestConcordanceByCounting(t *testing.T) {
	rng := NewRand(5)
	for range 50 {
		n := 2 + rng.Intn(40)
		y := Outcome{make([]float64, n), make([]int, n)}
		risk := make([]float64, n)
		for i := range n {
			y.Time[i], y.Event[i], risk[i] = float64(1+rng.Intn(12)), rng.Intn(2), float64(rng.Intn(8))
		}
		var want Concord
		for i := range n {
			for j := range n {
				if y.Event[i] != 1 {
					continue
				}
				switch {
				case y.Time[i] < y.Time[j] || y.Time[i] == y.Time[j] && y.Event[j] == 0:
					switch {
					case risk[i] > risk[j]:
						want.Concordant++
					case risk[i] < risk[j]:
						want.Discordant++
					default:
						want.TiedRisk++
					}
				case i < j && y.Time[i] == y.Time[j] && risk[i] == risk[j]:
					want.TiedBoth++
				case i < j && y.Time[i] == y.Time[j]:
					want.TiedTime++
				}
			}
		}
		got := Concordance(y, risk, ConcordanceOptions{})
		if got.Concordant != want.Concordant || got.Discordant != want.Discordant || got.TiedRisk != want.TiedRisk || got.TiedTime != want.TiedTime || got.TiedBoth != want.TiedBoth {
			t.Fatalf("%+v, want %+v", got, want)
		}
	}
}

// TestAbsoluteRisk: with one hazard the absolute risk is 1 - exp(-H); with constant covariates Aalen-Johansen and the
// sum over both hazards agree closely; the incidences of both causes and the event-free share add to 1.
func TestAbsoluteRisk(t *testing.T) {
	rng := NewRand(9)
	n := 3000
	y := Outcome{make([]float64, n), make([]int, n)}
	for i := range n {
		a, b, c := -math.Log(rng.Float64())*30, -math.Log(rng.Float64())*60, 40*rng.Float64()
		y.Time[i] = min(a, b, c)
		switch y.Time[i] {
		case a:
			y.Event[i] = Event
		case b:
			y.Event[i] = Competing
		}
	}
	one, two := CumulativeIncidence(y, Event), CumulativeIncidence(y, Competing)
	truth := (1. / 30) / (1./30 + 1./60) * (1 - math.Exp(-20*(1./30+1./60)))
	if math.Abs(one.At(20)-truth) > 0.03 {
		t.Errorf("incidence %g, truth %g", one.At(20), truth)
	}
	if free := one.Free[len(one.Free)/2]; math.Abs(one.CIF[len(one.CIF)/2]+two.CIF[len(two.CIF)/2]+free-1) > 1e-9 {
		t.Error("incidences and the event-free share do not add to 1")
	}
	zero := make([]float64, n)
	b1 := BreslowBaseline(y, zero)
	other := Outcome{y.Time, make([]int, n)}
	for i, e := range y.Event {
		if e == Competing {
			other.Event[i] = Event
		}
	}
	b2 := BreslowBaseline(other, zero)
	if got := AbsoluteRisk(b1, b2, 0, 0, 20); math.Abs(got-one.At(20)) > 2e-4 {
		t.Errorf("absolute risk %g, Aalen-Johansen %g", got, one.At(20))
	}
	none := Baseline{Time: []float64{0.5}, CumHaz: []float64{0}, AtRisk: []int{1}}
	sum := 0.0
	last, s := 0.0, 1.0
	for k, u := range b1.Time {
		if u <= 20 {
			sum += s * (b1.CumHaz[k] - last)
			last = b1.CumHaz[k]
			s = math.Exp(-last)
		}
	}
	if got := AbsoluteRisk(b1, none, 0, 0, 20); math.Abs(got-sum) > 1e-9 {
		t.Errorf("one hazard: %g, want %g", got, sum)
	}
}

// TestBootstrap: the interval covers, and depends on the seed alone.
func TestBootstrap(t *testing.T) {
	v := make([]float64, 200)
	rng := NewRand(3)
	for i := range v {
		v[i] = rng.Normal()
	}
	mean := func(idx []int) []float64 {
		m, _ := meanSD(PickValues(v, idx))
		return []float64{m, math.NaN()}
	}
	a, b := Bootstrap(200, 500, 7, mean), Bootstrap(200, 500, 7, mean)
	if a[0] != b[0] {
		t.Error("the same seed gave two intervals")
	}
	m, sd := MeanSD(v)
	half := 1.96 * sd / math.Sqrt(200)
	if math.Abs(a[0][0]-(m-half)) > 0.03 || math.Abs(a[0][1]-(m+half)) > 0.03 {
		t.Errorf("interval %v, normal theory %g to %g", a[0], m-half, m+half)
	}
	if !math.IsNaN(a[1][0]) {
		t.Error("a statistic without values got an interval")
	}
}
