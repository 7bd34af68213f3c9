package survival

import "math"

// pass holds the activations of one network over n subjects, one row of n values a unit, so that every inner loop runs
// over subjects. It is used again for every epoch.
type pass struct {
	net          *Network
	count        int // subjects
	n            int // length of a row: count rounded up to a multiple of 4; what is beyond has inputs and derivatives 0
	x            []float64
	hidden       []float64 // tanh units of the gate
	att, gated   []float64
	layers       []layer
	out          []float64
	dOut         []float64
	dA, dB, dIn  []float64 // gradients by activations
	dGate, dTanh []float64
}

// layer is one linear map with its activation.
type layer struct {
	weight, bias Tensor
	in, out      []float64 // rows of n
	mask         []float64 // dropout of the output, nil for none
	skip         []float64 // added before the activation (residual), nil for none
	selu         bool
	pre          []float64 // before the activation, kept for SELU
}

func newPass(net *Network, x [][]float64) *pass {
	n, d := (len(x[0])+3)&^3, net.Arch.Inputs
	p := &pass{net: net, count: len(x[0]), n: n, x: make([]float64, n*d), out: make([]float64, n), dOut: make([]float64, n)}
	for j, col := range x {
		copy(p.x[j*n:], col)
	}
	widest := d
	in, k := p.x, 0
	next := func() (w, b Tensor) { w, b = net.Tensors[k], net.Tensors[k+1]; k += 2; return w, b }
	if len(net.Arch.SELU) > 0 {
		for _, h := range net.Arch.SELU {
			w, b := next()
			l := layer{weight: w, bias: b, in: in, out: make([]float64, n*h), mask: make([]float64, n*h), selu: true, pre: make([]float64, n*h)}
			p.layers = append(p.layers, l)
			in, widest = l.out, max(widest, h)
		}
	} else {
		if net.Arch.Gate != NoGate {
			k = 4
			p.hidden, p.dTanh = make([]float64, n*net.Arch.GateHidden), make([]float64, n*net.Arch.GateHidden)
			p.att, p.gated, p.dGate = make([]float64, n*d), make([]float64, n*d), make([]float64, n*d)
			in = p.gated
		}
		h := net.Arch.Hidden
		widest = max(widest, h)
		w, b := next()
		p.layers = append(p.layers, layer{weight: w, bias: b, in: in, out: make([]float64, n*h)})
		for range net.Arch.Blocks {
			skip := p.layers[len(p.layers)-1].out
			w, b := next()
			inner := layer{weight: w, bias: b, in: skip, out: make([]float64, n*h), mask: make([]float64, n*h)}
			w, b = next()
			p.layers = append(p.layers, inner, layer{weight: w, bias: b, in: inner.out, out: make([]float64, n*h), skip: skip})
		}
	}
	p.dA, p.dB, p.dIn = make([]float64, n*widest), make([]float64, n*widest), make([]float64, n*d)
	return p
}

func (p *pass) row(rows []float64, j int) []float64 { return rows[j*p.n : (j+1)*p.n] }

// forward fills the activations; drop nil means evaluation.
func (p *pass) forward(params []float64, drop *dropout) {
	p.gate(params)
	for k := range p.layers {
		l := &p.layers[k]
		p.linear(l.out, params[l.weight.at:], params[l.bias.at:], l.in, l.weight.Rows, l.weight.Cols)
		switch {
		case l.selu:
			copy(l.pre, l.out)
			for i, v := range l.out {
				l.out[i] = selu(v)
			}
		case l.skip != nil:
			for i, v := range l.out {
				l.out[i] = max(0, v+l.skip[i])
			}
		default:
			for i, v := range l.out {
				l.out[i] = max(0, v)
			}
		}
		if l.mask != nil && drop != nil && drop.rate > 0 {
			drop.fill(l.mask, k, p.count, p.n)
			for i, m := range l.mask {
				l.out[i] *= m
			}
		}
	}
	last := p.layers[len(p.layers)-1]
	out := p.net.Tensors[len(p.net.Tensors)-1]
	p.linear(p.out, params[out.at:], nil, last.out, 1, out.Cols)
}

