package radiomics

import "math"

// The surface of a region by marching cubes (Lorensen and Cline 1987, doi 10.1145/37402.37422) with crossings halfway
// along the edges. The triangles of a cell are found here from its geometry once, when the program starts. PyRadiomics
// takes a cell as its complement when its last corner lies inside, so neighbouring cells can disagree on a face whose
// inside corners lie diagonally; its areas and volumes contain that, and so do these.

// point is a place in a cell or in the box, in half voxels along x, y, z.
type point [3]int

type triangle [3]point

// corners of a cell in PyRadiomics' order: z,y,x = 000, 001, 011, 010, 100, 101, 111, 110.
var corners = [8]point{{0, 0, 0}, {2, 0, 0}, {2, 2, 0}, {0, 2, 0}, {0, 0, 2}, {2, 0, 2}, {2, 2, 2}, {0, 2, 2}}

// faces list the corners of each face counterclockwise as seen from outside the cell.
var faces = [6][4]int{{0, 3, 2, 1}, {4, 5, 6, 7}, {0, 1, 5, 4}, {1, 2, 6, 5}, {2, 3, 7, 6}, {3, 0, 4, 7}}

// cellTriangles are the triangles of each cell whose last corner lies outside: bit k of the index is corner k inside.
var cellTriangles = func() (all [128][]triangle) {
	for code := range all {
		for _, loop := range cellLoops(code) {
			all[code] = append(all[code], triangulate(code, loop)...)
		}
	}
	return all
}()

// cellLoops joins the crossings on the faces of a cell into closed loops. On a face with two diagonal corners inside,
// each corner is cut off alone.
func cellLoops(code int) [][]point {
	inside := func(c int) bool { return code>>c&1 == 1 }
	next := map[point]point{}
	for _, f := range faces {
		for i := range 4 {
			// A run of inside corners begins at corner i and ends at corner e.
			if !inside(f[i]) || inside(f[(i+3)%4]) {
				continue
			}
			e := i
			for inside(f[(e+1)%4]) && e < i+3 {
				e++
			}
			next[middle(f[(i+3)%4], f[i])] = middle(f[e%4], f[(e+1)%4])
		}
	}
	var loops [][]point
	for len(next) > 0 {
		var start point
		first := true
		for p := range next { // the smallest, so that the order is the same every time
			if first || p[2] < start[2] || p[2] == start[2] && (p[1] < start[1] || p[1] == start[1] && p[0] < start[0]) {
				start, first = p, false
			}
		}
		var loop []point
		for p := start; ; {
			q, ok := next[p]
			if !ok {
				break
			}
			loop = append(loop, p)
			delete(next, p)
			p = q
		}
		loops = append(loops, loop)
	}
	return loops
}

func middle(a, b int) point {
	p, q := corners[a], corners[b]
	return point{(p[0] + q[0]) / 2, (p[1] + q[1]) / 2, (p[2] + q[2]) / 2}
}

// triangulate divides a loop. Where the division changes the area, it is that of the largest area in a cube, of several
// the one whose volume about the centre of the cell is nearest to 0; a loop of seven is a fan round one crossing.
func triangulate(code int, loop []point) []triangle {
	if len(loop) == 7 {
		return fan(loop, sevenCentre(code))
	}
	var best []triangle
	bestArea, bestVolume := -1.0, 0.0
	for _, t := range triangulations(loop) {
		area, volume := 0.0, 0.0
		for _, x := range t {
			a := x.at([3]float64{0.5, 0.5, 0.5}, point{-1, -1, -1})
			area += area3(a)
			volume += volume3(a)
		}
		volume = math.Abs(volume)
		if area > bestArea+1e-9 || area > bestArea-1e-9 && volume < bestVolume-1e-9 {
			best, bestArea, bestVolume = t, area, volume
		}
	}
	return best
}

// triangulations are all divisions of a loop of points.
func triangulations(loop []point) [][]triangle {
	if len(loop) < 3 {
		return [][]triangle{nil}
	}
	var out [][]triangle
	last := len(loop) - 1
	for k := 1; k < last; k++ { // the triangle on the side from the last point to the first
		for _, left := range triangulations(loop[:k+1]) {
			for _, right := range triangulations(loop[k:]) {
				t := []triangle{{loop[0], loop[k], loop[last]}}
				out = append(out, append(append(t, left...), right...))
			}
		}
	}
	return out
}

