package radiomics

import (
	"cmp"
	"math"
	"slices"
)

// localBinaryPatterns3D computes PyRadiomics' LBP 3-D (Banerjee et al., ACCV 2012 Workshops): for each voxel of the region
// the image is sampled on a sphere round it, compared with its centre, and the pattern expanded in spherical harmonics.
// It returns, for the voxels of the region, one image a level and the kurtosis of the samples. The two angles go into the
// harmonics the wrong way round, as they do there.
func localBinaryPatterns3D(f *field, r *roi, s *Settings) (images [][]float64) {
	directions := sphere(s.LBP3DSubdivision, s.LBP3DRadius)
	spline := newScipySpline(f)
	// harmonics[l] lists the functions of level l at each direction.
	harmonics := make([][][]complex128, s.LBP3DLevels)
	for l := range harmonics {
		for m := -l; m <= l; m++ {
			at := make([]complex128, len(directions))
			for v, d := range directions {
				theta := math.Acos(max(-1, min(1, d[2]/s.LBP3DRadius)))
				at[v] = sphericalHarmonic(m, l, theta, math.Atan2(d[1], d[0]))
			}
			harmonics[l] = append(harmonics[l], at)
		}
	}
	for range s.LBP3DLevels + 1 {
		images = append(images, make([]float64, len(r.voxels)))
	}
	samples := make([]float64, len(directions))
	sum := make([]complex128, len(directions))
	for n, o := range r.voxels {
		i, j, k := r.xyz(o)
		p := [3]int{i + r.at[0] - f.at[0], j + r.at[1] - f.at[1], k + r.at[2] - f.at[2]}
		centre := f.data[(p[2]*f.size[1]+p[1])*f.size[0]+p[0]]
		for v, d := range directions {
			// The first coordinate of a direction runs along z, as in PyRadiomics' arrays.
			samples[v] = spline.at([3]float64{float64(i+r.at[0]) + d[2], float64(j+r.at[1]) + d[1], float64(k+r.at[2]) + d[0]})
		}
		images[len(harmonics)][n] = excessKurtosis(samples, f.single)
		for l, level := range harmonics {
			clear(sum)
			for _, y := range level {
				var c complex128
				for v, x := range samples {
					if x >= centre {
						c += y[v]
					}
				}
				for v := range sum {
					sum[v] += c * y[v]
				}
			}
			var square complex128
			for _, z := range sum {
				square += z * z
			}
			images[l][n] = math.Sqrt(max(0, (absComplex(square)+real(square))/2)) // real part of the root
		}
	}
	return images
}

func absComplex(z complex128) float64 { return math.Hypot(real(z), imag(z)) }

// scipySpline is the cubic spline of scipy.ndimage.map_coordinates, in its order of operations: many samples fall on a
// voxel, and whether they reach the value of the centre is decided by the last bit.
type scipySpline struct {
	f *field
	c []float64
}

func newScipySpline(f *field) *scipySpline {
	s := &scipySpline{f, append([]float64(nil), f.data...)}
	for axis := 2; axis >= 0; axis-- {
		if f.size[axis] > 1 {
			alongAxis(s.c, f.size, axis, scipyPrefilter)
		}
	}
	return s
}

// scipyPole is √3 − 2 correctly rounded; ITK has what the subtraction leaves of it.
var scipyPole = -0.26794919243112270647255365849413

func scipyPrefilter(c []float64, n, w int) {
	z := scipyPole
	gain := (1 - z) * (1 - 1/z)
	for i := range c {
		c[i] *= gain
	}
	power := math.Pow(z, float64(n-1))
	for l := range w {
		start := c[l] + float64(power*c[(n-1)*w+l])
		zi := z
		for i := 1; i < n-1; i++ {
			start += float64(zi * (c[i*w+l] + float64(power*c[(n-1-i)*w+l])))
			zi *= z
		}
		c[l] = start / (1 - float64(power*power))
		for i := 1; i < n; i++ {
			c[i*w+l] += float64(z * c[(i-1)*w+l])
		}
		c[(n-1)*w+l] = float64((float64(z*c[(n-2)*w+l])+c[(n-1)*w+l])*z) / (float64(z*z) - 1)
		for i := n - 2; i >= 0; i-- {
			c[i*w+l] = z * (c[(i+1)*w+l] - c[i*w+l])
		}
	}
}

// at is the spline at continuous indices of the image; 0 outside. scipy gives the samples the type of the image.
func (s *scipySpline) at(x [3]float64) float64 {
	f := s.f
	var index [3][4]int
	var weight [3][4]float64
	for a := range 3 {
		if x[a] < 0 || x[a] > float64(f.full[a]-1) {
			return 0
		}
		base := math.Floor(x[a])
		y := x[a] - base
		z := 1 - y
		w := &weight[a]
		w[1] = (float64(y*y*(y-2)*3) + 4) / 6
		w[2] = (float64(z*z*(z-2)*3) + 4) / 6
		w[0] = z * z * z / 6
		w[3] = 1 - w[0] - w[1] - w[2]
		for k := range 4 {
			index[a][k] = mirror(int(base)-1+k-f.at[a], f.size[a])
		}
	}
	sum := 0.0
	for k := range 4 {
		for j := range 4 {
			row := s.c[(index[2][k]*f.size[1]+index[1][j])*f.size[0]:][:f.size[0]]
			for i := range 4 {
				sum += float64(float64(float64(row[index[0][i]]*weight[2][k])*weight[1][j]) * weight[0][i])
			}
		}
	}
	switch {
	case f.integer:
		return math.Round(sum)
	case f.single:
		return round32(sum)
	}
	return sum
}

