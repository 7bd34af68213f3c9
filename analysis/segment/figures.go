package segment

import (
	"math"

	"gonum.org/v1/gonum/mat"

	"rfanode/analysis/volume"
)

// Figures are the measured things on which a lesion was accepted or held. Radii and errors in mm, volumes in mL.
type Figures struct {
	ZoneRadiusMM     float64 // largest ball inside the new opacity, its inside filled
	NextRadiusMM     float64 // the same of the thickest new opacity that is no zone
	Overlap          float64 // share of the chosen nodule that lies within the zone, by the linear registration
	RunnerUp         float64 // score of the second nodule over that of the first; 0: no second
	LungOverlap      float64 // Dice of the two lungs' hulls after the registration
	LungOffsetHU     float64 // what the lung of post is denser by
	ChangedElsewhere float64 // share of the lung, away from the zone, that changed by more than 200 HU

	TumourHU, TumourLungHU float64    // core of the tumour; the lung round it
	ShellHU                float64    // 1 to 3 mm outside the tumour
	ZoneHU, ZoneLungHU     float64    // outer layer of the zone; the lung round it
	GTRML, PTZML           float64    // on the fine grids
	GTRRangeML, PTZRangeML [2]float64 // with the surface at 0.1 of the contrast above and below the level used
	GTRErrorMM, PTZErrorMM float64    // half of what that moves the surface by

	Elongation float64 // longest over middle principal axis of the tumour; vessels have 2 and more

	GTRPleura, PTZPleura float64 // share of the in-plane surface that the lung's hull, not the intensity, drew
}

// errorMM is half the distance between the surfaces of balls of the two volumes.
func errorMM(rangeML [2]float64) float64 {
	return (radiusOf(rangeML[1]) - radiusOf(rangeML[0])) / 2
}

// hullShare is the share of the in-plane boundary faces of m behind which the hull ends. Faces between slices do not
// count: through thick slices everything touches something.
func hullShare(m, hull *volume.Mask) float64 {
	faces, outside := 0, 0
	nx, ny := m.Size[0], m.Size[1]
	for o, x := range m.Data {
		if x == 0 {
			continue
		}
		i, j := o%nx, o/nx%ny
		for _, n := range [4]struct {
			ok bool
			at int
		}{{i > 0, o - 1}, {i < nx-1, o + 1}, {j > 0, o - nx}, {j < ny-1, o + nx}} {
			if !n.ok || m.Data[n.at] != 0 {
				continue
			}
			faces++
			if hull.Data[n.at] == 0 {
				outside++
			}
		}
	}
	if faces == 0 {
		return 0
	}
	return float64(outside) / float64(faces)
}

// elongation is the ratio of the longest to the middle principal axis of a mask, by second moments; 0 if it is empty.
func elongation(m *volume.Mask) float64 {
	c, n := m.Centroid(), 0.0
	moments := mat.NewSymDense(3, nil)
	for k := range m.Size[2] {
		for j := range m.Size[1] {
			for i, x := range m.Data[m.Offset(0, j, k):][:m.Size[0]] {
				if x == 0 {
					continue
				}
				p := m.Point(volume.Vec{float64(i), float64(j), float64(k)})
				n++
				for a := range 3 {
					for b := a; b < 3; b++ {
						moments.SetSym(a, b, moments.At(a, b)+(p[a]-c[a])*(p[b]-c[b]))
					}
				}
			}
		}
	}
	var eigen mat.EigenSym
	if n == 0 || !eigen.Factorize(moments, false) {
		return 0
	}
	v := eigen.Values(nil) // ascending
	// A voxel is no point: its own second moment keeps flat masks from a division by zero.
	own := n * m.Spacing[0] * m.Spacing[0] / 12
	return math.Sqrt((v[2] + own) / (v[1] + own))
}
