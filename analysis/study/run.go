package study

import (
	"context"
	"fmt"
	"math"
	"slices"

	"rfanode/analysis/prognosis"
	"rfanode/analysis/survival"
)

// minAtRisk: no probability is given beyond the last time at which this many training patients are at risk.
const minAtRisk = 10

// Run does the study. progress is told what is being done; nil is allowed. software names the program and its version.
func Run(ctx context.Context, c *Cohort, s Spec, software string, progress func(string)) (*Result, error) {
	if progress == nil {
		progress = func(string) {}
	}
	if err := s.Check(); err != nil {
		return nil, err
	}
	if err := c.Split(s.Seed); err != nil {
		return nil, err
	}
	train := c.view(c.Rows(Train))
	r := &Result{Software: software, Spec: s, DataSHA: c.Hash, SplitSHA: c.SplitHash(), cohort: c, scores: make(map[string]*Scores), Performance: make(map[string]map[string]*Metrics)}
	if err := r.horizons(train); err != nil {
		return nil, err
	}
	progress("baseline table")
	r.Table1 = c.table1(s)
	f, err := Fit(ctx, train, s, progress)
	if err != nil {
		return nil, err
	}
	r.fitted = f
	r.coxTables(train)
	r.describeFeatures()
	progress("performance")
	if err := r.score(); err != nil {
		return nil, err
	}
	if err := r.describeNetwork(); err != nil {
		return nil, err
	}
	r.sensitivity(train)
	r.competing()
	r.subgroups()
	if err := r.resample(ctx, progress); err != nil {
		return nil, err
	}
	if err := r.makeBundle(); err != nil {
		return nil, err
	}
	r.remark()
	return r, nil
}

// horizons keeps those within the training follow-up.
func (r *Result) horizons(train View) error {
	km := survival.KaplanMeier(train.y)
	for _, h := range r.Spec.Horizons {
		if km.AtRiskAt(h) >= minAtRisk {
			r.Horizons = append(r.Horizons, h)
		}
	}
	if len(r.Horizons) == 0 {
		return fmt.Errorf("study: fewer than %d training patients are followed to %g months: give nearer horizons in the specification", minAtRisk, r.Spec.Horizons[0])
	}
	return nil
}

func (r *Result) coxTables(train View) {
	f := r.fitted
	r.Univariable, r.Selection = univariable(train, r.Spec), f.Selection
	if r.Selection == nil { // for the reader: what selection would have chosen
		r.Selection = selectCovariates(train, r.Spec)
	}
	used := train.c.view(f.rows)
	x := f.clinicalColumns(used)
	r.Clinical = describe(used.y, x, f.Clinical)
	if f.hasRadscore() {
		r.WithScore = describe(used.y, append(slices.Clone(x), f.Crossfit), append(slices.Clone(f.Clinical), "radscore"))
	}
	var everybody []int
	for i := range r.cohort.ID {
		everybody = append(everybody, i)
	}
	r.AllPatients = effects(r.cohort.view(everybody), f.Clinical)
}

func (r *Result) describeFeatures() {
	f, c := r.fitted, r.cohort
	r.Features = FeatureFlow{Given: len(c.FeatureNames) + len(c.LostFeatures), Lost: c.LostFeatures, Kept: len(f.Radscore.Kept), Selected: len(f.Radscore.Names), EventsPerInput: prognosis.Num(math.NaN())}
	if n := len(c.FeatureNames); n > 0 {
		r.Features.EventsPerInput = prognosis.Num(float64(f.Events) / float64(n))
	}
	r.LambdaDraws = f.Radscore.Lambdas
	r.Radscore = f.bundleRadscore()
}

// score measures every set once with what Fit has frozen.
func (r *Result) score() error {
	f, c := r.fitted, r.cohort
	train, err := f.Score(c, c.Rows(Train))
	if err != nil {
		return err
	}
	cuts := make(map[string]float64)
	for _, m := range Models {
		cuts[m] = median(train.LogRisk[m])
	}
	km := survival.KaplanMeier(train.Y)
	for k, set := range Sets {
		rows := c.Rows(set)
		if len(rows) == 0 {
			continue
		}
		s, err := f.Score(c, rows)
		if err != nil {
			return err
		}
		r.scores[set] = s
		r.Performance[set] = f.measure(s, cuts, km, r.Horizons, survival.NewRand(r.Spec.Seed, 21, uint64(k)).Uint64())
		flow := Flow{Set: set, Patients: len(rows), NotComplete: s.Excluded}
		for _, i := range rows {
			switch c.Y.Event[i] {
			case survival.Event:
				flow.Events++
			case survival.Competing:
				flow.Competing++
			default:
				flow.Censored++
			}
		}
		r.Flow = append(r.Flow, flow)
	}
	return nil
}

