//go:build unix

package register

import (
	"context"
	"math/rand/v2"
	"runtime/debug"
	"runtime/metrics"
	"syscall"
	"testing"
	"time"

	"rfanode/analysis/volume"
)

// wholeChest is the chest of texture_test twice as large, which gives it lungs of 4.6 L, on 512 × 512 pixels of 0.7 mm.
func wholeChest(bodyPoint Affine, slices int, seed uint64) (*volume.Volume, *volume.Mask) {
	half := Affine{M: [3][3]float64{{0.5, 0, 0}, {0, 0.5, 0}, {0, 0, 0.5}}}
	coarse := volume.Axial([3]int{120, 120, 104}, [3]float64{3, 3, 3}, volume.Vec{-178.5, -178.5, -154.5})
	small, lung := newChest(21).scan(coarse, half.Compose(bodyPoint), 0, seed)
	g := volume.Axial([3]int{512, 512, slices}, [3]float64{0.7, 0.7, 300 / float64(slices)}, volume.Vec{-178.85, -178.85, -149.5})
	v := volume.Resample(small, g, -1024)
	r := rand.New(rand.NewPCG(seed, 3))
	for i := range v.Data {
		v.Data[i] += 40 * (r.Float32() - 0.5)
	}
	return v, volume.ResampleNearest(lung, g)
}

// BenchmarkWholeChest is the size of a clinical case: CPU seconds, and what is taken beside both volumes and their lung
// masks with the garbage collector set as in the program. The aims are 60 s on two processors and 1 GB for 300 slices, 25 s for
// 60.
func BenchmarkWholeChest(b *testing.B) {
	defer debug.SetGCPercent(debug.SetGCPercent(50))
	for _, slices := range []int{60, 300} {
		b.Run(map[int]string{60: "60", 300: "300"}[slices], func(b *testing.B) {
			breath := rotated(3, volume.Vec{1, 2, 3})
			breath.M[2][2] *= 1.06
			breath.T = volume.Vec{6, -4, 12}
			fixed, fixedLung := wholeChest(Identity(), slices, 1)
			moving, movingLung := wholeChest(breath, slices, 2)
			debug.FreeOSMemory()
			volumes := heldBytes()
			linear, deformable := 0.0, 0.0
			peak := watchPeak()
			for b.Loop() {
				start := processorSeconds()
				l, err := Linear(context.Background(), fixed, moving, fixedLung, movingLung, LinearOptions{})
				if err != nil {
					b.Fatal(err)
				}
				middle := processorSeconds()
				if _, _, err := Deformable(context.Background(), fixed, moving, fixedLung, movingLung, l.Affine, DeformableOptions{}); err != nil {
					b.Fatal(err)
				}
				linear += middle - start
				deformable += processorSeconds() - middle
			}
			b.ReportMetric(linear/float64(b.N), "linear-CPU-s")
			b.ReportMetric(deformable/float64(b.N), "deformable-CPU-s")
			b.ReportMetric((peak()-volumes)/1e6, "MB-beside")
		})
	}
}

// processorSeconds is the CPU time of the process so far.
func processorSeconds() float64 {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return float64(r.Utime.Nano()+r.Stime.Nano()) / 1e9
}

// heldBytes is the memory that Go holds, without what it has given back.
func heldBytes() float64 {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return float64(s[0].Value.Uint64() - s[1].Value.Uint64())
}

// watchPeak follows heldBytes until the function that it returns is called for the greatest value.
func watchPeak() func() float64 {
	stop, done := make(chan struct{}), make(chan float64)
	go func() {
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		most := 0.0
		for {
			most = max(most, heldBytes())
			select {
			case <-stop:
				done <- most
				return
			case <-tick.C:
			}
		}
	}()
	return func() float64 { close(stop); return <-done }
}
