package phantom

import "math"

// HU of what the body is made of, unenhanced.
const (
	huAir       = -1000
	huSkin      = 20
	huFat       = -102
	huMuscle    = 55
	huBlood     = 42
	huHeart     = 45
	huEnhanced  = 190 // blood after contrast
	huCartilage = 95
	huCortex    = 780
	huMarrow    = 170
	huLung      = -855
	huFluid     = 12
)

// chest is everything that has a place in the material frame. Its methods may be called from many goroutines.
type chest struct {
	*anatomy
	tex      *texture
	tubes    *tubeIndex
	blur     float64 // mm, width of an edge: pixel size and kernel
	contrast bool
	tumours  []tumour // the treated one first
}

// seenWith returns the chest as the kernel and the contrast of the options show it.
func (c *chest) seenWith(o Options) *chest {
	seen := *c
	seen.blur, seen.contrast = o.blur(), o.Contrast
	return &seen
}

// sight is one of the two scans: the chest and what has happened to it.
type sight struct {
	*chest
	motion       *motion // nil: the material frame itself
	zone         *zone   // nil: none
	effusion     float64 // mm
	pneumothorax float64 // mm
	table        float64 // y of the table top, scanner frame
}

// hu is the CT value of the material point m, whose fields are f, that lies at p of the scanner; density is the factor
// by which the tissue there is compressed.
func (s *sight) hu(m, p vec, f [4]float64, density float64) float64 {
	inside := edge(f[fieldBody], s.blur)
	if inside == 0 {
		return tableHU(p, s.table, s.blur)
	}
	lung := edge(f[fieldLung], s.blur)
	switch lung {
	case 0:
		return lerp(huAir, s.solid(m, f), inside)
	case 1:
		return s.lungHU(m, f, density)
	}
	return lerp(s.solid(m, f), s.lungHU(m, f, density), lung)
}

// lungHU is parenchyma with fissures, vessels, bronchi, tumours and zone, and what lies in the pleural space.
func (s *sight) lungHU(m vec, f [4]float64, density float64) float64 {
	w := s.blur
	fine, coarse := s.tex.at(m, 1.7), s.tex.at(vec{m[1] + 31, m[2] + 7, m[0] + 53}, 6)
	v := huLung + 32*m[1]/90 + 27*fine + 20*coarse
	if fine > 0.8 { // the vessels below the resolution of the trees
		v += 55 * (fine - 0.8) * (fine - 0.8)
	}
	v = huAir + (v-huAir)*density
	v += 190 * s.fissure(m, w)

	shares := s.tubes.shares(m, w)
	if s.zone != nil {
		v = s.zone.apply(v, m, w, s.tex)
	}
	v = max(v, lerp(v, s.blood(), shares[vessel]))
	for i := range s.tumours {
		v = s.tumours[i].apply(v, m, w, s.tex)
	}
	v = max(v, lerp(v, 0, shares[wall]))
	v = lerp(v, huAir+15, shares[lumen])
	if s.effusion > 0 {
		v = lerp(v, huFluid, edge(s.fluid(m, f), w))
	}
	if s.pneumothorax > 0 {
		v = lerp(v, huAir, edge(s.air(m, f), w))
	}
	return v
}

func (c *chest) blood() float64 {
	if c.contrast {
		return huEnhanced
	}
	return huBlood
}

// fluid is the depth inside a pleural effusion: a crescent at the back, thickest at the base.
func (s *sight) fluid(m vec, f [4]float64) float64 {
	return crescent(s.effusion*smoothstep(15, 75, m[1])*smoothstep(30, -70, m[2]), f)
}

// air is the depth inside a pneumothorax: a crescent at the front of the right chest.
func (s *sight) air(m vec, f [4]float64) float64 {
	return crescent(s.pneumothorax*smoothstep(-5, -60, m[1])*smoothstep(-5, -35, m[0]), f)
}

// crescent is the depth inside a layer of the given thickness along the chest wall.
func crescent(thick float64, f [4]float64) float64 {
	if thick < 0.5 {
		return -10
	}
	return thick - f[fieldCage]
}

// fissure is the partial volume of the interlobar fissures: gently curved sheets half a millimetre thin.
func (c *chest) fissure(m vec, w float64) float64 {
	const thick = 0.5
	oblique := (m[2] + 28 - 1.07*m[1]) / 1.46
	if m[0] > 0 {
		oblique += 3
	}
	oblique += 5*math.Sin(m[0]/23+1) + 3*math.Sin(m[1]/31)
	v := max(0, 1-math.Abs(oblique)/w)
	if m[0] < 0 && oblique > 0 {
		minor := m[2] + 24 + 4*math.Sin(m[0]/19) + 3*math.Sin(m[1]/27+2)
		v = max(v, max(0, 1-math.Abs(minor)/w))
	}
	return v * min(1, 2*thick/w)
}

