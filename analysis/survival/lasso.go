package survival

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"
)

// LassoOptions of a penalised Cox regression; the zero value is glmnet's family = "cox".
type LassoOptions struct {
	Alpha     float64   // share of the L1 penalty, 0 < alpha <= 1; 0 means 1, the LASSO
	Lambdas   []float64 // falling; nil: Count values from the smallest that selects nothing
	Count     int       // 0: 100
	MinRatio  float64   // smallest over largest lambda; 0: .01 if n < p, else .0001
	Stop      float64   // end the path below this share of the largest lambda; 0: go on
	Tolerance float64   // of the optimality conditions, relative to the largest lambda; 0: 1e-8
	NoStop    bool      // go through all lambdas; else stop when the deviance is explained (.999) or no longer moves
}

// Path is a sequence of penalised fits. The objective at lambda is
//
//	-(1/n) log partial likelihood (Breslow) + lambda (alpha sum |b| + (1-alpha)/2 sum b^2)
//
// on covariates standardised by mean and SD with 1/n; coefficients are given on the scale of the covariates.
type Path struct {
	Lambda       []float64
	Coef         []Sparse
	DevRatio     []float64 // share of the null deviance explained
	NullDeviance float64
	Mean, SD     []float64 // of the covariates; SD 0 marks one that is constant and never enters
}

// Sparse holds the coefficients that are not zero, by rising index.
type Sparse struct {
	Index []int     `json:"index"`
	Value []float64 `json:"coef"`
}

// Len is the number of coefficients that are not zero.
func (s Sparse) Len() int { return len(s.Index) }

// Score is sum of coef (x - mean) for every subject; mean may be nil (0). x holds columns.
func (s Sparse) Score(x [][]float64, mean []float64, n int) []float64 {
	out := make([]float64, n)
	for k, j := range s.Index {
		m := 0.0
		if mean != nil {
			m = mean[j]
		}
		for i, v := range x[j] {
			out[i] += s.Value[k] * (v - m)
		}
	}
	return out
}

// Lasso returns the lambdas that converged, all of them unless the deepest explain the outcome almost perfectly. It fits
// the path by proximal Newton steps with warm starts: at every lambda the exact Hessian of the active
// covariates, coordinate descent on the quadratic (with a direct solution once the signs stand), sequential strong
// rules, and a last pass over all covariates, so that every returned fit satisfies the optimality conditions.
func Lasso(ctx context.Context, y Outcome, x [][]float64, o LassoOptions) (*Path, error) {
	if err := y.Check(); err != nil {
		return nil, err
	}
	if err := checkColumns(x, y.Len()); err != nil {
		return nil, err
	}
	if y.Events() == 0 {
		return nil, ErrNoEvents
	}
	if o.Alpha == 0 {
		o.Alpha = 1
	}
	if !(o.Alpha > 0 && o.Alpha <= 1) {
		return nil, fmt.Errorf("survival: LASSO: alpha %g: 0 < alpha <= 1 is needed", o.Alpha)
	}
	s := newLassoState(y, x, o)
	if s.lambdaMax == 0 && o.Lambdas == nil {
		return nil, errors.New("survival: LASSO: no covariate varies")
	}
	lambdas := o.Lambdas
	if lambdas == nil {
		lambdas = s.sequence(o, len(x))
	}
	p := &Path{NullDeviance: s.b.deviance(s.eta), Mean: s.mean, SD: s.sd}
	for k, lambda := range lambdas {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if k > 0 && lambda < o.Stop*lambdas[0] {
			break
		}
		if err := s.fit(lambda); err != nil {
			if k > 0 && errors.Is(err, ErrNotConverged) {
				break // the end of a path where the events are almost ordered perfectly: what converged stands
			}
			return nil, err
		}
		p.Lambda, p.Coef = append(p.Lambda, lambda), append(p.Coef, s.coefficients())
		p.DevRatio = append(p.DevRatio, 1-s.b.deviance(s.eta)/p.NullDeviance)
		if r := p.DevRatio; !o.NoStop && o.Lambdas == nil && (r[k] > .999 || k >= 5 && r[k]-r[k-1] < 1e-5) {
			break
		}
	}
	return p, nil
}

// lassoState is the warm start that moves down the path.
type lassoState struct {
	b            *breslow
	n            float64
	z            [][]float64 // standardised columns in the order of b.idx
	mean, sd     []float64
	alpha, tol   float64
	lambdaMax    float64
	beta         []float64 // standardised
	eta, grad    []float64 // at beta
	score        []float64 // z_j' grad: derivative of the loss by beta_j, as of the last full pass or update
	last         float64   // previous lambda
	ll           float64
	work         []int // covariates of the current subproblem
	in           []bool
	trial, delta []float64
	kept         *curvature // for large problems, nil until needed
}

