package register

import (
	"context"
	"errors"
	"fmt"
	"math"

	"rfanode/analysis/volume"
)

// DeformableOptions sets how Deformable works. The zero value works.
type DeformableOptions struct {
	SpacingMM   float64 // of the internal isotropic grid; 0: 2 mm
	Smoothness  float64 // weight of the smoothness against the images, alpha of deeds; 0: 1.6
	Threads     int     // 0: as many as Go may use
	MemoryBytes int64   // bound on what Deformable takes beside the volumes; 0: 1 GiB. See DeformableMemory
}

const defaultSmoothness = 1.6

// deformLevels search from coarse to fine. Together they reach 31 voxels, 62 mm: more than two breaths differ by after
// the affine.
var deformLevels = []level{{8, 5, 4, 3}, {6, 4, 2, 2}, {4, 3, 1, 1}}

// refineLevels follow: see refine. The last, smaller blocks gain most where lung slides along the wall.
var refineLevels = []level{{5, 2, 1, 1}, {4, 2, 1, 1}, {4, 2, 1, 1}, {3, 2, 1, 1}}

// lungReachMM is how far from the lungs the field is determined.
const lungReachMM = 20.0

// minDeformVoxels is the least side of the internal grid: two blocks of the first level.
const minDeformVoxels = 16

// Deformable finds the field that carries the lungs of fixed to those of moving, starting from the affine of Linear: the
// deformable part of deeds on an isotropic grid round the lungs, and after it a refinement that deeds does not have.
//
// At each level the blocks of both images are compared with all displacements of a dense set in the other one, in both
// directions; min-sum belief propagation on a spanning tree chooses the displacements that fit and are smooth, exactly; the
// two directions are then made each other's inverse. Displacements so far are whole voxels. The refinement fits a
// parabola to the costs of each block, which says where between the voxels the block belongs and how certainly, and
// solves for the field that follows the certain blocks and is smooth elsewhere.
//
// Blocks further than 20 mm from both lungs, or outside of one of the scans, are not compared; Field.Known leaves them
// out. The lungs are masks on any grid, zones and tumours included; nil stands for the whole scan. The field is not to be
// used for a tumour next to an ablation zone: there Local decides. The result does not depend on the number of threads.
// Errors: unusable input, too little memory allowed, ctx done.
func Deformable(ctx context.Context, fixed, moving *volume.Volume, fixedLung, movingLung *volume.Mask, start Affine, opts DeformableOptions) (*Field, DeformableQuality, error) {
	w, err := newDeformWork(ctx, fixed, moving, fixedLung, movingLung, start, opts)
	if err != nil {
		return nil, DeformableQuality{}, err
	}
	for _, l := range deformLevels {
		if err := w.level(ctx, l, w.search, searchRounds); err != nil {
			return nil, DeformableQuality{}, err
		}
	}
	for _, l := range refineLevels {
		if err := w.level(ctx, l, w.refine, refineRounds); err != nil {
			return nil, DeformableQuality{}, err
		}
	}
	f := w.field()
	q, err := w.quality(ctx, f)
	if err != nil {
		return nil, DeformableQuality{}, err
	}
	return f, q, nil
}

// deformWork holds what the levels share. Everything is on the grid of fixed but the image of moving.
type deformWork struct {
	start         Affine
	smoothness    float64
	threads       int
	fixed, moving *image
	affine        *image   // moving seen through start
	warp          *image   // scratch: the image that is looked in, warped by what is known
	ref, code     []uint64 // scratch: descriptors of the image blocks are taken from, and of warp
	lung          []uint8  // of fixed
	movingLung    []uint8  // of moving, seen through start
	near          []uint8  // within lungReachMM of either
	toMoving      indexMap // voxel → voxel of moving under start
	u, v          *displacements
	known         []bool // nodes of u and v that the images determine
}

