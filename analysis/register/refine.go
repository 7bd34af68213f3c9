package register

import (
	"context"
	"math"
)

// How a field is refined.
const (
	refineSmoothness = 1.2 // of the field against the blocks: bits a voxel of the image for a squared voxel of displacement
	refineSweeps     = 60  // over all nodes: further ones change nothing that can be seen
	overRelaxation   = 1.6 // of each step
	// lungCut weakens what two blocks have to do with each other by exp(-lungCut × difference of their shares of lung): lung
	// slides along the wall, often by more than all else that one block of it differs from the next. With 8, a block of lung
	// beside one that is half wall counts 0.02.
	lungCut = 8.0
)

// aim is where a block belongs by itself: along each axis the vertex of the parabola through its least cost and the two
// costs beside it, and the bend of that parabola, which is 0 where the block does not tell.
type aim struct{ at, bend [3]float32 }

// refine replaces the search's whole displacements, with their steps between blocks, by displacements in fractions of a
// voxel: the u that minimise
//
//	Σ bend (u - at)²  over blocks  +  refineSmoothness Σ w |u - u'|²  over pairs of neighbours,
//
// w being the weight that the edge has in the spanning tree, less where lung borders on wall. The costs of a block are first
// smoothed over its neighbours, with the same reserve.
func (w *deformWork) refine(ctx context.Context, r *image, b *blocks, l level, before *displacements) (*displacements, error) {
	cost, err := w.match(ctx, r, b, l)
	if err != nil {
		return nil, err
	}
	place := b.places()
	lung := w.lung
	if r == w.affine {
		lung = w.movingLung
	}
	share := b.share(lung)
	aims, err := blockAims(ctx, cost, b, share, place, labels{l.radius, l.step}, before, w.threads)
	if err != nil {
		return nil, err
	}
	out := newDisplacements(l.g, b.dims)
	for _, node := range b.at {
		out.v[node] = before.v[node]
	}
	edges := edgeWeights(r, b, share, place)
	for range refineSweeps {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		relax(out, aims, edges, b)
	}
	return out, nil
}

// together is how much two nodes have to do with each other, by their shares of lung: 1 where these are equal.
func together(share []float32, n, m int32) float64 {
	return math.Exp(-lungCut * math.Abs(float64(share[n]-share[m])))
}

// blockAims returns the aims of all blocks in use, as total displacements in voxels. share is each node's share of lung.
func blockAims(ctx context.Context, cost []uint16, b *blocks, share []float32, place []int32, l labels, before *displacements, threads int) ([]aim, error) {
	out := make([]aim, len(b.at))
	lungs := func(n, m int32) float64 { return together(share, n, m) }
	err := smoothCosts(ctx, cost, b, place, l, lungs, threads, func(i int, sum []uint32, weight uint32) {
		best, _ := least(sum)
		d, bend := vertex(sum, best, l)
		bits := 1 / (float64(weight) * float64(samples(b.g)))
		for a := range 3 {
			out[i].at[a] = before.v[b.at[i]][a] + float32(d[a])
			out[i].bend[a] = float32(bits * bend[a])
		}
	})
	return out, err
}

// edgeWeights returns for every node of the control grid the weights of its edges to the next node along i, j and k, 0
// where one of the two is not in use.
func edgeWeights(r *image, b *blocks, share []float32, place []int32) [][3]float32 {
	out := make([][3]float32, len(place))
	scale := edgeScale(r, b)
	strides := b.strides()
	for _, node := range b.at {
		x, y, z := b.node(node)
		for a, c := range [3]int{x, y, z} {
			if next := node + strides[a]; c < b.dims[a]-1 && place[next] > 0 {
				out[node][a] = refineSmoothness * float32(math.Exp(-scale*float64(blockDifference(r, b, node, next)))*together(share, node, next))
			}
		}
	}
	return out
}

// relax is one sweep of successive over-relaxation, always in the same order. edges is that of edgeWeights.
func relax(u *displacements, aims []aim, edges [][3]float32, b *blocks) {
	strides := b.strides()
	for i, node := range b.at {
		var sum [3]float32
		total := float32(0)
		for a, stride := range strides {
			if w := edges[node][a]; w > 0 {
				total += w
				for c, x := range &u.v[node+stride] {
					sum[c] += w * x
				}
			}
			if node < stride {
				continue
			}
			// At the first node of a row this is the last one of another: its edge onwards is 0.
			if w := edges[node-stride][a]; w > 0 {
				total += w
				for c, x := range &u.v[node-stride] {
					sum[c] += w * x
				}
			}
		}
		for c := range 3 {
			bend := aims[i].bend[c]
			if d := total + bend; d > 0 {
				u.v[node][c] += overRelaxation * ((sum[c]+bend*aims[i].at[c])/d - u.v[node][c])
			}
		}
	}
}
