package ct

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rfanode/analysis/ct/codec"
	"rfanode/internal/tooltest"
)

func TestMain(m *testing.M) {
	tooltest.UseOpenJPEG()
	os.Exit(m.Run())
}

// testImage is a slice like those of a scanner: air, a body with noise, bone, flat parts that make runs.
type testImage struct {
	name       string
	rows, cols int
	bits       int
	signed     bool
	full       bool // uses the whole range
}

var testImages = []testImage{
	{"12 bits unsigned", 96, 80, 12, false, false},
	{"16 bits signed", 96, 80, 16, true, false},
	{"12 bits signed", 65, 33, 12, true, false},
	{"16 bits, whole range", 40, 50, 16, false, true},
}

// cells are its pixel cells: what lies above the stored bits is zero.
func (m testImage) cells() []uint16 {
	r := rand.New(rand.NewPCG(uint64(m.bits), uint64(m.rows)))
	mask := uint16(1<<m.bits - 1)
	out := make([]uint16, m.rows*m.cols)
	for i := range out {
		x, y := i%m.cols-m.cols/2, i/m.cols-m.rows/2
		v := -1000
		switch d := x*x + y*y; {
		case d < 30:
			v = 900 + r.IntN(200)
		case d < 900:
			v = 40 + r.IntN(30) + x
		case y > m.rows/3:
			v = -1000 + r.IntN(8)
		}
		if !m.signed {
			v += 1024
		}
		if m.full {
			v = r.IntN(1 << 16)
			if y > 0 {
				v = []int{0, 0xFFFF, 0x8000, 0x7FFF}[r.IntN(4)]
			}
		}
		out[i] = uint16(v) & mask
	}
	return out
}

func (m testImage) object() object {
	s := small()
	o := s.slice(0)
	var pixels []byte
	for _, c := range m.cells() {
		pixels = binary.LittleEndian.AppendUint16(pixels, c)
	}
	signed := 0
	if m.signed {
		signed = 1
	}
	o.text(tagSOPInstance, "UI", "1.2.3.4.1").short(tagRows, m.rows).short(tagColumns, m.cols).short(tagBitsStored, m.bits)
	o.short(tagHighBit, m.bits-1).short(tagPixelRep, signed)
	o[tagPixelData] = attribute{"OW", pixels}
	return o
}

