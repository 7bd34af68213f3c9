package volume

// Bounds returns the smallest and largest indices of the voxels set; ok is false for an empty mask.
func (m *Mask) Bounds() (lo, hi [3]int, ok bool) {
	lo, hi = m.Size, [3]int{-1, -1, -1}
	for k := range m.Size[2] {
		for j := range m.Size[1] {
			row := m.Data[m.Offset(0, j, k):][:m.Size[0]]
			first := -1
			last := -1
			for i, x := range row {
				if x != 0 {
					if first < 0 {
						first = i
					}
					last = i
				}
			}
			if first < 0 {
				continue
			}
			lo = [3]int{min(lo[0], first), min(lo[1], j), min(lo[2], k)}
			hi = [3]int{max(hi[0], last), max(hi[1], j), max(hi[2], k)}
		}
	}
	return lo, hi, hi[0] >= 0
}

// Around returns the bounds of the voxels set, widened by mm and clipped to the grid; ok is false for an empty mask.
func (m *Mask) Around(mm float64) (lo, hi [3]int, ok bool) {
	if lo, hi, ok = m.Bounds(); !ok {
		return lo, hi, false
	}
	for a := range 3 {
		n := int(mm/m.Spacing[a]) + 2
		lo[a], hi[a] = max(lo[a]-n, 0), min(hi[a]+n, m.Size[a]-1)
	}
	return lo, hi, true
}

// Box is the geometry of the voxels lo … hi, both included.
func (g Geometry) Box(lo, hi [3]int) Geometry {
	b := g
	b.Origin = g.Point(Vec{float64(lo[0]), float64(lo[1]), float64(lo[2])})
	for a := range 3 {
		b.Size[a] = hi[a] - lo[a] + 1
	}
	return b
}

// Crop copies the voxels lo … hi, both included.
func (v *Volume) Crop(lo, hi [3]int) *Volume {
	out := New(v.Box(lo, hi))
	copyBox(out.Data, v.Data, out.Geometry, v.Geometry, lo, false)
	return out
}

// Crop copies the voxels lo … hi, both included.
func (m *Mask) Crop(lo, hi [3]int) *Mask {
	out := NewMask(m.Box(lo, hi))
	copyBox(out.Data, m.Data, out.Geometry, m.Geometry, lo, false)
	return out
}

// Paste writes the mask part, a Crop at lo, back into m.
func (m *Mask) Paste(part *Mask, lo [3]int) {
	copyBox(part.Data, m.Data, part.Geometry, m.Geometry, lo, true)
}

// copyBox copies between a box and the grid it is part of; back: from the box to the grid.
func copyBox[T any](box, whole []T, b, w Geometry, lo [3]int, back bool) {
	for k := range b.Size[2] {
		for j := range b.Size[1] {
			in := box[b.Offset(0, j, k):][:b.Size[0]]
			out := whole[w.Offset(lo[0], lo[1]+j, lo[2]+k):][:b.Size[0]]
			if back {
				copy(out, in)
			} else {
				copy(in, out)
			}
		}
	}
}

// ballTolerance makes a voxel centre that lies exactly on the ball's surface part of it, whatever the rounding (mm).
const ballTolerance = 1e-4

// Dilate adds every voxel whose centre is at most mm from a centre set: dilation by an exact Euclidean ball.
func Dilate(m *Mask, mm float64) *Mask {
	lo, hi, ok := m.Around(mm)
	if !ok || mm <= 0 {
		return m.Clone()
	}
	part := m.Crop(lo, hi)
	d := Distance(part)
	limit := float32(mm + ballTolerance)
	for i, x := range d.Data {
		part.Data[i] = bit(x <= limit)
	}
	out := m.Clone()
	out.Paste(part, lo)
	return out
}

// Erode removes every voxel whose centre is at most mm from a centre not set. What lies beyond the grid is unknown and
// removes nothing.
func Erode(m *Mask, mm float64) *Mask {
	lo, hi, ok := m.Around(mm)
	if !ok || mm <= 0 {
		return m.Clone()
	}
	part := m.Crop(lo, hi)
	d := squaredDistance(part, 0, false)
	root(d)
	limit := float32(mm + ballTolerance)
	for i, x := range d.Data {
		part.Data[i] = bit(x > limit)
	}
	out := m.Clone()
	out.Paste(part, lo)
	return out
}

// Open is Erode, then Dilate: removes what a ball of radius mm does not fit into.
func Open(m *Mask, mm float64) *Mask { return Dilate(Erode(m, mm), mm) }

// Close is Dilate, then Erode: closes gaps that a ball of radius mm does not fit into. The dilation may leave the grid,
// so that a mask near the rim is not glued to it.
func Close(m *Mask, mm float64) *Mask {
	lo, hi, ok := m.Bounds()
	if !ok || mm <= 0 {
		return m.Clone()
	}
	var room [3]int
	wide := m.Box(lo, hi)
	for a := range 3 {
		room[a] = int(mm/m.Spacing[a]) + 2
		wide.Size[a] += 2 * room[a]
	}
	wide.Origin = wide.Point(Vec{-float64(room[0]), -float64(room[1]), -float64(room[2])})
	padded := NewMask(wide)
	padded.Paste(m.Crop(lo, hi), room)
	closed := Erode(Dilate(padded, mm), mm)
	// A closing stays within the convex hull, so within the bounds.
	part := closed.Crop(room, [3]int{room[0] + hi[0] - lo[0], room[1] + hi[1] - lo[1], room[2] + hi[2] - lo[2]})
	out := m.Clone()
	part.Geometry = m.Box(lo, hi)
	out.Paste(part, lo)
	return out
}

func bit(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

// Union returns the voxels in a or b, which must lie on one grid.
func Union(a, b *Mask) *Mask {
	out := a.Clone()
	for i, x := range b.Data {
		out.Data[i] |= x
	}
	return out
}

// Intersect returns the voxels in a and b, which must lie on one grid.
func Intersect(a, b *Mask) *Mask {
	out := a.Clone()
	for i, x := range b.Data {
		out.Data[i] &= x
	}
	return out
}

// Subtract returns the voxels in a and not in b, which must lie on one grid.
func Subtract(a, b *Mask) *Mask {
	out := a.Clone()
	for i, x := range b.Data {
		out.Data[i] &^= x
	}
	return out
}

// Threshold returns the voxels with lo ≤ value ≤ hi.
func Threshold(v *Volume, lo, hi float32) *Mask {
	m := NewMask(v.Geometry)
	parallel(v.Size[2], func(k int) {
		n := v.Size[0] * v.Size[1]
		in, out := v.Data[k*n:][:n], m.Data[k*n:][:n]
		for i, x := range in {
			out[i] = bit(x >= lo && x <= hi)
		}
	})
	return m
}
