package survival

import (
	"math"
	"path/filepath"
	"testing"
)

// TestPaperTable1: the paper's own Table 1 from its printed counts and summaries, to the three decimals it prints.
func TestPaperTable1(t *testing.T) {
	two := func(n, k [3]int) [][]int {
		return [][]int{{k[0], n[0] - k[0]}, {k[1], n[1] - k[1]}, {k[2], n[2] - k[2]}}
	}
	n := [3]int{109, 46, 62}
	for _, c := range []struct {
		row     string
		counts  [][]int
		chi2, p float64
		df      float64
	}{
		{"gender", two(n, [3]int{53, 23, 33}), .336, .845, 2},
		{"smoking", two(n, [3]int{48, 24, 30}), .926, .629, 2},
		{"hypertension", two(n, [3]int{52, 22, 33}), .533, .766, 2},
		{"diabetes", two(n, [3]int{13, 7, 11}), 1.133, .568, 2},
		{"hyperlipidaemia", two(n, [3]int{23, 15, 15}), 2.323, .313, 2},
		{"pathology", [][]int{{99, 10}, {42, 4}, {54, 8}}, .737, .692, 2},
		{"location", [][]int{{39, 10, 16, 32, 12}, {17, 3, 6, 14, 6}, {24, 3, 12, 15, 8}}, 2.626, .956, 8},
		{"nature", [][]int{{47, 33, 29}, {19, 16, 11}, {25, 18, 19}}, .855, .931, 4},
	} {
		r := ChiSquare(c.counts)
		if math.Abs(r.Statistic-c.chi2) > .0005 || math.Abs(r.P-c.p) > .0005 || r.DF != c.df {
			t.Errorf("%s: chi2 %.4f P %.4f df %g, the paper prints %.3f %.3f %g", c.row, r.Statistic, r.P, r.DF, c.chi2, c.p, c.df)
		}
	}
	a := ANOVA([]Summary{{109, 24.00, 3.13}, {46, 24.17, 3.01}, {62, 24.36, 3.27}})
	if math.Abs(a.Statistic-.262) > .0005 || math.Abs(a.P-.770) > .0005 {
		t.Errorf("BMI: F %.4f P %.4f, the paper prints .262 .770", a.Statistic, a.P)
	}
	for _, hp := range [][2]float64{{2.846, .241}, {.409, .815}, {2.984, .225}, {2.602, .272}, {.806, .668}, {1.476, .478}, {.188, .910}, {2.809, .245}, {3.849, .146}} {
		if p := chi2P(hp[0], 2); math.Abs(p-hp[1]) > .0006 {
			t.Errorf("H %g: P %.4f, the paper prints %g", hp[0], p, hp[1])
		}
	}
}

// TestTable1Cohort: every test of Table 1 on the reference cohort, against R.
func TestTable1Cohort(t *testing.T) {
	dir := shared(t)
	tb := readTable(t, filepath.Join(dir, "clinical.csv"))
	ref := readNode(t, filepath.Join(dir, "ref_cohort_R.json")).get("table1")
	sets := []string{"train", "internal", "external"}
	for _, name := range []string{"age", "rbc", "wbc", "plt", "pt", "aptt", "tt", "fib", "ddimer", "diameter", "bmi"} {
		v := tb.floats(t, name)
		var groups [][]float64
		for _, s := range sets {
			groups = append(groups, PickValues(v, tb.where("set", s)))
		}
		want := ref.get(name)
		for k, p := range want.get("shapiro").nums() {
			_, got := ShapiroWilk(groups[k])
			near(t, name+" Shapiro", got, p, 1e-6)
		}
		if name == "bmi" {
			s := Summarise(groups)
			near(t, "F", ANOVA(s).Statistic, want.get("F").num(), 1e-9)
			near(t, "F p", ANOVA(s).P, want.get("p").num(), 1e-9)
			w := WelchANOVA(s)
			near(t, "Welch F", w.Statistic, want.get("welchF").num(), 1e-9)
			near(t, "Welch p", w.P, want.get("welch_p").num(), 1e-9)
			near(t, "Welch df", w.DF2, want.get("welch_df").nums()[1], 1e-9)
			continue
		}
		kw := KruskalWallis(groups)
		near(t, name+" H", kw.Statistic, want.get("kruskal_H").num(), 1e-9)
		near(t, name+" P", kw.P, want.get("p").num(), 1e-9)
		u, pc, p := MannWhitney(groups[0], groups[2])
		m := want.get("mwu_train_ext")
		nears(t, name+" Mann-Whitney", []float64{u, pc, p}, []float64{m.get("W").num(), m.get("p_cc").num(), m.get("p_nocc").num()}, 1e-9)
		for k, s := range sets {
			for kind, key := range map[int]string{7: "quart", 6: "quart_type6"} {
				nears(t, name+" quartiles", []float64{Quantile(groups[k], .25, kind), Quantile(groups[k], .5, kind), Quantile(groups[k], .75, kind)}, want.get(key, s).nums(), 1e-9)
			}
		}
	}
	for _, name := range []string{"male", "smoking", "hypertension", "diabetes", "hyperlipidemia", "squamous", "location", "nature", "event", "tcr1"} {
		v := tb.ints(t, name)
		low, high := 99, 0
		for _, x := range v {
			low, high = min(low, x), max(high, x)
		}
		var counts [][]int
		for _, s := range sets {
			row := make([]int, high-low+1)
			for _, i := range tb.where("set", s) {
				row[v[i]-low]++
			}
			counts = append(counts, row)
		}
		r := ChiSquare(counts)
		want := ref.get(name)
		near(t, name+" chi2", r.Statistic, want.get("chi2").num(), 1e-9)
		near(t, name+" p", r.P, want.get("p").num(), 1e-9)
		if w := want.get("fisher_p").num(); !math.IsNaN(w) {
			if p, exact := FisherExact(counts); exact {
				near(t, name+" Fisher", p, w, 1e-9)
			} else if math.Abs(p-w) > 0.006 { // 4 standard errors of 100,000 draws
				t.Errorf("%s: Fisher by sampling %.4f, R %.4f", name, p, w)
			}
		}
	}
}

// TestFisherSmall: Fisher's tea tasting, and a table R documents (Job satisfaction, 4 x 4, n = 104).
func TestFisherSmall(t *testing.T) {
	p, exact := FisherExact([][]int{{3, 1}, {1, 3}})
	if !exact || math.Abs(p-0.4857142857142857) > 1e-12 {
		t.Errorf("tea: %g", p)
	}
	p, exact = FisherExact([][]int{{1, 2, 1, 0}, {3, 3, 6, 1}, {10, 10, 14, 9}, {6, 7, 12, 11}})
	tolerance := 1e-4
	if !exact {
		tolerance = 0.006
	}
	if math.Abs(p-0.7827) > tolerance {
		t.Errorf("job satisfaction: %g (exact %v), want 0.7827", p, exact)
	}
}
