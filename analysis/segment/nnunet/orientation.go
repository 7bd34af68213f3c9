package nnunet

import (
	"fmt"
	"math"
	"strings"

	"rfanode/analysis/volume"
)

// orientation says towards which side of the patient the axes x, y, z of an array grow: unit vectors in LPS.
type orientation [3]volume.Vec

// parseOrientation reads three letters such as "RAS": x grows to the right, y to the front, z upwards.
func parseOrientation(s string) (orientation, error) {
	var o orientation
	towards := map[rune]volume.Vec{'L': {1, 0, 0}, 'R': {-1, 0, 0}, 'P': {0, 1, 0}, 'A': {0, -1, 0}, 'S': {0, 0, 1}, 'I': {0, 0, -1}}
	if len(s) != 3 {
		return o, fmt.Errorf(`%q: three letters are needed, such as "RAS" or "LPS"`, s)
	}
	used := [3]bool{}
	for a, letter := range s {
		v, ok := towards[letter]
		if !ok {
			return o, fmt.Errorf("%q: %c is none of R, L, A, P, S, I", s, letter)
		}
		pair := strings.IndexRune("LRPASI", letter) / 2
		if used[pair] {
			return o, fmt.Errorf("%q names one direction of the body twice", s)
		}
		used[pair] = true
		o[a] = v
	}
	return o, nil
}

// axisMap says which axis of a volume an axis of the model's array runs along, and whether against it.
type axisMap struct {
	axis    [3]int // of model axis 0 (slowest) to 2 (fastest): 0 = i, 1 = j, 2 = k of the volume
	reverse [3]bool
}

// fileOrder leaves the axes as they are: the array z,y,x is the volume's data.
func fileOrder() axisMap { return axisMap{axis: [3]int{2, 1, 0}} }

// turned maps the axes of a volume, which may lie askew, to the nearest ones of an orientation.
func turned(g volume.Geometry, o orientation) axisMap {
	var m axisMap
	best := math.Inf(-1)
	for _, p := range [][3]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		sum, candidate := 0.0, axisMap{}
		for a := range 3 { // a: axis x, y, z of the array
			cos := 0.0
			for c := range 3 {
				cos += o[a][c] * g.Direction[p[a]][c]
			}
			sum += math.Abs(cos)
			candidate.axis[2-a], candidate.reverse[2-a] = p[a], cos < 0
		}
		if sum > best+1e-9 {
			best, m = sum, candidate
		}
	}
	return m
}

// transposed applies transpose_forward: axis m of the result is axis order[m] of the array.
func (m axisMap) transposed(order [3]int) axisMap {
	var out axisMap
	for a, from := range order {
		out.axis[a], out.reverse[a] = m.axis[from], m.reverse[from]
	}
	return out
}

// grid is an array laid over another one: element (a, b, c) lies at start + a·stride[0] + b·stride[1] + c·stride[2].
type grid struct {
	size   [3]int
	start  int
	stride [3]int
}

func dense(size [3]int) grid {
	return grid{size: size, stride: [3]int{size[1] * size[2], size[2], 1}}
}

// crop is the part [lo, hi) of a grid.
func (g grid) crop(b box) grid {
	for a := range 3 {
		g.start += b.lo[a] * g.stride[a]
		g.size[a] = b.hi[a] - b.lo[a]
	}
	return g
}

// over lays the model's axes over the data of a volume.
func (m axisMap) over(g volume.Geometry) grid {
	strides := [3]int{1, g.Size[0], g.Size[0] * g.Size[1]}
	var out grid
	for a, from := range m.axis {
		out.size[a], out.stride[a] = g.Size[from], strides[from]
		if m.reverse[a] {
			out.start += (out.size[a] - 1) * out.stride[a]
			out.stride[a] = -out.stride[a]
		}
	}
	return out
}

// spacing is that of a volume along the model's axes, as nnU-Net saw it: NIfTI holds single precision.
func (m axisMap) spacing(g volume.Geometry) [3]float64 {
	var out [3]float64
	for a, from := range m.axis {
		out[a] = float64(float32(g.Spacing[from]))
	}
	return out
}

// box is [lo, hi) along each axis of an array.
type box struct{ lo, hi [3]int }

func (b box) empty() bool {
	return b.hi[0] <= b.lo[0] || b.hi[1] <= b.lo[1] || b.hi[2] <= b.lo[2]
}
