package radiomics

import "math"

// recursion holds the coefficients of a fourth-order recursive filter: Deriche's approximation of a Gaussian and its
// derivatives (INRIA report 1893, 1993) with the refinements of Farnebäck and Westin (J. Math. Imaging Vis. 26, 2006), as
// ITK's RecursiveGaussianImageFilter has it.
type recursion struct {
	n, m, d [4]float64 // n: of x_i … x_(i-3); m: of x_(i+1) … x_(i+4); d: of the four values before
	bn, bm  [4]float64 // the d of values outside, where the edge value continues
}

// ripple is one pair of exponentially damped waves for the smoothing filter and the second derivative.
var (
	waveA1 = [3]float64{1.3530, -0.6724, -1.3563}
	waveB1 = [3]float64{1.8151, -3.4327, 5.2318}
	waveA2 = [3]float64{-0.3531, 0.6724, 0.3446}
	waveB2 = [3]float64{0.0902, 0.6100, -2.2355}
)

const (
	waveW1, waveL1 = 0.6681, -1.3932
	waveW2, waveL2 = 2.0787, -1.3732
)

// newRecursion makes the filter for a width of sigma mm on voxels of spacing mm: smoothing (second false), or the second
// derivative, multiplied by sigma² so that scales compare.
func newRecursion(sigma, spacing float64, second bool) *recursion {
	r := &recursion{}
	s := sigma / spacing
	sin1, cos1, exp1 := math.Sin(waveW1/s), math.Cos(waveW1/s), math.Exp(waveL1/s)
	sin2, cos2, exp2 := math.Sin(waveW2/s), math.Cos(waveW2/s), math.Exp(waveL2/s)
	r.d[3] = exp1 * exp1 * exp2 * exp2
	r.d[2] = -2*cos1*exp1*exp2*exp2 + -2*cos2*exp2*exp1*exp1
	r.d[1] = 4*cos2*cos1*exp1*exp2 + exp1*exp1 + exp2*exp2
	r.d[0] = -2 * (exp2*cos2 + exp1*cos1)
	sd := 1 + r.d[0] + r.d[1] + r.d[2] + r.d[3]
	dd := r.d[0] + 2*r.d[1] + 3*r.d[2] + 4*r.d[3]
	ed := r.d[0] + 4*r.d[1] + 9*r.d[2] + 16*r.d[3]
	numerator := func(k int) (n [4]float64, sn, dn, en float64) {
		a1, b1, a2, b2 := waveA1[k], waveB1[k], waveA2[k], waveB2[k]
		n[0] = a1 + a2
		n[1] = exp2*(b2*sin2-(a2+2*a1)*cos2) + exp1*(b1*sin1-(a1+2*a2)*cos1)
		n[2] = (a1+a2)*cos2*cos1 - b1*cos2*sin1 - b2*cos1*sin2
		n[2] *= 2 * exp1 * exp2
		n[2] += a2*exp1*exp1 + a1*exp2*exp2
		n[3] = exp2*exp1*exp1*(b2*sin2-a2*cos2) + exp1*exp2*exp2*(b1*sin1-a1*cos1)
		return n, n[0] + n[1] + n[2] + n[3], n[1] + 2*n[2] + 3*n[3], n[1] + 4*n[2] + 9*n[3]
	}
	n0, sn0, dn0, en0 := numerator(0)
	if !second {
		alpha := 2*sn0/sd - n0[0]
		for k := range 4 {
			r.n[k] = n0[k] * (1 / alpha)
		}
	} else {
		n2, sn2, dn2, en2 := numerator(2)
		beta := -(2*sn2 - sd*n2[0]) / (2*sn0 - sd*n0[0])
		for k := range 4 {
			r.n[k] = n2[k] + beta*n0[k]
		}
		sn, dn, en := sn2+beta*sn0, dn2+beta*dn0, en2+beta*en0
		alpha := en*sd*sd - ed*sn*sd - 2*dn*dd*sd + 2*dd*dd*sn
		alpha /= sd * sd * sd
		for k := range 4 {
			r.n[k] *= sigma * sigma / alpha
		}
	}
	for k := range 3 {
		r.m[k] = r.n[k+1] - r.d[k]*r.n[0]
	}
	r.m[3] = -r.d[3] * r.n[0]
	sn := r.n[0] + r.n[1] + r.n[2] + r.n[3]
	sm := r.m[0] + r.m[1] + r.m[2] + r.m[3]
	for k := range 4 {
		r.bn[k] = r.d[k] * sn / sd
		r.bm[k] = r.d[k] * sm / sd
	}
	return r
}

