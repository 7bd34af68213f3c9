package prognosis

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"rfanode/analysis/survival"
)

// trained is a small bundle of two networks fitted to made-up patients.
func trained(t testing.TB) (*Bundle, [][]byte) {
	t.Helper()
	rng := survival.NewRand(8)
	n := 120
	y := survival.Outcome{Time: make([]float64, n), Event: make([]int, n)}
	raw := make([]map[string]Input, n)
	x := make([][]float64, 4)
	for i := range n {
		sex, male := "F", 0.0
		if rng.Float64() < .5 {
			sex, male = "M", 1
		}
		fib, tcr, f1 := 2+2*rng.Float64(), min(1, .9+.2*rng.Float64()), 100*rng.Normal()
		raw[i] = map[string]Input{InputSex: {Code: sex}, InputFibrinogen: {Value: fib, Unit: "g/L"}, InputTCR: {Value: tcr}, "original_glcm_Contrast": {Value: f1}}
		one := 0.0
		if tcr == 1 {
			one = 1
		}
		for j, v := range []float64{male, (fib - 3) / .6, one, .01 * f1} {
			x[j] = append(x[j], v)
		}
		life := -30 * math.Log(rng.Float64()) * math.Exp(-.4*male-.01*f1+2*one)
		y.Time[i] = math.Round(10*min(life, 10+50*rng.Float64()))/10 + .1
		if life <= y.Time[i] {
			y.Event[i] = survival.Event
		}
	}
	opt := survival.DefaultTraining()
	opt.Epochs = 40
	e, err := survival.TrainEnsemble(context.Background(), y, x, survival.Architecture{Inputs: 4, Gate: survival.SoftmaxGate, GateHidden: 3, Hidden: 6, Blocks: 2}, opt, []uint64{1, 2})
	if err != nil {
		t.Fatal(err)
	}
	b := &Bundle{Schema: Schema, ID: "test-1", Version: "1", Kind: KindDeepSurv, Endpoint: Endpoint, Competing: "censored", TimeUnit: "month",
		Features: []Feature{{Name: "male", Source: SourceClinical, Coding: map[string]float64{"M": 1, "F": 0}, SD: 1, Max: 1, Missing: "refuse"},
			{Name: "fib", Source: SourceClinical, Unit: "g/L", Mean: 3, SD: .6, Min: 2, Max: 4, Missing: "median", Median: 3},
			{Name: "tcr1", Source: SourceTCR, TCRCut: 1, SD: 1, Max: 1, Missing: "refuse"},
			{Name: "radscore", Source: SourceRadscore, SD: 1, Min: -4, Max: 4, Missing: "refuse"}},
		Radscore:   &Radscore{Names: []string{"original_glcm_Contrast"}, Coef: []float64{.01}, Mean: []float64{0}, SD: []float64{100}, Rule: "min"},
		Extraction: Extraction{SettingsSHA256: "abc"},
		Cox:        CoxModel{Names: []string{"male", "tcr1"}, Coef: []float64{.4, -2}, Ties: "efron"},
		Horizons:   []float64{12, 24}, RiskBands: []Band{{"low", math.Inf(-1)}, {"high", 0}}, Provenance: Provenance{Status: "research"}}
	b.RiskBands[0].From = -99
	var files [][]byte
	for k, m := range e.Members {
		files = append(files, EncodeONNX(m, b.ID))
		b.Members = append(b.Members, Member{Seed: uint64(k + 1)})
		for i, v := range m.Params { // what a float32 file holds
			m.Params[i] = float64(float32(v))
		}
	}
	o, err := e.Predict(x)
	if err != nil {
		t.Fatal(err)
	}
	mean := 0.0
	for _, v := range o.LogRisk {
		mean += v / float64(n)
	}
	b.LogRiskCenter = e.Center + mean
	lp := make([]float64, n)
	for i, v := range o.LogRisk {
		lp[i] = v - mean
	}
	b.Baseline = Baseline{Method: "breslow", Source: "train", Gamma: 1, Baseline: survival.BreslowBaseline(y, lp)}
	for k, at := range b.Baseline.AtRisk {
		if at >= 10 {
			b.Baseline.MaxTime = b.Baseline.Time[k]
		}
	}
	for i := range 6 {
		v := TestVector{Raw: raw[i], LogRisk: lp[i], Surv: map[string]float64{}}
		for j := range x {
			v.X = append(v.X, x[j][i])
		}
		for _, h := range b.Horizons {
			v.Surv[HorizonKey(h)] = b.Baseline.Surv(h, lp[i])
		}
		b.TestVectors = append(b.TestVectors, v)
	}
	return b, files
}

