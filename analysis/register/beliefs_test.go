package register

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"rfanode/analysis/volume"
)

// plainTree is a path or a star of n nodes with the given parents.
func plainTree(parent []int32, weight []float32) *tree {
	diff := make([]uint32, len(parent))
	t := breadthFirst(parent, diff, []int32{0}, 1)
	for p, node := range t.node {
		t.weight[p] = weight[node]
	}
	return t
}

// energy of the labels below and at node, as the messages define it.
func (b *beliefs) energy(p int, label []uint16) float64 {
	node := int(b.tree.node[p])
	n := b.labels.len()
	sum := float64(b.scale) * float64(b.cost[node*n+int(label[node])])
	for c := int(b.tree.child[p]); c < int(b.tree.child[p+1]); c++ {
		child := b.tree.node[c]
		d := float64(b.tree.weight[c]) * b.energy(c, label)
		x, y := b.labels.displacement(int(label[child])), b.labels.displacement(int(label[node]))
		for a := range 3 {
			e := float64(y[a]-x[a])/float64(b.labels.step) + float64(b.offset[child][a])
			d += e * e
		}
		sum += d
	}
	return sum
}

// The labels must be the best of all combinations, or the field is not the one that deeds' energy defines.
func TestBeliefsFindTheLeastEnergy(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, parent := range [][]int32{{-1, 0, 1}, {-1, 0, 0}, {-1, 0}} {
		for range 20 {
			l := labels{1, 2}
			n := l.len()
			b := &beliefs{labels: l, scale: 0.05, cost: make([]uint16, n*len(parent)), offset: make([][3]float32, len(parent))}
			weight := make([]float32, len(parent))
			for i := range b.cost {
				b.cost[i] = uint16(r.IntN(100))
			}
			for i := range parent {
				weight[i] = r.Float32()
				b.offset[i] = [3]float32{r.Float32() - 0.5, r.Float32() - 0.5, 2 * r.Float32()}
			}
			b.tree = plainTree(parent, weight)
			got, err := b.minimise(context.Background(), 2)
			if err != nil {
				t.Fatal(err)
			}
			best := math.Inf(1)
			label := make([]uint16, len(parent))
			total := 1
			for range parent {
				total *= n
			}
			for c := range total {
				for i, x := 0, c; i < len(label); i, x = i+1, x/n {
					label[i] = uint16(x % n)
				}
				best = min(best, b.energy(0, label))
			}
			if e := b.energy(0, got); e > best+1e-4 {
				t.Fatalf("parents %v: labels %v have energy %.5f, the least is %.5f", parent, got, e, best)
			}
		}
	}
}

// message against the definition, label by label, for every search radius in use.
func TestMessageAgainstDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, lv := range deformLevels {
		l := labels{lv.radius, 1}
		n, side := l.len(), l.side()
		sum := make([]float32, n)
		for i := range sum {
			sum[i] = 30 * r.Float32()
		}
		offset, weight := [3]float32{0.3, -1.2, 0.05}, float32(0.7)
		parents := []int{0, n - 1, n / 2, r.IntN(n), r.IntN(n), r.IntN(n)}
		var want []float64
		for _, p := range parents {
			at := l.displacement(p)
			least := math.Inf(1)
			for c := range n {
				d := l.displacement(c)
				v := float64(weight * sum[c])
				for a := range 3 {
					e := float64(at[a]-d[a]) + float64(offset[a])
					v += e * e
				}
				least = min(least, v)
			}
			want = append(want, least)
		}
		in := slices.Clone(sum)
		choice := make([]uint16, n)
		newEnvelopes(side).message(sum, choice, weight, offset)
		if m := slices.Min(sum); m != 0 {
			t.Errorf("radius %d: the least value of a message is %g, want 0", l.radius, m)
		}
		for i, p := range parents {
			if got := float64(sum[p]) - float64(sum[parents[0]]); math.Abs(got-(want[i]-want[0])) > 1e-3 {
				t.Errorf("radius %d, label %d: %.4f above label 0, want %.4f", l.radius, p, got, want[i]-want[0])
			}
			// The label chosen must reach that value.
			at, d := l.displacement(p), l.displacement(int(choice[p]))
			v := float64(weight * in[choice[p]])
			for a := range 3 {
				e := float64(at[a]-d[a]) + float64(offset[a])
				v += e * e
			}
			if math.Abs(v-want[i]) > 1e-3 {
				t.Errorf("radius %d, label %d: the choice costs %.4f, the least is %.4f", l.radius, p, v, want[i])
			}
		}
	}
}

// The tree must join what is alike: same total as Kruskal's algorithm, and one root for every part in use.
func TestSpanningTreeAgainstKruskal(t *testing.T) {
	g := volume.Axial([3]int{33, 26, 29}, [3]float64{2, 2, 2}, volume.Vec{})
	img := texture(t, g, 12, 3)
	b := newBlocks(g, 4)
	b.use(func(n int32) bool {
		i, j, _ := b.node(n)
		return i != 5 && (i+j)%7 != 3 // a wall, and holes
	})
	place := b.places()
	tr := spanningTree(img, b, place)
	if len(tr.node) != len(b.at) {
		t.Fatalf("%d of %d nodes in the tree", len(tr.node), len(b.at))
	}
	var all []edge
	for i, node := range b.at {
		b.sixNeighbours(node, place, func(to int32) {
			if to > int32(i) {
				all = append(all, edge{diff: blockDifference(img, b, node, b.at[to]), from: int32(i), to: to})
			}
		})
	}
	slices.SortFunc(all, func(x, y edge) int { return int(x.diff) - int(y.diff) })
	group := make([]int, len(b.at))
	for i := range group {
		group[i] = i
	}
	find := func(i int) int {
		for group[i] != i {
			i = group[i]
		}
		return i
	}
	want, joined := 0, 0
	for _, e := range all {
		if x, y := find(int(e.from)), find(int(e.to)); x != y {
			group[x] = y
			want += int(e.diff)
			joined++
		}
	}
	got, roots := 0, 0
	for p, parent := range tr.parent {
		if parent < 0 {
			roots++
			continue
		}
		if int(parent) >= p {
			t.Fatalf("position %d comes before its parent %d", p, parent)
		}
		d := blockDifference(img, b, b.at[tr.node[p]], b.at[tr.node[parent]])
		got += int(d)
		if w := math.Exp(-edgeScale(img, b) * float64(d)); math.Abs(w-float64(tr.weight[p])) > 1e-6 {
			t.Fatalf("weight %g, want %g", tr.weight[p], w)
		}
		if c := int32(p); c < tr.child[parent] || c >= tr.child[parent+1] {
			t.Fatalf("position %d is not among the children of %d", p, parent)
		}
	}
	if got != want || roots != len(b.at)-joined {
		t.Errorf("the edges differ by %d in total with %d trees; Kruskal's by %d with %d", got, roots, want, len(b.at)-joined)
	}
}
