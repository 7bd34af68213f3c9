package dimse

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// Object is an instance to be sent.
type Object struct {
	SOPClassUID       string
	SOPInstanceUID    string
	TransferSyntaxUID string // of what Open gives
	// Open gives the encoded data set, without preamble and group 2. Each attempt opens it once.
	Open func() (io.ReadCloser, error)
}

// Outcome is what became of one object.
type Outcome struct {
	Stored         bool
	Status         uint16 // of the response, if there was one; a warning (Bxxx) counts as stored
	Comment        string // the peer's Error Comment
	ContextRefused bool   // the peer does not take this SOP class, or not in this transfer syntax
	Err            error  // the object could not be read
}

// Kind sorts outcomes and errors by what the sender should do.
type Kind int

const (
	Stored        Kind = iota // done
	Transient                 // the same again, later
	Configuration             // nothing will pass until somebody changes a setting, here or there
	Permanent                 // this object will never be taken as it is
)

func (k Kind) String() string {
	return [...]string{"stored", "transient", "configuration", "permanent"}[k]
}

// Kind sorts the outcome (PS3.4 table B.2-1). A refused context is permanent for the object: look at ContextRefused to
// try another SOP class.
func (o Outcome) Kind() Kind {
	switch s := o.Status; {
	case o.Stored:
		return Stored
	case o.ContextRefused:
		return Permanent
	case o.Err != nil:
		return Permanent
	case s == StatusNotAuthorized:
		return Configuration
	case s&0xFF00 == StatusOutOfResources, s == StatusResourceLimitation:
		return Transient
	case s&0xFF00 == StatusDataSetMismatch, s&0xF000 == StatusCannotUnderstand:
		return Permanent
	case s == StatusInvalidInstance, s == StatusClassNotSupported, s == StatusDuplicateInvocation,
		s == StatusUnrecognizedOp, s == StatusMistypedArgument:
		return Permanent
	}
	return Transient
}

func (o Outcome) String() string {
	switch {
	case o.Err != nil:
		return o.Err.Error()
	case o.ContextRefused:
		return "the peer does not take this SOP class in this transfer syntax"
	case o.Stored && o.Status == StatusSuccess:
		return "stored"
	}
	text := fmt.Sprintf("status %04XH", o.Status)
	if o.Comment != "" {
		text += fmt.Sprintf(" %q", o.Comment)
	}
	if o.Stored {
		return "stored with a warning: " + text
	}
	return text
}

// ErrorKind sorts an error that hit an association or an operation as a whole: a permanent rejection or a refused
// certificate needs a person, everything else may pass by itself.
func ErrorKind(err error) Kind {
	var rejected *RejectedError
	var status *StatusError
	switch {
	case err == nil:
		return Stored
	case errors.As(err, &status) && status.Status == StatusDestinationUnknown, errors.Is(err, ErrNotAccepted):
		return Configuration
	case errors.As(err, &status):
		return Outcome{Status: status.Status}.Kind()
	case errors.As(err, &rejected) && rejected.Reject.Result == RejectedPermanent, isCertificateError(err),
		errors.Is(err, ErrAETitle), errors.Is(err, ErrPlainPasscode):
		return Configuration
	}
	return Transient
}

const maxContexts = 128 // odd ids of one byte

// Store sends objects to peer (C-STORE, PS3.7 section 9.1.1) and calls done with what became of each, in order. The
// contexts are planned from the objects: each SOP class in the transfer syntax that its objects have, and Explicit VR
// Little Endian also as Implicit, into which it is converted on the way if the peer takes nothing else. One association
// is enough unless the objects need more than 128 contexts. The error is only for what hit an association as a whole:
// objects for which done was not called then were not sent, or nobody knows, and are to be sent again under the same
// UID.
func (c *Client) Store(ctx context.Context, peer Peer, objects []Object, done func(i int, o Outcome)) error {
	c = c.named()
	for start := 0; start < len(objects); {
		contexts, n := planContexts(objects[start:])
		at := start
		n, err := c.storeSome(ctx, peer, contexts, objects[start:start+n], func(i int, o Outcome) { done(at+i, o) })
		if err != nil {
			return fmt.Errorf("send to %s at %s: %w", peer.AETitle, peer.Address, err)
		}
		start += n
	}
	return nil
}

