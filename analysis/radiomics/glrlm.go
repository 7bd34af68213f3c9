package radiomics

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// runLengths computes the run length features: one matrix a direction, features averaged over the directions, or one
// matrix weighted by the lengths of the directions. A run ends at a voxel outside the region.
func runLengths(g *grid, s *Settings, spacing [3]float64) map[string]float64 {
	longest := max(g.size[0], g.size[1], g.size[2])
	var all []moments
	var sum []float64
	counts := make([]float64, len(g.levels.values)*longest)
	for _, d := range directions(g.size, []int{1}, s, false) {
		if s.WeightingNorm == "" {
			clear(counts)
		}
		if !g.countRuns(d, counts, longest) {
			continue
		}
		if s.WeightingNorm == "" {
			all = append(all, tableOf(counts, longest, g.levels).moments(g.levels))
			continue
		}
		if sum == nil {
			sum = make([]float64, len(counts))
		}
		w := d.length(s.WeightingNorm, spacing)
		for i, n := range counts {
			sum[i] += n * w
		}
		clear(counts)
	}
	if sum != nil {
		all = append(all, tableOf(sum, longest, g.levels).moments(g.levels))
	}
	m := meanOf(all)
	return m.named(runNames)
}

// countRuns adds the runs along d to counts. It reports false, and leaves counts as they were, if no line along d meets
// the region twice: such a direction leaves a flat region, and PyRadiomics drops it.
func (g *grid) countRuns(d direction, counts []float64, width int) bool {
	step := g.offset(d)
	meets := false
	for _, p := range g.voxels {
		if g.rank[p+step] != 0 {
			meets = true
			break
		}
	}
	if !meets && !g.meetsAcrossGap(d) {
		return false
	}
	if g.bytes != nil && step >= wordBytes && width <= math.MaxUint8 {
		g.countRunsByWord(int(step), counts, width)
		return true
	}
	for _, p := range g.voxels {
		r := g.rank[p]
		if g.rank[p-step] == r {
			continue // inside a run
		}
		n := 0
		for q := p + step; g.rank[q] == r; q += step {
			n++
		}
		counts[(int(r)-1)*width+n]++
	}
	return true
}

// countRunsByWord counts runs eight voxels of a row at a time: the length so far is that at the voxel before along the
// direction, in an earlier row, plus one if the levels are the same.
func (g *grid) countRunsByWord(step int, counts []float64, width int) {
	if g.lengths == nil {
		g.lengths = make([]uint8, len(g.bytes))
	}
	length := g.lengths                                        // what another direction left is never read: a run's beginning asks for no length
	ends := make([]uint32, (len(g.levels.values)+1)*(width+1)) // by rank and length
	for _, row := range g.rows {
		for p := int(row.from); p < int(row.to); p += wordBytes {
			here := binary.LittleEndian.Uint64(g.bytes[p:])
			same := (zeroBytes(here^binary.LittleEndian.Uint64(g.bytes[p-step:])) & ^zeroBytes(here)) >> 7 * 0xff
			l := ones + binary.LittleEndian.Uint64(length[p-step:])&same
			binary.LittleEndian.PutUint64(length[p:], l)
			// Runs end where the next level differs; rank 0 is no run, and what lies beyond the row is not its own.
			end := ^zeroBytes(here^binary.LittleEndian.Uint64(g.bytes[p+step:])) & ^zeroBytes(here) & highBits
			if rest := int(row.to) - p; rest < wordBytes {
				end &= 1<<(8*rest) - 1
			}
			for end != 0 {
				shift := bits.TrailingZeros64(end) - 7
				ends[int(uint8(here>>shift))*(width+1)+int(uint8(l>>shift))]++
				end &= end - 1
			}
		}
	}
	for r := range g.levels.values {
		for n := range width {
			counts[r*width+n] += float64(ends[(r+1)*(width+1)+n+1])
		}
	}
}

// meetsAcrossGap reports whether a line along d holds two voxels of the region that do not touch.
func (g *grid) meetsAcrossGap(d direction) bool {
	step := g.offset(d)
	rim := g.rim()
	for _, p := range g.voxels {
		i := [3]int{int(p)%g.stride[1] - rim, int(p)%g.stride[2]/g.stride[1] - rim, int(p)/g.stride[2] - rim}
		for q := p; ; {
			q += step
			inside := true
			for a := range 3 {
				i[a] += d[a]
				inside = inside && i[a] >= 0 && i[a] < g.size[a]
			}
			if !inside {
				break
			}
			if g.rank[q] != 0 {
				return true
			}
		}
	}
	return false
}

// rim is the width of the rim of zeros.
func (g *grid) rim() int { return (g.stride[1] - g.size[0]) / 2 }
