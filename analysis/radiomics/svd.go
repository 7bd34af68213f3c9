package radiomics

import "math"

// ITK inverts the matrix from indices to mm by its singular values (VNL's vnl_svd, which is LINPACK's dsvdc). Where a
// voxel of the new grid lies midway between two of the mask, the last bit of that inverse decides which is taken, so for
// oblique grids the same steps are gone here in the same order (Dongarra et al., LINPACK Users' Guide, 1979, chapter 11).

type matrix3 = [3][3]float64

// inverseBySVD is V · diag(1/s) · Uᵀ; ok is false for a singular matrix.
func inverseBySVD(x matrix3) (r matrix3, ok bool) {
	d := decomposition{x: x}
	d.bidiagonal()
	d.transformations()
	if !d.diagonalise() {
		return r, false
	}
	for i := range 3 {
		for j := range 3 {
			for k := range 3 {
				r[i][j] += float64(float64(d.v[i][k]*(1/d.s[k])) * d.u[j][k])
			}
			if math.IsNaN(r[i][j]) || math.IsInf(r[i][j], 0) {
				return r, false
			}
		}
	}
	return r, true
}

// decomposition is dsvdc at work: x is used up, s and e become the diagonal and what stands above it.
type decomposition struct {
	x, u, v matrix3
	s, e    [3]float64
}

// bidiagonal reduces x by reflections from the left and the right, and keeps them in u and v.
func (d *decomposition) bidiagonal() {
	x, s, e := &d.x, &d.s, &d.e
	for l := range 2 {
		var column []float64
		for i := l; i < 3; i++ {
			column = append(column, x[i][l])
		}
		s[l] = norm(column)
		if s[l] != 0 {
			if x[l][l] != 0 {
				s[l] = math.Copysign(s[l], x[l][l])
			}
			t := 1 / s[l]
			for i := l; i < 3; i++ {
				x[i][l] *= t
			}
			x[l][l]++
		}
		s[l] = -s[l]
		for j := l + 1; j < 3; j++ {
			if s[l] != 0 {
				reflect(x, l, x, j, l)
			}
			e[j] = x[l][j]
		}
		for i := l; i < 3; i++ {
			d.u[i][l] = x[i][l]
		}
		if l == 0 {
			d.right()
		}
	}
	s[2], e[1], e[2] = x[2][2], x[1][2], 0
}

// right is the one reflection from the right.
func (d *decomposition) right() {
	x, e := &d.x, &d.e
	e[0] = norm(e[1:])
	if e[0] != 0 {
		if e[1] != 0 {
			e[0] = math.Copysign(e[0], e[1])
		}
		t := 1 / e[0]
		e[1] *= t
		e[2] *= t
		e[1]++
	}
	e[0] = -e[0]
	if e[0] != 0 {
		var work [3]float64
		for j := 1; j < 3; j++ {
			for i := 1; i < 3; i++ {
				work[i] += float64(e[j] * x[i][j])
			}
		}
		for j := 1; j < 3; j++ {
			t := -e[j] / e[1]
			for i := 1; i < 3; i++ {
				x[i][j] += float64(t * work[i])
			}
		}
	}
	d.v[1][0], d.v[2][0] = e[1], e[2]
}

// reflect applies the reflection in column l of a, from row first, to column j of b.
func reflect(a *matrix3, l int, b *matrix3, j, first int) {
	t := 0.0
	for i := first; i < 3; i++ {
		t += float64(a[i][l] * b[i][j])
	}
	t = -t / a[first][l]
	for i := first; i < 3; i++ {
		b[i][j] += float64(t * a[i][l])
	}
}

// transformations turns the reflections in u and v into orthogonal matrices.
func (d *decomposition) transformations() {
	u, v := &d.u, &d.v
	u[0][2], u[1][2], u[2][2] = 0, 0, 1
	for l := 1; l >= 0; l-- {
		if d.s[l] == 0 {
			u[0][l], u[1][l], u[2][l] = 0, 0, 0
			u[l][l] = 1
			continue
		}
		for j := l + 1; j < 3; j++ {
			reflect(u, l, u, j, l)
		}
		for i := range 3 {
			if i < l {
				u[i][l] = 0
			} else {
				u[i][l] = -u[i][l]
			}
		}
		u[l][l]++
	}
	for l := 2; l >= 0; l-- {
		if l == 0 && d.e[0] != 0 {
			for j := 1; j < 3; j++ {
				reflect(v, 0, v, j, 1)
			}
		}
		v[0][l], v[1][l], v[2][l] = 0, 0, 0
		v[l][l] = 1
	}
}

