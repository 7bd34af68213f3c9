package radiomics

import (
	"errors"
	"math"
)

var errAllZero = errors.New("the image is 0 everywhere")

// pointwise maps every value by PyRadiomics' Square, SquareRoot, Logarithm or Exponential. The scale comes from the
// largest |value| of the whole image.
func pointwise(f *field, image string) (*field, error) {
	m := f.peak
	if m == 0 {
		return nil, errAllZero
	}
	var value func(float64) float64
	switch image {
	case "Square":
		c := 1 / math.Sqrt(m)
		value = func(v float64) float64 { v *= c; return v * v }
	case "SquareRoot":
		value = func(v float64) float64 {
			if v > 0 {
				return math.Sqrt(v * m)
			}
			return -math.Sqrt(-v * m)
		}
	case "Logarithm":
		c := m / math.Log(m+1)
		value = func(v float64) float64 {
			if v > 0 {
				return math.Log(v+1) * c
			}
			return -math.Log(-(v - 1)) * c
		}
	default: // Exponential
		c := math.Log(m) / m
		value = func(v float64) float64 { return math.Exp(c * v) }
	}
	out := make([]float64, len(f.data))
	for i, v := range f.data {
		out[i] = value(v)
	}
	return f.like(out, false), nil
}

// gradient is the length of the gradient by central differences, ends repeated, rounded to float32 as ITK's
// GradientMagnitudeImageFilter stores it.
func gradient(f *field, useSpacing bool) *field {
	out := make([]float64, len(f.data))
	strides := f.strides()
	for axis, s := range strides {
		scale := 0.5
		if useSpacing {
			scale /= f.spacing[axis]
		}
		n := f.size[axis]
		for i, v := range f.data {
			at := i / s % n
			before, after := v, v
			if at > 0 {
				before = f.data[i-s]
			}
			if at < n-1 {
				after = f.data[i+s]
			}
			d := scale*after - scale*before
			out[i] += d * d
		}
	}
	for i, v := range out {
		out[i] = round32(math.Sqrt(v))
	}
	return f.like(out, true)
}
