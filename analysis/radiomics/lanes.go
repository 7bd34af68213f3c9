package radiomics

// laneWidth is how many lines a recursive filter works on side by side: enough to keep the arithmetic busy, few enough to
// stay in the cache.
const laneWidth = 16

// alongAxis runs a filter over all lines of a grid along an axis. The filter gets n samples of w lines, sample i of line l
// at [i*w+l], and changes them in place; every line is treated alone, so the values do not depend on w.
func alongAxis(data []float64, size [3]int, axis int, filter func(lines []float64, n, w int)) {
	n := size[axis]
	strides := [3]int{1, size[0], size[0] * size[1]}
	buffer := make([]float64, n*laneWidth)
	if axis == 0 {
		lines := size[1] * size[2]
		for first := 0; first < lines; first += laneWidth {
			w := min(laneWidth, lines-first)
			for l := range w {
				for i, v := range data[(first+l)*n:][:n] {
					buffer[i*w+l] = v
				}
			}
			filter(buffer[:n*w], n, w)
			for l := range w {
				row := data[(first+l)*n:][:n]
				for i := range row {
					row[i] = buffer[i*w+l]
				}
			}
		}
		return
	}
	other := 3 - axis // of y and z the one that is not the axis
	for b := range size[other] {
		for first := 0; first < size[0]; first += laneWidth {
			w := min(laneWidth, size[0]-first)
			start := b*strides[other] + first
			for i := range n {
				copy(buffer[i*w:][:w], data[start+i*strides[axis]:])
			}
			filter(buffer[:n*w], n, w)
			for i := range n {
				copy(data[start+i*strides[axis]:][:w], buffer[i*w:])
			}
		}
	}
}
