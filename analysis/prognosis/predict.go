package prognosis

import (
	"fmt"
	"math"
	"strconv"

	"rfanode/analysis/survival"
)

// HorizonKey is a horizon as the bundle's maps name it: months without a trailing point.
func HorizonKey(months float64) string { return strconv.FormatFloat(months, 'g', -1, 64) }

// Names under which a case's own values are looked up.
const (
	InputSex        = "sex" // code M or F
	InputFibrinogen = "fib"
	InputTCR        = "tcr" // target coverage ratio, 0 to 1
)

// Limits of fibrinogen in g/L: beyond them the unit is wrong.
const minFIB, maxFIB = 0.5, 12

// Refusal says why no prediction is made for a patient.
type Refusal struct{ Reason string }

func (r Refusal) Error() string { return r.Reason }

func refuse(format string, a ...any) error { return Refusal{fmt.Sprintf(format, a...)} }

// Prediction is what the model says of one patient.
type Prediction struct {
	X             []float64 // the network's inputs
	LogRisk       float64   // ensemble mean, centred on the training set
	Spread        float64   // standard deviation over the ensemble; 0 for kind cox
	CoxLogRisk    float64   // the comparator's linear predictor, not centred; NaN without one
	Radscore      float64   // NaN if the model has none
	Band          string    // empty if the site defined none
	Horizons      []AtHorizon
	Contributions []Contribution
	Outside       []string // inputs outside the training range
	Imputed       []string // inputs that were missing and took the training median
}

// AtHorizon is the probability of being free of local progression, with the ensemble's range (mean log risk -+ its
// standard deviation): the disagreement of the networks, not a confidence interval.
type AtHorizon struct {
	Months, Free, Low, High float64
}

// Contribution of one input: the value given, the network's input, the mean attention and the mean weighted input.
type Contribution struct {
	Name                string
	Value, X            float64
	Attention, Weighted float64 // NaN without a gate
}

// Predict applies the bundle to the raw values of a patient: clinical values by feature name (sex by code), "tcr", and
// radiomic features by name. The error is a Refusal where the values do not allow a prediction.
func (b *Bundle) Predict(raw map[string]Input) (*Prediction, error) {
	p := &Prediction{Radscore: math.NaN(), CoxLogRisk: math.NaN()}
	values := make([]float64, len(b.Features))
	for k := range b.Features {
		f := &b.Features[k]
		v, ok, err := b.value(f, raw)
		if err != nil {
			return nil, err
		}
		if !ok {
			if f.Missing != "median" {
				return nil, refuse("%s is missing", f.Name)
			}
			v = f.Median
			p.Imputed = append(p.Imputed, f.Name)
		} else if v < f.Min-1e-9 || v > f.Max+1e-9 {
			p.Outside = append(p.Outside, f.Name)
		}
		if f.Source == SourceRadscore {
			p.Radscore = v
		}
		values[k] = v
		p.X = append(p.X, (v-f.Mean)/f.SD)
		p.Contributions = append(p.Contributions, Contribution{Name: f.Name, Value: v, X: p.X[k], Attention: math.NaN(), Weighted: math.NaN()})
	}
	if len(b.Cox.Names) > 0 {
		p.CoxLogRisk = 0
		for k, n := range b.Cox.Names {
			for j := range b.Features {
				if b.Features[j].Name == n {
					p.CoxLogRisk += b.Cox.Coef[k] * values[j]
				}
			}
		}
	}
	if err := b.evaluate(p); err != nil {
		return nil, err
	}
	b.probabilities(p)
	return p, nil
}

