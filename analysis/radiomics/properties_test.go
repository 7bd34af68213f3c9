package radiomics

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"rfanode/analysis/volume"
)

// pattern is an image without symmetry, defined everywhere.
func pattern(p [3]int) float64 {
	h := uint64(p[0]*73856093 ^ p[1]*19349663 ^ p[2]*83492791)
	h = (h ^ h>>13) * 0x9e3779b97f4a7c15
	return math.Round(200*math.Sin(float64(p[0])/3) + 150*math.Cos(float64(p[1])/4) + 90*math.Sin(float64(p[2])/2+1) + float64(h>>40%100))
}

// window takes a window of the pattern with a ball in it. order says which coordinate of the pattern runs along x, y, z.
func window(at, size [3]int, order [3]int, centre [3]float64, radius float64) (*volume.Volume, *volume.Mask) {
	g := volume.Axial(size, [3]float64{1, 1, 1}, volume.Vec{})
	v, m := volume.New(g), volume.NewMask(g)
	for k := range size[2] {
		for j := range size[1] {
			for i := range size[0] {
				var p [3]int
				for a, n := range [3]int{i, j, k} {
					p[order[a]] = n + at[a]
				}
				o := g.Offset(i, j, k)
				v.Data[o] = float32(pattern(p))
				d := 0.0
				for a := range 3 {
					d += (float64(p[a]) - centre[a]) * (float64(p[a]) - centre[a])
				}
				if d <= radius*radius {
					m.Data[o] = 1
				}
			}
		}
	}
	return v, m
}

var straight = [3]int{0, 1, 2}

