package study

import (
	"context"
	"fmt"
	"math"

	"rfanode/analysis/survival"
)

// NetInput is one input of the network with its standardisation on train (binary: 0 and 1).
type NetInput struct {
	Name             string
	Kind             string // clinical, radscore or feature
	Mean, SD         float64
	Min, Max, Median float64
	feature          int // column of the cohort's features
}

// NetModel is the DeepSurv ensemble with its baseline.
type NetModel struct {
	Inputs    []NetInput
	Arch      survival.Architecture
	Options   survival.TrainOptions
	Seeds     []uint64
	Ensemble  *survival.Ensemble
	Baseline  survival.Baseline
	Gamma     float64
	Source    string              // of the baseline: crossfit or train
	OutOfFold []float64           // log risks of the training rows, in SDs, by networks that have not seen them; nil without cross-fitting
	L2Tried   map[float64]float64 // mean held-out C by L2, if a grid was searched
}

// fitNet trains the ensemble on the used rows of train.
func (f *Fitted) fitNet(ctx context.Context, v View) error {
	n := &NetModel{Options: f.Spec.Training, Gamma: 1, Source: "train"}
	f.Net = n
	clinical := f.clinicalColumns(v)
	n.describe(f, v, clinical)
	x := n.inputs(v, clinical, f.Crossfit)
	n.Arch = survival.DefaultArchitecture(len(x))
	if f.Spec.Network != nil {
		n.Arch = *f.Spec.Network
		n.Arch.Inputs = len(x)
	}
	rng := survival.NewRand(f.Spec.Seed, 13)
	for range f.Spec.Ensemble {
		n.Seeds = append(n.Seeds, rng.Uint64()>>1) // JSON readers keep 63 bits
	}
	if err := n.tune(ctx, f.Spec, v.y, x); err != nil {
		return err
	}
	e, err := n.train(ctx, v.y, x, n.Seeds)
	if err != nil {
		return err
	}
	n.Ensemble = e
	out, err := e.Predict(x)
	if err != nil {
		return err
	}
	n.Baseline = survival.BreslowBaseline(v.y, out.LogRisk)
	if f.Spec.CrossfitFolds > 0 {
		return n.crossfitBaseline(ctx, f.Spec, v.y, x)
	}
	return nil
}

// train is TrainEnsemble with weights rounded to float32, as the bundle's files hold them, and centred after that: what
// is reported is what is deployed.
func (n *NetModel) train(ctx context.Context, y survival.Outcome, x [][]float64, seeds []uint64) (*survival.Ensemble, error) {
	e, err := survival.TrainEnsemble(ctx, y, x, n.Arch, n.Options, seeds)
	if err != nil {
		return nil, fmt.Errorf("DeepSurv: %w", err)
	}
	for _, m := range e.Members {
		for i, v := range m.Params {
			m.Params[i] = float64(float32(v))
		}
	}
	e.Center = 0
	o, err := e.Predict(x)
	if err != nil {
		return nil, err
	}
	s := 0.0
	for _, v := range o.LogRisk {
		s += v
	}
	e.Center = s / float64(len(o.LogRisk))
	return e, nil
}

// describe sets the inputs: clinical, then the Radscore, or the selected features themselves.
func (n *NetModel) describe(f *Fitted, v View, clinical [][]float64) {
	add := func(in NetInput, col []float64) {
		in.Median = survival.Quantile(col, .5, 7)
		in.Min, in.Max = survival.Quantile(col, 0, 7), survival.Quantile(col, 1, 7)
		in.Mean, in.SD = 0, 1
		if !binary(col) {
			mean, sd := survival.MeanSD(col)
			k := float64(len(col))
			if in.Mean, in.SD = mean, sd*math.Sqrt((k-1)/k); !(in.SD > 0) {
				in.SD = 1
			}
		}
		n.Inputs = append(n.Inputs, in)
	}
	for k, name := range f.Clinical {
		add(NetInput{Name: name, Kind: "clinical"}, clinical[k])
	}
	if !f.hasRadscore() {
		return
	}
	if f.Spec.Inputs == "radscore" {
		add(NetInput{Name: "radscore", Kind: "radscore"}, f.Crossfit)
		return
	}
	for k, j := range f.Radscore.index {
		add(NetInput{Name: f.Radscore.Names[k], Kind: "feature", feature: j}, survival.PickValues(v.c.Features[j], v.rows))
	}
}

