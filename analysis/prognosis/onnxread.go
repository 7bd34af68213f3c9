package prognosis

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Limits of an ONNX file that is read: a survival network is a few kilobytes.
const (
	maxONNXBytes  = 16 << 20
	maxONNXNodes  = 2000
	maxONNXValues = 2 << 20 // numbers in all tensors together
	minOpset      = 13
)

// tensor is an array, row by row. Shape nil is a scalar.
type tensor struct {
	shape []int
	data  []float64
	ints  bool // int64 values, which a float64 holds exactly up to 2^53
}

func (t tensor) size() int {
	n := 1
	for _, d := range t.shape {
		n *= d
	}
	return n
}

// onnxNode is one operation.
type onnxNode struct {
	op, name string
	in, out  []string
	attr     map[string]onnxAttribute
}

type onnxAttribute struct {
	f    float64
	i    int64
	ints []int64
	t    *tensor
}

func (n onnxNode) int(name string, otherwise int64) int64 {
	if a, ok := n.attr[name]; ok {
		return a.i
	}
	return otherwise
}

func (n onnxNode) float(name string, otherwise float64) float64 {
	if a, ok := n.attr[name]; ok {
		return a.f
	}
	return otherwise
}

// Graph is a network read from an ONNX file, ready to be evaluated.
type Graph struct {
	nodes   []onnxNode
	weights map[string]tensor
	input   string
	width   int // columns of the input, 0 if the file does not say
	outputs []string
	values  int
	opset   int64
	Bundle  string // id of the bundle it was written for, if it says
}

