package nnunet

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Provider is what ONNX Runtime computes on.
type Provider string

const (
	CPU  Provider = ""     // the processor
	CUDA Provider = "cuda" // a graphics card, with a library that was built for it; not the same to the last bit
)

// Options say how a model is run on this machine. The zero value serves.
type Options struct {
	Library  string   // ONNX Runtime; empty: see Library
	Threads  int      // that compute one patch; 0: one a processor
	Provider Provider // where patches are computed
	// Bare allows a folder with plans.json, dataset.json and model.onnx but no sidecar. Nothing then says how the
	// training images lay or whether the file is whole: for trying out, never for patients.
	Bare bool
}

// Model is a verified model folder. It holds no network: weights are loaded for each segmentation and freed after it,
// so that a node between two cases has its memory back. Its methods may be called from several goroutines; networks
// take turns.
type Model struct {
	dir     string
	opts    Options
	plans   *plans
	labels  *labelSet
	side    *sidecar // nil: a bare folder
	folds   []string // files
	about   Description
	runtime string
	files   []os.FileInfo // of everything read, as it was when it was verified
}

// Description says which model it is, for the results.
type Description struct {
	Name          string   `json:"name"`               // of the sidecar; a bare folder's own name
	Version       string   `json:"version"`            // empty for a bare folder
	SHA256        string   `json:"sha256"`             // over plans, labels and the weights of all folds
	Configuration string   `json:"configuration"`      // "3d_fullres"
	Folds         int      `json:"folds"`              // averaged
	Labels        []string `json:"labels"`             // by name, background left out, sorted
	Training      string   `json:"training,omitempty"` // what it was trained on, as its maker says
	Licence       string   `json:"licence,omitempty"`
	Runtime       string   `json:"onnxruntime"` // version of ONNX Runtime
}

// bareNetwork is the weights' name in a folder without sidecar.
const bareNetwork = "model.onnx"

// referenceNetwork is the SHA-256 of the network of rfanode's own exactness tests. Its numbers mean nothing medical.
const referenceNetwork = "392befb89eb0af634a6432e9a9a78621bb77e5550ddd6ecfd283be63ed7fc80c"

// Open reads a model folder and verifies it: every hash of the sidecar, what plans and labels must have in common with
// the network, and the self-check, which repeats on this machine what the network answered where it was exported. What
// is not supported is an *UnsupportedError, what is not as exported a *DamagedError, a missing library ErrNoLibrary.
func Open(ctx context.Context, dir string, opts Options) (*Model, error) {
	m, err := open(ctx, dir, opts)
	if err != nil {
		return nil, fmt.Errorf("nnU-Net model %s: %w", dir, err)
	}
	return m, nil
}

func open(ctx context.Context, dir string, opts Options) (*Model, error) {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, errors.New("there is no such folder: give the folder that tools/export_nnunet.py wrote")
	}
	m := &Model{dir: dir, opts: opts}
	m.files = m.stat()
	hashes, err := m.read()
	if err != nil {
		return nil, err
	}
	if m.runtime, err = startRuntime(opts.Library); err != nil {
		return nil, err
	}
	m.describe(hashes)
	return m, m.checkNetworks(ctx)
}

// read takes in plans, labels and sidecar and gives the hashes of all files that make the answers.
func (m *Model) read() (hashes []string, err error) {
	plansData, err := readJSON(m.dir, "plans.json")
	if err != nil {
		return nil, err
	}
	datasetData, err := readJSON(m.dir, "dataset.json")
	if err != nil {
		return nil, err
	}
	side, err := m.readSidecar()
	if err != nil {
		return nil, err
	}
	configuration := ""
	if side != nil {
		configuration = side.Configuration
	}
	if m.plans, err = parsePlans(plansData, configuration); err != nil {
		return nil, err
	}
	if m.labels, err = parseDataset(datasetData); err != nil {
		return nil, err
	}
	if side == nil {
		weights, err := fileHash(filepath.Join(m.dir, bareNetwork))
		if err != nil {
			return nil, damaged("%s: %v: a folder without %s needs its network under this name", bareNetwork, err, SidecarName)
		}
		m.folds = []string{bareNetwork}
		return []string{hashOf(plansData), hashOf(datasetData), weights}, nil
	}
	if err := side.agree(m.plans, m.labels, plansData, datasetData); err != nil {
		return nil, err
	}
	m.side = side
	hashes = []string{side.PlansSHA256, side.DatasetSHA256}
	for _, f := range side.Folds {
		if strings.EqualFold(f.SHA256, referenceNetwork) {
			return nil, unsupported("%s is the network of rfanode's own tests, which segments nothing medical", f.File)
		}
		if err := checkFileHash(m.dir, f.File, f.SHA256); err != nil {
			return nil, err
		}
		m.folds = append(m.folds, f.File)
		hashes = append(hashes, f.SHA256)
	}
	return hashes, checkFileHash(m.dir, side.SelfCheck.File, side.SelfCheck.SHA256)
}

// stat looks at every file of the folder.
func (m *Model) stat() []os.FileInfo {
	entries, err := os.ReadDir(m.dir)
	if err != nil {
		return nil
	}
	var files []os.FileInfo
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			files = append(files, info)
		}
	}
	return files
}

// Unchanged says whether the folder's files still have the sizes and times they had when they were verified.
func (m *Model) Unchanged() bool {
	return slices.EqualFunc(m.files, m.stat(), func(a, b os.FileInfo) bool {
		return a.Name() == b.Name() && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
	})
}

