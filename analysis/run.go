package analysis

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"rfanode/analysis/ct"
	"rfanode/analysis/segment"
	"rfanode/analysis/volume"
)

// Options of a run. The zero value is the default.
type Options struct {
	MaxDays  int                // a longer interval between the scans is marked; 0: 180
	Progress func(stage string) // called as each stage begins; nil: nobody watches
	GTR, PTZ Given              // tumour on pre and zone on post, drawn or marked elsewhere; empty: they are found here
	Models   Models             // trained models in place of the classical segmenter
}

// Run analyses one pair and returns one Findings a lesion, or a single held one that says why nothing can be told. An
// error is something that went wrong (a cancelled context, memory), never a doubt about the patient: doubts hold.
func Run(ctx context.Context, pre, post *ct.Series, opts Options) ([]Findings, error) {
	stage := opts.Progress
	if stage == nil {
		stage = func(string) {}
	}
	base := begin(pre, post, opts)
	base.takeGiven(&opts, pre.Volume, post.Volume)
	if len(base.Reasons) > 0 {
		return []Findings{base}, nil
	}
	if err := base.openModels(ctx, &opts); err != nil {
		return base.holdOn(ctx, err)
	}

	stage("lungs")
	preLungs, postLungs, err := base.lungs(ctx, pre.Volume, post.Volume, opts.Models.Lungs, stage)
	if err != nil {
		return base.holdOn(ctx, err)
	}

	stage("registration")
	affine, field, err := base.registerLungs(ctx, pre.Volume, post.Volume, preLungs, postLungs)
	if err != nil {
		return base.holdOn(ctx, err)
	}

	stage("ablation zone and tumour")
	near := nearLesion{fixed: post.Volume, moving: pre.Volume, lung: postLungs.Mask, start: affine}
	found, err := base.findLesions(ctx, segment.LesionInput{
		Pre: pre.Volume, Post: post.Volume, PreLungs: preLungs, PostLungs: postLungs, ToPre: affine, Refine: near.refine,
	}, opts, stage)
	if err != nil {
		return base.holdOn(ctx, err)
	}

	all := make([]Findings, 0, len(found))
	for i, l := range found {
		stage(fmt.Sprintf("coverage of lesion %d of %d", i+1, len(found)))
		f := base.forLesion(i+1, l)
		if l.Marked {
			f.nameGiven(opts)
		}
		if err := f.measure(ctx, l, pre, post, postLungs, field); err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, nil
}

// bothLungs finds the lungs of the two scans side by side.
func bothLungs(ctx context.Context, pre, post *volume.Volume) (preLungs, postLungs *segment.Lungs, err error) {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		if preLungs, err = segment.FindLungs(ctx, pre); err != nil {
			err = fmt.Errorf("pre CT: %w", err)
		}
		return err
	})
	group.Go(func() (err error) {
		if postLungs, err = segment.FindLungs(ctx, post); err != nil {
			err = fmt.Errorf("post CT: %w", err)
		}
		return err
	})
	return preLungs, postLungs, group.Wait()
}

// holdOn turns what cannot be told about this pair into held findings; the end of ctx stays an error.
func (f Findings) holdOn(ctx context.Context, err error) ([]Findings, error) {
	if ctx.Err() != nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return nil, errors.Join(ctx.Err(), err)
	}
	f.hold("%v", err)
	return []Findings{f}, nil
}
