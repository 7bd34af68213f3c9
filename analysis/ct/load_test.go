package ct

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"rfanode/analysis/ct/codec"
	"rfanode/analysis/volume"
	"rfanode/internal/tooltest"
)

// TestLoad: HU, geometry, order and header of a series in every encoding of pixels and data set that is taken.
func TestLoad(t *testing.T) {
	for _, ts := range []string{implicitLittle, explicitLittle} {
		for _, c := range []struct {
			name   string
			signed bool
			bits   int
			shift  int
		}{{"signed 16", true, 16, 0}, {"signed 12", true, 12, 0}, {"unsigned 12", false, 12, 1024}, {"unsigned 16", false, 16, 1024}} {
			t.Run(transferSyntaxNames[ts]+" "+c.name, func(t *testing.T) {
				s := small()
				s.signed, s.bits, s.offset = c.signed, c.bits, float64(-c.shift)
				s.value = func(i, j, k int) int { return 80*k + 10*j + i - 1000 + c.shift }
				got, err := Load(context.Background(), s.write(t, t.TempDir(), ts, nil))
				if err != nil {
					t.Fatal(err)
				}
				checkSmall(t, got, func(i, j, k int) float32 { return float32(80*k + 10*j + i - 1000) })
			})
		}
	}
}

func checkSmall(t *testing.T, got *Series, hu func(i, j, k int) float32) {
	t.Helper()
	want := small().geometry
	if !got.Volume.Geometry.Same(want) || math.Abs(got.Volume.Spacing[2]-2.5) > 1e-4 {
		t.Errorf("geometry %+v, want %+v", got.Volume.Geometry, want)
	}
	for n, x := range got.Volume.Data {
		if i, j, k := n%8, n/8%6, n/48; x != hu(i, j, k) {
			t.Fatalf("voxel %d %d %d has %g HU, want %g", i, j, k, x, hu(i, j, k))
		}
	}
	if got.Instances[0].InstanceNumber != "24" || got.Instances[23].SOPInstanceUID != "1.2.3.4.24" {
		t.Errorf("instances do not follow the slices: %v", got.Instances)
	}
	if got.Name != "Wang^XiaoDong=王^小东" || got.ID != "P-1" || got.SeriesDescription != "肺窗 5 mm" || got.SliceThickness != 2.5 {
		t.Errorf("header %+v", got.Header)
	}
	if want := time.Date(2026, 3, 1, 10, 15, 0, 500e6, time.UTC); !got.Acquired.Equal(want) {
		t.Errorf("acquired %v, want %v", got.Acquired, want)
	}
}

// TestReversedColumns: with columns running upwards the slice order must turn over, or left and right change sides.
func TestReversedColumns(t *testing.T) {
	s := small()
	for c := range 3 {
		s.geometry.Direction[1][c] = -s.geometry.Direction[1][c]
		s.geometry.Direction[2][c] = -s.geometry.Direction[2][c]
	}
	got, err := Load(context.Background(), s.write(t, t.TempDir(), explicitLittle, nil))
	if err != nil {
		t.Fatal(err)
	}
	if !got.Volume.Geometry.Same(s.geometry) || got.Volume.Data[0] != -1010 {
		t.Errorf("geometry %+v, first voxel %g", got.Volume.Geometry, got.Volume.Data[0])
	}
}

// TestPadding: values that are no measurement become air, whether they fit the stored bits or not.
func TestPadding(t *testing.T) {
	s := small()
	s.bits = 12
	s.value = func(i, j, k int) int { return 5 }
	got, err := Load(context.Background(), s.write(t, t.TempDir(), explicitLittle, func(k int, o object) object {
		pixels := o[tagPixelData].value
		binary.LittleEndian.PutUint16(pixels, 63536)     // −2000, beyond 12 bits
		binary.LittleEndian.PutUint16(pixels[2:], 0x800) // −2048: below air
		o[tagPadding] = attribute{"SS", binary.LittleEndian.AppendUint16(nil, 63536)}
		return o
	}))
	if err != nil {
		t.Fatal(err)
	}
	if d := got.Volume.Data; d[0] != Air || d[1] != Air || d[2] != -5 {
		t.Errorf("values %v, want -1024 -1024 -5", d[:3])
	}
}

