package volume

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// parallel calls f for every i of 0 … n-1 on as many goroutines as there are processors and returns when all are done.
// The calls must not depend on each other: every item writes only what is its own, so the result is the same for any
// number of processors.
func parallel(n int, f func(i int)) {
	workers := min(runtime.GOMAXPROCS(0), n)
	if workers <= 1 {
		for i := range n {
			f(i)
		}
		return
	}
	var next atomic.Int64
	var done sync.WaitGroup
	for range workers {
		done.Add(1)
		go func() {
			defer done.Done()
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				f(i)
			}
		}()
	}
	done.Wait()
}
