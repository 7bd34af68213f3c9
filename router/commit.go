package router

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/riverqueue/river"

	"rfanode/analysis/ct"
	"rfanode/dimse"
)

// CommitmentState of a stored object at a destination that is asked to keep it (storage commitment, PS3.4 annex J).
type CommitmentState string

const (
	NotAsked    CommitmentState = ""
	Asked       CommitmentState = "asked"
	Committed   CommitmentState = "committed"
	Uncommitted CommitmentState = "refused"     // the destination will not answer for it
	Unconfirmed CommitmentState = "unconfirmed" // sent, and nobody has said that it is kept
)

// States of a request.
const (
	commitSending  = "sending"
	commitOpen     = "open"
	commitReported = "reported"
	commitExpired  = "expired"
)

const (
	// Requests for one case at one destination, before the objects count as unconfirmed.
	maxCommitRequests = 3
	// A report on the same association, as some receivers make it, comes at once.
	commitSameAssociation = 3 * time.Second
	commitTimeout         = 5 * time.Minute // of one request, or of looking all objects up
)

// ErrUnknownTransaction is returned by CommitmentReport for a transaction that this node has not begun with that peer.
var ErrUnknownTransaction = errors.New("no such storage commitment transaction")

// commitArgs is the job that has one destination commit to the stored objects of one case.
type commitArgs struct {
	Case        string `json:"case"`
	Destination string `json:"destination"`
}

func (commitArgs) Kind() string { return "commit_results" }

type commitWorker struct {
	river.WorkerDefaults[commitArgs]
	r *Router
}

func (w *commitWorker) Timeout(*river.Job[commitArgs]) time.Duration { return commitTimeout }

func (w *commitWorker) Work(ctx context.Context, job *river.Job[commitArgs]) error {
	return w.r.commit(ctx, job)
}

// queueCommitment inserts the job, if the destination is one that is asked and something of the case is not committed.
func (r *Router) queueCommitment(ctx context.Context, tx *sql.Tx, id, name string) error {
	if d, ok := r.destination(name); !ok || !d.Commitment {
		return nil
	}
	var open int
	err := tx.QueryRowContext(ctx, `SELECT count(*) FROM outbox WHERE case_id = ? AND destination = ? AND state = ? AND commitment IN (?, ?)`,
		id, name, Stored, NotAsked, Asked).Scan(&open)
	if err != nil || open == 0 {
		return err
	}
	_, err = r.jobs.InsertTx(ctx, tx, commitArgs{Case: id, Destination: name},
		&river.InsertOpts{Queue: deliveryQueue(name), MaxAttempts: maxDeliveryErrors})
	if err != nil {
		return fmt.Errorf("queue the commitment of case %s at %s: %w", id, name, err)
	}
	return nil
}

// commit makes one step: ask, wait for the report, ask anew, and in the end look whether the objects are there.
func (r *Router) commit(ctx context.Context, job *river.Job[commitArgs]) error {
	id, name := job.Args.Case, job.Args.Destination
	dest, ok := r.destination(name)
	if !ok || !dest.Commitment {
		return nil
	}
	refs, err := r.uncommitted(ctx, id, name)
	if err != nil || len(refs) == 0 {
		return err
	}
	uid, wait, err := r.nextRequest(ctx, id, name)
	switch {
	case err != nil || wait > 0:
		return orSnooze(err, wait)
	case uid == "":
		return r.lookForObjects(ctx, dest, id, refs)
	}
	report, err := r.opts.Client.RequestCommitment(ctx, dest.Peer, dimse.CommitmentRequest{TransactionUID: uid, References: refs}, commitSameAssociation)
	if r.stopping.Err() != nil {
		return river.JobSnooze(0)
	}
	ctx, cancel := afterwards(ctx)
	defer cancel()
	if err != nil {
		r.log.Warn("storage commitment could not be asked for; it is tried again", "case", id, "destination", name, "error", err)
		if time.Since(job.CreatedAt) > r.opts.Retry.GiveUp {
			return r.concludeCommitment(ctx, id, name, refs, Unconfirmed, err.Error())
		}
		if dimse.ErrorKind(err) == dimse.Transient {
			return river.JobSnooze(r.opts.Retry.Max)
		}
		return river.JobSnooze(r.opts.Retry.ProbeEvery)
	}
	if report != nil {
		if err := r.CommitmentReport(ctx, dest.Peer.AETitle, *report); err != nil && !errors.Is(err, ErrUnknownTransaction) {
			return err
		}
		return river.JobSnooze(0) // to see what is left
	}
	_, err = r.db.state.ExecContext(ctx, `UPDATE commitment SET state = ? WHERE transaction_uid = ? AND state = ?`, commitOpen, uid, commitSending)
	return orSnooze(err, r.opts.Retry.ReportWithin)
}

