// Package archive keeps received instances as DICOM files (PS3.10) that survive any crash once acknowledged. A file is
// named by the SHA-256 of its SOP Instance UID, never by anything a peer chose; its data set is byte for byte what was
// received; it appears under its name whole or not at all. Nothing that was stored is ever replaced.
//
// Layout below the archive's folder:
//
//	objects/a/b/ab….dcm        the instances, spread by the first two digits of their name
//	conflicts/ab….dcm-….dcm    a known UID that came with other content, for a person to look at
//	.part-…                    being received; deleted at the next start
//	lock                       held while a program has the archive open
package archive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"rfanode/dimse"
	"rfanode/durable"
)

// Options of an archive. The zero value is right for a clinical node.
type Options struct {
	// NoSync leaves out fsync: what was acknowledged may be lost when the machine, not only the program, fails.
	NoSync bool
	// Limits of the check that a data set must pass.
	Limits dimse.CheckLimits
	// ReserveBytes and ReservePercent of the file system must stay free, or nothing more is taken. 0: 5 GiB and 5 %;
	// negative: no reserve.
	ReserveBytes   int64
	ReservePercent float64
	Log            *slog.Logger // nil: silent
}

const (
	defaultReserveBytes   = 5 << 30
	defaultReservePercent = 5

	objects   = "objects"
	conflicts = "conflicts"
	lockName  = "lock"
	suffix    = ".dcm"
)

// Archive is an open archive. It may be used by several goroutines.
type Archive struct {
	dir  string
	opts Options
	log  *slog.Logger
	lock *os.File

	mu   sync.Mutex
	busy map[string]chan struct{} // names being decided on; closed when done
}

// Entry is a stored instance.
type Entry struct {
	Path      string
	CallingAE string       // who sent it first
	Header    dimse.Header // as dimse.CheckFile reports it: offsets count from the first byte of the file
	Received  time.Time
}

// Open opens the archive in dir and makes it if there is none. It deletes the files that a crash has left unfinished:
// none of them was acknowledged. An archive can be open only once.
func Open(dir string, opts Options) (*Archive, error) {
	if opts.ReserveBytes == 0 {
		opts.ReserveBytes = defaultReserveBytes
	}
	if opts.ReservePercent == 0 {
		opts.ReservePercent = defaultReservePercent
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	a := &Archive{dir: dir, opts: opts, log: opts.Log, busy: make(map[string]chan struct{})}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the archive: %w", err)
	}
	if a.lock, err = takeLock(filepath.Join(dir, lockName)); err != nil {
		return nil, fmt.Errorf("open the archive %s: %w", dir, err)
	}
	if err := a.prepare(); err != nil {
		a.Close()
		return nil, fmt.Errorf("open the archive %s: %w", dir, err)
	}
	return a, nil
}

// Close gives the archive free for another program. Instances being received are lost, as their senders will see.
func (a *Archive) Close() error { return a.lock.Close() }

// prepare makes the folders, all at once so that no instance has to pay for one, and removes unfinished files.
func (a *Archive) prepare() error {
	const digits = "0123456789abcdef"
	above := []string{filepath.Join(a.dir, objects)}
	_, err := os.Stat(filepath.Join(a.dir, objects, "f", "f"))
	for _, x := range digits {
		for _, y := range digits {
			if err == nil { // the last one is there, so all are
				break
			}
			if err := os.MkdirAll(filepath.Join(a.dir, objects, string(x), string(y)), 0o700); err != nil {
				return err
			}
		}
		above = append(above, filepath.Join(a.dir, objects, string(x)))
	}
	for _, dir := range above { // every time: a crash may have come between making and fsync
		if err := a.syncDir(dir); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Join(a.dir, conflicts), 0o700); err != nil {
		return err
	}
	if err := a.syncDir(a.dir); err != nil {
		return err
	}
	n, err := durable.RemoveTemps(a.dir)
	if n > 0 {
		a.log.Info("removed unfinished instances that an earlier stop had left; none was acknowledged", "files", n)
	}
	return err
}

