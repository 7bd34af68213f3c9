package study

import (
	"context"
	"fmt"
	"math"
	"slices"

	"rfanode/analysis/survival"
)

// Radscore is the score of radiomic features made on the training rows: filter, then LASSO-Cox with repeated
// cross-validation. Without names no feature was selected, which is a normal result.
type Radscore struct {
	Names     []string
	index     []int // columns of the cohort's features
	Coef      []float64
	Mean, SD  []float64
	Kept      []string // features after the redundancy filter
	Lambda    float64
	Lambdas   []float64 // chosen in each draw of the folds
	CV        *survival.CVPath
	Frequency map[string]float64 // share of the draws in which a feature was selected
	Chosen    int                // index of Lambda in the path
}

// pathEnd bounds the path: lambdas below this share of the largest fit noise and cost the most.
const pathEnd = .06

// View is a set of rows from which things may be learnt.
type View struct {
	c    *Cohort
	rows []int
	y    survival.Outcome
}

func (c *Cohort) view(rows []int) View { return View{c, rows, c.Y.Pick(rows)} }

func (v View) features() [][]float64 { return survival.PickColumns(v.c.Features, v.rows) }

func (v View) column(name string) []float64 { return survival.PickValues(v.c.Columns[name], v.rows) }

// sub is the view of some of its rows, by position.
func (v View) sub(at []int) View {
	rows := make([]int, len(at))
	for k, i := range at {
		rows[k] = v.rows[i]
	}
	return v.c.view(rows)
}

// fitRadscore filters, runs the cross-validation repeats times, and takes the median lambda.
func fitRadscore(ctx context.Context, v View, s Spec, repeats int, seed uint64) (*Radscore, error) {
	r := &Radscore{Frequency: make(map[string]float64)}
	if len(v.c.Features) == 0 {
		return r, nil
	}
	x := v.features()
	kept := survival.PearsonFilter(x, s.Filter)
	if len(kept) == 0 {
		return r, nil
	}
	var cols [][]float64
	for _, j := range kept {
		cols, r.Kept = append(cols, x[j]), append(r.Kept, v.c.FeatureNames[j])
	}
	opt := survival.LassoOptions{Stop: pathEnd}
	var chosen []int
	for k := range repeats {
		folds := survival.StratifiedFolds(v.y, min(s.Folds, max(2, v.y.Events())), survival.NewRand(seed, uint64(k)).Uint64())
		cv, err := survival.LassoCV(ctx, v.y, cols, folds, survival.GroupedDeviance, opt)
		if err != nil {
			return nil, fmt.Errorf("radscore: %w", err)
		}
		if k == 0 {
			r.CV = cv
		}
		at := cv.Min
		if s.LambdaRule == "1se" {
			at = cv.OneSE
		}
		chosen = append(chosen, at)
		r.Lambdas = append(r.Lambdas, cv.Lambda[at])
		for _, j := range cv.Coef[at].Index {
			r.Frequency[r.Kept[j]] += 1 / float64(repeats)
		}
	}
	slices.Sort(chosen)
	r.Chosen = chosen[len(chosen)/2]
	r.Lambda = r.CV.Lambda[r.Chosen]
	best := r.CV.Coef[r.Chosen]
	for k, j := range best.Index {
		r.index, r.Names = append(r.index, kept[j]), append(r.Names, r.Kept[j])
		r.Coef, r.Mean, r.SD = append(r.Coef, best.Value[k]), append(r.Mean, r.CV.Path.Mean[j]), append(r.SD, r.CV.SD[j])
	}
	return r, nil
}

// Score of rows of the cohort; 0 for all if nothing was selected.
func (r *Radscore) score(v View) []float64 {
	out := make([]float64, len(v.rows))
	for k, j := range r.index {
		col := v.c.Features[j]
		for i, row := range v.rows {
			out[i] += r.Coef[k] * (col[row] - r.Mean[k])
		}
	}
	return out
}

// crossfit scores every row by a Radscore that was made without it: filter, standardisation and cross-validation are
// repeated outside each fold.
func crossfit(ctx context.Context, v View, s Spec, seed uint64) ([]float64, error) {
	out := make([]float64, len(v.rows))
	folds := survival.StratifiedFolds(v.y, s.CrossfitFolds, survival.NewRand(seed, 1).Uint64())
	for f := 1; f <= s.CrossfitFolds; f++ {
		in, held := splitFold(folds, f)
		if len(held) == 0 {
			continue
		}
		r, err := fitRadscore(ctx, v.sub(in), s, s.InnerRepeats, survival.NewRand(seed, 2, uint64(f)).Uint64())
		if err != nil {
			return nil, fmt.Errorf("cross-fitting, fold %d: %w", f, err)
		}
		for k, x := range r.score(v.sub(held)) {
			out[held[k]] = x
		}
	}
	return out, nil
}

func splitFold(folds []int, f int) (in, held []int) {
	for i, g := range folds {
		if g == f {
			held = append(held, i)
		} else {
			in = append(in, i)
		}
	}
	return in, held
}

// varies says whether a score differs between rows.
func varies(v []float64) bool {
	for _, x := range v {
		if math.Abs(x-v[0]) > 1e-12 {
			return true
		}
	}
	return false
}
