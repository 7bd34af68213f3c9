package register

import (
	"context"
	"math"

	"rfanode/analysis/volume"
)

// jacobianStepMM is half the distance over which derivatives are taken.
const jacobianStepMM = 1.0

// Jacobian is the determinant of the derivative of t at p: the volume in moving of what has volume 1 in fixed, by central
// differences over 2 mm. 0 or less: t folds there.
func Jacobian(t Transform, p volume.Vec) float64 {
	var d Affine
	for c := range 3 {
		a, b := p, p
		a[c] -= jacobianStepMM
		b[c] += jacobianStepMM
		e := sub(t.Map(b), t.Map(a))
		for r := range 3 {
			d.M[r][c] = e[r] / (2 * jacobianStepMM)
		}
	}
	return d.Det()
}

// JacobianMap is the determinant at every voxel of g.
func JacobianMap(ctx context.Context, t Transform, g volume.Geometry) (*volume.Volume, error) {
	out := volume.New(g)
	err := parallel(ctx, threadCount(0), g.Size[2], func(_, k int) {
		for j := range g.Size[1] {
			for i := range g.Size[0] {
				out.Data[g.Offset(i, j, k)] = float32(Jacobian(t, g.Point(volume.Vec{float64(i), float64(j), float64(k)})))
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Folding says how volumes change within a mask.
type Folding struct {
	Points         int     // voxels looked at
	Min, Max       float64 // of the determinant
	SDLog          float64 // standard deviation of its logarithm where it is positive
	FoldingPercent float64 // share of the voxels with a determinant of 0 or less
}

// FoldingIn measures the determinant of t at the voxels set in m.
func FoldingIn(ctx context.Context, t Transform, m *volume.Mask) (Folding, error) {
	type part struct {
		n, folded    int
		lo, hi       float64
		sum, squares float64
	}
	parts := make([]part, m.Size[2])
	err := parallel(ctx, threadCount(0), m.Size[2], func(_, k int) {
		p := part{lo: math.Inf(1), hi: math.Inf(-1)}
		for j := range m.Size[1] {
			for i, in := range m.Data[m.Offset(0, j, k):][:m.Size[0]] {
				if in == 0 {
					continue
				}
				d := Jacobian(t, m.Point(volume.Vec{float64(i), float64(j), float64(k)}))
				p.n++
				p.lo, p.hi = min(p.lo, d), max(p.hi, d)
				if d <= 0 {
					p.folded++
					continue
				}
				l := math.Log(d)
				p.sum += l
				p.squares += l * l
			}
		}
		parts[k] = p
	})
	if err != nil {
		return Folding{}, err
	}
	total := part{lo: math.Inf(1), hi: math.Inf(-1)}
	for _, p := range parts {
		total.n += p.n
		total.folded += p.folded
		total.lo, total.hi = min(total.lo, p.lo), max(total.hi, p.hi)
		total.sum += p.sum
		total.squares += p.squares
	}
	if total.n == 0 {
		return Folding{}, nil
	}
	f := Folding{Points: total.n, Min: total.lo, Max: total.hi, FoldingPercent: 100 * float64(total.folded) / float64(total.n)}
	if n := float64(total.n - total.folded); n > 0 {
		mean := total.sum / n
		f.SDLog = math.Sqrt(max(0, total.squares/n-mean*mean))
	}
	return f, nil
}
