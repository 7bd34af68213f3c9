package survival

import (
	"fmt"
	"math"
	"slices"
)

// Gate is how the network weighs its inputs before it uses them.
type Gate int

// With z = W2 tanh(W1 x + b1) + b2 of d inputs: a softmax gate gives a = softmax(z), x' = d a x (so that equal attention
// leaves x alone), a sigmoid gate a = sigmoid(z), x' = a x.
const (
	NoGate Gate = iota
	SoftmaxGate
	SigmoidGate
)

// Architecture of a DeepSurv network, which maps d inputs to one log risk:
//
//	x' = gate(x);  h = relu(Ws x' + bs);  each block: h = relu(h + Wb drop(relu(Wa h + ba)) + bb);  f = wo h
//
// or, with SELU set, the plain multi-layer network of Katzman 2018 with hidden layers of those widths. The output has
// no bias: it would cancel in the partial likelihood.
type Architecture struct {
	Inputs     int   `json:"inputs"`
	Gate       Gate  `json:"gate"`
	GateHidden int   `json:"gate_hidden,omitempty"`
	Hidden     int   `json:"hidden,omitempty"`
	Blocks     int   `json:"blocks"`
	SELU       []int `json:"selu,omitempty"`
}

// DefaultArchitecture is the network of the study: softmax gate of 8 units, 32 hidden units, two residual blocks.
func DefaultArchitecture(inputs int) Architecture {
	return Architecture{Inputs: inputs, Gate: SoftmaxGate, GateHidden: 8, Hidden: 32, Blocks: 2}
}

// Tensor is one weight matrix (Rows x Cols, row by row; Cols 0 for a bias vector) inside Network.Params.
type Tensor struct {
	Name       string
	Rows, Cols int
	at         int
}

func (t Tensor) size() int { return t.Rows * max(1, t.Cols) }

// Network is a DeepSurv network with its parameters in one slice.
type Network struct {
	Arch    Architecture
	Params  []float64
	Tensors []Tensor
}

// newNetwork lays the tensors out; parameters are 0.
func newNetwork(a Architecture) (*Network, error) {
	if a.Inputs < 1 || len(a.SELU) == 0 && a.Hidden < 1 || a.Gate != NoGate && a.GateHidden < 1 || a.Blocks < 0 {
		return nil, fmt.Errorf("survival: DeepSurv: architecture %+v has an empty layer", a)
	}
	n := &Network{Arch: a}
	at := 0
	linear := func(name string, rows, cols int, bias bool) {
		n.Tensors = append(n.Tensors, Tensor{name + ".weight", rows, cols, at})
		at += rows * cols
		if bias {
			n.Tensors = append(n.Tensors, Tensor{name + ".bias", rows, 0, at})
			at += rows
		}
	}
	if len(a.SELU) > 0 {
		in := a.Inputs
		for k, h := range a.SELU {
			linear(fmt.Sprintf("l%d", k+1), h, in, true)
			in = h
		}
		linear("out", 1, in, false)
	} else {
		if a.Gate != NoGate {
			linear("w1", a.GateHidden, a.Inputs, true)
			linear("w2", a.Inputs, a.GateHidden, true)
		}
		linear("stem", a.Hidden, a.Inputs, true)
		for k := range a.Blocks {
			linear(fmt.Sprintf("r%d.a", k+1), a.Hidden, a.Hidden, true)
			linear(fmt.Sprintf("r%d.b", k+1), a.Hidden, a.Hidden, true)
		}
		linear("out", 1, a.Hidden, false)
	}
	n.Params = make([]float64, at)
	return n, nil
}

// NewNetwork draws the parameters: every layer uniform in +-1/sqrt(fan-in), biases too; a SELU network uniform in
// +-sqrt(6/(fan-in + fan-out)) with biases 0, as published.
func NewNetwork(a Architecture, seed uint64) (*Network, error) {
	n, err := newNetwork(a)
	if err != nil {
		return nil, err
	}
	rng := NewRand(seed, 0x1417)
	fanIn := 1
	for _, t := range n.Tensors {
		bias := t.Cols == 0
		if !bias {
			fanIn = t.Cols
		}
		bound := 1 / math.Sqrt(float64(fanIn))
		if len(a.SELU) > 0 {
			bound = math.Sqrt(6 / float64(t.Cols+t.Rows))
			if bias {
				continue
			}
		}
		for i := range t.size() {
			n.Params[t.at+i] = bound * (2*rng.Float64() - 1)
		}
	}
	return n, nil
}

// Tensor returns the parameters of a tensor by name, nil if there is none.
func (n *Network) Tensor(name string) []float64 {
	for _, t := range n.Tensors {
		if t.Name == name {
			return n.Params[t.at : t.at+t.size()]
		}
	}
	return nil
}

// Clone copies the network.
func (n *Network) Clone() *Network {
	c := *n
	c.Params = slices.Clone(n.Params)
	return &c
}

// Output is what a network says of n subjects. Attention and Weighted (x', the weighted inputs) have one slice an input,
// nil without a gate.
type Output struct {
	LogRisk             []float64
	Attention, Weighted [][]float64
}

// Forward evaluates the network without dropout; x holds one column an input.
func (n *Network) Forward(x [][]float64) (Output, error) {
	if len(x) != n.Arch.Inputs {
		return Output{}, fmt.Errorf("survival: DeepSurv: %d inputs for a network of %d", len(x), n.Arch.Inputs)
	}
	if err := checkColumns(x, len(x[0])); err != nil {
		return Output{}, err
	}
	p := newPass(n, x)
	p.forward(n.Params, nil)
	o := Output{LogRisk: slices.Clone(p.out[:p.count])}
	if n.Arch.Gate != NoGate && len(n.Arch.SELU) == 0 {
		for j := range x {
			o.Attention = append(o.Attention, slices.Clone(p.row(p.att, j)[:p.count]))
			o.Weighted = append(o.Weighted, slices.Clone(p.row(p.gated, j)[:p.count]))
		}
	}
	return o, nil
}

// dropout draws the masks of one epoch: a mask value depends on seed, epoch, layer and index alone.
type dropout struct {
	rate        float64
	seed, epoch uint64
}

// fill sets the mask of a layer, 0 or 1/(1-rate), of count subjects in rows of n: value by unit and subject, whatever the
// length of a row.
func (d *dropout) fill(mask []float64, layer, count, n int) {
	keep := 1 / (1 - d.rate)
	limit := uint64(d.rate * (1 << 32))
	base := mix(mix(mix(d.seed+0x5eed)^d.epoch) ^ uint64(layer+1)<<40)
	at := uint64(0)
	for from := 0; from < len(mask); from += n {
		for i := from; i < from+count; i++ {
			mask[i] = keep
			if mix(base+at*0x9e3779b97f4a7c15)>>32 < limit {
				mask[i] = 0
			}
			at++
		}
	}
}