// TestRefused: every kind of wrong series is refused with a reason a person can act on.
func TestRefused(t *testing.T) {
	tilt := small()
	for _, c := range []struct {
		name    string
		problem Problem
		says    string
		ts      string
		edit    func(k int, o object) object
	}{
		{"two slices missing", Gap, "between -290.0 and -282.5 mm", "", func(k int, o object) object {
			if k == 9 || k == 10 {
				return nil
			}
			return o
		}},
		{"three slices", TooFew, "3 slices", "", func(k int, o object) object {
			if k > 2 {
				return nil
			}
			return o
		}},
		{"a localizer among them", Localizer, "scout", "", func(k int, o object) object {
			if k == 5 {
				o.text(tagImageType, "CS", "ORIGINAL\\PRIMARY\\LOCALIZER")
			}
			return o
		}},
		{"a slice twice", Duplicates, "1 slices lie where another", "", func(k int, o object) object {
			if k == 8 {
				o[tagPosition] = small().slice(7)[tagPosition]
			}
			return o
		}},
		{"uneven", Uneven, "not evenly spaced", "", func(k int, o object) object {
			if k == 8 {
				p := small().geometry.Point(volume.Vec{0, 0, 8.4})
				o.text(tagPosition, "DS", fmt.Sprintf("%.3f\\%.3f\\%.3f", p[0], p[1], p[2]))
			}
			return o
		}},
		{"tilted", Tilted, "tilted by 10.0 degrees", "", func(k int, o object) object {
			p := tilt.geometry.Point(volume.Vec{0, float64(k) * 2.5 * math.Tan(10*math.Pi/180) / 0.8, float64(k)})
			return o.text(tagPosition, "DS", fmt.Sprintf("%.3f\\%.3f\\%.3f", p[0], p[1], p[2]))
		}},
		{"coronal", NotAxial, "not axial", "", func(k int, o object) object {
			return o.text(tagOrientation, "DS", "1\\0\\0\\0\\0\\-1").text(tagPosition, "DS", fmt.Sprintf("0\\%d\\0", k))
		}},
		{"one slice turned", Mixed, "different orientations", "", func(k int, o object) object {
			if k == 3 {
				o.text(tagOrientation, "DS", "1\\0\\0\\0\\1\\0")
			}
			return o
		}},
		{"one slice larger", Mixed, "9 × 6", "", func(k int, o object) object {
			if k == 3 {
				o.short(tagColumns, 9)
				o[tagPixelData] = attribute{"OW", make([]byte, 108)}
			}
			return o
		}},
		{"other patient", SeveralSets, "different series or patients", "", func(k int, o object) object {
			if k == 3 {
				o.text(0x00100020, "LO", "P-2")
			}
			return o
		}},
		{"no position", NoPlane, "does not say where", "", func(k int, o object) object { return o.without(tagPosition) }},
		{"position no number", NoPlane, "does not say where", "", func(k int, o object) object { return o.text(tagPosition, "DS", "NaN\\0\\1") }},
		{"MR", NotCT, "no CT Image", "", func(k int, o object) object { return o.text(tagSOPClass, "UI", "1.2.840.10008.5.1.4.1.1.4") }},
		{"no rows", Pixels, "0 rows", "", func(k int, o object) object { return o.short(tagRows, 0) }},
		{"huge rows", Pixels, "65535 rows", "", func(k int, o object) object { return o.short(tagRows, 65535) }},
		{"pixels short", Pixels, "94 bytes of pixels", "", func(k int, o object) object {
			o[tagPixelData] = attribute{"OW", make([]byte, 94)}
			return o
		}},
		{"no rescale", Pixels, "Hounsfield", "", func(k int, o object) object { return o.without(tagSlope) }},
		{"two billion frames", Pixels, "2000000000 frames", "", func(k int, o object) object { return o.text(tagFrames, "IS", "2000000000") }},
		{"colour", Pixels, "grey sample", "", func(k int, o object) object { return o.short(tagSamples, 3) }},
		{"JPEG Lossless", Pixels, "JPEG Lossless", "1.2.840.10008.1.2.4.70", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			ts := c.ts
			if ts == "" {
				ts = explicitLittle
			}
			dir := t.TempDir()
			_, err := Load(context.Background(), small().write(t, dir, ts, c.edit))
			if !IsProblem(err, c.problem) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want %q saying %q", err, c.problem, c.says)
			}
			if _, err := LoadDir(context.Background(), dir); !IsProblem(err, c.problem) && c.problem != SeveralSets {
				t.Errorf("LoadDir says %v", err)
			}
		})
	}
}

