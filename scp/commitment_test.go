package scp_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rfanode/dimse"
	"rfanode/internal/tooltest"
	"rfanode/scp"
)

// reports collects what a node is told about the commitments that it has asked for.
type reports struct {
	mu   sync.Mutex
	got  []dimse.CommitmentReport
	from []string
	fail error
}

func (r *reports) take(aeTitle string, report dimse.CommitmentReport) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		return r.fail
	}
	r.got, r.from = append(r.got, report), append(r.from, aeTitle)
	return nil
}

func (r *reports) setFail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fail = err
}

func (r *reports) all() []dimse.CommitmentReport {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

// committing gives a node the storage commitment service, with reports going to the peers named.
func committing(t testing.TB, dir string, peers map[string]dimse.Peer) func(*scp.Server) {
	return func(s *scp.Server) {
		s.Commitments = &scp.Committer{Dir: dir, Archive: s.Archive, Client: &dimse.Client{AETitle: "RFANODE"}, Peers: peers,
			Retry: scp.CommitRetry{First: 50 * time.Millisecond, Max: 200 * time.Millisecond}}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- s.Commitments.Run(ctx) }()
		t.Cleanup(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("the committer: %v", err)
			}
		})
	}
}

func sendSeries(t testing.TB, r *receiver, n int) []dimse.Reference {
	t.Helper()
	objects := objectsOf(t, writeSeries(t, t.TempDir(), n, dimse.ExplicitVRLittleEndian))
	err := (&dimse.Client{}).Store(t.Context(), dimse.Peer{AETitle: "RFANODE", Address: r.addr}, objects, func(i int, o dimse.Outcome) {
		if !o.Stored {
			t.Errorf("object %d: %v", i, o)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	var refs []dimse.Reference
	for _, o := range objects {
		refs = append(refs, dimse.Reference{SOPClassUID: o.SOPClassUID, SOPInstanceUID: o.SOPInstanceUID})
	}
	return refs
}

// What is here is committed, what is not, or not as it was, is not, each with its reason; the report comes on the same
// association to a peer without an address.
func TestCommitmentOnTheSameAssociation(t *testing.T) {
	r := start(t, committing(t, t.TempDir(), nil))
	refs := sendSeries(t, r, 3)
	damaged := r.archive.Path(refs[2].SOPInstanceUID)
	b, err := os.ReadFile(damaged)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-1] ^= 1
	if err := os.WriteFile(damaged, b, 0o600); err != nil {
		t.Fatal(err)
	}
	other := refs[1]
	other.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
	rq := dimse.CommitmentRequest{TransactionUID: "2.25.99", References: []dimse.Reference{refs[0], other, refs[2],
		{SOPClassUID: ctClass, SOPInstanceUID: "1.2.3.4"}, {SOPClassUID: ctClass, SOPInstanceUID: "../../etc/passwd"}}}
	report, err := (&dimse.Client{AETitle: "CT1"}).RequestCommitment(t.Context(), dimse.Peer{AETitle: "RFANODE", Address: r.addr}, rq, 5*time.Second)
	if err != nil || report == nil {
		t.Fatalf("%+v, %v", report, err)
	}
	want := map[string]uint16{refs[1].SOPInstanceUID: 0x0119, refs[2].SOPInstanceUID: 0x0110, "1.2.3.4": 0x0112, "../../etc/passwd": 0x0112}
	if len(report.Committed) != 1 || report.Committed[0] != refs[0] || len(report.Failed) != len(want) || report.TransactionUID != "2.25.99" {
		t.Errorf("%+v", report)
	}
	for _, f := range report.Failed {
		if f.Reason != want[f.SOPInstanceUID] {
			t.Errorf("%s: %04XH, want %04XH", f.SOPInstanceUID, f.Reason, want[f.SOPInstanceUID])
		}
	}
}

// A report goes to the peer's address on an association of its own, is tried again until the peer takes it, and survives
// a restart of the node.
func TestCommitmentOnANewAssociation(t *testing.T) {
	told := &reports{fail: errors.New("not now")}
	scanner := start(t, func(s *scp.Server) { s.AETitles, s.CommitmentReport = []string{"CT1"}, told.take })
	dir := t.TempDir()
	peers := map[string]dimse.Peer{"CT1": {AETitle: "CT1", Address: scanner.addr}}
	r := start(t, committing(t, dir, peers))
	refs := sendSeries(t, r, 2)
	client, node := &dimse.Client{AETitle: "CT1"}, dimse.Peer{AETitle: "RFANODE", Address: r.addr}
	rq := dimse.CommitmentRequest{TransactionUID: "2.25.99", References: refs}
	report, err := client.RequestCommitment(t.Context(), node, rq, 100*time.Millisecond)
	if err != nil || report != nil {
		t.Fatalf("on the same association: %+v, %v", report, err)
	}
	if _, err := client.RequestCommitment(t.Context(), node, rq, 0); err != nil { // again: nothing new
		t.Error(err)
	}
	changed := rq
	changed.References = refs[:1]
	var status *dimse.StatusError
	if _, err := client.RequestCommitment(t.Context(), node, changed, 0); !errors.As(err, &status) || status.Status != 0x0110 {
		t.Errorf("the transaction in use for others: %v", err)
	}
	time.Sleep(200 * time.Millisecond)
	if kept, _ := filepath.Glob(filepath.Join(dir, "*.json")); len(kept) != 1 {
		t.Errorf("%d requests are kept for their report", len(kept))
	}
	told.setFail(nil)
	eventually(t, "the report is taken", func() bool { return len(told.all()) > 0 })
	if got := told.all()[0]; got.TransactionUID != "2.25.99" || !slices.Equal(got.Committed, refs) || len(got.Failed) != 0 || told.from[0] != "RFANODE" {
		t.Errorf("%+v from %v", got, told.from)
	}
	eventually(t, "the request is done with", func() bool {
		kept, _ := filepath.Glob(filepath.Join(dir, "*.json"))
		return len(kept) == 0
	})

	// A request that an earlier run has left.
	text, _ := json.Marshal(map[string]any{"ae_title": "CT1", "asked": time.Now(), "request": dimse.CommitmentRequest{TransactionUID: "2.25.100", References: refs}})
	if err := os.WriteFile(filepath.Join(dir, "left.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	again := &scp.Committer{Dir: dir, Archive: r.archive, Client: &dimse.Client{AETitle: "RFANODE"}, Peers: peers}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- again.Run(ctx) }()
	eventually(t, "the report of the earlier run", func() bool { return len(told.all()) == 2 })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Requests and reports that make no sense get the status of PS3.7 annex C; a service that is not offered is not accepted.
func TestCommitmentRefused(t *testing.T) {
	told := &reports{fail: scp.ErrUnknownTransaction}
	r := start(t, func(s *scp.Server) { committing(t, t.TempDir(), nil)(s); s.CommitmentReport = told.take })
	const id, instance = 7, dimse.StorageCommitmentInstance
	var rq dimse.Attributes
	rq.Add(dimse.TagTransactionUID, "UI", "2.25.1")
	empty := dimse.AppendAttributes(nil, rq, false)
	var ref dimse.Attributes
	ref.Add(dimse.TagReferencedSOPInstance, "UI", "1.2")
	rq.AddItems(dimse.TagReferencedSOPSequence, []dimse.Attributes{ref})
	good := dimse.AppendAttributes(nil, rq, false)
	for _, c := range []struct {
		name string
		set  []byte
		data []byte
		want uint16
	}{
		{"good", commandSet(0x0003, dimse.StorageCommitment, 0x0100, 0x0130, 0x0110, 1, 0x0800, 0, 0x1001, instance, 0x1008, 1), good, 0},
		{"no instances", commandSet(0x0003, dimse.StorageCommitment, 0x0100, 0x0130, 0x0110, 1, 0x0800, 0, 0x1001, instance, 0x1008, 1), empty, 0x0120},
		{"broken data set", commandSet(0x0003, dimse.StorageCommitment, 0x0100, 0x0130, 0x0110, 1, 0x0800, 0, 0x1001, instance, 0x1008, 1), good[:len(good)-1], 0x0110},
		{"no data set", commandSet(0x0003, dimse.StorageCommitment, 0x0100, 0x0130, 0x0110, 1, 0x0800, 0x0101, 0x1001, instance, 0x1008, 1), nil, 0x0110},
		{"other action", commandSet(0x0003, dimse.StorageCommitment, 0x0100, 0x0130, 0x0110, 1, 0x0800, 0, 0x1001, instance, 0x1008, 2), good, 0x0123},
		{"other instance", commandSet(0x0003, dimse.StorageCommitment, 0x0100, 0x0130, 0x0110, 1, 0x0800, 0, 0x1001, "1.2", 0x1008, 1), good, 0x0112},
		{"other class", commandSet(0x0003, ctClass, 0x0100, 0x0130, 0x0110, 1, 0x0800, 0, 0x1001, instance, 0x1008, 1), good, 0x0118},
		{"no action", commandSet(0x0003, dimse.StorageCommitment, 0x0100, 0x0130, 0x0110, 1, 0x0800, 0, 0x1001, instance), good, 0x0212},
		{"report on an unknown transaction", commandSet(0x0002, dimse.StorageCommitment, 0x0100, 0x0100, 0x0110, 1, 0x0800, 0, 0x1000, instance, 0x1002, 1), good, 0x0115},
		{"report of an unknown event", commandSet(0x0002, dimse.StorageCommitment, 0x0100, 0x0100, 0x0110, 1, 0x0800, 0, 0x1000, instance, 0x1002, 3), good, 0x0113},
	} {
		t.Run(c.name, func(t *testing.T) {
			request := goodRequest()
			request.contexts = append(request.contexts, proposed(id, dimse.StorageCommitment, dimse.ImplicitVRLittleEndian))
			request.extraItemsInUser = item(0x54, []byte{0, byte(len(dimse.StorageCommitment))}, []byte(dimse.StorageCommitment), []byte{1, 1})
			p := dial(t, r)
			if body := p.send(request.bytes()).expect("AC"); !bytes.Contains(body, append([]byte(dimse.StorageCommitment), 1, 1)) {
				t.Error("the roles are not both accepted")
			}
			p.send(pdu(4, value(id, isCommand|isLast, c.set)))
			if c.data != nil {
				p.send(pdu(4, value(id, isData|isLast, c.data)))
			}
			if s := p.status(1); s != c.want {
				t.Errorf("status %04XH, want %04XH", s, c.want)
			}
		})
	}
	without := start(t, nil)
	_, err := (&dimse.Client{}).RequestCommitment(t.Context(), dimse.Peer{AETitle: "RFANODE", Address: without.addr},
		dimse.CommitmentRequest{TransactionUID: "1.2", References: []dimse.Reference{{SOPClassUID: ctClass, SOPInstanceUID: "1.2"}}}, 0)
	if !errors.Is(err, dimse.ErrNotAccepted) || dimse.ErrorKind(err) != dimse.Configuration {
		t.Errorf("not offered: %v", err)
	}
}

// Orthanc asks us, and is asked by us; its report comes on an association of its own.
func TestOrthancCommitment(t *testing.T) {
	told := &reports{}
	ln := listen(t)
	peers := map[string]dimse.Peer{}
	r := startOn(t, ln, func(s *scp.Server) { committing(t, t.TempDir(), peers)(s); s.CommitmentReport = told.take })
	peer, rest := startOrthanc(t, r)
	peers["ORTHANC"] = peer
	client := &dimse.Client{AETitle: "RFANODE"}
	objects := objectsOf(t, writeSeries(t, t.TempDir(), 3, dimse.ExplicitVRLittleEndian))
	var refs []dimse.Reference
	err := client.Store(t.Context(), peer, objects, func(i int, o dimse.Outcome) {
		refs = append(refs, dimse.Reference{SOPClassUID: objects[i].SOPClassUID, SOPInstanceUID: objects[i].SOPInstanceUID})
	})
	if err != nil {
		t.Fatal(err)
	}
	missing := dimse.Reference{SOPClassUID: ctClass, SOPInstanceUID: "1.2.3.4"}
	rq := dimse.CommitmentRequest{TransactionUID: "2.25.4712", References: append(slices.Clone(refs), missing)}
	if _, err := client.RequestCommitment(t.Context(), peer, rq, 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "Orthanc reports", func() bool { return len(told.all()) > 0 })
	if got := told.all()[0]; got.TransactionUID != rq.TransactionUID || len(got.Committed) != 3 || len(got.Failed) != 1 ||
		got.Failed[0].Reference != missing || got.Failed[0].Reason != 0x0112 {
		t.Errorf("%+v", got)
	}

	// The other way: Orthanc sends to us and asks.
	var series []string
	get(t, rest+"/series", &series)
	body := `{"Resources":["` + series[0] + `"],"Synchronous":true,"StorageCommitment":true}`
	rsp, err := http.Post(rest+"/modalities/rfanode/store", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer rsp.Body.Close()
	var sent struct{ StorageCommitmentTransactionUID string }
	if err := json.NewDecoder(rsp.Body).Decode(&sent); err != nil || sent.StorageCommitmentTransactionUID == "" {
		t.Fatalf("%s, %+v, %v", rsp.Status, sent, err)
	}
	eventually(t, "Orthanc has our report", func() bool {
		var state struct {
			Status  string
			Success []any
		}
		get(t, rest+"/storage-commitment/"+sent.StorageCommitmentTransactionUID, &state)
		return state.Status == "Success" && len(state.Success) == 3
	})
}

func get(t testing.TB, url string, to any) {
	t.Helper()
	rsp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer rsp.Body.Close()
	if err := json.NewDecoder(rsp.Body).Decode(to); err != nil {
		t.Fatal(err)
	}
}

// C-FIND and C-MOVE against Orthanc: what a query finds comes to us by C-STORE.
func TestOrthancQuery(t *testing.T) {
	r := start(t, nil)
	peer, _ := startOrthanc(t, r)
	client := &dimse.Client{AETitle: "RFANODE"}
	objects := objectsOf(t, writeSeries(t, t.TempDir(), 3, dimse.ExplicitVRLittleEndian))
	if err := client.Store(t.Context(), peer, objects, func(int, dimse.Outcome) {}); err != nil {
		t.Fatal(err)
	}
	var query dimse.Attributes
	query.Add(dimse.TagQueryRetrieveLevel, "CS", "SERIES")
	query.Add(dimse.TagStudyInstanceUID, "UI", newInstance(0).study)
	query.Add(dimse.TagSeriesInstanceUID, "UI", "")
	query.Add(dimse.TagModality, "CS", "CT")
	query.Add(dimse.TagSeriesInstances, "IS", "")
	var found []dimse.Attributes
	if err := client.Find(t.Context(), peer, query, func(a dimse.Attributes) error { found = append(found, a); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 || found[0].Text(dimse.TagSeriesInstanceUID) != newInstance(0).series || found[0].Text(dimse.TagSeriesInstances) != "3" {
		t.Fatalf("found %+v", found)
	}
	var move dimse.Attributes
	move.Add(dimse.TagQueryRetrieveLevel, "CS", "SERIES")
	move.Add(dimse.TagStudyInstanceUID, "UI", newInstance(0).study)
	move.Add(dimse.TagSeriesInstanceUID, "UI", newInstance(0).series)
	result, err := client.Move(t.Context(), peer, "RFANODE", move, nil)
	if err != nil || result.Completed != 3 {
		t.Errorf("%+v, %v", result, err)
	}
	if n := len(r.stored()); n != 3 {
		t.Errorf("%d came", n)
	}
	if _, err := client.Move(t.Context(), peer, "NOBODY", move, nil); err == nil {
		t.Error("a destination that Orthanc does not know")
	}
}

// pynetdicom as both sides of storage commitment, and as a query peer that is cancelled.
func TestPynetdicomServices(t *testing.T) {
	python := tooltest.Python(t)
	told := &reports{}
	ln := listen(t)
	r := startOn(t, ln, func(s *scp.Server) { committing(t, t.TempDir(), nil)(s); s.CommitmentReport = told.take })
	refs := sendSeries(t, r, 2)
	script := filepath.Join(t.TempDir(), "services.py")
	err := os.WriteFile(script, []byte(`
import sys, time, threading
from pydicom.dataset import Dataset
from pynetdicom import AE, evt, build_role
from pynetdicom.sop_class import StorageCommitmentPushModel as SC, StudyRootQueryRetrieveInformationModelFind as FIND
port, own, uids = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
INSTANCE = "1.2.840.10008.1.20.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"

# As scanner: ask, and take the report on the same association.
report, came = [], threading.Event()
def on_report(event):
    report.append((event.event_type, event.event_information)); came.set()
    return 0x0000, None
ae = AE("PYSCU")
ae.add_requested_context(SC)
a = ae.associate("127.0.0.1", port, ae_title="RFANODE", evt_handlers=[(evt.EVT_N_EVENT_REPORT, on_report)])
rq = Dataset(); rq.TransactionUID = "2.25.77"
def ref(uid):
    d = Dataset(); d.ReferencedSOPClassUID = CT; d.ReferencedSOPInstanceUID = uid
    return d
rq.ReferencedSOPSequence = [ref(u) for u in uids] + [ref("1.2.3")]
status, _ = a.send_n_action(rq, 1, SC, INSTANCE)
assert status.Status == 0, status
assert came.wait(10), "no report"
kind, info = report[0]
assert kind == 2 and info.TransactionUID == "2.25.77", (kind, info)
assert len(info.ReferencedSOPSequence) == len(uids) and info.FailedSOPSequence[0].FailureReason == 0x0112, info
time.sleep(0.3)
a.release()

# As PACS: take requests and report on a new association; answer queries until cancelled.
def on_action(event):
    info = event.action_information
    def later():
        time.sleep(0.2)
        ae = AE("PYSCP")
        ae.add_requested_context(SC)
        a = ae.associate("127.0.0.1", port, ae_title="RFANODE", ext_neg=[build_role(SC, scu_role=False, scp_role=True)])
        r = Dataset(); r.TransactionUID = info.TransactionUID; r.ReferencedSOPSequence = info.ReferencedSOPSequence
        status, _ = a.send_n_event_report(r, 1, SC, INSTANCE)
        print("report answered %04X" % status.Status, flush=True)
        a.release()
    threading.Thread(target=later).start()
    return 0x0000, None
def on_find(event):
    for i in range(1000):
        if event.is_cancelled:
            print("cancelled", flush=True)
            yield 0xFE00, None
            return
        d = Dataset(); d.QueryRetrieveLevel = "STUDY"; d.StudyInstanceUID = "1.2.%d" % i
        time.sleep(0.02)
        yield 0xFF00, d
server = AE("PYSCP")
server.add_supported_context(SC)
server.add_supported_context(FIND)
server.start_server(("127.0.0.1", own), block=False, evt_handlers=[(evt.EVT_N_ACTION, on_action), (evt.EVT_C_FIND, on_find)])
print("ready", flush=True)
sys.stdin.read()
`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	own := freePort(t)
	_, out := background(t, python, script, r.port, own, refs[0].SOPInstanceUID, refs[1].SOPInstanceUID)
	for range 300 {
		if strings.Contains(out.String(), "ready") || strings.Contains(out.String(), "Error") {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if !strings.Contains(out.String(), "ready") {
		t.Fatalf("as scanner: %s", out.String())
	}
	client, peer := &dimse.Client{}, dimse.Peer{AETitle: "PYSCP", Address: net.JoinHostPort("127.0.0.1", own)}
	if report, err := client.RequestCommitment(t.Context(), peer, dimse.CommitmentRequest{TransactionUID: "2.25.78", References: refs}, 0); err != nil || report != nil {
		t.Errorf("%+v, %v", report, err)
	}
	eventually(t, "the report comes on a new association", func() bool { return len(told.all()) == 1 && strings.Contains(out.String(), "answered 0000") })
	if got := told.all(); len(got) != 1 || got[0].TransactionUID != "2.25.78" || !slices.Equal(got[0].Committed, refs) {
		t.Errorf("%+v", got)
	}
	var query dimse.Attributes
	query.Add(dimse.TagQueryRetrieveLevel, "CS", "STUDY")
	query.Add(dimse.TagStudyInstanceUID, "UI", "")
	n := 0
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err = client.Find(ctx, peer, query, func(dimse.Attributes) error {
		if n++; n == 5 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || n != 5 {
		t.Errorf("%d matches, %v", n, err)
	}
	eventually(t, "pynetdicom is told", func() bool { return strings.Contains(out.String(), "cancelled") })
}
