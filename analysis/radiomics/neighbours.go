package radiomics

import (
	"encoding/binary"
	"math"
)

// steps are the offsets to all neighbours at the distances.
func (g *grid) steps(distances []int, s *Settings) []int32 {
	var out []int32
	for _, d := range directions(g.size, distances, s, true) {
		out = append(out, g.offset(d))
	}
	return out
}

// neighbourhood is what the dependence and the tone difference features need to know of each voxel.
type neighbourhood struct {
	alike []uint8 // per voxel: neighbours of the same level (within gldm_a)
	sum   []int32 // sum of the neighbours' levels
	count []uint8 // neighbours in the region
}

// look visits all neighbours of all voxels once.
func (g *grid) look(s *Settings) *neighbourhood {
	steps := g.steps(s.Distances, s)
	n := len(g.voxels)
	out := &neighbourhood{make([]uint8, n), make([]int32, n), make([]uint8, n)}
	if len(steps) > math.MaxUint8 {
		return nil
	}
	if g.bytes != nil && g.levels.high <= math.MaxUint8 && s.GLDMAlpha == 0 {
		g.lookByWord(steps, out)
		return out
	}
	value := g.valueOfRank()
	for i, p := range g.voxels {
		here := value[g.rank[p]]
		var sum int32
		var alike, count uint8
		for _, o := range steps {
			q := g.rank[p+o]
			if q == 0 {
				continue
			}
			v := value[q]
			sum += v
			count++
			if d := int(here - v); d <= s.GLDMAlpha && -d <= s.GLDMAlpha {
				alike++
			}
		}
		out.alike[i], out.sum[i], out.count[i] = alike, sum, count
	}
	return out
}

// valueOfRank is the level of each rank; 0 for rank 0.
func (g *grid) valueOfRank() []int32 {
	value := make([]int32, len(g.levels.values)+1)
	for r, v := range g.levels.values {
		value[r+1] = int32(v)
	}
	return value
}

const (
	ones     = 0x0101010101010101
	highBits = 0x8080808080808080
	lowBits  = 0x7f7f7f7f7f7f7f7f
	evens    = 0x00ff00ff00ff00ff
)

// zeroBytes has the high bit of each byte set where x has a zero byte, exactly.
func zeroBytes(x uint64) uint64 { return ^((x&lowBits + lowBits) | x) & highBits }

// lookByWord looks at eight voxels of a row at a time: bytes of ranks to compare, sums in lanes of 16 bits.
func (g *grid) lookByWord(steps []int32, out *neighbourhood) {
	level := g.bytes
	if g.levels.high != len(g.levels.values) { // some levels are absent: ranks are no levels
		value := g.valueOfRank()
		level = make([]uint8, len(g.bytes))
		for _, p := range g.voxels {
			level[p] = uint8(value[g.bytes[p]])
		}
	}
	n := 0
	for _, row := range g.rows {
		for p := int(row.from); p < int(row.to); p += wordBytes {
			here := binary.LittleEndian.Uint64(g.bytes[p:])
			var alike, count, even, odd uint64
			for _, o := range steps {
				there := binary.LittleEndian.Uint64(g.bytes[p+int(o):])
				alike += zeroBytes(here^there) >> 7
				count += zeroBytes(there) >> 7
				l := binary.LittleEndian.Uint64(level[p+int(o):])
				even += l & evens
				odd += l >> 8 & evens
			}
			for lane := range min(wordBytes, int(row.to)-p) {
				if uint8(here>>(8*lane)) == 0 {
					continue
				}
				sums := even
				if lane%2 == 1 {
					sums = odd
				}
				out.alike[n] = uint8(alike >> (8 * lane))
				out.count[n] = uint8(len(steps)) - uint8(count>>(8*lane))
				out.sum[n] = int32(uint16(sums >> (16 * (lane / 2))))
				n++
			}
		}
	}
}

// dependence computes the dependence features: a voxel depends on those of its neighbours whose level differs by at most
// gldm_a.
func dependence(g *grid, near *neighbourhood) map[string]float64 {
	width := 1
	for _, n := range near.alike {
		width = max(width, int(n)+1)
	}
	counts := make([]float64, len(g.levels.values)*width)
	for i, r := range g.levels.of {
		counts[(int(r)-1)*width+int(near.alike[i])]++
	}
	m := tableOf(counts, width, g.levels).moments(g.levels)
	return m.named(dependenceNames)
}

// toneDifference computes the features of the neighbouring grey tone difference matrix: how far each level lies from the
// mean of its neighbours in the region.
func toneDifference(g *grid, near *neighbourhood) map[string]float64 {
	value := g.valueOfRank()
	sums := make([]float64, len(g.levels.values)) // per level: sum of |level - mean of neighbours|
	for i, r := range g.levels.of {
		if n := near.count[i]; n > 0 {
			sums[r-1] += math.Abs(float64(value[r]) - float64(near.sum[i])/float64(n))
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
