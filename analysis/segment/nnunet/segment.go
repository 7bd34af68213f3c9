package nnunet

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"

	"rfanode/analysis/volume"
)

// SegmentOptions say how one image is segmented. The zero value is the model's own way: no mirroring, its tile step, the
// whole image.
type SegmentOptions struct {
	// Mirror averages over the flips the model allows: eight times the time for little gain.
	Mirror bool
	// Step is the distance of two tiles as a part of their sides, above 0 and at most 1; 0: the sidecar's, 0.5 without.
	// 0.8 takes up to half the tiles of 0.5.
	Step float64
	// Within crops the image to the box round a mask and MarginMM on every side; nil: the whole image. Its grid must be
	// the image's. Outside of the box the result is background.
	Within   *volume.Mask
	MarginMM float64
	// MemoryBytes refuses an image that would take more, by an estimate; 0: no limit.
	MemoryBytes int64
	// Progress is called before the first tile and after every one; nil: nobody watches.
	Progress func(done, total int)
}

// Labels is a label for every voxel of an image.
type Labels struct {
	volume.Geometry
	Data  []uint8          // Len() values, 0 is background
	Names map[string][]int // the values that make up each label or region of the model
}

// Mask is the union of labels by name; a name the model does not have is an error.
func (l *Labels) Mask(names ...string) (*volume.Mask, error) {
	var wanted [256]uint8
	for _, name := range names {
		values, ok := l.Names[name]
		if !ok {
			return nil, fmt.Errorf("the model has no label %q", name)
		}
		for _, v := range values {
			wanted[v] = 1
		}
	}
	m := volume.NewMask(l.Geometry)
	for i, v := range l.Data {
		m.Data[i] = wanted[v]
	}
	return m, nil
}

// Segment runs the model on a CT in Hounsfield units. The result lies on the CT's own grid. An error is that of ctx,
// within a second of its end, or says what about the image or the model is not possible.
func (m *Model) Segment(ctx context.Context, v *volume.Volume, opts SegmentOptions) (*Labels, error) {
	job, err := m.prepare(v, opts)
	if err == nil {
		err = job.run(ctx)
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("segmenting with model %s: %w", m.about.Name, err)
	}
	return job.out, nil
}

// job is one image on its way.
type job struct {
	*Model
	opts    SegmentOptions
	out     *Labels
	picture picture    // the image, cropped, along the model's axes
	spacing [3]float64 // along them
}

func (m *Model) prepare(v *volume.Volume, opts SegmentOptions) (*job, error) {
	if v == nil || v.Len() < 1 || len(v.Data) != v.Len() {
		return nil, fmt.Errorf("there is no image")
	}
	if opts.Step == 0 {
		opts.Step = 0.5
		if m.side != nil {
			opts.Step = m.side.TileStep
		}
	}
	if !(opts.Step > 0 && opts.Step <= 1) {
		return nil, fmt.Errorf("a tile step of %g: it must be above 0 and at most 1", opts.Step)
	}
	axes := m.axes(v.Geometry)
	j := &job{Model: m, opts: opts, picture: pictureOf(v, axes), spacing: axes.spacing(v.Geometry)}
	j.out = &Labels{Geometry: v.Geometry, Names: m.labels.names}
	for _, s := range j.spacing {
		if !(s >= minSpacing && s <= maxSpacing) {
			return nil, fmt.Errorf("the image's spacing %v is impossible", v.Spacing)
		}
	}
	if opts.Within != nil {
		b, err := j.box(opts.Within, axes)
		if err != nil {
			return nil, err
		}
		j.picture.grid = j.picture.grid.crop(b)
	}
	if opts.MemoryBytes > 0 {
		if need := j.memory(); need > opts.MemoryBytes {
			return nil, fmt.Errorf("this image would take about %.1f GiB, the limit is %.1f GiB: crop to the lungs, or raise memory_gib under [segment]", gib(need), gib(opts.MemoryBytes))
		}
	}
	j.out.Data = make([]uint8, v.Len())
	return j, nil
}

func gib(bytes int64) float64 { return float64(bytes) / (1 << 30) }

// axes lays the model's axes over a volume: turned as the sidecar says, or in the order of a file.
func (m *Model) axes(g volume.Geometry) axisMap {
	axes := fileOrder()
	if m.side != nil {
		o, err := parseOrientation(m.side.Orientation)
		if err == nil { // parseSidecar has read it before
			axes = turned(g, o)
		}
	}
	return axes.transposed(m.plans.transpose)
}

// box is the part of the image round a mask, along the model's axes.
func (j *job) box(m *volume.Mask, axes axisMap) (box, error) {
	var b box
	if m.Size != j.out.Size {
		return b, fmt.Errorf("the region to crop to lies on another grid (%v voxels) than the image (%v)", m.Size, j.out.Size)
	}
	lo, hi, ok := m.Bounds()
	if !ok {
		return b, fmt.Errorf("the region to crop to is empty")
	}
	for a, from := range axes.axis {
		margin := int(max(0, j.opts.MarginMM) / j.spacing[a]) // whole voxels, cut off as TotalSegmentator does
		n := m.Size[from]
		l, h := max(0, lo[from]-margin), min(n, hi[from]+1+margin)
		if axes.reverse[a] {
			l, h = n-h, n-l
		}
		b.lo[a], b.hi[a] = l, h
	}
	return b, nil
}

// target is the spacing that the wrapper brings the image to, along the model's axes; ok is false without one or if the
// image has it already.
func (j *job) target() (target [3]float64, ok bool) {
	if j.side == nil || j.side.Wrapper == nil {
		return target, false
	}
	for a, from := range j.plans.transpose {
		target[a] = j.side.Wrapper.Spacing[2-from] // z, y, x of the array are 2, 1, 0 of x, y, z
	}
	return target, target != j.spacing
}

