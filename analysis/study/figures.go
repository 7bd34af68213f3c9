package study

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"

	"rfanode/analysis/survival"
)

// Figure is one picture of the report.
type Figure struct {
	Name, Caption, SVG string
}

// setTitle is a set's name for people.
var setTitle = map[string]string{Train: "training", Internal: "internal validation", External: "external validation"}

// figures draws everything, in the order of the report.
func (r *Result) figures() []Figure {
	var out []Figure
	add := func(name, caption, svg string) {
		if svg != "" {
			out = append(out, Figure{name, caption, svg})
		}
	}
	if cv := r.fitted.Radscore.CV; cv != nil {
		add("lasso-cv", "Cross-validated partial-likelihood deviance of the LASSO (first of the draws of the folds), with one standard error. Dashed: the lambda used, the median over all draws.", r.lassoCV(cv))
		add("lasso-path", "LASSO coefficients of standardised features by lambda. Dashed: the lambda used.", r.lassoPath(cv))
	}
	for _, set := range Sets {
		if m := r.Performance[set]; m != nil {
			add("km-"+set, fmt.Sprintf("Kaplan-Meier by risk group (DeepSurv log risk at most, or above, its training median), %s set; log-rank P = %s.", setTitle[set], pValue(float64(m[ModelDeepSurv].Groups.LogRank))), riskKM(m[ModelDeepSurv].Groups, set))
		}
	}
	add("km-coverage", "Kaplan-Meier by coverage, all patients.", r.coverageKM())
	for _, set := range Sets {
		if m := r.Performance[set]; m != nil {
			add("calibration-"+set, fmt.Sprintf("Calibration at %g months, %s set: fifths of predicted risk with 95 %% intervals, and the smooth curve.", m[ModelDeepSurv].Calibration.Months, setTitle[set]), calibrationPlot(m, set))
		}
	}
	for _, set := range Sets {
		if m := r.Performance[set]; m != nil && set != Train {
			add("decision-"+set, fmt.Sprintf("Decision curve at %g months, %s set.", middle(r.Horizons), setTitle[set]), decisionPlot(m, set))
		}
	}
	add("nomogram", "Nomogram of the Cox model with Radscore (as figure 3 of the paper). It is not the network: R² of its log risk with the network's is printed in the text.", r.nomogram())
	add("attention", "Mean attention of the network's inputs, training set, with the standard deviation over the networks of the ensemble (as figure 4 of the paper). Attention is not causal and changes with the seed.", r.attentionPlot())
	return out
}

func (r *Result) lassoCV(cv *survival.CVPath) string {
	var x, lo, hi []float64
	a, b := math.Inf(1), math.Inf(-1)
	for k, l := range cv.Lambda {
		x, lo, hi = append(x, -math.Log(l)), append(lo, cv.Mean[k]-cv.SE[k]), append(hi, cv.Mean[k]+cv.SE[k])
		if l >= .3*r.fitted.Radscore.Lambda || k == 0 { // beyond, the deviance climbs out of sight
			a, b = min(a, lo[k]), max(b, hi[k])
		}
	}
	p := newPlot("LASSO cross-validation", 520, 360, x[0], -math.Log(pathEnd*cv.Lambda[0]), a-.05*(b-a), b+.05*(b-a))
	p.axes("-ln lambda", "deviance", ticks(p.x0, p.x1, 6), ticks(p.y0, p.y1, 6))
	p.line(x, lo, "#999", "")
	p.line(x, hi, "#999", "")
	p.line(x, cv.Mean, palette[0], "")
	at := -math.Log(r.fitted.Radscore.Lambda)
	p.segment(p.x(at), p.top, p.x(at), p.h-p.foot, `stroke="#333" stroke-dasharray="4 3"`)
	return p.done(.1, .05)
}

func (r *Result) lassoPath(cv *survival.CVPath) string {
	series, first := make(map[int][]float64), make(map[int]int) // a line starts where its feature enters
	var x []float64
	a, b := 0.0, 0.0
	for k, l := range cv.Lambda {
		if l < pathEnd*cv.Lambda[0] {
			break
		}
		x = append(x, -math.Log(l))
		for i, j := range cv.Coef[k].Index {
			if series[j] == nil {
				series[j] = make([]float64, len(cv.Lambda))
			}
			v := cv.Coef[k].Value[i] * cv.SD[j]
			series[j][k] = v
			if _, ok := first[j]; !ok {
				first[j] = max(0, k-1)
			}
			a, b = min(a, v), max(b, v)
		}
	}
	if len(series) == 0 {
		return ""
	}
	var order []int
	for j := range series {
		order = append(order, j)
	}
	slices.Sort(order)
	p := newPlot("LASSO path", 520, 360, x[0], x[len(x)-1], a-.02, b+.02)
	p.axes("-ln lambda", "coefficient per SD", ticks(p.x0, p.x1, 6), ticks(p.y0, p.y1, 6))
	for k, j := range order {
		p.line(x[first[j]:], series[j][first[j]:len(x)], palette[k%len(palette)], "")
	}
	at := -math.Log(r.fitted.Radscore.Lambda)
	p.segment(p.x(at), p.top, p.x(at), p.h-p.foot, `stroke="#333" stroke-dasharray="4 3"`)
	return p.done(0, 0)
}

