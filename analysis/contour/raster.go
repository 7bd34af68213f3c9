package contour

import (
	"math"
	"slices"

	"rfanode/analysis/volume"
)

// raster is the region of one segment: frames of pixels.
type raster struct {
	pixels *pixels
	frames []segmentFrame
	step   float64 // of the planes, mm; 0: not known
	value  int     // Segment Number
}

func (r *raster) on(g volume.Geometry) (*volume.Mask, float64, bool, error) {
	if m, outside, all, ok := r.copied(g); ok {
		return m, outside, all, nil
	}
	src, err := r.assemble(g)
	if src == nil || err != nil {
		return volume.NewMask(g), 0, false, err
	}
	return carried(src, g), outsideOf(src, g), true, nil
}

// each calls do for every pixel of a frame that belongs to the segment.
func (r *raster) each(fr segmentFrame, do func(i, j int)) {
	n, j := fr.number*r.pixels.columns*r.pixels.rows, 0
	for range r.pixels.rows {
		for i := 0; i < r.pixels.columns; i++ {
			if r.pixels.bits == 1 && (n+i)&7 == 0 && r.pixels.data[(n+i)>>3] == 0 {
				i += 7 // eight empty ones, as most are
				continue
			}
			if r.pixels.set(n+i, r.value) {
				do(i, j)
			}
		}
		j++
		n += r.pixels.columns
	}
}

// lattice maps the pixels of a frame to the voxels of a grid when each pixel is exactly one voxel.
type lattice struct{ origin, alongRow, downColumn [3]int }

func latticeOf(fr segmentFrame, columns, rows int, step float64, g volume.Geometry) (l lattice, ok bool) {
	const tolerance = 0.02 // voxels, at the corners
	index := func(i, j int) volume.Vec {
		p := fr.origin
		for a := range 3 {
			p[a] += fr.row[a]*fr.spacing[0]*float64(i) + fr.col[a]*fr.spacing[1]*float64(j)
		}
		return g.Index(p)
	}
	whole := func(v volume.Vec) (n [3]int, ok bool) {
		for a := range 3 {
			x := math.Round(v[a])
			if !(math.Abs(v[a]-x) <= tolerance) {
				return n, false
			}
			n[a] = int(x)
		}
		return n, true
	}
	o := index(0, 0)
	var ok1 bool
	if l.origin, ok1 = whole(o); !ok1 {
		return l, false
	}
	axis := func(far volume.Vec, n int) (unit [3]int, axis int, ok bool) {
		axis = -1
		for a := range 3 {
			d := far[a] - o[a]
			switch k := math.Round(d); {
			case math.Abs(d-k) > tolerance:
				return unit, axis, false
			case k == 0:
			case math.Abs(k) == float64(n) && axis < 0:
				axis, unit[a] = a, int(k)/n
			default:
				return unit, axis, false
			}
		}
		return unit, axis, axis >= 0
	}
	// Frames of a single row or column are as good as none: the general way takes them.
	if columns < 2 || rows < 2 {
		return l, false
	}
	var a, b int
	var ok2 bool
	l.alongRow, a, ok1 = axis(index(columns-1, 0), columns-1)
	l.downColumn, b, ok2 = axis(index(0, rows-1), rows-1)
	if !ok1 || !ok2 || a == b {
		return l, false
	}
	between := g.Spacing[3-a-b]
	return l, step == 0 || math.Abs(step-between) <= tolerance*between
}

