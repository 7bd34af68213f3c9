package archive

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"rfanode/dimse"
	"rfanode/durable"
)

// Incoming is an instance being received. It must end with Commit or Abort. One goroutine uses it.
type Incoming struct {
	a      *Archive
	meta   dimse.FileMeta
	file   *durable.File
	sum    hash.Hash
	offset int64 // of the data set
	size   int64 // of the data set so far
	err    error // of writing
}

// MismatchError means that a data set is not the instance that its sender said it was.
type MismatchError struct {
	Tag             dimse.Tag
	Announced, Held string
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("%s is %q in the data set, %q in the command", e.Tag, e.Held, e.Announced)
}

// ConflictError means that another content is stored under the same SOP Instance UID. The first is kept.
type ConflictError struct {
	Kept      Entry
	Second    string // where the second one was put
	PixelSame bool   // both have the same pixel data: a header was changed
}

func (e *ConflictError) Error() string {
	what := "other content"
	if e.PixelSame {
		what = "other content, same pixel data"
	}
	return fmt.Sprintf("known UID, %s: kept %s, put the second at %s", what, e.Kept.Path, e.Second)
}

// Begin starts an instance of which the sender has announced meta. The data set follows by Write, exactly as received.
func (a *Archive) Begin(meta dimse.FileMeta) (*Incoming, error) {
	f, err := durable.Create(a.dir)
	if err != nil {
		return nil, err
	}
	f.NoSync = a.opts.NoSync
	in := &Incoming{a: a, meta: meta, file: f, sum: sha256.New()}
	meta.Digest = [sha256.Size]byte{}
	head := dimse.AppendFileMeta(nil, meta)
	in.offset = int64(len(head))
	if _, err := f.Write(head); err != nil {
		f.Abort()
		return nil, fmt.Errorf("begin an instance: %w", err)
	}
	return in, nil
}

// Write appends a part of the data set.
func (in *Incoming) Write(p []byte) (int, error) {
	n, err := in.file.Write(p)
	in.sum.Write(p[:n])
	in.size += int64(n)
	if err != nil {
		in.err = err
	}
	return n, err
}

// Abort drops what was received; after Commit it does nothing.
func (in *Incoming) Abort() { in.file.Abort() }

// Commit checks the data set and stores it. When it returns nil the instance is on disk for good and may be
// acknowledged; an instance that is stored already counts as well, also if it came in another encoding, and nothing is
// written; the entry is then the first one's. Errors:
// *dimse.CheckError (the data set cannot be taken), *MismatchError, *ConflictError; any other is a failure of the disk.
func (in *Incoming) Commit() (Entry, error) {
	defer in.file.Abort()
	if in.err != nil {
		return Entry{}, in.err
	}
	header, err := in.check()
	if err != nil {
		return Entry{}, err
	}
	in.meta.Digest = header.Digest
	if _, err := in.file.WriteAt(header.Digest[:], in.offset-sha256.Size); err != nil {
		return Entry{}, fmt.Errorf("write the digest: %w", err)
	}
	name := name(in.meta.SOPInstanceUID)
	defer in.a.hold(name)()

	switch kept, err := in.a.entry(filepath.Join(in.a.dir, name)); {
	case err == nil:
		return in.again(kept, header)
	case !errors.Is(err, fs.ErrNotExist):
		return Entry{}, fmt.Errorf("an instance with this UID is stored but cannot be read: %w", err)
	}
	info, err := in.file.Stat()
	if err != nil {
		return Entry{}, err
	}
	if err := in.file.Commit(name); err != nil {
		return Entry{}, err
	}
	return Entry{Path: filepath.Join(in.a.dir, name), CallingAE: in.meta.SourceAE, Header: header,
		Received: info.ModTime()}, nil
}

