package survival

import (
	"math"

	"gonum.org/v1/gonum/floats"
)

// quadraticL1 minimises r'delta + delta' h delta / 2 + lambda sum |beta + delta|.
type quadraticL1 struct {
	h       []float64 // k x k
	k       int
	lambda  float64
	r       []float64 // gradient at delta, kept up to date
	beta    []float64
	delta   []float64
	tol     float64
	support []int
}

// solve cycles over the coordinates; when the set of nonzero coefficients and their signs stand still for some sweeps,
// it solves for them directly, which ends what coordinate descent would only approach.
func (q *quadraticL1) solve() {
	const settle = 6
	signs, still := make([]int8, q.k), 0
	for range lassoSweeps {
		largest, changed := 0.0, false
		for a := range q.k {
			largest = max(largest, q.coordinate(a))
			if sg := sign(q.beta[a] + q.delta[a]); sg != signs[a] {
				signs[a], changed = sg, true
			}
		}
		if largest <= q.tol {
			return
		}
		if still++; changed {
			still = 0
		}
		if still >= settle {
			q.direct(signs)
			still = -4 * settle // a direct step that did not end it is tried again later
		}
	}
}

// coordinate moves one coefficient to its minimum and returns the change of the gradient it made.
func (q *quadraticL1) coordinate(a int) float64 {
	d := q.h[a*q.k+a]
	if d <= 0 {
		return 0
	}
	old := q.beta[a] + q.delta[a]
	u := old - q.r[a]/d
	t := q.lambda / d
	fresh := 0.0
	switch {
	case u > t:
		fresh = u - t
	case u < -t:
		fresh = u + t
	}
	if fresh == old {
		return 0
	}
	step := fresh - old
	q.delta[a] += step
	if fresh == 0 {
		q.delta[a] = -q.beta[a]
	}
	floats.AddScaled(q.r, step, q.h[a*q.k:a*q.k+q.k])
	return math.Abs(step * d)
}

// direct solves for the nonzero coefficients with their signs held. If a sign turns on the way, it stops where the first
// coefficient reaches zero.
func (q *quadraticL1) direct(signs []int8) {
	q.support = q.support[:0]
	for a, s := range signs {
		if s != 0 {
			q.support = append(q.support, a)
		}
	}
	m := len(q.support)
	if m == 0 {
		return
	}
	l, b := make([]float64, m*m), make([]float64, m)
	for i, a := range q.support {
		for j, c := range q.support {
			l[i*m+j] = q.h[a*q.k+c]
		}
		b[i] = -(q.r[a] + q.lambda*float64(signs[a]))
	}
	if cholesky(l, m, 1e-14) >= 0 {
		return
	}
	cholSolve(l, m, b)
	t, zero := 1.0, -1
	for i, a := range q.support {
		v := q.beta[a] + q.delta[a]
		if (v+b[i])*v < 0 {
			if f := -v / b[i]; f < t {
				t, zero = f, i
			}
		}
	}
	for i, a := range q.support {
		step := t * b[i]
		q.delta[a] += step
		if i == zero {
			q.delta[a] = -q.beta[a]
		}
		floats.AddScaled(q.r, step, q.h[a*q.k:a*q.k+q.k])
	}
}

func sign(v float64) int8 {
	switch {
	case v > 0:
		return 1
	case v < 0:
		return -1
	}
	return 0
}
