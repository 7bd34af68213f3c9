package survival

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// CoxOptions of a Cox regression; the zero value is R's coxph.
type CoxOptions struct {
	Names  []string  // of the covariates, for messages and tables; nil: x1, x2, ...
	Ties   Ties      // Efron unless set
	Strata []int     // one a subject; nil: one stratum
	Offset []float64 // added to the linear predictor; nil: none
	Firth  bool      // maximise l + ln det I / 2 (Heinze and Schemper 2001): finite also under separation
}

// CoxFit is a fitted proportional-hazards model. Slices follow the covariates.
type CoxFit struct {
	Names               []string
	Ties                Ties
	Firth               bool
	N, Events           int
	Coef, SE, Z, P      []float64
	HR, Lower, Upper    []float64 // hazard ratio and its Wald 95 % limits
	Var                 [][]float64
	Mean                []float64  // of the covariates
	LogLik              [2]float64 // at 0 and at the estimate; with Firth the penalised likelihood
	Likelihood          Test       // likelihood-ratio test of the whole model
	Wald, Score         Test
	Iterations          int
	Diverged            bool // an estimate runs away (separation): use Firth
	pl                  *partial
	scaled, information []float64 // estimate and information of the scaled covariates
}

// Limits of the Newton iteration.
const (
	coxTolerance  = 1e-12 // relative change of the log-likelihood
	coxIterations = 100
	coxHalvings   = 40
	singular      = 1e-11 // pivot over diagonal: a covariate is a combination of those before it
	separated     = 10    // |coefficient| x SD beyond which an estimate has diverged
)

// ErrNoEvents: a hazard cannot be estimated without events.
var ErrNoEvents = errors.New("survival: no events")

// CollinearError names a covariate that is constant or a linear combination of those before it.
type CollinearError struct{ Name string }

func (e CollinearError) Error() string {
	return fmt.Sprintf("survival: covariate %q is constant within the risk sets or a combination of the others: leave it out", e.Name)
}

// Cox fits by Newton-Raphson from 0, with the step halved while the likelihood falls. x holds columns. Sorting apart,
// the time is O(n p^2) a step. No covariates (len(x) = 0) is an error: use KaplanMeier.
func Cox(y Outcome, x [][]float64, o CoxOptions) (*CoxFit, error) {
	if err := y.Check(); err != nil {
		return nil, err
	}
	if err := checkColumns(x, y.Len()); err != nil {
		return nil, err
	}
	p := len(x)
	names := o.Names
	if names == nil {
		for j := range p {
			names = append(names, fmt.Sprintf("x%d", j+1))
		}
	}
	switch {
	case p == 0:
		return nil, errors.New("survival: Cox regression without covariates")
	case len(names) != p || o.Strata != nil && len(o.Strata) != y.Len() || o.Offset != nil && len(o.Offset) != y.Len():
		return nil, errors.New("survival: Cox: names, strata or offset do not fit the covariates and subjects")
	case y.Events() == 0:
		return nil, ErrNoEvents
	}
	f := &CoxFit{Names: names, Ties: o.Ties, Firth: o.Firth, N: y.Len(), Events: y.Events(), pl: newPartial(y, x, o.Strata, o.Offset, o.Ties)}
	f.Mean = f.pl.mean
	if err := f.maximise(); err != nil {
		return nil, err
	}
	return f, nil
}

// objective evaluates what is maximised at b: value, gradient, information.
func (f *CoxFit) objective(b, u, h []float64) float64 {
	if f.Firth {
		return f.pl.penalised(b, u, h)
	}
	return f.pl.derivatives(b, u, h)
}

func (f *CoxFit) maximise() error {
	p := f.pl.p
	b, u, h := make([]float64, p), make([]float64, p), make([]float64, p*p)
	l0 := f.objective(b, u, h)
	l := slices.Clone(h)
	if bad := cholesky(l, p, singular); bad >= 0 || math.IsNaN(l0) {
		return CollinearError{f.Names[max(bad, 0)]}
	}
	f.LogLik[0] = l0
	f.Score = chi2Test(quadratic(h, p, u), p)
	free := make([]bool, p)
	for j := range free {
		free[j] = true
	}
	ll, steps, runaway := f.climb(b, u, h, l0, free)
	f.Iterations, f.Diverged = steps, runaway
	l = slices.Clone(h)
	if cholesky(l, p, 1e-15) >= 0 {
		f.Diverged = true
		return fmt.Errorf("survival: Cox: the information became singular (separation): fit with Firth's penalty")
	}
	f.finish(b, h, cholInverse(l, p), ll)
	return nil
}

