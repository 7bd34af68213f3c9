package radiomics

import (
	"fmt"
	"math"
	"testing"

	"rfanode/analysis/volume"
)

// ball is a textured CT of 0.7 × 0.7 × 5 mm with a ball as the region.
func ball(radius float64) (*volume.Volume, *volume.Mask) {
	n := int(2*radius/0.7) + 80
	g := volume.Axial([3]int{n, n, max(60, int(2*radius/5)+40)}, [3]float64{0.7, 0.7, 5}, volume.Vec{-100, -100, -300})
	v, m := volume.New(g), volume.NewMask(g)
	c := g.Point(volume.Vec{float64(n / 2), float64(n / 2), float64(g.Size[2] / 2)})
	state := uint64(5)
	for k := range g.Size[2] {
		for j := range g.Size[1] {
			for i := range g.Size[0] {
				p := g.Point(volume.Vec{float64(i), float64(j), float64(k)})
				o := g.Offset(i, j, k)
				state = state*6364136223846793005 + 1442695040888963407
				v.Data[o] = float32(math.Round(-820 + 300*math.Sin(p[0]/9)*math.Cos(p[1]/11) + float64(state>>33%160)))
				if math.Hypot(math.Hypot(p[0]-c[0], p[1]-c[1]), p[2]-c[2]) <= radius {
					m.Data[o] = 1
					v.Data[o] += 700
				}
			}
		}
	}
	return v, m
}

// BenchmarkExtract is the default profile, 1316 values at 1 mm; 19 mm is a zone of 30 mL. One thread.
func BenchmarkExtract(b *testing.B) {
	for _, radius := range []float64{6, 19, 44} {
		v, m := ball(radius)
		b.Run(fmt.Sprintf("radius-%gmm", radius), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ExtractWith(b.Context(), v, m, Default(), Options{Threads: 1}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
