package survival

import (
	"math"
	"slices"
)

// penalised is Firth's objective l(b) + ln det I(b) / 2 with its gradient u and the information h of the unpenalised
// likelihood, which serves as curvature (Heinze and Schemper, Biometrics 2001;57:114). NaN if I is singular.
//
// The gradient of the penalty needs dI/db, the third central moments of every risk set: O(n p^3).
func (c *partial) penalised(b, u, h []float64) float64 {
	ll := c.derivatives(b, u, h)
	p := c.p
	l := slices.Clone(h)
	if cholesky(l, p, 1e-15) >= 0 {
		return math.NaN()
	}
	inv := cholInverse(l, p)
	third := c.informationGradient()
	for j := range p {
		t := 0.0
		for a := range p {
			for e := range p {
				t += inv[a*p+e] * third[(j*p+a)*p+e]
			}
		}
		u[j] += t / 2
	}
	value := ll + cholLogDet(l, p)/2
	for _, s := range c.scale { // det I of the covariates as they were given
		value += math.Log(s)
	}
	return value
}

// informationGradient is dI/db_j as p matrices p x p, at the weights of the last evaluation.
func (c *partial) informationGradient() []float64 {
	p := c.p
	out := make([]float64, p*p*p)
	var s, d sums3
	s.init(p)
	d.init(p)
	for _, g := range c.groups {
		if g.first {
			s.clear()
		}
		for k := g.from; k < g.events; k++ {
			s.add(c.w[k], c.z[k*p:k*p+p])
		}
		n := g.to - g.events
		if n == 0 {
			continue
		}
		d.clear()
		for k := g.events; k < g.to; k++ {
			d.add(c.w[k], c.z[k*p:k*p+p])
			s.add(c.w[k], c.z[k*p:k*p+p])
		}
		terms, times := c.fractions(n)
		for k := range terms {
			s.thirdCentral(&d, float64(k)/float64(n), times, out)
		}
	}
	return out
}

// sums3 holds the weighted sums of z up to the third power over a set of subjects.
type sums3 struct {
	s0         float64
	s1, s2, s3 []float64
}

func (s *sums3) init(p int) {
	s.s1, s.s2, s.s3 = make([]float64, p), make([]float64, p*p), make([]float64, p*p*p)
}

func (s *sums3) clear() {
	s.s0 = 0
	clear(s.s1)
	clear(s.s2)
	clear(s.s3)
}

func (s *sums3) add(w float64, z []float64) {
	p := len(z)
	s.s0 += w
	for i, a := range z {
		s.s1[i] += w * a
		for j, b := range z {
			ab := w * a * b
			s.s2[i*p+j] += ab
			for k, c := range z {
				s.s3[(i*p+j)*p+k] += ab * c
			}
		}
	}
}

// thirdCentral adds times x the third central moment of the set s without the share f of d to out.
func (s *sums3) thirdCentral(d *sums3, f, times float64, out []float64) {
	p := len(s.s1)
	r0 := s.s0 - f*d.s0
	m := func(i int) float64 { return (s.s1[i] - f*d.s1[i]) / r0 }
	m2 := func(i, j int) float64 { return (s.s2[i*p+j] - f*d.s2[i*p+j]) / r0 }
	for i := range p {
		for j := range p {
			for k := range p {
				e := (i*p+j)*p + k
				m3 := (s.s3[e] - f*d.s3[e]) / r0
				out[e] += times * (m3 - m(i)*m2(j, k) - m(j)*m2(i, k) - m(k)*m2(i, j) + 2*m(i)*m(j)*m(k))
			}
		}
	}
}
