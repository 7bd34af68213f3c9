package survival

import (
	"context"
	"fmt"
	"math"
)

// CVMeasure is what cross-validation of a path compares.
type CVMeasure int

// GroupedDeviance is glmnet's default: a fold is measured by what it adds to the deviance of all rows. DevianceCV is the
// deviance of the fold's own rows (grouped = FALSE). ConcordanceCV is Harrell's C on them (type.measure = "C").
const (
	GroupedDeviance CVMeasure = iota
	DevianceCV
	ConcordanceCV
)

// CVPath is a path with its cross-validation. Mean and SE have one value a lambda.
type CVPath struct {
	*Path
	Mean, SE []float64
	Min      int // index of the largest lambda with the best mean
	OneSE    int // index of the largest lambda within one SE of it
}

// LassoCV fits the path on all rows and, for every fold, on the rows outside it (standardised there, with the lambdas
// of all rows), and measures the left-out rows. folds numbers each subject's fold from 1 or 0; every fold must hold an
// event unless the measure is GroupedDeviance, which weights folds by their events.
func LassoCV(ctx context.Context, y Outcome, x [][]float64, folds []int, measure CVMeasure, o LassoOptions) (*CVPath, error) {
	full, err := Lasso(ctx, y, x, o)
	if err != nil {
		return nil, err
	}
	if len(folds) != y.Len() {
		return nil, fmt.Errorf("survival: cross-validation: %d folds for %d subjects", len(folds), y.Len())
	}
	last := 0
	for _, f := range folds {
		last = max(last, f)
	}
	var parts [][]int
	for f := 0; f <= last; f++ {
		var part []int
		for i, g := range folds {
			if g == f {
				part = append(part, i)
			}
		}
		if part != nil {
			parts = append(parts, part)
		}
	}
	o.Lambdas = full.Lambda
	results := make([]foldResult, len(parts))
	parallel(len(parts), func(k int) { results[k] = leaveOut(ctx, y, x, parts[k], measure, o) })
	cv := &CVPath{Path: full}
	for _, r := range results {
		if r.err != nil {
			return nil, r.err
		}
	}
	cv.summarise(results, measure)
	return cv, nil
}

type foldResult struct {
	weight  float64
	measure []float64
	err     error
}

func leaveOut(ctx context.Context, y Outcome, x [][]float64, part []int, measure CVMeasure, o LassoOptions) foldResult {
	out := make([]bool, y.Len())
	for _, i := range part {
		out[i] = true
	}
	var rest []int
	for i := range out {
		if !out[i] {
			rest = append(rest, i)
		}
	}
	yr, yp := y.Pick(rest), y.Pick(part)
	p, err := Lasso(ctx, yr, PickColumns(x, rest), o)
	if err != nil {
		return foldResult{err: fmt.Errorf("cross-validation: %w", err)}
	}
	all, without, own := newBreslow(y), newBreslow(yr), newBreslow(yp)
	r := foldResult{weight: own.total}
	if measure == ConcordanceCV {
		r.weight = float64(len(part))
	}
	for _, c := range p.Coef {
		eta := c.Score(x, nil, y.Len())
		var v float64
		switch measure {
		case ConcordanceCV:
			v = Concordance(yp, PickValues(eta, part), ConcordanceOptions{}).C
		case DevianceCV:
			v = own.deviance(PickValues(PickValues(eta, part), own.idx)) / own.total
		default:
			v = (all.deviance(PickValues(eta, all.idx)) - without.deviance(PickValues(PickValues(eta, rest), without.idx))) / own.total
		}
		r.measure = append(r.measure, v)
	}
	return r
}

// summarise takes the weighted mean over folds and its standard error, and picks the two lambdas.
func (cv *CVPath) summarise(results []foldResult, measure CVMeasure) {
	for k := range cv.Lambda {
		sum, weight, folds := 0.0, 0.0, 0.0
		for _, r := range results {
			if k < len(r.measure) && !math.IsNaN(r.measure[k]) && !math.IsInf(r.measure[k], 0) && r.weight > 0 {
				sum += r.weight * r.measure[k]
				weight += r.weight
				folds++
			}
		}
		mean, v := sum/weight, 0.0
		for _, r := range results {
			if k < len(r.measure) && !math.IsNaN(r.measure[k]) && !math.IsInf(r.measure[k], 0) && r.weight > 0 {
				v += r.weight * (r.measure[k] - mean) * (r.measure[k] - mean)
			}
		}
		cv.Mean, cv.SE = append(cv.Mean, mean), append(cv.SE, math.Sqrt(v/weight/(folds-1)))
	}
	value := func(k int) float64 {
		if measure == ConcordanceCV {
			return -cv.Mean[k]
		}
		return cv.Mean[k]
	}
	for k := range cv.Mean {
		if value(k) < value(cv.Min) {
			cv.Min = k
		}
	}
	for k := range cv.Mean {
		if value(k) <= value(cv.Min)+cv.SE[cv.Min] {
			cv.OneSE = k
			break
		}
	}
}

// StratifiedFolds deals the subjects into k folds 1..k, events and the others apart, so that every fold holds events if
// there are k of them.
func StratifiedFolds(y Outcome, k int, seed uint64) []int {
	rng := NewRand(seed, 0xf01d)
	folds := make([]int, y.Len())
	at := 0
	for _, event := range []bool{true, false} {
		var idx []int
		for i, e := range y.Event {
			if (e == Event) == event {
				idx = append(idx, i)
			}
		}
		rng.Shuffle(idx)
		for _, i := range idx {
			folds[i] = 1 + at%k
			at++
		}
	}
	return folds
}
