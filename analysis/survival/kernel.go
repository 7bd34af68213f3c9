package survival

// The inner loops of the network and of LASSO. Each has a form in AVX assembly (kernel_amd64.s) that gives the same bits: the
// same products and sums in the same order, none fused.

// combine4 adds (w0 a + w1 b) + (w2 c + w3 d) to o, element by element.
func combine4(o, a, b, c, d []float64, w *[4]float64) {
	n := len(o)
	a, b, c, d = a[:n], b[:n], c[:n], d[:n]
	i := 0
	if useAVX && n >= 4 {
		i = n &^ 3
		combine4AVX(&o[0], &a[0], &b[0], &c[0], &d[0], w, i)
	}
	if i < n {
		combine4Go(o[i:], a[i:], b[i:], c[i:], d[i:], w)
	}
}

func combine4Go(o, a, b, c, d []float64, w *[4]float64) {
	n := len(o)
	a, b, c, d = a[:n], b[:n], c[:n], d[:n]
	for i := range o {
		o[i] += (float64(w[0]*a[i]) + float64(w[1]*b[i])) + (float64(w[2]*c[i]) + float64(w[3]*d[i]))
	}
}

// products adds the inner products of d with a0..a3 to g[0..3]. Each is summed in four lanes (element i in lane i mod 4),
// the lanes as (0+1)+(2+3), and the up to three last elements after them.
func products(d, a0, a1, a2, a3 []float64, g []float64) {
	n := len(d)
	a0, a1, a2, a3 = a0[:n], a1[:n], a2[:n], a3[:n]
	m := n &^ 3
	var lanes [16]float64
	switch {
	case m == 0:
	case useAVX:
		products4AVX(&d[0], &a0[0], &a1[0], &a2[0], &a3[0], &lanes, m)
	default:
		products4Go(d[:m], a0, a1, a2, a3, &lanes)
	}
	for k, a := range [4][]float64{a0, a1, a2, a3} {
		s := (lanes[4*k] + lanes[4*k+1]) + (lanes[4*k+2] + lanes[4*k+3])
		for i := m; i < n; i++ {
			s += float64(d[i] * a[i])
		}
		g[k] += s
	}
}

func products4Go(d, a0, a1, a2, a3 []float64, lanes *[16]float64) {
	for k, a := range [4][]float64{a0, a1, a2, a3} {
		var s0, s1, s2, s3 float64
		a = a[:len(d)]
		for i := 0; i+4 <= len(d); i += 4 {
			x, y := d[i:i+4:i+4], a[i:i+4:i+4]
			s0 += float64(x[0] * y[0])
			s1 += float64(x[1] * y[1])
			s2 += float64(x[2] * y[2])
			s3 += float64(x[3] * y[3])
		}
		lanes[4*k], lanes[4*k+1], lanes[4*k+2], lanes[4*k+3] = s0, s1, s2, s3
	}
}

// addScaled adds w x to y.
func addScaled(y []float64, w float64, x []float64) {
	n := len(y)
	x = x[:n]
	i := 0
	if useAVX && n >= 8 {
		i = n &^ 7
		axpyAVX(&y[0], &x[0], w, i)
	}
	if i < n {
		addScaledGo(y[i:], w, x[i:])
	}
}

func addScaledGo(y []float64, w float64, x []float64) {
	for i, v := range x[:len(y)] {
		y[i] += float64(w * v)
	}
}