// TestBundleRoundTrip: what was written loads, from a folder and from a zip file, and the test vectors, computed by the
// training code, come out of the ONNX evaluator; the bytes are the same every time.
func TestBundleRoundTrip(t *testing.T) {
	b, files := trained(t)
	dir := t.TempDir()
	if err := b.Write(filepath.Join(dir, "a"), files); err != nil {
		t.Fatal(err)
	}
	if err := b.Write(filepath.Join(dir, "b"), files); err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	z := zip.NewWriter(&packed)
	for _, name := range []string{ModelFile, "member-00.onnx", "member-01.onnx"} {
		x, err := os.ReadFile(filepath.Join(dir, "a", name))
		if err != nil {
			t.Fatal(err)
		}
		y, _ := os.ReadFile(filepath.Join(dir, "b", name))
		if !bytes.Equal(x, y) {
			t.Errorf("%s differs between two writes", name)
		}
		w, _ := z.Create("bundle/" + name)
		w.Write(x)
	}
	z.Close()
	archive := filepath.Join(dir, "bundle.zip")
	if err := os.WriteFile(archive, packed.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, "a"), archive} {
		got, err := Load(path)
		if err != nil {
			t.Fatal(err)
		}
		p, err := got.Predict(b.TestVectors[0].Raw)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Contributions) != 4 || math.IsNaN(p.Contributions[0].Attention) || !(p.Spread > 0) || p.Band == "" {
			t.Errorf("%+v", p)
		}
		sum := 0.0
		for _, c := range p.Contributions {
			sum += c.Attention
		}
		if math.Abs(sum-1) > 1e-9 {
			t.Errorf("attention adds to %g", sum)
		}
		if h := p.Horizons[0]; !(h.Low <= h.Free && h.Free <= h.High && h.Free > p.Horizons[1].Free) {
			t.Errorf("horizons %+v", p.Horizons)
		}
	}
}

// TestTorchBundles: bundles exported from PyTorch by the old and the new exporter load, which checks torch's own numbers
// as test vectors (tools/export_deepsurv.py made them).
func TestTorchBundles(t *testing.T) {
	for _, name := range []string{"torch-legacy", "torch-dynamo"} {
		b, err := Load(filepath.Join("testdata", name))
		if err != nil {
			t.Error(err)
			continue
		}
		if len(b.Members) != 2 || len(b.TestVectors) != 8 {
			t.Errorf("%s: %d members, %d vectors", name, len(b.Members), len(b.TestVectors))
		}
	}
}

// TestONNXRuntime: the standard checker accepts the written model and ONNX Runtime computes what the evaluator does.
func TestONNXRuntime(t *testing.T) {
	python := os.Getenv("RFANODE_ONNX_PYTHON")
	if python == "" {
		t.Skip("RFANODE_ONNX_PYTHON names no Python with onnx, onnxruntime and numpy")
	}
	b, files := trained(t)
	dir := t.TempDir()
	if err := b.Write(dir, files); err != nil {
		t.Fatal(err)
	}
	var rows [][]float64
	for _, v := range b.TestVectors {
		rows = append(rows, v.X)
	}
	j, _ := json.Marshal(rows)
	script := `
import json, sys, numpy as np, onnx, onnxruntime as ort
m = onnx.load(sys.argv[1]); onnx.checker.check_model(m, full_check=True)
s = ort.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
print(json.dumps([o.tolist() for o in s.run(["log_risk", "attention", "weighted"], {"x": np.array(json.loads(sys.argv[2]), np.float32)})]))`
	out, err := exec.Command(python, "-c", script, filepath.Join(dir, "member-00.onnx"), string(j)).Output()
	if err != nil {
		t.Fatal(err)
	}
	var want [3][][]float64
	if err := json.Unmarshal(out, &want); err != nil {
		t.Fatal(err)
	}
	got, err := b.graphs[0].Evaluate(rows)
	if err != nil {
		t.Fatal(err)
	}
	for k, name := range []string{"log_risk", "attention", "weighted"} {
		for i := range rows {
			for c := range want[k][i] {
				if math.Abs(got[name][i][c]-want[k][i][c]) > 5e-6 {
					t.Errorf("%s[%d][%d]: %g, ONNX Runtime %g", name, i, c, got[name][i][c], want[k][i][c])
				}
			}
		}
	}
}

