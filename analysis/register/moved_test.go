package register_test

import (
	"context"
	"encoding/csv"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"rfanode/analysis/coverage"
	"rfanode/analysis/ct"
	"rfanode/analysis/phantom"
	"rfanode/analysis/register"
	"rfanode/analysis/segment"
	"rfanode/analysis/volume"
	"rfanode/internal/tooltest"
)

// figures are what is measured on one case. Lengths in mm.
type figures struct {
	centre   float64 // error of Local at the zone's centre
	said     float64 // what Local says it is
	centroid float64 // of the moved tumour
	ratio    float64 // its volume against the true one
	tcr      float64 // TCR less that of the same mask of the zone under the true map: what registration does to it
	tcrWhole float64 // TCR less that of the true mask under the true map: what registration and mask do to it
	fallback bool
	variant  string
	cpu      float64 // seconds, of Local
}

func (f figures) String() string {
	return fmt.Sprintf("centre %.2f (says %.2f), centroid %.2f, volume %.3f, TCR %+.4f (with the mask %+.4f), %s, fallback %v, %.1f CPU s",
		f.centre, f.said, f.centroid, f.ratio, f.tcr, f.tcrWhole, f.variant, f.fallback, f.cpu)
}

// limits of the issue: beyond them the coverage cannot be trusted.
const (
	leastRatio, mostRatio = 0.95, 1.05
	mostCentroidMM        = 1.0
	mostTCR               = 0.01
	mostTCRDisturbed      = 0.03 // with a disturbed mask, or with tissue that shrank, which no image shows
)

// cut is how the zone's mask is disturbed before it is used.
type cut func(*volume.Mask) *volume.Mask

var cuts = map[string]cut{
	"true":    func(m *volume.Mask) *volume.Mask { return m },
	"eroded":  func(m *volume.Mask) *volume.Mask { return volume.Erode(m, m.Spacing[0]) },
	"dilated": func(m *volume.Mask) *volume.Mask { return volume.Dilate(m, m.Spacing[0]) },
}

// moved is a case with what all masks of it share.
type moved struct {
	*phantom.MovedCase
	linear            register.LinearResult
	landmark, farther float64 // error of linear, mean and 95th percentile, mm
}

func newMoved(tb testing.TB, anatomy *volume.Volume, o phantom.MovedOptions) (moved, error) {
	tb.Helper()
	ctx := context.Background()
	c, err := phantom.Moved(ctx, anatomy, o)
	if err != nil {
		return moved{}, err
	}
	m := moved{MovedCase: c}
	if m.linear, err = register.Linear(ctx, c.Fixed, c.Moving, c.FixedLung, c.MovingLung, register.LinearOptions{}); err != nil {
		tb.Fatal(err)
	}
	m.landmark, m.farther = landmarkError(m.linear, c.TestPoints)
	return m, nil
}

// registered runs Local with a mask of the zone and compares with the truth.
func (c moved) registered(tb testing.TB, mask string) figures {
	tb.Helper()
	ctx := context.Background()
	zone := cuts[mask](c.Zone)
	level := c.ZoneLevel
	if mask != "true" {
		level = volume.SignedDistance(zone)
	}
	before := cpuSeconds()
	local, err := register.Local(ctx, c.Fixed, c.Moving, c.linear.Affine, register.Ring(c.FixedLung, zone), register.LocalOptions{Zone: zone})
	if err != nil {
		tb.Fatal(err)
	}
	f := figures{said: local.ErrorMM, fallback: local.Fallback || c.linear.Fallback, variant: local.Variant, cpu: cpuSeconds() - before}
	middle := centroidOf(zone)
	f.centre = apart(local.Map(middle), c.ToPre(middle))
	ml, mid := movedTumour(c.TumourLevel, local.Map, c.CentrePost)
	trueML, trueMid := movedTumour(c.TumourLevel, c.ToPre, c.CentrePost)
	f.ratio, f.centroid = ml/trueML, apart(mid, trueMid)
	lo, hi, _ := c.Zone.Around(25)
	tcr := func(level *volume.Volume, to func(volume.Vec) volume.Vec) float64 {
		r, err := coverage.Measure(ctx, coverage.Input{GTR: c.TumourLevel, ToPre: to, PTZ: level.Crop(lo, hi), Lung: c.FixedLung.Crop(lo, hi)})
		if err != nil {
			tb.Fatal(err)
		}
		return r.TCR
	}
	f.tcr = tcr(level, local.Map) - tcr(level, c.ToPre)
	f.tcrWhole = f.tcr
	if mask != "true" {
		f.tcrWhole = tcr(level, local.Map) - tcr(c.ZoneLevel, c.ToPre)
	}
	return f
}