// TestHostileFiles: a broken or lying file costs an error, never memory or a crash.
func TestHostileFiles(t *testing.T) {
	good := small().slice(0).encode(explicitLittle)
	item := []byte{0xFE, 0xFF, 0x00, 0xE0, 0xFF, 0xFF, 0xFF, 0xFF}
	var nested []byte
	for range 200 {
		nested = append(nested, item...)
		nested = append(nested, 0x08, 0, 0x40, 0x11, 'S', 'Q', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF)
	}
	deep := small().slice(0)
	deep[0x00081140] = attribute{"SQ", nested}
	long := small().slice(0)
	long[0x00100010] = attribute{"UN", make([]byte, maxValue+2)}
	lying := append([]byte(nil), good...)
	copy(lying[len(lying)-96-4:], []byte{0xF0, 0xFF, 0xFF, 0x7F}) // pixel data of 2 GB
	cases := map[string]struct {
		data []byte
		says string
	}{
		"empty": {nil, "not a DICOM file"}, "text": {[]byte(strings.Repeat("x", 500)), "not a DICOM file"},
		"cut in the header": {good[:400], "breaks off"}, "cut in the pixels": {good[:len(good)-10], "cut short"}, "lying length": {lying, "cut short"},
		"nested": {deep.encode(explicitLittle), "nested deeper"}, "long name": {long.encode(explicitLittle), "at most"},
		"not big endian": {small().slice(0).encode(explicitBig), "before the end"}, "not deflated": {small().slice(0).encode(deflated), "inflating"},
	}
	for name, c := range cases {
		path := filepath.Join(t.TempDir(), "f.dcm")
		if err := os.WriteFile(path, c.data, 0o600); err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := ReadHeader(path)
		runtime.ReadMemStats(&after)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error %v, want one that says %q", name, err, c.says)
		}
		if taken := after.TotalAlloc - before.TotalAlloc; taken > 1<<20 {
			t.Errorf("%s: %d bytes of memory for a file of %d", name, taken, len(c.data))
		}
	}
}

// FuzzReadHeader: no input may crash the reader or make it take memory it has no bytes for.
func FuzzReadHeader(f *testing.F) {
	for _, ts := range []string{implicitLittle, explicitLittle} {
		f.Add(small().slice(0).encode(ts))
		o := small().slice(0).text(tagSOPClass, "UI", enhancedCT).text(tagFrames, "IS", "1")
		o[tagFrameGroups] = attribute{"SQ", []byte("\xFE\xFF\x00\xE0\x00\x00\x00\x00\xFE\xFF\xDD\xE0\x00\x00\x00\x00")}
		f.Add(o.encode(ts))
	}
	for _, ts := range []string{codec.RLELossless, deflated, explicitBig} {
		f.Add(small().slice(0).encodeAs(f, ts))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := walkFile(strings.NewReader(string(data)), int64(len(data)), wanted)
		if err != nil {
			return
		}
		headers, err := d.headers()
		if err != nil {
			return
		}
		if err := CheckStack(headers); err == nil && len(headers) == 1 {
			t.Error("one slice passes as a stack")
		}
		_ = checkPlanes(headers)
		h := headers[len(headers)-1]
		if checkPixels(headers) == nil && h.TransferSyntaxUID != deflated && h.pixelOffset+h.pixelLength > int64(len(data)) {
			t.Error("pixels beyond the end of the file pass")
		}
		if checkPixels(headers) == nil && h.Rows*h.Columns < 1<<12 {
			_ = h.decodeCells(bytes.NewReader(data), int64(len(data)), make([]uint16, h.Rows*h.Columns))
		}
	})
}

