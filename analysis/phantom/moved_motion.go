package phantom

import (
	"context"
	"fmt"
	"math"

	"rfanode/analysis/volume"
)

// movedMotion is the displacement u of a moved case: post shows at x the tissue that pre shows at x + u(x). It is
// tabulated on the grid of the images, and what the trilinear interpolation says is the truth.
type movedMotion struct {
	u        [3]*volume.Volume // mm
	det      *volume.Volume    // det(I + ∇u) by central differences
	leastDet float64
}

// What moves how, mm. Breathing is largest at the diaphragm and at the back of the lung.
const (
	strongestLevel = 1.15 // the depth below the apex stops counting here, in units of the dome's
	wideRandomMM   = 22.0 // smoothing of the two random fields and their standard deviation
	wideRandomSD   = 1.3
	fineRandomMM   = 11.0
	fineRandomSD   = 0.35
	wallShare      = 0.3 // of the random fields in the wall
	wallRiseMM     = 1.5 // of the ventral wall
	randomStepMM   = 4.0 // lattice of the random fields
	randomModes    = 32
	contractReach  = 18.0
)

// How lung and wall are joined: the half-width of the layer, and what smooths the whole.
func joint(sliding bool) (layerMM, smoothMM float64) {
	if sliding {
		return 1.5, 1.5
	}
	return 15, 10
}

// newMovedMotion draws attempt n of the motion. Determinants are not filled in.
func newMovedMotion(ctx context.Context, b *movedBase, o MovedOptions, n int) (*movedMotion, error) {
	random, err := randomField(ctx, b.grid, newStream(mix(o.Seed+uint64(n)), "moved motion"))
	if err != nil {
		return nil, err
	}
	m := &movedMotion{}
	for c := range m.u {
		m.u[c] = volume.New(b.grid)
	}
	layer, smooth := joint(o.Sliding)
	lo, hi := b.ventralRange()
	err = parallel(ctx, b.grid.Size[2], func(k int) {
		for j := range b.grid.Size[1] {
			for i := range b.grid.Size[0] {
				at := b.grid.Offset(i, j, k)
				p := b.grid.Point(vec{float64(i), float64(j), float64(k)})
				s := clamp((b.apex-p[2])/max(b.apex-b.dome, 1), 0, strongestLevel)
				ventral := clamp(1-2*(p[1]-lo)/max(hi-lo, 1), -1, 1)
				r := random.at(p)
				in := vec{
					0.02*(p[0]-b.middle[0])*s + r[0],
					-0.03*(p[1]-b.middle[1])*s + r[1],
					-o.AmplitudeMM*math.Pow(s, 1.5)*(1-0.25*ventral) + r[2],
				}
				out := vec{wallShare * r[0], wallShare*r[1] - wallRiseMM*s*max(ventral, 0), wallShare * r[2]}
				w := 1 / (1 + math.Exp(-clamp(float64(b.interior.Data[at]), -200, 200)/layer))
				for c := range m.u {
					m.u[c].Data[at] = float32(lerp(out[c], in[c], w))
				}
			}
		}
	})
	if err != nil {
		return nil, err
	}
	for c := range m.u {
		m.u[c] = volume.Smooth(m.u[c], smooth)
	}
	return m, nil
}

// ventralRange is the extent of the lungs from front to back.
func (b *movedBase) ventralRange() (lo, hi float64) {
	a, z, _ := b.lung.Bounds()
	return b.grid.Point(vec{0, float64(a[1]), 0})[1], b.grid.Point(vec{0, float64(z[1]), 0})[1]
}

// randomField is white noise smoothed by Gaussians of two widths, as sums of plane waves with the same spectra.
func randomField(ctx context.Context, g volume.Geometry, s *stream) (*lattice, error) {
	var modes []mode
	for _, f := range [][2]float64{{wideRandomMM, wideRandomSD}, {fineRandomMM, fineRandomSD}} {
		for range randomModes {
			// Noise smoothed by sigma has the covariance exp(-d²/4σ²), whose spectrum is normal with deviation 1/(√2 σ).
			k := scale(vec{s.normal(), s.normal(), s.normal()}, 1/(math.Sqrt2*f[0]))
			a := scale(vec{s.normal(), s.normal(), s.normal()}, f[1]*math.Sqrt(2.0/randomModes))
			modes = append(modes, mode{k, a, s.between(0, 2*math.Pi)})
		}
	}
	last := g.Point(vec{float64(g.Size[0] - 1), float64(g.Size[1] - 1), float64(g.Size[2] - 1)})
	l := newLattice(g.Origin, last, randomStepMM)
	err := l.fill(ctx, func(p vec, _, _, _ int) [4]float32 {
		var u vec
		for i := range modes {
			u = along(u, modes[i].a, math.Sin(dot(modes[i].k, p)+modes[i].phase))
		}
		return [4]float32{float32(u[0]), float32(u[1]), float32(u[2])}
	})
	return l, err
}

