package radiomics

import "math"

// localBinaryPatterns3D computes PyRadiomics' LBP 3-D (Banerjee et al., ACCV 2012 Workshops): for each voxel of the region
// the image is sampled on a sphere round it, compared with its centre, and the pattern expanded in spherical harmonics.
// It returns, for the voxels of the region, one image a level and the kurtosis of the samples. The two angles go into the
// harmonics the wrong way round, as they do there.
func localBinaryPatterns3D(f *field, r *roi, s *Settings) (images [][]float64) {
	directions := sphere(s.LBP3DSubdivision, s.LBP3DRadius)
	spline := append([]float64(nil), f.data...)
	splineCoefficients(spline, f.size, 0)
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
			samples[v] = f.splineSample(spline, [3]float64{float64(p[0]) + d[2], float64(p[1]) + d[1], float64(p[2]) + d[0]})
		}
		images[len(harmonics)][n] = excessKurtosis(samples)
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

// splineSample is the spline at continuous indices of the field; 0 outside the image, as scipy's map_coordinates has it.
func (f *field) splineSample(c []float64, x [3]float64) float64 {
	var taps [3]tap
	for a := range 3 {
		at := x[a] + float64(f.at[a])
		if at < 0 || at > float64(f.full[a]-1) {
			return 0
		}
		taps[a] = splineTap(x[a], f.size[a])
	}
	return splineAt(c, f.size, &taps[0], &taps[1], &taps[2])
}

// excessKurtosis is m4/m2² − 3; NaN if all samples are the same, to rounding.
func excessKurtosis(x []float64) float64 {
	n, mean := float64(len(x)), 0.0
	for _, v := range x {
		mean += v
	}
	mean /= n
	m2, m4 := 0.0, 0.0
	for _, v := range x {
		d := v - mean
		m2 += d * d
		m4 += d * d * d * d
	}
	m2, m4 = m2/n, m4/n
	if m2 <= (eps*mean)*(eps*mean) {
		return math.NaN()
	}
	return m4/(m2*m2) - 3
}

// sphere gives points on a sphere: the corners of an icosahedron, each triangle divided into four as often as said.
func sphere(divisions int, radius float64) [][3]float64 {
	t := (1 + math.Sqrt(5)) / 2
	points := [][3]float64{{-1, t, 0}, {1, t, 0}, {-1, -t, 0}, {1, -t, 0}, {0, -1, t}, {0, 1, t}, {0, -1, -t}, {0, 1, -t}, {t, 0, -1}, {t, 0, 1}, {-t, 0, -1}, {-t, 0, 1}}
	triangles := [][3]int{{0, 11, 5}, {0, 5, 1}, {0, 1, 7}, {0, 7, 10}, {0, 10, 11}, {1, 5, 9}, {5, 11, 4}, {11, 10, 2}, {10, 7, 6}, {7, 1, 8},
		{3, 9, 4}, {3, 4, 2}, {3, 2, 6}, {3, 6, 8}, {3, 8, 9}, {4, 9, 5}, {2, 4, 11}, {6, 2, 10}, {8, 6, 7}, {9, 8, 1}}
	unit := func(p [3]float64) [3]float64 {
		n := math.Sqrt(p[0]*p[0]+p[1]*p[1]+p[2]*p[2]) / radius
		return [3]float64{p[0] / n, p[1] / n, p[2] / n}
	}
	for i, p := range points {
		points[i] = unit(p)
	}
	for range divisions {
		middles := map[[2]int]int{}
		between := func(a, b int) int {
			key := [2]int{min(a, b), max(a, b)}
			if m, ok := middles[key]; ok {
				return m
			}
			p, q := points[a], points[b]
			points = append(points, unit([3]float64{(p[0] + q[0]) / 2, (p[1] + q[1]) / 2, (p[2] + q[2]) / 2}))
			middles[key] = len(points) - 1
			return len(points) - 1
		}
		var next [][3]int
		for _, f := range triangles {
			a, b, c := between(f[0], f[1]), between(f[1], f[2]), between(f[2], f[0])
			next = append(next, [3]int{f[0], a, c}, [3]int{f[1], b, a}, [3]int{f[2], c, b}, [3]int{a, b, c})
		}
		triangles = next
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
