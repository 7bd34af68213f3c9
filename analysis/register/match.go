package register

import (
	"context"
	"math/bits"

	"rfanode/analysis/volume"
)

// blocks is the set of cubes of voxels that are looked for in the other image. Node (a, b, c) of the control grid owns
// the block of g³ voxels that starts at voxel (a g, b g, c g).
type blocks struct {
	grid volume.Geometry
	g    int
	dims [3]int  // nodes an axis: only whole blocks
	at   []int32 // nodes in use, ascending, as (c*dims[1]+b)*dims[0]+a
}

func newBlocks(grid volume.Geometry, g int) *blocks {
	return &blocks{grid: grid, g: g, dims: [3]int{grid.Size[0] / g, grid.Size[1] / g, grid.Size[2] / g}}
}

// node is the position of node n in the control grid.
func (b *blocks) node(n int32) (a, bb, c int) {
	i := int(n)
	return i % b.dims[0], i / b.dims[0] % b.dims[1], i / (b.dims[0] * b.dims[1])
}

// centre is the middle of the block of node n, LPS mm.
func (b *blocks) centre(n int32) volume.Vec {
	x, y, z := b.node(n)
	half := float64(b.g-1) / 2
	return b.grid.Point(volume.Vec{float64(x*b.g) + half, float64(y*b.g) + half, float64(z*b.g) + half})
}

// use takes into the set the nodes for which keep says so.
func (b *blocks) use(keep func(n int32) bool) {
	b.at = b.at[:0]
	for n := range int32(b.dims[0] * b.dims[1] * b.dims[2]) {
		if keep(n) {
			b.at = append(b.at, n)
		}
	}
}

// share returns, for every node, what part of its block is set in the mask (on the same grid).
func (b *blocks) share(mask []uint8) []float32 {
	out := make([]float32, b.dims[0]*b.dims[1]*b.dims[2])
	for n := range out {
		x, y, z := b.node(int32(n))
		sum := 0
		for k := range b.g {
			for j := range b.g {
				for _, v := range mask[b.grid.Offset(x*b.g, y*b.g+j, z*b.g+k):][:b.g] {
					sum += int(v)
				}
			}
		}
		out[n] = float32(sum) / float32(b.g*b.g*b.g)
	}
	return out
}

// places returns, for every node, 1 + its index in the set, 0 for nodes that are not in use.
func (b *blocks) places() []int32 {
	p := make([]int32, b.dims[0]*b.dims[1]*b.dims[2])
	for i, node := range b.at {
		p[node] = int32(i) + 1
	}
	return p
}

// neighbours calls do for node n itself and its up to 26 neighbours that are in use, with their index in the set and
// their weight: 1 2 1 along each axis, the node itself 8.
func (b *blocks) neighbours(n int32, places []int32, do func(at int, weight uint32)) {
	x, y, z := b.node(n)
	for c := max(0, z-1); c <= min(z+1, b.dims[2]-1); c++ {
		for bb := max(0, y-1); bb <= min(y+1, b.dims[1]-1); bb++ {
			for a := max(0, x-1); a <= min(x+1, b.dims[0]-1); a++ {
				if p := places[(c*b.dims[1]+bb)*b.dims[0]+a]; p > 0 {
					do(int(p)-1, uint32(8)>>uint(abs(a-x)+abs(bb-y)+abs(c-z)))
				}
			}
		}
	}
}

// labels is the dense set of displacements q·{-L … L}³ voxels; the displacement along i changes fastest.
type labels struct{ radius, step int }

func (l labels) side() int { return 2*l.radius + 1 }

func (l labels) len() int { return l.side() * l.side() * l.side() }

// displacement is label n in voxels.
func (l labels) displacement(n int) [3]int {
	s := l.side()
	return [3]int{(n%s - l.radius) * l.step, (n/s%s - l.radius) * l.step, (n/(s*s) - l.radius) * l.step}
}

// stride is the step between the samples of a block along j and k: blocks larger than 4 voxels are sampled every second
// row and slice, as in deeds.
func stride(g int) int {
	if g > 4 {
		return 2
	}
	return 1
}

// samples is the number of voxels of a block that are compared.
func samples(g int) int {
	rows := (g + stride(g) - 1) / stride(g)
	return g * rows * rows
}

// maxBlock is the greatest block side that matchBlocks can take.
const maxBlock = 8

