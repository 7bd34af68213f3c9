package survival

import (
	"math"
	"slices"
	"sort"
)

// Baseline is a cumulative baseline hazard: a step function that rises at Time[k] to CumHaz[k], 0 before.
type Baseline struct {
	Time   []float64 `json:"time"`
	CumHaz []float64 `json:"cumhaz"`
	AtRisk []int     `json:"n_at_risk"`
}

// At is H0(t).
func (b Baseline) At(t float64) float64 {
	t += tieTolerance * math.Abs(t)
	k := sort.Search(len(b.Time), func(k int) bool { return b.Time[k] > t })
	if k == 0 {
		return 0
	}
	return b.CumHaz[k-1]
}

// Surv is S(t) = exp(-H0(t) e^eta).
func (b Baseline) Surv(t, eta float64) float64 { return math.Exp(-b.At(t) * math.Exp(eta)) }

// BreslowBaseline estimates H0 for given linear predictors by Breslow's formula, d over the sum of e^eta at risk,
// at every distinct time (also those without an event).
func BreslowBaseline(y Outcome, eta []float64) Baseline {
	o := newOrder(y, nil)
	shift := slices.Max(eta)
	m := len(o.groups)
	b := Baseline{make([]float64, m), make([]float64, m), make([]int, m)}
	s := 0.0
	for k, g := range o.groups {
		for _, i := range o.idx[g.from:g.to] {
			s += math.Exp(eta[i] - shift)
		}
		at := m - 1 - k
		b.Time[at], b.AtRisk[at] = g.time, g.atRisk
		if d := g.to - g.events; d > 0 {
			b.CumHaz[at] = float64(d) / s * math.Exp(-shift)
		}
	}
	for k := 1; k < m; k++ {
		b.CumHaz[k] += b.CumHaz[k-1]
	}
	return b
}

// Baseline is the cumulative hazard at all covariates 0, by the formula of the fit's ties (R's basehaz with
// centered=FALSE), one for each stratum in the order of the strata's numbers.
func (f *CoxFit) Baseline() []Baseline {
	c := f.pl
	c.weights(f.scaled)
	centre := c.shift
	for j, b := range f.Coef {
		centre += b * c.mean[j]
	}
	scale := math.Exp(-centre)
	increment := make(map[int]float64) // by group.from
	c.eachEventTime(func(m moments) { increment[m.g.from] = m.hazard })
	var out []Baseline
	for k := 0; k < len(c.groups); {
		end := k + 1
		for end < len(c.groups) && !c.groups[end].first {
			end++
		}
		var b Baseline
		h := 0.0
		for i := end - 1; i >= k; i-- {
			g := c.groups[i]
			h += increment[g.from] * scale
			b.Time, b.CumHaz, b.AtRisk = append(b.Time, g.time), append(b.CumHaz, h), append(b.AtRisk, g.atRisk)
		}
		out = append(out, b)
		k = end
	}
	return out
}

// Martingale residuals in the order of the subjects: event minus expected events.
func (f *CoxFit) Martingale() []float64 {
	c := f.pl
	c.weights(f.scaled)
	hazard, inner := make(map[int]float64), make(map[int]float64)
	c.eachEventTime(func(m moments) { hazard[m.g.from], inner[m.g.from] = m.hazard, m.inner })
	out := make([]float64, len(c.idx))
	for k := 0; k < len(c.groups); {
		end := k + 1
		for end < len(c.groups) && !c.groups[end].first {
			end++
		}
		h := 0.0
		for i := end - 1; i >= k; i-- {
			g := c.groups[i]
			for e := g.events; e < g.to; e++ { // an event leaves in the middle of Efron's increments
				out[c.idx[e]] = 1 - c.w[e]*(h+inner[g.from])
			}
			h += hazard[g.from]
			for e := g.from; e < g.events; e++ {
				out[c.idx[e]] = -c.w[e] * h
			}
		}
		k = end
	}
	return out
}
