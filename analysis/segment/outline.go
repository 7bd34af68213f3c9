package segment

import (
	"math"

	"gonum.org/v1/gonum/mat"

	"rfanode/analysis/volume"
)

// Where the zone's surface runs through the tumour nothing can be seen: dense tissue stays dense. It is taken as going
// on the way the visible surface suggests: at least along the convex outline of the new opacity, and out to the
// smoothest surface that continues the visible one.
const (
	minVisible    = 300 // boundary voxels the fit stands on
	maxResidualMM = 1.5 // median distance of the visible surface from the fit, beyond which it is none
	beyondMM      = 5   // the continued surface may pass the convex outline by
	sliverMM      = 2 * streakMM
	seenMM        = 2    // a boundary nearer to the tumour or the pleura than this is not the zone's own
	stiffness     = 1e-3 // weight of the squared surface Laplacian; down to 1e-5 the coverage changes by less than 0.01
	fitRounds     = 4
)

// throughTumour completes the zone of which body is new by what the tumour hides: the part of old, the tumour on the grid
// of body, and of slivers of fresh beside it too thin to stand alone, that the continued surface encloses.
func throughTumour(body, old, fresh, hull *volume.Mask) *volume.Mask {
	if old.Count() == 0 || body.Count() == 0 {
		return volume.NewMask(body.Geometry)
	}
	outline := inSlices(body, convexHull)
	room := volume.Intersect(volume.Dilate(outline, beyondMM), volume.Union(old, volume.Intersect(fresh, volume.Dilate(old, sliverMM))))
	shell := visible(body, old, hull)
	in := volume.Intersect(outline, room)
	for range 2 { // once more about the centre of the zone with its hidden part
		surface, ok := continued(shell, volume.Union(body, in).Centroid())
		if !ok {
			break
		}
		in = volume.Intersect(outline, room)
		surface.fill(in, room)
	}
	return in
}

// visible is the outer boundary of body, voxels on either side of it, that the zone shares with aerated
// lung: away from the tumour and the pleura.
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

// radial is a star-shaped surface: its distance from a centre in every direction, as a sum of real spherical harmonics.
type radial struct {
	centre volume.Vec
	c      [harmonics]float64
}

// harmonicDegree is that of the sum: an ellipsoid's surface and its unevenness, no more.
const (
	harmonicDegree = 4
	harmonics      = (harmonicDegree + 1) * (harmonicDegree + 1)
)

// at is the surface's distance from the centre in the direction of the unit vector u, mm.
func (r *radial) at(u volume.Vec) float64 {
	sum := 0.0
	for i, y := range sphericalHarmonics(u) {
		sum += r.c[i] * y
	}
	return sum
}

// inside reports whether the surface encloses a point.
func (r *radial) inside(p volume.Vec) bool {
	u, d := direction(r.centre, p)
	return d == 0 || d <= r.at(u)
}

// fill sets the voxels of m that the surface encloses, within room.
func (r *radial) fill(m, room *volume.Mask) {
	for k := range m.Size[2] {
		for j := range m.Size[1] {
			for i := range m.Size[0] {
				o := m.Offset(i, j, k)
				if room.Data[o] != 0 && r.inside(m.Point(volume.Vec{float64(i), float64(j), float64(k)})) {
					m.Data[o] = 1
				}
			}
		}
	}
}

// direction is the unit vector from c to p, and their distance.
func direction(c, p volume.Vec) (volume.Vec, float64) {
	u := volume.Vec{p[0] - c[0], p[1] - c[1], p[2] - c[2]}
	d := math.Sqrt(u[0]*u[0] + u[1]*u[1] + u[2]*u[2])
	if d > 0 {
		u[0], u[1], u[2] = u[0]/d, u[1]/d, u[2]/d
	}
	return u, d
}

// sphericalHarmonics are the real harmonics of degree 0 to 4 at u, each with mean square 1 over the sphere. Order: degree
// l, then m from -l to l.
func sphericalHarmonics(u volume.Vec) [harmonics]float64 {
	// Legendre functions without their sine powers, by the stable recurrence in l; the powers come with the real and
	// imaginary parts of (x + iy)^m.
	var y [harmonics]float64
	re, im, diagonal := 1.0, 0.0, 1.0
	for m := 0; m <= harmonicDegree; m++ {
		if m > 0 {
			re, im = re*u[0]-im*u[1], re*u[1]+im*u[0]
			diagonal *= float64(2*m - 1)
		}
		before, p := 0.0, diagonal
		for l := m; l <= harmonicDegree; l++ {
			if l > m {
				before, p = p, (float64(2*l-1)*u[2]*p-float64(l+m-1)*before)/float64(l-m)
			}
			scale := float64(2*l + 1)
			for k := l - m + 1; k <= l+m; k++ {
				scale /= float64(k)
			}
			if m == 0 {
				y[l*l+l] = math.Sqrt(scale) * p
				continue
			}
			n := math.Sqrt(2*scale) * p
			y[l*l+l+m], y[l*l+l-m] = n*re, n*im
		}
	}
	return y
}

// continued fits the smoothest radial surface about c to the voxels of shell. Vessels that end at the zone and tails are
// outliers to it (Cauchy weights). ok is false if the shell is too small, or no such surface.
func continued(shell *volume.Mask, c volume.Vec) (r radial, ok bool) {
	r.centre = c
	type sample struct {
		y [harmonics]float64
		d float64
	}
	var samples []sample
	for k := range shell.Size[2] {
		for j := range shell.Size[1] {
			for i, x := range shell.Data[shell.Offset(0, j, k):][:shell.Size[0]] {
				if x == 0 {
					continue
				}
				if u, d := direction(c, shell.Point(volume.Vec{float64(i), float64(j), float64(k)})); d > 0 {
					samples = append(samples, sample{sphericalHarmonics(u), d})
				}
			}
		}
	}
	if len(samples) < minVisible {
		return r, false
	}
	scale := math.Inf(1) // the first fit weighs all alike
	residuals := make([]float32, len(samples))
	for range fitRounds {
		normal, right := mat.NewSymDense(harmonics, nil), mat.NewVecDense(harmonics, nil)
		total := 0.0
		for n, s := range samples {
			w := 1 / (s.d * s.d) // a direction counts by its solid angle, not by the voxels there
			if !math.IsInf(scale, 1) {
				x := float64(residuals[n]) / scale
				w /= 1 + x*x
			}
			total += w
			for a := range harmonics {
				right.SetVec(a, right.AtVec(a)+w*s.y[a]*s.d)
				for b := a; b < harmonics; b++ {
					normal.SetSym(a, b, normal.At(a, b)+w*s.y[a]*s.y[b])
				}
			}
		}
		for l := 1; l <= harmonicDegree; l++ {
			bend := float64(l * (l + 1))
			for a := l * l; a < (l+1)*(l+1); a++ {
				normal.SetSym(a, a, normal.At(a, a)+stiffness*total*bend*bend)
			}
		}
		var cholesky mat.Cholesky
		var solution mat.VecDense
		if !cholesky.Factorize(normal) || cholesky.SolveVecTo(&solution, right) != nil {
			return r, false
		}
		copy(r.c[:], solution.RawVector().Data)
		for n, s := range samples {
			sum := -s.d
			for a, y := range s.y {
				sum += r.c[a] * y
			}
			residuals[n] = float32(math.Abs(sum))
		}
		scale = max(float64(median(append([]float32(nil), residuals...)))*2, 0.3)
	}
	return r, scale/2 <= maxResidualMM
}
