package study

import (
	"fmt"
	"html/template"
	"io"
	"math"

	"rfanode/analysis/prognosis"
)

// htmlTable is a table ready to print.
type htmlTable struct {
	Title, Note string
	Head        []string
	Rows        [][]string
}

func interval(e prognosis.Estimate) string {
	if math.IsNaN(float64(e[1])) {
		return three(float64(e[0]))
	}
	return fmt.Sprintf("%s (%s to %s)", three(float64(e[0])), three(float64(e[1])), three(float64(e[2])))
}

func (r *Result) tables() []htmlTable {
	out := []htmlTable{r.flowTable(), r.baselineTable()}
	out = append(out, effectTable("Univariable Cox regression, training set", "Efron ties. PH: P of the score test of proportional hazards (time scale Kaplan-Meier). Firth: beside the estimate where a level of a binary covariate has fewer than 10 events. Factors found by P < .05 here and in a joint model: "+list(r.Selection.Selected)+".", r.Univariable))
	out = append(out, effectTable("Clinical Cox model, training set", "", r.Clinical))
	if r.WithScore != nil {
		out = append(out, effectTable("Cox model with Radscore (cross-fitted), training set", "", r.WithScore))
	}
	out = append(out, effectTable("Clinical Cox model, all patients", "As the paper printed it. For comparison only; no model uses it.", r.AllPatients), paperTable(), r.radscoreTable())
	for _, set := range Sets {
		if m := r.Performance[set]; m != nil {
			out = append(out, r.performanceTable(set, m))
		}
	}
	out = append(out, r.networkTable(), r.sensitivityTable(), r.subgroupTable())
	if r.Incidence != nil {
		t := htmlTable{Title: "Competing risk", Note: "Cumulative incidence of progression (Aalen-Johansen) beside 1 - Kaplan-Meier, which counts the dead as still at risk.", Head: []string{"set", "months", "incidence", "1 - KM", "death first"}}
		for _, x := range r.Incidence {
			t.Rows = append(t.Rows, []string{setTitle[x.Set], fmt.Sprint(x.Months), three(float64(x.Incidence)), three(float64(x.KM)), three(float64(x.Competing))})
		}
		out = append(out, t)
	}
	for _, x := range []struct {
		title string
		r     *Resampling
	}{{"Nested cross-validation of the whole procedure on train", r.Nested}, {"Optimism of the whole procedure, bootstrap on train", r.Optimism}, {"Whole procedure with permuted outcomes: validation C (0.5 if nothing leaks)", r.Permuted}} {
		if x.r != nil {
			out = append(out, resamplingTable(x.title, x.r))
		}
	}
	return out
}

func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	s := names[0]
	for _, n := range names[1:] {
		s += ", " + n
	}
	return s
}

func (r *Result) flowTable() htmlTable {
	t := htmlTable{Title: "Patients", Note: "Not complete: a value of the clinical model is missing.", Head: []string{"set", "patients", "progression", "death first", "censored", "not complete"}}
	for _, f := range r.Flow {
		t.Rows = append(t.Rows, []string{setTitle[f.Set], fmt.Sprint(f.Patients), fmt.Sprint(f.Events), fmt.Sprint(f.Competing), fmt.Sprint(f.Censored), fmt.Sprint(f.NotComplete)})
	}
	return t
}

func (r *Result) baselineTable() htmlTable {
	t := htmlTable{Title: "Table 1. Baseline", Note: fmt.Sprintf("Mean ± SD with F (two sets: t) where Shapiro-Wilk P >= .05 in every set, else median (Q1, Q3; quantile type %d) with Kruskal-Wallis H (two sets: Mann-Whitney); counts with Pearson's chi-square, uncorrected.", r.Spec.QuantileType), Head: []string{"", ""}}
	for _, set := range Sets {
		if r.Performance[set] != nil {
			t.Head = append(t.Head, setTitle[set])
		}
	}
	t.Head = append(t.Head, "test", "statistic", "P", "")
	for _, x := range r.Table1 {
		row := append([]string{x.Name, x.Level}, x.Values...)
		stat, p := "", ""
		if x.Test != "" {
			stat, p = three(float64(x.Statistic)), pValue(float64(x.P))
		}
		also := x.Also
		if x.Missing != nil {
			also += fmt.Sprintf(" missing %v", x.Missing)
		}
		t.Rows = append(t.Rows, append(row, x.Test, stat, p, also))
	}
	return t
}

