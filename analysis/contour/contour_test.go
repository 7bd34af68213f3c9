package contour

import (
	"errors"

	"rfanode/analysis/volume"
)

func different(a, b *volume.Mask) int {
	n := 0
	for i := range a.Data {
		if a.Data[i] != b.Data[i] {
			n++
		}
	}
	return n
}

func dice(a, b *volume.Mask) float64 {
	return 2 * float64(volume.Intersect(a, b).Count()) / float64(a.Count()+b.Count())
}

func problemOf(err error) Problem {
	var e *Error
	if errors.As(err, &e) {
		return e.Problem
	}
	return ""
}
