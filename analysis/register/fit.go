package register

import (
	"fmt"
	"math"
	"slices"

	"rfanode/analysis/volume"
)

// match is one correspondence: the point p of fixed was found at q of moving, both LPS mm.
type match struct {
	p, q   volume.Vec
	weight float64 // relative confidence, > 0
}

// Limits beyond which an affine between two CTs of one chest is not believed.
const (
	minMatches     = 24   // a 3×4 affine has 12 numbers; 24 matches are 72 equations
	minSpreadMM    = 4    // least standard deviation of the matches along any direction: thinner sets do not fix a direction
	maxVolumeScale = 2.0  // greatest and, inverted, least determinant
	maxRotationDeg = 30.0 // further turned, the patient lay in another position
)

// fitAffine is the weighted least squares affine from p to q. Coordinates are centred first, so that the equations are
// those of a 3×3 matrix. weight is parallel to m; weight 0 leaves a match out.
func fitAffine(m []match, weight []float64) (Affine, error) {
	var cp, cq volume.Vec
	total, used := 0.0, 0
	for n, w := range weight {
		if w > 0 {
			used++
		}
		total += w
		for a := range 3 {
			cp[a] += w * m[n].p[a]
			cq[a] += w * m[n].q[a]
		}
	}
	if used < minMatches || !(total > 0) {
		return Affine{}, fmt.Errorf("%d matches, %d are needed", used, minMatches)
	}
	for a := range 3 {
		cp[a] /= total
		cq[a] /= total
	}
	var s, c [3][3]float64 // Σ w p pᵀ and Σ w q pᵀ about the centres
	for n, w := range weight {
		if w == 0 {
			continue
		}
		p, q := sub(m[n].p, cp), sub(m[n].q, cq)
		for a := range 3 {
			for b := range 3 {
				s[a][b] += w * p[a] * p[b] / total
				c[a][b] += w * q[a] * p[b] / total
			}
		}
	}
	if spread := math.Sqrt(max(0, leastEigenvalue(s))); !(spread >= minSpreadMM) {
		return Affine{}, fmt.Errorf("the matches lie in a plane or a line: their spread is %.1f mm in one direction, %d mm are needed", spread, minSpreadMM)
	}
	inv, err := Affine{M: s}.Inverse()
	if err != nil {
		return Affine{}, err
	}
	a := Affine{M: c}.Compose(Affine{M: inv.M})
	a.T = sub(cq, a.Map(cp))
	return a, nil
}

// leastEigenvalue of a symmetric 3×3 matrix, by the closed form for its characteristic polynomial.
func leastEigenvalue(s [3][3]float64) float64 {
	q := (s[0][0] + s[1][1] + s[2][2]) / 3
	off := s[0][1]*s[0][1] + s[0][2]*s[0][2] + s[1][2]*s[1][2]
	p2 := ((s[0][0]-q)*(s[0][0]-q) + (s[1][1]-q)*(s[1][1]-q) + (s[2][2]-q)*(s[2][2]-q) + 2*off) / 6
	p := math.Sqrt(p2)
	if p == 0 {
		return q
	}
	b := Affine{M: s}
	for i := range 3 {
		b.M[i][i] -= q
		for j := range 3 {
			b.M[i][j] /= p
		}
	}
	phi := math.Acos(min(1, max(-1, b.Det()/2))) / 3
	return q + 2*p*math.Cos(phi+2*math.Pi/3)
}

// How robustFit weighs the matches.
const (
	trimmedFits = 5    // fits of the half with the smaller residuals, against gross errors
	cauchyFits  = 10   // fits with Cauchy weights
	leastScale  = 0.05 // mm, below what any match can tell: keeps the weights finite when most residuals are 0
)

// robustFit fits all matches, then a few times the half at or below the median residual, as deeds does, and from there
// with Cauchy weights 1/(1+(r/median)²). Lungs do not move like one affine: where deeds goes on trimming, its fit settles
// on the half of the lung that happens to agree and leaves the other one worse. It returns the weights and the median
// residual, mm, too.
func robustFit(m []match) (a Affine, weight []float64, median float64, err error) {
	weight = make([]float64, len(m))
	for n := range m {
		weight[n] = m[n].weight
	}
	if a, err = fitAffine(m, weight); err != nil {
		return Affine{}, nil, 0, err
	}
	residual, sorted := make([]float64, len(m)), make([]float64, len(m))
	for round := range trimmedFits + cauchyFits {
		for n := range m {
			residual[n] = norm(sub(a.Map(m[n].p), m[n].q))
		}
		copy(sorted, residual)
		slices.Sort(sorted)
		median = sorted[(len(sorted)-1)/2]
		for n, r := range residual {
			switch rel := r / max(median, leastScale); {
			case round >= trimmedFits:
				weight[n] = m[n].weight / (1 + rel*rel)
			case r <= median:
				weight[n] = m[n].weight
			default:
				weight[n] = 0
			}
		}
		if a, err = fitAffine(m, weight); err != nil {
			return Affine{}, nil, 0, err
		}
	}
	return a, weight, median, nil
}

// plausible says why an affine between two CTs of one chest is not believed, nil if it is.
func plausible(a Affine) error {
	if !a.finite() {
		return fmt.Errorf("the fit has no finite solution")
	}
	switch det := a.Det(); {
	case det < 0:
		return fmt.Errorf("the fit is a mirror image (determinant %.2f)", det)
	case det > maxVolumeScale || det < 1/maxVolumeScale:
		return fmt.Errorf("the fit scales volume by %.2f, beyond %.1f to %.1f", det, 1/maxVolumeScale, maxVolumeScale)
	}
	if deg := a.RotationDeg(); deg > maxRotationDeg {
		return fmt.Errorf("the fit turns the patient by %.0f degrees, more than %.0f", deg, maxRotationDeg)
	}
	return nil
}
