package register

import (
	"context"
	"math"
	"slices"

	"rfanode/analysis/volume"
)

// lungField is the displacement of lung near a lesion as a Gaussian process (kriging), one for each coordinate: the start
// affine, plus an unknown affine that is expected to be small, plus a smooth field, seen by matches whose errors are
// partly common to neighbours. It continues the field from the ring into the zone, bends no more than the matches
// support, falls back to the start where they say nothing, and knows how uncertain it is there.
type lungField struct {
	start  Affine
	centre volume.Vec
	cells  []cell
	length float64 // over which the smooth part is correlated, mm
	axes   [3]axisField
	median float64 // of the distances of the matches from the field, mm
	p95    float64
}

// cell gathers the matches of a cube of cellMM: neighbouring blocks overlap in what they saw.
type cell struct {
	x, y   volume.Vec // mean place about the centre, mean displacement beyond the start, mm
	weight float64
	n      float64 // matches, outliers counting less
}

// axisField is the process of one coordinate.
type axisField struct {
	sigma  float64   // standard deviation of the smooth part, mm
	noise  float64   // standard deviation of the matches, mm
	factor []float64 // of the covariance of the cells' displacements, lower triangle
	alpha  []float64 // covariance⁻¹ × displacements
	shift  float64   // what the affine part says at the centre, mm
	linear volume.Vec
}

const (
	cellMM = 8.0
	// What is expected before any match is seen.
	shiftSigmaMM  = 8.0 // of the start at the centre
	linearSigma   = 0.1 // of the entries of the linear part: breathing stretches lung by up to about this
	leastNoiseMM  = 0.3 // matches are not better than this
	noiseLengthMM = 8.0 // over which the errors of matches are alike: blocks are smoothed with their neighbours
	commonNoise   = 0.5 // share of the errors' variance that is
	errorScale    = 2.7 // by which real errors exceed what the process expects: see BenchmarkMoved
	fieldFits     = 3   // rounds of weighing the matches by their residuals
)

// The smooth parts that are tried for each coordinate; the likelihood of the matches chooses.
var (
	fieldLengthsMM = []float64{20, 35}
	fieldSigmasMM  = []float64{0.5, 1.5, 4}
)

// The smooth part of all but the last round.
const (
	plainLengthMM = 30.0
	plainSigmaMM  = 1.5
)

// fitField fits the field to matches. choose lets the likelihood choose the smooth part; otherwise a middling one is taken.
func fitField(ctx context.Context, m []match, start Affine, centre volume.Vec, choose bool, threads int) (*lungField, error) {
	f := &lungField{start: start, centre: centre}
	noise := [3]float64{1, 1, 1}
	residual := firstResiduals(m, start)
	for round := range fieldFits {
		f.median, f.p95 = spread(residual)
		f.cells = gather(m, residual, max(f.median, leastNoiseMM), start, centre)
		if err := f.fitAxes(ctx, noise, choose && round == fieldFits-1); err != nil {
			return nil, err
		}
		var parts [3][]float64
		for c := range 3 {
			parts[c] = make([]float64, len(m))
		}
		err := parallel(ctx, threads, len(m), func(_, i int) {
			e := sub(f.Map(m[i].p), m[i].q)
			residual[i] = norm(e)
			for c := range 3 {
				parts[c][i] = math.Abs(e[c])
			}
		})
		if err != nil {
			return nil, err
		}
		for c := range 3 {
			// The median of the absolute value of a normal variable is 0.6745 sigma.
			median, _ := spread(parts[c])
			noise[c] = max(median/0.6745, leastNoiseMM)
		}
	}
	f.median, f.p95 = spread(residual)
	return f, nil
}

// firstResiduals are the distances from the robust affine of the matches, or from their median displacement.
func firstResiduals(m []match, start Affine) []float64 {
	a, _, _, err := robustFit(m)
	if err != nil {
		var t volume.Vec
		d := make([]float64, len(m))
		for c := range 3 {
			for i := range m {
				d[i] = m[i].q[c] - start.Map(m[i].p)[c]
			}
			slices.Sort(d)
			t[c] = d[len(d)/2]
		}
		a = Translation(t).Compose(start)
	}
	r := make([]float64, len(m))
	for i := range m {
		r[i] = norm(sub(a.Map(m[i].p), m[i].q))
	}
	return r
}

func spread(v []float64) (median, p95 float64) {
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2], s[len(s)*95/100]
}

