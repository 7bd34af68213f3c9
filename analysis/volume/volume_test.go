package volume

import (
	"bytes"
	"fmt"
	"math"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"rfanode/internal/tooltest"
)

// TestIndexIsInverseOfPoint: a wrong inverse puts every mask beside its organ.
func TestIndexIsInverseOfPoint(t *testing.T) {
	g := oblique([3]int{30, 20, 10}, [3]float64{0.7, 0.8, 2.5})
	for _, idx := range []Vec{{}, {3.25, -1, 7}, {29, 19, 9}} {
		back := g.Index(g.Point(idx))
		for a := range 3 {
			if math.Abs(back[a]-idx[a]) > 1e-9 {
				t.Errorf("index %v comes back as %v", idx, back)
			}
		}
	}
}

// TestSignedDistance compares with the distance to every voxel box, by brute force: the zero level must lie on the
// faces, whatever the spacing.
func TestSignedDistance(t *testing.T) {
	g := Axial([3]int{9, 8, 7}, [3]float64{0.7, 1.1, 5}, Vec{})
	r := rand.New(rand.NewSource(4))
	for _, density := range []float64{0, 0.02, 0.5, 0.97, 1} {
		m := NewMask(g)
		for i := range m.Data {
			m.Data[i] = bit(r.Float64() < density)
		}
		got := SignedDistance(m)
		want := make([]float32, g.Len())
		for n := range want {
			want[n] = nearestBox(m, n)
		}
		closeTo(t, "SignedDistance", got.Data, want, 1e-4)
	}
}

func nearestBox(m *Mask, n int) float32 {
	best := float64(Far)
	at := func(n int) [3]int {
		return [3]int{n % m.Size[0], n / m.Size[0] % m.Size[1], n / (m.Size[0] * m.Size[1])}
	}
	p := at(n)
	for o := range m.Data {
		if m.Data[o] == m.Data[n] {
			continue
		}
		q, sum := at(o), 0.0
		for a := range 3 {
			d := max(0, math.Abs(float64(p[a]-q[a]))-0.5) * m.Spacing[a]
			sum += d * d
		}
		best = min(best, math.Sqrt(sum))
	}
	if m.Data[n] == 0 {
		return float32(-best)
	}
	return float32(best)
}

// TestEmptyMask: nothing found must stay nothing, without NaN or a crash.
func TestEmptyMask(t *testing.T) {
	m := NewMask(Axial([3]int{4, 3, 2}, [3]float64{1, 1, 1}, Vec{}))
	for _, d := range Distance(m).Data {
		if d != Far {
			t.Fatalf("distance to an empty mask is %g", d)
		}
	}
	if Dilate(m, 5).Count()+Erode(m, 5).Count()+FillHoles(m).Count()+Largest(m, 6).Count() != 0 {
		t.Error("an operation on an empty mask set voxels")
	}
	if _, sizes := Components(m, 26); len(sizes) != 1 || sizes[0] != 24 {
		t.Errorf("components of an empty mask: %v", sizes)
	}
}

// TestCropPaste: morphology works on cut-outs, so a shifted cut-out would move every mask.
func TestCropPaste(t *testing.T) {
	m := NewMask(oblique([3]int{20, 18, 9}, [3]float64{0.7, 0.7, 2}))
	m.Data[m.Offset(7, 5, 3)] = 1
	m.Data[m.Offset(9, 6, 4)] = 1
	lo, hi, ok := m.Bounds()
	if !ok || lo != [3]int{7, 5, 3} || hi != [3]int{9, 6, 4} {
		t.Fatalf("bounds %v %v", lo, hi)
	}
	part := m.Crop(lo, hi)
	if p, q := part.Point(Vec{}), m.Point(Vec{7, 5, 3}); math.Abs(p[0]-q[0])+math.Abs(p[1]-q[1])+math.Abs(p[2]-q[2]) > 1e-9 {
		t.Errorf("the cut-out lies at %v, want %v", p, q)
	}
	back := NewMask(m.Geometry)
	back.Paste(part, lo)
	same(t, "Paste", back.Data, m.Data)
	if Open(m, 3).Count() != 0 {
		t.Error("opening kept single voxels")
	}
	block := NewMask(m.Geometry)
	for k := 1; k < 8; k++ {
		for j := 2; j < 16; j++ {
			fill(block.Data[m.Offset(2, j, k):m.Offset(18, j, k)])
		}
	}
	slit := block.Clone()
	for k := 1; k < 8; k++ {
		for j := 2; j < 16; j++ {
			slit.Data[m.Offset(9, j, k)] = 0
		}
	}
	same(t, "Close over a slit of one voxel", Close(slit, 3).Data, block.Data)
}

