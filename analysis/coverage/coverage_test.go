package coverage

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"rfanode/analysis/phantom"
	"rfanode/analysis/volume"
	"rfanode/internal/tooltest"
)

// ball is the exact signed distance to a sphere, sampled on g.
func ball(g volume.Geometry, centre volume.Vec, radius float64) *volume.Volume {
	v := volume.New(g)
	for n := range v.Data {
		v.Data[n] = float32(radius - apart(voxelPoint(g, n), centre))
	}
	return v
}

// everywhere is a lung that fills the grid.
func everywhere(g volume.Geometry) *volume.Mask {
	m := volume.NewMask(g)
	for n := range m.Data {
		m.Data[n] = 1
	}
	return m
}

func same(p volume.Vec) volume.Vec { return p }

// cube is a grid of the given spacing, 64 mm wide and centred on the origin but for an odd offset.
func cube(spacing [3]float64) volume.Geometry {
	g := volume.Axial([3]int{}, spacing, volume.Vec{-32, -32, -32})
	for a := range 3 {
		g.Size[a] = int(64/spacing[a]) + 1
	}
	return g
}

// lens is the volume of the intersection of two spheres.
func lens(r, s, d float64) float64 {
	if d <= math.Abs(r-s) {
		return 4. / 3 * math.Pi * math.Pow(min(r, s), 3)
	}
	if d >= r+s {
		return 0
	}
	return math.Pi * (r + s - d) * (r + s - d) * (d*d + 2*d*(r+s) - 3*(r-s)*(r-s)) / (12 * d)
}

// TestSpheres: a sphere in a displaced sphere, where everything is known in closed form, on grids of 1 mm, of thin and
// of 5 mm slices, and on an oblique one.
func TestSpheres(t *testing.T) {
	turned := cube([3]float64{0.8, 0.8, 2})
	c, s := math.Cos(0.35), math.Sin(0.35)
	turned.Direction = [3]volume.Vec{{c, s, 0}, {-s, c, 0}, {0, 0, 1}}
	grids := map[string]volume.Geometry{"1 mm": cube([3]float64{1, 1, 1}), "2 mm slices": cube([3]float64{0.7, 0.7, 2}),
		"5 mm slices": cube([3]float64{0.7, 0.7, 5}), "oblique": turned}
	for _, c := range []struct{ r, zone, d float64 }{{10, 17, 3}, {10, 12, 5}, {6, 14, 2}} {
		for name, g := range grids {
			direction := volume.Vec{0.6, 0.48, 0.64}
			centre := volume.Vec{0.37, -0.21, 0.44}
			moved := centre
			for a := range 3 {
				moved[a] += c.d * direction[a]
			}
			res, err := Measure(context.Background(), Input{GTR: ball(g, centre, c.r), PTZ: ball(g, moved, c.zone), ToPre: same, Lung: everywhere(g)})
			if err != nil {
				t.Fatal(err)
			}
			target := 4. / 3 * math.Pi
			tcr := lens(c.r+5, c.zone, c.d) / (target * math.Pow(c.r+5, 3))
			tcr10 := lens(c.r+10, c.zone, c.d) / (target * math.Pow(c.r+10, 3))
			mam := c.zone - c.r - c.d
			what := fmt.Sprintf("%v on %s", c, name)
			within(t, what+": TCR", res.TCR, tcr, 0.015)
			within(t, what+": TCR10", res.TCR10, tcr10, 0.03)
			within(t, what+": MAM", res.MAM, mam, 0.6)
			within(t, what+": GTR", res.GTRML, target*math.Pow(c.r, 3)/1000, 0.03*res.GTRML)
			within(t, what+": PTZ", res.PTZML, target*math.Pow(c.zone, 3)/1000, 0.02*res.PTZML)
			within(t, what+": PTV", res.PTVML, 0.963*target*math.Pow(c.r+5, 3)/1000, 0.04*res.PTVML) // distances between centres make it 0.2 mm thinner
			within(t, what+": native PTV", res.Native.PTV.VolumeML(), res.PTVML, 0.04*res.PTVML)
			within(t, what+": sum of shares", res.MarginShare[0]+res.MarginShare[1]+res.MarginShare[2]+res.MarginShare[3], 1, 1e-12)
			if res.Complete != (mam > 5) || res.Complete != (res.UncoveredML == 0) {
				t.Errorf("%s: complete is %v with a true margin of %g mm", what, res.Complete, mam)
			}
			// The margin is smallest on the side away from the zone's centre.
			var along float64
			for a := range 3 {
				along += (res.Worst.Point[a] - centre[a]) * -direction[a]
			}
			if along < 0.9*c.r-1 {
				t.Errorf("%s: worst point %v lies %.1f mm along the true direction", what, res.Worst.Point, along)
			}
			if d := res.Native.GTR.Index(res.Worst.Point); math.Abs(d[2]-float64(res.Worst.Slice-1)) > 0.5 {
				t.Errorf("%s: slice %d for index %.1f", what, res.Worst.Slice, d[2])
			}
		}
	}
}