// gather averages the matches in cells, with Cauchy weights of scale twice the median residual.
func gather(m []match, residual []float64, median float64, start Affine, centre volume.Vec) []cell {
	index := map[[3]int]int{}
	var cells []cell
	for i := range m {
		x := sub(m[i].p, centre)
		key := [3]int{int(math.Floor(x[0] / cellMM)), int(math.Floor(x[1] / cellMM)), int(math.Floor(x[2] / cellMM))}
		n, ok := index[key]
		if !ok {
			n = len(cells)
			index[key] = n
			cells = append(cells, cell{})
		}
		rel := residual[i] / (2 * median)
		trust := 1 / (1 + rel*rel)
		w := m[i].weight * trust
		y := sub(m[i].q, start.Map(m[i].p))
		c := &cells[n]
		for a := range 3 {
			c.x[a] += w * x[a]
			c.y[a] += w * y[a]
		}
		c.weight += w
		c.n += trust
	}
	for n := range cells {
		c := &cells[n]
		for a := range 3 {
			c.x[a] /= c.weight
			c.y[a] /= c.weight
		}
	}
	return cells
}

// pairs holds what the covariances of all pairs of cells have in common, lower triangles.
type pairs struct {
	dot, square []float64 // x·x', |x-x'|²
	noise       []float64 // correlation of the errors
	smooth      []float64 // of the smooth part, for the length last set
}

func newPairs(cells []cell) *pairs {
	n := len(cells)
	p := &pairs{dot: make([]float64, n*n), square: make([]float64, n*n), noise: make([]float64, n*n), smooth: make([]float64, n*n)}
	for i := range n {
		for j := range i + 1 {
			x, y := cells[i].x, cells[j].x
			d := sub(x, y)
			d2 := d[0]*d[0] + d[1]*d[1] + d[2]*d[2]
			p.dot[i*n+j], p.square[i*n+j] = x[0]*y[0]+x[1]*y[1]+x[2]*y[2], d2
			if far := d2 / (2 * noiseLengthMM * noiseLengthMM); far < 20 {
				p.noise[i*n+j] = math.Exp(-far)
			}
		}
	}
	return p
}

// setLength sets the correlation length of the smooth part, mm.
func (p *pairs) setLength(length float64) {
	for i, d2 := range p.square {
		p.smooth[i] = math.Exp(-d2 / (2 * length * length))
	}
}

// fitAxes fits all coordinates. choose lets the likelihood choose one length, and a sigma for each.
func (f *lungField) fitAxes(ctx context.Context, noise [3]float64, choose bool) error {
	var y [3][]float64
	for c := range 3 {
		y[c] = make([]float64, len(f.cells))
		for i := range f.cells {
			y[c][i] = f.cells[i].y[c]
		}
	}
	lengths, sigmas := fieldLengthsMM, fieldSigmasMM
	if !choose {
		lengths, sigmas = []float64{plainLengthMM}, []float64{plainSigmaMM}
	}
	p := newPairs(f.cells)
	most := math.Inf(-1)
	for _, length := range lengths {
		p.setLength(length)
		total := 0.0
		var axes [3]axisField
		for c := range 3 {
			best := math.Inf(-1)
			for _, sigma := range sigmas {
				if err := ctx.Err(); err != nil {
					return err
				}
				a := axisField{sigma: sigma, noise: noise[c]}
				if l := a.solve(f.cells, p, y[c]); l > best {
					axes[c], best = a, l
				}
			}
			total += best
		}
		if total > most {
			f.length, f.axes, most = length, axes, total
		}
	}
	return nil
}

// solve factorises the covariance of the cells' displacements y and returns the logarithm of their likelihood, without
// its constant.
func (a *axisField) solve(cells []cell, p *pairs, y []float64) float64 {
	n := len(cells)
	a.factor = make([]float64, n*n)
	variance := a.noise * a.noise
	for i := range n {
		for j := range i + 1 {
			o := i*n + j
			a.factor[o] = shiftSigmaMM*shiftSigmaMM + linearSigma*linearSigma*p.dot[o] + a.sigma*a.sigma*p.smooth[o] + commonNoise*variance*p.noise[o]
		}
		a.factor[i*n+i] += (1 - commonNoise) * variance * max(1, 4/max(cells[i].n, 0.05))
	}
	logDet := cholesky(a.factor, n)
	a.alpha = slices.Clone(y)
	choleskySolve(a.factor, n, a.alpha)
	quad := 0.0
	for i, v := range a.alpha {
		quad += y[i] * v
		a.shift += shiftSigmaMM * shiftSigmaMM * v
		for x := range 3 {
			a.linear[x] += linearSigma * linearSigma * v * cells[i].x[x]
		}
	}
	return -(quad + logDet) / 2
}

