package contour

import (
	"math"
	"slices"

	"rfanode/analysis/volume"
)

func dot(a, b volume.Vec) float64 { return a[0]*b[0] + a[1]*b[1] + a[2]*b[2] }

func sub(a, b volume.Vec) volume.Vec { return volume.Vec{a[0] - b[0], a[1] - b[1], a[2] - b[2]} }

func cross(a, b volume.Vec) volume.Vec {
	return volume.Vec{a[1]*b[2] - a[2]*b[1], a[2]*b[0] - a[0]*b[2], a[0]*b[1] - a[1]*b[0]}
}

// unit makes a direction exactly one long; false if it is far from that.
func unit(v *volume.Vec) bool {
	l := math.Sqrt(dot(*v, *v))
	if !(math.Abs(l-1) < 0.01) {
		return false
	}
	for a := range 3 {
		v[a] /= l
	}
	return true
}

func near(a, b volume.Vec) bool {
	d := sub(a, b)
	return dot(d, d) < sameAxis*sameAxis
}

// gaps are the distances between neighbours; it sorts x.
func gaps(x []float64) []float64 {
	slices.Sort(x)
	var out []float64
	for i := 1; i < len(x); i++ {
		out = append(out, x[i]-x[i-1])
	}
	return out
}

// firstNumber is the first that is more than zero.
func firstNumber(x ...float64) float64 {
	for _, v := range x {
		if v > 0 {
			return v
		}
	}
	return 1
}