// matchBlocks returns, for every block in use and every label, the number of descriptor bits that differ between the
// samples of the block in r and those of the displaced block in w, positions beyond the volume being moved to its border:
// len(b.at) rows of l.len() values. The greatest possible value, 128 samples × 60 bits, fits.
func matchBlocks(ctx context.Context, r, w []uint64, b *blocks, l labels, threads int) ([]uint16, error) {
	n := l.len()
	out := make([]uint16, len(b.at)*n)
	err := parallel(ctx, threads, len(b.at), func(_, i int) {
		matchBlock(out[i*n:(i+1)*n], r, w, b, b.at[i], l)
	})
	return out, err
}

func matchBlock(out []uint16, r, w []uint64, b *blocks, node int32, l labels) {
	size, g, st := b.grid.Size, b.g, stride(b.g)
	x, y, z := b.node(node)
	i0, j0, k0 := x*g, y*g, z*g
	var rows [16][maxBlock]uint64
	n := 0
	for k := 0; k < g; k += st {
		for j := 0; j < g; j += st {
			copy(rows[n][:g], r[b.grid.Offset(i0, j0+j, k0+k):])
			n++
		}
	}
	var at [16]int
	label := 0
	for dk := -l.radius; dk <= l.radius; dk++ {
		for dj := -l.radius; dj <= l.radius; dj++ {
			n = 0
			for k := 0; k < g; k += st {
				kk := clamp(k0+k+dk*l.step, size[2])
				for j := 0; j < g; j += st {
					at[n] = b.grid.Offset(0, clamp(j0+j+dj*l.step, size[1]), kk)
					n++
				}
			}
			for di := -l.radius; di <= l.radius; di++ {
				i := i0 + di*l.step
				if i >= 0 && i+g <= size[0] {
					out[label] = uint16(rowBits(rows[:n], at[:n], w[i:], g))
				} else {
					out[label] = uint16(clampedBits(rows[:n], at[:n], w, i, g, size[0]))
				}
				label++
			}
		}
	}
}

func clamp(i, n int) int { return min(max(i, 0), n-1) }

// clampedBits is rowBits for a block that reaches over the border along i.
func clampedBits(rows [][maxBlock]uint64, at []int, w []uint64, i, g, size int) int {
	sum := 0
	for n := range rows {
		row := w[at[n]:][:size]
		for x := range g {
			sum += bits.OnesCount64(rows[n][x] ^ row[clamp(i+x, size)])
		}
	}
	return sum
}

// rowBits counts the bits in which rows differ from the rows of w that start at the offsets. It is the innermost loop of
// registration: one routine a row length, so that the rows' bounds are checked once.
func rowBits(rows [][maxBlock]uint64, at []int, w []uint64, g int) int {
	at = at[:len(rows)]
	sum := 0
	switch g {
	case 3:
		for n := range rows {
			a, b := &rows[n], (*[3]uint64)(w[at[n]:])
			sum += bits.OnesCount64(a[0]^b[0]) + bits.OnesCount64(a[1]^b[1]) + bits.OnesCount64(a[2]^b[2])
		}
	case 4:
		for n := range rows {
			a, b := &rows[n], (*[4]uint64)(w[at[n]:])
			sum += bits.OnesCount64(a[0]^b[0]) + bits.OnesCount64(a[1]^b[1]) + bits.OnesCount64(a[2]^b[2]) + bits.OnesCount64(a[3]^b[3])
		}
	case 5:
		for n := range rows {
			a, b := &rows[n], (*[5]uint64)(w[at[n]:])
			sum += bits.OnesCount64(a[0]^b[0]) + bits.OnesCount64(a[1]^b[1]) + bits.OnesCount64(a[2]^b[2]) +
				bits.OnesCount64(a[3]^b[3]) + bits.OnesCount64(a[4]^b[4])
		}
	case 6:
		for n := range rows {
			a, b := &rows[n], (*[6]uint64)(w[at[n]:])
			sum += bits.OnesCount64(a[0]^b[0]) + bits.OnesCount64(a[1]^b[1]) + bits.OnesCount64(a[2]^b[2]) +
				bits.OnesCount64(a[3]^b[3]) + bits.OnesCount64(a[4]^b[4]) + bits.OnesCount64(a[5]^b[5])
		}
	case 7:
		for n := range rows {
			a, b := &rows[n], (*[7]uint64)(w[at[n]:])
			sum += bits.OnesCount64(a[0]^b[0]) + bits.OnesCount64(a[1]^b[1]) + bits.OnesCount64(a[2]^b[2]) +
				bits.OnesCount64(a[3]^b[3]) + bits.OnesCount64(a[4]^b[4]) + bits.OnesCount64(a[5]^b[5]) + bits.OnesCount64(a[6]^b[6])
		}
	default:
		for n := range rows {
			a, b := rows[n][:g], w[at[n]:][:g]
			for x, v := range a {
				sum += bits.OnesCount64(v ^ b[x])
			}
		}
	}
	return sum
}