func newLassoState(y Outcome, x [][]float64, o LassoOptions) *lassoState {
	n := y.Len()
	s := &lassoState{b: newBreslow(y), n: float64(n), z: make([][]float64, len(x)), mean: make([]float64, len(x)), sd: make([]float64, len(x)), alpha: o.Alpha,
		beta: make([]float64, len(x)), eta: make([]float64, n), grad: make([]float64, n), score: make([]float64, len(x)), in: make([]bool, len(x)),
		trial: make([]float64, n), delta: make([]float64, len(x))}
	all := make([]float64, n*len(x))
	for j, col := range x {
		s.mean[j], s.sd[j] = meanSD(col)
		if !(s.sd[j] > 1e-12*math.Abs(s.mean[j])) {
			s.sd[j] = 0
			continue
		}
		z := all[j*n : (j+1)*n]
		for k, i := range s.b.idx {
			z[k] = (col[i] - s.mean[j]) / s.sd[j]
		}
		s.z[j] = z
	}
	s.ll = s.b.gradient(s.eta, s.grad, s.n)
	for j, z := range s.z {
		if z != nil {
			s.score[j] = floats.Dot(z, s.grad)
			s.lambdaMax = max(s.lambdaMax, math.Abs(s.score[j])/o.Alpha)
		}
	}
	s.last = s.lambdaMax
	s.tol = o.Tolerance
	if s.tol == 0 {
		s.tol = 1e-8
	}
	s.tol *= s.lambdaMax
	return s
}

func (s *lassoState) sequence(o LassoOptions, p int) []float64 {
	count, ratio := o.Count, o.MinRatio
	if count == 0 {
		count = 100
	}
	if ratio == 0 {
		ratio = 1e-4
		if int(s.n) < p {
			ratio = .01
		}
	}
	out := make([]float64, count)
	for k := range out {
		out[k] = s.lambdaMax * math.Pow(ratio, float64(k)/float64(max(count-1, 1)))
	}
	return out
}

// Limits of the iteration at one lambda.
const (
	lassoSteps  = 200   // Newton steps
	lassoSweeps = 20000 // coordinate descent sweeps of one step
)

// ErrNotConverged: the optimality conditions were not reached.
var ErrNotConverged = errors.New("survival: not converged")

// fit moves the state to the optimum at lambda.
func (s *lassoState) fit(lambda float64) error {
	strong := 2*lambda - s.last
	s.last = lambda
	var candidates []int
	for j, z := range s.z {
		if z != nil && (s.beta[j] != 0 || math.Abs(s.score[j]) >= strong*s.alpha) {
			candidates = append(candidates, j)
		}
	}
	s.work = s.work[:0]
	clear(s.in)
	for _, j := range candidates {
		if s.beta[j] != 0 || math.Abs(s.score[j]) > lambda*s.alpha {
			s.work, s.in[j] = append(s.work, j), true
		}
	}
	for range len(s.z) + 1 {
		if err := s.newton(lambda); err != nil {
			return err
		}
		if s.admit(candidates, lambda) {
			continue
		}
		all := make([]int, 0, len(s.z))
		for j, z := range s.z {
			if z != nil {
				all = append(all, j)
			}
		}
		if !s.admit(all, lambda) {
			return nil
		}
	}
	return fmt.Errorf("%w: LASSO at lambda %g", ErrNotConverged, lambda)
}

// admit brings the scores of the set up to date and adds to the work what violates optimality; false if nothing does.
func (s *lassoState) admit(set []int, lambda float64) bool {
	added := false
	var rest []int
	for _, j := range set {
		if !s.in[j] {
			rest = append(rest, j)
		}
	}
	dotAll(s.z, rest, s.grad, s.score)
	for _, j := range rest {
		if math.Abs(s.score[j]) > lambda*s.alpha+s.tol {
			s.work, s.in[j] = append(s.work, j), true
			added = true
		}
	}
	if added {
		slices.Sort(s.work)
	}
	return added
}

// violation is the largest distance of the work's covariates from optimality.
func (s *lassoState) violation(lambda float64) float64 {
	l1, l2 := lambda*s.alpha, lambda*(1-s.alpha)
	v := 0.0
	for _, j := range s.work {
		g := s.score[j] + l2*s.beta[j]
		switch {
		case s.beta[j] > 0:
			v = max(v, math.Abs(g+l1))
		case s.beta[j] < 0:
			v = max(v, math.Abs(g-l1))
		default:
			v = max(v, math.Abs(g)-l1)
		}
	}
	return v
}

