package radiomics

import "math"

// Cubic B-splines (Unser, Aldroubi and Eden, IEEE Trans. Signal Process. 41, 1993) with mirrored ends.

// splinePole is the pole of the cubic prefilter.
var splinePole = math.Sqrt(3) - 2

const (
	// itkHorizon is after how many samples ITK cuts its starting sum off; scipy sums over the whole line.
	itkHorizon = 18
	// splineMargin is how many voxels round a part of an image are filtered with it: the starting error of the recursion
	// falls by 0.268 a voxel, to the last bit of a float64 after 28; a few more let the roundings meet again.
	splineMargin = 40
)

// splineCoefficients turns samples into B-spline coefficients in place, along x, then y, then z. horizon 0: exact start.
func splineCoefficients(data []float64, size [3]int, horizon int) {
	for axis := range 3 {
		if size[axis] > 1 {
			alongAxis(data, size, axis, func(c []float64, n, w int) { prefilter(c, n, w, horizon) })
		}
	}
}

func prefilter(c []float64, n, w, horizon int) {
	z := splinePole
	gain := (1 - z) * (1 - 1/z) // 6 but for the last bits, which decide ties
	for i := range c {
		c[i] *= gain
	}
	for l := range w {
		at := func(k int) float64 { return c[k*w+l] }
		var start float64
		if horizon > 0 && horizon < n {
			zk := z
			start = at(0)
			for k := 1; k < horizon; k++ {
				start += float64(zk * at(k))
				zk *= z
			}
		} else {
			iz, zk, z2 := 1/z, z, math.Pow(z, float64(n-1))
			start = at(0) + float64(z2*at(n-1))
			z2 *= z2 * iz
			for k := 1; k <= n-2; k++ {
				start += float64((zk + z2) * at(k))
				zk *= z
				z2 *= iz
			}
			start /= 1 - float64(zk*zk)
		}
		c[l] = start
	}
	for k := 1; k < n; k++ {
		prev, row := c[(k-1)*w:][:w], c[k*w:][:w]
		for l, p := range prev {
			row[l] += float64(z * p)
		}
	}
	last, before := c[(n-1)*w:][:w], c[(n-2)*w:][:w]
	for l := range last {
		last[l] = (z / (float64(z*z) - 1)) * (float64(z*before[l]) + last[l])
	}
	for k := n - 2; k >= 0; k-- {
		next, row := c[(k+1)*w:][:w], c[k*w:][:w]
		for l, p := range next {
			row[l] = z * (p - row[l])
		}
	}
}

// tap is what one axis contributes to a sample: four indices and four weights.
type tap struct {
	index  [4]int
	weight [4]float64
}

// splineTap is the tap at a continuous index on an axis of n samples, the ends mirrored.
func splineTap(x float64, n int) (t tap) {
	base := int(math.Floor(x))
	f := x - float64(base)
	t.weight[3] = (1.0 / 6.0) * f * f * f
	t.weight[0] = (1.0 / 6.0) + float64(0.5*f*(f-1.0)) - t.weight[3]
	t.weight[2] = f + t.weight[0] - float64(2.0*t.weight[3])
	t.weight[1] = 1.0 - t.weight[0] - t.weight[2] - t.weight[3]
	for k := range 4 {
		t.index[k] = mirror(base-1+k, n)
	}
	return t
}

func mirror(i, n int) int {
	if n == 1 {
		return 0
	}
	for i < 0 || i >= n {
		if i < 0 {
			i = -i
		}
		if i >= n {
			i = 2*(n-1) - i
		}
	}
	return i
}

// splineAt sums the 64 products in ITK's order.
func splineAt(c []float64, size [3]int, x, y, z *tap) float64 {
	sum := 0.0
	for k := range 4 {
		plane := z.index[k] * size[1]
		for j := range 4 {
			row := c[(plane+y.index[j])*size[0]:][:size[0]]
			for i := range 4 {
				w := float64(x.weight[i]*y.weight[j]) * z.weight[k]
				sum += float64(w * row[x.index[i]])
			}
		}
	}
	return sum
}
