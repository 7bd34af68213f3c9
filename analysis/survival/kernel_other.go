//go:build !amd64

package survival

const useAVX = false

func combine4AVX(o, a, b, c, d *float64, w *[4]float64, n int)           {}
func products4AVX(d, a0, a1, a2, a3 *float64, lanes *[16]float64, n int) {}
func axpyAVX(y, x *float64, w float64, n int)                            {}
