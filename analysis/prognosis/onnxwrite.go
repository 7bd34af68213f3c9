package prognosis

import (
	"encoding/binary"
	"fmt"
	"math"

	"rfanode/analysis/survival"
)

// Versions written into ONNX files.
const (
	onnxIR    = 8
	onnxOpset = 13
)

// Element types and attribute types of onnx.proto.
const (
	elemFloat, elemInt64 = 1, 7
	attrInt              = 2
	attributeInt, tagOf  = 3, 20 // fields of AttributeProto
)

// onnxGraph collects the parts of a GraphProto.
type onnxGraph struct{ nodes, initializers, outputs message }

// EncodeONNX writes a network as an ONNX model (IR 8, opset 13): input x [n, d], outputs log_risk [n, 1] and, with a
// gate, attention and weighted [n, d]. Weights are rounded to float32. id goes into the model's metadata. The bytes
// depend on the network and id alone.
func EncodeONNX(net *survival.Network, id string) []byte {
	a := net.Arch
	var g onnxGraph
	x := "x"
	if len(a.SELU) > 0 {
		for k, h := range a.SELU {
			name := fmt.Sprintf("l%d", k+1)
			in := a.Inputs
			if k > 0 {
				in = a.SELU[k-1]
			}
			x = g.op("Selu", g.gemm(net, name, x, h, in), name+".act")
		}
	} else {
		x = g.gate(net, x)
		x = g.op("Relu", g.gemm(net, "stem", x, a.Hidden, a.Inputs), "h0")
		for k := range a.Blocks {
			name := fmt.Sprintf("r%d", k+1)
			inner := g.op("Relu", g.gemm(net, name+".a", x, a.Hidden, a.Hidden), name+".inner")
			outer := g.gemm(net, name+".b", inner, a.Hidden, a.Hidden)
			x = g.op("Relu", g.op2("Add", x, outer, name+".sum"), fmt.Sprintf("h%d", k+1))
		}
	}
	out := net.Tensor("out.weight")
	g.tensor("out.weight", []int64{int64(len(out)), 1}, out)
	g.op2("MatMul", x, "out.weight", "log_risk")
	g.output("log_risk", 1)

	var graph message
	graph = append(graph, g.nodes...)
	graph.text(2, "deepsurv")
	graph = append(graph, g.initializers...)
	graph.bytes(11, valueInfo("x", a.Inputs))
	graph = append(graph, g.outputs...)

	var model, opset, meta message
	model.varint(1, onnxIR)
	model.text(2, "rfanode")
	model.bytes(7, graph)
	opset.text(1, "")
	opset.varint(2, onnxOpset)
	model.bytes(8, opset)
	meta.text(1, "bundle")
	meta.text(2, id)
	model.bytes(14, meta)
	return model
}

// gate writes the attention and returns the name of the weighted inputs.
func (g *onnxGraph) gate(net *survival.Network, x string) string {
	a := net.Arch
	if a.Gate == survival.NoGate {
		return x
	}
	z := g.gemm(net, "w2", g.op("Tanh", g.gemm(net, "w1", x, a.GateHidden, a.Inputs), "gate.hidden"), a.Inputs, a.GateHidden)
	if a.Gate == survival.SigmoidGate {
		g.op("Sigmoid", z, "attention")
		g.op2("Mul", "attention", x, "weighted")
	} else {
		var axis message
		axis.text(1, "axis")
		axis.varint(attributeInt, -1)
		axis.varint(tagOf, attrInt)
		g.node("Softmax", []string{z}, "attention", axis)
		g.tensor("inputs", nil, []float64{float64(a.Inputs)})
		g.op2("Mul", g.op2("Mul", "attention", x, "attended"), "inputs", "weighted")
	}
	g.output("attention", a.Inputs)
	g.output("weighted", a.Inputs)
	return "weighted"
}

// gemm writes x W' + b and returns its name.
func (g *onnxGraph) gemm(net *survival.Network, name, x string, rows, cols int) string {
	g.tensor(name+".weight", []int64{int64(rows), int64(cols)}, net.Tensor(name+".weight"))
	g.tensor(name+".bias", []int64{int64(rows)}, net.Tensor(name+".bias"))
	var trans message
	trans.text(1, "transB")
	trans.varint(attributeInt, 1)
	trans.varint(tagOf, attrInt)
	g.node("Gemm", []string{x, name + ".weight", name + ".bias"}, name, trans)
	return name
}

func (g *onnxGraph) op(kind, in, out string) string {
	g.node(kind, []string{in}, out)
	return out
}

func (g *onnxGraph) op2(kind, a, b, out string) string {
	g.node(kind, []string{a, b}, out)
	return out
}

func (g *onnxGraph) node(kind string, in []string, out string, attributes ...message) {
	var n message
	for _, s := range in {
		n.text(1, s)
	}
	n.text(2, out)
	n.text(3, out)
	n.text(4, kind)
	for _, a := range attributes {
		n.bytes(5, a)
	}
	g.nodes.bytes(1, n)
}

func (g *onnxGraph) tensor(name string, dims []int64, v []float64) {
	var t message
	for _, d := range dims {
		t.varint(1, d)
	}
	t.varint(2, elemFloat)
	t.text(8, name)
	var raw []byte
	for _, x := range v {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(float32(x)))
	}
	t.bytes(9, raw)
	g.initializers.bytes(5, t)
}

func (g *onnxGraph) output(name string, cols int) { g.outputs.bytes(12, valueInfo(name, cols)) }

// valueInfo describes a float tensor [n, cols].
func valueInfo(name string, cols int) message {
	var n, c, shape, tensor, kind, v message
	n.text(2, "n")
	c.varint(1, int64(cols))
	shape.bytes(1, n)
	shape.bytes(1, c)
	tensor.varint(1, elemFloat)
	tensor.bytes(2, shape)
	kind.bytes(1, tensor)
	v.text(1, name)
	v.bytes(2, kind)
	return v
}