// TestNestedSequences: sequences of undefined length, as many scanners write them, are passed over.
func TestNestedSequences(t *testing.T) {
	for _, ts := range []string{implicitLittle, explicitLittle} {
		s := small()
		got, err := Load(context.Background(), s.write(t, t.TempDir(), ts, func(k int, o object) object {
			inner := object{}.text(0x00100020, "LO", "WRONG")
			var b strings.Builder
			b.Write([]byte{0xFE, 0xFF, 0x00, 0xE0, 0xFF, 0xFF, 0xFF, 0xFF})
			encoded := inner.encode(ts)
			b.Write(encoded[len(encoded)-innerSize:])
			b.Write([]byte{0xFE, 0xFF, 0x0D, 0xE0, 0, 0, 0, 0, 0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0})
			o[0x00081140] = attribute{"SQ", []byte(b.String())}
			return o
		}))
		if err != nil {
			t.Fatal(err)
		}
		if got.ID != "P-1" {
			t.Errorf("patient ID %q comes from within a sequence", got.ID)
		}
	}
}

const innerSize = 8 + 6 // head and "WRONG "

// TestLoadDir: the one CT stack is found among other objects; two of them are named and neither is guessed.
func TestLoadDir(t *testing.T) {
	dir := t.TempDir()
	small().write(t, dir, explicitLittle, nil)
	scout := small().slice(0).text(tagImageType, "CS", "ORIGINAL\\PRIMARY\\LOCALIZER").text(0x0020000E, "UI", "1.2.3.9").text(0x00200011, "IS", "1")
	write := func(name string, data []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("scout", scout.encode(explicitLittle))
	write("notes.txt", []byte("no DICOM"))
	s, err := LoadDir(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if s.SeriesNumber != "4" {
		t.Errorf("series %s was read", s.SeriesNumber)
	}
	second := filepath.Join(dir, "second")
	if err := os.Mkdir(second, 0o700); err != nil {
		t.Fatal(err)
	}
	small().write(t, second, explicitLittle, func(k int, o object) object {
		return o.text(0x0020000E, "UI", "1.2.3.8").text(0x00200011, "IS", "5")
	})
	if _, err := LoadDir(context.Background(), dir); err == nil || !strings.Contains(err.Error(), "series 4") || !strings.Contains(err.Error(), "series 5") {
		t.Errorf("two CT series: error %v", err)
	}
	if _, err := LoadDir(context.Background(), t.TempDir()); err == nil {
		t.Error("an empty folder gives a series")
	}
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := LoadDir(cancelled, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestAgainstITK compares HU, geometry and the patient's name with SimpleITK and pydicom.
func TestAgainstITK(t *testing.T) {
	python := tooltest.Python(t)
	dir := t.TempDir()
	paths := small().write(t, dir, implicitLittle, nil)
	got, err := Load(context.Background(), paths)
	if err != nil {
		t.Fatal(err)
	}
	script := `
import json, sys, pydicom, SimpleITK as sitk
r = sitk.ImageSeriesReader()
r.SetFileNames(r.GetGDCMSeriesFileNames(sys.argv[1]))
v = r.Execute()
size = v.GetSize()
print(json.dumps({"size": size, "first": v.TransformIndexToPhysicalPoint((0, 0, 0)),
  "last": v.TransformIndexToPhysicalPoint([n - 1 for n in size]),
  "hu": [float(x) for x in sitk.GetArrayFromImage(v).ravel()],
  "name": str(pydicom.dcmread(sys.argv[2]).PatientName)}))`
	out, err := exec.Command(python, "-c", script, dir, paths[0]).Output()
	if err != nil {
		t.Fatalf("SimpleITK: %v", err)
	}
	var want struct {
		Size        [3]int
		First, Last volume.Vec
		HU          []float32
		Name        string
	}
	if err := json.Unmarshal(out, &want); err != nil {
		t.Fatal(err)
	}
	g := got.Volume.Geometry
	if g.Size != want.Size || got.Name != want.Name {
		t.Errorf("size %v and name %q, ITK and pydicom say %v and %q", g.Size, got.Name, want.Size, want.Name)
	}
	for what, p := range map[string][2]volume.Vec{"first": {g.Origin, want.First}, "last": {g.Point(volume.Vec{7, 5, 23}), want.Last}} {
		if apart(p[0], p[1]) > 1e-3 {
			t.Errorf("%s voxel at %v, ITK says %v", what, p[0], p[1])
		}
	}
	for n, x := range got.Volume.Data {
		if x != want.HU[n] {
			t.Fatalf("voxel %d: %g HU, ITK says %g", n, x, want.HU[n])
		}
	}
}

func TestFromNIfTI(t *testing.T) {
	s := small()
	v := volume.New(s.geometry)
	for n := range v.Data {
		v.Data[n] = float32(n)
	}
	v.Data[3] = float32(math.NaN())
	upright := filepath.Join(t.TempDir(), "v.nii.gz")
	if err := volume.WriteNIfTI(upright, v); err != nil {
		t.Fatal(err)
	}
	got, err := FromNIfTI(upright)
	if err != nil {
		t.Fatal(err)
	}
	if !got.Volume.Geometry.Same(s.geometry) || got.Volume.Data[3] != Air || got.Volume.Data[50] != 50 {
		t.Error("the volume changed on the way")
	}
	point := v.Point(volume.Vec{4, 3, 20})
	turnOver(v)
	if err := volume.WriteNIfTI(upright, v); err != nil {
		t.Fatal(err)
	}
	if got, err = FromNIfTI(upright); err != nil {
		t.Fatal(err)
	}
	if x := got.Volume.At(got.Volume.Index(point), 0); math.Abs(float64(x)-float64(s.geometry.Offset(4, 3, 20))) > 0.01 || !got.Volume.Geometry.Same(s.geometry) {
		t.Errorf("a left-handed stack: %g at the point, geometry %+v", x, got.Volume.Geometry)
	}
	v.Size[2] = 5
	v.Data = v.Data[:v.Len()]
	if err := volume.WriteNIfTI(upright, v); err != nil {
		t.Fatal(err)
	}
	if _, err := FromNIfTI(upright); !IsProblem(err, TooFew) {
		t.Errorf("5 slices: %v", err)
	}
}

// TestRealPairs: the shared series load, and the truth masks lie on their grids.
func TestRealPairs(t *testing.T) {
	shared := tooltest.Shared(t)
	tar := tooltest.Need(t, "tar")
	for _, pair := range []string{"pair-lidc-covered", "pair-r01-partial"} {
		dir := t.TempDir()
		if out, err := exec.Command(tar, "-C", dir, "-xf", filepath.Join(shared, "data", pair+".tar.xz")).CombinedOutput(); err != nil {
			t.Fatalf("unpacking: %v %s", err, out)
		}
		pre, err := LoadDir(context.Background(), filepath.Join(dir, pair, "pre"))
		if err != nil {
			t.Fatal(err)
		}
		post, err := LoadDir(context.Background(), filepath.Join(dir, pair, "post"))
		if err != nil {
			t.Fatal(err)
		}
		if days := post.Acquired.Sub(pre.Acquired).Hours() / 24; days != 30 {
			t.Errorf("%s: %g days from pre to post, want 30", pair, days)
		}
		for file, s := range map[string]*Series{"gtr_pre.nii.gz": pre, "ptz_post.nii.gz": post} {
			m, err := volume.ReadMaskNIfTI(filepath.Join(dir, pair, file))
			if err != nil {
				t.Fatal(err)
			}
			if !m.Geometry.Same(s.Volume.Geometry) || m.Count() == 0 {
				t.Errorf("%s: %s lies on another grid", pair, file)
			}
		}
	}
}
