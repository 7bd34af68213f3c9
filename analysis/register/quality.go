package register

import (
	"context"
	"math/bits"

	"rfanode/analysis/volume"
)

// Quality says how well a transform fits, without landmarks.
type Quality struct {
	LungDice       float64 // overlap 2|A∩B|/(|A|+|B|) of the lungs where both scans reach, 0 to 1
	BitsBefore     float64 // descriptor bits that differ in a lung voxel when the lungs are only shifted onto each other, 0 to 60
	BitsAfter      float64 // the same under the transform
	RotationDegree float64 // angle of the nearest rotation, degrees
	VolumeScale    float64 // determinant of the linear part
}

// quality measures an affine on the fixed grid.
func (w *linearWork) quality(ctx context.Context, a Affine) (Quality, error) {
	q := Quality{RotationDegree: a.RotationDeg(), VolumeScale: a.Det()}
	q.LungDice = lungDice(w.f, w.m, a)
	var err error
	if q.BitsBefore, err = w.bits(ctx, Translation(sub(w.m.mid, w.f.mid))); err != nil {
		return q, err
	}
	q.BitsAfter, err = w.bits(ctx, a)
	return q, err
}

// lungDice compares the fixed lung with the moving lung seen through a, among the points that both scans hold.
func lungDice(f, m *side, a Affine) float64 {
	g := f.image.Geometry
	at := linearSampler(g, m.image.Geometry, a)
	both, sum := 0, 0
	for k := range g.Size[2] {
		for j := range g.Size[1] {
			for i := range g.Size[0] {
				p := at.at(float64(i), float64(j), float64(k))
				if !m.image.inside(m.image.Point(p)) {
					continue
				}
				x := int(f.lung[g.Offset(i, j, k)])
				y := int(trilinear(m.lung, m.image.Size, p[0], p[1], p[2], 0) + 0.5)
				both += x * y
				sum += x + y
			}
		}
	}
	if sum == 0 {
		return 0
	}
	return 2 * float64(both) / float64(sum)
}

// bits is the mean descriptor distance over the fixed lung that both scans show, under a.
func (w *linearWork) bits(ctx context.Context, a Affine) (float64, error) {
	g := w.f.image.Geometry
	w.prepare(g)
	if err := w.m.image.warped(ctx, &w.warp, a, w.threads); err != nil {
		return 0, err
	}
	if err := mind(ctx, w.ref, w.f.image, 1, w.threads); err != nil {
		return 0, err
	}
	if err := mind(ctx, w.search, &w.warp, 1, w.threads); err != nil {
		return 0, err
	}
	return meanBits(w.ref, w.search, g, w.f.lung, func(p volume.Vec) bool { return w.m.image.inside(a.Map(p)) }), nil
}

// meanBits is the number of bits in which the descriptors of a voxel differ, over the voxels of the lung at whose place
// the other scan shows anything: beyond its end there is nothing to be alike.
func meanBits(x, y []uint64, g volume.Geometry, lung []uint8, shown func(volume.Vec) bool) float64 {
	sum, n := 0, 0
	for k := range g.Size[2] {
		for j := range g.Size[1] {
			row := g.Offset(0, j, k)
			for i, in := range lung[row:][:g.Size[0]] {
				if in != 0 && shown(g.Point(volume.Vec{float64(i), float64(j), float64(k)})) {
					sum += bits.OnesCount64(x[row+i] ^ y[row+i])
					n++
				}
			}
		}
	}
	return float64(sum) / float64(max(n, 1))
}
