package phantom

import (
	"context"
	"math"
)

// The material frame: LPS in mm, x towards the patient's left, y posterior, z superior, origin in the middle of the
// chest at the height of the carina.

// build is the size and the sex of the patient: the sizes of a middle-aged adult, changed a little by the seed.
type build struct {
	lateral, front, back float64 // half-axes of the rib cage
	apex                 float64 // height of its top
	domeRight, domeLeft  float64 // heights of the diaphragm
	bodyLateral, bodyAP  float64
	heart                vec
	female               bool
}

func newBuild(s *stream, female bool) build {
	size := s.between(0.96, 1.03)
	fat := s.between(-3, 5)
	b := build{
		lateral: 127 * size, front: 84 * size, back: 90 * size,
		apex:      95 + s.between(-4, 4),
		domeRight: -92 + s.between(-5, 4),
		heart:     vec{26 + s.between(-3, 4), -24 + s.between(-3, 3), -62 + s.between(-4, 4)},
		female:    female,
	}
	b.domeLeft = b.domeRight - s.between(6, 14)
	b.bodyLateral = b.lateral + 29 + fat
	b.bodyAP = (b.front+b.back)/2 + 24 + fat
	return b
}

// Fields of the anatomy lattice, all in mm, positive inside, near the surface a distance.
const (
	fieldBody   = iota // inside the skin
	fieldCage          // inside the parietal pleura or, below the diaphragm, the abdominal wall
	fieldLung          // inside a lung
	fieldMuscle        // inside the outermost muscle
)

const latticeStep = 4.0 // mm; the smallest radius of curvature of what the lattice carries is about twice as much

// anatomy is the patient without the lesion.
type anatomy struct {
	build
	fields *lattice
}

func newAnatomy(ctx context.Context, b build) (*anatomy, error) {
	a := &anatomy{build: b}
	lo, hi := vec{-204, -150, -216}, vec{204, 162, 156}
	raw, l := newLattice(lo, hi, latticeStep), newLattice(lo, hi, latticeStep)
	err := raw.fill(ctx, func(p vec, _, _, _ int) [4]float32 {
		return [4]float32{fieldBody: float32(a.bodyLevel(p)), fieldCage: float32(a.cageLevel(p))}
	})
	if err != nil {
		return nil, err
	}
	err = l.fill(ctx, func(p vec, i, j, k int) [4]float32 {
		body := levelDistance(raw, fieldBody, i, j, k)
		if body < -30 && !a.female {
			return [4]float32{fieldBody: float32(body), fieldCage: -60, fieldLung: -60, fieldMuscle: -60}
		}
		cage := levelDistance(raw, fieldCage, i, j, k)
		if a.female {
			body = softMax(body, a.breast(p), 22)
		}
		return [4]float32{
			fieldBody: float32(body), fieldCage: float32(cage),
			fieldLung: float32(a.lung(p, cage)), fieldMuscle: float32(a.muscle(p, body, cage)),
		}
	})
	a.fields = l
	return a, err
}

// levelDistance turns a level function on a lattice into a first-order distance: the level over its gradient.
func levelDistance(l *lattice, field, i, j, k int) float64 {
	var g vec
	idx := [3]int{i, j, k}
	for a := range 3 {
		lo, hi := idx, idx
		if lo[a] > 0 {
			lo[a]--
		}
		if hi[a] < l.n[a]-1 {
			hi[a]++
		}
		d := l.data[l.offset(hi[0], hi[1], hi[2])][field] - l.data[l.offset(lo[0], lo[1], lo[2])][field]
		g[a] = float64(d) / (float64(hi[a]-lo[a]) * l.step)
	}
	const flattest = 0.004 // per mm: keeps the distance finite where the level has its maximum
	return float64(l.data[l.offset(i, j, k)][field]) / max(length(g), flattest)
}

// cageLevel is 1 in the axis of the rib cage and 0 on the inside of the chest wall: a superelliptic tube with a dome.
func (a *anatomy) cageLevel(p vec) float64 {
	const waist = -40
	y := p[1] - a.cageCentre(p[2])
	half := a.front
	if y > 0 {
		half = a.back
	}
	up := max(0, (p[2]-waist)/(a.apex-waist))
	narrow := 1 - 0.05*smoothstep(waist, -180, p[2])
	return 1 - blunt(p[0]/(a.lateral*narrow)) - blunt(y/half) - blunt(up)
}

// blunt is |x| to the power of 2.25: sums of it make ellipses with slightly flattened sides.
func blunt(x float64) float64 { return x * x * math.Sqrt(math.Sqrt(math.Abs(x))) }

// cageCentre is y of the axis of the rib cage: the apices lie further back.
func (a *anatomy) cageCentre(z float64) float64 { return 2 + 16*smoothstep(10, 100, z) }

func (a *anatomy) bodyLevel(p vec) float64 {
	z := p[2]
	ap := a.bodyAP - 24*smoothstep(40, 115, z)
	lat := a.bodyLateral - 7*smoothstep(-90, -170, z) + 4*smoothstep(20, 80, z)
	y := p[1] - 6 - 6*smoothstep(40, 115, z)
	if y > 0 { // the groove over the spinous processes
		ap -= 5 * math.Exp(-p[0]*p[0]/600)
	}
	if y > 0 { // flat, from lying on the table
		return 1 - blunt(p[0]/lat) - blunt(y/ap)*math.Sqrt(y/ap)
	}
	return 1 - blunt(p[0]/lat) - blunt(y/ap)
}

