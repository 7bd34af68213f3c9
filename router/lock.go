package router

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// ErrNodeRunning says that another node works on the same data folder.
var ErrNodeRunning = errors.New("another rfanode node is running on this data folder: stop it, or give this one a folder of its own")

// nodeLock makes one process the node of a data folder. The kernel gives it back when the process ends, however it
// ends; the file itself means nothing and stays.
type nodeLock struct{ f *os.File }

func lockNode(dir string) (*nodeLock, error) {
	path := filepath.Join(dir, "node.lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the data folder: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s: %w", dir, ErrNodeRunning)
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return &nodeLock{f}, nil
}

func (l *nodeLock) release() { l.f.Close() }