// copied is the region on a grid whose voxels are its pixels: nothing is interpolated.
func (r *raster) copied(g volume.Geometry) (m *volume.Mask, outside float64, all, ok bool) {
	lattices := make([]lattice, len(r.frames))
	for n, fr := range r.frames {
		if lattices[n], ok = latticeOf(fr, r.pixels.columns, r.pixels.rows, r.step, g); !ok {
			return nil, 0, false, false
		}
	}
	m = volume.NewMask(g)
	in, out := 0, 0
	for n, fr := range r.frames {
		l := lattices[n]
		r.each(fr, func(i, j int) {
			var at [3]int
			for a := range 3 {
				at[a] = l.origin[a] + l.alongRow[a]*i + l.downColumn[a]*j
				if at[a] < 0 || at[a] >= g.Size[a] {
					out++
					return
				}
			}
			in++
			m.Data[g.Offset(at[0], at[1], at[2])] = 1
		})
	}
	if in+out == 0 {
		return m, 0, false, true
	}
	return m, float64(out) / float64(in+out), true, true
}

// assemble stacks the frames on their own grid, cropped to what is set, with two empty voxels around. nil if nothing is.
func (r *raster) assemble(g volume.Geometry) (*volume.Mask, error) {
	if len(r.frames) == 0 {
		return nil, nil
	}
	first := r.frames[0]
	step := firstNumber(r.step, first.thickness, g.Spacing[2])
	own := volume.Geometry{Size: [3]int{r.pixels.columns, r.pixels.rows, 1}, Spacing: [3]float64{first.spacing[0], first.spacing[1], step},
		Origin: first.origin, Direction: [3]volume.Vec{first.row, first.col, first.normal()}}
	shift := make([][3]int, len(r.frames))
	lo, hi := [3]int{math.MaxInt, math.MaxInt, math.MaxInt}, [3]int{math.MinInt, math.MinInt, math.MinInt}
	for n, fr := range r.frames {
		if !near(fr.row, first.row) || !near(fr.col, first.col) || math.Abs(fr.spacing[0]-first.spacing[0]) > sameAxis || math.Abs(fr.spacing[1]-first.spacing[1]) > sameAxis {
			return nil, fault(Unsupported, "its frames lie in different directions or have different pixel spacings, and none of them is the CT's")
		}
		at := own.Index(fr.origin)
		for a := range 3 {
			x := math.Round(at[a])
			if !(math.Abs(at[a]-x) < 0.1) || math.Abs(x) > math.MaxInt32 {
				return nil, fault(Unsupported, "its planes do not lie at even distances, and are not the CT's")
			}
			shift[n][a] = int(x)
		}
		r.each(fr, func(i, j int) {
			for a, x := range [3]int{i + shift[n][0], j + shift[n][1], shift[n][2]} {
				lo[a], hi[a] = min(lo[a], x), max(hi[a], x)
			}
		})
	}
	if lo[0] > hi[0] {
		return nil, nil
	}
	src, err := roomFor(own, lo, hi)
	if err != nil {
		return nil, err
	}
	for n, fr := range r.frames {
		r.each(fr, func(i, j int) {
			src.Data[src.Offset(i+shift[n][0]-lo[0]+room, j+shift[n][1]-lo[1]+room, shift[n][2]-lo[2]+room)] = 1
		})
	}
	return src, nil
}

// room is how many empty voxels lie around a region on its own grid, so that its surface is inside of it.
const room = 2

// roomFor is an empty mask over the voxels lo … hi of a grid, with room.
func roomFor(g volume.Geometry, lo, hi [3]int) (*volume.Mask, error) {
	part := g
	n := 1.0
	for a := range 3 {
		size := float64(hi[a]) - float64(lo[a]) + 1 + 2*room
		n *= size
		if n > maxSourceVoxels {
			return nil, fault(Unsupported, "the region spans more than %d million voxels of its grid", maxSourceVoxels>>20)
		}
		part.Size[a] = int(size)
	}
	part.Origin = g.Point(volume.Vec{float64(lo[0] - room), float64(lo[1] - room), float64(lo[2] - room)})
	return volume.NewMask(part), nil
}

