// Package tooltest finds the outside programs that tests stand on: DICOM peers, validators, a Python with the reference
// readers, the shared data. On a developer's laptop a missing one skips the test with the reason; with
// RFANODE_REQUIRE_TOOLS=1, as `make test` sets it, it fails the test, so that nothing is skipped unseen.
package tooltest

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// Need returns the path of a program, or skips the test.
func Need(t testing.TB, program string) string {
	t.Helper()
	for _, dir := range []string{"", "/usr/sbin"} {
		if p, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
			return p
		}
	}
	missing(t, program+" is not installed")
	return ""
}

// Python returns a Python interpreter that has pydicom, highdicom, pynetdicom and SimpleITK, or skips the test.
func Python(t testing.TB) string {
	t.Helper()
	p := os.Getenv("RFANODE_PYTHON")
	if p == "" {
		p = filepath.Join(ModuleRoot(), ".venv", "bin", "python")
	}
	if _, err := os.Stat(p); err != nil {
		missing(t, "no Python environment: run `make venv` or set RFANODE_PYTHON")
	}
	return p
}

// ONNXRuntime returns the ONNX Runtime library that nnU-Net models run in, or skips the test.
func ONNXRuntime(t testing.TB) string {
	t.Helper()
	p := os.Getenv("RFANODE_ONNXRUNTIME")
	if p == "" {
		p = filepath.Join(ModuleRoot(), ".cache", "libonnxruntime.so")
	}
	if _, err := os.Stat(p); err != nil {
		missing(t, "no ONNX Runtime: run `make onnxruntime` or set RFANODE_ONNXRUNTIME")
	}
	return p
}

// Shared returns the folder of the shared development data (RFANODE_SHARED, else ../shared beside the project), or
// skips the test. That data is never part of the project, so its absence is no failure even under `make test`.
func Shared(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("RFANODE_SHARED")
	if dir == "" {
		dir = filepath.Join(ModuleRoot(), "..", "shared")
	}
	if _, err := os.Stat(filepath.Join(dir, "data")); err != nil {
		t.Skipf("no shared data at %s: set RFANODE_SHARED to run this test", dir)
	}
	return dir
}

// SharedPair unpacks one pair of the shared data for a test and returns its folder, or skips the test: pre, post, masks,
// landmarks.csv and the true field.
func SharedPair(t testing.TB, name string) string {
	t.Helper()
	dir := t.TempDir()
	pack := filepath.Join(Shared(t), "data", name+".tar.xz")
	if out, err := exec.Command(Need(t, "tar"), "-xJf", pack, "-C", dir).CombinedOutput(); err != nil {
		t.Fatalf("unpacking %s: %v: %s", pack, err, out)
	}
	return filepath.Join(dir, name)
}

// ModuleRoot is the folder of go.mod.
func ModuleRoot() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

func missing(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("RFANODE_REQUIRE_TOOLS") == "1" {
		t.Fatal(why)
	}
	t.Skip(why)
}
