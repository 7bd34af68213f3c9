package segment

import (
	"math"

	"gonum.org/v1/gonum/mat"

	"rfanode/analysis/volume"
)

// Where the zone's surface runs through the tumour nothing can be seen: dense tissue stays dense. It is taken as going
// on the way the visible surface suggests: at least along the convex outline of the new opacity, and out to the
// ellipsoid that fits the visible surface, as ablation zones are ellipsoids by their physics.
const (
	minVisible    = 300 // boundary voxels the fit stands on
	maxResidualMM = 1.5 // rms of the visible surface about the ellipsoid, beyond which it is none
	beyondMM      = 5   // the ellipsoid may pass the convex outline by
	seenMM        = 2   // a boundary nearer to the tumour or the pleura than this is not the zone's own
	minSemiAxisMM = 4
	maxSemiAxisMM = 50
	maxElongation = 3 // largest over smallest axis
)

// throughTumour is the part of old, the tumour on the grid of body, that belongs to the zone of which body is new.
func throughTumour(body, old, hull *volume.Mask) *volume.Mask {
	if old.Count() == 0 || body.Count() == 0 {
		return volume.NewMask(body.Geometry)
	}
	outline := inSlices(body, convexHull)
	in := volume.Intersect(outline, old)
	e, ok := fitEllipsoid(visible(body, old, hull), body)
	if !ok {
		return in
	}
	reach := volume.Intersect(volume.Dilate(outline, beyondMM), old)
	for k := range reach.Size[2] {
		for j := range reach.Size[1] {
			for i := range reach.Size[0] {
				o := reach.Offset(i, j, k)
				if reach.Data[o] != 0 && e.inside(body.Point(volume.Vec{float64(i), float64(j), float64(k)})) {
					in.Data[o] = 1
				}
			}
		}
	}
	return in
}

// visible is the outer boundary of body, voxels on either side of it, that the zone shares with aerated lung: away from the tumour and the pleura.
func visible(body, old, hull *volume.Mask) *volume.Mask {
	solid := volume.FillHoles(volume.FillHolesInSlices(volume.Union(body, old)))
	outer := volume.SignedDistance(solid)
	toOld, toWall := volume.Distance(old), volume.SignedDistance(hull)
	out := volume.NewMask(body.Geometry)
	limit := float32(max(body.Spacing[0], body.Spacing[2])) * 0.75
	for i, d := range outer.Data {
		if max(d, -d) <= limit && toOld.Data[i] > seenMM && toWall.Data[i] > seenMM {
			out.Data[i] = 1
		}
	}
	return out
}

// quadric is the set of points where the form about centre, in units of scale, is at most 1.
type quadric struct {
	centre volume.Vec
	scale  float64
	c      [9]float64 // of x², y², z², 2xy, 2xz, 2yz, 2x, 2y, 2z
}

func (q *quadric) terms(p volume.Vec) [9]float64 {
	x, y, z := (p[0]-q.centre[0])/q.scale, (p[1]-q.centre[1])/q.scale, (p[2]-q.centre[2])/q.scale
	return [9]float64{x * x, y * y, z * z, 2 * x * y, 2 * x * z, 2 * y * z, 2 * x, 2 * y, 2 * z}
}

func (q *quadric) value(p volume.Vec) float64 {
	sum := -1.0
	for i, t := range q.terms(p) {
		sum += q.c[i] * t
	}
	return sum
}

func (q *quadric) inside(p volume.Vec) bool { return q.value(p) <= 0 }

// distance is about the distance of a point to the surface, mm: value over gradient.
func (q *quadric) distance(p volume.Vec) float64 {
	t, c := q.terms(p), q.c
	x, y, z := t[6]/2, t[7]/2, t[8]/2
	gx := 2 * (c[0]*x + c[3]*y + c[4]*z + c[6])
	gy := 2 * (c[3]*x + c[1]*y + c[5]*z + c[7])
	gz := 2 * (c[4]*x + c[5]*y + c[2]*z + c[8])
	return q.value(p) / math.Max(math.Sqrt(gx*gx+gy*gy+gz*gz), 1e-9) * q.scale
}

// fitEllipsoid fits the quadric to the voxels of shell by algebraic least squares; ok is false if they are too few, or
// lie on no ellipsoid of a plausible size.
func fitEllipsoid(shell, body *volume.Mask) (q quadric, ok bool) {
	q = quadric{centre: centre(body), scale: radiusOf(body.VolumeML())}
	var points []volume.Vec
	for k := range shell.Size[2] {
		for j := range shell.Size[1] {
			for i, x := range shell.Data[shell.Offset(0, j, k):][:shell.Size[0]] {
				if x != 0 {
					points = append(points, shell.Point(volume.Vec{float64(i), float64(j), float64(k)}))
				}
			}
		}
	}
	if len(points) < minVisible {
		return q, false
	}
	normal, right := mat.NewSymDense(9, nil), mat.NewVecDense(9, nil)
	for _, p := range points {
		t := q.terms(p)
		for a := range 9 {
			right.SetVec(a, right.AtVec(a)+t[a])
			for b := a; b < 9; b++ {
				normal.SetSym(a, b, normal.At(a, b)+t[a]*t[b])
			}
		}
	}
	var cholesky mat.Cholesky
	var solution mat.VecDense
	if !cholesky.Factorize(normal) || cholesky.SolveVecTo(&solution, right) != nil {
		return q, false
	}
	copy(q.c[:], solution.RawVector().Data)
	if !q.plausible() {
		return q, false
	}
	sum := 0.0
	for _, p := range points {
		d := q.distance(p)
		sum += d * d
	}
	return q, math.Sqrt(sum/float64(len(points))) <= maxResidualMM
}

// plausible reports whether the quadric is an ellipsoid of a zone's size.
func (q *quadric) plausible() bool {
	c := q.c
	form := mat.NewSymDense(3, []float64{c[0], c[3], c[4], c[3], c[1], c[5], c[4], c[5], c[2]})
	var eigen mat.EigenSym
	if !eigen.Factorize(form, true) {
		return false
	}
	values := eigen.Values(nil)
	var vectors mat.Dense
	eigen.VectorsTo(&vectors)
	level := 1.0 // x'Ax + 2b'x = 1 is y'Ay = 1 + b'A⁻¹b about its own centre
	for a, v := range values {
		if v <= 0 {
			return false
		}
		along := vectors.At(0, a)*c[6] + vectors.At(1, a)*c[7] + vectors.At(2, a)*c[8]
		level += along * along / v
	}
	shortest, longest := math.Inf(1), 0.0
	for _, v := range values {
		axis := math.Sqrt(level/v) * q.scale
		shortest, longest = min(shortest, axis), max(longest, axis)
	}
	return shortest >= minSemiAxisMM && longest <= maxSemiAxisMM && longest <= maxElongation*shortest
}
