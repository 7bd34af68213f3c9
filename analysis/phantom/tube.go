package phantom

import "math"

// tissue says what a tube is made of.
type tissue uint8

const (
	vessel  tissue = iota // blood: pulmonary arteries and veins, aorta, caval veins
	wall                  // bronchial wall, oesophagus
	lumen                 // air in trachea and bronchi
	bone                  // clavicle
	tissues = iota
)

// tube is a straight tapering cylinder with rounded ends.
type tube struct {
	a, axis vec // start, and the way to the end
	inv     float64
	ra, dr  float64 // radius at the start, and its change to the end
	tissue  tissue
}

func newTube(a, b vec, ra, rb float64, t tissue) tube {
	axis := sub(b, a)
	return tube{a, axis, 1 / max(dot(axis, axis), 1e-12), ra, rb - ra, t}
}

// distance from the surface, negative inside.
func (t *tube) distance(p vec) float64 {
	d, r := t.axial(p)
	return d - r
}

// axial returns the distance from the axis and the radius at the nearest point of it.
func (t *tube) axial(p vec) (distance, radius float64) {
	x, y, z := p[0]-t.a[0], p[1]-t.a[1], p[2]-t.a[2]
	f := (x*t.axis[0] + y*t.axis[1] + z*t.axis[2]) * t.inv
	if f < 0 {
		f = 0
	} else if f > 1 {
		f = 1
	}
	x -= f * t.axis[0]
	y -= f * t.axis[1]
	z -= f * t.axis[2]
	return math.Sqrt(x*x + y*y + z*z), t.ra + f*t.dr
}

// share is the partial volume of the tube at p under a blur of w mm. A tube thinner than the blur keeps its
// cross-section, not its peak.
func (t *tube) share(p vec, w float64) float64 {
	d, r := t.axial(p)
	if r >= w/2 {
		return edge(r-d, w)
	}
	if d >= w {
		return 0
	}
	q := 2 * r / w
	return q * q * (1 - d/w)
}

// tubeIndex finds the tubes near a point: a grid of cells, each with the tubes that reach into it.
type tubeIndex struct {
	origin vec
	n      [3]int
	start  []int32 // cell c holds list[start[c]:start[c+1]]
	list   []int32
	tubes  []tube
	reach  float64 // mm that a tube is seen beyond its surface
}

const cellMM = 4.0

// indexTubes builds the index of a box for blurs up to w mm.
func indexTubes(tubes []tube, lo, hi vec, w float64) *tubeIndex {
	x := &tubeIndex{origin: lo, tubes: tubes, reach: w}
	for a := range 3 {
		x.n[a] = int((hi[a]-lo[a])/cellMM) + 1
	}
	cells := x.n[0] * x.n[1] * x.n[2]
	x.start = make([]int32, cells+1)
	x.eachCell(func(c int, _ int32) { x.start[c+1]++ })
	for c := range cells {
		x.start[c+1] += x.start[c]
	}
	x.list = make([]int32, x.start[cells])
	fill := append([]int32(nil), x.start[:cells]...)
	x.eachCell(func(c int, t int32) {
		x.list[fill[c]] = t
		fill[c]++
	})
	return x
}

// eachCell calls visit for every pair of a cell and a tube that reaches into it, tubes in order.
func (x *tubeIndex) eachCell(visit func(cell int, tube int32)) {
	halfDiagonal := cellMM * math.Sqrt(3) / 2
	for n := range x.tubes {
		t := &x.tubes[n]
		r := max(t.ra, t.ra+t.dr) + x.reach
		var lo, hi [3]int
		for a := range 3 {
			e := t.a[a] + t.axis[a]
			lo[a] = max(0, int((min(t.a[a], e)-r-x.origin[a])/cellMM))
			hi[a] = min(x.n[a]-1, int((max(t.a[a], e)+r-x.origin[a])/cellMM))
		}
		for k := lo[2]; k <= hi[2]; k++ {
			for j := lo[1]; j <= hi[1]; j++ {
				for i := lo[0]; i <= hi[0]; i++ {
					centre := along(x.origin, vec{float64(i) + 0.5, float64(j) + 0.5, float64(k) + 0.5}, cellMM)
					if t.distance(centre) < halfDiagonal+x.reach {
						visit((k*x.n[1]+j)*x.n[0]+i, int32(n))
					}
				}
			}
		}
	}
}

// near returns the numbers of the tubes that can reach p.
func (x *tubeIndex) near(p vec) []int32 {
	i := int((p[0] - x.origin[0]) / cellMM)
	j := int((p[1] - x.origin[1]) / cellMM)
	k := int((p[2] - x.origin[2]) / cellMM)
	if uint(i) >= uint(x.n[0]) || uint(j) >= uint(x.n[1]) || uint(k) >= uint(x.n[2]) {
		return nil
	}
	c := (k*x.n[1]+j)*x.n[0] + i
	return x.list[x.start[c]:x.start[c+1]]
}

// shares adds up, per tissue, how much of the voxel at p the tubes fill.
func (x *tubeIndex) shares(p vec, w float64) (s [tissues]float64) {
	for _, n := range x.near(p) {
		t := &x.tubes[n]
		if v := t.share(p, w); v > s[t.tissue] {
			s[t.tissue] = v
		}
	}
	return s
}
