package tooltest

import (
	"os"
	"path/filepath"
)

// UseOpenJPEG lets the tests of a package decode JPEG 2000 with the OpenJPEG that the Python environment brings, where
// the system has none. Call it before the first decoding, in TestMain.
func UseOpenJPEG() {
	const variable = "RFANODE_OPENJPEG"
	if os.Getenv(variable) != "" {
		return
	}
	python := os.Getenv("RFANODE_PYTHON")
	if python == "" {
		python = filepath.Join(ModuleRoot(), ".venv", "bin", "python")
	}
	found, _ := filepath.Glob(filepath.Join(filepath.Dir(python), "..", "lib", "python3*", "site-packages", "pillow.libs", "libopenjp2*.so*"))
	if len(found) > 0 {
		os.Setenv(variable, found[0])
	}
}
