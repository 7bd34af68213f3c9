package codec

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"rfanode/internal/tooltest"
)

// golden are 6 × 9 pixels of 12 bits as DCMTK 3.6.7 compresses them (dcmcjpeg +e1, dcmcjpls +el, dcmcjpls +en, dcmcrle),
// with the pixels that DCMTK decodes of them; and as OpenJPEG 2.5.4 and OpenJPH 0.14 do without loss.
var (
	goldenFormat = Format{Rows: 6, Columns: 9, BitsAllocated: 16}
	goldenPixels = []uint16{24, 24, 24, 24, 24, 24, 24, 24, 24, 24, 24, 994, 1002, 1051, 1090, 906, 24, 24, 24, 24, 928, 1064, 1089, 949, 962,
		24, 24, 24, 24, 1073, 984, 954, 1065, 951, 24, 24, 3000, 3000, 3000, 3000, 3000, 3000, 3000, 3000, 3000, 24, 24, 24, 24, 24, 24, 24, 24, 24}
	goldenNear = []uint16{25, 25, 25, 25, 25, 25, 25, 25, 25, 25, 25, 995, 1000, 1051, 1088, 906, 23, 23, 25, 25, 930, 1065, 1090, 950, 961, 23,
		23, 25, 25, 1075, 985, 955, 1065, 950, 23, 23, 3000, 3000, 3000, 3000, 3000, 3000, 3000, 2998, 2999, 25, 24, 23, 22, 26, 26, 26, 26, 22}
	golden = []stream{
		{JPEGLosslessFirst, "ffd8ffe000104a46494600010100000100010000ffc3000b100006000901011100ffc4001d0001000104030100000000000000000000000a" +
			"04050708060b0c0fffda0008010100010000f800b8013caa8e63c9f51e11a2711b1179d73ad82a8ec19c4d61cdf8360c0f5d0007917c03ffffd9", goldenPixels},
		{JPEGLSLossless, "ffd8fff7000b100006000901011100fff8000d01ffff0012004301140040ffda000801010000000042f801004010080402010100279381f17e49" +
			"dd85d1d20e80432a351be386d229631ba744e480101cfe004009630f2004e373d8081cfe008020100804020100ffffd9", goldenPixels},
		{JPEGLSNear, "ffd8fff7000b0c0006000901011100ffda00080101000200006611124a840000013896d0050000012e6453430aada344d63c7a10604204f903a0" +
			"0000230000000025020822820821ffd9", goldenNear},
		{RLELossless, "02000000400000006400000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000" +
			"f8000600000303040403ff000600000304040303ff000600000403030403ff00f80bf800f818061818e2ea1b428aff18061818a02841b5c2ff1806181831d8ba29b7ff18f8b8f818", goldenPixels},
		{JPEG2000Lossless, "ff4fff5100290000000000090000000600000000000000000000000900000006000000000000000000010f0101ff52000c000000010001040400" +
			"01ff5c00074080888890ff640025000143726561746564206279204f70656e4a5045472076657273696f6e20322e352e34ff90000a0000000000" +
			"740001ff93dff8910008696219a39d1322a77046bfbd4fc22cfde4589a5b647ff1be8e5a1c80795e3fc03f61181fe062007e61c00c33b340670f" +
			"a61385e4e40063320ee3470e4040cd031337f96aa2bdb80031f3b7a285d4b4fcad54cb086c1e2b179d44bcc54f37dfee4bffd9", goldenPixels},
		{HTJ2KLossless, "ff4fff5100294000000000090000000600000000000000000000000900000006000000000000000000010f0101ff50000800020000000bff5200" +
			"0c00020001000204044001ff5c000a2090989898909098ff64001700014f70656e4a50482056657220302e31342e302eff90000a00000000009b" +
			"0001ff93c0001690030563f63ffd07f00f0571f60129017b3600c0000a98000157000027a8d82493c60101b4005f82c19cfe008403d176006443" +
			"fd00823400c00016bc000174300002bc01e9e4051d2809a0994126d9408938fe00b3863011970001914cb89d1e8253e0580c9a31c89ffb733ff7" +
			"737fee0382ebdccc379080099b00054ef91247856533f9000440199600ffd9", goldenPixels},
	}
)