// read reads the cells of a file; bits above the stored ones do not count.
func read(t testing.TB, path string) (InstanceHeader, []uint16) {
	t.Helper()
	h, err := ReadHeader(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := checkPixels([]InstanceHeader{h}); err != nil {
		t.Fatal(err)
	}
	cells := make([]uint16, h.Rows*h.Columns)
	if err := h.readCells(cells); err != nil {
		t.Fatalf("%s: %v", transferSyntaxName(h.TransferSyntaxUID), err)
	}
	for i := range cells {
		cells[i] &= uint16(1<<h.BitsStored - 1)
	}
	return h, cells
}

// What DCMTK compresses is decoded exactly: every process, predictor and form of storing that it offers; with a loss, as
// DCMTK decodes it.
func TestDecodeDCMTK(t *testing.T) {
	tools := map[string]string{}
	for _, name := range []string{"dcmcjpeg", "dcmcjpls", "dcmcrle", "dcmdjpeg", "dcmdjpls", "dcmconv"} {
		tools[name] = tooltest.Need(t, name)
	}
	cases := [][]string{{"dcmcrle"}, {"dcmcrle", "+fs", "1"}, {"dcmcjpeg", "+e1"}, {"dcmcjpeg", "+e1", "+fs", "1"}, {"dcmcjpeg", "+e1", "-ot"},
		{"dcmcjpeg", "+el", "+pt", "2"}, {"dcmcjpls", "+el"}, {"dcmcjpls", "+el", "+fs", "1"}, {"dcmcjpls", "+el", "+pz"}, {"dcmcjpls", "+el", "+pc"},
		{"dcmcjpls", "+el", "+pc", "+t1", "9", "+t2", "30", "+t3", "90", "+rs", "31"}, {"dcmcjpls", "+en", "+md", "2"}, {"dcmcjpls", "+en", "+md", "7"},
		{"dcmconv", "+tb"}, {"dcmconv", "+td"}, {"dcmconv", "+ti"}, {"dcmconv", "+te", "-e"}}
	for sv := range 7 {
		cases = append(cases, []string{"dcmcjpeg", "+el", "+sv", fmt.Sprint(sv + 1)})
	}
	dir := t.TempDir()
	syntaxes := map[string]bool{}
	for i, m := range testImages {
		plain := filepath.Join(dir, fmt.Sprintf("plain%d.dcm", i))
		if err := os.WriteFile(plain, m.object().encode(explicitLittle), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, c := range cases {
			// DCMTK does not compress signed pixels near-losslessly, and what its own preparation of pixels ("cooked")
			// makes of signed ones, or of 16 whole bits, it cannot decode itself.
			if slices.Contains(c, "+en") && m.signed || slices.Contains(c, "+pc") && (m.signed || m.full) {
				continue
			}
			t.Run(m.name+" "+strings.Join(c, " "), func(t *testing.T) {
				packed := filepath.Join(dir, "packed.dcm")
				args := append(append([]string{}, c[1:]...), plain, packed)
				if out, err := exec.Command(tools[c[0]], args...).CombinedOutput(); err != nil {
					t.Fatalf("%v: %v\n%s", c, err, out)
				}
				h, got := read(t, packed)
				syntaxes[h.TransferSyntaxUID] = true
				want := m.cells()
				if slices.Contains(c, "+pt") || slices.Contains(c, "+en") {
					decode := "dcmdjpeg"
					if c[0] == "dcmcjpls" {
						decode = "dcmdjpls"
					}
					unpacked := filepath.Join(dir, "unpacked.dcm")
					if out, err := exec.Command(tools[decode], packed, unpacked).CombinedOutput(); err != nil {
						t.Fatalf("%s: %v\n%s", decode, err, out)
					}
					_, want = read(t, unpacked)
				}
				if !slices.Equal(got, want) {
					wrong := 0
					for k := range got {
						if got[k] != want[k] {
							wrong++
						}
					}
					t.Errorf("%d of %d pixels are wrong", wrong, len(got))
				}
			})
		}
	}
	for _, ts := range TransferSyntaxes() {
		if ts != explicitLittle && !codec.External(ts) && !syntaxes[ts] {
			t.Errorf("%s was not tried", transferSyntaxName(ts))
		}
	}
}

// pydicom's own files and what it compresses are decoded as pydicom decodes them; files that lie about their photometric
// interpretation too.
func TestDecodeAsPydicom(t *testing.T) {
	python := tooltest.Python(t)
	dir := t.TempDir()
	for i, m := range testImages {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("plain%d.dcm", i)), m.object().encode(explicitLittle), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	script := `
import sys, json, pathlib, warnings, pydicom, numpy as np
from pydicom.uid import RLELossless, JPEGLSLossless, JPEGLSNearLossless, JPEG2000Lossless
warnings.simplefilter("ignore")
out, root, dest = [], pathlib.Path(pydicom.__file__).parent / "data", pathlib.Path(sys.argv[1])
def cells(d):
    # as cells: without what pydicom does for J2K that lies about its sign
    a = d.pixel_array
    return (a.astype(np.int64) & ((1 << d.BitsStored) - 1)).ravel().tolist()
def add(path):
    d = pydicom.dcmread(path)
    out.append({"path": str(path), "syntax": str(d.file_meta.TransferSyntaxUID), "cells": cells(d)})
for p in sorted(root.rglob("*.dcm")):
    try:
        d = pydicom.dcmread(p, stop_before_pixels=True)
        if d.get("BitsAllocated") != 16 or d.get("SamplesPerPixel") != 1 or int(d.get("NumberOfFrames") or 1) != 1: continue
        if p.name in ("MR_truncated.dcm", "MR_small_padded.dcm"): continue
        add(p)
    except Exception as e:
        print("not by pydicom:", p.name, e, file=sys.stderr)
for p in sorted(dest.glob("plain*.dcm")):
    for name, uid, options in (("rle", RLELossless, {}), ("jls", JPEGLSLossless, {}), ("near", JPEGLSNearLossless, {"jls_error": 3}), ("j2k", JPEG2000Lossless, {})):
        d = pydicom.dcmread(p)
        try:
            d.compress(uid, generate_instance_uid=False, **options)
        except Exception as e:
            print("not compressed by pydicom:", p.name, name, e, file=sys.stderr)
            continue
        q = dest / (name + p.name)
        d.save_as(q)
        add(q)
        d.PhotometricInterpretation = "YBR_FULL_422"
        wrong = dest / ("wrong" + name + p.name)
        d.save_as(wrong)
        out.append({**out[-1], "path": str(wrong)})
print(json.dumps(out))`
	cmd := exec.Command(python, "-c", script, dir)
	var says bytes.Buffer
	cmd.Stderr = &says
	text, err := cmd.Output()
	if err != nil {
		t.Fatalf("pydicom: %v\n%s", err, says.String())
	}
	var files []struct {
		Path, Syntax string
		Cells        []uint16
	}
	if err := json.Unmarshal(text, &files); err != nil {
		t.Fatal(err)
	}
	tried := map[string]int{}
	for _, f := range files {
		if !canDecode(f.Syntax) {
			continue
		}
		h, err := ReadHeader(f.Path)
		if err != nil {
			continue // pydicom is lenient with files that say things twice
		}
		got := make([]uint16, h.Rows*h.Columns)
		if err := h.readCells(got); err != nil {
			t.Errorf("%s: %v", filepath.Base(f.Path), err)
			continue
		}
		for i := range got {
			got[i] &= uint16(1<<h.BitsStored - 1)
		}
		if !slices.Equal(got, f.Cells) {
			t.Errorf("%s: other pixels than pydicom's", filepath.Base(f.Path))
		}
		if strings.HasPrefix(filepath.Base(f.Path), "wrong") && !h.grey() {
			t.Errorf("%s: refused for its photometric interpretation", filepath.Base(f.Path))
		}
		tried[f.Syntax]++
	}
	needed := []string{codec.RLELossless, codec.JPEGLSLossless, codec.JPEGLSNear}
	if codec.OpenJPEGVersion() != "" {
		needed = append(needed, codec.JPEG2000Lossless)
	}
	for _, ts := range needed {
		if tried[ts] < 2 {
			t.Errorf("%d files in %s\n%s", tried[ts], transferSyntaxName(ts), says.String())
		}
	}
	t.Logf("OpenJPEG %q, %v", codec.OpenJPEGVersion(), tried)
}

// A whole compressed series loads as the plain one does.
func TestLoadCompressed(t *testing.T) {
	s := small()
	want, err := Load(t.Context(), s.write(t, t.TempDir(), explicitLittle, nil))
	if err != nil {
		t.Fatal(err)
	}
	for _, syntax := range []string{codec.RLELossless, deflated, explicitBig} {
		dir := t.TempDir()
		var paths []string
		for k := range s.slices {
			path := filepath.Join(dir, fmt.Sprintf("%d.dcm", k))
			if err := os.WriteFile(path, s.slice(k).encodeAs(t, syntax), 0o600); err != nil {
				t.Fatal(err)
			}
			paths = append(paths, path)
		}
		got, err := Load(t.Context(), paths)
		if err != nil {
			t.Errorf("%s: %v", transferSyntaxName(syntax), err)
			continue
		}
		if !slices.Equal(got.Volume.Data, want.Volume.Data) || got.Name != want.Name || got.Volume.Geometry != want.Volume.Geometry {
			t.Errorf("%s: another volume", transferSyntaxName(syntax))
		}
	}
}

// encodeAs gives the Part 10 file in a transfer syntax that encode does not know.
func (o object) encodeAs(t testing.TB, syntax string) []byte {
	t.Helper()
	plain := o.encode(syntax) // a right meta information, then Explicit VR Little Endian
	metaEnd := 132 + 12 + int(binary.LittleEndian.Uint32(plain[140:]))
	switch syntax {
	case deflated:
		var b bytes.Buffer
		w, _ := flate.NewWriter(&b, flate.BestSpeed)
		_, _ = w.Write(plain[metaEnd:])
		_ = w.Close()
		return append(plain[:metaEnd:metaEnd], b.Bytes()...)
	case explicitBig:
		return append(plain[:metaEnd:metaEnd], swapped(plain[metaEnd:])...)
	}
	p := o[tagPixelData].value
	defer func() { o[tagPixelData] = attribute{"OW", p} }()
	frame := packBits(p)
	var v []byte
	v = append(v, "\xFE\xFF\x00\xE0\x00\x00\x00\x00\xFE\xFF\x00\xE0"...)
	v = binary.LittleEndian.AppendUint32(v, uint32(len(frame)))
	v = append(append(v, frame...), "\xFE\xFF\xDD\xE0\x00\x00\x00\x00"...)
	o[tagPixelData] = attribute{"SQ", v} // of undefined length
	return bytes.Replace(o.encode(syntax), []byte("\xE0\x7F\x10\x00SQ"), []byte("\xE0\x7F\x10\x00OB"), 1)
}

// packBits is RLE without runs.
func packBits(p []byte) []byte {
	out := make([]byte, 64)
	out[0] = 2
	for plane := range 2 {
		binary.LittleEndian.PutUint32(out[4+4*plane:], uint32(len(out)))
		for i := 1 - plane; i < len(p); {
			n := min(128, (len(p)-i+1)/2)
			out = append(out, byte(n-1))
			for range n {
				out = append(out, p[i])
				i += 2
			}
		}
		if len(out)%2 == 1 {
			out = append(out, 0x80)
		}
	}
	return out
}

// swapped turns a flat data set in Explicit VR Little Endian to big endian.
func swapped(b []byte) []byte {
	var out []byte
	swap := func(n int) {
		for i := 0; i < n; i += 2 {
			out = append(out, b[i+1], b[i])
		}
		b = b[n:]
	}
	for len(b) > 0 {
		vr := string(b[4:6])
		length := int(binary.LittleEndian.Uint16(b[6:]))
		swap(4)
		out = append(out, b[:2]...)
		b = b[2:]
		if strings.Contains(longVR, vr) {
			length = int(binary.LittleEndian.Uint32(b[2:]))
			out = append(out, 0, 0, b[5], b[4], b[3], b[2])
			b = b[6:]
		} else {
			swap(2)
		}
		if vr == "US" || vr == "OW" {
			swap(length)
		} else {
			out = append(out, b[:length]...)
			b = b[length:]
		}
	}
	return out
}

// Real slices, 512 × 512, lose nothing on their way through each compression and load as the same volume.
func TestDecodeRealSeries(t *testing.T) {
	if testing.Short() {
		t.Skip("compresses real slices")
	}
	src := filepath.Join(tooltest.SharedPair(t, "pair-lidc-covered"), "pre")
	files, err := filepath.Glob(filepath.Join(src, "*.dcm"))
	if err != nil || len(files) < 24 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	headers, err := readHeaders(t.Context(), files)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(headers, func(a, b InstanceHeader) int { return int(1000 * (a.Position[2] - b.Position[2])) })
	middle := headers[len(headers)/2-12:][:24]
	var paths []string
	for _, h := range middle {
		paths = append(paths, h.Path)
	}
	want, err := Load(t.Context(), paths)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range [][]string{{"dcmcjpeg", "+e1"}, {"dcmcjpls", "+el", "+fs", "16"}, {"dcmcrle"}} {
		dir := t.TempDir()
		var packed []string
		for k, p := range paths {
			to := filepath.Join(dir, fmt.Sprintf("%d.dcm", k))
			if out, err := exec.Command(tooltest.Need(t, c[0]), append(slices.Clone(c[1:]), p, to)...).CombinedOutput(); err != nil {
				t.Fatalf("%v: %v\n%s", c, err, out)
			}
			packed = append(packed, to)
		}
		got, err := Load(t.Context(), packed)
		if err != nil {
			t.Errorf("%v: %v", c, err)
		} else if !slices.Equal(got.Volume.Data, want.Volume.Data) {
			t.Errorf("%v: another volume", c)
		}
	}
}
