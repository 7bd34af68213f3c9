package radiomics

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"rfanode/analysis/volume"
)

// prepared is what the filters and features work on.
type prepared struct {
	f      *field // the image: on the new grid the padded crop, else as much of the image as the filters feel
	roi    *roi   // for the features of the image
	shape  *roi   // for the shape features
	whole  wholeImage
	region *region
	onto   volume.Geometry // the grid of f and roi
	warn   []string
}

// wholeImage describes the image before anything is done to it.
type wholeImage struct {
	Mean, SD  float64
	Low, High float64
	Voxels    int
}

// prepare reads the mask, then the image, and brings both onto one grid.
func prepare(ctx context.Context, image, mask source, p *Profile, o Options) (*prepared, error) {
	for i, part := range []source{image, mask} {
		if err := checkAxes(part.geometry()); err != nil {
			return nil, fmt.Errorf("%s: %w", [2]string{"image", "mask"}[i], err)
		}
	}
	s := &p.Settings
	label := o.Label
	if label == 0 && s.Label != 1 {
		label = s.Label
	}
	r, err := readRegion(ctx, mask, label)
	if err != nil {
		return nil, err
	}
	out := &prepared{region: r}
	if r.note != "" {
		out.warn = append(out.warn, r.note)
	}
	g := image.geometry()
	differs := geometryDifference(g, r.g, s.GeometryTolerance)
	if differs != "" {
		if o.Strict {
			return nil, fmt.Errorf("image and mask have different grids: %s", differs)
		}
		out.warn = append(out.warn, "image and mask have different grids, the mask was resampled: "+differs)
	}
	if s.resamples() || differs != "" {
		if err := r.checkInside(g); err != nil {
			return nil, err
		}
	}
	if s.resamples() {
		spacing := newSpacing(r.g, r.size, s.ResampledPixelSpacing)
		if !sameSpacing(g.Spacing, spacing) {
			return out, out.resample(ctx, image, s)
		}
	}
	return out, out.keepGrid(ctx, image, p, s.resamples() || differs != "")
}

// geometryDifference says how two grids differ beyond SimpleITK's tolerance; empty if they do not.
func geometryDifference(image, mask volume.Geometry, tolerance *float64) string {
	limit := 1e-6
	if tolerance != nil {
		limit = *tolerance
	}
	var out []string
	if image.Size != mask.Size {
		out = append(out, fmt.Sprintf("size %d × %d × %d and %d × %d × %d", image.Size[0], image.Size[1], image.Size[2], mask.Size[0], mask.Size[1], mask.Size[2]))
	}
	var shift, spacing, turn float64
	for a := range 3 {
		shift = max(shift, math.Abs(image.Origin[a]-mask.Origin[a]))
		spacing = max(spacing, math.Abs(image.Spacing[a]-mask.Spacing[a]))
		for c := range 3 {
			turn = max(turn, math.Abs(image.Direction[a][c]-mask.Direction[a][c]))
		}
	}
	if shift > limit*image.Spacing[0] {
		out = append(out, fmt.Sprintf("origins %.3g mm apart", shift))
	}
	if spacing > limit*image.Spacing[0] {
		out = append(out, fmt.Sprintf("spacings differ by %.3g mm", spacing))
	}
	if turn > limit {
		out = append(out, fmt.Sprintf("directions differ by %.3g", turn))
	}
	return strings.Join(out, ", ")
}

