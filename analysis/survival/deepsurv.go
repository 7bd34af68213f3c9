package survival

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
)

// TrainOptions of DeepSurv. DefaultTraining has the study's; the zero value trains nothing.
type TrainOptions struct {
	LearningRate float64 `json:"lr"`
	L2           float64 `json:"l2"` // times the sum of squares of the weight matrices, biases left out
	L2Output     bool    `json:"l2_output_only,omitempty"`
	Dropout      float64 `json:"dropout"`
	Epochs       int     `json:"epochs"`             // at most
	HoldOut      float64 `json:"hold_out"`           // share of the subjects kept out for early stopping; 0: none, the last weights stand
	Patience     int     `json:"patience,omitempty"` // epochs without a gain before it stops
	IgnoreTies   bool    `json:"ignore_ties,omitempty"`
}

// DefaultTraining is the study's: Adam at .001, L2 .01, dropout .2, at most 1000 epochs, a fifth held out, patience 60.
func DefaultTraining() TrainOptions {
	return TrainOptions{LearningRate: 1e-3, L2: 1e-2, Dropout: .2, Epochs: 1000, HoldOut: .2, Patience: 60}
}

// Adam's constants, and the gain of the held-out loss that counts as one.
const (
	adamBeta1, adamBeta2, adamEps = 0.9, 0.999, 1e-8
	minimalGain                   = 1e-5
)

// Training is the record of one network's training.
type Training struct {
	Epochs    int     `json:"epochs"` // run
	BestEpoch int     `json:"best_epoch"`
	Loss      float64 `json:"loss"`     // Cox loss of the training rows at the last epoch, with dropout
	HeldOut   float64 `json:"held_out"` // best held-out Cox loss, 0 without hold-out
}

// trainer holds the network, its passes and Adam's state.
type trainer struct {
	net     *Network
	opt     TrainOptions
	seed    uint64
	risk    coxLoss
	pass    *pass
	grad    []float64
	m, v    []float64
	step    int
	penalty []Tensor
}

func newTrainer(net *Network, y Outcome, x [][]float64, opt TrainOptions, seed uint64) *trainer {
	t := &trainer{net: net, opt: opt, seed: seed, risk: newCoxLoss(y, opt.IgnoreTies), pass: newPass(net, x),
		grad: make([]float64, len(net.Params)), m: make([]float64, len(net.Params)), v: make([]float64, len(net.Params))}
	for k, w := range net.Tensors {
		if w.Cols > 0 && (!opt.L2Output || k == len(net.Tensors)-1) {
			t.penalty = append(t.penalty, w)
		}
	}
	return t
}

// gradient computes loss (without L2) and the gradient of the penalised loss.
func (t *trainer) gradient(drop *dropout) float64 {
	clear(t.grad)
	t.pass.forward(t.net.Params, drop)
	loss := t.risk.value(t.pass.out[:t.pass.count], t.pass.dOut)
	t.pass.backward(t.net.Params, t.grad, drop != nil && drop.rate > 0)
	for _, w := range t.penalty {
		for i := w.at; i < w.at+w.size(); i++ {
			t.grad[i] += float64(2 * t.opt.L2 * t.net.Params[i])
		}
	}
	return loss
}

// sumSquares of the penalised weights.
func (t *trainer) sumSquares() float64 {
	s := 0.0
	for _, w := range t.penalty {
		for _, v := range t.net.Params[w.at : w.at+w.size()] {
			s += float64(v * v)
		}
	}
	return s
}

// adam takes one step.
func (t *trainer) adam() {
	t.step++
	c1 := 1 - math.Pow(adamBeta1, float64(t.step))
	c2 := math.Sqrt(1 - math.Pow(adamBeta2, float64(t.step)))
	rate := t.opt.LearningRate / c1
	for i, g := range t.grad {
		m := float64(adamBeta1*t.m[i]) + float64((1-adamBeta1)*g)
		v := float64(adamBeta2*t.v[i]) + float64((1-adamBeta2)*float64(g*g))
		t.m[i], t.v[i] = m, v
		t.net.Params[i] -= rate * m / (math.Sqrt(v)/c2 + adamEps)
	}
}

// epoch is one full-batch step; it returns the loss before it.
func (t *trainer) epoch(k int) float64 {
	loss := t.gradient(&dropout{rate: t.opt.Dropout, seed: t.seed, epoch: uint64(k)})
	t.adam()
	return loss
}

