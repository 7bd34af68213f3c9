package radiomics

import (
	"fmt"
	"math"
	"slices"
)

// MaxLevels is the most grey levels of a region that are computed with. PyRadiomics runs out of memory long before.
const MaxLevels = 4096

// levels are the grey levels of a region.
type levels struct {
	of     []uint16 // for each voxel: rank of its level among those present, from 1
	values []int    // the level of each rank; values[0] is rank 1. Levels start at 1, absent ones are left out
	counts []int    // voxels of each rank
	high   int      // the highest level, Ng
}

// discretise bins the values of a region as PyRadiomics' getBinEdges and numpy's digitize do: a level is the number of
// edges not above the value.
func discretise(x []float64, single bool, s *Settings) (*levels, error) {
	low, high := slices.Min(x), slices.Max(x)
	level := make([]int, len(x))
	if s.BinCount != nil {
		n := *s.BinCount
		if n > MaxLevels {
			return nil, fmt.Errorf("binCount %d is more than the limit of %d grey levels", n, MaxLevels)
		}
		edges := equalEdges(low, high, n, single)
		step := (edges[n-1] - edges[0]) / float64(max(n-1, 1))
		for i, v := range x {
			level[i] = countEdges(edges, v, step)
		}
	} else {
		w := s.BinWidth
		lo := low - pythonMod(low, w)
		count := int(math.Ceil((high + 2*w - lo) / w)) // numpy.arange's own count
		if count > MaxLevels+2 {
			return nil, fmt.Errorf("values from %.4g to %.4g in bins of %g are about %d grey levels, more than the limit of %d: a larger binWidth is needed", low, high, w, count-1, MaxLevels)
		}
		edges := make([]float64, count)
		step := (lo + w) - lo
		for i := range edges {
			edges[i] = lo + float64(float64(i)*step)
		}
		for i, v := range x {
			level[i] = countEdges(edges, v, step)
		}
	}
	return rank(level), nil
}

// equalEdges are numpy.histogram's edges of n equal bins, the last one raised by 1.
func equalEdges(low, high float64, n int, single bool) []float64 {
	if low == high {
		low, high = low-0.5, high+0.5
	}
	edges := make([]float64, n+1)
	step := (high - low) / float64(n)
	for i := range edges {
		edges[i] = float64(float64(i)*step) + low
	}
	edges[n] = high
	if single {
		for i, e := range edges {
			edges[i] = round32(e)
		}
		edges[n] = round32(edges[n] + 1)
	} else {
		edges[n]++
	}
	return edges
}

// countEdges is how many of the ascending edges do not exceed v; step is about their distance.
func countEdges(edges []float64, v, step float64) int {
	n := min(max(int((v-edges[0])/step)+1, 0), len(edges))
	for n < len(edges) && edges[n] <= v {
		n++
	}
	for n > 0 && edges[n-1] > v {
		n--
	}
	return n
}

// pythonMod is Python's and numpy's %, with the sign of the divisor.
func pythonMod(v, w float64) float64 {
	m := math.Mod(v, w)
	if m != 0 && (m < 0) != (w < 0) {
		m += w
	}
	return m
}

func rank(level []int) *levels {
	l := &levels{of: make([]uint16, len(level)), high: slices.Max(level)}
	count := make([]int, l.high+1)
	for _, v := range level {
		count[v]++
	}
	ranks := make([]uint16, l.high+1)
	for v, n := range count {
		if n > 0 {
			l.values = append(l.values, v)
			l.counts = append(l.counts, n)
			ranks[v] = uint16(len(l.values))
		}
	}
	for i, v := range level {
		l.of[i] = ranks[v]
	}
	return l
}
