package coverage

import (
	"math"
	"strings"

	"rfanode/analysis/volume"
)

// worst describes the surface point with the smallest margin; of several equal ones that nearest to their middle.
func worst(in Input, surface []surfacePoint, pleura pleuraField, tumour *volume.Mask) Worst {
	least := math.Inf(1)
	for _, s := range surface {
		least = min(least, s.margin)
	}
	var equal []int
	for _, s := range surface {
		if s.margin < least+1e-6 {
			equal = append(equal, s.voxel)
		}
	}
	middle := centre(tumour.Geometry, equal)
	best, distance := equal[0], math.Inf(1)
	for _, n := range equal {
		if d := apart(voxelPoint(tumour.Geometry, n), middle); d < distance {
			best, distance = n, d
		}
	}
	point := voxelPoint(tumour.Geometry, best)
	var all []int
	for n, x := range tumour.Data {
		if x != 0 {
			all = append(all, n)
		}
	}
	from := centre(tumour.Geometry, all)
	side := in.Laterality
	if side == "" {
		side = sideOf(from, in.Lung)
	}
	k := int(math.Round(in.PTZ.Index(point)[2]))
	w := Worst{Point: point, Slice: min(max(k, 0), in.PTZ.Size[2]-1) + 1,
		Direction: Direction(volume.Vec{point[0] - from[0], point[1] - from[1], point[2] - from[2]}, side)}
	if d := float64(pleura.level[best]); d < pleuraReachMM {
		d = max(d, 0)
		w.PleuraMM = &d
	}
	return w
}

func voxelPoint(g volume.Geometry, n int) volume.Vec {
	return g.Point(volume.Vec{float64(n % g.Size[0]), float64(n / g.Size[0] % g.Size[1]), float64(n / (g.Size[0] * g.Size[1]))})
}

func centre(g volume.Geometry, voxels []int) (c volume.Vec) {
	for _, n := range voxels {
		p := voxelPoint(g, n)
		for a := range 3 {
			c[a] += p[a] / float64(len(voxels))
		}
	}
	return c
}

func apart(a, b volume.Vec) float64 {
	x, y, z := a[0]-b[0], a[1]-b[1], a[2]-b[2]
	return math.Sqrt(x*x + y*y + z*z)
}

// sideOf tells right from left by the middle of the lungs' extent; x grows to the patient's left.
func sideOf(p volume.Vec, lung *volume.Mask) string {
	lo, hi, ok := lung.Bounds()
	if !ok {
		return ""
	}
	a := lung.Point(volume.Vec{float64(lo[0]), float64(lo[1]), float64(lo[2])})
	b := lung.Point(volume.Vec{float64(hi[0]), float64(hi[1]), float64(hi[2])})
	if p[0] < (a[0]+b[0])/2 {
		return "R"
	}
	return "L"
}

// Direction puts an LPS vector into words: "posterolateral", "inferior", "superoanteromedial". A body axis is named if
// the vector has more than 0.38 of its length along it (less than 67.5 degrees from it). Side "R" or "L" decides between
// lateral and medial; without it the words stand apart: "superior posterior right".
func Direction(v volume.Vec, side string) string {
	length := math.Sqrt(v[0]*v[0] + v[1]*v[1] + v[2]*v[2])
	if length < 0.5 {
		return "central"
	}
	horizontal := map[string][2]string{"R": {"medial", "lateral"}, "L": {"lateral", "medial"}, "": {"left", "right"}}[side]
	var words []string
	for _, axis := range [3]struct {
		x           float64
		plus, minus string
	}{{v[2], "superior", "inferior"}, {v[1], "posterior", "anterior"}, {v[0], horizontal[0], horizontal[1]}} {
		switch {
		case axis.x > 0.38*length:
			words = append(words, axis.plus)
		case axis.x < -0.38*length:
			words = append(words, axis.minus)
		}
	}
	if side == "" {
		return strings.Join(words, " ")
	}
	for i := range len(words) - 1 {
		words[i] = strings.TrimSuffix(words[i], "ior") + "o" // superior → supero
	}
	return strings.Join(words, "")
}
