package register

import (
	"context"
	"fmt"
	"math"
	"math/bits"
	"slices"

	"rfanode/analysis/volume"
)

// DeformableQuality says how good a field is, without landmarks. Figures are of the lung of fixed, on the internal grid.
type DeformableQuality struct {
	LungDice       float64 // overlap 2|A∩B|/(|A|+|B|) of the lungs under the field where both scans reach, 0 to 1
	LungDiceBefore float64 // and under the affine it started from
	BitsAfter      float64 // descriptor bits that differ in a voxel under the field, 0 to 60
	BitsBefore     float64 // and under the affine
	Likeness       float64 // bits that differ deep in the lung, over those between a voxel and lung 20 mm beside the place it is brought to; 1: no more alike than that, 0: no such lung
	InverseMeanMM  float64 // distance between a point and where forward and backward field bring it, mean, mm
	InverseP95MM   float64 // and 95th percentile
	MeanMM, MaxMM  float64 // size of the displacements beyond the affine
	Folding                // determinant of the whole map, affine included
}

// Limits beyond which a field is doubtful: those of TG-132 (Brock et al., Med Phys 44:e43, 2017) for distances, round
// numbers for the others.
const (
	maxFoldingPercent = 0.1
	maxInverseMM      = 2.0
	maxInverseP95MM   = 5.0
	minLungDice       = 0.90
	// maxLikeness: lungs that belong together leave 0.25 to 0.6, and 0.73 in the noisiest; lungs
	// that do not, 0.9 and more.
	maxLikeness = 0.85
)

// Where Likeness is measured: so deep in the lung, in voxels of the grid, that descriptors do not see its surface, which fits
// whatever the lung holds, and against places far enough to be another piece of lung.
const (
	deepVoxels  = 4.0
	elsewhereMM = 20.0
)

// Doubts says in plain words why a field should not be believed; none if it may be.
func (q DeformableQuality) Doubts() []string {
	var d []string
	if q.FoldingPercent > maxFoldingPercent {
		d = append(d, fmt.Sprintf("the registration folds in %.2f %% of the lung", q.FoldingPercent))
	}
	if q.InverseMeanMM > maxInverseMM || q.InverseP95MM > maxInverseP95MM {
		d = append(d, fmt.Sprintf("forward and backward registration disagree by %.1f mm (95th percentile %.1f mm)", q.InverseMeanMM, q.InverseP95MM))
	}
	if q.LungDice < minLungDice {
		d = append(d, fmt.Sprintf("the lungs overlap by %.2f only after registration", q.LungDice))
	}
	if q.Likeness > maxLikeness {
		d = append(d, fmt.Sprintf("lung is hardly more alike at its place than %g mm beside it (%.0f %% of the descriptor bits differ still): are these scans of one patient, lying the same way?", elsewhereMM, 100*q.Likeness))
	}
	if q.BitsAfter >= q.BitsBefore {
		d = append(d, "the scans do not become more alike by the registration")
	}
	return d
}

// quality measures the finished field. It reuses the scratch images.
func (w *deformWork) quality(ctx context.Context, f *Field) (DeformableQuality, error) {
	var q DeformableQuality
	var err error
	if err = mind(ctx, w.ref, w.fixed, 1, w.threads); err != nil {
		return q, err
	}
	if q.BitsBefore, err = w.bits(ctx, w.affine); err != nil {
		return q, err
	}
	if err = w.moving.warpedBy(ctx, w.warp, w.toMoving, w.u, w.threads); err != nil {
		return q, err
	}
	if q.BitsAfter, err = w.bits(ctx, w.warp); err != nil {
		return q, err
	}
	q.Likeness = w.likeness()
	still := newDisplacements(w.u.g, w.u.dims)
	q.LungDiceBefore = w.dice(still)
	q.LungDice = w.dice(w.u)
	w.distances(&q)
	q.Folding, err = FoldingIn(ctx, f, &volume.Mask{Geometry: w.fixed.Geometry, Data: w.lung})
	return q, err
}

