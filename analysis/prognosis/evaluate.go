package prognosis

import (
	"errors"
	"fmt"
	"math"
)

// maxEvaluated bounds the numbers that one evaluation holds.
const maxEvaluated = 32 << 20

// Evaluate runs the network on n rows of inputs. It returns the outputs by name: log_risk [n], attention and weighted
// [n][d] where the model has them. Weights are float32, sums float64.
func (g *Graph) Evaluate(rows [][]float64) (map[string][][]float64, error) {
	if len(rows) == 0 {
		return nil, errors.New("onnx: no rows")
	}
	d := len(rows[0])
	if g.width != 0 && g.width != d {
		return nil, fmt.Errorf("onnx: %d inputs for a network of %d", d, g.width)
	}
	x := tensor{shape: []int{len(rows), d}}
	for _, r := range rows {
		if len(r) != d {
			return nil, errors.New("onnx: rows of different length")
		}
		x.data = append(x.data, r...)
	}
	values := map[string]tensor{g.input: x}
	get := func(name string) (tensor, error) {
		if t, ok := values[name]; ok {
			return t, nil
		}
		if t, ok := g.weights[name]; ok {
			return t, nil
		}
		return tensor{}, fmt.Errorf("onnx: value %q is used before it is made", name)
	}
	made := 0
	for _, n := range g.nodes {
		var in []tensor
		for _, name := range n.in {
			if name == "" { // an optional input that is left out
				break
			}
			t, err := get(name)
			if err != nil {
				return nil, err
			}
			in = append(in, t)
		}
		f, ok := operators[n.op]
		if !ok {
			return nil, fmt.Errorf("onnx: operator %q is not known", n.op)
		}
		if len(in) < f.inputs || len(n.out) == 0 {
			return nil, fmt.Errorf("onnx: %s %q has %d inputs, %d are needed", n.op, n.name, len(in), f.inputs)
		}
		t, err := f.run(n, in)
		if err != nil {
			return nil, fmt.Errorf("onnx: %s %q: %w", n.op, n.name, err)
		}
		if made += len(t.data); made > maxEvaluated {
			return nil, fmt.Errorf("onnx: the network makes more than %d numbers", maxEvaluated)
		}
		values[n.out[0]] = t
	}
	out := make(map[string][][]float64)
	for _, name := range g.outputs {
		t, err := get(name)
		if err != nil {
			return nil, err
		}
		if len(t.shape) == 0 || t.shape[0] != len(rows) || len(t.shape) > 2 {
			return nil, fmt.Errorf("onnx: output %q has shape %v for %d rows", name, t.shape, len(rows))
		}
		w := t.size() / len(rows)
		for i := range rows {
			out[name] = append(out[name], t.data[i*w:(i+1)*w])
		}
	}
	return out, nil
}

// operators are the operations that are understood, with the least number of inputs each needs.
var operators = map[string]struct {
	inputs int
	run    func(n onnxNode, in []tensor) (tensor, error)
}{
	"Gemm":   {2, gemm},
	"MatMul": {2, func(_ onnxNode, in []tensor) (tensor, error) { return matmul(in[0], in[1]) }},
	"Add": {2, func(_ onnxNode, in []tensor) (tensor, error) {
		return broadcast(in[0], in[1], func(a, b float64) float64 { return a + b })
	}},
	"Mul": {2, func(_ onnxNode, in []tensor) (tensor, error) {
		return broadcast(in[0], in[1], func(a, b float64) float64 { return a * b })
	}},
	"Relu":               {1, pointwise(func(v float64) float64 { return max(0, v) })},
	"Tanh":               {1, pointwise(math.Tanh)},
	"Sigmoid":            {1, pointwise(func(v float64) float64 { return 1 / (1 + math.Exp(-v)) })},
	"Selu":               {1, selu},
	"Softmax":            {1, softmax},
	"BatchNormalization": {5, batchNormalization},
	"Gather":             {2, gather},
	"Squeeze":            {1, squeeze},
	"Reshape":            {2, reshape},
	"Constant":           {0, constant},
	"Identity":           {1, func(_ onnxNode, in []tensor) (tensor, error) { return in[0], nil }},
	"Dropout":            {1, func(_ onnxNode, in []tensor) (tensor, error) { return in[0], nil }}, // evaluation: nothing is dropped
}

func pointwise(f func(float64) float64) func(onnxNode, []tensor) (tensor, error) {
	return func(_ onnxNode, in []tensor) (tensor, error) {
		t := tensor{shape: in[0].shape, data: make([]float64, len(in[0].data))}
		for i, v := range in[0].data {
			t.data[i] = f(v)
		}
		return t, nil
	}
}

