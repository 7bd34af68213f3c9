package radiomics

// laneWidth is how many lines a recursive filter works on side by side: enough to keep the arithmetic busy, few enough to
// stay in the cache.
const laneWidth = 32

// alongAxis runs a filter over all lines of a grid along an axis. The filter gets n samples of w lines, sample i of line l
// at [i*w+l], and changes them in place; every line is treated alone, so the values do not depend on w.
func alongAxis(data []float64, size [3]int, axis int, filter func(lines []float64, n, w int)) {
	n := size[axis]
	room := make([]float64, n*laneWidth)
	eachBundle(size, axis, [3]int{}, size, func(start, step, lane, w int) {
		lines := room[:n*w]
		for i := range n {
			for l := range w {
				lines[i*w+l] = data[start+i*step+l*lane]
			}
		}
		filter(lines, n, w)
		for i := range n {
			for l := range w {
				data[start+i*step+l*lane] = lines[i*w+l]
			}
		}
	})
}

// eachBundle calls do for bundles of at most laneWidth lines along an axis that pass through the box [low, high): the
// position of the first sample of the first line, the steps to the next sample and to the next line, the number of lines.
func eachBundle(size [3]int, axis int, low, high [3]int, do func(start, step, lane, w int)) {
	strides := [3]int{1, size[0], size[0] * size[1]}
	lane := 0 // lines lie side by side along x, those along x along y
	if axis == 0 {
		lane = 1
	}
	other := 3 - axis - lane
	for b := low[other]; b < high[other]; b++ {
		for first := low[lane]; first < high[lane]; first += laneWidth {
			do(b*strides[other]+first*strides[lane], strides[axis], strides[lane], min(laneWidth, high[lane]-first))
		}
	}
}
