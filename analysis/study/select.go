package study

import (
	"fmt"
	"math"
	"slices"

	"rfanode/analysis/survival"
)

// The paper's three independent factors: what a prespecified clinical model holds.
var paperFactors = []string{"male", "fib", "tcr1"}

// Effect is one line of a Cox table.
type Effect struct {
	Name             string
	N, Events        int
	HR, Lower, Upper float64
	Z, P             float64
	PH               float64     // P of the proportional-hazards test (time scale km)
	Firth            *[3]float64 // HR and profile limits with Firth's penalty, where printed
	Note             string
}

// Selection is the choice of clinical covariates as the paper made it: univariable P < .05, then one model, P < .05.
type Selection struct {
	Univariable   []Effect
	Multivariable []Effect
	Selected      []string
}

const selectionP = .05

// chooseClinical sets Clinical.
func (f *Fitted) chooseClinical(v View) error {
	if len(f.Spec.Clinical) > 0 {
		for _, n := range f.Spec.Clinical {
			if _, ok := v.c.Columns[n]; !ok {
				return fmt.Errorf("clinical model: the cohort has no column %q", n)
			}
		}
		f.Clinical = f.Spec.Clinical
		return nil
	}
	if f.Spec.Selection == "prespecified" {
		for _, n := range paperFactors {
			if _, ok := v.c.Columns[n]; ok {
				f.Clinical = append(f.Clinical, n)
			}
		}
		if len(f.Clinical) > 0 {
			return nil
		}
	}
	f.Selection = selectCovariates(v, f.Spec)
	f.Clinical = f.Selection.Selected
	if len(f.Clinical) == 0 {
		return fmt.Errorf("clinical model: no covariate has P < %g on the training rows: name them in the specification (clinical)", selectionP)
	}
	return nil
}

// selectCovariates runs both steps on the rows of a view. tcr and tcr1 say the same: tcr1 stands for both.
func selectCovariates(v View, s Spec) *Selection {
	sel := &Selection{Univariable: univariable(v, s)}
	var names []string
	for _, e := range sel.Univariable {
		if e.P < selectionP && slices.Contains(v.c.Names, e.Name) && !(e.Name == "tcr" && slices.Contains(v.c.Names, "tcr1")) && !slices.Contains(s.Categorical, e.Name) {
			names = append(names, e.Name)
		}
	}
	if len(names) == 0 {
		return sel
	}
	sel.Multivariable = effects(v, names)
	for _, e := range sel.Multivariable {
		if e.P < selectionP {
			sel.Selected = append(sel.Selected, e.Name)
		}
	}
	return sel
}

// univariable fits every covariate alone; a categorical one by dummies against its first level, tested together.
func univariable(v View, s Spec) []Effect {
	var out []Effect
	for _, n := range v.c.Names {
		if slices.Contains(s.Categorical, n) {
			out = append(out, categorical(v, n)...)
			continue
		}
		out = append(out, effects(v, []string{n})...)
	}
	return out
}

// effects fits one model on the complete cases and describes its lines; a model that cannot be fitted gives lines that
// say why.
func effects(v View, names []string) []Effect {
	keep := complete(v, names)
	used := v.sub(keep)
	var x [][]float64
	for _, n := range names {
		x = append(x, used.column(n))
	}
	return describe(used.y, x, names)
}

func complete(v View, names []string) []int {
	var keep []int
	for k, row := range v.rows {
		whole := true
		for _, n := range names {
			whole = whole && !math.IsNaN(v.c.Columns[n][row])
		}
		if whole {
			keep = append(keep, k)
		}
	}
	return keep
}

func describe(y survival.Outcome, x [][]float64, names []string) []Effect {
	nan := math.NaN()
	var out []Effect
	m, err := fitCox(y, x, names)
	for _, n := range names {
		e := Effect{Name: n, N: y.Len(), Events: y.Events(), HR: nan, Lower: nan, Upper: nan, Z: nan, P: nan, PH: nan}
		if err != nil {
			e.Note = "not estimable"
		}
		out = append(out, e)
	}
	if err != nil {
		return out
	}
	fit := m.ML
	if m.IsFirth {
		fit = m.Firth
	}
	ph := fit.PHTest(survival.KMTime)
	for j := range names {
		e := &out[j]
		e.HR, e.Lower, e.Upper, e.Z, e.P, e.PH = fit.HR[j], fit.Lower[j], fit.Upper[j], fit.Z[j], fit.P[j], ph.Covariates[j].P
		if m.IsFirth {
			ci := fit.ProfileCI(j)
			e.Lower, e.Upper, e.P, e.Note = math.Exp(ci.Lower), math.Exp(ci.Upper), ci.Test.P, "Firth: separation"
		} else if m.Firth != nil {
			ci := m.Firth.ProfileCI(j)
			e.Firth = &[3]float64{m.Firth.HR[j], math.Exp(ci.Lower), math.Exp(ci.Upper)}
		}
	}
	return out
}

// categorical gives one line a level against the first, and one for the likelihood-ratio test of them together.
func categorical(v View, name string) []Effect {
	used := v.sub(complete(v, []string{name}))
	col := used.column(name)
	levels := levelsOf(col)
	if len(levels) < 2 {
		return nil
	}
	var x [][]float64
	var names []string
	for _, l := range levels[1:] {
		d := make([]float64, len(col))
		for i, c := range col {
			if c == l {
				d[i] = 1
			}
		}
		x, names = append(x, d), append(names, fmt.Sprintf("%s %g vs %g", name, l, levels[0]))
	}
	lines := describe(used.y, x, names)
	all := Effect{Name: name, N: used.y.Len(), Events: used.y.Events(), HR: math.NaN(), Lower: math.NaN(), Upper: math.NaN(), Z: math.NaN(), P: math.NaN(), PH: math.NaN(), Note: "all levels, likelihood ratio"}
	if f, err := survival.Cox(used.y, x, survival.CoxOptions{Names: names}); err == nil {
		all.P, all.PH = f.Likelihood.P, f.PHTest(survival.KMTime).Global.P
	}
	return append([]Effect{all}, lines...)
}

func levelsOf(v []float64) []float64 {
	var out []float64
	for _, x := range v {
		if !math.IsNaN(x) && !slices.Contains(out, x) {
			out = append(out, x)
		}
	}
	slices.Sort(out)
	return out
}
