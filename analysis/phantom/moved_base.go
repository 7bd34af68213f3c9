package phantom

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"rfanode/analysis/volume"
)

// movedBase is the anatomy of a moved case in the frame of pre.
type movedBase struct {
	hu       *volume.Volume // as it came, smoothed in the plane: a function of space by trilinear interpolation
	grid     volume.Geometry
	lung     *volume.Mask   // on grid
	depth    *volume.Volume // signed distance to the lungs' surface, mm, > 0 inside
	interior *volume.Volume // the same of the rib cage's interior
	apex     float64        // z of the topmost slice with lung, mm
	dome     float64        // z of the slice with most lung
	middle   vec            // centre of the lungs
}

const (
	baseSmoothMM   = 1.2  // in the plane: takes the noise of the base away, leaves vessels of 2 mm
	movedLungHU    = -400 // lung is below
	lungCloseVoxel = 3    // of the lungs' surface, over vessels
	lungMarginMM   = 20   // kept round the lungs
	leastLungML    = 300
)

// newMovedBase finds lungs and rib cage in a CT and lays the grid round them.
func newMovedBase(v *volume.Volume, spacing float64) (*movedBase, error) {
	if v == nil || v.Len() == 0 || len(v.Data) != v.Len() {
		return nil, errors.New("there is no base CT")
	}
	b := &movedBase{hu: volume.SmoothInPlane(v, baseSmoothMM)}
	whole := axialRound(v.Geometry, spacing)
	rough := innerLungs(volume.Resample(b.hu, whole, -1024))
	lo, hi, ok := rough.Around(lungMarginMM)
	if ml := rough.VolumeML(); !ok || ml < leastLungML {
		return nil, fmt.Errorf("the base CT shows %.0f mL of lung, %d are needed", ml, leastLungML)
	}
	b.lung = volume.Close(rough.Crop(lo, hi), lungCloseVoxel*spacing)
	b.grid = b.lung.Geometry
	b.depth = volume.SignedDistance(b.lung)
	b.levels()
	b.interior = volume.SignedDistance(b.ribCage())
	return b, nil
}

// axialRound is the isotropic axial grid over the box of g.
func axialRound(g volume.Geometry, spacing float64) volume.Geometry {
	lo, hi := vec{math.Inf(1), math.Inf(1), math.Inf(1)}, vec{math.Inf(-1), math.Inf(-1), math.Inf(-1)}
	for c := range 8 {
		var idx vec
		for a := range 3 {
			if c>>a&1 == 1 {
				idx[a] = float64(g.Size[a] - 1)
			}
		}
		p := g.Point(idx)
		for a := range 3 {
			lo[a], hi[a] = min(lo[a], p[a]), max(hi[a], p[a])
		}
	}
	var size [3]int
	for a := range 3 {
		size[a] = int((hi[a]-lo[a])/spacing) + 1
	}
	return volume.Axial(size, [3]float64{spacing, spacing, spacing}, lo)
}

// innerLungs are the two largest pieces of air that do not reach the rim of the slices.
func innerLungs(v *volume.Volume) *volume.Mask {
	air := volume.Threshold(v, float32(math.Inf(-1)), movedLungHU)
	labels, sizes := volume.Components(air, 6)
	outer := make([]bool, len(sizes))
	nx, ny := v.Size[0], v.Size[1]
	for i, l := range labels {
		if x, y := i%nx, i/nx%ny; x == 0 || y == 0 || x == nx-1 || y == ny-1 {
			outer[l] = true
		}
	}
	var inner []int32
	for l := 1; l < len(sizes); l++ {
		if !outer[l] {
			inner = append(inner, int32(l))
		}
	}
	slices.SortStableFunc(inner, func(a, b int32) int { return sizes[b] - sizes[a] })
	m := volume.NewMask(v.Geometry)
	for n, l := range inner[:min(len(inner), 2)] {
		if n > 0 && 5*sizes[l] < sizes[inner[0]] {
			break // the lungs hang together; what comes next is gas elsewhere
		}
		for i := range labels {
			if labels[i] == l {
				m.Data[i] = 1
			}
		}
	}
	return m
}

// levels finds apex, dome and middle of the lungs.
func (b *movedBase) levels() {
	plane, most, n := b.grid.Size[0]*b.grid.Size[1], 0, 0.0
	for k := range b.grid.Size[2] {
		area := 0
		for i, in := range b.lung.Data[k*plane:][:plane] {
			if in != 0 {
				area++
				b.middle = add(b.middle, b.grid.Point(vec{float64(i % b.grid.Size[0]), float64(i / b.grid.Size[0]), float64(k)}))
			}
		}
		z := b.grid.Point(vec{0, 0, float64(k)})[2]
		if area > 0 {
			b.apex = z
		}
		if area > most {
			most, b.dome = area, z
		}
		n += float64(area)
	}
	b.middle = scale(b.middle, 1/n)
}

// ribCage is, in each slice, the convex hull of all lung at and above it: the abdomen under the dome moves with the
// lungs, the wall does not.
func (b *movedBase) ribCage() *volume.Mask {
	nx, ny := b.grid.Size[0], b.grid.Size[1]
	m := volume.NewMask(b.grid)
	first, last := make([]int, ny), make([]int, ny)
	for j := range ny {
		first[j], last[j] = nx, -1
	}
	for k := b.grid.Size[2] - 1; k >= 0; k-- {
		for j := range ny {
			for i, in := range b.lung.Data[b.grid.Offset(0, j, k):][:nx] {
				if in != 0 {
					first[j], last[j] = min(first[j], i), max(last[j], i)
				}
			}
		}
		left, right := hullSide(first, last, -1), hullSide(first, last, 1)
		for j := range ny {
			for i := int(math.Ceil(left[j])); i <= int(right[j]); i++ {
				m.Data[b.grid.Offset(i, j, k)] = 1
			}
		}
	}
	return m
}