// resample brings image and mask onto the new grid.
func (out *prepared) resample(ctx context.Context, image source, s *Settings) error {
	g, r := image.geometry(), out.region
	to := newGridOf(r.g, r.low, r.size, s.ResampledPixelSpacing, s.PadDistance)
	const most = 1 << 28 // voxels: 2 GB a copy
	if float64(to.Size[0])*float64(to.Size[1])*float64(to.Size[2]) > most {
		return fmt.Errorf("the region on the new grid has %d × %d × %d voxels, more than the limit of %d: a larger resampledPixelSpacing is needed", to.Size[0], to.Size[1], to.Size[2], most)
	}
	out.onto = to
	in := r.onto(to, [3]int{}, to.Size)
	roi, ok := newROI(to.Size, to.Spacing, in)
	if !ok {
		return fmt.Errorf("no voxel of the region is left on the new grid: it had %d before; a smaller resampledPixelSpacing is needed", r.n)
	}
	if err := checkROI(roi, s, r.n); err != nil {
		return err
	}
	margin := 2
	if s.Interpolator == "sitkBSpline" {
		margin = splineMargin
	}
	first, last := cover(to, [3]int{}, to.Size, g)
	var low, size [3]int
	for a := range 3 {
		low[a] = min(max(first[a]-margin, 0), g.Size[a]-1)
		size[a] = max(min(last[a]+margin, g.Size[a]-1)-low[a]+1, 1)
	}
	crop, err := out.read(ctx, image, low, size, s)
	if err != nil {
		return err
	}
	kind := image.kind()
	if s.Normalize {
		kind = kindDouble
	}
	out.f = &field{size: to.Size, full: to.Size, spacing: to.Spacing, single: kind.single, integer: kind.integer, data: interpolate(crop, g, to, s.Interpolator, kind)}
	out.f.measurePeak()
	return out.finish(roi, s)
}

// keepGrid leaves the image as it is; the mask goes to its grid if the two differ.
func (out *prepared) keepGrid(ctx context.Context, image source, p *Profile, move bool) error {
	g, r, s := image.geometry(), out.region, &p.Settings
	out.onto = g
	low, size := r.low, r.size
	in := r.in
	if move {
		low, size = r.boxOn(g)
		in = r.onto(g, low, size)
	}
	roi, ok := newROI(size, g.Spacing, in)
	if !ok {
		return fmt.Errorf("no voxel of the region is left on the grid of the image: it had %d on its own", r.n)
	}
	for a := range 3 {
		roi.at[a] += low[a]
	}
	if err := checkROI(roi, s, r.n); err != nil {
		return err
	}
	cropped := s.PreCrop || s.resamples()
	pad := [3]int{s.PadDistance, s.PadDistance, s.PadDistance}
	wrap := false
	if !cropped {
		pad, wrap = margins(p, g.Spacing)
	}
	var from, count [3]int
	for a := range 3 {
		from[a] = max(roi.at[a]-pad[a], 0)
		count[a] = min(roi.at[a]+roi.size[a]+pad[a], g.Size[a]) - from[a]
		if wrap && (from[a] == 0 || from[a]+count[a] == g.Size[a]) {
			from[a], count[a] = 0, g.Size[a]
		}
	}
	f, err := out.read(ctx, image, from, count, s)
	if err != nil {
		return err
	}
	f.single = image.kind().single && !s.Normalize
	f.integer = image.kind().integer && !s.Normalize
	if cropped { // PyRadiomics' filters see nothing else: the crop is their image
		for a := range 3 {
			roi.at[a] -= from[a]
			out.onto.Size[a] = count[a]
		}
		out.onto.Origin = g.Point(volume.Vec{float64(from[0]), float64(from[1]), float64(from[2])})
		f.at, f.full = [3]int{}, f.size
		f.measurePeak()
	}
	out.f = f
	return out.finish(roi, s)
}

// margins is how far the filters of a profile feel round the region, in voxels, and whether one of them is periodic.
func margins(p *Profile, spacing [3]float64) (pad [3]int, wrap bool) {
	for _, t := range p.Images {
		m, w := t.margin(spacing)
		wrap = wrap || w
		for a := range 3 {
			pad[a] = max(pad[a], m[a])
		}
	}
	return pad, wrap
}