func (m *Model) readSidecar() (*sidecar, error) {
	data, err := readBounded(filepath.Join(m.dir, SidecarName), maxJSON)
	switch {
	case errors.Is(err, os.ErrNotExist) && m.opts.Bare:
		return nil, nil
	case errors.Is(err, os.ErrNotExist):
		return nil, damaged("there is no %s: nothing says how the training images lay and whether the files are whole; export the model with tools/export_nnunet.py", SidecarName)
	case err != nil:
		return nil, err
	}
	return parseSidecar(data)
}

func (m *Model) describe(hashes []string) {
	d := Description{
		Name: filepath.Base(m.dir), SHA256: digest(hashes...), Configuration: m.plans.configuration,
		Folds: len(m.folds), Labels: m.labels.sorted(), Runtime: m.runtime,
	}
	if m.side != nil {
		d.Name, d.Version = m.side.Name, m.side.Version
		d.Training, d.Licence = m.side.Training.What, m.side.Training.Licence
	}
	m.about = d
}

// Describe says which model it is.
func (m *Model) Describe() Description { return m.about }

// Crop says whether the model expects an image that is cropped to the lungs, and the margin round them in mm, as some
// tasks of TotalSegmentator do.
func (m *Model) Crop() (lungs bool, marginMM float64) {
	if m.side == nil || m.side.Wrapper == nil || len(m.side.Wrapper.CropLabels) == 0 {
		return false, 0
	}
	return true, m.side.Wrapper.CropMarginMM
}

// Close ends the use of a model. It is there so that callers need not know that nothing is held between segmentations.
func (m *Model) Close() error { return nil }

// networkSpec is what a network must take and give.
type networkSpec struct {
	patch         [3]int
	heads         int
	input, output string // names; empty: the only ones there are
}

func (m *Model) spec() networkSpec {
	s := networkSpec{patch: m.plans.patch, heads: m.labels.heads}
	if m.side != nil {
		s.input, s.output = m.side.InputName, m.side.OutputName
	}
	return s
}

// tensor describes an input or output of a network; -1 stands for any size.
type tensor struct {
	name  string
	shape []int64
	float bool // single precision
}

// checkTensors compares a network with what plans and labels say.
func (s networkSpec) checkTensors(file string, inputs, outputs []tensor) error {
	if len(inputs) != 1 || len(outputs) != 1 {
		return unsupported("%s has %d inputs and %d outputs, not one and one: export it without deep supervision, with tools/export_nnunet.py", file, len(inputs), len(outputs))
	}
	in, out := inputs[0], outputs[0]
	if s.input != "" && (in.name != s.input || out.name != s.output) {
		return damaged("%s takes %q and gives %q, %s says %q and %q", file, in.name, out.name, SidecarName, s.input, s.output)
	}
	if !in.float || !out.float {
		return unsupported("%s does not compute in single precision", file)
	}
	want := []int64{1, 1, int64(s.patch[0]), int64(s.patch[1]), int64(s.patch[2])}
	if !fits(in.shape, want) {
		return damaged("%s takes patches of %v, plans.json says %v", file, in.shape, want)
	}
	want[1] = int64(s.heads)
	if !fits(out.shape, want) {
		return damaged("%s gives %v, plans.json and dataset.json say %v", file, out.shape, want)
	}
	return nil
}

func fits(shape, want []int64) bool {
	if len(shape) != len(want) {
		return false
	}
	for i, n := range shape {
		if n > 0 && n != want[i] {
			return false
		}
	}
	return true
}

// maxSelfCheck is how far the answers of two machines may lie apart. Logits are of the order of 1 to 10; runtimes and
// processors differ by some 1e-5.
const maxSelfCheck = 1e-3

// checkNetworks loads every fold once and, if there is a sidecar, repeats its self-check.
func (m *Model) checkNetworks(ctx context.Context) error {
	var names []string
	for i := range m.folds {
		names = append(names, fmt.Sprintf("logits_%d", i))
	}
	var known map[string]numbers
	var in, answer []float32
	if m.side != nil {
		var err error
		if known, err = readNpz(filepath.Join(m.dir, m.side.SelfCheck.File), append(names, "input", "index")...); err != nil {
			return err
		}
		voxels := m.plans.patch[0] * m.plans.patch[1] * m.plans.patch[2]
		if len(known["input"].values) != voxels || len(known["index"].values) == 0 {
			return damaged("%s: the input has %d values, a patch %d", m.side.SelfCheck.File, len(known["input"].values), voxels)
		}
		in, answer = make([]float32, voxels), make([]float32, m.labels.heads*voxels)
		for i, v := range known["input"].values {
			in[i] = float32(v)
		}
	}
	for i, file := range m.folds {
		net, err := openNetwork(filepath.Join(m.dir, file), m.spec(), m.opts)
		if err != nil {
			return err
		}
		if known != nil {
			err = selfTest(ctx, net, in, answer, known["index"].values, known[names[i]].values, file)
		}
		net.close()
		if err != nil {
			return err
		}
	}
	return nil
}

// selfTest compares the network's answer to a known patch at known places.
func selfTest(ctx context.Context, net network, in, answer []float32, index, want []float64, file string) error {
	if len(index) != len(want) {
		return damaged("self-check of %s: %d places but %d answers", file, len(index), len(want))
	}
	if err := net.run(ctx, in, answer); err != nil {
		return err
	}
	worst := 0.0
	for i, at := range index {
		if !(at >= 0 && at < float64(len(answer))) {
			return damaged("self-check of %s: place %g lies outside of the network's answer", file, at)
		}
		d := math.Abs(float64(answer[int(at)]) - want[i])
		if math.IsNaN(d) {
			d = math.Inf(1)
		}
		worst = max(worst, d)
	}
	if worst > maxSelfCheck {
		return damaged("self-check of %s: the network answers differently here than where it was exported (by %.2g, at most %g): use the ONNX Runtime of the export, or export again", file, worst, maxSelfCheck)
	}
	return nil
}
