package dimse

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// Message is what arrived: a command and, if it has one, its data set.
type Message struct {
	Context PresentationContext
	Command Command
	// Data is the data set as it arrives, nil if there is none. It ends with io.EOF only if the peer sent all of it.
	// What is not read of it is dropped by the next call of Next.
	Data io.Reader
}

// Next waits for the next message. ErrReleased means that the peer is done; any other error that the association ended
// otherwise. After an error the association is over.
func (as *Association) Next() (*Message, error) {
	if as.err != nil {
		return nil, as.err
	}
	if err := as.drain(); err != nil {
		return nil, err
	}
	for {
		if err := as.nextValue(true); err != nil {
			return nil, err
		}
		if as.pdv.command {
			break
		}
		if !as.mayTrail {
			return nil, as.broken(errors.New("a data set without a command"))
		}
		as.mayTrail = false
		if _, err := io.Copy(io.Discard, &dataReader{as: as, context: as.pdv.context}); err != nil {
			return nil, err
		}
	}
	context := as.Contexts[as.pdv.context]
	set, err := as.commandSet()
	if err != nil {
		return nil, err
	}
	c, err := parseCommand(set)
	if err != nil {
		return nil, as.broken(err)
	}
	as.mayTrail = !c.present[tagDataSetType]
	m := &Message{Context: context, Command: c}
	if c.HasDataSet {
		as.data = &dataReader{as: as, context: context.ID, fresh: true}
		m.Data = as.data
	}
	as.w.meter(as.data != nil)
	return m, nil
}

// drain drops what is left of the current data set.
func (as *Association) drain() error {
	if as.data == nil {
		return as.err
	}
	_, err := io.Copy(io.Discard, as.data)
	return err
}

// commandSet collects the fragments of a command set, the first of which has just begun.
func (as *Association) commandSet() ([]byte, error) {
	context := as.pdv.context
	var set []byte
	for {
		if len(set)+int(as.pdvLeft) > maxCommandSet {
			return nil, as.abort(AbortByUser, fmt.Errorf("a command set of more than %d bytes", maxCommandSet))
		}
		at := len(set)
		set = slices.Grow(set, int(as.pdvLeft))[:at+int(as.pdvLeft)]
		if _, err := io.ReadFull(as.in, set[at:]); err != nil {
			return nil, as.lost("read a command set", err)
		}
		as.pdvLeft = 0
		if as.pdv.last {
			return set, nil
		}
		if err := as.nextValue(false); err != nil {
			return nil, err
		}
		if !as.pdv.command || as.pdv.context != context {
			return nil, as.broken(errors.New("a command set is interrupted by another message"))
		}
	}
}

// nextValue begins the next presentation data value, in the next unit if the current one is used up. The current value
// must have been read. first says that a new message is awaited, which may take as long as idle.
func (as *Association) nextValue(first bool) error {
	if as.err != nil {
		return as.err
	}
	if as.pduLeft == 0 {
		as.w.wait = as.times.Stall
		if first && as.in.Buffered() == 0 {
			as.w.wait = as.idle
			as.w.meter(false)
			if _, err := as.in.Peek(1); err != nil {
				return as.lost("wait for the next message", err)
			}
			as.w.wait = as.times.Stall
		}
		as.w.metered = true
		t, length, err := as.receiveHeader(as.in)
		if err != nil {
			return err
		}
		if length > as.maxPDU {
			return as.broken(&SyntaxError{t.String(), "length", 2,
				fmt.Sprintf("%d bytes, %d were negotiated", length, as.maxPDU)})
		}
		if length == 0 {
			return as.broken(&SyntaxError{t.String(), "presentation data value", 6, "missing"})
		}
		as.pduLeft = length
	}
	var head [pdvHeaderLength]byte
	if as.pduLeft < pdvHeaderLength {
		return as.broken(&SyntaxError{typePData.String(), "presentation data value", 6,
			fmt.Sprintf("%d bytes left, its header has %d", as.pduLeft, pdvHeaderLength)})
	}
	if _, err := io.ReadFull(as.in, head[:]); err != nil {
		return as.lost("read a presentation data value", err)
	}
	h, err := parsePDVHeader(&reader{unit: typePData.String(), b: head[:], more: int(as.pduLeft) - pdvHeaderLength})
	if err != nil {
		return as.broken(err)
	}
	if _, ok := as.Contexts[h.context]; !ok {
		return as.broken(fmt.Errorf("presentation context %d was not accepted", h.context))
	}
	as.pduLeft -= pdvHeaderLength + h.length
	as.pdv, as.pdvLeft = h, h.length
	return nil
}

// dataReader reads one data set across its fragments.
type dataReader struct {
	as      *Association
	context byte
	total   int64
	fresh   bool // the first value has not begun
	err     error
}

