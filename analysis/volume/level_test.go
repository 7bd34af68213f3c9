package volume

import (
	"math"
	"testing"
)

// TestAtSlices: on 5 mm slices a sphere must keep its volume; linear interpolation loses several percent of it.
func TestAtSlices(t *testing.T) {
	g := Axial([3]int{40, 40, 10}, [3]float64{0.8, 0.8, 5}, Vec{-16, -16, -23.3})
	v := New(g)
	for n := range v.Data {
		p := g.Point(Vec{float64(n % 40), float64(n / 40 % 40), float64(n / 1600)})
		v.Data[n] = float32(10 - math.Sqrt(p[0]*p[0]+p[1]*p[1]+p[2]*p[2]))
	}
	cubic, linear := 0, 0
	for z := -14.0; z <= 14; z += 0.5 {
		for y := -14.0; y <= 14; y += 0.5 {
			for x := -14.0; x <= 14; x += 0.5 {
				idx := g.Index(Vec{x, y, z})
				if v.AtSlices(idx, -1) > 0 {
					cubic++
				}
				if v.At(idx, -1) > 0 {
					linear++
				}
			}
		}
	}
	truth := 4. / 3 * math.Pi * 1000
	if ml := float64(cubic) / 8; math.Abs(ml/truth-1) > 0.015 {
		t.Errorf("cubic: %.0f mm³, true %.0f", ml, truth)
	}
	if ml := float64(linear) / 8; ml/truth > 0.96 {
		t.Errorf("linear: %.0f mm³ of %.0f: the comparison shows nothing", ml, truth)
	}
	for _, idx := range []Vec{{-0.6, 0, 0}, {0, 40, 0}, {0, 0, 9.6}, {0, 0, math.NaN()}, {math.NaN(), 0, 0}} {
		if got := v.AtSlices(idx, -77); got != -77 {
			t.Errorf("AtSlices(%v) = %g, want outside", idx, got)
		}
	}
	for k := range 10 { // on the slices and on the rim the samples themselves
		if got, want := v.AtSlices(Vec{7, 9, float64(k)}, 0), v.Data[v.Offset(7, 9, k)]; math.Abs(float64(got-want)) > 1e-5 {
			t.Errorf("slice %d: %g, want %g", k, got, want)
		}
	}
}

// TestFraction: the mask on the CT's grid must keep the volume of the fine one.
func TestFraction(t *testing.T) {
	fine := NewMask(oblique([3]int{20, 20, 20}, [3]float64{1, 1, 1}))
	for k := 4; k < 14; k++ {
		for j := 5; j < 12; j++ {
			fill(fine.Data[fine.Offset(3, j, k):fine.Offset(15, j, k)])
		}
	}
	g := fine.Geometry
	g.Size, g.Spacing, g.Origin = [3]int{40, 40, 8}, [3]float64{0.7, 0.7, 5}, fine.Point(Vec{-3.3, -2.2, -4.1})
	f, ok := Fraction(fine, g)
	if !ok {
		t.Fatal("parallel grids are taken for oblique ones")
	}
	sum := 0.0
	for _, x := range f.Data {
		if x < -1e-6 || x > 1+1e-6 {
			t.Fatalf("a share of %g", x)
		}
		sum += float64(x)
	}
	if got := sum * g.VoxelML(); math.Abs(got-fine.VolumeML()) > 1e-4 {
		t.Errorf("%g mL on the CT's grid, %g mL on the fine one", got, fine.VolumeML())
	}
	if _, ok := Fraction(fine, Axial(g.Size, g.Spacing, g.Origin)); ok {
		t.Error("a turned grid passes as parallel")
	}
}
