package survival_test

import (
	"fmt"

	"rfanode/analysis/survival"
)

// Months to progression (1) or to the last scan without (0), and the coverage ratio of eight patients.
func example() (survival.Outcome, []float64) {
	return survival.Outcome{Time: []float64{3, 5, 8, 12, 14, 20, 24, 30}, Event: []int{1, 1, 0, 1, 0, 1, 0, 0}},
		[]float64{.92, .80, .95, .88, 1, .97, .90, 1}
}

func ExampleKaplanMeier() {
	y, _ := example()
	km := survival.KaplanMeier(y)
	fmt.Printf("free of progression at 12 months: %.3f; median %.0f months\n", km.At(12), km.Quantile(.5))
	// Output: free of progression at 12 months: 0.600; median 20 months
}

func ExampleCox() {
	y, tcr := example()
	ten := make([]float64, len(tcr))
	for i, v := range tcr {
		ten[i] = 10 * v
	}
	fit, err := survival.Cox(y, [][]float64{ten}, survival.CoxOptions{Names: []string{"TCR per 0.1"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	c := survival.Concordance(y, fit.Predict([][]float64{ten}), survival.ConcordanceOptions{})
	fmt.Printf("%s: hazard ratio %.3f, C %.3f\n", fit.Names[0], fit.HR[0], c.C)
	// Output: TCR per 0.1: hazard ratio 0.253, C 0.789
}
