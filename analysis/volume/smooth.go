package volume

import "math"

// Smooth returns v convolved with an isotropic Gaussian of the given sigma in mm, cut at 4 sigma, edge values continued
// beyond the grid. A sigma of 0 or less returns a copy.
func Smooth(v *Volume, sigmaMM float64) *Volume { return smoothAxes(v, sigmaMM, 3) }

// SmoothInPlane is Smooth within each slice only, for stacks whose slices are too thick to be mixed.
func SmoothInPlane(v *Volume, sigmaMM float64) *Volume { return smoothAxes(v, sigmaMM, 2) }

func smoothAxes(v *Volume, sigmaMM float64, axes int) *Volume {
	out := v
	for a := range axes {
		// Below a tenth of a voxel the neighbour's weight is under 1e-20.
		if s := sigmaMM / v.Spacing[a]; s > 0.1 && v.Size[a] > 1 {
			out = filterAxis(out, a, smoothingTaps(v.Size[a], s))
		}
	}
	if out == v {
		out = &Volume{Geometry: v.Geometry, Data: append([]float32(nil), v.Data...)}
	}
	return out
}

// tap is how one output sample arises: the weighted sum of the input samples first, first+1, …; no weights: outside.
type tap struct {
	first int
	w     []float32
}

// gaussian is the normalised kernel -r … r for a sigma in voxels; sigma 0 is the unit kernel.
func gaussian(sigma float64) []float64 {
	r := int(4*sigma + 0.5)
	k := make([]float64, 2*r+1)
	if r == 0 {
		k[0] = 1
		return k
	}
	sum := 0.0
	for i := range k {
		x := float64(i-r) / sigma
		k[i] = math.Exp(-x * x / 2)
		sum += k[i]
	}
	for i := range k {
		k[i] /= sum
	}
	return k
}

// smoothingTaps are the taps of a Gaussian of sigma voxels on an axis of n samples.
func smoothingTaps(n int, sigma float64) []tap { return resamplingTaps(n, n, 0, 1, sigma) }

// resamplingTaps are the taps that smooth an axis of n samples by sigma voxels and interpolate it linearly at the
// positions start + o·step, o = 0 … m-1. Weights beyond the ends go to the end samples.
func resamplingTaps(n, m int, start, step, sigma float64) []tap {
	kernel := gaussian(sigma)
	r := len(kernel) / 2
	taps := make([]tap, m)
	for o := range taps {
		x := start + float64(o)*step
		const eps = 1e-9 // a position that should lie exactly on the rim must not fall out by rounding
		if !(x >= -0.5-eps && x <= float64(n)-0.5+eps) {
			continue
		}
		x = min(max(x, 0), float64(n-1))
		i := int(x)
		f := x - float64(i)
		if f < 1e-9 {
			f = 0
		}
		lo, hi := max(i-r, 0), min(i+1+r, n-1)
		if f == 0 {
			hi = min(i+r, n-1)
		}
		w := make([]float64, hi-lo+1)
		for t, g := range kernel {
			w[min(max(i-r+t, 0), n-1)-lo] += g * (1 - f)
			if f > 0 {
				w[min(max(i+1-r+t, 0), n-1)-lo] += g * f
			}
		}
		taps[o] = tap{first: lo, w: make([]float32, len(w))}
		for t := range w {
			taps[o].w[t] = float32(w[t])
		}
	}
	return taps
}

// filterAxis applies taps along one axis; the axis gets len(taps) samples, its spacing and origin are the caller's.
func filterAxis(v *Volume, axis int, taps []tap) *Volume {
	g := v.Geometry
	g.Size[axis] = len(taps)
	out := New(g)
	nx, ny := v.Size[0], v.Size[1]
	switch axis {
	case 0:
		parallel(g.Size[2], func(k int) {
			for j := range ny {
				filterRow(out.Data[g.Offset(0, j, k):][:g.Size[0]], v.Data[v.Offset(0, j, k):][:nx], taps)
			}
		})
	case 1:
		parallel(g.Size[2], func(k int) {
			slice := v.Data[v.Offset(0, 0, k):][:nx*ny]
			for j := range taps {
				accumulate(out.Data[g.Offset(0, j, k):][:nx], slice, taps[j], nx)
			}
		})
	case 2:
		// Split by rows as well as by slices, so that a few output slices still use every processor.
		parallel(g.Size[2]*ny, func(n int) {
			k, j := n/ny, n%ny
			accumulate(out.Data[g.Offset(0, j, k):][:nx], v.Data[min(j*nx, len(v.Data)):], taps[k], nx*ny)
		})
	}
	return out
}

func filterRow(out, in []float32, taps []tap) {
	for o := range out {
		t := &taps[o]
		src := in[t.first:]
		sum := float32(0)
		for n, w := range t.w {
			sum += w * src[n]
		}
		out[o] = sum
	}
}

// accumulate writes Σ w·(row first+n) to out, rows lying stride apart in data.
func accumulate(out, data []float32, t tap, stride int) {
	for n, w := range t.w {
		row := data[(t.first+n)*stride:][:len(out)]
		if n == 0 {
			for i, x := range row {
				out[i] = w * x
			}
			continue
		}
		for i, x := range row {
			out[i] += w * x
		}
	}
}