func riskKM(g RiskGroups, set string) string {
	if len(g.Curves) < 2 {
		return ""
	}
	return kmPlot("Free of local progression, "+setTitle[set], g.Curves, []string{fmt.Sprintf("low risk (%d)", g.Low), fmt.Sprintf("high risk (%d)", g.High)})
}

func kmPlot(title string, curves []survival.Curve, names []string) string {
	last := 0.0
	for _, c := range curves {
		last = max(last, c.Time[len(c.Time)-1])
	}
	p := newPlot(title, 520, 380, 0, last, 0, 1)
	p.foot = 48 + 15*float64(len(curves)) + 8
	marks := ticks(0, last, 6)
	p.axes("", "probability", marks, ticks(0, 1, 5))
	for k, c := range curves {
		p.steps(c.Time, c.Surv, palette[k])
		for i, n := range c.Censored {
			if n > 0 {
				p.segment(p.x(c.Time[i]), p.y(c.Surv[i])-4, p.x(c.Time[i]), p.y(c.Surv[i])+4, fmt.Sprintf(`stroke="%s"`, palette[k]))
			}
		}
		p.key(names[k], palette[k])
		for _, t := range marks {
			p.text(p.x(t), p.h-28-15*float64(len(curves)-1-k), "middle", 11, fmt.Sprint(c.AtRiskAt(t)))
		}
	}
	p.text(p.left-8, p.h-28-15*float64(len(curves)), "end", 9, "at risk")
	p.text((p.left+p.w-p.right)/2, p.h-8, "middle", 12, "months")
	return p.done(.03, .8)
}

func (r *Result) coverageKM() string {
	tcr, ok := r.cohort.Columns["tcr1"]
	if !ok {
		return ""
	}
	var idx [2][]int
	for i, v := range tcr {
		if !math.IsNaN(v) {
			idx[int(v)] = append(idx[int(v)], i)
		}
	}
	if len(idx[0]) == 0 || len(idx[1]) == 0 {
		return ""
	}
	y := r.cohort.Y
	return kmPlot("Free of local progression by coverage", []survival.Curve{survival.KaplanMeier(y.Pick(idx[1])), survival.KaplanMeier(y.Pick(idx[0]))},
		[]string{fmt.Sprintf("TCR = 1 (%d)", len(idx[1])), fmt.Sprintf("TCR < 1 (%d)", len(idx[0]))})
}

func calibrationPlot(m map[string]*Metrics, set string) string {
	p := newPlot("Calibration, "+setTitle[set], 420, 420, 0, 1, 0, 1)
	p.axes("predicted risk", "observed risk", ticks(0, 1, 5), ticks(0, 1, 5))
	p.line([]float64{0, 1}, []float64{0, 1}, "#999", "4 3")
	for k, name := range Models {
		a := m[name].Calibration
		var x, y []float64
		for _, c := range a.Curve {
			x, y = append(x, float64(c[0])), append(y, float64(c[1]))
		}
		p.line(x, y, palette[k], "")
		for _, g := range a.Points {
			if name != ModelDeepSurv {
				continue
			}
			if lo, hi := float64(g[3]), float64(g[4]); !math.IsNaN(lo) && !math.IsNaN(hi) {
				p.segment(p.x(float64(g[1])), p.y(lo), p.x(float64(g[1])), p.y(hi), fmt.Sprintf(`stroke="%s"`, palette[k]))
			}
			p.dot(float64(g[1]), float64(g[2]), palette[k])
		}
		p.key(ModelTitle[name], palette[k])
	}
	return p.done(.03, .03)
}

func decisionPlot(m map[string]*Metrics, set string) string {
	top := .05
	for _, b := range m[ModelDeepSurv].Decision {
		top = max(top, float64(b.All), float64(b.Model))
	}
	p := newPlot("Decision curve, "+setTitle[set], 520, 360, 0, .8, -.05, top*1.15)
	p.axes("threshold risk", "net benefit", ticks(0, .8, 8), ticks(p.y0, p.y1, 5))
	for k, name := range Models {
		var x, y, all []float64
		for _, b := range m[name].Decision {
			x, y, all = append(x, float64(b.Threshold)), append(y, float64(b.Model)), append(all, float64(b.All))
		}
		if k == 0 {
			p.line(x, all, "#999", "")
			p.line([]float64{0, .8}, []float64{0, 0}, "#333", "4 3")
			p.key("treat all", "#999")
		}
		p.line(x, y, palette[k], "")
		p.key(ModelTitle[name], palette[k])
	}
	return p.done(.6, .05)
}

