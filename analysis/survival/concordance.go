package survival

import (
	"math"
	"slices"
)

// ConcordanceWeight is how an event's comparisons are weighted by its time; the names are those of R's concordance.
type ConcordanceWeight int

// Harrell's C counts every pair once. Uno's divides by G(t-)^2, the censoring distribution, so that the limit does not
// depend on the censoring. The others are Peto-Wilcoxon's, Schemper's and the log-rank's.
const (
	Harrell  ConcordanceWeight = iota // "n"
	PetoC                             // "S": n S(t-) / at risk
	Schemper                          // "S/G"
	Uno                               // "n/G2"
	LogRankC                          // "I": 1 / at risk
)

// String is R's name of the weight.
func (w ConcordanceWeight) String() string { return []string{"n", "S", "S/G", "n/G2", "I"}[w] }

// ConcordanceOptions; the zero value is Harrell's C.
type ConcordanceOptions struct {
	Weight ConcordanceWeight
	Tau    float64 // only events with time < Tau count; 0: all
	G      *Curve  // censoring distribution for Uno, e.g. of the training set; nil: of y itself
	GAt    bool    // Uno: G(t) as scikit-survival, instead of G(t-) as R
	Tied   float64 // risks closer than this are equal; 0: 1e-8
}

// Concord counts pairs (weighted) of an event and a subject followed longer.
type Concord struct {
	C                                float64 // (concordant + tied risk / 2) / (concordant + discordant + tied risk)
	Concordant, Discordant, TiedRisk float64
	TiedTime, TiedBoth               float64 // two events at one time: not used
	StdErr                           float64 // by the infinitesimal jackknife over subjects; NaN without comparable pairs
}

// Concordance compares risk (higher: earlier event expected) with the outcome. A pair is usable if the earlier time is
// an event; at equal times, if only one of the two is. It takes O(n log n).
func Concordance(y Outcome, risk []float64, opt ConcordanceOptions) Concord {
	o := newOrder(y, nil)
	weight := concordanceWeights(y, o, opt)
	rank, levels := riskRanks(risk, opt.Tied)
	var r Concord
	later := newCounts(levels) // subjects that outlive the current event
	n := y.Len()
	conc, disc, tied := make([]float64, n), make([]float64, n), make([]float64, n)
	for _, g := range o.groups {
		for _, i := range o.idx[g.from:g.events] {
			later.add(rank[i], 1)
		}
		events := o.idx[g.events:g.to]
		if w := weight[g.from]; w > 0 && len(events) > 0 {
			for _, i := range events {
				below, equal := later.below(rank[i])
				above := later.total - below - equal
				conc[i], disc[i], tied[i] = w*below, w*above, w*equal
				r.Concordant += w * below
				r.Discordant += w * above
				r.TiedRisk += w * equal
			}
			same, pairs := tiedPairs(events, rank)
			r.TiedBoth += w * same
			r.TiedTime += w * (pairs - same)
		}
		for _, i := range events {
			later.add(rank[i], 1)
		}
	}
	total := r.Concordant + r.Discordant + r.TiedRisk
	r.C = (r.Concordant + r.TiedRisk/2) / total
	r.StdErr = jackknife(o, weight, rank, levels, conc, disc, tied, r.C, total)
	return r
}

// jackknife is the infinitesimal-jackknife standard error of C: each subject's share in C as an event (conc, disc,
// tied, known already) and as the longer-lived partner (a second walk, from the first time to the last).
func jackknife(o order, weight []float64, rank []int, levels int, conc, disc, tied []float64, c, total float64) float64 {
	earlier := newCounts(levels) // weighted events so far
	v := 0.0
	partner := func(i int) float64 { // influence of i as the partner of earlier events
		below, equal := earlier.below(rank[i])
		above := earlier.total - below - equal
		return above*(1-c) + equal*(0.5-c) - below*c
	}
	for k := len(o.groups) - 1; k >= 0; k-- {
		g := o.groups[k]
		for _, i := range o.idx[g.events:g.to] {
			u := conc[i]*(1-c) + tied[i]*(0.5-c) - disc[i]*c + partner(i)
			v += u * u
		}
		for _, i := range o.idx[g.events:g.to] {
			earlier.add(rank[i], weight[g.from])
		}
		for _, i := range o.idx[g.from:g.events] {
			u := partner(i)
			v += u * u
		}
	}
	return math.Sqrt(v) / total
}

