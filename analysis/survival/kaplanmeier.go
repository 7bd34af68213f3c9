package survival

import (
	"math"
	"sort"
)

// Curve is a step function of time that starts at 1: the estimate at Time[k] holds until Time[k+1]. The slices have one
// entry for each distinct time, rising.
type Curve struct {
	Time     []float64
	AtRisk   []int // subjects with this time or a later one
	Events   []int
	Censored []int
	Surv     []float64
	StdErr   []float64 // standard error of ln S (Greenwood): sqrt(sum d/(n(n-d))), as R's survfit reports it
}

// KaplanMeier estimates the survival curve of the event (code 1; a competing event counts as censored).
func KaplanMeier(y Outcome) Curve { return productLimit(newOrder(y, nil), false) }

// CensoringCurve estimates G(t) = P(censoring after t): the reverse Kaplan-Meier curve, in which events leave the risk
// set before the censorings of the same time, so that the hazard of censoring is c/(n-d).
func CensoringCurve(y Outcome) Curve {
	reverse := Outcome{y.Time, make([]int, y.Len())}
	for i, e := range y.Event {
		if e != Censored {
			reverse.Event[i] = Event
		}
	}
	return productLimit(newOrder(reverse, nil), true)
}

// FollowUp is the curve of potential follow-up: Kaplan-Meier with event and censoring exchanged (ordinary ties).
func FollowUp(y Outcome) Curve {
	r := Outcome{y.Time, make([]int, y.Len())}
	for i, e := range y.Event {
		if e == Censored {
			r.Event[i] = Event
		}
	}
	return KaplanMeier(r)
}

// productLimit multiplies the conditional survivals of one stratum. With censoring set, the terms are those of G.
func productLimit(o order, censoring bool) Curve {
	m := len(o.groups)
	c := Curve{make([]float64, 0, m), make([]int, 0, m), make([]int, 0, m), make([]int, 0, m), make([]float64, 0, m), make([]float64, 0, m)}
	s, v := 1.0, 0.0
	for k := m - 1; k >= 0; k-- {
		g := o.groups[k]
		d, cens := g.to-g.events, g.events-g.from
		n, x := float64(g.atRisk), float64(d)
		if censoring {
			n, x = n-x, float64(cens)
		}
		if x > 0 {
			s *= (n - x) / n
			v += x / (n * (n - x))
		}
		c.Time, c.AtRisk, c.Events, c.Censored = append(c.Time, g.time), append(c.AtRisk, g.atRisk), append(c.Events, d), append(c.Censored, cens)
		c.Surv, c.StdErr = append(c.Surv, s), append(c.StdErr, math.Sqrt(v))
	}
	return c
}

// at is the index of the last time <= t, -1 before the first. Times within the tie tolerance count as equal.
func (c Curve) at(t float64) int {
	t += tieTolerance * math.Abs(t)
	return sort.Search(len(c.Time), func(k int) bool { return c.Time[k] > t }) - 1
}

// At is S(t).
func (c Curve) At(t float64) float64 {
	if k := c.at(t); k >= 0 {
		return c.Surv[k]
	}
	return 1
}

// Before is S(t-), the value just before t.
func (c Curve) Before(t float64) float64 {
	k := c.at(t)
	if k >= 0 && c.Time[k] >= t-tieTolerance*math.Abs(t) {
		k--
	}
	if k >= 0 {
		return c.Surv[k]
	}
	return 1
}

// AtRiskAt is the number of subjects with time >= t.
func (c Curve) AtRiskAt(t float64) int {
	k := sort.Search(len(c.Time), func(k int) bool { return c.Time[k] >= t-tieTolerance*math.Abs(t) })
	if k == len(c.Time) {
		return 0
	}
	return c.AtRisk[k]
}

// Interval is the kind of confidence interval of a curve.
type Interval int

// The transformation under which the interval is symmetric.
const (
	Log    Interval = iota // exp(ln S +- z se): R's default
	LogLog                 // stays inside 0 and 1
	Plain
)

// CI returns the 95 % pointwise limits, clipped to [0, 1]. Where S is 1 or 0 and the transformation has no value, both
// limits are NaN.
func (c Curve) CI(kind Interval) (lower, upper []float64) {
	lower, upper = make([]float64, len(c.Surv)), make([]float64, len(c.Surv))
	for k, s := range c.Surv {
		se := c.StdErr[k]
		var lo, hi float64
		switch kind {
		case Log:
			lo, hi = s*math.Exp(-z95*se), s*math.Exp(z95*se)
		case Plain:
			lo, hi = s-z95*se*s, s+z95*se*s
		case LogLog:
			h := z95 * se / math.Log(s)
			lo, hi = math.Pow(s, math.Exp(-h)), math.Pow(s, math.Exp(h))
			if s >= 1 || s <= 0 {
				lo, hi = math.NaN(), math.NaN()
			}
		}
		lower[k], upper[k] = math.Max(0, lo), math.Min(1, hi)
	}
	return lower, upper
}

// Quantile is the first time at which S <= 1-p; if S equals 1-p on a plateau, the middle between that time and the next
// drop. NaN if the curve does not fall so far.
func (c Curve) Quantile(p float64) float64 { return stepQuantile(c.Time, c.Surv, p) }

// QuantileCI gives the times at which the limits of CI(kind) cross 1-p, NaN where one does not.
func (c Curve) QuantileCI(p float64, kind Interval) (lower, upper float64) {
	lo, hi := c.CI(kind)
	return stepQuantile(c.Time, lo, p), stepQuantile(c.Time, hi, p)
}

func stepQuantile(time, surv []float64, p float64) float64 {
	const equal = 1e-9
	target := 1 - p
	for k, s := range surv {
		if s < target-equal {
			return time[k]
		}
		if math.Abs(s-target) <= equal {
			for l := k + 1; l < len(surv); l++ {
				if surv[l] < target-equal {
					return (time[k] + time[l]) / 2
				}
			}
			return time[k]
		}
	}
	return math.NaN()
}

// RestrictedMean is the area under the curve from 0 to t.
func (c Curve) RestrictedMean(t float64) float64 {
	area, last, s := 0.0, 0.0, 1.0
	for k, u := range c.Time {
		if u >= t {
			break
		}
		area += s * (u - last)
		last, s = u, c.Surv[k]
	}
	return area + s*(t-last)
}