// DecodeONNX reads a model. Only what a survival network needs is accepted; anything else is named in the error.
func DecodeONNX(b []byte) (*Graph, error) {
	if len(b) > maxONNXBytes {
		return nil, fmt.Errorf("onnx: %d bytes, more than %d", len(b), maxONNXBytes)
	}
	g := &Graph{weights: make(map[string]tensor)}
	var graph []byte
	err := eachField(b, func(f field) error {
		switch f.id {
		case 7:
			graph = f.data
		case 8:
			return g.readOpset(f.data)
		case 14:
			key, value := "", ""
			err := eachField(f.data, func(m field) error {
				switch m.id {
				case 1:
					key = string(m.data)
				case 2:
					value = string(m.data)
				}
				return nil
			})
			if key == "bundle" {
				g.Bundle = value
			}
			return err
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("onnx: %w", err)
	case graph == nil:
		return nil, errors.New("onnx: no graph: this is not an ONNX model")
	case g.opset < minOpset:
		return nil, fmt.Errorf("onnx: operator set %d, at least %d is needed: export again", g.opset, minOpset)
	}
	if err := g.readGraph(graph); err != nil {
		return nil, fmt.Errorf("onnx: %w", err)
	}
	return g, nil
}

func (g *Graph) readOpset(b []byte) error {
	domain, version := "", int64(0)
	err := eachField(b, func(f field) error {
		switch f.id {
		case 1:
			domain = string(f.data)
		case 2:
			version = int64(f.number)
		}
		return nil
	})
	if domain == "" || domain == "ai.onnx" {
		g.opset = version
	}
	return err
}

func (g *Graph) readGraph(b []byte) error {
	var inputs []field
	err := eachField(b, func(f field) error {
		switch f.id {
		case 1:
			if len(g.nodes) == maxONNXNodes {
				return fmt.Errorf("more than %d nodes", maxONNXNodes)
			}
			n, err := g.readNode(f.data)
			g.nodes = append(g.nodes, n)
			return err
		case 5:
			name, t, err := g.readTensor(f.data)
			if err != nil {
				return fmt.Errorf("tensor %q: %w", name, err)
			}
			g.weights[name] = t
		case 11:
			inputs = append(inputs, f)
		case 12:
			name, _, err := readValueInfo(f.data)
			g.outputs = append(g.outputs, name)
			return err
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, f := range inputs {
		name, width, err := readValueInfo(f.data)
		if err != nil {
			return err
		}
		if _, weight := g.weights[name]; weight { // older files list weights as inputs
			continue
		}
		if g.input != "" {
			return fmt.Errorf("two inputs, %q and %q: one is needed", g.input, name)
		}
		g.input, g.width = name, width
	}
	if g.input == "" {
		return errors.New("no input")
	}
	return nil
}

func readValueInfo(b []byte) (name string, width int, err error) {
	var dims []int
	err = eachField(b, func(f field) error {
		switch f.id {
		case 1:
			name = string(f.data)
		case 2:
			return eachField(f.data, func(kind field) error {
				if kind.id != 1 {
					return nil
				}
				return eachField(kind.data, func(t field) error {
					if t.id != 2 {
						return nil
					}
					return eachField(t.data, func(d field) error {
						size := 0
						if d.id != 1 {
							return nil
						}
						err := eachField(d.data, func(v field) error {
							if v.id == 1 {
								size = int(v.number)
							}
							return nil
						})
						dims = append(dims, size)
						return err
					})
				})
			})
		}
		return nil
	})
	if len(dims) == 2 {
		width = dims[1]
	}
	return name, width, err
}

func (g *Graph) readNode(b []byte) (onnxNode, error) {
	n := onnxNode{attr: make(map[string]onnxAttribute)}
	domain := ""
	err := eachField(b, func(f field) error {
		switch f.id {
		case 1:
			n.in = append(n.in, string(f.data))
		case 2:
			n.out = append(n.out, string(f.data))
		case 3:
			n.name = string(f.data)
		case 4:
			n.op = string(f.data)
		case 5:
			return g.readAttribute(f.data, n.attr)
		case 7:
			domain = string(f.data)
		}
		return nil
	})
	if err == nil && domain != "" && domain != "ai.onnx" {
		err = fmt.Errorf("operator %s of domain %q is not known", n.op, domain)
	}
	return n, err
}

func (g *Graph) readAttribute(b []byte, into map[string]onnxAttribute) error {
	var a onnxAttribute
	name := ""
	err := eachField(b, func(f field) (err error) {
		switch f.id {
		case 1:
			name = string(f.data)
		case 2:
			a.f = float64(math.Float32frombits(uint32(f.number)))
		case 3:
			a.i = int64(f.number)
		case 5:
			_, t, err := g.readTensor(f.data)
			a.t = &t
			return err
		case 8:
			a.ints, err = f.ints(a.ints)
		case 6, 10, 11:
			return fmt.Errorf("attribute %q holds a graph or several tensors", name)
		}
		return err
	})
	into[name] = a
	return err
}

// readTensor accepts float32 and int64 in any of their encodings, never data kept outside the file.
func (g *Graph) readTensor(b []byte) (name string, t tensor, err error) {
	var dims []int64
	var raw []byte
	kind := uint64(0)
	err = eachField(b, func(f field) (err error) {
		switch f.id {
		case 1:
			dims, err = f.ints(dims)
		case 2:
			kind = f.number
		case 4:
			t.data, err = f.floats(t.data)
		case 7:
			var v []int64
			v, err = f.ints(nil)
			for _, x := range v {
				t.data = append(t.data, float64(x))
			}
		case 8:
			name = string(f.data)
		case 9:
			raw = f.data
		case 13:
			return errors.New("its data is kept in another file: export with the data inside")
		case 14:
			if f.number == 1 {
				return errors.New("its data is kept in another file: export with the data inside")
			}
		}
		return err
	})
	if err != nil {
		return name, t, err
	}
	size := 1
	for _, d := range dims {
		if d < 0 || d > maxONNXValues || size*int(max(d, 1)) > maxONNXValues {
			return name, t, fmt.Errorf("dimension %d is not possible", d)
		}
		t.shape = append(t.shape, int(d))
		size *= int(d)
	}
	if g.values += size; g.values > maxONNXValues {
		return name, t, fmt.Errorf("more than %d numbers in all", maxONNXValues)
	}
	switch kind {
	case elemFloat:
		for ; len(raw) >= 4; raw = raw[4:] {
			t.data = append(t.data, float64(math.Float32frombits(binary.LittleEndian.Uint32(raw))))
		}
	case elemInt64:
		t.ints = true
		for ; len(raw) >= 8; raw = raw[8:] {
			t.data = append(t.data, float64(int64(binary.LittleEndian.Uint64(raw))))
		}
	default:
		return name, t, fmt.Errorf("element type %d: float32 (1) or int64 (7) is needed", kind)
	}
	if len(t.data) != size || len(raw) != 0 {
		return name, t, fmt.Errorf("%d numbers for shape %v", len(t.data), t.shape)
	}
	for _, v := range t.data {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return name, t, errors.New("a weight is not a finite number")
		}
	}
	return name, t, nil
}
