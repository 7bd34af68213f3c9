package register

import (
	"context"

	"rfanode/analysis/volume"
)

// displacements are vectors in voxels of the internal grid at the middles of all blocks of a control grid: node (a, b, c)
// is at voxel (a g + (g-1)/2, …).
type displacements struct {
	g    int
	dims [3]int
	v    [][3]float32
}

func newDisplacements(g int, dims [3]int) *displacements {
	return &displacements{g: g, dims: dims, v: make([][3]float32, dims[0]*dims[1]*dims[2])}
}

// index turns a voxel into the index of a node.
func (d *displacements) index(x float64) float64 { return (x - float64(d.g-1)/2) / float64(d.g) }

// voxel turns the index of a node into a voxel.
func (d *displacements) voxel(n int) float64 { return float64(n*d.g) + float64(d.g-1)/2 }

// at is the displacement at a voxel, trilinear.
func (d *displacements) at(x volume.Vec) volume.Vec {
	return interpolate(d.v, d.dims, volume.Vec{d.index(x[0]), d.index(x[1]), d.index(x[2])})
}

// on carries the displacements to another control grid.
func (d *displacements) on(g int, dims [3]int) *displacements {
	out := newDisplacements(g, dims)
	out.each(func(o int, x volume.Vec) { out.set(o, d.at(x)) })
	return out
}

// each calls do for every node with its voxel.
func (d *displacements) each(do func(o int, x volume.Vec)) {
	o := 0
	for k := range d.dims[2] {
		for j := range d.dims[1] {
			for i := range d.dims[0] {
				do(o, volume.Vec{d.voxel(i), d.voxel(j), d.voxel(k)})
				o++
			}
		}
	}
}

func (d *displacements) set(o int, u volume.Vec) {
	d.v[o] = [3]float32{float32(u[0]), float32(u[1]), float32(u[2])}
}

// row fills line with the displacements of the voxels of row (j, k); nodes is scratch of dims[0] vectors.
func (d *displacements) row(line, nodes [][3]float32, j, k int) {
	y0, y1, fy := bracket(d.index(float64(j)), d.dims[1])
	z0, z1, fz := bracket(d.index(float64(k)), d.dims[2])
	m := d.dims[0]
	a, b := d.v[(z0*d.dims[1]+y0)*m:][:m], d.v[(z0*d.dims[1]+y1)*m:][:m]
	c, e := d.v[(z1*d.dims[1]+y0)*m:][:m], d.v[(z1*d.dims[1]+y1)*m:][:m]
	for n := range nodes {
		for x := range 3 {
			low := a[n][x] + fy*(b[n][x]-a[n][x])
			high := c[n][x] + fy*(e[n][x]-c[n][x])
			nodes[n][x] = low + fz*(high-low)
		}
	}
	for i := range line {
		x0, x1, fx := bracket(d.index(float64(i)), m)
		p, q := &nodes[x0], &nodes[x1]
		line[i] = [3]float32{p[0] + fx*(q[0]-p[0]), p[1] + fx*(q[1]-p[1]), p[2] + fx*(q[2]-p[2])}
	}
}

// bracket gives the nodes on both sides of an index and the share of the second, clamped.
func bracket(x float64, n int) (lo, hi int, f float32) {
	x = min(max(x, 0), float64(n-1))
	lo = int(x)
	return lo, min(lo+1, n-1), float32(x - float64(lo))
}

// How often the two directions are averaged. Each round interpolates between the nodes and so smooths, whatever lies
// between them. After the search that is wanted, its displacements are whole voxels; ten rounds as in deeds. The refinement
// smooths by itself and knows where lung ends: there ten rounds would take a tenth off a motion of 70 mm wavelength and
// blur what slides along the wall.
const (
	searchRounds = 10
	refineRounds = 2
)

// symmetrise brings forward and backward displacements together: each becomes the mean of itself and the inverse of the
// other one, as far as one step goes, several times.
func symmetrise(ctx context.Context, u, v *displacements, rounds, threads int) error {
	u2, v2 := newDisplacements(u.g, u.dims), newDisplacements(v.g, v.dims)
	for range rounds {
		for _, s := range []struct{ out, own, other *displacements }{{u2, u, v}, {v2, v, u}} {
			err := parallel(ctx, threads, s.own.dims[2], func(_, k int) {
				o := k * s.own.dims[0] * s.own.dims[1]
				for j := range s.own.dims[1] {
					for i := range s.own.dims[0] {
						a := s.own.v[o]
						b := s.other.at(volume.Vec{
							s.own.voxel(i) + float64(a[0]), s.own.voxel(j) + float64(a[1]), s.own.voxel(k) + float64(a[2]),
						})
						s.out.set(o, volume.Vec{(float64(a[0]) - b[0]) / 2, (float64(a[1]) - b[1]) / 2, (float64(a[2]) - b[2]) / 2})
						o++
					}
				}
			})
			if err != nil {
				return err
			}
		}
		u.v, u2.v = u2.v, u.v
		v.v, v2.v = v2.v, v.v
	}
	return nil
}

// continueFrom gives the nodes that are not known the mean of their known neighbours, layer by layer outwards.
func (d *displacements) continueFrom(known []bool) {
	layer := make([]int32, 0, len(known))
	var value [][3]float32
	known = append([]bool(nil), known...)
	m, n := d.dims[0], d.dims[1]
	for {
		layer, value = layer[:0], value[:0]
		o := 0
		for k := range d.dims[2] {
			for j := range n {
				for i := range m {
					if !known[o] {
						var sum [3]float32
						count := float32(0)
						add := func(in bool, at int) {
							if in && known[at] {
								count++
								for c := range 3 {
									sum[c] += d.v[at][c]
								}
							}
						}
						add(i > 0, o-1)
						add(i < m-1, o+1)
						add(j > 0, o-m)
						add(j < n-1, o+m)
						add(k > 0, o-m*n)
						add(k < d.dims[2]-1, o+m*n)
						if count > 0 {
							layer = append(layer, int32(o))
							value = append(value, [3]float32{sum[0] / count, sum[1] / count, sum[2] / count})
						}
					}
					o++
				}
			}
		}
		if len(layer) == 0 {
			return
		}
		for x, o := range layer {
			d.v[o], known[o] = value[x], true
		}
	}
}

// warpedBy writes src at at(x + u(x)) for every voxel x of out; what lies outside of src becomes air.
func (m *image) warpedBy(ctx context.Context, out *image, at indexMap, u *displacements, threads int) error {
	return parallel(ctx, threads, out.Size[2], func(_, k int) {
		line, nodes := make([][3]float32, out.Size[0]), make([][3]float32, u.dims[0])
		for j := range out.Size[1] {
			u.row(line, nodes, j, k)
			dst := out.data[out.Offset(0, j, k):][:len(line)]
			for i, d := range line {
				p := at.at(float64(i)+float64(d[0]), float64(j)+float64(d[1]), float64(k)+float64(d[2]))
				dst[i] = uint16(trilinear(m.data, m.Size, p[0], p[1], p[2], 0) + 0.5)
			}
		}
	})
}
