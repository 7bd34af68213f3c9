package register

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"rfanode/analysis/volume"
)

// LinearOptions sets how Linear works. The zero value works.
type LinearOptions struct {
	SpacingMM   float64 // of the internal isotropic grid; 0: 2 mm
	Threads     int     // 0: as many as Go may use
	MemoryBytes int64   // bound on what Linear takes beside the volumes; 0: 1 GiB. See LinearMemory
}

const (
	defaultSpacingMM = 2.0
	defaultMemory    = 1 << 30
	// lungMarginMM is what is kept round the lungs: the descriptors of the pleura see the chest wall.
	lungMarginMM = 20
)

// LinearResult is the affine and what says how good it is, without landmarks.
type LinearResult struct {
	Affine            // point of fixed → point of moving, LPS mm
	Fallback bool     // too few levels gave a believable fit: Affine is a translation only, see Reasons
	Levels   int      // levels whose fit was accepted, of 5
	Matches  int      // block correspondences of the last accepted level
	Reasons  []string // why levels were refused, in plain words
	Quality
}

// level is one level of the coarse-to-fine search: block side, search radius in labels, step of the labels and the
// descriptor's patch step that goes with it, s = floor(q/2 + 1), all but the radius in voxels.
type level struct{ g, radius, step, patch int }

// linearLevels are those of deeds with the last one once more: where the patient is turned or has breathed differently, the
// matches of one round still fall short.
var linearLevels = []level{{7, 5, 4, 3}, {6, 4, 3, 2}, {5, 3, 2, 2}, {4, 2, 1, 1}, {4, 2, 1, 1}}

// minLevels of them must give a believable fit: noise passes the limits now and then.
const minLevels = 3

// Linear finds the affine between the lungs of two CTs of one patient: at each of five levels, blocks of lung of each
// image are looked for in the other one (forward and backward), and the believable half of the matches is fitted.
//
// The lungs are masks on any grid, zones and tumours included; nil stands for the whole scan. Where the tables of the
// two scanners differ the search starts from the lungs' centroids. A result with Fallback set is a translation only and
// must not decide anything alone. Errors: unusable input, too little memory allowed, ctx done.
func Linear(ctx context.Context, fixed, moving *volume.Volume, fixedLung, movingLung *volume.Mask, opts LinearOptions) (LinearResult, error) {
	opts.Threads = threadCount(opts.Threads)
	f, m, err := newSides(fixed, moving, fixedLung, movingLung, opts)
	if err != nil {
		return LinearResult{}, err
	}
	start, err := startTranslation(ctx, f, m, opts.Threads)
	if err != nil {
		return LinearResult{}, err
	}
	r := LinearResult{Affine: start}
	w := &linearWork{f: f, m: m, threads: opts.Threads}
	for n, l := range linearLevels {
		matches, err := w.matches(ctx, r.Affine, l)
		if err != nil {
			return LinearResult{}, err
		}
		a, _, _, err := robustFit(matches)
		if err == nil {
			err = plausible(a)
		}
		if err != nil {
			r.Reasons = append(r.Reasons, fmt.Sprintf("level %d of %d: %v", n+1, len(linearLevels), err))
			continue
		}
		r.Affine, r.Matches = a, len(matches)
		r.Levels++
	}
	if r.Levels < minLevels {
		r.Affine, r.Fallback = start, true
	}
	r.Quality, err = w.quality(ctx, r.Affine)
	return r, err
}

// side is one of the two images with its lung on the internal grid.
type side struct {
	image *image
	lung  []uint8
	mid   volume.Vec // centroid of the lung, LPS mm
}

func newSides(fixed, moving *volume.Volume, fixedLung, movingLung *volume.Mask, opts LinearOptions) (f, m *side, err error) {
	fg, mg, err := lungGrids(fixed, moving, fixedLung, movingLung, opts.SpacingMM)
	if err != nil {
		return nil, nil, err
	}
	h := fg.Spacing[0]
	limit := opts.MemoryBytes
	if limit == 0 {
		limit = defaultMemory
	}
	if need := LinearMemory(fg.Len(), mg.Len(), opts.Threads); need > limit {
		return nil, nil, fmt.Errorf("register: the linear part needs %d MiB beside the volumes for grids of %d and %d voxels, %d MiB are allowed: raise the limit or the spacing (%g mm)",
			need>>20, fg.Len(), mg.Len(), limit>>20, h)
	}
	fs, ms := sliceSmoothing(fixed.Geometry, moving.Geometry, h)
	return newSide(fixed, fixedLung, fg, fs), newSide(moving, movingLung, mg, ms), nil
}

// LinearMemory bounds what Linear takes beside the volumes it is given, in bytes, from the voxels of the two internal
// grids: two images and their warped ones (2 bytes a voxel each), the lungs (1), descriptors of one image and of the
// other one warped (8 each), the resampling to float (12), the block costs of a level (below 8), and the descriptors'
// sums of each thread, taken as those of planes with 1/40 of the voxels.
func LinearMemory(fixedVoxels, movingVoxels, threads int) int64 {
	largest := int64(max(fixedVoxels, movingVoxels))
	return 5*int64(fixedVoxels+movingVoxels) + (16+12+8)*largest + int64(threads)*mindScratchBytes(int(largest/40)+1, 3)
}

