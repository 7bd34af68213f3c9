package segment

import (
	"cmp"
	"slices"

	"rfanode/analysis/volume"
)

// Limits of the change test. Breathing, noise and an imperfect registration leave rims and streaks; a zone is thick in
// all directions. Inscribed radii are measured to voxel faces.
const (
	changeHU    = 250 // new density: ground glass over aerated lung
	seedMM      = 2   // half the thickness a change must have somewhere to count at all
	regrowMM    = 3
	zoneCloseMM = 4    // joins the shell round a tumour that was dense before
	minZoneMM   = 6    // inscribed radius of a zone, its inside filled
	thinZoneMM  = 5    // and of one over a compact tumour, where pleura or the tumour itself leave it less room
	insideHU    = -680 // on pre, what is no lung: a tumour, if only of ground glass
)

// zone is a new opacity on the work grid of post.
type zone struct {
	mask     *volume.Mask // with its inside filled
	radiusMM float64      // of the largest ball inside
}

// zones returns the new opacities, the thickest first.
func (p *pair) zones() []zone {
	fresh := volume.NewMask(p.change.Geometry)
	for i, d := range p.change.Data {
		if d > changeHU {
			fresh.Data[i] = 1
		}
	}
	seeds := volume.Threshold(volume.SignedDistance(fresh), seedMM, volume.Far)
	grown := volume.Intersect(volume.Dilate(seeds, regrowMM), fresh)
	labels, sizes := volume.Components(grown, 26)
	const minML = 0.3 // below this no ball of minZoneMM fits, whatever is filled
	var out []zone
	for label := 1; label < len(sizes); label++ {
		if float64(sizes[label])*grown.VoxelML() < minML {
			continue
		}
		m := p.filled(labelled(grown.Geometry, labels, int32(label)))
		lo, hi, _ := m.Around(2 * zoneCloseMM)
		depth := volume.SignedDistance(m.Crop(lo, hi))
		out = append(out, zone{mask: m, radiusMM: float64(slices.Max(depth.Data))})
	}
	slices.SortStableFunc(out, func(a, b zone) int { return cmp.Compare(b.radiusMM, a.radiusMM) })
	return out
}

// filled closes a new opacity and fills what it encloses, slice by slice and in space, within the hull. The tumour was
// dense before and is not new, or less: what of it lies within the opacity's convex outline belongs to the zone.
func (p *pair) filled(m *volume.Mask) *volume.Mask {
	lo, hi, ok := m.Around(3 * zoneCloseMM)
	if !ok {
		return m
	}
	part := m.Crop(lo, hi)
	dense := volume.Threshold(p.pre.Crop(lo, hi), insideHU, volume.Far)
	part = volume.Close(volume.Union(part, volume.Intersect(inSlices(part, convexHull), dense)), zoneCloseMM)
	part = volume.FillHoles(volume.FillHolesInSlices(part))
	part = volume.Intersect(part, p.hull.Crop(lo, hi))
	out := volume.NewMask(m.Geometry)
	out.Paste(part, lo)
	return out
}
