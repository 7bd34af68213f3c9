package radiomics

import "math"

// cooccurrence computes the co-occurrence features: one matrix a direction and distance, features averaged over them, or
// one matrix weighted by exp(-length²).
func cooccurrence(g *grid, s *Settings, spacing [3]float64) map[string]float64 {
	k := len(g.levels.values)
	counts := make([]uint32, k*k)
	p := make([]float64, k*k)
	var sum []float64
	var all []pairMoments
	w := newPairWork(g.levels, s.SymmetricalGLCM)
	for _, d := range directions(g.size, s.Distances, s, false) {
		g.countPairs(g.offset(d), counts)
		total := 0.0
		for i := range k {
			for j := range k {
				n := float64(counts[i*k+j])
				if s.SymmetricalGLCM {
					n += float64(counts[j*k+i])
				}
				p[i*k+j] = n
				total += n
			}
		}
		if s.WeightingNorm != "" {
			if sum == nil {
				sum = make([]float64, k*k)
			}
			weight := 1.0
			if s.WeightingNorm != "no_weighting" {
				l := d.length(s.WeightingNorm, spacing)
				weight = math.Exp(-l * l)
			}
			for i, n := range p {
				sum[i] += n * weight
			}
			continue
		}
		if total > 0 {
			all = append(all, w.features(p, total))
		}
	}
	if sum != nil {
		total := 0.0
		for _, n := range sum {
			total += n
		}
		if total > 0 {
			all = append(all, w.features(sum, total))
		}
	}
	out := make(map[string]float64, len(pairNames))
	for f, name := range pairNames {
		sum, n := 0.0, 0.0
		for i := range all {
			if v := all[i][f]; !math.IsNaN(v) {
				sum += v
				n++
			}
		}
		out[name] = sum / n
	}
	if k == 1 {
		out["MCC"] = 1
	}
	return out
}

// countPairs counts the pairs of levels of a voxel and the one a step away. Few levels mean that one count is raised again
// and again; four tables in turn keep the processor from waiting for itself.
func (g *grid) countPairs(step int32, counts []uint32) {
	clear(counts)
	k := len(g.levels.values)
	if k > 64 {
		for _, v := range g.voxels {
			if r := g.rank[v+step]; r != 0 {
				counts[(int(g.rank[v])-1)*k+int(r)-1]++
			}
		}
		return
	}
	var tables [4][65 * 65]uint32 // rank 0 has a row and a column too
	for _, row := range g.rows {
		here, there := g.bytes[row.from:row.to], g.bytes[row.from+step:row.to+step]
		for len(here) >= 4 && len(there) >= 4 {
			tables[0][(int(here[0])*65+int(there[0]))]++
			tables[1][(int(here[1])*65+int(there[1]))]++
			tables[2][(int(here[2])*65+int(there[2]))]++
			tables[3][(int(here[3])*65+int(there[3]))]++
			here, there = here[4:], there[4:]
		}
		for i, r := range here {
			tables[0][int(r)*65+int(there[i])]++
		}
	}
	for i := range k {
		for j := range k {
			at := (i+1)*65 + j + 1
			counts[i*k+j] = tables[0][at] + tables[1][at] + tables[2][at] + tables[3][at]
		}
	}
}

// pairMoments are the features of one co-occurrence matrix, in the order of pairNames.
type pairMoments [24]float64

var pairNames = featureNames["glcm"]

// pairWork holds what the matrices of a region share, and room to work in.
type pairWork struct {
	level          []float64 // of each rank
	number         []int     // the same as whole numbers
	high           float64   // the highest level
	px, py         []float64
	plus, minus    []float64 // probability of level sums and differences
	symmetric      bool
	normalised     []float64
	correlationMax *secondValue
}

func newPairWork(l *levels, symmetric bool) *pairWork {
	k := len(l.values)
	w := &pairWork{number: l.values, high: float64(l.high), px: make([]float64, k), py: make([]float64, k), plus: make([]float64, 2*l.high+1),
		minus: make([]float64, l.high), symmetric: symmetric, normalised: make([]float64, k*k), correlationMax: newSecondValue(k, symmetric)}
	for _, v := range l.values {
		w.level = append(w.level, float64(v))
	}
	return w
}

// features computes those of a matrix of counts n with their sum.
func (w *pairWork) features(n []float64, total float64) (m pairMoments) {
	k := len(w.level)
	p := w.normalised
	clear(w.px)
	clear(w.py)
	clear(w.plus)
	clear(w.minus)
	var ux, uy float64
	for i, li := range w.level {
		for j, lj := range w.level {
			v := n[i*k+j]
			if v == 0 {
				p[i*k+j] = 0
				continue
			}
			v /= total
			p[i*k+j] = v
			w.px[i] += v
			w.py[j] += v
			w.plus[w.number[i]+w.number[j]] += v
			w.minus[max(w.number[i]-w.number[j], w.number[j]-w.number[i])] += v
			ux += li * v
			uy += lj * v
		}
	}
	var auto, prominence, shade, tendency, varX, varY, covariance, energy, hxy, hxy1, hxy2, hx, hy, most float64
	for i, li := range w.level {
		dx := li - ux
		for j, lj := range w.level {
			product := w.px[i] * w.py[j]
			v := p[i*k+j]
			if product == 0 {
				continue
			}
			log := math.Log2(product + eps)
			hxy2 -= product * log
			if v == 0 {
				continue
			}
			hxy1 -= v * log
			hxy -= v * math.Log2(v+eps)
			dy := lj - uy
			auto += li * lj * v
			c := li + lj - ux - uy
			c2 := c * c
			tendency += c2 * v
			shade += c2 * c * v
			prominence += c2 * c2 * v
			varX += dx * dx * v
			varY += dy * dy * v
			covariance += dx * dy * v
			energy += v * v
			most = max(most, v)
		}
	}
	for i := range k {
		hx -= w.px[i] * math.Log2(w.px[i]+eps)
		hy -= w.py[i] * math.Log2(w.py[i]+eps)
	}
	correlation := 1.0
	if sigma := math.Sqrt(varX) * math.Sqrt(varY); sigma != 0 {
		correlation = covariance / (sigma + eps)
	}
	imc1 := hxy - hxy1
	if h := math.Max(hx, hy); h != 0 {
		imc1 /= h
	} else {
		imc1 = 0
	}
	imc2 := 0.0
	if hxy2 != hxy {
		imc2 = math.Sqrt(1 - math.Exp(-2*(hxy2-hxy))) // NaN where rounding makes hxy the larger
	}
	var contrast, dAverage, dEntropy, dVariance, id, idm, idn, idmn, inverse, sAverage, sEntropy float64
	for d, v := range w.minus {
		if v == 0 {
			continue
		}
		k := float64(d)
		contrast += k * k * v
		dAverage += k * v
		dEntropy -= v * math.Log2(v+eps)
		id += v / (1 + k)
		idm += v / (1 + k*k)
		idn += v / (1 + k/w.high)
		idmn += v / (1 + k*k/(w.high*w.high))
		if d > 0 {
			inverse += v / (k * k)
		}
	}
	for d, v := range w.minus {
		e := float64(d) - dAverage
		dVariance += v * (e * e)
	}
	for k, v := range w.plus {
		if v != 0 {
			sAverage += float64(k) * v
			sEntropy -= v * math.Log2(v+eps)
		}
	}
	return pairMoments{auto, prominence, shade, tendency, contrast, correlation, dAverage, dEntropy, dVariance, id, idm, idmn, idn, imc1, imc2,
		inverse, ux, energy, hxy, w.correlationMax.of(p, w.px, w.py), most, sAverage, sEntropy, varX}
}