// movedTumour is volume (mL) and centroid of what level shows through the map, on a grid of 1 mm round c.
func movedTumour(level *volume.Volume, to func(volume.Vec) volume.Vec, c volume.Vec) (ml float64, mid volume.Vec) {
	const reach = 22
	n := 0.0
	for x := -reach; x <= reach; x++ {
		for y := -reach; y <= reach; y++ {
			for z := -reach; z <= reach; z++ {
				p := volume.Vec{c[0] + float64(x), c[1] + float64(y), c[2] + float64(z)}
				if level.At(level.Index(to(p)), -5) > 0 {
					n++
					for a := range 3 {
						mid[a] += p[a]
					}
				}
			}
		}
	}
	for a := range 3 {
		mid[a] /= n
	}
	return n / 1000, mid
}

func apart(a, b volume.Vec) float64 {
	return math.Sqrt((a[0]-b[0])*(a[0]-b[0]) + (a[1]-b[1])*(a[1]-b[1]) + (a[2]-b[2])*(a[2]-b[2]))
}

// centroidOf is the mean of the voxels set, LPS mm.
func centroidOf(m *volume.Mask) (mid volume.Vec) {
	n := 0.0
	for i, v := range m.Data {
		if v == 0 {
			continue
		}
		n++
		p := m.Point(volume.Vec{float64(i % m.Size[0]), float64(i / m.Size[0] % m.Size[1]), float64(i / (m.Size[0] * m.Size[1]))})
		for a := range 3 {
			mid[a] += p[a]
		}
	}
	for a := range 3 {
		mid[a] /= n
	}
	return mid
}

func landmarkError(t register.Transform, points []phantom.Landmark) (mean, p95 float64) {
	e := make([]float64, len(points))
	for i, p := range points {
		e[i] = apart(t.Map(p.Post), p.Pre)
		mean += e[i] / float64(len(e))
	}
	slices.Sort(e)
	return mean, e[len(e)*95/100]
}

func cpuSeconds() float64 {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return math.NaN()
	}
	return float64(r.Utime.Nano()+r.Stime.Nano()) / 1e9
}

// A tumour under a zone must keep size and place, whatever moves, and the error given must be believable. The limits are
// the issue's own. Generated anatomy, so that it runs everywhere; BenchmarkMoved does the same on real anatomy.
func TestMovedCases(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some 10 s of processor time")
	}
	pair, err := phantom.Pair(context.Background(), phantom.Options{Seed: 3, Size: 128, SliceMM: 4, Coverage: phantom.NoAblation})
	if err != nil {
		t.Fatal(err)
	}
	c, err := newMoved(t, pair.Pre.Volume, phantom.MovedOptions{Seed: 2, Site: phantom.MovedVessels, Sliding: true, SpacingMM: 3, Points: 500})
	if err != nil {
		t.Fatal(err)
	}
	for mask, limit := range map[string]float64{"true": mostTCR, "dilated": mostTCRDisturbed} {
		t.Run(mask, func(t *testing.T) {
			f := c.registered(t, mask)
			t.Log(f)
			if f.fallback || f.variant != register.VariantAffine || f.ratio < leastRatio || f.ratio > mostRatio || f.centroid > mostCentroidMM || math.Abs(f.tcr) > limit {
				t.Errorf("the tumour does not keep size and place: %v", f)
			}
			if f.centre > 2*f.said || f.said > 3 {
				t.Errorf("off by %.2f mm, says %.2f", f.centre, f.said)
			}
		})
	}
}

