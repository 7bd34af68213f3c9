package nnunet

import (
	"errors"
	"fmt"
)

// UnsupportedError says which property of a model is not supported, by the name it has in the model's files, and what
// can be done.
type UnsupportedError struct{ What string }

func (e *UnsupportedError) Error() string { return "not supported: " + e.What }

func unsupported(format string, args ...any) error {
	return &UnsupportedError{fmt.Sprintf(format, args...)}
}

// DamagedError says that a file of a model folder is not what it should be: a hash, a self-check, a broken file.
type DamagedError struct{ What string }

func (e *DamagedError) Error() string { return e.What }

func damaged(format string, args ...any) error {
	return &DamagedError{fmt.Sprintf(format, args...)}
}

// ErrNoLibrary is part of every error about ONNX Runtime not being there.
var ErrNoLibrary = errors.New("ONNX Runtime is not available")
