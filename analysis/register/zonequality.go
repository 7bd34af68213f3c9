package register

import (
	"context"
	"fmt"
	"math"
	"math/bits"

	"rfanode/analysis/volume"
)

// Where NearZone looks, mm from the surface voxels of the zone.
const (
	zoneNearMM      = 20.0 // the determinant, zone included
	zoneRingInnerMM = 5.0  // the descriptors: nearer ones see the zone itself
	zoneRingOuterMM = 25.0
)

// tumourStepMM is the grid on which the volume of a moved tumour is counted.
const tumourStepMM = 1.0

// ZoneQuality says how good a field is round an ablation zone. A figure without voxels to rest on is NaN.
type ZoneQuality struct {
	Folding             // determinant of the map in lung within 20 mm of the zone, and in the zone
	RingVoxels  int     // voxels of lung 5 to 25 mm from the zone that both scans show, on a grid of 2 mm
	BitsBefore  float64 // descriptor bits that differ in a voxel of that ring under the affine alone, 0 to 60
	BitsAfter   float64 // and under the field
	TumourRatio float64 // volume of the tumour of moving as the field carries it into fixed, over its own. For information only: near a zone a field inflates the tumour, see Local
}

// ZoneInput is what NearZone looks at.
type ZoneInput struct {
	Fixed, Moving *volume.Volume // the scans that the field brings together
	Zone          *volume.Mask   // in fixed, on any grid
	Lung          *volume.Mask   // of fixed, on any grid; nil: wherever the field is known
	Tumour        *volume.Mask   // in moving, on any grid; nil: TumourRatio is NaN
}

// Doubts says in plain words why the field should not be believed near the zone; none if it may be.
func (q ZoneQuality) Doubts() []string {
	var d []string
	if q.Points > 0 && q.Min <= 0 {
		d = append(d, fmt.Sprintf("the registration folds within %g mm of the zone", zoneNearMM))
	}
	switch {
	case q.RingVoxels == 0:
		d = append(d, "there is no lung round the zone that both scans show")
	case q.BitsAfter >= q.BitsBefore && q.BitsBefore > 0:
		d = append(d, "round the zone the scans do not become more alike by the registration")
	}
	return d
}

// NearZone measures f near an ablation zone. It works on the surroundings of the zone only, a few hundred thousand
// voxels. Errors: unusable volumes, an empty zone or tumour, ctx done.
func (f *Field) NearZone(ctx context.Context, in ZoneInput) (ZoneQuality, error) {
	q := ZoneQuality{BitsBefore: math.NaN(), BitsAfter: math.NaN(), TumourRatio: math.NaN()}
	if err := usable("fixed", in.Fixed); err != nil {
		return q, err
	}
	if err := usable("moving", in.Moving); err != nil {
		return q, err
	}
	lo, hi, ok := in.Zone.Bounds()
	if !ok {
		return q, fmt.Errorf("register: the zone near which the field is to be judged is empty")
	}
	a, b := bounds(in.Zone.Geometry, lo, hi)
	g := gridAround(defaultSpacingMM, zoneRingOuterMM+4*defaultSpacingMM, a, b)
	zone := volume.ResampleNearest(in.Zone, g)
	near, ring := f.aroundZone(in, zone)
	var err error
	if q.Folding, err = FoldingIn(ctx, f, near); err != nil {
		return q, err
	}
	if err := f.compareRing(ctx, &q, in, zone, ring); err != nil {
		return q, err
	}
	if in.Tumour != nil {
		q.TumourRatio, err = f.volumeRatio(ctx, in.Tumour)
	}
	return q, err
}

// aroundZone marks, on the grid of zone, where the determinant and where the descriptors are looked at.
func (f *Field) aroundZone(in ZoneInput, zone *volume.Mask) (near, ring *volume.Mask) {
	g := zone.Geometry
	near, ring = volume.NewMask(g), volume.NewMask(g)
	lung := ones(g.Len())
	if in.Lung != nil {
		lung = volume.ResampleNearest(in.Lung, g).Data
	}
	fixed, moving := image{scanned: in.Fixed.Geometry}, image{scanned: in.Moving.Geometry}
	distance := volume.Distance(zone)
	for k := range g.Size[2] {
		for j := range g.Size[1] {
			for i := range g.Size[0] {
				o := g.Offset(i, j, k)
				d := distance.Data[o]
				if d > zoneRingOuterMM || lung[o]|zone.Data[o] == 0 {
					continue
				}
				p := g.Point(volume.Vec{float64(i), float64(j), float64(k)})
				if !f.Defined(p) {
					continue
				}
				if d <= zoneNearMM {
					near.Data[o] = 1
				}
				if d >= zoneRingInnerMM && fixed.inside(p) && moving.inside(f.Map(p)) && moving.inside(f.Affine.Map(p)) {
					ring.Data[o] = 1
				}
			}
		}
	}
	return near, ring
}

