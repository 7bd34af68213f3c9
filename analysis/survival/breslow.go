package survival

import "math"

// breslow is the Breslow partial likelihood as a function of the linear predictor: what LASSO and DeepSurv descend.
// Vectors are in the order of order.idx, the last time first.
type breslow struct {
	order
	event []float64 // 1 for subjects with the event
	w     []float64 // e^(eta - max)
	haz   []float64 // Breslow hazard accumulated to the subject's time
	drop  []float64 // sum of d/S^2 to the subject's time, for the Hessian
	sums  []float64 // at each group: S of the risk set
	sat   float64   // log-likelihood of the saturated model, -sum d ln d
	total float64   // events
}

func newBreslow(y Outcome) *breslow {
	n := y.Len()
	b := &breslow{order: newOrder(y, nil), event: make([]float64, n), w: make([]float64, n), haz: make([]float64, n), drop: make([]float64, n)}
	b.sums = make([]float64, len(b.groups))
	for _, g := range b.groups {
		for k := g.events; k < g.to; k++ {
			b.event[k] = 1
		}
		if d := float64(g.to - g.events); d > 0 {
			b.sat -= d * math.Log(d)
			b.total += d
		}
	}
	return b
}

// logLik at eta.
func (b *breslow) logLik(eta []float64) float64 {
	shift := math.Inf(-1)
	for _, e := range eta {
		shift = max(shift, e)
	}
	s, ll := 0.0, 0.0
	for _, g := range b.groups {
		for k := g.from; k < g.to; k++ {
			s += math.Exp(eta[k] - shift)
		}
		if d := float64(g.to - g.events); d > 0 {
			for k := g.events; k < g.to; k++ {
				ll += eta[k] - shift
			}
			ll -= d * math.Log(s)
		}
	}
	return ll
}

// deviance is twice the distance to the saturated model.
func (b *breslow) deviance(eta []float64) float64 { return 2 * (b.sat - b.logLik(eta)) }

// gradient sets grad to the derivative of minus the log-likelihood over scale, and prepares apply. It returns the
// log-likelihood.
func (b *breslow) gradient(eta, grad []float64, scale float64) float64 {
	shift := math.Inf(-1)
	for _, e := range eta {
		shift = max(shift, e)
	}
	s, ll := 0.0, 0.0
	for q, g := range b.groups {
		for k := g.from; k < g.to; k++ {
			b.w[k] = math.Exp(eta[k] - shift)
			s += b.w[k]
		}
		b.sums[q] = s
		if d := float64(g.to - g.events); d > 0 {
			for k := g.events; k < g.to; k++ {
				ll += eta[k] - shift
			}
			ll -= d * math.Log(s)
		}
	}
	h, r := 0.0, 0.0
	for q := len(b.groups) - 1; q >= 0; q-- {
		g := b.groups[q]
		d := float64(g.to - g.events)
		h += d / b.sums[q]
		r += d / (b.sums[q] * b.sums[q])
		for k := g.from; k < g.to; k++ {
			b.haz[k], b.drop[k] = h, r
			grad[k] = (float64(b.w[k]*h) - b.event[k]) / scale
		}
	}
	return ll
}

// apply sets out to the Hessian of minus the log-likelihood over scale, at the last gradient call, times v. O(n).
func (b *breslow) apply(v, out []float64, scale float64) {
	p := 0.0
	for q, g := range b.groups { // prefix sums of w v, weighted for the second pass, kept at the group's first subject
		for k := g.from; k < g.to; k++ {
			p += b.w[k] * v[k]
		}
		out[b.groups[q].from] = p
	}
	s := 0.0
	for q := len(b.groups) - 1; q >= 0; q-- {
		g := b.groups[q]
		if d := float64(g.to - g.events); d > 0 {
			s += d / (b.sums[q] * b.sums[q]) * out[g.from]
		}
		for k := g.from; k < g.to; k++ {
			out[k] = b.w[k] * (b.haz[k]*v[k] - s) / scale
		}
	}
}
