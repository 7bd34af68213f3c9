package register

import (
	"container/heap"
	"math"
)

// tree joins the nodes of a control grid along the borders where the image changes least: its edges are a maximum
// spanning tree of exp(-e/2σ), e being the mean absolute difference of the two blocks, voxel by voxel. Across the wall of
// the chest, where the image changes most, the tree has few edges with little weight, and lung may slide there. Nodes in
// use that do not touch form trees of their own.
//
// Nodes are listed breadth first: a depth follows the other, and the children of a node are next to each other.
type tree struct {
	node   []int32   // index into blocks.at
	parent []int32   // position in node, -1 for a root
	child  []int32   // len(node)+1: the children of position p are positions child[p] … child[p+1]-1
	weight []float32 // of the edge to the parent, 0 … 1
	depths []int     // where each depth starts, and the end
}

// edge leads to a node that is not yet in the tree.
type edge struct {
	diff     uint32 // sum of absolute differences
	to, from int32
}

// edges is a heap with the least difference on top. Equal ones are ordered by node, so that the tree is always the same.
type edges []edge

func (e edges) Len() int      { return len(e) }
func (e edges) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e edges) Less(i, j int) bool {
	a, b := e[i], e[j]
	switch {
	case a.diff != b.diff:
		return a.diff < b.diff
	case a.to != b.to:
		return a.to < b.to
	}
	return a.from < b.from
}
func (e *edges) Push(x any) { *e = append(*e, x.(edge)) }
func (e *edges) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

// spanningTree builds the tree of the nodes of b in use, by Prim's algorithm from the node nearest to the middle.
func spanningTree(img *image, b *blocks, place []int32) *tree {
	n := len(b.at)
	parent, diff := make([]int32, n), make([]uint32, n)
	for i := range parent {
		parent[i] = -2
	}
	var roots []int32
	var open edges
	for _, start := range byDistance(b) {
		if parent[start] != -2 {
			continue
		}
		roots = append(roots, start)
		open = append(open[:0], edge{to: start, from: -1})
		for len(open) > 0 {
			e := heap.Pop(&open).(edge)
			if parent[e.to] != -2 {
				continue
			}
			parent[e.to], diff[e.to] = e.from, e.diff
			b.sixNeighbours(b.at[e.to], place, func(to int32) {
				if parent[to] == -2 {
					heap.Push(&open, edge{diff: blockDifference(img, b, b.at[e.to], b.at[to]), to: to, from: e.to})
				}
			})
		}
	}
	return breadthFirst(parent, diff, roots, edgeScale(img, b))
}

// edgeScale turns the sum of the differences of two blocks into the exponent of the edge's weight: e/2σ with e the mean
// difference and σ the standard deviation of the image.
func edgeScale(img *image, b *blocks) float64 { return 1 / (2 * deviation(img) * float64(b.g*b.g*b.g)) }

// strides are the steps from a node to the next one along i, j and k.
func (b *blocks) strides() [3]int32 {
	return [3]int32{1, int32(b.dims[0]), int32(b.dims[0] * b.dims[1])}
}

// byDistance lists the indices of the nodes in use, the one nearest to the middle of the grid first and then all others
// in order: those that the first does not reach start trees of their own.
func byDistance(b *blocks) []int32 {
	order := make([]int32, 0, len(b.at)+1)
	best, nearest := -1, math.MaxInt
	for i, node := range b.at {
		x, y, z := b.node(node)
		dx, dy, dz := 2*x-b.dims[0], 2*y-b.dims[1], 2*z-b.dims[2]
		if d := dx*dx + dy*dy + dz*dz; d < nearest {
			best, nearest = i, d
		}
	}
	if best < 0 {
		return nil
	}
	order = append(order, int32(best))
	for i := range b.at {
		order = append(order, int32(i))
	}
	return order
}

// sixNeighbours calls do with the index of each neighbour of a node across a face that is in use.
func (b *blocks) sixNeighbours(node int32, place []int32, do func(at int32)) {
	x, y, z := b.node(node)
	for a, stride := range b.strides() {
		c := [3]int{x, y, z}[a]
		if c > 0 {
			if p := place[node-stride]; p > 0 {
				do(p - 1)
			}
		}
		if c < b.dims[a]-1 {
			if p := place[node+stride]; p > 0 {
				do(p - 1)
			}
		}
	}
}

// blockDifference is the sum of the absolute differences of two blocks, voxel by voxel.
func blockDifference(img *image, b *blocks, n, m int32) uint32 {
	x0, y0, z0 := b.node(n)
	x1, y1, z1 := b.node(m)
	sum := int32(0)
	for k := range b.g {
		for j := range b.g {
			p := img.data[b.grid.Offset(x0*b.g, y0*b.g+j, z0*b.g+k):][:b.g]
			q := img.data[b.grid.Offset(x1*b.g, y1*b.g+j, z1*b.g+k):][:len(p)]
			for i, v := range p {
				d := int32(v) - int32(q[i])
				sum += max(d, -d)
			}
		}
	}
	return uint32(sum)
}

// deviation is the standard deviation of an image, at least one grey value.
func deviation(img *image) float64 {
	var sum, squares uint64
	for _, v := range img.data {
		sum += uint64(v)
		squares += uint64(v) * uint64(v)
	}
	n := float64(len(img.data))
	mean := float64(sum) / n
	return math.Sqrt(max(float64(squares)/n-mean*mean, 1))
}

// breadthFirst lists a forest given by its parents. The weight of an edge is exp(-scale × difference).
func breadthFirst(parent []int32, diff []uint32, roots []int32, scale float64) *tree {
	n := len(parent)
	// Children by parent: counting sort, so that they come in the order of their indices.
	first := make([]int32, n+1)
	for _, p := range parent {
		if p >= 0 {
			first[p+1]++
		}
	}
	for i := range n {
		first[i+1] += first[i]
	}
	kids := make([]int32, first[n])
	next := append([]int32(nil), first[:n]...)
	for i, p := range parent {
		if p >= 0 {
			kids[next[p]] = int32(i)
			next[p]++
		}
	}
	t := &tree{node: make([]int32, 0, n), parent: make([]int32, 0, n), child: make([]int32, 0, n+1), weight: make([]float32, 0, n)}
	for _, r := range roots {
		t.node, t.parent, t.weight = append(t.node, r), append(t.parent, -1), append(t.weight, 1)
	}
	t.depths = []int{0}
	for start := 0; start < len(t.node); {
		end := len(t.node)
		t.depths = append(t.depths, end)
		for p := start; p < end; p++ {
			t.child = append(t.child, int32(len(t.node)))
			i := t.node[p]
			for _, c := range kids[first[i]:first[i+1]] {
				t.node, t.parent = append(t.node, c), append(t.parent, int32(p))
				t.weight = append(t.weight, float32(math.Exp(-scale*float64(diff[c]))))
			}
		}
		start = end
	}
	t.child = append(t.child, int32(len(t.node)))
	return t
}

// width is the greatest number of nodes of one depth.
func (t *tree) width() int {
	w := 0
	for d := 1; d < len(t.depths); d++ {
		w = max(w, t.depths[d]-t.depths[d-1])
	}
	return w
}
