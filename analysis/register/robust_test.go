package register_test

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"rfanode/analysis/phantom"
	"rfanode/analysis/register"
	"rfanode/analysis/volume"
)

// twoScans is a pair as register sees it, with the true map.
type twoScans struct {
	fixed, moving         *volume.Volume
	fixedLung, movingLung *volume.Mask
	truth                 func(volume.Vec) volume.Vec
	points                []volume.Vec // of fixed, in the lung
}

// robustSpacing is the internal grid, mm: coarse, so that a case costs a few seconds of CPU.
const robustSpacing = 3.0

// Limits of the field's error, mm: what issue 4 asks for lung that slides along the wall, on a grid of 2 mm.
const (
	robustMean = 1.2
	robustP95  = 3.8
)

// thinPair is a chest of 128 × 128 × 279 voxels before and after: 2.8 mm pixels, slices of 1 mm.
var thinPair = sync.OnceValues(func() (*phantom.PairResult, error) {
	return phantom.Pair(context.Background(), phantom.Options{Seed: 73, Size: 128, SliceMM: 1})
})

// plainPair is thinPair with slices of 3 mm.
func plainPair(t *testing.T) twoScans {
	t.Helper()
	p, err := thinPair()
	if err != nil {
		t.Fatal(err)
	}
	s := twoScans{truth: p.ToPre}
	s.fixed, s.fixedLung = thicker(p.Post.Volume, 3), thickerMask(p.LungPost, 3)
	s.moving, s.movingLung = thicker(p.Pre.Volume, 3), thickerMask(p.LungPre, 3)
	for _, l := range p.Landmarks {
		s.points = append(s.points, l.Post)
	}
	return s
}

// thicker averages n slices into one.
func thicker(v *volume.Volume, n int) *volume.Volume {
	g := v.Geometry
	g.Size[2] /= n
	g.Spacing[2] *= float64(n)
	g.Origin = v.Point(volume.Vec{0, 0, float64(n-1) / 2})
	out := volume.New(g)
	plane := g.Size[0] * g.Size[1]
	for k := range g.Size[2] {
		for d := range n {
			for i, x := range v.Data[(k*n+d)*plane:][:plane] {
				out.Data[k*plane+i] += x / float32(n)
			}
		}
	}
	return out
}

func thickerMask(m *volume.Mask, n int) *volume.Mask {
	v := volume.New(m.Geometry)
	for i, x := range m.Data {
		v.Data[i] = float32(x)
	}
	return volume.Threshold(thicker(v, n), 0.5, 1)
}

// change calls f for every voxel of v with its place.
func change(v *volume.Volume, f func(p volume.Vec, hu float32) float32) {
	for k := range v.Size[2] {
		for j := range v.Size[1] {
			for i := range v.Size[0] {
				o := v.Offset(i, j, k)
				v.Data[o] = f(v.Point(volume.Vec{float64(i), float64(j), float64(k)}), v.Data[o])
			}
		}
	}
}

// leave clears the voxels of m for which keep says no.
func leave(m *volume.Mask, keep func(p volume.Vec) bool) {
	for k := range m.Size[2] {
		for j := range m.Size[1] {
			for i := range m.Size[0] {
				if o := m.Offset(i, j, k); m.Data[o] != 0 && !keep(m.Point(volume.Vec{float64(i), float64(j), float64(k)})) {
					m.Data[o] = 0
				}
			}
		}
	}
}

// box is the box round the lung in LPS mm.
func box(m *volume.Mask) (lo, hi volume.Vec) {
	a, b, _ := m.Bounds()
	p := m.Point(volume.Vec{float64(a[0]), float64(a[1]), float64(a[2])})
	q := m.Point(volume.Vec{float64(b[0]), float64(b[1]), float64(b[2])})
	for c := range 3 {
		lo[c], hi[c] = min(p[c], q[c]), max(p[c], q[c])
	}
	return lo, hi
}