// bits is the mean descriptor distance of fixed (in w.ref) and img over the lung that both scans show.
func (w *deformWork) bits(ctx context.Context, img *image) (float64, error) {
	if err := mind(ctx, w.code, img, 1, w.threads); err != nil {
		return 0, err
	}
	return meanBits(w.ref, w.code, w.fixed.Geometry, w.lung, func(p volume.Vec) bool { return w.moving.inside(w.start.Map(p)) }), nil
}

// likeness compares the descriptors of fixed (in w.ref) with those of the other scan (in w.code) at their place and
// elsewhereMM to each side of it along the axes, where both places are deep in both lungs.
func (w *deformWork) likeness() float64 {
	g := w.fixed.Geometry
	both := &volume.Mask{Geometry: g, Data: make([]uint8, g.Len())}
	for o := range both.Data {
		both.Data[o] = w.lung[o] & w.movingLung[o]
	}
	deep := volume.Erode(both, deepVoxels*g.Spacing[0]).Data
	far := int(math.Round(elsewhereMM / g.Spacing[0]))
	var here, there int
	for k := range g.Size[2] {
		for j := range g.Size[1] {
			for i := range g.Size[0] {
				o := g.Offset(i, j, k)
				if deep[o] == 0 {
					continue
				}
				own := bits.OnesCount64(w.ref[o] ^ w.code[o])
				stride := 1
				for a, x := range [3]int{i, j, k} {
					for _, d := range [2]int{-far, far} {
						if y := x + d; y >= 0 && y < g.Size[a] && deep[o+d*stride] != 0 {
							there += bits.OnesCount64(w.ref[o] ^ w.code[o+d*stride])
							here += own
						}
					}
					stride *= g.Size[a]
				}
			}
		}
	}
	return float64(here) / float64(max(there, 1))
}

// dice compares the lung of fixed with that of moving under displacements, where both scans reach.
func (w *deformWork) dice(u *displacements) float64 {
	g := w.fixed.Geometry
	line, nodes := make([][3]float32, g.Size[0]), make([][3]float32, u.dims[0])
	both, sum := 0, 0
	for k := range g.Size[2] {
		for j := range g.Size[1] {
			u.row(line, nodes, j, k)
			for i, d := range line {
				x, y, z := float64(i)+float64(d[0]), float64(j)+float64(d[1]), float64(k)+float64(d[2])
				if !w.moving.inside(w.moving.Point(w.toMoving.at(x, y, z))) {
					continue
				}
				a := int(w.lung[g.Offset(i, j, k)])
				b := int(trilinear(w.movingLung, g.Size, x, y, z, 0) + 0.5)
				both += a * b
				sum += a + b
			}
		}
	}
	if sum == 0 {
		return 0
	}
	return 2 * float64(both) / float64(sum)
}

// distances fills in the inverse consistency and the size of the displacements, over the lung.
func (w *deformWork) distances(q *DeformableQuality) {
	g := w.fixed.Geometry
	h := g.Spacing[0]
	var back []float64
	n := 0.0
	for k := range g.Size[2] {
		for j := range g.Size[1] {
			for i := range g.Size[0] {
				if w.lung[g.Offset(i, j, k)] == 0 {
					continue
				}
				x := volume.Vec{float64(i), float64(j), float64(k)}
				u := w.u.at(x)
				y := add(x, u)
				d := h * norm(u)
				q.MeanMM += d
				q.MaxMM = max(q.MaxMM, d)
				e := h * norm(add(u, w.v.at(y)))
				q.InverseMeanMM += e
				back = append(back, e)
				n++
			}
		}
	}
	if n == 0 {
		return
	}
	q.MeanMM /= n
	q.InverseMeanMM /= n
	slices.Sort(back)
	q.InverseP95MM = back[int(math.Ceil(0.95*n))-1]
}