func TestMain(m *testing.M) {
	tooltest.UseOpenJPEG()
	os.Exit(m.Run())
}

type stream struct {
	syntax, stream string
	want           []uint16
}

// decodable are the golden streams that this machine decodes.
func decodable(t testing.TB) (all []stream) {
	for _, g := range golden {
		if CanDecode(g.syntax) {
			all = append(all, g)
		} else {
			t.Logf("no OpenJPEG: %s is left out", g.syntax)
		}
	}
	return all
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestGolden(t *testing.T) {
	for _, g := range decodable(t) {
		got := make([]uint16, len(g.want))
		if err := Decode(g.syntax, unhex(t, g.stream), goldenFormat, got); err != nil || !slices.Equal(got, g.want) {
			t.Errorf("%s: %v\ngot  %v\nwant %v", g.syntax, err, got, g.want)
		}
	}
}

// A stream that is cut, or says something else than the data set, is refused; no byte changed makes the decoder fall.
func TestDamaged(t *testing.T) {
	for _, g := range decodable(t) {
		b := unhex(t, g.stream)
		dst := make([]uint16, len(g.want))
		for cut := range b {
			err := Decode(g.syntax, b[:cut], goldenFormat, dst)
			if err == nil && !slices.Equal(dst, g.want) {
				t.Errorf("%s, cut to %d of %d bytes: other pixels and no error", g.syntax, cut, len(b))
			}
			if err != nil && !errors.Is(err, ErrDamaged) {
				t.Errorf("%s: %v", g.syntax, err)
			}
		}
		if g.syntax != RLELossless {
			for _, f := range []Format{{6, 8, 16}, {7, 9, 16}, {6, 9, 8}} {
				if err := Decode(g.syntax, b, f, make([]uint16, f.Rows*f.Columns)); err == nil {
					t.Errorf("%s: taken as %+v", g.syntax, f)
				}
			}
		}
		for i := range b {
			for _, v := range []byte{0, 0xFF, b[i] ^ 1, b[i] ^ 0x80} {
				c := slices.Clone(b)
				c[i] = v
				_ = Decode(g.syntax, c, goldenFormat, dst)
			}
		}
	}
	if err := Decode("1.2.840.10008.1.2.4.50", nil, goldenFormat, make([]uint16, 54)); err == nil {
		t.Error("JPEG Baseline was decoded")
	}
	if err := Decode(RLELossless, nil, Format{6, 9, 16}, make([]uint16, 53)); err == nil {
		t.Error("a destination of another size")
	}
}

// encodeLossless is a plain encoder of the lossless process: every category has a code of five bits.
func encodeLossless(px []uint16, rows, cols, precision, selector, shift, restartLines int) []byte {
	out := []byte{0xFF, markSOI}
	segment := func(marker byte, body ...byte) {
		out = append(out, 0xFF, marker)
		out = binary.BigEndian.AppendUint16(out, uint16(len(body)+2))
		out = append(out, body...)
	}
	table := make([]byte, 17, 34)
	table[5] = 17
	for c := range 17 {
		table = append(table, byte(c))
	}
	segment(markDHT, table...)
	segment(markSOF3, byte(precision), byte(rows>>8), byte(rows), byte(cols>>8), byte(cols), 1, 7, 0x11, 0)
	if restartLines > 0 {
		n := restartLines * cols
		segment(markDRI, byte(n>>8), byte(n))
	}
	segment(markSOS, 1, 7, 0, byte(selector), 0, byte(shift))
	var acc uint64
	have := uint(0)
	flush := func(all bool) {
		if all && have%8 != 0 {
			acc = acc<<(8-have%8) | (1<<(8-have%8) - 1)
			have += 8 - have%8
		}
		for have >= 8 {
			have -= 8
			b := byte(acc >> have)
			if out = append(out, b); b == 0xFF {
				out = append(out, 0)
			}
		}
	}
	d := jpegLossless{selector: selector}
	at := func(x, y int) int32 { return int32(px[y*cols+x]) >> shift }
	fresh, restarts := 0, 0
	for y := range rows {
		if restartLines > 0 && y > 0 && y%restartLines == 0 {
			flush(true)
			out = append(out, 0xFF, byte(markRST0+restarts%8))
			restarts++
			fresh = y
		}
		for x := range cols {
			var p int32
			switch {
			case x == 0 && y == fresh:
				p = 1 << (precision - shift - 1)
			case y == fresh:
				p = at(x-1, y)
			case x == 0:
				p = at(0, y-1)
			default:
				p = d.predict(at(x-1, y), at(x, y-1), at(x-1, y-1))
			}
			diff := int32(int16(at(x, y) - p))
			if diff == -32768 {
				acc, have = acc<<5|16, have+5
				flush(false)
				continue
			}
			category := uint(0)
			for v := max(diff, -diff); v > 0; v >>= 1 {
				category++
			}
			low := diff
			if diff < 0 {
				low += 1<<category - 1
			}
			acc, have = acc<<5|uint64(category), have+5
			acc, have = acc<<category|uint64(low)&(1<<category-1), have+category
			flush(false)
		}
	}
	flush(true)
	return append(out, 0xFF, markEOI)
}

// Every predictor, precision, point transform and restart interval, which no tool at hand makes all of.
func TestLosslessParameters(t *testing.T) {
	const rows, cols = 9, 11
	r := rand.New(rand.NewPCG(1, 2))
	for precision := 2; precision <= 16; precision++ {
		for selector := 1; selector <= 7; selector++ {
			for _, shift := range []int{0, precision / 3} {
				for _, restart := range []int{0, 1, 4} {
					px := make([]uint16, rows*cols)
					for i := range px {
						px[i] = uint16(r.IntN(1<<precision)) >> shift << shift
					}
					got := make([]uint16, len(px))
					err := Decode(JPEGLossless, encodeLossless(px, rows, cols, precision, selector, shift, restart), Format{rows, cols, 16}, got)
					if err != nil || !slices.Equal(got, px) {
						t.Fatalf("%d bits, predictor %d, point transform %d, restart after %d lines: %v", precision, selector, shift, restart, err)
					}
				}
			}
		}
	}
}

// readerAt gives what stands in it.
type readerAt []byte

func (r readerAt) ReadAt(p []byte, off int64) (int, error) {
	if off > int64(len(r)) {
		return 0, errors.New("past the end")
	}
	return copy(p, r[off:]), nil
}

// fragments encodes items, the first of which is the offset table.
func fragments(items ...string) readerAt {
	var b []byte
	for _, i := range items {
		b = append(b, 0xFE, 0xFF, 0, 0xE0)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(i)))
		b = append(b, i...)
	}
	return append(b, 0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0)
}

