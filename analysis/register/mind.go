package register

import (
	"context"
	"math"
)

// maxLevelHU bounds the grey values that descriptors are made of: with values 0 … 3524 (-1024 to 2500 HU, above dense
// bone) the sum of 7³ squared differences stays below 2³², so that all sums are exact in uint32 and descriptors do not
// depend on the order of summing.
const maxLevelHU = 2500

// channelMask has the 60 bits of a descriptor set. It is also the descriptor of a constant region.
const channelMask = 1<<60 - 1

// mindThresholds are -ln((t+1.5)/6), t = 0 … 4: comparing the normalised distance with them gives the level 0 … 5 that
// rounding 6 exp(-d) would, without an exponential.
var mindThresholds = [5]float64{
	-math.Log(1.5 / 6), -math.Log(2.5 / 6), -math.Log(3.5 / 6), -math.Log(4.5 / 6), -math.Log(5.5 / 6),
}

// mindScratch is what one worker needs for a slab: see mindSlab.
type mindScratch struct {
	rows  []uint32      // squared differences of a plane, summed along i
	line  []uint32      // squared differences of a row with zeros on both sides
	col   []uint32      // running sum along j
	boxes [6][][]uint32 // ring of 2s+1 planes, summed along i and j
	dist  [6][][]uint32 // ring of s+1 planes, summed along i, j and k
	r     [12][]uint32  // the row of each channel
	sizes [3]int
}

func newMindScratch(m, n, s int) *mindScratch {
	sc := &mindScratch{rows: make([]uint32, m*n), line: make([]uint32, m+2*s+1), col: make([]uint32, m), sizes: [3]int{m, n, s}}
	for k := range 6 {
		sc.boxes[k] = planes(2*s+1, m*n)
		sc.dist[k] = planes(s+1, m*n)
	}
	for c := range 12 {
		sc.r[c] = make([]uint32, m)
	}
	return sc
}

func planes(n, size int) [][]uint32 {
	p := make([][]uint32, n)
	for i := range p {
		p[i] = make([]uint32, size)
	}
	return p
}

// mindScratchBytes is what newMindScratch takes for planes of mn voxels.
func mindScratchBytes(mn, s int) int64 { return 4 * int64(mn) * int64(1+6*(2*s+1)+6*(s+1)) }

// mindSlabPlanes is how many planes one call of mindSlab makes. Each call sums 3s planes more than it makes.
const mindSlabPlanes = 24

// mind writes the MIND-SSC descriptor of every voxel of img to out (Len() values), with patch step s (1 … 3).
func mind(ctx context.Context, out []uint64, img *image, s, threads int) error {
	m, n, o := img.Size[0], img.Size[1], img.Size[2]
	slabs := (o + mindSlabPlanes - 1) / mindSlabPlanes
	scratch := make([]*mindScratch, threads)
	return parallel(ctx, threads, slabs, func(w, i int) {
		if scratch[w] == nil {
			scratch[w] = newMindScratch(m, n, s)
		}
		z0 := i * mindSlabPlanes
		mindSlab(out, img, s, z0, min(z0+mindSlabPlanes, o), scratch[w])
	})
}

// mindShifts are the six shift vectors in units of s.
var mindShifts = [6][3]int{{1, 1, 0}, {-1, 1, 0}, {0, -1, 1}, {-1, 0, 1}, {0, 1, 1}, {1, 0, 1}}

// mindChannels lists, for each of the twelve pairs of neighbours that are edges of the octahedron, which shift's
// distance it is and at what axis offset, in units of s, it is read.
var mindChannels = [12]struct {
	shift  int
	offset [3]int
}{
	{0, [3]int{0, -1, 0}}, {0, [3]int{-1, 0, 0}}, {1, [3]int{0, -1, 0}}, {1, [3]int{1, 0, 0}},
	{2, [3]int{0, 0, -1}}, {2, [3]int{0, 1, 0}}, {3, [3]int{0, 0, -1}}, {3, [3]int{1, 0, 0}},
	{4, [3]int{0, 0, -1}}, {4, [3]int{0, -1, 0}}, {5, [3]int{0, 0, -1}}, {5, [3]int{-1, 0, 0}},
}

