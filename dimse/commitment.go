package dimse

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"
)

// Storage Commitment Push Model (PS3.4 annex J).
const (
	StorageCommitment         = "1.2.840.10008.1.20.1"
	StorageCommitmentInstance = "1.2.840.10008.1.20.1.1" // well-known
	commitAction              = 1                        // N-ACTION: request storage commitment
	eventAllCommitted         = 1                        // N-EVENT-REPORT: successful
	eventSomeFailed           = 2                        // complete, failures exist
)

// Reasons why an instance is not committed (PS3.3 section C.14, Failure Reason).
const (
	FailureProcessing    = StatusProcessingFailure
	FailureNoSuchObject  = StatusNoSuchInstance
	FailureClassConflict = StatusClassConflict
)

// Reference names an instance.
type Reference struct{ SOPClassUID, SOPInstanceUID string }

// FailedReference is an instance that is not committed, with the reason.
type FailedReference struct {
	Reference
	Reason uint16
}

// CommitmentRequest asks to keep instances for good.
type CommitmentRequest struct {
	TransactionUID string
	References     []Reference
}

// CommitmentReport is the answer to a CommitmentRequest.
type CommitmentReport struct {
	TransactionUID string
	Committed      []Reference
	Failed         []FailedReference
}

// StatusError means that a peer answered with a status other than success.
type StatusError struct {
	Operation CommandField
	Status    uint16
	Comment   string
}

func (e *StatusError) Error() string {
	text := fmt.Sprintf("the peer answered %s with status %04XH", e.Operation, e.Status)
	if e.Comment != "" {
		text += fmt.Sprintf(" %q", e.Comment)
	}
	return text
}

func (r CommitmentRequest) attributes() Attributes {
	var a Attributes
	a.Add(TagTransactionUID, "UI", r.TransactionUID)
	a.AddItems(TagReferencedSOPSequence, referenceItems(r.References))
	return a
}

func referenceItems(refs []Reference) []Attributes {
	items := make([]Attributes, 0, len(refs))
	for _, r := range refs {
		items = append(items, r.attributes())
	}
	return items
}

func (r Reference) attributes() Attributes {
	var item Attributes
	item.Add(TagReferencedSOPClass, "UI", r.SOPClassUID)
	item.Add(TagReferencedSOPInstance, "UI", r.SOPInstanceUID)
	return item
}

func (r CommitmentReport) attributes() Attributes {
	var a Attributes
	a.Add(TagTransactionUID, "UI", r.TransactionUID)
	if len(r.Committed) > 0 {
		a.AddItems(TagReferencedSOPSequence, referenceItems(r.Committed))
	}
	if len(r.Failed) > 0 {
		var items []Attributes
		for _, f := range r.Failed {
			item := f.attributes()
			item.AddNumber(TagFailureReason, f.Reason)
			items = append(items, item)
		}
		a.AddItems(TagFailedSOPSequence, items)
	}
	return a
}

// eventType is what the report is called.
func (r CommitmentReport) eventType() uint16 {
	if len(r.Failed) > 0 {
		return eventSomeFailed
	}
	return eventAllCommitted
}

// errNoTransaction means that a request or report names no transaction.
var errNoTransaction = errors.New("no valid Transaction UID (0008,1195)")

// ReadCommitmentRequest reads what an N-ACTION-RQ asks for. status says what to answer if there is an error.
func ReadCommitmentRequest(m *Message) (rq CommitmentRequest, status uint16, err error) {
	c := m.Command
	if status := commitmentStatus(c.RequestedSOPClassUID, c.RequestedSOPInstanceUID); status != StatusSuccess {
		return rq, status, fmt.Errorf("N-ACTION on %s, instance %s", c.RequestedSOPClassUID, c.RequestedSOPInstanceUID)
	}
	if c.ActionTypeID != commitAction {
		return rq, StatusNoSuchAction, fmt.Errorf("action type %d", c.ActionTypeID)
	}
	a, err := m.attributes()
	if err != nil {
		return rq, StatusProcessingFailure, err
	}
	rq.TransactionUID = a.Text(TagTransactionUID)
	if !ValidUID(rq.TransactionUID) {
		return rq, StatusMissingAttribute, errNoTransaction
	}
	for _, item := range a.Items(TagReferencedSOPSequence) {
		rq.References = append(rq.References, item.reference())
	}
	if len(rq.References) == 0 {
		return rq, StatusMissingAttribute, errors.New("no instances (0008,1199)")
	}
	return rq, StatusSuccess, nil
}

// ReadCommitmentReport reads what an N-EVENT-REPORT-RQ reports.
func ReadCommitmentReport(m *Message) (r CommitmentReport, status uint16, err error) {
	c := m.Command
	if status := commitmentStatus(c.AffectedSOPClassUID, c.AffectedSOPInstanceUID); status != StatusSuccess {
		return r, status, fmt.Errorf("N-EVENT-REPORT on %s, instance %s", c.AffectedSOPClassUID, c.AffectedSOPInstanceUID)
	}
	if c.EventTypeID != eventAllCommitted && c.EventTypeID != eventSomeFailed {
		return r, StatusNoSuchEventType, fmt.Errorf("event type %d", c.EventTypeID)
	}
	a, err := m.attributes()
	if err != nil {
		return r, StatusProcessingFailure, err
	}
	r.TransactionUID = a.Text(TagTransactionUID)
	if !ValidUID(r.TransactionUID) {
		return r, StatusMissingAttribute, errNoTransaction
	}
	for _, item := range a.Items(TagReferencedSOPSequence) {
		r.Committed = append(r.Committed, item.reference())
	}
	for _, item := range a.Items(TagFailedSOPSequence) {
		r.Failed = append(r.Failed, FailedReference{item.reference(), item.Number(TagFailureReason)})
	}
	return r, StatusSuccess, nil
}

