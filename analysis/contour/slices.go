package contour

import (
	"math"
	"slices"

	"rfanode/analysis/volume"
)

// Contours drawn on the slices of the CT fill those, as they are. Slices between contours that lie at most maxGap times
// their usual distance apart are filled by shape-based interpolation; a larger gap is a gap. Beyond the first and the
// last contour nothing is added but what half a slice covers.
const (
	samePlaneMM  = 0.1
	onSlice      = 0.05 // slices: a plane this near to a slice's is its own
	maxGap       = 2.05
	subRows      = 8
	maxPlanePix  = 1 << 22
	maxCrossings = 1 << 23
)

// drawn is what lies inside the contours of one plane, on the pixels of the CT's slices.
type drawn struct {
	z     float64 // continuous slice index
	mask  *volume.Mask
	level *volume.Volume // signed distance, made when needed
}

func (d *drawn) surface() *volume.Volume {
	if d.level == nil {
		d.level = volume.SignedDistance(d.mask)
	}
	return d.level
}

// inSlices fills contours that lie along the slices of g.
func (p polygons) inSlices(g volume.Geometry) (*volume.Mask, float64, bool, error) {
	out := volume.NewMask(g)
	planes, lo, err := p.planes(g)
	if err != nil || len(planes) == 0 {
		return out, 0, false, err
	}
	s := newStack(planes, g.Spacing[2])
	for k := range g.Size[2] {
		if layer := s.slice(float64(k)); layer != nil {
			paste(out, layer, lo, k)
		}
	}
	return out, outsideShare(planes, g, lo), true, nil
}

// planes rasterizes the contours, plane by plane in order; lo is the pixel of g that theirs begin with. Planes whose
// contours are smaller than half a pixel are left out.
func (p polygons) planes(g volume.Geometry) (planes []*drawn, lo [2]int, err error) {
	type flat struct {
		z      float64
		points [][2]float64
	}
	all := make([]flat, 0, len(p))
	a, b := [2]float64{math.Inf(1), math.Inf(1)}, [2]float64{math.Inf(-1), math.Inf(-1)}
	for _, points := range p {
		f := flat{points: make([][2]float64, 0, len(points))}
		for _, q := range points {
			at := g.Index(q)
			f.points = append(f.points, [2]float64{at[0], at[1]})
			f.z += at[2] / float64(len(points))
			for x := range 2 {
				a[x], b[x] = min(a[x], at[x]), max(b[x], at[x])
			}
		}
		all = append(all, f)
	}
	var size [2]int
	if (b[0]-a[0]+6)*(b[1]-a[1]+6) > maxPlanePix {
		return nil, lo, fault(Unsupported, "its contours span more than %d million pixels of the CT", maxPlanePix>>20)
	}
	for x := range 2 {
		lo[x] = int(math.Floor(a[x])) - 2
		size[x] = int(math.Ceil(b[x])) + 3 - lo[x]
	}
	slices.SortStableFunc(all, func(x, y flat) int {
		switch {
		case x.z < y.z:
			return -1
		case x.z > y.z:
			return 1
		}
		return 0
	})
	flatGrid := volume.Geometry{Size: [3]int{size[0], size[1], 1}, Spacing: g.Spacing, Direction: g.Direction}
	pixelsLeft := int64(maxSourceVoxels)
	for n := 0; n < len(all); {
		end := n + 1
		for end < len(all) && (all[end].z-all[n].z)*g.Spacing[2] < samePlaneMM {
			end++
		}
		if pixelsLeft -= int64(size[0]) * int64(size[1]); pixelsLeft < 0 {
			return nil, lo, fault(Unsupported, "its contours span more than %d million voxels", maxSourceVoxels>>20)
		}
		var loops [][][2]float64
		for _, f := range all[n:end] {
			loops = append(loops, f.points)
		}
		m := volume.NewMask(flatGrid)
		if err := fill(m, loops, lo); err != nil {
			return nil, lo, err
		}
		if m.Count() > 0 {
			planes = append(planes, &drawn{z: all[n].z, mask: m})
		}
		n = end
	}
	return planes, lo, nil
}

// stack interpolates between planes.
type stack struct {
	planes []*drawn
	usual  float64 // distance of the planes, in slices
	reach  float64 // how far the first and the last plane go beyond themselves, in slices
	exact  bool    // every plane lies on a slice
}

func newStack(planes []*drawn, sliceMM float64) *stack {
	s := &stack{planes: planes, exact: true}
	at := make([]float64, len(planes))
	for i, d := range planes {
		at[i] = d.z * sliceMM
		s.exact = s.exact && math.Abs(d.z-math.Round(d.z)) < onSlice
	}
	s.usual = usualGap(at, sliceMM) / sliceMM
	s.reach = s.usual / 2
	if s.exact {
		s.reach = 0.5
	}
	return s
}

