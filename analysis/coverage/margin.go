package coverage

import (
	"fmt"
	"math"
	"slices"

	"rfanode/analysis/volume"
)

// target gives PTV and the uncovered part, and the coverage ratios at 5 and 10 mm.
func target(tumour, zone *volume.Mask) (r Regions, tcr, tcr10 float64) {
	r = Regions{GTR: tumour, PTV: volume.Dilate(tumour, MarginMM), PTZ: zone}
	r.Uncovered = volume.Subtract(r.PTV, zone)
	return r, ratio(r.PTV, zone), ratio(volume.Dilate(tumour, WideMarginMM), zone)
}

// ratio is the share of a that lies in b.
func ratio(a, b *volume.Mask) float64 {
	all, both := 0, 0
	for n, x := range a.Data {
		all += int(x)
		both += int(x & b.Data[n])
	}
	if all == 0 {
		return 0
	}
	return float64(both) / float64(all)
}

// outsideScan is the share of the target's voxels whose centres lie outside the CT.
func outsideScan(target *volume.Mask, post volume.Geometry) float64 {
	all, out := 0, 0
	for n, x := range target.Data {
		if x == 0 {
			continue
		}
		all++
		idx := post.Index(voxelPoint(target.Geometry, n))
		for a := range 3 {
			if idx[a] < -0.5 || idx[a] > float64(post.Size[a])-0.5 {
				out++
				break
			}
		}
	}
	return float64(out) / float64(max(all, 1))
}

// pleuraField is the distance to the pleura on the fine grid, mm: > 0 in the lung, < 0 outside.
type pleuraField struct{ level []float32 }

// pleura measures the distance to the edge of the lung, tumour and zone counting as lung: a consolidated zone on the
// pleura is missing from any lung found by its air.
func (f *field) pleura(lung, tumour, zone *volume.Mask) pleuraField {
	post := lung.Geometry
	lo, hi := [3]int{}, [3]int{}
	from, to := cornerMM(post, f.Geometry)
	for a := range 3 {
		lo[a] = min(max(int((from[a]-pleuraReachMM)/post.Spacing[a]), 0), post.Size[a]-1)
		hi[a] = min(max(int((to[a]+pleuraReachMM)/post.Spacing[a])+1, lo[a]), post.Size[a]-1)
	}
	part := lung.Crop(lo, hi)
	for _, m := range []*volume.Mask{tumour, zone} {
		share, _ := volume.Fraction(m, part.Geometry) // the fine grid has the axes of post
		for n, x := range share.Data {
			if x >= 0.5 {
				part.Data[n] = 1
			}
		}
	}
	signed := volume.SignedDistance(part)
	level := make([]float32, f.Len())
	for n := range level {
		i, j, k := n%f.Size[0], n/f.Size[0]%f.Size[1], n/(f.Size[0]*f.Size[1])
		p := f.Point(volume.Vec{float64(i), float64(j), float64(k)})
		level[n] = signed.At(signed.Index(p), -pleuraReachMM)
	}
	return pleuraField{level}
}

// clipped is the coverage ratio of the target within the lung, tumour and zone united.
func clipped(r Regions, pleura pleuraField) float64 {
	target := r.PTV.Clone()
	for n := range target.Data {
		if pleura.level[n] <= 0 && r.GTR.Data[n] == 0 && r.PTZ.Data[n] == 0 {
			target.Data[n] = 0
		}
	}
	return ratio(target, r.PTZ)
}

// surfacePoint is a voxel of the tumour's surface with its margin in mm.
type surfacePoint struct {
	voxel  int
	margin float64
}

// margins gives the signed margin at every surface voxel of the tumour (one with a face neighbour outside): in the zone
// the distance to the nearest voxel outside it, else minus the distance to the nearest voxel of the zone.
func margins(tumour, zone *volume.Mask) []surfacePoint {
	outside := zone.Clone()
	for n := range outside.Data {
		outside.Data[n] ^= 1
	}
	toOutside, toZone := volume.Distance(outside), volume.Distance(zone)
	var out []surfacePoint
	for n, x := range tumour.Data {
		if x == 0 || !onSurface(tumour, n) {
			continue
		}
		s := surfacePoint{n, float64(toOutside.Data[n])}
		if zone.Data[n] == 0 {
			s.margin = -float64(toZone.Data[n])
		}
		out = append(out, s)
	}
	return out
}

func onSurface(m *volume.Mask, n int) bool {
	stride := 1
	for a := range 3 {
		i := n / stride % m.Size[a]
		if i == 0 || i == m.Size[a]-1 || m.Data[n-stride] == 0 || m.Data[n+stride] == 0 {
			return true
		}
		stride *= m.Size[a]
	}
	return false
}

// margins fills in the figures that the surface gives, and checks them against the coverage ratio.
func (r *Result) margins(surface []surfacePoint, pleura pleuraField) error {
	if len(surface) == 0 {
		return ErrNoTumour
	}
	values := make([]float64, 0, len(surface))
	for _, s := range surface {
		values = append(values, s.margin)
		if float64(pleura.level[s.voxel]) > pleuraNearMM && (r.MAMInLung == nil || s.margin < *r.MAMInLung) {
			m := s.margin
			r.MAMInLung = &m
		}
		band := 0
		for _, limit := range [3]float64{0, MarginMM, WideMarginMM} {
			if s.margin >= limit {
				band++
			}
		}
		r.MarginShare[band]++
	}
	for i := range r.MarginShare {
		r.MarginShare[i] /= float64(len(surface))
	}
	slices.Sort(values)
	r.MAM, r.MAMP5 = values[0], quantile(values, 0.05)
	if r.Complete != (r.MAM > MarginMM) {
		return fmt.Errorf("coverage: TCR %.6f and minimal margin %.3f mm contradict each other; this is a fault of the program", r.TCR, r.MAM)
	}
	return nil
}

// quantile of sorted values, linear between them (type 7 of Hyndman and Fan).
func quantile(sorted []float64, q float64) float64 {
	x := q * float64(len(sorted)-1)
	i := int(x)
	j := min(i+1, len(sorted)-1)
	return sorted[i] + (x-math.Floor(x))*(sorted[j]-sorted[i])
}
