package scp_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"rfanode/dimse"
	"rfanode/internal/tooltest"
	"rfanode/scp"
	"rfanode/scp/archive"
)

// receiver is a running node for a test.
type receiver struct {
	addr, host, port string
	archive          *archive.Archive // nil: of another process
	dir              string           // of the archive

	mu      sync.Mutex
	entries []archive.Entry
}

// path is where an instance is, or would be.
func (r *receiver) path(uid string) string {
	if r.archive != nil {
		return r.archive.Path(uid)
	}
	sum := sha256.Sum256([]byte(uid))
	name := hex.EncodeToString(sum[:])
	return filepath.Join(r.dir, "objects", name[:1], name[1:2], name+".dcm")
}

func (r *receiver) stored() []archive.Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]archive.Entry(nil), r.entries...)
}

// start runs a node on a free port until the test ends. set may change its settings.
func start(t testing.TB, set func(*scp.Server)) *receiver {
	t.Helper()
	return startOn(t, listen(t), set)
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// startOn is start on a given listener.
func startOn(t testing.TB, ln net.Listener, set func(*scp.Server)) *receiver {
	t.Helper()
	dir := t.TempDir()
	a, err := archive.Open(dir, archive.Options{ReserveBytes: -1, ReservePercent: -1, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{archive: a, dir: dir}
	s := &scp.Server{AETitles: []string{"RFANODE"}, AllowAnyPeer: true, Archive: a,
		Limits: scp.Limits{Drain: time.Second},
		Stored: func(e archive.Entry) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.entries = append(r.entries, e)
		}}
	if set != nil {
		set(s)
	}
	r.addr = ln.Addr().String()
	r.host, r.port, _ = net.SplitHostPort(r.addr)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
		a.Close()
	})
	return r
}

// dataSet returns the encoded data set of a Part 10 file.
func dataSet(t testing.TB, path string) (dimse.FileMeta, []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	m, offset, err := dimse.ReadFileMeta(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return m, b[offset:]
}

func run(t testing.TB, program string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	return string(out), err
}

// output collects what a program prints while it runs.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// background runs a program until the test ends.
func background(t testing.TB, program string, args ...string) (*exec.Cmd, *output) {
	t.Helper()
	cmd, out := exec.Command(program, args...), &output{}
	cmd.Stdout, cmd.Stderr = out, out
	in, err := cmd.StdinPipe() // programs that wait for its end live as long as the test
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s: %s", filepath.Base(program), out.String())
		}
	})
	return cmd, out
}

// DCMTK's senders are what most departments have: what they send must be here byte for byte.
func TestDCMTKSends(t *testing.T) {
	senders := map[string][]string{
		"storescu": {"-R", "-aec", "RFANODE"},
		"dcmsend":  {"-aec", "RFANODE"},
	}
	for name, args := range senders {
		t.Run(name, func(t *testing.T) {
			program := tooltest.Need(t, name)
			r := start(t, nil)
			dir := t.TempDir()
			paths := writeSeries(t, dir, 12, dimse.ExplicitVRLittleEndian)
			out, err := run(t, program, append(args, r.host, r.port, "+sd", dir)...)
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if n := len(r.stored()); n != len(paths) {
				t.Fatalf("%d of %d stored\n%s", n, len(paths), out)
			}
			for _, p := range paths {
				meta, sent := dataSet(t, p)
				got, kept := dataSet(t, r.archive.Path(meta.SOPInstanceUID))
				if !bytes.Equal(sent, kept) {
					t.Errorf("%s: the stored data set is not the one sent", filepath.Base(p))
				}
				if got.TransferSyntaxUID != meta.TransferSyntaxUID {
					t.Errorf("stored as %s, sent as %s", got.TransferSyntaxUID, meta.TransferSyntaxUID)
				}
			}
		})
	}
}

func TestDCMTKEcho(t *testing.T) {
	echoscu := tooltest.Need(t, "echoscu")
	r := start(t, func(s *scp.Server) {
		s.AllowAnyPeer = false
		s.Peers = []scp.Peer{{AETitle: "CT1", Hosts: []string{"127.0.0.0/8"}}, {AETitle: "CT2", Hosts: []string{"10.1.2.3"}}}
	})
	for _, c := range []struct {
		name string
		args []string
		want string // in the output; empty: success
	}{
		{"plain", []string{"-aet", "CT1", "-aec", "RFANODE"}, ""},
		{"128 contexts, 38 syntaxes", []string{"-aet", "CT1", "-aec", "RFANODE", "-ppc", "128", "-pts", "38"}, ""},
		{"called title", []string{"-aet", "CT1", "-aec", "NOBODY"}, "Called AE Title Not Recognized"},
		{"calling title", []string{"-aet", "CT9", "-aec", "RFANODE"}, "Calling AE Title Not Recognized"},
		{"right title, wrong host", []string{"-aet", "CT2", "-aec", "RFANODE"}, "Calling AE Title Not Recognized"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := run(t, echoscu, append(c.args, r.host, r.port)...)
			if (err == nil) != (c.want == "") || !strings.Contains(out, c.want) {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