// TestAt: the edge of the grid is where its voxels end, and nothing but a number comes out.
func TestAt(t *testing.T) {
	v := New(Axial([3]int{2, 2, 1}, [3]float64{1, 1, 5}, Vec{}))
	copy(v.Data, []float32{0, 10, 20, 30})
	for _, c := range []struct {
		idx  Vec
		want float32
	}{{Vec{0.5, 0.5, 0}, 15}, {Vec{0.25, 0, 0.4}, 2.5}, {Vec{-0.5, 0, -0.5}, 0}, {Vec{1.5, 1.5, 0.5}, 30},
		{Vec{-0.51, 0, 0}, -1024}, {Vec{0, 0, 0.51}, -1024}, {Vec{math.NaN(), 0, 0}, -1024}, {Vec{0, math.Inf(1), 0}, -1024}} {
		if got := v.At(c.idx, -1024); got != c.want {
			t.Errorf("At(%v) = %g, want %g", c.idx, got, c.want)
		}
	}
}

// TestResampleOblique: the fast path for parallel axes and the general one must agree, and a linear field must come
// out exactly on a grid turned against the source.
func TestResampleOblique(t *testing.T) {
	src := New(oblique([3]int{24, 22, 14}, [3]float64{1, 1.2, 2}))
	for n := range src.Data {
		i, j, k := n%24, n/24%22, n/(24*22)
		p := src.Point(Vec{float64(i), float64(j), float64(k)})
		src.Data[n] = float32(2*p[0] - p[1] + 0.5*p[2])
	}
	g := Axial([3]int{5, 5, 5}, [3]float64{1, 1, 1}, src.Point(Vec{11, 10, 6}))
	out := Resample(src, g, -1024)
	for n := range out.Data {
		p := g.Point(Vec{float64(n % 5), float64(n / 5 % 5), float64(n / 25)})
		if want := 2*p[0] - p[1] + 0.5*p[2]; math.Abs(float64(out.Data[n])-want) > 1e-2 {
			t.Fatalf("at %v: %g, want %g", p, out.Data[n], want)
		}
	}
	h := src.Geometry
	h.Size, h.Spacing, h.Origin = [3]int{9, 7, 6}, [3]float64{3, 3.1, 4.5}, src.Point(Vec{-2, 0.3, 1})
	fast := Resample(src, h, -1024)
	tilted := h
	tilted.Direction[0] = Vec{h.Direction[0][0] + 2e-6, h.Direction[0][1], h.Direction[0][2]} // just off the fast path
	slow := Resample(src, tilted, -1024)
	if aligned(src.Geometry, tilted) {
		t.Fatal("the tilted grid takes the fast path")
	}
	closeTo(t, "fast against general path", fast.Data, slow.Data, 1e-2)
	if fast.Data[0] != -1024 {
		t.Error("outside the source the value must be the one asked for")
	}
}

// TestSameOnAnyMachine: results must not depend on the number of processors.
func TestSameOnAnyMachine(t *testing.T) {
	v := New(Axial([3]int{40, 30, 20}, [3]float64{0.7, 0.7, 2}, Vec{}))
	r := rand.New(rand.NewSource(1))
	for i := range v.Data {
		v.Data[i] = r.Float32()
	}
	all := func() []float32 {
		m := Threshold(v, 0.9, 1)
		out := append([]float32(nil), SignedDistance(m).Data...)
		out = append(out, Smooth(v, 1.5).Data...)
		return append(out, Resample(v, Axial([3]int{10, 10, 10}, [3]float64{2, 2, 3}, Vec{}), 0).Data...)
	}
	before := runtime.GOMAXPROCS(1)
	one := all()
	runtime.GOMAXPROCS(4)
	four := all()
	runtime.GOMAXPROCS(before)
	closeTo(t, "one against four processors", one, four, 0)
}

func TestNIfTIRoundTrip(t *testing.T) {
	for _, flip := range []bool{false, true} {
		g := oblique([3]int{7, 5, 3}, [3]float64{0.703125, 0.8, 2.5})
		if flip { // left-handed: slices from head to feet
			for c := range 3 {
				g.Direction[2][c] = -g.Direction[2][c]
			}
		}
		v, m := New(g), NewMask(g)
		for i := range v.Data {
			v.Data[i] = float32(i)*1.5 - 1000
			m.Data[i] = bit(i%3 == 0)
		}
		for _, name := range []string{"v.nii", "v.nii.gz"} {
			path := filepath.Join(t.TempDir(), name)
			if err := WriteNIfTI(path, v); err != nil {
				t.Fatal(err)
			}
			back, err := ReadNIfTI(path)
			if err != nil {
				t.Fatal(err)
			}
			closeTo(t, name, back.Data, v.Data, 0)
			if !back.Geometry.Same(g) {
				t.Errorf("%s: geometry %+v, want %+v", name, back.Geometry, g)
			}
			if err := WriteMaskNIfTI(path, m); err != nil {
				t.Fatal(err)
			}
			mask, err := ReadMaskNIfTI(path)
			if err != nil {
				t.Fatal(err)
			}
			same(t, name+" mask", mask.Data, m.Data)
			// qform alone must say the same as sform.
			raw, _ := os.ReadFile(path)
			if name == "v.nii" {
				raw[254] = 0
				back, err := decodeNIfTI(bytes.NewReader(raw), int64(len(raw)))
				if err != nil {
					t.Fatal(err)
				}
				if !back.Geometry.Same(g) {
					t.Errorf("qform: geometry %+v, want %+v", back.Geometry, g)
				}
			}
		}
	}
}