// smooth is the correlation of the smooth part at two places.
func (f *lungField) smooth(x, y volume.Vec) float64 {
	d := sub(x, y)
	return math.Exp(-(d[0]*d[0] + d[1]*d[1] + d[2]*d[2]) / (2 * f.length * f.length))
}

// at is the expected displacement beyond the start at x about the centre.
func (f *lungField) at(x volume.Vec) volume.Vec {
	var u volume.Vec
	for i := range f.cells {
		e := f.smooth(x, f.cells[i].x)
		for c := range 3 {
			u[c] += f.axes[c].alpha[i] * e
		}
	}
	for c := range 3 {
		a := &f.axes[c]
		u[c] = a.sigma*a.sigma*u[c] + a.shift + a.linear[0]*x[0] + a.linear[1]*x[1] + a.linear[2]*x[2]
	}
	return u
}

// Map is the point of moving that belongs to p.
func (f *lungField) Map(p volume.Vec) volume.Vec { return add(f.start.Map(p), f.at(sub(p, f.centre))) }

// errorMM is the expected error at the centre: the root of the summed variances of the coordinates, scaled to what was
// measured.
func (f *lungField) errorMM() float64 {
	n := len(f.cells)
	sum := 0.0
	for c := range 3 {
		a := &f.axes[c]
		k := make([]float64, n)
		for i := range k {
			k[i] = shiftSigmaMM*shiftSigmaMM + a.sigma*a.sigma*f.smooth(volume.Vec{}, f.cells[i].x)
		}
		s := slices.Clone(k)
		choleskySolve(a.factor, n, s)
		v := shiftSigmaMM*shiftSigmaMM + a.sigma*a.sigma
		for i := range k {
			v -= k[i] * s[i]
		}
		sum += max(v, 0)
	}
	return errorScale * math.Sqrt(sum)
}

// affine is the affine that fits the field best in the ball of the given radius round the centre.
func (f *lungField) affine(radius float64) Affine {
	const steps = 3
	var t volume.Vec
	var l [3][3]float64
	n, square := 0.0, 0.0
	for i := -steps; i <= steps; i++ {
		for j := -steps; j <= steps; j++ {
			for k := -steps; k <= steps; k++ {
				if i*i+j*j+k*k > steps*steps {
					continue
				}
				x := volume.Vec{float64(i) * radius / steps, float64(j) * radius / steps, float64(k) * radius / steps}
				u := f.at(x)
				n++
				square += x[0] * x[0]
				for c := range 3 {
					t[c] += u[c]
					for a := range 3 {
						l[c][a] += u[c] * x[a]
					}
				}
			}
		}
	}
	// The points lie evenly about the centre: shift and linear part are fitted apart.
	r := f.start
	for c := range 3 {
		r.T[c] += t[c] / n
		for a := range 3 {
			r.M[c][a] += l[c][a] / square
			r.T[c] -= l[c][a] / square * f.centre[a]
		}
	}
	return r
}

// cholesky replaces the lower triangle of a symmetric positive definite n×n matrix by its factor and returns the
// logarithm of the determinant.
func cholesky(a []float64, n int) float64 {
	logDet := 0.0
	for j := range n {
		rj := a[j*n : j*n+j]
		d := a[j*n+j]
		for _, v := range rj {
			d -= v * v
		}
		d = math.Sqrt(max(d, 1e-12)) // noise on the diagonal keeps it far above
		a[j*n+j] = d
		logDet += 2 * math.Log(d)
		for i := j + 1; i < n; i++ {
			ri := a[i*n:][:len(rj)]
			s := a[i*n+j]
			for k, v := range rj {
				s -= ri[k] * v
			}
			a[i*n+j] = s / d
		}
	}
	return logDet
}

// choleskySolve replaces b by the solution of the system whose factor is a.
func choleskySolve(a []float64, n int, b []float64) {
	for i := range n {
		s := b[i]
		for k, v := range a[i*n : i*n+i] {
			s -= v * b[k]
		}
		b[i] = s / a[i*n+i]
	}
	for i := n - 1; i >= 0; i-- {
		b[i] /= a[i*n+i]
		for k, v := range a[i*n : i*n+i] {
			b[k] -= v * b[i]
		}
	}
}
