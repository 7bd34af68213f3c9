package nnunet

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// LibraryVariable is the environment variable that names the ONNX Runtime library.
const LibraryVariable = "RFANODE_ONNXRUNTIME"

// MinLibrary is the oldest ONNX Runtime that works: its programming interface has version 24.
const MinLibrary = "1.24"

// libraryCure says how to get the library.
const libraryCure = "install it with tools/install-onnxruntime, or name a libonnxruntime " + MinLibrary + " or newer in onnx_library under [segment] or in " + LibraryVariable

// Library finds the ONNX Runtime library: the path configured, else what RFANODE_ONNXRUNTIME names, else beside this
// program, else in the user's cache folder (where tools/install-onnxruntime puts it).
func Library(configured string) (string, error) {
	from, path := "onnx_library", configured
	if path == "" {
		from, path = LibraryVariable, os.Getenv(LibraryVariable)
	}
	if path != "" {
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("%w: %s names %s: %v: %s", ErrNoLibrary, from, path, err, libraryCure)
		}
		return filepath.Abs(path)
	}
	var places []string
	name := "libonnxruntime.so"
	if runtime.GOOS == "darwin" {
		name = "libonnxruntime.dylib"
	}
	if program, err := os.Executable(); err == nil {
		places = append(places, filepath.Join(filepath.Dir(program), name))
	}
	if cache, err := os.UserCacheDir(); err == nil {
		places = append(places, filepath.Join(cache, "rfanode", name))
	}
	for _, p := range places {
		if _, err := os.Stat(p); err == nil {
			return p, nil
		}
	}
	return "", fmt.Errorf("%w: no %s in any of %v: %s", ErrNoLibrary, name, places, libraryCure)
}
