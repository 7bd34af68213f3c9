package study

import (
	"fmt"
	"io"
	"strings"
)

const byTheSite = "TO BE COMPLETED BY THE SITE"

// Tripod writes the TRIPOD+AI checklist (27 items, Collins et al. 2024) with what the program knows; the rest is the
// site's to write.
func (r *Result) Tripod(w io.Writer) error {
	var b strings.Builder
	f := r.fitted
	line := func(item, text string) { fmt.Fprintf(&b, "| %s | %s |\n", item, strings.ReplaceAll(text, "|", "\\|")) }
	fmt.Fprintf(&b, "# TRIPOD+AI checklist\n\nFilled by %s from the data; items marked %q need the site. Research use only.\n\n| item | answer |\n|---|---|\n", r.Software, byTheSite)
	line("1 Title", byTheSite)
	line("2 Abstract", byTheSite)
	line("3a Background: healthcare context", "Local tumour progression after CT-guided radiofrequency ablation of a lung tumour. "+byTheSite+": setting and purpose")
	line("3b Target population and intended use", "Patients after RFA of a lung tumour; research use only")
	line("3c Health inequalities", byTheSite)
	line("4 Objectives", "Development and internal and external validation of a Cox model, a Radscore and a DeepSurv ensemble for time to local progression")
	var flow []string
	for _, x := range r.Flow {
		flow = append(flow, fmt.Sprintf("%s: %d patients, %d progressions, %d deaths first, %d censored", setTitle[x.Set], x.Patients, x.Events, x.Competing, x.Censored))
	}
	line("5a Data sources", byTheSite+"; data SHA-256 "+r.DataSHA)
	line("5b Dates", byTheSite)
	line("6a Setting, centres", fmt.Sprintf("centres in the table: %s. %s", list(r.centres()), byTheSite))
	line("6b Eligibility", byTheSite)
	line("6c Treatments", "Radiofrequency ablation. "+byTheSite)
	line("7 Data preparation", fmt.Sprintf("features standardised by mean and SD of train; Pearson filter at |r| >= %g; %d features left out for missing values", r.Spec.Filter, len(r.Features.Lost)))
	line("8a Outcome", "Local tumour progression, time in months from ablation; "+byTheSite+": how and by whom it was read")
	line("8b Outcome assessors", byTheSite)
	line("8c Blinding", byTheSite)
	line("9a Predictors: choice", fmt.Sprintf("clinical: %s; radiomic: %d candidates", list(f.Clinical), r.Features.Given))
	line("9b Predictors: definition", "coverage ratio and radiomic features as rfanode's method document states; "+byTheSite+": laboratory methods")
	line("9c Predictor assessors", "computed; "+byTheSite)
	line("10 Sample size", fmt.Sprintf("%d training events; %.3f events a candidate predictor; no calculation made beforehand is known: %s", f.Events, float64(f.Events)/float64(max(1, r.Features.Given+len(f.Clinical))), byTheSite))
	line("11 Missing data", fmt.Sprintf("rule %q; %d of the training patients left out of the models", r.Spec.Missing, f.Excluded))
	line("12a Data partition", "split SHA-256 "+r.SplitSHA+"; "+strings.Join(flow, "; "))
	line("12b Predictors in the analysis", "continuous ones linear in Cox, standardised in the network; binary 0/1")
	line("12c Model, building, internal validation", fmt.Sprintf("Cox (Efron); LASSO-Cox, %d folds, %d draws, lambda rule %s; DeepSurv: %+v, %+v, %d seeds; cross-fitted Radscore and baseline, %d folds", r.Spec.Folds, r.Spec.Repeats, r.Spec.LambdaRule, r.Network.Architecture, r.Network.Options, len(r.Network.Seeds), r.Spec.CrossfitFolds))
	line("12d Heterogeneity between clusters", "external set scored without refitting; subgroup C in the report")
	line("12e Performance measures", "Harrell and Uno C, time-dependent AUC, Brier (IPCW), integrated Brier, IPA, calibration slope, O:E, curve, ICI, net benefit; bootstrap intervals")
	line("12f Model updating", "none")
	line("12g How predictions were calculated", "S(t) = exp(-H0(t) exp(gamma f)); bundle "+r.bundle.ID)
	line("13 Class imbalance", "none done: time-to-event outcome")
	line("14 Fairness", "C by sex, age and centre in the report; "+byTheSite)
	line("15 Model output", fmt.Sprintf("log risk; probability of freedom from progression at %v months; no risk bands", r.Horizons))
	line("16 Training against evaluation", "Table 1 compares the sets")
	line("17 Ethical approval", byTheSite)
	line("18a Funding", byTheSite)
	line("18b Conflicts of interest", byTheSite)
	line("18c Protocol", byTheSite+"; specification of the analysis in result.json")
	line("18d Registration", byTheSite)
	line("18e Data sharing", byTheSite)
	line("18f Code sharing", r.Software+", with seed and specification in result.json: the same input gives the same bytes")
	line("19 Patient and public involvement", byTheSite)
	line("20a Flow of participants", strings.Join(flow, "; "))
	line("20b Characteristics", "Table 1 of the report")
	line("20c Comparison with development data", "Table 1 of the report")
	line("21 Numbers in each analysis", fmt.Sprintf("train %d patients, %d events; validation as item 20a less those not complete", f.N, f.Events))
	line("22 Full model", "bundle/ (ONNX and JSON), nomogram of the Cox model")
	for _, set := range Sets {
		if m := r.Performance[set]; m != nil {
			d := m[ModelDeepSurv]
			line("23a Performance, "+setTitle[set], fmt.Sprintf("C %s; Brier at %g months %s; slope %s; difference in C from the clinical Cox model %s", interval(d.C), middle(r.Horizons), interval(d.Brier[key(middle(r.Horizons))]), interval(d.Slope), interval(d.DeltaC)))
		}
	}
	line("23b Heterogeneity", "subgroups in the report")
	line("24 Model updating", "none")
	line("25 Interpretation", byTheSite)
	line("26 Limitations", strings.Join(r.Remarks[:2], " ")+" "+byTheSite)
	line("27a Poor input", "the node refuses values that are missing, impossible or in unknown units, and flags those outside the training range")
	line("27b User interaction", "none needed; the report names the model and its status")
	line("27c Future research", byTheSite)
	b.WriteString("\nRadiomics checklists (CLEAR, METRICS): image acquisition, segmentation reliability and test-retest are the site's to describe; extraction, filter, selection, validation and availability are answered above.\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Result) centres() []string {
	var out []string
	seen := map[string]bool{}
	for _, c := range r.cohort.Center {
		if c != "" && !seen[c] {
			seen[c], out = true, append(out, c)
		}
	}
	return out
}
