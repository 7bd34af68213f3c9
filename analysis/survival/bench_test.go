package survival

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// The benchmarks that reference/survival_bench.R and reference/deepsurv.py repeat with R, glmnet and PyTorch.

// processor reports the processor time of an operation: on a busy machine the wall time says nothing.
func processor(b *testing.B, f func()) {
	b.Helper()
	f() // once, so that memory is there
	start := processorTime()
	n := 0
	for b.Loop() {
		f()
		n++
	}
	b.ReportMetric((processorTime()-start)*1e3/float64(n), "cpu-ms/op")
}

func processorTime() float64 {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return math.NaN()
	}
	return float64(r.Utime.Sec+r.Stime.Sec) + float64(r.Utime.Usec+r.Stime.Usec)/1e6
}

// tied rounds times so that about n/100 are distinct.
func tied(y Outcome) Outcome {
	out := Outcome{make([]float64, y.Len()), y.Event}
	for i, t := range y.Time {
		out.Time[i] = math.Ceil(t*500) / 500
	}
	return out
}

func benchmarkCox(b *testing.B, ties Ties, round bool) {
	y, x := benchmarkData(100_000, 10)
	if round {
		y = tied(y)
	}
	processor(b, func() {
		if _, err := Cox(y, x, CoxOptions{Ties: ties}); err != nil {
			b.Fatal(err)
		}
	})
}

func BenchmarkCoxEfron(b *testing.B)     { benchmarkCox(b, Efron, false) }
func BenchmarkCoxEfronTied(b *testing.B) { benchmarkCox(b, Efron, true) }
func BenchmarkCoxBreslow(b *testing.B)   { benchmarkCox(b, Breslow, false) }

func BenchmarkPHTest(b *testing.B) {
	y, x := benchmarkData(100_000, 10)
	f, err := Cox(y, x, CoxOptions{})
	if err != nil {
		b.Fatal(err)
	}
	processor(b, func() { f.PHTest(KMTime) })
}

func BenchmarkConcordance(b *testing.B) {
	y, x := benchmarkData(100_000, 1)
	processor(b, func() { Concordance(y, x[0], ConcordanceOptions{}) })
}

func BenchmarkKaplanMeier(b *testing.B) {
	y, _ := benchmarkData(100_000, 1)
	processor(b, func() { KaplanMeier(y) })
}

// BenchmarkLassoLarge: 10,000 subjects, 1,316 features in groups of correlated ones, at three tolerances of the
// optimality conditions (shares of the largest lambda).
func BenchmarkLassoLarge(b *testing.B) {
	y, x := largeLasso()
	for _, tolerance := range []float64{1e-3, 1e-4, 1e-5} {
		b.Run(fmt.Sprint(tolerance), func(b *testing.B) {
			start, n := processorTime(), 0
			for b.Loop() {
				p, err := Lasso(context.Background(), y, x, LassoOptions{Tolerance: tolerance})
				if err != nil {
					b.Fatal(err)
				}
				n++
				for _, k := range []int{20, 40, 60} {
					b.ReportMetric(p.DevRatio[min(k, len(p.DevRatio))-1], fmt.Sprintf("dev.ratio-%d", k))
				}
				b.ReportMetric(float64(len(p.Lambda)), "lambdas")
				b.ReportMetric(float64(p.Coef[len(p.Coef)-1].Len()), "df")
			}
			b.ReportMetric((processorTime()-start)*1e3/float64(n), "cpu-ms/op")
		})
	}
}

// largeLasso is drawn by the arithmetic that reference/survival_bench.R repeats.
func largeLasso() (Outcome, [][]float64) {
	const n, p, groups = 10_000, 1316, 94
	rng := NewRand(7)
	latent := make([][]float64, groups)
	for g := range latent {
		latent[g] = make([]float64, n)
		for i := range latent[g] {
			latent[g][i] = rng.Normal()
		}
	}
	x := make([][]float64, p)
	lp := make([]float64, n)
	for j := range x {
		x[j] = make([]float64, n)
		for i := range n {
			x[j][i] = .8*latent[j%groups][i] + .6*rng.Normal()
			if j < 40 {
				lp[i] += .1 * x[j][i]
			}
		}
	}
	y := Outcome{make([]float64, n), make([]int, n)}
	for i := range n {
		life, censored := -math.Log(rng.Float64())*math.Exp(-lp[i]), 2*rng.Float64()
		y.Time[i] = min(life, censored)
		if life <= censored {
			y.Event[i] = Event
		}
	}
	return y, x
}

// TestWriteBenchmarkData writes the data of the benchmarks for R and Python (RFANODE_BENCH_DATA names the folder): one
// float64 file each, little endian, columns one after another: time, event, covariates.
func TestWriteBenchmarkData(t *testing.T) {
	dir := os.Getenv("RFANODE_BENCH_DATA")
	if dir == "" {
		t.Skip("RFANODE_BENCH_DATA names no folder")
	}
	y, x := benchmarkData(100_000, 10)
	yl, xl := largeLasso()
	type set struct {
		y Outcome
		x [][]float64
	}
	sets := map[string]set{"cox": {y, x}, "tied": {tied(y), x}, "lasso": {yl, xl}}
	if shared := os.Getenv("RFANODE_SHARED"); shared != "" { // the reference cohort: 109 patients, folds first
		c, _ := loadRadiomics(t)
		folds := make([]float64, len(c.folds))
		for i, f := range c.folds {
			folds[i] = float64(f)
		}
		sets["radiomics"] = set{c.y, append([][]float64{folds}, c.x...)}
	}
	for name, d := range sets {
		f, err := os.Create(filepath.Join(dir, name+".bin"))
		if err != nil {
			t.Fatal(err)
		}
		event := make([]float64, d.y.Len())
		for i, e := range d.y.Event {
			event[i] = float64(e)
		}
		for _, col := range append([][]float64{d.y.Time, event}, d.x...) {
			if err := binary.Write(f, binary.LittleEndian, col); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