// inputs standardises the columns for the network.
func (n *NetModel) inputs(v View, clinical [][]float64, radscore []float64) [][]float64 {
	var out [][]float64
	for k, in := range n.Inputs {
		var col []float64
		switch in.Kind {
		case "clinical":
			col = clinical[k]
		case "radscore":
			col = radscore
		default:
			col = survival.PickValues(v.c.Features[in.feature], v.rows)
		}
		z := make([]float64, len(col))
		for i, x := range col {
			z[i] = (x - in.Mean) / in.SD
		}
		out = append(out, z)
	}
	return out
}

// Sizes of the cross-validations inside train that choose L2 and make the baseline.
const (
	innerFolds = 5
	innerSeeds = 5
)

// tune chooses L2 from the grid by the mean C of held-out fifths of train.
func (n *NetModel) tune(ctx context.Context, s Spec, y survival.Outcome, x [][]float64) error {
	if len(s.L2Grid) == 0 {
		return nil
	}
	n.L2Tried = make(map[float64]float64)
	best, bestC := s.L2Grid[0], -1.0
	for _, l2 := range s.L2Grid {
		n.Options.L2 = l2
		c := 0.0
		folds := survival.StratifiedFolds(y, innerFolds, survival.NewRand(s.Seed, 14).Uint64())
		for f := 1; f <= innerFolds; f++ {
			in, held := splitFold(folds, f)
			e, err := n.train(ctx, y.Pick(in), survival.PickColumns(x, in), n.Seeds[:min(innerSeeds, len(n.Seeds))])
			if err != nil {
				return err
			}
			o, err := e.Predict(survival.PickColumns(x, held))
			if err != nil {
				return err
			}
			if v := survival.Concordance(y.Pick(held), o.LogRisk, survival.ConcordanceOptions{}).C; !math.IsNaN(v) {
				c += v / innerFolds
			}
		}
		if n.L2Tried[l2] = c; c > bestC {
			best, bestC = l2, c
		}
	}
	n.Options.L2 = best
	return nil
}

// crossfitBaseline takes the baseline and its slope from log risks of rows left out of the training of the networks that
// score them: in-sample log risks are too spread, and probabilities from them too extreme. Where early stopping ends, and
// with it the scale of the log risk, differs between folds; each fold's log risks are therefore divided by their standard
// deviation on the rows it was trained on, and the slope found is brought to the scale of the final ensemble.
func (n *NetModel) crossfitBaseline(ctx context.Context, s Spec, y survival.Outcome, x [][]float64) error {
	oof := make([]float64, y.Len())
	folds := survival.StratifiedFolds(y, s.CrossfitFolds, survival.NewRand(s.Seed, 15).Uint64())
	for f := 1; f <= s.CrossfitFolds; f++ {
		in, held := splitFold(folds, f)
		if len(held) == 0 {
			continue
		}
		e, err := n.train(ctx, y.Pick(in), survival.PickColumns(x, in), n.Seeds[:min(innerSeeds, len(n.Seeds))])
		if err != nil {
			return fmt.Errorf("cross-fitted baseline, fold %d: %w", f, err)
		}
		scale, err := n.spread(e, survival.PickColumns(x, in))
		if err != nil {
			return err
		}
		o, err := e.Predict(survival.PickColumns(x, held))
		if err != nil {
			return err
		}
		for k, i := range held {
			oof[i] = o.LogRisk[k] / scale
		}
	}
	n.OutOfFold = oof
	scale, err := n.spread(n.Ensemble, x)
	if err != nil {
		return err
	}
	gamma, _, err := survival.CalibrationSlope(y, oof)
	if err != nil || !(gamma > 0.05) { // out-of-fold risks that say nothing: the in-sample baseline stands, and the report shows why
		return nil
	}
	eta := make([]float64, len(oof))
	for i, v := range oof {
		eta[i] = gamma * v
	}
	n.Gamma, n.Source, n.Baseline = gamma/scale, "crossfit", survival.BreslowBaseline(y, eta)
	return nil
}

// spread is the standard deviation of an ensemble's log risks, 1 if they do not differ.
func (n *NetModel) spread(e *survival.Ensemble, x [][]float64) (float64, error) {
	o, err := e.Predict(x)
	if err != nil {
		return 0, err
	}
	_, sd := survival.MeanSD(o.LogRisk)
	if !(sd > 0) {
		sd = 1
	}
	return sd, nil
}
