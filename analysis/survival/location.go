package survival

import (
	"math"
	"slices"
)

// MeanSD is the mean and the sample standard deviation (1/(n-1)).
func MeanSD(v []float64) (mean, sd float64) {
	mean, sd = meanSD(v)
	n := float64(len(v))
	return mean, sd * math.Sqrt(n/(n-1))
}

// Summary is what a table prints of a group: enough for ANOVA.
type Summary struct {
	N        int
	Mean, SD float64 // SD with 1/(n-1)
}

// Summarise the groups.
func Summarise(groups [][]float64) []Summary {
	var out []Summary
	for _, g := range groups {
		m, sd := MeanSD(g)
		out = append(out, Summary{len(g), m, sd})
	}
	return out
}

// ANOVA is the one-way F test of equal means with a common variance; from two groups it is the square of Student's t.
func ANOVA(g []Summary) Test {
	n, grand := 0.0, 0.0
	for _, s := range g {
		n += float64(s.N)
		grand += float64(s.N) * s.Mean
	}
	grand /= n
	between, within := 0.0, 0.0
	for _, s := range g {
		between += float64(s.N) * (s.Mean - grand) * (s.Mean - grand)
		within += float64(s.N-1) * s.SD * s.SD
	}
	df1, df2 := float64(len(g)-1), n-float64(len(g))
	f := (between / df1) / (within / df2)
	return Test{f, df1, df2, fP(f, df1, df2)}
}

// WelchANOVA is the F test without the common variance (Welch 1951).
func WelchANOVA(g []Summary) Test {
	sum, mean := 0.0, 0.0
	w := make([]float64, len(g))
	for i, s := range g {
		w[i] = float64(s.N) / (s.SD * s.SD)
		sum += w[i]
		mean += w[i] * s.Mean
	}
	mean /= sum
	k := float64(len(g))
	num, tmp := 0.0, 0.0
	for i, s := range g {
		num += w[i] * (s.Mean - mean) * (s.Mean - mean) / (k - 1)
		tmp += (1 - w[i]/sum) * (1 - w[i]/sum) / float64(s.N-1)
	}
	tmp /= k*k - 1
	f := num / (1 + 2*(k-2)*tmp)
	df2 := 1 / (3 * tmp)
	return Test{f, k - 1, df2, fP(f, k-1, df2)}
}

// StudentT compares two means with a common variance, two-sided.
func StudentT(a, b Summary) Test {
	na, nb := float64(a.N), float64(b.N)
	v := ((na-1)*a.SD*a.SD + (nb-1)*b.SD*b.SD) / (na + nb - 2)
	t := (a.Mean - b.Mean) / math.Sqrt(v*(1/na+1/nb))
	return Test{Statistic: t, DF: na + nb - 2, P: tP(t, na+nb-2)}
}

// WelchT compares two means, each with its own variance, two-sided.
func WelchT(a, b Summary) Test {
	va, vb := a.SD*a.SD/float64(a.N), b.SD*b.SD/float64(b.N)
	t := (a.Mean - b.Mean) / math.Sqrt(va+vb)
	df := (va + vb) * (va + vb) / (va*va/float64(a.N-1) + vb*vb/float64(b.N-1))
	return Test{Statistic: t, DF: df, P: tP(t, df)}
}

// KruskalWallis is the rank test of equal distributions, corrected for ties.
func KruskalWallis(groups [][]float64) Test {
	var all []float64
	for _, g := range groups {
		all = append(all, g...)
	}
	rank, ties := MidRanks(all)
	n := float64(len(all))
	h, at := 0.0, 0
	for _, g := range groups {
		s := 0.0
		for range g {
			s += rank[at]
			at++
		}
		h += s * s / float64(len(g))
	}
	h = (12*h/(n*(n+1)) - 3*(n+1)) / (1 - ties/(n*n*n-n))
	return chi2Test(h, len(groups)-1)
}

