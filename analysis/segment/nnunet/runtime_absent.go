//go:build !cgo

package nnunet

import "fmt"

func startRuntime(string) (string, error) {
	return "", fmt.Errorf("%w: this rfanode was built without cgo: build it with CGO_ENABLED=1 and a C compiler, or use the classical segmenter", ErrNoLibrary)
}

func openNetwork(string, networkSpec, Options) (network, error) {
	_, err := startRuntime("")
	return nil, err
}