// carried brings a region from its own grid to another: a voxel is set if at least half of it lies inside the surface,
// which runs smoothly between the planes (shape-based interpolation: Raya and Udupa, IEEE Trans. Med. Imaging 9, 1990).
func carried(src *volume.Mask, g volume.Geometry) *volume.Mask {
	level := volume.SignedDistance(src)
	out := volume.NewMask(g)
	lo, hi, ok := boxOn(src.Geometry, g)
	if !ok {
		return out
	}
	finest := slices.Min(src.Spacing[:])
	var offsets [3][]float64
	for a := range 3 {
		n := min(max(int(math.Ceil(2*g.Spacing[a]/finest-1e-6)), 2), 8)
		for s := range n {
			offsets[a] = append(offsets[a], (float64(s)+0.5)/float64(n)-0.5)
		}
	}
	half := len(offsets[0]) * len(offsets[1]) * len(offsets[2])
	reach := float32(0) // half the diagonal of a voxel: beyond it, a voxel lies wholly on one side
	for a := range 3 {
		reach += float32(g.Spacing[a] * g.Spacing[a])
	}
	reach = float32(math.Sqrt(float64(reach))) / 2
	for k := lo[2]; k <= hi[2]; k++ {
		for j := lo[1]; j <= hi[1]; j++ {
			for i := lo[0]; i <= hi[0]; i++ {
				at := volume.Vec{float64(i), float64(j), float64(k)}
				centre := level.AtSlices(src.Index(g.Point(at)), -volume.Far)
				in := 0
				switch {
				case centre > 2*reach:
					in = half
				case centre > -2*reach-float32(finest):
					for _, z := range offsets[2] {
						for _, y := range offsets[1] {
							for _, x := range offsets[0] {
								if level.AtSlices(src.Index(g.Point(volume.Vec{at[0] + x, at[1] + y, at[2] + z})), -volume.Far) > 0 {
									in++
								}
							}
						}
					}
				}
				if 2*in >= half {
					out.Data[g.Offset(i, j, k)] = 1
				}
			}
		}
	}
	return out
}

// boxOn is the box of voxels of g that a grid touches; false if it lies outside.
func boxOn(src, g volume.Geometry) (lo, hi [3]int, ok bool) {
	a, b := volume.Vec{math.Inf(1), math.Inf(1), math.Inf(1)}, volume.Vec{math.Inf(-1), math.Inf(-1), math.Inf(-1)}
	for c := range 8 {
		var idx volume.Vec
		for x := range 3 {
			if c>>x&1 == 1 {
				idx[x] = float64(src.Size[x] - 1)
			}
		}
		at := g.Index(src.Point(idx))
		for x := range 3 {
			a[x], b[x] = min(a[x], at[x]), max(b[x], at[x])
		}
	}
	for x := range 3 {
		lo[x] = int(min(max(math.Floor(a[x]), 0), float64(g.Size[x])))
		hi[x] = int(max(min(math.Ceil(b[x]), float64(g.Size[x]-1)), -1))
		if lo[x] > hi[x] {
			return lo, hi, false
		}
	}
	return lo, hi, true
}

// outsideOf is the share of a region's voxels whose centres lie outside of a grid.
func outsideOf(src *volume.Mask, g volume.Geometry) float64 {
	in, out := 0, 0
	for k := range src.Size[2] {
		for j := range src.Size[1] {
			for i := range src.Size[0] {
				if src.Data[src.Offset(i, j, k)] == 0 {
					continue
				}
				if within(g, g.Index(src.Point(volume.Vec{float64(i), float64(j), float64(k)}))) {
					in++
				} else {
					out++
				}
			}
		}
	}
	if in+out == 0 {
		return 0
	}
	return float64(out) / float64(in+out)
}

// within says whether continuous indices lie in a voxel of a grid.
func within(g volume.Geometry, at volume.Vec) bool {
	const slack = 1e-6
	for a := range 3 {
		if !(at[a] >= -0.5-slack && at[a] <= float64(g.Size[a])-0.5+slack) {
			return false
		}
	}
	return true
}
