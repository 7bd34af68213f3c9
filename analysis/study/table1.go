package study

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"rfanode/analysis/prognosis"
	"rfanode/analysis/survival"
)

// Table1Row is one line of the baseline table.
type Table1Row struct {
	Name      string        `json:"name"`
	Level     string        `json:"level,omitempty"` // of a categorical covariate
	Values    []string      `json:"values"`          // by set
	Missing   []int         `json:"missing,omitempty"`
	Test      string        `json:"test,omitempty"`
	Statistic prognosis.Num `json:"statistic"`
	P         prognosis.Num `json:"p"`
	Also      string        `json:"also,omitempty"` // a second test where the rule asks for one
}

// normalP: groups whose Shapiro-Wilk P is at least this are described by mean and SD.
const normalP = .05

// table1 compares the sets: mean and SD with ANOVA (two sets: t test) where every set looks normal, else median and
// quartiles with Kruskal-Wallis (two sets: Mann-Whitney); counts with Pearson's chi-square without correction, and
// Fisher's exact test beside it where more than a fifth of the expected counts are below 5.
func (c *Cohort) table1(s Spec) []Table1Row {
	var present []string
	for _, set := range Sets {
		if len(c.Rows(set)) > 0 {
			present = append(present, set)
		}
	}
	nan := prognosis.Num(math.NaN())
	rows := []Table1Row{{Name: "patients", Statistic: nan, P: nan}, {Name: "local progression", Statistic: nan, P: nan}, {Name: "follow-up, months: median (reverse Kaplan-Meier)", Statistic: nan, P: nan}}
	for _, set := range present {
		y := c.Y.Pick(c.Rows(set))
		rows[0].Values = append(rows[0].Values, strconv.Itoa(y.Len()))
		rows[1].Values = append(rows[1].Values, count(y.Events(), y.Len()))
		rows[2].Values = append(rows[2].Values, number(survival.FollowUp(y).Quantile(.5)))
	}
	for _, n := range c.Names {
		var groups [][]float64
		var missing []int
		for _, set := range present {
			var known []float64
			all := survival.PickValues(c.Columns[n], c.Rows(set))
			for _, v := range all {
				if !math.IsNaN(v) {
					known = append(known, v)
				}
			}
			groups, missing = append(groups, known), append(missing, len(all)-len(known))
		}
		if slices.ContainsFunc(groups, func(g []float64) bool { return len(g) == 0 }) {
			continue
		}
		if slices.Max(missing) == 0 {
			missing = nil
		}
		if few := levelsOf(slices.Concat(groups...)); len(few) <= 2 || slices.Contains(s.Categorical, n) || len(few) <= 5 && integers(few) {
			rows = append(rows, countRows(n, few, groups, missing)...)
		} else {
			rows = append(rows, continuousRow(n, groups, missing, s))
		}
	}
	return rows
}

func integers(v []float64) bool {
	return !slices.ContainsFunc(v, func(x float64) bool { return x != math.Trunc(x) })
}

func continuousRow(name string, groups [][]float64, missing []int, s Spec) Table1Row {
	normal := true
	for _, g := range groups {
		_, p := survival.ShapiroWilk(g)
		normal = normal && p >= normalP
	}
	normal = (normal || slices.Contains(s.MeanSD, name)) && !slices.Contains(s.MedianIQR, name)
	r := Table1Row{Name: name, Missing: missing, Statistic: prognosis.Num(math.NaN()), P: prognosis.Num(math.NaN())}
	if normal {
		sum := survival.Summarise(groups)
		for _, g := range sum {
			r.Values = append(r.Values, fmt.Sprintf("%.2f ± %.2f", g.Mean, g.SD))
		}
		switch len(groups) {
		case 1:
		case 2:
			t, w := survival.StudentT(sum[0], sum[1]), survival.WelchT(sum[0], sum[1])
			r.Test, r.Statistic, r.P, r.Also = "t", prognosis.Num(t.Statistic), prognosis.Num(t.P), "Welch P = "+pValue(w.P)
		default:
			t := survival.ANOVA(sum)
			r.Test, r.Statistic, r.P = "F", prognosis.Num(t.Statistic), prognosis.Num(t.P)
		}
		return r
	}
	for _, g := range groups {
		q := func(p float64) string { return number(survival.Quantile(g, p, s.QuantileType)) }
		r.Values = append(r.Values, fmt.Sprintf("%s (%s, %s)", q(.5), q(.25), q(.75)))
	}
	switch len(groups) {
	case 1:
	case 2:
		w, pc, p := survival.MannWhitney(groups[0], groups[1])
		r.Test, r.Statistic, r.P, r.Also = "Mann-Whitney W", prognosis.Num(w), prognosis.Num(p), "with continuity correction P = "+pValue(pc)
	default:
		t := survival.KruskalWallis(groups)
		r.Test, r.Statistic, r.P = "H", prognosis.Num(t.Statistic), prognosis.Num(t.P)
	}
	return r
}

func countRows(name string, levels []float64, groups [][]float64, missing []int) []Table1Row {
	nan := prognosis.Num(math.NaN())
	counts := make([][]int, len(groups))
	for k, g := range groups {
		for _, l := range levels {
			n := 0
			for _, v := range g {
				if v == l {
					n++
				}
			}
			counts[k] = append(counts[k], n)
		}
	}
	head := Table1Row{Name: name, Missing: missing, Statistic: nan, P: nan}
	if len(levels) > 1 && len(groups) > 1 {
		t := survival.ChiSquare(counts)
		head.Test, head.Statistic, head.P = "chi-square", prognosis.Num(t.Statistic), prognosis.Num(t.P)
		if t.SmallExpected > .2 {
			p, exact := survival.FisherExact(counts)
			head.Also = "Fisher P = " + pValue(p)
			if !exact {
				head.Also += " (sampled)"
			}
		}
	}
	if len(levels) == 2 && levels[0] == 0 && levels[1] == 1 { // one line says it
		for k := range groups {
			head.Values = append(head.Values, count(counts[k][1], len(groups[k])))
		}
		return []Table1Row{head}
	}
	out := []Table1Row{head}
	for l, v := range levels {
		r := Table1Row{Name: name, Level: number(v), Statistic: nan, P: nan}
		for k := range groups {
			r.Values = append(r.Values, count(counts[k][l], len(groups[k])))
		}
		out = append(out, r)
	}
	for range groups {
		out[0].Values = append(out[0].Values, "")
	}
	return out
}

func count(k, n int) string { return fmt.Sprintf("%d (%.1f %%)", k, 100*float64(k)/float64(max(n, 1))) }

// number prints up to four digits after the point, none that are zero.
func number(v float64) string {
	if math.IsNaN(v) {
		return "not reached"
	}
	s := strconv.FormatFloat(v, 'f', 3, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// pValue prints three decimals, and "< 0.001" below.
func pValue(p float64) string {
	switch {
	case math.IsNaN(p):
		return "–"
	case p < .001:
		return "< 0.001"
	}
	return strconv.FormatFloat(p, 'f', 3, 64)
}