// slice is the region in the slice at index k; nil if it is empty there.
func (s *stack) slice(k float64) *volume.Mask {
	if i := s.nearest(k); math.Abs(s.planes[i].z-k) < onSlice && s.usual > 0.75 {
		s.forget(i)
		return s.planes[i].mask
	}
	first, last := s.planes[0].z-s.reach, s.planes[len(s.planes)-1].z+s.reach
	if k+0.5 < first || k-0.5 > last {
		return nil
	}
	layers := min(max(int(math.Ceil(2/s.usual-1e-6)), 5), 17) | 1 // odd: no ties
	sum := make([]uint8, s.planes[0].mask.Len())
	found := false
	for l := range layers {
		if s.add(sum, k+(float64(l)+0.5)/float64(layers)-0.5) {
			found = true
		}
	}
	if !found {
		return nil
	}
	out := volume.NewMask(s.planes[0].mask.Geometry)
	for i, n := range sum {
		if 2*int(n) >= layers {
			out.Data[i] = 1
		}
	}
	return out
}

// add counts what is inside at height z.
func (s *stack) add(sum []uint8, z float64) bool {
	above := 0
	for above < len(s.planes) && s.planes[above].z < z {
		above++
	}
	if above > 0 && above < len(s.planes) {
		a, b := s.planes[above-1], s.planes[above]
		if b.z-a.z <= maxGap*max(s.usual, 1) {
			s.forget(above - 1)
			t := float32((z - a.z) / (b.z - a.z))
			la, lb := a.surface().Data, b.surface().Data
			for i := range sum {
				if la[i]+t*(lb[i]-la[i]) > 0 {
					sum[i]++
				}
			}
			return true
		}
	}
	d := s.planes[s.nearest(z)]
	if math.Abs(d.z-z) > s.reach {
		return false
	}
	for i, x := range d.mask.Data {
		sum[i] += x
	}
	return true
}

func (s *stack) nearest(z float64) int {
	best := 0
	for i, d := range s.planes {
		if math.Abs(d.z-z) < math.Abs(s.planes[best].z-z) {
			best = i
		}
	}
	return best
}

// forget drops the levels of planes that lie behind: slices are filled in order.
func (s *stack) forget(before int) {
	for i := before - 1; i >= 0 && s.planes[i].level != nil; i-- {
		s.planes[i].level = nil
	}
}

// paste sets in slice k what a layer of pixels from lo on holds.
func paste(out, layer *volume.Mask, lo [2]int, k int) {
	for j := range layer.Size[1] {
		y := j + lo[1]
		if y < 0 || y >= out.Size[1] {
			continue
		}
		for i := range layer.Size[0] {
			if x := i + lo[0]; x >= 0 && x < out.Size[0] && layer.Data[layer.Offset(i, j, 0)] != 0 {
				out.Data[out.Offset(x, y, k)] = 1
			}
		}
	}
}

// outsideShare is how much of what was drawn lies outside of a grid.
func outsideShare(planes []*drawn, g volume.Geometry, lo [2]int) float64 {
	in, out := 0, 0
	for _, d := range planes {
		beyond := d.z < -0.5 || d.z > float64(g.Size[2])-0.5
		for j := range d.mask.Size[1] {
			for i := range d.mask.Size[0] {
				if d.mask.Data[d.mask.Offset(i, j, 0)] == 0 {
					continue
				}
				if x, y := i+lo[0], j+lo[1]; beyond || x < 0 || y < 0 || x >= g.Size[0] || y >= g.Size[1] {
					out++
				} else {
					in++
				}
			}
		}
	}
	return float64(out) / float64(max(in+out, 1))
}

// fill sets the pixels of which at least half lies inside an odd number of loops. Points are pixel indices; lo is the
// pixel that the mask begins with. The cover of a pixel is exact along the row and sampled at subRows heights.
func fill(m *volume.Mask, loops [][][2]float64, lo [2]int) error {
	columns, rows := m.Size[0], m.Size[1]
	crossings := make([][]float64, rows*subRows)
	left := maxCrossings
	height := func(n int) float64 { return float64(lo[1]) + (float64(n)+0.5)/subRows - 0.5 }
	for _, loop := range loops {
		for i, a := range loop {
			b := loop[(i+1)%len(loop)]
			if a[1] > b[1] {
				a, b = b, a
			}
			// sub-rows n with a.y <= height(n) < b.y
			first := max(int(math.Ceil((a[1]-float64(lo[1])+0.5)*subRows-0.5)), 0)
			for n := first; n < len(crossings) && height(n) < b[1]; n++ {
				if left--; left < 0 {
					return fault(Unsupported, "its contours are too intricate")
				}
				crossings[n] = append(crossings[n], a[0]+(height(n)-a[1])/(b[1]-a[1])*(b[0]-a[0])-float64(lo[0]))
			}
		}
	}
	cover := make([]float64, columns)
	for j := range rows {
		clear(cover)
		any := false
		for _, xs := range crossings[j*subRows:][:subRows] {
			slices.Sort(xs)
			for i := 0; i+1 < len(xs); i += 2 {
				any = true
				span(cover, xs[i], xs[i+1])
			}
		}
		if !any {
			continue
		}
		row := m.Data[j*columns:][:columns]
		for i, c := range cover {
			if c >= subRows/2-1e-9 {
				row[i] = 1
			}
		}
	}
	return nil
}

// span adds the interval a … b to the pixels it covers; pixel i reaches from i − ½ to i + ½.
func span(cover []float64, a, b float64) {
	first, last := max(int(math.Floor(a+0.5)), 0), min(int(math.Ceil(b-0.5)), len(cover)-1)
	for i := first; i <= last; i++ {
		cover[i] += max(0, min(b, float64(i)+0.5)-max(a, float64(i)-0.5))
	}
}