// uncommitted lists what a destination has stored and not committed to.
func (r *Router) uncommitted(ctx context.Context, id, destination string) ([]dimse.Reference, error) {
	return collect(ctx, r.db.index, func(rows *sql.Rows) (ref dimse.Reference, err error) {
		err = rows.Scan(&ref.SOPClassUID, &ref.SOPInstanceUID)
		return ref, err
	}, `SELECT o.sop_class, o.sop_uid FROM outbox b JOIN object o ON o.case_id = b.case_id AND o.seq = b.seq
		WHERE b.case_id = ? AND b.destination = ? AND b.state = ? AND b.commitment IN (?, ?) ORDER BY b.seq`,
		id, destination, Stored, NotAsked, Asked)
}

// nextRequest finds the Transaction UID to ask with now; how long to wait for the report of an earlier request; or, with
// neither, that enough was asked. The transaction is on disk before it goes out, because its report may come back before
// the answer to the request.
func (r *Router) nextRequest(ctx context.Context, id, name string) (uid string, wait time.Duration, err error) {
	err = inTx(ctx, r.db.state, func(tx *sql.Tx) error {
		var made int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM commitment WHERE case_id = ? AND destination = ?`, id, name).Scan(&made); err != nil {
			return err
		}
		var state string
		var created int64
		err := tx.QueryRowContext(ctx, `SELECT transaction_uid, state, created_at FROM commitment WHERE case_id = ? AND destination = ? AND state IN (?, ?)
			ORDER BY created_at DESC LIMIT 1`, id, name, commitSending, commitOpen).Scan(&uid, &state, &created)
		switch {
		case errors.Is(err, sql.ErrNoRows):
		case err != nil:
			return err
		case state == commitSending:
			return nil // again, with the same name
		default:
			if wait = time.Until(fromMicros(created).Add(r.opts.Retry.ReportWithin)); wait > 0 {
				return nil
			}
			r.log.Warn("no report on a storage commitment", "case", id, "destination", name, "transaction", uid)
			if _, err := tx.ExecContext(ctx, `UPDATE commitment SET state = ? WHERE transaction_uid = ?`, commitExpired, uid); err != nil {
				return err
			}
		}
		uid = ""
		if made >= maxCommitRequests {
			return nil
		}
		uid = ct.UID("commitment", r.opts.SR.SiteKey, id, name, strconv.Itoa(made))
		_, err = tx.ExecContext(ctx, `INSERT INTO commitment (transaction_uid, case_id, destination, state, created_at) VALUES (?, ?, ?, ?, ?)`,
			uid, id, name, commitSending, micros(time.Now()))
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE outbox SET commitment = ? WHERE case_id = ? AND destination = ? AND state = ? AND commitment = ?`,
			Asked, id, name, Stored, NotAsked)
		return err
	})
	return uid, max(wait, 0), err
}

// CommitmentReport takes the report of a peer on a commitment that this node has asked it for: on the association of the
// request, or on one that the peer has opened. What the peer does not have is sent again.
func (r *Router) CommitmentReport(ctx context.Context, aeTitle string, report dimse.CommitmentReport) error {
	return inTx(ctx, r.db.state, func(tx *sql.Tx) error {
		var id, name, state string
		err := tx.QueryRowContext(ctx, `SELECT case_id, destination, state FROM commitment WHERE transaction_uid = ?`, report.TransactionUID).
			Scan(&id, &name, &state)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrUnknownTransaction
		}
		if err != nil {
			return err
		}
		if d, ok := r.destination(name); !ok || d.Peer.AETitle != aeTitle {
			return fmt.Errorf("%w with %q", ErrUnknownTransaction, aeTitle)
		}
		if state == commitReported {
			return nil // the peer did not get our answer
		}
		for _, ref := range report.Committed {
			if err := setCommitment(ctx, tx, id, name, ref, Committed, ""); err != nil {
				return err
			}
		}
		var refused []string
		resend := false
		for _, f := range report.Failed {
			if f.Reason == dimse.FailureNoSuchObject {
				n, err := sendUncommitted(ctx, tx, id, name, f.Reference)
				if err != nil {
					return err
				}
				if n {
					resend = true
					continue
				}
			}
			comment := fmt.Sprintf("not committed, failure reason %04XH", f.Reason)
			refused = append(refused, f.SOPInstanceUID)
			if err := setCommitment(ctx, tx, id, name, f.Reference, Uncommitted, comment); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, `UPDATE commitment SET state = ? WHERE transaction_uid = ?`, commitReported, report.TransactionUID); err != nil {
			return err
		}
		r.log.Info("storage commitment reported", "case", id, "destination", name, "committed", len(report.Committed), "failed", len(report.Failed))
		if len(refused) > 0 {
			r.log.Error("a destination does not answer for objects that it has stored", "case", id, "destination", name, "objects", strings.Join(refused, " "))
			text := fmt.Sprintf("%s does not answer for what it has stored (objects: %d)", name, len(refused))
			if err := r.addRemark(ctx, tx, id, text); err != nil {
				return err
			}
		}
		if !resend {
			return nil
		}
		if _, err := r.move(ctx, tx, id, Delivering, name+" has lost objects that it had stored; they are sent again", Delivering, Delivered, PartlyDelivered); err != nil {
			return err
		}
		return r.queueDelivery(ctx, tx, id, name)
	})
}

