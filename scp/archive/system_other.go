//go:build !unix

package archive

import (
	"math"
	"os"
)

// takeLock opens the lock file. Here nothing keeps a second program out.
func takeLock(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
}

// space does not know the file system's figures here, so that the reserve never counts as used.
func space(string) (free, total uint64, err error) { return math.MaxInt64, 0, nil }