// planContexts proposes a context for each pair of class and transfer syntax, so that the peer's choice of one cannot
// hide that it takes the other. n is how many of the objects the contexts serve.
func planContexts(objects []Object) (contexts []ProposedContext, n int) {
	type pair struct{ class, syntax string }
	seen := make(map[pair]bool)
	for i, o := range objects {
		var fresh []pair
		for _, ts := range o.sendableAs() {
			if p := (pair{o.SOPClassUID, ts}); !seen[p] {
				fresh = append(fresh, p)
			}
		}
		if len(contexts)+len(fresh) > maxContexts {
			return contexts, i
		}
		for _, p := range fresh {
			seen[p] = true
			contexts = append(contexts, ProposedContext{byte(2*len(contexts) + 1), p.class, []string{p.syntax}})
		}
	}
	return contexts, len(objects)
}

// sendableAs lists the transfer syntaxes that the object can be sent in, the best first.
func (o Object) sendableAs() []string {
	if o.TransferSyntaxUID == ExplicitVRLittleEndian {
		return []string{ExplicitVRLittleEndian, ImplicitVRLittleEndian}
	}
	return []string{o.TransferSyntaxUID}
}

// storeSome sends the objects that contexts serve, on one association, and returns how many are dealt with: fewer than
// all if one could not be read to its end, which costs the association.
func (c *Client) storeSome(ctx context.Context, peer Peer, contexts []ProposedContext, objects []Object,
	done func(int, Outcome)) (int, error) {
	as, err := c.request(ctx, peer, contexts)
	if err != nil {
		return 0, err
	}
	defer as.Close()
	for i, o := range objects {
		outcome, err := as.store(o, uint16(i%0xFFFF)+1)
		var unreadable *SourceError
		if errors.As(err, &unreadable) {
			done(i, Outcome{Err: fmt.Errorf("%s: %w", o.SOPInstanceUID, unreadable)})
			return i + 1, nil
		}
		if err != nil {
			return i, fmt.Errorf("after %d of %d objects: %w", i, len(objects), err)
		}
		c.Log.Debug("C-STORE", "peer", peer.AETitle, "sop_instance", o.SOPInstanceUID, "outcome", outcome.String())
		done(i, outcome)
	}
	if err := as.Release(); err != nil {
		c.Log.Debug("the release was not answered", "peer", peer.AETitle, "error", err) // everything was answered
	}
	return len(objects), nil
}

// store sends one object and waits for its answer.
func (as *Association) store(o Object, id uint16) (Outcome, error) {
	context, ok := as.contextFor(o)
	if !ok {
		return Outcome{ContextRefused: true}, nil
	}
	data, err := o.Open()
	if err != nil {
		return Outcome{Err: fmt.Errorf("open %s: %w", o.SOPInstanceUID, err)}, nil
	}
	defer data.Close()
	var encoded io.Reader = data
	if context.TransferSyntax != o.TransferSyntaxUID {
		encoded = newImplicitReader(data)
	}
	rq := Command{Field: CStoreRQ, MessageID: id, AffectedSOPClassUID: o.SOPClassUID,
		AffectedSOPInstanceUID: o.SOPInstanceUID, Priority: defaultPriority}
	if err := as.Send(context.ID, rq, encoded); err != nil {
		return Outcome{}, err
	}
	rsp, err := as.answer(CStoreRQ, id)
	if err != nil {
		return Outcome{}, err
	}
	return Outcome{Stored: rsp.Status == StatusSuccess || rsp.Status&0xF000 == statusWarningStoreCoercion,
		Status: rsp.Status, Comment: rsp.ErrorComment}, nil
}

// contextFor finds the accepted context for an object.
func (as *Association) contextFor(o Object) (PresentationContext, bool) {
	for _, ts := range o.sendableAs() {
		for _, c := range as.Contexts {
			if c.AbstractSyntax == o.SOPClassUID && c.TransferSyntax == ts {
				return c, true
			}
		}
	}
	return PresentationContext{}, false
}