// gate weighs the inputs.
func (p *pass) gate(params []float64) {
	a := p.net.Arch
	if p.gated == nil {
		return
	}
	t := p.net.Tensors
	p.linear(p.hidden, params[t[0].at:], params[t[1].at:], p.x, a.GateHidden, a.Inputs)
	for i, v := range p.hidden {
		p.hidden[i] = math.Tanh(v)
	}
	p.linear(p.att, params[t[2].at:], params[t[3].at:], p.hidden, a.Inputs, a.GateHidden)
	n, d := p.n, a.Inputs
	if a.Gate == SigmoidGate {
		for i, z := range p.att {
			p.att[i] = 1 / (1 + math.Exp(-z))
			p.gated[i] = p.att[i] * p.x[i]
		}
		return
	}
	for i := range n {
		top, sum := math.Inf(-1), 0.0
		for j := range d {
			top = max(top, p.att[j*n+i])
		}
		for j := range d {
			e := math.Exp(p.att[j*n+i] - top)
			p.att[j*n+i] = e
			sum += e
		}
		for j := range d {
			p.att[j*n+i] /= sum
			p.gated[j*n+i] = float64(d) * p.att[j*n+i] * p.x[j*n+i]
		}
	}
}

// backward adds to grad the gradient by the parameters, given dOut, the derivative by the log risks.
func (p *pass) backward(params, grad []float64, dropped bool) {
	last := p.layers[len(p.layers)-1]
	out := p.net.Tensors[len(p.net.Tensors)-1]
	dh := p.dA[:out.Cols*p.n]
	p.gradWeights(grad[out.at:], nil, p.dOut, last.out, 1, out.Cols)
	p.linearT(dh, params[out.at:], p.dOut, 1, out.Cols)
	spare := p.dB
	for k := len(p.layers) - 1; k >= 0; k-- {
		l := &p.layers[k]
		p.throughActivation(l, dh, dropped)
		p.gradWeights(grad[l.weight.at:], grad[l.bias.at:], dh, l.in, l.weight.Rows, l.weight.Cols)
		switch {
		case l.skip != nil: // into the inner layer of the block, and past it
			inner := &p.layers[k-1]
			di := spare[:len(inner.out)]
			p.linearT(di, params[l.weight.at:], dh, l.weight.Rows, l.weight.Cols)
			p.throughActivation(inner, di, dropped)
			p.gradWeights(grad[inner.weight.at:], grad[inner.bias.at:], di, inner.in, inner.weight.Rows, inner.weight.Cols)
			p.addLinearT(dh, params[inner.weight.at:], di, inner.weight.Rows, inner.weight.Cols)
			k--
		case k > 0:
			di := spare[:l.weight.Cols*p.n]
			p.linearT(di, params[l.weight.at:], dh, l.weight.Rows, l.weight.Cols)
			dh, spare = di, dh[:cap(dh)]
		case p.gated != nil:
			p.linearT(p.dIn, params[l.weight.at:], dh, l.weight.Rows, l.weight.Cols)
			p.gateBackward(params, grad)
		}
	}
}

// throughActivation turns the derivative by a layer's output into that by its linear part, in place.
func (p *pass) throughActivation(l *layer, d []float64, dropped bool) {
	if l.mask != nil && dropped {
		for i, m := range l.mask {
			d[i] *= m
		}
	}
	if l.selu {
		for i, v := range l.pre {
			d[i] *= seluSlope(v)
		}
		return
	}
	if l.mask != nil && dropped { // a dropped unit is 0 whatever it was; its derivative is 0 already
		for i, v := range l.out {
			if v <= 0 {
				d[i] = 0
			}
		}
		return
	}
	for i, v := range l.out {
		if v <= 0 {
			d[i] = 0
		}
	}
}