func fan(loop []point, centre point) []triangle {
	at := 0
	for i, p := range loop {
		if p == centre {
			at = i
		}
	}
	var out []triangle
	n := len(loop)
	for i := 1; i+1 < n; i++ {
		out = append(out, triangle{centre, loop[(at+i)%n], loop[(at+i+1)%n]})
	}
	return out
}

// sevenCentre is the crossing that the fan of a loop of seven goes round: on the edge of the outside corner that stands
// alone, perpendicular to the face whose corners are in and out by turns.
func sevenCentre(code int) point {
	inside := func(c int) bool { return code>>c&1 == 1 }
	for n, f := range faces {
		if inside(f[0]) != inside(f[2]) || inside(f[1]) != inside(f[3]) || inside(f[0]) == inside(f[1]) {
			continue
		}
		axis := []int{2, 2, 1, 0, 1, 0}[n]
		for _, c := range f {
			if inside(c) {
				continue
			}
			alone := true
			for o := range 8 {
				difference := 0
				for a := range 3 {
					if corners[c][a] != corners[o][a] {
						difference++
					}
				}
				if difference == 1 && !inside(o) {
					alone = false
				}
			}
			if alone {
				p := corners[c]
				p[axis] = 1
				return p
			}
		}
	}
	return point{}
}

// at gives the corners in mm: half spacings times the place, the cell lying at o.
func (t triangle) at(half [3]float64, o point) (v [3][3]float64) {
	for c, p := range t {
		for a := range 3 {
			v[c][a] = float64(p[a]+o[a]) * half[a]
		}
	}
	return v
}

func area3(t [3][3]float64) float64 {
	var a, b [3]float64
	for i := range 3 {
		a[i], b[i] = t[0][i]-t[2][i], t[1][i]-t[2][i]
	}
	c := [3]float64{a[1]*b[2] - b[1]*a[2], a[2]*b[0] - b[2]*a[0], a[0]*b[1] - b[0]*a[1]}
	return 0.5 * math.Sqrt(c[0]*c[0]+c[1]*c[1]+c[2]*c[2])
}

func volume3(t [3][3]float64) float64 {
	a, b, c := t[0], t[1], t[2]
	return ((a[1]*b[2]-b[1]*a[2])*c[0] + (a[2]*b[0]-b[2]*a[0])*c[1] + (a[0]*b[1]-b[0]*a[1])*c[2]) / 6
}

// surface is the area and the enclosed volume of a region, mm² and mm³, coordinates counted from the first voxel of its
// box with a rim of one voxel.
func surface(r *roi) (area, volume float64) {
	var half [3]float64
	for a := range 3 {
		half[a] = r.spacing[a] / 2
	}
	// Areas depend on the cell alone.
	var areas [128]float64
	for code, all := range cellTriangles {
		for _, t := range all {
			areas[code] += area3(t.at(half, point{}))
		}
	}
	nx, ny, nz := r.size[0]+2, r.size[1]+2, r.size[2]+2
	in := make([]uint8, nx*ny*nz)
	for _, o := range r.voxels {
		i, j, k := r.xyz(o)
		in[((k+1)*ny+j+1)*nx+i+1] = 1
	}
	for k := range nz - 1 {
		for j := range ny - 1 {
			row := in[(k*ny+j)*nx:]
			up := in[((k+1)*ny+j)*nx:]
			for i := range nx - 1 {
				code := int(row[i]) | int(row[i+1])<<1 | int(row[i+nx+1])<<2 | int(row[i+nx])<<3 |
					int(up[i])<<4 | int(up[i+1])<<5 | int(up[i+nx+1])<<6 | int(up[i+nx])<<7
				sign := 1.0
				if code&0x80 != 0 {
					code ^= 0xff
					sign = -1
				}
				if code == 0 {
					continue
				}
				area += areas[code]
				for _, t := range cellTriangles[code] {
					volume += sign * volume3(t.at(half, point{2 * i, 2 * j, 2 * k}))
				}
			}
		}
	}
	return area, volume
}
