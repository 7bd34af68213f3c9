package phantom

import "math"

// wave is one term of the unevenness of a surface.
type wave struct {
	k     vec // radians per mm
	phase float64
	mm    float64
}

type waves []wave

func newWaves(s *stream, n int, shortest, longest, amplitude float64) waves {
	w := make(waves, n)
	for i := range w {
		k := scale(s.direction(), 2*math.Pi/s.between(shortest, longest))
		w[i] = wave{k, s.between(0, 2*math.Pi), amplitude * s.between(0.5, 1)}
	}
	return w
}

func (w waves) at(p vec) float64 {
	sum := 0.0
	for i := range w {
		sum += w[i].mm * math.Sin(dot(w[i].k, p)+w[i].phase)
	}
	return sum
}

// tumour is a lobulated ellipsoid, solid throughout or only in the middle, or not at all.
type tumour struct {
	kind   Kind
	centre vec
	axes   [3]vec
	half   vec
	reach  float64 // no part of it lies farther from the centre
	lobes  waves
}

func newTumour(s *stream, kind Kind, centre vec, radius float64) tumour {
	t := tumour{kind: kind, centre: centre, axes: rotation(s.direction(), s.between(0, 2*math.Pi))}
	a, b := s.between(0.88, 1.14), s.between(0.9, 1.1)
	t.half = vec{radius * a, radius * b, radius / (a * b)}
	t.lobes = newWaves(s, 6, 0.9*radius+3, 2.4*radius+3, 0.035*radius)
	t.reach = max(t.half[0], max(t.half[1], t.half[2]))*1.02 + 0.22*radius
	return t
}

// depth is the depth inside the tumour in mm, negative outside.
func (t *tumour) depth(m vec) float64 {
	d := sub(m, t.centre)
	if r := length(d); r > t.reach {
		return t.reach - r - 1
	}
	return ellipsoid(rotate(t.axes, d), t.half) + t.lobes.at(d)
}

// apply puts the tumour over the value v of the lung at m.
func (t *tumour) apply(v float64, m vec, w float64, tex *texture) float64 {
	if distance(m, t.centre) > t.reach+w {
		return v
	}
	d := t.depth(m)
	share := edge(d, w)
	if share == 0 {
		return v
	}
	solid := 34 + 8*tex.at(m, 2.2)
	glass := -560 + 55*tex.at(m, 2.4)
	hu := solid
	switch t.kind {
	case PartSolid:
		hu = lerp(glass, solid, edge(d-0.45*t.half[2], w+0.6))
	case GroundGlass:
		hu = glass
	}
	return max(v, lerp(v, hu, share))
}

// zone is the ablation zone: an uneven ellipsoid with a dense rim, ground glass and a solid core.
type zone struct {
	centre vec
	axes   [3]vec
	half   vec
	uneven waves
	core   float64 // radius of the solid core, mm
	halo   float64 // HU of the ground glass
	rim    float64 // HU of the rim
	tail   *tube   // along the needle track; nil: none
	reach  float64
}

// depth is the depth inside the zone in mm, negative outside.
func (z *zone) depth(m vec) float64 {
	d := sub(m, z.centre)
	if r := length(d); r > z.reach {
		return z.reach - r - 1
	}
	in := ellipsoid(rotate(z.axes, d), z.half) + z.uneven.at(d)
	if z.tail != nil {
		in = softMax(in, -z.tail.distance(d), 4)
	}
	return in
}

// apply puts the zone over the value v of the lung at m.
func (z *zone) apply(v float64, m vec, w float64, tex *texture) float64 {
	r := distance(m, z.centre)
	if r > z.reach+w {
		return v
	}
	d := z.depth(m)
	share := edge(d, w)
	if share == 0 {
		return v
	}
	const opacity = 0.94
	t := tex.at(m, 3)
	hu := lerp(z.rim+25*t, z.halo+65*t, smoothstep(2.2, 5.6, d+0.5*tex.at(m, 5)))
	hu = lerp(hu, 15+12*t, edge(z.core-r+1.2*tex.at(m, 6), w+1))
	return lerp(v, max(v, hu), opacity*share)
}