// contract adds a shrinking of the tissue towards c in post: post sees farther than it looks.
func (m *movedMotion) contract(c vec, share float64) {
	g := m.u[0].Geometry
	const reach = 2 * contractReach
	idx := g.Index(c)
	var lo, hi [3]int
	for a := range 3 {
		n := reach / g.Spacing[a]
		lo[a], hi[a] = max(int(idx[a]-n), 0), min(int(idx[a]+n)+1, g.Size[a]-1)
	}
	for k := lo[2]; k <= hi[2]; k++ {
		for j := lo[1]; j <= hi[1]; j++ {
			for i := lo[0]; i <= hi[0]; i++ {
				d := sub(g.Point(vec{float64(i), float64(j), float64(k)}), c)
				r := length(d) / contractReach
				f := share * math.Exp(-r*r*r*r)
				for a := range 3 {
					m.u[a].Data[g.Offset(i, j, k)] += float32(f * d[a])
				}
			}
		}
	}
}

// toPre is the true map. Beyond the grid the displacement of its border holds.
func (m *movedMotion) toPre(p vec) vec {
	g := m.u[0].Geometry
	idx := g.Index(p)
	for a := range idx {
		idx[a] = clamp(idx[a], 0, float64(g.Size[a]-1))
	}
	for c := range 3 {
		p[c] += float64(m.u[c].At(idx, 0))
	}
	return p
}

// toPost inverts toPre by Newton's method with halved steps: where lung slides the field shears by more than 1 and a
// fixed point iteration does not converge.
func (m *movedMotion) toPost(q vec) (vec, error) {
	p := q
	miss := sub(m.toPre(p), q)
	for range 100 {
		if length(miss) < 1e-5 {
			return p, nil
		}
		step := solve3(m.gradient(p), miss)
		next, nextMiss, f := p, miss, 1.0
		for range 12 {
			next = along(p, step, -f)
			if nextMiss = sub(m.toPre(next), q); length(nextMiss) < length(miss) {
				break
			}
			f /= 2
		}
		p, miss = next, nextMiss
	}
	if length(miss) < 0.01 {
		return p, nil
	}
	return p, fmt.Errorf("the motion cannot be inverted at %.0f %.0f %.0f: %.2f mm are missing", q[0], q[1], q[2], length(miss))
}

// gradient holds the derivatives of toPre along the three axes.
func (m *movedMotion) gradient(p vec) (d [3]vec) {
	const h = 0.5
	for a := range 3 {
		lo, hi := p, p
		lo[a] -= h
		hi[a] += h
		d[a] = scale(sub(m.toPre(hi), m.toPre(lo)), 1/(2*h))
	}
	return d
}

// solve3 returns x with x0 d0 + x1 d1 + x2 d2 = b (Cramer's rule), or b if there is none.
func solve3(d [3]vec, b vec) vec {
	det := dot(d[0], cross(d[1], d[2]))
	if math.Abs(det) < 1e-6 {
		return b
	}
	return vec{dot(b, cross(d[1], d[2])) / det, dot(d[0], cross(b, d[2])) / det, dot(d[0], cross(d[1], b)) / det}
}

// determinants fills in det and its least value.
func (m *movedMotion) determinants(ctx context.Context) error {
	g := m.u[0].Geometry
	m.det = volume.New(g)
	least := make([]float64, g.Size[2])
	err := parallel(ctx, g.Size[2], func(k int) {
		least[k] = math.Inf(1)
		for j := range g.Size[1] {
			for i := range g.Size[0] {
				d := m.determinant(g, [3]int{i, j, k})
				m.det.Data[g.Offset(i, j, k)] = float32(d)
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

func (m *movedMotion) determinant(g volume.Geometry, idx [3]int) float64 {
	var d [3]vec
	for a := range 3 {
		lo, hi := idx, idx
		lo[a], hi[a] = max(lo[a]-1, 0), min(hi[a]+1, g.Size[a]-1)
		x, y := g.Offset(lo[0], lo[1], lo[2]), g.Offset(hi[0], hi[1], hi[2])
		for c := range 3 {
			d[a][c] = float64(m.u[c].Data[y]-m.u[c].Data[x]) / (float64(max(hi[a]-lo[a], 1)) * g.Spacing[a])
		}
		d[a][a]++
	}
	return dot(d[0], cross(d[1], d[2]))
}