func params(t testing.TB, text string) Profile {
	t.Helper()
	p, err := ParseParams([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const cropped = "{imageType: {Original: {}, LoG: {sigma: [1.0, 2.0]}, Wavelet: {}, Square: {}, Gradient: {}, LBP3D: {binWidth: 0.5}}, setting: {preCrop: true, binWidth: 25}}"

func mustExtract(t testing.TB, v *volume.Volume, m *volume.Mask, p Profile) *Result {
	t.Helper()
	r, err := Extract(t.Context(), v, m, p)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// near compares values by name; rename maps a name of a to one of b, empty: passed over.
func near(t *testing.T, a, b *Result, relative float64, rename func(string) string) {
	t.Helper()
	compared := 0
	for _, v := range a.Values {
		name := rename(v.Name)
		if name == "" {
			continue
		}
		compared++
		w := b.Get(name)
		if math.IsNaN(v.Value) != math.IsNaN(w) || math.Abs(v.Value-w) > relative*math.Abs(v.Value)+relative {
			t.Errorf("%s %.15g, %s %.15g", v.Name, v.Value, name, w)
		}
	}
	if compared == 0 {
		t.Error("nothing was compared")
	}
}

func same(name string) string { return name }

// The image and the region moved by whole voxels give the same values to the bit: the crop is all that is seen.
func TestTranslation(t *testing.T) {
	p := params(t, cropped)
	centre := [3]float64{20, 22, 19}
	v, m := window([3]int{2, 4, 3}, [3]int{36, 37, 33}, straight, centre, 8)
	a := mustExtract(t, v, m, p)
	v, m = window([3]int{5, 1, 2}, [3]int{40, 39, 38}, straight, centre, 8)
	near(t, a, mustExtract(t, v, m, p), 0, same)
}

// Axes exchanged: the values stay but for those that name an axis. The ball is smooth; on ragged regions marching cubes by
// PyRadiomics' table depends on the order of the axes.
func TestAxisPermutation(t *testing.T) {
	p := params(t, "{imageType: {Original: {}, Wavelet: {}, Square: {}, Exponential: {}, Gradient: {}}, setting: {preCrop: true, binWidth: 25}}")
	centre := [3]float64{20, 20, 20}
	v, m := window([3]int{}, [3]int{40, 40, 40}, straight, centre, 8)
	a := mustExtract(t, v, m, p)
	for _, order := range [][3]int{{2, 1, 0}, {1, 2, 0}, {0, 2, 1}} {
		v, m = window([3]int{}, [3]int{40, 40, 40}, order, centre, 8)
		near(t, a, mustExtract(t, v, m, p), 1e-9, func(name string) string {
			if strings.Contains(name, "Maximum2D") {
				return ""
			}
			if w, ok := strings.CutPrefix(name, "wavelet-"); ok {
				return fmt.Sprintf("wavelet-%c%c%c%s", w[order[0]], w[order[1]], w[order[2]], w[3:])
			}
			return name
		})
	}
}

// A constant added to the image is taken away by the z-score; without it, a multiple of the bin width leaves the texture.
func TestIntensityShift(t *testing.T) {
	centre := [3]float64{20, 20, 20}
	shifted := func(c float32) (*volume.Volume, *volume.Mask) {
		v, m := window([3]int{}, [3]int{40, 40, 40}, straight, centre, 8)
		for i := range v.Data {
			v.Data[i] += c
		}
		return v, m
	}
	v, m := shifted(0)
	w, _ := shifted(137)
	near(t, mustExtract(t, v, m, Default()), mustExtract(t, w, m, Default()), 1e-7, same)
	p := params(t, "setting: {binWidth: 25}")
	w, _ = shifted(4 * 25)
	a, b := mustExtract(t, v, m, p), mustExtract(t, w, m, p)
	near(t, a, b, 0, func(name string) string {
		if strings.Contains(name, "firstorder") {
			return ""
		}
		return name
	})
	for _, f := range []string{"Mean", "Median", "Minimum", "90Percentile"} {
		if d := b.Get("original_firstorder_"+f) - a.Get("original_firstorder_"+f); math.Abs(d-100) > 1e-9 {
			t.Errorf("%s moved by %g instead of 100", f, d)
		}
	}
	for _, f := range []string{"Variance", "Entropy", "Skewness", "Kurtosis", "InterquartileRange", "RobustMeanAbsoluteDeviation"} {
		x, y := a.Get("original_firstorder_"+f), b.Get("original_firstorder_"+f)
		if math.Abs(x-y) > 1e-9*math.Abs(x) {
			t.Errorf("%s changed from %g to %g", f, x, y)
		}
	}
}

// A ball that grows: the volume follows, and the mean moves no further than the new voxels can move it.
func TestDilation(t *testing.T) {
	p := params(t, "setting: {binWidth: 25}")
	var before *Result
	for radius := 7.0; radius <= 11; radius += 0.5 {
		v, m := window([3]int{}, [3]int{40, 40, 40}, straight, [3]float64{20, 20, 20}, radius)
		r := mustExtract(t, v, m, p)
		if ball := 4 * math.Pi / 3 * radius * radius * radius; math.Abs(r.Get("original_shape_MeshVolume")/ball-1) > 0.03 {
			t.Errorf("radius %g: volume %g of %g", radius, r.Get("original_shape_MeshVolume"), ball)
		}
		if d := r.Get("original_shape_Maximum3DDiameter"); math.Abs(d-2*radius) > 1.5 { // half a voxel at each end, and the grid
			t.Errorf("radius %g: diameter %g", radius, d)
		}
		if before != nil {
			n, m := float64(before.RegionVoxels[1]), float64(r.RegionVoxels[1])
			limit := (m - n) / m * (r.Get("original_firstorder_Maximum") - r.Get("original_firstorder_Minimum"))
			for _, f := range []string{"Mean", "Median"} {
				d := math.Abs(r.Get("original_firstorder_"+f) - before.Get("original_firstorder_"+f))
				if f == "Mean" && d > limit {
					t.Errorf("radius %g: %s moved by %g, the new voxels allow %g", radius, f, d, limit)
				}
			}
			for _, f := range []string{"MeshVolume", "SurfaceArea", "VoxelVolume", "Maximum3DDiameter"} {
				if r.Get("original_shape_"+f) < before.Get("original_shape_"+f) {
					t.Errorf("radius %g: %s shrank", radius, f)
				}
			}
		}
		before = r
	}
}

func TestThreadsGiveTheSameBytes(t *testing.T) {
	v, m := ball(9)
	var first []byte
	for _, threads := range []int{1, 2, 7} {
		r, err := ExtractWith(t.Context(), v, m, Default(), Options{Threads: threads})
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = b
		} else if string(b) != string(first) {
			t.Errorf("%d threads give other bytes than 1", threads)
		}
	}
}

// The names come in the profile's order, whatever is computed.
func TestNames(t *testing.T) {
	v, m := ball(6)
	for _, name := range ProfileNames {
		p, err := Named(name)
		if err != nil {
			t.Fatal(err)
		}
		r := mustExtract(t, v, m, p)
		if len(r.Values) != 1316 {
			t.Errorf("profile %s has %d values, the paper 1316", name, len(r.Values))
		}
		if !slices.Equal(r.Names(), p.Names()) {
			t.Errorf("profile %s: other names in the result than in the profile", name)
		}
	}
}

// randomGrid is a box of random levels with holes.
func randomGrid(r *rand.Rand) *grid {
	size := [3]int{1 + r.IntN(20), 1 + r.IntN(9), 1 + r.IntN(7)}
	in := make([]bool, size[0]*size[1]*size[2])
	share := r.Float64()
	for i := range in {
		in[i] = r.Float64() < share
	}
	in[r.IntN(len(in))] = true
	region, _ := newROI(size, [3]float64{1, 1, 1}, in)
	level := make([]int, len(region.voxels))
	top, step := 1+r.IntN(5), 1+r.IntN(3)
	for i := range level {
		level[i] = 1 + step*r.IntN(top)
	}
	return newGrid(region, rank(level), 1)
}

// The fast ways to runs, zones and neighbours count what the plain ways count.
func TestFastCountsEqualPlain(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	s := defaults()
	for n := range 400 {
		g := randomGrid(r)
		plain := *g
		plain.bytes = nil
		longest := max(g.size[0], g.size[1], g.size[2])
		for _, d := range directions(g.size, []int{1}, &s, false) {
			a, b := make([]float64, len(g.levels.values)*longest), make([]float64, len(g.levels.values)*longest)
			if g.countRuns(d, a, longest) != plain.countRuns(d, b, longest) || !slices.Equal(a, b) {
				t.Fatalf("grid %d, direction %v: runs %v and %v", n, d, a, b)
			}
		}
		a, b := g.runZones(), g.floodZones(&s)
		slices.Sort(a)
		slices.Sort(b)
		if !slices.Equal(a, b) {
			t.Fatalf("grid %d: zones %v and %v", n, a, b)
		}
		x, y := g.look(&s), plain.look(&s)
		if !slices.Equal(x.alike, y.alike) || !slices.Equal(x.count, y.count) || !slices.Equal(x.sum, y.sum) {
			t.Fatalf("grid %d: neighbours differ", n)
		}
	}
}

func TestPercentiles(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 9))
	for n := range 200 {
		x := make([]float64, 1+r.IntN(300))
		for i := range x {
			x[i] = r.NormFloat64()
			if n%3 == 0 {
				x[i] = math.Round(x[i]) // many ties
			}
			if n%5 == 0 && i == 0 {
				x[i] = 1e9 // all others in one box
			}
		}
		sorted := slices.Clone(x)
		slices.Sort(sorted)
		got := percentiles(x, sorted[0], sorted[len(sorted)-1], []float64{10, 50, 90})
		for i, q := range []float64{0.1, 0.5, 0.9} {
			at := q * float64(len(x)-1)
			k := int(at)
			want := sorted[k]
			if k+1 < len(x) {
				want += (sorted[k+1] - want) * (at - float64(k))
			}
			if math.Abs(got[i]-want) > 1e-12*math.Max(1, math.Abs(want)) {
				t.Fatalf("case %d: percentile %g is %g, not %g", n, 100*q, got[i], want)
			}
		}
	}
}

// Of many levels the coefficient is found by Lanczos steps; it has to be that of all eigenvalues.
func TestManyLevels(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for _, groups := range []int{1, 2} {
		const k = manyLevels + 40
		p := make([]float64, k*k)
		total := 0.0
		for range 12 * k {
			i := r.IntN(k)
			j := max(0, min(k-1, i+int(r.NormFloat64()*25)))
			if groups == 2 && (i < k/2) != (j < k/2) {
				continue // two groups that never meet: the second value is 1
			}
			p[i*k+j]++
			p[j*k+i]++
			total += 2
		}
		px := make([]float64, k)
		for i := range p {
			p[i] /= total
			px[i/k] += p[i]
		}
		fast := newSecondValue(k, true).of(p, px, px)
		want := newSecondValue(k, true).all(p, px, px)
		if math.Abs(fast-want) > 1e-9 {
			t.Errorf("%d groups: %.15g by Lanczos, %.15g by all eigenvalues", groups, fast, want)
		}
		if groups == 2 && math.Abs(want-1) > 1e-9 {
			t.Errorf("two groups that never meet: %g instead of 1", want)
		}
	}
}
