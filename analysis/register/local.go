package register

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/bits"

	"rfanode/analysis/volume"
)

// LocalOptions sets how Local works. The zero value works.
type LocalOptions struct {
	Centre      *volume.Vec  // where the result has to hold, LPS mm of fixed; nil: the centroid of Zone, without one that of the ring
	Zone        *volume.Mask // the zone, on any grid: thick slices are smoothed before they are matched, and it must not spread into the ring by that; nil: not known
	RadiusMM    float64      // of the ball round it in which it has to hold; 0: 10 mm
	SpacingMM   float64      // of the internal isotropic grid; 0: 1.5 mm
	Threads     int          // 0: as many as Go may use
	MemoryBytes int64        // bound on what Local takes beside the volumes; 0: 1 GiB. See LocalMemory
}

const (
	defaultLocalSpacingMM = 1.5
	defaultRadiusMM       = 10.0
)

// The variants of the rule by which the lesion is moved, from most to least freedom.
const (
	VariantAffine      = "affine"      // all twelve numbers from the lung round the zone
	VariantTranslation = "translation" // the start, shifted to what that lung says about the centre: flagged
	VariantStart       = "start"       // the start unchanged: flagged
)

// LocalResult is the affine that holds near the lesion and what says how good it is.
type LocalResult struct {
	Affine               // point of fixed → point of moving, LPS mm, near Centre
	Variant     string   // VariantAffine, VariantTranslation or VariantStart
	Fallback    bool     // the surroundings were not enough for an affine of their own, see Variant and Reasons
	Reasons     []string // why, in plain words
	Matches     int      // block correspondences, forward and backward
	Octants     int      // of the eight octants round Centre, those that hold matches
	ResidualMM  float64  // median distance of the matches from the fitted field
	ResidualP95 float64  // and its 95th percentile, mm
	ErrorMM     float64  // estimated error of the map at Centre, mm: the true one is below twice this in 19 of 20 cases
	BitsBefore  float64  // descriptor bits that differ in a voxel of the ring under the start, 0 to 60
	BitsAfter   float64  // and under Affine
	VolumeScale float64  // determinant of the linear part
}

// localRounds are the searches of Local, in voxels of its grid: far with coarse steps, then nearer and nearer to the field
// found so far, through which moving is looked at from the second round on. A block is found about 15 % too near to where
// it is looked for, which each round takes off what is left of the error. Wider descriptors (patch 2) would see the zone
// across the hole: one round of them made the tumour grow by 2 % even after three rounds without.
var localRounds = []level{{4, 4, 2, 1}, {4, 3, 1, 1}, {4, 2, 1, 1}, {4, 2, 1, 1}, {4, 2, 1, 1}}

// Limits below or beyond which the surroundings do not decide.
const (
	minOctants    = 3
	maxLocalScale = 1.4 // greatest and, inverted, least volume of the local map
	fallbackError = 5.0 // mm, what is left to one affine for a lung, as measured near the diaphragm
)

// Local finds the affine that carries the surroundings of a lesion from fixed to moving, starting from the lungs' affine.
// Only blocks in ring (a mask on any grid, see Ring) are compared, and only with their voxels that lie in it, so that
// neither the zone nor the tumour is ever matched. Into the hole the field is continued by the smoothest surface that the
// matches support (see lungField), and its affine part in the ball round Centre is the result: an affine keeps the tumour's
// size.
//
// Little lung round the zone shows as a large ErrorMM, or the rule has less freedom (Variant) and Fallback is set. Errors:
// unusable input, too little memory allowed, ctx done.
func Local(ctx context.Context, fixed, moving *volume.Volume, start Affine, ring *volume.Mask, opts LocalOptions) (LocalResult, error) {
	w, err := newLocalWork(fixed, moving, start, ring, opts)
	if err != nil {
		return LocalResult{}, err
	}
	r := LocalResult{Affine: start, Variant: VariantStart, VolumeScale: start.Det(), ErrorMM: fallbackError}
	s, err := w.see(ctx, start, start)
	if err != nil {
		return LocalResult{}, err
	}
	if r.BitsBefore, err = w.bits(ctx, s); err != nil {
		return LocalResult{}, err
	}
	r.BitsAfter = r.BitsBefore
	var f *lungField
	for n, round := range localRounds {
		matches, err := w.round(ctx, s, round)
		if err != nil {
			return LocalResult{}, err
		}
		r.Matches, r.Octants = len(matches), octants(matches, w.centre)
		if len(matches) < minMatches {
			r.fallBack(start, fmt.Sprintf("only %d blocks of lung round the zone, %d are needed", len(matches), minMatches))
			return r, nil
		}
		if f, err = fitField(ctx, matches, start, w.centre, n == len(localRounds)-1, w.threads); err != nil {
			return LocalResult{}, err
		}
		r.ResidualMM, r.ResidualP95 = f.median, f.p95
		if err := plausible(f.affine(w.radius)); err != nil {
			r.fallBack(start, err.Error())
			return r, nil
		}
		if s, err = w.see(ctx, start, f); err != nil {
			return LocalResult{}, err
		}
	}
	if r.BitsAfter, err = w.bits(ctx, s); err != nil {
		return LocalResult{}, err
	}
	r.take(start, f, w.radius)
	return r, nil
}

