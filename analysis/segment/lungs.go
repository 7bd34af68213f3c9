package segment

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"rfanode/analysis/volume"
)

// Limits of what is lung. The threshold lies midway between aerated lung and soft tissue, where the partial volume of
// the pleura is one half; the others are anatomy in round numbers.
const (
	airHU          = -400 // lung and airways are below, tissue is above
	minLungPartML  = 100  // smaller pieces of air are gut, pockets under the skin, or cut off lung of no use here
	gasHU          = -960 // a piece with a lower median holds gas and no lung: stomach, colon, air between arm and chest
	cutAreaCM2     = 10   // more lung than this in an end slice: the scan range cuts the lung
	minSliceNormal = 0.8  // cosine between the slice axis and the body axis below which the slices are not axial
)

// Lungs are the two lungs of one CT, on the CT's own grid. Trachea and main bronchi are left out; vessels, nodules and
// whatever else the lung encloses slice by slice are in.
type Lungs struct {
	Mask        *volume.Mask // aerated lung with enclosed tissue
	Hull        *volume.Mask // Mask closed within each slice: tumours that sit on the pleura are in
	Right, Left *volume.Mask // the patient's right and left part of Hull; one may be empty
	CutSuperior bool         // the first slice from above still shows lung: the scan range cuts it
	CutInferior bool         // the same from below; common at the bases
}

// ErrNoLungs says that a volume shows no lungs: not a chest, or one whose lungs carry no air.
var ErrNoLungs = errors.New("no lungs found")

// FindLungs finds the lungs: air within the body, without airways and gut, in pieces of at least 100 mL, holes filled
// slice by slice, and closed so that lesions on the pleura are inside the hull. v: HU, slices within about 35 degrees of
// axial. The error is ErrNoLungs, or that of ctx.
func FindLungs(ctx context.Context, v *volume.Volume) (*Lungs, error) {
	if math.Abs(v.Direction[2][2]) < minSliceNormal {
		return nil, fmt.Errorf("segmenting the lungs: the slices are not axial (slice axis %.2f %.2f %.2f): send an axial series",
			v.Direction[2][0], v.Direction[2][1], v.Direction[2][2])
	}
	w := workVolume(v)
	air, body := airInBody(w)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	removeAirways(air, w, body)
	parts := lungParts(air, w)
	if len(parts) == 0 {
		return nil, fmt.Errorf("segmenting the lungs: %w: no piece of lung of %d mL within the body", ErrNoLungs, minLungPartML)
	}
	right, left := sides(parts, body)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return lungsOf(ctx, right, left, v.Geometry)
}

// lungsOf fills and closes the two lungs on the work grid and brings them to the CT's own.
func lungsOf(ctx context.Context, right, left *volume.Mask, g volume.Geometry) (*Lungs, error) {
	l := &Lungs{}
	l.CutSuperior, l.CutInferior = cutByRange(volume.Union(right, left))
	filledR, filledL := volume.FillHolesInSlices(right), volume.FillHolesInSlices(left)
	separate(filledR, filledL)
	l.Mask = toGrid(volume.Union(filledR, filledL), g)
	costal := costalLayer(volume.Union(filledR, filledL))
	hullR, hullL := lungHull(filledR, costal), lungHull(filledL, costal)
	separate(hullR, hullL)
	l.Right, l.Left = toGrid(hullR, g), toGrid(hullL, g)
	l.Hull = volume.Union(l.Right, l.Left)
	return l, ctx.Err()
}

// airInBody returns what is darker than airHU and not outside the patient, and the patient. Outside is, slice by slice,
// the air that reaches the edge of the image past gaps of more than 6 mm between tissues.
func airInBody(w *volume.Volume) (air, body *volume.Mask) {
	const gapMM = 3
	tissue := volume.NewMask(w.Geometry)
	for i, x := range w.Data {
		if x > airHU {
			tissue.Data[i] = 1
		}
	}
	barrier := closeInSlices(tissue, gapMM)
	air, body = volume.NewMask(w.Geometry), volume.NewMask(w.Geometry)
	n := w.Size[0] * w.Size[1]
	for k := range w.Size[2] {
		outside := outsideOf(barrier.Data[k*n:(k+1)*n], w.Size[0], w.Size[1])
		for i, out := range outside {
			if out {
				continue
			}
			body.Data[k*n+i] = 1
			air.Data[k*n+i] = 1 - tissue.Data[k*n+i]
		}
	}
	return air, body
}

// outsideOf floods a slice from its edge through what is not barrier (4-connected).
func outsideOf(barrier []uint8, nx, ny int) []bool {
	out := make([]bool, len(barrier))
	var stack []int
	push := func(p int) {
		if !out[p] && barrier[p] == 0 {
			out[p] = true
			stack = append(stack, p)
		}
	}
	for i := range nx {
		push(i)
		push((ny-1)*nx + i)
	}
	for j := range ny {
		push(j * nx)
		push(j*nx + nx - 1)
	}
	for len(stack) > 0 {
		p := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if i := p % nx; i > 0 {
			push(p - 1)
		}
		if p%nx < nx-1 {
			push(p + 1)
		}
		if p >= nx {
			push(p - nx)
		}
		if p < len(out)-nx {
			push(p + nx)
		}
	}
	return out
}

// lungParts returns the pieces of air that can be lung, largest first.
func lungParts(air *volume.Mask, w *volume.Volume) []*volume.Mask {
	labels, sizes := volume.Components(air, 6)
	histograms := make(map[int32][]int32)
	for label, size := range sizes {
		if label > 0 && float64(size)*air.VoxelML() >= minLungPartML {
			histograms[int32(label)] = make([]int32, 1200)
		}
	}
	for i, label := range labels {
		if h := histograms[label]; h != nil {
			h[min(max(int(w.Data[i])+1200, 0), len(h)-1)]++
		}
	}
	var keep []int32
	for label, h := range histograms {
		if medianBin(h)-1200 >= gasHU {
			keep = append(keep, label)
		}
	}
	slices.SortFunc(keep, func(a, b int32) int {
		if sizes[a] != sizes[b] {
			return sizes[b] - sizes[a]
		}
		return int(a - b)
	})
	parts := make([]*volume.Mask, len(keep))
	for p, label := range keep {
		parts[p] = labelled(air.Geometry, labels, label)
	}
	return parts
}

// labelled is the mask of one component.
func labelled(g volume.Geometry, labels []int32, label int32) *volume.Mask {
	m := volume.NewMask(g)
	for i, l := range labels {
		if l == label {
			m.Data[i] = 1
		}
	}
	return m
}

func medianBin(h []int32) int {
	total, sum := int32(0), int32(0)
	for _, n := range h {
		total += n
	}
	for b, n := range h {
		if sum += n; 2*sum >= total {
			return b
		}
	}
	return 0
}

// cutByRange reports whether the lung reaches the end slices of the scan with more than a tip.
func cutByRange(lung *volume.Mask) (superior, inferior bool) {
	area := func(k int) float64 {
		return float64(sliceOf(lung, k).Count()) * lung.Spacing[0] * lung.Spacing[1] / 100
	}
	first, last := area(0) > cutAreaCM2, area(lung.Size[2]-1) > cutAreaCM2
	if lung.Direction[2][2] > 0 { // slice 0 is the lowest
		return last, first
	}
	return first, last
}

// separate takes from both masks what they share: filling or closing one lung must not reach into the other.
func separate(a, b *volume.Mask) {
	for i := range a.Data {
		if a.Data[i]&b.Data[i] != 0 {
			a.Data[i], b.Data[i] = 0, 0
		}
	}
}