func (d *dataReader) Read(p []byte) (int, error) {
	as := d.as
	if d.err == nil {
		d.err = as.err // the association is over
	}
	if d.err != nil || len(p) == 0 {
		return 0, d.err
	}
	for d.fresh || as.pdvLeft == 0 {
		if !d.fresh && as.pdv.last {
			d.err = io.EOF
			if as.data == d {
				as.data = nil
			}
			as.w.meter(false)
			return 0, d.err
		}
		if err := as.nextValue(false); err != nil {
			d.err = err
			return 0, err
		}
		d.fresh = false
		if as.pdv.command || as.pdv.context != d.context {
			d.err = as.broken(errors.New("a data set is interrupted by another message"))
			return 0, d.err
		}
	}
	n, err := as.in.Read(p[:min(len(p), int(as.pdvLeft))])
	as.pdvLeft -= uint32(n)
	if d.total += int64(n); d.total > as.maxData {
		d.err = as.abort(AbortByUser, fmt.Errorf("a data set of more than %d bytes", as.maxData))
		return 0, d.err
	}
	if err != nil {
		d.err = as.lost("read a data set", err)
	}
	return n, d.err
}

// Respond answers m with a status, after the peer has sent all of its data set. The instance UID of the request is
// repeated only if it has the form of one.
func (as *Association) Respond(m *Message, status uint16, comment string, offending ...Tag) error {
	if err := as.drain(); err != nil {
		return err
	}
	rsp := Command{
		Field:                m.Command.Field.Response(),
		MessageIDRespondedTo: m.Command.MessageID,
		Status:               status,
		ErrorComment:         comment,
		OffendingElements:    offending,
	}
	rsp.EventTypeID, rsp.ActionTypeID = m.Command.EventTypeID, m.Command.ActionTypeID
	// The response to an N-ACTION names as affected what the request has named as requested.
	for _, uid := range []string{m.Command.AffectedSOPClassUID, m.Command.RequestedSOPClassUID} {
		if ValidUID(uid) {
			rsp.AffectedSOPClassUID = uid
		}
	}
	for _, uid := range []string{m.Command.AffectedSOPInstanceUID, m.Command.RequestedSOPInstanceUID} {
		if ValidUID(uid) {
			rsp.AffectedSOPInstanceUID = uid
		}
	}
	return as.Send(m.Context.ID, rsp, nil)
}

// Send sends a command and, unless data is nil, a data set to its end. An error of data itself is returned as
// *SourceError; it too ends the association, because half a data set has been sent.
func (as *Association) Send(context byte, c Command, data io.Reader) error {
	if as.err != nil {
		return as.err
	}
	c.HasDataSet = data != nil
	set := appendCommand(nil, c)
	out := as.unit[:0]
	for {
		n := min(len(set), as.chunk)
		out = appendFragment(out, pdvHeader{uint32(n), context, true, n == len(set)}, set[:n])
		if set = set[n:]; len(set) == 0 {
			break
		}
	}
	if data == nil { // header and value in one write: two small ones cost a delayed acknowledgement
		return as.sendUnits(out)
	}
	// One byte is read ahead, to know the last fragment.
	if as.sending == nil {
		as.sending = make([]byte, as.chunk+1)
	}
	buf, have := as.sending, 0
	for first := true; ; first = false {
		n, err := io.ReadFull(data, buf[have:])
		have += n
		last := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !last {
			as.abort(AbortByUser, err)
			return &SourceError{err}
		}
		size := min(have, as.chunk)
		if !first {
			out = out[:0]
		}
		out = appendFragment(out, pdvHeader{uint32(size), context, false, last && size == have}, buf[:size])
		as.unit = out // grown; kept
		if err := as.sendUnits(out); err != nil {
			return err
		}
		if last && size == have {
			return nil
		}
		have = copy(buf, buf[size:have])
	}
}

// SourceError means that the data set to be sent could not be read.
type SourceError struct{ Err error }

func (e *SourceError) Error() string { return "read the object to send: " + e.Err.Error() }
func (e *SourceError) Unwrap() error { return e.Err }

func appendFragment(b []byte, h pdvHeader, fragment []byte) []byte {
	b = append(b, byte(typePData), 0)
	b = append(b, byte((h.length+pdvHeaderLength)>>24), byte((h.length+pdvHeaderLength)>>16),
		byte((h.length+pdvHeaderLength)>>8), byte(h.length+pdvHeaderLength))
	return append(appendPDVHeader(b, h), fragment...)
}

// sendUnits writes whole units. If that fails because the peer has aborted, its reason is what is returned.
func (as *Association) sendUnits(b []byte) error {
	err := as.w.send(b, as.times.Stall)
	if err == nil {
		return nil
	}
	if as.w.ctx.Err() == nil && as.state == established {
		as.w.wait, as.w.until = time.Second, time.Now().Add(time.Second)
		for as.err == nil && as.pdvLeft == 0 && as.pduLeft == 0 && as.in.Buffered() == 0 {
			t, length, herr := as.receiveHeader(as.in)
			if herr != nil {
				var aborted *AbortedError
				if errors.As(herr, &aborted) && aborted.ByPeer {
					return herr
				}
				break
			}
			if t != typePData || length > as.maxPDU { // an early answer does not matter any more
				break
			}
			if _, derr := as.in.Discard(int(length)); derr != nil {
				break
			}
		}
	}
	return as.lost("send to the peer", err)
}
