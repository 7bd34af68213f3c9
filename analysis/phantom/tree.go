package phantom

import (
	"math"
	"sort"
)

// branching grows one tree of vessels or bronchi: it supplies a given set of end points from a root by splitting the set
// in two again and again, each branch running towards the middle of what it supplies. Radii follow Murray's law, so a
// tree tapers to the periphery as real ones do.
type branching struct {
	leaf     float64 // radius of the last branch, mm
	exponent float64 // of Murray's law: radius ~ (number of end points)^(1/exponent)
	bend     float64 // sideways swing of a branch, as a share of its length
	rand     *stream
	emit     func(a, b vec, ra, rb float64)
}

func (g *branching) radius(ends int) float64 { return g.leaf * math.Pow(float64(ends), 1/g.exponent) }

// grow supplies the end points from a place. The order of ends is changed.
func (g *branching) grow(from vec, ends []vec) {
	switch len(ends) {
	case 0:
		return
	case 1:
		g.branch(from, ends[0], g.leaf, 0.6*g.leaf)
		return
	}
	var mean vec
	for _, p := range ends {
		mean = along(mean, p, 1/float64(len(ends)))
	}
	reach := g.rand.between(0.38, 0.55)
	fork := along(from, sub(mean, from), reach)
	r := g.radius(len(ends))
	g.branch(from, fork, r, 0.93*r)

	axis := widest(ends, mean)
	sort.SliceStable(ends, func(i, j int) bool { return dot(ends[i], axis) < dot(ends[j], axis) })
	cut := int(float64(len(ends))*g.rand.between(0.32, 0.68) + 0.5)
	cut = min(max(cut, 1), len(ends)-1)
	g.grow(fork, ends[:cut])
	g.grow(fork, ends[cut:])
}

// branch draws one branch as two tubes with a bend between them.
func (g *branching) branch(a, b vec, ra, rb float64) {
	way := sub(b, a)
	side := cross(unit(way), g.rand.direction())
	mid := along(along(a, way, 0.5), side, g.bend*length(way))
	rm := (ra + rb) / 2
	g.emit(a, mid, ra, rm)
	g.emit(mid, b, rm, rb)
}

// widest is the direction in which the points spread most (power iteration on their covariance).
func widest(points []vec, mean vec) vec {
	var c [3]vec
	for _, p := range points {
		d := sub(p, mean)
		for i := range 3 {
			c[i] = along(c[i], d, d[i])
		}
	}
	v := vec{0.6, 0.5, 0.62}
	for range 12 {
		v = unit(vec{dot(c[0], v), dot(c[1], v), dot(c[2], v)})
	}
	return v
}

// lungPoints are points on a jittered grid inside one lung (side -1 right, +1 left), deeper than depth mm.
func (a *anatomy) lungPoints(s *stream, side, step, depth float64) []vec {
	var points []vec
	for z := -160.0; z < a.apex; z += step {
		for y := -100.0; y < 110; y += step {
			for x := 4.0; x < 140; x += step {
				p := vec{side * (x + step*s.unit()), y + step*s.unit(), z + step*s.unit()}
				if a.fields.at(p)[fieldLung] > depth {
					points = append(points, p)
				}
			}
		}
	}
	return points
}

