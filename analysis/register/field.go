package register

import (
	"context"
	"math"

	"rfanode/analysis/volume"
)

// Field is a deformable map: a point p of fixed lies at Affine(p + u(p)) of moving, all in LPS mm, where u is given at
// the nodes of a regular grid, trilinear between them and continued beyond the outermost nodes by the nearest one.
type Field struct {
	Affine Affine
	Grid   volume.Geometry // nodes, in fixed
	U      [][3]float32    // displacement at each node in fixed before the affine, LPS mm; Grid.Len() values
	Known  []uint8         // 1 where the images determine u, 0 where it is only continued; nil: everywhere
}

// Map returns the point of moving that belongs to p of fixed.
func (f *Field) Map(p volume.Vec) volume.Vec { return f.Affine.Map(add(p, f.displacement(p))) }

// Defined reports whether the images determine the map at p. Elsewhere Map still gives a point, but it is the
// continuation of the nearest part of the field and not for use.
func (f *Field) Defined(p volume.Vec) bool {
	x := f.Grid.Index(p)
	var n [3]int
	for a := range 3 {
		if !(x[a] >= -0.5 && x[a] < float64(f.Grid.Size[a])-0.5) {
			return false
		}
		n[a] = int(x[a] + 0.5)
	}
	return f.Known == nil || f.Known[f.Grid.Offset(n[0], n[1], n[2])] != 0
}

// displacement is u at p, mm.
func (f *Field) displacement(p volume.Vec) volume.Vec {
	return interpolate(f.U, f.Grid.Size, f.Grid.Index(p))
}

// interpolate is the trilinear value of vectors on a grid at continuous indices, clamped to the outermost nodes.
func interpolate(v [][3]float32, size [3]int, x volume.Vec) volume.Vec {
	var lo, step [3]int
	var f [3]float64
	stride := 1
	o := 0
	for a := range 3 {
		c := min(max(x[a], 0), float64(size[a]-1))
		if c != c {
			c = 0
		}
		lo[a] = int(c)
		f[a] = c - float64(lo[a])
		if lo[a] < size[a]-1 {
			step[a] = stride
		}
		o += lo[a] * stride
		stride *= size[a]
	}
	di, dj, dk := step[0], step[1], step[2]
	var out volume.Vec
	p00, p10 := &v[o], &v[o+di]
	p01, p11 := &v[o+dj], &v[o+dj+di]
	q00, q10 := &v[o+dk], &v[o+dk+di]
	q01, q11 := &v[o+dk+dj], &v[o+dk+dj+di]
	for c := range 3 {
		a := float64(p00[c]) + f[0]*float64(p10[c]-p00[c])
		b := float64(p01[c]) + f[0]*float64(p11[c]-p01[c])
		d := float64(q00[c]) + f[0]*float64(q10[c]-q00[c])
		e := float64(q01[c]) + f[0]*float64(q11[c]-q01[c])
		a += f[1] * (b - a)
		d += f[1] * (e - d)
		out[c] = a + f[2]*(d-a)
	}
	return out
}

// Sampled is the field that equals t at the nodes of g: u = a⁻¹(t(p)) - p, so that Map(p) = a(p + u(p)). a should be
// near t, for what lies between the nodes. Errors: a has no inverse, ctx done.
func Sampled(ctx context.Context, t Transform, a Affine, g volume.Geometry) (*Field, error) {
	back, err := a.Inverse()
	if err != nil {
		return nil, err
	}
	f := &Field{Affine: a, Grid: g, U: make([][3]float32, g.Len())}
	err = f.fill(ctx, func(p volume.Vec) (volume.Vec, bool) { return sub(back.Map(t.Map(p)), p), true })
	if err != nil {
		return nil, err
	}
	return f, nil
}

// fill sets u at every node; nodes for which at returns false are not known.
func (f *Field) fill(ctx context.Context, at func(p volume.Vec) (volume.Vec, bool)) error {
	unknown := make([]int, f.Grid.Size[2])
	known := make([]uint8, len(f.U))
	err := parallel(ctx, threadCount(0), f.Grid.Size[2], func(_, k int) {
		for j := range f.Grid.Size[1] {
			for i := range f.Grid.Size[0] {
				o := f.Grid.Offset(i, j, k)
				u, ok := at(f.Grid.Point(volume.Vec{float64(i), float64(j), float64(k)}))
				f.U[o] = [3]float32{float32(u[0]), float32(u[1]), float32(u[2])}
				if ok {
					known[o] = 1
				} else {
					unknown[k]++
				}
			}
		}
	})
	for _, n := range unknown {
		if n > 0 {
			f.Known = known
			break
		}
	}
	return err
}

// Compose returns the field that applies first, then f, at the nodes of first's grid: first leads from another CT into
// fixed. It is known where both are. The only error is that of ctx, or that an affine has no inverse.
func (f *Field) Compose(ctx context.Context, first *Field) (*Field, error) {
	a := f.Affine.Compose(first.Affine)
	back, err := a.Inverse()
	if err != nil {
		return nil, err
	}
	out := &Field{Affine: a, Grid: first.Grid, U: make([][3]float32, len(first.U))}
	err = out.fill(ctx, func(p volume.Vec) (volume.Vec, bool) {
		q := first.Map(p)
		return sub(back.Map(f.Map(q)), p), first.Defined(p) && f.Defined(q)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// How Invert solves for a point.
const (
	inverseRounds      = 50
	inverseToleranceMM = 1e-3
)

// Invert returns the field from moving back to fixed, on nodes of the same spacing that cover the image of f's grid. Each
// node is solved by the fixed-point iteration x ← A⁻¹(y) - u(x), which converges where u changes by less than 1 mm a mm;
// nodes where it does not, or where f itself is not known, are not known. Errors: the affine has no inverse, ctx done.
func (f *Field) Invert(ctx context.Context) (*Field, error) {
	back, err := f.Affine.Inverse()
	if err != nil {
		return nil, err
	}
	lo, hi := mappedBounds(f.Affine, f.Grid)
	var g volume.Geometry
	g.Direction = [3]volume.Vec{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}
	g.Origin = lo
	for a := range 3 {
		g.Spacing[a] = f.Grid.Spacing[a]
		g.Size[a] = int(math.Ceil((hi[a]-lo[a])/g.Spacing[a])) + 1
	}
	out := &Field{Affine: back, Grid: g, U: make([][3]float32, g.Len())}
	err = out.fill(ctx, func(y volume.Vec) (volume.Vec, bool) {
		x, ok := f.solve(back.Map(y))
		// back(y + v(y)) = x
		return sub(f.Affine.Map(x), y), ok && f.Defined(x)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// solve finds x with x + u(x) = z.
func (f *Field) solve(z volume.Vec) (x volume.Vec, ok bool) {
	x = z
	for range inverseRounds {
		next := sub(z, f.displacement(x))
		moved := norm(sub(next, x))
		x = next
		if moved < inverseToleranceMM {
			return x, true
		}
	}
	return x, false
}
