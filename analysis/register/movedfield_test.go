package register_test

import (
	"context"
	"path/filepath"
	"testing"

	"rfanode/analysis/phantom"
	"rfanode/analysis/register"
)

// BenchmarkMovedField measures the field of Deformable on the moved cases, mean and 95th percentile of the landmark
// error averaged over the cases, smooth and sliding. Aims: 0.70/1.2 and 1.2/3.8 mm, no folding. RFANODE_SEEDS chooses the
// seeds; those in use for development are 101 to 105.
func BenchmarkMovedField(b *testing.B) {
	first, last := seedRange(b, 10)
	base := loaded(b, filepath.Join(unpacked(b, realPairs[0]), "pre"))
	other := loaded(b, filepath.Join(unpacked(b, realPairs[1]), "pre"))
	for _, sliding := range []bool{false, true} {
		b.Run(map[bool]string{false: "smooth", true: "sliding"}[sliding], func(b *testing.B) {
			for b.Loop() {
				var mean, p95, folding, likeness, cpu, n float64
				for _, o := range movedPlan(first, last) {
					if o.Sliding != sliding {
						continue
					}
					anatomy := base
					if o.Seed%2 == 0 {
						anatomy = other
					}
					c, err := phantom.Moved(context.Background(), anatomy, o)
					if err != nil {
						b.Log(err)
						continue
					}
					before := cpuSeconds()
					linear, err := register.Linear(context.Background(), c.Fixed, c.Moving, c.FixedLung, c.MovingLung, register.LinearOptions{})
					if err != nil {
						b.Fatal(err)
					}
					f, q, err := register.Deformable(context.Background(), c.Fixed, c.Moving, c.FixedLung, c.MovingLung, linear.Affine, register.DeformableOptions{})
					if err != nil {
						b.Fatal(err)
					}
					cpu += cpuSeconds() - before
					m, p := landmarkError(f, c.TestPoints)
					b.Logf("seed %d, %v, %g mm: %.2f/%.2f mm, determinant %.2f to %.2f, likeness %.2f, doubts %v", o.Seed, o.Site, o.AmplitudeMM, m, p, q.Min, q.Max, q.Likeness, q.Doubts())
					mean, p95, n = mean+m, p95+p, n+1
					folding, likeness = max(folding, q.FoldingPercent), max(likeness, q.Likeness)
				}
				b.ReportMetric(mean/n, "mean-mm")
				b.ReportMetric(p95/n, "p95-mm")
				b.ReportMetric(folding, "most-folding-%")
				b.ReportMetric(likeness, "greatest-likeness")
				b.ReportMetric(cpu/n, "cpu-s/case")
			}
		})
	}
}