func newDeformWork(ctx context.Context, fixed, moving *volume.Volume, fixedLung, movingLung *volume.Mask, start Affine, opts DeformableOptions) (*deformWork, error) {
	if err := plausible(start); err != nil {
		return nil, fmt.Errorf("register: the affine to start from cannot be used: %w", err)
	}
	w := &deformWork{start: start, smoothness: opts.Smoothness, threads: threadCount(opts.Threads)}
	if w.smoothness == 0 {
		w.smoothness = defaultSmoothness
	}
	if !(w.smoothness > 0) || math.IsInf(w.smoothness, 0) {
		return nil, fmt.Errorf("register: a smoothness of %g: it must be above 0", opts.Smoothness)
	}
	g, mg, err := lungGrids(fixed, moving, fixedLung, movingLung, opts.SpacingMM)
	if err != nil {
		return nil, err
	}
	h := g.Spacing[0]
	if min(g.Size[0], g.Size[1], g.Size[2]) < minDeformVoxels {
		return nil, fmt.Errorf("register: a grid of %v voxels of %g mm round the lungs is too small to deform, %d an axis are needed: check the lung mask or lower the spacing", g.Size, h, minDeformVoxels)
	}
	limit := opts.MemoryBytes
	if limit == 0 {
		limit = defaultMemory
	}
	if need := DeformableMemory(g.Len(), mg.Len(), w.threads); need > limit {
		return nil, fmt.Errorf("register: the deformable part needs %d MiB beside the volumes for grids of %d and %d voxels, %d MiB are allowed: raise the limit or the spacing (%g mm)",
			need>>20, g.Len(), mg.Len(), limit>>20, h)
	}
	fs, ms := sliceSmoothing(fixed.Geometry, moving.Geometry, h)
	w.fixed, w.moving = newImage(fixed, g, fs, nil), newImage(moving, mg, ms, nil)
	w.toMoving = linearSampler(g, mg, start)
	w.affine, w.warp = w.fixed.blank(), w.fixed.blank()
	if err := w.moving.warped(ctx, w.affine, start, w.threads); err != nil {
		return nil, err
	}
	if err := w.findLungs(ctx, fixedLung, movingLung); err != nil {
		return nil, err
	}
	w.ref, w.code = make([]uint64, g.Len()), make([]uint64, g.Len())
	return w, nil
}

// blank is an image on the same grid.
func (m *image) blank() *image {
	return &image{Geometry: m.Geometry, data: make([]uint16, m.Len()), scanned: m.scanned}
}

// DeformableMemory bounds what Deformable takes beside the volumes it is given, in bytes, from the voxels of the two
// internal grids: images (2 bytes a voxel, three of fixed's grid and one of moving's), lungs and their neighbourhood (3), two
// descriptors (8 each), the widest level's costs and choices (2 × 2 bytes × 343 labels / 4³ voxels = 22), its messages,
// taken as those of a tree of which no two neighbouring depths hold more than an eighth of the nodes (3), what there is at each node
// (at most 3), the resampling to float (12), and the descriptors' sums of each thread, taken as those of planes with 1/40
// of the voxels.
func DeformableMemory(fixedVoxels, movingVoxels, threads int) int64 {
	largest := int64(max(fixedVoxels, movingVoxels))
	return int64(fixedVoxels)*(6+3+16+22+3+3) + 2*int64(movingVoxels) + 12*largest + int64(threads)*mindScratchBytes(int(largest/40)+1, 3)
}

// findLungs puts both lungs on the grid and marks what is near them.
func (w *deformWork) findLungs(ctx context.Context, fixedLung, movingLung *volume.Mask) error {
	g := w.fixed.Geometry
	near := volume.NewMask(g)
	w.lung, w.movingLung = ones(g.Len()), ones(g.Len())
	if fixedLung != nil {
		w.lung = volume.ResampleNearest(fixedLung, g).Data
	}
	if movingLung != nil {
		m, err := WarpMask(ctx, movingLung, w.start, g)
		if err != nil {
			return err
		}
		w.movingLung = m.Data
	}
	for i := range near.Data {
		near.Data[i] = w.lung[i] | w.movingLung[i]
	}
	w.near = volume.Dilate(near, lungReachMM).Data
	return ctx.Err()
}

func ones(n int) []uint8 {
	out := make([]uint8, n)
	for i := range out {
		out[i] = 1
	}
	return out
}

// errNoOverlap: nothing of the lungs lies in both scans.
var errNoOverlap = errors.New("register: under the affine to start from no part of the lungs lies in both scans")

// oneWay finds displacements of the blocks of r within the image in w.warp, which is the other one moved by before.
type oneWay func(ctx context.Context, r *image, b *blocks, l level, before *displacements) (*displacements, error)

