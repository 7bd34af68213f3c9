package register

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
)

// threadCount turns the option (0: as many as Go may use) into a number.
func threadCount(n int) int {
	if n > 0 {
		return n
	}
	return runtime.GOMAXPROCS(0)
}

// parallel calls do(worker, i) for i = 0 … n-1 on the given number of goroutines and returns when all have ended.
// Calls must write to places of their own, so that the result is the same for any number of threads; worker (0 …
// threads-1) lets a call reuse scratch memory. No new call starts once ctx is done.
func parallel(ctx context.Context, threads, n int, do func(worker, i int)) error {
	threads = min(threads, n)
	if threads <= 1 {
		for i := range n {
			if err := ctx.Err(); err != nil {
				return err
			}
			do(0, i)
		}
		return ctx.Err()
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for w := range threads {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				do(w, i)
			}
		})
	}
	wg.Wait()
	return ctx.Err()
}