func newSide(v *volume.Volume, lung *volume.Mask, g volume.Geometry, sliceSigmaMM float64) *side {
	s := &side{image: newImage(v, g, sliceSigmaMM, nil)}
	if lung != nil {
		s.lung = volume.ResampleNearest(lung, g).Data
		s.mid = centroid(lung)
		return s
	}
	s.lung = slices.Repeat([]uint8{1}, g.Len())
	s.mid = g.Point(volume.Vec{float64(g.Size[0]-1) / 2, float64(g.Size[1]-1) / 2, float64(g.Size[2]-1) / 2})
	return s
}

// linearWork holds what the levels reuse.
type linearWork struct {
	f, m    *side
	threads int
	warp    image    // an image warped into the other's grid
	ref     []uint64 // descriptors of the image blocks are taken from
	search  []uint64 // descriptors of the warped image they are looked for in
}

// prepare makes the buffers fit the grid g.
func (w *linearWork) prepare(g volume.Geometry) {
	n := g.Len()
	w.warp = image{Geometry: g, data: slices.Grow(w.warp.data[:0], n)[:n]}
	w.ref, w.search = slices.Grow(w.ref[:0], n)[:n], slices.Grow(w.search[:0], n)[:n]
}

// Lungs of another breath differ most at their surface, and blocks outside of them belong to the chest wall, which moves
// differently: a block counts when this part of it is lung.
const minLungShare = 0.3

// matches returns the correspondences of one level, found forward and backward from the present affine: of each
// direction the half of the blocks with the least remaining difference.
func (w *linearWork) matches(ctx context.Context, a Affine, l level) ([]match, error) {
	inv, err := a.Inverse()
	if err != nil {
		return nil, err
	}
	forward, err := w.oneWay(ctx, w.f, w.m, a, l)
	if err != nil {
		return nil, err
	}
	backward, err := w.oneWay(ctx, w.m, w.f, inv, l)
	if err != nil {
		return nil, err
	}
	for _, b := range backward {
		forward = append(forward, match{p: b.q, q: b.p, weight: b.weight})
	}
	return forward, nil
}

// oneWay takes blocks of r and looks for them in s ∘ a, the other image seen in the grid of r. The matches lead from r
// to s.
func (w *linearWork) oneWay(ctx context.Context, r, s *side, a Affine, l level) ([]match, error) {
	g := r.image.Geometry
	w.prepare(g)
	err := errors.Join(
		s.image.warped(ctx, &w.warp, a, w.threads),
		mind(ctx, w.ref, r.image, l.patch, w.threads),
		mind(ctx, w.search, &w.warp, l.patch, w.threads))
	if err != nil {
		return nil, ctx.Err()
	}
	b := newBlocks(g, l.g)
	share := b.share(r.lung)
	b.use(func(node int32) bool {
		if share[node] < minLungShare {
			return false
		}
		c := b.centre(node)
		return r.image.inside(c) && s.image.inside(a.Map(c))
	})
	lab := labels{l.radius, l.step}
	cost, err := matchBlocks(ctx, w.ref, w.search, b, lab, w.threads)
	if err != nil {
		return nil, err
	}
	best, err := bestLabels(ctx, cost, b, lab, w.threads)
	if err != nil {
		return nil, err
	}
	return cheapestHalf(best, b, lab, a), nil
}

// choice is the best displacement of a block, in voxels, the mean number of bits that still differ in a voxel, and by
// how many less that is than the mean over all displacements.
type choice struct {
	d              volume.Vec
	cost, contrast float64
}

// minContrast is the least contrast, in bits a voxel, of a block that counts. A block without any structure has none and
// would seem not to have moved.
const minContrast = 0.5

// bestLabels takes the least of the smoothed costs for every node.
func bestLabels(ctx context.Context, cost []uint16, b *blocks, l labels, threads int) ([]choice, error) {
	out := make([]choice, len(b.at))
	err := smoothCosts(ctx, cost, b, b.places(), l, nil, threads, func(i int, sum []uint32, weight uint32) {
		best, contrast := least(sum)
		scale := 1 / float64(weight) / float64(samples(b.g))
		out[i] = choice{d: refined(sum, best, l), cost: scale * float64(sum[best]), contrast: scale * contrast}
	})
	return out, err
}

func abs(i int) int { return max(i, -i) }

// cheapestHalf turns the choices of the blocks with the least costs into matches.
func cheapestHalf(best []choice, b *blocks, l labels, a Affine) []match {
	order := make([]int, 0, len(best))
	for i := range best {
		if best[i].contrast >= minContrast {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(i, j int) int {
		switch {
		case best[i].cost < best[j].cost:
			return -1
		case best[i].cost > best[j].cost:
			return 1
		}
		return 0
	})
	order = order[:(len(order)+1)/2]
	slices.Sort(order)
	m := make([]match, 0, len(order))
	h := b.grid.Spacing[0]
	for _, i := range order {
		p, d := b.centre(b.at[i]), best[i].d
		found := add(p, volume.Vec{d[0] * h, d[1] * h, d[2] * h})
		m = append(m, match{p: p, q: a.Map(found), weight: 1})
	}
	return m
}