// excessKurtosis is m4/m2² − 3; NaN if all samples are the same, to rounding. single: in float32, summed as numpy sums.
func excessKurtosis(x []float64, single bool) float64 {
	store, resolution := func(v float64) float64 { return v }, 1e-15
	if single {
		store, resolution = round32, 1e-6
	}
	n := float64(len(x))
	mean := func(value func(v float64) float64) float64 { return store(pairwise(x, value, store) / n) }
	centre := mean(func(v float64) float64 { return v })
	m2 := mean(func(v float64) float64 { v = store(v - centre); return store(v * v) })
	m4 := mean(func(v float64) float64 { v = store(v - centre); v = store(v * v); return store(v * v) })
	if m2 <= (resolution*centre)*(resolution*centre) {
		return math.NaN()
	}
	return store(store(m4/store(m2*m2)) - 3)
}

// pairwise is numpy's sum of fewer than 128 values: eight sums side by side, then what is left.
func pairwise(x []float64, value, store func(float64) float64) float64 {
	at := func(i int) float64 { return value(x[i]) }
	if len(x) < 8 || len(x) > 128 {
		sum := 0.0
		for i := range x {
			sum = store(sum + at(i))
		}
		return sum
	}
	var r [8]float64
	for j := range r {
		r[j] = at(j)
	}
	i := 8
	for ; i < len(x)-len(x)%8; i += 8 {
		for j := range r {
			r[j] = store(r[j] + at(i+j))
		}
	}
	sum := store(store(store(r[0]+r[1])+store(r[2]+r[3])) + store(store(r[4]+r[5])+store(r[6]+r[7])))
	for ; i < len(x); i++ {
		sum = store(sum + at(i))
	}
	return sum
}

// sphere gives points on a sphere: the corners of an icosahedron, each triangle divided into four as often as said, in the
// order and by the arithmetic of trimesh's icosphere.
func sphere(divisions int, radius float64) [][3]float64 {
	t := (1 + math.Sqrt(5)) / 2
	points := [][3]float64{{-1, t, 0}, {1, t, 0}, {-1, -t, 0}, {1, -t, 0}, {0, -1, t}, {0, 1, t}, {0, -1, -t}, {0, 1, -t}, {t, 0, -1}, {t, 0, 1}, {-t, 0, -1}, {-t, 0, 1}}
	triangles := [][3]int{{0, 11, 5}, {0, 5, 1}, {0, 1, 7}, {0, 7, 10}, {0, 10, 11}, {1, 5, 9}, {5, 11, 4}, {11, 10, 2}, {10, 7, 6}, {7, 1, 8},
		{3, 9, 4}, {3, 4, 2}, {3, 2, 6}, {3, 6, 8}, {3, 8, 9}, {4, 9, 5}, {2, 4, 11}, {6, 2, 10}, {8, 6, 7}, {9, 8, 1}}
	for i := range points {
		for a := range 3 {
			points[i][a] /= math.Sqrt(2 + t)
		}
	}
	refine := func() {
		for i, p := range points {
			n := math.Sqrt(float64(p[0]*p[0]) + float64(p[1]*p[1]) + float64(p[2]*p[2]))
			for a := range 3 {
				points[i][a] += float64(p[a] / n * (radius - n))
			}
		}
	}
	if divisions == 0 {
		refine()
	}
	for range divisions {
		var edges [][2]int // larger index first
		for _, f := range triangles {
			for c := range 3 {
				a, b := f[c], f[(c+1)%3]
				edges = append(edges, [2]int{max(a, b), min(a, b)})
			}
		}
		slices.SortFunc(edges, func(p, q [2]int) int { return cmp.Or(cmp.Compare(p[0], q[0]), cmp.Compare(p[1], q[1])) })
		edges = slices.Compact(edges)
		middle := make(map[[2]int]int, len(edges))
		for _, e := range edges {
			p, q := points[e[0]], points[e[1]]
			middle[e] = len(points)
			points = append(points, [3]float64{(p[0] + q[0]) / 2, (p[1] + q[1]) / 2, (p[2] + q[2]) / 2})
		}
		between := func(a, b int) int { return middle[[2]int{max(a, b), min(a, b)}] }
		var next [][3]int
		for _, f := range triangles {
			a, b, c := between(f[0], f[1]), between(f[1], f[2]), between(f[2], f[0])
			next = append(next, [3]int{f[0], a, c}, [3]int{f[1], b, a}, [3]int{f[2], c, b}, [3]int{a, b, c})
		}
		triangles = next
		refine()
	}
	return points
}

// sphericalHarmonic is Y of degree n and order m, azimuth theta, polar angle phi, with the Condon–Shortley phase.
func sphericalHarmonic(m, n int, theta, phi float64) complex128 {
	k := max(m, -m)
	ratio := 1.0
	for i := n - k + 1; i <= n+k; i++ {
		ratio /= float64(i)
	}
	v := math.Sqrt(float64(2*n+1)/(4*math.Pi)*ratio) * legendre(n, k, math.Cos(phi))
	y := complex(v*math.Cos(float64(k)*theta), v*math.Sin(float64(k)*theta))
	if m < 0 {
		y = complex(real(y), -imag(y))
		if k%2 == 1 {
			y = -y
		}
	}
	return y
}

// legendre is the associated Legendre function of degree n and order m ≥ 0.
func legendre(n, m int, x float64) float64 {
	pmm := 1.0
	for i := 1; i <= m; i++ {
		pmm *= -float64(2*i-1) * math.Sqrt(max(0, 1-x*x))
	}
	if n == m {
		return pmm
	}
	before, now := pmm, x*float64(2*m+1)*pmm
	for l := m + 2; l <= n; l++ {
		before, now = now, (x*float64(2*l-1)*now-float64(l+m-1)*before)/float64(l-m)
	}
	return now
}
