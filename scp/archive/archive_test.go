package archive

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"rfanode/dimse"
)

const ctClass = "1.2.840.10008.5.1.4.1.1.2"

func open(t testing.TB, dir string) *Archive {
	t.Helper()
	a, err := Open(dir, Options{ReserveBytes: -1, ReservePercent: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

// dataSet is a small one in Explicit VR Little Endian.
func dataSet(uid, patient, pixels string) []byte {
	var b []byte
	el := func(group, element uint16, vr, v string) {
		if len(v)%2 == 1 {
			v += "\x00"
		}
		b = binary.LittleEndian.AppendUint16(b, group)
		b = binary.LittleEndian.AppendUint16(b, element)
		b = append(b, vr...)
		if vr == "OW" {
			b = binary.LittleEndian.AppendUint32(append(b, 0, 0), uint32(len(v)))
		} else {
			b = binary.LittleEndian.AppendUint16(b, uint16(len(v)))
		}
		b = append(b, v...)
	}
	el(8, 0x16, "UI", ctClass)
	el(8, 0x18, "UI", uid)
	el(0x10, 0x20, "LO", patient)
	el(0x20, 0x0D, "UI", "1.2.3")
	el(0x20, 0x0E, "UI", "1.2.4")
	el(0x7FE0, 0x10, "OW", pixels)
	return b
}

func put(a *Archive, uid string, data []byte) (Entry, error) {
	in, err := a.Begin(dimse.FileMeta{SOPClassUID: ctClass, SOPInstanceUID: uid,
		TransferSyntaxUID: dimse.ExplicitVRLittleEndian, SourceAE: "CT1"})
	if err != nil {
		return Entry{}, err
	}
	defer in.Abort()
	if _, err := in.Write(data); err != nil {
		return Entry{}, err
	}
	return in.Commit()
}

func count(t testing.TB, dir string) (stored, second, parts int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || d.IsDir():
		case strings.HasPrefix(d.Name(), ".part-"):
			parts++
		case strings.Contains(p, conflicts):
			second++
		case filepath.Ext(p) == suffix:
			stored++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return
}

// What is stored is the data set as it came, behind our own file meta, and what the walk after a restart reports is what
// was reported when it came.
func TestStoreAndWalk(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir)
	var stored []Entry
	for k := range 5 {
		uid := fmt.Sprintf("1.2.3.%d", k)
		data := dataSet(uid, "P1", fmt.Sprintf("pixels%d", k))
		e, err := put(a, uid, data)
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(e.Path)
		if err != nil || !bytes.HasSuffix(b, data) || !bytes.Equal(b[:132], append(make([]byte, 128), "DICM"...)) {
			t.Fatalf("the file is not preamble, meta, data set: %v", err)
		}
		if !strings.HasPrefix(string(b[e.Header.PixelDataOffset:]), "pixels") {
			t.Error("the offset of the pixel data does not count from the file's first byte")
		}
		if e.Path != a.Path(uid) || strings.Contains(e.Path, uid) {
			t.Errorf("path %s", e.Path)
		}
		if h, err := dimse.CheckFile(e.Path, dimse.CheckLimits{}); err != nil || h != e.Header {
			t.Errorf("CheckFile reports %+v, %v; stored as %+v", h, err, e.Header)
		}
		stored = append(stored, e)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	a = open(t, dir)
	found := make(map[string]Entry)
	if err := a.Walk(t.Context(), func(e Entry) error { found[e.Path] = e; return nil }); err != nil {
		t.Fatal(err)
	}
	for _, e := range stored {
		got := found[e.Path]
		if !got.Received.Equal(e.Received) {
			t.Errorf("received %v, was %v", got.Received, e.Received)
		}
		if got.Received = e.Received; got != e {
			t.Errorf("walk reports\n%+v, it was stored as\n%+v", got, e)
		}
	}
	if len(found) != len(stored) {
		t.Errorf("%d found", len(found))
	}
}

// A crash leaves unfinished files; none may be taken for an instance, and they must go.
func TestCrash(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir)
	in, err := a.Begin(dimse.FileMeta{SOPClassUID: ctClass, SOPInstanceUID: "1.2", TransferSyntaxUID: dimse.ExplicitVRLittleEndian})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.Write(dataSet("1.2", "P", "pixels")); err != nil {
		t.Fatal(err)
	}
	if _, _, parts := count(t, dir); parts != 1 {
		t.Fatalf("%d unfinished files", parts)
	}
	a.Close() // without Commit or Abort, as a kill would leave it
	a = open(t, dir)
	if stored, _, parts := count(t, dir); stored != 0 || parts != 0 {
		t.Errorf("%d stored, %d unfinished", stored, parts)
	}
	// A file that the disk has damaged must not stop the others from being found.
	if _, err := put(a, "1.3", dataSet("1.3", "P", "pixels")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(a.Path("1.4"), []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	n := 0
	if err := a.Walk(t.Context(), func(Entry) error { n++; return nil }); err != nil || n != 1 {
		t.Errorf("%d found, %v", n, err)
	}
}

// The same instance again costs nothing; another under its UID never replaces it.
func TestDuplicates(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir)
	first, err := put(a, "1.2", dataSet("1.2", "P1", "pixels"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := put(a, "1.2", dataSet("1.2", "P1", "pixels"))
	if err != nil || again.Path != first.Path || again.Header != first.Header || !again.Received.Equal(first.Received) {
		t.Errorf("the same again: %+v, %v", again, err)
	}
	for range 2 { // the second time it is known as a conflict too
		var conflict *ConflictError
		if _, err = put(a, "1.2", dataSet("1.2", "P2", "pixels")); !errors.As(err, &conflict) || !conflict.PixelSame {
			t.Fatalf("header changed: %v", err)
		}
		if b, err := os.ReadFile(conflict.Second); err != nil || !bytes.Contains(b, []byte("P2")) {
			t.Errorf("the second is not kept: %v", err)
		}
		if strings.Contains(conflict.Error(), "P2") {
			t.Error("patient data in the error")
		}
	}
	var conflict *ConflictError
	if _, err = put(a, "1.2", dataSet("1.2", "P1", "PIXELS")); !errors.As(err, &conflict) || conflict.PixelSame {
		t.Errorf("pixels changed: %v", err)
	}
	if b, err := os.ReadFile(first.Path); err != nil || !bytes.Contains(b, []byte("P1")) {
		t.Errorf("the first was touched: %v", err)
	}
	if stored, second, parts := count(t, dir); stored != 1 || second != 2 || parts != 0 {
		t.Errorf("%d stored, %d conflicts, %d unfinished", stored, second, parts)
	}
}

// Nodes re-encode what they pass on: the same instance in other bytes is no conflict.
func TestReencodedDuplicate(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir)
	plain := dataSet("1.2", "P1", "pixels")
	first, err := put(a, "1.2", plain)
	if err != nil {
		t.Fatal(err)
	}
	padded := append(bytes.Clone(plain), "\xFC\xFF\xFC\xFFOB\x00\x00\x02\x00\x00\x00\x00\x00"...)
	again, err := put(a, "1.2", padded)
	if err != nil || again.Header != first.Header {
		t.Errorf("%+v, %v", again, err)
	}
	if b, err := os.ReadFile(first.Path); err != nil || !bytes.HasSuffix(b, plain) {
		t.Errorf("the first was replaced: %v", err)
	}
	if stored, second, parts := count(t, dir); stored != 1 || second != 0 || parts != 0 {
		t.Errorf("%d stored, %d conflicts, %d unfinished", stored, second, parts)
	}
}

// Two associations may carry the same UID at the same time: exactly one content may be acknowledged.
func TestConcurrentDuplicates(t *testing.T) {
	a := open(t, t.TempDir())
	var wg sync.WaitGroup
	errs := make([]error, 12)
	for k := range errs {
		wg.Go(func() { _, errs[k] = put(a, "1.2", dataSet("1.2", fmt.Sprintf("P%d", k%2), "pixels")) })
	}
	wg.Wait()
	var stored [2]int
	for k, err := range errs {
		var conflict *ConflictError
		if err == nil {
			stored[k%2]++
		} else if !errors.As(err, &conflict) {
			t.Error(err)
		}
	}
	if stored[0]+stored[1] != 6 || stored[0]*stored[1] != 0 {
		t.Errorf("acknowledged: %v of the two contents", stored)
	}
}

func TestRefused(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir)
	var mismatch *MismatchError
	if _, err := put(a, "1.2", dataSet("1.3", "P", "pixels")); !errors.As(err, &mismatch) || mismatch.Tag != 0x00080018 {
		t.Errorf("other UID inside: %v", err)
	}
	var check *dimse.CheckError
	if _, err := put(a, "1.2", dataSet("1.2", "P", "pixels")[:60]); !errors.As(err, &check) || check.Status != dimse.StatusTruncated {
		t.Errorf("cut: %v", err)
	}
	if stored, second, parts := count(t, dir); stored+second+parts != 0 {
		t.Errorf("%d stored, %d conflicts, %d unfinished", stored, second, parts)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := put(a, "1.2", dataSet("1.2", "P", "pixels")); err != nil {
		t.Fatal(err)
	}
	if err := a.Walk(ctx, func(Entry) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("a walk that was cancelled: %v", err)
	}
}

func TestReserve(t *testing.T) {
	a, err := Open(t.TempDir(), Options{ReserveBytes: 1 << 62})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if err := a.CheckSpace(); !errors.Is(err, ErrReserve) {
		t.Errorf("got %v", err)
	}
}

// Two programs in one archive would delete each other's unfinished files.
func TestOpenOnce(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir)
	if b, err := Open(dir, Options{}); err == nil {
		b.Close()
		t.Fatal("opened twice")
	}
	a.Close()
	open(t, dir)
}
