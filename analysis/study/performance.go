package study

import (
	"math"

	"rfanode/analysis/prognosis"
	"rfanode/analysis/survival"
)

// Metrics of one model in one set. Maps are keyed by the horizon in months.
type Metrics struct {
	N           int                           `json:"n"`
	Events      int                           `json:"events"`
	Excluded    int                           `json:"excluded"`
	C           prognosis.Estimate            `json:"C"`
	Uno         prognosis.Num                 `json:"uno"`
	AUC         map[string]prognosis.Num      `json:"auc"`
	Brier       map[string]prognosis.Estimate `json:"brier"`
	IBS         prognosis.Estimate            `json:"ibs"`
	IPATrain    map[string]prognosis.Num      `json:"ipa_train_km"`
	IPAOwn      map[string]prognosis.Num      `json:"ipa_own_km"`
	Slope       prognosis.Estimate            `json:"slope"`
	OE          map[string]prognosis.Num      `json:"o_e"`
	DeltaC      prognosis.Estimate            `json:"delta_c_vs_clinical"`
	Calibration Agreement                     `json:"calibration"`
	Decision    []Benefit                     `json:"decision"`
	Groups      RiskGroups                    `json:"risk_groups"`
}

// Agreement is the calibration at one horizon.
type Agreement struct {
	Months float64            `json:"months"`
	Points [][5]prognosis.Num `json:"points"` // n, predicted, observed, low, high
	Curve  [][2]prognosis.Num `json:"curve"`
	ICI    prognosis.Num      `json:"ici"`
	E90    prognosis.Num      `json:"e90"`
}

// Benefit is the net benefit at one threshold.
type Benefit struct {
	Threshold, Model, All prognosis.Num
}

// RiskGroups compares those above the training median of the log risk with the others.
type RiskGroups struct {
	Cut     prognosis.Num    `json:"cut"`
	Low     int              `json:"n_low"`
	High    int              `json:"n_high"`
	LogRank prognosis.Num    `json:"log_rank_p"`
	HR      prognosis.Num    `json:"hr"`
	Curves  []survival.Curve `json:"-"` // low, high
}

// ibsGrid is the grid of the integrated Brier score: from 6 months to the last horizon by half months.
func ibsGrid(horizons []float64) []float64 {
	last := horizons[len(horizons)-1]
	return survival.Grid(min(6, last/2), last, .5)
}

// middle is the horizon of calibration and decision curves: 24 months, or the one in the middle.
func middle(horizons []float64) float64 {
	for _, h := range horizons {
		if h == 24 {
			return h
		}
	}
	return horizons[len(horizons)/2]
}

// prediction of one model for the rows of a set.
type prediction struct {
	lp   []float64
	at   map[float64][]float64 // survival by horizon
	grid [][]float64           // survival by grid time
}

func (f *Fitted) predict(model string, lp []float64, horizons, grid []float64) prediction {
	p := prediction{lp: lp, at: make(map[float64][]float64)}
	at := func(t float64) []float64 {
		s := make([]float64, len(lp))
		for i, v := range lp {
			s[i] = f.Free(model, t, v)
		}
		return s
	}
	for _, h := range horizons {
		p.at[h] = at(h)
	}
	for _, t := range grid {
		p.grid = append(p.grid, at(t))
	}
	return p
}

// ibs of the rows idx (nil: all).
func (p prediction) ibs(y survival.Outcome, idx []int, grid []float64) float64 {
	g := survival.CensoringCurve(y)
	area, last := 0.0, 0.0
	for k, t := range grid {
		s := p.grid[k]
		if idx != nil {
			s = survival.PickValues(s, idx)
		}
		b := survival.Brier(y, s, t, survival.IPCW{G: &g})
		if k > 0 {
			area += (b + last) / 2 * (t - grid[k-1])
		}
		last = b
	}
	return area / (grid[len(grid)-1] - grid[0])
}

// measure scores one set: every metric of every model, with intervals from one set of bootstrap draws, so that
// differences between models are paired.
func (f *Fitted) measure(s *Scores, cuts map[string]float64, trainKM survival.Curve, horizons []float64, seed uint64) map[string]*Metrics {
	grid := ibsGrid(horizons)
	predictions := make(map[string]prediction)
	out := make(map[string]*Metrics)
	for _, m := range Models {
		predictions[m] = f.predict(m, s.LogRisk[m], horizons, grid)
		out[m] = f.points(m, s, predictions[m], cuts[m], trainKM, horizons, grid)
	}
	width := 3 + len(horizons) // C, difference, IBS, Brier by horizon
	ci := survival.Bootstrap(s.Y.Len(), f.Spec.Bootstraps, seed, func(idx []int) []float64 {
		y := s.Y.Pick(idx)
		var v []float64
		clinical := math.NaN()
		for _, m := range Models {
			p := predictions[m]
			c := survival.Concordance(y, survival.PickValues(p.lp, idx), survival.ConcordanceOptions{}).C
			if m == ModelClinical {
				clinical = c
			}
			v = append(v, c, c-clinical, p.ibs(y, idx, grid))
			for _, h := range horizons {
				v = append(v, survival.Brier(y, survival.PickValues(p.at[h], idx), h, survival.IPCW{}))
			}
		}
		return v
	})
	for k, m := range Models {
		r := out[m]
		r.DeltaC[0] = r.C[0] - out[ModelClinical].C[0]
		limits := func(e *prognosis.Estimate, at int) {
			e[1], e[2] = prognosis.Num(math.NaN()), prognosis.Num(math.NaN())
			if ci != nil {
				e[1], e[2] = prognosis.Num(ci[k*width+at][0]), prognosis.Num(ci[k*width+at][1])
			}
		}
		limits(&r.C, 0)
		limits(&r.DeltaC, 1)
		limits(&r.IBS, 2)
		for j, h := range horizons {
			e := r.Brier[prognosis.HorizonKey(h)]
			limits(&e, 3+j)
			r.Brier[prognosis.HorizonKey(h)] = e
		}
	}
	return out
}

