package register

import (
	"fmt"
	"math"

	"rfanode/analysis/volume"
)

// Transform maps a point of fixed (post) to its point of moving (pre), both LPS mm. Map may be called from several
// goroutines at once.
type Transform interface {
	Map(p volume.Vec) volume.Vec
}

// Affine is the map p → M p + T, in mm. M is indexed by row, then column. The zero value maps everything to the origin:
// start from Identity.
type Affine struct {
	M [3][3]float64
	T volume.Vec
}

// Identity maps every point to itself.
func Identity() Affine { return Affine{M: [3][3]float64{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}} }

// Translation moves every point by t, mm.
func Translation(t volume.Vec) Affine {
	a := Identity()
	a.T = t
	return a
}

// Map returns M p + T.
func (a Affine) Map(p volume.Vec) volume.Vec {
	return volume.Vec{
		a.M[0][0]*p[0] + a.M[0][1]*p[1] + a.M[0][2]*p[2] + a.T[0],
		a.M[1][0]*p[0] + a.M[1][1]*p[1] + a.M[1][2]*p[2] + a.T[1],
		a.M[2][0]*p[0] + a.M[2][1]*p[1] + a.M[2][2]*p[2] + a.T[2],
	}
}

// Compose returns the map that applies first, then a.
func (a Affine) Compose(first Affine) Affine {
	r := Affine{T: a.Map(first.T)}
	for i := range 3 {
		for j := range 3 {
			r.M[i][j] = a.M[i][0]*first.M[0][j] + a.M[i][1]*first.M[1][j] + a.M[i][2]*first.M[2][j]
		}
	}
	return r
}

// Det is the determinant of the linear part: the volume in moving of what has volume 1 in fixed. Negative: a mirror.
func (a Affine) Det() float64 {
	m := a.M
	return m[0][0]*(m[1][1]*m[2][2]-m[1][2]*m[2][1]) -
		m[0][1]*(m[1][0]*m[2][2]-m[1][2]*m[2][0]) +
		m[0][2]*(m[1][0]*m[2][1]-m[1][1]*m[2][0])
}

// Inverse returns the map back, and an error if there is none.
func (a Affine) Inverse() (Affine, error) {
	d := a.Det()
	if math.IsNaN(d) || math.Abs(d) < 1e-9 {
		return Affine{}, fmt.Errorf("register: an affine with determinant %g has no inverse", d)
	}
	m := a.M
	r := Affine{}
	for i := range 3 {
		for j := range 3 {
			// Cofactor of (j, i): rows and columns taken cyclically carry the sign.
			r0, r1, c0, c1 := (j+1)%3, (j+2)%3, (i+1)%3, (i+2)%3
			r.M[i][j] = (m[r0][c0]*m[r1][c1] - m[r0][c1]*m[r1][c0]) / d
		}
	}
	back := r.Map(a.T)
	r.T = volume.Vec{-back[0], -back[1], -back[2]}
	return r, nil
}

// Rotation is the rotation nearest to the linear part (its orthogonal polar factor, by Newton's iteration, Higham 1986),
// without the translation. ok is false for a mirror or a singular map.
func (a Affine) Rotation() (r Affine, ok bool) {
	if !(a.Det() > 1e-9) {
		return Identity(), false
	}
	r = Affine{M: a.M}
	for range 50 {
		inv, err := r.Inverse()
		if err != nil {
			return Identity(), false
		}
		change := 0.0
		for i := range 3 {
			for j := range 3 {
				n := (r.M[i][j] + inv.M[j][i]) / 2
				change = max(change, math.Abs(n-r.M[i][j]))
				// inv is not read at (i, j) again: the update may be in place.
				r.M[i][j] = n
			}
		}
		if change < 1e-14 {
			break
		}
	}
	return r, true
}

// RotationDeg is the angle of Rotation in degrees, 0 to 180; 180 for a mirror or a singular map.
func (a Affine) RotationDeg() float64 {
	r, ok := a.Rotation()
	if !ok {
		return 180
	}
	c := (r.M[0][0] + r.M[1][1] + r.M[2][2] - 1) / 2
	return math.Acos(min(1, max(-1, c))) * 180 / math.Pi
}

// finite reports whether no number of the map is NaN or infinite.
func (a Affine) finite() bool {
	s := a.T[0] + a.T[1] + a.T[2]
	for _, row := range a.M {
		s += row[0] + row[1] + row[2]
	}
	return !math.IsNaN(s) && !math.IsInf(s, 0)
}

func sub(a, b volume.Vec) volume.Vec { return volume.Vec{a[0] - b[0], a[1] - b[1], a[2] - b[2]} }

func add(a, b volume.Vec) volume.Vec { return volume.Vec{a[0] + b[0], a[1] + b[1], a[2] + b[2]} }

func norm(a volume.Vec) float64 { return math.Sqrt(a[0]*a[0] + a[1]*a[1] + a[2]*a[2]) }
