package volume

// Components labels the connected components of a mask, neighbours being the 6 across faces or the 26 across faces,
// edges and corners. labels has one value a voxel: 0 outside the mask, else 1, 2, … in the order in which the components
// are met in the array. sizes[l] is the number of voxels of label l; sizes[0] those not in the mask.
func Components(m *Mask, conn int) (labels []int32, sizes []int) {
	r := findRuns(m, 1, conn, m.Size[2])
	labels = make([]int32, m.Len())
	sizes = []int{m.Len()}
	name := make([]int32, len(r.runs))
	for n := range r.runs {
		root := r.find(int32(n))
		if name[root] == 0 {
			name[root] = int32(len(sizes))
			sizes = append(sizes, 0)
		}
		l := name[root]
		run := r.runs[n]
		for i := run.from; i < run.to; i++ {
			labels[i] = l
		}
		sizes[l] += int(run.to - run.from)
		sizes[0] -= int(run.to - run.from)
	}
	return labels, sizes
}

// Largest returns the largest component of a mask (the first met of equal ones); empty stays empty.
func Largest(m *Mask, conn int) *Mask {
	r := findRuns(m, 1, conn, m.Size[2])
	size := make([]int, len(r.runs))
	best := int32(-1)
	for n, run := range r.runs {
		size[r.find(int32(n))] += int(run.to - run.from)
	}
	for n := range size {
		if size[n] > 0 && (best < 0 || size[n] > size[best]) {
			best = int32(n)
		}
	}
	out := NewMask(m.Geometry)
	for n, run := range r.runs {
		if r.find(int32(n)) == best {
			fill(out.Data[run.from:run.to])
		}
	}
	return out
}

// FillHoles sets every voxel that a path across faces through unset voxels cannot bring to the rim of the grid.
func FillHoles(m *Mask) *Mask {
	out := m.Clone()
	fillHoles(out, m, true)
	return out
}

// FillHolesInSlices is FillHoles within each slice: what is enclosed in its own slice is set.
func FillHolesInSlices(m *Mask) *Mask {
	out := m.Clone()
	n := m.Size[0] * m.Size[1]
	parallel(m.Size[2], func(k int) {
		g := m.Geometry
		g.Size[2] = 1
		slice := func(d []uint8) *Mask { return &Mask{Geometry: g, Data: d[k*n:][:n]} }
		fillHoles(slice(out.Data), slice(m.Data), false)
	})
	return out
}

// fillHoles writes the holes of m to out; through: the first and the last slice count as rim.
func fillHoles(out, m *Mask, through bool) {
	r := findRuns(m, 0, 6, m.Size[2])
	open := make([]bool, len(r.runs))
	nx, ny, nz := m.Size[0], m.Size[1], m.Size[2]
	for n, run := range r.runs {
		row := int(run.from) / nx
		j, k := row%ny, row/ny
		if int(run.from)%nx == 0 || int(run.to)%nx == 0 || j == 0 || j == ny-1 || through && (k == 0 || k == nz-1) {
			open[r.find(int32(n))] = true
		}
	}
	for n, run := range r.runs {
		if !open[r.find(int32(n))] {
			fill(out.Data[run.from:run.to])
		}
	}
}

func fill(s []uint8) {
	for i := range s {
		s[i] = 1
	}
}

// run is a stretch of equal voxels in a row: offsets from … to-1.
type run struct{ from, to int32 }

// runSet holds the runs of a mask, joined into components by union-find; the root of a component is its first run.
type runSet struct {
	runs   []run
	parent []int32
}

func (r *runSet) find(n int32) int32 {
	for r.parent[n] != n {
		r.parent[n] = r.parent[r.parent[n]]
		n = r.parent[n]
	}
	return n
}

func (r *runSet) join(a, b int32) {
	a, b = r.find(a), r.find(b)
	switch {
	case a < b:
		r.parent[b] = a
	case b < a:
		r.parent[a] = b
	}
}

// findRuns collects the runs of voxels equal to value and joins the neighbouring ones.
func findRuns(m *Mask, value uint8, conn, slices int) *runSet {
	nx, ny := m.Size[0], m.Size[1]
	r := &runSet{}
	start := make([]int32, ny*slices+1) // index of the first run of each row
	for row := range ny * slices {
		start[row] = int32(len(r.runs))
		data := m.Data[row*nx:][:nx]
		for i := 0; i < nx; {
			if data[i] != value {
				i++
				continue
			}
			from := i
			for i < nx && data[i] == value {
				i++
			}
			r.runs = append(r.runs, run{int32(row*nx + from), int32(row*nx + i)})
		}
	}
	start[ny*slices] = int32(len(r.runs))
	r.parent = make([]int32, len(r.runs))
	for n := range r.parent {
		r.parent[n] = int32(n)
	}
	reach := int32(0) // how far a run may miss another and still touch it across an edge
	if conn == 26 {
		reach = 1
	}
	for row := range ny * slices {
		j, k := row%ny, row/ny
		rows := []int{}
		if j > 0 {
			rows = append(rows, row-1)
		}
		if k > 0 {
			rows = append(rows, row-ny)
			if conn == 26 && j > 0 {
				rows = append(rows, row-ny-1)
			}
			if conn == 26 && j < ny-1 {
				rows = append(rows, row-ny+1)
			}
		}
		for _, other := range rows {
			r.joinRows(start, row, other, int32(nx), reach)
		}
	}
	return r
}

// joinRows joins the runs of two rows that overlap, or miss each other by no more than reach.
func (r *runSet) joinRows(start []int32, row, other int, nx, reach int32) {
	shift := int32(row-other) * nx
	a, aEnd := start[row], start[row+1]
	b, bEnd := start[other], start[other+1]
	for a < aEnd && b < bEnd {
		p, q := r.runs[a], run{r.runs[b].from + shift, r.runs[b].to + shift}
		if p.from < q.to+reach && q.from < p.to+reach {
			r.join(a, b)
		}
		if p.to < q.to {
			a++
		} else {
			b++
		}
	}
}