// points fills what is not bootstrapped.
func (f *Fitted) points(model string, s *Scores, p prediction, cut float64, trainKM survival.Curve, horizons, grid []float64) *Metrics {
	num := func(v float64) prognosis.Num { return prognosis.Num(v) }
	r := &Metrics{N: s.Y.Len(), Events: s.Y.Events(), Excluded: s.Excluded, AUC: map[string]prognosis.Num{}, Brier: map[string]prognosis.Estimate{},
		IPATrain: map[string]prognosis.Num{}, IPAOwn: map[string]prognosis.Num{}, OE: map[string]prognosis.Num{}}
	r.C[0] = num(survival.Concordance(s.Y, p.lp, survival.ConcordanceOptions{}).C)
	r.Uno = num(survival.Concordance(s.Y, p.lp, survival.ConcordanceOptions{Weight: survival.Uno, Tau: f.Spec.Tau}).C)
	r.IBS[0] = num(p.ibs(s.Y, nil, grid))
	own := survival.KaplanMeier(s.Y)
	for _, h := range horizons {
		key := prognosis.HorizonKey(h)
		r.AUC[key] = num(survival.AUC(s.Y, p.lp, h, survival.IPCW{}))
		r.Brier[key] = prognosis.Estimate{num(survival.Brier(s.Y, p.at[h], h, survival.IPCW{}))}
		r.IPATrain[key] = num(survival.IPA(s.Y, p.at[h], trainKM.At(h), h, survival.IPCW{}))
		r.IPAOwn[key] = num(survival.IPA(s.Y, p.at[h], own.At(h), h, survival.IPCW{}))
		r.OE[key] = num(survival.ObservedExpected(s.Y, risks(p.at[h]), h))
	}
	lp := p.lp
	if model == ModelDeepSurv { // the slope of what the probabilities stand on
		lp = make([]float64, len(p.lp))
		for i, v := range p.lp {
			lp[i] = f.Net.Gamma * v
		}
	}
	r.Slope = prognosis.Estimate{num(math.NaN()), num(math.NaN()), num(math.NaN())}
	if b, se, err := survival.CalibrationSlope(s.Y, lp); err == nil {
		r.Slope = prognosis.Estimate{num(b), num(b - 1.959964*se), num(b + 1.959964*se)}
	}
	h := middle(horizons)
	risk := risks(p.at[h])
	r.Calibration = agreement(s.Y, risk, h)
	for k := 1; k <= 19; k++ {
		t := float64(k) * .05
		if t > .8 {
			break
		}
		m, all := survival.NetBenefit(s.Y, risk, t, h)
		r.Decision = append(r.Decision, Benefit{num(t), num(m), num(all)})
	}
	r.Groups = riskGroups(s.Y, p.lp, cut)
	return r
}

func risks(surv []float64) []float64 {
	out := make([]float64, len(surv))
	for i, s := range surv {
		out[i] = 1 - s
	}
	return out
}

func agreement(y survival.Outcome, risk []float64, h float64) Agreement {
	c := survival.CalibrationCurve(y, risk, h, 5)
	a := Agreement{Months: h, ICI: prognosis.Num(c.ICI), E90: prognosis.Num(c.E90)}
	for _, g := range c.Groups {
		a.Points = append(a.Points, [5]prognosis.Num{prognosis.Num(g.N), prognosis.Num(g.Predicted), prognosis.Num(g.Observed), prognosis.Num(g.Low), prognosis.Num(g.High)})
	}
	for _, p := range c.Curve {
		a.Curve = append(a.Curve, [2]prognosis.Num{prognosis.Num(p[0]), prognosis.Num(p[1])})
	}
	return a
}

func riskGroups(y survival.Outcome, lp []float64, cut float64) RiskGroups {
	nan := prognosis.Num(math.NaN())
	g := RiskGroups{Cut: prognosis.Num(cut), LogRank: nan, HR: nan}
	label, x := make([]int, len(lp)), make([]float64, len(lp))
	var idx [2][]int
	for i, v := range lp {
		if v > cut {
			label[i], x[i] = 1, 1
		}
		idx[label[i]] = append(idx[label[i]], i)
	}
	g.Low, g.High = len(idx[0]), len(idx[1])
	if g.Low == 0 || g.High == 0 {
		return g
	}
	g.Curves = []survival.Curve{survival.KaplanMeier(y.Pick(idx[0])), survival.KaplanMeier(y.Pick(idx[1]))}
	if t, err := survival.LogRank(y, label, nil, 0); err == nil {
		g.LogRank = prognosis.Num(t.Test.P)
	}
	if m, err := fitCox(y, [][]float64{x}, []string{"high"}); err == nil {
		g.HR = prognosis.Num(math.Exp(m.Coef[0]))
	}
	return g
}
