package phantom

import "math"

const (
	ribPitch     = 24.0 // mm between ribs and between vertebrae
	ribs         = 12
	ribDrop      = 40.0 // from the spine to the end of the first bony rib
	ribDropMore  = 8.0  // and how much more for every rib below it
	bonyRib      = 0.76 // share of the way round the chest that is bone, the rest is cartilage
	vertebraHalf = 10.0 // half the height of a vertebral body; the disc fills the rest of the pitch
)

// boneHU is cortex over marrow at a depth of d mm in a bone.
func (c *chest) boneHU(m vec, d, cortex float64) float64 {
	return lerp(huCortex, huMarrow+45*c.tex.at(m, 1.5), edge(d-cortex, c.blur))
}

// wallBones adds ribs, cartilage, sternum and shoulder blades to the chest wall; out is the distance outside the
// pleura, body the depth under the skin.
func (c *chest) wallBones(v float64, m vec, out, body float64) float64 {
	w := c.blur
	x := math.Abs(m[0])
	y := m[1] - c.cageCentre(m[2])
	half := c.front
	if y > 0 {
		half = c.back
	}
	round := math.Atan2(x/c.lateral, y/half) / math.Pi // 0 at the spine, 1 at the sternum
	if out < 14 {
		v = c.rib(v, m, out, round)
		if x < 26 && y < 0 {
			broad := 17 + 8*smoothstep(40, 66, m[2])
			d := min(ellipsoid(vec{x, out - 7, 0}, vec{broad, 6, 1e6}), min(m[2]+78, c.apex-22-m[2]))
			if d > -w {
				v = lerp(v, c.boneHU(m, d, 1), edge(d, w))
			}
		}
	}
	if out > 10 && round > 0.1 && round < 0.5 && m[2] > -10 { // shoulder blade, with its spine
		high := (m[2] + 8) / (c.apex + 8)
		inPlane := min((round-0.30+0.17*high)*300, (0.34+0.10*high-round)*300)
		d := min(inPlane, min(2.3, 1.2+0.06*inPlane)-math.Abs(out-20+3*math.Sin(9*round)))
		ridge := min(min(inPlane, 3-math.Abs(m[2]-0.72*c.apex-0.3*x+30)), min(out-19, 36-out))
		d = min(max(d, ridge), body-7)
		if d > -w {
			v = lerp(v, c.boneHU(m, d, 1.1), edge(d, w))
		}
	}
	return v
}

// rib adds the rib or its cartilage that is nearest to m.
func (c *chest) rib(v float64, m vec, out, round float64) float64 {
	way := round / bonyRib
	if way > 1 { // the cartilage rises to the sternum
		way = 1 - 0.5*(way-1)/(1/bonyRib-1)
	}
	pitch := ribPitch + ribDropMore*way
	level := (c.apex - 8 - m[2] - ribDrop*way) / pitch
	n := math.Round(level)
	if n < 0 || n >= ribs || (n >= 7 && round > 0.66-0.09*(n-7)) || round < 0.04 {
		return v
	}
	along := (level - n) * pitch * 0.9 // across the rib, in the wall
	tall, thick := 6.6, 3.7
	q := math.Hypot(along/tall, (out-6)/thick)
	d := (1 - q) * thick * (1 + 0.5*min(1, math.Abs(along)/tall))
	if d < -c.blur {
		return v
	}
	hu := huCartilage + 12*c.tex.at(m, 3)
	if round < bonyRib {
		hu = c.boneHU(m, d, 1)
	}
	return lerp(v, hu, edge(d, c.blur))
}

// spine adds the vertebral column with discs, canal, arches and processes.
func (c *chest) spine(v float64, m vec, w float64) float64 {
	x, y := math.Abs(m[0]), m[1]-spineCentre(m[2])
	if x > 42 || y < -20 || y > 66 {
		return v
	}
	up := m[2] - c.apex + 8
	up -= math.Round(up/ribPitch) * ribPitch // height over the middle of the vertebra
	high := math.Abs(up)

	body := ellipsoid(vec{m[0], y, 0}, vec{17, 14.5, 1e6})
	body = min(body, 20)
	if body > -w {
		hu := 85 + 5*c.tex.at(m, 3)
		if d := vertebraHalf - high; d > -w {
			hu = lerp(hu, c.boneHU(m, min(body, d), 1.2), edge(d, w))
		}
		v = lerp(v, hu, edge(body, w))
	}
	r := math.Hypot(m[0], y-23)
	canal := 8.5 - r
	arch := min(min(12.8-r, r-8.5), 9.5-high)
	transverse := min(min(3.6-math.Abs(y-22-0.12*x), 5.5-high), min(x-9, 34-x))
	slope := m[2] + 0.7*(y-33) - c.apex + 8
	slope -= math.Round(slope/ribPitch) * ribPitch
	process := min(min(2.9-x, 8-math.Abs(slope)), min(y-31, 56-y))
	d := max(max(arch, transverse), process)
	if d > -w {
		v = lerp(v, c.boneHU(m, d, 1.3), edge(d, w))
	}
	return lerp(v, 32, edge(canal, w))
}