// unpacked is the folder of a pair of the shared data.
func unpacked(tb testing.TB, name string) string {
	tb.Helper()
	shared := tooltest.Shared(tb)
	dir := tb.TempDir()
	if out, err := exec.Command("tar", "-xJf", filepath.Join(shared, "data", name+".tar.xz"), "-C", dir).CombinedOutput(); err != nil {
		tb.Skipf("cannot unpack %s: %v %s", name, err, out)
	}
	return filepath.Join(dir, name)
}

func loaded(tb testing.TB, dir string) *volume.Volume {
	tb.Helper()
	s, err := ct.LoadDir(context.Background(), dir)
	if err != nil {
		tb.Fatal(err)
	}
	return s.Volume
}

var realPairs = []string{"pair-lidc-covered", "pair-r01-partial"}

// movedPlan is the plan of the benchmark: every seed once smooth and once sliding, over all sites and amplitudes.
func movedPlan(first, last int) []phantom.MovedOptions {
	var plan []phantom.MovedOptions
	amplitudes := []float64{15, 15, 8, 15, 20}
	for s := first; s <= last; s++ {
		n := len(phantom.MovedSites)
		plan = append(plan,
			phantom.MovedOptions{Seed: uint64(s), Site: phantom.MovedSites[(s+s/5)%n], AmplitudeMM: amplitudes[s%n]},
			phantom.MovedOptions{Seed: uint64(s), Site: phantom.MovedSites[(s+s/5+2)%n], AmplitudeMM: amplitudes[s%n], Sliding: true})
	}
	return plan
}

// seedRange reads RFANODE_SEEDS: "12" for the seeds 1 to 12, or "101-112".
func seedRange(tb testing.TB, most int) (first, last int) {
	tb.Helper()
	text := os.Getenv("RFANODE_SEEDS")
	if text == "" {
		return 1, most
	}
	from, to, both := strings.Cut(text, "-")
	if !both {
		from, to = "1", from
	}
	first, err := strconv.Atoi(from)
	last, err2 := strconv.Atoi(to)
	if err != nil || err2 != nil || first < 1 || last < first {
		tb.Fatalf("RFANODE_SEEDS=%q: give a number of seeds, or a range as 101-112", text)
	}
	return first, last
}

func movedName(o phantom.MovedOptions) string {
	kind := "smooth"
	if o.Sliding {
		kind = "sliding"
	}
	return fmt.Sprintf("%d-%s-%s-%gmm", o.Seed, kind, o.Site, o.AmplitudeMM)
}

// BenchmarkMoved is the table of the lesion over real anatomy, ten seeds by default (RFANODE_SEEDS for others): a line a
// case and mask, and at the end what is within the limits. Run it with -benchtime 1x. "contracted" is another
// case: its tissue shrank by 10 % about the tumour, and its masks are true.
func BenchmarkMoved(b *testing.B) {
	first, last := seedRange(b, 10)
	base := loaded(b, filepath.Join(unpacked(b, realPairs[0]), "pre"))
	other := loaded(b, filepath.Join(unpacked(b, realPairs[1]), "pre"))
	all := map[string][]figures{}
	for _, o := range movedPlan(first, last) {
		anatomy := base
		if o.Seed%2 == 0 {
			anatomy = other
		}
		for _, contraction := range []float64{0, 0.1} {
			o.Contraction = contraction
			c, err := newMoved(b, anatomy, o)
			if err != nil {
				b.Log(err)
				continue
			}
			masks := []string{"true", "eroded", "dilated"}
			if contraction > 0 {
				masks = masks[:1]
			}
			for _, mask := range masks {
				row := mask
				if contraction > 0 {
					row = "contracted"
				}
				b.Run(movedName(o)+"/"+row, func(b *testing.B) {
					var f figures
					for b.Loop() {
						f = c.registered(b, mask)
					}
					b.ReportMetric(c.landmark, "linear-mm")
					b.ReportMetric(c.farther, "linear-p95-mm")
					report(b, f)
					all[row] = append(all[row], f)
				})
			}
		}
	}
	for _, row := range []string{"true", "eroded", "dilated", "contracted"} {
		fmt.Println(summary(row, all[row])) // what a benchmark with parts logs is not printed
	}
}