func (a Attributes) reference() Reference {
	return Reference{a.Text(TagReferencedSOPClass), a.Text(TagReferencedSOPInstance)}
}

// commitmentStatus says what is wrong with the class and the instance of a message about storage commitment.
func commitmentStatus(class, instance string) uint16 {
	switch {
	case class != StorageCommitment:
		return StatusNoSuchClass
	case instance != StorageCommitmentInstance:
		return StatusNoSuchInstance
	}
	return StatusSuccess
}

// attributes reads the data set of a message.
func (m *Message) attributes() (Attributes, error) {
	if m.Data == nil {
		return nil, fmt.Errorf("%s without a data set", m.Command.Field)
	}
	return ReadAttributes(m.Data, m.Context.TransferSyntax)
}

// smallSyntaxes are for data sets of a few attributes.
var smallSyntaxes = []string{ExplicitVRLittleEndian, ImplicitVRLittleEndian}

// sendAttributes sends a command with a small data set.
func (as *Association) sendAttributes(context PresentationContext, c Command, a Attributes) error {
	return as.Send(context.ID, c, bytes.NewReader(AppendAttributes(nil, a, context.TransferSyntax == ExplicitVRLittleEndian)))
}

// SendReport sends a report on this association, in which the peer asked for it, as message id. Its answer comes as a
// message of its own.
func (as *Association) SendReport(context PresentationContext, id uint16, r CommitmentReport) error {
	return as.sendAttributes(context, Command{Field: NEventReportRQ, MessageID: id, AffectedSOPClassUID: StorageCommitment,
		AffectedSOPInstanceUID: StorageCommitmentInstance, EventTypeID: r.eventType()}, r.attributes())
}

// RequestCommitment asks peer to keep instances (N-ACTION) and waits up to wait for the report on the same association;
// nil means that none came there, and one may still come on an association that the peer opens. The request must be
// known before, because the report may be faster than the answer to it.
func (c *Client) RequestCommitment(ctx context.Context, peer Peer, rq CommitmentRequest, wait time.Duration) (*CommitmentReport, error) {
	as, context, err := c.commitmentAssociation(ctx, peer, RoleSelection{StorageCommitment, true, false})
	if err != nil {
		return nil, err
	}
	defer as.Close()
	err = as.sendAttributes(context, Command{Field: NActionRQ, MessageID: 1, RequestedSOPClassUID: StorageCommitment,
		RequestedSOPInstanceUID: StorageCommitmentInstance, ActionTypeID: commitAction}, rq.attributes())
	if err != nil {
		return nil, err
	}
	var report *CommitmentReport
	answered := false
	until := time.Now().Add(as.times.Response)
	for !answered || report == nil {
		if answered {
			if came, err := as.await(time.Until(until)); err != nil || !came {
				break
			}
		}
		m, err := as.Next()
		switch {
		case answered && (errors.Is(err, ErrReleased) || errors.Is(err, ErrHungUp)):
			return report, nil // the peer need not stay
		case errors.Is(err, ErrReleased):
			return nil, fmt.Errorf("%w instead of an answer to %s", err, NActionRQ)
		case err != nil:
			return nil, err
		case m.Command.Field == NEventReportRQ:
			r, status, err := ReadCommitmentReport(m)
			if err == nil && r.TransactionUID != rq.TransactionUID {
				status, err = StatusInvalidArgument, errors.New("a report on another transaction")
			}
			comment := ""
			if err == nil {
				report = &r
			} else {
				comment = err.Error()
			}
			if err := as.Respond(m, status, comment); err != nil && report == nil {
				return nil, err
			}
		case m.Command.Field == NActionRQ.Response() && !answered:
			if m.Command.Status != StatusSuccess {
				_ = as.Release()
				return nil, &StatusError{NActionRQ, m.Command.Status, m.Command.ErrorComment}
			}
			answered, until = true, time.Now().Add(wait)
		default:
			return nil, as.abort(AbortByUser, fmt.Errorf("%s instead of an answer to %s", m.Command.Field, NActionRQ))
		}
	}
	if err := as.Release(); err != nil {
		c.log().Debug("the release was not answered", "peer", peer.AETitle, "error", err) // everything was answered
	}
	return report, nil
}

// ReportCommitment brings a report to the peer that asked for it (N-EVENT-REPORT), on a new association in which we take
// the role of the SCP.
func (c *Client) ReportCommitment(ctx context.Context, peer Peer, r CommitmentReport) error {
	as, context, err := c.commitmentAssociation(ctx, peer, RoleSelection{StorageCommitment, false, true})
	if err != nil {
		return err
	}
	defer as.Close()
	if err := as.SendReport(context, 1, r); err != nil {
		return err
	}
	rsp, err := as.answer(NEventReportRQ, 1)
	if err != nil {
		return err
	}
	_ = as.Release()
	if rsp.Status != StatusSuccess {
		return &StatusError{NEventReportRQ, rsp.Status, rsp.ErrorComment}
	}
	return nil
}

// ErrNotAccepted means that a peer does not offer a service.
var ErrNotAccepted = errors.New("the peer does not accept")

func (c *Client) commitmentAssociation(ctx context.Context, peer Peer, role RoleSelection) (*Association, PresentationContext, error) {
	as, err := c.named().request(ctx, peer, []ProposedContext{{1, StorageCommitment, smallSyntaxes}}, role)
	if err != nil {
		return nil, PresentationContext{}, err
	}
	context, ok := as.Contexts[1]
	if !ok {
		_ = as.Release()
		as.Close()
		return nil, context, fmt.Errorf("%w storage commitment: %s at %s", ErrNotAccepted, peer.AETitle, peer.Address)
	}
	return as, context, nil
}
