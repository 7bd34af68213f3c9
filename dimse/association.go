package dimse

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Sizes of the protocol units.
const (
	// DefaultMaxPDU is the length of a P-DATA-TF that we offer to take, and the longest that we send.
	DefaultMaxPDU = 128 << 10
	// DefaultMaxDataSet is the longest data set that is taken.
	DefaultMaxDataSet = 2 << 30
	maxAssociatePDU   = 1 << 20 // 128 contexts with 63 transfer syntaxes each take about 0.23 MB
	largeAssociatePDU = 64 << 10
	minPeerPDU        = 12 // less leaves no room for data
	assumedPeerPDU    = 16 << 10
)

// PresentationContext is an accepted one.
type PresentationContext struct {
	ID             byte
	AbstractSyntax string
	TransferSyntax string
}

// Association is an open association. One goroutine uses it, from top to bottom: Next, read the data, Send, Next, … and
// at the end Release or Close.
type Association struct {
	CallingAE, CalledAE string
	Contexts            map[byte]PresentationContext
	Peer                UserInformation // what the peer said of itself

	w        *wire
	in       *bufio.Reader
	state    state
	times    Timeouts
	idle     time.Duration // how long the peer may take to begin its next message
	maxPDU   uint32        // that we take
	maxData  int64
	chunk    int    // bytes of data in the units that we send; even
	sending  []byte // buffers of Send, kept from one object to the next
	unit     []byte
	err      error
	pduLeft  uint32 // unread bytes of the current P-DATA-TF after the current value
	pdv      pdvHeader
	pdvLeft  uint32 // unread bytes of the current value
	data     *dataReader
	large    chan struct{}
	mayTrail bool // the last command did not say whether a data set follows
}

// AbortedError says that an association was aborted, by which side and why.
type AbortedError struct {
	Abort  Abort
	ByPeer bool
	Cause  error // why we did it; nil if the peer did
}

func (e *AbortedError) Error() string {
	if e.ByPeer {
		return "the peer aborted the association: " + e.Abort.String()
	}
	return fmt.Sprintf("association aborted (%d/%d): %v", e.Abort.Source, e.Abort.Reason, e.Cause)
}

func (e *AbortedError) Unwrap() error { return e.Cause }

// ErrReleased means that the peer released the association in an orderly way.
var ErrReleased = errors.New("the peer released the association")

// ErrHungUp means that the peer closed the connection without a release.
var ErrHungUp = errors.New("the peer closed the connection without a release")

var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 64<<10) }}

// newAssociation takes over conn, in the first state of its role.
func newAssociation(ctx context.Context, conn net.Conn, first state, times Timeouts, maxPDU uint32, maxData int64) *Association {
	if maxPDU == 0 {
		maxPDU = DefaultMaxPDU
	}
	if maxData <= 0 {
		maxData = DefaultMaxDataSet
	}
	as := &Association{w: newWire(ctx, conn), state: first, times: times.withDefaults(), maxPDU: maxPDU, maxData: maxData,
		Contexts: make(map[byte]PresentationContext)}
	as.w.trickle = as.times.Trickle
	as.w.wait, as.w.until = as.times.Request, time.Now().Add(as.times.Request)
	return as
}

// establish begins the exchange of messages. idle bounds the wait for the next message of the peer.
func (as *Association) establish(peer UserInformation, idle time.Duration) {
	as.state, as.Peer, as.idle = established, peer, idle
	as.w.until = time.Time{}
	as.in = readers.Get().(*bufio.Reader)
	as.in.Reset(as.w)
	limit := peer.MaxLength
	switch {
	case !peer.HasMaxLength:
		limit = assumedPeerPDU
	case limit == 0 || limit > DefaultMaxPDU:
		limit = DefaultMaxPDU
	}
	as.chunk = int(limit-pdvHeaderLength) &^ 1
}

// RemoteAddr is the address of the peer.
func (as *Association) RemoteAddr() net.Addr { return as.w.RemoteAddr() }

// Close ends the association if it still stands, by A-ABORT, and closes the connection.
func (as *Association) Close() {
	if as.state != awaitingClose {
		as.abort(AbortByUser, errors.New("closed by us"))
	}
	if as.in != nil {
		as.in.Reset(nil)
		readers.Put(as.in)
		as.in = nil
	}
	as.w.hangUp(as.times.Linger)
}

// abort sends A-ABORT and returns the error that says so, which stays the association's error.
func (as *Association) abort(how Abort, why error) error {
	if as.err == nil {
		as.err = &AbortedError{Abort: how, Cause: why}
	}
	if as.state != awaitingClose {
		as.state = awaitingClose
		// Whoever cancelled wants an end, not silence: the unit is still sent, so not through send, which obeys ctx.
		if !as.w.deaf && as.w.SetWriteDeadline(time.Now().Add(as.times.Linger)) == nil {
			if _, err := as.w.Write(appendPDU(nil, how)); err != nil {
				as.w.deaf = true
			}
		}
	}
	return as.err
}

