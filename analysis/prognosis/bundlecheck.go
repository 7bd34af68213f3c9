package prognosis

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

const (
	vectorTolerance = 1e-5
	minTestVectors  = 5
)

func finite(v ...float64) bool {
	for _, x := range v {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return false
		}
	}
	return true
}

// check refuses what does not fit together.
func (b *Bundle) check() error {
	for _, f := range []func() error{b.checkRoot, b.checkFeatures, b.checkRadscore, b.checkModel, b.checkBaseline, b.checkVectors} {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bundle) checkRoot() error {
	switch {
	case b.Kind != KindDeepSurv && b.Kind != KindCox:
		return fmt.Errorf("kind %q is not known", b.Kind)
	case b.Endpoint != Endpoint:
		return fmt.Errorf("endpoint %q: only %s is reported", b.Endpoint, Endpoint)
	case b.TimeUnit != "month":
		return fmt.Errorf("time unit %q: month is needed", b.TimeUnit)
	case b.Competing != "censored" && b.Competing != "cif":
		return fmt.Errorf("competing %q: censored or cif", b.Competing)
	case b.Competing == "cif" && b.Competitor == nil:
		return errors.New("competing cif without a baseline of the competing event")
	case b.ID == "" || b.Version == "":
		return errors.New("no id or version")
	case b.Provenance.Status != "research" && b.Provenance.Status != "validated-at-site":
		return fmt.Errorf("status %q: research or validated-at-site", b.Provenance.Status)
	case len(b.Horizons) == 0 || !slices.IsSorted(b.Horizons) || !finite(b.Horizons...) || b.Horizons[0] <= 0:
		return fmt.Errorf("horizons %v: rising months are needed", b.Horizons)
	}
	for k := 1; k < len(b.RiskBands); k++ {
		if !(b.RiskBands[k].From > b.RiskBands[k-1].From) {
			return errors.New("risk bands do not rise")
		}
	}
	return nil
}

func (b *Bundle) checkFeatures() error {
	if len(b.Features) == 0 {
		return errors.New("no features")
	}
	seen := make(map[string]bool)
	for _, f := range b.Features {
		switch {
		case f.Name == "" || seen[f.Name]:
			return fmt.Errorf("feature %q is unnamed or named twice", f.Name)
		case !(f.SD > 0) || !finite(f.SD, f.Mean, f.Min, f.Max, f.Median) || f.Min > f.Max:
			return fmt.Errorf("feature %q: mean %g, SD %g, range %g to %g", f.Name, f.Mean, f.SD, f.Min, f.Max)
		case f.Missing != "refuse" && f.Missing != "median":
			return fmt.Errorf("feature %q: missing %q: refuse or median", f.Name, f.Missing)
		}
		switch f.Source {
		case SourceClinical, SourceTCR, SourceRadiomics:
		case SourceRadscore:
			if b.Radscore == nil {
				return fmt.Errorf("feature %q is a Radscore, but the bundle describes none", f.Name)
			}
		default:
			return fmt.Errorf("feature %q: source %q is not known", f.Name, f.Source)
		}
		seen[f.Name] = true
	}
	return nil
}

func (b *Bundle) checkRadscore() error {
	r := b.Radscore
	if r == nil {
		return nil
	}
	n := len(r.Names)
	if len(r.Coef) != n || len(r.Mean) != n || len(r.SD) != n {
		return fmt.Errorf("Radscore: %d names, %d coefficients, %d means, %d SDs", n, len(r.Coef), len(r.Mean), len(r.SD))
	}
	if !finite(r.Coef...) || !finite(r.Mean...) || !finite(r.SD...) {
		return errors.New("Radscore: a number is not finite")
	}
	for _, sd := range r.SD {
		if !(sd > 0) {
			return errors.New("Radscore: an SD is not positive")
		}
	}
	return nil
}

func (b *Bundle) checkModel() error {
	c := b.Cox
	if len(c.Coef) != len(c.Names) || len(c.Cov) != len(c.Names) && len(c.Cov) != 0 || !finite(c.Coef...) {
		return errors.New("cox: names, coefficients and covariance do not fit")
	}
	for _, n := range c.Names {
		if b.feature(n) == nil {
			return fmt.Errorf("cox: %q is no feature of the bundle", n)
		}
	}
	if b.Kind == KindCox {
		if len(b.Members) != 0 || len(c.Names) == 0 {
			return errors.New("kind cox needs coefficients and no members")
		}
		return nil
	}
	if len(b.Members) == 0 {
		return errors.New("kind deepsurv without members")
	}
	zeros := [][]float64{make([]float64, len(b.Features)), make([]float64, len(b.Features))}
	for k, g := range b.graphs {
		if g.width != 0 && g.width != len(b.Features) {
			return fmt.Errorf("member %s takes %d inputs, the bundle names %d features", b.Members[k].File, g.width, len(b.Features))
		}
		if g.Bundle != "" && g.Bundle != b.ID {
			return fmt.Errorf("member %s belongs to bundle %s", b.Members[k].File, g.Bundle)
		}
		out, err := g.Evaluate(zeros)
		if err != nil {
			return fmt.Errorf("member %s: %w", b.Members[k].File, err)
		}
		if r := out["log_risk"]; len(r) != 2 || len(r[0]) != 1 {
			return fmt.Errorf("member %s: no output log_risk with one column", b.Members[k].File)
		}
		for _, name := range []string{"attention", "weighted"} {
			if r, ok := out[name]; ok && len(r[0]) != len(b.Features) {
				return fmt.Errorf("member %s: output %s has %d columns for %d features", b.Members[k].File, name, len(r[0]), len(b.Features))
			}
		}
	}
	return nil
}

func (b *Bundle) feature(name string) *Feature {
	for k := range b.Features {
		if b.Features[k].Name == name {
			return &b.Features[k]
		}
	}
	return nil
}

func (b *Bundle) checkBaseline() error {
	for _, base := range []*Baseline{&b.Baseline, b.Competitor} {
		if base == nil {
			continue
		}
		n := len(base.Time)
		switch {
		case n == 0 || len(base.CumHaz) != n || len(base.AtRisk) != n:
			return fmt.Errorf("baseline: %d times, %d hazards, %d at risk", n, len(base.CumHaz), len(base.AtRisk))
		case !finite(base.Time...) || !finite(base.CumHaz...) || base.CumHaz[0] < 0 || !(base.Time[0] > 0):
			return errors.New("baseline: a number is not finite or negative")
		}
		for k := 1; k < n; k++ {
			if base.Time[k] <= base.Time[k-1] || base.CumHaz[k] < base.CumHaz[k-1] {
				return fmt.Errorf("baseline does not rise at %g months", base.Time[k])
			}
		}
	}
	last := b.Horizons[len(b.Horizons)-1]
	switch {
	case b.Baseline.Method != "breslow":
		return fmt.Errorf("baseline: method %q is not known", b.Baseline.Method)
	case b.Baseline.MaxTime < last:
		return fmt.Errorf("horizon %g lies beyond %g months, the last time with 10 patients at risk", last, b.Baseline.MaxTime)
	case !(b.Baseline.Gamma > 0) || !finite(b.Baseline.Gamma, b.LogRiskCenter):
		return fmt.Errorf("baseline: gamma %g, centre %g", b.Baseline.Gamma, b.LogRiskCenter)
	}
	return nil
}

// checkVectors runs the bundle's own test vectors.
func (b *Bundle) checkVectors() error {
	if len(b.TestVectors) < minTestVectors {
		return fmt.Errorf("%d test vectors, at least %d are needed", len(b.TestVectors), minTestVectors)
	}
	for k, v := range b.TestVectors {
		p, err := b.Predict(v.Raw)
		if err != nil {
			return fmt.Errorf("test vector %d: %w", k, err)
		}
		if len(v.X) != len(p.X) || !(math.Abs(p.LogRisk-v.LogRisk) <= vectorTolerance) {
			return fmt.Errorf("test vector %d: log risk %.7g, the bundle says %.7g", k, p.LogRisk, v.LogRisk)
		}
		for j := range v.X {
			if !(math.Abs(v.X[j]-p.X[j]) <= vectorTolerance) {
				return fmt.Errorf("test vector %d: input %s is %.7g, the bundle says %.7g", k, b.Features[j].Name, p.X[j], v.X[j])
			}
		}
		for _, h := range p.Horizons {
			want, ok := v.Surv[HorizonKey(h.Months)]
			if !ok || !(math.Abs(h.Free-want) <= vectorTolerance) {
				return fmt.Errorf("test vector %d: free of progression at %g months %.7g, the bundle says %.7g", k, h.Months, h.Free, want)
			}
		}
	}
	return nil
}
