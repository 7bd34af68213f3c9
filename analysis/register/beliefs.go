package register

import "context"

// beliefs finds, for every node of a tree, the label that minimises the sum of
//
//	scale · cost(label)  +  |label(child) - label(parent) + offset(child)|²  over the edges,
//
// what lies below a node counting times the weight of its edge. On a tree min-sum belief propagation is exact: messages
// go from the deepest nodes to the root, choices back. Displacements are regularised as a whole, not just what this level
// adds to them: offset is how much less the child has been displaced so far than its parent, in labels.
type beliefs struct {
	tree   *tree
	labels labels
	cost   []uint16     // labels.len() values a node, by index into blocks.at
	scale  float32      // of the costs
	offset [][3]float32 // labels, by the same index; that of a root is not read
}

// minimise returns the label of every node, by index into blocks.at.
func (b *beliefs) minimise(ctx context.Context, threads int) ([]uint16, error) {
	t, n := b.tree, b.labels.len()
	choice := make([]uint16, len(t.node)*n) // by position: the best label of a node for each label of its parent
	label := make([]uint16, len(t.node))
	width := t.width()
	here, below := make([]float32, width*n), make([]float32, width*n)
	scratch := make([]*envelopes, threads)
	for d := len(t.depths) - 2; d >= 0; d-- {
		start, end := t.depths[d], t.depths[d+1]
		err := parallel(ctx, min(threads, (end-start+3)/4), end-start, func(w, i int) {
			p := start + i
			sum := here[i*n:][:n]
			b.gather(sum, p, below, end)
			if d == 0 {
				label[p] = leastOf(sum)
				return
			}
			if scratch[w] == nil {
				scratch[w] = newEnvelopes(b.labels.side())
			}
			scratch[w].message(sum, choice[p*n:][:n], t.weight[p], b.offset[t.node[p]])
		})
		if err != nil {
			return nil, err
		}
		here, below = below, here
	}
	out := make([]uint16, len(t.node))
	for p, node := range t.node {
		if parent := t.parent[p]; parent >= 0 {
			label[p] = choice[p*n+int(label[parent])]
		}
		out[node] = label[p]
	}
	return out, nil
}

// gather adds up what is known of the node at position p: its own cost and the messages of its children, which stand in
// below, the first position there being first.
func (b *beliefs) gather(sum []float32, p int, below []float32, first int) {
	n := len(sum)
	node := int(b.tree.node[p])
	for d, v := range b.cost[node*n:][:n] {
		sum[d] = b.scale * float32(v)
	}
	for c := int(b.tree.child[p]); c < int(b.tree.child[p+1]); c++ {
		for d, v := range below[(c-first)*n:][:n] {
			sum[d] += v
		}
	}
}

func leastOf(v []float32) uint16 {
	best := len(v) / 2 // no displacement, unless another is better
	for d, x := range v {
		if x < v[best] {
			best = d
		}
	}
	return uint16(best)
}

// envelopes makes messages: min-convolutions with a parabola, one pass an axis. Lines are so short that trying all pairs
// is quicker than following the lower envelope.
type envelopes struct {
	side           int
	parabola       [3][]float32 // (parent - child + offset)², side × side
	a, b           []float32
	argI, argJ, ar []uint8
}

func newEnvelopes(side int) *envelopes {
	n := side * side * side
	e := &envelopes{side: side, a: make([]float32, n), b: make([]float32, n), argI: make([]uint8, n), argJ: make([]uint8, n), ar: make([]uint8, side*side)}
	for c := range 3 {
		e.parabola[c] = make([]float32, side*side)
	}
	return e
}

// message turns the sum of a node, times weight, into its message to the parent, in place and with its least value taken
// off, and writes which label of the node each label of the parent asks for.
func (e *envelopes) message(sum []float32, choice []uint16, weight float32, offset [3]float32) {
	n := e.side
	for c := range 3 {
		for p := range n {
			for q := range n {
				x := float32(p-q) + offset[c]
				e.parabola[c][p*n+q] = x * x
			}
		}
	}
	for d := range sum {
		sum[d] *= weight
	}
	for l := 0; l < len(sum); l += n {
		line := sum[l:][:n]
		for p := range n {
			row := e.parabola[0][p*n:][:len(line)]
			best, arg := line[0]+row[0], 0
			for q := 1; q < len(line); q++ {
				if v := line[q] + row[q]; v < best {
					best, arg = v, q
				}
			}
			e.a[l+p], e.argI[l+p] = best, uint8(arg)
		}
	}
	nn := n * n
	for k := range n {
		for p := range n {
			o := k*nn + p*n
			lowest(e.b[o:][:n], e.argJ[o:][:n], e.a[k*nn:], n, e.parabola[1][p*n:][:n])
		}
	}
	least := float32(0)
	for p := range n {
		out := sum[p*nn:][:nn]
		lowest(out, e.ar, e.b, nn, e.parabola[2][p*n:][:n])
		for x, v := range out {
			if v < least || p+x == 0 {
				least = v
			}
			k := int(e.ar[x])
			j := int(e.argJ[k*nn+x])
			i := int(e.argI[k*nn+j*n+x%n])
			choice[p*nn+x] = uint16(k*nn + j*n + i)
		}
	}
	for d := range sum {
		sum[d] -= least
	}
}

// lowest writes min over q of in[q·stride + x] + add[q] to out[x], and the q to arg.
func lowest(out []float32, arg []uint8, in []float32, stride int, add []float32) {
	arg = arg[:len(out)]
	for x, v := range in[:len(out)] {
		out[x], arg[x] = v+add[0], 0
	}
	for q := 1; q < len(add); q++ {
		more := add[q]
		for x, v := range in[q*stride:][:len(out)] {
			if v += more; v < out[x] {
				out[x], arg[x] = v, uint8(q)
			}
		}
	}
}
