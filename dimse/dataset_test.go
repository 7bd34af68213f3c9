package dimse

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"rfanode/internal/tooltest"
)

// encoder writes data sets for the tests, in any of the native encodings.
type encoder struct {
	bytes.Buffer
	implicit, big bool
}

func (e *encoder) order() binary.AppendByteOrder {
	if e.big {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

func (e *encoder) tag(t Tag) {
	e.Write(e.order().AppendUint16(nil, t.group()))
	e.Write(e.order().AppendUint16(nil, uint16(t)))
}

// head writes an element without its value.
func (e *encoder) head(t Tag, vr string, length uint32) *encoder {
	e.tag(t)
	switch {
	case e.implicit:
		e.Write(e.order().AppendUint32(nil, length))
	case longForm(vr):
		e.WriteString(vr + "\x00\x00")
		e.Write(e.order().AppendUint32(nil, length))
	default:
		e.WriteString(vr)
		e.Write(e.order().AppendUint16(nil, uint16(length)))
	}
	return e
}

func (e *encoder) el(t Tag, vr, value string) *encoder {
	if len(value)%2 == 1 {
		if vr == "UI" {
			value += "\x00"
		} else {
			value += " "
		}
	}
	e.head(t, vr, uint32(len(value))).WriteString(value)
	return e
}

// item writes the head of an item or delimiter.
func (e *encoder) item(t Tag, length uint32) *encoder {
	e.tag(t)
	e.Write(e.order().AppendUint32(nil, length))
	return e
}

// study writes what every data set must have.
func (e *encoder) study() *encoder {
	return e.el(tagSOPClassUID, "UI", "1.2.840.10008.5.1.4.1.1.2").el(tagSOPInstanceUID, "UI", "1.2.3").
		el(tagModality, "CS", "CT").el(tagPatientID, "LO", "P1").el(tagIssuerOfPatientID, "LO", "HOSP").
		el(tagStudyInstanceUID, "UI", "1.2.4").el(tagSeriesInstanceUID, "UI", "1.2.5").
		el(tagFrameOfReferenceUID, "UI", "1.2.6")
}

const undef = undefinedLength

func explicitSet() *encoder { return (&encoder{}).study() }

func check(b []byte, ts string) (Header, error) {
	return CheckDataSet(bytes.NewReader(b), int64(len(b)), ts, CheckLimits{})
}

func deflated(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if out.Len()%2 == 1 {
		out.WriteByte(0)
	}
	return out.Bytes()
}

// The identity of an instance must be found in every encoding, or it would be refused or filed under nothing.
func TestCheckEncodings(t *testing.T) {
	full := func(e *encoder) []byte {
		e.study()
		// A sequence with nested ones, of both forms of length.
		inner := &encoder{implicit: e.implicit, big: e.big}
		inner.el(0x0008_1150, "UI", "1.9.9").el(tagSOPInstanceUID, "UI", "9.9.9") // must not count: not top level
		e.head(0x0040_A730, "SQ", undef).item(tagItem, undef)
		e.head(0x0040_A731, "SQ", uint32(inner.Len()+8)).item(tagItem, uint32(inner.Len())).Write(inner.Bytes())
		e.item(tagItemDelimiter, 0).item(tagItem, 0).item(tagSequenceDelimiter, 0)
		if !e.implicit { // unknown VR of undefined length: implicit, little endian inside
			un := &encoder{implicit: true}
			un.item(tagItem, undef).el(0x0009_1001, "", "ab").item(tagItemDelimiter, 0).item(tagSequenceDelimiter, 0)
			e.head(0x0041_1010, "UN", undef).Write(un.Bytes())
			e.el(0x0043_1010, "UT", "long form").el(0x0043_1011, "ZZ", "a VR of the future")
		}
		e.el(tagPixelData, "OW", "pixels")
		e.el(0xFFFC_FFFC, "OB", "\x00\x00\x00")
		return e.Bytes()
	}
	explicit := full(&encoder{})
	for name, c := range map[string]struct {
		ts   string
		data []byte
	}{
		"explicit":   {ExplicitVRLittleEndian, explicit},
		"implicit":   {ImplicitVRLittleEndian, full(&encoder{implicit: true})},
		"big endian": {ExplicitVRBigEndian, full(&encoder{big: true})},
		"deflated":   {DeflatedExplicitVRLittleEndian, deflated(t, explicit)},
	} {
		t.Run(name, func(t *testing.T) {
			h, err := check(c.data, c.ts)
			if err != nil {
				t.Fatal(err)
			}
			flat := c.data
			if c.ts == DeflatedExplicitVRLittleEndian {
				flat = explicit
			}
			if h.PixelDataLength != 6 || string(flat[h.PixelDataOffset:][:6]) != "pixels" {
				t.Errorf("pixel data at %d, %d bytes", h.PixelDataOffset, h.PixelDataLength)
			}
			want := Header{TransferSyntaxUID: c.ts, SOPClassUID: "1.2.840.10008.5.1.4.1.1.2", SOPInstanceUID: "1.2.3",
				Modality: "CT", PatientID: "P1", IssuerOfPatientID: "HOSP", StudyInstanceUID: "1.2.4",
				SeriesInstanceUID: "1.2.5", FrameOfReferenceUID: "1.2.6", PixelDataOffset: h.PixelDataOffset,
				PixelDataLength: 6, Digest: sha256.Sum256(c.data)}
			if h != want {
				t.Errorf("got  %+v\nwant %+v", h, want)
			}
		})
	}
}

// The same instance re-encoded must count as the same, and a changed one must not.
func TestContentDigest(t *testing.T) {
	explicit := reportLike()
	var implicit bytes.Buffer
	if _, err := implicit.ReadFrom(newImplicitReader(bytes.NewReader(explicit))); err != nil {
		t.Fatal(err)
	}
	digest := func(b []byte, ts string) [32]byte {
		t.Helper()
		d, err := ContentDigest(bytes.NewReader(b), int64(len(b)), ts, CheckLimits{})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	want := digest(explicit, ExplicitVRLittleEndian)
	if digest(implicit.Bytes(), ImplicitVRLittleEndian) != want {
		t.Error("implicit differs")
	}
	if digest(deflated(t, explicit), DeflatedExplicitVRLittleEndian) != want {
		t.Error("deflated differs")
	}
	padded := append(bytes.Clone(explicit), (&encoder{}).el(tagTrailingPadding, "OB", "\x00\x00").Bytes()...)
	if digest(padded, ExplicitVRLittleEndian) != want {
		t.Error("trailing padding makes a difference")
	}
	for name, change := range map[string]func([]byte){
		"pixel":         func(b []byte) { b[len(b)-1] ^= 1 },
		"nested value":  func(b []byte) { b[bytes.Index(b, []byte("code"))] ^= 1 },
		"nested tag":    func(b []byte) { b[bytes.Index(b, []byte("text"))-12] ^= 1 },
		"patient":       func(b []byte) { b[bytes.Index(b, []byte("P1"))] ^= 1 },
		"SOP class UID": func(b []byte) { b[bytes.Index(b, []byte("1.2.840"))] ^= 2 },
	} {
		b := bytes.Clone(explicit)
		change(b)
		if digest(b, ExplicitVRLittleEndian) == want {
			t.Errorf("%s changed unseen", name)
		}
	}
}

func TestCheckEncapsulated(t *testing.T) {
	e := explicitSet()
	// An icon first: its encapsulated pixel data are not the image's.
	e.head(0x0088_0200, "SQ", undef).item(tagItem, undef).head(tagPixelData, "OB", undef).
		item(tagItem, 0).item(tagItem, 2).WriteString("ic")
	e.item(tagSequenceDelimiter, 0).item(tagItemDelimiter, 0).item(tagSequenceDelimiter, 0)
	e.head(tagPixelData, "OB", undef)
	start := int64(e.Len())
	e.item(tagItem, 0).item(tagItem, 4).WriteString("frag")
	e.item(tagItem, 2).WriteString("mt")
	end := int64(e.Len())
	e.item(tagSequenceDelimiter, 0)
	h, err := check(e.Bytes(), "1.2.840.10008.1.2.4.70")
	if err != nil {
		t.Fatal(err)
	}
	if h.PixelDataOffset != start || h.PixelDataLength != end-start || h.PixelDataFragments != 3 {
		t.Errorf("offset %d, length %d, %d fragments; want %d, %d, 3", h.PixelDataOffset, h.PixelDataLength,
			h.PixelDataFragments, start, end-start)
	}
}

// Each of these, if let through, makes some reader crash, hang or read what is not there.
func TestCheckRefuses(t *testing.T) {
	deep := func(n int) []byte {
		e := explicitSet()
		for range n {
			e.head(0x0040_A730, "SQ", undef).item(tagItem, undef)
		}
		for range n {
			e.item(tagItemDelimiter, 0).item(tagSequenceDelimiter, 0)
		}
		return e.Bytes()
	}
	cut := explicitSet().el(tagPixelData, "OW", "0123456789").Bytes()
	noSeries := (&encoder{}).el(tagStudyInstanceUID, "UI", "1.2").Bytes()
	bomb := deflated(t, explicitSet().el(tagPixelData, "OW", strings.Repeat("\x00", 5<<20)).Bytes())
	implicitBad := (&encoder{implicit: true}).study()
	implicitBad.head(0x0040_A730, "", 16).item(tagItem, 0xFFFFFFF8).item(tagItemDelimiter, 0)

	for _, c := range []struct {
		name   string
		ts     string
		data   []byte
		status uint16
	}{
		{"ends inside a value", "", cut[:len(cut)-1], StatusTruncated},
		{"ends inside a tag", "", append(explicitSet().Bytes(), 0xE0, 0x7F), StatusTruncated},
		{"element length", "", explicitSet().head(tagPixelData, "OW", 0xFFFFFFF0).Bytes(), StatusTruncated},
		{"item beyond its sequence", "", explicitSet().head(0x0040_A730, "SQ", undef).item(tagItem, 0xFFFFFFF8).
			item(tagSequenceDelimiter, 0).Bytes(), StatusTruncated},
		{"item beyond its defined sequence", "", explicitSet().head(0x0040_A730, "SQ", 16).item(tagItem, 16).
			item(tagItemDelimiter, 0).el(tagPixelData, "OW", "pixels").Bytes(), StatusTruncated},
		{"implicit, item beyond its sequence", ImplicitVRLittleEndian, implicitBad.Bytes(), StatusTruncated},
		{"sequence never closed", "", explicitSet().head(0x0040_A730, "SQ", undef).item(tagItem, 0).Bytes(), StatusTruncated},
		{"item never closed", "", explicitSet().head(0x0040_A730, "SQ", undef).item(tagItem, undef).Bytes(), StatusTruncated},
		{"delimiter at top level", "", explicitSet().item(tagItemDelimiter, 0).Bytes(), StatusTruncated},
		{"element where an item is due", "", explicitSet().head(0x0040_A730, "SQ", undef).el(tagPatientID, "LO", "x").
			item(tagSequenceDelimiter, 0).Bytes(), StatusTruncated},
		{"undefined length of a text", "", explicitSet().head(0x0040_A730, "UT", undef).item(tagSequenceDelimiter, 0).Bytes(),
			StatusTruncated},
		{"native pixel data of undefined length", "", explicitSet().head(tagPixelData, "OW", undef).
			item(tagSequenceDelimiter, 0).Bytes(), StatusTruncated},
		{"fragment of undefined length", "1.2.840.10008.1.2.5", explicitSet().head(tagPixelData, "OB", undef).
			item(tagItem, undef).item(tagItemDelimiter, 0).item(tagSequenceDelimiter, 0).Bytes(), StatusTruncated},
		{"fragment past the end", "1.2.840.10008.1.2.5", explicitSet().head(tagPixelData, "OB", undef).
			item(tagItem, 1000).item(tagSequenceDelimiter, 0).Bytes(), StatusTruncated},
		{"no VR", "", append(explicitSet().Bytes(), 0x10, 0, 0x10, 0x40, 1, 2, 0, 0), StatusTruncated},
		{"command element", "", explicitSet().el(0x0000_0002, "UI", "1.2").Bytes(), StatusCannotUnderstand},
		{"file meta element", "", explicitSet().el(0x0002_0010, "UI", "1.2").Bytes(), StatusCannotUnderstand},
		{"nesting", "", deep(40), StatusTooDeep},
		{"nesting, 20,000", "", deep(20000), StatusTooDeep},
		{"large value", "", explicitSet().el(0x0040_A160, "UT", strings.Repeat("x", 2<<20)).Bytes(), StatusTooLarge},
		{"deflate bomb", DeflatedExplicitVRLittleEndian, bomb, StatusTooLarge},
		{"damaged deflate", DeflatedExplicitVRLittleEndian, []byte("not deflated"), StatusTruncated},
		{"no series", "", noSeries, StatusNoStudyOrSeries},
		{"nothing", "", nil, StatusNoStudyOrSeries},
		{"wrong transfer syntax", ImplicitVRLittleEndian, explicitSet().Bytes(), StatusTruncated},
		{"unknown transfer syntax", "1.2.3", explicitSet().Bytes(), StatusCannotUnderstand},
	} {
		t.Run(c.name, func(t *testing.T) {
			ts := c.ts
			if ts == "" {
				ts = ExplicitVRLittleEndian
			}
			start := time.Now()
			_, err := CheckDataSet(bytes.NewReader(c.data), int64(len(c.data)), ts, CheckLimits{Value: 1 << 20, Inflated: 4 << 20})
			var e *CheckError
			if !errors.As(err, &e) || e.Status != c.status {
				t.Fatalf("got %v, want status %04XH", err, c.status)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
	if l := (CheckLimits{}).withDefaults(1 << 20); l.Value != 64<<20 || l.Inflated != 164<<20 {
		t.Errorf("defaults for a data set of 1 MiB: %+v", l)
	}
	if _, err := check(deep(30), ExplicitVRLittleEndian); err != nil {
		t.Errorf("nesting that happens in reports: %v", err)
	}
}

// The number of elements is bounded, and the walk needs no memory for them.
func TestCheckManyElements(t *testing.T) {
	e := explicitSet()
	e.head(0x0040_A730, "SQ", undef)
	for range 200_000 {
		e.item(tagItem, 0)
	}
	e.item(tagSequenceDelimiter, 0)
	b := e.Bytes()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := CheckStructure(bytes.NewReader(b), int64(len(b)), ExplicitVRLittleEndian, CheckLimits{Elements: 100_000})
	runtime.ReadMemStats(&after)
	var c *CheckError
	if !errors.As(err, &c) || c.Status != StatusTooLarge {
		t.Errorf("got %v", err)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
		t.Errorf("allocated %d bytes", grown)
	}
}

// Every file that a reference library ships, and that is a whole data set with a series, must pass; none may crash.
func TestCheckReferenceFiles(t *testing.T) {
	python := tooltest.Python(t)
	roots, err := filepath.Glob(filepath.Join(filepath.Dir(filepath.Dir(python)), "lib", "python3*", "site-packages",
		"pydicom", "data", "test_files"))
	if err != nil || len(roots) == 0 {
		t.Skip("this pydicom comes without its test files")
	}
	passed, refused := 0, 0
	err = filepath.WalkDir(roots[0], func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".dcm" {
			return err
		}
		h, err := CheckFile(path, CheckLimits{})
		if err != nil {
			refused++
			t.Logf("%v", strings.TrimPrefix(err.Error(), "check "+roots[0]))
			return nil
		}
		passed++
		if h.SOPInstanceUID == "" || h.SeriesInstanceUID == "" {
			t.Errorf("%s passes without identity", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d pass, %d refused", passed, refused)
	if passed < 50 {
		t.Errorf("only %d pass", passed)
	}
}
