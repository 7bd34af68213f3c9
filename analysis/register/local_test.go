package register

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"rfanode/analysis/volume"
)

// burnt paints an ablation zone round c into a scan: a solid core as dense as the tumour was, so that a comparison of
// intensities would match the two.
func burnt(v *volume.Volume, c volume.Vec, radius float64) *volume.Mask {
	zone := volume.NewMask(v.Geometry)
	for k := range v.Size[2] {
		for j := range v.Size[1] {
			for i := range v.Size[0] {
				o := v.Offset(i, j, k)
				if norm(sub(v.Point(volume.Vec{float64(i), float64(j), float64(k)}), c)) <= radius {
					v.Data[o] = 30
					zone.Data[o] = 1
				}
			}
		}
	}
	return zone
}

// localCase is a chest that breathes: its moving scan follows a smooth field that no affine can describe.
type localCase struct {
	fixed, moving *volume.Volume
	fixedLung     *volume.Mask
	ring          *volume.Mask
	lesion        volume.Vec
	truth         Transform
}

// bending is an affine with a smooth displacement beyond it.
type bending struct {
	affine Affine
	mm     float64
	length float64
}

func (b bending) Map(p volume.Vec) volume.Vec {
	q := b.affine.Map(p)
	q[2] += b.mm * math.Sin(p[1]/b.length)
	q[0] += b.mm / 2 * math.Cos(p[2]/b.length)
	return q
}

// backward solves t(p) = q by fixed point iteration.
type backward struct {
	t Transform
	p volume.Vec // t moves points by about -p
}

func (b backward) Map(q volume.Vec) volume.Vec {
	p := add(q, b.p)
	for range 10 {
		p = add(p, sub(q, b.t.Map(p)))
	}
	return p
}

// newLocalCase puts a tumour of 7 mm into moving at the lesion and a zone of zoneMM into fixed.
func newLocalCase(lesion volume.Vec, truth Transform, zoneMM float64) localCase {
	c := newChest(21)
	l := localCase{lesion: lesion, truth: truth}
	l.fixed, l.fixedLung = fixedScan(c)
	l.moving, _ = c.scan(l.fixed.Geometry, backward{t: truth}, 15, 6)
	burnt(l.moving, truth.Map(lesion), 7)
	l.ring = Ring(l.fixedLung, burnt(l.fixed, lesion, zoneMM))
	return l
}

func ballError(a, b Transform, c volume.Vec, radius float64) float64 {
	w := 0.0
	for i := range 27 {
		p := add(c, volume.Vec{radius * float64(i%3-1) / 1.8, radius * float64(i/3%3-1) / 1.8, radius * float64(i/9-1) / 1.8})
		w = max(w, norm(sub(a.Map(p), b.Map(p))))
	}
	return w
}

func TestLocalFindsTheLesion(t *testing.T) {
	breath := rotated(2, volume.Vec{0, 1, 1})
	breath.M[2][2] *= 1.05
	breath.T = volume.Vec{1, -2, 3}
	off := breath // the lungs' affine is not perfect at the lesion
	off.T = add(off.T, volume.Vec{2, -1.5, -3})
	for _, tc := range []struct {
		name   string
		lesion volume.Vec
		truth  Transform
		zone   float64
		limit  float64
	}{
		{"lung all round, affine motion", volume.Vec{36, 0, 5}, breath, 9, 0.7},
		{"lung all round, bending motion", volume.Vec{36, 0, 5}, bending{breath, 3, 35}, 9, 1.1},
		{"at the chest wall", volume.Vec{57, 0, 5}, bending{breath, 3, 35}, 9, 1.6},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newLocalCase(tc.lesion, tc.truth, tc.zone)
			r, err := Local(context.Background(), l.fixed, l.moving, off, l.ring, LocalOptions{Centre: &l.lesion, SpacingMM: 2})
			if err != nil {
				t.Fatal(err)
			}
			if r.Fallback || r.Variant != VariantAffine {
				t.Errorf("gave up (%s): %v", r.Variant, r.Reasons)
			}
			before, after := ballError(off, tc.truth, tc.lesion, 7), ballError(r, tc.truth, tc.lesion, 7)
			if after > tc.limit {
				t.Errorf("wrong by up to %.2f mm at the lesion (%.2f before), at most %g expected: %+v", after, before, tc.limit, r)
			}
			if r.ErrorMM > 2.5 || 3*r.ErrorMM < after {
				t.Errorf("says it is wrong by %.2f mm, is by %.2f", r.ErrorMM, after)
			}
			if r.BitsAfter >= r.BitsBefore {
				t.Errorf("the ring differs by %.2f bits a voxel, %.2f before", r.BitsAfter, r.BitsBefore)
			}
		})
	}
}

// The tumour must not grow into the zone: this is what the whole of Local is for.
func TestLocalKeepsTheTumoursSize(t *testing.T) {
	l := newLocalCase(volume.Vec{36, 0, 5}, Translation(volume.Vec{2, 3, -4}), 14)
	r, err := Local(context.Background(), l.fixed, l.moving, Translation(volume.Vec{1, 1, -2}), l.ring, LocalOptions{Centre: &l.lesion, SpacingMM: 2})
	if err != nil {
		t.Fatal(err)
	}
	if s := r.VolumeScale; s < 0.95 || s > 1.05 {
		t.Errorf("the tumour's volume changes by %.3f under a pure shift", s)
	}
}

