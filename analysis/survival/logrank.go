package survival

import (
	"fmt"
	"math"
)

// LogRankResult compares groups: observed and expected events a group (weighted when rho > 0), the covariance of
// observed minus expected, and the chi-square test.
type LogRankResult struct {
	N                  []int
	Observed, Expected []float64
	Var                [][]float64
	Test               Test
}

// LogRank tests whether the groups 0..k-1 share one survival curve: the Fleming-Harrington family with weight S(t-)^rho
// of the pooled curve (rho 0: log-rank; 1: Peto-Peto's Wilcoxon), hypergeometric variance with ties, optionally summed
// over strata (nil: one).
func LogRank(y Outcome, groups []int, strata []int, rho float64) (LogRankResult, error) {
	if err := y.Check(); err != nil {
		return LogRankResult{}, err
	}
	k := 0
	for _, g := range groups {
		if g < 0 {
			return LogRankResult{}, fmt.Errorf("survival: group %d: groups are numbered from 0", g)
		}
		k = max(k, g+1)
	}
	if len(groups) != y.Len() || strata != nil && len(strata) != y.Len() || k < 2 {
		return LogRankResult{}, fmt.Errorf("survival: log-rank needs two groups or more and one group (and stratum) a subject")
	}
	o := newOrder(y, strata)
	r := LogRankResult{N: make([]int, k), Observed: make([]float64, k), Expected: make([]float64, k), Var: make([][]float64, k)}
	for a := range r.Var {
		r.Var[a] = make([]float64, k)
	}
	for _, g := range groups {
		r.N[g]++
	}
	for from := 0; from < len(o.groups); {
		to := from + 1
		for to < len(o.groups) && !o.groups[to].first {
			to++
		}
		r.addStratum(o.idx, o.groups[from:to], groups, rho)
		from = to
	}
	r.Test = r.test()
	return r, nil
}

// addStratum walks one stratum from the first time to the last.
func (r *LogRankResult) addStratum(idx []int, times []group, groups []int, rho float64) {
	k := len(r.N)
	atRisk := make([]float64, k)
	for _, i := range idx[times[0].from:times[len(times)-1].to] {
		atRisk[groups[i]]++
	}
	surv := 1.0
	events := make([]float64, k)
	for t := len(times) - 1; t >= 0; t-- {
		g := times[t]
		n, d := float64(g.atRisk), float64(g.to-g.events)
		if d > 0 {
			w := math.Pow(surv, rho)
			clear(events)
			for _, i := range idx[g.events:g.to] {
				events[groups[i]]++
			}
			c := 0.0
			if n > 1 {
				c = w * w * d * (n - d) / (n * n * (n - 1))
			}
			for a := range k {
				r.Observed[a] += w * events[a]
				r.Expected[a] += w * d * atRisk[a] / n
				r.Var[a][a] += c * n * atRisk[a]
				for b := range k {
					r.Var[a][b] -= c * atRisk[a] * atRisk[b]
				}
			}
			surv *= (n - d) / n
		}
		for _, i := range idx[g.from:g.to] {
			atRisk[groups[i]]--
		}
	}
}

// test leaves out groups without expectation and one more, whose difference follows from the others.
func (r *LogRankResult) test() Test {
	var use []int
	for a, e := range r.Expected {
		if e > 0 {
			use = append(use, a)
		}
	}
	if len(use) < 2 {
		return Test{Statistic: 0, DF: 0, P: math.NaN()}
	}
	use = use[1:]
	p := len(use)
	v, u := make([]float64, p*p), make([]float64, p)
	for i, a := range use {
		u[i] = r.Observed[a] - r.Expected[a]
		for j, b := range use {
			v[i*p+j] = r.Var[a][b]
		}
	}
	return chi2Test(quadratic(v, p, u), p)
}
