package prognosis

import (
	"fmt"
	"math"
	"strings"
)

// Describe says for people what a bundle is.
func (b *Bundle) Describe() string {
	var s strings.Builder
	say := func(format string, a ...any) { fmt.Fprintf(&s, format+"\n", a...) }
	say("bundle %s version %s, status %s: RESEARCH USE ONLY", b.ID, b.Version, b.Provenance.Status)
	say("%s of %d members, endpoint %s, competing events %s, baseline %s (gamma %.4g) to %.4g months", b.Kind, len(b.Members), b.Endpoint, b.Competing, b.Baseline.Source, b.Baseline.Gamma, b.Baseline.MaxTime)
	say("trained on %d patients with %d events by %s; data %.12s, split %.12s", b.Training.N, b.Training.Events, b.Training.Software, b.Provenance.DataSHA, b.Training.SplitSHA)
	say("probabilities at %v months", b.Horizons)
	say("inputs:")
	for _, f := range b.Features {
		unit := f.Unit
		if len(f.Coding) > 0 {
			unit = fmt.Sprintf("coded %v", f.Coding)
		}
		if f.TCRCut > 0 {
			unit = fmt.Sprintf("1 if TCR >= %g", f.TCRCut)
		}
		say("  %-12s %-10s %s; trained on %.4g to %.4g; if missing: %s", f.Name, f.Source, unit, f.Min, f.Max, f.Missing)
	}
	if b.Radscore != nil {
		say("Radscore of %d features (lambda %.6g, rule %s):", len(b.Radscore.Names), b.Radscore.Lambda, b.Radscore.Rule)
		for k, n := range b.Radscore.Names {
			say("  %-50s %+.6g per SD", n, b.Radscore.Coef[k]*b.Radscore.SD[k])
		}
	}
	for _, set := range []string{"train", "internal", "external"} {
		if p, ok := b.Performance[set]; ok {
			say("%s: %d patients, %d events, C %.3f (%.3f to %.3f)", set, p.N, p.Events, float64(p.C[0]), float64(p.C[1]), float64(p.C[2]))
		}
	}
	return s.String()
}

// Describe says for people what the model predicts.
func (p *Prediction) Describe() string {
	var s strings.Builder
	say := func(format string, a ...any) { fmt.Fprintf(&s, format+"\n", a...) }
	say("RESEARCH USE ONLY. Log risk %.4f (0: the mean training patient), networks differ by %.4f (SD)", p.LogRisk, p.Spread)
	if !math.IsNaN(p.Radscore) {
		say("Radscore %.4f", p.Radscore)
	}
	if p.Band != "" {
		say("risk band: %s", p.Band)
	}
	for _, h := range p.Horizons {
		say("free of local progression at %g months: %.1f %% (%.1f to %.1f %% over the networks)", h.Months, 100*h.Free, 100*h.Low, 100*h.High)
	}
	for _, c := range p.Contributions {
		say("  %-12s value %-10.4g attention %-8.3f weighted input %+.3f", c.Name, c.Value, c.Attention, c.Weighted)
	}
	if len(p.Outside) > 0 {
		say("outside the training range: %s", strings.Join(p.Outside, ", "))
	}
	if len(p.Imputed) > 0 {
		say("missing, the training median was taken: %s", strings.Join(p.Imputed, ", "))
	}
	return s.String()
}
