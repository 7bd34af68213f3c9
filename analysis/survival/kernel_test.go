package survival

import "testing"

// TestKernels: the assembly gives the bits of its Go twin, for every length and with values of very different size.
func TestKernels(t *testing.T) {
	if !useAVX {
		t.Skip("no AVX: the Go form is the only one")
	}
	rng := NewRand(77)
	for n := range 70 {
		rows := normals(rng, 6, n)
		for j := range rows {
			for i := range rows[j] {
				if rng.Float64() < .3 {
					rows[j][i] *= 1e9
				}
			}
		}
		w := [4]float64{rng.Normal(), rng.Normal() * 1e-7, rng.Normal(), rng.Normal() * 1e5}
		want := append([]float64(nil), rows[0]...)
		combine4Go(want, rows[1], rows[2], rows[3], rows[4], &w)
		combine4(rows[0], rows[1], rows[2], rows[3], rows[4], &w)
		for i := range want {
			if rows[0][i] != want[i] {
				t.Fatalf("combine4 of %d: element %d is %v, want %v", n, i, rows[0][i], want[i])
			}
		}
		copy(want, rows[0])
		addScaledGo(want, w[0], rows[5])
		addScaled(rows[0], w[0], rows[5])
		for i := range want {
			if rows[0][i] != want[i] {
				t.Fatalf("addScaled of %d: element %d is %v, want %v", n, i, rows[0][i], want[i])
			}
		}
		m := n &^ 3
		if m == 0 {
			continue
		}
		var a, b [16]float64
		products4Go(rows[0][:m], rows[1], rows[2], rows[3], rows[4], &a)
		products4AVX(&rows[0][0], &rows[1][0], &rows[2][0], &rows[3][0], &rows[4][0], &b, m)
		if a != b {
			t.Fatalf("products of %d: %v, want %v", m, b, a)
		}
	}
}

func normals(rng *Rand, rows, n int) [][]float64 {
	out := make([][]float64, rows)
	for r := range out {
		for range n {
			out[r] = append(out[r], rng.Normal())
		}
	}
	return out
}