func (r *Result) attentionPlot() string {
	type bar struct {
		name      string
		mean, std float64
	}
	var bars []bar
	for _, in := range r.Inputs {
		if !math.IsNaN(float64(in.Attention)) {
			bars = append(bars, bar{in.Name, float64(in.Attention), float64(in.AttentionSD)})
		}
	}
	if bars == nil {
		return ""
	}
	slices.SortStableFunc(bars, func(a, b bar) int {
		switch {
		case a.mean > b.mean:
			return -1
		case a.mean < b.mean:
			return 1
		}
		return 0
	})
	top := 0.0
	for _, b := range bars {
		top = max(top, b.mean+b.std)
	}
	p := newPlot("Attention", 520, 90+26*float64(len(bars)), 0, top*1.05, 0, 1)
	p.left = 190
	p.axes("mean attention", "", ticks(0, top, 5), nil)
	for k, b := range bars {
		y := p.top + 10 + 26*float64(k)
		fmt.Fprintf(&p.b, `<rect x="%s" y="%s" width="%s" height="16" fill="%s"/>`, px(p.left), px(y), px(p.x(b.mean)-p.left), palette[0])
		p.segment(p.x(b.mean-b.std), y+8, p.x(b.mean+b.std), y+8, `stroke="#333"`)
		p.text(p.left-8, y+12, "end", 11, b.name)
	}
	return p.done(0, 0)
}

// nomogram draws the Cox model with Radscore: each input's axis over its training range, in points of which the widest
// contribution has 100, then total points and the probabilities at the horizons.
func (r *Result) nomogram() string {
	f := r.fitted
	m := f.Cox[ModelRadscore]
	if f.Spec.Inputs == "features" {
		m = f.Cox[ModelClinical]
	}
	type axis struct {
		name   string
		lo, hi float64
		b      float64
	}
	var axes []axis
	widest, base := 0.0, 0.0
	for k, n := range m.Names {
		for _, in := range f.Net.Inputs {
			if in.Name == n {
				a := axis{n, in.Min, in.Max, m.Coef[k]}
				axes = append(axes, a)
				widest = max(widest, math.Abs(a.b)*(a.hi-a.lo))
				base += min(a.b*a.lo, a.b*a.hi)
			}
		}
	}
	if len(axes) == 0 || widest == 0 {
		return ""
	}
	total := 0.0
	for _, a := range axes {
		total += 100 * math.Abs(a.b) * (a.hi - a.lo) / widest
	}
	const width, left, row = 720.0, 170.0, 44.0
	h := 60 + row*float64(len(axes)+2+len(r.Horizons))
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %s %s" width="%s" height="%s" font-family="sans-serif" font-size="11" role="img"><title>Nomogram</title><rect width="%s" height="%s" fill="#fff"/>`, px(width), px(h), px(width), px(h), px(width), px(h))
	at := func(points, scale float64) float64 { return left + points/scale*(width-left-30) }
	y := 40.0
	draw := func(name string, ends, marks []float64, label func(float64) string, pos func(float64) float64) {
		fmt.Fprintf(&b, `<text x="%s" y="%s" text-anchor="end" font-size="12">%s</text>`, px(left-14), px(y+4), html.EscapeString(name))
		lo, hi := math.Inf(1), math.Inf(-1)
		for _, v := range append(slices.Clone(ends), marks...) {
			lo, hi = min(lo, pos(v)), max(hi, pos(v))
		}
		for _, v := range marks {
			x := pos(v)
			fmt.Fprintf(&b, `<line x1="%s" y1="%s" x2="%s" y2="%s" stroke="#333"/><text x="%s" y="%s" text-anchor="middle" font-size="10">%s</text>`, px(x), px(y), px(x), px(y-6), px(x), px(y-9), html.EscapeString(label(v)))
		}
		if hi >= lo {
			fmt.Fprintf(&b, `<line x1="%s" y1="%s" x2="%s" y2="%s" stroke="#333"/>`, px(lo), px(y), px(hi), px(y))
		}
		y += row
	}
	draw("Points", nil, ticks(0, 100, 10), tick, func(v float64) float64 { return at(v, 100) })
	for _, a := range axes {
		marks := ticks(a.lo, a.hi, 6)
		if a.lo == 0 && a.hi == 1 {
			marks = []float64{0, 1}
		}
		draw(a.name, []float64{a.lo, a.hi}, marks, tick, func(v float64) float64 {
			return at(100*(a.b*v-min(a.b*a.lo, a.b*a.hi))/widest, 100)
		})
	}
	draw("Total points", []float64{0, total}, ticks(0, total, 10), tick, func(v float64) float64 { return at(v, total) })
	for _, t := range r.Horizons {
		// probability -> linear predictor -> total points; only what the axis can reach
		var marks []float64
		pos := func(s float64) float64 {
			lp := math.Log(-math.Log(s) / m.Baseline.At(t))
			return at(100*(lp-base)/widest, total)
		}
		for _, s := range []float64{.99, .95, .9, .8, .7, .6, .5, .4, .3, .2, .1, .05} {
			if x := pos(s); x >= left-.01 && x <= width-29.99 && (len(marks) == 0 || math.Abs(x-pos(marks[len(marks)-1])) > 22) {
				marks = append(marks, s)
			}
		}
		draw(fmt.Sprintf("Free at %g months", t), nil, marks, tick, pos)
	}
	b.WriteString("</svg>")
	return b.String()
}
