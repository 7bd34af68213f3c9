package radiomics

import (
	"math"

	"gonum.org/v1/gonum/mat"
)

// secondValue computes the maximal correlation coefficient: the root of the second largest eigenvalue of
// Q(i,j) = Σ_k p(i,k) p(j,k) / (px(i) py(k)). Q is similar to M·Mᵀ with M = p(i,k)/√(px(i) py(k)), whose second singular
// value is sought; for a symmetric p, the second largest |eigenvalue| of M. PyRadiomics adds eps to the denominator, which
// shows where a level has one voxel in very many, so it stays.
type secondValue struct {
	k         int
	symmetric bool
	m         *mat.SymDense
	eigen     mat.EigenSym
	values    []float64
}

// manyLevels is where Lanczos steps become cheaper than all eigenvalues.
const manyLevels = 300

func newSecondValue(k int, symmetric bool) *secondValue {
	return &secondValue{k: k, symmetric: symmetric, values: make([]float64, k)}
}

// of is the coefficient of the matrix p with its row and column sums.
func (s *secondValue) of(p, px, py []float64) float64 {
	switch {
	case s.k < 2:
		return 1
	case s.k > manyLevels:
		return s.lanczos(p, px, py)
	}
	return s.all(p, px, py)
}

// scaled is entry (i, k) of M.
func (s *secondValue) scaled(p, px, py []float64, i, k int) float64 {
	v := p[i*s.k+k]
	if v == 0 {
		return 0
	}
	return v / math.Sqrt(px[i]*py[k]+eps)
}

// all finds the second value among all.
func (s *secondValue) all(p, px, py []float64) float64 {
	k := s.k
	if s.m == nil {
		s.m = mat.NewSymDense(k, nil)
	}
	if s.symmetric {
		for i := range k {
			for j := i; j < k; j++ {
				s.m.SetSym(i, j, s.scaled(p, px, py, i, j))
			}
		}
	} else {
		full := mat.NewDense(k, k, nil)
		for i := range k {
			for j := range k {
				full.Set(i, j, s.scaled(p, px, py, i, j))
			}
		}
		s.m.SymOuterK(1, full)
	}
	if !s.eigen.Factorize(s.m, false) {
		return math.NaN()
	}
	s.eigen.Values(s.values)
	if !s.symmetric { // eigenvalues of M·Mᵀ, ascending
		return math.Sqrt(max(s.values[k-2], 0))
	}
	first, second := 0.0, 0.0
	for _, v := range s.values {
		v = math.Abs(v)
		if v > first {
			first, second = v, first
		} else {
			second = max(second, v)
		}
	}
	return second
}

// lanczos finds the second singular value of a large sparse matrix. The first is 1 with the vector √px, known; Lanczos
// steps on M·Mᵀ in what is orthogonal to it, every vector made orthogonal to all before, then find the largest that is
// left. That holds also when the levels fall into groups that never meet, where the second value is 1 again.
func (s *secondValue) lanczos(p, px, py []float64) float64 {
	k := s.k
	type entry struct {
		i, j int
		v    float64
	}
	var entries []entry
	for i := range k {
		for j := range k {
			if v := s.scaled(p, px, py, i, j); v != 0 {
				entries = append(entries, entry{i, j, v})
			}
		}
	}
	multiply := func(x []float64) []float64 {
		t, y := make([]float64, k), make([]float64, k)
		for _, e := range entries {
			t[e.j] += e.v * x[e.i]
		}
		for _, e := range entries {
			y[e.i] += e.v * t[e.j]
		}
		return y
	}
	first := make([]float64, k)
	for i, p := range px {
		first[i] = math.Sqrt(p)
	}
	normalise(first)
	basis := [][]float64{first}
	orthogonal := func(v []float64) float64 {
		for range 2 {
			for _, b := range basis {
				c := inner(v, b)
				for i := range v {
					v[i] -= c * b[i]
				}
			}
		}
		return math.Sqrt(inner(v, v))
	}
	v := make([]float64, k) // any start
	seed := uint64(1)
	for i := range v {
		seed = seed*6364136223846793005 + 1442695040888963407
		v[i] = float64(seed>>40)/(1<<23) - 1
	}
	orthogonal(v)
	var alpha, beta []float64
	largest, still := 0.0, 0
	for len(basis) < k && len(alpha) < 600 {
		normalise(v)
		basis = append(basis, v)
		y := multiply(v)
		alpha = append(alpha, inner(y, v))
		n := orthogonal(y)
		if len(alpha)%4 == 0 || n < 1e-13 || len(basis) == k {
			now := tridiagonalLargest(alpha, beta)
			if math.Abs(now-largest) <= 1e-14 {
				still++
			} else {
				still = 0
			}
			largest = now
			if still >= 2 || n < 1e-13 {
				break
			}
		}
		beta = append(beta, n)
		v = y
	}
	return math.Sqrt(max(largest, 0))
}

func tridiagonalLargest(alpha, beta []float64) float64 {
	n := len(alpha)
	t := mat.NewSymDense(n, nil)
	for i, a := range alpha {
		t.SetSym(i, i, a)
		if i+1 < n {
			t.SetSym(i, i+1, beta[i])
		}
	}
	var e mat.EigenSym
	if !e.Factorize(t, false) {
		return math.NaN()
	}
	return e.Values(nil)[n-1]
}

func inner(a, b []float64) float64 {
	sum := 0.0
	for i, v := range a {
		sum += v * b[i]
	}
	return sum
}

func normalise(v []float64) {
	n := math.Sqrt(inner(v, v))
	for i := range v {
		v[i] /= n
	}
}