func (s *lassoState) updateScores() {
	dotAll(s.z, s.work, s.grad, s.score)
}

// penalty of the coefficients of the work, moved by t delta.
func (s *lassoState) penalty(lambda, t float64) float64 {
	v := 0.0
	for _, j := range s.work {
		b := s.beta[j] + t*s.delta[j]
		v += s.alpha*math.Abs(b) + (1-s.alpha)/2*b*b
	}
	return lambda * v
}

// newton solves the problem restricted to the work.
func (s *lassoState) newton(lambda float64) error {
	if len(s.work) == 0 {
		return nil
	}
	s.updateScores()
	best, stalled := math.Inf(1), 0
	for range lassoSteps {
		v := s.violation(lambda)
		if v <= s.tol {
			return nil
		}
		if v < 0.9*best {
			best, stalled = v, 0
		} else if stalled++; stalled > 20 {
			break
		}
		if s.large() {
			s.keptDirection(lambda)
		} else {
			s.direction(lambda)
		}
		if !s.lineSearch(lambda) {
			break
		}
		s.updateScores()
	}
	if v := s.violation(lambda); v > 1e-6*s.lambdaMax && v > s.tol {
		return fmt.Errorf("%w: LASSO at lambda %g with %d covariates: optimality off by %.2g", ErrNotConverged, lambda, len(s.work), v)
	}
	return nil
}

// lineSearch takes the step delta, halved until the objective falls; false if none helps (rounding).
func (s *lassoState) lineSearch(lambda float64) bool {
	dir := make([]float64, len(s.eta))
	slope := s.penalty(lambda, 1) - s.penalty(lambda, 0)
	var moved []int
	for _, j := range s.work {
		if d := s.delta[j]; d != 0 {
			moved = append(moved, j)
			slope += d * s.score[j]
		}
	}
	k := 0
	for ; k+4 <= len(moved); k += 4 {
		a, b, c, d := moved[k], moved[k+1], moved[k+2], moved[k+3]
		combine4(dir, s.z[a], s.z[b], s.z[c], s.z[d], &[4]float64{s.delta[a], s.delta[b], s.delta[c], s.delta[d]})
	}
	for _, j := range moved[k:] {
		addScaled(dir, s.delta[j], s.z[j])
	}
	start := -s.ll/s.n + s.penalty(lambda, 0)
	t := 1.0
	for range 40 {
		for i, e := range s.eta {
			s.trial[i] = e + t*dir[i]
		}
		value := -s.b.logLik(s.trial)/s.n + s.penalty(lambda, t)
		if value <= start+1e-4*t*min(0, slope)+1e-14*math.Abs(start) {
			copy(s.eta, s.trial)
			for _, j := range s.work {
				if s.delta[j] != 0 {
					b := s.beta[j] + t*s.delta[j]
					if t == 1 && s.delta[j] == -s.beta[j] {
						b = 0
					}
					s.beta[j] = b
				}
			}
			s.ll = s.b.gradient(s.eta, s.grad, s.n)
			return true
		}
		t /= 2
	}
	return false
}

// direction finds the minimum of the quadratic model: delta for the covariates of the work.
func (s *lassoState) direction(lambda float64) {
	k := len(s.work)
	h := make([]float64, k*k)
	ax := make([]float64, len(s.eta))
	for a, j := range s.work {
		s.b.apply(s.z[j], ax, s.n)
		for c := a; c < k; c++ {
			v := floats.Dot(s.z[s.work[c]], ax)
			h[a*k+c], h[c*k+a] = v, v
		}
	}
	q := quadraticL1{h: h, k: k, stride: k, lambda: lambda * s.alpha, ridge: lambda * (1 - s.alpha), r: make([]float64, k), beta: make([]float64, k), delta: make([]float64, k), tol: s.tol / 10}
	for a, j := range s.work {
		q.coordinates = append(q.coordinates, a)
		q.beta[a] = s.beta[j]
		q.r[a] = s.score[j]
	}
	q.solve()
	for a, j := range s.work {
		s.delta[j] = q.delta[a]
	}
}

// coefficients on the scale of the covariates.
func (s *lassoState) coefficients() Sparse {
	var c Sparse
	for j, b := range s.beta {
		if b != 0 {
			c.Index, c.Value = append(c.Index, j), append(c.Value, b/s.sd[j])
		}
	}
	return c
}
