package survival

import (
	"math"
	"slices"
)

// Quantile of v by R's type 7 (linear between order statistics, the default of R and NumPy) or type 6 (SPSS).
func Quantile(v []float64, p float64, kind int) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	s := slices.Clone(v)
	slices.Sort(s)
	n := float64(len(s))
	at := p * (n - 1)
	if kind == 6 {
		at = p*(n+1) - 1
	}
	at = min(max(at, 0), n-1)
	k := int(math.Floor(at + 4e-16*n)) // the rounding of p(n-1) must not fall below an exact order statistic
	f := at - float64(k)
	if math.Abs(f) < 1e-12 || k+1 >= len(s) {
		return s[min(k, len(s)-1)]
	}
	return s[k] + f*(s[k+1]-s[k])
}

// MidRanks numbers values from 1, equal ones with their mean rank; ties is sum of t^3 - t over groups of t equal ones.
func MidRanks(v []float64) (rank []float64, ties float64) {
	idx := make([]int, len(v))
	for i := range idx {
		idx[i] = i
	}
	slices.SortStableFunc(idx, func(a, b int) int {
		switch {
		case v[a] < v[b]:
			return -1
		case v[a] > v[b]:
			return 1
		}
		return 0
	})
	rank = make([]float64, len(v))
	for from := 0; from < len(idx); {
		to := from + 1
		for to < len(idx) && v[idx[to]] == v[idx[from]] {
			to++
		}
		for _, i := range idx[from:to] {
			rank[i] = float64(from+to+1) / 2
		}
		t := float64(to - from)
		ties += t*t*t - t
		from = to
	}
	return rank, ties
}