// filter runs the two passes over n samples of w lines side by side (see alongAxis) and rounds the result to float32, as
// the images between ITK's passes are.
func (r *recursion) filter(x, forth, back []float64, n, w int) {
	at := func(s []float64, i int) []float64 { return s[i*w:][:w] }
	first, last := at(x, 0), at(x, n-1)
	n0, n1, n2, n3 := r.n[0], r.n[1], r.n[2], r.n[3]
	d1, d2, d3, d4 := r.d[0], r.d[1], r.d[2], r.d[3]
	// The first four samples see the edge value before the line, and its steady answer.
	for i := range 4 {
		out := at(forth, i)
		for l := range w {
			v := func(k int) float64 {
				if k < 0 {
					return first[l]
				}
				return x[k*w+l]
			}
			y := float64(v(i)*n0) + float64(v(i-1)*n1) + float64(v(i-2)*n2) + float64(v(i-3)*n3)
			b := 0.0
			for k := range 4 {
				if j := i - 1 - k; j >= 0 {
					b += float64(forth[j*w+l] * r.d[k])
				} else {
					b += float64(first[l] * r.bn[k])
				}
			}
			out[l] = y - b
		}
	}
	for i := 4; i < n; i++ {
		out := at(forth, i)
		x0, x1, x2, x3 := at(x, i), at(x, i-1), at(x, i-2), at(x, i-3)
		y1, y2, y3, y4 := at(forth, i-1), at(forth, i-2), at(forth, i-3), at(forth, i-4)
		for l := range out {
			y := float64(x0[l]*n0) + float64(x1[l]*n1) + float64(x2[l]*n2) + float64(x3[l]*n3)
			out[l] = y - (float64(y1[l]*d1) + float64(y2[l]*d2) + float64(y3[l]*d3) + float64(y4[l]*d4))
		}
	}
	m1, m2, m3, m4 := r.m[0], r.m[1], r.m[2], r.m[3]
	for i := n - 1; i >= n-4; i-- {
		out := at(back, i)
		for l := range w {
			v := func(k int) float64 {
				if k >= n {
					return last[l]
				}
				return x[k*w+l]
			}
			y := float64(v(i+1)*m1) + float64(v(i+2)*m2) + float64(v(i+3)*m3) + float64(v(i+4)*m4)
			b := 0.0
			for k := range 4 {
				if j := i + 1 + k; j < n {
					b += float64(back[j*w+l] * r.d[k])
				} else {
					b += float64(last[l] * r.bm[k])
				}
			}
			out[l] = y - b
		}
	}
	for i := n - 5; i >= 0; i-- {
		out := at(back, i)
		x1, x2, x3, x4 := at(x, i+1), at(x, i+2), at(x, i+3), at(x, i+4)
		y1, y2, y3, y4 := at(back, i+1), at(back, i+2), at(back, i+3), at(back, i+4)
		for l := range out {
			y := float64(x1[l]*m1) + float64(x2[l]*m2) + float64(x3[l]*m3) + float64(x4[l]*m4)
			out[l] = y - (float64(y1[l]*d1) + float64(y2[l]*d2) + float64(y3[l]*d3) + float64(y4[l]*d4))
		}
	}
	for i := range x {
		x[i] = float64(float32(forth[i] + back[i]))
	}
}

// laplacianOfGaussian is ITK's LaplacianRecursiveGaussianImageFilter, normalised across scales. Every axis of f has at
// least four samples.
func laplacianOfGaussian(f *field, sigma float64) *field {
	sum := make([]float64, len(f.data))
	work := make([]float64, len(f.data))
	longest := max(f.size[0], f.size[1], f.size[2])
	forth, back := make([]float64, longest*laneWidth), make([]float64, longest*laneWidth)
	pass := func(axis int, second bool) {
		r := newRecursion(sigma, f.spacing[axis], second)
		alongAxis(work, f.size, axis, func(x []float64, n, w int) { r.filter(x, forth[:n*w], back[:n*w], n, w) })
	}
	for axis := range 3 {
		copy(work, f.data)
		pass(axis, true)
		for other := range 3 {
			if other != axis {
				pass(other, false)
			}
		}
		square := f.spacing[axis] * f.spacing[axis]
		for i, v := range work {
			sum[i] = round32(sum[i] + v/square)
		}
	}
	return f.like(sum, true)
}

// reach is how many voxels beyond a place the filter still feels there: the slowest wave falls by e^(1.37/s) a voxel.
func reach(sigma, spacing float64) int { return int(math.Ceil(27*sigma/spacing)) + 4 }