func (t *ImageType) margin(spacing [3]float64) (pad [3]int, wrap bool) {
	each := func(n int) [3]int { return [3]int{n, n, n} }
	switch t.Name {
	case "LoG":
		for _, s := range t.Settings.Sigma {
			for a := range 3 {
				pad[a] = max(pad[a], reach(s.MM, spacing[a]))
			}
		}
	case "Wavelet":
		if w, err := wavelet(t.Settings.Wavelet); err == nil {
			return each(len(w.low) * (t.Settings.Level + t.Settings.StartLevel)), true
		}
	case "Gradient":
		return each(1), false
	case "LBP3D":
		return each(2*splineMargin + int(math.Ceil(t.Settings.LBP3DRadius)) + 2), false // to the last bit
	}
	return pad, false
}

func checkROI(r *roi, s *Settings, before int) error {
	dimensions := 0
	for _, n := range r.size {
		if n > 1 {
			dimensions++
		}
	}
	count := fmt.Sprintf("it has %d voxels", len(r.voxels))
	if before != len(r.voxels) {
		count += fmt.Sprintf(" (%d in the mask, before resampling)", before)
	}
	switch {
	case len(r.voxels) == 1 || dimensions == 0:
		return fmt.Errorf("the region is a single voxel: no features can be taken from it (%s)", count)
	case dimensions < s.MinimumROIDimensions:
		return fmt.Errorf("the region extends along %d axes, at least %d are needed (minimumROIDimensions): %s", dimensions, s.MinimumROIDimensions, count)
	case s.MinimumROISize != nil && len(r.voxels) <= *s.MinimumROISize:
		return fmt.Errorf("the region is too small: %s, more than %d are needed (minimumROISize)", count, *s.MinimumROISize)
	}
	return nil
}

