package radiomics

import "slices"

// sizeZones computes the size zone features; a zone is a set of voxels of one level that touch, by faces, edges or
// corners (in the plane with force2D).
func sizeZones(g *grid, s *Settings) map[string]float64 {
	var zones []uint64 // rank and size of each
	if s.Force2D {
		zones = g.floodZones(s)
	} else {
		zones = g.runZones()
	}
	slices.Sort(zones)
	largest := 0
	for _, z := range zones {
		largest = max(largest, int(uint32(z)))
	}
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

// floodZones fills zone by zone.
func (g *grid) floodZones(s *Settings) (zones []uint64) {
	steps := g.steps([]int{1}, s)
	left := slices.Clone(g.rank)
	var stack []int32
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
		zones = append(zones, uint64(r)<<32|uint64(size))
	}
	return zones
}

// stretch is a run of one level in a row: from … to by position in the padded grid, both inside.
type stretch struct {
	from, to int32
	rank     uint16
}

// runZones joins runs of one level in neighbouring rows by union and find.
func (g *grid) runZones() (zones []uint64) {
	runs := 0
	for _, row := range g.rows {
		before := uint16(0)
		for _, r := range g.rank[row.from:row.to] {
			if r != before {
				runs++ // a few too many: stretches of 0 count too
			}
			before = r
		}
	}
	all := make([]stretch, 0, runs)
	parent, size := make([]int32, 0, runs), make([]int32, 0, runs)
	width := int32(g.stride[1])
	first := make([][2]int32, len(g.rank)/g.stride[1]) // of each row of the padded grid: its runs in all
	for _, row := range g.rows {
		begin := int32(len(all))
		for p := row.from; p < row.to; {
			r := g.rank[p]
			q := p + 1
			for q < row.to && g.rank[q] == r {
				q++
			}
			if r != 0 {
				all = append(all, stretch{p, q - 1, r})
				parent = append(parent, int32(len(parent)))
				size = append(size, q-p)
			}
			p = q
		}
		at := row.from / width
		end := int32(len(all))
		first[at] = [2]int32{begin, end}
		plane := int32(g.stride[2] / g.stride[1])
		for _, before := range [4]int32{1, plane - 1, plane, plane + 1} {
			if other := first[at-before]; other[1] > other[0] {
				join(all, parent, size, begin, end, other[0], other[1], before*width)
			}
		}
	}
	for i := range parent {
		if parent[i] == int32(i) {
			zones = append(zones, uint64(all[i].rank)<<32|uint64(size[i]))
		}
	}
	return zones
}

// join unites the runs of a row with those of an earlier row, shift positions before it, where they touch and have one
// level. i and j are the numbers of their first runs.
func join(all []stretch, parent, size []int32, i, iEnd, j, jEnd, shift int32) {
	here, before := all[i:iEnd], all[j:jEnd]
	for m, n := 0, 0; m < len(here) && n < len(before); {
		a, b := &here[m], &before[n]
		from, to := b.from+shift, b.to+shift
		switch {
		case a.to+1 < from:
			m++
			continue
		case to+1 < a.from:
			n++
			continue
		}
		if a.rank == b.rank {
			unite(parent, size, i+int32(m), j+int32(n))
		}
		switch {
		case a.to < to:
			m++
		case a.to > to:
			n++
		default: // both end here: each touches the other's successor by a corner
			if n+1 < len(before) && before[n+1].from+shift == to+1 && before[n+1].rank == a.rank {
				unite(parent, size, i+int32(m), j+int32(n+1))
			}
			m++
		}
	}
}

func unite(parent, size []int32, i, j int32) {
	if parent[i] == parent[j] {
		return
	}
	i, j = root(parent, i), root(parent, j)
	if i == j {
		return
	}
	if i > j {
		i, j = j, i
	}
	parent[j] = i
	size[i] += size[j]
}

func root(parent []int32, i int32) int32 {
	for parent[i] != i {
		parent[i] = parent[parent[i]]
		i = parent[i]
	}
	return i
}