// check walks the data set and compares it with what was announced.
func (in *Incoming) check() (dimse.Header, error) {
	data := io.NewSectionReader(in.file, in.offset, in.size)
	h, err := dimse.CheckStructure(data, in.size, in.meta.TransferSyntaxUID, in.a.opts.Limits)
	if err != nil {
		return h, err
	}
	in.sum.Sum(h.Digest[:0])
	if h.PixelDataOffset > 0 && h.TransferSyntaxUID != dimse.DeflatedExplicitVRLittleEndian {
		h.PixelDataOffset += in.offset
	}
	switch {
	case h.SOPClassUID != in.meta.SOPClassUID:
		return h, &MismatchError{0x0008_0016, in.meta.SOPClassUID, h.SOPClassUID}
	case h.SOPInstanceUID != in.meta.SOPInstanceUID:
		return h, &MismatchError{0x0008_0018, in.meta.SOPInstanceUID, h.SOPInstanceUID}
	}
	return h, nil
}

// again decides on an instance whose UID is stored already.
func (in *Incoming) again(kept Entry, header dimse.Header) (Entry, error) {
	same := kept.Header.Digest == header.Digest && kept.Header.TransferSyntaxUID == header.TransferSyntaxUID
	if !same {
		var err error
		if same, err = in.sameContent(kept); err != nil {
			return Entry{}, err
		}
	}
	if same {
		// The first may have been renamed just before a crash, without its folder's fsync.
		return kept, in.a.syncDir(filepath.Dir(kept.Path))
	}
	second := filepath.Join(conflicts,
		filepath.Base(kept.Path)+"-"+hex.EncodeToString(header.Digest[:8])+suffix)
	conflict := &ConflictError{Kept: kept, Second: filepath.Join(in.a.dir, second)}
	var err error
	if conflict.PixelSame, err = in.samePixels(kept, header); err != nil {
		return Entry{}, err
	}
	if _, err := os.Stat(conflict.Second); err != nil {
		if err := in.file.Commit(second); err != nil {
			return Entry{}, err
		}
	}
	return Entry{}, conflict
}

// sameContent says whether kept is the same instance in other bytes.
func (in *Incoming) sameContent(kept Entry) (bool, error) {
	f, err := os.Open(kept.Path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	_, offset, err := dimse.ReadFileMeta(f, info.Size())
	if err != nil {
		return false, err
	}
	size := info.Size() - offset
	first, err := dimse.ContentDigest(io.NewSectionReader(f, offset, size), size, kept.Header.TransferSyntaxUID,
		in.a.opts.Limits)
	if err == nil {
		var second [sha256.Size]byte
		second, err = dimse.ContentDigest(io.NewSectionReader(in.file, in.offset, in.size), in.size,
			in.meta.TransferSyntaxUID, in.a.opts.Limits)
		if err == nil {
			return first == second, nil
		}
	}
	if errors.Is(err, dimse.ErrNoContentDigest) {
		return false, nil
	}
	return false, fmt.Errorf("compare with the stored instance: %w", err)
}

// samePixels says whether both have the same pixel data in the same form.
func (in *Incoming) samePixels(kept Entry, h dimse.Header) (bool, error) {
	k := kept.Header
	if k.PixelDataOffset == 0 || k.PixelDataLength != h.PixelDataLength || k.TransferSyntaxUID != h.TransferSyntaxUID ||
		k.TransferSyntaxUID == dimse.DeflatedExplicitVRLittleEndian {
		return false, nil
	}
	f, err := os.Open(kept.Path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	var sums [2][sha256.Size]byte
	for i, part := range []*io.SectionReader{
		io.NewSectionReader(f, k.PixelDataOffset, k.PixelDataLength),
		io.NewSectionReader(in.file, h.PixelDataOffset, h.PixelDataLength),
	} {
		sum := sha256.New()
		if _, err := io.Copy(sum, part); err != nil {
			return false, fmt.Errorf("compare the pixel data: %w", err)
		}
		sum.Sum(sums[i][:0])
	}
	return sums[0] == sums[1], nil
}