// validation are the rows of the internal and external sets that have scores; train's, if there are no others.
func (r *Result) validation() []int {
	var rows []int
	for _, set := range []string{Internal, External} {
		if s := r.scores[set]; s != nil {
			rows = append(rows, s.Rows...)
		}
	}
	if rows == nil {
		rows = r.scores[Train].Rows
	}
	return rows
}

const importanceDraws = 100

// describeNetwork fills attention, permutation importance and the range of the single networks.
func (r *Result) describeNetwork() error {
	f := r.fitted
	n := f.Net
	r.Network = NetworkResult{Architecture: n.Arch, Options: n.Options, Seeds: n.Seeds, Trainings: n.Ensemble.Trainings, Gamma: n.Gamma, Baseline: n.Source,
		TrainOOF: prognosis.Num(math.NaN()), MemberC: make(map[string][2]float64)}
	if n.OutOfFold != nil {
		r.Network.TrainOOF = prognosis.Num(survival.Concordance(r.cohort.Y.Pick(f.rows), n.OutOfFold, survival.ConcordanceOptions{}).C)
	}
	if n.L2Tried != nil {
		r.Network.L2 = make(map[string]prognosis.Num)
		for l2, c := range n.L2Tried {
			r.Network.L2[fmt.Sprintf("%g", l2)] = prognosis.Num(c)
		}
	}
	for set, s := range r.scores {
		low, high := math.Inf(1), math.Inf(-1)
		for _, m := range n.Ensemble.Members {
			o, err := m.Forward(s.NetInputs)
			if err != nil {
				return err
			}
			c := survival.Concordance(s.Y, o.LogRisk, survival.ConcordanceOptions{}).C
			low, high = min(low, c), max(high, c)
		}
		r.Network.MemberC[set] = [2]float64{low, high}
	}
	scores, err := f.Score(r.cohort, r.validation())
	if err != nil {
		return err
	}
	base := survival.Concordance(scores.Y, scores.LogRisk[ModelDeepSurv], survival.ConcordanceOptions{}).C
	for j, in := range n.Inputs {
		res := InputResult{Name: in.Name, Mean: in.Mean, SD: in.SD, Attention: prognosis.Num(math.NaN()), AttentionSD: prognosis.Num(math.NaN()), Weighted: prognosis.Num(math.NaN())}
		if a := r.scores[Train].Ensemble.Attention; a != nil {
			m, _ := survival.MeanSD(a[j])
			sd, _ := survival.MeanSD(r.scores[Train].Ensemble.AttentionSD[j])
			w := 0.0
			for _, v := range r.scores[Train].Ensemble.Weighted[j] {
				w += math.Abs(v) / float64(len(r.scores[Train].Ensemble.Weighted[j]))
			}
			res.Attention, res.AttentionSD, res.Weighted = prognosis.Num(m), prognosis.Num(sd), prognosis.Num(w)
		}
		var drops []float64
		x := slices.Clone(scores.NetInputs)
		for d := range importanceDraws {
			x[j] = survival.PickValues(scores.NetInputs[j], survival.NewRand(r.Spec.Seed, 22, uint64(j), uint64(d)).Perm(len(scores.NetInputs[j])))
			o, err := n.Ensemble.Predict(x)
			if err != nil {
				return err
			}
			drops = append(drops, base-survival.Concordance(scores.Y, o.LogRisk, survival.ConcordanceOptions{}).C)
		}
		m, sd := survival.MeanSD(drops)
		res.Importance, res.ImportanceSD = prognosis.Num(m), prognosis.Num(sd)
		r.Inputs = append(r.Inputs, res)
	}
	// how far the nomogram, a Cox model, says what the network says
	a, b := scores.LogRisk[ModelRadscore], scores.LogRisk[ModelDeepSurv]
	r.Surrogate = prognosis.Num(math.Pow(correlation(a, b), 2))
	return nil
}

func correlation(a, b []float64) float64 {
	ma, sa := survival.MeanSD(a)
	mb, sb := survival.MeanSD(b)
	s := 0.0
	for i := range a {
		s += (a[i] - ma) * (b[i] - mb)
	}
	return s / (float64(len(a)-1) * sa * sb)
}
