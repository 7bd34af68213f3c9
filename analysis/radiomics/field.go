package radiomics

import "math"

// field is an image held in memory, whole or a part of one. Values are float64; single says that PyRadiomics would hold
// them as float32, which decides the rounding of some filters and of bin edges.
type field struct {
	size    [3]int     // x, y, z
	at      [3]int     // index of the first voxel in the image that this is part of
	full    [3]int     // size of that image
	spacing [3]float64 // mm
	data    []float64
	single  bool
	integer bool    // values are whole numbers, and stay so where a filter keeps the type
	peak    float64 // the largest |value| of the whole image
}

// like returns a field of the same place with values of its own.
func (f *field) like(data []float64, single bool) *field {
	g := *f
	g.data, g.single, g.integer, g.peak = data, single, false, math.NaN()
	return &g
}

func (f *field) len() int { return f.size[0] * f.size[1] * f.size[2] }

// strides are the distances in data between neighbours along x, y, z.
func (f *field) strides() [3]int { return [3]int{1, f.size[0], f.size[0] * f.size[1]} }

// whole reports whether the field reaches both ends of the image along an axis.
func (f *field) whole(axis int) bool { return f.at[axis] == 0 && f.size[axis] == f.full[axis] }

// measurePeak sets peak from the values held: right when the field is the whole image.
func (f *field) measurePeak() {
	f.peak = 0
	for _, v := range f.data {
		f.peak = max(f.peak, math.Abs(v))
	}
}

// roi is the region of interest in its box, the smallest that holds it.
type roi struct {
	size    [3]int // of the box
	at      [3]int // index of the box in the image (of which a field may be a part)
	spacing [3]float64
	voxels  []int32 // offsets in the box of the voxels of the region, ascending
}

// newROI finds the box of the voxels where in is true. ok is false if there is none.
func newROI(size [3]int, spacing [3]float64, in []bool) (r *roi, ok bool) {
	low, high := size, [3]int{-1, -1, -1}
	n := 0
	for k := range size[2] {
		for j := range size[1] {
			row := in[(k*size[1]+j)*size[0]:][:size[0]]
			first, last := -1, -1
			for i, v := range row {
				if v {
					if first < 0 {
						first = i
					}
					last = i
					n++
				}
			}
			if first < 0 {
				continue
			}
			for a, v := range [3]int{first, j, k} {
				low[a] = min(low[a], v)
			}
			for a, v := range [3]int{last, j, k} {
				high[a] = max(high[a], v)
			}
		}
	}
	if n == 0 {
		return nil, false
	}
	r = &roi{at: low, spacing: spacing, voxels: make([]int32, 0, n)}
	for a := range 3 {
		r.size[a] = high[a] - low[a] + 1
	}
	at := int32(0)
	for k := range r.size[2] {
		for j := range r.size[1] {
			row := in[((k+low[2])*size[1]+j+low[1])*size[0]+low[0]:][:r.size[0]]
			for _, v := range row {
				if v {
					r.voxels = append(r.voxels, at)
				}
				at++
			}
		}
	}
	return r, true
}

// xyz are the indices in the box of an offset.
func (r *roi) xyz(offset int32) (i, j, k int) {
	n := int(offset)
	i = n % r.size[0]
	n /= r.size[0]
	return i, n % r.size[1], n / r.size[1]
}

// gather takes the values of the region from a field that holds its box.
func (r *roi) gather(f *field) []float64 {
	out := make([]float64, len(r.voxels))
	d := [3]int{r.at[0] - f.at[0], r.at[1] - f.at[1], r.at[2] - f.at[2]}
	for n, o := range r.voxels {
		i, j, k := r.xyz(o)
		out[n] = f.data[((k+d[2])*f.size[1]+j+d[1])*f.size[0]+i+d[0]]
	}
	return out
}

// crop copies a box of a field: at in indices of the image.
func (f *field) crop(at, size [3]int) *field {
	g := *f
	g.at, g.size = at, size
	g.data = make([]float64, 0, g.len())
	for k := range size[2] {
		for j := range size[1] {
			o := ((k+at[2]-f.at[2])*f.size[1]+j+at[1]-f.at[1])*f.size[0] + at[0] - f.at[0]
			g.data = append(g.data, f.data[o:o+size[0]]...)
		}
	}
	return &g
}

func round32(v float64) float64 { return float64(float32(v)) }
