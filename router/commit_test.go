package router

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"rfanode/dimse"
)

// committing is a PACS that is asked to commit, with what it was asked.
type committing struct {
	pacs
	mu    sync.Mutex
	asked []dimse.CommitmentRequest
}

func (p *committing) requests() []dimse.CommitmentRequest {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]dimse.CommitmentRequest(nil), p.asked...)
}

// startCommitting starts a PACS whose answer to each request is report's; nil: none on that association.
func startCommitting(t *testing.T, report func(n int, rq dimse.CommitmentRequest) *dimse.CommitmentReport) *committing {
	p := &committing{}
	p.commit = func(rq dimse.CommitmentRequest) *dimse.CommitmentReport {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.asked = append(p.asked, rq)
		return report(len(p.asked), rq)
	}
	startPACS(t, &p.pacs)
	p.destination.Commitment = true
	return p
}

func allCommitted(_ int, rq dimse.CommitmentRequest) *dimse.CommitmentReport {
	return &dimse.CommitmentReport{TransactionUID: rq.TransactionUID, Committed: rq.References}
}

func (n *node) waitCommitment(t *testing.T, want CommitmentState) Case {
	t.Helper()
	return n.wait(t, "delivered and "+string(want), func(c Case) bool {
		if c.State != Delivered {
			return false
		}
		for _, o := range c.Objects {
			for _, out := range o.Outcomes {
				if out.State == Stored && out.Commitment != want {
					return false
				}
			}
		}
		return len(c.Objects) > 0
	})
}

// What was sent is asked for, and the report on the same association is taken.
func TestCommitmentOnTheSameAssociation(t *testing.T) {
	t.Parallel()
	p := startCommitting(t, allCommitted)
	n := start(t, Options{Destinations: []Destination{p.destination}})
	n.receive(t, both(pairOf("PID-40"))...)
	c := n.waitCommitment(t, Committed)
	if rq := p.requests(); len(rq) != 1 || len(rq[0].References) != len(c.Objects) {
		t.Errorf("asked %+v", rq)
	}
}

// A report on an association of the peer's own is taken too, only from that peer, only for a transaction of ours, and
// again if our answer was lost.
func TestCommitmentReportedLater(t *testing.T) {
	t.Parallel()
	p := startCommitting(t, func(int, dimse.CommitmentRequest) *dimse.CommitmentReport { return nil })
	n := start(t, Options{Destinations: []Destination{p.destination}})
	n.receive(t, both(pairOf("PID-41"))...)
	n.waitCommitment(t, Asked)
	n.wait(t, "the request is there", func(Case) bool { return len(p.requests()) > 0 }) // it is noted before it is sent
	rq := p.requests()[0]
	report := *allCommitted(1, rq)
	if err := n.CommitmentReport(t.Context(), "SOMEBODY", report); !errors.Is(err, ErrUnknownTransaction) {
		t.Errorf("from another peer: %v", err)
	}
	other := report
	other.TransactionUID = "1.2.3"
	if err := n.CommitmentReport(t.Context(), "PACS", other); !errors.Is(err, ErrUnknownTransaction) {
		t.Errorf("another transaction: %v", err)
	}
	for range 2 {
		if err := n.CommitmentReport(t.Context(), "PACS", report); err != nil {
			t.Fatal(err)
		}
	}
	n.waitCommitment(t, Committed)
}

// What the peer does not have is sent again and asked for again; what it will not answer for is shown.
func TestCommitmentFailures(t *testing.T) {
	t.Parallel()
	p := startCommitting(t, func(k int, rq dimse.CommitmentRequest) *dimse.CommitmentReport {
		if k == 1 {
			return &dimse.CommitmentReport{TransactionUID: rq.TransactionUID, Committed: rq.References[1:],
				Failed: []dimse.FailedReference{{Reference: rq.References[0], Reason: dimse.FailureNoSuchObject}}}
		}
		return &dimse.CommitmentReport{TransactionUID: rq.TransactionUID,
			Failed: []dimse.FailedReference{{Reference: rq.References[0], Reason: dimse.FailureClassConflict}}}
	})
	n := start(t, Options{Destinations: []Destination{p.destination}})
	n.receive(t, both(pairOf("PID-42"))...)
	c := n.wait(t, "refused in the end", func(c Case) bool {
		return c.State == Delivered && c.Objects[0].Outcomes[0].Commitment == Uncommitted
	})
	if o := c.Objects[0].Outcomes[0]; !strings.Contains(o.Comment, "0119H") {
		t.Errorf("%+v", o)
	}
	if !strings.Contains(c.Reason, "does not answer for what it has stored (objects: 1)") {
		t.Errorf("reason %q", c.Reason)
	}
	for _, o := range c.Objects[1:] {
		if o.Outcomes[0].Commitment != Committed {
			t.Errorf("%s: %+v", o.Role, o.Outcomes[0])
		}
	}
	rq := p.requests()
	if len(rq) != 2 || len(rq[1].References) != 1 || rq[0].TransactionUID == rq[1].TransactionUID {
		t.Errorf("asked %+v", rq)
	}
	if p.times[c.Objects[0].SOPInstanceUID] != 2 || p.times[c.Objects[1].SOPInstanceUID] != 1 {
		t.Errorf("arrived %v", p.times)
	}
}

// A peer that never reports is asked a few times and then shown as what it is; the case stays delivered.
func TestCommitmentNeverReported(t *testing.T) {
	t.Parallel()
	p := startCommitting(t, func(int, dimse.CommitmentRequest) *dimse.CommitmentReport { return nil })
	n := start(t, Options{Destinations: []Destination{p.destination}, Retry: Retry{First: 50 * time.Millisecond, Max: 200 * time.Millisecond,
		ReportWithin: 100 * time.Millisecond}})
	n.receive(t, both(pairOf("PID-43"))...)
	c := n.waitCommitment(t, Unconfirmed)
	if rq := p.requests(); len(rq) != maxCommitRequests {
		t.Errorf("asked %d times", len(rq))
	}
	if o := c.Objects[0].Outcomes[0]; !strings.Contains(o.Comment, "no report") {
		t.Errorf("%+v", o)
	}
	if !strings.Contains(c.Reason, "pacs has not confirmed") {
		t.Errorf("reason %q", c.Reason)
	}
}
