package nnunet

import (
	"math"
	"math/rand/v2"
	"testing"
)

// exactHalf is the rounding by its definition: the nearest of two neighbours, the even one at a tie.
func exactHalf(x float64) half {
	if math.IsNaN(x) {
		return 0x7e00
	}
	sign := half(0)
	if math.Signbit(x) {
		sign, x = 0x8000, -x
	}
	if x >= 65520 {
		return sign | halfInf
	}
	lo, hi := 0, int(halfInf) // values of halves grow with their bits
	for hi-lo > 1 {
		if m := (lo + hi) / 2; float64(halfValues[m]) <= x {
			lo = m
		} else {
			hi = m
		}
	}
	a, b := float64(halfValues[lo]), float64(halfValues[hi])
	if hi == int(halfInf) {
		b = 65536
	}
	if x-a > b-x || x-a == b-x && lo&1 == 1 {
		lo = hi
	}
	return sign | half(lo)
}

// A half that comes back as another would move sums over tiles, and with them the border of a lesion.
func TestAllHalves(t *testing.T) {
	for h := range 1 << 16 {
		x := half(h).float()
		if math.IsNaN(float64(x)) {
			if exponent, mantissa := h>>10&31, h&0x3ff; exponent != 31 || mantissa == 0 {
				t.Fatalf("half %#04x is read as NaN", h)
			}
			if back := toHalf(x); !math.IsNaN(float64(back.float())) {
				t.Fatalf("NaN %#04x becomes %#04x", h, back)
			}
			continue
		}
		if back := toHalf(x); back != half(h) {
			t.Fatalf("%g: half %#04x becomes %#04x", x, h, back)
		}
		if back := doubleToHalf(float64(x)); back != half(h) {
			t.Fatalf("%g: half %#04x becomes %#04x through double precision", x, h, back)
		}
	}
	for h, want := range map[half]float64{0x3c00: 1, 0xc000: -2, 0x0001: math.Pow(2, -24), 0x03ff: 1023 * math.Pow(2, -24), 0x0400: math.Pow(2, -14), 0x7bff: 65504, 0x3555: 0.333251953125} {
		if got := float64(h.float()); got != want {
			t.Errorf("half %#04x is %g, should be %g", h, got, want)
		}
	}
}

// Between neighbours the nearest is taken, the even one at a tie.
func TestRoundingToHalf(t *testing.T) {
	check := func(x float64) {
		if got, want := doubleToHalf(x), exactHalf(x); got != want {
			t.Fatalf("%v: %#04x, should be %#04x", x, got, want)
		}
		y := float32(x)
		if got, want := toHalf(y), exactHalf(float64(y)); got != want {
			t.Fatalf("float32 %v: %#04x, should be %#04x", y, got, want)
		}
	}
	for h := range int(halfInf) {
		a, b := float64(halfValues[h]), float64(halfValues[h+1])
		if h+1 == int(halfInf) {
			b = 65536
		}
		middle := (a + b) / 2
		for _, x := range []float64{middle, math.Nextafter(middle, 0), math.Nextafter(middle, 1e9), float64(math.Nextafter32(float32(middle), 0)), float64(math.Nextafter32(float32(middle), 1e9))} {
			check(x)
			check(-x)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 200000 {
		check(math.Ldexp(r.Float64()*2-1, r.IntN(44)-27))
	}
	for _, x := range []float64{0, math.Copysign(0, -1), math.Inf(1), math.Inf(-1), 1e30, 5e-324, 1e-40} {
		check(x)
	}
}