// summary is mean, worst and number within the limits of a row of the table.
func summary(row string, all []figures) string {
	if len(all) == 0 {
		return row + ": no cases"
	}
	limit := mostTCRDisturbed
	if row == "true" {
		limit = mostTCR
	}
	var ratio, centroid, tcr, said float64
	low, high, far, off, whole := math.Inf(1), math.Inf(-1), 0.0, 0.0, 0.0
	sized, placed, covered, believed := 0, 0, 0, 0
	for _, f := range all {
		n := float64(len(all))
		ratio, centroid, tcr, said = ratio+f.ratio/n, centroid+f.centroid/n, tcr+math.Abs(f.tcr)/n, said+f.said/n
		low, high, far, off = min(low, f.ratio), max(high, f.ratio), max(far, f.centroid), max(off, math.Abs(f.tcr))
		whole = max(whole, math.Abs(f.tcrWhole))
		sized += count(f.ratio >= leastRatio && f.ratio <= mostRatio)
		placed += count(f.centroid <= mostCentroidMM)
		covered += count(math.Abs(f.tcr) <= limit)
		believed += count(f.centre <= 2*f.said)
	}
	return fmt.Sprintf("%s, %d cases: volume ratio %.3f, %.3f to %.3f, %d within 5 %%; centroid %.2f mm, at most %.2f, %d within 1 mm; TCR off by %.4f, at most %.3f, %d within %.2f (at most %.3f with what the mask does); error at the centre below twice what is said (%.2f mm) in %d",
		row, len(all), ratio, low, high, sized, centroid, far, placed, tcr, off, covered, limit, whole, said, believed)
}

func count(ok bool) int {
	if ok {
		return 1
	}
	return 0
}

func report(b *testing.B, f figures) {
	b.ReportMetric(f.centre, "centre-mm")
	b.ReportMetric(f.said, "said-mm")
	b.ReportMetric(f.centroid, "centroid-mm")
	b.ReportMetric(f.ratio, "volume-ratio")
	b.ReportMetric(f.tcr, "tcr-error")
	b.ReportMetric(f.tcrWhole, "tcr-error-with-mask")
	b.ReportMetric(f.cpu/float64(max(b.N, 1)), "cpu-s/op")
}

// BenchmarkRealPairs is the same on the two real pairs with their truth masks: the landmark error of Linear, and the
// tumour moved by Local against the tumour moved by the true field, the same masks for both.
func BenchmarkRealPairs(b *testing.B) {
	for _, name := range realPairs {
		b.Run(name, func(b *testing.B) {
			dir := unpacked(b, name)
			p := readRealPair(b, dir)
			b.ResetTimer()
			for b.Loop() {
				p.measure(b)
			}
		})
	}
}

type realPair struct {
	pre, post         *volume.Volume
	preLung, postLung *volume.Mask
	zone, gtr, moved  *volume.Mask // moved: gtr in post
	points            []phantom.Landmark
	truth             *register.Field
}

func readRealPair(tb testing.TB, dir string) realPair {
	tb.Helper()
	p := realPair{pre: loaded(tb, filepath.Join(dir, "pre")), post: loaded(tb, filepath.Join(dir, "post"))}
	for _, s := range []struct {
		v    *volume.Volume
		lung **volume.Mask
	}{{p.pre, &p.preLung}, {p.post, &p.postLung}} {
		l, err := segment.FindLungs(context.Background(), s.v)
		if err != nil {
			tb.Fatal(err)
		}
		*s.lung = l.Hull
	}
	for _, s := range []struct {
		name string
		on   volume.Geometry
		mask **volume.Mask
	}{{"ptz_post", p.post.Geometry, &p.zone}, {"gtr_pre", p.pre.Geometry, &p.gtr}, {"gtr_deformed_to_post", p.post.Geometry, &p.moved}} {
		m, err := volume.ReadMaskNIfTI(filepath.Join(dir, s.name+".nii.gz"))
		if err != nil {
			tb.Fatal(err)
		}
		*s.mask = volume.ResampleNearest(m, s.on)
	}
	p.points = readLandmarks(tb, filepath.Join(dir, "landmarks.csv"))
	var err error
	if p.truth, err = register.ReadField(filepath.Join(dir, "field_post_to_pre_8mm.nii.gz")); err != nil {
		tb.Fatal(err)
	}
	return p
}

