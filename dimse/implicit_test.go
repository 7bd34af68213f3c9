package dimse

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"rfanode/internal/tooltest"
)

// reportLike has sequences of both forms, empty ones, and a group length.
func reportLike() []byte {
	e := &encoder{}
	e.el(0x0008_0000, "UL", "\x40\x00\x00\x00").study()
	inner := (&encoder{}).el(0x0008_0100, "SH", "code").el(0x0040_A160, "UT", "text")
	e.head(0x0040_A730, "SQ", uint32(inner.Len()+8+8)).item(tagItem, uint32(inner.Len())).Write(inner.Bytes())
	e.item(tagItem, 0)
	e.head(0x0040_A731, "SQ", undef).item(tagItem, undef)
	e.head(0x0040_A732, "SQ", 0).head(0x0040_A733, "SQ", undef).item(tagSequenceDelimiter, 0)
	e.item(tagItemDelimiter, 0).item(tagSequenceDelimiter, 0)
	e.el(tagPixelData, "OW", "pixels")
	return e.Bytes()
}

// What goes to a peer that takes only the default transfer syntax must be the same data set: DCMTK's converter is the
// judge.
func TestImplicitAsDCMTK(t *testing.T) {
	dcmconv := tooltest.Need(t, "dcmconv")
	set := reportLike()
	var got bytes.Buffer
	if _, err := got.ReadFrom(iotest.HalfReader(newImplicitReader(bytes.NewReader(set)))); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in.dcm"), filepath.Join(dir, "out.dcm")
	file := append(AppendFileMeta(nil, FileMeta{SOPClassUID: "1.2.840.10008.5.1.4.1.1.2", SOPInstanceUID: "1.2.3",
		TransferSyntaxUID: ExplicitVRLittleEndian}), set...)
	if err := os.WriteFile(in, file, 0o600); err != nil {
		t.Fatal(err)
	}
	if log, err := exec.Command(dcmconv, "+ti", "-e", "-g", in, out).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	_, offset, err := ReadFileMeta(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), b[offset:]) {
		t.Errorf("got\n%q\nDCMTK\n%q", got.Bytes(), b[offset:])
	}
}

// A source that ends early must not look like a whole object in the other encoding.
func TestImplicitRefuses(t *testing.T) {
	set := reportLike()
	whole := 0
	for cut := range len(set) {
		if _, err := io.Copy(io.Discard, newImplicitReader(bytes.NewReader(set[:cut]))); err == nil {
			whole++ // between two elements of the top level no end can be told from the end
		}
	}
	if whole != 12 {
		t.Errorf("%d cuts pass, there are 12 ends of elements", whole)
	}
	deep := explicitSet()
	for range 1000 {
		deep.head(0x0040_A730, "SQ", undef).item(tagItem, undef)
	}
	for name, b := range map[string][]byte{
		"undefined length": explicitSet().head(tagPixelData, "OB", undef).item(tagSequenceDelimiter, 0).Bytes(),
		"stray delimiter":  explicitSet().item(tagItemDelimiter, 0).Bytes(),
		"wrong delimiter": explicitSet().head(0x0040_A730, "SQ", undef).item(tagItem, undef).item(tagSequenceDelimiter, 0).
			Bytes(),
		"nesting": deep.Bytes(),
	} {
		if _, err := io.Copy(io.Discard, newImplicitReader(bytes.NewReader(b))); err == nil || strings.Contains(err.Error(), "EOF") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzImplicit(f *testing.F) {
	f.Add(reportLike())
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := CheckStructure(bytes.NewReader(b), int64(len(b)), ExplicitVRLittleEndian, CheckLimits{})
		if err != nil {
			return
		}
		out, err := io.ReadAll(newImplicitReader(bytes.NewReader(b)))
		if err != nil {
			return
		}
		got, err := CheckStructure(bytes.NewReader(out), int64(len(out)), ImplicitVRLittleEndian, CheckLimits{})
		if err != nil {
			t.Skip() // an even-numbered element may hold what looks like a sequence
		}
		h.TransferSyntaxUID, h.PixelDataOffset = got.TransferSyntaxUID, got.PixelDataOffset
		if got != h {
			t.Errorf("got  %+v\nwant %+v", got, h)
		}
	})
}