// Frames are found whichever way the fragments say where they are.
func TestFrames(t *testing.T) {
	const a, b, c = "\xFF\xD8first.", "second", "\xFF\xD8third."
	for name, f := range map[string]struct {
		data   readerAt
		frames []string
	}{
		"one frame in parts":           {fragments("", a, b, c), []string{a + b + c}},
		"one frame with a wrong table": {fragments("\x07\x00\x00\x00", a, b), []string{a + b}},
		"a fragment a frame":           {fragments("", a, b, c), []string{a, b, c}},
		"by the table":                 {fragments("\x00\x00\x00\x00\x1E\x00\x00\x00", a, b, c), []string{a + b, c}},
		"without a table":              {fragments("", a, b, c), []string{a + b, c}},
		"a wrong table":                {fragments("\x00\x00\x00\x00\x07\x00\x00\x00", a, b, c), []string{a + b, c}},
		"a table of odd length":        {fragments("xyz", a, b, c), []string{a + b, c}},
	} {
		got, err := ReadFragments(f.data, 0, int64(len(f.data)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for i, want := range f.frames {
			frame, err := got.Frame(i, len(f.frames))
			if err != nil || string(frame) != want {
				t.Errorf("%s, frame %d: %q, %v", name, i, frame, err)
			}
		}
		if _, err := got.Frame(len(f.frames), len(f.frames)); err == nil {
			t.Errorf("%s: a frame too many", name)
		}
	}
	for name, data := range map[string]readerAt{"nothing": nil, "no delimiter": fragments("", a)[:20], "length": {0xFE, 0xFF, 0, 0xE0, 0xF0, 0xFF, 0xFF, 0xFF},
		"another tag": {8, 0, 8, 0, 0, 0, 0, 0}, "empty frame": fragments("", "")} {
		f, err := ReadFragments(data, 0, int64(len(data)))
		if err == nil {
			_, err = f.Frame(0, 1)
		}
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if f, err := ReadFragments(fragments("", "xx", "yy"), 0, 1000); err != nil {
		t.Error(err)
	} else if _, err := f.Frame(0, 5); !errors.Is(err, ErrDamaged) {
		t.Errorf("five frames in two fragments: %v", err)
	}
}

// No stream makes a decoder fall, take memory that the frame does not need, or go on for ever.
func FuzzDecode(f *testing.F) {
	syntaxes := []string{JPEGLosslessFirst, JPEGLSLossless, RLELossless} // a decoder each; OpenJPEG is not ours
	for _, g := range golden {
		for i := range syntaxes {
			if !External(g.syntax) {
				f.Add(uint8(i), uint8(6), uint8(9), unhex(f, g.stream))
			}
		}
	}
	f.Add(uint8(0), uint8(9), uint8(11), encodeLossless(make([]uint16, 99), 9, 11, 16, 4, 0, 4))
	f.Fuzz(func(t *testing.T, which, rows, cols uint8, b []byte) {
		syntax := syntaxes[int(which)%len(syntaxes)]
		format := Format{int(rows) + 1, int(cols) + 1, 16}
		if which >= 128 {
			format.BitsAllocated = 8
		}
		if len(b)%7 != 0 { // most inputs keep the size that their stream says
			format.Rows, format.Columns = max(int(rows), 1), max(int(cols), 1)
		}
		_ = Decode(syntax, b, format, make([]uint16, format.Rows*format.Columns))
	})
}

// Fragments lie inside the file, and frames are made of them.
func FuzzFragments(f *testing.F) {
	f.Add([]byte(fragments("\x00\x00\x00\x00\x10\x00\x00\x00", "\xFF\xD8abcdef", "\xFF\xD8xy")), uint8(2))
	f.Fuzz(func(t *testing.T, b []byte, frames uint8) {
		got, err := ReadFragments(readerAt(b), 0, int64(len(b)))
		if err != nil {
			return
		}
		for i := range int(frames) {
			if frame, err := got.Frame(i, int(frames)); err == nil && len(frame) > len(b) {
				t.Errorf("a frame of %d bytes in %d", len(frame), len(b))
			}
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	const side = 512
	r := rand.New(rand.NewPCG(1, 2))
	px := make([]uint16, side*side)
	for i := range px {
		px[i] = uint16(1000 + i%side/8 + r.IntN(24))
	}
	stream := encodeLossless(px, side, side, 12, 1, 0, 0)
	b.Run(fmt.Sprintf("JPEG Lossless %d bytes", len(stream)), func(b *testing.B) {
		b.SetBytes(2 * side * side)
		for b.Loop() {
			if err := Decode(JPEGLossless, stream, Format{side, side, 16}, px); err != nil {
				b.Fatal(err)
			}
		}
	})
}