func (a *Archive) syncDir(dir string) error {
	if a.opts.NoSync {
		return nil
	}
	return durable.SyncDir(dir)
}

// name is the file name of an instance below the archive's folder.
func name(sopInstanceUID string) string {
	sum := sha256.Sum256([]byte(sopInstanceUID))
	h := hex.EncodeToString(sum[:])
	return filepath.Join(objects, h[:1], h[1:2], h+suffix)
}

// Path is where the instance is, or would be.
func (a *Archive) Path(sopInstanceUID string) string {
	return filepath.Join(a.dir, name(sopInstanceUID))
}

// Get returns a stored instance; fs.ErrNotExist if there is none.
func (a *Archive) Get(sopInstanceUID string) (Entry, error) { return a.entry(a.Path(sopInstanceUID)) }

// ErrDamaged means that a stored file is no longer what was received.
var ErrDamaged = errors.New("the data set on disk is not the one that was received")

// Verify reads a stored instance whole and compares it with the digest that was recorded when it came.
func (a *Archive) Verify(e Entry) error {
	h, err := dimse.CheckFile(e.Path, a.opts.Limits)
	if err != nil {
		return err
	}
	if h.Digest != e.Header.Digest {
		return fmt.Errorf("%s: %w", e.Path, ErrDamaged)
	}
	return nil
}

// entry reads a stored file.
func (a *Archive) entry(path string) (Entry, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Entry{}, err
	}
	h, meta, err := dimse.ReadFile(path, a.opts.Limits)
	if err != nil {
		return Entry{}, err
	}
	if a.Path(h.SOPInstanceUID) != path {
		return Entry{}, fmt.Errorf("%s does not hold the instance that it is named for", path)
	}
	return Entry{Path: path, CallingAE: meta.SourceAE, Header: h, Received: info.ModTime()}, nil
}

// Walk calls fn for every stored instance, to rebuild an index. It reads headers, not pixels. A file that is damaged is
// logged and passed over; an error of fn or of ctx ends the walk.
func (a *Archive) Walk(ctx context.Context, fn func(Entry) error) error {
	return filepath.WalkDir(filepath.Join(a.dir, objects), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("walk the archive: %w", err)
		}
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if !d.Type().IsRegular() || filepath.Ext(path) != suffix {
			return nil
		}
		e, err := a.entry(path)
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) { // removed meanwhile
				return nil
			}
			a.log.Error("a stored file cannot be read and is left out: restore it from a copy or remove it",
				"path", path, "error", err)
			return nil
		}
		return fn(e)
	})
}

// ErrReserve means that the disk has less free than the reserve.
var ErrReserve = errors.New("the disk has less free space than the configured reserve")

// CheckSpace returns ErrReserve, with the figures, when nothing more should be taken.
func (a *Archive) CheckSpace() error {
	free, total, err := space(a.dir)
	if err != nil {
		return fmt.Errorf("ask for the free space of %s: %w", a.dir, err)
	}
	if int64(free) < a.opts.ReserveBytes || float64(free) < a.opts.ReservePercent/100*float64(total) {
		return fmt.Errorf("%w: %d of %d MiB free at %s", ErrReserve, free>>20, total>>20, a.dir)
	}
	return nil
}

// hold waits until nobody else decides on name and then holds it until the returned function is called.
func (a *Archive) hold(name string) (release func()) {
	for {
		a.mu.Lock()
		wait, taken := a.busy[name]
		if !taken {
			done := make(chan struct{})
			a.busy[name] = done
			a.mu.Unlock()
			return func() {
				a.mu.Lock()
				delete(a.busy, name)
				a.mu.Unlock()
				close(done)
			}
		}
		a.mu.Unlock()
		<-wait
	}
}
