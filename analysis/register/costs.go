package register

import (
	"context"

	"rfanode/analysis/volume"
)

// ties say how much two neighbouring nodes have to do with each other, 0 to 1.
type ties func(n, m int32) float64

// tieSteps is how finely ties are told apart: with weights 1 2 1 along each axis, which add up to 64, and 7680 for the
// greatest cost of a block, sums stay below 2³².
const tieSteps = 64

// smoothCosts adds up, for every block in use and every label, the costs of the block and of its up to 26 neighbours in
// use, with weights 1 2 1 along each axis times tie (nil: 1), and hands them with the sum of the weights to do: one block
// alone is often ambiguous. sum is only valid during the call.
func smoothCosts(ctx context.Context, cost []uint16, b *blocks, place []int32, l labels, tie ties, threads int, do func(i int, sum []uint32, weight uint32)) error {
	n := l.len()
	sums := make([][]uint32, threads)
	return parallel(ctx, threads, len(b.at), func(w, i int) {
		if sums[w] == nil {
			sums[w] = make([]uint32, n)
		}
		sum := sums[w]
		clear(sum)
		weight := uint32(0)
		b.neighbours(b.at[i], place, func(at int, k uint32) {
			k *= tieSteps
			if tie != nil {
				k = uint32(float64(k) * tie(b.at[i], b.at[at]))
			}
			if k == 0 {
				return
			}
			weight += k
			for d, v := range cost[at*n:][:len(sum)] {
				sum[d] += k * uint32(v)
			}
		})
		do(i, sum, weight)
	})
}

// least returns the label of the least cost, the middle one (no displacement) if no other is less, and how far it lies
// below the mean.
func least(cost []uint32) (best int, contrast float64) {
	best = len(cost) / 2
	total := 0.0
	for d, v := range cost {
		total += float64(v)
		if v < cost[best] {
			best = d
		}
	}
	return best, total/float64(len(cost)) - float64(cost[best])
}

// refined is the displacement of the least cost in fractions of a voxel. Whole voxels would draw a fit to the many blocks
// that seem not to have moved at all.
func refined(cost []uint32, best int, l labels) volume.Vec {
	d, _ := vertex(cost, best, l)
	return d
}

// vertex is the displacement, in voxels, at which the parabola through the least cost and the two beside it is least
// along each axis, and the bend of that parabola: the second difference of the costs. At the rim of the labels the cost may
// go on falling: the bend is then 0, and the displacement that of the label.
func vertex(cost []uint32, best int, l labels) (d volume.Vec, bend [3]float64) {
	stride := 1
	for a, whole := range l.displacement(best) {
		d[a] = float64(whole)
		if n := best / stride % l.side(); n > 0 && n < l.side()-1 {
			before, at, after := float64(cost[best-stride]), float64(cost[best]), float64(cost[best+stride])
			if bend[a] = before + after - 2*at; bend[a] > 0 {
				d[a] += float64(l.step) * (before - after) / (2 * bend[a])
			}
		}
		stride *= l.side()
	}
	return d, bend
}