// mindSlab makes the descriptors of planes z0 … z1-1. It walks upwards: plane p enters the box sums, then plane p-s is
// complete; the channels also need the s planes below it.
func mindSlab(out []uint64, img *image, s, z0, z1 int, sc *mindScratch) {
	o := img.Size[2]
	for k := range 6 {
		for _, ring := range [][][]uint32{sc.boxes[k], sc.dist[k]} {
			for _, p := range ring {
				clear(p)
			}
		}
	}
	first := max(0, z0-s)
	for p := first - s; p < z1+s; p++ {
		z := p - s
		for k := range 6 {
			old, prev := sc.boxes[k][mod(p, 2*s+1)], sc.dist[k][mod(z-1, s+1)]
			now := sc.dist[k][mod(z, s+1)]
			if p >= 0 && p < o {
				sc.sumRows(img, k, p)
				sc.sumColumns(now, prev, old)
			} else {
				for x := range now {
					now[x] = prev[x] - old[x]
					old[x] = 0
				}
			}
		}
		if z >= z0 {
			sc.describe(out[z*img.Size[0]*img.Size[1]:], z)
		}
	}
}

func mod(a, n int) int { return ((a % n) + n) % n }

// sumRows fills rows with the squared differences I(x+t)-I(x) of plane p, summed over 2s+1 voxels along i. Where x or
// x+t is outside the image the difference counts as 0.
func (sc *mindScratch) sumRows(img *image, shift, p int) {
	m, n, s := sc.sizes[0], sc.sizes[1], sc.sizes[2]
	ti, tj, tk := mindShifts[shift][0]*s, mindShifts[shift][1]*s, mindShifts[shift][2]*s
	i0, i1 := max(0, -ti), min(m, m-ti)
	line := sc.line
	for j := range n {
		row := sc.rows[j*m : j*m+m]
		if j+tj < 0 || j+tj >= n || p+tk < 0 || p+tk >= img.Size[2] || i0 >= i1 {
			clear(row)
			continue
		}
		clear(line)
		a := img.data[img.Offset(i0, j, p):][:i1-i0]
		b := img.data[img.Offset(i0+ti, j+tj, p+tk):][:len(a)]
		d := line[s+1+i0:][:len(a)]
		for x, v := range a {
			e := int32(b[x]) - int32(v)
			d[x] = uint32(e * e)
		}
		var sum uint32
		for _, v := range line[s+1 : 2*s+1] {
			sum += v
		}
		in, gone := line[2*s+1:], line[:m]
		// line is m+2s+1 long and starts s+1 before voxel 0: voxel x enters the window s steps ahead of its centre.
		in = in[:m]
		for x := range row {
			sum += in[x] - gone[x]
			row[x] = sum
		}
	}
}

// sumColumns sums rows over 2s+1 voxels along j into box, and moves the sum along k on by one plane: now = prev + the
// new plane - the plane that leaves, which box held before.
func (sc *mindScratch) sumColumns(now, prev, box []uint32) {
	m, n, s := sc.sizes[0], sc.sizes[1], sc.sizes[2]
	col := sc.col
	clear(col)
	for j := range min(s, n) {
		for x, v := range sc.rows[j*m : j*m+m] {
			col[x] += v
		}
	}
	for j := range n {
		if j+s < n {
			for x, v := range sc.rows[(j+s)*m:][:len(col)] {
				col[x] += v
			}
		}
		if j-s-1 >= 0 {
			for x, v := range sc.rows[(j-s-1)*m:][:len(col)] {
				col[x] -= v
			}
		}
		b, nw, pr := box[j*m:][:len(col)], now[j*m:][:len(col)], prev[j*m:][:len(col)]
		for x, c := range col {
			nw[x] = pr[x] + c - b[x]
			b[x] = c
		}
	}
}

// describe turns the distances of plane z into descriptors.
func (sc *mindScratch) describe(out []uint64, z int) {
	m, n, s := sc.sizes[0], sc.sizes[1], sc.sizes[2]
	for j := range n {
		for c, ch := range mindChannels {
			zz := z + ch.offset[2]*s
			if zz < 0 {
				zz = z
			}
			jj := j + ch.offset[1]*s
			if jj < 0 || jj >= n {
				jj = j
			}
			src := sc.dist[ch.shift][mod(zz, s+1)][jj*m : jj*m+m]
			switch dst := sc.r[c]; ch.offset[0] {
			case 0:
				sc.r[c] = src
			case -1:
				copy(dst, src[:min(s, m)])
				if m > s {
					copy(dst[s:], src)
				}
			case 1:
				copy(dst, src)
				if m > s {
					copy(dst, src[s:])
				}
			}
		}
		encodeRow(out[j*m:j*m+m], &sc.r)
	}
}