func setCommitment(ctx context.Context, tx *sql.Tx, id, destination string, ref dimse.Reference, state CommitmentState, comment string) error {
	_, err := tx.ExecContext(ctx, `UPDATE outbox SET commitment = ?, comment = CASE WHEN ? = '' THEN comment ELSE ? END, updated_at = ?
		WHERE case_id = ? AND destination = ? AND state = ? AND seq IN (SELECT seq FROM object WHERE case_id = ? AND sop_uid = ?)`,
		state, comment, comment, micros(time.Now()), id, destination, Stored, id, ref.SOPInstanceUID)
	return err
}

// sendUncommitted makes an object pending again that a destination does not have, unless that was tried often enough.
func sendUncommitted(ctx context.Context, tx *sql.Tx, id, destination string, ref dimse.Reference) (bool, error) {
	now := micros(time.Now())
	done, err := tx.ExecContext(ctx, `UPDATE outbox SET state = ?, commitment = ?, created_at = ?, updated_at = ?
		WHERE case_id = ? AND destination = ? AND state = ? AND seq IN (SELECT seq FROM object WHERE case_id = ? AND sop_uid = ?)
		AND (SELECT count(*) FROM commitment WHERE case_id = ? AND destination = ?) < ?`,
		Pending, NotAsked, now, now, id, destination, Stored, id, ref.SOPInstanceUID, id, destination, maxCommitRequests)
	if err != nil {
		return false, err
	}
	n, err := done.RowsAffected()
	return n > 0, err
}

// lookForObjects asks with C-FIND whether a destination that gives no report has the objects, which is less than its word
// that it keeps them.
func (r *Router) lookForObjects(ctx context.Context, dest Destination, id string, refs []dimse.Reference) error {
	found := 0
	for _, ref := range refs {
		var q dimse.Attributes
		q.Add(dimse.TagQueryRetrieveLevel, "CS", "IMAGE")
		q.Add(dimse.TagSOPInstanceUID, "UI", ref.SOPInstanceUID)
		var study, series string
		err := r.db.index.QueryRowContext(ctx, `SELECT study_uid, series_uid FROM object WHERE case_id = ? AND sop_uid = ?`, id, ref.SOPInstanceUID).Scan(&study, &series)
		if err != nil {
			return err
		}
		q.Add(dimse.TagStudyInstanceUID, "UI", study)
		q.Add(dimse.TagSeriesInstanceUID, "UI", series)
		there := false
		err = r.opts.Client.Find(ctx, dest.Peer, q, func(a dimse.Attributes) error {
			there = there || a.Text(dimse.TagSOPInstanceUID) == ref.SOPInstanceUID
			return nil
		})
		if err != nil {
			break // this destination cannot be asked that either
		}
		if there {
			found++
		}
	}
	ctx, cancel := afterwards(ctx)
	defer cancel()
	return r.concludeCommitment(ctx, id, dest.Name, refs, Unconfirmed,
		fmt.Sprintf("no report on storage commitment after %d requests; a query finds %d of %d objects there", maxCommitRequests, found, len(refs)))
}

// concludeCommitment ends the matter without the destination's word.
func (r *Router) concludeCommitment(ctx context.Context, id, name string, refs []dimse.Reference, state CommitmentState, comment string) error {
	r.log.Error("storage commitment was not confirmed: look at the destination", "case", id, "destination", name, "objects", len(refs), "reason", comment)
	return inTx(ctx, r.db.state, func(tx *sql.Tx) error {
		for _, ref := range refs {
			if err := setCommitment(ctx, tx, id, name, ref, state, comment); err != nil {
				return err
			}
		}
		return r.addRemark(ctx, tx, id, fmt.Sprintf("%s has not confirmed that it keeps what was sent (objects: %d): %s", name, len(refs), comment))
	})
}

// addRemark adds to the reason of a case what people should know of a result that was delivered, now or once it is.
func (r *Router) addRemark(ctx context.Context, tx *sql.Tx, id, text string) error {
	var state State
	var reason string
	err := tx.QueryRowContext(ctx, `UPDATE cases SET remark = CASE WHEN remark = '' THEN ? ELSE remark || '; ' || ? END WHERE id = ? RETURNING state, reason`,
		text, text, id).Scan(&state, &reason)
	if err != nil {
		return err
	}
	if state != Delivered && state != PartlyDelivered {
		return nil // settle shows it
	}
	if reason != "" {
		text = reason + "; " + text
	}
	_, err = r.move(ctx, tx, id, state, text, state)
	return err
}