// breast is the depth inside the breasts.
func (a *anatomy) breast(p vec) float64 {
	return ellipsoid(vec{math.Abs(p[0]) - 78, p[1] + a.bodyAP - 14, p[2] + 38}, vec{64, 34, 60})
}

// ellipsoid is the depth inside an ellipsoid with the given half-axes, p from its centre (first-order distance).
func ellipsoid(p, half vec) float64 {
	q := vec{p[0] / half[0], p[1] / half[1], p[2] / half[2]}
	k0 := length(q)
	k1 := length(vec{q[0] / half[0], q[1] / half[1], q[2] / half[2]})
	if k1 < 1e-9 {
		return min(half[0], min(half[1], half[2]))
	}
	return k0 * (1 - k0) / k1
}

// lung is the rib cage without mediastinum, spine and what lies under the diaphragm, all borders rounded.
func (a *anatomy) lung(p vec, cage float64) float64 {
	if cage < -12 {
		return cage
	}
	d := softMin(cage, (p[2]-a.diaphragm(p))*0.75, 6)
	d = softMin(d, -a.mediastinum(p), 6)
	return softMin(d, math.Hypot(p[0], p[1]-spineCentre(p[2]))-24, 6)
}

// diaphragm is the height of the diaphragm above (x, y): two domes that fall towards the chest wall, most at the back.
func (a *anatomy) diaphragm(p vec) float64 {
	dome := func(side, peak float64) float64 {
		dx, dy := (p[0]-side*64)/72, (p[1]-2)/92
		r := dx*dx + dy*dy
		return peak - (44+16*clamp(p[1]/60, -1, 1))*r*(0.88+0.12*r)
	}
	return lerp(dome(-1, a.domeRight), dome(1, a.domeLeft), smoothstep(-20, 20, p[0]))
}

// spineCentre is y of the middle of the vertebral bodies.
func spineCentre(z float64) float64 {
	t := (z + 30) / 120
	return 68 - 6*t*t
}

// mediastinum is the depth inside what separates the lungs.
func (a *anatomy) mediastinum(p vec) float64 {
	x, y, z := p[0], p[1], p[2]
	// The septum: thin behind the sternum, wide round trachea and vessels, wider at the thoracic inlet.
	half := 6 + 16*smoothstep(-62, -25, y) + 8*smoothstep(45, 95, z) - 5*smoothstep(10, 50, y)*smoothstep(60, -20, z)
	d := half - math.Abs(x-2)
	d = softMax(d, ellipsoid(rotate(heartAxes, sub(p, a.heart)), vec{66, 50, 52}), 8)
	for _, t := range mediastinalOutline {
		d = softMax(d, -t.distance(p), 6)
	}
	return d
}

func softMax(a, b, k float64) float64 { return -softMin(-a, -b, k) }

// heartAxes turns the long axis of the heart to the left, forward and down.
var heartAxes = func() [3]vec {
	a := unit(vec{0.78, -0.45, -0.36})
	c := unit(cross(a, vec{0, 0, 1}))
	return [3]vec{a, c, cross(c, a)}
}()

// mediastinalOutline are the vessels that shape the borders of the mediastinum, with their sheath of fat.
var mediastinalOutline = []tube{
	newTube(vec{-14, -26, -30}, vec{-12, -22, 14}, 22, 21, 0), // ascending aorta
	newTube(vec{-8, -18, 26}, vec{22, 30, 26}, 18, 17, 0),     // arch
	newTube(vec{25, 40, 20}, vec{22, 54, -60}, 17, 16, 0),     // descending aorta
	newTube(vec{22, 54, -60}, vec{10, 56, -200}, 16, 15, 0),
	newTube(vec{-24, -10, 70}, vec{-30, -12, -70}, 12, 24, 0), // superior vena cava, right atrium
	newTube(vec{16, -34, -12}, vec{22, 4, -4}, 19, 16, 0),     // pulmonary trunk
	newTube(vec{6, 0, -8}, vec{-50, 6, -12}, 20, 10, 0),       // right hilum
	newTube(vec{-30, 8, -20}, vec{-48, 12, -34}, 14, 8, 0),    //
	newTube(vec{16, 4, -6}, vec{50, 12, -6}, 19, 10, 0),       // left hilum
	newTube(vec{36, 10, -16}, vec{48, 16, -32}, 13, 8, 0),     //
	newTube(vec{-14, 18, 40}, vec{-14, 22, -110}, 12, 12, 0),  // azygo-oesophageal recess
	newTube(vec{-24, 12, -60}, vec{-26, 14, -120}, 14, 14, 0), // inferior vena cava
	newTube(vec{-20, -30, 90}, vec{-16, -14, 60}, 14, 13, 0),  // brachiocephalic vessels
	newTube(vec{24, -20, 92}, vec{16, -6, 44}, 15, 15, 0),     //
}

// muscle is the depth inside the outermost muscle of trunk and shoulder girdle.
func (a *anatomy) muscle(p vec, body, cage float64) float64 {
	x, y, z := math.Abs(p[0]), p[1], p[2]
	thick := 13 +
		14*smoothstep(-20, 70, z)*(0.25+0.75*smoothstep(-70, 20, y)) + // latissimus, serratus, shoulder blade
		13*smoothstep(-35, 20, z)*smoothstep(-25, -60, y)*smoothstep(10, 32, x) + // pectorals
		28*smoothstep(5, 55, y)*(1-smoothstep(35, 75, x)) + // erector spinae
		70*smoothstep(70, 115, z) // neck and shoulder
	return softMin(thick+cage, body-6, 5)
}