// MannWhitney compares two groups: W (R's: rank sum of a less its minimum) and the normal P value, corrected for ties,
// with and without the continuity correction.
func MannWhitney(a, b []float64) (w, pCorrected, p float64) {
	rank, ties := MidRanks(append(append([]float64(nil), a...), b...))
	na, nb := float64(len(a)), float64(len(b))
	n := na + nb
	for i := range a {
		w += rank[i]
	}
	w -= na * (na + 1) / 2
	z := w - na*nb/2
	sigma := math.Sqrt(na * nb / 12 * (n + 1 - ties/(n*(n-1))))
	corrected := z - math.Copysign(0.5, z)
	if z == 0 {
		corrected = 0
	}
	return w, normalP(corrected / sigma), normalP(z / sigma)
}

// ShapiroWilk tests normality (Royston, Appl Stat 1995, algorithm AS R94); n between 3 and 5000. W and its P value; NaN
// outside that, or if all values are equal.
func ShapiroWilk(v []float64) (w, p float64) {
	n := len(v)
	if n < 3 || n > 5000 {
		return math.NaN(), math.NaN()
	}
	x := slices.Sorted(slices.Values(v))
	if x[n-1]-x[0] < 1e-19 {
		return math.NaN(), math.NaN()
	}
	a := shapiroWeights(n)
	mean, _ := meanSD(x)
	num, den := 0.0, 0.0
	for i, u := range x {
		num += a[i] * (u - mean)
		den += (u - mean) * (u - mean)
	}
	w = num * num / den
	return w, shapiroP(w, n)
}

// shapiroWeights are the coefficients of the order statistics, of length 1.
func shapiroWeights(n int) []float64 {
	a := make([]float64, n)
	if n == 3 {
		a[0], a[2] = -math.Sqrt(.5), math.Sqrt(.5)
		return a
	}
	half := n / 2
	m := make([]float64, half) // expected normal order statistics, lower half (negative)
	s := 0.0
	for i := range m {
		m[i] = NormalQuantile((float64(i+1) - .375) / (float64(n) + .25))
		s += 2 * m[i] * m[i]
	}
	root := math.Sqrt(s)
	r := 1 / math.Sqrt(float64(n))
	a1 := poly(r, 0, .221157, -.147981, -2.07119, 4.434685, -2.706056) - m[0]/root
	var first int
	var phi float64
	if n > 5 {
		a2 := -m[1]/root + poly(r, 0, .042981, -.293762, -1.752461, 5.682633, -3.582633)
		phi = (s - 2*m[0]*m[0] - 2*m[1]*m[1]) / (1 - 2*a1*a1 - 2*a2*a2)
		first = 2
		a[1], a[n-2] = -a2, a2
	} else {
		phi = (s - 2*m[0]*m[0]) / (1 - 2*a1*a1)
		first = 1
	}
	a[0], a[n-1] = -a1, a1
	for i := first; i < half; i++ {
		c := m[i] / math.Sqrt(phi)
		a[i], a[n-1-i] = c, -c
	}
	return a
}

func shapiroP(w float64, n int) float64 {
	if n == 3 {
		const pi6, stqr = 1.90985931710274, 1.04719755119660
		return max(0, pi6*(math.Asin(math.Sqrt(w))-stqr))
	}
	y := math.Log(1 - w)
	x := math.Log(float64(n))
	var m, s float64
	if n <= 11 {
		gamma := poly(float64(n), -2.273, .459)
		if y >= gamma {
			return 1e-99
		}
		y = -math.Log(gamma - y)
		m = poly(float64(n), .544, -.39978, .025054, -6.714e-4)
		s = math.Exp(poly(float64(n), 1.3822, -.77857, .062767, -.0020322))
	} else {
		m = poly(x, -1.5861, -.31082, -.083751, .0038915)
		s = math.Exp(poly(x, -.4803, -.082676, .0030302))
	}
	return math.Erfc((y-m)/s/math.Sqrt2) / 2
}