// TestTable: the 1 mm figures that the definitions were first measured with; a change of convention shows here.
func TestTable(t *testing.T) {
	g := cube([3]float64{1, 1, 1})
	for _, c := range []struct{ r, zone, d, mam, tcr, tcr10 float64 }{{10, 17, 3, 4.24, 0.987, 0.631}, {10, 18, 2, 6.16, 1, 0.747}, {10, 12, 5, -3, 0.491, 0.220}} {
		res, err := Measure(context.Background(), Input{GTR: ball(g, volume.Vec{}, c.r), PTZ: ball(g, volume.Vec{c.d, 0, 0}, c.zone), ToPre: same, Lung: everywhere(g)})
		if err != nil {
			t.Fatal(err)
		}
		within(t, "MAM", res.MAM, c.mam, 0.45)
		within(t, "TCR", res.TCR, c.tcr, 0.006)
		within(t, "TCR10", res.TCR10, c.tcr10, 0.012)
	}
}

// TestCompleteMeansMargin: TCR = 1 exactly when MAM > 5 mm; Measure fails if a pair contradicts it.
func TestCompleteMeansMargin(t *testing.T) {
	r := rand.New(rand.NewSource(7))
	g := volume.Axial([3]int{29, 29, 15}, [3]float64{1.5, 1.5, 3}, volume.Vec{-21, -21, -21})
	complete := 0
	for range 12 {
		radius := 3 + 4*r.Float64()
		zone := radius + 4 + 4*r.Float64()
		res, err := Measure(context.Background(), Input{GTR: ball(g, volume.Vec{r.Float64(), r.Float64(), r.Float64()}, radius),
			PTZ: ball(g, volume.Vec{2 * r.Float64(), r.Float64(), r.Float64()}, zone), ToPre: same, Lung: everywhere(g)})
		if err != nil {
			t.Fatal(err)
		}
		if res.Complete {
			complete++
		}
	}
	if complete == 0 || complete == 12 {
		t.Errorf("%d of 12 complete: the pairs test one side only", complete)
	}
}

// TestTransform: the tumour is taken from where the transform says, in a pre grid of its own.
func TestTransform(t *testing.T) {
	post := cube([3]float64{0.8, 0.8, 2.5})
	pre := cube([3]float64{1, 1, 3})
	pre.Origin = volume.Vec{170, -32, 270}
	toPre := func(p volume.Vec) volume.Vec { return volume.Vec{p[0] + 200, p[1], p[2] + 300} }
	res, err := Measure(context.Background(), Input{GTR: ball(pre, volume.Vec{205, 0, 300}, 9), PTZ: ball(post, volume.Vec{}, 17), ToPre: toPre, Lung: everywhere(post)})
	if err != nil {
		t.Fatal(err)
	}
	within(t, "MAM", res.MAM, 17-9-5, 0.8)
	within(t, "GTR", res.GTRML, 4./3*math.Pi*0.729, 0.1)
	_, err = Measure(context.Background(), Input{GTR: ball(pre, volume.Vec{205, 0, 300}, 9), PTZ: ball(post, volume.Vec{}, 17), ToPre: same, Lung: everywhere(post)})
	if !errors.Is(err, ErrTumourOutside) {
		t.Errorf("a tumour that maps nowhere: %v", err)
	}
}

