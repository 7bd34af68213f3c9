package radiomics

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"
)

// packed is data of several kinds, packed at several levels: incompressible, repeating, a CT's, empty.
func packed(t testing.TB) (plain, gz [][]byte) {
	r := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 300000)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	ct := make([]byte, 400000)
	for i := 0; i+1 < len(ct); i += 2 {
		v := int16(-800 + i/700%300 + r.IntN(90))
		ct[i], ct[i+1] = byte(v), byte(uint16(v)>>8)
	}
	skewed := make([]byte, 200000) // rare symbols: long codes
	for i := range skewed {
		skewed[i] = byte(min(255, int(r.ExpFloat64()*12)))
	}
	for _, p := range [][]byte{nil, []byte("a"), noise, ct, skewed, bytes.Repeat([]byte{0}, 1<<20), bytes.Repeat([]byte("abcdefg"), 50000)} {
		for _, level := range []int{gzip.NoCompression, gzip.BestSpeed, 6, gzip.BestCompression, gzip.HuffmanOnly} {
			var b bytes.Buffer
			w, err := gzip.NewWriterLevel(&b, level)
			if err != nil {
				t.Fatal(err)
			}
			w.Name, w.Comment, w.Extra = "name", "comment", []byte{1, 2, 3}
			if _, err := w.Write(p); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			plain, gz = append(plain, p), append(gz, b.Bytes())
		}
	}
	return plain, gz
}

func TestGunzip(t *testing.T) {
	plain, gz := packed(t)
	var all, allPlain []byte
	for i := range gz {
		for name, r := range map[string]io.Reader{"whole": bytes.NewReader(gz[i]), "piecewise": iotest.HalfReader(iotest.DataErrReader(bytes.NewReader(gz[i])))} {
			got, err := io.ReadAll(newGunzip(r))
			if err != nil || !bytes.Equal(got, plain[i]) {
				t.Fatalf("case %d, %s: %d bytes of %d, %v", i, name, len(got), len(plain[i]), err)
			}
		}
		all, allPlain = append(all, gz[i]...), append(allPlain, plain[i]...)
	}
	got, err := io.ReadAll(newGunzip(bytes.NewReader(all)))
	if err != nil || !bytes.Equal(got, allPlain) {
		t.Fatalf("members one after the other: %d bytes of %d, %v", len(got), len(allPlain), err)
	}
}

// Damage is found, or does no harm: what is read is what the standard library reads, and where that finds an error so does
// this.
func TestGunzipDamaged(t *testing.T) {
	plain, gz := packed(t)
	r := rand.New(rand.NewPCG(3, 4))
	for i := range gz {
		if len(gz[i]) > 100000 {
			continue
		}
		for n := range 60 {
			b := bytes.Clone(gz[i])
			if n%3 == 0 {
				b = b[:r.IntN(len(b))]
			} else {
				b[r.IntN(len(b))] ^= 1 << r.IntN(8)
			}
			got, err := io.ReadAll(newGunzip(bytes.NewReader(b)))
			if err == nil && !bytes.Equal(got, plain[i]) {
				t.Fatalf("case %d: damage passed as data", i)
			}
			z, want := gzip.NewReader(bytes.NewReader(b))
			if want == nil {
				_, want = io.ReadAll(z)
			}
			var corrupt flate.CorruptInputError
			if err == nil && (errors.As(want, &corrupt) || errors.Is(want, io.ErrUnexpectedEOF) || errors.Is(want, gzip.ErrChecksum)) {
				t.Fatalf("case %d: the standard library finds %v", i, want)
			}
		}
	}
}

func BenchmarkGunzip(b *testing.B) {
	plain, gz := packed(b)
	const ct = 3*5 + 2
	b.SetBytes(int64(len(plain[ct])))
	for b.Loop() {
		if _, err := io.Copy(io.Discard, newGunzip(bytes.NewReader(gz[ct]))); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGunzipStandard(b *testing.B) {
	plain, gz := packed(b)
	const ct = 3*5 + 2
	b.SetBytes(int64(len(plain[ct])))
	for b.Loop() {
		z, err := gzip.NewReader(bytes.NewReader(gz[ct]))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, z); err != nil {
			b.Fatal(err)
		}
	}
}
