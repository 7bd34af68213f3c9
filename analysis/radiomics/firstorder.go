package radiomics

import (
	"math"
	"slices"
)

const eps = 0x1p-52 // numpy.spacing(1)

// firstOrder computes the features of the values x of a region; voxel is the volume of a voxel, mm³.
func firstOrder(x []float64, l *levels, s *Settings, voxel float64) map[string]float64 {
	n := float64(len(x))
	sorted := slices.Clone(x)
	slices.Sort(sorted)
	p10, p90 := percentile(sorted, 10), percentile(sorted, 90)
	energy, mean := 0.0, 0.0
	for _, v := range x {
		energy += (v + s.VoxelArrayShift) * (v + s.VoxelArrayShift)
		mean += v
	}
	mean /= n
	var m2, m3, m4, absolute float64
	for _, v := range x {
		d := v - mean
		m2 += d * d
		m3 += d * d * d
		m4 += d * d * d * d
		absolute += math.Abs(d)
	}
	m2, m3, m4 = m2/n, m3/n, m4/n
	skewness, kurtosis := 0.0, 0.0
	if m2 != 0 {
		skewness, kurtosis = m3/math.Pow(m2, 1.5), m4/(m2*m2)
	}
	entropy, uniformity := 0.0, 0.0
	for _, c := range l.counts {
		p := float64(c) / n
		entropy -= p * math.Log2(p+eps)
		uniformity += p * p
	}
	return map[string]float64{
		"10Percentile": p10, "90Percentile": p90,
		"Energy": energy, "TotalEnergy": energy * voxel, "RootMeanSquared": math.Sqrt(energy / n),
		"Entropy": entropy, "Uniformity": uniformity,
		"InterquartileRange": percentile(sorted, 75) - percentile(sorted, 25), "Median": percentile(sorted, 50),
		"Kurtosis": kurtosis, "Skewness": skewness, "Variance": m2, "StandardDeviation": math.Sqrt(m2),
		"Maximum": sorted[len(sorted)-1], "Minimum": sorted[0], "Range": sorted[len(sorted)-1] - sorted[0],
		"Mean": mean, "MeanAbsoluteDeviation": absolute / n,
		"RobustMeanAbsoluteDeviation": robustDeviation(x, p10, p90),
	}
}

// percentile interpolates linearly between order statistics, numpy's default.
func percentile(sorted []float64, q float64) float64 {
	at := q / 100 * float64(len(sorted)-1)
	i := int(at)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	a, b, t := sorted[i], sorted[i+1], at-float64(i)
	if t >= 0.5 {
		return b - float64((b-a)*(1-t))
	}
	return a + float64((b-a)*t)
}

// robustDeviation is the mean absolute deviation of the values from p10 to p90; NaN if none lies there.
func robustDeviation(x []float64, p10, p90 float64) float64 {
	sum, n := 0.0, 0.0
	for _, v := range x {
		if v >= p10 && v <= p90 {
			sum += v
			n++
		}
	}
	mean := sum / n
	sum = 0
	for _, v := range x {
		if v >= p10 && v <= p90 {
			sum += math.Abs(v - mean)
		}
	}
	return sum / n
}