func (j *job) run(ctx context.Context) error {
	target, ok := j.target()
	if !ok {
		return j.label(ctx, j.picture, j.spacing, j.out.Data)
	}
	xyz := j.fromXYZ()
	from, to, image := xyz.of(j.spacing), xyz.of(target), j.picture
	image.grid = xyz.grid(image.grid)
	changed, err := changeSpacing(ctx, image, from, to, j.side.Wrapper.Order, j.side.Wrapper.Integer)
	if err != nil {
		return err
	}
	labels := make([]uint8, len(changed.data))
	if err := j.label(ctx, picture{data: changed.data, grid: xyz.back().grid(dense(changed.size))}, target, labels); err != nil {
		return err
	}
	labelsBack(j.out.Data, image.grid, labels, changed.size)
	return nil
}

// reorder names, for each axis of a result, the axis it comes from.
type reorder [3]int

// fromXYZ turns the model's axes into x, y, z of its array.
func (j *job) fromXYZ() reorder {
	var r reorder
	for a, from := range j.plans.transpose {
		r[2-from] = a
	}
	return r
}

func (r reorder) back() reorder {
	var b reorder
	for a, from := range r {
		b[from] = a
	}
	return b
}

func (r reorder) of(x [3]float64) [3]float64 { return [3]float64{x[r[0]], x[r[1]], x[r[2]]} }

func (r reorder) grid(g grid) grid {
	out := grid{start: g.start}
	for a, from := range r {
		out.size[a], out.stride[a] = g.size[from], g.stride[from]
	}
	return out
}

// label is nnU-Net: it writes the labels of a picture to dst, which is laid out like the picture's data.
func (j *job) label(ctx context.Context, in picture, spacing [3]float64, dst []uint8) error {
	image, err := j.plans.preprocess(ctx, in, spacing)
	if err != nil {
		return err
	}
	l, err := j.infer(ctx, image.array)
	if err != nil {
		return err
	}
	cropped := in.grid.crop(image.crop)
	separate := j.plans.separateOut.axis(j.plans.spacing, spacing)
	return newDecoder(l, j.labels, cropped.size, separate).decode(ctx, dst, cropped)
}

// infer gives the mean of the folds' answers.
func (j *job) infer(ctx context.Context, image array) (*logits, error) {
	s := &slider{patch: j.plans.patch, heads: j.labels.heads, step: j.opts.Step, mirrors: mirrorings(j.mirrorAxes()), weights: gaussian(j.plans.patch)}
	j.count(s, image)
	var sum *logits
	for _, file := range j.folds {
		l, err := j.fold(ctx, s, file, image)
		if err != nil {
			return nil, err
		}
		if sum == nil {
			sum = l
		} else if err := sum.addFold(ctx, l); err != nil {
			return nil, err
		}
	}
	if len(j.folds) > 1 {
		return sum, sum.average(ctx, len(j.folds))
	}
	return sum, nil
}

func (j *job) fold(ctx context.Context, s *slider, file string, image array) (*logits, error) {
	net, err := openNetwork(filepath.Join(j.dir, file), j.spec(), j.Model.opts)
	if err != nil {
		return nil, err
	}
	defer net.close()
	return s.predict(ctx, net, image)
}

// mirrorAxes are the axes to flip over; none unless it is wanted and the model allows it.
func (j *job) mirrorAxes() []int {
	switch {
	case !j.opts.Mirror:
		return nil
	case j.side == nil:
		return []int{0, 1, 2} // nnU-Net's usual training
	}
	return slices.Clone(j.side.MirrorAxes)
}

// count reports the tiles done.
func (j *job) count(s *slider, image array) {
	if j.opts.Progress == nil {
		return
	}
	padded := image.size
	for a := range 3 {
		padded[a] = max(padded[a], s.patch[a])
	}
	done, total := 0, len(tiles(padded, s.patch, s.step))*len(j.folds)
	j.opts.Progress(0, total)
	s.tile = func() {
		done++
		j.opts.Progress(done, total)
	}
}

// Figures of ONNX Runtime's own memory while it computes a patch, from runs of U-Nets with 32 features at full
// resolution: bytes a voxel of the patch, beside the weights.
const (
	networkBytesPerVoxel = 800
	weightsShare         = 1.5
)

// memory estimates what segmenting takes at its highest beside the image, in bytes.
func (j *job) memory() int64 {
	size, spacing := j.picture.grid.size, j.spacing
	native := float64(j.out.Len())
	between := 0.0
	if target, ok := j.target(); ok {
		size, spacing = newShape(size, spacing, target), target
		between = 5 * product(size) // the image in single precision and its labels
	}
	model := newShape(size, spacing, j.plans.spacing)
	// The planes between the two passes of a spline, in double precision.
	planes := 8 * float64(size[0]) * float64(model[1]) * float64(model[2])
	for a := range 3 {
		model[a] = max(model[a], j.plans.patch[a])
	}
	n, heads := product(model), float64(j.labels.heads)
	maps := 2 * heads * n
	if len(j.folds) > 1 {
		maps *= 2
	}
	patch := product(j.plans.patch)
	weights := 0.0
	for _, file := range j.folds {
		if info, err := os.Stat(filepath.Join(j.dir, file)); err == nil {
			weights = max(weights, float64(info.Size()))
		}
	}
	answers := 4 * heads * patch
	if j.opts.Mirror {
		answers *= 2
	}
	running := 6*n + maps + weightsShare*weights + networkBytesPerVoxel*patch + answers
	return int64(math.Min(native+between+max(running, 4*n+planes), math.MaxInt64/2))
}

func product(n [3]int) float64 { return float64(n[0]) * float64(n[1]) * float64(n[2]) }
