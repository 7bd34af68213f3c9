package phantom

import "math"

const (
	marginMM  = 5.0  // of the target round the tumour
	placeTrys = 4000 // points drawn before a site is given up
)

// place draws a centre for a tumour of the given radius at the given site.
func (c *chest) place(s *stream, site Site, radius float64) (vec, bool) {
	for range placeTrys {
		p := vec{s.between(-125, 125), s.between(-85, 90), s.between(c.domeRight-10, c.apex-18)}
		f := c.fields.at(p)
		if f[fieldLung] <= 0 {
			continue
		}
		if c.fits(p, f, site, radius) {
			return p, true
		}
	}
	return vec{}, false
}

// fits reports whether p with its fields f is a centre for the site.
func (c *chest) fits(p vec, f [4]float64, site Site, radius float64) bool {
	free := radius*1.2 + marginMM + 2 // the whole target lies in the lung
	cut := f[fieldLung] > 0.35*radius && f[fieldLung] < 0.75*radius
	switch site {
	case Subpleural:
		return cut && f[fieldCage]-f[fieldLung] < 1 && p[2] > c.diaphragm(p)+radius+20 && math.Abs(p[1]) < 70 && c.widestVessel(p, radius) < 1.6
	case Mediastinal:
		return cut && f[fieldCage] > 30 && p[2] > c.diaphragm(p)+radius+20 && c.widestVessel(p, radius) < 3
	}
	if f[fieldLung] < free || !c.clear(p, free) {
		return false
	}
	switch site {
	case NearVessel:
		v := c.widestVessel(p, radius+2)
		return v >= 1.5 && v <= 3 && c.widestVessel(p, 0.55*radius) < 1.5
	case Fissure:
		return c.fissure(p, 3) > 0.12 && c.widestVessel(p, radius+1) < 1.6
	}
	return c.widestVessel(p, radius+2) < 1.5
}

// clear reports whether the sphere of the given radius round p lies in the lung.
func (c *chest) clear(p vec, radius float64) bool {
	const spiral = 64 // points of a Fibonacci sphere
	for i := range spiral {
		z := 1 - (2*float64(i)+1)/spiral
		a := 2.399963 * float64(i)
		r := math.Sqrt(1 - z*z)
		if !c.inLung(along(p, vec{r * math.Cos(a), r * math.Sin(a), z}, radius)) {
			return false
		}
	}
	return true
}

// widestVessel is the radius of the widest vessel or bronchus whose surface comes within reach mm of p.
func (c *chest) widestVessel(p vec, reach float64) float64 {
	widest := 0.0
	for i := range c.tubes.tubes {
		t := &c.tubes.tubes[i]
		if d, r := t.axial(p); d < reach+r && r > widest {
			widest = r
		}
	}
	return widest
}

// addNodules puts further nodules into the lungs, well away from the treated one.
func (c *chest) addNodules(s *stream, n int) {
	for range n {
		r := s.between(2.5, 6)
		if p, ok := c.place(s, Free, r); ok && distance(p, c.tumours[0].centre) > 45 {
			c.tumours = append(c.tumours, newTumour(s, Kind(s.next()%3), p, r))
		}
	}
}

// ablate makes the zone: nil without an ablation, false if the coverage asked for cannot be had.
func (c *chest) ablate(s *stream, o Options) (*zone, bool) {
	if o.Coverage == NoAblation {
		return nil, true
	}
	t := &c.tumours[0]
	z := &zone{
		centre: t.centre, axes: rotation(s.direction(), s.between(0, 2*math.Pi)),
		uneven: newWaves(s, 6, 14, 34, 0.45), halo: o.HaloHU, rim: s.between(-80, -30),
	}
	away := s.direction()
	base := max(t.half[0], max(t.half[1], t.half[2])) + 0.1*o.TumourRadiusMM + marginMM + s.between(1.5, 4)
	if o.Coverage == Partial {
		base = o.TumourRadiusMM*1.05 + marginMM + s.between(1.5, 4)
	}
	z.half = vec{base * s.between(1, 1.12), base * s.between(0.97, 1.06), base * s.between(0.94, 1.02)}
	if o.Coverage == Full {
		z.half = vec{base * s.between(1, 1.12), base * s.between(1, 1.06), base}
		z.centre = along(z.centre, away, s.between(0, 1.2))
	}
	z.core = s.between(0.34, 0.44) * base
	if o.Tail {
		end := scale(s.direction(), base+s.between(8, 18))
		tail := newTube(scale(end, 0.4), end, 0.32*base, s.between(1.5, 3), 0)
		z.tail = &tail
	}
	z.reach = 1.2*max(z.half[0], max(z.half[1], z.half[2])) + 3
	if z.tail != nil {
		z.reach = max(z.reach, length(add(z.tail.a, z.tail.axis))+6)
	}
	if o.Coverage == Full {
		return z, true
	}
	return z, c.displace(z, away, s.between(0.66, 0.92))
}

// displace moves the zone away from the tumour until the coverage is the one asked for.
func (c *chest) displace(z *zone, away vec, wanted float64) bool {
	from := z.centre
	ratio := func(mm float64) float64 {
		z.centre = along(from, away, mm)
		return c.roughCoverage(z)
	}
	lo, hi := 0.0, 1.2*z.half[0]
	wanted = max(partialLow+0.03, wanted*ratio(lo)) // a tumour at the pleura can never be covered whole
	if ratio(lo) < wanted || ratio(hi) > wanted {
		return false
	}
	for range 12 {
		mid := (lo + hi) / 2
		if ratio(mid) > wanted {
			lo = mid
		} else {
			hi = mid
		}
	}
	ratio(lo)
	return true
}
