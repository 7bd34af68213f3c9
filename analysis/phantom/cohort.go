package phantom

import (
	"context"
	"fmt"
	"math"
	"slices"

	"rfanode/analysis/survival"
)

// CohortOptions shape a synthetic cohort; the zero value is the plain one.
type CohortOptions struct {
	Seed       uint64
	Weak       bool // the features say nothing of the outcome: a LASSO that selects any is wrong
	Competing  bool // some die without progression (event code 2)
	Missing    bool // one value in twenty of some covariates is missing
	Separation bool // nobody with complete coverage has the event
}

// Cohort is a table of synthetic patients with the marginal figures of the study of Wang et al. 2026 (109 training, 46
// internal, 62 external patients, 85 events, 1,316 features). It holds no patient data: its counts, quartiles and hazard
// ratios are those the paper prints, everything else is drawn from the seed.
type Cohort struct {
	ID, Center, Set []string
	Time            []float64 // months, one decimal
	Event           []int     // 0 censored, 1 progression, 2 death without progression
	Covariates      []Column
	FeatureNames    []string
	Features        [][]float64 // one column a feature
	Truth           CohortTruth
}

// Column is one covariate; a missing value is NaN.
type Column struct {
	Name     string
	Decimals int
	Value    []float64
}

// CohortTruth is what generated the outcome.
type CohortTruth struct {
	Seed        uint64             `json:"seed"`
	Informative []string           `json:"informative"` // features that carry signal
	Weights     []float64          `json:"weights"`
	Generating  map[string]float64 `json:"generating_log_hazard_ratios"`
	Radscore    float64            `json:"generating_log_hazard_ratio_of_one_sd_of_the_feature_score"`
	LogRisk     []float64          `json:"log_risk"` // true linear predictor, in the patients' order
	Estimated   map[string]float64 `json:"estimated_hazard_ratios"`
	C           map[string]float64 `json:"c_of_the_true_log_risk"`
}

// cohortSets are the three sets in file order.
var cohortSets = []struct {
	name, center string
	n            int
}{{"train", "A", 109}, {"internal", "A", 46}, {"external", "B", 62}}

const cohortSize = 109 + 46 + 62

// quartiles of the paper's Table 1 by set, with the decimals that the table of patients has.
var cohortQuartiles = []struct {
	name     string
	decimals int
	low      float64 // no value below
	q        [3][3]float64
}{
	{"age", 0, 20, [3][3]float64{{56, 64, 71}, {60, 65.5, 69.8}, {61, 67, 72}}},
	{"rbc", 2, 1, [3][3]float64{{4, 4.2, 4.6}, {3.9, 4.3, 4.6}, {4, 4.3, 4.6}}},
	{"wbc", 1, 1, [3][3]float64{{4.8, 6, 8}, {4.8, 6.1, 6.9}, {4.8, 6, 7.1}}},
	{"plt", 0, 20, [3][3]float64{{177, 205, 241}, {184, 217.5, 265.5}, {171, 202, 246.5}}},
	{"pt", 1, 8, [3][3]float64{{12.5, 13, 13.4}, {12.7, 13.2, 13.7}, {12.5, 13, 13.6}}},
	{"aptt", 1, 15, [3][3]float64{{32.7, 35, 37.8}, {33.3, 35.6, 37.5}, {31.5, 35, 36.6}}},
	{"tt", 1, 10, [3][3]float64{{15.9, 16.6, 17.1}, {16, 16.6, 17}, {15.9, 16.4, 16.9}}},
	{"fib", 2, .6, [3][3]float64{{2.6, 3, 3.5}, {2.6, 2.9, 3.3}, {2.6, 3, 3.3}}},
	{"ddimer", 2, .05, [3][3]float64{{.2, .3, .5}, {.2, .3, .4}, {.2, .2, .4}}},
	{"diameter", 1, 4, [3][3]float64{{14, 18, 23}, {15, 17.5, 25.8}, {13, 16, 21}}},
}

// counts of the paper's Table 1: how many patients of each set have each level.
var cohortCounts = []struct {
	name   string
	levels []float64
	counts [3][]int
}{
	{"male", []float64{1, 0}, [3][]int{{53, 56}, {23, 23}, {33, 29}}},
	{"smoking", []float64{1, 0}, [3][]int{{48, 61}, {24, 22}, {30, 32}}},
	{"hypertension", []float64{1, 0}, [3][]int{{52, 57}, {22, 24}, {33, 29}}},
	{"diabetes", []float64{1, 0}, [3][]int{{13, 96}, {7, 39}, {11, 51}}},
	{"hyperlipidemia", []float64{1, 0}, [3][]int{{23, 86}, {15, 31}, {15, 47}}},
	{"squamous", []float64{0, 1}, [3][]int{{99, 10}, {42, 4}, {54, 8}}},
	{"location", []float64{0, 1, 2, 3, 4}, [3][]int{{39, 10, 16, 32, 12}, {17, 3, 6, 14, 6}, {24, 3, 12, 15, 8}}},
	{"nature", []float64{1, 2, 3}, [3][]int{{47, 33, 29}, {19, 16, 11}, {25, 18, 19}}},
}

var cohortBMI = [3][2]float64{{24.00, 3.13}, {24.17, 3.01}, {24.36, 3.27}} // mean, SD

