package scp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"rfanode/dimse"
	"rfanode/scp/archive"
)

// exchange answers the messages of one association.
type exchange struct {
	*node
	ctx context.Context // ends with the time of the drain
	as  *dimse.Association
	log *slog.Logger

	stored, refused, echoes int
	reports                 uint16 // of commitments, sent on this association; the last one's message id
}

// run returns when the association is over; dimse.ErrReleased is the good end.
func (x *exchange) run() error {
	for {
		m, err := x.as.Next()
		if err != nil {
			return err
		}
		if err := x.answer(m); err != nil {
			return err
		}
	}
}

func (x *exchange) answer(m *dimse.Message) error {
	c := &m.Command
	if c.Field == dimse.NEventReportRQ.Response() && c.MessageIDRespondedTo != 0 && c.MessageIDRespondedTo <= x.reports {
		if c.Status != dimse.StatusSuccess {
			x.log.Warn("the peer did not take its commitment report", "status", fmt.Sprintf("%04XH", c.Status))
		}
		return nil
	}
	if c.Field.IsResponse() {
		return fmt.Errorf("%s without a request", c.Field)
	}
	if c.Field == dimse.CCancelRQ { // whatever it cancels is over already
		return nil
	}
	if missing := c.Missing(); len(missing) > 0 {
		return x.as.Respond(m, dimse.StatusMistypedArgument, "missing in the command", missing...)
	}
	switch c.Field {
	case dimse.CEchoRQ:
		if c.AffectedSOPClassUID != dimse.Verification || m.Context.AbstractSyntax != dimse.Verification {
			return x.as.Respond(m, dimse.StatusClassNotSupported, "C-ECHO is for the verification class")
		}
		x.echoes++
		return x.as.Respond(m, dimse.StatusSuccess, "")
	case dimse.CStoreRQ:
		return x.store(m)
	case dimse.NActionRQ:
		return x.commit(m)
	case dimse.NEventReportRQ:
		return x.reported(m)
	}
	return x.as.Respond(m, dimse.StatusUnrecognizedOp, "operation not supported")
}

// refusal is an answer other than success.
type refusal struct {
	status    uint16
	comment   string
	offending []dimse.Tag
}

// store receives one object. The error is for what ends the association.
func (x *exchange) store(m *dimse.Message) error {
	entry, no, err := x.receive(m)
	switch {
	case err != nil:
		return err
	case no != nil:
		x.refused++
		x.log.Warn("object refused", "status", fmt.Sprintf("%04XH", no.status), "reason", no.comment)
		return x.as.Respond(m, no.status, no.comment, no.offending...)
	}
	x.stored++
	x.log.Debug("stored", "sop_instance", entry.Header.SOPInstanceUID)
	err = x.as.Respond(m, dimse.StatusSuccess, "")
	// Also if the answer did not get through: the instance is here, and the peer will send it again.
	if x.Stored != nil {
		x.Stored(entry)
	}
	return err
}

// copyBuffers are large, so that an object costs few calls of the file system.
var copyBuffers = sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }}

func (x *exchange) receive(m *dimse.Message) (archive.Entry, *refusal, error) {
	c := m.Command
	switch {
	case c.AffectedSOPClassUID != m.Context.AbstractSyntax || !x.takes(m.Context.AbstractSyntax):
		return archive.Entry{}, &refusal{status: dimse.StatusClassNotSupported,
			comment: "not the SOP class of the presentation context"}, nil
	case !dimse.ValidUID(c.AffectedSOPInstanceUID):
		return archive.Entry{}, &refusal{status: dimse.StatusInvalidInstance, comment: "invalid SOP Instance UID"}, nil
	case m.Data == nil:
		return archive.Entry{}, &refusal{status: dimse.StatusMistypedArgument, comment: "C-STORE without a data set",
			offending: []dimse.Tag{0x0000_0800}}, nil
	}
	if err := x.Archive.CheckSpace(); err != nil {
		return archive.Entry{}, x.outOfResources(err), nil
	}
	in, err := x.Archive.Begin(dimse.FileMeta{SOPClassUID: c.AffectedSOPClassUID, SOPInstanceUID: c.AffectedSOPInstanceUID,
		TransferSyntaxUID: m.Context.TransferSyntax, SourceAE: x.as.CallingAE})
	if err != nil {
		return archive.Entry{}, x.outOfResources(err), nil
	}
	defer in.Abort()
	if disk, peer := spool(in, m.Data); peer != nil {
		return archive.Entry{}, nil, peer
	} else if disk != nil {
		return archive.Entry{}, x.outOfResources(disk), nil
	}
	entry, err := in.Commit()
	if err != nil {
		return archive.Entry{}, x.refuse(err), nil
	}
	return entry, nil, nil
}

// spool copies the data set to its file, in large pieces.
func spool(to io.Writer, from io.Reader) (disk, peer error) {
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	for {
		n, err := io.ReadFull(from, *buf)
		end := err == io.EOF || err == io.ErrUnexpectedEOF // of ReadFull itself, so not wrapped
		if err != nil && !end {
			return nil, err
		}
		if _, err := to.Write((*buf)[:n]); err != nil {
			return err, nil
		}
		if end {
			return nil, nil
		}
	}
}

// refuse finds the status for an object that the archive did not take.
func (x *exchange) refuse(err error) *refusal {
	var check *dimse.CheckError
	var mismatch *archive.MismatchError
	var conflict *archive.ConflictError
	switch {
	case errors.As(err, &check):
		r := &refusal{status: check.Status, comment: check.What}
		if check.Tag != 0 {
			r.offending = []dimse.Tag{check.Tag}
		}
		return r
	case errors.As(err, &mismatch):
		return &refusal{dimse.StatusDataSetMismatch, "not the object that the command names", []dimse.Tag{mismatch.Tag}}
	case errors.As(err, &conflict):
		x.log.Error("a known instance came with other content; the first was kept, look at the second",
			"kept", conflict.Kept.Path, "second", conflict.Second, "same_pixels", conflict.PixelSame)
		return &refusal{status: dimse.StatusDataSetMismatch, comment: "known UID, other content"}
	}
	return x.outOfResources(err)
}

func (x *exchange) outOfResources(err error) *refusal {
	x.log.Error("cannot store", "error", err)
	return &refusal{status: dimse.StatusOutOfResources, comment: "the receiver cannot store at the moment"}
}
