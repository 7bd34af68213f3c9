package survival

import (
	"math"
	"runtime"
	"sync"
)

// Bootstrap draws subjects with replacement and returns percentile 95 % intervals of every component of the statistic.
// stat gets the drawn indices; it must not keep them, and is called from several goroutines. Draws where a component is
// NaN (no events drawn) are left out of that component; fewer than half left: the interval is NaN. The draws depend on
// the seed alone.
func Bootstrap(n, draws int, seed uint64, stat func(idx []int) []float64) [][2]float64 {
	values := make([][]float64, draws)
	parallel(draws, func(d int) {
		r := NewRand(seed, uint64(d))
		idx := make([]int, n)
		for i := range idx {
			idx[i] = r.Intn(n)
		}
		values[d] = stat(idx)
	})
	if draws == 0 {
		return nil
	}
	out := make([][2]float64, len(values[0]))
	for c := range out {
		var v []float64
		for _, d := range values {
			if !math.IsNaN(d[c]) && !math.IsInf(d[c], 0) {
				v = append(v, d[c])
			}
		}
		out[c] = [2]float64{math.NaN(), math.NaN()}
		if 2*len(v) >= draws {
			out[c] = [2]float64{Quantile(v, .025, 7), Quantile(v, .975, 7)}
		}
	}
	return out
}

// parallel calls f(0..n-1) on all processors and returns when all are done.
func parallel(n int, f func(k int)) {
	workers := min(runtime.GOMAXPROCS(0), n)
	next := make(chan int)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for k := range next {
				f(k)
			}
		})
	}
	for k := range n {
		next <- k
	}
	close(next)
	wg.Wait()
}
