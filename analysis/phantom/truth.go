package phantom

import (
	"math"

	"rfanode/analysis/volume"
)

// Truth is what is true of the pair. TCR, PTV and margin are taken in the post frame on the 1 mm grid of Fine.
type Truth struct {
	Case           string     `json:"case"`
	Variant        string     `json:"variant"` // the coverage
	GTRML          float64    `json:"gtr_ml"`  // on pre
	PTZML          float64    `json:"ptz_ml"`
	TCR            *float64   `json:"tcr"`                     // null without ablation
	TCRInLung      *float64   `json:"tcr_ptv_clipped_to_lung"` // the same with the PTV clipped to the lungs
	PTVML          float64    `json:"ptv_ml"`
	PTVOutsideLung float64    `json:"ptv_outside_lung_frac"`
	Landmarks      int        `json:"landmarks"`
	InitialTRE     float64    `json:"initial_tre_mm"`  // mean distance of the landmarks before registration
	InitialTREMax  float64    `json:"initial_tre_max"` // largest
	MAMMM          *float64   `json:"mam_mm"`          // minimal ablative margin, negative: tumour uncovered
	GTRPostML      float64    `json:"gtr_post_ml"`     // the tumour in the post frame
	Side           string     `json:"side"`            // R or L
	Centre         [3]float64 `json:"gtr_centre_pre"`  // LPS mm
	LeastDet       float64    `json:"least_jacobian"`  // of the motion, anywhere
	Seed           uint64     `json:"seed"`
	Options        Options    `json:"options"` // with the defaults filled in
}

// The band of coverage that makes a pair partial, and the margin that makes it full.
const (
	partialLow, partialHigh = 0.60, 0.95
	fullMAM                 = 5.3
)

// measure takes the figures of this attempt on the 1 mm grid and reports whether they are what was asked for.
func (r *PairResult) measure() bool {
	t := &r.chest.tumours[0]
	g := r.fineGrid()
	f := Fine{GTR: volume.NewMask(g), PTZ: volume.NewMask(g), Lung: volume.NewMask(g)}
	each(g, func(o int, p vec) {
		m := r.motion.toPre(p)
		lung := r.chest.inLung(m)
		if !lung {
			return
		}
		f.Lung.Data[o] = 1
		if t.depth(m) > 0 {
			f.GTR.Data[o] = 1
		}
		if r.zone != nil && r.zone.depth(m) > 0 {
			f.PTZ.Data[o] = 1
		}
	})
	f.PTV = grown(f.GTR, marginMM)
	r.Fine = f
	r.Truth = Truth{
		GTRML: r.preVolume(), GTRPostML: f.GTR.VolumeML(), PTVML: f.PTV.VolumeML(), PTZML: f.PTZ.VolumeML(),
		PTVOutsideLung: 1 - share(f.PTV, f.Lung),
	}
	if f.GTR.Count() == 0 {
		return false
	}
	if r.pleuralSpaceTouches() {
		return false
	}
	if r.options.Site != Subpleural && r.options.Site != Mediastinal && r.Truth.PTVOutsideLung > 0 {
		return false
	}
	if r.zone == nil {
		return true
	}
	plain, clipped, mam := share(f.PTV, f.PTZ), share(volume.Intersect(f.PTV, f.Lung), f.PTZ), margin(f.GTR, f.PTZ)
	r.Truth.TCR, r.Truth.TCRInLung, r.Truth.MAMMM = &plain, &clipped, &mam
	if r.options.Coverage == Partial {
		return plain >= partialLow && plain <= partialHigh
	}
	if r.options.Site == Subpleural || r.options.Site == Mediastinal {
		return clipped == 1
	}
	return plain == 1 && mam > fullMAM
}

// pleuralSpaceTouches reports whether fluid or air in the pleural space of post reaches the target or the zone, where
// the truth would depend on what one calls lung.
func (r *PairResult) pleuralSpaceTouches() bool {
	s := sight{chest: r.chest, effusion: r.options.EffusionMM, pneumothorax: r.options.PneumothoraxMM}
	if s.effusion == 0 && s.pneumothorax == 0 {
		return false
	}
	touches := false
	each(r.Fine.PTV.Geometry, func(o int, p vec) {
		if !touches && r.Fine.PTV.Data[o]|r.Fine.PTZ.Data[o] != 0 {
			m := r.motion.toPre(p)
			f := r.chest.fields.at(m)
			touches = s.effusion > 0 && s.fluid(m, f) > -3 || s.pneumothorax > 0 && s.air(m, f) > -3
		}
	})
	return touches
}