// TestBundleRefusals: each thing that must not load is refused, and the reason names it.
func TestBundleRefusals(t *testing.T) {
	for _, c := range []struct {
		name, want string
		change     func(b *Bundle, dir string)
	}{
		{"schema", "schema", func(b *Bundle, _ string) { b.Schema = "rfa-survival/2" }},
		{"kind", "kind", func(b *Bundle, _ string) { b.Kind = "forest" }},
		{"endpoint", "endpoint", func(b *Bundle, _ string) { b.Endpoint = "OS" }},
		{"time unit", "time unit", func(b *Bundle, _ string) { b.TimeUnit = "day" }},
		{"hash", "SHA-256", func(b *Bundle, _ string) { b.Members[0].SHA256 = strings.Repeat("0", 64) }},
		{"path", "plain file name", func(b *Bundle, _ string) { b.Members[0].File = "../member-00.onnx" }},
		{"missing member", "member", func(b *Bundle, dir string) { os.Remove(filepath.Join(dir, "member-01.onnx")) }},
		{"width", "inputs", func(b *Bundle, _ string) { b.Features = b.Features[:3]; b.Cox = CoxModel{} }},
		{"SD", "SD", func(b *Bundle, _ string) { b.Features[1].SD = 0 }},
		{"baseline", "rise", func(b *Bundle, _ string) { b.Baseline.CumHaz[5] = 0 }},
		{"baseline lengths", "baseline", func(b *Bundle, _ string) { b.Baseline.Time = b.Baseline.Time[1:] }},
		{"horizon", "horizon", func(b *Bundle, _ string) { b.Horizons = []float64{12, 600} }},
		{"vectors", "test vectors", func(b *Bundle, _ string) { b.TestVectors = b.TestVectors[:4] }},
		{"vector", "log risk", func(b *Bundle, _ string) { b.TestVectors[2].LogRisk += 2e-5 }},
		{"survival", "free of progression", func(b *Bundle, _ string) { b.TestVectors[2].Surv["24"] += 2e-5 }},
		{"radscore", "Radscore", func(b *Bundle, _ string) { b.Radscore.Coef = nil }},
		{"cox", "cox", func(b *Bundle, _ string) { b.Cox.Names[0] = "age" }},
		{"status", "status", func(b *Bundle, _ string) { b.Provenance.Status = "approved" }},
		{"another bundle's member", "belongs to", func(b *Bundle, _ string) { b.ID = "test-2" }},
	} {
		b, files := trained(t)
		dir := t.TempDir()
		if err := b.Write(dir, files); err != nil {
			t.Fatal(err)
		}
		c.change(b, dir)
		j, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, ModelFile), j, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := Load("model.pt"); err == nil || !strings.Contains(err.Error(), "pickled") {
		t.Errorf("pickle: %v", err)
	}
	b, _ := trained(t)
	if err := b.Compatible([]string{"original_glcm_Contrast"}, "abc"); err != nil {
		t.Error(err)
	}
	if err := b.Compatible([]string{"original_glcm_Contrast"}, "other"); err == nil || !strings.Contains(err.Error(), "settings") {
		t.Errorf("settings: %v", err)
	}
	if err := b.Compatible(nil, "abc"); err == nil || !strings.Contains(err.Error(), "original_glcm_Contrast") {
		t.Errorf("feature: %v", err)
	}
}

