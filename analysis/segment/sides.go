package segment

import "rfanode/analysis/volume"

// sides sorts the pieces of lung into the patient's right and left. Lungs that touch in front of or behind the
// mediastinum are one piece of air; it is cut where it is thinnest.
func sides(parts []*volume.Mask, body *volume.Mask) (right, left *volume.Mask) {
	g := parts[0].Geometry
	right, left = volume.NewMask(g), volume.NewMask(g)
	midline := centreX(body)
	for _, part := range parts {
		r, l := part, (*volume.Mask)(nil)
		if straddles(part, midline) {
			r, l = cutInTwo(part, midline)
		}
		for _, m := range []*volume.Mask{r, l} {
			if m == nil {
				continue
			}
			to := right
			if centreX(m) > midline { // LPS: x grows to the patient's left
				to = left
			}
			for i, x := range m.Data {
				to.Data[i] |= x
			}
		}
	}
	return right, left
}

// straddles reports whether a piece has much of its volume clearly on either side of the midline.
func straddles(m *volume.Mask, midline float64) bool {
	const clearMM, share = 20, 0.15
	r, l, n := 0, 0, 0
	for k := range m.Size[2] {
		for j := range m.Size[1] {
			p0 := m.Point(volume.Vec{0, float64(j), float64(k)})[0]
			dx := m.Direction[0][0] * m.Spacing[0]
			for i, x := range m.Data[m.Offset(0, j, k):][:m.Size[0]] {
				if x == 0 {
					continue
				}
				n++
				if d := p0 + float64(i)*dx - midline; d < -clearMM {
					r++
				} else if d > clearMM {
					l++
				}
			}
		}
	}
	return float64(min(r, l)) > share*float64(n)
}

// cutInTwo erodes a piece until two large cores are left on either side of the midline and gives every voxel to the
// nearer core. Without such cores the piece stays whole (l nil).
func cutInTwo(m *volume.Mask, midline float64) (r, l *volume.Mask) {
	const share = 0.1
	outside := volume.NewMask(m.Geometry)
	for i, x := range m.Data {
		outside.Data[i] = 1 - x
	}
	depth := volume.Distance(outside)
	total := m.Count()
	for _, mm := range []float64{1, 2, 3, 4, 6, 8, 10, 13, 16, 20} {
		core := volume.NewMask(m.Geometry)
		for i, d := range depth.Data {
			if m.Data[i] != 0 && float64(d) > mm {
				core.Data[i] = 1
			}
		}
		labels, sizes := volume.Components(core, 6)
		seedR, seedL := volume.NewMask(m.Geometry), volume.NewMask(m.Geometry)
		nR, nL := 0, 0
		for label, size := range sizes {
			if label == 0 || float64(size) < share*float64(total) {
				continue
			}
			part := labelled(m.Geometry, labels, int32(label))
			if straddles(part, midline) {
				nR = 0
				break
			}
			to, n := seedR, &nR
			if centreX(part) > midline {
				to, n = seedL, &nL
			}
			*n += size
			for i, x := range part.Data {
				to.Data[i] |= x
			}
		}
		if nR == 0 || nL == 0 {
			continue
		}
		r, l = volume.NewMask(m.Geometry), volume.NewMask(m.Geometry)
		dR, dL := volume.Distance(seedR), volume.Distance(seedL)
		for i, x := range m.Data {
			if x == 0 {
				continue
			}
			if dR.Data[i] <= dL.Data[i] {
				r.Data[i] = 1
			} else {
				l.Data[i] = 1
			}
		}
		return r, l
	}
	return m, nil
}
