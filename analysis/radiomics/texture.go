package radiomics

import "math"

// grid holds the grey-level ranks of a region in its box with a rim of zeros as wide as the largest distance: 0 is not in
// the region, so that neighbours need no bounds check.
type grid struct {
	rank    []uint16
	bytes   []uint8 // the ranks again if they fit into bytes, with room to read eight at a time; else nil
	lengths []uint8 // room for countRunsByWord
	size    [3]int  // of the box, without the rim
	stride  [3]int  // along x, y, z
	voxels  []int32
	rows    []span
	levels  *levels
}

// span is the stretch of a row from its first to its last voxel of the region, by position in the padded grid.
type span struct{ from, to int32 }

// wordBytes is how many ranks are worked on at a time where they are bytes.
const wordBytes = 8

// newGrid lays the levels of a region out; rim is the largest distance that will be asked for.
func newGrid(r *roi, l *levels, rim int) *grid {
	var padded [3]int
	for a := range 3 {
		padded[a] = r.size[a] + 2*rim
	}
	g := &grid{size: r.size, stride: [3]int{1, padded[0], padded[0] * padded[1]}, levels: l}
	n := padded[0] * padded[1] * padded[2]
	g.rank = make([]uint16, n)
	if len(l.values) <= math.MaxUint8 {
		g.bytes = make([]uint8, n+wordBytes)
	}
	g.voxels = make([]int32, len(r.voxels))
	last := int32(-1)
	for n, o := range r.voxels {
		i, j, k := r.xyz(o)
		row := ((k+rim)*padded[1]+j+rim)*padded[0] + rim
		p := row + i
		g.voxels[n] = int32(p)
		g.rank[p] = l.of[n]
		if g.bytes != nil {
			g.bytes[p] = uint8(l.of[n])
		}
		if int32(row) != last {
			g.rows = append(g.rows, span{int32(p), 0})
			last = int32(row)
		}
		g.rows[len(g.rows)-1].to = int32(p + 1)
	}
	return g
}

// direction is a step from a voxel to a neighbour, in voxels along x, y, z.
type direction [3]int

func (g *grid) offset(d direction) int32 {
	return int32(d[0]*g.stride[0] + d[1]*g.stride[1] + d[2]*g.stride[2])
}

// directions are those of PyRadiomics' generate_angles: all steps whose largest component is one of the distances, that
// fit into the box and, with force2D, stay in the plane. Each pair of opposite steps is given once unless both is set.
func directions(size [3]int, distances []int, s *Settings, both bool) []direction {
	far := 0
	for _, d := range distances {
		far = max(far, d)
	}
	wanted := make([]bool, far+1)
	for _, d := range distances {
		wanted[d] = true
	}
	flat := -1
	if s.Force2D {
		flat = 2 - s.Force2DDimension // numpy's axis 0 is z
	}
	var out []direction
	for z := far; z >= -far; z-- {
		for y := far; y >= -far; y-- {
			for x := far; x >= -far; x-- {
				d := direction{x, y, z}
				if !both && (z < 0 || z == 0 && (y < 0 || y == 0 && x <= 0)) {
					continue
				}
				fits, longest := true, 0
				for a, v := range d {
					fits = fits && v < size[a] && v > -size[a] && (a != flat || v == 0)
					longest = max(longest, v, -v)
				}
				if fits && longest > 0 && wanted[longest] {
					out = append(out, d)
				}
			}
		}
	}
	return out
}

// length is that of a step in mm by a norm of weightingNorm; 1 for no_weighting.
func (d direction) length(norm string, spacing [3]float64) float64 {
	sum, square, largest := 0.0, 0.0, 0.0
	for a, v := range d {
		mm := math.Abs(float64(v)) * spacing[a]
		sum += mm
		square += mm * mm
		largest = max(largest, mm)
	}
	switch norm {
	case "manhattan":
		return sum
	case "euclidean":
		return math.Sqrt(square)
	case "infinity":
		return largest
	}
	return 1
}

// cell is an entry of a run length, size zone or dependence matrix: n times level i with length, size or dependence j.
type cell struct{ i, j, n float64 }

// table is such a matrix, sparse, with its sums. The features of the three classes are one set under three sets of names.
type table struct {
	cells  []cell
	byI    []float64 // sum over j for each rank
	byJ    []float64 // sum over i for each j = index + 1
	total  float64   // sum over all
	voxels float64   // sum of j times n
}

// tableOf sums dense counts: counts[rank-1][j-1] with width columns.
func tableOf(counts []float64, width int, l *levels) *table {
	t := &table{byI: make([]float64, len(l.values)), byJ: make([]float64, width)}
	for r := range l.values {
		for j, n := range counts[r*width:][:width] {
			if n != 0 {
				t.cells = append(t.cells, cell{float64(l.values[r]), float64(j + 1), n})
				t.byI[r] += n
				t.byJ[j] += n
				t.total += n
				t.voxels += float64(j+1) * n
			}
		}
	}
	return t
}

// moments are the values of one table; the index says which.
type moments [16]float64

const (
	shortEmphasis = iota
	longEmphasis
	levelNonUniformity
	levelNonUniformityNormalized
	lengthNonUniformity
	lengthNonUniformityNormalized
	percentage
	levelVariance
	lengthVariance
	entropy
	lowLevel
	highLevel
	shortLow
	shortHigh
	longLow
	longHigh
)

