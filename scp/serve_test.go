package scp_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rfanode/dimse"
	"rfanode/internal/tooltest"
	"rfanode/scp"
	"rfanode/scp/archive"
)

// A node that says nobody may connect, or cannot know what it should, must not start silently.
func TestServeRefusesBadSettings(t *testing.T) {
	a, err := archive.Open(t.TempDir(), archive.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	for name, s := range map[string]*scp.Server{
		"nobody may connect":      {AETitles: []string{"A"}, Archive: a},
		"no title":                {AllowAnyPeer: true, Archive: a},
		"no archive":              {AllowAnyPeer: true, AETitles: []string{"A"}},
		"title too long":          {AllowAnyPeer: true, AETitles: []string{"A_TITLE_OF_17_CHA"}, Archive: a},
		"host is a name":          {AETitles: []string{"A"}, Archive: a, Peers: []scp.Peer{{AETitle: "B", Hosts: []string{"ct.local"}}}},
		"unknown transfer syntax": {AllowAnyPeer: true, AETitles: []string{"A"}, Archive: a, TransferSyntaxes: []string{"1.2.3"}},
	} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Serve(t.Context(), ln); err == nil {
			t.Errorf("%s: started", name)
		}
	}
}

// A stop lets an object under way finish, takes no new associations, and ends within the drain time though a peer stays.
func TestDrain(t *testing.T) {
	a, err := archive.Open(t.TempDir(), archive.Options{ReserveBytes: -1, ReservePercent: -1, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	s := &scp.Server{AETitles: []string{"RFANODE"}, AllowAnyPeer: true, Archive: a,
		Limits: scp.Limits{Drain: 500 * time.Millisecond}}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln) }()
	r := &receiver{addr: ln.Addr().String()}
	p := associated(t, r)
	silent := dial(t, r)
	in := newInstance(1)
	whole := store(1, ctClass, in.uid, in.encode(true))
	p.send(whole[:len(whole)/2])
	stopped := time.Now()
	cancel()
	time.Sleep(100 * time.Millisecond)
	if conn, err := net.Dial("tcp", r.addr); err == nil {
		conn.Close()
		t.Error("a new connection was taken")
	}
	silent.expect("closed")
	p.send(whole[len(whole)/2:])
	if s := p.status(1); s != 0 {
		t.Errorf("the object under way: %04XH", s)
	}
	p.expect("ABORT 0/0") // for staying
	if err := <-done; err != nil {
		t.Error(err)
	}
	if took := time.Since(stopped); took > 3*time.Second {
		t.Errorf("took %v to stop", took)
	}

	// The same server serves again.
	if ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel = context.WithCancel(context.Background())
	go func() { done <- s.Serve(ctx, ln) }()
	for range 3 {
		alive(t, &receiver{addr: ln.Addr().String()})
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Every storage class that a current toolkit knows must be accepted, or a PACS's job with such an object fails.
func TestEveryStorageClass(t *testing.T) {
	python := tooltest.Python(t)
	r := start(t, nil)
	script := filepath.Join(t.TempDir(), "contexts.py")
	err := os.WriteFile(script, []byte(`
import sys
from pynetdicom import AE, AllStoragePresentationContexts as every
refused = []
uids = [c.abstract_syntax for c in every]
for i in range(0, len(uids), 100):
    ae = AE()
    for uid in uids[i:i + 100]:
        ae.add_requested_context(uid)
    a = ae.associate("127.0.0.1", int(sys.argv[1]), ae_title="RFANODE")
    if not a.is_established:
        sys.exit("no association")
    refused += [c.abstract_syntax for c in a.rejected_contexts]
    a.release()
print(len(uids), "proposed, refused:", refused)
sys.exit(1 if refused else 0)
`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	out, err := run(t, python, script, r.port)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Log(strings.TrimSpace(out))
}

// pynetdicom is a third, independent sender.
func TestPynetdicomSends(t *testing.T) {
	python := tooltest.Python(t)
	r := start(t, nil)
	dir := t.TempDir()
	paths := writeSeries(t, dir, 4, dimse.ImplicitVRLittleEndian)
	out, err := run(t, python, "-m", "pynetdicom", "storescu", r.host, r.port, dir, "-aec", "RFANODE", "-cx")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if n := len(r.stored()); n != len(paths) {
		t.Errorf("%d stored\n%s", n, out)
	}
}
