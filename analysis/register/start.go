package register

import (
	"context"
	"math/bits"

	"rfanode/analysis/volume"
)

// The search for the first translation.
const (
	startFactor  = 3    // voxels of the internal grid pooled into one: 6 mm
	startRadius  = 10   // labels each way: ±60 mm round the translation between the lungs' centroids
	startSamples = 4000 // lung voxels compared, at most about so many
	startInside  = 0.5  // share of them that must still lie inside the other scan
	startMiss    = 12.0 // bits a voxel that falls beside the other lung costs: a fifth of all
)

// startTranslation finds the translation to start from. The lungs' centroids give the first guess whatever the tables
// of the scanners; where a scan cuts the lungs off, their centroid lies elsewhere, so all translations round it are
// tried on a coarse grid, by descriptors and by the overlap of the lungs.
func startTranslation(ctx context.Context, f, m *side, threads int) (Affine, error) {
	t := sub(m.mid, f.mid)
	cf, cm := f.pooled(startFactor), m.pooled(startFactor)
	ref := make([]uint64, cf.image.Len())
	if err := mind(ctx, ref, cf.image, 1, threads); err != nil {
		return Affine{}, err
	}
	// The other image is described in a grid of its own, shifted so that whole voxels are the labels.
	a := Translation(t)
	grid := cf.image.Geometry
	reach := startRadius
	for ax := range 3 {
		grid.Size[ax] += 2 * reach
	}
	grid.Origin = grid.Point(volume.Vec{-float64(reach), -float64(reach), -float64(reach)})
	warp := &image{Geometry: grid, data: make([]uint16, grid.Len())}
	search := make([]uint64, grid.Len())
	if err := cm.image.warped(ctx, warp, a, threads); err != nil {
		return Affine{}, err
	}
	if err := mind(ctx, search, warp, 1, threads); err != nil {
		return Affine{}, err
	}
	lung := volume.ResampleNearest(&volume.Mask{Geometry: moved(cm.image.Geometry, t), Data: cm.lung}, grid).Data
	scan := make([]uint8, grid.Len())
	for k := range grid.Size[2] {
		for j := range grid.Size[1] {
			for i := range grid.Size[0] {
				if m.image.inside(a.Map(grid.Point(volume.Vec{float64(i), float64(j), float64(k)}))) {
					scan[grid.Offset(i, j, k)] = 1
				}
			}
		}
	}
	best, err := bestShift(ctx, cf, ref, search, lung, scan, grid, threads)
	if err != nil {
		return Affine{}, err
	}
	h := grid.Spacing[0]
	return Translation(add(t, volume.Vec{h * float64(best[0]), h * float64(best[1]), h * float64(best[2])})), nil
}

// moved is the grid of moving as seen from fixed, when fixed + t is moving.
func moved(g volume.Geometry, t volume.Vec) volume.Geometry {
	g.Origin = sub(g.Origin, t)
	return g
}

// bestShift tries all shifts of up to startRadius voxels and returns the one with the least cost, 0 if none is allowed.
func bestShift(ctx context.Context, f *side, ref, search []uint64, lung, scan []uint8, grid volume.Geometry, threads int) ([3]int, error) {
	type sample struct {
		code uint64
		at   int // offset in grid at shift -startRadius
	}
	var all []sample
	g := f.image.Geometry
	for k := range g.Size[2] {
		for j := range g.Size[1] {
			for i := range g.Size[0] {
				if o := g.Offset(i, j, k); f.lung[o] != 0 {
					all = append(all, sample{ref[o], grid.Offset(i, j, k)})
				}
			}
		}
	}
	step := max(1, len(all)/startSamples)
	l := labels{startRadius, 1}
	side := l.side()
	cost := make([]float64, l.len())
	err := parallel(ctx, threads, side*side, func(_, row int) {
		for di := range side {
			shift := grid.Offset(di, row%side, row/side)
			sum, miss, n, tried := 0, 0, 0, 0
			for s := 0; s < len(all); s += step {
				tried++
				o := all[s].at + shift
				if scan[o] == 0 {
					continue
				}
				n++
				sum += bits.OnesCount64(all[s].code ^ search[o])
				miss += 1 - int(lung[o])
			}
			cost[row*side+di] = 60 + startMiss
			if n > 0 && float64(n) >= startInside*float64(tried) {
				cost[row*side+di] = (float64(sum) + startMiss*float64(miss)) / float64(n)
			}
		}
	})
	if err != nil {
		return [3]int{}, err
	}
	best := l.len() / 2
	for n, c := range cost {
		if c < cost[best] {
			best = n
		}
	}
	return l.displacement(best), nil
}

// pooled is a side on a grid coarser by a whole factor: means of blocks of voxels.
func (s *side) pooled(factor int) *side {
	g := s.image.Geometry
	c := g
	for a := range 3 {
		c.Size[a] = max(1, g.Size[a]/factor)
		c.Spacing[a] = g.Spacing[a] * float64(factor)
	}
	half := float64(factor-1) / 2
	c.Origin = g.Point(volume.Vec{half, half, half})
	out := &side{image: &image{Geometry: c, data: make([]uint16, c.Len()), scanned: s.image.scanned}, lung: make([]uint8, c.Len()), mid: s.mid}
	for k := range c.Size[2] {
		for j := range c.Size[1] {
			for i := range c.Size[0] {
				grey, lung, n := 0, 0, 0
				for z := k * factor; z < min((k+1)*factor, g.Size[2]); z++ {
					for y := j * factor; y < min((j+1)*factor, g.Size[1]); y++ {
						for x := i * factor; x < min((i+1)*factor, g.Size[0]); x++ {
							o := g.Offset(x, y, z)
							grey += int(s.image.data[o])
							lung += int(s.lung[o])
							n++
						}
					}
				}
				o := c.Offset(i, j, k)
				out.image.data[o] = uint16((grey + n/2) / n)
				if 2*lung >= n {
					out.lung[o] = 1
				}
			}
		}
	}
	return out
}
