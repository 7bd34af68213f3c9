package segment

import (
	"rfanode/analysis/register"
	"rfanode/analysis/volume"
)

// The zone's surface lies half way between its outer layer and what was there before: lung, or the ground glass of a
// tumour.
const (
	ptzLevel    = 0.5
	ptzRoomMM   = 18
	layerFromMM = 1 // depth of the outer layer that tells the zone's density
	layerToMM   = 3
	minRiseHU   = 130 // of the surface's threshold over what was there before, at least and at most
	maxRiseHU   = 450
	streakMM    = 1.6 // radius of the opening that cuts vessels and streaks off
	denseHU     = -400
)

// refineZone finds the surface of a zone on post. toPre is the best map at hand near the zone. The tumour, already found
// on pre, was dense before and shows no change; throughTumour says what of it counts as zone.
func (p *pair) refineZone(z zone, tumour surface, toPre register.Transform) (s surface, ok bool) {
	r, ok := regionAround(p.in.Post.Geometry, z.mask, ptzRoomMM)
	if !ok {
		return s, false
	}
	s = surface{region: r}
	g := r.Geometry
	hu, pre := r.values(p.in.Post), warped(p.in.Pre, toPre, g, noCT)
	s.hull = volume.Union(r.mask(p.in.PostLungs.Hull), p.preHull(toPre, g))
	rough := volume.Threshold(volume.Resample(volume.SignedDistance(z.mask), g, -volume.Far), 0, volume.Far)
	if rough.Count() == 0 {
		return s, false
	}
	if s.lungHU, ok = ringMedian(hu, s.hull, rough); !ok {
		return s, false
	}
	s.insideHU = layerMedian(hu, rough, s.hull)
	within := func(m *volume.Mask) *volume.Mask {
		return volume.Intersect(volume.Threshold(warped(volume.SignedDistance(m), toPre, g, -volume.Far), 0, volume.Far), s.hull)
	}
	old, hidden := within(tumour.mask), volume.NewMask(g)
	if tumour.dense.Count() > 0 {
		hidden = within(tumour.dense)
	}
	before := smoothWithin(pre, s.hull, glassSmoothMM)
	wall := volume.NewMask(g)
	for i, x := range s.hull.Data {
		wall.Data[i] = 1 - x
	}
	cut := func(level float64) *volume.Mask {
		fresh := volume.NewMask(g)
		for i, x := range hu.Data {
			if s.hull.Data[i] == 0 {
				continue
			}
			b := max(float64(before.Data[i]), s.lungHU)
			rise := min(max(level*(s.insideHU-b), minRiseHU), maxRiseHU)
			if float64(x) > b+rise {
				fresh.Data[i] = 1
			}
		}
		body := touching(volume.Open(fresh, streakMM), rough)
		body = volume.Union(body, volume.Intersect(inSlices(body, convexHull), volume.Subtract(old, hidden)))
		body = volume.Union(body, throughTumour(body, hidden, fresh, s.hull))
		body = volume.Intersect(volume.Close(body, zoneCloseMM), s.hull)
		body = volume.FillHoles(volume.FillHolesInSlices(body))
		body = volume.Intersect(volume.FillHoles(volume.Union(body, wall)), s.hull) // pleura closes what is open towards it
		return volume.Largest(touching(body, rough), 6)
	}
	first := cut(ptzLevel)
	if first.Count() == 0 {
		return s, false
	}
	s.insideHU = layerMedian(hu, first, s.hull)
	s.mask = cut(ptzLevel)
	s.rangeML = [2]float64{cut(ptzLevel + levelRange).VolumeML(), cut(ptzLevel - levelRange).VolumeML()}
	if n := old.Count(); n > 0 {
		s.tumourShare = float64(volume.Intersect(old, s.mask).Count()) / float64(n)
	}
	return s, s.mask.Count() > 0
}

// preHull is the hull of pre, carried to a grid of post.
func (p *pair) preHull(toPre register.Transform, g volume.Geometry) *volume.Mask {
	pre := p.in.PreLungs.Hull
	var lo, hi volume.Vec
	for c := range 8 {
		var idx volume.Vec
		for x := range 3 {
			idx[x] = float64(c>>x&1) * float64(g.Size[x]-1)
		}
		at := pre.Index(toPre.Map(g.Point(idx)))
		for x := range 3 {
			if c == 0 || at[x] < lo[x] {
				lo[x] = at[x]
			}
			if c == 0 || at[x] > hi[x] {
				hi[x] = at[x]
			}
		}
	}
	a, b, ok := around(pre.Geometry, lo, hi, ptzRoomMM)
	if !ok {
		return volume.NewMask(g)
	}
	return volume.Threshold(warped(volume.SignedDistance(pre.Crop(a, b)), toPre, g, -volume.Far), 0, volume.Far)
}

// layerMedian is the median HU of the zone's outer layer, away from pleura and chest wall where there is enough of it.
func layerMedian(hu *volume.Volume, zone, hull *volume.Mask) float64 {
	depth, inHull := volume.SignedDistance(zone), volume.SignedDistance(hull)
	var layer, free []float32
	for i, d := range depth.Data {
		if d >= layerFromMM && d <= layerToMM {
			layer = append(layer, hu.Data[i])
			if inHull.Data[i] > 2*layerToMM {
				free = append(free, hu.Data[i])
			}
		}
	}
	switch {
	case len(free) >= minRing:
		return median(free)
	case len(layer) > 0:
		return median(layer)
	}
	return coreMedian(hu, zone)
}

// smoothWithin smooths what lies within a mask and leaves out what does not: along the pleura the chest wall has no part.
func smoothWithin(v *volume.Volume, m *volume.Mask, sigmaMM float64) *volume.Volume {
	sum, weight := volume.New(v.Geometry), volume.New(v.Geometry)
	for i, x := range m.Data {
		if x != 0 {
			sum.Data[i], weight.Data[i] = v.Data[i], 1
		}
	}
	sum, weight = volume.Smooth(sum, sigmaMM), volume.Smooth(weight, sigmaMM)
	for i, w := range weight.Data {
		if w > 1e-3 {
			sum.Data[i] /= w
		} else {
			sum.Data[i] = v.Data[i]
		}
	}
	return sum
}