// fineGrid is the 1 mm grid in the post frame that holds tumour, margin and zone.
func (r *PairResult) fineGrid() volume.Geometry {
	t := &r.chest.tumours[0]
	reach := t.reach + marginMM + 3
	if r.zone != nil {
		reach = max(reach, r.zone.reach+distance(r.zone.centre, t.centre)+2)
	}
	reach = math.Ceil(1.15*reach + 3)
	c := r.motion.toPost(t.centre)
	n := 2*int(reach) + 1
	return volume.Axial([3]int{n, n, n}, [3]float64{1, 1, 1},
		vec{math.Round(c[0]) - reach, math.Round(c[1]) - reach, math.Round(c[2]) - reach})
}

// each visits every voxel of a grid with its offset and the place of its centre.
func each(g volume.Geometry, visit func(offset int, p vec)) {
	for k := range g.Size[2] {
		for j := range g.Size[1] {
			for i := range g.Size[0] {
				visit(g.Offset(i, j, k), g.Point(vec{float64(i), float64(j), float64(k)}))
			}
		}
	}
}

// grown is the set of voxels whose centre is at most mm from the centre of a voxel of m.
func grown(m *volume.Mask, mm float64) *volume.Mask {
	out := volume.NewMask(m.Geometry)
	for i, d := range volume.Distance(m).Data {
		if float64(d) <= mm {
			out.Data[i] = 1
		}
	}
	return out
}

// share is the share of the voxels of a that are in b; 1 if a is empty.
func share(a, b *volume.Mask) float64 {
	n, both := 0, 0
	for i, v := range a.Data {
		if v != 0 {
			n++
			both += int(b.Data[i])
		}
	}
	if n == 0 {
		return 1
	}
	return float64(both) / float64(n)
}

// margin is the minimal ablative margin: the least signed distance of a surface voxel of the tumour (one with a
// 6-neighbour outside) to the surface of the zone. Inside the zone it is the distance to the nearest voxel outside,
// outside it is minus the distance to the nearest voxel inside.
func margin(gtr, zone *volume.Mask) float64 {
	not := volume.NewMask(zone.Geometry)
	for i, v := range zone.Data {
		not.Data[i] = 1 - v
	}
	in, out := volume.Distance(not), volume.Distance(zone)
	least := math.Inf(1)
	g := gtr.Geometry
	strides := [3]int{1, g.Size[0], g.Size[0] * g.Size[1]}
	each(g, func(o int, _ vec) {
		if gtr.Data[o] == 0 {
			return
		}
		surface := false
		for _, s := range strides {
			surface = surface || gtr.Data[o-s] == 0 || gtr.Data[o+s] == 0
		}
		if surface {
			least = min(least, float64(in.Data[o])-float64(out.Data[o]))
		}
	})
	return least
}

// preVolume is the volume of the tumour on pre in mL, on a 0.5 mm grid.
func (r *PairResult) preVolume() float64 {
	t := &r.chest.tumours[0]
	const step = 0.5
	n := 2*int(math.Ceil(t.reach/step)) + 1
	half := float64(n-1) / 2 * step
	g := volume.Axial([3]int{n, n, n}, [3]float64{step, step, step}, sub(t.centre, vec{half, half, half}))
	count := 0
	each(g, func(_ int, p vec) {
		if t.depth(p) > 0 && r.chest.inLung(p) {
			count++
		}
	})
	return float64(count) * g.VoxelML()
}

// roughCoverage is the coverage by z on a 2 mm grid in the material frame, to steer by.
func (c *chest) roughCoverage(z *zone) float64 {
	t := &c.tumours[0]
	const step = 1.5
	n := 2*int(math.Ceil((t.reach+marginMM+2)/step)) + 1
	half := float64(n-1) / 2 * step
	g := volume.Axial([3]int{n, n, n}, [3]float64{step, step, step}, sub(t.centre, vec{half, half, half}))
	gtr, ptz := volume.NewMask(g), volume.NewMask(g)
	each(g, func(o int, p vec) {
		if !c.inLung(p) {
			return
		}
		if t.depth(p) > 0 {
			gtr.Data[o] = 1
		}
		if z.depth(p) > 0 {
			ptz.Data[o] = 1
		}
	})
	return share(grown(gtr, marginMM), ptz)
}