// concordanceWeights gives the weight of the events of each group (by group.from), 0 for times from Tau on.
func concordanceWeights(y Outcome, o order, opt ConcordanceOptions) []float64 {
	w := make([]float64, y.Len())
	var g, s Curve
	switch opt.Weight {
	case PetoC, Schemper:
		s = KaplanMeier(y)
	}
	switch opt.Weight {
	case Schemper, Uno:
		if opt.G != nil {
			g = *opt.G
		} else {
			g = CensoringCurve(y)
		}
	}
	n := float64(y.Len())
	for _, t := range o.groups {
		if opt.Tau > 0 && t.time >= opt.Tau {
			continue
		}
		v := 1.0
		switch opt.Weight {
		case PetoC:
			v = n * s.Before(t.time) / float64(t.atRisk)
		case Schemper:
			v = n * s.Before(t.time) / (float64(t.atRisk) * g.Before(t.time))
		case Uno:
			at := g.Before(t.time)
			if opt.GAt {
				at = g.At(t.time)
			}
			v = 1 / (at * at)
		case LogRankC:
			v = 1 / float64(t.atRisk)
		}
		if !math.IsInf(v, 0) { // G = 0: nobody is observed so long, nothing is extrapolated
			w[t.from] = v
		}
	}
	return w
}

// riskRanks numbers the distinct risks from 0 (lowest); risks within the tolerance of their neighbour are one.
func riskRanks(risk []float64, tolerance float64) (rank []int, levels int) {
	if tolerance == 0 {
		tolerance = 1e-8
	}
	idx := make([]int, len(risk))
	for i := range idx {
		idx[i] = i
	}
	slices.SortFunc(idx, func(a, b int) int {
		switch {
		case risk[a] < risk[b]:
			return -1
		case risk[a] > risk[b]:
			return 1
		}
		return a - b
	})
	rank = make([]int, len(risk))
	for k, i := range idx {
		if k > 0 && risk[i]-risk[idx[k-1]] > tolerance {
			levels++
		}
		rank[i] = levels
	}
	return rank, levels + 1
}

func tiedPairs(events []int, rank []int) (same, pairs float64) {
	d := len(events)
	if d < 2 {
		return 0, 0
	}
	r := make([]int, d)
	for k, i := range events {
		r[k] = rank[i]
	}
	slices.Sort(r)
	for from := 0; from < d; {
		to := from + 1
		for to < d && r[to] == r[from] {
			to++
		}
		m := float64(to - from)
		same += m * (m - 1) / 2
		from = to
	}
	return same, float64(d) * float64(d-1) / 2
}

// counts is a Fenwick tree of weights by rank.
type counts struct {
	tree  []float64
	each  []float64
	total float64
}

func newCounts(levels int) *counts {
	return &counts{tree: make([]float64, levels+1), each: make([]float64, levels)}
}

func (c *counts) add(rank int, w float64) {
	c.total += w
	c.each[rank] += w
	for k := rank + 1; k < len(c.tree); k += k & -k {
		c.tree[k] += w
	}
}

// below is the weight under a rank, and the weight on it.
func (c *counts) below(rank int) (under, on float64) {
	for k := rank; k > 0; k -= k & -k {
		under += c.tree[k]
	}
	return under, c.each[rank]
}

// AUC is the time-dependent area under the ROC curve at h: cases have the event by h, controls are free of it, with
// inverse-probability-of-censoring weights (Uno 2007, Hung and Chiang 2010); equal risks count one half. A competing
// event makes a control. NaN without a case or a control.
func AUC(y Outcome, risk []float64, h float64, opt IPCW) float64 {
	w := opt.weights(y, h)
	idx := make([]int, 0, y.Len())
	for i, v := range w {
		if v > 0 {
			idx = append(idx, i)
		}
	}
	slices.SortFunc(idx, func(a, b int) int {
		switch {
		case risk[a] < risk[b]:
			return -1
		case risk[a] > risk[b]:
			return 1
		}
		return a - b
	})
	controls, cases, sum := 0.0, 0.0, 0.0
	for from := 0; from < len(idx); {
		to := from + 1
		for to < len(idx) && risk[idx[to]]-risk[idx[to-1]] <= 1e-8 {
			to++
		}
		ca, co := 0.0, 0.0
		for _, i := range idx[from:to] {
			if isCase(y, i, h) {
				ca += w[i]
			} else {
				co += w[i]
			}
		}
		sum += ca * (controls + co/2)
		controls += co
		cases += ca
		from = to
	}
	return sum / (cases * controls)
}
