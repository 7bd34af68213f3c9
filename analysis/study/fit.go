package study

import (
	"context"
	"fmt"
	"math"
	"slices"

	"rfanode/analysis/survival"
)

// The models of a study, by key.
const (
	ModelClinical = "cox_clinical"
	ModelRadscore = "cox_radscore"
	ModelDeepSurv = "deepsurv"
)

// Models in the order of every table.
var Models = []string{ModelClinical, ModelRadscore, ModelDeepSurv}

// ModelTitle is a model's name for people.
var ModelTitle = map[string]string{ModelClinical: "Cox, clinical", ModelRadscore: "Cox, clinical + Radscore", ModelDeepSurv: "DeepSurv"}

// Fitted is everything learnt from training rows. Only Fit makes one.
type Fitted struct {
	Spec       Spec
	N, Events  int
	Excluded   int // training rows without a clinical value
	Clinical   []string
	Selection  *Selection // how Clinical was chosen, nil if prespecified
	Medians    map[string]float64
	Radscore   *Radscore
	Crossfit   []float64 // out-of-fold Radscores of the training rows used, in-sample ones without cross-fitting
	Cox        map[string]*CoxModel
	Net        *NetModel
	Competitor *survival.Baseline // hazard of the competing event, without covariates; nil if none is coded in train
	rows       []int
}

// CoxModel is a Cox regression on named inputs with its Breslow baseline (uncentred).
type CoxModel struct {
	Names    []string
	ML       *survival.CoxFit // nil if it has no finite estimate
	Firth    *survival.CoxFit // nil unless a binary level has fewer than 10 events, or ML has diverged
	Coef     []float64        // used: ML, or Firth alone when ML has diverged
	Cov      [][]float64
	IsFirth  bool
	Baseline survival.Baseline
}

// rareLevel: with fewer events in a binary level, Firth's estimate is printed beside.
const rareLevel = 10

// Fit learns the whole procedure from the rows of a view.
func Fit(ctx context.Context, v View, s Spec, progress func(string)) (*Fitted, error) {
	f := &Fitted{Spec: s, Medians: make(map[string]float64), Cox: make(map[string]*CoxModel)}
	if err := f.chooseClinical(v); err != nil {
		return nil, err
	}
	for _, n := range f.Clinical {
		f.Medians[n] = median(v.column(n))
	}
	progress("Radscore: filter, LASSO and cross-validation")
	var err error
	if f.Radscore, err = fitRadscore(ctx, v, s, s.Repeats, survival.NewRand(s.Seed, 11).Uint64()); err != nil {
		return nil, err
	}
	all := f.Radscore.score(v)
	if s.CrossfitFolds > 0 && len(f.Radscore.Names) > 0 {
		progress("Radscore: cross-fitting")
		if all, err = crossfit(ctx, v, s, survival.NewRand(s.Seed, 12).Uint64()); err != nil {
			return nil, err
		}
	}
	keep := f.usable(v)
	f.Excluded = len(v.rows) - len(keep)
	used := v.sub(keep)
	f.Crossfit, f.rows, f.N, f.Events = survival.PickValues(all, keep), used.rows, len(keep), used.y.Events()
	if f.Events == 0 {
		return nil, fmt.Errorf("fit: no event among the %d training patients with all of %v", len(keep), f.Clinical)
	}
	f.Competitor = competitor(used.y)
	progress("Cox models")
	x := f.clinicalColumns(used)
	if f.Cox[ModelClinical], err = fitCox(used.y, x, f.Clinical); err != nil {
		return nil, fmt.Errorf("clinical model: %w", err)
	}
	if f.hasRadscore() {
		if f.Cox[ModelRadscore], err = fitCox(used.y, append(slices.Clone(x), f.Crossfit), append(slices.Clone(f.Clinical), "radscore")); err != nil {
			return nil, fmt.Errorf("model with Radscore: %w", err)
		}
	} else {
		f.Cox[ModelRadscore] = f.Cox[ModelClinical]
	}
	progress("DeepSurv ensemble")
	return f, f.fitNet(ctx, used)
}

// hasRadscore: features were selected, and the scores that models are fitted on differ between patients.
func (f *Fitted) hasRadscore() bool { return len(f.Radscore.Names) > 0 && varies(f.Crossfit) }

func median(v []float64) float64 {
	var known []float64
	for _, x := range v {
		if !math.IsNaN(x) {
			known = append(known, x)
		}
	}
	return survival.Quantile(known, .5, 7)
}

// usable rows of a view, by position: those with every clinical value, or all if medians are put in.
func (f *Fitted) usable(v View) []int {
	var out []int
	for k, row := range v.rows {
		whole := true
		for _, n := range f.Clinical {
			whole = whole && !math.IsNaN(v.c.Columns[n][row])
		}
		if whole || f.Spec.Missing == "median" {
			out = append(out, k)
		}
	}
	return out
}

