// Package phantom makes pairs of chest CT before and after a radiofrequency ablation, whose truth is known exactly: no
// patient's data goes in, a seed comes out as the same bytes on any number of processors.
//
// The patient is a function of a material point: body, rib cage, lungs with vessel trees, bronchi and fissures,
// mediastinum, upper abdomen, tumour, ablation zone. Pre shows the material frame itself; post shows the material at
// x + u(x), where u is breathing, a change of position and a smooth random field, with det(I + ∇u) > 0 everywhere. The
// truth (tumour carried by u, 5 mm margin, coverage) is taken from the same functions on a 1 mm grid, never from the
// images.
//
// What it is not: the anatomy is schematic, the noise is stationary, there are no artefacts and no second pathology
// unless asked for. A result on phantoms checks the software; it is no evidence of clinical accuracy.
package phantom

import (
	"context"
	"fmt"

	"rfanode/analysis/ct"
	"rfanode/analysis/volume"
)

// PairResult is a pre- and a post-ablation series and what is true about them.
type PairResult struct {
	Pre, Post *ct.Series

	GTRPre   *volume.Mask // tumour on the grid of pre: voxels at least half filled
	GTRPost  *volume.Mask // the same tumour carried to post, on the grid of post
	PTZPost  *volume.Mask // ablation zone on the grid of post, empty without ablation
	LungPre  *volume.Mask // both lungs with all that lies in them
	LungPost *volume.Mask

	Fine      Fine       // the structures in the post frame, 1 mm
	Landmarks []Landmark // exact pairs of points inside the lungs
	Truth     Truth

	options Options // with the defaults filled in
	chest   *chest
	motion  *motion
	zone    *zone
}

// Fine holds the structures on one isotropic grid of 1 mm round the lesion in the post frame. PTV is GTR + 5 mm.
type Fine struct{ GTR, PTV, PTZ, Lung *volume.Mask }

// Landmark is a point of post and the point of pre that shows the same tissue, LPS mm.
type Landmark struct{ Post, Pre volume.Vec }

// ToPre maps a point of post to the point of pre that shows the same tissue, LPS mm: the true registration.
func (r *PairResult) ToPre(p volume.Vec) volume.Vec { return r.motion.toPre(p) }

// ToPost is the inverse of ToPre, to within a thousandth of a millimetre.
func (r *PairResult) ToPost(p volume.Vec) volume.Vec { return r.motion.toPost(p) }

// Centre is the centre of the treated tumour on pre, LPS mm.
func (r *PairResult) Centre() volume.Vec { return r.chest.tumours[0].centre }

// attempts is how many motions and places of the lesion are tried before the options are called impossible.
const attempts = 40

// Pair makes the pair that the options describe. It fails only on options that contradict each other, such as a tumour
// that fits nowhere in the lungs, or when ctx ends.
func Pair(ctx context.Context, opts Options) (*PairResult, error) {
	r, err := settle(ctx, opts)
	if err != nil {
		return nil, err
	}
	if err := r.show(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

// settle decides everything about a pair but takes no pictures: anatomy, lesion, motion, and what is true of them.
func settle(ctx context.Context, opts Options) (*PairResult, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	c, err := newChest(ctx, o)
	if err != nil {
		return nil, err
	}
	r := &PairResult{options: o, chest: c}
	for n := range attempts {
		done, err := r.try(ctx, n)
		if err != nil {
			return nil, err
		}
		if done {
			return r, nil
		}
	}
	return nil, fmt.Errorf("phantom of seed %d: no place in the lungs fits a tumour of %.1f mm radius (%s) with %s coverage in %d attempts: choose a smaller tumour, another site or seed",
		o.Seed, o.TumourRadiusMM, o.Site, o.Coverage, attempts)
}

// newChest builds what does not depend on where the lesion is.
func newChest(ctx context.Context, o Options) (*chest, error) {
	a, err := newAnatomy(ctx, newBuild(newStream(o.Seed, "build"), o.Sex == "F"))
	if err != nil {
		return nil, err
	}
	c := &chest{anatomy: a, tex: newTexture(mix(o.Seed ^ 0x7e57))}
	var tubes []tube
	emit := func(t tube) { tubes = append(tubes, t) }
	a.centralTubes(emit)
	a.lungTrees(o.Seed, emit)
	c.tubes = indexTubes(tubes, vec{-150, -120, -216}, vec{150, 140, 156}, max(o.blur(), o.post().blur()))
	return c, nil
}

// try places lesion and motion of attempt n and reports whether they are what the options ask for.
func (r *PairResult) try(ctx context.Context, n int) (bool, error) {
	o, c := r.options, r.chest
	seed := mix(o.Seed + uint64(n)*0x9e3779b97f4a7c15)
	centre, ok := c.place(newStream(seed, "place"), o.Site, o.TumourRadiusMM)
	if !ok {
		return false, nil
	}
	c.tumours = append([]tumour{}, newTumour(newStream(seed, "tumour"), o.Tumour, centre, o.TumourRadiusMM))
	if r.zone, ok = c.ablate(newStream(seed, "zone"), o); !ok {
		return false, nil
	}
	var err error
	if r.motion, err = newMotion(ctx, c, newStream(seed, "motion"), o); err != nil {
		return false, err
	}
	if r.motion.leastDet < leastDeterminant {
		return false, nil
	}
	c.addNodules(newStream(seed, "nodules"), o.Nodules)
	return r.measure(), nil
}

// show takes the pictures of what try has settled.
func (r *PairResult) show(ctx context.Context) error {
	pre, post := r.grids()
	r.Pre, r.Post = r.options.headers(pre, post)
	o := r.options
	before := sight{chest: r.chest.seenWith(o), table: o.tablePre()}
	after := sight{chest: r.chest.seenWith(o.post()), table: o.tablePost(), zone: r.zone, motion: r.motion,
		effusion: o.EffusionMM, pneumothorax: o.PneumothoraxMM}
	var err error
	if r.LungPre, err = before.render(ctx, r.Pre.Volume, newNoise(o, "pre")); err != nil {
		return err
	}
	if r.LungPost, err = after.render(ctx, r.Post.Volume, newNoise(o.post(), "post")); err != nil {
		return err
	}
	r.nativeMasks()
	r.Landmarks = r.landmarks()
	r.Truth.complete(r)
	return nil
}