// read scans the whole image for its statistics and keeps one box of it, normalised if the settings say so.
func (out *prepared) read(ctx context.Context, image source, low, size [3]int, s *Settings) (*field, error) {
	g := image.geometry()
	f := &field{size: size, at: low, full: g.Size, spacing: g.Spacing}
	f.data = make([]float64, 0, f.len())
	var st statistics
	err := image.planes(ctx, func(k int, plane []float64) error {
		if !st.add(plane) {
			for i, v := range plane {
				if math.IsNaN(v) || math.IsInf(v, 0) {
					return fmt.Errorf("the image holds %g at voxel (%d, %d, %d): every value has to be a finite number, outside the region too", v, i%g.Size[0], i/g.Size[0], k)
				}
			}
		}
		if k >= low[2] && k < low[2]+size[2] {
			for j := range size[1] {
				f.data = append(f.data, plane[(j+low[1])*g.Size[0]+low[0]:][:size[0]]...)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out.whole = st.result()
	f.peak = max(math.Abs(st.low), math.Abs(st.high))
	if !s.Normalize {
		return f, nil
	}
	if !(out.whole.SD > 0) {
		return nil, errors.New("the image has one value everywhere: it cannot be normalised")
	}
	z := func(v float64) float64 {
		v = (v + -out.whole.Mean) * (1 / out.whole.SD)
		if s.RemoveOutliers != nil {
			v = min(max(v, -*s.RemoveOutliers), *s.RemoveOutliers)
		}
		return v * s.NormalizeScale
	}
	for i, v := range f.data {
		f.data[i] = z(v)
	}
	f.peak = max(math.Abs(z(st.low)), math.Abs(z(st.high)))
	return f, nil
}

// statistics sums an image: exact for whole numbers (below 2^53), compensated (Kahan) in any case.
type statistics struct {
	n               int
	sum, square     float64
	lostSum, lostSq float64
	low, high       float64
}

// add takes the values of a slice; it reports false if one of them is no finite number.
func (s *statistics) add(plane []float64) bool {
	if s.n == 0 {
		s.low, s.high = math.Inf(1), math.Inf(-1)
	}
	s.n += len(plane)
	lo, hi := s.low, s.high
	for len(plane) > 0 {
		// Blocks of 4096: the sums of a block are small, those of the blocks are compensated.
		block := plane[:min(len(plane), 4096)]
		plane = plane[len(block):]
		sum, square := 0.0, 0.0
		for _, v := range block {
			sum += v
			square += v * v
			if v < lo {
				lo = v
			}
			if v > hi {
				hi = v
			}
		}
		s.sum, s.lostSum = kahan(s.sum, s.lostSum, sum)
		s.square, s.lostSq = kahan(s.square, s.lostSq, square)
	}
	s.low, s.high = lo, hi
	return !math.IsNaN(s.square) && !math.IsInf(s.square, 0)
}

func kahan(sum, lost, v float64) (float64, float64) {
	y := v - lost
	t := sum + y
	return t, (t - sum) - y
}

func (s *statistics) result() wholeImage {
	n := float64(s.n)
	w := wholeImage{Mean: s.sum / n, Low: s.low, High: s.high, Voxels: s.n}
	w.SD = math.Sqrt(max(0, (s.square-s.sum*s.sum/n)/(n-1)))
	return w
}

// interpolate samples a part of an image, on grid g, at the voxels of grid to; what lies outside the image is 0.
func interpolate(crop *field, g, to volume.Geometry, interpolator string, kind pixelKind) []float64 {
	out := make([]float64, to.Len())
	p := newPlacing(to, g)
	if interpolator == "sitkBSpline" {
		splineCoefficients(crop.data, crop.size, itkHorizon)
	}
	value := func(x [3]float64) float64 {
		for a := range 3 {
			x[a] -= float64(crop.at[a])
		}
		switch interpolator {
		case "sitkNearestNeighbor":
			return crop.data[(nearest(x[2])*crop.size[1]+nearest(x[1]))*crop.size[0]+nearest(x[0])]
		case "sitkLinear":
			return crop.linear(x)
		}
		tx, ty, tz := splineTap(x[0], crop.size[0]), splineTap(x[1], crop.size[1]), splineTap(x[2], crop.size[2])
		return splineAt(crop.data, crop.size, &tx, &ty, &tz)
	}
	if p.separate && interpolator == "sitkBSpline" {
		splineGrid(crop, p, g, kind, out)
		return out
	}
	n := 0
	for k := range to.Size[2] {
		for j := range to.Size[1] {
			l := p.line(j, k)
			for i := range to.Size[0] {
				if x := l.at(i, to.Size[0]); inside(x, g.Size) {
					out[n] = kind.store(value(x))
				}
				n++
			}
		}
	}
	return out
}

// splineGrid is interpolate where the axes of both grids run along the same coordinates: each axis has its own taps.
func splineGrid(crop *field, p *placing, g volume.Geometry, kind pixelKind, out []float64) {
	to := p.to
	var taps [3][]tap
	var valid [3][]bool
	for a := range 3 {
		taps[a], valid[a] = make([]tap, to.Size[a]), make([]bool, to.Size[a])
		for i := range to.Size[a] {
			var x float64
			switch a {
			case 0:
				l := p.line(0, 0)
				x = l.at(i, to.Size[0])[0]
			case 1:
				x = p.at(0, i, 0)[1]
			case 2:
				x = p.at(0, 0, i)[2]
			}
			valid[a][i] = x >= -0.5 && x < float64(g.Size[a])-0.5
			if valid[a][i] {
				taps[a][i] = splineTap(x-float64(crop.at[a]), crop.size[a])
			}
		}
	}
	n := 0
	for k := range to.Size[2] {
		for j := range to.Size[1] {
			for i := range to.Size[0] {
				if valid[0][i] && valid[1][j] && valid[2][k] {
					out[n] = kind.store(splineAt(crop.data, crop.size, &taps[0][i], &taps[1][j], &taps[2][k]))
				}
				n++
			}
		}
	}
}

// linear is ITK's linear interpolation; ends are repeated.
func (f *field) linear(x [3]float64) float64 {
	var low, high [3]int
	var t [3]float64
	for a := range 3 {
		b := int(math.Floor(x[a]))
		low[a] = max(b, 0)
		high[a] = min(low[a]+1, f.size[a]-1)
		t[a] = max(x[a]-float64(low[a]), 0)
	}
	at := func(i, j, k int) float64 { return f.data[(k*f.size[1]+j)*f.size[0]+i] }
	along := func(j, k int) float64 {
		v := at(low[0], j, k)
		if t[0] <= 0 {
			return v
		}
		return v + float64((at(high[0], j, k)-v)*t[0])
	}
	plane := func(k int) float64 {
		v := along(low[1], k)
		if t[1] <= 0 {
			return v
		}
		return v + float64((along(high[1], k)-v)*t[1])
	}
	v := plane(low[2])
	if t[2] <= 0 {
		return v
	}
	return v + float64((plane(high[2])-v)*t[2])
}

// finish resegments if the settings say so and fixes the regions.
func (out *prepared) finish(r *roi, s *Settings) error {
	out.roi, out.shape = r, r
	for a := range 3 {
		at := r.at[a]
		if at == 0 || at+r.size[a] == out.f.full[a] {
			if out.f.full[a] > 1 {
				out.warn = append(out.warn, "the region touches the border of the image: filters continue there as they can")
				break
			}
		}
	}
	for a, n := range r.size {
		if n == 1 {
			out.warn = append(out.warn, fmt.Sprintf("the region is one voxel thick along axis %s: it is flat, and that axis is not resampled", "xyz"[a:a+1]))
		}
	}
	if len(s.ResegmentRange) == 0 {
		return nil
	}
	kept, err := resegment(r, r.gather(out.f), s)
	if err != nil {
		return err
	}
	if err := checkROI(kept, s, len(r.voxels)); err != nil {
		return err
	}
	out.roi = kept
	out.shape = kept
	if !s.ResegmentShape {
		out.shape = within(r, kept)
	}
	return nil
}

// resegment keeps the voxels of the region whose value x lies in the range.
func resegment(r *roi, x []float64, s *Settings) (*roi, error) {
	low, high := s.ResegmentRange[0], math.Inf(1)
	if len(s.ResegmentRange) == 2 {
		low, high = min(low, s.ResegmentRange[1]), max(low, s.ResegmentRange[1])
	}
	most, mean, square := math.Inf(-1), 0.0, 0.0
	for _, v := range x {
		most = max(most, v)
		mean += v
	}
	mean /= float64(len(x))
	for _, v := range x {
		square += (v - mean) * (v - mean)
	}
	sd := math.Sqrt(square / float64(len(x)))
	switch s.ResegmentMode {
	case "relative":
		low, high = most*low, most*high
	case "sigma":
		low, high = mean+sd*low, mean+sd*high
	}
	in := make([]bool, r.size[0]*r.size[1]*r.size[2])
	n := 0
	for i, o := range r.voxels {
		if x[i] >= low && x[i] <= high {
			in[o] = true
			n++
		}
	}
	if n <= 1 {
		return nil, fmt.Errorf("resegmentRange leaves %d of %d voxels (values from %.4g to %.4g are kept)", n, len(x), low, high)
	}
	kept, _ := newROI(r.size, r.spacing, in)
	for a := range 3 {
		kept.at[a] += r.at[a]
	}
	return kept, nil
}

// within cuts a region off at the box of another: PyRadiomics takes the shape of the whole mask in the box of the
// resegmented one.
func within(r, box *roi) *roi {
	in := make([]bool, box.size[0]*box.size[1]*box.size[2])
	for _, o := range r.voxels {
		i, j, k := r.xyz(o)
		i, j, k = i+r.at[0]-box.at[0], j+r.at[1]-box.at[1], k+r.at[2]-box.at[2]
		if i >= 0 && j >= 0 && k >= 0 && i < box.size[0] && j < box.size[1] && k < box.size[2] {
			in[(k*box.size[1]+j)*box.size[0]+i] = true
		}
	}
	out, _ := newROI(box.size, r.spacing, in)
	for a := range 3 {
		out.at[a] += box.at[a]
	}
	return out
}
