package main

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"math"

	"rfanode/analysis/phantom"
	"rfanode/analysis/register"
	"rfanode/analysis/segment"
	"rfanode/analysis/volume"
)

var (
	white  = color.RGBA{255, 255, 255, 255}
	yellow = color.RGBA{255, 214, 0, 255}
	red    = color.RGBA{255, 70, 60, 255}
	cyan   = color.RGBA{0, 220, 255, 255}
)

// registration shows the scans before and after it, the field, and where the tumour comes to lie with and without the
// rule that leaves the zone out.
func registration(ctx context.Context, patient *phantom.PairResult) (image.Image, error) {
	pre, post := patient.Pre.Volume, patient.Post.Volume
	field, local, err := registered(ctx, patient)
	if err != nil {
		return nil, err
	}
	tumour := volume.SignedDistance(patient.GTRPre)
	zone := volume.SignedDistance(patient.PTZPost)
	carried := func(t register.Transform) func(volume.Vec) float64 {
		return func(p volume.Vec) float64 { return float64(tumour.At(tumour.Index(t.Map(p)), -50)) }
	}
	centre := patient.ToPost(patient.Centre())
	const chestMM, lesionMM = 320, 64

	before, after := newPanel(chestCentre(post.Geometry, centre), chestMM), newPanel(chestCentre(post.Geometry, centre), chestMM)
	before.overlay(post, pre, register.Identity())
	after.overlay(post, pre, field)

	shifts := newPanel(before.centre, chestMM)
	shifts.overlayField(post, field)

	lesion := newPanel(centre, lesionMM)
	lesion.paint(func(p volume.Vec) color.RGBA {
		g := grey(post.At(post.Index(p), -1024))
		return color.RGBA{g, g, g, 255}
	})
	lesion.contour(func(p volume.Vec) float64 { return float64(zone.At(zone.Index(p), -50)) }, yellow, 1.5)
	lesion.contour(carried(truth{patient}), white, 2.5)
	lesion.contour(carried(field), red, 2)
	lesion.contour(carried(local), cyan, 2)

	fmt.Printf("tumour carried: truth %.2f mL, by the field %.2f mL, from the lung round the zone %.2f mL\n",
		carriedML(carried(truth{patient}), centre), carriedML(carried(field), centre), carriedML(carried(local), centre))
	return sheet([]*panel{before, after, shifts, lesion}, []string{
		"Before: post in magenta, pre in green", "After: grey where both agree",
		"The field: lines of pre, 15 mm apart, in post; blue 0, red 20 mm", "Tumour: white truth, red by the field, cyan from the lung round",
	})
}

// registered runs the registration of a case with the true zone.
func registered(ctx context.Context, patient *phantom.PairResult) (*register.Field, register.LocalResult, error) {
	pre, post := patient.Pre.Volume, patient.Post.Volume
	preLungs, err := segment.FindLungs(ctx, pre)
	if err != nil {
		return nil, register.LocalResult{}, err
	}
	postLungs, err := segment.FindLungs(ctx, post)
	if err != nil {
		return nil, register.LocalResult{}, err
	}
	linear, err := register.Linear(ctx, post, pre, postLungs.Hull, preLungs.Hull, register.LinearOptions{})
	if err != nil {
		return nil, register.LocalResult{}, err
	}
	field, _, err := register.Deformable(ctx, post, pre, postLungs.Hull, preLungs.Hull, linear.Affine, register.DeformableOptions{})
	if err != nil {
		return nil, register.LocalResult{}, err
	}
	ring := register.Ring(volume.Union(postLungs.Mask, patient.PTZPost), patient.PTZPost)
	local, err := register.Local(ctx, post, pre, linear.Affine, ring, register.LocalOptions{Zone: patient.PTZPost})
	if err == nil && local.Fallback {
		err = errors.New("no registration near the lesion: choose another seed")
	}
	return field, local, err
}

// chestCentre is the middle of the scan, at the lesion's depth.
func chestCentre(g volume.Geometry, lesion volume.Vec) volume.Vec {
	c := g.Point(volume.Vec{float64(g.Size[0]-1) / 2, float64(g.Size[1]-1) / 2, float64(g.Size[2]-1) / 2})
	c[1] = lesion[1]
	return c
}

// overlay shows post in magenta and pre, seen through t, in green.
func (p *panel) overlay(post, pre *volume.Volume, t register.Transform) {
	p.paint(func(x volume.Vec) color.RGBA {
		a, b := grey(post.At(post.Index(x), -1024)), grey(pre.At(pre.Index(t.Map(x)), -1024))
		return color.RGBA{a, b, a, 255}
	})
}

// overlayField colours post by how far the field moves a point and draws the lines of pre's coordinates on it.
func (p *panel) overlayField(post *volume.Volume, f *register.Field) {
	const fullMM, lineMM = 20.0, 15.0
	p.paint(func(x volume.Vec) color.RGBA {
		g := grey(post.At(post.Index(x), -1024))
		c := color.RGBA{g, g, g, 255}
		if !f.Defined(x) {
			return c
		}
		y := f.Map(x)
		moved := math.Sqrt((y[0]-x[0])*(y[0]-x[0]) + (y[1]-x[1])*(y[1]-x[1]) + (y[2]-x[2])*(y[2]-x[2]))
		return mix(c, heat(moved/fullMM), 0.45)
	})
	line := func(axis int) func(volume.Vec) float64 {
		return func(x volume.Vec) float64 {
			if !f.Defined(x) {
				return lineMM
			}
			return lineMM / math.Pi * math.Sin(math.Pi*f.Map(x)[axis]/lineMM)
		}
	}
	p.contour(line(0), white, 1)
	p.contour(line(2), white, 1)
}

// heat runs from blue over white to red.
func heat(share float64) color.RGBA {
	blue, pale, red := color.RGBA{40, 90, 200, 255}, color.RGBA{240, 240, 240, 255}, color.RGBA{200, 40, 30, 255}
	if share < 0.5 {
		return mix(blue, pale, 2*share)
	}
	return mix(pale, red, 2*share-1)
}

// carriedML is the volume where level is positive, near a point, on a 0.5 mm grid.
func carriedML(level func(volume.Vec) float64, centre volume.Vec) float64 {
	const reach, step = 40.0, 0.5
	n := 0
	for z := -reach; z <= reach; z += step {
		for y := -reach; y <= reach; y += step {
			for x := -reach; x <= reach; x += step {
				if level(volume.Vec{centre[0] + x, centre[1] + y, centre[2] + z}) > 0 {
					n++
				}
			}
		}
	}
	return float64(n) * step * step * step / 1000
}

// truth is the map of the synthetic patient.
type truth struct{ *phantom.PairResult }

func (t truth) Map(p volume.Vec) volume.Vec { return t.ToPre(p) }
