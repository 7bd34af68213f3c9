package phantom

import (
	"context"
	"math"
	"sync"
	"testing"

	"rfanode/analysis/volume"
)

// movedAnatomy is a small chest without any patient's data.
var movedAnatomy = sync.OnceValues(func() (*volume.Volume, error) {
	p, err := Pair(context.Background(), Options{Seed: 3, Size: 128, SliceMM: 4, Coverage: NoAblation})
	if err != nil {
		return nil, err
	}
	return p.Pre.Volume, nil
})

func movedCase(t *testing.T, o MovedOptions) *MovedCase {
	t.Helper()
	base, err := movedAnatomy()
	if err != nil {
		t.Fatal(err)
	}
	c, err := Moved(context.Background(), base, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The truth of a case must be what its images show: otherwise every figure measured on it is wrong.
func TestMovedShowsItsTruth(t *testing.T) {
	for _, o := range []MovedOptions{
		{Seed: 1, SpacingMM: 3}, {Seed: 2, Sliding: true, Site: MovedSubpleural, SpacingMM: 3}, {Seed: 3, Site: MovedFissure, SpacingMM: 3},
		{Seed: 4, Sliding: true, Site: MovedDiaphragm, SpacingMM: 3, AmplitudeMM: 20}, {Seed: 5, Site: MovedVessels, SpacingMM: 3, Contraction: 0.1},
	} {
		t.Run(o.Site.String(), func(t *testing.T) {
			c := movedCase(t, o)
			if !(c.LeastDet > 0) {
				t.Errorf("the motion folds: %.3f", c.LeastDet)
			}
			if d := distance(c.ToPre(c.CentrePost), c.Centre); d > 0.05 {
				t.Errorf("the nodule's centre in post is off by %.3f mm", d)
			}
			if d := c.TumourDepth(c.Centre); d < 8 || c.ZoneDepth(c.CentrePost) < 6 {
				t.Errorf("centre %.1f mm deep in the tumour, %.1f in the zone", d, c.ZoneDepth(c.CentrePost))
			}
			if hu := c.Moving.At(c.Moving.Index(c.Centre), 0); hu < -60 || hu > 130 {
				t.Errorf("the nodule shows %.0f HU", hu)
			}
			if len(c.TestPoints) != 4000 {
				t.Errorf("%d test points", len(c.TestPoints))
			}
			before, after, n := 0.0, 0.0, 0.0
			for _, p := range c.TestPoints {
				if distance(p.Post, c.CentrePost) < pointNoduleMM || distance(c.ToPre(p.Post), p.Pre) > 1e-9 {
					t.Fatalf("test point %v", p)
				}
				v := c.Fixed.At(c.Fixed.Index(p.Post), 0)
				before += math.Abs(float64(v - c.Moving.At(c.Moving.Index(p.Post), 0)))
				after += math.Abs(float64(v - c.Moving.At(c.Moving.Index(p.Pre), 0)))
				n++
			}
			if after > 0.75*before {
				t.Errorf("under the true map the images differ by %.0f HU, without by %.0f", after/n, before/n)
			}
			// Zone and tumour against their analytic volumes.
			if o.Site == MovedFree {
				if ml, want := c.Zone.VolumeML(), 4*math.Pi/3*20*18*17/1000; math.Abs(ml/want-1) > 0.15 {
					t.Errorf("zone of %.1f mL, %.1f expected", ml, want)
				}
			}
			ml := volume.Threshold(c.TumourLevel, 0, 100).VolumeML()
			if math.Abs(ml-4.19) > 0.5 {
				t.Errorf("tumour of %.2f mL", ml)
			}
		})
	}
}

func TestMovedIsReproducible(t *testing.T) {
	a, b := movedCase(t, MovedOptions{Seed: 9, SpacingMM: 4, Sliding: true}), movedCase(t, MovedOptions{Seed: 9, SpacingMM: 4, Sliding: true})
	other := movedCase(t, MovedOptions{Seed: 10, SpacingMM: 4, Sliding: true})
	same := 0
	for i := range a.Fixed.Data {
		if a.Fixed.Data[i] != b.Fixed.Data[i] || a.Moving.Data[i] != b.Moving.Data[i] {
			t.Fatalf("voxel %d differs between two runs of one seed", i)
		}
		if a.Fixed.Data[i] == other.Fixed.Data[i] {
			same++
		}
	}
	if 2*same > len(a.Fixed.Data) {
		t.Errorf("another seed gives the same picture in %d of %d voxels", same, len(a.Fixed.Data))
	}
}

func TestMovedContracts(t *testing.T) {
	c := movedCase(t, MovedOptions{Seed: 5, SpacingMM: 3, Contraction: 0.1})
	plain := movedCase(t, MovedOptions{Seed: 5, SpacingMM: 3})
	d := c.motion.det.At(c.motion.det.Index(c.CentrePost), 0) / plain.motion.det.At(c.motion.det.Index(c.CentrePost), 0)
	if math.Abs(float64(d)-1.331) > 0.08 {
		t.Errorf("the tissue at the nodule is compressed by %.3f, 1.331 expected", d)
	}
}

func TestMovedRefuses(t *testing.T) {
	base, err := movedAnatomy()
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	air := volume.New(volume.Axial([3]int{20, 20, 20}, [3]float64{4, 4, 4}, vec{}))
	for name, run := range map[string]func() error{
		"no volume": func() error { _, err := Moved(ctx, nil, MovedOptions{}); return err },
		"no lungs":  func() error { _, err := Moved(ctx, air, MovedOptions{}); return err },
		"site":      func() error { _, err := Moved(ctx, base, MovedOptions{Site: 9}); return err },
		"amplitude": func() error { _, err := Moved(ctx, base, MovedOptions{AmplitudeMM: math.NaN()}); return err },
	} {
		if run() == nil {
			t.Errorf("%s: no error", name)
		}
	}
	done, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := Moved(done, base, MovedOptions{SpacingMM: 4}); err == nil {
		t.Error("cancelled: no error")
	}
}
