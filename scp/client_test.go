package scp_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rfanode/dimse"
	"rfanode/internal/tooltest"
	"rfanode/scp"
)

func objectsOf(t testing.TB, paths []string) []dimse.Object {
	t.Helper()
	var all []dimse.Object
	for _, p := range paths {
		o, err := dimse.FileObject(p)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, o)
	}
	return all
}

// What our client sends, our server must have.
func TestClientToServer(t *testing.T) {
	r := start(t, nil)
	paths := writeSeries(t, t.TempDir(), 5, dimse.ImplicitVRLittleEndian)
	client := &dimse.Client{AETitle: "SENDER"}
	peer := dimse.Peer{AETitle: "RFANODE", Address: r.addr}
	if err := client.Echo(t.Context(), peer); err != nil {
		t.Fatal(err)
	}
	objects := objectsOf(t, paths)
	odd := objects[0]
	odd.SOPClassUID = "1.2.3.4.5" // no storage class: its context is refused
	odd.SOPInstanceUID = "2.25.1"
	objects = append(objects, odd)
	var outcomes []dimse.Outcome
	err := client.Store(t.Context(), peer, objects, func(i int, o dimse.Outcome) { outcomes = append(outcomes, o) })
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range outcomes {
		if i < 5 && (!o.Stored || o.Kind() != dimse.Stored) {
			t.Errorf("object %d: %v", i, o)
		}
	}
	if last := outcomes[5]; !last.ContextRefused || last.Kind() != dimse.Permanent {
		t.Errorf("the refused context was not seen: %+v", last)
	}
	for _, p := range paths {
		meta, sent := dataSet(t, p)
		if _, kept := dataSet(t, r.archive.Path(meta.SOPInstanceUID)); !bytes.Equal(sent, kept) {
			t.Errorf("%s differs", p)
		}
	}
	if got := r.stored(); len(got) != 5 || got[0].CallingAE != "SENDER" || got[0].Header.PatientID != "PID-1" {
		t.Errorf("stored: %+v", got)
	}
}

