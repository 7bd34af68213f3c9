package survival

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Codes of Outcome.Event.
const (
	Censored  = 0
	Event     = 1
	Competing = 2 // an event after which the event of interest can no longer happen (death without progression)
)

// Outcome is the follow-up of n subjects: Time (any unit, >= 0) to what Event says.
type Outcome struct {
	Time  []float64
	Event []int
}

// Len is the number of subjects.
func (y Outcome) Len() int { return len(y.Time) }

// Events counts the subjects with the event of interest.
func (y Outcome) Events() int {
	n := 0
	for _, e := range y.Event {
		if e == Event {
			n++
		}
	}
	return n
}

// Pick is the outcome of the subjects idx, in that order, with repetitions kept (bootstrap).
func (y Outcome) Pick(idx []int) Outcome {
	out := Outcome{make([]float64, len(idx)), make([]int, len(idx))}
	for k, i := range idx {
		out.Time[k], out.Event[k] = y.Time[i], y.Event[i]
	}
	return out
}

// PickColumns is Pick for covariates.
func PickColumns(x [][]float64, idx []int) [][]float64 {
	out := make([][]float64, len(x))
	for j := range x {
		out[j] = PickValues(x[j], idx)
	}
	return out
}

// PickValues is Pick for one covariate.
func PickValues(v []float64, idx []int) []float64 {
	out := make([]float64, len(idx))
	for k, i := range idx {
		out[k] = v[i]
	}
	return out
}

// Check says what is wrong with an outcome, nil if nothing is.
func (y Outcome) Check() error {
	if len(y.Time) == 0 {
		return fmt.Errorf("survival: no subjects")
	}
	if len(y.Time) != len(y.Event) {
		return fmt.Errorf("survival: %d times but %d events", len(y.Time), len(y.Event))
	}
	for i, t := range y.Time {
		if math.IsNaN(t) || math.IsInf(t, 0) || t < 0 {
			return fmt.Errorf("survival: subject %d has time %g: a finite number >= 0 is needed", i, t)
		}
		if e := y.Event[i]; e < Censored || e > Competing {
			return fmt.Errorf("survival: subject %d has event code %d: 0, 1 or 2 is needed", i, e)
		}
	}
	return nil
}

// checkColumns says whether x fits n subjects and is finite.
func checkColumns(x [][]float64, n int) error {
	for j := range x {
		if len(x[j]) != n {
			return fmt.Errorf("survival: covariate %d has %d values for %d subjects", j, len(x[j]), n)
		}
		for i, v := range x[j] {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return fmt.Errorf("survival: covariate %d of subject %d is %g: missing values must be handled before", j, i, v)
			}
		}
	}
	return nil
}

// tieTolerance: times closer than this, relative to the mean time, are one time (R's aeqSurv).
const tieTolerance = 1e-8

// group is one distinct time of one stratum: the subjects order.idx[from:to], those with the event last.
type group struct {
	time             float64
	from, events, to int // idx[from:events] have no event at this time, idx[events:to] do
	atRisk           int // subjects of the stratum with this time or a later one
	first            bool
}

// order sorts subjects by stratum and, inside, from the last time to the first: the order in which risk sets grow.
type order struct {
	idx    []int
	groups []group
}

// newOrder sorts; strata may be nil (one stratum). An event is code 1.
func newOrder(y Outcome, strata []int) order {
	type subject struct {
		time    float64
		stratum int
		event   bool
		i       int
	}
	n := y.Len()
	s := make([]subject, n)
	mean := 0.0
	for i := range s {
		s[i] = subject{time: y.Time[i], event: y.Event[i] == Event, i: i}
		if strata != nil {
			s[i].stratum = strata[i]
		}
		mean += y.Time[i]
	}
	tol := tieTolerance * mean / float64(n)
	slices.SortFunc(s, func(a, b subject) int {
		return cmp.Or(cmp.Compare(a.stratum, b.stratum), cmp.Compare(b.time, a.time), cmp.Compare(a.i, b.i))
	})
	o := order{idx: make([]int, 0, n)}
	for from := 0; from < n; {
		to := from + 1
		for to < n && s[to].stratum == s[from].stratum && s[to-1].time-s[to].time <= tol {
			to++
		}
		g := group{time: s[to-1].time, from: from, to: to, first: from == 0 || s[from-1].stratum != s[from].stratum, atRisk: to - from}
		if !g.first {
			g.atRisk += o.groups[len(o.groups)-1].atRisk
		}
		for _, v := range s[from:to] {
			if !v.event {
				o.idx = append(o.idx, v.i)
			}
		}
		g.events = len(o.idx)
		for _, v := range s[from:to] {
			if v.event {
				o.idx = append(o.idx, v.i)
			}
		}
		o.groups = append(o.groups, g)
		from = to
	}
	return o
}