// level improves both directions by one level of search or refinement, and brings them together in some rounds.
func (w *deformWork) level(ctx context.Context, l level, find oneWay, rounds int) error {
	b := newBlocks(w.fixed.Geometry, l.g)
	if w.u == nil {
		w.u, w.v = newDisplacements(l.g, b.dims), newDisplacements(l.g, b.dims)
	}
	u, v := w.u.on(l.g, b.dims), w.v.on(l.g, b.dims)
	w.choose(b)
	if len(b.at) == 0 {
		return errNoOverlap
	}
	if err := w.moving.warpedBy(ctx, w.warp, w.toMoving, u, w.threads); err != nil {
		return err
	}
	var err error
	if w.u, err = find(ctx, w.fixed, b, l, u); err != nil {
		return err
	}
	if err := w.fixed.warpedBy(ctx, w.warp, sameVoxel, v, w.threads); err != nil {
		return err
	}
	if w.v, err = find(ctx, w.affine, b, l, v); err != nil {
		return err
	}
	w.u.continueFrom(w.known)
	w.v.continueFrom(w.known)
	return symmetrise(ctx, w.u, w.v, rounds, w.threads)
}

// sameVoxel is the map from a grid to itself.
var sameVoxel = indexMap{step: [3]volume.Vec{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}}

// choose takes into use the blocks near the lungs that both scans hold.
func (w *deformWork) choose(b *blocks) {
	share := b.share(w.near)
	w.known = make([]bool, len(share))
	b.use(func(n int32) bool {
		w.known[n] = share[n] > 0 && w.moving.inside(w.start.Map(b.centre(n)))
		return w.known[n]
	})
}

// match describes both images and compares the blocks in use with all labels.
func (w *deformWork) match(ctx context.Context, r *image, b *blocks, l level) ([]uint16, error) {
	if err := mind(ctx, w.ref, r, l.patch, w.threads); err != nil {
		return nil, err
	}
	if err := mind(ctx, w.code, w.warp, l.patch, w.threads); err != nil {
		return nil, err
	}
	return matchBlocks(ctx, w.ref, w.code, b, labels{l.radius, l.step}, w.threads)
}

// search chooses whole displacements for all blocks at once: deeds' data cost and tree.
func (w *deformWork) search(ctx context.Context, r *image, b *blocks, l level, before *displacements) (*displacements, error) {
	cost, err := w.match(ctx, r, b, l)
	if err != nil {
		return nil, err
	}
	lab := labels{l.radius, l.step}
	t := spanningTree(r, b, b.places())
	bp := &beliefs{
		tree: t, labels: lab, cost: cost,
		scale:  float32(0.5 * float64(l.g) / (w.smoothness * float64(l.step) * float64(samples(l.g)))),
		offset: make([][3]float32, len(b.at)),
	}
	for p, node := range t.node {
		if parent := t.parent[p]; parent >= 0 {
			here, there := before.v[b.at[node]], before.v[b.at[t.node[parent]]]
			for c := range 3 {
				bp.offset[node][c] = (there[c] - here[c]) / float32(l.step)
			}
		}
	}
	label, err := bp.minimise(ctx, w.threads)
	if err != nil {
		return nil, err
	}
	out := newDisplacements(l.g, b.dims)
	for i, node := range b.at {
		for c, d := range lab.displacement(int(label[i])) {
			out.v[node][c] = before.v[node][c] + float32(d)
		}
	}
	return out, nil
}

// field turns the forward displacements into mm.
func (w *deformWork) field() *Field {
	u, g := w.u, w.fixed.Geometry
	h := g.Spacing[0]
	first := u.voxel(0)
	side := h * float64(u.g)
	f := &Field{
		Affine: w.start,
		Grid:   volume.Axial(u.dims, [3]float64{side, side, side}, g.Point(volume.Vec{first, first, first})),
		U:      make([][3]float32, len(u.v)), Known: make([]uint8, len(u.v)),
	}
	for o, d := range u.v {
		f.U[o] = [3]float32{float32(h) * d[0], float32(h) * d[1], float32(h) * d[2]}
		if w.known[o] {
			f.Known[o] = 1
		}
	}
	return f
}
