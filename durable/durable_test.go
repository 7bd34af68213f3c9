package durable

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

func names(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, p)
			all = append(all, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestCommitBelow(t *testing.T) {
	dir := t.TempDir()
	f, err := Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(f, "..whole"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("a "), 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Commit(filepath.Join("x", "y", "name")); err != nil {
		t.Fatal(err)
	}
	f.Abort() // must not hurt
	b, err := os.ReadFile(filepath.Join(dir, "x", "y", "name"))
	if err != nil || string(b) != "a whole" {
		t.Fatalf("got %q, %v", b, err)
	}
	if all := names(t, dir); len(all) != 1 {
		t.Fatalf("left beside the file: %v", all)
	}
	info, err := os.Stat(filepath.Join(dir, "x", "y", "name"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v: patient data must be for the owner alone", info.Mode(), err)
	}
}

// A failed writer must not leave half a file, nor damage the one that stood there.
func TestWriteFileFailure(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := WriteFile(path, func(w io.Writer) error { _, err := io.WriteString(w, "first"); return err }); err != nil {
		t.Fatal(err)
	}
	boom := errors.New("boom")
	err := WriteFile(path, func(w io.Writer) error { io.WriteString(w, "sec"); return boom })
	if !errors.Is(err, boom) {
		t.Fatalf("got %v", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "first" {
		t.Fatalf("the first file was damaged: %q", b)
	}
	if all := names(t, dir); len(all) != 1 {
		t.Fatalf("left over: %v", all)
	}
}

func TestNameMayNotEscape(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "in")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"../out", "/tmp/out", "a/../../out", ""} {
		f, err := Create(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Commit(name); err == nil {
			t.Errorf("%q was accepted", name)
		}
	}
	if all := names(t, filepath.Dir(dir)); len(all) != 0 {
		t.Fatalf("left over: %v", all)
	}
}

func TestRemoveTemps(t *testing.T) {
	dir := t.TempDir()
	if _, err := Create(dir); err != nil { // as if the program had died here
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "keep"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	n, err := RemoveTemps(dir)
	if err != nil || n != 1 {
		t.Fatalf("removed %d, %v", n, err)
	}
	if all := names(t, dir); len(all) != 1 || all[0] != "keep" {
		t.Fatalf("left: %v", all)
	}
}