// TestPredictValues: units, codes, missing and impossible values, and the training range.
func TestPredictValues(t *testing.T) {
	b, files := trained(t)
	if err := b.Write(t.TempDir(), files); err != nil {
		t.Fatal(err)
	}
	base := func() map[string]Input {
		return map[string]Input{InputSex: {Code: "M"}, InputFibrinogen: {Value: 3.1, Unit: "g/L"}, InputTCR: {Value: .97}, "original_glcm_Contrast": {Value: 20}}
	}
	first, err := b.Predict(base())
	if err != nil {
		t.Fatal(err)
	}
	raw := base()
	raw[InputFibrinogen] = Input{Value: 310, Unit: "mg/dL"}
	if p, err := b.Predict(raw); err != nil || math.Abs(p.LogRisk-first.LogRisk) > 1e-12 {
		t.Errorf("mg/dL: %v", err)
	}
	for name, change := range map[string]func(raw map[string]Input){
		"unit slip":    func(raw map[string]Input) { raw[InputFibrinogen] = Input{Value: 310, Unit: "g/L"} },
		"unknown unit": func(raw map[string]Input) { raw[InputFibrinogen] = Input{Value: 3.1, Unit: "umol/L"} },
		"no sex":       func(raw map[string]Input) { raw[InputSex] = Input{Code: "O"} },
		"no tcr":       func(raw map[string]Input) { delete(raw, InputTCR) },
		"tcr":          func(raw map[string]Input) { raw[InputTCR] = Input{Value: 1.2} },
		"no feature":   func(raw map[string]Input) { delete(raw, "original_glcm_Contrast") },
		"NaN":          func(raw map[string]Input) { raw["original_glcm_Contrast"] = Input{Value: math.NaN()} },
	} {
		raw := base()
		change(raw)
		var r Refusal
		if _, err := b.Predict(raw); !errors.As(err, &r) {
			t.Errorf("%s: %v", name, err)
		}
	}
	raw = base()
	delete(raw, InputFibrinogen) // missing: the bundle says median
	p, err := b.Predict(raw)
	if err != nil || fmt.Sprint(p.Imputed) != "[fib]" {
		t.Errorf("missing fibrinogen: %v %v", p, err)
	}
	raw = base()
	raw[InputFibrinogen] = Input{Value: 7}
	if p, err = b.Predict(raw); err != nil || fmt.Sprint(p.Outside) != "[fib]" {
		t.Errorf("outside the range: %v %v", p, err)
	}
	raw[InputTCR] = Input{Value: 1}
	if p, err = b.Predict(raw); err != nil || p.Contributions[2].Value != 1 {
		t.Errorf("TCR of 1: %v %v", p, err)
	}
}

// TestCoxBundle: a bundle of kind cox has no members; its log risk is the linear predictor less the centre.
func TestCoxBundle(t *testing.T) {
	b, _ := trained(t)
	b.Kind, b.Members, b.LogRiskCenter = KindCox, nil, -.3
	for k := range b.TestVectors {
		v := &b.TestVectors[k]
		v.LogRisk = .4*v.X[0] - 2*v.X[2] + .3
		for _, h := range b.Horizons {
			v.Surv[HorizonKey(h)] = b.Baseline.Surv(h, v.LogRisk)
		}
	}
	dir := t.TempDir()
	if err := b.Write(dir, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir); err != nil {
		t.Error(err)
	}
}

// FuzzDecodeONNX: no file, however broken, may crash the node or make it run away.
func FuzzDecodeONNX(f *testing.F) {
	net, err := survival.NewNetwork(survival.Architecture{Inputs: 2, Gate: survival.SigmoidGate, GateHidden: 2, Hidden: 3, Blocks: 1}, 1)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(EncodeONNX(net, "x"))
	for _, name := range []string{"torch-legacy", "torch-dynamo"} {
		b, err := os.ReadFile(filepath.Join("testdata", name, "member-01.onnx"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := DecodeONNX(b)
		if err != nil {
			return
		}
		width := max(1, min(g.width, 100))
		g.Evaluate([][]float64{make([]float64, width), make([]float64, width)})
	})
}