// MakeCohort draws a cohort. The same options give the same table, bit for bit.
func MakeCohort(ctx context.Context, o CohortOptions) (*Cohort, error) {
	c := &Cohort{}
	for s, set := range cohortSets {
		for range set.n {
			c.ID = append(c.ID, fmt.Sprintf("SYN%03d", len(c.ID)+1))
			c.Center, c.Set = append(c.Center, cohortSets[s].center), append(c.Set, set.name)
		}
	}
	c.covariates(o.Seed)
	c.coverage(o.Seed)
	score := c.features(o)
	if err := c.outcome(ctx, o, score); err != nil {
		return nil, err
	}
	if o.Missing {
		rng := survival.NewRand(o.Seed, 77)
		for _, name := range []string{"fib", "ddimer", "bmi", "smoking", "aptt"} {
			v := c.column(name)
			for i := range v {
				if rng.Float64() < .05 {
					v[i] = math.NaN()
				}
			}
		}
	}
	return c, nil
}

func (c *Cohort) column(name string) []float64 {
	for _, k := range c.Covariates {
		if k.Name == name {
			return k.Value
		}
	}
	return nil
}

func roundTo(v float64, decimals int) float64 {
	p := math.Pow(10, float64(decimals))
	return math.Round(v*p) / p
}

// covariates draws everything but coverage: stratified uniforms through a normal with two half-slopes, so that the
// quartiles are the paper's; exact counts in random order; BMI with exact mean and SD.
func (c *Cohort) covariates(seed uint64) {
	for k, q := range cohortQuartiles {
		col := Column{q.name, q.decimals, nil}
		for s, set := range cohortSets {
			rng := survival.NewRand(seed, 1, uint64(k), uint64(s))
			q1, m, q3 := q.q[s][0], q.q[s][1], q.q[s][2]
			const z75 = .6744897501960817
			for _, r := range rng.Perm(set.n) {
				n := float64(set.n)
				z := survival.NormalQuantile(min(max(float64(r)/(n-1), .5/n), 1-.5/n)) // R's quantiles of these are exact
				slope := (q3 - m) / z75
				if z < 0 {
					slope = (m - q1) / z75
				}
				col.Value = append(col.Value, max(q.low, roundTo(m+z*slope, q.decimals)))
			}
		}
		c.Covariates = append(c.Covariates, col)
	}
	for k, q := range cohortCounts {
		col := Column{q.name, 0, nil}
		for s := range cohortSets {
			var v []float64
			for l, n := range q.counts[s] {
				for range n {
					v = append(v, q.levels[l])
				}
			}
			for _, r := range survival.NewRand(seed, 2, uint64(k), uint64(s)).Perm(len(v)) {
				col.Value = append(col.Value, v[r])
			}
		}
		c.Covariates = append(c.Covariates, col)
	}
	bmi := Column{"bmi", 2, nil}
	for s, set := range cohortSets {
		rng := survival.NewRand(seed, 3, uint64(s))
		v := make([]float64, set.n)
		for i := range v {
			v[i] = rng.Normal()
		}
		mean, sd := survival.MeanSD(v)
		for _, z := range v {
			bmi.Value = append(bmi.Value, roundTo(cohortBMI[s][0]+cohortBMI[s][1]*(z-mean)/sd, 2))
		}
	}
	c.Covariates = append(c.Covariates, bmi)
}

// completeCount is the number of patients with a coverage of 1.
const completeCount = 70

// coverage: complete in the 70 patients who are likeliest to have it (a ground-glass nature and a small diameter help),
// else a beta distribution near 1.
func (c *Cohort) coverage(seed uint64) {
	rng := survival.NewRand(seed, 4)
	nature, diameter := c.column("nature"), c.column("diameter")
	score, idx := make([]float64, cohortSize), make([]int, cohortSize)
	for i := range score {
		u := rng.Float64()
		score[i] = .35*(nature[i]-2) - .04*(diameter[i]-18) + math.Log(u/(1-u))
		idx[i] = i
	}
	slices.SortFunc(idx, func(a, b int) int {
		switch {
		case score[a] > score[b]:
			return -1
		case score[a] < score[b]:
			return 1
		}
		return a - b
	})
	tcr, one := make([]float64, cohortSize), make([]float64, cohortSize)
	for k, i := range idx {
		if k < completeCount {
			tcr[i], one[i] = 1, 1
			continue
		}
		a, b := gammaDeviate(rng, 9), gammaDeviate(rng, 1.3)
		tcr[i] = min(.999, roundTo(a/(a+b), 3))
	}
	c.Covariates = append(c.Covariates, Column{"tcr", 3, tcr}, Column{"tcr1", 0, one})
}

// gammaDeviate has the given shape >= 1 (Marsaglia and Tsang 2000).
func gammaDeviate(rng *survival.Rand, shape float64) float64 {
	d := shape - 1./3
	k := 1 / math.Sqrt(9*d)
	for {
		x := rng.Normal()
		v := 1 + k*x
		if v <= 0 {
			continue
		}
		v = v * v * v
		if math.Log(rng.Float64()) < .5*x*x+d-d*v+d*math.Log(v) {
			return d * v
		}
	}
}
