package phantom

import (
	"context"
	"math"
)

// motion is what happened between pre and post: the material point that post shows at x is x + u(x). It is tabulated on
// a lattice, and what the interpolation says is the truth.
type motion struct {
	field    *lattice // u and det(I + ∇u)
	leastDet float64
}

const (
	motionStepMM     = 5.0
	leastDeterminant = 0.3 // of the Jacobian, anywhere: a map that folds has no inverse
	wallBlendMM      = 9.0 // half-width of the layer in which the motion of the lung fades into the chest wall
)

func (m *motion) toPre(p vec) vec {
	u := m.field.at(p)
	return vec{p[0] + u[0], p[1] + u[1], p[2] + u[2]}
}

// at also gives the compression of the tissue that post shows at p.
func (m *motion) at(p vec) (material vec, density float64) {
	u := m.field.at(p)
	return vec{p[0] + u[0], p[1] + u[1], p[2] + u[2]}, clamp(u[3], 0.6, 1.4)
}

// toPost inverts toPre by fixed-point iteration, which converges because u changes by less than its argument.
func (m *motion) toPost(q vec) vec {
	p := q
	for range 60 {
		d := sub(m.toPre(p), q)
		p = sub(p, d)
		if length(d) < 1e-4 {
			break
		}
	}
	return p
}

// breathing holds the terms of u apart from the change of position.
type breathing struct {
	*chest
	amplitude   float64
	random      []mode
	centre      vec // of the treated tumour
	contraction float64
}

type mode struct {
	k, a  vec
	phase float64
}

// newMotion draws the motion of a pair.
func newMotion(ctx context.Context, c *chest, s *stream, o Options) (*motion, error) {
	turn := rotation(unit(add(scale(s.direction(), 0.5), vec{0, 0, 1})), s.sign()*o.RotationDeg*math.Pi/180)
	shift := scale(s.direction(), o.ShiftMM)
	pivot := vec{0, 10, -30}
	b := &breathing{chest: c, amplitude: o.BreathingMM, centre: c.tumours[0].centre, contraction: o.Contraction}
	const modes = 12
	for range modes {
		k := scale(s.direction(), 2*math.Pi/s.between(70, 160))
		a := vec{s.normal(), s.normal(), s.normal()}
		b.random = append(b.random, mode{k, scale(a, o.RandomMM*math.Sqrt(2.0/modes)), s.between(0, 2*math.Pi)})
	}

	m := &motion{field: newLattice(vec{-210, -165, -230}, vec{210, 175, 170}, motionStepMM)}
	err := m.field.fill(ctx, func(p vec, _, _, _ int) [4]float32 {
		q := add(add(rotate(turn, sub(p, pivot)), pivot), shift)
		u := sub(add(q, b.displacement(q)), p)
		return [4]float32{float32(u[0]), float32(u[1]), float32(u[2])}
	})
	if err != nil {
		return nil, err
	}
	return m, m.determinants(ctx)
}

func (s *stream) sign() float64 {
	if s.next()&1 == 0 {
		return -1
	}
	return 1
}

// displacement is the deformation of the body at p of its own frame: the diaphragm moves most and the back of the lung
// more than the front, the chest wall hardly.
func (b *breathing) displacement(p vec) vec {
	f := b.fields.at(p)
	depth := (b.apex - p[2]) / (b.apex - b.domeRight)
	depth = softMin(max(depth, 0), 1.2, 0.3)
	ventral := clamp(-p[1]/80, -1.2, 1.2)
	share := b.amplitude / 15
	in := vec{
		share * 0.02 * p[0] * depth,
		-share * 0.03 * p[1] * depth,
		-b.amplitude * math.Pow(depth, 1.5) * (1 - 0.25*ventral),
	}
	out := vec{0, share * 1.5 * depth * smoothstep(20, -60, p[1]), 0}
	var random vec
	for i := range b.random {
		r := &b.random[i]
		random = along(random, r.a, math.Sin(dot(r.k, p)+r.phase))
	}
	inside := 1 / (1 + math.Exp(-f[fieldCage]/(wallBlendMM/2)))
	u := add(scale(add(in, random), inside), scale(along(out, random, 0.3), 1-inside))
	if b.contraction > 0 { // tissue shrinks towards the lesion: post sees farther than it looks
		d := sub(p, b.centre)
		r := length(d) / 18
		u = along(u, d, b.contraction*math.Exp(-r*r*r*r))
	}
	return u
}

// determinants fills in det(I + ∇u) by central differences and its least value.
func (m *motion) determinants(ctx context.Context) error {
	l := m.field
	least := make([]float64, l.n[2])
	err := parallel(ctx, l.n[2], func(k int) {
		least[k] = math.Inf(1)
		for j := range l.n[1] {
			for i := range l.n[0] {
				d := l.determinant(i, j, k)
				l.data[l.offset(i, j, k)][3] = float32(d)
				least[k] = min(least[k], d)
			}
		}
	})
	m.leastDet = math.Inf(1)
	for _, d := range least {
		m.leastDet = min(m.leastDet, d)
	}
	return err
}

func (l *lattice) determinant(i, j, k int) float64 {
	var g [3]vec // column a: derivative along a
	idx := [3]int{i, j, k}
	for a := range 3 {
		lo, hi := idx, idx
		lo[a], hi[a] = max(lo[a]-1, 0), min(hi[a]+1, l.n[a]-1)
		x, y := &l.data[l.offset(lo[0], lo[1], lo[2])], &l.data[l.offset(hi[0], hi[1], hi[2])]
		for c := range 3 {
			g[a][c] = float64(y[c]-x[c]) / (float64(hi[a]-lo[a]) * l.step)
		}
		g[a][a]++
	}
	return dot(g[0], cross(g[1], g[2]))
}
