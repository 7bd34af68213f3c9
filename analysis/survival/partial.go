package survival

import (
	"math"
	"slices"
)

// Ties is how the partial likelihood treats events at one time.
type Ties int

// The two usual approximations. Efron is closer to the truth; glmnet and DeepSurv use Breslow.
const (
	Efron Ties = iota
	Breslow
)

func (t Ties) String() string {
	if t == Breslow {
		return "breslow"
	}
	return "efron"
}

// partial is the partial likelihood of a data set, ready to be evaluated at many coefficients. Covariates are centred
// and scaled, and stored row by row in the order in which risk sets grow.
type partial struct {
	order
	p           int
	ties        Ties
	z           []float64 // rows in the order of idx
	offset      []float64 // in the order of idx, nil for none
	mean, scale []float64
	eta, w      []float64 // of the last evaluation; w = exp(eta - shift)
	shift       float64
}

// newPartial centres by the mean and divides by the SD (1/n); a constant column keeps scale 1.
func newPartial(y Outcome, x [][]float64, strata []int, offset []float64, ties Ties) *partial {
	n, p := y.Len(), len(x)
	c := &partial{order: newOrder(y, strata), p: p, ties: ties, z: make([]float64, n*p), mean: make([]float64, p), scale: make([]float64, p),
		eta: make([]float64, n), w: make([]float64, n)}
	for j, col := range x {
		c.mean[j], c.scale[j] = meanSD(col)
		if c.scale[j] <= 1e-12*math.Abs(c.mean[j]) || c.scale[j] == 0 {
			c.scale[j] = 1
		}
		for k, i := range c.idx {
			c.z[k*p+j] = (col[i] - c.mean[j]) / c.scale[j]
		}
	}
	if offset != nil {
		c.offset = make([]float64, n)
		for k, i := range c.idx {
			c.offset[k] = offset[i]
		}
	}
	return c
}

// meanSD is the mean and the standard deviation with 1/n, by two passes.
func meanSD(v []float64) (mean, sd float64) {
	n := float64(len(v))
	for _, x := range v {
		mean += x
	}
	mean /= n
	for _, x := range v {
		sd += (x - mean) * (x - mean)
	}
	return mean, math.Sqrt(sd / n)
}

// weights computes eta and w at b (of the scaled covariates).
func (c *partial) weights(b []float64) {
	p := c.p
	for k := range c.eta {
		s := dot(c.z[k*p:k*p+p], b)
		if c.offset != nil {
			s += c.offset[k]
		}
		c.eta[k] = s
	}
	c.shift = slices.Max(c.eta) // keeps exp finite; it cancels in every ratio
	for k, e := range c.eta {
		c.w[k] = math.Exp(e - c.shift)
	}
}

// fractions is the number of terms of a time with d events, and the share of the events' weight that term k leaves out:
// Efron d terms with k/d, Breslow one term counted d times.
func (c *partial) fractions(d int) (terms int, times float64) {
	if c.ties == Breslow {
		return 1, float64(d)
	}
	return d, 1
}

