package sr

import (
	"image"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rfanode/analysis"
	"rfanode/analysis/ct"
	"rfanode/analysis/volume"
)

// A mirrored picture puts the finding on the wrong side: the patient's right is at the left, the head at the top, the
// front at the top of axial and at the left of sagittal views, however rows and columns run in the series.
func TestPlanesAreOriented(t *testing.T) {
	for _, v := range variants() {
		g := v.geometry()
		middle := g.Index(volume.Vec{})
		for _, x := range []struct {
			view        view
			right, down volume.Vec
			labels      [4]byte // first letters
		}{{axial, volume.Vec{1, 0, 0}, volume.Vec{0, 1, 0}, [4]byte{'R', 'L', 'A', 'P'}},
			{coronal, volume.Vec{1, 0, 0}, volume.Vec{0, 0, -1}, [4]byte{'R', 'L', 'H', 'F'}},
			{sagittal, volume.Vec{0, 1, 0}, volume.Vec{0, 0, -1}, [4]byte{'A', 'P', 'H', 'F'}}} {
			p := newPlane(g, x.view, middle, 100, 200)
			px, py := p.pixel(g.Index(volume.Vec{20*x.right[0] + 10*x.down[0], 20*x.right[1] + 10*x.down[1], 20*x.right[2] + 10*x.down[2]}))
			tolerance := 1.0 + 45*2*math.Sin(v.angle*math.Pi/360) // oblique planes run along the axes of the series
			if math.Abs(px-140) > tolerance || math.Abs(py-120) > tolerance {
				t.Errorf("%s %v: 20 mm right and 10 mm down is pixel %.1f, %.1f, want 140, 120", v.name, x.view, px, py)
			}
			for i, l := range p.labels {
				if l == "" || l[0] != x.labels[i] {
					t.Errorf("%s %v: letters %q, want %q first", v.name, x.view, p.labels, x.labels)
					break
				}
			}
		}
	}
}

// Pixels are square in mm: a ball is a disc in each plane although voxels are not cubes.
func TestPlanesAreUndistorted(t *testing.T) {
	g := volume.Geometry{Size: [3]int{120, 80, 60}, Spacing: [3]float64{0.7, 1.1, 2.5}, Direction: [3]volume.Vec{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}}
	centre := volume.Vec{60, 40, 30}
	m := ball(g, g.Point(centre), 20)
	for _, v := range []view{axial, coronal, sagittal} {
		p := newPlane(g, v, centre, 60, 300) // 5 pixels a mm
		level := p.render(0, 0, func(o int) float64 { return float64(m.Data[o]) })
		lo, hi := [2]int{300, 300}, [2]int{}
		for i, l := range level {
			if l >= 0.5 {
				for a, x := range [2]int{i % 300, i / 300} {
					lo[a], hi[a] = min(lo[a], x), max(hi[a], x)
				}
			}
		}
		for a := range 2 {
			if d := float64(hi[a]-lo[a]) / 5; math.Abs(d-40) > 2.6 { // to a voxel
				t.Errorf("%v: extent %.1f mm along axis %d, want 40", v, d, a)
			}
		}
	}
}

// The value of a pixel is that of the voxel beneath it.
func TestRender(t *testing.T) {
	g := volume.Axial([3]int{4, 3, 2}, [3]float64{1, 1, 1}, volume.Vec{})
	data := make([]float64, g.Len())
	for i := range data {
		data[i] = float64(i)
	}
	p := newPlane(g, axial, volume.Vec{1.5, 1, 1}, 4, 4) // a pixel a voxel
	got := p.render(1, -1, func(o int) float64 { return data[o] })
	for y := range 3 {
		for x := range 4 {
			px, py := p.pixel(volume.Vec{float64(x), float64(y), 1})
			want := data[g.Offset(x, y, 1)]
			if py -= 0.5; y > 0 { // an odd number of rows lies half a pixel off: the mean of two voxels
				want = (want + data[g.Offset(x, y-1, 1)]) / 2
			}
			if v := got[(int(py)+1)*6+int(px)+1]; y > 0 && v != want {
				t.Errorf("voxel %d,%d: %v, want %v", x, y, v, want)
			}
		}
	}
	if got[0] != -1 {
		t.Error("outside the grid there is something")
	}
}