func effectTable(title, note string, effects []Effect) htmlTable {
	t := htmlTable{Title: title, Note: note, Head: []string{"", "n", "events", "HR (95 % CI)", "z", "P", "PH", "Firth HR (profile CI)", ""}}
	for _, e := range effects {
		hr, firth := "", ""
		if !math.IsNaN(e.HR) {
			hr = fmt.Sprintf("%.3f (%.3f to %.3f)", e.HR, e.Lower, e.Upper)
		}
		if e.Firth != nil {
			firth = fmt.Sprintf("%.3f (%.3f to %.3f)", e.Firth[0], e.Firth[1], e.Firth[2])
		}
		t.Rows = append(t.Rows, []string{e.Name, fmt.Sprint(e.N), fmt.Sprint(e.Events), hr, three(e.Z), pValue(e.P), pValue(e.PH), firth, e.Note})
	}
	return t
}

func paperTable() htmlTable {
	t := htmlTable{Title: "What the paper printed", Note: "Wang et al. 2026, doi " + paperDOI + ", 217 patients. Gender: the paper does not say which sex the hazard ratio belongs to.", Head: []string{"", "printed"}}
	for _, n := range []string{"gender", "fib", "tcr1"} {
		v := Paper.HR[n]
		t.Rows = append(t.Rows, []string{"multivariable HR of " + n, fmt.Sprintf("%.3f (%.3f to %.3f)", v[0], v[1], v[2])})
	}
	for _, n := range []string{"gender", "fib", "nature", "tcr1"} {
		v := Paper.Uni[n]
		t.Rows = append(t.Rows, []string{"univariable HR of " + n, fmt.Sprintf("%.3f (%.3f to %.3f)", v[0], v[1], v[2])})
	}
	for _, set := range Sets {
		t.Rows = append(t.Rows, []string{"DeepSurv, " + setTitle[set], fmt.Sprintf("C %.3f, Brier %.3f (horizon not stated)", Paper.C[set], Paper.Brier[set])})
	}
	return t
}

func (r *Result) radscoreTable() htmlTable {
	t := htmlTable{Title: "Radscore", Head: []string{"feature", "coefficient", "mean", "SD", "coefficient per SD", "selected in"}}
	t.Note = fmt.Sprintf("%d features given, %d left out (no value for a patient), %d after the Pearson filter (|r| < %g with any kept before), %d selected at lambda %.6g (%s; median of %d draws of %d folds). Score = sum of coefficient x (value - mean).",
		r.Features.Given, len(r.Features.Lost), r.Features.Kept, r.Spec.Filter, r.Features.Selected, r.Radscore.Lambda, r.Spec.LambdaRule, len(r.LambdaDraws), r.Spec.Folds)
	for k, n := range r.Radscore.Names {
		t.Rows = append(t.Rows, []string{n, fmt.Sprintf("%.6g", r.Radscore.Coef[k]), fmt.Sprintf("%.6g", r.Radscore.Mean[k]), fmt.Sprintf("%.6g", r.Radscore.SD[k]),
			three(r.Radscore.Coef[k] * r.Radscore.SD[k]), fmt.Sprintf("%.0f %% of draws", 100*r.Radscore.SelectionFrequency[k])})
	}
	return t
}