// solid is everything inside the skin that is not lung.
func (c *chest) solid(m vec, f [4]float64) float64 {
	w := c.blur
	fat := huFat + 10*c.tex.at(m, 5)
	v := fat
	beneath := c.diaphragm(m) - m[2]
	switch {
	case f[fieldCage] > 0 && beneath > 0 && f[fieldLung] < -0.5:
		v = c.abdomen(m, f, beneath, fat)
	case f[fieldCage] > 0:
		v = c.middle(m, fat)
	default:
		v = c.chestWall(m, f, fat)
	}
	v = c.spine(v, m, w)
	shares := c.tubes.shares(m, w)
	if f[fieldCage] > -4 {
		v = lerp(v, c.blood(), shares[vessel])
		v = lerp(v, 35, shares[wall])
		v = lerp(v, huAir+10, shares[lumen])
	}
	if b := shares[bone]; b > 0 {
		v = lerp(v, lerp(huCortex, huMarrow, smoothstep(0.85, 1, b)), b)
	}
	return v
}

// middle is the mediastinum: fat, heart with its chambers, nodes as texture.
func (c *chest) middle(m vec, fat float64) float64 {
	w := c.blur
	t := c.tex.at(m, 4)
	v := lerp(fat, 40, smoothstep(0.5, 1.6, t))
	h := rotate(heartAxes, sub(m, c.heart))
	myocardium := edge(ellipsoid(h, vec{62, 46, 48}), w)
	if myocardium > 0 {
		hu := huHeart + 4*t
		if c.contrast {
			left := ellipsoid(vec{h[0] - 14, h[1] - 12, h[2] - 8}, vec{34, 19, 22})
			right := ellipsoid(vec{h[0] + 6, h[1] + 22, h[2] + 6}, vec{38, 17, 28})
			atria := ellipsoid(vec{h[0] + 38, h[1] - 10, h[2]}, vec{20, 26, 26})
			hu = lerp(80, huEnhanced, edge(max(left, max(right, atria)), w+2))
		}
		v = lerp(v, hu, myocardium)
	}
	return v
}

// abdomen is what lies under the diaphragm: liver, spleen, stomach and bowel with gas, fat. beneath is the distance
// below the diaphragm.
func (c *chest) abdomen(m vec, f [4]float64, beneath, fat float64) float64 {
	w := c.blur
	if beneath < 3 {
		return lerp(fat, 45, 0.8)
	}
	v := fat
	t := c.tex.at(m, 3)
	side := 16 + 34*smoothstep(10, -60, m[1]) - m[0]
	liver := min(min(beneath-3, f[fieldCage]-3), min(side, 70-m[1]*0.4+m[0]*0.2))
	contrast := 0.0
	if c.contrast {
		contrast = 50
	}
	v = lerp(v, 58+contrast+4*t, edge(liver, w))
	v = lerp(v, 48+contrast+4*t, edge(ellipsoid(sub(m, vec{88, 42, c.domeLeft - 42}), vec{32, 44, 40}), w))
	stomach := ellipsoid(sub(m, vec{52, -14, c.domeLeft - 38}), vec{44, 50, 36})
	if s := edge(stomach, w); s > 0 {
		in := 40.0
		if stomach > 4 {
			in = lerp(14, huAir+20, edge(-26-m[1], w)) // the gas lies in front
		}
		v = lerp(v, in, s)
	}
	colon := ellipsoid(sub(m, vec{96, -34, c.domeLeft - 46}), vec{22, 24, 26})
	colon = max(colon, ellipsoid(sub(m, vec{60, -62, c.domeLeft - 74}), vec{40, 16, 16}))
	if s := edge(colon, w); s > 0 {
		in := 35.0
		if colon > 2.5 {
			in = huAir + 30
		}
		v = lerp(v, in, s)
	}
	return v
}

// chestWall is pleura to skin: intercostal and outer muscles, ribs, sternum, shoulder blades, fat, skin.
func (c *chest) chestWall(m vec, f [4]float64, fat float64) float64 {
	w := c.blur
	out := -f[fieldCage]
	meat := huMuscle + 6*c.tex.at(m, 2.5)
	if out > 12 { // fat between the layers of muscle
		meat = lerp(meat, fat, 0.9*smoothstep(0.9, 1.5, c.tex.at(vec{m[2], m[0], m[1]}, 7)))
	}
	v := lerp(fat, meat, edge(f[fieldMuscle], w+1))
	if c.female && f[fieldMuscle] < -2 { // glandular tissue
		g := c.breast(m)
		v = lerp(v, 25, 0.8*smoothstep(6, 16, g)*smoothstep(0.1, 1.1, c.tex.at(m, 8)))
	}
	v = lerp(v, huSkin, edge(1.8-f[fieldBody], w))
	if out < 45 {
		v = c.wallBones(v, m, out, f[fieldBody])
	}
	return v
}

// tableHU is air with the two shells of the table top at y mm of the scanner frame.
func tableHU(p vec, y, w float64) float64 {
	if p[1] < y-30 {
		return huAir
	}
	surface := y - p[0]*p[0]/1500 // a trough
	upper := p[1] - surface
	lower := p[1] - surface - 26 - p[0]*p[0]/4000
	v := float64(huAir)
	if math.Abs(p[0]) < 205 {
		if upper > 0 && lower < 0 {
			v = -965
		}
		v = lerp(v, -120, edge(1.1-math.Abs(upper), w))
		v = lerp(v, -200, edge(1.1-math.Abs(lower), w))
	}
	return v
}

// inLung reports whether m lies in a lung, with all that lies in it.
func (c *chest) inLung(m vec) bool { return c.fields.at(m)[fieldLung] > 0 }
