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
	n      [3]int
	data   [][4]float32
}

func newLattice(lo, hi vec, step float64) *lattice {
	l := &lattice{origin: lo, step: step}
	for a := range 3 {
		l.n[a] = int((hi[a]-lo[a])/step) + 2
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
func (l *lattice) at(p vec) (v [4]float64) {
	var idx [3]int
	var f [3]float32
	for a := range 3 {
		x := (p[a] - l.origin[a]) / l.step
		i := 0
		switch {
		case x <= 0:
			x = 0
		case x >= float64(l.n[a]-1):
			i, x = l.n[a]-2, 1
		default:
			i = int(x)
			if i > l.n[a]-2 {
				i = l.n[a] - 2
			}
			x -= float64(i)
		}
		idx[a], f[a] = i, float32(x)
	}
	o := l.offset(idx[0], idx[1], idx[2])
	sy, sz := l.n[0], l.n[0]*l.n[1]
	c00, c01 := &l.data[o], &l.data[o+1]
	c10, c11 := &l.data[o+sy], &l.data[o+sy+1]
	d00, d01 := &l.data[o+sz], &l.data[o+sz+1]
	d10, d11 := &l.data[o+sz+sy], &l.data[o+sz+sy+1]
	for c := range 4 {
		a := c00[c] + f[0]*(c01[c]-c00[c])
		b := c10[c] + f[0]*(c11[c]-c10[c])
		d := d00[c] + f[0]*(d01[c]-d00[c])
		e := d10[c] + f[0]*(d11[c]-d10[c])
		a += f[1] * (b - a)
		d += f[1] * (e - d)
		v[c] = float64(a + f[2]*(d-a))
	}
	return v
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