func (r *Result) performanceTable(set string, m map[string]*Metrics) htmlTable {
	any := m[ModelDeepSurv]
	t := htmlTable{Title: fmt.Sprintf("Performance, %s set (%d patients, %d events)", setTitle[set], any.N, any.Events), Head: []string{""}}
	if set == Train {
		t.Note = "Apparent performance: optimistic, the models have seen these patients. "
	}
	t.Note += fmt.Sprintf("Intervals: %d bootstrap draws of patients, percentiles, paired between models; slope: Wald. Brier, IBS and AUC weighted by 1/G(T-) of the set; Uno's C to %g months. IPA against the training Kaplan-Meier, and against the set's own.", r.Spec.Bootstraps, r.Spec.Tau)
	var line [20][]string
	for _, name := range Models {
		x := m[name]
		t.Head = append(t.Head, ModelTitle[name])
		k := 0
		put := func(label, v string) {
			if line[k] == nil {
				line[k] = []string{label}
			}
			line[k] = append(line[k], v)
			k++
		}
		put("Harrell C", interval(x.C))
		put("difference from the clinical model", interval(x.DeltaC))
		put("Uno C", three(float64(x.Uno)))
		for _, h := range r.Horizons[:min(3, len(r.Horizons))] {
			key := prognosis.HorizonKey(h)
			put("Brier, "+key+" months", interval(x.Brier[key]))
			put("IPA, "+key+" months (train KM; own KM)", three(float64(x.IPATrain[key]))+"; "+three(float64(x.IPAOwn[key])))
			put("AUC, "+key+" months", three(float64(x.AUC[key])))
			put("O:E, "+key+" months", three(float64(x.OE[key])))
		}
		put("integrated Brier", interval(x.IBS))
		put("calibration slope", interval(x.Slope))
		put(fmt.Sprintf("ICI; E90, %g months", x.Calibration.Months), three(float64(x.Calibration.ICI))+"; "+three(float64(x.Calibration.E90)))
		put("high against low risk: HR; log-rank P", three(float64(x.Groups.HR))+"; "+pValue(float64(x.Groups.LogRank)))
	}
	for _, l := range line {
		if l != nil {
			t.Rows = append(t.Rows, l)
		}
	}
	return t
}

func (r *Result) networkTable() htmlTable {
	n := r.Network
	t := htmlTable{Title: "DeepSurv", Head: []string{"input", "mean", "SD", "attention", "SD over networks", "mean |weighted input|", "permutation importance (drop of C)"}}
	gate := map[int]string{0: "no gate", 1: "softmax gate", 2: "sigmoid gate"}[int(n.Architecture.Gate)]
	t.Note = fmt.Sprintf("%d networks, %s of %d units, %d hidden units, %d residual blocks, L2 %g, dropout %g, Adam at %g, at most %d epochs with early stopping. Baseline: %s, slope %.3f. The nomogram's Cox model shares R² = %s with the network's log risk. Attention is not causal and depends on the seed and on coding: a 0/1 input contributes nothing at its reference level.",
		len(n.Seeds), gate, n.Architecture.GateHidden, n.Architecture.Hidden, n.Architecture.Blocks, n.Options.L2, n.Options.Dropout, n.Options.LearningRate, n.Options.Epochs, n.Baseline, n.Gamma, three(float64(r.Surrogate)))
	for _, set := range Sets {
		if c, ok := n.MemberC[set]; ok {
			t.Note += fmt.Sprintf(" C of single networks, %s: %.3f to %.3f.", setTitle[set], c[0], c[1])
		}
	}
	for _, in := range r.Inputs {
		t.Rows = append(t.Rows, []string{in.Name, fmt.Sprintf("%.4g", in.Mean), fmt.Sprintf("%.4g", in.SD), three(float64(in.Attention)), three(float64(in.AttentionSD)), three(float64(in.Weighted)),
			fmt.Sprintf("%s ± %s", three(float64(in.Importance)), three(float64(in.ImportanceSD)))})
	}
	return t
}

func (r *Result) sensitivityTable() htmlTable {
	t := htmlTable{Title: "Sensitivity of the clinical model", Note: "Complete coverage hangs on single voxels, and progression is seen only at scans: the clinical model with each changed.", Head: []string{"", "effect", "HR (95 % CI)", "P"}}
	for _, set := range Sets {
		if r.Performance[set] != nil {
			t.Head = append(t.Head, "C, "+setTitle[set])
		}
	}
	for _, s := range r.Sensitivity {
		for k, e := range s.Effects {
			row := []string{"", e.Name, fmt.Sprintf("%.3f (%.3f to %.3f)", e.HR, e.Lower, e.Upper), pValue(e.P)}
			for _, set := range Sets {
				if r.Performance[set] == nil {
					continue
				}
				c := ""
				if k == 0 {
					row[0], c = s.Name, three(float64(s.C[set]))
				}
				row = append(row, c)
			}
			t.Rows = append(t.Rows, row)
		}
	}
	return t
}

