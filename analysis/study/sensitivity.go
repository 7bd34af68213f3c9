package study

import (
	"context"
	"fmt"
	"math"
	"slices"

	"rfanode/analysis/prognosis"
	"rfanode/analysis/survival"
)

// sensitivity refits the clinical model with coverage as a number, with other cuts of it, and with progression dated to
// the scan before it was seen.
func (r *Result) sensitivity(train View) {
	f := r.fitted
	if tcr, ok := r.cohort.Columns["tcr"]; ok && slices.Contains(f.Clinical, "tcr1") {
		for _, v := range []struct {
			name string
			cut  float64
		}{{"TCR as a number (per 0.1)", 0}, {"TCR cut at 0.98", .98}, {"TCR cut at 0.95", .95}} {
			col := make([]float64, len(tcr))
			for i, x := range tcr {
				switch {
				case math.IsNaN(x):
					col[i] = x
				case v.cut == 0:
					col[i] = 10 * x
				case x >= v.cut:
					col[i] = 1
				}
			}
			c := *r.cohort
			c.Columns = map[string][]float64{}
			for n, x := range r.cohort.Columns {
				c.Columns[n] = x
			}
			c.Columns["tcr1"] = col
			r.Sensitivity = append(r.Sensitivity, r.clinicalOn(v.name, &c))
		}
	}
	c := *r.cohort
	c.Y = survival.Outcome{Time: previousScan(r.cohort.Y), Event: r.cohort.Y.Event}
	r.Sensitivity = append(r.Sensitivity, r.clinicalOn("progression dated to the scan before (1, 3, 6, 12 months, then yearly)", &c))
	_ = train
}

func (r *Result) clinicalOn(name string, c *Cohort) Sensitivity {
	names := r.fitted.Clinical
	train := c.view(r.fitted.rows)
	s := Sensitivity{Name: name, Effects: effects(train, names), C: map[string]prognosis.Num{}}
	used := train.sub(complete(train, names))
	var x [][]float64
	for _, n := range names {
		x = append(x, used.column(n))
	}
	m, err := fitCox(used.y, x, names)
	if err != nil {
		return s
	}
	for _, set := range Sets {
		if r.scores[set] == nil {
			continue
		}
		v := c.view(r.scores[set].Rows)
		v = v.sub(complete(v, names))
		var x [][]float64
		for _, n := range names {
			x = append(x, v.column(n))
		}
		s.C[set] = prognosis.Num(survival.Concordance(v.y, survival.LinearPredictor(m.Coef, x), survival.ConcordanceOptions{}).C)
	}
	return s
}

// previousScan dates progression to the last scheduled scan before it was seen, half the first interval if there was none:
// the earliest that it can have begun to be visible.
func previousScan(y survival.Outcome) []float64 {
	out := slices.Clone(y.Time)
	for i, t := range out {
		if y.Event[i] != survival.Event {
			continue
		}
		scan := min(.5, t)
		for _, s := range []float64{1, 3, 6} {
			if s < t {
				scan = s
			}
		}
		if t > 12 {
			scan = 12 * math.Floor((t-1e-9)/12)
		}
		out[i] = scan
	}
	return out
}

// competing compares incidence and 1 - Kaplan-Meier where death without progression is coded.
func (r *Result) competing() {
	if !slices.Contains(r.cohort.Y.Event, survival.Competing) {
		return
	}
	for _, set := range Sets {
		rows := r.cohort.Rows(set)
		if len(rows) == 0 {
			continue
		}
		y := r.cohort.Y.Pick(rows)
		one, two, km := survival.CumulativeIncidence(y, survival.Event), survival.CumulativeIncidence(y, survival.Competing), survival.KaplanMeier(y)
		for _, h := range r.Horizons {
			r.Incidence = append(r.Incidence, IncidenceRow{set, h, prognosis.Num(one.At(h)), prognosis.Num(1 - km.At(h)), prognosis.Num(two.At(h))})
		}
	}
}

// subgroups of the validation patients: sex, age and centre.
func (r *Result) subgroups() {
	s, err := r.fitted.Score(r.cohort, r.validation())
	if err != nil {
		return
	}
	add := func(name string, in func(row int) bool) {
		var idx []int
		for k, row := range s.Rows {
			if in(row) {
				idx = append(idx, k)
			}
		}
		if len(idx) == 0 || len(idx) == len(s.Rows) {
			return
		}
		y := s.Y.Pick(idx)
		c := survival.Concordance(y, survival.PickValues(s.LogRisk[ModelDeepSurv], idx), survival.ConcordanceOptions{}).C
		r.Subgroups = append(r.Subgroups, Subgroup{name, y.Len(), y.Events(), prognosis.Num(c)})
	}
	if male, ok := r.cohort.Columns["male"]; ok {
		add("men", func(row int) bool { return male[row] == 1 })
		add("women", func(row int) bool { return male[row] == 0 })
	}
	if age, ok := r.cohort.Columns["age"]; ok {
		m := median(survival.PickValues(age, s.Rows))
		add(fmt.Sprintf("age up to %g", m), func(row int) bool { return age[row] <= m })
		add(fmt.Sprintf("age over %g", m), func(row int) bool { return age[row] > m })
	}
	var centres []string
	for _, row := range s.Rows {
		if c := r.cohort.Center[row]; c != "" && !slices.Contains(centres, c) {
			centres = append(centres, c)
		}
	}
	slices.Sort(centres)
	for _, c := range centres {
		add("centre "+c, func(row int) bool { return r.cohort.Center[row] == c })
	}
}

