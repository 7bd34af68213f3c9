package study

import (
	"fmt"
	"math"
	"slices"

	"rfanode/analysis/survival"
)

// remark collects what a reader must know to read the figures right.
func (r *Result) remark() {
	say := func(format string, a ...any) { r.Remarks = append(r.Remarks, fmt.Sprintf(format, a...)) }
	f := r.fitted
	say("Research use only. Every choice (filter, Radscore, clinical covariates, hyperparameters, standardisation, baseline) was made on the %d training patients with %d events; each validation set was scored once.", f.N, f.Events)
	say("Figures of the training set are optimistic: the models have seen those patients. Read the validation sets, the out-of-fold C of the network on train (%s) and, where they were run, nested cross-validation and the optimism bootstrap.", three(float64(r.Network.TrainOOF)))
	if n := r.Features.Given; n > 0 {
		say("%d candidate features against %d training events: %.3f events a candidate.", n, f.Events, float64(f.Events)/float64(n))
	}
	if f.hasRadscore() && r.bundle != nil && r.bundle.Extraction.SettingsSHA256 == "" {
		say("The features table does not say with which settings it was extracted (column settings_sha256), nor does the specification (extraction): a node will not apply this bundle to its own features.")
	}
	if n := len(r.Features.Lost); n > 0 {
		say("%d features were left out because a patient has no value.", n)
	}
	switch {
	case r.Features.Given == 0:
		say("No radiomic features were given: the models are clinical only.")
	case !f.hasRadscore():
		say("The LASSO selected no feature at the lambda used: a normal result. The Radscore is 0 for everybody and no model uses it.")
	case f.Spec.CrossfitFolds == 0:
		say("The models were fitted on in-sample Radscores, which is optimistic: set crossfit_folds.")
	default:
		say("Models were fitted on cross-fitted Radscores: filter and LASSO were repeated without each tenth of train, which was then scored.")
	}
	if len(f.Spec.Clinical) == 0 && f.Selection == nil {
		say("The clinical model holds the paper's independent factors (%v), fixed before the data were seen; the table shows what selection on this training set would have chosen.", f.Clinical)
	}
	for _, m := range []*CoxModel{f.Cox[ModelClinical], f.Cox[ModelRadscore]} {
		if m.IsFirth {
			say("Maximum likelihood diverged in a Cox model of %v (separation): its estimates are Firth's, with profile-likelihood limits.", m.Names)
		} else if m.Firth != nil {
			say("A level of a binary covariate in the Cox model of %v has fewer than %d events: Firth's estimate stands beside the maximum-likelihood one.", m.Names, rareLevel)
		}
	}
	if f.Net.Source == "train" && f.Spec.CrossfitFolds > 0 {
		say("The network's out-of-fold log risks say nothing of the outcome (calibration slope not above 0.05): the baseline is the in-sample one and the probabilities are too extreme.")
	}
	if len(r.Horizons) < len(r.Spec.Horizons) {
		say("Horizons beyond the last time with %d training patients at risk are left out.", minAtRisk)
	}
	if slices.Contains(r.cohort.Y.Event, survival.Competing) {
		say("Death without progression is coded: hazard ratios are cause-specific, probabilities are absolute risks under both hazards, observed risks are Aalen-Johansen's.")
	} else {
		say("No death without progression is coded (event 2). If such deaths were censored, 1 - Kaplan-Meier overstates the risk of progression.")
	}
	for _, set := range Sets {
		if m := r.Performance[set]; m != nil && set != Train {
			d := m[ModelDeepSurv].DeltaC
			if lo := float64(d[1]); !math.IsNaN(lo) && lo <= 0 {
				say("In the %s set the network's gain in C over the clinical Cox model, %s (95 %% CI %s to %s), is not distinguishable from none.", setTitle[set], three(float64(d[0])), three(lo), three(float64(d[2])))
			}
		}
	}
	say("%s", remarkBrier)
	say("%s", remarkLeak)
}

// three prints a figure with three decimals, a dash if there is none.
func three(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "–"
	}
	return fmt.Sprintf("%.3f", v)
}