// fallBack gives up the fit and keeps the start.
func (r *LocalResult) fallBack(start Affine, reason string) {
	r.Affine, r.Variant, r.VolumeScale, r.Fallback = start, VariantStart, start.Det(), true
	r.ErrorMM = fallbackError
	r.Reasons = append(r.Reasons, reason)
}

// take applies the limits to the finished field and decides how much of it is used. Lung on one side fixes the place
// of the lesion to some millimetres, but no linear part.
func (r *LocalResult) take(start Affine, f *lungField, radius float64) {
	full := f.affine(radius)
	r.Affine, r.Variant, r.VolumeScale, r.ErrorMM = full, VariantAffine, full.Det(), f.errorMM()
	if r.Octants < minOctants {
		r.Reasons = append(r.Reasons, fmt.Sprintf("lung round the zone in %d of 8 directions only, %d are needed", r.Octants, minOctants))
	}
	if s := r.VolumeScale; s > maxLocalScale || s < 1/maxLocalScale {
		r.Reasons = append(r.Reasons, fmt.Sprintf("the lung round the zone seems to change its volume by %.2f, beyond %.2f to %.2f", s, 1/maxLocalScale, maxLocalScale))
	}
	if len(r.Reasons) > 0 {
		r.Affine = Translation(sub(full.Map(f.centre), start.Map(f.centre))).Compose(start)
		r.Variant, r.VolumeScale, r.Fallback = VariantTranslation, r.Det(), true
		r.ErrorMM = max(r.ErrorMM, fallbackError)
	}
}

// octants counts the octants round c in which at least a fiftieth of the matches lies.
func octants(m []match, c volume.Vec) int {
	var count [8]int
	for _, x := range m {
		o := 0
		for a := range 3 {
			if x.p[a] > c[a] {
				o |= 1 << a
			}
		}
		count[o]++
	}
	n := 0
	for _, c := range count {
		if c > 0 && 50*c >= len(m) {
			n++
		}
	}
	return n
}

// localWork holds the images round the zone.
type localWork struct {
	fixed, moving *image
	warp          *image  // moving in the grid of fixed
	ring          []uint8 // on the grid of fixed
	centre        volume.Vec
	radius        float64
	ref, search   []uint64
	threads       int
}

// localReachMM is how far any block of the rounds is looked for, and descriptors reach beyond that.
func localReachMM(h float64) float64 {
	far := 0
	for _, r := range localRounds {
		far = max(far, r.radius*r.step+2*r.patch+r.g)
	}
	return h * float64(far+1)
}

func newLocalWork(fixed, moving *volume.Volume, start Affine, ring *volume.Mask, opts LocalOptions) (*localWork, error) {
	if err := errors.Join(usable("fixed", fixed), usable("moving", moving)); err != nil {
		return nil, err
	}
	if err := plausible(start); err != nil {
		return nil, fmt.Errorf("register: the affine to start from cannot be used: %w", err)
	}
	lo, hi, ok := ring.Bounds()
	if !ok {
		return nil, fmt.Errorf("register: there is no lung round the zone to go by: the ring is empty")
	}
	h := opts.SpacingMM
	if h == 0 {
		h = defaultLocalSpacingMM
	}
	a, b := bounds(ring.Geometry, lo, hi)
	g := gridAround(h, localReachMM(h), a, b)
	ml, mh := mappedBounds(start, g)
	mg := gridAround(h, localReachMM(h), ml, mh)
	limit := opts.MemoryBytes
	if limit == 0 {
		limit = defaultMemory
	}
	w := &localWork{threads: threadCount(opts.Threads), radius: opts.RadiusMM}
	if w.radius == 0 {
		w.radius = defaultRadiusMM
	}
	if need := LocalMemory(g.Len(), mg.Len(), w.threads); need > limit {
		return nil, fmt.Errorf("register: the surroundings of the zone need %d MiB beside the volumes, %d MiB are allowed: raise the limit or the spacing (%g mm)", need>>20, limit>>20, h)
	}
	fs, ms := sliceSmoothing(fixed.Geometry, moving.Geometry, h)
	w.fixed, w.moving = newImage(fixed, g, fs, opts.Zone), newImage(moving, mg, ms, nil)
	w.warp = &image{Geometry: g, data: make([]uint16, g.Len()), scanned: fixed.Geometry}
	w.ring = volume.ResampleNearest(ring, g).Data
	w.ref, w.search = make([]uint64, g.Len()), make([]uint64, g.Len())
	w.centre = middle(ring, opts)
	return w, nil
}

// middle is where the result has to hold.
func middle(ring *volume.Mask, opts LocalOptions) volume.Vec {
	if opts.Centre != nil {
		return *opts.Centre
	}
	if opts.Zone != nil {
		if _, _, ok := opts.Zone.Bounds(); ok {
			return centroid(opts.Zone)
		}
	}
	return centroid(ring)
}

