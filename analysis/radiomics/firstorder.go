package radiomics

import (
	"math"
	"slices"
	"sort"
)

const eps = 0x1p-52 // numpy.spacing(1)

// firstOrder computes the features of the values x of a region; voxel is the volume of a voxel, mm³.
func firstOrder(x []float64, l *levels, s *Settings, voxel float64) map[string]float64 {
	n := float64(len(x))
	low, high := slices.Min(x), slices.Max(x)
	q := percentiles(x, low, high, []float64{10, 25, 50, 75, 90})
	p10, p90 := q[0], q[4]
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
		"InterquartileRange": q[3] - q[1], "Median": q[2],
		"Kurtosis": kurtosis, "Skewness": skewness, "Variance": m2, "StandardDeviation": math.Sqrt(m2),
		"Maximum": high, "Minimum": low, "Range": high - low,
		"Mean": mean, "MeanAbsoluteDeviation": absolute / n,
		"RobustMeanAbsoluteDeviation": robustDeviation(x, p10, p90),
	}
}

// percentiles interpolates linearly between order statistics, numpy's default. Values are thrown into boxes of equal
// width and only the boxes that hold a wanted one are sorted.
func percentiles(x []float64, low, high float64, percent []float64) []float64 {
	const boxes = 4096
	scale := (boxes - 1) / (high - low)
	if low == high || math.IsInf(scale, 0) {
		scale = 0
	}
	box := func(v float64) int { return int((v - low) * scale) }
	var below [boxes + 1]int32
	for _, v := range x {
		below[box(v)+1]++
	}
	for i := range boxes {
		below[i+1] += below[i]
	}
	held := map[int][]float64{}
	for _, q := range percent {
		i := int(q / 100 * float64(len(x)-1))
		for _, k := range [2]int{i, min(i+1, len(x)-1)} {
			held[sort.Search(boxes, func(b int) bool { return int(below[b+1]) > k })] = nil
		}
	}
	var wanted [boxes]bool
	for b := range held {
		wanted[b] = true
	}
	for _, v := range x {
		if b := box(v); wanted[b] {
			held[b] = append(held[b], v)
		}
	}
	for _, v := range held {
		slices.Sort(v)
	}
	statistic := func(k int) float64 {
		b := sort.Search(boxes, func(b int) bool { return int(below[b+1]) > k })
		return held[b][k-int(below[b])]
	}
	out := make([]float64, len(percent))
	for n, q := range percent {
		at := q / 100 * float64(len(x)-1)
		i := int(at)
		a, b, t := statistic(i), statistic(min(i+1, len(x)-1)), at-float64(i)
		if t >= 0.5 {
			out[n] = b - float64((b-a)*(1-t))
		} else {
			out[n] = a + float64((b-a)*t)
		}
	}
	return out
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
