package study

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"slices"

	"rfanode/analysis/prognosis"
	"rfanode/analysis/survival"
)

// paperDOI names the study whose procedure this is.
const paperDOI = "10.13929/j.issn.1003-3289.2026.03.004"

// testVectors is how many made-up patients a bundle carries as its own test.
const testVectors = 8

// bundleRadscore is the score as a bundle holds it; empty lists if nothing was selected.
func (f *Fitted) bundleRadscore() prognosis.Radscore {
	r := f.Radscore
	out := prognosis.Radscore{Names: []string{}, Coef: []float64{}, Mean: []float64{}, SD: []float64{}, Lambda: r.Lambda, Rule: f.Spec.LambdaRule,
		Filter: prognosis.Filter{Method: "pearson", Threshold: f.Spec.Filter}, Crossfit: f.Spec.CrossfitFolds > 0, SelectionFrequency: []float64{}}
	if !f.hasRadscore() {
		return out
	}
	out.Names, out.Coef, out.Mean, out.SD = r.Names, r.Coef, r.Mean, r.SD
	for _, n := range r.Names {
		out.SelectionFrequency = append(out.SelectionFrequency, r.Frequency[n])
	}
	return out
}

// makeBundle describes the fitted model for the node.
func (r *Result) makeBundle() error {
	f := r.fitted
	spec, err := json.Marshal(r.Spec)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(append([]byte(r.DataSHA+r.SplitSHA+r.Software), spec...))
	b := &prognosis.Bundle{Schema: prognosis.Schema, ID: "study-" + hex.EncodeToString(sum[:6]), Version: "1", Kind: prognosis.KindDeepSurv, Endpoint: prognosis.Endpoint,
		Competing: "censored", TimeUnit: "month", LogRiskCenter: f.Net.Ensemble.Center, Horizons: r.Horizons, Performance: map[string]prognosis.Performance{}}
	for _, in := range f.Net.Inputs {
		b.Features = append(b.Features, bundleFeature(in))
	}
	if r.Spec.Extraction != nil {
		b.Extraction = *r.Spec.Extraction
	}
	if r.cohort.SettingsSHA256 != "" {
		b.Extraction.SettingsSHA256 = r.cohort.SettingsSHA256
	}
	if f.hasRadscore() {
		score := f.bundleRadscore()
		b.Radscore = &score
	}
	cox := f.Cox[ModelRadscore]
	if f.Spec.Inputs == "features" { // the comparator must use inputs that the bundle has
		cox = f.Cox[ModelClinical]
	}
	b.Cox = prognosis.CoxModel{Names: cox.Names, Coef: cox.Coef, Cov: cox.Cov, Ties: survival.Efron.String(), Firth: cox.IsFirth}
	b.Baseline = prognosis.Baseline{Method: "breslow", Source: f.Net.Source, Gamma: f.Net.Gamma, MaxTime: maxTime(f.Net.Baseline), Baseline: f.Net.Baseline}
	if f.Competitor != nil {
		b.Competing = "cif"
		b.Competitor = &prognosis.Baseline{Method: "breslow", Source: "train", Gamma: 1, MaxTime: maxTime(*f.Competitor), Baseline: *f.Competitor}
	}
	var centres []string
	for _, i := range f.rows {
		if c := r.cohort.Center[i]; c != "" && !slices.Contains(centres, c) {
			centres = append(centres, c)
		}
	}
	slices.Sort(centres)
	o := f.Net.Options
	b.Training = prognosis.TrainingRecord{N: f.N, Events: f.Events, Centres: centres, SplitSHA: r.SplitSHA, Folds: f.Spec.Folds, Ties: "breslow (network), efron (cox)", LR: o.LearningRate, L2: o.L2,
		Dropout: o.Dropout, Epochs: o.Epochs, EarlyStop: o.HoldOut > 0, Network: &f.Net.Arch, Seeds: f.Net.Seeds, RNG: "splitmix64, keyed", Software: r.Software}
	for set, models := range r.Performance {
		b.Performance[set] = bundlePerformance(models[ModelDeepSurv], r.Spec, r.Horizons)
	}
	b.Provenance = prognosis.Provenance{Created: r.Spec.Created, AuthorOrg: r.Spec.Author, DataSHA: r.DataSHA, PaperDOI: paperDOI,
		IntendedUse: "research use only: risk of local tumour progression after radiofrequency ablation of a lung tumour", Status: "research"}
	for _, seed := range f.Net.Seeds {
		b.Members = append(b.Members, prognosis.Member{Seed: seed})
	}
	r.bundle = b
	return r.vectors(b)
}

