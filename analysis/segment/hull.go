package segment

import "rfanode/analysis/volume"

// The hull closes each lung within its slices, so that tumours on the pleura are inside. A disc that rolls along the
// outside fills a gap well only if it is much wider than the gap. Along the ribs the lung is convex and a wide disc adds
// nothing but such gaps; at hilum and heart it would add the mediastinum.
const (
	hullMM       = 10
	costalHullMM = 30
	costalMM     = 20 // depth below the convex hull of both lungs that counts as along the ribs
)

// lungHull returns the hull of one lung; costal is what lies along the ribs.
func lungHull(lung, costal *volume.Mask) *volume.Mask {
	return volume.Union(closeInSlices(lung, hullMM), volume.Intersect(closeInSlices(lung, costalHullMM), costal))
}

// costalLayer is the outer costalMM of the convex hull, slice by slice, of both lungs.
func costalLayer(lungs *volume.Mask) *volume.Mask {
	return inSlices(lungs, func(s *volume.Mask) *volume.Mask {
		if s.Count() == 0 {
			return s
		}
		c := convexHull(s)
		return volume.Subtract(c, volume.Erode(c, costalMM))
	})
}

// convexHull fills the convex hull of the voxels of one slice.
func convexHull(s *volume.Mask) *volume.Mask {
	nx, ny := s.Size[0], s.Size[1]
	lo, hi := make([]int, 0, ny), make([]int, 0, ny) // chains of the rows that carry the left and the right side
	first, last := make([]int, ny), make([]int, ny)
	for j := range ny {
		first[j], last[j] = nx, -1
		for i, x := range s.Data[j*nx : (j+1)*nx] {
			if x != 0 {
				first[j], last[j] = min(first[j], i), i
			}
		}
		if last[j] < 0 {
			continue
		}
		lo = extend(lo, first, j, 1)
		hi = extend(hi, last, j, -1)
	}
	out := volume.NewMask(s.Geometry)
	if len(lo) == 0 {
		return out
	}
	for j := lo[0]; j <= lo[len(lo)-1]; j++ {
		left, right := alongChain(lo, first, j), alongChain(hi, last, j)
		for i := range nx {
			if float64(i) >= left-1e-9 && float64(i) <= right+1e-9 {
				out.Data[j*nx+i] = 1
			}
		}
	}
	return out
}

// extend adds row j to a chain that must stay convex; sign 1 for the left side, -1 for the right.
func extend(chain []int, x []int, j, sign int) []int {
	for len(chain) >= 2 {
		a, b := chain[len(chain)-2], chain[len(chain)-1]
		if sign*((x[b]-x[a])*(j-a)-(x[j]-x[a])*(b-a)) < 0 {
			break
		}
		chain = chain[:len(chain)-1]
	}
	return append(chain, j)
}

// alongChain is the side's position in row j.
func alongChain(chain []int, x []int, j int) float64 {
	for n := 1; n < len(chain); n++ {
		if a, b := chain[n-1], chain[n]; j <= b {
			return float64(x[a]) + float64(x[b]-x[a])*float64(j-a)/float64(b-a)
		}
	}
	return float64(x[chain[0]])
}