func TestLocalSaysWhenSurroundingsAreNotEnough(t *testing.T) {
	l := newLocalCase(volume.Vec{36, 0, 5}, Identity(), 9)
	start := Translation(volume.Vec{3, -2, 1})
	few, side := volume.NewMask(l.ring.Geometry), l.ring.Clone()
	o := l.ring.Offset(60, 30, 31)
	few.Data[o] = 1
	for k := range side.Size[2] {
		for j := range side.Size[1] {
			for i := range side.Size[0] {
				p := sub(side.Point(volume.Vec{float64(i), float64(j), float64(k)}), l.lesion)
				if p[0] < 6 || p[1] < 6 {
					side.Data[side.Offset(i, j, k)] = 0
				}
			}
		}
	}
	for _, tc := range []struct {
		name, want, variant string
		ring                *volume.Mask
	}{
		{"one voxel", "blocks of lung", VariantStart, few},
		{"one side only", "directions", VariantTranslation, side},
	} {
		r, err := Local(context.Background(), l.fixed, l.moving, start, tc.ring, LocalOptions{Centre: &l.lesion, SpacingMM: 2})
		if err != nil {
			t.Fatal(err)
		}
		if !r.Fallback || r.Variant != tc.variant || r.M != start.M || r.ErrorMM < fallbackError || !strings.Contains(strings.Join(r.Reasons, " "), tc.want) {
			t.Errorf("%s: got %+v, want the start or the start shifted (%s), flagged, with a reason that names %q", tc.name, r, tc.variant, tc.want)
		}
		// Truth is the identity: a shift must bring the lesion nearer, no shift must be none.
		before, after := norm(start.T), norm(sub(r.Map(l.lesion), l.lesion))
		if (tc.variant == VariantStart && r.Affine != start) || (tc.variant == VariantTranslation && after > before/2) {
			t.Errorf("%s: the lesion is off by %.1f mm, %.1f before", tc.name, after, before)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Local(ctx, l.fixed, l.moving, start, l.ring, LocalOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
	mirror := Identity()
	mirror.M[1][1] = -1
	for name, run := range map[string]func() error{
		"ring is empty": func() error {
			_, err := Local(ctx, l.fixed, l.moving, start, volume.NewMask(few.Geometry), LocalOptions{})
			return err
		},
		"mirror":        func() error { _, err := Local(ctx, l.fixed, l.moving, mirror, l.ring, LocalOptions{}); return err },
		"moving volume": func() error { _, err := Local(ctx, l.fixed, nil, start, l.ring, LocalOptions{}); return err },
		"MiB": func() error {
			_, err := Local(ctx, l.fixed, l.moving, start, l.ring, LocalOptions{MemoryBytes: 1000})
			return err
		},
	} {
		if err := run(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("want an error that names %q, got %v", name, err)
		}
	}
}

// Images without any structure say nothing: the result must be the start and say so.
func TestLocalOfConstantImages(t *testing.T) {
	l := newLocalCase(volume.Vec{36, 0, 5}, Identity(), 9)
	start := Translation(volume.Vec{2, 0, 0})
	r, err := Local(context.Background(), constant(l.fixed, -800), constant(l.moving, -800), start, l.ring, LocalOptions{Centre: &l.lesion, SpacingMM: 2})
	if err != nil {
		t.Fatal(err)
	}
	if !r.Fallback || r.Affine != start {
		t.Errorf("got %+v, want the start, flagged", r)
	}
	if err := plausible(r.Affine); err != nil || math.IsNaN(r.ErrorMM+r.ResidualMM+r.BitsAfter+r.BitsBefore) {
		t.Errorf("not plausible (%v): %+v", err, r)
	}
}

func TestLocalDoesNotDependOnThreads(t *testing.T) {
	l := newLocalCase(volume.Vec{36, 0, 5}, Translation(volume.Vec{1, -2, 3}), 9)
	var first LocalResult
	for _, threads := range []int{1, 2, 5} {
		r, err := Local(context.Background(), l.fixed, l.moving, Identity(), l.ring, LocalOptions{SpacingMM: 2.5, Threads: threads})
		if err != nil {
			t.Fatal(err)
		}
		if threads == 1 {
			first = r
		}
		if r.Affine != first.Affine || r.ErrorMM != first.ErrorMM || r.Matches != first.Matches || !slices.Equal(r.Reasons, first.Reasons) {
			t.Errorf("%d threads give %+v, one gives %+v", threads, r, first)
		}
	}
}

func TestRingLeavesZoneAndWallOut(t *testing.T) {
	g := volume.Axial([3]int{50, 50, 30}, [3]float64{1.5, 1.5, 3}, volume.Vec{})
	lung, zone := volume.NewMask(g), volume.NewMask(g)
	for o := range lung.Data {
		if i := o % 50; i < 30 {
			lung.Data[o] = 1
		}
	}
	zone.Data[g.Offset(25, 25, 15)] = 1
	ring := Ring(lung, zone)
	n := 0
	for k := range 30 {
		for j := range 50 {
			for i := range 50 {
				d := norm(volume.Vec{1.5 * float64(i-25), 1.5 * float64(j-25), 3 * float64(k-15)})
				// The wall begins half a voxel beyond the centre of voxel 29; descriptors look 4.5 mm far.
				want := 1.5*(29.5-float64(i)) > 4.5 && d > RingInner(g) && d <= RingOuterMM
				if got := ring.Data[g.Offset(i, j, k)] != 0; got != want {
					t.Fatalf("voxel %d %d %d at %.1f mm from the zone: in the ring %v, want %v", i, j, k, d, got, want)
				}
				if want {
					n++
				}
			}
		}
	}
	if n == 0 {
		t.Error("the ring is empty")
	}
	if Ring(lung, volume.NewMask(g)).Count() != 0 {
		t.Error("no zone, yet a ring")
	}
}
