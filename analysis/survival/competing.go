package survival

import (
	"math"
	"sort"
)

// Incidence is a cumulative incidence function: a step function that starts at 0.
type Incidence struct {
	Time []float64
	CIF  []float64
	Free []float64 // probability of no event of either kind by Time
}

// At is the probability of the event by t.
func (c Incidence) At(t float64) float64 {
	t += tieTolerance * math.Abs(t)
	k := sort.Search(len(c.Time), func(k int) bool { return c.Time[k] > t })
	if k == 0 {
		return 0
	}
	return c.CIF[k-1]
}

// CumulativeIncidence is the Aalen-Johansen estimate for the event with the code cause (Event or Competing). Unlike
// 1 - Kaplan-Meier it does not count as possible what death has made impossible.
func CumulativeIncidence(y Outcome, cause int) Incidence {
	either := Outcome{y.Time, make([]int, y.Len())}
	for i, e := range y.Event {
		if e != Censored {
			either.Event[i] = Event
		}
	}
	o := newOrder(either, nil)
	var c Incidence
	s, f := 1.0, 0.0
	for k := len(o.groups) - 1; k >= 0; k-- {
		g := o.groups[k]
		n, d := float64(g.atRisk), 0.0
		for _, i := range o.idx[g.events:g.to] {
			if y.Event[i] == cause {
				d++
			}
		}
		f += s * d / n
		s *= (n - float64(g.to-g.events)) / n
		c.Time, c.CIF, c.Free = append(c.Time, g.time), append(c.CIF, f), append(c.Free, s)
	}
	return c
}

// AbsoluteRisk is the probability of the event by t under two cause-specific hazards: the sum over the event times u <= t
// of exp(-H1(u-) - H2(u-)) dH1(u), with H1 = base1 e^eta1 and H2 = base2 e^eta2.
func AbsoluteRisk(base1, base2 Baseline, eta1, eta2, t float64) float64 {
	e1, e2 := math.Exp(eta1), math.Exp(eta2)
	risk, last := 0.0, 0.0
	for k, u := range base1.Time {
		if u > t*(1+tieTolerance) {
			break
		}
		if d := (base1.CumHaz[k] - last) * e1; d > 0 {
			before := base2.At(u - 2*tieTolerance*math.Abs(u) - 1e-12)
			risk += math.Exp(-last*e1-before*e2) * d
			last = base1.CumHaz[k]
		}
	}
	return min(1, risk)
}
