package segment

import (
	"math"

	"rfanode/analysis/volume"
)

// A trachea is 12 to 27 mm across; a main bronchus seen obliquely is up to 8 cm² of air in a slice before it opens into
// the lung's own air.
const (
	minTracheaMM2  = 60
	maxTracheaMM2  = 800
	maxBronchusMM2 = 900
	minTracheaMM   = 25 // a round pocket of air shorter than this along the body is no trachea
	tracheaAirHU   = -800
	lumenHU        = -700 // below the partial volume of a thin wall between airway and lung
	wallMM         = 3    // what lies between the lumen and lung: wall and partial volume
)

// removeAirways takes the trachea and the main bronchi out of air. They are followed from above, slice by slice, as
// pieces of gas that overlap those of the slice before; a piece that has grown as large as lung is lung and ends the
// way. Without a recognisable trachea nothing is removed.
func removeAirways(air *volume.Mask, w *volume.Volume, body *volume.Mask) {
	order := downwards(air.Geometry)
	labels := make([][]int32, len(order)) // pieces of every slice, in the order from above
	pieces := make([][]piece, len(order))
	midline := centreX(body)
	lumen := air.Clone()
	for i, x := range w.Data {
		if x > lumenHU {
			lumen.Data[i] = 0
		}
	}
	for s, k := range order {
		labels[s], pieces[s] = slicePieces(lumen, w, k)
	}
	var best [][]bool
	bestLength := 0.0
	for s := range order {
		for p := range pieces[s] {
			if !pieces[s][p].tracheal(midline) {
				continue
			}
			way, length := follow(labels, pieces, s, p)
			if d := float64(length) * air.Spacing[2]; d > bestLength {
				best, bestLength = way, d
			}
		}
		if bestLength >= 4*minTracheaMM { // nothing lower can be longer by enough to matter
			break
		}
	}
	if bestLength < minTracheaMM {
		return
	}
	airway := volume.NewMask(air.Geometry)
	n := air.Size[0] * air.Size[1]
	for s, k := range order {
		for i, label := range labels[s] {
			if label > 0 && best[s] != nil && best[s][label] {
				airway.Data[k*n+i] = 1
			}
		}
	}
	for i, x := range inSlices(airway, func(s *volume.Mask) *volume.Mask { return volume.Dilate(s, wallMM) }).Data {
		air.Data[i] &^= x
	}
}

// piece is a connected piece of air in one slice.
type piece struct {
	areaMM2      float64
	x            float64 // LPS of its centroid
	width, depth float64 // bounding box, mm
	meanHU       float64
}

// tracheal reports whether the piece looks like a cut through the trachea: size, roundness, gas, near the middle.
func (p piece) tracheal(midline float64) bool {
	const offMidlineMM = 40
	box := p.width * p.depth
	return p.areaMM2 >= minTracheaMM2 && p.areaMM2 <= maxTracheaMM2 && p.areaMM2 > 0.5*box &&
		max(p.width, p.depth) < 2.5*min(p.width, p.depth) && p.meanHU < tracheaAirHU && math.Abs(p.x-midline) < offMidlineMM
}

// slicePieces labels the pieces of air in slice k; index 0 of the pieces stands for no air.
func slicePieces(air *volume.Mask, w *volume.Volume, k int) ([]int32, []piece) {
	s := sliceOf(air, k)
	labels, sizes := volume.Components(s, 6)
	pieces := make([]piece, len(sizes))
	type box struct{ i0, i1, j0, j1, si, sj int }
	boxes := make([]box, len(sizes))
	for l := range boxes {
		boxes[l] = box{i0: s.Size[0], j0: s.Size[1], i1: -1, j1: -1}
	}
	for p, l := range labels {
		if l == 0 {
			continue
		}
		i, j := p%s.Size[0], p/s.Size[0]
		b := &boxes[l]
		b.i0, b.i1, b.j0, b.j1 = min(b.i0, i), max(b.i1, i), min(b.j0, j), max(b.j1, j)
		b.si += i
		b.sj += j
		pieces[l].meanHU += float64(w.Data[k*len(labels)+p])
	}
	for l := 1; l < len(pieces); l++ {
		n, b := float64(sizes[l]), boxes[l]
		pieces[l].areaMM2 = n * s.Spacing[0] * s.Spacing[1]
		pieces[l].meanHU /= n
		pieces[l].width = float64(b.i1-b.i0+1) * s.Spacing[0]
		pieces[l].depth = float64(b.j1-b.j0+1) * s.Spacing[1]
		pieces[l].x = s.Point(volume.Vec{float64(b.si) / n, float64(b.sj) / n, 0})[0]
	}
	return labels, pieces
}

// follow walks down from piece p of slice s and returns the pieces that belong to the airway, and over how many slices
// the trachea itself (one piece that still looks like one) lasted.
func follow(labels [][]int32, pieces [][]piece, s, p int) (way [][]bool, length int) {
	way = make([][]bool, len(labels))
	way[s] = make([]bool, len(pieces[s]))
	way[s][p] = true
	length = 1
	single := true
	for t := s + 1; t < len(labels); t++ {
		next := make([]bool, len(pieces[t]))
		found := 0
		for i, l := range labels[t] {
			above := labels[t-1][i]
			if l > 0 && above > 0 && way[t-1][above] && !next[l] && pieces[t][l].areaMM2 <= maxBronchusMM2 {
				next[l] = true
				found++
			}
		}
		if found == 0 {
			break
		}
		way[t] = next
		if single = single && found == 1; single {
			length++
		}
	}
	return way, length
}

// downwards lists the slices from the head to the feet.
func downwards(g volume.Geometry) []int {
	order := make([]int, g.Size[2])
	for s := range order {
		order[s] = s
		if g.Direction[2][2] > 0 {
			order[s] = g.Size[2] - 1 - s
		}
	}
	return order
}

// centreX is the LPS x of the centre of a mask; 0 if it is empty.
func centreX(m *volume.Mask) float64 { return m.Centroid()[0] }
