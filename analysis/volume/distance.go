package volume

import "math"

// Far is the distance, in mm, that stands for "no such voxel": larger than any in a patient, and finite, so that it can
// be interpolated and compared.
const Far float32 = 1e6

// Distance is the exact Euclidean distance transform: for each voxel, mm from its centre to the centre of the nearest
// voxel set; 0 in voxels set, Far everywhere if none is. Separable lower envelope of parabolas with the spacing of each
// axis (Felzenszwalb and Huttenlocher, Theory of Computing 8, 2012).
func Distance(m *Mask) *Volume {
	out := squaredDistance(m, 1, false)
	root(out)
	return out
}

// SignedDistance is the exact distance, in mm, from each voxel centre to the surface of the mask taken as a union of
// voxel boxes: > 0 inside, < 0 outside, 0 on the faces between, so that interpolating it moves from the one shape to
// the next (shape-based interpolation). Beyond the grid nothing is known and nothing counts: a mask cut by the rim has
// no surface there. +Far if every voxel is set, -Far if none is.
func SignedDistance(m *Mask) *Volume {
	out := squaredDistance(m, 1, true)
	root(out)
	for n := range out.Data {
		out.Data[n] = -out.Data[n]
	}
	lo, hi, ok := m.Bounds()
	if !ok {
		return out
	}
	// Inside, only the voxels next to the mask matter: the nearest one outside is never beyond them.
	for a := range 3 {
		lo[a], hi[a] = max(lo[a]-1, 0), min(hi[a]+1, m.Size[a]-1)
	}
	part := m.Crop(lo, hi)
	inside := squaredDistance(part, 0, true)
	root(inside)
	for k := range part.Size[2] {
		for j := range part.Size[1] {
			row := part.Offset(0, j, k)
			to := out.Data[out.Offset(lo[0], lo[1]+j, lo[2]+k):]
			for i := range part.Size[0] {
				if part.Data[row+i] != 0 {
					to[i] = inside.Data[row+i]
				}
			}
		}
	}
	return out
}

func root(v *Volume) {
	parallel(v.Size[2], func(k int) {
		n := v.Size[0] * v.Size[1]
		s := v.Data[k*n:][:n]
		for i, x := range s {
			if x >= farSquared {
				s[i] = Far
			} else {
				s[i] = float32(math.Sqrt(float64(x)))
			}
		}
	})
}

const farSquared = float32(1e12) // marks "none yet" among squared distances

// squaredDistance gives mm² to the nearest voxel whose value is site; to its centre, or with boxes to the nearest point
// of its box.
func squaredDistance(m *Mask, site uint8, boxes bool) *Volume {
	out := New(m.Geometry)
	nx, ny, nz := m.Size[0], m.Size[1], m.Size[2]
	if out.Len() == 0 {
		return out
	}
	parallel(nz, func(k int) {
		for j := range ny {
			o := m.Offset(0, j, k)
			alongRow(out.Data[o:][:nx], m.Data[o:][:nx], site, m.Spacing[0], boxes)
		}
		column := newEnvelope(ny, m.Spacing[1], boxes)
		column.transform(out.Data[m.Offset(0, 0, k):][:nx*ny], nx, nx)
	})
	if nz > 1 {
		parallel(ny, func(j int) {
			column := newEnvelope(nz, m.Spacing[2], boxes)
			column.transform(out.Data[j*nx:], nx, nx*ny)
		})
	}
	return out
}

// alongRow is the one-dimensional transform of a row of voxels: two sweeps.
func alongRow(out []float32, in []uint8, site uint8, spacing float64, boxes bool) {
	last := -1
	for i, x := range in {
		if x == site {
			last = i
		}
		out[i] = gapSquared(i-last, last >= 0, spacing, boxes)
	}
	last = -1
	for i := len(in) - 1; i >= 0; i-- {
		if in[i] == site {
			last = i
		}
		out[i] = min(out[i], gapSquared(last-i, last >= 0, spacing, boxes))
	}
}

func gapSquared(n int, found bool, spacing float64, boxes bool) float32 {
	if !found {
		return farSquared
	}
	d := float64(n)
	if boxes && n > 0 {
		d -= 0.5
	}
	d *= spacing
	return float32(d * d)
}

// envelope computes min over q of f(q) + (spacing·(x−q))² along columns of n samples. With boxes, the site of sample q
// reaches from q−½ to q+½: seen from sample centres that is three point sites, so the envelope runs over half indices.
type envelope struct {
	n       int
	boxes   bool
	spacing float64
	block   []float32 // columns gathered side by side, for the cache
	f       []float64
	at      []float64 // position of the site, in samples
	v       []int     // sites in the envelope
	z       []float64 // where each begins to be the lowest
}

const envelopeBlock = 16 // one cache line of float32

func newEnvelope(n int, spacing float64, boxes bool) *envelope {
	sites := n
	if boxes {
		sites = 2*n + 1
	}
	return &envelope{n: n, boxes: boxes, spacing: spacing, block: make([]float32, n*envelopeBlock),
		f: make([]float64, sites), at: make([]float64, sites), v: make([]int, sites), z: make([]float64, sites+1)}
}

// transform runs along the columns that start at data[0 … count-1] and whose samples lie stride apart, in place.
func (e *envelope) transform(data []float32, count, stride int) {
	for first := 0; first < count; first += envelopeBlock {
		width := min(envelopeBlock, count-first)
		for q := range e.n {
			copy(e.block[q*envelopeBlock:][:width], data[q*stride+first:][:width])
		}
		for c := range width {
			e.column(e.block[c:])
		}
		for q := range e.n {
			copy(data[q*stride+first:][:width], e.block[q*envelopeBlock:][:width])
		}
	}
}

// column transforms one column, samples envelopeBlock apart, in place.
func (e *envelope) column(col []float32) {
	sites, flat := e.sites(col)
	if sites == 0 || flat {
		return // no site in reach, or all zero: nothing changes
	}
	w := e.spacing * e.spacing
	top := 0
	e.v[0], e.z[0], e.z[1] = 0, math.Inf(-1), math.Inf(1)
	for q := 1; q < sites; q++ {
		fq, pq := e.f[q], e.at[q]
		var s float64
		for {
			p := e.v[top]
			s = (pq+e.at[p])/2 + (fq-e.f[p])/(2*w*(pq-e.at[p]))
			if s > e.z[top] {
				break
			}
			top--
		}
		top++
		e.v[top], e.z[top], e.z[top+1] = q, s, math.Inf(1)
	}
	at := 0
	for x := range e.n {
		for e.z[at+1] < float64(x) {
			at++
		}
		d := float64(x) - e.at[e.v[at]]
		col[x*envelopeBlock] = float32(e.f[e.v[at]] + w*d*d)
	}
}

// sites collects the positions and values the envelope is built from; flat: every sample is 0 already.
func (e *envelope) sites(col []float32) (n int, flat bool) {
	flat = true
	put := func(at float64, f float32) {
		if f < farSquared {
			e.at[n], e.f[n] = at, float64(f)
			n++
		}
	}
	before := farSquared
	for q := range e.n {
		f := col[q*envelopeBlock]
		flat = flat && f == 0
		if e.boxes {
			put(float64(q)-0.5, min(before, f))
		}
		put(float64(q), f)
		before = f
	}
	if e.boxes {
		put(float64(e.n)-0.5, before)
	}
	return n, flat
}