func selu(n onnxNode, in []tensor) (tensor, error) {
	alpha, gamma := n.float("alpha", 1.6732631921768188), n.float("gamma", 1.0507010221481323) // the float32 defaults of the standard
	return pointwise(func(v float64) float64 {
		if v > 0 {
			return gamma * v
		}
		return gamma * alpha * math.Expm1(v)
	})(n, in)
}

func transpose(t tensor) tensor {
	r, c := t.shape[0], t.shape[1]
	out := tensor{shape: []int{c, r}, data: make([]float64, len(t.data))}
	for i := range r {
		for j := range c {
			out.data[j*r+i] = t.data[i*c+j]
		}
	}
	return out
}

func matmul(a, b tensor) (tensor, error) {
	if len(a.shape) != 2 || len(b.shape) != 2 || a.shape[1] != b.shape[0] {
		return tensor{}, fmt.Errorf("shapes %v and %v do not multiply", a.shape, b.shape)
	}
	n, k, m := a.shape[0], a.shape[1], b.shape[1]
	if n*m > maxONNXValues {
		return tensor{}, fmt.Errorf("a product of %d x %d", n, m)
	}
	out := tensor{shape: []int{n, m}, data: make([]float64, n*m)}
	for i := range n {
		row := out.data[i*m : (i+1)*m]
		for l := range k {
			v := a.data[i*k+l]
			for j, w := range b.data[l*m : (l+1)*m] {
				row[j] += float64(v * w)
			}
		}
	}
	return out, nil
}

func gemm(n onnxNode, in []tensor) (tensor, error) {
	a, b := in[0], in[1]
	if len(a.shape) != 2 || len(b.shape) != 2 {
		return tensor{}, fmt.Errorf("shapes %v and %v are not matrices", a.shape, b.shape)
	}
	if n.int("transA", 0) != 0 {
		a = transpose(a)
	}
	if n.int("transB", 0) != 0 {
		b = transpose(b)
	}
	out, err := matmul(a, b)
	if err != nil {
		return out, err
	}
	if alpha := n.float("alpha", 1); alpha != 1 {
		for i := range out.data {
			out.data[i] *= alpha
		}
	}
	if len(in) < 3 {
		return out, nil
	}
	c := in[2]
	if beta := n.float("beta", 1); beta != 1 {
		c = tensor{shape: c.shape, data: append([]float64(nil), c.data...)}
		for i := range c.data {
			c.data[i] *= beta
		}
	}
	return broadcast(out, c, func(a, b float64) float64 { return a + b })
}

// broadcast combines two tensors of at most two dimensions; a dimension of 1 is repeated.
func broadcast(a, b tensor, f func(a, b float64) float64) (tensor, error) {
	dims := func(t tensor) (int, int, bool) {
		switch len(t.shape) {
		case 0:
			return 1, 1, true
		case 1:
			return 1, t.shape[0], true
		case 2:
			return t.shape[0], t.shape[1], true
		}
		return 0, 0, false
	}
	ar, ac, okA := dims(a)
	br, bc, okB := dims(b)
	if !okA || !okB || ar != br && ar != 1 && br != 1 || ac != bc && ac != 1 && bc != 1 {
		return tensor{}, fmt.Errorf("shapes %v and %v do not fit", a.shape, b.shape)
	}
	r, c := max(ar, br), max(ac, bc)
	if ar == 0 || br == 0 || ac == 0 || bc == 0 || r*c > maxONNXValues {
		return tensor{}, fmt.Errorf("shapes %v and %v give %d numbers", a.shape, b.shape, r*c)
	}
	out := tensor{data: make([]float64, r*c)}
	switch max(len(a.shape), len(b.shape)) {
	case 1:
		out.shape = []int{c}
	case 2:
		out.shape = []int{r, c}
	}
	for i := range r {
		for j := range c {
			out.data[i*c+j] = f(a.data[i%ar*ac+j%ac], b.data[i%br*bc+j%bc])
		}
	}
	return out, nil
}

func softmax(n onnxNode, in []tensor) (tensor, error) {
	t := in[0]
	axis := n.int("axis", -1)
	if len(t.shape) == 0 || axis != -1 && axis != int64(len(t.shape)-1) {
		return tensor{}, fmt.Errorf("axis %d of shape %v: the last is needed", axis, t.shape)
	}
	w := t.shape[len(t.shape)-1]
	out := tensor{shape: t.shape, data: make([]float64, len(t.data))}
	if w == 0 {
		return out, nil
	}
	for from := 0; from < len(t.data); from += w {
		top, sum := math.Inf(-1), 0.0
		for _, v := range t.data[from : from+w] {
			top = max(top, v)
		}
		for j, v := range t.data[from : from+w] {
			out.data[from+j] = math.Exp(v - top)
			sum += out.data[from+j]
		}
		for j := range w {
			out.data[from+j] /= sum
		}
	}
	return out, nil
}