// lost ends the association when reading failed: an abort if the peer was too slow or broke the rules, else just the
// end.
func (as *Association) lost(doing string, err error) error {
	if as.err != nil {
		return as.err
	}
	switch {
	case isTimeout(err), errors.Is(err, errStalled), as.w.ctx.Err() != nil:
		return as.abort(AbortByUser, fmt.Errorf("%s: %w", doing, err))
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		err = ErrHungUp
	}
	as.state = awaitingClose
	as.err = fmt.Errorf("%s: %w", doing, err)
	return as.err
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// broken aborts because the peer sent what its own form forbids.
func (as *Association) broken(err error) error {
	if as.state == awaitingRequest {
		return as.abort(AbortByUser, err)
	}
	return as.abort(AbortInvalidParameter, err)
}

// receive reads one whole unit, for the states before the exchange of messages.
func (as *Association) receive() (pdu, error) {
	t, length, err := as.receiveHeader(as.w)
	if err != nil {
		return nil, err
	}
	if length > maxAssociatePDU {
		return nil, as.broken(&SyntaxError{t.String(), "length", 2, fmt.Sprintf("%d bytes", length)})
	}
	if length > largeAssociatePDU && as.large != nil {
		wait := time.NewTimer(time.Until(as.w.until))
		defer wait.Stop()
		select {
		case as.large <- struct{}{}:
			defer func() { <-as.large }()
		case <-wait.C:
			return nil, as.abort(AbortByUser, fmt.Errorf("no place for %s of %d bytes", t, length))
		case <-as.w.ctx.Done():
			return nil, as.abort(AbortByUser, context.Cause(as.w.ctx))
		}
	}
	// The buffer grows with what arrives, never with what was announced.
	var body bytes.Buffer
	if _, err := io.CopyN(&body, as.w, int64(length)); err != nil {
		return nil, as.lost("read "+t.String(), err)
	}
	p, err := parsePDU(t, body.Bytes())
	if err != nil {
		return nil, as.broken(err)
	}
	return p, nil
}

// receiveHeader reads the header of the next unit and does what the state table asks for, so that what it returns may be
// taken (or skipped, in awaitingRelease). A-ABORT and A-RELEASE-RQ are dealt with here.
func (as *Association) receiveHeader(src io.Reader) (pduType, uint32, error) {
	for {
		var head [pduHeaderLength]byte
		if _, err := io.ReadFull(src, head[:]); err != nil {
			return 0, 0, as.lost("wait for the peer", err)
		}
		t, length := parsePDUHeader(head)
		switch actionFor(as.state, t) {
		case take, skip:
			return t, length, nil
		case abortAtOnce:
			return 0, 0, as.abort(AbortByUser, fmt.Errorf("%s as the first unit%s", t, guess(head)))
		case abortUnexpected:
			return 0, 0, as.abort(AbortUnexpectedPDU, fmt.Errorf("unexpected %s", t))
		case abortUnknown:
			return 0, 0, as.abort(AbortUnknownPDU, errors.New(t.String()))
		case end, answerRelease:
			p, err := as.receiveShort(src, t, length)
			if err != nil {
				return 0, 0, err
			}
			if how, ok := p.(Abort); ok {
				as.state, as.err = awaitingClose, &AbortedError{Abort: how, ByPeer: true}
				return 0, 0, as.err
			}
			if err := as.w.send(appendPDU(nil, releaseRP{}), as.times.Stall); err != nil {
				return 0, 0, as.lost("answer the release", err)
			}
			if as.state == awaitingRelease { // both sides asked at once: our own answer is still to come
				continue
			}
			as.state, as.err = awaitingClose, ErrReleased
			return 0, 0, as.err
		}
	}
}

// receiveShort reads the body of a unit that has four bytes of it.
func (as *Association) receiveShort(src io.Reader, t pduType, length uint32) (pdu, error) {
	var body [4]byte
	if length != uint32(len(body)) {
		return nil, as.broken(&SyntaxError{t.String(), "length", 2, fmt.Sprintf("%d bytes instead of 4", length)})
	}
	if _, err := io.ReadFull(src, body[:]); err != nil {
		return nil, as.lost("read "+t.String(), err)
	}
	return parsePDU(t, body[:])
}

// guess names the protocols that are most often sent to a DICOM port by mistake.
func guess(head [pduHeaderLength]byte) string {
	switch {
	case head[0] == 0x16 && head[1] == 3:
		return " (a TLS client on the plain port?)"
	case bytes.HasPrefix(head[:], []byte("GET ")), bytes.HasPrefix(head[:], []byte("POST ")),
		bytes.HasPrefix(head[:], []byte("HEAD ")), bytes.HasPrefix(head[:], []byte("OPTION")):
		return " (an HTTP client?)"
	}
	return ""
}

// Release asks for the end of the association and waits for the answer. Close must still be called.
func (as *Association) Release() error {
	if as.state != established {
		return as.err
	}
	if err := as.w.send(appendPDU(nil, releaseRQ{}), as.times.Stall); err != nil {
		return as.lost("release the association", err)
	}
	as.state = awaitingRelease
	as.w.meter(false)
	as.w.wait, as.w.until = as.times.Stall, time.Now().Add(as.times.Stall)
	// Whatever of the peer's last unit nobody has read, and whole units that crossed our request, are dropped.
	if _, err := as.in.Discard(int(as.pdvLeft) + int(as.pduLeft)); err != nil {
		return as.lost("release the association", err)
	}
	as.pdvLeft, as.pduLeft = 0, 0
	for {
		t, length, err := as.receiveHeader(as.in)
		switch {
		case err != nil:
			return err
		case t == typePData && length > as.maxPDU:
			return as.broken(&SyntaxError{t.String(), "length", 2, fmt.Sprintf("%d bytes", length)})
		case t == typePData:
			if _, err := as.in.Discard(int(length)); err != nil {
				return as.lost("release the association", err)
			}
		default: // A-RELEASE-RP, the only other unit that the state table lets through
			if _, err := as.receiveShort(as.in, t, length); err != nil {
				return err
			}
			as.state, as.err = awaitingClose, ErrReleased
			return nil
		}
	}
}
