package main

import (
	"context"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rfanode/dimse"
	"rfanode/router"
	"rfanode/scp"
	"rfanode/scp/archive"
)

// afterRestart is how long a result may take once the node runs again.
const afterRestart = 2 * time.Minute

// receiver is a PACS inside the test, which can do something the moment an object is stored.
type receiver struct {
	address string
	mu      sync.Mutex
	stored  map[string]int // times each SOP Instance UID was sent
	reports int
}

func newReceiver(t *testing.T, stored func()) *receiver {
	t.Helper()
	r := &receiver{stored: map[string]int{}}
	store, err := archive.Open(t.TempDir(), archive.Options{ReserveBytes: -1, ReservePercent: -1})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	r.address = l.Addr().String()
	server := &scp.Server{AETitles: []string{"ORTHANC"}, AllowAnyPeer: true, Archive: store, Stored: func(e archive.Entry) {
		r.mu.Lock()
		r.stored[e.Header.SOPInstanceUID]++
		if e.Header.Modality == "SR" {
			r.reports++
		}
		r.mu.Unlock()
		if stored != nil {
			stored()
		}
	}}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); server.Serve(ctx, l) }()
	t.Cleanup(func() { cancel(); <-ended })
	return r
}

// checkOnce reports whether exactly one result, of four objects, is there.
func (r *receiver) checkOnce(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.stored) != 4 {
		t.Errorf("%d different objects arrived, want 4 (2 SEG, picture, SR)", len(r.stored))
	}
}

// scannerObjects are the instances of the test pair, as a scanner sends them.
func scannerObjects(t *testing.T) []dimse.Object {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(anyPair(t).dir, "p*", "*.dcm"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files (%v)", err)
	}
	objects := make([]dimse.Object, len(files))
	for i, f := range files {
		if objects[i], err = dimse.FileObject(f); err != nil {
			t.Fatal(err)
		}
	}
	return objects
}

// A power cut while a scanner is sending: everything acknowledged is there afterwards, byte for byte, and when the
// scanner sends again the result comes once.
func TestKillWhileReceiving(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes")
	}
	pacs := newReceiver(t, nil)
	n := newNode(t, pacs.address)
	n.start()
	objects := scannerObjects(t)
	acknowledged := map[string]bool{}
	scanner := dimse.Client{AETitle: "CT1"}
	err := scanner.Store(t.Context(), dimse.Peer{AETitle: "RFANODE", Address: n.address}, objects, func(i int, o dimse.Outcome) {
		if o.Stored {
			acknowledged[objects[i].SOPInstanceUID] = true
		}
		if i == len(objects)*2/5 {
			n.kill()
		}
	})
	if err == nil && len(acknowledged) == len(objects) {
		t.Fatal("the node was not killed in the middle")
	}
	t.Logf("killed after %d of %d were acknowledged", len(acknowledged), len(objects))
	store, err := archive.Open(filepath.Join(n.data, "archive"), archive.Options{ReserveBytes: -1, ReservePercent: -1})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		if !acknowledged[o.SOPInstanceUID] {
			continue
		}
		if _, err := dimse.CheckFile(store.Path(o.SOPInstanceUID), dimse.CheckLimits{}); err != nil {
			t.Errorf("acknowledged, but not whole on disk: %v", err)
		}
	}
	store.Close() // one program at a time has it
	n.start()
	n.send(anyPair(t).dir)
	n.waitFor(caseLimit, router.Delivered)
	n.stop()
	checkArchive(t, n, objects)
	pacs.checkOnce(t)
}

// checkArchive holds the data sets on disk against those sent.
func checkArchive(t *testing.T, n *running, objects []dimse.Object) {
	t.Helper()
	store, err := archive.Open(filepath.Join(n.data, "archive"), archive.Options{ReserveBytes: -1, ReservePercent: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	sent := map[string][32]byte{}
	files, _ := filepath.Glob(filepath.Join(anyPair(t).dir, "p*", "*.dcm"))
	for _, f := range files {
		h, err := dimse.CheckFile(f, dimse.CheckLimits{})
		if err != nil {
			t.Fatal(err)
		}
		sent[h.SOPInstanceUID] = h.Digest
	}
	for _, o := range objects {
		h, err := dimse.CheckFile(store.Path(o.SOPInstanceUID), dimse.CheckLimits{})
		if err != nil || h.Digest != sent[o.SOPInstanceUID] {
			t.Errorf("%s is not in the archive as it was sent (%v)", o.SOPInstanceUID, err)
		}
	}
}

// A power cut during the analysis: it is taken up again at the start, not an hour later.
func TestKillWhileAnalysing(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes")
	}
	pacs := newReceiver(t, nil)
	n := newNode(t, pacs.address)
	n.start()
	n.send(anyPair(t).dir)
	n.waitFor(time.Minute, router.Analysing)
	time.Sleep(3 * time.Second) // well inside of it
	n.kill()
	n.start()
	n.waitFor(afterRestart, router.Delivered)
	pacs.checkOnce(t)
}

// A power cut while results are sent: the rest follows, and nothing arrives as a second result.
func TestKillWhileDelivering(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes")
	}
	var n *running
	var once atomic.Bool
	pacs := newReceiver(t, func() {
		if once.CompareAndSwap(false, true) {
			n.kill()
		}
	})
	n = newNode(t, pacs.address)
	n.start()
	n.send(anyPair(t).dir)
	eventually(t, caseLimit, "the node is killed as its first object arrives", func() bool { return once.Load() && n.cmd.ProcessState != nil })
	n.start()
	c := n.waitFor(afterRestart, router.Delivered)
	for _, o := range c.Objects {
		if len(o.Outcomes) != 1 || o.Outcomes[0].State != router.Stored {
			t.Errorf("%s: %+v", o.Role, o.Outcomes)
		}
	}
	pacs.checkOnce(t)
}