// diagonalise takes QR steps until nothing stands above the diagonal; false if a singular value is 0.
func (d *decomposition) diagonalise() bool {
	s, e := &d.s, &d.e
	for m, steps := 2, 0; m >= 0; {
		l := m - 1
		for ; l >= 0; l-- {
			if test := math.Abs(s[l]) + math.Abs(s[l+1]); test+math.Abs(e[l]) == test {
				e[l] = 0
				break
			}
		}
		if l == m-1 { // converged: positive, in descending order
			d.settle(m)
			m, steps = m-1, 0
			continue
		}
		for k := m; k > l; k-- {
			test := 0.0
			if k != m {
				test += math.Abs(e[k])
			}
			if k != l+1 {
				test += math.Abs(e[k-1])
			}
			if test+math.Abs(s[k]) == test {
				return false
			}
		}
		d.step(l+1, m)
		if steps++; steps > 30 {
			return false
		}
	}
	return true
}

func (d *decomposition) settle(l int) {
	if d.s[l] < 0 {
		d.s[l] = -d.s[l]
		for i := range 3 {
			d.v[i][l] = -d.v[i][l]
		}
	}
	for ; l < 2 && d.s[l] < d.s[l+1]; l++ {
		d.s[l], d.s[l+1] = d.s[l+1], d.s[l]
		for i := range 3 {
			d.v[i][l], d.v[i][l+1] = d.v[i][l+1], d.v[i][l]
			d.u[i][l], d.u[i][l+1] = d.u[i][l+1], d.u[i][l]
		}
	}
}

// step is one QR step on rows l … m.
func (d *decomposition) step(l, m int) {
	s, e := &d.s, &d.e
	scale := max(math.Abs(s[m]), math.Abs(s[m-1]), math.Abs(e[m-1]), math.Abs(s[l]), math.Abs(e[l]))
	sm, smm1, emm1, sl, el := s[m]/scale, s[m-1]/scale, e[m-1]/scale, s[l]/scale, e[l]/scale
	b := (float64((smm1+sm)*(smm1-sm)) + float64(emm1*emm1)) / 2
	c := float64(sm*emm1) * float64(sm*emm1)
	shift := 0.0
	if b != 0 || c != 0 {
		shift = math.Sqrt(float64(b*b) + c)
		if b < 0 {
			shift = -shift
		}
		shift = c / (b + shift)
	}
	f, g := float64((sl+sm)*(sl-sm))+shift, sl*el
	for k := l; k < m; k++ {
		r, cs, sn := rotation(f, g)
		if k != l {
			e[k-1] = r
		}
		f = float64(cs*s[k]) + float64(sn*e[k])
		e[k] = float64(cs*e[k]) - float64(sn*s[k])
		g = sn * s[k+1]
		s[k+1] = cs * s[k+1]
		rotate(&d.v, k, cs, sn)
		r, cs, sn = rotation(f, g)
		s[k] = r
		f = float64(cs*e[k]) + float64(sn*s[k+1])
		s[k+1] = float64(-sn*e[k]) + float64(cs*s[k+1])
		g = sn * e[k+1]
		e[k+1] = cs * e[k+1]
		rotate(&d.u, k, cs, sn)
	}
	e[m-1] = f
}

func rotate(a *matrix3, k int, cs, sn float64) {
	for i := range 3 {
		t := float64(cs*a[i][k]) + float64(sn*a[i][k+1])
		a[i][k+1] = float64(cs*a[i][k+1]) - float64(sn*a[i][k])
		a[i][k] = t
	}
}

// rotation is BLAS' drotg.
func rotation(a, b float64) (r, cs, sn float64) {
	larger := b
	if math.Abs(a) > math.Abs(b) {
		larger = a
	}
	scale := math.Abs(a) + math.Abs(b)
	if scale == 0 {
		return 0, 1, 0
	}
	x, y := a/scale, b/scale
	r = math.Copysign(1, larger) * (scale * math.Sqrt(float64(x*x)+float64(y*y)))
	return r, a / r, b / r
}

// norm is BLAS' dnrm2 of its reference implementation.
func norm(x []float64) float64 {
	if len(x) == 1 {
		return math.Abs(x[0])
	}
	scale, sum := 0.0, 1.0
	for _, v := range x {
		if v == 0 {
			continue
		}
		a := math.Abs(v)
		if scale < a {
			q := scale / a
			sum = 1 + float64(sum*float64(q*q))
			scale = a
		} else {
			q := a / scale
			sum += float64(q * q)
		}
	}
	return scale * math.Sqrt(sum)
}
