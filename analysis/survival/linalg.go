package survival

import "math"

// cholesky overwrites the lower triangle of the symmetric p x p matrix a (row by row) with L, a = L L'. It returns the
// first column whose pivot falls below eps times its diagonal (a linear combination of those before), -1 if none does.
func cholesky(a []float64, p int, eps float64) int {
	for j := range p {
		diag := a[j*p+j]
		d := diag
		for k := range j {
			d -= a[j*p+k] * a[j*p+k]
		}
		if !(d > eps*diag) || math.IsInf(d, 0) {
			return j
		}
		d = math.Sqrt(d)
		a[j*p+j] = d
		for i := j + 1; i < p; i++ {
			s := a[i*p+j]
			for k := range j {
				s -= a[i*p+k] * a[j*p+k]
			}
			a[i*p+j] = s / d
		}
	}
	return -1
}

// cholSolve solves L L' x = b in place.
func cholSolve(l []float64, p int, b []float64) {
	for i := range p {
		s := b[i]
		for k := range i {
			s -= l[i*p+k] * b[k]
		}
		b[i] = s / l[i*p+i]
	}
	for i := p - 1; i >= 0; i-- {
		s := b[i]
		for k := i + 1; k < p; k++ {
			s -= l[k*p+i] * b[k]
		}
		b[i] = s / l[i*p+i]
	}
}

// cholInverse is the inverse of L L'.
func cholInverse(l []float64, p int) []float64 {
	inv := make([]float64, p*p)
	col := make([]float64, p)
	for j := range p {
		clear(col)
		col[j] = 1
		cholSolve(l, p, col)
		for i := range p {
			inv[i*p+j] = col[i]
		}
	}
	for i := range p { // rounding must not make it unsymmetric
		for j := range i {
			m := (inv[i*p+j] + inv[j*p+i]) / 2
			inv[i*p+j], inv[j*p+i] = m, m
		}
	}
	return inv
}

// cholLogDet is ln det of L L'.
func cholLogDet(l []float64, p int) float64 {
	s := 0.0
	for i := range p {
		s += math.Log(l[i*p+i])
	}
	return 2 * s
}

// quadratic is v' a^-1 v for a symmetric positive definite a, NaN if a is singular. a is kept.
func quadratic(a []float64, p int, v []float64) float64 {
	l := append([]float64(nil), a...)
	if cholesky(l, p, 1e-13) >= 0 {
		return math.NaN()
	}
	x := append([]float64(nil), v...)
	cholSolve(l, p, x)
	return dot(v, x)
}

func dot(a, b []float64) float64 {
	s := 0.0
	for i, v := range a {
		s += v * b[i]
	}
	return s
}
