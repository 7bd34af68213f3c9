package survival

import "math"

// IPCW is the weighting by the inverse probability of being uncensored. The zero value estimates G on the evaluated
// subjects and takes G(T-) for those with an event, as R's pec and riskRegression.
type IPCW struct {
	G  *Curve // e.g. CensoringCurve of the training set; nil: of the evaluated subjects
	At bool   // G(T) instead of G(T-): scikit-survival, pycox
}

// isCase: the event has happened by h.
func isCase(y Outcome, i int, h float64) bool { return y.Event[i] == Event && y.Time[i] <= h }

// weights at the horizon h: 1/G(T-) for who had the event or a competing one by h, 1/G(h) for who is still followed, 0
// for who was censored before, or where G is 0.
func (o IPCW) weights(y Outcome, h float64) []float64 {
	g := o.G
	if g == nil {
		own := CensoringCurve(y)
		g = &own
	}
	w := make([]float64, y.Len())
	atH := g.At(h)
	for i, t := range y.Time {
		v := 0.0
		switch {
		case t > h:
			v = atH
		case y.Event[i] == Censored:
		case o.At:
			v = g.At(t)
		default:
			v = g.Before(t)
		}
		if v > 0 {
			w[i] = 1 / v
		}
	}
	return w
}

// Brier is the weighted mean squared difference at h between free of the event (1, 0) and surv, its predicted
// probability (Graf 1999). Subjects with a competing event by h are free of the event. NaN if every weight is 0.
func Brier(y Outcome, surv []float64, h float64, opt IPCW) float64 {
	sum, any := 0.0, false
	for i, w := range opt.weights(y, h) {
		if w == 0 {
			continue
		}
		any = true
		d := 1 - surv[i]
		if isCase(y, i, h) {
			d = surv[i]
		}
		sum += w * d * d
	}
	if !any {
		return math.NaN()
	}
	return sum / float64(y.Len())
}

// Grid is the times from, from+step, ... to.
func Grid(from, to, step float64) []float64 {
	var g []float64
	for k := 0; ; k++ {
		t := from + float64(k)*step
		if t > to+step*1e-9 {
			return g
		}
		g = append(g, t)
	}
}

// IntegratedBrier is the mean Brier score over the grid by the trapezoid rule; surv(i, t) is the prediction.
func IntegratedBrier(y Outcome, surv func(i int, t float64) float64, grid []float64, opt IPCW) float64 {
	if opt.G == nil {
		g := CensoringCurve(y)
		opt.G = &g
	}
	s := make([]float64, y.Len())
	area, last := 0.0, 0.0
	for k, t := range grid {
		for i := range s {
			s[i] = surv(i, t)
		}
		b := Brier(y, s, t, opt)
		if k > 0 {
			area += (b + last) / 2 * (t - grid[k-1])
		}
		last = b
	}
	return area / (grid[len(grid)-1] - grid[0])
}

// IPA is the index of prediction accuracy, 1 - Brier / Brier of predicting nullSurv for everybody. It is 0 for a model
// that knows nothing and negative for one that is worse.
func IPA(y Outcome, surv []float64, nullSurv, h float64, opt IPCW) float64 {
	null := make([]float64, y.Len())
	for i := range null {
		null[i] = nullSurv
	}
	return 1 - Brier(y, surv, h, opt)/Brier(y, null, h, opt)
}
