package register

import (
	"context"
	"math/bits"
	"slices"

	"rfanode/analysis/volume"
)

// minRingShare is the part of a block that must lie in the ring.
const minRingShare = 0.3

// find looks for the blocks of x that lie in the ring within y. It returns pairs in the grid's LPS mm whose weight
// is how far the least difference lies below the mean over all displacements, in bits a voxel: uniform lung has no
// preference and hardly counts, and blocks below minContrast are left out.
func (w *localWork) find(ctx context.Context, x, y []uint64, lv level) ([]match, error) {
	grid := w.fixed.Geometry
	b, l := newBlocks(grid, lv.g), labels{lv.radius, lv.step}
	share := b.share(w.ring)
	reach := lv.radius * lv.step
	b.use(func(n int32) bool {
		i, j, k := b.node(n)
		for a, c := range [3]int{i, j, k} {
			if c*b.g < reach || c*b.g+b.g+reach > grid.Size[a] {
				return false // the grid's margin is wide enough for every block of the ring
			}
		}
		return share[n] >= minRingShare
	})
	n := l.len()
	cost, count := make([]uint32, len(b.at)*n), make([]int, len(b.at))
	err := parallel(ctx, w.threads, len(b.at), func(_, i int) {
		count[i] = ringBits(cost[i*n:][:n], x, y, w.ring, b, b.at[i], l)
	})
	if err != nil {
		return nil, err
	}
	place := b.places()
	out := make([]match, len(b.at))
	h := grid.Spacing[0]
	err = parallel(ctx, w.threads, len(b.at), func(_, i int) {
		sum := make([]uint32, n)
		voxels := uint32(0)
		b.neighbours(b.at[i], place, func(at int, weight uint32) {
			voxels += weight * uint32(count[at])
			for d, v := range cost[at*n:][:n] {
				sum[d] += weight * v
			}
		})
		best, contrast := least(sum)
		d := refined(sum, best, l)
		p := b.centre(b.at[i])
		out[i] = match{
			p: p, q: add(p, volume.Vec{d[0] * h, d[1] * h, d[2] * h}),
			weight: contrast / float64(voxels),
		}
	})
	return slices.DeleteFunc(out, func(m match) bool { return m.weight < minContrast }), err
}

// ringBits counts, for every displacement, the bits in which the voxels of a block that lie in the ring differ, and
// returns how many voxels those are. The displaced block must lie inside the volume.
func ringBits(out []uint32, x, y []uint64, ring []uint8, b *blocks, node int32, l labels) int {
	bi, bj, bk := b.node(node)
	size, side := b.grid.Size, l.side()
	count := 0
	for k := range b.g {
		for j := range b.g {
			for i := range b.g {
				o := b.grid.Offset(bi*b.g+i, bj*b.g+j, bk*b.g+k)
				if ring[o] == 0 {
					continue
				}
				count++
				code, label := x[o], 0
				for dk := -l.radius; dk <= l.radius; dk++ {
					for dj := -l.radius; dj <= l.radius; dj++ {
						row := y[o+((dk*size[1]+dj)*size[0]-l.radius)*l.step:][:(side-1)*l.step+1]
						sums := out[label : label+side]
						for d := range sums {
							sums[d] += uint32(bits.OnesCount64(code ^ row[d*l.step]))
						}
						label += side
					}
				}
			}
		}
	}
	return count
}
