package phantom

import (
	"context"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// lattice holds four smooth scalar fields on a coarse axis-aligned grid, interpolated trilinearly. A shape given by a
// lattice is exactly what the interpolation says it is: images and truth read the same function.
type lattice struct {
	origin vec
	step   float64
	perMM  float64
	n      [3]int
	top    vec // the last place, just before the last node, from the origin
	data   [][4]float32
}

func newLattice(lo, hi vec, step float64) *lattice {
	l := &lattice{origin: lo, step: step, perMM: 1 / step}
	for a := range 3 {
		l.n[a] = int((hi[a]-lo[a])/step) + 2
		l.top[a] = (float64(l.n[a]-1) - 1e-6) * step
	}
	l.data = make([][4]float32, l.n[0]*l.n[1]*l.n[2])
	return l
}

// point is the place of node (i, j, k).
func (l *lattice) point(i, j, k int) vec {
	return vec{l.origin[0] + float64(i)*l.step, l.origin[1] + float64(j)*l.step, l.origin[2] + float64(k)*l.step}
}

func (l *lattice) offset(i, j, k int) int { return (k*l.n[1]+j)*l.n[0] + i }

// fill computes every node from its place and its indices, layers in parallel.
func (l *lattice) fill(ctx context.Context, f func(p vec, i, j, k int) [4]float32) error {
	return parallel(ctx, l.n[2], func(k int) {
		for j := range l.n[1] {
			for i := range l.n[0] {
				l.data[l.offset(i, j, k)] = f(l.point(i, j, k), i, j, k)
			}
		}
	})
}

// at interpolates the fields; outside the grid the value of its border is taken.
func (l *lattice) at(p vec) [4]float64 {
	x := within(p[0]-l.origin[0], l.top[0]) * l.perMM
	y := within(p[1]-l.origin[1], l.top[1]) * l.perMM
	z := within(p[2]-l.origin[2], l.top[2]) * l.perMM
	i, j, k := int(x), int(y), int(z)
	fx, fy, fz := float32(x-float64(i)), float32(y-float64(j)), float32(z-float64(k))
	o := (k*l.n[1]+j)*l.n[0] + i
	below, above := l.data[o:], l.data[o+l.n[0]*l.n[1]:]
	a, b := &below[0], &below[1]
	c, d := &below[l.n[0]], &below[l.n[0]+1]
	e, f := &above[0], &above[1]
	g, h := &above[l.n[0]], &above[l.n[0]+1]
	var v [4]float64
	for n := range v {
		ab := a[n] + fx*(b[n]-a[n])
		cd := c[n] + fx*(d[n]-c[n])
		ef := e[n] + fx*(f[n]-e[n])
		gh := g[n] + fx*(h[n]-g[n])
		ab += fy * (cd - ab)
		ef += fy * (gh - ef)
		v[n] = float64(ab + fz*(ef-ab))
	}
	return v
}

// within cuts x to 0 … top.
func within(x, top float64) float64 {
	if x < 0 {
		return 0
	}
	if x > top {
		return top
	}
	return x
}

// parallel runs work(0) … work(n-1) on as many goroutines as Go may use. The items must not depend on each other.
func parallel(ctx context.Context, n int, work func(i int)) error {
	g, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range min(runtime.GOMAXPROCS(0), n) {
		g.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return nil
				}
				if err := ctx.Err(); err != nil {
					return err
				}
				work(i)
			}
		})
	}
	return g.Wait()
}
