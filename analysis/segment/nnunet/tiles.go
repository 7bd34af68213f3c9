package nnunet

import "math"

// tileStarts gives where the tiles of an axis begin: as few as a step of patch·step allows, evenly spread
// (compute_steps_for_sliding_window). size is at least patch.
func tileStarts(size, patch int, step float64) []int {
	n := int(math.Ceil(float64(size-patch)/(float64(patch)*step))) + 1
	starts := make([]int, n)
	if n > 1 {
		width := float64(size-patch) / float64(n-1)
		for i := range starts {
			starts[i] = int(math.RoundToEven(width * float64(i)))
		}
	}
	return starts
}

// tiles gives the corner of every tile in the order in which they are added up: the last axis runs fastest.
func tiles(size, patch [3]int, step float64) [][3]int {
	var out [][3]int
	for _, z := range tileStarts(size[0], patch[0], step) {
		for _, y := range tileStarts(size[1], patch[1], step) {
			for _, x := range tileStarts(size[2], patch[2], step) {
				out = append(out, [3]int{z, y, x})
			}
		}
	}
	return out
}

// gaussian is the weight of each voxel of a tile: a Gaussian round its middle of an eighth of its sides, 10 at the
// highest, never 0 (compute_gaussian with value_scaling_factor 10). nnU-Net's conversion from double to half goes by
// way of single precision, and so does this one.
func gaussian(patch [3]int) []half {
	var axes [3][]float64
	for a, n := range patch {
		axes[a] = gaussianAxis(n)
	}
	highest := 0.0
	value := func(z, y, x int) float64 { return axes[0][z] * axes[1][y] * axes[2][x] }
	for z := range patch[0] {
		for y := range patch[1] {
			for x := range patch[2] {
				highest = max(highest, value(z, y, x))
			}
		}
	}
	scale := highest / 10
	out := make([]half, 0, patch[0]*patch[1]*patch[2])
	smallest := halfInf
	for z := range patch[0] {
		for y := range patch[1] {
			for x := range patch[2] {
				h := toHalf(float32(value(z, y, x) / scale))
				if h != 0 {
					smallest = min(smallest, h) // positive halves are ordered like their bits
				}
				out = append(out, h)
			}
		}
	}
	for i, h := range out {
		if h == 0 {
			out[i] = smallest
		}
	}
	return out
}

// gaussianAxis is scipy.ndimage.gaussian_filter1d of a unit impulse in the middle: sigma n/8, cut at 4 sigma.
func gaussianAxis(n int) []float64 {
	sigma := float64(n) * (1.0 / 8)
	radius := int(4*sigma + 0.5)
	sum := 0.0
	kernel := make([]float64, 2*radius+1)
	for i := range kernel {
		d := float64(i - radius)
		kernel[i] = math.Exp(-0.5 / (sigma * sigma) * (d * d))
		sum += kernel[i]
	}
	out := make([]float64, n)
	for i := range out {
		if d := i - n/2; d >= -radius && d <= radius {
			out[i] = kernel[d+radius] / sum
		}
	}
	return out
}

// mirrorings are the sets of axes over which a tile is flipped: none first, then by the number of axes
// (itertools.combinations).
func mirrorings(axes []int) [][]int {
	sets := [][]int{nil}
	for n := 1; n <= len(axes); n++ {
		sets = append(sets, combinations(axes, n)...)
	}
	return sets
}

func combinations(axes []int, n int) [][]int {
	if n == 0 {
		return [][]int{nil}
	}
	var out [][]int
	for i := range axes {
		for _, rest := range combinations(axes[i+1:], n-1) {
			out = append(out, append([]int{axes[i]}, rest...))
		}
	}
	return out
}
