package dimse

import (
	"context"
	"errors"
	"fmt"
	"net"
)

// Acceptor opens associations that peers ask for.
type Acceptor struct {
	// Negotiate decides. It returns the answers to the proposed contexts, one each, and what we say of ourselves (the
	// maximum length and the implementation are filled in); or a rejection. The form of the request has been checked.
	Negotiate func(rq *AssociateRQ, from net.Conn) ([]ContextAnswer, UserInformation, *Reject)

	Timeouts   Timeouts
	MaxPDU     uint32 // 0: DefaultMaxPDU
	MaxDataSet int64  // 0: DefaultMaxDataSet
	// Large has a place for each request of more than 64 KiB that may be in memory at a time, shared by acceptors; the
	// next one waits, within its time. Nil: no limit. Peers that nobody knows yet must not fill the memory.
	Large chan struct{}
}

// RejectedError says that an association was rejected, by which side and why.
type RejectedError struct {
	Reject Reject
	ByPeer bool
	Detail string // who asked for what; ours only
}

func (e *RejectedError) Error() string {
	if e.ByPeer {
		return "the peer rejected the association: " + e.Reject.String()
	}
	return fmt.Sprintf("association rejected: %s: %s", e.Reject, e.Detail)
}

// Accept reads the request from conn and answers it. When it returns an association, the caller must close it; when it
// returns an error, the connection is closed.
func (a *Acceptor) Accept(ctx context.Context, conn net.Conn) (*Association, error) {
	as := newAssociation(ctx, conn, awaitingRequest, a.Timeouts, a.MaxPDU, a.MaxDataSet)
	as.large = a.Large
	if err := a.accept(as, conn); err != nil {
		as.Close()
		return nil, err
	}
	return as, nil
}

func (a *Acceptor) accept(as *Association, conn net.Conn) error {
	p, err := as.receive()
	if err != nil {
		return err
	}
	rq, ok := p.(*AssociateRQ)
	if !ok { // the state table takes nothing else
		return as.abort(AbortByUser, errors.New("no A-ASSOCIATE-RQ"))
	}
	if err := checkContexts(rq.Contexts); err != nil {
		return as.broken(err)
	}
	as.CalledAE, as.CallingAE = rq.CalledAE, rq.CallingAE
	reject := formRejection(rq)
	var answers []ContextAnswer
	var own UserInformation
	if reject == nil {
		answers, own, reject = a.Negotiate(rq, conn)
	}
	if reject != nil {
		err := &RejectedError{Reject: *reject, Detail: fmt.Sprintf("%q called %q", rq.CallingAE, rq.CalledAE)}
		as.state, as.err = awaitingClose, err
		if werr := as.w.send(appendPDU(nil, *reject), as.times.Stall); werr != nil {
			return fmt.Errorf("%w (and the peer did not take the answer: %w)", err, werr)
		}
		return err
	}
	proposed := make(map[byte]string, len(rq.Contexts))
	for _, c := range rq.Contexts {
		proposed[c.ID] = c.AbstractSyntax
	}
	for _, c := range answers {
		if c.Result == ContextAccepted {
			as.Contexts[c.ID] = PresentationContext{c.ID, proposed[c.ID], c.TransferSyntax}
		}
	}
	own.MaxLength, own.HasMaxLength = as.maxPDU, true
	own.ImplementationClassUID, own.ImplementationVersion = ImplementationClassUID, ImplementationVersion
	ac := &AssociateAC{ProtocolVersion: 1, CalledAE: rq.CalledAE, CallingAE: rq.CallingAE,
		ApplicationContext: ApplicationContext, Contexts: answers, User: own}
	if err := as.w.send(appendPDU(nil, ac), as.times.Stall); err != nil {
		return as.lost("accept the association", err)
	}
	as.establish(rq.User, as.times.Idle)
	return nil
}

// formRejection is the answer to a request that is well formed but asks for what nobody here speaks.
func formRejection(rq *AssociateRQ) *Reject {
	switch {
	case rq.ProtocolVersion&1 == 0:
		return &RejectProtocolVersion
	case rq.ApplicationContext != ApplicationContext:
		return &RejectApplicationContext
	case rq.User.HasMaxLength && rq.User.MaxLength > 0 && rq.User.MaxLength < minPeerPDU:
		return &RejectNoReason
	}
	return nil
}

// checkContexts refuses ids that are even or come twice (PS3.8 section 9.3.2.2).
func checkContexts(contexts []ProposedContext) error {
	seen := make(map[byte]bool, len(contexts))
	for _, c := range contexts {
		if c.ID%2 == 0 || seen[c.ID] {
			return &SyntaxError{Unit: typeAssociateRQ.String(), Field: "presentation context id",
				What: fmt.Sprintf("%d is even or comes twice", c.ID)}
		}
		seen[c.ID] = true
	}
	return nil
}
