package phantom

import (
	"math"

	"rfanode/analysis/volume"
)

type vec = volume.Vec

func add(a, b vec) vec              { return vec{a[0] + b[0], a[1] + b[1], a[2] + b[2]} }
func sub(a, b vec) vec              { return vec{a[0] - b[0], a[1] - b[1], a[2] - b[2]} }
func scale(a vec, f float64) vec    { return vec{a[0] * f, a[1] * f, a[2] * f} }
func along(a, d vec, f float64) vec { return vec{a[0] + f*d[0], a[1] + f*d[1], a[2] + f*d[2]} }
func dot(a, b vec) float64          { return a[0]*b[0] + a[1]*b[1] + a[2]*b[2] }
func length(a vec) float64          { return math.Sqrt(dot(a, a)) }
func distance(a, b vec) float64     { return length(sub(a, b)) }
func lerp(a, b, f float64) float64  { return a + f*(b-a) }

func clamp(x, lo, hi float64) float64 {
	if x < lo {
		return lo
	}
	if x > hi {
		return hi
	}
	return x
}

func unit(a vec) vec {
	if l := length(a); l > 0 {
		return scale(a, 1/l)
	}
	return vec{0, 0, 1}
}

func cross(a, b vec) vec {
	return vec{a[1]*b[2] - a[2]*b[1], a[2]*b[0] - a[0]*b[2], a[0]*b[1] - a[1]*b[0]}
}

// smoothstep rises from 0 at lo to 1 at hi with flat ends.
func smoothstep(lo, hi, x float64) float64 {
	t := clamp((x-lo)/(hi-lo), 0, 1)
	return t * t * (3 - 2*t)
}

// softMin is the minimum with corners rounded over k (polynomial smooth minimum).
func softMin(a, b, k float64) float64 {
	h := clamp(0.5+0.5*(b-a)/k, 0, 1)
	return lerp(b, a, h) - k*h*(1-h)
}

// edge is the share of a voxel inside a surface that lies d mm away (d > 0 inside), seen through a blur of w mm: the
// partial volume that makes every boundary of the phantom smooth without filtering the image.
func edge(d, w float64) float64 {
	x := 0.5 + d/w
	if x <= 0 {
		return 0
	}
	if x >= 1 {
		return 1
	}
	return x
}

// rotation returns the matrix of a rotation by angle (radians) about the unit axis (Rodrigues).
func rotation(axis vec, angle float64) [3]vec {
	c, s := math.Cos(angle), math.Sin(angle)
	x, y, z := axis[0], axis[1], axis[2]
	return [3]vec{
		{c + x*x*(1-c), x*y*(1-c) - z*s, x*z*(1-c) + y*s},
		{y*x*(1-c) + z*s, c + y*y*(1-c), y*z*(1-c) - x*s},
		{z*x*(1-c) - y*s, z*y*(1-c) + x*s, c + z*z*(1-c)},
	}
}

func rotate(m [3]vec, p vec) vec { return vec{dot(m[0], p), dot(m[1], p), dot(m[2], p)} }