// LocalMemory bounds what Local takes beside the volumes, in bytes, from the voxels of its two grids: images (2 bytes a
// voxel, with their resampling 14), the ring, two descriptors (8 each), the costs of the widest round (at most 4 bytes ×
// 9³ labels a block of 4³ voxels) and the descriptors' sums of each thread, for planes with 1/40 of the voxels.
func LocalMemory(fixedVoxels, movingVoxels, threads int) int64 {
	largest := int64(max(fixedVoxels, movingVoxels))
	return int64(fixedVoxels)*(2+2+1+16+46) + 2*int64(movingVoxels) + 12*largest + int64(threads)*mindScratchBytes(int(largest/40)+1, 2)
}

// gridAround is the isotropic axial grid that holds a box and a margin.
func gridAround(h, margin float64, lo, hi volume.Vec) volume.Geometry {
	var size [3]int
	for a := range 3 {
		lo[a] -= margin
		size[a] = int(math.Ceil((hi[a]+margin-lo[a])/h)) + 1
	}
	return volume.Axial(size, [3]float64{h, h, h}, lo)
}

// mappedBounds is the box round the image of a grid.
func mappedBounds(a Affine, g volume.Geometry) (lo, hi volume.Vec) {
	moved := volume.Geometry{Size: g.Size, Spacing: [3]float64{1, 1, 1}, Origin: a.Map(g.Origin)}
	for ax := range 3 {
		var one volume.Vec
		one[ax] = 1
		moved.Direction[ax] = sub(a.Map(g.Point(one)), moved.Origin)
	}
	return bounds(moved, [3]int{}, [3]int{g.Size[0] - 1, g.Size[1] - 1, g.Size[2] - 1})
}

// describe makes the descriptors of fixed and of moving seen through s.
func (w *localWork) describe(ctx context.Context, s *seen, patch int) error {
	at := linearSampler(w.warp.Geometry, w.moving.Geometry, s.affine)
	if err := w.moving.warpedBy(ctx, w.warp, at, s.u, w.threads); err != nil {
		return err
	}
	if err := mind(ctx, w.ref, w.fixed, patch, w.threads); err != nil {
		return err
	}
	return mind(ctx, w.search, w.warp, patch, w.threads)
}

// bits is the mean number of descriptor bits that differ in a voxel of the ring when moving is seen through s.
func (w *localWork) bits(ctx context.Context, s *seen) (float64, error) {
	if err := w.describe(ctx, s, 1); err != nil {
		return 0, err
	}
	sum, n := 0, 0
	for o, in := range w.ring {
		if in != 0 {
			sum += bits.OnesCount64(w.ref[o] ^ w.search[o])
			n++
		}
	}
	return float64(sum) / float64(max(n, 1)), nil
}

// seen is the map through which moving is looked at: a displacement in voxels of the grid, then an affine.
type seen struct {
	grid   volume.Geometry
	affine Affine
	u      *displacements
}

const seenStep = 4 // voxels between the nodes at which a field is tabulated

// see tabulates t as a displacement before a.
func (w *localWork) see(ctx context.Context, a Affine, t Transform) (*seen, error) {
	back, err := a.Inverse()
	if err != nil {
		return nil, err
	}
	g := w.fixed.Geometry
	var dims [3]int
	for c := range 3 {
		dims[c] = (g.Size[c] + seenStep - 1) / seenStep
	}
	s := &seen{grid: g, affine: a, u: newDisplacements(seenStep, dims)}
	err = parallel(ctx, w.threads, dims[2], func(_, k int) {
		for j := range dims[1] {
			for i := range dims[0] {
				x := volume.Vec{s.u.voxel(i), s.u.voxel(j), s.u.voxel(k)}
				s.u.set((k*dims[1]+j)*dims[0]+i, sub(g.Index(back.Map(t.Map(g.Point(x)))), x))
			}
		}
	})
	return s, err
}

func (s *seen) Map(p volume.Vec) volume.Vec {
	x := s.grid.Index(p)
	return s.affine.Map(s.grid.Point(add(x, s.u.at(x))))
}

// round returns the correspondences found forward and backward. Both directions are searched in the grid of fixed, where
// moving is seen through s: a block of it at x found in fixed at x+d is the pair (x+d, s(x)).
func (w *localWork) round(ctx context.Context, s *seen, l level) ([]match, error) {
	if err := w.describe(ctx, s, l.patch); err != nil {
		return nil, err
	}
	forward, err := w.find(ctx, w.ref, w.search, l)
	if err != nil {
		return nil, err
	}
	backward, err := w.find(ctx, w.search, w.ref, l)
	if err != nil {
		return nil, err
	}
	m := make([]match, 0, len(forward)+len(backward))
	for _, f := range forward {
		m = append(m, match{p: f.p, q: s.Map(f.q), weight: f.weight})
	}
	for _, f := range backward {
		m = append(m, match{p: f.q, q: s.Map(f.p), weight: f.weight})
	}
	return m, nil
}
