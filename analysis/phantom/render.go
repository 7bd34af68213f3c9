package phantom

import (
	"context"
	"math"

	"rfanode/analysis/volume"
)

// grids are the voxel grids of pre and post: same size, another position of the table.
func (r *PairResult) grids() (pre, post volume.Geometry) {
	o := r.options
	s := newStream(o.Seed, "grids")
	extent := float64(o.Slices-1) * o.SliceMM
	bottom := bottomMM + s.between(-0.5, 0.5)*o.SliceMM
	if whole := math.Ceil((topMM-bottomMM)/o.SliceMM) + 1; float64(o.Slices) < whole {
		bottom = clamp(r.Centre()[2]-extent/2, bottom, topMM-extent)
	}
	half := float64(o.Size-1) / 2 * o.SpacingMM
	at := func(centre vec) volume.Geometry {
		return volume.Axial([3]int{o.Size, o.Size, o.Slices}, [3]float64{o.SpacingMM, o.SpacingMM, o.SliceMM},
			vec{centre[0] - half, centre[1] - half, centre[2] - extent/2})
	}
	round := func(x float64) float64 { return math.Round(x*1000) / 1000 } // positions as a header can say them
	middle := vec{round(s.between(-2, 2)), round(12 + s.between(-3, 3)), round(bottom + extent/2)}
	pre = at(middle)
	there := r.ToPost(vec{0, 0, middle[2]})
	post = at(vec{round(there[0] + s.between(-4, 4)), round(there[1] + 12 + s.between(-5, 5)), round(there[2])})
	if o.ObliqueDeg != 0 {
		post = tilt(post, o.ObliqueDeg*math.Pi/180)
	}
	if o.CutPost { // the range ends in the lesion, on the side where less of the chest lies
		z := r.ToPost(r.Centre())[2]
		if k := int((z - post.Origin[2]) / o.SliceMM); k < o.Slices/2 {
			post.Origin[2] += float64(k) * o.SliceMM
			post.Size[2] -= k
		} else {
			post.Size[2] = k
		}
	}
	return pre, post
}

// tilt turns a grid about the left-right axis through its middle.
func tilt(g volume.Geometry, angle float64) volume.Geometry {
	var middle vec
	for a := range 3 {
		middle[a] = float64(g.Size[a]-1) / 2
	}
	centre := g.Point(middle)
	turn := rotation(vec{1, 0, 0}, angle)
	for a := range 3 {
		g.Direction[a] = rotate(turn, g.Direction[a])
	}
	g.Origin = vec{}
	g.Origin = sub(centre, g.Point(middle))
	return g
}

// render fills v with the CT values of the scan and returns the lungs.
func (s *sight) render(ctx context.Context, v *volume.Volume, n *noise) (*volume.Mask, error) {
	lungs := volume.NewMask(v.Geometry)
	size := v.Size[0] * v.Size[1]
	err := parallel(ctx, v.Size[2], func(k int) {
		slice := v.Data[k*size:][:size]
		s.renderSlice(v.Geometry, k, slice, lungs.Data[k*size:][:size])
		n.add(slice, v.Size[0], v.Size[1], k)
	})
	return lungs, err
}

// subSlices is how many planes are averaged into a slice of the given thickness.
func subSlices(mm float64) int { return max(1, int(math.Round(mm/1.1))) }

// renderSlice averages slice k over its thickness and marks the voxels that lie in a lung on average.
func (s *sight) renderSlice(g volume.Geometry, k int, slice []float32, lung []uint8) {
	planes := subSlices(g.Spacing[2])
	depth := make([]float32, len(slice))
	step := scale(g.Direction[0], g.Spacing[0])
	for plane := range planes {
		z := float64(k) + (float64(plane)+0.5)/float64(planes) - 0.5
		for j := range g.Size[1] {
			p, outside := g.Point(vec{0, float64(j), z}), false
			for i := range g.Size[0] {
				if i%strideOutside == 0 {
					outside = s.farOutside(p, step)
				}
				o := j*g.Size[0] + i
				if outside {
					slice[o] += float32(tableHU(p, s.table, s.blur))
					depth[o]--
				} else {
					material, density := s.material(p)
					f := s.fields.at(material)
					slice[o] += float32(s.hu(material, p, f, density))
					depth[o] += float32(f[fieldLung])
				}
				p = add(p, step)
			}
		}
	}
	for o, d := range depth {
		slice[o] /= float32(planes)
		if d > 0 {
			lung[o] = 1
		}
	}
}

// material is the material point that the scan shows at p, and how much its tissue is compressed.
func (s *sight) material(p vec) (m vec, density float64) {
	if s.motion == nil {
		return p, 1
	}
	return s.motion.at(p)
}

const strideOutside = 8 // pixels that are tested together for lying outside the patient

// farOutside reports whether the next strideOutside pixels of a row all lie well outside the skin.
func (s *sight) farOutside(p, step vec) bool {
	for _, n := range [2]float64{0, strideOutside} {
		q, _ := s.material(along(p, step, n))
		if s.fields.at(q)[fieldBody] > -8-0.7*strideOutside*length(step) {
			return false
		}
	}
	return true
}

// noise is the noise of a reconstruction: Gaussian, correlated within a slice, independent from slice to slice.
type noise struct {
	seed uint64
	sd   float64
	taps []float32 // one-dimensional smoothing, sum of squares 1
}

func newNoise(o Options, label string) *noise {
	sigma := 0.85 // mm
	if o.Kernel == Sharp {
		sigma = 0.42
	}
	n := &noise{seed: newStream(o.Seed, "noise "+label).next(), sd: o.NoiseHU}
	sigma /= o.SpacingMM
	half := int(math.Ceil(3 * sigma))
	sq := 0.0
	for x := -half; x <= half; x++ {
		t := math.Exp(-float64(x*x) / (2 * sigma * sigma))
		n.taps = append(n.taps, float32(t))
		sq += t * t
	}
	for i := range n.taps {
		n.taps[i] /= float32(math.Sqrt(sq))
	}
	return n
}

// add adds the noise of slice k. Air outside the patient, where few photons are missing, has less of it; every value is
// a whole number that 12 bits hold.
func (n *noise) add(slice []float32, nx, ny, k int) {
	const lowest, highest = -1024, 3071
	half := len(n.taps) / 2
	px, py := nx+2*half, ny+2*half
	white := make([]float32, px*py)
	for i := range white {
		white[i] = gauss4(mix(n.seed + uint64(k)<<32 + uint64(i)))
	}
	rows := make([]float32, nx*py)
	for j := range py {
		for i := range nx {
			var sum float32
			for t, w := range n.taps {
				sum += w * white[j*px+i+t]
			}
			rows[j*nx+i] = sum
		}
	}
	for j := range ny {
		for i := range nx {
			var sum float32
			for t, w := range n.taps {
				sum += w * rows[(j+t)*nx+i]
			}
			v := &slice[j*nx+i]
			share := float32(1)
			if *v < -930 {
				share = 0.55
			}
			x := math.Round(float64(*v + sum*share*float32(n.sd)))
			*v = float32(clamp(x, lowest, highest))
		}
	}
}