func (r *Result) subgroupTable() htmlTable {
	t := htmlTable{Title: "Subgroups of the validation patients", Note: "C of the network.", Head: []string{"", "n", "events", "C"}}
	for _, s := range r.Subgroups {
		t.Rows = append(t.Rows, []string{s.Name, fmt.Sprint(s.N), fmt.Sprint(s.Events), three(float64(s.C))})
	}
	return t
}

func resamplingTable(title string, r *Resampling) htmlTable {
	t := htmlTable{Title: title, Note: fmt.Sprintf("%d runs.", r.Runs), Head: []string{"", "mean C", "SD"}}
	if r.Apparent != nil {
		t.Head = append(t.Head, "apparent", "optimism")
	}
	for _, m := range append([]string{"radscore"}, Models...) {
		if _, ok := r.C[m]; !ok {
			continue
		}
		name := ModelTitle[m]
		if name == "" {
			name = "Radscore alone"
		}
		row := []string{name, three(float64(r.C[m])), three(float64(r.SD[m]))}
		if r.Apparent != nil {
			row = append(row, three(float64(r.Apparent[m])), three(float64(r.Optimism[m])))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

var reportTemplate = template.Must(template.New("report").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{.Title}}</title>
<style>body{font-family:sans-serif;max-width:1100px;margin:2em auto;padding:0 1em;color:#222}table{border-collapse:collapse;margin:.6em 0 1.6em;font-size:13px}
th,td{border-bottom:1px solid #ddd;padding:3px 9px;text-align:left;vertical-align:top}th{border-bottom:2px solid #888}.note{font-size:13px;color:#444;max-width:60em}
figure{display:inline-block;margin:1em 1em 1em 0;vertical-align:top;max-width:100%}figcaption{font-size:12px;color:#444;max-width:520px}.rou{background:#fff3cd;padding:.6em 1em}svg{max-width:100%;height:auto}</style></head>
<body><h1>{{.Title}}</h1><p class="rou"><b>Research use only.</b> {{.Software}}. Data {{.Data}}, split {{.Split}}, seed {{.Seed}}. Bundle {{.Bundle}}.</p>
<h2>How to read this</h2><ul>{{range .Remarks}}<li class="note">{{.}}</li>{{end}}</ul>
{{range .Tables}}<h2>{{.Title}}</h2>{{if .Note}}<p class="note">{{.Note}}</p>{{end}}{{if .Rows}}<table><thead><tr>{{range .Head}}<th>{{.}}</th>{{end}}</tr></thead><tbody>{{range .Rows}}<tr>{{range .}}<td>{{.}}</td>{{end}}</tr>{{end}}</tbody></table>{{end}}{{end}}
<h2>Figures</h2>{{range .Figures}}<figure>{{.SVG}}<figcaption>{{.Caption}}</figcaption></figure>{{end}}
</body></html>
`))

type reportFigure struct {
	SVG     template.HTML // drawn here, every text in it escaped
	Caption string
}

// Report writes the self-contained HTML report.
func (r *Result) Report(w io.Writer) error {
	title := r.Spec.Title
	if title == "" {
		title = "Local tumour progression after radiofrequency ablation: prognosis study"
	}
	var figures []reportFigure
	for _, f := range r.figures() {
		figures = append(figures, reportFigure{template.HTML(f.SVG), f.Caption})
	}
	return reportTemplate.Execute(w, map[string]any{"Title": title, "Software": r.Software, "Data": r.DataSHA[:min(12, len(r.DataSHA))], "Split": r.SplitSHA[:12], "Seed": r.Spec.Seed, "Bundle": r.bundle.ID,
		"Remarks": r.Remarks, "Tables": r.tables(), "Figures": figures})
}
