package contour

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Damaged objects are errors, never a panic, and never memory without end: random bytes changed, cut off anywhere.
func TestDamagedObjects(t *testing.T) {
	dir := madeObjects(t)
	series := madeSeries(t, dir)
	random := rand.New(rand.NewPCG(1, 2))
	rounds := 150
	if testing.Short() {
		rounds = 30
	}
	for _, name := range []string{"binary.dcm", "fractional.dcm", "finer.dcm", "struct.dcm", "explicit.dcm", "report.dcm", "ohif.dcm"} {
		whole, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		for range rounds {
			data := bytes.Clone(whole)
			if random.IntN(4) == 0 {
				data = data[:random.IntN(len(data))]
			} else {
				for range 1 + random.IntN(20) {
					at := random.IntN(min(len(data), 1<<uint(8+random.IntN(12))))
					data[at] = byte(random.IntN(256))
				}
			}
			c, err := Decode(data)
			if err != nil {
				if problemOf(err) == "" {
					t.Errorf("%s: %v is no *Error", name, err)
				}
				continue
			}
			for i := range c.Structures {
				c.Mask(series, i) // what matters is that it returns
				c.Point(series, i)
			}
		}
	}
}

// Values that would overflow, hang or place a contour nowhere are refused in words.
func TestHostileValues(t *testing.T) {
	dir := madeObjects(t)
	series := madeSeries(t, dir)
	read := func(name string) []byte {
		t.Helper()
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	swap := func(data []byte, from, to string) []byte {
		t.Helper()
		if len(from) != len(to) || !bytes.Contains(data, []byte(from)) {
			t.Fatalf("no %q to replace by %q", from, to)
		}
		return bytes.Replace(data, []byte(from), []byte(to), 1)
	}
	number := func(group, element uint16, vr, from, to string) (string, string) {
		tag := string(binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint16(nil, group), element)) + vr
		return tag + "\x02\x00" + from, tag + "\x02\x00" + to
	}
	seg := read("binary.dcm")
	rows, hugeRows := number(0x28, 0x10, "US", "\x30\x00", "\xff\xff")
	frames := bytes.Index(seg, []byte("\x28\x00\x08\x00IS\x02\x00"))
	if frames < 0 {
		t.Fatal("no NumberOfFrames of two digits")
	}
	moreFrames := bytes.Clone(seg)
	copy(moreFrames[frames+8:], "99")
	fewerFrames := bytes.Clone(seg)
	copy(fewerFrames[frames+8:], "-1")

	report := read("report.dcm")
	nan := bytes.Clone(report)
	at := bytes.Index(nan, []byte("\x70\x00\x22\x00FL"))
	if at < 0 {
		t.Fatal("no graphic data")
	}
	binary.LittleEndian.PutUint32(nan[at+8:], math.Float32bits(float32(math.NaN())))

	explicit := read("explicit.dcm")
	first := strings.SplitN(string(explicit[bytes.Index(explicit, []byte("\x06\x30\x50\x00DS"))+8:]), `\`, 2)[0]
	for name, c := range map[string]struct {
		data []byte
		want Problem
	}{
		"rows":              {swap(seg, rows, hugeRows), Unreadable},
		"more frames":       {moreFrames, Unreadable},
		"fewer frames":      {fewerFrames, Unreadable},
		"NaN in a report":   {nan, Unreadable},
		"NaN in a contour":  {swap(explicit, first, "nan"+strings.Repeat(" ", len(first)-3)), Unreadable},
		"far away":          {swap(explicit, first, "9e9"+strings.Repeat(" ", len(first)-3)), Unreadable},
		"not DICOM":         {[]byte("GIF89a"), Unreadable},
		"nothing":           {nil, Unreadable},
		"another SOP class": {read("ct/000.dcm"), Unsupported},
	} {
		if _, err := Decode(c.data); problemOf(err) != c.want {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	// A contour far off its plane, or as wide as the world, is refused when it is asked for.
	for to, want := range map[string]Problem{"99999": Unsupported} {
		c, err := Decode(swap(explicit, first, to+strings.Repeat(" ", len(first)-len(to))))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Mask(series, 0); problemOf(err) != want {
			t.Errorf("a coordinate of %s mm: %v, want %q", to, err, want)
		}
	}
}