// TrainDeepSurv fits a network to the outcome by full-batch Adam on the Cox loss (Breslow ties). x holds one column an
// input, standardised by the caller. The result depends on the seed alone.
func TrainDeepSurv(ctx context.Context, y Outcome, x [][]float64, a Architecture, opt TrainOptions, seed uint64) (*Network, Training, error) {
	var tr Training
	if err := y.Check(); err != nil {
		return nil, tr, err
	}
	if err := checkColumns(x, y.Len()); err != nil {
		return nil, tr, err
	}
	if len(x) != a.Inputs {
		return nil, tr, fmt.Errorf("survival: DeepSurv: %d inputs for a network of %d", len(x), a.Inputs)
	}
	if opt.Epochs < 1 || !(opt.LearningRate > 0) || opt.Dropout < 0 || opt.Dropout >= 1 || opt.HoldOut < 0 || opt.HoldOut >= 1 || opt.L2 < 0 {
		return nil, tr, fmt.Errorf("survival: DeepSurv: options %+v cannot train", opt)
	}
	net, err := NewNetwork(a, seed)
	if err != nil {
		return nil, tr, err
	}
	fit, held := holdOut(y, opt.HoldOut, seed)
	if y.Pick(fit).Events() == 0 {
		return nil, tr, ErrNoEvents
	}
	t := newTrainer(net, y.Pick(fit), PickColumns(x, fit), opt, seed)
	var check *pass
	var checkRisk coxLoss
	if len(held) > 0 && y.Pick(held).Events() > 0 {
		check, checkRisk = newPass(net, PickColumns(x, held)), newCoxLoss(y.Pick(held), opt.IgnoreTies)
	}
	best, bestParams := math.Inf(1), []float64(nil)
	for k := 1; k <= opt.Epochs; k++ {
		if err := ctx.Err(); err != nil {
			return nil, tr, err
		}
		tr.Loss, tr.Epochs = t.epoch(k), k
		if math.IsNaN(tr.Loss) || math.IsInf(tr.Loss, 0) {
			return nil, tr, errors.New("survival: DeepSurv: the loss left the numbers: a smaller learning rate is needed")
		}
		if check == nil {
			continue
		}
		check.forward(net.Params, nil)
		if loss := checkRisk.value(check.out[:check.count], nil); loss < best-minimalGain {
			best, tr.BestEpoch = loss, k
			bestParams = append(bestParams[:0], net.Params...)
		} else if k-tr.BestEpoch >= opt.Patience {
			break
		}
	}
	if bestParams != nil {
		copy(net.Params, bestParams)
		tr.HeldOut = best
	} else {
		tr.BestEpoch = tr.Epochs
	}
	return net, tr, nil
}

// holdOut draws the given share of the events and of the others, each rounded, for early stopping.
func holdOut(y Outcome, share float64, seed uint64) (fit, held []int) {
	rng := NewRand(seed, 0x401d)
	out := make([]bool, y.Len())
	for _, event := range []bool{true, false} {
		var idx []int
		for i, e := range y.Event {
			if (e == Event) == event {
				idx = append(idx, i)
			}
		}
		rng.Shuffle(idx)
		for _, i := range idx[:int(math.RoundToEven(share*float64(len(idx))))] {
			out[i] = true
		}
	}
	for i, o := range out {
		if o {
			held = append(held, i)
		} else {
			fit = append(fit, i)
		}
	}
	return fit, held
}

// coxLoss is (1/D) sum over events [ ln sum over the risk set of e^f - f ] with Breslow ties.
type coxLoss struct {
	order
	events float64
	w      []float64
	sums   []float64
}

func newCoxLoss(y Outcome, ignoreTies bool) coxLoss {
	c := coxLoss{order: newOrder(y, nil), events: float64(y.Events()), w: make([]float64, y.Len())}
	if ignoreTies { // as published: a running sum over falling time, every subject a time of its own
		var groups []group
		for _, g := range c.groups {
			for k := g.from; k < g.to; k++ {
				s := group{time: g.time, from: k, events: k + 1, to: k + 1, first: k == 0}
				if k >= g.events {
					s.events = k
				}
				groups = append(groups, s)
			}
		}
		c.groups = groups
	}
	c.sums = make([]float64, len(c.groups))
	return c
}

