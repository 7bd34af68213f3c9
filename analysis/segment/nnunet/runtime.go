//go:build cgo

package nnunet

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	ort "github.com/yalue/onnxruntime_go"
)

// environment is ONNX Runtime's, one a process.
var environment struct {
	sync.Mutex
	library string // "": not begun
}

// inference lets one patch be computed at a time: each already uses every processor, and memory is bounded by one.
var inference sync.Mutex

// startRuntime loads the library once. A later call with another path is refused.
func startRuntime(configured string) (string, error) {
	environment.Lock()
	defer environment.Unlock()
	path, err := Library(configured)
	if err != nil {
		return "", err
	}
	if environment.library != "" {
		if path != environment.library {
			return "", fmt.Errorf("%w: %s is loaded already, a second library (%s) cannot be: name one only", ErrNoLibrary, environment.library, path)
		}
		return ort.GetVersion(), nil
	}
	ort.SetSharedLibraryPath(path)
	if err := ort.InitializeEnvironment(ort.WithLogLevelError()); err != nil {
		return "", fmt.Errorf("%w: %s: %v: %s", ErrNoLibrary, path, err, libraryCure)
	}
	environment.library = path
	return ort.GetVersion(), nil
}

// session is a network in ONNX Runtime.
type session struct {
	s      *ort.DynamicAdvancedSession
	shape  ort.Shape
	answer ort.Shape
	left   chan struct{} // closed when a run that nobody waited for has ended; nil: there is none
}

// openNetwork loads an ONNX file and compares what it takes and gives with the model's other files. Empty names stand
// for the only input and output there are.
func openNetwork(path string, spec networkSpec, opts Options) (network, error) {
	options, err := sessionOptions(opts)
	if err != nil {
		return nil, err
	}
	defer options.Destroy()
	inputs, outputs, err := ort.GetInputOutputInfoWithOptions(path, options)
	if err != nil {
		return nil, damaged("ONNX Runtime cannot read %s: %v", path, err)
	}
	if err := spec.checkTensors(path, tensors(inputs), tensors(outputs)); err != nil {
		return nil, err
	}
	s, err := ort.NewDynamicAdvancedSession(path, []string{inputs[0].Name}, []string{outputs[0].Name}, options)
	if err != nil {
		return nil, damaged("ONNX Runtime cannot load %s: %v", path, err)
	}
	p := spec.patch
	return &session{
		s:      s,
		shape:  ort.NewShape(1, 1, int64(p[0]), int64(p[1]), int64(p[2])),
		answer: ort.NewShape(1, int64(spec.heads), int64(p[0]), int64(p[1]), int64(p[2])),
	}, nil
}

func sessionOptions(opts Options) (*ort.SessionOptions, error) {
	o, err := ort.NewSessionOptions()
	if err != nil {
		return nil, fmt.Errorf("ONNX Runtime: %w", err)
	}
	threads := opts.Threads
	if threads == 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	for _, set := range []func() error{
		func() error { return o.SetIntraOpNumThreads(threads) },
		func() error { return o.SetInterOpNumThreads(1) },
		// Threads that wait do not spin: the node has other work, and spinning gained nothing here.
		func() error { return o.AddSessionConfigEntry("session.intra_op.allow_spinning", "0") },
		func() error { return opts.Provider.add(o) },
		// A memory pattern would lay out the second patch as one block beside what the first has left in the arena.
		func() error { return o.SetMemPattern(false) },
	} {
		if err := set(); err != nil {
			o.Destroy()
			return nil, fmt.Errorf("ONNX Runtime: %w", err)
		}
	}
	return o, nil
}

// add puts the provider before the processor, which takes over what it cannot do.
func (p Provider) add(o *ort.SessionOptions) error {
	switch p {
	case CPU:
		return nil
	case CUDA:
		options, err := ort.NewCUDAProviderOptions()
		if err != nil {
			return fmt.Errorf("execution provider cuda: %w", err)
		}
		defer options.Destroy()
		if err := o.AppendExecutionProviderCUDA(options); err != nil {
			return fmt.Errorf("execution provider cuda: %w: the library must be built for it (onnxruntime-gpu)", err)
		}
		return nil
	}
	return fmt.Errorf("execution provider %q is not known: cpu or cuda", string(p))
}

func tensors(infos []ort.InputOutputInfo) []tensor {
	out := make([]tensor, len(infos))
	for i, t := range infos {
		out[i] = tensor{name: t.Name, shape: t.Dimensions, float: t.OrtValueType == ort.ONNXTypeTensor && t.DataType == ort.TensorElementDataTypeFloat}
	}
	return out
}

// patience is how long run waits for ONNX Runtime to stop: it looks for the wish to stop between two operations of the
// network, and one may take seconds.
const patience = 300 * time.Millisecond

func (s *session) run(ctx context.Context, in, out []float32) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	options, err := ort.NewRunOptions()
	if err != nil {
		return fmt.Errorf("ONNX Runtime: %w", err)
	}
	ended := make(chan error, 1)
	go func() {
		inference.Lock()
		err := ctx.Err()
		if err == nil {
			err = s.compute(in, out, options)
		}
		inference.Unlock()
		ended <- err
	}()
	select {
	case err = <-ended:
		options.Destroy()
		return err
	case <-ctx.Done():
	}
	options.Terminate()
	select {
	case <-ended:
		options.Destroy()
	case <-time.After(patience):
		left := make(chan struct{})
		s.left = left
		go func() { // the caller goes; what runs on keeps the memory it writes to
			<-ended
			options.Destroy()
			close(left)
		}()
	}
	return ctx.Err()
}

func (s *session) compute(in, out []float32, options *ort.RunOptions) error {
	input, err := ort.NewTensor(s.shape, in)
	if err != nil {
		return fmt.Errorf("ONNX Runtime: %w", err)
	}
	defer input.Destroy()
	output, err := ort.NewTensor(s.answer, out)
	if err != nil {
		return fmt.Errorf("ONNX Runtime: %w", err)
	}
	defer output.Destroy()
	if err := s.s.RunWithOptions([]ort.Value{input}, []ort.Value{output}, options); err != nil {
		return fmt.Errorf("running the network: %w", err)
	}
	return nil
}

// close frees the network: at once, or when a run that nobody waited for has ended.
func (s *session) close() {
	if s.left == nil {
		s.s.Destroy()
		return
	}
	go func() {
		<-s.left
		s.s.Destroy()
	}()
}
