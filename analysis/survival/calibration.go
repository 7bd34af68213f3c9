package survival

import (
	"fmt"
	"math"
	"slices"
)

// eventRisk is 1 - KM(h), or the Aalen-Johansen incidence where competing events are coded.
func eventRisk(y Outcome, h float64) float64 {
	if slices.Contains(y.Event, Competing) {
		return CumulativeIncidence(y, Event).At(h)
	}
	return 1 - KaplanMeier(y).At(h)
}

// ObservedExpected is the observed risk at h (1 - KM, or the cumulative incidence under competing risks) over the mean
// predicted risk: 1 when the model is right on average, below 1 when it says too much.
func ObservedExpected(y Outcome, risk []float64, h float64) float64 {
	m, _ := meanSD(risk)
	return eventRisk(y, h) / m
}

// CalibrationSlope is the Cox coefficient of the linear predictor in new subjects, with its standard error: 1 when
// predictions are spread right, below 1 when they are too extreme.
func CalibrationSlope(y Outcome, lp []float64) (slope, se float64, err error) {
	f, err := Cox(y, [][]float64{lp}, CoxOptions{Names: []string{"linear predictor"}})
	if err != nil {
		return math.NaN(), math.NaN(), fmt.Errorf("calibration slope: %w", err)
	}
	return f.Coef[0], f.SE[0], nil
}

// CalibrationPoint compares predicted and observed risk in one group of subjects.
type CalibrationPoint struct {
	N                   int
	Predicted           float64 // mean predicted risk
	Observed, Low, High float64 // 1 - KM(h) with its 95 % log-log interval (Aalen-Johansen, no interval, if competing)
}

// Calibration is the agreement of predicted and observed risk at one horizon.
type Calibration struct {
	Groups        []CalibrationPoint
	Curve         [][2]float64 // predicted, smoothed observed; rising in predicted
	ICI, E50, E90 float64      // mean, median and 90th percentile of |predicted - smoothed|; NaN if there is no curve
}

// CalibrationCurve compares the predicted risk of the event by h with what was observed, in groups of equal size by
// predicted risk, and smoothly: a Cox model on a restricted cubic spline (3 knots at the 10th, 50th and 90th
// percentile) of ln(-ln(1-risk)) (Austin, Harrell, van Klaveren 2020).
func CalibrationCurve(y Outcome, risk []float64, h float64, groups int) Calibration {
	idx := make([]int, len(risk))
	for i := range idx {
		idx[i] = i
	}
	slices.SortStableFunc(idx, func(a, b int) int {
		switch {
		case risk[a] < risk[b]:
			return -1
		case risk[a] > risk[b]:
			return 1
		}
		return 0
	})
	c := Calibration{ICI: math.NaN(), E50: math.NaN(), E90: math.NaN()}
	for g := range groups {
		part := idx[g*len(idx)/groups : (g+1)*len(idx)/groups]
		if len(part) == 0 {
			continue
		}
		yg := y.Pick(part)
		m, _ := meanSD(PickValues(risk, part))
		p := CalibrationPoint{N: len(part), Predicted: m, Observed: eventRisk(yg, h), Low: math.NaN(), High: math.NaN()}
		if !slices.Contains(yg.Event, Competing) {
			km := KaplanMeier(yg)
			if k := km.at(h); k >= 0 {
				lo, hi := km.CI(LogLog)
				p.Low, p.High = 1-hi[k], 1-lo[k]
			}
		}
		c.Groups = append(c.Groups, p)
	}
	c.smooth(y, risk, idx, h)
	return c
}

func (c *Calibration) smooth(y Outcome, risk []float64, idx []int, h float64) {
	v := make([]float64, len(risk))
	for i, r := range risk {
		r = min(max(r, 1e-9), 1-1e-9)
		v[i] = math.Log(-math.Log1p(-r))
	}
	knots := [3]float64{Quantile(v, .1, 7), Quantile(v, .5, 7), Quantile(v, .9, 7)}
	x := [][]float64{v}
	if knots[0] < knots[1] && knots[1] < knots[2] {
		s := make([]float64, len(v))
		for i, u := range v {
			s[i] = restrictedCubic(u, knots)
		}
		x = append(x, s)
	}
	f, err := Cox(y, x, CoxOptions{})
	if err != nil && len(x) == 2 {
		x = x[:1]
		f, err = Cox(y, x, CoxOptions{})
	}
	if err != nil || f.Diverged {
		return
	}
	lp := f.Predict(x)
	base := BreslowBaseline(y, lp)
	diff := make([]float64, len(idx))
	for k, i := range idx {
		o := 1 - base.Surv(h, lp[i])
		diff[k] = math.Abs(o - risk[i])
		c.Curve = append(c.Curve, [2]float64{risk[i], o})
	}
	c.ICI, _ = meanSD(diff)
	c.E50, c.E90 = Quantile(diff, .5, 7), Quantile(diff, .9, 7)
}

// restrictedCubic is the nonlinear term of Harrell's restricted cubic spline with three knots.
func restrictedCubic(u float64, k [3]float64) float64 {
	cube := func(x float64) float64 { x = max(0, x); return x * x * x }
	d := k[2] - k[1]
	return (cube(u-k[0]) - cube(u-k[1])*(k[2]-k[0])/d + cube(u-k[2])*(k[1]-k[0])/d) / ((k[2] - k[0]) * (k[2] - k[0]))
}

// NetBenefit of treating whoever has a predicted risk of the event by h of at least threshold (Vickers 2006), and of
// treating everybody; treating nobody has 0.
func NetBenefit(y Outcome, risk []float64, threshold, h float64) (model, all float64) {
	odds := threshold / (1 - threshold)
	everybody := eventRisk(y, h)
	all = everybody - (1-everybody)*odds
	var flagged []int
	for i, r := range risk {
		if r >= threshold {
			flagged = append(flagged, i)
		}
	}
	if flagged == nil {
		return 0, all
	}
	q := float64(len(flagged)) / float64(len(risk))
	f := eventRisk(y.Pick(flagged), h)
	return f*q - (1-f)*q*odds, all
}
