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
	GlassHU                float64    // ground glass of the tumour; 0: none
	ZoneHU, ZoneLungHU     float64    // outer layer of the zone; the lung round it
	GTRML, PTZML           float64    // on the fine grids
	GTRRangeML, PTZRangeML [2]float64 // with the surface at 0.1 of the contrast above and below the level used
	GTREdgeMM, PTZEdgeMM   float64    // half of what that moves the surface by
	GTRErrorMM, PTZErrorMM float64    // uncertainty of the surface, see surfaceError; 0: drawn by a person

	Elongation float64 // longest over middle principal axis of the tumour; vessels have 2 and more

	TumourShare float64 // part of the tumour that lies in the zone, by the map near it
	GTRCutOff   float64 // part of the tumour's largest cross-section over or under which the hull ends

	GTRPleura, PTZPleura float64 // share of the surface that the lung's hull, not the intensity, drew
}

// edgeMM is half the distance between the surfaces of balls of the two volumes.
func edgeMM(rangeML [2]float64) float64 {
	return math.Abs(radiusOf(rangeML[1])-radiusOf(rangeML[0])) / 2
}

// surfaceError is the uncertainty of a surface: the true one is nearer on average in 19 of 20 cases. What other thresholds
// would give, a part that is always there, and, where the hull drew it, how well a lung is closed over a lesion. The
// weights are round numbers from the generated pairs 1001 to 1040.
func surfaceError(edgeMM, hullArea float64) float64 {
	const always, perEdge, hullMM = 0.4, 0.8, 1.0
	return math.Hypot(math.Hypot(always, perEdge*edgeMM), hullMM*hullArea)
}

// hullShare is the share of the in-plane boundary faces of m behind which the hull ends. Faces between slices do not
// count: through thick slices everything touches something.
func hullShare(m, hull *volume.Mask) float64 { return sharedFaces(m, hull, [3]float64{1, 1, 0}) }

// hullArea is the share of the surface of m, all faces by their area, behind which the hull ends.
func hullArea(m, hull *volume.Mask) float64 {
	s := m.Spacing
	return sharedFaces(m, hull, [3]float64{s[1] * s[2], s[0] * s[2], s[0] * s[1]})
}

// cutOff is the part of the largest cross-section of m, slice by slice, over or under which the hull ends at once: a hull
// that fits closes round a lesion gradually.
func cutOff(m, hull *volume.Mask) float64 {
	n := m.Size[0] * m.Size[1]
	largest, most := 1, 0
	for k := range m.Size[2] {
		area, above, below := 0, 0, 0
		for o, x := range m.Data[k*n : (k+1)*n] {
			if x == 0 {
				continue
			}
			area++
			if k > 0 && hull.Data[(k-1)*n+o] == 0 {
				below++
			}
			if k < m.Size[2]-1 && hull.Data[(k+1)*n+o] == 0 {
				above++
			}
		}
		largest, most = max(largest, area), max(most, above, below)
	}
	return float64(most) / float64(largest)
}

// sharedFaces is the share of the boundary faces of m, weighted by axis, behind which the hull ends.
func sharedFaces(m, hull *volume.Mask, weights [3]float64) float64 {
	faces, outside := 0.0, 0.0
	for o, x := range m.Data {
		if x == 0 {
			continue
		}
		stride := 1
		for a, w := range weights {
			i := o / stride % m.Size[a]
			for _, n := range [2]struct {
				ok bool
				at int
			}{{i > 0, o - stride}, {i < m.Size[a]-1, o + stride}} {
				if !n.ok || m.Data[n.at] != 0 {
					continue
				}
				faces += w
				if hull.Data[n.at] == 0 {
					outside += w
				}
			}
			stride *= m.Size[a]
		}
	}
	if faces == 0 {
		return 0
	}
	return outside / faces
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