// compareRing compares the descriptors of both scans in the ring, under the affine and under the field.
func (f *Field) compareRing(ctx context.Context, q *ZoneQuality, in ZoneInput, zone, ring *volume.Mask) error {
	if q.RingVoxels = ring.Count(); q.RingVoxels == 0 {
		return nil
	}
	g, threads := zone.Geometry, threadCount(0)
	fs, ms := sliceSmoothing(in.Fixed.Geometry, in.Moving.Geometry, defaultSpacingMM)
	fixed := newImage(in.Fixed, g, fs, in.Zone)
	lo, hi := mappedBounds(f.Affine, g)
	moving := newImage(in.Moving, gridAround(defaultSpacingMM, f.reach(g), lo, hi), ms, nil)
	warp, ref, code := fixed.blank(), make([]uint64, g.Len()), make([]uint64, g.Len())
	if err := mind(ctx, ref, fixed, 1, threads); err != nil {
		return err
	}
	for _, side := range []struct {
		t   Transform
		out *float64
	}{{f.Affine, &q.BitsBefore}, {f, &q.BitsAfter}} {
		if err := moving.through(ctx, warp, side.t, threads); err != nil {
			return err
		}
		if err := mind(ctx, code, warp, 1, threads); err != nil {
			return err
		}
		sum := 0
		for o, in := range ring.Data {
			if in != 0 {
				sum += bits.OnesCount64(ref[o] ^ code[o])
			}
		}
		*side.out = float64(sum) / float64(q.RingVoxels)
	}
	return nil
}

// through writes m at t of every voxel of out; what lies outside of m becomes air.
func (m *image) through(ctx context.Context, out *image, t Transform, threads int) error {
	return parallel(ctx, threads, out.Size[2], func(_, k int) {
		for j := range out.Size[1] {
			dst := out.data[out.Offset(0, j, k):][:out.Size[0]]
			for i := range dst {
				p := m.Index(t.Map(out.Point(volume.Vec{float64(i), float64(j), float64(k)})))
				dst[i] = uint16(trilinear(m.data, m.Size, p[0], p[1], p[2], 0) + 0.5)
			}
		}
	})
}

// reach is the greatest displacement beyond the affine within g, in mm of moving, rounded up.
func (f *Field) reach(g volume.Geometry) float64 {
	most := 0.0
	lo, hi := bounds(g, [3]int{}, [3]int{g.Size[0] - 1, g.Size[1] - 1, g.Size[2] - 1})
	for k := range f.Grid.Size[2] {
		for j := range f.Grid.Size[1] {
			for i := range f.Grid.Size[0] {
				p := f.Grid.Point(volume.Vec{float64(i), float64(j), float64(k)})
				within := true
				for a := range 3 {
					// A point between the nodes takes from those one spacing away.
					s := max(f.Grid.Spacing[0], f.Grid.Spacing[1], f.Grid.Spacing[2])
					within = within && p[a] >= lo[a]-s && p[a] <= hi[a]+s
				}
				if within {
					u := f.U[f.Grid.Offset(i, j, k)]
					most = max(most, norm(sub(f.Affine.Map(volume.Vec{float64(u[0]), float64(u[1]), float64(u[2])}), f.Affine.T)))
				}
			}
		}
	}
	return math.Ceil(most) + 1
}

// volumeRatio is the volume that a mask of moving has when the field carries it into fixed, over its own, both counted
// on the same smooth surface.
func (f *Field) volumeRatio(ctx context.Context, m *volume.Mask) (float64, error) {
	lo, hi, ok := m.Around(2 * max(m.Spacing[0], m.Spacing[1], m.Spacing[2]))
	if !ok {
		return math.NaN(), fmt.Errorf("register: the tumour whose moved volume is to be measured is empty")
	}
	back, err := f.Affine.Inverse()
	if err != nil {
		return math.NaN(), err
	}
	level := volume.SignedDistance(m.Crop(lo, hi))
	a, b := bounds(level.Geometry, [3]int{}, [3]int{level.Size[0] - 1, level.Size[1] - 1, level.Size[2] - 1})
	own, err := insideCount(ctx, level, Identity(), gridAround(tumourStepMM, 0, a, b))
	if err != nil {
		return math.NaN(), err
	}
	ml, mh := mappedBounds(back, level.Geometry)
	most := 0.0
	for _, u := range f.U {
		most = max(most, norm(volume.Vec{float64(u[0]), float64(u[1]), float64(u[2])}))
	}
	carried, err := insideCount(ctx, level, f, gridAround(tumourStepMM, most, ml, mh))
	return float64(carried) / float64(own), err
}

// insideCount counts the voxels of g that t puts where level is above 0.
func insideCount(ctx context.Context, level *volume.Volume, t Transform, g volume.Geometry) (int, error) {
	counts := make([]int, g.Size[2])
	err := parallel(ctx, threadCount(0), g.Size[2], func(_, k int) {
		for j := range g.Size[1] {
			for i := range g.Size[0] {
				p := t.Map(g.Point(volume.Vec{float64(i), float64(j), float64(k)}))
				if level.At(level.Index(p), -1) > 0 {
					counts[k]++
				}
			}
		}
	})
	n := 0
	for _, c := range counts {
		n += c
	}
	return n, err
}
