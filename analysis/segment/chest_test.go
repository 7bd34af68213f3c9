package segment

import (
	"math"
	"math/rand/v2"

	"rfanode/analysis/volume"
)

// A generated chest: an elliptic body, two ellipsoid lungs, a trachea with two main bronchi, vessels, ribs, and what a
// test adds. Shapes have soft edges of about a voxel, as partial volume makes them.

type shape struct {
	depth  func(p volume.Vec) float64 // signed distance to the surface, mm, > 0 inside
	lo, hi volume.Vec                 // nothing of it lies beyond; zero: anywhere
	hu     float64
	lung   bool // cut to the lungs, as a lesion is
}

// box bounds a shape to centre ± half and the width of an edge.
func (s shape) box(a, b volume.Vec, half volume.Vec) shape {
	const edge = 6
	for x := range 3 {
		s.lo[x], s.hi[x] = min(a[x], b[x])-half[x]-edge, max(a[x], b[x])+half[x]+edge
	}
	return s
}

func (s *shape) beyond(p volume.Vec) bool {
	return s.lo != s.hi && (p[0] < s.lo[0] || p[0] > s.hi[0] || p[1] < s.lo[1] || p[1] > s.hi[1] || p[2] < s.lo[2] || p[2] > s.hi[2])
}

func ball(c volume.Vec, r, hu float64) shape {
	return shape{hu: hu, depth: func(p volume.Vec) float64 {
		return r - math.Sqrt(sq(p[0]-c[0])+sq(p[1]-c[1])+sq(p[2]-c[2]))
	}}.box(c, c, volume.Vec{r, r, r})
}

func ellipsoid(c, r volume.Vec, hu float64) shape {
	least := min(r[0], r[1], r[2])
	return shape{hu: hu, depth: func(p volume.Vec) float64 {
		q := math.Sqrt(sq((p[0]-c[0])/r[0]) + sq((p[1]-c[1])/r[1]) + sq((p[2]-c[2])/r[2]))
		return (1 - q) * least
	}}.box(c, c, r)
}

func tube(a, b volume.Vec, r, hu float64) shape {
	d := volume.Vec{b[0] - a[0], b[1] - a[1], b[2] - a[2]}
	l2 := sq(d[0]) + sq(d[1]) + sq(d[2])
	return shape{hu: hu, depth: func(p volume.Vec) float64 {
		t := ((p[0]-a[0])*d[0] + (p[1]-a[1])*d[1] + (p[2]-a[2])*d[2]) / l2
		t = min(max(t, 0), 1)
		return r - math.Sqrt(sq(p[0]-a[0]-t*d[0])+sq(p[1]-a[1]-t*d[1])+sq(p[2]-a[2]-t*d[2]))
	}}.box(a, b, volume.Vec{r, r, r})
}

// inLung cuts a shape to the lungs.
func inLung(s shape) shape { s.lung = true; return s }

func sq(x float64) float64 { return x * x }

var (
	chestCentre = volume.Vec{0, 0, 0}
	rightLung   = ellipsoid(volume.Vec{-72, 0, 0}, volume.Vec{52, 80, 75}, -850)
	leftLung    = ellipsoid(volume.Vec{72, 0, 0}, volume.Vec{52, 80, 75}, -850)
)

// chestGrid is a grid round the chest with the given slice interval, first slice lowest.
func chestGrid(pixelMM, sliceMM float64) volume.Geometry {
	nx, ny, nz := int(340/pixelMM), int(260/pixelMM), int(190/sliceMM)
	return volume.Axial([3]int{nx, ny, nz}, [3]float64{pixelMM, pixelMM, sliceMM},
		volume.Vec{-pixelMM * float64(nx-1) / 2, -pixelMM * float64(ny-1) / 2, -sliceMM * float64(nz-1) / 2})
}

// chest draws the chest on g. moved maps a point of the grid to the point of the resting chest that is seen there; it
// must keep rows on lines of equal y and z.
func chest(g volume.Geometry, moved func(volume.Vec) volume.Vec, extra ...shape) *volume.Volume {
	shapes := []shape{
		ellipsoid(volume.Vec{0, 0, 0}, volume.Vec{150, 110, 1e4}, 40),
		rightLung, leftLung,
		tube(volume.Vec{0, -10, 120}, volume.Vec{0, 0, 20}, 9, -1000),
		tube(volume.Vec{0, 0, 20}, volume.Vec{-22, 0, 5}, 7, -1000),
		tube(volume.Vec{0, 0, 20}, volume.Vec{22, 0, 5}, 7, -1000),
		ball(volume.Vec{0, -30, -20}, 38, 40), // the heart
	}
	vessels := rand.New(rand.NewPCG(7, 7))
	for side := -1.0; side <= 1; side += 2 {
		for range 14 {
			end := volume.Vec{side * (60 + 50*vessels.Float64()), 110*vessels.Float64() - 55, 100*vessels.Float64() - 50}
			shapes = append(shapes, inLung(tube(volume.Vec{side * 26, 5, 0}, end, 1+1.5*vessels.Float64(), 30)))
		}
	}
	shapes = append(shapes, extra...)
	v := volume.New(g)
	noise := rand.New(rand.NewPCG(1, uint64(len(extra))))
	for k := range g.Size[2] {
		for j := range g.Size[1] {
			row := v.Data[g.Offset(0, j, k):][:g.Size[0]]
			for _, dz := range []float64{-0.25, 0.25} { // slices have thickness
				at := func(i int) volume.Vec {
					p := g.Point(volume.Vec{float64(i), float64(j), float64(k) + dz})
					if moved != nil {
						p = moved(p)
					}
					return p
				}
				near := inRow(shapes, at(0))
				for i := range row {
					row[i] += float32(density(near, at(i), g.Spacing[0]) / 2)
				}
			}
			for i := range row {
				row[i] += float32(15 * noise.NormFloat64())
			}
		}
	}
	return v
}

// inRow keeps the shapes that a row through p can meet.
func inRow(shapes []shape, p volume.Vec) []shape {
	out := make([]shape, 0, len(shapes))
	for _, s := range shapes {
		if s.lo == s.hi || p[1] >= s.lo[1] && p[1] <= s.hi[1] && p[2] >= s.lo[2] && p[2] <= s.hi[2] {
			out = append(out, s)
		}
	}
	return out
}

// density paints the shapes over air, the later ones over the earlier.
func density(shapes []shape, p volume.Vec, edgeMM float64) float64 {
	hu := -1000.0
	for n := range shapes {
		s := &shapes[n]
		if s.beyond(p) {
			continue
		}
		d := s.depth(p)
		if s.lung {
			d = min(d, max(rightLung.depth(p), leftLung.depth(p)))
		}
		hu += (s.hu - hu) * min(max(0.5+d/edgeMM, 0), 1)
	}
	return hu
}