// climb maximises over the free coefficients from b, whose value, gradient and information are ll, u, h; all three are
// brought up to date. It reports the steps and whether the estimate runs away.
func (f *CoxFit) climb(b, u, h []float64, ll float64, free []bool) (value float64, steps int, runaway bool) {
	p := f.pl.p
	var idx []int
	for j, v := range free {
		if v {
			idx = append(idx, j)
		}
	}
	q := len(idx)
	l, step := make([]float64, q*q), make([]float64, q)
	trial, u2, h2 := make([]float64, p), make([]float64, p), make([]float64, p*p)
	for steps = 1; steps <= coxIterations; steps++ {
		for i, a := range idx {
			step[i] = u[a]
			for j, c := range idx {
				l[i*q+j] = h[a*p+c]
			}
		}
		if cholesky(l, q, 1e-15) >= 0 {
			return ll, steps, true
		}
		cholSolve(l, q, step)
		if f.Firth { // the information is not the curvature of the penalised likelihood: keep steps short, as logistf does
			for i, s := range step {
				step[i] = max(-5, min(5, s))
			}
		}
		next, gain := 0.0, 0.0
		for half := 0; ; half++ {
			copy(trial, b)
			for i, a := range idx {
				trial[a] += step[i]
			}
			next = f.objective(trial, u2, h2)
			gain = next - ll
			if gain >= -1e-14*math.Abs(ll) || half == coxHalvings {
				break
			}
			for i := range step {
				step[i] /= 2
			}
		}
		if math.IsNaN(next) || gain < -1e-9*math.Abs(ll) {
			return ll, steps, true
		}
		copy(b, trial)
		copy(u, u2)
		copy(h, h2)
		ll = next
		largest, size := 0.0, 0.0
		for i, a := range idx {
			largest, size = max(largest, math.Abs(step[i])), max(size, math.Abs(b[a]))
		}
		if size > 4*separated {
			return ll, steps, true
		}
		// Newton is quadratic: a small step makes the next one negligible. Firth's iteration is linear and runs on.
		if math.Abs(gain) <= coxTolerance*math.Abs(ll) && (largest < 1e-6 && !f.Firth || largest < 1e-11*max(1, size)) {
			return ll, steps, size > separated
		}
		if math.Abs(gain) <= coxTolerance*math.Abs(ll) && !f.Firth && largest > 1e-3 && steps > 20 {
			return ll, steps, true // the likelihood stands, the coefficient moves on
		}
	}
	return ll, coxIterations, !f.Firth
}

// finish turns the estimate of the scaled covariates into the fields of the fit.
func (f *CoxFit) finish(b, h, variance []float64, ll float64) {
	p := f.pl.p
	f.scaled, f.information = b, h
	f.LogLik[1] = ll
	f.Likelihood = chi2Test(2*(ll-f.LogLik[0]), p)
	w := 0.0
	f.Var = make([][]float64, p)
	for i := range p {
		f.Var[i] = make([]float64, p)
		si := f.pl.scale[i]
		for j := range p {
			w += b[i] * h[i*p+j] * b[j]
			f.Var[i][j] = variance[i*p+j] / (si * f.pl.scale[j])
		}
		c, se := b[i]/si, math.Sqrt(variance[i*p+i])/si
		f.Coef, f.SE = append(f.Coef, c), append(f.SE, se)
		f.Z, f.P = append(f.Z, c/se), append(f.P, normalP(c/se))
		f.HR, f.Lower, f.Upper = append(f.HR, math.Exp(c)), append(f.Lower, math.Exp(c-z95*se)), append(f.Upper, math.Exp(c+z95*se))
	}
	f.Wald = chi2Test(w, p)
}

// Predict is the linear predictor sum of coefficient x value for covariates in columns, not centred.
func (f *CoxFit) Predict(x [][]float64) []float64 { return LinearPredictor(f.Coef, x) }

// LinearPredictor is sum of coef[j] x[j] for every subject.
func LinearPredictor(coef []float64, x [][]float64) []float64 {
	if len(x) == 0 {
		return nil
	}
	out := make([]float64, len(x[0]))
	for j, c := range coef {
		if c == 0 {
			continue
		}
		for i, v := range x[j] {
			out[i] += c * v
		}
	}
	return out
}

// AIC is Akaike's criterion of the fit.
func (f *CoxFit) AIC() float64 { return -2*f.LogLik[1] + 2*float64(len(f.Coef)) }

// ProfileInterval is a confidence interval of one coefficient by the (penalised) profile likelihood, and the
// likelihood-ratio test of coefficient = 0. A limit beyond reach is infinite.
type ProfileInterval struct {
	Lower, Upper float64
	Test         Test
}

// ProfileCI finds the 95 % limits of coefficient j: where twice the drop of the profile likelihood is 3.84.
func (f *CoxFit) ProfileCI(j int) ProfileInterval {
	const drop = 3.841458820694124 / 2
	p := f.pl.p
	free := make([]bool, p)
	for k := range free {
		free[k] = k != j
	}
	warm := slices.Clone(f.scaled)
	u, h := make([]float64, p), make([]float64, p*p)
	profile := func(v float64) float64 {
		warm[j] = v
		ll := f.objective(warm, u, h)
		if p > 1 {
			ll, _, _ = f.climb(warm, u, h, ll, free)
		}
		return ll
	}
	limit := func(sign float64) float64 {
		copy(warm, f.scaled)
		inside := f.scaled[j]
		step := 2 * f.SE[j] * f.pl.scale[j]
		outside := inside
		for k := 0; ; k++ {
			if k == 30 || math.Abs(outside) > 60 {
				return sign * math.Inf(1)
			}
			outside = inside + sign*step
			if f.LogLik[1]-profile(outside) > drop {
				break
			}
			inside = outside
			step *= 1.5
		}
		for range 80 {
			mid := (inside + outside) / 2
			if f.LogLik[1]-profile(mid) > drop {
				outside = mid
			} else {
				inside = mid
			}
			if math.Abs(outside-inside) < 1e-9 {
				break
			}
		}
		return (inside + outside) / 2 / f.pl.scale[j]
	}
	r := ProfileInterval{Lower: limit(-1), Upper: limit(1)}
	copy(warm, f.scaled)
	r.Test = chi2Test(max(0, 2*(f.LogLik[1]-profile(0))), 1)
	return r
}