// evaluate fills log risk, spread and contributions.
func (b *Bundle) evaluate(p *Prediction) error {
	if b.Kind == KindCox {
		p.LogRisk = p.CoxLogRisk - b.LogRiskCenter
		return nil
	}
	var risks []float64
	gated := false
	for k, g := range b.graphs {
		out, err := g.Evaluate([][]float64{p.X})
		if err != nil {
			return fmt.Errorf("member %d: %w", k, err)
		}
		risks = append(risks, out["log_risk"][0][0])
		att, okA := out["attention"]
		weighted, okW := out["weighted"]
		if !okA || !okW {
			continue
		}
		for j := range p.Contributions {
			c := &p.Contributions[j]
			if !gated {
				c.Attention, c.Weighted = 0, 0
			}
			c.Attention += att[0][j] / float64(len(b.graphs))
			c.Weighted += weighted[0][j] / float64(len(b.graphs))
		}
		gated = true
	}
	mean := 0.0
	for _, r := range risks {
		mean += r / float64(len(risks))
	}
	if len(risks) > 1 {
		_, p.Spread = survival.MeanSD(risks)
	}
	p.LogRisk = mean - b.LogRiskCenter
	if !finite(p.LogRisk, p.Spread) {
		return refuse("the model gives no finite log risk for these values")
	}
	return nil
}

func (b *Bundle) probabilities(p *Prediction) {
	for _, band := range b.RiskBands {
		if p.Band == "" || p.LogRisk >= band.From {
			p.Band = band.Name
		}
	}
	for _, h := range b.Horizons {
		p.Horizons = append(p.Horizons, AtHorizon{h, b.free(h, p.LogRisk), b.free(h, p.LogRisk+p.Spread), b.free(h, p.LogRisk-p.Spread)})
	}
}

// free is the probability of no local progression by t.
func (b *Bundle) free(t, logRisk float64) float64 {
	eta := b.Baseline.Gamma * logRisk
	if b.Competing == "cif" {
		return 1 - survival.AbsoluteRisk(b.Baseline.Baseline, b.Competitor.Baseline, eta, 0, t)
	}
	return b.Baseline.Surv(t, eta)
}

// value is a feature's value in the units of training; ok is false if it is missing.
func (b *Bundle) value(f *Feature, raw map[string]Input) (v float64, ok bool, err error) {
	switch f.Source {
	case SourceRadscore:
		return b.radscore(raw)
	case SourceTCR:
		in, ok := raw[InputTCR]
		if !ok {
			return 0, false, nil
		}
		if !(in.Value >= 0 && in.Value <= 1) {
			return 0, false, refuse("TCR of %g is not a ratio", in.Value)
		}
		if f.TCRCut == 0 {
			return in.Value, true, nil
		}
		if in.Value >= f.TCRCut {
			return 1, true, nil
		}
		return 0, true, nil
	}
	in, ok := raw[f.Name]
	if !ok && f.Name == "male" {
		in, ok = raw[InputSex]
	}
	if !ok {
		return 0, false, nil
	}
	if len(f.Coding) > 0 && (in.Code != "" || f.Name == "male") {
		v, known := f.Coding[in.Code]
		if !known { // PatientSex O, or nothing: missing, not a third sex
			return 0, false, nil
		}
		return v, true, nil
	}
	v = in.Value
	if f.Name == InputFibrinogen {
		return fibrinogenGL(in)
	}
	if in.Unit != "" && f.Unit != "" && in.Unit != f.Unit {
		return 0, false, refuse("%s is given in %s, the model was trained in %s", f.Name, in.Unit, f.Unit)
	}
	if !finite(v) {
		return 0, false, refuse("%s is not a finite number", f.Name)
	}
	return v, true, nil
}

// fibrinogenGL converts to g/L.
func fibrinogenGL(in Input) (float64, bool, error) {
	v := in.Value
	switch in.Unit {
	case "g/L", "g/l", "":
	case "mg/dL", "mg/dl":
		v *= .01
	default:
		return 0, false, refuse("fibrinogen is given in %s: g/L or mg/dL is needed", in.Unit)
	}
	if !(v >= minFIB && v <= maxFIB) {
		return 0, false, refuse("fibrinogen of %g g/L is not possible (100 mg/dL are 1 g/L)", v)
	}
	return v, true, nil
}

// radscore needs every selected feature.
func (b *Bundle) radscore(raw map[string]Input) (float64, bool, error) {
	s := 0.0
	for k, n := range b.Radscore.Names {
		in, ok := raw[n]
		if !ok {
			return 0, false, nil
		}
		if !finite(in.Value) {
			return 0, false, refuse("feature %s is not a finite number", n)
		}
		s += b.Radscore.Coef[k] * (in.Value - b.Radscore.Mean[k])
	}
	return s, true, nil
}