func bundleFeature(in NetInput) prognosis.Feature {
	out := prognosis.Feature{Name: in.Name, Source: prognosis.SourceClinical, Mean: in.Mean, SD: in.SD, Min: in.Min, Max: in.Max, Median: in.Median, Missing: "refuse"}
	switch {
	case in.Kind == "radscore":
		out.Source = prognosis.SourceRadscore
	case in.Kind == "feature":
		out.Source = prognosis.SourceRadiomics
	case in.Name == "male":
		out.Coding = map[string]float64{"M": 1, "F": 0}
	case in.Name == "fib":
		out.Unit = "g/L"
	case in.Name == "tcr1":
		out.Source, out.TCRCut = prognosis.SourceTCR, 1
	case in.Name == "tcr":
		out.Source = prognosis.SourceTCR
	}
	return out
}

func maxTime(b survival.Baseline) float64 {
	last := 0.0
	for k, n := range b.AtRisk {
		if n >= minAtRisk {
			last = b.Time[k]
		}
	}
	return last
}

func bundlePerformance(m *Metrics, s Spec, horizons []float64) prognosis.Performance {
	h := prognosis.HorizonKey(middle(horizons))
	return prognosis.Performance{N: m.N, Events: m.Events, C: m.C, Uno: map[string]prognosis.Num{"tau": prognosis.Num(s.Tau), "C": m.Uno}, Brier: m.Brier, IBS: m.IBS,
		IPA: map[string]prognosis.Num{"train_km": m.IPATrain[h], "own_km": m.IPAOwn[h]}, Slope: m.Slope, OE: m.OE[h], DeltaCToMC: m.DeltaC}
}

// vectors are made-up patients whose values are quantiles of the training set, never a patient's own, in the form in which
// a node gets them.
func (r *Result) vectors(b *prognosis.Bundle) error {
	f := r.fitted
	quantile := func(v []float64, k, j int) float64 {
		return survival.Quantile(v, (float64((k*3+j*5)%testVectors)+.5)/testVectors, 7)
	}
	feature := func(j, k, at int) float64 { return quantile(survival.PickValues(r.cohort.Features[j], f.rows), k, at) }
	x := make([][]float64, len(f.Net.Inputs))
	for k := range testVectors {
		v := prognosis.TestVector{Raw: map[string]prognosis.Input{}, Surv: map[string]float64{}}
		for j, in := range f.Net.Inputs {
			value := 0.0
			switch {
			case in.Kind == "radscore":
				for i, n := range f.Radscore.Names {
					u := feature(f.Radscore.index[i], k, i)
					v.Raw[n] = prognosis.Input{Value: u}
					value += f.Radscore.Coef[i] * (u - f.Radscore.Mean[i])
				}
			case in.Kind == "feature":
				value = feature(in.feature, k, j)
				v.Raw[in.Name] = prognosis.Input{Value: value}
			case in.SD == 1 && in.Mean == 0: // a 0/1 input
				value = float64(k >> (j % 3) & 1)
				v.Raw[in.Name] = prognosis.Input{Value: value}
			default:
				var known []float64
				for _, u := range survival.PickValues(r.cohort.Columns[in.Name], f.rows) {
					if !math.IsNaN(u) {
						known = append(known, u)
					}
				}
				value = quantile(known, k, j)
				v.Raw[in.Name] = prognosis.Input{Value: value}
			}
			switch in.Name { // as the node names and writes them
			case "male":
				delete(v.Raw, in.Name)
				v.Raw[prognosis.InputSex] = prognosis.Input{Code: map[float64]string{0: "F", 1: "M"}[value]}
			case "fib":
				v.Raw[in.Name] = prognosis.Input{Value: value, Unit: "g/L"}
			case "tcr1":
				delete(v.Raw, in.Name)
				v.Raw[prognosis.InputTCR] = prognosis.Input{Value: tcrValue(value)}
			}
			v.X = append(v.X, (value-in.Mean)/in.SD)
			x[j] = append(x[j], v.X[j])
		}
		b.TestVectors = append(b.TestVectors, v)
	}
	out, err := f.Net.Ensemble.Predict(x)
	if err != nil {
		return err
	}
	for k := range b.TestVectors {
		v := &b.TestVectors[k]
		v.LogRisk = out.LogRisk[k]
		for _, h := range r.Horizons {
			v.Surv[prognosis.HorizonKey(h)] = f.Free(ModelDeepSurv, h, v.LogRisk)
		}
	}
	return nil
}

// tcrValue is a ratio that is coded as v.
func tcrValue(v float64) float64 {
	if v == 0 {
		return .9
	}
	return 1
}