// value is the loss at the log risks f (in the subjects' order); d, unless nil, receives its derivative.
func (c *coxLoss) value(f, d []float64) float64 {
	if c.events == 0 {
		return 0
	}
	top := slices.Max(f)
	s, loss := 0.0, 0.0
	for q, g := range c.groups {
		for k := g.from; k < g.to; k++ {
			c.w[k] = math.Exp(f[c.idx[k]] - top)
			s += c.w[k]
		}
		c.sums[q] = s
		if e := g.to - g.events; e > 0 {
			loss += float64(float64(e) * (math.Log(s) + top))
			for k := g.events; k < g.to; k++ {
				loss -= f[c.idx[k]]
			}
		}
	}
	if d == nil {
		return loss / c.events
	}
	h := 0.0
	for q := len(c.groups) - 1; q >= 0; q-- {
		g := c.groups[q]
		h += float64(g.to-g.events) / c.sums[q]
		for k := g.from; k < g.events; k++ {
			d[c.idx[k]] = float64(c.w[k]*h) / c.events
		}
		for k := g.events; k < g.to; k++ {
			d[c.idx[k]] = (float64(c.w[k]*h) - 1) / c.events
		}
	}
	return loss / c.events
}

// Ensemble is a set of networks that differ by their seed; its log risk is their mean less Center, the mean on the
// training subjects.
type Ensemble struct {
	Members   []*Network
	Trainings []Training
	Center    float64
}

// TrainEnsemble trains one network a seed, on all processors, and centres the mean log risk on the training subjects.
func TrainEnsemble(ctx context.Context, y Outcome, x [][]float64, a Architecture, opt TrainOptions, seeds []uint64) (*Ensemble, error) {
	if len(seeds) == 0 {
		return nil, errors.New("survival: DeepSurv: an ensemble without seeds")
	}
	e := &Ensemble{Members: make([]*Network, len(seeds)), Trainings: make([]Training, len(seeds))}
	errs := make([]error, len(seeds))
	parallel(len(seeds), func(k int) { e.Members[k], e.Trainings[k], errs[k] = TrainDeepSurv(ctx, y, x, a, opt, seeds[k]) })
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	o, err := e.Predict(x)
	if err != nil {
		return nil, err
	}
	e.Center, _ = meanSD(o.LogRisk)
	return e, nil
}

// EnsembleOutput is the ensemble's mean log risk (centred), its standard deviation over members, and the mean attention
// and weighted inputs (one slice an input).
type EnsembleOutput struct {
	LogRisk, Spread     []float64
	Attention, Weighted [][]float64
	AttentionSD         [][]float64
}

// Predict evaluates every member; x holds one column an input.
func (e *Ensemble) Predict(x [][]float64) (EnsembleOutput, error) {
	var out EnsembleOutput
	m := float64(len(e.Members))
	var each [][]float64
	var att [][][]float64
	for _, n := range e.Members {
		o, err := n.Forward(x)
		if err != nil {
			return out, err
		}
		each = append(each, o.LogRisk)
		if o.Attention != nil {
			att = append(att, o.Attention)
			if out.Weighted == nil {
				for range x {
					out.Weighted = append(out.Weighted, make([]float64, len(x[0])))
				}
			}
			for j := range x {
				for i, v := range o.Weighted[j] {
					out.Weighted[j][i] += v / m
				}
			}
		}
	}
	out.LogRisk, out.Spread = meanSpread(each)
	for i := range out.LogRisk {
		out.LogRisk[i] -= e.Center
	}
	if att != nil {
		for j := range x {
			var rows [][]float64
			for _, a := range att {
				rows = append(rows, a[j])
			}
			mean, sd := meanSpread(rows)
			out.Attention, out.AttentionSD = append(out.Attention, mean), append(out.AttentionSD, sd)
		}
	}
	return out, nil
}

// meanSpread is the mean and the sample standard deviation over rows, value by value (0 for a single row).
func meanSpread(rows [][]float64) (mean, sd []float64) {
	n := len(rows[0])
	mean, sd = make([]float64, n), make([]float64, n)
	col := make([]float64, len(rows))
	for i := range n {
		for k, r := range rows {
			col[k] = r[i]
		}
		mean[i], _ = meanSD(col)
		if len(rows) > 1 {
			_, sd[i] = MeanSD(col)
		}
	}
	return mean, sd
}
