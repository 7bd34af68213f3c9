package survival

import "golang.org/x/sys/cpu"

var useAVX = cpu.X86.HasAVX

//go:noescape
func combine4AVX(o, a, b, c, d *float64, w *[4]float64, n int)

//go:noescape
func products4AVX(d, a0, a1, a2, a3 *float64, lanes *[16]float64, n int)

//go:noescape
func axpyAVX(y, x *float64, w float64, n int)