// onGrid carries the moving scan to another grid.
func (s *twoScans) onGrid(g volume.Geometry) {
	s.moving, s.movingLung = volume.Resample(s.moving, g, -1024), volume.ResampleNearest(s.movingLung, g)
}

// moveTable shifts the coordinates of moving.
func (s *twoScans) moveTable(d volume.Vec) {
	shift := func(p volume.Vec) volume.Vec { return volume.Vec{p[0] + d[0], p[1] + d[1], p[2] + d[2]} }
	m, l := *s.moving, *s.movingLung
	m.Origin, l.Origin = shift(m.Origin), shift(l.Origin)
	s.moving, s.movingLung = &m, &l
	truth := s.truth
	s.truth = func(p volume.Vec) volume.Vec { return shift(truth(p)) }
}

// ripple is a value in -1 … 1 that changes from place to place.
func ripple(p volume.Vec, mm float64) float64 {
	return math.Sin(2*math.Pi*p[0]/mm) * math.Sin(2*math.Pi*p[1]/mm+1) * math.Sin(2*math.Pi*p[2]/mm+2)
}

// Whatever two scans differ in beside what is looked for, the lungs must be brought together, or the case held. A field
// that is off by centimetres and not in doubt gives a patient the wrong answer.
func TestRobust(t *testing.T) {
	if testing.Short() {
		t.Skip("registers a dozen chests")
	}
	for _, tc := range []struct {
		name   string
		scans  func(t *testing.T) twoScans
		doubts bool // the case may be in doubt, if it is as good as the others
	}{
		{name: "nothing", scans: plainPair},
		{name: "tables 600 mm apart", scans: func(t *testing.T) twoScans {
			s := plainPair(t)
			s.moveTable(volume.Vec{300, -220, 480})
			return s
		}},
		{name: "narrow field of view against wide", scans: func(t *testing.T) twoScans {
			s := plainPair(t)
			lo, hi, _ := s.fixedLung.Around(0)
			s.fixed, s.fixedLung = s.fixed.Crop(lo, hi), s.fixedLung.Crop(lo, hi)
			return s
		}},
		{name: "upper half against whole", scans: func(t *testing.T) twoScans {
			s := plainPair(t)
			lo, hi := box(s.movingLung)
			first := int(s.moving.Index(volume.Vec{0, 0, (lo[2] + hi[2]) / 2})[2])
			from, to := [3]int{0, 0, first}, [3]int{s.moving.Size[0] - 1, s.moving.Size[1] - 1, s.moving.Size[2] - 1}
			s.moving, s.movingLung = s.moving.Crop(from, to), s.movingLung.Crop(from, to)
			return s
		}},
		{name: "whole against lower two thirds", scans: func(t *testing.T) twoScans {
			s := plainPair(t)
			lo, hi := box(s.fixedLung)
			last := int(s.fixed.Index(volume.Vec{0, 0, lo[2] + (hi[2]-lo[2])*2/3})[2])
			to := [3]int{s.fixed.Size[0] - 1, s.fixed.Size[1] - 1, last}
			s.fixed, s.fixedLung = s.fixed.Crop([3]int{}, to), s.fixedLung.Crop([3]int{}, to)
			return s
		}},
		{name: "slices of 1 mm against 5 mm", scans: func(t *testing.T) twoScans {
			s := plainPair(t)
			p, err := thinPair()
			if err != nil {
				t.Fatal(err)
			}
			s.fixed, s.fixedLung = p.Post.Volume, p.LungPost
			s.moving, s.movingLung = thicker(p.Pre.Volume, 5), thickerMask(p.LungPre, 5)
			return s
		}},
		{name: "contrast medium in one scan", scans: func(t *testing.T) twoScans {
			s := plainPair(t)
			lo, hi := box(s.movingLung)
			change(s.moving, func(p volume.Vec, hu float32) float32 {
				inside := true
				for a := range 3 {
					inside = inside && p[a] > lo[a] && p[a] < hi[a]
				}
				if inside && hu > -100 && hu < 150 {
					return hu + 150
				}
				return hu
			})
			return s
		}},
		{name: "breathing of 20 mm", scans: func(t *testing.T) twoScans {
			p, err := phantom.Pair(context.Background(), phantom.Options{Seed: 74, Size: 128, SliceMM: 3, BreathingMM: 20})
			if err != nil {
				t.Fatal(err)
			}
			s := twoScans{fixed: p.Post.Volume, moving: p.Pre.Volume, fixedLung: p.LungPost, movingLung: p.LungPre, truth: p.ToPre}
			for _, l := range p.Landmarks {
				s.points = append(s.points, l.Post)
			}
			return s
		}},
		{name: "lung that slides along the wall, noisy", scans: func(t *testing.T) twoScans {
			p := plainPair(t)
			c, err := phantom.Moved(context.Background(), p.moving, phantom.MovedOptions{Seed: 75, Sliding: true, SpacingMM: 3})
			if err != nil {
				t.Fatal(err)
			}
			s := twoScans{fixed: c.Fixed, moving: c.Moving, fixedLung: c.FixedLung, movingLung: c.MovingLung, truth: c.ToPre}
			for _, l := range c.TestPoints {
				s.points = append(s.points, l.Post)
			}
			return s
		}},
		{name: "noise of 120 HU in one scan", scans: func(t *testing.T) twoScans {
			s := plainPair(t)
			r := rand.New(rand.NewPCG(5, 6))
			change(s.fixed, func(_ volume.Vec, hu float32) float32 { return hu + float32(120*r.NormFloat64()) })
			return s
		}},
		{name: "a gap of 24 mm filled with air", scans: func(t *testing.T) twoScans {
			s := plainPair(t)
			lo, hi := box(s.movingLung)
			middle := (lo[2]+hi[2])/2 - 15
			gap := func(p volume.Vec) bool { return math.Abs(p[2]-middle) < 12 }
			change(s.moving, func(p volume.Vec, hu float32) float32 {
				if gap(p) {
					return -1024
				}
				return hu
			})
			leave(s.movingLung, func(p volume.Vec) bool { return !gap(p) })
			s.points = slices.DeleteFunc(s.points, func(p volume.Vec) bool { return math.Abs(s.truth(p)[2]-middle) < 12+15 })
			return s
		}},
		{name: "metal with streaks", scans: func(t *testing.T) twoScans {
			s := plainPair(t)
			lo, hi := box(s.fixedLung)
			at := volume.Vec{hi[0] + 6, (lo[1] + hi[1]) / 2, (lo[2]+hi[2])/2 + 20}
			change(s.fixed, func(p volume.Vec, hu float32) float32 {
				d := apart(p, at)
				if d < 6 {
					return 3000
				}
				if math.Abs(p[2]-at[2]) < 7 {
					angle := math.Atan2(p[1]-at[1], p[0]-at[0])
					hu += float32(500 * math.Sin(24*angle) * math.Exp(-d/150))
				}
				return max(hu, -1024)
			})
			return s
		}},
		{name: "consolidated dependent lung", scans: func(t *testing.T) twoScans {
			s := plainPair(t)
			lo, hi := box(s.fixedLung)
			full := s.fixedLung.Clone()
			level := lo[1] + 0.8*(hi[1]-lo[1]) // posterior
			airless := func(p volume.Vec) bool { return p[1] > level }
			change(s.fixed, func(p volume.Vec, hu float32) float32 {
				x := full.Index(p)
				if airless(p) && full.Data[full.Offset(int(x[0]+0.5), int(x[1]+0.5), int(x[2]+0.5))] != 0 {
					return 30 + float32(15*ripple(p, 9))
				}
				return hu
			})
			leave(s.fixedLung, func(p volume.Vec) bool { return !airless(p) })
			s.points = slices.DeleteFunc(s.points, airless)
			return s
		}, doubts: true},
		{name: "coronal slices", scans: func(t *testing.T) twoScans {
			s := plainPair(t)
			s.onGrid(volume.Geometry{
				Size: [3]int{130, 100, 88}, Spacing: [3]float64{2.7, 2.7, 3.5}, Origin: s.moving.Point(volume.Vec{0, 112, 92}),
				Direction: [3]volume.Vec{{1, 0, 0}, {0, 0, -1}, {0, -1, 0}},
			})
			return s
		}},
		{name: "tilted gantry", scans: func(t *testing.T) twoScans {
			s := plainPair(t)
			g := volume.Axial([3]int{150, 150, 82}, [3]float64{2.4, 2.4, 4}, volume.Vec{})
			sin, cos := math.Sincos(15 * math.Pi / 180)
			g.Direction = [3]volume.Vec{{1, 0, 0}, {0, cos, sin}, {0, -sin, cos}}
			middle := g.Point(volume.Vec{74.5, 74.5, 40.5})
			lo, hi := box(s.movingLung)
			for a := range 3 {
				g.Origin[a] = (lo[a]+hi[a])/2 - middle[a]
			}
			s.onGrid(g)
			return s
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := tc.scans(t)
			mean, p95, doubts := s.register(t, robustSpacing)
			t.Logf("%.2f/%.2f mm, doubts %v", mean, p95, doubts)
			if mean > robustMean || p95 > robustP95 {
				t.Errorf("the field is off by %.2f mm (95th percentile %.2f mm), at most %g and %g are allowed", mean, p95, robustMean, robustP95)
			}
			if len(doubts) > 0 && !tc.doubts {
				t.Errorf("in doubt: %v", doubts)
			}
		})
	}
}

