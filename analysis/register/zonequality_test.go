package register

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"rfanode/analysis/volume"
)

// ballMask is a ball on a grid.
func ballMask(g volume.Geometry, c volume.Vec, r float64) *volume.Mask {
	m := volume.NewMask(g)
	for k := range g.Size[2] {
		for j := range g.Size[1] {
			for i := range g.Size[0] {
				if norm(sub(g.Point(volume.Vec{float64(i), float64(j), float64(k)}), c)) <= r {
					m.Data[g.Offset(i, j, k)] = 1
				}
			}
		}
	}
	return m
}

// Beside the coverage stands how the registration fared at the zone: a reader who is told that it neither folds nor
// inflates there must be told the truth.
func TestNearZone(t *testing.T) {
	c := newChest(41)
	fixed, lung := fixedScan(c)
	// Everything is 20 % longer in moving along S than in fixed: det 1.2.
	truth := Translation(volume.Vec{12, -7, 30})
	truth.M[2][2] = 1.2
	back, err := truth.Inverse()
	if err != nil {
		t.Fatal(err)
	}
	mg := volume.Axial([3]int{82, 62, 76}, [3]float64{2.2, 2.2, 3}, volume.Vec{-78, -76, -84})
	moving, _ := c.scan(mg, back, 15, 13)
	centre := volume.Vec{-36, 2, 5}
	zone := ballMask(fixed.Geometry, centre, 12)
	tumour := ballMask(mg, truth.Map(centre), 9)
	nodes := volume.Axial([3]int{24, 19, 26}, [3]float64{8, 8, 8}, volume.Vec{-92, -72, -100})
	right, err := Sampled(context.Background(), truth, Translation(truth.T), nodes)
	if err != nil {
		t.Fatal(err)
	}
	in := ZoneInput{Fixed: fixed, Moving: moving, Zone: zone, Lung: lung, Tumour: tumour}
	q, err := right.NearZone(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(q.Min-1.2) > 1e-3 || math.Abs(q.Max-1.2) > 1e-3 || q.FoldingPercent != 0 {
		t.Errorf("determinant %.4f to %.4f, folding %.2f %%; it is 1.2 everywhere", q.Min, q.Max, q.FoldingPercent)
	}
	// Counted on 1 mm: a ball of 9 mm has 3054 voxels, whose number is uncertain by about 1 %.
	if math.Abs(q.TumourRatio*1.2-1) > 0.02 {
		t.Errorf("the tumour's volume × %.3f, should be × %.3f", q.TumourRatio, 1/1.2)
	}
	if q.RingVoxels < 500 || q.BitsAfter > 0.8*q.BitsBefore || len(q.Doubts()) > 0 {
		t.Errorf("ring of %d voxels, bits %.2f before and %.2f after, doubts %v", q.RingVoxels, q.BitsBefore, q.BitsAfter, q.Doubts())
	}
	for o := range zone.Data {
		if zone.Data[o] != 0 && in.Lung.Data[o] == 0 {
			t.Fatal("the zone should lie in the lung")
		}
	}

	still := &Field{Affine: right.Affine, Grid: nodes, U: make([][3]float32, nodes.Len())}
	if q, err = still.NearZone(context.Background(), in); err != nil || q.BitsAfter != q.BitsBefore || len(q.Doubts()) != 1 {
		t.Errorf("a field that moves nothing: %+v, %v, doubts %v", q, err, q.Doubts())
	}

	// One node near the zone thrown over the next ones.
	folded := &Field{Affine: right.Affine, Grid: nodes, U: append([][3]float32(nil), right.U...)}
	at := nodes.Index(add(centre, volume.Vec{0, 16, 0}))
	folded.U[nodes.Offset(int(at[0]+0.5), int(at[1]+0.5), int(at[2]+0.5))][0] += 20
	if q, err = folded.NearZone(context.Background(), in); err != nil || q.Min > 0 || q.FoldingPercent == 0 || !strings.Contains(strings.Join(q.Doubts(), " "), "folds") {
		t.Errorf("a folded field: %+v, %v, doubts %v", q, err, q.Doubts())
	}

	// What is not known to the field does not count, and that is said.
	nowhere := &Field{Affine: right.Affine, Grid: nodes, U: right.U, Known: make([]uint8, nodes.Len())}
	in.Tumour = nil
	if q, err = nowhere.NearZone(context.Background(), in); err != nil || q.RingVoxels != 0 || q.Points != 0 || !math.IsNaN(q.BitsAfter+q.TumourRatio) || len(q.Doubts()) != 1 {
		t.Errorf("a field known nowhere: %+v, %v, doubts %v", q, err, q.Doubts())
	}
}

func TestNearZoneRefusesUnusableInput(t *testing.T) {
	c := newChest(43)
	v, lung := fixedScan(c)
	f := &Field{Affine: Identity(), Grid: volume.Axial([3]int{4, 4, 4}, [3]float64{40, 40, 60}, volume.Vec{-60, -60, -90}), U: make([][3]float32, 64)}
	zone, empty := ballMask(v.Geometry, volume.Vec{-36, 0, 0}, 10), volume.NewMask(v.Geometry)
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	run := func(ctx context.Context, in ZoneInput) error {
		_, err := f.NearZone(ctx, in)
		return err
	}
	ctx := context.Background()
	for _, tc := range []struct {
		name, want string
		err        error
	}{
		{"empty zone", "zone", run(ctx, ZoneInput{Fixed: v, Moving: v, Zone: empty, Lung: lung})},
		{"empty tumour", "tumour", run(ctx, ZoneInput{Fixed: v, Moving: v, Zone: zone, Lung: lung, Tumour: empty})},
		{"no moving", "moving", run(ctx, ZoneInput{Fixed: v, Zone: zone})},
		{"cancelled", "canceled", run(gone, ZoneInput{Fixed: v, Moving: v, Zone: zone, Lung: lung})},
	} {
		if tc.err == nil || !strings.Contains(tc.err.Error(), tc.want) || errors.Is(tc.err, context.Canceled) != (tc.name == "cancelled") {
			t.Errorf("%s: got %v", tc.name, tc.err)
		}
	}
}
