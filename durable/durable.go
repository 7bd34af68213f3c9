// Package durable writes files so that a crash of the program or of the machine leaves either the whole file under its
// final name or nothing there: a temporary file in the same file system, fsync, rename, fsync of the folder. It is the
// one place of rfanode where that order is spelled out.
package durable

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// tempPrefix marks unfinished files; RemoveTemps deletes what a crash has left of them.
const tempPrefix = ".part-"

// File is a file that is being written under a temporary name. It must end with Commit or Abort. It is not safe for
// use by several goroutines.
type File struct {
	// NoSync leaves out every fsync: the file still appears whole or not at all while the machine runs, but a power
	// failure may lose it. For measurements and for stores that are thrown away.
	NoSync bool

	f    *os.File
	dir  string
	done bool
}

// Create starts a file in dir, which must exist. The temporary file has mode 0600.
func Create(dir string) (*File, error) {
	f, err := os.CreateTemp(dir, tempPrefix+"*") // O_EXCL, mode 0600
	if err != nil {
		return nil, fmt.Errorf("start a file in %s: %w", dir, err)
	}
	return &File{f: f, dir: dir}, nil
}

// Write appends p.
func (w *File) Write(p []byte) (int, error) { return w.f.Write(p) }

// WriteAt overwrites bytes already written, for a header that is known only at the end.
func (w *File) WriteAt(p []byte, off int64) (int, error) { return w.f.WriteAt(p, off) }

// ReadAt reads back what was written so far.
func (w *File) ReadAt(p []byte, off int64) (int, error) { return w.f.ReadAt(p, off) }

// Stat describes the file, under its temporary or its final name.
func (w *File) Stat() (os.FileInfo, error) { return w.f.Stat() }

// Commit makes the file durable and gives it its final name: name is relative to the folder of Create and may lie in
// folders below it, which are made as needed. A file that has that name already is replaced. When Commit returns nil
// the file survives a crash; when it returns an error there is no file. An fsync error is final: the kernel may report
// it only once, so that a second, successful fsync would prove nothing.
func (w *File) Commit(name string) error {
	if w.done {
		return errors.New("durable: Commit after Commit or Abort")
	}
	if !filepath.IsLocal(name) {
		w.Abort()
		return fmt.Errorf("durable: the name %q leaves the folder", name)
	}
	final := filepath.Join(w.dir, name)
	parents, err := makeParents(w.dir, filepath.Dir(name))
	if err != nil {
		w.Abort()
		return err
	}
	if !w.NoSync {
		if err := w.f.Sync(); err != nil {
			w.Abort()
			return fmt.Errorf("fsync %s: %w", final, err)
		}
	}
	temp := w.f.Name()
	if err := w.f.Close(); err != nil {
		w.Abort()
		return fmt.Errorf("close %s: %w", final, err)
	}
	w.done = true
	if err := os.Rename(temp, final); err != nil {
		os.Remove(temp)
		return fmt.Errorf("give the file its final name: %w", err)
	}
	if w.NoSync {
		return nil
	}
	for _, dir := range parents {
		if err := SyncDir(dir); err != nil {
			os.Remove(final)
			return err
		}
	}
	return nil
}

// Abort throws the file away; after Commit it does nothing.
func (w *File) Abort() {
	if w.done {
		return
	}
	w.done = true
	w.f.Close()
	os.Remove(w.f.Name())
}

// makeParents makes the folders of rel below dir and returns those that need an fsync once a file was renamed into the
// last of them: that one, and above it every folder that got a new entry.
func makeParents(dir, rel string) ([]string, error) {
	last := filepath.Join(dir, rel)
	sync := []string{last}
	if rel == "." {
		return sync, nil
	}
	if _, err := os.Stat(last); err == nil {
		return sync, nil
	}
	at := dir
	for _, part := range strings.Split(rel, string(filepath.Separator)) {
		above := at
		at = filepath.Join(at, part)
		switch err := os.Mkdir(at, 0o700); {
		case err == nil:
			sync = append(sync, above)
		case errors.Is(err, os.ErrExist): // perhaps made by another goroutine that has not synced it yet
			sync = append(sync, above)
		default:
			return nil, fmt.Errorf("make the folder %s: %w", at, err)
		}
	}
	return sync, nil
}

// SyncDir makes the names in a folder durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("open the folder %s to fsync it: %w", dir, err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("fsync the folder %s: %w", dir, err)
	}
	return nil
}

// WriteFile makes or replaces the file at path durably with what write puts out. The folder must exist.
func WriteFile(path string, write func(io.Writer) error) error {
	f, err := Create(filepath.Dir(path))
	if err != nil {
		return err
	}
	if err := write(f); err != nil {
		f.Abort()
		return fmt.Errorf("write %s: %w", path, err)
	}
	return f.Commit(filepath.Base(path))
}

// RemoveTemps deletes the unfinished files that a crash has left in dir (not below it). Nobody may be writing there.
func RemoveTemps(dir string) (removed int, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, fmt.Errorf("look for unfinished files: %w", err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), tempPrefix) || !e.Type().IsRegular() {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return removed, fmt.Errorf("remove an unfinished file: %w", err)
		}
		removed++
	}
	return removed, nil
}