// Scans of two patients must not be brought together without a word, however well their lungs can be made to overlap.
func TestTwoPatientsAreInDoubt(t *testing.T) {
	if testing.Short() {
		t.Skip("registers two chests")
	}
	s := plainPair(t)
	other, err := phantom.Pair(context.Background(), phantom.Options{Seed: 81, Size: 128, SliceMM: 3})
	if err != nil {
		t.Fatal(err)
	}
	s.moving, s.movingLung = other.Pre.Volume, other.LungPre
	_, _, doubts := s.register(t, 2)
	t.Logf("%v", doubts)
	if len(doubts) == 0 {
		t.Error("two patients, no doubt")
	}
}

// register runs both parts and returns the error of the field at the points that both scans show, and the doubts.
func (s twoScans) register(t *testing.T, spacing float64) (mean, p95 float64, doubts []string) {
	t.Helper()
	ctx := context.Background()
	l, err := register.Linear(ctx, s.fixed, s.moving, s.fixedLung, s.movingLung, register.LinearOptions{SpacingMM: spacing})
	if err != nil {
		t.Fatal(err)
	}
	if l.Fallback {
		doubts = append(doubts, "fallback: "+strings.Join(l.Reasons, "; "))
	}
	if det, deg := l.Det(), l.RotationDeg(); !(det >= 0.5 && det <= 2 && deg <= 30) {
		t.Errorf("the linear part has determinant %g and turns by %g degrees", det, deg)
	}
	f, q, err := register.Deformable(ctx, s.fixed, s.moving, s.fixedLung, s.movingLung, l.Affine, register.DeformableOptions{SpacingMM: spacing})
	if err != nil {
		t.Fatal(err)
	}
	doubts = append(doubts, q.Doubts()...)
	var e []float64
	for _, p := range s.points {
		x := s.truth(p)
		if shows(s.fixed.Geometry, p) && shows(s.moving.Geometry, x) && f.Defined(p) {
			e = append(e, apart(f.Map(p), x))
		}
	}
	if len(e) < 50 {
		t.Fatalf("%d points to judge by", len(e))
	}
	slices.Sort(e)
	for _, x := range e {
		mean += x / float64(len(e))
	}
	return mean, e[len(e)*95/100], doubts
}

// shows reports whether a point lies within a scan, a voxel inside its rim.
func shows(g volume.Geometry, p volume.Vec) bool {
	x := g.Index(p)
	for a := range 3 {
		if x[a] < 1 || x[a] > float64(g.Size[a]-2) {
			return false
		}
	}
	return true
}