// TestNIfTIRefused: what is no volume in a known place is refused in words, and no header can make us allocate.
func TestNIfTIRefused(t *testing.T) {
	g := Axial([3]int{4, 3, 2}, [3]float64{1, 1, 1}, Vec{})
	good := append(encodeNIfTIHeader(g, niftiUint8, 8), make([]byte, 24)...)
	change := func(at int, b ...byte) []byte {
		c := append([]byte(nil), good...)
		copy(c[at:], b)
		return c
	}
	noPlace := change(252, 0, 0, 0, 0)
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"cut header": {good[:100], "cut short"}, "no NIfTI": {make([]byte, 400), "not a NIfTI-1"}, "cut voxels": {good[:360], "voxels end"},
		"huge": {change(42, 0xff, 0x7f, 0xff, 0x7f, 0xff, 0x7f), "dimensions"}, "large and cut": {change(42, 0xff, 0x0f, 0xff, 0x0f, 0x64, 0), "voxels end"},
		"time series": {change(40, 4, 0, 4, 0, 3, 0, 2, 0, 5, 0), "three dimensions"}, "rgb": {change(70, 128, 0), "data type 128"},
		"no place": {noPlace, "neither sform nor qform"}, "sheared": {change(296, 0, 0, 0x80, 0x3f), "not perpendicular"},
	} {
		_, err := decodeNIfTI(bytes.NewReader(c.data), int64(len(c.data)))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one that says %q", name, err, c.want)
		}
	}
}

// TestNIfTIAgainstITK: ITK must read our file with the same geometry and values, sheared by no convention of ours.
func TestNIfTIAgainstITK(t *testing.T) {
	python := tooltest.Python(t)
	g := oblique([3]int{7, 5, 3}, [3]float64{0.7, 0.8, 2.5})
	v := New(g)
	for i := range v.Data {
		v.Data[i] = float32(i)
	}
	path := filepath.Join(t.TempDir(), "v.nii.gz")
	if err := WriteNIfTI(path, v); err != nil {
		t.Fatal(err)
	}
	script := `
import sys, SimpleITK as sitk
v = sitk.ReadImage(sys.argv[1])
again = sys.argv[1].replace("v.nii.gz", "itk.nii")
sitk.WriteImage(sitk.Cast(v, sitk.sitkInt16), again)
print(v.GetSize(), ["%.4f" % x for x in v.TransformIndexToPhysicalPoint((6, 4, 2))], v[3, 2, 1])`
	out, err := exec.Command(python, "-c", script, path).CombinedOutput()
	if err != nil {
		t.Fatalf("SimpleITK: %v\n%s", err, out)
	}
	p := g.Point(Vec{6, 4, 2})
	want := []string{"(7, 5, 3)", format(p[0]), format(p[1]), format(p[2]), "52.0"}
	for _, w := range want {
		if !strings.Contains(string(out), w) {
			t.Errorf("SimpleITK says %s, without %s", out, w)
		}
	}
	back, err := ReadNIfTI(strings.Replace(path, "v.nii.gz", "itk.nii", 1))
	if err != nil {
		t.Fatal(err)
	}
	if !back.Geometry.Same(g) {
		t.Errorf("ITK's file: geometry %+v, want %+v", back.Geometry, g)
	}
	closeTo(t, "ITK's file", back.Data, v.Data, 0)
}

func BenchmarkDistance(b *testing.B) {
	m := NewMask(Axial([3]int{512, 512, 60}, [3]float64{0.7, 0.7, 5}, Vec{}))
	for k := 10; k < 50; k++ {
		for j := 150; j < 350; j++ {
			fill(m.Data[m.Offset(150, j, k):m.Offset(350, j, k)])
		}
	}
	for b.Loop() {
		Distance(m)
	}
}

func format(x float64) string { return fmt.Sprintf("%.4f", x) }

// FuzzNIfTI: no file may crash the reader or make it take memory that the file does not fill.
func FuzzNIfTI(f *testing.F) {
	g := oblique([3]int{4, 3, 2}, [3]float64{1, 1, 2})
	f.Add(append(encodeNIfTIHeader(g, niftiUint8, 8), make([]byte, 24)...))
	f.Add(append(encodeNIfTIHeader(g, niftiFloat64, 64), make([]byte, 192)...))
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := decodeNIfTI(bytes.NewReader(data), int64(len(data)))
		if err == nil && (len(v.Data) != v.Len() || len(v.Data) > len(data)) {
			t.Errorf("%d voxels in a grid of %d from %d bytes", len(v.Data), v.Len(), len(data))
		}
	})
}