// clinicalColumns with the training medians where values are missing.
func (f *Fitted) clinicalColumns(v View) [][]float64 {
	var out [][]float64
	for _, n := range f.Clinical {
		col := v.column(n)
		for i, x := range col {
			if math.IsNaN(x) {
				col[i] = f.Medians[n]
			}
		}
		out = append(out, col)
	}
	return out
}

// fitCox fits by maximum likelihood and, where a binary level is short of events or the estimate runs away, with Firth's
// penalty.
func fitCox(y survival.Outcome, x [][]float64, names []string) (*CoxModel, error) {
	m := &CoxModel{Names: names}
	ml, err := survival.Cox(y, x, survival.CoxOptions{Names: names})
	if err == nil {
		m.ML = ml
	}
	if err != nil || ml.Diverged || rareEvents(y, x) {
		firth, ferr := survival.Cox(y, x, survival.CoxOptions{Names: names, Firth: true})
		if ferr != nil {
			if err != nil {
				return nil, err
			}
		} else {
			m.Firth = firth
		}
	}
	best := m.ML
	if best == nil || best.Diverged {
		best, m.IsFirth = m.Firth, true
	}
	if best == nil {
		return nil, fmt.Errorf("no finite estimate for %v", names)
	}
	m.Coef, m.Cov = best.Coef, best.Var
	m.Baseline = survival.BreslowBaseline(y, survival.LinearPredictor(m.Coef, x))
	return m, nil
}

// rareEvents: a 0/1 covariate with fewer than 10 events at one of its levels.
func rareEvents(y survival.Outcome, x [][]float64) bool {
	for _, col := range x {
		if !binary(col) {
			continue
		}
		n := [2]int{}
		for i, v := range col {
			if y.Event[i] == survival.Event {
				n[int(v)]++
			}
		}
		if min(n[0], n[1]) < rareLevel {
			return true
		}
	}
	return false
}

func binary(v []float64) bool {
	for _, x := range v {
		if x != 0 && x != 1 && !math.IsNaN(x) {
			return false
		}
	}
	return true
}

// Scores are the log risks of rows of the cohort by model, and the Radscore.
type Scores struct {
	Rows      []int
	Excluded  int // rows without a clinical value
	Y         survival.Outcome
	Radscore  []float64
	LogRisk   map[string][]float64
	Ensemble  survival.EnsembleOutput
	NetInputs [][]float64
}

// Score applies what was learnt to rows of the cohort; it learns nothing.
func (f *Fitted) Score(c *Cohort, rows []int) (*Scores, error) {
	v := c.view(rows)
	keep := f.usable(v)
	used := v.sub(keep)
	s := &Scores{Rows: used.rows, Excluded: len(rows) - len(keep), Y: used.y, Radscore: f.Radscore.score(used), LogRisk: make(map[string][]float64)}
	x := f.clinicalColumns(used)
	s.LogRisk[ModelClinical] = survival.LinearPredictor(f.Cox[ModelClinical].Coef, x)
	cols := slices.Clone(x)
	if f.hasRadscore() {
		cols = append(cols, s.Radscore)
	}
	s.LogRisk[ModelRadscore] = survival.LinearPredictor(f.Cox[ModelRadscore].Coef, cols)
	s.NetInputs = f.Net.inputs(used, x, s.Radscore)
	out, err := f.Net.Ensemble.Predict(s.NetInputs)
	if err != nil {
		return nil, err
	}
	s.Ensemble = out
	s.LogRisk[ModelDeepSurv] = out.LogRisk
	return s, nil
}

// Free is the probability of no progression by t at a model's log risk; with a competing event, one minus the absolute
// risk under both hazards.
func (f *Fitted) Free(model string, t, logRisk float64) float64 {
	base, eta := f.Net.Baseline, f.Net.Gamma*logRisk
	if model != ModelDeepSurv {
		base, eta = f.Cox[model].Baseline, logRisk
	}
	if f.Competitor != nil {
		return 1 - survival.AbsoluteRisk(base, *f.Competitor, eta, 0, t)
	}
	return base.Surv(t, eta)
}

// competitor is the cumulative hazard of code 2, nil if there is none.
func competitor(y survival.Outcome) *survival.Baseline {
	if !slices.Contains(y.Event, survival.Competing) {
		return nil
	}
	other := survival.Outcome{Time: y.Time, Event: make([]int, y.Len())}
	for i, e := range y.Event {
		if e == survival.Competing {
			other.Event[i] = survival.Event
		}
	}
	b := survival.BreslowBaseline(other, make([]float64, y.Len()))
	return &b
}