// gateBackward continues from dIn, the derivative by the weighted inputs.
func (p *pass) gateBackward(params, grad []float64) {
	a, t, n, d := p.net.Arch, p.net.Tensors, p.n, p.net.Arch.Inputs
	if a.Gate == SigmoidGate {
		for i, g := range p.dIn {
			p.dGate[i] = g * p.x[i] * p.att[i] * (1 - p.att[i])
		}
	} else {
		for i := range n {
			s := 0.0
			for j := range d {
				p.dGate[j*n+i] = float64(d) * p.x[j*n+i] * p.dIn[j*n+i]
				s += float64(p.att[j*n+i] * p.dGate[j*n+i])
			}
			for j := range d {
				p.dGate[j*n+i] = p.att[j*n+i] * (p.dGate[j*n+i] - s)
			}
		}
	}
	p.gradWeights(grad[t[2].at:], grad[t[3].at:], p.dGate, p.hidden, d, a.GateHidden)
	p.linearT(p.dTanh, params[t[2].at:], p.dGate, d, a.GateHidden)
	for i, v := range p.hidden {
		p.dTanh[i] *= 1 - float64(v*v)
	}
	p.gradWeights(grad[t[0].at:], grad[t[1].at:], p.dTanh, p.x, a.GateHidden, d)
}

// Constants of the scaled exponential linear unit (Klambauer 2017).
const (
	seluAlpha = 1.6732632423543772848170429916717
	seluScale = 1.0507009873554804934193349852946
)

func selu(v float64) float64 {
	if v > 0 {
		return seluScale * v
	}
	return seluScale * seluAlpha * math.Expm1(v)
}

func seluSlope(v float64) float64 {
	if v > 0 {
		return seluScale
	}
	return seluScale * seluAlpha * math.Exp(v)
}

// stripe is how many subjects the linear maps take at a time: the rows of one stripe stay in the first-level cache.
const stripe = 128

// linear sets out (rows of n) to w in + b; w is rows x cols.
func (p *pass) linear(out, w, b, in []float64, rows, cols int) {
	n := p.n
	for from := 0; from < n; from += stripe {
		to := min(from+stripe, n)
		for r := range rows {
			o := out[r*n+from : r*n+to]
			v := 0.0
			if b != nil {
				v = b[r]
			}
			for i := range o {
				o[i] = v
			}
			combine(o, w[r*cols:(r+1)*cols], 1, in[from:], n)
		}
	}
}

// linearT sets out (cols rows) to w' d; addLinearT adds it.
func (p *pass) linearT(out, w, d []float64, rows, cols int) {
	clear(out[:cols*p.n])
	p.addLinearT(out, w, d, rows, cols)
}

func (p *pass) addLinearT(out, w, d []float64, rows, cols int) {
	n := p.n
	for from := 0; from < n; from += stripe {
		to := min(from+stripe, n)
		for c := range cols {
			combine(out[c*n+from:c*n+to], w[c:rows*cols], cols, d[from:], n)
		}
	}
}

// combine adds to o the rows of in (each n apart) times the weights w[0], w[step], ...: four rows at a time, products
// rounded, so that every architecture gives the same sum.
func combine(o, w []float64, step int, in []float64, n int) {
	count := (len(w) + step - 1) / step
	m := len(o)
	k := 0
	for ; k+4 <= count; k += 4 {
		four := [4]float64{w[k*step], w[(k+1)*step], w[(k+2)*step], w[(k+3)*step]}
		combine4(o, in[k*n:], in[(k+1)*n:], in[(k+2)*n:], in[(k+3)*n:], &four)
	}
	for ; k < count; k++ {
		v := w[k*step]
		for i, a := range in[k*n:][:m] {
			o[i] += float64(v * a)
		}
	}
}

// gradWeights adds d in' to gw (rows x cols) and the row sums of d to gb.
func (p *pass) gradWeights(gw, gb, d, in []float64, rows, cols int) {
	n := p.n
	for r := range rows {
		dr := d[r*n : (r+1)*n]
		if gb != nil {
			s := 0.0
			for _, v := range dr {
				s += v
			}
			gb[r] += s
		}
	}
	for from := 0; from < n; from += stripe {
		to := min(from+stripe, n)
		for r := range rows {
			dr := d[r*n+from : r*n+to]
			g := gw[r*cols : (r+1)*cols]
			c := 0
			for ; c+4 <= cols; c += 4 {
				products(dr, in[c*n+from:], in[(c+1)*n+from:], in[(c+2)*n+from:], in[(c+3)*n+from:], g[c:c+4])
			}
			for ; c < cols; c++ {
				s := 0.0
				for i, a := range in[c*n+from:][:len(dr)] {
					s += float64(dr[i] * a)
				}
				g[c] += s
			}
		}
	}
}
