package survival

import "math"

// PearsonFilter drops what is redundant: columns are walked in order, and one is dropped if its |Pearson r| with any
// column kept before reaches the threshold. Constant or non-finite columns are dropped first. It returns the indices
// kept. Rows must be those of the training set only.
func PearsonFilter(x [][]float64, threshold float64) []int {
	var kept []int
	var units [][]float64
	for j, col := range x {
		u := unit(col)
		if u == nil {
			continue
		}
		redundant := false
		for _, k := range units {
			if math.Abs(dot4(u, k)) >= threshold {
				redundant = true
				break
			}
		}
		if !redundant {
			kept, units = append(kept, j), append(units, u)
		}
	}
	return kept
}

// unit is the column less its mean, of length 1; nil if constant or not finite.
func unit(col []float64) []float64 {
	m, sd := meanSD(col)
	if math.IsNaN(sd) || math.IsInf(sd, 0) || math.IsInf(m, 0) || sd <= 1e-12*math.Abs(m) || sd == 0 {
		return nil
	}
	u := make([]float64, len(col))
	s := 0.0
	for i, v := range col {
		u[i] = (v - m) / sd
		s += u[i] * u[i]
	}
	s = math.Sqrt(s)
	for i := range u {
		u[i] /= s
	}
	return u
}

// dot4 is dot with four running sums, which the processor adds side by side. Products are rounded before they are
// added, so that the result does not depend on the architecture.
func dot4(a, b []float64) float64 {
	b = b[:len(a)]
	var s0, s1, s2, s3 float64
	i := 0
	for ; i+4 <= len(a); i += 4 {
		x, y := a[i:i+4:i+4], b[i:i+4:i+4]
		s0 += float64(x[0] * y[0])
		s1 += float64(x[1] * y[1])
		s2 += float64(x[2] * y[2])
		s3 += float64(x[3] * y[3])
	}
	for ; i < len(a); i++ {
		s0 += float64(a[i] * b[i])
	}
	return (s0 + s1) + (s2 + s3)
}
