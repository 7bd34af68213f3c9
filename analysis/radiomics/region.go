package radiomics

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"rfanode/analysis/volume"
)

// region is the voxels of one label on the mask's own grid.
type region struct {
	g         volume.Geometry
	label     int
	low, size [3]int // box
	in        []bool // of the box
	n         int
	note      string // how the label was chosen, if that needs saying
}

func (r *region) has(i, j, k int) bool {
	i, j, k = i-r.low[0], j-r.low[1], k-r.low[2]
	if i < 0 || j < 0 || k < 0 || i >= r.size[0] || j >= r.size[1] || k >= r.size[2] {
		return false
	}
	return r.in[(k*r.size[1]+j)*r.size[0]+i]
}

// run is a stretch of voxels of one label in a row.
type run struct{ i, j, k, n, label int32 }

// readRegion reads a mask. label 0 means that none was named: 1, as in PyRadiomics, else the only one there is.
func readRegion(ctx context.Context, m source, label int) (*region, error) {
	g := m.geometry()
	var runs []run
	counts := map[int]int{}
	err := m.planes(ctx, func(k int, plane []float64) error {
		for j := range g.Size[1] {
			row := plane[j*g.Size[0]:][:g.Size[0]]
			for i := 0; i < len(row); {
				v := row[i]
				if v == 0 {
					i++
					continue
				}
				if math.IsNaN(v) || math.Abs(v) > math.MaxInt32 {
					return fmt.Errorf("the mask holds %g at voxel (%d, %d, %d): labels are whole numbers", v, i, j, k)
				}
				e := i + 1
				for e < len(row) && row[e] == v {
					e++
				}
				if l := int(v); l != 0 { // a fraction is cut off, as in PyRadiomics
					runs = append(runs, run{int32(i), int32(j), int32(k), int32(e - i), int32(l)})
					counts[l] += e - i
				}
				i = e
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	r := &region{g: g}
	if r.label, r.note, err = chooseLabel(counts, label); err != nil {
		return nil, err
	}
	r.n = counts[r.label]
	r.fill(runs)
	return r, nil
}

func chooseLabel(counts map[int]int, label int) (int, string, error) {
	if len(counts) == 0 {
		return 0, "", fmt.Errorf("the mask is empty: no voxel differs from 0")
	}
	labels := slices.Sorted(maps.Keys(counts))
	var list []string
	for i, l := range labels {
		if i == 20 {
			list = append(list, fmt.Sprintf("and %d more", len(labels)-i))
			break
		}
		list = append(list, fmt.Sprintf("%d (%d voxels)", l, counts[l]))
	}
	there := strings.Join(list, ", ")
	switch {
	case label != 0 && counts[label] > 0:
		return label, "", nil
	case label != 0:
		return 0, "", fmt.Errorf("the mask has no label %d: there are %s", label, there)
	case counts[1] > 0 && len(labels) > 1:
		return 1, "the mask has several labels, 1 is taken: there are " + there, nil
	case counts[1] > 0:
		return 1, "", nil
	case len(labels) == 1:
		return labels[0], fmt.Sprintf("the mask has no label 1, its only label %d is taken", labels[0]), nil
	}
	return 0, "", fmt.Errorf("the mask has several labels and none is named: name one of %s", there)
}

func (r *region) fill(runs []run) {
	low, high := [3]int{math.MaxInt, math.MaxInt, math.MaxInt}, [3]int{-1, -1, -1}
	for _, u := range runs {
		if int(u.label) != r.label {
			continue
		}
		for a, v := range [3]int32{u.i, u.j, u.k} {
			low[a], high[a] = min(low[a], int(v)), max(high[a], int(v))
		}
		high[0] = max(high[0], int(u.i+u.n-1))
	}
	r.low = low
	for a := range 3 {
		r.size[a] = high[a] - low[a] + 1
	}
	r.in = make([]bool, r.size[0]*r.size[1]*r.size[2])
	for _, u := range runs {
		if int(u.label) != r.label {
			continue
		}
		at := ((int(u.k)-low[2])*r.size[1]+int(u.j)-low[1])*r.size[0] + int(u.i) - low[0]
		for i := range int(u.n) {
			r.in[at+i] = true
		}
	}
}

// checkInside refuses a region whose box reaches beyond the image by more than a thousandth of a voxel.
func (r *region) checkInside(image volume.Geometry) error {
	var corner [2][3]float64
	for a := range 3 {
		corner[0][a] = float64(r.low[a]) - 0.5
		corner[1][a] = float64(r.low[a]+r.size[a]) - 0.5
	}
	p := newPlacing(r.g, image)
	var at [2][3]float64
	var mm [2]volume.Vec
	for c := range 2 {
		mm[c] = continuousPoint(r.g, corner[c])
		for i := range 3 {
			for j := range 3 {
				at[c][i] += p.index[i][j] * (mm[c][j] - image.Origin[j])
			}
		}
	}
	for a := range 3 {
		if min(at[0][a], at[1][a]) < -.5-1e-3 || max(at[0][a], at[1][a]) > float64(image.Size[a])-.5+1e-3 {
			return fmt.Errorf("the region lies partly outside the image: along axis %s it reaches from voxel %.2f to %.2f of the image, which has %d (from %.1f, %.1f, %.1f to %.1f, %.1f, %.1f mm)",
				"xyz"[a:a+1], min(at[0][a], at[1][a])+.5, max(at[0][a], at[1][a])-.5, image.Size[a],
				mm[0][0], mm[0][1], mm[0][2], mm[1][0], mm[1][1], mm[1][2])
		}
	}
	return nil
}

// onto samples the region on another grid by nearest neighbour: for the voxels of the box [low, low+size) of that grid.
func (r *region) onto(to volume.Geometry, low, size [3]int) []bool {
	out := make([]bool, size[0]*size[1]*size[2])
	p := newPlacing(to, r.g)
	n := 0
	for k := range size[2] {
		for j := range size[1] {
			l := p.line(j+low[1], k+low[2])
			for i := range size[0] {
				x := l.at(i+low[0], to.Size[0])
				out[n] = inside(x, r.g.Size) && r.has(nearest(x[0]), nearest(x[1]), nearest(x[2]))
				n++
			}
		}
	}
	return out
}

// boxOn is a box of another grid that holds every voxel onto can set.
func (r *region) boxOn(to volume.Geometry) (low, size [3]int) {
	first, last := cover(r.g, r.low, r.size, to)
	for a := range 3 {
		low[a] = min(max(first[a]-1, 0), to.Size[a])
		size[a] = max(min(last[a]+2, to.Size[a])-low[a], 0)
	}
	return low, size
}

// cover is the range of indices of grid to between which a box of grid from lies, the half voxel round its ends included.
func cover(from volume.Geometry, low, size [3]int, to volume.Geometry) (first, last [3]int) {
	lo, hi := [3]float64{math.Inf(1), math.Inf(1), math.Inf(1)}, [3]float64{math.Inf(-1), math.Inf(-1), math.Inf(-1)}
	for c := range 8 {
		var idx volume.Vec
		for a := range 3 {
			idx[a] = float64(low[a]) - 0.5
			if c>>a&1 == 1 {
				idx[a] += float64(size[a])
			}
		}
		x := to.Index(from.Point(idx))
		for a := range 3 {
			lo[a], hi[a] = min(lo[a], x[a]), max(hi[a], x[a])
		}
	}
	for a := range 3 {
		first[a] = int(max(math.Floor(lo[a]), -1))
		last[a] = int(min(math.Ceil(hi[a]), float64(to.Size[a])))
	}
	return first, last
}