func (p realPair) measure(b *testing.B) {
	ctx := context.Background()
	before := cpuSeconds()
	linear, err := register.Linear(ctx, p.post, p.pre, p.postLung, p.preLung, register.LinearOptions{})
	if err != nil {
		b.Fatal(err)
	}
	local, err := register.Local(ctx, p.post, p.pre, linear.Affine, register.Ring(p.postLung, p.zone), register.LocalOptions{Zone: p.zone})
	if err != nil {
		b.Fatal(err)
	}
	f := figures{said: local.ErrorMM, variant: local.Variant, cpu: cpuSeconds() - before}
	mean, p95 := landmarkError(linear, p.points)
	b.ReportMetric(mean, "linear-mm")
	b.ReportMetric(p95, "linear-p95-mm")
	middle := centroidOf(p.zone)
	f.centre = apart(local.Map(middle), p.truth.Map(middle))
	level, around := volume.SignedDistance(p.gtr), centroidOf(p.moved)
	ml, mid := movedTumour(level, local.Map, around)
	trueML, trueMid := movedTumour(level, p.truth.Map, around)
	f.ratio, f.centroid = ml/trueML, apart(mid, trueMid)
	lo, hi, _ := p.zone.Around(25)
	zone, lung := volume.SignedDistance(p.zone.Crop(lo, hi)), p.postLung.Crop(lo, hi)
	tcr := func(to func(volume.Vec) volume.Vec) float64 {
		r, err := coverage.Measure(ctx, coverage.Input{GTR: level, ToPre: to, PTZ: zone, Lung: lung})
		if err != nil {
			b.Fatal(err)
		}
		return r.TCR
	}
	f.tcr = tcr(local.Map) - tcr(p.truth.Map)
	f.tcrWhole = f.tcr
	report(b, f)
}

func readLandmarks(tb testing.TB, path string) []phantom.Landmark {
	tb.Helper()
	file, err := os.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		tb.Fatal(err)
	}
	var out []phantom.Landmark
	for _, row := range rows[1:] {
		var x [6]float64
		for i := range x {
			if x[i], err = strconv.ParseFloat(row[i], 64); err != nil {
				tb.Fatal(err)
			}
		}
		out = append(out, phantom.Landmark{Post: volume.Vec{x[0], x[1], x[2]}, Pre: volume.Vec{x[3], x[4], x[5]}})
	}
	return out
}

// TestExportMoved writes cases as NIfTI with their points for reference/registration_peers.py: set RFANODE_EXPORT to a
// folder, and RFANODE_SEEDS as for BenchmarkMoved; one seed without it.
func TestExportMoved(t *testing.T) {
	to := os.Getenv("RFANODE_EXPORT")
	if to == "" {
		t.Skip("RFANODE_EXPORT names no folder to write to")
	}
	first, last := seedRange(t, 1)
	anatomy := loaded(t, filepath.Join(unpacked(t, realPairs[0]), "pre"))
	for _, o := range movedPlan(first, last) {
		c, err := phantom.Moved(context.Background(), anatomy, o)
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(to, movedName(o))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, v := range map[string]*volume.Volume{"fixed": c.Fixed, "moving": c.Moving} {
			if err := volume.WriteNIfTI(filepath.Join(dir, name+".nii.gz"), v); err != nil {
				t.Fatal(err)
			}
		}
		if err := writePoints(filepath.Join(dir, "points.csv"), c.TestPoints); err != nil {
			t.Fatal(err)
		}
	}
}

func writePoints(path string, points []phantom.Landmark) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	w := csv.NewWriter(file)
	rows := [][]string{{"post_x", "post_y", "post_z", "pre_x", "pre_y", "pre_z"}}
	for _, p := range points {
		var row []string
		for _, x := range []volume.Vec{p.Post, p.Pre} {
			for a := range 3 {
				row = append(row, strconv.FormatFloat(x[a], 'f', 4, 64))
			}
		}
		rows = append(rows, row)
	}
	if err := w.WriteAll(rows); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}
