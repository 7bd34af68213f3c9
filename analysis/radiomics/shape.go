package radiomics

import (
	"cmp"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"
)

// shape computes the shape features of a region; ibsi takes the axes from the covariance over N − 1.
func shape(r *roi, ibsi bool) map[string]float64 {
	area, volume := surface(r)
	axes := axisVariances(r, ibsi)
	slice, column, row, longest := diameters(r)
	sphere := math.Cbrt(36 * math.Pi * volume * volume)
	return map[string]float64{
		"VoxelVolume": float64(len(r.voxels)) * (r.spacing[2] * r.spacing[0] * r.spacing[1]),
		"MeshVolume":  volume, "SurfaceArea": area, "SurfaceVolumeRatio": area / volume, "Sphericity": sphere / area,
		"MajorAxisLength": 4 * math.Sqrt(axes[0]), "MinorAxisLength": 4 * math.Sqrt(axes[1]), "LeastAxisLength": 4 * math.Sqrt(axes[2]),
		"Elongation": math.Sqrt(axes[1] / axes[0]), "Flatness": math.Sqrt(axes[2] / axes[0]),
		"Maximum2DDiameterSlice": slice, "Maximum2DDiameterColumn": column, "Maximum2DDiameterRow": row, "Maximum3DDiameter": longest,
		"Compactness1": volume / (math.Pow(area, 1.5) * math.Sqrt(math.Pi)), "Compactness2": 36 * math.Pi * volume * volume / (area * area * area),
		"SphericalDisproportion": area / sphere,
	}
}

// axisVariances are the variances of the voxel centres along the principal axes, mm², the largest first.
func axisVariances(r *roi, ibsi bool) [3]float64 {
	n := float64(len(r.voxels))
	var mean [3]float64
	for _, o := range r.voxels {
		i, j, k := r.xyz(o)
		mean[0] += float64(i) * r.spacing[0]
		mean[1] += float64(j) * r.spacing[1]
		mean[2] += float64(k) * r.spacing[2]
	}
	for a := range 3 {
		mean[a] /= n
	}
	var c [3][3]float64
	for _, o := range r.voxels {
		i, j, k := r.xyz(o)
		d := [3]float64{float64(i)*r.spacing[0] - mean[0], float64(j)*r.spacing[1] - mean[1], float64(k)*r.spacing[2] - mean[2]}
		for a := range 3 {
			for b := a; b < 3; b++ {
				c[a][b] += d[a] * d[b]
			}
		}
	}
	if ibsi {
		n--
	}
	m := mat.NewSymDense(3, nil)
	for a := range 3 {
		for b := a; b < 3; b++ {
			m.SetSym(a, b, c[a][b]/n)
		}
	}
	var e mat.EigenSym
	if !e.Factorize(m, false) {
		return [3]float64{math.NaN(), math.NaN(), math.NaN()}
	}
	v := e.Values(nil)
	for a := range v {
		if v[a] < 0 && v[a] > -1e-10 {
			v[a] = 0
		}
	}
	return [3]float64{v[2], v[1], v[0]}
}

// diameters are the largest distances in mm between points of the surface (the middles between a voxel of the region and
// a neighbour outside): in a plane of constant z, of constant y, of constant x, and in space. Only corners of convex
// hulls can be farthest apart.
func diameters(r *roi) (slice, column, row, longest float64) {
	points := surfacePoints(r)
	corner := make([]uint8, len(points)) // in how many of its three planes a point is a corner of the hull
	var flat [3]float64
	order := make([]int, len(points))
	for axis := range 3 {
		for i := range order {
			order[i] = i
		}
		a, b := (axis+1)%3, (axis+2)%3
		slices.SortFunc(order, func(i, j int) int {
			p, q := points[i], points[j]
			return cmp.Or(cmp.Compare(p[axis], q[axis]), cmp.Compare(p[a], q[a]), cmp.Compare(p[b], q[b]))
		})
		for from := 0; from < len(order); {
			to := from
			for to < len(order) && points[order[to]][axis] == points[order[from]][axis] {
				to++
			}
			hull := planeHull(points, order[from:to], a, b)
			for _, i := range hull {
				corner[i]++
			}
			flat[axis] = max(flat[axis], farthest(points, hull, r.spacing))
			from = to
		}
	}
	var candidates []int
	for i, n := range corner {
		if n == 3 {
			candidates = append(candidates, i)
		}
	}
	return math.Sqrt(flat[2]), math.Sqrt(flat[1]), math.Sqrt(flat[0]), math.Sqrt(farthest(points, candidates, r.spacing))
}

// surfacePoints are the vertices of the mesh, in half voxels.
func surfacePoints(r *roi) []point {
	nx, ny, nz := r.size[0]+2, r.size[1]+2, r.size[2]+2
	in := make([]bool, nx*ny*nz)
	for _, o := range r.voxels {
		i, j, k := r.xyz(o)
		in[((k+1)*ny+j+1)*nx+i+1] = true
	}
	var out []point
	for _, o := range r.voxels {
		i, j, k := r.xyz(o)
		at := ((k+1)*ny+j+1)*nx + i + 1
		for a, step := range [3]int{1, nx, nx * ny} {
			for _, sign := range [2]int{-1, 1} {
				if !in[at+sign*step] {
					p := point{2 * i, 2 * j, 2 * k}
					p[a] += sign
					out = append(out, p)
				}
			}
		}
	}
	return out
}

// planeHull gives the corners of the convex hull of points of one plane, sorted by coordinates a and b (monotone chain,
// whole numbers, exact).
func planeHull(points []point, sorted []int, a, b int) []int {
	if len(sorted) < 3 {
		return sorted
	}
	turn := func(o, p, q int) int {
		u, v, w := points[o], points[p], points[q]
		return (v[a]-u[a])*(w[b]-u[b]) - (v[b]-u[b])*(w[a]-u[a])
	}
	half := func(next func(i int) int) []int {
		var h []int
		for i := range sorted {
			p := next(i)
			for len(h) >= 2 && turn(h[len(h)-2], h[len(h)-1], p) <= 0 {
				h = h[:len(h)-1]
			}
			h = append(h, p)
		}
		return h[:len(h)-1]
	}
	lower := half(func(i int) int { return sorted[i] })
	upper := half(func(i int) int { return sorted[len(sorted)-1-i] })
	return append(lower, upper...)
}

// farthest is the square of the largest distance between the chosen points, mm².
func farthest(points []point, chosen []int, spacing [3]float64) float64 {
	mm := make([][3]float64, len(chosen))
	for n, i := range chosen {
		for a := range 3 {
			mm[n][a] = float64(points[i][a]) / 2 * spacing[a]
		}
	}
	most := 0.0
	for i, p := range mm {
		for _, q := range mm[:i] {
			x, y, z := p[0]-q[0], p[1]-q[1], p[2]-q[2]
			most = max(most, x*x+y*y+z*z)
		}
	}
	return most
}