// nativeMasks takes the structures on the grids of the images.
func (r *PairResult) nativeMasks() {
	t := &r.chest.tumours[0]
	lung := func(m vec) float64 { return r.chest.fields.at(m)[fieldLung] }
	tumour := func(m vec) float64 { return min(t.depth(m), lung(m)) }
	moved := func(p vec) float64 { return tumour(r.motion.toPre(p)) }
	r.GTRPre = halfFilled(r.Pre.Volume.Geometry, t.centre, t.reach+2, tumour)
	at := r.motion.toPost(t.centre)
	r.GTRPost = halfFilled(r.Post.Volume.Geometry, at, 1.2*t.reach+3, moved)
	r.PTZPost = volume.NewMask(r.Post.Volume.Geometry)
	if r.zone != nil {
		r.PTZPost = halfFilled(r.Post.Volume.Geometry, r.motion.toPost(r.zone.centre), 1.2*r.zone.reach+3, func(p vec) float64 {
			m := r.motion.toPre(p)
			return min(r.zone.depth(m), lung(m))
		})
	}
}

// halfFilled marks the voxels of which at least half lies where the depth is > 0, which is within reach mm of centre.
func halfFilled(g volume.Geometry, centre vec, reach float64, depth func(vec) float64) *volume.Mask {
	m := volume.NewMask(g)
	var lo, hi, parts [3]int
	at := g.Index(centre)
	for a := range 3 {
		lo[a] = max(0, int(math.Floor(at[a]-reach/g.Spacing[a])))
		hi[a] = min(g.Size[a]-1, int(math.Ceil(at[a]+reach/g.Spacing[a])))
		parts[a] = max(2, int(math.Ceil(g.Spacing[a]/0.6)))
	}
	sure := length(g.Spacing) // twice what a corner is away from the centre
	for k := lo[2]; k <= hi[2]; k++ {
		for j := lo[1]; j <= hi[1]; j++ {
			for i := lo[0]; i <= hi[0]; i++ {
				idx := vec{float64(i), float64(j), float64(k)}
				d := depth(g.Point(idx))
				if d > sure || d > -sure && filled(g, idx, parts, depth) >= 0.5 {
					m.Data[g.Offset(i, j, k)] = 1
				}
			}
		}
	}
	return m
}

// filled is the share of a voxel in which the depth is > 0, from a grid of samples.
func filled(g volume.Geometry, idx vec, parts [3]int, depth func(vec) float64) float64 {
	n := 0
	part := func(a, s int) float64 { return idx[a] + (float64(s)+0.5)/float64(parts[a]) - 0.5 }
	for c := range parts[2] {
		for b := range parts[1] {
			for a := range parts[0] {
				if depth(g.Point(vec{part(0, a), part(1, b), part(2, c)})) > 0 {
					n++
				}
			}
		}
	}
	return float64(n) / float64(parts[0]*parts[1]*parts[2])
}

// landmarks draws pairs of points inside the lungs, at least 3 mm from their borders and inside both images.
func (r *PairResult) landmarks() []Landmark {
	const wanted, depth = 300, 3
	s := newStream(r.options.Seed, "landmarks")
	var out []Landmark
	for range 200 * wanted {
		m := vec{s.between(-135, 135), s.between(-95, 100), s.between(bottomMM, topMM)}
		if r.chest.fields.at(m)[fieldLung] < depth {
			continue
		}
		p := r.motion.toPost(m)
		m = r.motion.toPre(p)
		if contains(r.Pre.Volume.Geometry, m) && contains(r.Post.Volume.Geometry, p) {
			if out = append(out, Landmark{p, m}); len(out) == wanted {
				break
			}
		}
	}
	return out
}

// contains reports whether p lies between the outermost voxel centres.
func contains(g volume.Geometry, p vec) bool {
	idx := g.Index(p)
	for a := range 3 {
		if idx[a] < 0 || idx[a] > float64(g.Size[a]-1) {
			return false
		}
	}
	return true
}

// complete fills in what needs the images and landmarks.
func (t *Truth) complete(r *PairResult) {
	t.Case, t.Variant = "phantom", r.options.Coverage.String()
	t.Seed, t.Options = r.options.Seed, r.options
	t.LeastDet = r.motion.leastDet
	t.Centre = r.Centre()
	t.Side = "R"
	if t.Centre[0] > 0 {
		t.Side = "L"
	}
	t.Landmarks = len(r.Landmarks)
	for _, l := range r.Landmarks {
		d := distance(l.Post, l.Pre)
		t.InitialTRE += d / float64(len(r.Landmarks))
		t.InitialTREMax = max(t.InitialTREMax, d)
	}
}
