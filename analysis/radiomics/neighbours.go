package radiomics

import (
	"math"
	"slices"
)

// sizeZones computes the size zone features; a zone is a set of voxels of one level that touch, by faces, edges or
// corners (in the plane with force2D).
func sizeZones(g *grid, s *Settings) map[string]float64 {
	steps := g.steps([]int{1}, s)
	left := slices.Clone(g.rank)
	var zones []uint64 // size and rank of each
	var stack []int32
	largest := 0
	for _, p := range g.voxels {
		r := left[p]
		if r == 0 {
			continue
		}
		left[p] = 0
		stack = append(stack[:0], p)
		size := 0
		for len(stack) > 0 {
			q := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			size++
			for _, o := range steps {
				if n := q + o; left[n] == r {
					left[n] = 0
					stack = append(stack, n)
				}
			}
		}
		largest = max(largest, size)
		zones = append(zones, uint64(r)<<32|uint64(size))
	}
	slices.Sort(zones)
	t := &table{byI: make([]float64, len(g.levels.values)), byJ: make([]float64, largest)}
	for a := 0; a < len(zones); {
		b := a
		for b < len(zones) && zones[b] == zones[a] {
			b++
		}
		n, rank, size := float64(b-a), int(zones[a]>>32), int(uint32(zones[a]))
		t.cells = append(t.cells, cell{float64(g.levels.values[rank-1]), float64(size), n})
		t.byI[rank-1] += n
		t.byJ[size-1] += n
		t.total += n
		t.voxels += n * float64(size)
		a = b
	}
	m := t.moments(g.levels)
	return m.named(zoneNames)
}

// steps are the offsets to all neighbours at the distances.
func (g *grid) steps(distances []int, s *Settings) []int32 {
	var out []int32
	for _, d := range directions(g.size, distances, s, true) {
		out = append(out, g.offset(d))
	}
	return out
}

// dependence computes the dependence features: a voxel depends on those of its neighbours whose level differs by at most
// gldm_a.
func dependence(g *grid, s *Settings) map[string]float64 {
	steps := g.steps(s.Distances, s)
	width := len(steps) + 1
	counts := make([]float64, len(g.levels.values)*width)
	for _, p := range g.voxels {
		r := g.rank[p]
		n := 0
		if s.GLDMAlpha == 0 {
			for _, o := range steps {
				if g.rank[p+o] == r {
					n++
				}
			}
		} else {
			level := g.levels.values[r-1]
			for _, o := range steps {
				if q := g.rank[p+o]; q != 0 {
					if d := level - g.levels.values[q-1]; d <= s.GLDMAlpha && -d <= s.GLDMAlpha {
						n++
					}
				}
			}
		}
		counts[(int(r)-1)*width+n]++
	}
	m := tableOf(counts, width, g.levels).moments(g.levels)
	return m.named(dependenceNames)
}

// toneDifference computes the features of the neighbouring grey tone difference matrix: how far each level lies from the
// mean of its neighbours in the region.
func toneDifference(g *grid, s *Settings) map[string]float64 {
	steps := g.steps(s.Distances, s)
	value := make([]int32, len(g.levels.values)+1)
	for r, v := range g.levels.values {
		value[r+1] = int32(v)
	}
	sums := make([]float64, len(g.levels.values)) // per level: sum of |level - mean of neighbours|
	for _, p := range g.voxels {
		var sum, n int32
		for _, o := range steps {
			q := g.rank[p+o]
			sum += value[q]
			if q != 0 {
				n++
			}
		}
		if n > 0 {
			r := g.rank[p]
			sums[r-1] += math.Abs(float64(value[r]) - float64(sum)/float64(n))
		}
	}
	return toneFeatures(g.levels, sums, float64(len(g.voxels)))
}

func toneFeatures(l *levels, s []float64, voxels float64) map[string]float64 {
	k := len(l.values)
	p := make([]float64, k)
	var ps, total float64
	for r := range p {
		p[r] = float64(l.counts[r]) / voxels
		ps += p[r] * s[r]
		total += s[r]
	}
	var contrast, busy, complexity, strength float64
	for a := range k {
		i := float64(l.values[a])
		for b := range k {
			j := float64(l.values[b])
			d := math.Abs(i - j)
			contrast += p[a] * p[b] * (d * d)
			busy += math.Abs(i*p[a] - j*p[b])
			complexity += d * (p[a]*s[a] + p[b]*s[b]) / (p[a] + p[b])
			strength += (p[a] + p[b]) * (d * d)
		}
	}
	out := map[string]float64{"Coarseness": 1e6, "Contrast": 0, "Busyness": 0, "Complexity": complexity / voxels, "Strength": 0}
	if ps != 0 {
		out["Coarseness"] = 1 / ps
	}
	if k > 1 {
		out["Contrast"] = contrast * total / voxels / float64(k*(k-1))
	}
	if busy != 0 {
		out["Busyness"] = ps / busy
	}
	if total != 0 {
		out["Strength"] = strength / total
	}
	return out
}
