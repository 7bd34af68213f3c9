package radiomics

import (
	"errors"
	"math"

	"rfanode/analysis/volume"
)

// placing is ITK's arithmetic from the indices of one grid to the continuous indices of another (ImageBase,
// ResampleImageFilter): the order of the operations decides which voxel is nearest when two are equally near, and with
// spacings such as 0.5 mm → 1 mm that is common.
type placing struct {
	to, from volume.Geometry
	step     [3][3]float64 // of the target: physical = origin + step · index
	index    [3][3]float64 // of the source: index = matrix · (physical − origin)
	separate bool          // each index depends on one index of the target only
}

func newPlacing(to, from volume.Geometry) *placing {
	p := &placing{to: to, from: from, step: physicalMatrix(to), separate: axisAligned(to) && axisAligned(from)}
	if axisAligned(from) {
		for a := range 3 {
			p.index[a][a] = from.Direction[a][a] / from.Spacing[a]
		}
	} else if r, ok := inverseBySVD(physicalMatrix(from)); ok { // it is: checkAxes has seen the grid
		p.index = r
	}
	return p
}

// physicalMatrix has as its columns the steps in mm along the axes.
func physicalMatrix(g volume.Geometry) (m [3][3]float64) {
	for r := range 3 {
		for c := range 3 {
			m[r][c] = g.Direction[c][r] * g.Spacing[c]
		}
	}
	return m
}

// checkAxes refuses a grid whose axes do not span space.
func checkAxes(g volume.Geometry) error {
	if _, ok := inverseBySVD(physicalMatrix(g)); !ok {
		return errors.New("the axes of the grid do not span space")
	}
	return nil
}

// axisAligned reports whether axis a of the grid runs along coordinate a, forward or backward.
func axisAligned(g volume.Geometry) bool {
	for a := range 3 {
		for c := range 3 {
			if a != c && g.Direction[a][c] != 0 || a == c && math.Abs(g.Direction[a][c]) != 1 {
				return false
			}
		}
	}
	return true
}

// at is the continuous source index of a target index, without the interpolation along a line.
func (p *placing) at(i, j, k int) (x [3]float64) {
	n := [3]float64{float64(i), float64(j), float64(k)}
	var d [3]float64
	for r := range 3 {
		v := p.to.Origin[r]
		for c := range 3 {
			v += float64(p.step[r][c] * n[c])
		}
		d[r] = v - p.from.Origin[r]
	}
	for r := range 3 {
		v := 0.0
		for c := range 3 {
			v += float64(p.index[r][c] * d[c])
		}
		x[r] = v
	}
	return x
}

// line is a row of the target: ITK places its two ends and divides the way between them.
type line struct{ start, end [3]float64 }

func (p *placing) line(j, k int) line { return line{p.at(0, j, k), p.at(p.to.Size[0], j, k)} }

func (l *line) at(i, n int) (x [3]float64) {
	alpha := float64(i) / float64(n)
	for a := range 3 {
		x[a] = l.start[a] + float64(alpha*(l.end[a]-l.start[a]))
	}
	return x
}

// inside is ITK's test for a continuous index.
func inside(x [3]float64, size [3]int) bool {
	for a := range 3 {
		if !(x[a] >= -0.5 && x[a] < float64(size[a])-0.5) {
			return false
		}
	}
	return true
}

func nearest(x float64) int { return int(math.Floor(x + 0.5)) }

// continuousPoint is ITK's TransformContinuousIndexToPhysicalPoint.
func continuousPoint(g volume.Geometry, x [3]float64) (p volume.Vec) {
	m := physicalMatrix(g)
	for r := range 3 {
		v := 0.0
		for c := range 3 {
			v += float64(m[r][c] * x[c])
		}
		p[r] = v + g.Origin[r]
	}
	return p
}

// newGridOf is PyRadiomics' resampling grid, from the mask's grid g and the box of the region in it: new spacings (0
// keeps, as does an axis where the box is one voxel long), a margin of pad new voxels, cut off at the mask's ends.
func newGridOf(g volume.Geometry, low, size [3]int, want []float64, pad int) volume.Geometry {
	spacing := newSpacing(g, size, want)
	out := volume.Geometry{Spacing: spacing, Direction: g.Direction}
	var origin [3]float64
	for a := range 3 {
		ratio := g.Spacing[a] / spacing[a]
		lower := math.Floor((float64(low[a])-0.5)*ratio - float64(pad))
		upper := math.Ceil((float64(low[a]+size[a])-0.5)*ratio + float64(pad))
		lower = max(lower, 0)
		upper = min(upper, math.Ceil(float64(g.Size[a])*ratio)-1)
		out.Size[a] = int(upper - lower + 1)
		origin[a] = .5*(spacing[a]-g.Spacing[a])/g.Spacing[a] + lower/ratio
	}
	out.Origin = continuousPoint(g, origin)
	return out
}

func newSpacing(g volume.Geometry, size [3]int, want []float64) (spacing [3]float64) {
	for a := range 3 {
		spacing[a] = want[a]
		if want[a] == 0 || size[a] == 1 {
			spacing[a] = g.Spacing[a]
		}
	}
	return spacing
}

// sameSpacing is numpy.allclose of the image's spacing and the new one.
func sameSpacing(image, wanted [3]float64) bool {
	for a := range 3 {
		if !(math.Abs(image[a]-wanted[a]) <= 1e-8+1e-5*math.Abs(wanted[a])) {
			return false
		}
	}
	return true
}
