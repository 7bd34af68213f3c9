package sr

import (
	"math"
	"strings"

	"rfanode/analysis/volume"
)

// view is one of the three planes a radiologist looks at. Planes run along the axes of the CT's own grid, so that the
// axial one is a slice as it was reconstructed, without resampling through the plane.
type view int

const (
	axial view = iota
	coronal
	sagittal
)

func (v view) String() string { return [...]string{"Axial", "Coronal", "Sagittal"}[v] }

// plane maps the pixels of a panel to voxel indices of a grid.
type plane struct {
	g        volume.Geometry
	right    int        // grid axis that runs along the panel's rows
	down     int        // and along its columns
	through  int        // the axis that the plane cuts
	signs    [2]float64 // +1: index grows to the right / downwards
	centre   volume.Vec // voxel indices at the centre of the panel; centre[through] is the plane
	mmPerPix float64    // the same in both directions: spacing does not distort
	size     [2]int     // pixels
	scale    [2]float64 // voxels a pixel, along right and down
	labels   [4]string  // patient directions at left, right, top, bottom
}

// newPlane cuts the grid at voxel indices centre, fov mm wide and high. Orientation as usual in radiology: patient's
// right at the left of the picture, anterior at the top of axial and at the left of sagittal views, head at the top.
func newPlane(g volume.Geometry, v view, centre volume.Vec, fov float64, size int) plane {
	axes := patientAxes(g) // grid axis closest to L, P, S
	var right, down, through int
	wantRight, wantDown := volume.Vec{1, 0, 0}, volume.Vec{0, 1, 0} // axial: to the patient's left, posterior
	switch v {
	case axial:
		right, down, through = axes[0], axes[1], axes[2]
	case coronal:
		right, down, through = axes[0], axes[2], axes[1]
		wantDown = volume.Vec{0, 0, -1}
	case sagittal:
		right, down, through = axes[1], axes[2], axes[0]
		wantRight, wantDown = volume.Vec{0, 1, 0}, volume.Vec{0, 0, -1}
	}
	p := plane{g: g, right: right, down: down, through: through, centre: centre, mmPerPix: fov / float64(size), size: [2]int{size, size}}
	p.centre[through] = math.Round(centre[through])
	p.signs = [2]float64{sign(dot(g.Direction[right], wantRight)), sign(dot(g.Direction[down], wantDown))}
	p.scale = [2]float64{p.signs[0] * p.mmPerPix / g.Spacing[right], p.signs[1] * p.mmPerPix / g.Spacing[down]}
	r, d := scaled(g.Direction[right], p.signs[0]), scaled(g.Direction[down], p.signs[1])
	p.labels = [4]string{directionLetters(scaled(r, -1)), directionLetters(r), directionLetters(scaled(d, -1)), directionLetters(d)}
	return p
}

// index is the voxel index, along the plane's two axes, at the middle of a pixel.
func (p plane) index(x, y float64) (float64, float64) {
	return p.centre[p.right] + (x-float64(p.size[0])/2)*p.scale[0], p.centre[p.down] + (y-float64(p.size[1])/2)*p.scale[1]
}

// pixel is where a voxel index lies in the panel.
func (p plane) pixel(idx volume.Vec) (x, y float64) {
	return float64(p.size[0])/2 + (idx[p.right]-p.centre[p.right])/p.scale[0], float64(p.size[1])/2 + (idx[p.down]-p.centre[p.down])/p.scale[1]
}

// render reads a grid by bilinear interpolation within the plane, at every pixel of the panel and at `margin` pixels
// beyond it on each side; outside the grid it is the given value. at returns the value of a voxel by its offset.
func (p plane) render(margin int, outside float64, at func(int) float64) []float64 {
	na, nb := p.g.Size[p.right], p.g.Size[p.down]
	var i [3]int
	i[p.through] = min(max(int(p.centre[p.through]), 0), p.g.Size[p.through]-1)
	slice := make([]float64, na*nb)
	for ib := range nb {
		for ia := range na {
			i[p.right], i[p.down] = ia, ib
			slice[ib*na+ia] = at(p.g.Offset(i[0], i[1], i[2]))
		}
	}
	columns, rows := make([]sampling, p.size[0]+2*margin), make([]sampling, p.size[1]+2*margin)
	for x := range columns {
		a, _ := p.index(float64(x-margin)+0.5, 0)
		columns[x] = newSampling(a, na)
	}
	for y := range rows {
		_, b := p.index(0, float64(y-margin)+0.5)
		rows[y] = newSampling(b, nb)
	}
	out := make([]float64, 0, len(columns)*len(rows))
	for _, r := range rows {
		upper, lower := slice[r.lo*na:(r.lo+1)*na], slice[r.hi*na:(r.hi+1)*na]
		for _, c := range columns {
			v := outside
			if r.inside && c.inside {
				v = (upper[c.lo]*(1-c.f)+upper[c.hi]*c.f)*(1-r.f) + (lower[c.lo]*(1-c.f)+lower[c.hi]*c.f)*r.f
			}
			out = append(out, v)
		}
	}
	return out
}

// sampling is where a continuous index lies between two voxels of an axis.
type sampling struct {
	lo, hi int
	f      float64 // share of hi
	inside bool
}

func newSampling(x float64, n int) sampling {
	if !(x >= -0.5 && x <= float64(n)-0.5) {
		return sampling{}
	}
	x = min(max(x, 0), float64(n-1))
	lo := int(x)
	return sampling{lo, min(lo+1, n-1), x - float64(lo), true}
}

// patientAxes finds, for L, P and S, the grid axis that runs most nearly along it, each axis once.
func patientAxes(g volume.Geometry) [3]int {
	best, out := -1.0, [3]int{0, 1, 2}
	for _, perm := range [][3]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		sum := 0.0
		for c, a := range perm {
			sum += math.Abs(g.Direction[a][c])
		}
		if sum > best+1e-9 {
			best, out = sum, perm
		}
	}
	return out
}

// obliqueCosine is the share of a direction from which its second letter is shown: about 15 degrees.
const obliqueCosine = 0.25

// directionLetters names a direction in the patient, the strongest letter first: "L", "LP".
func directionLetters(d volume.Vec) string {
	letters := [3][2]string{{"L", "R"}, {"P", "A"}, {"H", "F"}}
	var s strings.Builder
	used := [3]bool{}
	for range 3 {
		best := -1
		for c := range 3 {
			if !used[c] && math.Abs(d[c]) > obliqueCosine && (best < 0 || math.Abs(d[c]) > math.Abs(d[best])+1e-9) {
				best = c
			}
		}
		if best < 0 {
			break
		}
		used[best] = true
		if d[best] > 0 {
			s.WriteString(letters[best][0])
		} else {
			s.WriteString(letters[best][1])
		}
	}
	return s.String()
}

func dot(a, b volume.Vec) float64 { return a[0]*b[0] + a[1]*b[1] + a[2]*b[2] }

func scaled(v volume.Vec, s float64) volume.Vec { return volume.Vec{v[0] * s, v[1] * s, v[2] * s} }

func sign(x float64) float64 {
	if x < 0 {
		return -1
	}
	return 1
}
