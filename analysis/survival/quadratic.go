package survival

import "math"

// quadraticL1 minimises r'delta + delta' h delta / 2 + ridge |beta + delta|^2 / 2 + lambda sum |beta + delta| over the
// coordinates named.
type quadraticL1 struct {
	h             []float64 // rows of length stride, of which k count
	k, stride     int
	lambda, ridge float64
	r             []float64 // gradient of the smooth part without the ridge, at delta, kept up to date
	beta          []float64
	delta         []float64
	coordinates   []int
	tol           float64
	rough         float64 // stop when changes fall below this share of the first sweep's; 0: go on to tol
	support       []int
}

const maxDirect = 300 // nonzero coefficients up to which they are solved for directly

// solve cycles over the coordinates; when the set of nonzero coefficients and their signs stand still for some sweeps,
// it solves for them directly, which ends what coordinate descent would only approach.
func (q *quadraticL1) solve() {
	const settle = 6
	signs, still := make([]int8, q.k), 0
	first := 0.0
	for sweep := range lassoSweeps {
		largest, changed := 0.0, false
		for _, a := range q.coordinates {
			if q.rough > 0 && sweep%4 != 0 && q.beta[a]+q.delta[a] == 0 { // zeros are looked at in every fourth sweep
				continue
			}
			largest = max(largest, q.coordinate(a))
			if sg := sign(q.beta[a] + q.delta[a]); sg != signs[a] {
				signs[a], changed = sg, true
			}
		}
		if sweep == 0 {
			first = largest
		}
		if largest <= max(q.tol, q.rough*first) {
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
	d := q.h[a*q.stride+a] + q.ridge
	if d <= 0 {
		return 0
	}
	old := q.beta[a] + q.delta[a]
	u := old - (q.r[a]+q.ridge*old)/d
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
	q.move(a, fresh-old)
	if fresh == 0 {
		q.delta[a] = -q.beta[a]
	}
	return math.Abs((fresh - old) * d)
}

func (q *quadraticL1) move(a int, step float64) {
	q.delta[a] += step
	addScaled(q.r, step, q.h[a*q.stride:a*q.stride+q.k])
}

// direct solves for the nonzero coefficients with their signs held. If a sign turns on the way, it stops where the first
// coefficient reaches zero.
func (q *quadraticL1) direct(signs []int8) {
	q.support = q.support[:0]
	for _, a := range q.coordinates {
		if signs[a] != 0 {
			q.support = append(q.support, a)
		}
	}
	m := len(q.support)
	if m == 0 || m > maxDirect {
		return
	}
	l, b := make([]float64, m*m), make([]float64, m)
	for i, a := range q.support {
		for j, c := range q.support {
			l[i*m+j] = q.h[a*q.stride+c]
		}
		l[i*m+i] += q.ridge
		b[i] = -(q.r[a] + q.ridge*(q.beta[a]+q.delta[a]) + q.lambda*float64(signs[a]))
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
		q.move(a, t*b[i])
		if i == zero {
			q.delta[a] = -q.beta[a]
		}
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
