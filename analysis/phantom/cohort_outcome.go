package phantom

import (
	"context"
	"fmt"
	"math"
	"slices"

	"rfanode/analysis/survival"
)

// Targets of the outcome: the paper's hazard ratios (multivariable male, fibrinogen per g/L, TCR = 1; univariable
// nature), 85 events, and the quartiles of the observed time.
var (
	targetHR       = [4]float64{1.568, 1.540, .110, .711}
	targetNames    = [4]string{"male", "fib", "tcr1", "nature"}
	targetTimes    = [5]float64{.5, 13.2, 23, 37, 68}
	cohortEvents   = 85
	radscoreEffect = 1.6 // log hazard ratio of one SD of the feature score
)

const (
	outcomeRounds = 60
	outcomeDraws  = 40 // seeds of the times that are tried, the best kept
	hrTolerance   = .03
)

// draw is one set of uniforms of the times, with the effects that its rounds have reached.
type draw struct {
	life, censor, death []float64 // uniforms
	b                   [4]float64
	s                   float64
	y                   survival.Outcome // on the final scale
	lp                  []float64
	miss                float64 // largest distance from the targets in units of the tolerance
	estimate            [4]float64
}

// outcome draws times whose Cox estimates are the targets: the generating effects are moved by what the estimates miss,
// since the feature score that also acts is left out of the estimated models.
func (c *Cohort) outcome(ctx context.Context, o CohortOptions, score []float64) error {
	var best *draw
	for k := range outcomeDraws {
		if err := ctx.Err(); err != nil {
			return err
		}
		d := c.fitDraw(o, score, survival.NewRand(o.Seed, 10, uint64(k)))
		if d != nil && (best == nil || d.miss < best.miss) {
			best = d
		}
		if best != nil && best.miss <= 1 {
			break
		}
	}
	if best == nil {
		return fmt.Errorf("cohort with seed %d: no draw of the times gave estimates: take another seed", o.Seed)
	}
	c.Time, c.Event = best.y.Time, best.y.Event
	c.Truth.Seed, c.Truth.LogRisk, c.Truth.Radscore = o.Seed, best.lp, radscoreEffect
	if o.Weak {
		c.Truth.Radscore = 0
	}
	c.Truth.Generating, c.Truth.Estimated, c.Truth.C = map[string]float64{}, map[string]float64{}, map[string]float64{}
	for j, n := range targetNames {
		c.Truth.Generating[n] = best.b[j]
		c.Truth.Estimated[n] = math.Exp(best.estimate[j])
	}
	from := 0
	for _, s := range cohortSets {
		var idx []int
		for i := range s.n {
			idx = append(idx, from+i)
		}
		from += s.n
		c.Truth.C[s.name] = survival.Concordance(best.y.Pick(idx), survival.PickValues(best.lp, idx), survival.ConcordanceOptions{}).C
	}
	return nil
}

// fitDraw moves the effects for 60 rounds and keeps the round nearest the targets.
func (c *Cohort) fitDraw(o CohortOptions, score []float64, rng *survival.Rand) *draw {
	d := &draw{s: 0, miss: math.Inf(1)}
	for range cohortSize {
		d.life, d.censor, d.death = append(d.life, rng.Float64()), append(d.censor, rng.Float64()), append(d.death, rng.Float64())
	}
	state := *d
	for j, hr := range targetHR {
		state.b[j] = math.Log(hr)
	}
	if o.Separation {
		state.b[2] = -3
	}
	for round := range outcomeRounds {
		step := .1
		switch {
		case round < 20:
			step = .6
		case round < 45:
			step = .25
		}
		c.simulate(&state, o, score)
		if !c.estimateDraw(&state, o) {
			return nil
		}
		if state.miss < d.miss {
			*d = state
		}
		for j, hr := range targetHR {
			if o.Separation && j == 2 {
				continue
			}
			state.b[j] += step * (math.Log(hr) - state.estimate[j])
		}
		state.s += step / 2 * (math.Log(float64(cohortEvents)) - math.Log(float64(max(1, state.y.Events()))))
	}
	return d
}

