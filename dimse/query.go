package dimse

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"
)

// Study Root Query/Retrieve Information Model (PS3.4 section C.6.2).
const (
	StudyRootFind = "1.2.840.10008.5.1.4.1.2.2.1"
	StudyRootMove = "1.2.840.10008.5.1.4.1.2.2.2"
)

// cancelGrace is how long a peer gets to answer C-CANCEL before the association is aborted.
const cancelGrace = 5 * time.Second

// ErrStop ends a query early when the function that takes the matches returns it.
var ErrStop = errors.New("enough")

// Find queries peer (C-FIND, study root, PS3.4 section C.4.1) with an identifier that holds the Query/Retrieve Level,
// the keys to match and, empty, those to return. each gets every match as it comes; if it returns ErrStop, or any other
// error, or if ctx ends, the query is cancelled (C-CANCEL). A peer may ignore keys, and the characters * ? and \ mean
// something in them: check what comes. Timeouts.Response bounds the time between two answers.
func (c *Client) Find(ctx context.Context, peer Peer, identifier Attributes, each func(Attributes) error) error {
	err := c.query(ctx, peer, StudyRootFind, Command{Field: CFindRQ}, identifier, func(m *Message) error {
		if m.Command.Status != StatusPending && m.Command.Status != StatusPendingWithWarning {
			return nil
		}
		match, err := m.attributes()
		if err != nil {
			return fmt.Errorf("a match cannot be read: %w", err)
		}
		return each(match)
	})
	if errors.Is(err, ErrStop) {
		return nil
	}
	return err
}

// MoveResult is how a C-MOVE ended.
type MoveResult struct {
	SubOperations
	FailedInstances []string // as far as the peer lists them
}

// Move has peer send what the identifier names to the AE title destination (C-MOVE, study root, PS3.4 section C.4.2),
// which peer must know with its address. progress, if not nil, gets the counts as they come; many peers send none. When
// ctx ends, or progress returns an error, the rest is cancelled. If some of the objects could not be sent the error is a
// *StatusError with status B000H, or A702H, and the result says how many.
func (c *Client) Move(ctx context.Context, peer Peer, destination string, identifier Attributes,
	progress func(SubOperations) error) (MoveResult, error) {
	var result MoveResult
	err := c.query(ctx, peer, StudyRootMove, Command{Field: CMoveRQ, MoveDestination: destination}, identifier,
		func(m *Message) error {
			result.SubOperations = m.Command.SubOperations
			if m.Data != nil {
				if a, err := m.attributes(); err == nil {
					if uids := a.Text(TagFailedSOPInstances); uids != "" {
						for _, uid := range bytes.Split([]byte(uids), []byte(`\`)) {
							result.FailedInstances = append(result.FailedInstances, trimValue(uid))
						}
					}
				}
			}
			if progress == nil || m.Command.Status != StatusPending {
				return nil
			}
			return progress(m.Command.SubOperations)
		})
	return result, err
}

// query sends one request and takes its responses until the final one.
func (c *Client) query(ctx context.Context, peer Peer, class string, rq Command, identifier Attributes, take func(*Message) error) error {
	// The association outlives ctx by the time that a cancellation takes.
	life, abort := context.WithCancelCause(context.WithoutCancel(ctx))
	defer abort(nil)
	opening := context.AfterFunc(ctx, func() { abort(context.Cause(ctx)) })
	as, err := c.named().request(life, peer, []ProposedContext{{1, class, smallSyntaxes}})
	if err != nil {
		return err
	}
	defer as.Close()
	if !opening() {
		return context.Cause(ctx)
	}
	pc, ok := as.Contexts[1]
	if !ok {
		_ = as.Release()
		return fmt.Errorf("%w %s (study root): %s at %s", ErrNotAccepted, rq.Field, peer.AETitle, peer.Address)
	}
	rq.MessageID, rq.AffectedSOPClassUID, rq.Priority = 1, class, defaultPriority
	if err := as.sendAttributes(pc, rq, identifier); err != nil {
		return err
	}
	q := &query{as: as, pc: pc, rq: rq, abort: abort}
	return q.responses(ctx, take)
}

// query is a request whose responses are being taken.
type query struct {
	as      *Association
	pc      PresentationContext
	rq      Command
	abort   context.CancelCauseFunc // of the association
	stopped error                   // why the rest is not wanted; nil: it is
}

// responses hands every response to take until the final one has come. When take returns an error, or ctx ends, the rest
// is cancelled and that is the error.
func (q *query) responses(ctx context.Context, take func(*Message) error) error {
	for {
		m, err := q.as.nextUnless(ctx, q.stopped != nil)
		switch {
		case err != nil && q.stopped != nil:
			return q.stopped
		case err != nil:
			return err
		case m == nil: // ctx is done
			if q.cancel(context.Cause(ctx)) != nil {
				return q.stopped
			}
			continue
		}
		rsp := m.Command
		if rsp.Field != q.rq.Field.Response() || rsp.MessageIDRespondedTo != q.rq.MessageID || !rsp.present[tagStatus] {
			return q.as.abort(AbortByUser, fmt.Errorf("%s for message %d instead of the answer to %s", rsp.Field,
				rsp.MessageIDRespondedTo, q.rq.Field))
		}
		if q.stopped == nil {
			if err := take(m); err != nil && q.cancel(err) != nil {
				return q.stopped
			}
		}
		if rsp.Status == StatusPending || rsp.Status == StatusPendingWithWarning {
			continue
		}
		if q.as.drain() == nil {
			_ = q.as.Release()
		}
		switch {
		case q.stopped != nil:
			return q.stopped
		case rsp.Status != StatusSuccess:
			return &StatusError{q.rq.Field, rsp.Status, rsp.ErrorComment}
		}
		return nil
	}
}

// cancel asks the peer to stop, and aborts the association if it does not for a while.
func (q *query) cancel(why error) error {
	q.stopped = why
	timer := time.AfterFunc(cancelGrace, func() { q.abort(errors.New("the peer does not heed C-CANCEL")) })
	context.AfterFunc(q.as.w.ctx, func() { timer.Stop() })
	return q.as.Send(q.pc.ID, Command{Field: CCancelRQ, MessageIDRespondedTo: q.rq.MessageID}, nil)
}

// lookEvery is how often a wait for the peer is interrupted to see whether it has become pointless.
const lookEvery = 100 * time.Millisecond

// nextUnless is Next, but returns nil once ctx is done, unless it may be ignored.
func (as *Association) nextUnless(ctx context.Context, ignore bool) (*Message, error) {
	for until := time.Now().Add(as.idle); !ignore; {
		if ctx.Err() != nil {
			return nil, nil
		}
		left := time.Until(until)
		came, err := as.await(min(left, lookEvery))
		if err != nil {
			return nil, err
		}
		if came {
			return as.Next()
		}
		if left <= lookEvery {
			return nil, as.abort(AbortByUser, fmt.Errorf("no answer within %s", as.idle))
		}
	}
	return as.Next()
}

// await waits up to limit for the beginning of the next message. The association goes on if none comes.
func (as *Association) await(limit time.Duration) (bool, error) {
	if err := as.drain(); err != nil {
		return false, err
	}
	if as.pduLeft > 0 || as.in.Buffered() > 0 {
		return true, nil
	}
	if limit <= 0 {
		return false, nil
	}
	as.w.meter(false)
	as.w.wait, as.w.until = limit, time.Time{}
	_, err := as.in.Peek(1)
	if isTimeout(err) && as.w.ctx.Err() == nil {
		return false, nil
	}
	if err != nil {
		return false, as.lost("wait for the next message", err)
	}
	return true, nil
}
