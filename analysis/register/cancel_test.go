//go:build unix

package register

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"
)

// afterChecks is a context that is cancelled by itself when its Err has been asked for a number of times, so that a run is
// cut at a place that does not depend on how fast the machine is. It notes the CPU time then.
type afterChecks struct {
	context.Context
	cancel context.CancelFunc
	left   chan struct{}
	cut    chan float64
}

func newAfterChecks(n int) *afterChecks {
	ctx, cancel := context.WithCancel(context.Background())
	c := &afterChecks{ctx, cancel, make(chan struct{}, n), make(chan float64, 1)}
	for range n {
		c.left <- struct{}{}
	}
	return c
}

func (c *afterChecks) Err() error {
	select {
	case <-c.left:
	default:
		if c.Context.Err() == nil {
			c.cancel()
			select {
			case c.cut <- processorSeconds():
			default:
			}
		}
	}
	return c.Context.Err()
}

// A case that is dropped while it is registered must free its processor within a second, wherever it is, and leave nothing
// behind. The second is one of CPU, times two threads: the machine may be busy.
func TestDeformableStopsWhenCancelled(t *testing.T) {
	c := newChest(47)
	v, lung := fixedScan(c)
	total := newAfterChecks(1 << 20)
	run := func(ctx context.Context) error {
		_, _, err := Deformable(ctx, v, v, lung, lung, Identity(), DeformableOptions{Threads: 2})
		return err
	}
	if err := run(total); err != nil {
		t.Fatal(err)
	}
	checks := 1<<20 - len(total.left)
	if checks < 1000 {
		t.Fatalf("the context is asked %d times in a whole run", checks)
	}
	before := runtime.NumGoroutine()
	for _, part := range []float64{0, 0.05, 0.3, 0.6, 0.9, 0.999} {
		ctx := newAfterChecks(int(part * float64(checks)))
		err := run(ctx)
		late := processorSeconds() - <-ctx.cut
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled after %g of the run: %v", part, err)
		}
		if late > 2 {
			t.Errorf("cancelled after %g of the run: went on for %.2f CPU s", part, late)
		}
	}
	// A goroutine that has been told to end may need a moment to be gone.
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
}

// Memory that is not allowed must not be taken first and refused then.
func TestMemoryIsRefusedBeforeItIsTaken(t *testing.T) {
	c := newChest(49)
	v, lung := fixedScan(c)
	for name, run := range map[string]func() error{
		"linear": func() error {
			_, err := Linear(context.Background(), v, v, lung, lung, LinearOptions{SpacingMM: 1, MemoryBytes: 64 << 20})
			return err
		},
		"deformable": func() error {
			_, _, err := Deformable(context.Background(), v, v, lung, lung, Identity(), DeformableOptions{SpacingMM: 1, MemoryBytes: 64 << 20})
			return err
		},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := run()
		runtime.ReadMemStats(&after)
		if err == nil || !strings.Contains(err.Error(), "64 MiB are allowed") {
			t.Errorf("%s: %v", name, err)
		}
		if taken := after.TotalAlloc - before.TotalAlloc; taken > 1<<20 {
			t.Errorf("%s: %d bytes were allocated before it was refused", name, taken)
		}
	}
}

// What DeformableMemory promises is a promise: a run takes no more.
func TestDeformableKeepsToItsMemory(t *testing.T) {
	c := newChest(51)
	v, lung := fixedScan(c)
	g, err := lungGrid("fixed", v, lung, 1.5)
	if err != nil {
		t.Fatal(err)
	}
	bound := DeformableMemory(g.Len(), g.Len(), 2)
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	stop, most := make(chan struct{}), make(chan uint64)
	go func() {
		// Live memory as the collector found it last: garbage is the collector's affair.
		peak := uint64(0)
		for {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapAlloc)
			select {
			case <-stop:
				most <- peak
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	_, _, err = Deformable(context.Background(), v, v, lung, lung, Identity(), DeformableOptions{SpacingMM: 1.5, Threads: 2, MemoryBytes: bound})
	close(stop)
	peak := <-most
	if err != nil {
		t.Fatal(err)
	}
	if taken := int64(peak) - int64(before.HeapAlloc); taken > bound {
		t.Errorf("%d bytes live, %d promised", taken, bound)
	} else {
		t.Logf("%d of %d MiB", taken>>20, bound>>20)
	}
}