// lungTrees grows arteries, veins and bronchi of both lungs.
func (a *anatomy) lungTrees(seed uint64, emit func(tube)) {
	for _, side := range []float64{-1, 1} {
		name := map[float64]string{-1: "right", 1: "left"}[side]
		grow := func(kind string, root vec, step, depth float64, g branching) {
			g.rand = newStream(seed, name+" "+kind)
			ends := a.lungPoints(g.rand, side, step, depth)
			g.grow(root, ends)
		}
		draw := func(t tissue) func(a, b vec, ra, rb float64) {
			return func(a, b vec, ra, rb float64) { emit(newTube(a, b, ra, rb, t)) }
		}
		lower := 0.0
		if side > 0 {
			lower = 4
		}
		grow("arteries", vec{side * 34, 6, -8 + lower}, 9.6, 3, branching{leaf: 0.46, exponent: 2.85, bend: 0.09, emit: draw(vessel)})
		grow("veins", vec{side * 26, 14, -26 + lower}, 10.4, 3.5, branching{leaf: 0.46, exponent: 2.9, bend: 0.09, emit: draw(vessel)})
		grow("bronchi", vec{side * 32, 15, -14 - lower}, 25, 14, branching{leaf: 0.9, exponent: 2.5, bend: 0.05,
			emit: func(a, b vec, ra, rb float64) {
				emit(newTube(a, b, 1.08*ra+0.35, 1.08*rb+0.35, wall))
				emit(newTube(a, b, ra, rb, lumen))
			}})
	}
}

// centralTubes are the great vessels, the large airways, the oesophagus and the clavicles.
func (a *anatomy) centralTubes(emit func(tube)) {
	join := func(t tissue, r float64, points ...vec) {
		for i := 1; i < len(points); i++ {
			emit(newTube(points[i-1], points[i], r, r, t))
		}
	}
	// Arteries and veins.
	join(vessel, 16, vec{-4, -20, -40}, vec{-14, -28, -18}, vec{-13, -26, 8}, vec{-6, -18, 24})
	join(vessel, 13.5, vec{-6, -18, 24}, vec{8, 4, 32}, vec{22, 32, 24})
	join(vessel, 12, vec{22, 32, 24}, vec{25, 42, 0}, vec{23, 50, -50}, vec{12, 52, -110}, vec{4, 50, -210})
	join(vessel, 9, vec{-24, -10, 78}, vec{-25, -12, 30}, vec{-28, -14, -30})
	join(vessel, 12.5, vec{12, -36, -38}, vec{17, -30, -14}, vec{16, -10, -4})
	join(vessel, 10, vec{14, -8, -5}, vec{-10, -2, -8}, vec{-34, 4, -10})
	join(vessel, 10.5, vec{17, -8, -4}, vec{30, 6, -2}, vec{38, 12, -4})
	join(vessel, 10, vec{-25, 12, -68}, vec{-24, 12, -130})
	join(vessel, 6, vec{-8, -12, 34}, vec{-14, -18, 60}, vec{-24, -22, 96})
	join(vessel, 4.5, vec{2, -4, 36}, vec{12, -8, 62}, vec{22, -16, 100})
	join(vessel, 4.5, vec{12, 12, 34}, vec{24, 6, 62}, vec{32, -8, 92})
	join(vessel, 7, vec{-25, -16, 58}, vec{6, -34, 62}, vec{30, -32, 84})
	// Oesophagus.
	join(wall, 7, vec{6, 28, 112}, vec{4, 28, 30}, vec{2, 32, -40}, vec{14, 28, -100}, vec{28, 8, -128})
	join(lumen, 1.6, vec{6, 28, 112}, vec{4, 28, 60}, vec{4, 29, 30})
	// Airways: wall first, then what is inside.
	airways := []struct {
		r      float64
		points []vec
	}{
		{9, []vec{{4, 6, 160}, {2, 6, 60}, {0, 12, 2}}},
		{7.2, []vec{{-1, 12, 3}, {-18, 14, -8}, {-33, 15, -15}}},
		{6.6, []vec{{1, 12, 3}, {22, 15, -12}, {33, 16, -19}}},
	}
	for _, b := range airways {
		join(wall, b.r+1.6, b.points...)
	}
	for _, b := range airways {
		join(lumen, b.r, b.points...)
	}
	// Clavicles.
	for _, side := range []float64{-1, 1} {
		join(bone, 6, vec{side * 20, -74, a.apex - 28}, vec{side * 70, -70, a.apex - 14}, vec{side * 130, -40, a.apex + 14})
	}
}