// batchNormalization with the stored mean and variance, of columns.
func batchNormalization(n onnxNode, in []tensor) (tensor, error) {
	x := in[0]
	if len(x.shape) != 2 {
		return tensor{}, fmt.Errorf("shape %v: rows and columns are needed", x.shape)
	}
	c := x.shape[1]
	for _, p := range in[1:5] {
		if len(p.data) != c {
			return tensor{}, fmt.Errorf("%d parameters for %d columns", len(p.data), c)
		}
	}
	eps := n.float("epsilon", 1e-5)
	out := tensor{shape: x.shape, data: make([]float64, len(x.data))}
	for i, v := range x.data {
		j := i % c
		out.data[i] = (v-in[3].data[j])/math.Sqrt(in[4].data[j]+eps)*in[1].data[j] + in[2].data[j]
	}
	return out, nil
}

// gather takes one column.
func gather(n onnxNode, in []tensor) (tensor, error) {
	x, index := in[0], in[1]
	if len(x.shape) != 2 || n.int("axis", 0) != 1 || len(index.shape) != 0 || len(index.data) != 1 {
		return tensor{}, fmt.Errorf("axis %d of shape %v by %v: one column of a matrix is understood", n.int("axis", 0), x.shape, index.shape)
	}
	c := x.shape[1]
	k := int(index.data[0])
	if k < 0 {
		k += c
	}
	if k < 0 || k >= c {
		return tensor{}, fmt.Errorf("column %d of %d", k, c)
	}
	out := tensor{shape: []int{x.shape[0]}}
	for i := range x.shape[0] {
		out.data = append(out.data, x.data[i*c+k])
	}
	return out, nil
}

// squeeze drops dimensions of 1, never the rows.
func squeeze(n onnxNode, in []tensor) (tensor, error) {
	axes := n.attr["axes"].ints
	if len(in) > 1 {
		axes = nil
		for _, v := range in[1].data {
			axes = append(axes, int64(v))
		}
	}
	t := in[0]
	drop := make(map[int]bool)
	for _, a := range axes {
		if a < 0 {
			a += int64(len(t.shape))
		}
		if a < 0 || a >= int64(len(t.shape)) || t.shape[a] != 1 {
			return tensor{}, fmt.Errorf("axis %d of shape %v", a, t.shape)
		}
		drop[int(a)] = true
	}
	out := tensor{data: t.data}
	for k, d := range t.shape {
		if drop[k] || axes == nil && k > 0 && d == 1 {
			continue
		}
		out.shape = append(out.shape, d)
	}
	return out, nil
}

func reshape(n onnxNode, in []tensor) (tensor, error) {
	t := in[0]
	out := tensor{data: t.data}
	known, open := 1, -1
	for k, v := range in[1].data {
		d := int(v)
		switch {
		case d == -1 && open < 0:
			open = k
			d = 1
		case d == 0 && n.int("allowzero", 0) == 0 && k < len(t.shape):
			d = t.shape[k]
		case d < 0 || d > maxONNXValues:
			return tensor{}, fmt.Errorf("dimension %d", d)
		}
		if known *= d; known > maxONNXValues {
			return tensor{}, fmt.Errorf("more than %d numbers", maxONNXValues)
		}
		out.shape = append(out.shape, d)
	}
	if open >= 0 && known > 0 {
		out.shape[open] = len(t.data) / known
		known *= out.shape[open]
	}
	if known != len(t.data) {
		return tensor{}, fmt.Errorf("%d numbers into shape %v", len(t.data), out.shape)
	}
	return out, nil
}

func constant(n onnxNode, _ []tensor) (tensor, error) {
	if t := n.attr["value"].t; t != nil {
		return *t, nil
	}
	if a, ok := n.attr["value_float"]; ok {
		return tensor{data: []float64{a.f}}, nil
	}
	if a, ok := n.attr["value_int"]; ok {
		return tensor{data: []float64{float64(a.i)}, ints: true}, nil
	}
	if a, ok := n.attr["value_ints"]; ok {
		t := tensor{shape: []int{len(a.ints)}, ints: true}
		for _, v := range a.ints {
			t.data = append(t.data, float64(v))
		}
		return t, nil
	}
	return tensor{}, errors.New("no value that is understood")
}