// derivatives of the log partial likelihood at b: value, gradient u (p), information h (p x p, lower triangle valid).
func (c *partial) derivatives(b, u, h []float64) float64 {
	c.weights(b)
	p := c.p
	clear(u)
	clear(h)
	q := p * (p + 1) / 2
	s1, d1, m := make([]float64, p), make([]float64, p), make([]float64, p)
	s2, d2, info := make([]float64, q), make([]float64, q), make([]float64, q)
	s0, ll := 0.0, 0.0
	for _, g := range c.groups {
		if g.first {
			s0 = 0
			clear(s1)
			clear(s2)
		}
		for k := g.from; k < g.events; k++ {
			s0 += accumulate(c.w[k], c.z[k*p:k*p+p], s1, s2)
		}
		d := g.to - g.events
		if d == 0 {
			continue
		}
		d0 := 0.0
		clear(d1)
		clear(d2)
		for k := g.events; k < g.to; k++ {
			z := c.z[k*p : k*p+p]
			d0 += accumulate(c.w[k], z, d1, d2)
			ll += c.eta[k] - c.shift
			for j, v := range z {
				u[j] += v
			}
		}
		s0 += d0
		for j, v := range d1 {
			s1[j] += v
		}
		for j, v := range d2 {
			s2[j] += v
		}
		terms, times := c.fractions(d)
		for k := range terms {
			f := float64(k) / float64(d)
			r0 := s0 - f*d0
			ll -= times * math.Log(r0)
			inv := 1 / r0
			for j := range m {
				m[j] = (s1[j] - f*d1[j]) * inv
				u[j] -= times * m[j]
			}
			inv *= times
			e := 0
			for i, mi := range m {
				mi *= times
				for j := 0; j <= i; j++ {
					info[e] += (s2[e]-f*d2[e])*inv - mi*m[j]
					e++
				}
			}
		}
	}
	unpack(info, h, p)
	return ll
}

// accumulate adds w z to a1 and w z z' to a2 (packed lower triangle) and returns w.
func accumulate(w float64, z, a1, a2 []float64) float64 {
	e := 0
	for i, v := range z {
		wv := w * v
		a1[i] += wv
		row := a2[e : e+i+1]
		for j, x := range z[:i+1] {
			row[j] += wv * x
		}
		e += i + 1
	}
	return w
}

func unpack(packed, h []float64, p int) {
	e := 0
	for i := range p {
		for j := 0; j <= i; j++ {
			h[i*p+j], h[j*p+i] = packed[e], packed[e]
			e++
		}
	}
}

// moments of one event time at the coefficients of the last weights call.
type moments struct {
	g      group
	mean   []float64 // mean covariate of the risk set, summed over the d events' terms
	info   []float64 // information, likewise (packed lower triangle)
	hazard float64   // increment of the cumulative baseline hazard at covariates = means, without the shift
	inner  float64   // Efron: what the events at this time have themselves accumulated of that increment
}

// eachEventTime visits the event times of every stratum from last to first with their risk set's moments.
func (c *partial) eachEventTime(visit func(m moments)) {
	p := c.p
	q := p * (p + 1) / 2
	s1, d1, mean := make([]float64, p), make([]float64, p), make([]float64, p)
	s2, d2 := make([]float64, q), make([]float64, q)
	m := moments{mean: make([]float64, p), info: make([]float64, q)}
	s0 := 0.0
	for _, g := range c.groups {
		if g.first {
			s0 = 0
			clear(s1)
			clear(s2)
		}
		for k := g.from; k < g.events; k++ {
			s0 += accumulate(c.w[k], c.z[k*p:k*p+p], s1, s2)
		}
		d := g.to - g.events
		if d == 0 {
			continue
		}
		d0 := 0.0
		clear(d1)
		clear(d2)
		for k := g.events; k < g.to; k++ {
			d0 += accumulate(c.w[k], c.z[k*p:k*p+p], d1, d2)
		}
		s0 += d0
		for j, v := range d1 {
			s1[j] += v
		}
		for j, v := range d2 {
			s2[j] += v
		}
		m.g, m.hazard, m.inner = g, 0, 0
		clear(m.mean)
		clear(m.info)
		terms, times := c.fractions(d)
		for k := range terms {
			f := float64(k) / float64(d)
			r0 := s0 - f*d0
			m.hazard += times / r0
			m.inner += times * (1 - f) / r0
			for j := range mean {
				mean[j] = (s1[j] - f*d1[j]) / r0
				m.mean[j] += times * mean[j]
			}
			e := 0
			for i := range mean {
				for j := 0; j <= i; j++ {
					m.info[e] += times * ((s2[e]-f*d2[e])/r0 - mean[i]*mean[j])
					e++
				}
			}
		}
		visit(m)
	}
}