// resample runs the whole procedure again and again, as the specification asks.
func (r *Result) resample(ctx context.Context, progress func(string)) error {
	s, c := r.Spec, r.cohort
	train := c.Rows(Train)
	quiet := func(string) {}
	if s.Nested > 0 {
		res := newResampling()
		folds := survival.StratifiedFolds(c.Y.Pick(train), s.Nested, survival.NewRand(s.Seed, 31).Uint64())
		for k := 1; k <= s.Nested; k++ {
			progress(fmt.Sprintf("nested cross-validation, fold %d of %d", k, s.Nested))
			in, held := splitFold(folds, k)
			f, err := Fit(ctx, c.view(pick(train, in)), s, quiet)
			if err != nil {
				return fmt.Errorf("nested cross-validation: %w", err)
			}
			if err := res.add(f, c, pick(train, held)); err != nil {
				return err
			}
		}
		r.Nested = res.done()
	}
	if s.Optimism > 0 {
		res, in := newResampling(), newResampling()
		for k := range s.Optimism {
			progress(fmt.Sprintf("optimism, bootstrap %d of %d", k+1, s.Optimism))
			rng := survival.NewRand(s.Seed, 32, uint64(k))
			rows := make([]int, len(train))
			for i := range rows {
				rows[i] = train[rng.Intn(len(train))]
			}
			f, err := Fit(ctx, c.view(rows), s, quiet)
			if err != nil {
				return fmt.Errorf("optimism: %w", err)
			}
			if err := in.add(f, c, rows); err != nil {
				return err
			}
			if err := res.add(f, c, train); err != nil {
				return err
			}
		}
		r.Optimism = res.done()
		apparent := in.done()
		r.Optimism.Apparent, r.Optimism.Optimism = apparent.C, map[string]prognosis.Num{}
		for m := range apparent.C {
			r.Optimism.Optimism[m] = apparent.C[m] - r.Optimism.C[m]
		}
	}
	if s.Permute > 0 {
		p, err := Permuted(ctx, c, s, s.Permute, progress)
		if err != nil {
			return err
		}
		r.Permuted = p
	}
	return nil
}

// Permuted runs the whole procedure with outcomes dealt to other patients, and gives the validation C: .5 unless
// something learns from the rows it is measured on.
func Permuted(ctx context.Context, c *Cohort, s Spec, runs int, progress func(string)) (*Resampling, error) {
	res := newResampling()
	for k := range runs {
		progress(fmt.Sprintf("permuted outcomes, run %d of %d", k+1, runs))
		d := *c
		d.Y = c.Y.Pick(survival.NewRand(s.Seed, 33, uint64(k)).Perm(len(c.ID)))
		s.Seed++
		f, err := Fit(ctx, d.view(d.Rows(Train)), s, func(string) {})
		if err != nil {
			return nil, fmt.Errorf("permuted outcomes: %w", err)
		}
		var rows []int
		for _, set := range []string{Internal, External} {
			rows = append(rows, d.Rows(set)...)
		}
		if err := res.add(f, &d, rows); err != nil {
			return nil, err
		}
	}
	return res.done(), nil
}

func pick(rows, at []int) []int {
	out := make([]int, len(at))
	for k, i := range at {
		out[k] = rows[i]
	}
	return out
}

// resampling collects C by model over runs.
type resampling struct {
	c    map[string][]float64
	runs int
}

func newResampling() *resampling { return &resampling{c: make(map[string][]float64)} }

func (x *resampling) add(f *Fitted, c *Cohort, rows []int) error {
	s, err := f.Score(c, rows)
	if err != nil {
		return err
	}
	x.runs++
	for _, m := range Models {
		if v := survival.Concordance(s.Y, s.LogRisk[m], survival.ConcordanceOptions{}).C; !math.IsNaN(v) {
			x.c[m] = append(x.c[m], v)
		}
	}
	if f.hasRadscore() {
		if v := survival.Concordance(s.Y, s.Radscore, survival.ConcordanceOptions{}).C; !math.IsNaN(v) {
			x.c["radscore"] = append(x.c["radscore"], v)
		}
	}
	return nil
}

func (x *resampling) done() *Resampling {
	r := &Resampling{Runs: x.runs, C: map[string]prognosis.Num{}, SD: map[string]prognosis.Num{}}
	for m, v := range x.c {
		mean, sd := survival.MeanSD(v)
		r.C[m], r.SD[m] = prognosis.Num(mean), prognosis.Num(sd)
	}
	return r
}
