package nnunet

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
)

// parallel calls work(i, w) for every i of 0 … n-1 on as many goroutines as there are processors, w being the number of
// the goroutine (for buffers of its own), and returns when all have ended. Once ctx is done no further item is begun,
// and its error returned. Items must not depend on each other, so that results are the same for any number of processors.
func parallel(ctx context.Context, n int, work func(i, w int)) error {
	var next atomic.Int64
	var done sync.WaitGroup
	for w := range workers(n) {
		done.Add(1)
		go func() {
			defer done.Done()
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				work(i, w)
			}
		}()
	}
	done.Wait()
	return ctx.Err()
}

// workers is the number of goroutines that parallel uses for n items.
func workers(n int) int { return min(runtime.GOMAXPROCS(0), n) }