// hullSide is, for each row, the left (sign -1) or right border of the convex hull of the rows' spans; an empty span
// (left 0, right -1) where the hull does not reach.
func hullSide(first, last []int, sign float64) []float64 {
	type corner struct{ j, x float64 }
	var chain []corner
	out := make([]float64, len(first))
	if sign > 0 {
		for j := range out {
			out[j] = -1
		}
	}
	for j := range first {
		if last[j] < 0 {
			continue
		}
		x := float64(last[j])
		if sign < 0 {
			x = float64(first[j])
		}
		c := corner{float64(j), x}
		for len(chain) > 1 {
			a, b := chain[len(chain)-2], chain[len(chain)-1]
			if sign*((b.x-a.x)*(c.j-a.j)-(c.x-a.x)*(b.j-a.j)) > 0 {
				break
			}
			chain = chain[:len(chain)-1]
		}
		chain = append(chain, c)
	}
	for n := 1; n < len(chain); n++ {
		a, b := chain[n-1], chain[n]
		for j := int(a.j); j <= int(b.j); j++ {
			out[j] = a.x + (b.x-a.x)*(float64(j)-a.j)/(b.j-a.j)
		}
	}
	return out
}

// at is the value of a distance field at p, far outside beyond the grid.
func (b *movedBase) at(v *volume.Volume, p vec) float64 { return float64(v.At(v.Index(p), -100)) }

// What the sites ask for, mm. The nodule has a radius of 10.
const (
	freeDepth     = 24 // lung all round the zone
	wallDepthLow  = 9.5
	wallDepthHigh = 11.5 // the nodule touches the pleura
	wallCage      = 16   // the wall is the rib cage, not mediastinum or diaphragm
	sheetDepth    = 17
	baseDepthLow  = 13
	baseDepthHigh = 18
	baseColumn    = 22 // to the lung's lower end
	baseCage      = 22
	hilumDepthLow = 12
	hilumDepth    = 16
	hilumCage     = 40
	endsMM        = 30 // to the first and the last slice of the grid
	nearMM        = 12 // within which the site must be lung
)

// site draws a voxel of lung that meets the rule of the site.
func (b *movedBase) site(s *stream, site MovedSite) (vec, error) {
	g := b.grid
	deepest := float32(0)
	for _, d := range b.depth.Data {
		deepest = max(deepest, d)
	}
	below := b.column()
	var places []int
	plane := g.Size[0] * g.Size[1]
	for i, depth := range b.depth.Data {
		if depth < wallDepthLow {
			continue
		}
		z := float64(i/plane) * g.Spacing[2]
		if top := float64(g.Size[2]-1) * g.Spacing[2]; z < endsMM || top-z < endsMM {
			continue
		}
		cage := b.interior.Data[i]
		ok := false
		switch site {
		case MovedFree:
			ok = depth >= min(freeDepth, 0.8*deepest)
		case MovedSubpleural:
			ok = depth <= wallDepthHigh && cage <= wallCage && below[i] > 2*baseColumn
		case MovedFissure:
			ok = depth >= sheetDepth
		case MovedDiaphragm:
			ok = depth >= baseDepthLow && depth <= baseDepthHigh && below[i] <= baseColumn && cage >= baseCage
		case MovedVessels:
			ok = depth >= hilumDepthLow && depth <= hilumDepth && cage >= hilumCage && below[i] > 2*baseColumn
		}
		if ok {
			places = append(places, i)
		}
	}
	const tries = 300
	for range min(tries, len(places)) {
		i := places[s.next()%uint64(len(places))]
		p := g.Point(vec{float64(i % g.Size[0]), float64(i / g.Size[0] % g.Size[1]), float64(i / plane)})
		if b.aerated(p) {
			return p, nil
		}
	}
	return vec{}, fmt.Errorf("the lungs of the base CT have no place for a nodule of this kind (%s; %d voxels asked): choose another site or base", site, len(places))
}

// column is the length of lung straight below each voxel, mm.
func (b *movedBase) column() []float32 {
	out := make([]float32, b.grid.Len())
	plane := b.grid.Size[0] * b.grid.Size[1]
	for i := range out {
		if b.lung.Data[i] == 0 {
			continue
		}
		out[i] = float32(b.grid.Spacing[2])
		if i >= plane {
			out[i] += out[i-plane]
		}
	}
	return out
}

// aerated reports whether the base shows nothing but lung round p: no lesion of its own, no great vessel.
func (b *movedBase) aerated(p vec) bool {
	const step = 3.0
	solid, n := 0, 0
	for x := -nearMM; x <= nearMM; x += step {
		for y := -nearMM; y <= nearMM; y += step {
			for z := -nearMM; z <= nearMM; z += step {
				d := vec{float64(x), float64(y), float64(z)}
				if length(d) > nearMM {
					continue
				}
				n++
				if b.hu.At(b.hu.Index(add(p, d)), -1024) > movedLungHU {
					solid++
				}
			}
		}
	}
	return 20*solid <= n*3
}
