package survival

import (
	"math"

	"gonum.org/v1/gonum/mathext"
)

// Test is a test statistic with its degrees of freedom (DF2 for an F statistic, else 0) and its P value.
type Test struct {
	Statistic float64 `json:"statistic"`
	DF        float64 `json:"df"`
	DF2       float64 `json:"df2,omitempty"`
	P         float64 `json:"p"`
}

// z95 is the 97.5 % quantile of the normal distribution.
const z95 = 1.959963984540054

// chi2Test is a test by the chi-square distribution.
func chi2Test(x float64, df int) Test {
	return Test{Statistic: x, DF: float64(df), P: chi2P(x, float64(df))}
}

// chi2P is the upper tail of the chi-square distribution.
func chi2P(x, df float64) float64 {
	switch {
	case math.IsNaN(x) || df <= 0:
		return math.NaN()
	case x <= 0:
		return 1
	case df == 1:
		return math.Erfc(math.Sqrt(x / 2))
	}
	return mathext.GammaIncRegComp(df/2, x/2)
}

// normalP is the two-sided P value of a standard normal statistic.
func normalP(z float64) float64 { return math.Erfc(math.Abs(z) / math.Sqrt2) }

// tP is the two-sided P value of Student's t.
func tP(t, df float64) float64 {
	if math.IsNaN(t) {
		return math.NaN()
	}
	return mathext.RegIncBeta(df/2, 0.5, df/(df+t*t))
}

// fP is the upper tail of the F distribution.
func fP(f, df1, df2 float64) float64 {
	if math.IsNaN(f) {
		return math.NaN()
	}
	if f <= 0 {
		return 1
	}
	return mathext.RegIncBeta(df2/2, df1/2, df2/(df2+df1*f))
}
