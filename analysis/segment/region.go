package segment

import (
	"math"

	"rfanode/analysis/volume"
)

// The surfaces are found on a fine grid: a box of the CT whose thick slices are divided into layers of about 1 mm, so
// that shapes move smoothly from slice to slice.
const (
	finePixelMM = 0.7
	fineLayerMM = 1.2 // at most
)

// region is such a box.
type region struct {
	volume.Geometry // the fine grid
	ct              volume.Geometry
	lo, hi          [3]int // the box in voxels of the CT, both included
	stride          int    // voxels of the CT a fine voxel in the plane
	layers          int    // fine layers a slice
}

// newRegion lays the fine grid over the voxels lo … hi of a CT.
func newRegion(ct volume.Geometry, lo, hi [3]int) region {
	r := region{ct: ct, lo: lo, hi: hi}
	r.stride = max(1, int(math.Round(finePixelMM/ct.Spacing[0])))
	r.layers = max(1, int(math.Ceil(ct.Spacing[2]/fineLayerMM-1e-6)))
	r.Geometry = ct
	r.Origin = ct.Point(volume.Vec{float64(lo[0]), float64(lo[1]), float64(lo[2])})
	for a := range 2 {
		r.Size[a] = (hi[a]-lo[a])/r.stride + 1
		r.Spacing[a] = ct.Spacing[a] * float64(r.stride)
	}
	r.Size[2] = (hi[2]-lo[2])*r.layers + 1
	r.Spacing[2] = ct.Spacing[2] / float64(r.layers)
	return r
}

// around is the box of a CT round points, widened by mm.
func around(ct volume.Geometry, lo, hi volume.Vec, mm float64) (a, b [3]int, ok bool) {
	ok = true
	for x := range 3 {
		a[x] = max(int(math.Floor(lo[x]-mm/ct.Spacing[x])), 0)
		b[x] = min(int(math.Ceil(hi[x]+mm/ct.Spacing[x])), ct.Size[x]-1)
		ok = ok && a[x] <= b[x]
	}
	return a, b, ok
}

// values carries the CT to the fine grid; between slices by a cubic (Catmull and Rom), which follows the bulge of a round
// object where a straight line cuts it off.
func (r region) values(v *volume.Volume) *volume.Volume {
	slices := r.Geometry
	slices.Size[2], slices.Spacing[2] = r.hi[2]-r.lo[2]+1, r.ct.Spacing[2]
	flat := volume.Resample(v.Crop(r.lo, r.hi), slices, noCT)
	if r.layers == 1 {
		return flat
	}
	out := volume.New(r.Geometry)
	n := r.Size[0] * r.Size[1]
	slice := func(k int) []float32 { return flat.Data[min(max(k, 0), slices.Size[2]-1)*n:][:n] }
	for k := range r.Size[2] {
		s, f := k/r.layers, float32(k%r.layers)/float32(r.layers)
		p0, p1, p2, p3, o := slice(s-1), slice(s), slice(s+1), slice(s+2), out.Data[k*n:][:n]
		for i := range o {
			a, b, c, d := p0[i], p1[i], p2[i], p3[i]
			o[i] = b + f/2*(c-a+f*(2*a-5*b+4*c-d+f*(3*(b-c)+d-a)))
		}
	}
	return out
}

// mask carries a mask of the CT to the fine grid by shape-based interpolation.
func (r region) mask(m *volume.Mask) *volume.Mask {
	return volume.Threshold(r.depth(m), 0, volume.Far)
}

// depth is the signed distance of a mask of the CT, on the fine grid.
func (r region) depth(m *volume.Mask) *volume.Volume {
	return volume.Resample(volume.SignedDistance(m.Crop(r.lo, r.hi)), r.Geometry, -volume.Far)
}