func (t *table) moments(l *levels) (m moments) {
	n := t.total
	var meanI, meanJ float64
	for r, p := range t.byI {
		i := float64(l.values[r])
		m[levelNonUniformity] += p * p
		m[lowLevel] += p / (i * i)
		m[highLevel] += p * (i * i)
		meanI += p / n * i
	}
	for k, p := range t.byJ {
		if p == 0 {
			continue
		}
		j := float64(k + 1)
		m[shortEmphasis] += p / (j * j)
		m[longEmphasis] += p * (j * j)
		m[lengthNonUniformity] += p * p
		meanJ += p / n * j
	}
	for r, p := range t.byI {
		d := float64(l.values[r]) - meanI
		m[levelVariance] += p / n * (d * d)
	}
	for k, p := range t.byJ {
		d := float64(k+1) - meanJ
		m[lengthVariance] += p / n * (d * d)
	}
	for _, c := range t.cells {
		ii, jj := c.i*c.i, c.j*c.j
		m[shortLow] += c.n / (ii * jj)
		m[shortHigh] += c.n * ii / jj
		m[longLow] += c.n * jj / ii
		m[longHigh] += c.n * ii * jj
		p := c.n / n
		m[entropy] -= p * math.Log2(p+eps)
	}
	m[levelNonUniformityNormalized] = m[levelNonUniformity] / (n * n)
	m[lengthNonUniformityNormalized] = m[lengthNonUniformity] / (n * n)
	for _, k := range []int{shortEmphasis, longEmphasis, levelNonUniformity, lengthNonUniformity, lowLevel, highLevel, shortLow, shortHigh, longLow, longHigh} {
		m[k] /= n
	}
	m[percentage] = n / t.voxels
	return m
}

// meanOf is the mean of each value over the tables of the directions.
func meanOf(all []moments) (m moments) {
	for k := range m {
		for _, one := range all {
			m[k] += one[k]
		}
		m[k] /= float64(len(all)) // no direction: NaN
	}
	return m
}

// named gives the values the names of a class: length is Run, Zone …, short and long the words for small and large j.
func (m *moments) named(names map[string]int) map[string]float64 {
	out := make(map[string]float64, len(names))
	for name, k := range names {
		out[name] = m[k]
	}
	return out
}

var runNames = map[string]int{
	"ShortRunEmphasis": shortEmphasis, "LongRunEmphasis": longEmphasis,
	"GrayLevelNonUniformity": levelNonUniformity, "GrayLevelNonUniformityNormalized": levelNonUniformityNormalized,
	"RunLengthNonUniformity": lengthNonUniformity, "RunLengthNonUniformityNormalized": lengthNonUniformityNormalized,
	"RunPercentage": percentage, "GrayLevelVariance": levelVariance, "RunVariance": lengthVariance, "RunEntropy": entropy,
	"LowGrayLevelRunEmphasis": lowLevel, "HighGrayLevelRunEmphasis": highLevel,
	"ShortRunLowGrayLevelEmphasis": shortLow, "ShortRunHighGrayLevelEmphasis": shortHigh,
	"LongRunLowGrayLevelEmphasis": longLow, "LongRunHighGrayLevelEmphasis": longHigh,
}

var zoneNames = map[string]int{
	"SmallAreaEmphasis": shortEmphasis, "LargeAreaEmphasis": longEmphasis,
	"GrayLevelNonUniformity": levelNonUniformity, "GrayLevelNonUniformityNormalized": levelNonUniformityNormalized,
	"SizeZoneNonUniformity": lengthNonUniformity, "SizeZoneNonUniformityNormalized": lengthNonUniformityNormalized,
	"ZonePercentage": percentage, "GrayLevelVariance": levelVariance, "ZoneVariance": lengthVariance, "ZoneEntropy": entropy,
	"LowGrayLevelZoneEmphasis": lowLevel, "HighGrayLevelZoneEmphasis": highLevel,
	"SmallAreaLowGrayLevelEmphasis": shortLow, "SmallAreaHighGrayLevelEmphasis": shortHigh,
	"LargeAreaLowGrayLevelEmphasis": longLow, "LargeAreaHighGrayLevelEmphasis": longHigh,
}

var dependenceNames = map[string]int{
	"SmallDependenceEmphasis": shortEmphasis, "LargeDependenceEmphasis": longEmphasis,
	"GrayLevelNonUniformity":  levelNonUniformity,
	"DependenceNonUniformity": lengthNonUniformity, "DependenceNonUniformityNormalized": lengthNonUniformityNormalized,
	"GrayLevelVariance": levelVariance, "DependenceVariance": lengthVariance, "DependenceEntropy": entropy,
	"LowGrayLevelEmphasis": lowLevel, "HighGrayLevelEmphasis": highLevel,
	"SmallDependenceLowGrayLevelEmphasis": shortLow, "SmallDependenceHighGrayLevelEmphasis": shortHigh,
	"LargeDependenceLowGrayLevelEmphasis": longLow, "LargeDependenceHighGrayLevelEmphasis": longHigh,
}
