package segment

import (
	"rfanode/analysis/register"
	"rfanode/analysis/volume"
)

// The zone's surface lies half way between its outer layer and the lung round it: a dense rim and a halo of ground
// glass round a denser core each by its own density.
const (
	ptzLevel    = 0.5
	ptzRoomMM   = 18
	layerFromMM = 1.5 // depth of the outer layer that tells the zone's density
	layerToMM   = 4
	minRiseHU   = 150 // of the surface's threshold over the lung, at least and at most
	maxRiseHU   = 450
	freshShare  = 0.4 // of that rise which must be new: what was dense before is vessel or wall
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
	old := volume.Intersect(volume.Threshold(warped(tumour.level(), toPre, g, -volume.Far), 0, volume.Far), s.hull)
	cut := func(level float64) *volume.Mask {
		rise := min(max(level*(s.insideHU-s.lungHU), minRiseHU), maxRiseHU)
		fresh := volume.NewMask(g)
		for i, x := range hu.Data {
			if s.hull.Data[i] != 0 && float64(x) > s.lungHU+rise && float64(x-pre.Data[i]) > freshShare*rise {
				fresh.Data[i] = 1
			}
		}
		body := touching(volume.Open(fresh, streakMM), rough)
		body = volume.Union(body, throughTumour(body, old, fresh, s.hull))
		body = volume.Intersect(volume.Close(body, zoneCloseMM), s.hull)
		body = volume.FillHoles(volume.FillHolesInSlices(body))
		return volume.Largest(touching(body, rough), 6)
	}
	s.mask = cut(ptzLevel)
	s.rangeML = [2]float64{cut(ptzLevel + levelRange).VolumeML(), cut(ptzLevel - levelRange).VolumeML()}
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