// slab is the mask on the grid of the CT: voxels of which at least half, in the plane and over the slice's thickness,
// lies inside.
func (r region) slab(level *volume.Volume) *volume.Mask {
	out := volume.NewMask(r.ct)
	half := r.layers / 2
	for k := r.lo[2]; k <= r.hi[2]; k++ {
		for j := r.lo[1]; j <= r.hi[1]; j++ {
			for i := r.lo[0]; i <= r.hi[0]; i++ {
				in, n := 0, 0
				for l := -half; l <= half; l++ {
					w := 2
					if 2*half == r.layers && (l == -half || l == half) {
						w = 1 // a layer on the border between two slices belongs to both
					}
					kk := (k-r.lo[2])*r.layers + l
					if kk < 0 || kk >= r.Size[2] {
						continue
					}
					n += w
					if level.At(r.inPlane(i, j, kk), -1) > 0 {
						in += w
					}
				}
				if n > 0 && 2*in >= n {
					out.Data[r.ct.Offset(i, j, k)] = 1
				}
			}
		}
	}
	return out
}

// level carries a level from the fine grid to the grid of the CT, such that volume.AtSlices between its slices comes
// closest to the fine surface; plain samples would lose what changes within a slice. Beyond the region it is far outside.
func (r region) level(fine *volume.Volume) *volume.Volume {
	out := volume.New(r.ct)
	for i := range out.Data {
		out.Data[i] = -farMM
	}
	f := newColumnFit(r.hi[2]-r.lo[2]+1, r.layers)
	for j := r.lo[1]; j <= r.hi[1]; j++ {
		for i := r.lo[0]; i <= r.hi[0]; i++ {
			near := false
			for k := range f.target {
				x := float64(fine.At(r.inPlane(i, j, k), -farMM))
				f.target[k] = min(max(x, -farMM), farMM)
				near = near || math.Abs(x) < farMM/4
			}
			f.fit(near)
			for k, x := range f.column {
				out.Data[r.ct.Offset(i, j, r.lo[2]+k)] = float32(x)
			}
		}
	}
	return out
}

// farMM is as deep as levels go.
const farMM = 30

// inPlane gives the fine indices of voxel (i, j) of the CT in layer k.
func (r region) inPlane(i, j, k int) volume.Vec {
	return volume.Vec{float64(i-r.lo[0]) / float64(r.stride), float64(j-r.lo[1]) / float64(r.stride), float64(k)}
}

// columnFit finds slice values whose cubic interpolation (volume.AtSlices) is a target given on the layers, best near
// the target's zeros: weighted least squares by simultaneous correction, which needs no matrix and cannot overshoot.
type columnFit struct {
	layers         int
	column, target []float64
	sum, total     []float64
	kernel         [][4]float64 // weights of the slices before, at, after and after that, for each layer within a slice
}

func newColumnFit(slices, layers int) *columnFit {
	f := &columnFit{layers: layers, column: make([]float64, slices), target: make([]float64, (slices-1)*layers+1),
		sum: make([]float64, slices), total: make([]float64, slices), kernel: make([][4]float64, layers)}
	for l := range f.kernel {
		t := float64(l) / float64(layers)
		f.kernel[l] = [4]float64{t * (-1 + t*(2-t)) / 2, 1 + t*t*(-5+3*t)/2, t * (1 + t*(4-3*t)) / 2, t * t * (t - 1) / 2}
	}
	return f
}

func (f *columnFit) fit(near bool) {
	const rounds, nearMM = 8, 2
	for k := range f.column {
		f.column[k] = f.target[k*f.layers]
	}
	if f.layers == 1 || !near {
		return
	}
	last := len(f.column) - 1
	for range rounds {
		clear(f.sum)
		clear(f.total)
		for k, t := range f.target {
			n, w := k/f.layers, f.kernel[k%f.layers]
			x := 0.0
			for s, c := range w {
				x += c * f.column[min(max(n+s-1, 0), last)]
			}
			weight := 1 / (1 + t*t/(nearMM*nearMM))
			for s, c := range w {
				m := min(max(n+s-1, 0), last)
				f.sum[m] += weight * c * (t - x)
				f.total[m] += weight * math.Abs(c)
			}
		}
		for n := range f.column {
			f.column[n] += f.sum[n] / f.total[n]
		}
	}
}
