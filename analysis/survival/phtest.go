package survival

import (
	"math"
	"slices"
)

// TimeTransform is the function of time against which PHTest looks for a trend of a coefficient.
type TimeTransform int

// R's names: km is 1-S(t-) of all subjects, rank the rank of the time among all times, identity the time itself.
const (
	KMTime TimeTransform = iota
	RankTime
	IdentityTime
)

// PHResult tests proportional hazards for each covariate (1 df) and for all together.
type PHResult struct {
	Covariates []Test
	Global     Test
}

// PHTest is the score test of a coefficient b + c g(t) against c = 0, as cox.zph(terms = FALSE) of R's survival 3
// computes it (Grambsch and Therneau 1994, without the approximation of a constant variance).
func (f *CoxFit) PHTest(transform TimeTransform) PHResult {
	c := f.pl
	c.weights(f.scaled)
	p := c.p
	g := c.timeScale(transform)
	q := p * (p + 1) / 2
	u2 := make([]float64, p)
	i11, i12, i22 := make([]float64, q), make([]float64, q), make([]float64, q)
	c.eachEventTime(func(m moments) {
		t := g[m.g.from]
		for j := range p {
			r := -m.mean[j]
			for k := m.g.events; k < m.g.to; k++ {
				r += c.z[k*p+j]
			}
			u2[j] += t * r
		}
		for e, v := range m.info {
			i11[e] += v
			i12[e] += t * v
			i22[e] += t * t * v
		}
	})
	a, b, v := make([]float64, p*p), make([]float64, p*p), make([]float64, p*p)
	unpack(i11, a, p)
	unpack(i12, b, p)
	unpack(i22, v, p)
	if cholesky(a, p, 1e-15) >= 0 {
		return PHResult{make([]Test, p), Test{P: math.NaN()}}
	}
	col := make([]float64, p)
	adjusted := slices.Clone(v)
	for j := range p {
		for k := range p {
			col[k] = b[k*p+j]
		}
		cholSolve(a, p, col)
		for i := range p {
			adjusted[i*p+j] -= dot(b[i*p:i*p+p], col)
		}
	}
	r := PHResult{Global: chi2Test(quadratic(adjusted, p, u2), p)}
	for j := range p {
		r.Covariates = append(r.Covariates, chi2Test(u2[j]*u2[j]/adjusted[j*p+j], 1))
	}
	return r
}

// timeScale is g(t), centred on its mean over the events, for each group (by group.from).
func (c *partial) timeScale(transform TimeTransform) map[int]float64 {
	var km Curve
	var at []float64 // g at the times of km
	if transform != IdentityTime {
		y := Outcome{make([]float64, len(c.idx)), make([]int, len(c.idx))}
		for _, g := range c.groups {
			for k := g.from; k < g.to; k++ {
				y.Time[k] = g.time
				if k >= g.events {
					y.Event[k] = Event
				}
			}
		}
		km = KaplanMeier(y)
		s, below := 1.0, 0.0
		for k := range km.Time {
			n := float64(km.Events[k] + km.Censored[k])
			if transform == KMTime {
				at = append(at, 1-s)
			} else {
				at = append(at, below+(n+1)/2)
			}
			s, below = km.Surv[k], below+n
		}
	}
	out := make(map[int]float64, len(c.groups))
	sum, events := 0.0, 0
	for _, g := range c.groups {
		v := g.time
		if transform != IdentityTime {
			v = at[km.at(g.time)]
		}
		out[g.from] = v
		sum += v * float64(g.to-g.events)
		events += g.to - g.events
	}
	for _, g := range c.groups { // not by ranging over the map: the order of sums is part of the result
		out[g.from] -= sum / float64(events)
	}
	return out
}