// simulate sets times and events at the state's effects.
func (c *Cohort) simulate(d *draw, o CohortOptions, score []float64) {
	male, fib, tcr, nature := c.column("male"), c.column("fib"), c.column("tcr1"), c.column("nature")
	y := survival.Outcome{Time: make([]float64, cohortSize), Event: make([]int, cohortSize)}
	d.lp = make([]float64, cohortSize)
	for i := range cohortSize {
		lp := d.b[0]*male[i] + d.b[1]*(fib[i]-3) + d.b[2]*tcr[i] + d.b[3]*(nature[i]-2) + radscoreEffect*score[i]
		d.lp[i] = lp
		life := 40 * math.Pow(-math.Log(d.life[i])*math.Exp(-lp-d.s), 1/1.15)
		if o.Separation && tcr[i] == 1 {
			life = math.Inf(1)
		}
		censor := 6 + 60*math.Pow(d.censor[i], .8)
		death := math.Inf(1)
		if o.Competing {
			death = -160 * math.Log(d.death[i])
		}
		y.Time[i] = min(life, censor, death)
		switch y.Time[i] {
		case life:
			y.Event[i] = survival.Event
		case death:
			y.Event[i] = survival.Competing
		}
	}
	y.Time = mapTimes(y.Time)
	d.y = y
}

// mapTimes moves times piecewise linearly, in order, so that their minimum, quartiles and maximum are the targets.
func mapTimes(t []float64) []float64 {
	s := slices.Clone(t)
	slices.Sort(s)
	n := len(s)
	at := [5]float64{s[0], s[(n-1)/4], s[(n-1)/2], s[3*(n-1)/4], s[n-1]}
	out := make([]float64, n)
	for i, v := range t {
		k := 0
		for k < 3 && v > at[k+1] {
			k++
		}
		f := 0.0
		if at[k+1] > at[k] {
			f = (v - at[k]) / (at[k+1] - at[k])
		}
		m := targetTimes[k] + f*(targetTimes[k+1]-targetTimes[k])
		if m > 1 && m < 24 { // even tenths, for ties; the quartiles 13.2 and 23.0 stand
			out[i] = math.Round(5*m) / 5
		} else {
			out[i] = math.Round(10*m) / 10
		}
	}
	return out
}

// estimateDraw fits the two models and measures the distance from the targets; false if a model has no fit.
func (c *Cohort) estimateDraw(d *draw, o CohortOptions) bool {
	x := [][]float64{c.column("male"), c.column("fib"), c.column("tcr1")}
	if o.Separation {
		x = x[:2]
	}
	f, err := survival.Cox(d.y, x, survival.CoxOptions{})
	if err != nil || f.Diverged {
		return false
	}
	g, err := survival.Cox(d.y, [][]float64{c.column("nature")}, survival.CoxOptions{})
	if err != nil {
		return false
	}
	d.estimate = [4]float64{3: g.Coef[0]}
	copy(d.estimate[:], f.Coef)
	d.miss = math.Abs(float64(d.y.Events()-cohortEvents)) / 3
	for j, hr := range targetHR {
		if o.Separation && j == 2 {
			continue
		}
		d.miss = max(d.miss, math.Abs(math.Exp(d.estimate[j])/hr-1)/hrTolerance)
	}
	complete := 0
	for i, v := range c.column("tcr1") {
		if v == 1 && d.y.Event[i] == survival.Event {
			complete++
		}
	}
	if !o.Separation && (complete < 4 || complete > 7) {
		d.miss += 1
	}
	from := 0
	for _, s := range cohortSets {
		var idx []int
		for i := range s.n {
			idx = append(idx, from+i)
		}
		from += s.n
		if v := survival.Concordance(d.y.Pick(idx), survival.PickValues(d.lp, idx), survival.ConcordanceOptions{}).C; !o.Weak && (v < .8 || v > .95) {
			d.miss += 1
		}
	}
	return true
}
