package phantom

import (
	"context"
	"math"

	"rfanode/analysis/volume"
)

// tumourBall is the nodule of a moved case: a ball with lobes.
type tumourBall struct {
	centre vec
	lobes  waves
}

const (
	ballRadiusMM = 10.0
	ballLobesMM  = 0.7
	ballHU       = 35.0
	ballEdgeMM   = 0.7
	ballReachMM  = 15.0
)

func newTumourBall(s *stream, centre vec) tumourBall {
	const terms = 6
	// Six waves of random phase: each carries 1/√6 of the whole.
	return tumourBall{centre, newWaves(s, terms, 10, 24, ballLobesMM/math.Sqrt(terms)*math.Sqrt2)}
}

// depth is the depth of p inside the nodule, mm, negative outside.
func (t *tumourBall) depth(p vec) float64 {
	d := sub(p, t.centre)
	r := length(d)
	if r > ballReachMM {
		return ballRadiusMM - r
	}
	return ballRadiusMM - r + t.lobes.at(d)
}

// movedZone is the ablation zone in the coordinates of the tissue: an ellipsoid of ground glass with a dense rim and a
// necrotic core, cut by the lung's surface. A sheet beside the nodule stands for a fissure.
type movedZone struct {
	base   *movedBase
	centre vec
	half   vec
	sheet  vec // unit normal of the sheet at fissureMM from the nodule's centre
}

const (
	glassHU, glassSD = -450.0, 120.0
	rimHU, rimMM     = -120.0, 3.0
	coreHU, coreSD   = -10.0, 60.0
	coreShare        = 0.55 // of the zone's half axes
	zoneOpacity      = 0.88
	zoneEdgeMM       = 0.7
	fissureMM        = 11.5
	fissureHU        = -620.0
	fissureThickMM   = 1.2
	movedNoiseHU     = 30.0
	movedNoiseMM     = 0.6
)

func newMovedZone(s *stream, centre vec, b *movedBase) movedZone {
	return movedZone{base: b, centre: add(centre, vec{2, -2, 1}), half: vec{20, 18, 17}, sheet: s.direction()}
}

// depth is the depth of a point of the tissue inside the zone, mm, negative outside.
func (z *movedZone) depth(q vec) float64 {
	d := ellipsoid(sub(q, z.centre), z.half)
	if d < -30 {
		return d
	}
	return min(d, z.base.at(z.base.depth, q))
}

// apply puts the zone over hu.
func (z *movedZone) apply(hu float64, q vec, t *texture) float64 {
	d := z.depth(q)
	if d < -5*zoneEdgeMM {
		return hu
	}
	wall := ellipsoid(sub(q, z.centre), z.half)
	v := glassHU + glassSD*t.at(q, 4)
	v = lerp(rimHU, v, sigmoid((wall-rimMM)/zoneEdgeMM))
	core := ellipsoid(sub(q, z.centre), scale(z.half, coreShare))
	v = lerp(v, coreHU+coreSD*t.at(q, 3), sigmoid(core/1.5))
	return lerp(hu, max(hu, v), zoneOpacity*sigmoid(d/zoneEdgeMM))
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// tissue is the HU of the base at q, with the sheet.
func (c *MovedCase) tissue(b *movedBase, q vec) float64 {
	hu := float64(b.hu.At(b.hu.Index(q), -1024))
	if c.options.Site == MovedFissure {
		d := sub(q, c.Centre)
		bend := dot(d, d) / 400 // fissures are curved
		off := math.Abs(dot(d, c.zone.sheet)-fissureMM-bend) / fissureThickMM
		if off < 3 && b.at(b.depth, q) > 0 {
			hu = lerp(hu, max(hu, fissureHU), math.Exp(-off*off))
		}
	}
	return hu
}

// show takes both pictures and all masks.
func (c *MovedCase) show(ctx context.Context, b *movedBase) error {
	g := b.grid
	c.Moving, c.Fixed, c.ZoneLevel = volume.New(g), volume.New(g), volume.New(g)
	c.FixedLung, c.Zone = volume.NewMask(g), volume.NewMask(g)
	tex := newTexture(mix(c.options.Seed ^ 0x5eed))
	err := parallel(ctx, g.Size[2], func(k int) {
		for j := range g.Size[1] {
			for i := range g.Size[0] {
				c.voxel(b, tex, g.Offset(i, j, k), g.Point(vec{float64(i), float64(j), float64(k)}))
			}
		}
	})
	if err != nil {
		return err
	}
	addWhiteNoise(c.Moving, mix(c.options.Seed^0x93e))
	addWhiteNoise(c.Fixed, mix(c.options.Seed^0x9057))
	const reach = int(2 * ballReachMM)
	box := volume.Axial([3]int{reach + 1, reach + 1, reach + 1}, [3]float64{1, 1, 1}, sub(c.Centre, vec{ballReachMM, ballReachMM, ballReachMM}))
	c.TumourLevel = volume.New(box)
	each(box, func(at int, p vec) { c.TumourLevel.Data[at] = float32(c.nodule.depth(p)) })
	return nil
}

// voxel fills in one voxel of everything, without noise.
func (c *MovedCase) voxel(b *movedBase, tex *texture, at int, p vec) {
	pre := c.tissue(b, p)
	if d := c.nodule.depth(p); d > -8*ballEdgeMM {
		pre = lerp(pre, max(pre, ballHU), sigmoid(d/ballEdgeMM))
	}
	c.Moving.Data[at] = float32(pre)

	q := c.motion.toPre(p)
	post := c.tissue(b, q)
	// The air in lung changes with its volume, its tissue does not: density goes as the determinant.
	lung := clamp((-300-post)/200, 0, 1)
	density := 1 + lung*(clamp(float64(c.motion.det.Data[at]), 0.6, 1.4)-1)
	post = (post+1000)*density - 1000
	c.Fixed.Data[at] = float32(c.zone.apply(post, q, tex))
	if b.at(b.depth, q) > 0 {
		c.FixedLung.Data[at] = 1
	}
	level := c.zone.depth(q)
	c.ZoneLevel.Data[at] = float32(level)
	if level > 0 {
		c.Zone.Data[at] = 1
	}
}

// addWhiteNoise adds noise of movedNoiseHU and rounds to whole HU.
func addWhiteNoise(v *volume.Volume, seed uint64) {
	n := volume.New(v.Geometry)
	for i := range n.Data {
		n.Data[i] = gauss4(mix(seed + uint64(i)*0x9e3779b97f4a7c15))
	}
	n = volume.Smooth(n, movedNoiseMM)
	square := 0.0
	for _, x := range n.Data {
		square += float64(x) * float64(x)
	}
	f := float32(movedNoiseHU / math.Sqrt(max(square, 1e-9)/float64(len(n.Data))))
	for i := range v.Data {
		v.Data[i] = float32(math.Round(float64(max(v.Data[i]+f*n.Data[i], -1024))))
	}
}
