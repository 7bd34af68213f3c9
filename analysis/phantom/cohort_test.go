package phantom

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"rfanode/analysis/survival"
)

// rows of a set in a cohort.
func (c *Cohort) rows(set string) []int {
	var out []int
	for i, s := range c.Set {
		if s == set {
			out = append(out, i)
		}
	}
	return out
}

// TestCohortMarginals: the synthetic cohort has the paper's counts, quartiles, hazard ratios and follow-up, for seeds
// that were not used to build it.
func TestCohortMarginals(t *testing.T) {
	for _, seed := range []uint64{1, 20, 33, 71} {
		c, err := MakeCohort(context.Background(), CohortOptions{Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		for s, set := range cohortSets {
			rows := c.rows(set.name)
			if len(rows) != set.n {
				t.Fatalf("%s has %d patients", set.name, len(rows))
			}
			for _, q := range cohortQuartiles {
				v := survival.PickValues(c.column(q.name), rows)
				step := math.Pow(10, -float64(min(q.decimals, 1))) * 1.0001 // the paper prints one decimal at most
				for k, p := range []float64{.25, .5, .75} {
					if got := survival.Quantile(v, p, 7); math.Abs(got-q.q[s][k]) > step {
						t.Errorf("seed %d, %s, %s: quartile %g, the paper has %g", seed, set.name, q.name, got, q.q[s][k])
					}
				}
			}
			for _, q := range cohortCounts {
				v := survival.PickValues(c.column(q.name), rows)
				for l, level := range q.levels {
					n := 0
					for _, x := range v {
						if x == level {
							n++
						}
					}
					if n != q.counts[s][l] {
						t.Errorf("%s %s=%g: %d, want %d", set.name, q.name, level, n, q.counts[s][l])
					}
				}
			}
			mean, sd := survival.MeanSD(survival.PickValues(c.column("bmi"), rows))
			if math.Abs(mean-cohortBMI[s][0]) > .01 || math.Abs(sd-cohortBMI[s][1]) > .01 {
				t.Errorf("BMI of %s: %.3f SD %.3f", set.name, mean, sd)
			}
			if v := c.Truth.C[set.name]; v < .8 || v > .95 {
				t.Errorf("seed %d: C of the true log risk in %s is %.3f", seed, set.name, v)
			}
		}
		checkOutcome(t, seed, c)
	}
}

func checkOutcome(t *testing.T, seed uint64, c *Cohort) {
	t.Helper()
	y := survival.Outcome{Time: c.Time, Event: c.Event}
	if n := y.Events(); n < 82 || n > 88 {
		t.Errorf("seed %d: %d events", seed, n)
	}
	complete, events, tied := 0, 0, 0
	at := make(map[float64]int)
	for i, v := range c.column("tcr1") {
		if v == 1 {
			complete++
			events += c.Event[i]
		}
		if c.Event[i] == 1 {
			at[c.Time[i]]++
		}
	}
	for _, n := range at {
		if n > 1 {
			tied++
		}
	}
	if complete != 70 || events < 4 || events > 7 || tied < 10 {
		t.Errorf("seed %d: %d complete with %d events, %d tied event times", seed, complete, events, tied)
	}
	for k, p := range []float64{0, .25, .5, .75, 1} {
		if got := survival.Quantile(c.Time, p, 7); math.Abs(got-targetTimes[k]) > .051 {
			t.Errorf("seed %d: time quantile %g is %g, want %g", seed, p, got, targetTimes[k])
		}
	}
	f, err := survival.Cox(y, [][]float64{c.column("male"), c.column("fib"), c.column("tcr1")}, survival.CoxOptions{})
	if err != nil {
		t.Fatal(err)
	}
	g, err := survival.Cox(y, [][]float64{c.column("nature")}, survival.CoxOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for j, hr := range append(f.HR, g.HR[0]) {
		if math.Abs(hr/targetHR[j]-1) > .03 {
			t.Errorf("seed %d: HR of %s %.3f, the paper has %.3f", seed, targetNames[j], hr, targetHR[j])
		}
	}
}

// TestCohortFeatures: 1,316 distinct names, as redundant as real radiomics, and the same bits again.
func TestCohortFeatures(t *testing.T) {
	c, err := MakeCohort(context.Background(), CohortOptions{Seed: 4})
	if err != nil {
		t.Fatal(err)
	}
	names := slices.Clone(c.FeatureNames)
	slices.Sort(names)
	if n := len(slices.Compact(names)); n != 1316 || len(c.Features) != 1316 {
		t.Fatalf("%d names, %d columns", n, len(c.Features))
	}
	pairs := 0
	var units [][]float64
	for _, v := range c.Features {
		mean, sd := survival.MeanSD(v)
		u := make([]float64, len(v))
		for i := range v {
			u[i] = (v[i] - mean) / sd / math.Sqrt(float64(len(v)-1))
		}
		for _, w := range units {
			r := 0.0
			for i := range u {
				r += u[i] * w[i]
			}
			if math.Abs(r) > .9 {
				pairs++
			}
		}
		units = append(units, u)
	}
	if pairs < 5000 || pairs > 20000 {
		t.Errorf("%d pairs with |r| > .9", pairs)
	}
	again, err := MakeCohort(context.Background(), CohortOptions{Seed: 4})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(c.Time, again.Time) || !slices.Equal(c.Features[700], again.Features[700]) {
		t.Error("one seed, two cohorts")
	}
	dir := t.TempDir()
	if err := c.Write(dir); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"cohort.csv", "features.csv.gz", "truth.json"} {
		if s, err := os.Stat(filepath.Join(dir, f)); err != nil || s.Size() < 1000 {
			t.Errorf("%s: %v", f, err)
		}
	}
}

// TestCohortVariants: each flag makes what it says.
func TestCohortVariants(t *testing.T) {
	ctx := context.Background()
	c, err := MakeCohort(ctx, CohortOptions{Seed: 2, Separation: true})
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range c.column("tcr1") {
		if v == 1 && c.Event[i] == 1 {
			t.Fatal("separation: an event with complete coverage")
		}
	}
	c, err = MakeCohort(ctx, CohortOptions{Seed: 2, Competing: true, Missing: true})
	if err != nil {
		t.Fatal(err)
	}
	deaths, missing := 0, 0
	for i, e := range c.Event {
		if e == survival.Competing {
			deaths++
		}
		if math.IsNaN(c.column("fib")[i]) {
			missing++
		}
	}
	if deaths < 10 || deaths > 80 || missing < 3 || missing > 25 {
		t.Errorf("%d deaths, %d without fibrinogen", deaths, missing)
	}
	c, err = MakeCohort(ctx, CohortOptions{Seed: 2, Weak: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Truth.Informative) != 0 {
		t.Error("weak: informative features named")
	}
}