// Each structure of the findings is in the picture in its colour, and the picture of a final case says what it is.
func TestSummaryShowsTheStructures(t *testing.T) {
	c, _ := baseVariant.standard()
	img := mustSummary(t, c.pre, c.post, c.findings[0], testOptions())
	for _, x := range []struct {
		kind structureKind
		pre  bool
	}{{kindGTRPre, true}, {kindGTRPost, false}, {kindPTV, false}, {kindPTZ, false}, {kindUncovered, false}} {
		r := image.Rect(gap, row1, gap+panelSize, row1+panelSize)
		if x.pre {
			r = image.Rect(gap, row2, gap+panelSize, row2+panelSize)
		}
		if n := countColour(img, r, color.RGBA{x.kind.colour[0], x.kind.colour[1], x.kind.colour[2], 255}, 24); n < 40 {
			t.Errorf("%s: %d pixels of its colour", x.kind.label, n)
		}
	}
	if n := countColour(img, image.Rect(0, pictureSize-footerHeight, pictureSize, pictureSize), redInk, 10); n < 300 {
		t.Errorf("%d red pixels in the footer: is the research-use text there?", n)
	}
}

// The picture of a held case shows what there is, down to nothing but one series.
func TestSummaryOfHeldCases(t *testing.T) {
	c, _ := baseVariant.standard()
	strip := map[string]func(f *analysis.Findings) (pre, post *ct.Series){
		"no coverage": func(f *analysis.Findings) (*ct.Series, *ct.Series) { f.Coverage = nil; return c.pre, c.post },
		"only zone": func(f *analysis.Findings) (*ct.Series, *ct.Series) {
			f.Coverage, f.GTR, f.GTRPost, f.PTV, f.Uncovered = nil, nil, nil, nil, nil
			return c.pre, c.post
		},
		"nothing found": func(f *analysis.Findings) (*ct.Series, *ct.Series) {
			*f = analysis.Findings{Status: analysis.Held, Reasons: []string{"no ablation zone found"}}
			return c.pre, c.post
		},
		"no pre":  func(*analysis.Findings) (*ct.Series, *ct.Series) { return nil, c.post },
		"no post": func(*analysis.Findings) (*ct.Series, *ct.Series) { return c.pre, nil },
		"no masks": func(f *analysis.Findings) (*ct.Series, *ct.Series) {
			f.PTZ = &analysis.Structure{VolumeML: 3}
			return c.pre, c.post
		},
		"bad slice": func(f *analysis.Findings) (*ct.Series, *ct.Series) {
			cov := *f.Coverage
			cov.Worst.Slice, cov.Worst.Point = 9999, volume.Vec{math.NaN(), 1e9, -1e9}
			f.Coverage = &cov
			return c.pre, c.post
		},
	}
	for name, change := range strip {
		f := c.findings[0]
		f.Status, f.Reasons = analysis.Held, []string{"the registration is doubtful"}
		pre, post := change(&f)
		img := mustSummary(t, pre, post, f, testOptions())
		if n := countColour(img, image.Rect(0, 0, pictureSize, titleHeight), redInk, 10); n < 200 {
			t.Errorf("%s: the title does not say that it is held", name)
		}
		if n := countColour(img, image.Rect(0, row3, pictureSize, pictureSize-footerHeight), redInk, 10); n < 100 {
			t.Errorf("%s: the reason is not there", name)
		}
	}
	if _, err := Summary(nil, nil, analysis.Findings{}, Options{}); err == nil {
		t.Error("a picture of nothing")
	}
}