// The router sorts failures by kind: what needs a person must not be retried for ever, what will pass must not be given up.
func TestErrorKinds(t *testing.T) {
	r := start(t, func(s *scp.Server) { s.Limits.Associations = 1 })
	client := &dimse.Client{}
	err := client.Echo(t.Context(), dimse.Peer{AETitle: "WRONG", Address: r.addr})
	var rejected *dimse.RejectedError
	if !errors.As(err, &rejected) || rejected.Reject != dimse.RejectCalledAE || dimse.ErrorKind(err) != dimse.Configuration {
		t.Errorf("wrong called title: %v, %v", err, dimse.ErrorKind(err))
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := ln.Addr().String()
	ln.Close()
	err = client.Echo(t.Context(), dimse.Peer{AETitle: "GONE", Address: nobody})
	if err == nil || dimse.ErrorKind(err) != dimse.Transient {
		t.Errorf("nobody there: %v", err)
	}
	for status, want := range map[uint16]dimse.Kind{0xA700: dimse.Transient, 0x0213: dimse.Transient, 0xA900: dimse.Permanent,
		0xC123: dimse.Permanent, 0x0122: dimse.Permanent, 0x0124: dimse.Configuration} {
		if got := (dimse.Outcome{Status: status}).Kind(); got != want {
			t.Errorf("status %04X is %v, want %v", status, got, want)
		}
	}
}

// An object that cannot be read to its end must cost neither the others nor tell the peer that it was whole.
func TestUnreadableObject(t *testing.T) {
	r := start(t, nil)
	objects := objectsOf(t, writeSeries(t, t.TempDir(), 3, dimse.ExplicitVRLittleEndian))
	whole := objects[1].Open
	objects[1].Open = func() (io.ReadCloser, error) {
		f, err := whole()
		if err != nil {
			return nil, err
		}
		return struct {
			io.Reader
			io.Closer
		}{io.MultiReader(io.LimitReader(f, 500), failing{}), f}, nil
	}
	var outcomes []dimse.Outcome
	err := (&dimse.Client{}).Store(t.Context(), dimse.Peer{AETitle: "RFANODE", Address: r.addr}, objects,
		func(_ int, o dimse.Outcome) { outcomes = append(outcomes, o) })
	if err != nil || len(outcomes) != 3 {
		t.Fatalf("%v, %v", err, outcomes)
	}
	if !outcomes[0].Stored || outcomes[1].Stored || outcomes[1].Err == nil || !outcomes[2].Stored {
		t.Errorf("outcomes: %v", outcomes)
	}
	if _, err := os.Stat(r.archive.Path(objects[1].SOPInstanceUID)); err == nil {
		t.Error("half an object was stored")
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("disk gone") }

// freePort finds a port for a peer that cannot choose one itself.
func freePort(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}

// startStoreSCP runs DCMTK's storescp until the test ends and returns its address and folder.
func startStoreSCP(t testing.TB, args ...string) (peer dimse.Peer, dir string) {
	t.Helper()
	program := tooltest.Need(t, "storescp")
	dir = t.TempDir()
	port := freePort(t)
	cmd := exec.Command(program, append(args, "-od", dir, port)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("storescp: %s", out.String())
		}
	})
	peer = dimse.Peer{AETitle: "STORESCP", Address: net.JoinHostPort("127.0.0.1", port)}
	for range 100 {
		if conn, err := net.Dial("tcp", peer.Address); err == nil {
			conn.Close()
			return peer, dir
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("storescp does not listen")
	return peer, dir
}

func TestStoreToDCMTK(t *testing.T) {
	peer, dir := startStoreSCP(t)
	paths := writeSeries(t, t.TempDir(), 4, dimse.ExplicitVRLittleEndian)
	client := &dimse.Client{}
	if err := client.Echo(t.Context(), peer); err != nil {
		t.Fatal(err)
	}
	stored := 0
	err := client.Store(t.Context(), peer, objectsOf(t, paths), func(i int, o dimse.Outcome) {
		if !o.Stored {
			t.Errorf("object %d: %v", i, o)
		}
		stored++
	})
	if err != nil || stored != 4 {
		t.Fatalf("%d stored, %v", stored, err)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	if len(files) != 4 {
		t.Errorf("storescp has %d files", len(files))
	}
}

// A PACS may take nothing but the default transfer syntax.
func TestStoreToImplicitOnly(t *testing.T) {
	peer, dir := startStoreSCP(t, "+xi", "-uf")
	paths := writeSeries(t, t.TempDir(), 1, dimse.ExplicitVRLittleEndian)
	err := (&dimse.Client{}).Store(t.Context(), peer, objectsOf(t, paths), func(i int, o dimse.Outcome) {
		if !o.Stored {
			t.Errorf("object %d: %v", i, o)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	if len(files) != 1 {
		t.Fatalf("storescp has %d files", len(files))
	}
	if meta, got := dataSet(t, files[0]); meta.TransferSyntaxUID != dimse.ImplicitVRLittleEndian ||
		!bytes.Equal(got, newInstance(0).encode(false)) {
		t.Errorf("%s, not the same data set", meta.TransferSyntaxUID)
	}
}

// Receivers that misbehave: an error of the right kind, in bounded time, and no success that was none.
func TestStoreToBadDCMTK(t *testing.T) {
	paths := writeSeries(t, t.TempDir(), 2, dimse.ExplicitVRLittleEndian)
	for _, c := range []struct {
		name string
		args []string
		kind dimse.Kind
	}{
		{"refuses the association", []string{"--refuse"}, dimse.Configuration},
		{"aborts after the object", []string{"--abort-after"}, dimse.Transient},
		{"aborts during the object", []string{"--abort-during"}, dimse.Transient},
		{"sleeps", []string{"--sleep-during", "20"}, dimse.Transient},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			peer, _ := startStoreSCP(t, c.args...)
			client := &dimse.Client{Timeouts: dimse.Timeouts{Response: time.Second, Stall: time.Second}}
			ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
			defer cancel()
			err := client.Store(ctx, peer, objectsOf(t, paths), func(i int, o dimse.Outcome) {
				if o.Stored {
					t.Errorf("object %d counts as stored", i)
				}
			})
			if err == nil || ctx.Err() != nil {
				t.Fatalf("error %v", err)
			}
			if got := dimse.ErrorKind(err); got != c.kind {
				t.Errorf("%v is %v, want %v", err, got, c.kind)
			}
			if strings.Contains(err.Error(), "Prüfung") {
				t.Error("patient data in an error")
			}
		})
	}
}