// TestPleura: for a tumour on the chest wall the part of the target in the wall counts in TCR and not in TCRInLung.
func TestPleura(t *testing.T) {
	g := cube([3]float64{0.8, 0.8, 2.5})
	lung := volume.NewMask(g)
	for n := range lung.Data { // the wall begins at x = -8, on the right
		if voxelPoint(g, n)[0] > -8 {
			lung.Data[n] = 1
		}
	}
	in := Input{GTR: ball(g, volume.Vec{}, 7), PTZ: cutAt(ball(g, volume.Vec{}, 15), -8), ToPre: same, Lung: lung, Laterality: "R"}
	res, err := Measure(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	// The cap of the target (radius 12) beyond the plane at 8: π h² (3R − h) / 3 with h = 4.
	uncovered := math.Pi * 16 * (36 - 4) / 3 / (4. / 3 * math.Pi * 1728)
	within(t, "TCR", res.TCR, 1-uncovered, 0.015)
	within(t, "TCRInLung", res.TCRInLung, 1, 0.002)
	within(t, "MAM", res.MAM, 1, 1.1) // flat faces along the grid: the convention adds up to a voxel
	if res.MAMInLung == nil || math.Abs(*res.MAMInLung-5) > 1.2 {
		t.Errorf("MAMInLung %v, want about 5: the surface more than 5 mm from the wall", res.MAMInLung)
	}
	if res.Worst.Direction != "lateral" || res.Worst.PleuraMM == nil || math.Abs(*res.Worst.PleuraMM-1) > 1 {
		t.Errorf("worst point %+v, want lateral and 1 mm from the pleura", res.Worst)
	}
}

// cutAt removes a level's part with x below the plane.
func cutAt(v *volume.Volume, x float64) *volume.Volume {
	for n := range v.Data {
		v.Data[n] = min(v.Data[n], float32(voxelPoint(v.Geometry, n)[0]-x))
	}
	return v
}

// TestRange: the stated range holds the truth when the tumour's surface, the zone's surface or the registration is off by
// what was stated, and when all three are off by independent errors of which 19 in 20 are smaller than stated.
func TestRange(t *testing.T) {
	g := cube([3]float64{0.8, 0.8, 2.5})
	r := rand.New(rand.NewSource(11))
	const shiftMM, surfaceMM = 2, 0.8
	const gridTCR = 0.01 // what the 1 mm grid, and distances read between its voxels, make of a ball
	truth := lens(13, 15, 4) / lens(13, 13, 0)
	measure := func(shift volume.Vec, gtr, ptz float64) bool {
		t.Helper()
		res, err := Measure(context.Background(), Input{GTR: ball(g, shift, 8+gtr), PTZ: ball(g, volume.Vec{4, 0, 0}, 15+ptz), ToPre: same, Lung: everywhere(g),
			RegistrationErrorMM: shiftMM, GTRErrorMM: surfaceMM, PTZErrorMM: surfaceMM})
		if err != nil {
			t.Fatal(err)
		}
		lo, hi := res.TCRRange[0], res.TCRRange[1]
		if lo > res.TCR || hi < res.TCR || hi-lo > 0.3 {
			t.Errorf("measured %.3f, range %.3f to %.3f", res.TCR, lo, hi)
		}
		return lo <= truth+gridTCR && truth-gridTCR <= hi
	}
	for n, in := range []bool{
		measure(volume.Vec{shiftMM, 0, 0}, 0, 0), measure(volume.Vec{0, -shiftMM, 0}, 0, 0), measure(volume.Vec{}, surfaceMM, 0), measure(volume.Vec{}, 0, -surfaceMM),
	} {
		if !in {
			t.Errorf("single error %d: the truth %.3f lies outside the range", n, truth)
		}
	}
	outside := 0
	const draws = 12
	for range draws {
		// A normal variable is below 1.96 standard deviations in 19 of 20 cases, the length of a vector of three below 2.80.
		shift := volume.Vec{r.NormFloat64(), r.NormFloat64(), r.NormFloat64()}
		for a := range 3 {
			shift[a] *= shiftMM / 2.80
		}
		if !measure(shift, r.NormFloat64()*surfaceMM/1.96, r.NormFloat64()*surfaceMM/1.96) {
			outside++
		}
	}
	if outside > 3 { // more than 3 of 12 happens by chance once in 400 times
		t.Errorf("the truth lies outside the range in %d of %d draws", outside, draws)
	}
	exact, err := Measure(context.Background(), Input{GTR: ball(g, volume.Vec{}, 8), PTZ: ball(g, volume.Vec{4, 0, 0}, 15), ToPre: same, Lung: everywhere(g)})
	if err != nil {
		t.Fatal(err)
	}
	if exact.TCRRange != [2]float64{exact.TCR, exact.TCR} {
		t.Errorf("without errors the range is %v round %g", exact.TCRRange, exact.TCR)
	}
}

// TestSmallUncoveredPartStays: a sliver too thin for the CT's grid must still be shown there.
func TestSmallUncoveredPartStays(t *testing.T) {
	g := cube([3]float64{2, 2, 5})
	res, err := Measure(context.Background(), Input{GTR: ball(g, volume.Vec{}, 10), PTZ: ball(g, volume.Vec{0.6, 0, 0}, 14.9), ToPre: same, Lung: everywhere(g)})
	if err != nil {
		t.Fatal(err)
	}
	if res.Complete {
		t.Fatal("the case is complete and shows nothing")
	}
	if n := res.Native.Uncovered.Count(); n != 1 {
		t.Errorf("%d voxels for %g mL uncovered, want the one kept", n, res.UncoveredML)
	}
}

// TestJumpingLevels: a level cut off to huge values outside its box, or with NaN, must not grow ghosts between slices.
func TestJumpingLevels(t *testing.T) {
	g := cube([3]float64{1, 1, 5})
	gtr, ptz := ball(g, volume.Vec{}, 8), ball(g, volume.Vec{}, 14)
	want, err := Measure(context.Background(), Input{GTR: gtr, PTZ: ptz, ToPre: same, Lung: everywhere(g)})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []*volume.Volume{gtr, ptz} {
		for n, x := range v.Data {
			if x < -12 {
				v.Data[n] = -volume.Far
			}
			if x < -20 {
				v.Data[n] = float32(math.NaN())
			}
		}
	}
	got, err := Measure(context.Background(), Input{GTR: gtr, PTZ: ptz, ToPre: same, Lung: everywhere(g)})
	if err != nil {
		t.Fatal(err)
	}
	within(t, "GTR", got.GTRML, want.GTRML, 1e-9)
	within(t, "PTZ", got.PTZML, want.PTZML, 1e-9)
}

// TestScanRange: a target that the scan range of the post CT cuts through is reported, with how much of it is missing.
func TestScanRange(t *testing.T) {
	pre := cube([3]float64{1, 1, 2})
	post := volume.Axial([3]int{65, 65, 12}, [3]float64{1, 1, 2}, volume.Vec{-32, -32, -23}) // ends at z = 0
	res, err := Measure(context.Background(), Input{GTR: ball(pre, volume.Vec{}, 8), PTZ: ball(post, volume.Vec{}, 16), ToPre: same, Lung: everywhere(post)})
	if err != nil {
		t.Fatal(err)
	}
	within(t, "share outside", res.OutsideScan, 0.5, 0.05)
	whole, err := Measure(context.Background(), Input{GTR: ball(pre, volume.Vec{}, 8), PTZ: ball(pre, volume.Vec{}, 16), ToPre: same, Lung: everywhere(pre)})
	if err != nil {
		t.Fatal(err)
	}
	if whole.OutsideScan != 0 || !whole.Complete {
		t.Errorf("the whole scan: %g outside, TCR %g", whole.OutsideScan, whole.TCR)
	}
}

func TestRefused(t *testing.T) {
	g := cube([3]float64{2, 2, 5})
	good := Input{GTR: ball(g, volume.Vec{}, 8), PTZ: ball(g, volume.Vec{}, 14), ToPre: same, Lung: everywhere(g)}
	for name, c := range map[string]struct {
		edit func(in *Input)
		says string
	}{
		"no tumour":  {func(in *Input) { in.GTR = ball(g, volume.Vec{}, -1) }, "tumour is empty"},
		"no zone":    {func(in *Input) { in.PTZ = ball(g, volume.Vec{}, -1) }, "zone is empty"},
		"no lung":    {func(in *Input) { in.Lung = nil }, "needed"},
		"other grid": {func(in *Input) { in.Lung = everywhere(cube([3]float64{3, 3, 3})) }, "different grids"},
		"NaN error":  {func(in *Input) { in.GTRErrorMM = math.NaN() }, "not possible"},
		"side":       {func(in *Input) { in.Laterality = "left" }, "neither R nor L"},
		"everywhere": {func(in *Input) {
			in.PTZ = ball(volume.Axial([3]int{40, 40, 40}, [3]float64{9, 9, 9}, volume.Vec{-180, -180, -180}), volume.Vec{}, 14)
			in.Lung = everywhere(in.PTZ.Geometry)
			in.ToPre = func(volume.Vec) volume.Vec { return volume.Vec{} }
		}, "spreads the tumour"},
		"nowhere": {func(in *Input) { in.ToPre = func(volume.Vec) volume.Vec { return volume.Vec{math.NaN(), 0, 0} } }, "outside"},
	} {
		in := good
		c.edit(&in)
		if _, err := Measure(context.Background(), in); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error %v, want one that says %q", name, err, c.says)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Measure(ctx, good); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestDirection(t *testing.T) {
	for _, c := range []struct {
		v    volume.Vec
		side string
		want string
	}{{volume.Vec{-1, 0, 0}, "R", "lateral"}, {volume.Vec{-1, 0, 0}, "L", "medial"}, {volume.Vec{3, 3, 0}, "L", "posterolateral"},
		{volume.Vec{3, -3, 0}, "R", "anteromedial"}, {volume.Vec{0, 0, 2}, "R", "superior"}, {volume.Vec{0.3, 0, -2}, "R", "inferior"},
		{volume.Vec{2, 2, -2}, "L", "inferoposterolateral"}, {volume.Vec{0, -2, 2}, "R", "superoanterior"}, {volume.Vec{}, "R", "central"},
		{volume.Vec{-2, 2, 0}, "", "posterior right"}} {
		if got := Direction(c.v, c.side); got != c.want {
			t.Errorf("Direction(%v, %q) = %q, want %q", c.v, c.side, got, c.want)
		}
	}
}

func TestMaxDiameter(t *testing.T) {
	g := volume.Axial([3]int{20, 20, 20}, [3]float64{1, 1, 2}, volume.Vec{})
	m := volume.NewMask(g)
	if MaxDiameter(m) != 0 {
		t.Error("an empty mask has a diameter")
	}
	m.Data[g.Offset(5, 5, 5)] = 1
	within(t, "one voxel", MaxDiameter(m), 2, 1e-9)
	m.Data[g.Offset(8, 9, 11)] = 1
	within(t, "two voxels", MaxDiameter(m), math.Sqrt(3*3+4*4+14*14), 1e-9)
	sphere := Isotropic(ball(cube([3]float64{0.7, 0.7, 5}), volume.Vec{0.3, 0.2, 1}, 9))
	within(t, "sphere of 18 mm", MaxDiameter(sphere), 18, 1) // the mesh of a mask lies up to half a voxel outside
	if n := Isotropic(ball(cube([3]float64{5, 5, 5}), volume.Vec{}, -3)).Count(); n != 0 {
		t.Errorf("an empty level has a mask of %d voxels", n)
	}
}

// TestPhantom: a moved and deformed tumour of a phantom, from its voxel masks and the true transform, against the truth
// that the phantom takes from its formulas.
func TestPhantom(t *testing.T) {
	p, err := phantom.Pair(context.Background(), phantom.Options{Seed: 2, Size: 128, Slices: 36})
	if err != nil {
		t.Fatal(err)
	}
	res, err := Measure(context.Background(), Input{GTR: volume.SignedDistance(p.GTRPre), PTZ: volume.SignedDistance(p.PTZPost),
		ToPre: p.ToPre, Lung: p.LungPost, GTRErrorMM: 0.5, PTZErrorMM: 0.5})
	if err != nil {
		t.Fatal(err)
	}
	within(t, "TCR", res.TCR, *p.Truth.TCR, 0.03)
	within(t, "TCRInLung", res.TCRInLung, *p.Truth.TCRInLung, 0.03)
	within(t, "MAM", res.MAM, *p.Truth.MAMMM, 1.5)
	if res.TCRRange[0] > *p.Truth.TCR || res.TCRRange[1] < *p.Truth.TCR {
		t.Errorf("the range %v does not hold the truth %g", res.TCRRange, *p.Truth.TCR)
	}
}

// TestRealPairs measures the shared pairs with their true masks. What is left is what slices of 5 mm took from the shapes
// before anything was measured, up to 0.09 for the small ragged tumour, which the range must admit.
func TestRealPairs(t *testing.T) {
	shared := tooltest.Shared(t)
	tar := tooltest.Need(t, "tar")
	for pair, truth := range map[string][2]float64{"pair-lidc-covered": {1, 1}, "pair-r01-partial": {0.7595, 0.8215}} {
		dir := t.TempDir()
		gtr, ptz := pair+"/gtr_deformed_to_post.nii.gz", pair+"/ptz_post.nii.gz"
		if out, err := exec.Command(tar, "-C", dir, "-xf", filepath.Join(shared, "data", pair+".tar.xz"), gtr, ptz).CombinedOutput(); err != nil {
			t.Fatalf("unpacking: %v %s", err, out)
		}
		tumour, err := volume.ReadMaskNIfTI(filepath.Join(dir, gtr))
		if err != nil {
			t.Fatal(err)
		}
		zone, err := volume.ReadMaskNIfTI(filepath.Join(dir, ptz))
		if err != nil {
			t.Fatal(err)
		}
		lo, hi, _ := volume.Union(tumour, zone).Around(25)
		tumour, zone = tumour.Crop(lo, hi), zone.Crop(lo, hi)
		res, err := Measure(context.Background(), Input{GTR: volume.SignedDistance(tumour), PTZ: volume.SignedDistance(zone),
			ToPre: same, Lung: everywhere(zone.Geometry), GTRErrorMM: 1, PTZErrorMM: 1})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: TCR %.3f (%.3f to %.3f), true %.3f; MAM %.1f mm, GTR %.2f, PTV %.2f, PTZ %.2f mL", pair, res.TCR, res.TCRRange[0], res.TCRRange[1], truth[0], res.MAM, res.GTRML, res.PTVML, res.PTZML)
		within(t, pair+": TCR", res.TCR, truth[0], 0.1)
		if res.TCRRange[0] > truth[0] || res.TCRRange[1] < truth[0] {
			t.Errorf("%s: the range %v does not hold the truth %g", pair, res.TCRRange, truth[0])
		}
	}
}

func within(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance) {
		t.Errorf("%s is %.4f, want %.4f ± %.4f", what, got, want, tolerance)
	}
}