// However much there is to say, the text stays above the footer and within the picture.
func TestLongTextFits(t *testing.T) {
	c, _ := baseVariant.standard()
	f := c.findings[0]
	for range 40 {
		f.Warnings = append(f.Warnings, strings.Repeat("the slices are thicker than the margin that is to be measured ", 3))
	}
	f.Warnings = append(f.Warnings, strings.Repeat("x", 900))
	img := mustSummary(t, c.pre, c.post, f, testOptions())
	for _, r := range []image.Rectangle{image.Rect(0, pictureSize-footerHeight, pictureSize, pictureSize-footerHeight+8), image.Rect(pictureSize-8, row3, pictureSize, pictureSize), image.Rect(0, row3-gap, pictureSize, row3)} {
		if n := r.Dx()*r.Dy() - countColour(img, r, ink, 0); n > 0 {
			t.Errorf("%d pixels of text in %v", n, r)
		}
	}
}

// Chinese draws from the configured font; without one the picture still works.
func TestConfiguredFont(t *testing.T) {
	with, err := loadFonts(filepath.Join("testdata", "cmapTest.ttf"))
	if err != nil {
		t.Fatal(err)
	}
	without, err := loadFonts("")
	if err != nil {
		t.Fatal(err)
	}
	drawn := func(s *fontSet) *image.RGBA {
		img := image.NewRGBA(image.Rect(0, 0, 60, 60))
		s.face(40, false).draw(img, 5, 45, "中", white)
		return img
	}
	if string(drawn(with).Pix) == string(drawn(without).Pix) || countColour(drawn(with), image.Rect(0, 0, 60, 60), white, 0) == 0 {
		t.Error("the character does not come from the configured font")
	}
	if with.face(40, false).width("A") != without.face(40, false).width("A") {
		t.Error("Latin text changes with the configured font")
	}
	bad := filepath.Join(t.TempDir(), "bad.ttf")
	if err := os.WriteFile(bad, []byte("no font"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, _ := baseVariant.standard()
	for _, path := range []string{bad, bad + ".missing"} {
		if _, err := Summary(c.pre, c.post, c.findings[0], Options{Font: path}); err == nil || !strings.Contains(err.Error(), "bad.ttf") {
			t.Errorf("font %s: %v", path, err)
		}
	}
}

func TestWrap(t *testing.T) {
	s, err := loadFonts("")
	if err != nil {
		t.Fatal(err)
	}
	f := s.face(16, false)
	text := "one two  three " + strings.Repeat("四", 30) + " " + strings.Repeat("y", 60) + " end"
	lines := f.wrap(text, 120)
	for _, l := range lines {
		if f.width(l) > 120 {
			t.Errorf("line %q is %d wide", l, f.width(l))
		}
	}
	if got, want := strings.ReplaceAll(strings.Join(lines, ""), " ", ""), strings.ReplaceAll(text, " ", ""); got != want {
		t.Errorf("text lost: %q", got)
	}
}

func mustSummary(t *testing.T, pre, post *ct.Series, f analysis.Findings, o Options) image.Image {
	t.Helper()
	img, err := Summary(pre, post, f, o)
	if err != nil {
		t.Fatal(err)
	}
	if img.Bounds() != image.Rect(0, 0, 1024, 1024) {
		t.Fatalf("picture of %v", img.Bounds())
	}
	return img
}

// countColour counts the pixels of a rectangle that differ from the colour by no more than a tolerance per channel.
func countColour(img image.Image, r image.Rectangle, c color.RGBA, tolerance int) int {
	n := 0
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			p := img.(*image.RGBA).RGBAAt(x, y)
			if abs(int(p.R)-int(c.R)) <= tolerance && abs(int(p.G)-int(c.G)) <= tolerance && abs(int(p.B)-int(c.B)) <= tolerance {
				n++
			}
		}
	}
	return n
}
