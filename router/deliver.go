package router

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/riverqueue/river"

	"rfanode/dimse"
)

// parcel is one object that is to be sent to one destination.
type parcel struct {
	seq, attempts int
	role, file    string
	created       time.Time
}

// deliver is one attempt to send what is pending of one case to one destination, on one association. Each object's
// answer is recorded as it comes; what got no answer is unknown, stays pending and is sent again under the same UID,
// which the receiver takes as the same object.
func (r *Router) deliver(ctx context.Context, job *river.Job[deliverArgs]) error {
	id, name := job.Args.Case, job.Args.Destination
	dest, ok := r.destination(name)
	if !ok {
		return nil // takeUp has parked it, or will at the next start
	}
	if wait, err := r.probe(ctx, dest); err != nil || wait > 0 {
		return orSnooze(err, wait)
	}
	parcels, err := r.pending(ctx, id, name)
	if err != nil || len(parcels) == 0 {
		return err
	}
	objects := make([]dimse.Object, 0, len(parcels))
	sent := make([]parcel, 0, len(parcels))
	for _, p := range parcels {
		o, err := dimse.FileObject(filepath.Join(r.folder(id), p.file))
		if err != nil {
			if err := r.recordOutcome(ctx, id, name, p, Parked, -1, fmt.Sprintf("its file cannot be read: %v", err)); err != nil {
				return err
			}
			continue
		}
		objects, sent = append(objects, o), append(sent, p)
	}
	answered := make([]bool, len(sent))
	var recordErr error
	var again []string // answers that ask to come back later
	hold := ""         // an answer that asks for another configuration
	sendErr := r.opts.Client.Store(ctx, dest.Peer, objects, func(i int, o dimse.Outcome) {
		answered[i] = true
		state, kind := meaning(o)
		switch kind {
		case dimse.Transient:
			again = append(again, sent[i].role+": "+o.String())
		case dimse.Configuration:
			hold = o.String()
		}
		recordErr = errors.Join(recordErr, r.recordOutcome(ctx, id, name, sent[i], state, status(o), o.String()))
	})
	if r.stopping.Err() != nil {
		return river.JobSnooze(0)
	}
	ctx, cancel := afterwards(ctx)
	defer cancel()
	if recordErr != nil {
		return recordErr
	}
	if sendErr != nil {
		for i, p := range sent {
			if answered[i] {
				continue
			}
			if err := r.recordOutcome(ctx, id, name, p, Pending, -1, sendErr.Error()); err != nil {
				return err
			}
			if !beforeSending(sendErr) {
				break // this one was under way; those behind it go first next time, should it be the cause
			}
		}
		again = append(again, sendErr.Error())
		if dimse.ErrorKind(sendErr) == dimse.Configuration {
			hold = sendErr.Error()
		}
	}
	return r.concludeDelivery(ctx, id, name, hold, again)
}

// beforeSending says whether an error came before the first object was on its way.
func beforeSending(err error) bool {
	var connect *dimse.ConnectError
	var rejected *dimse.RejectedError
	return errors.As(err, &connect) || errors.As(err, &rejected)
}

// concludeDelivery parks what has been tried for too long, settles the case, and says when to come back for the rest.
func (r *Router) concludeDelivery(ctx context.Context, id, name, hold string, again []string) error {
	var wait time.Duration
	err := inTx(ctx, r.db.state, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE outbox SET state = ?, comment = 'given up after ' || attempts || ' attempts: ' || comment, updated_at = ?
			WHERE case_id = ? AND destination = ? AND state = ? AND created_at < ?`, Parked, micros(time.Now()), id, name, Pending,
			micros(time.Now().Add(-r.opts.Retry.GiveUp)))
		if err != nil {
			return err
		}
		var left, attempts int
		err = tx.QueryRowContext(ctx, `SELECT count(*), coalesce(max(attempts), 0) FROM outbox WHERE case_id = ? AND destination = ? AND state = ?`,
			id, name, Pending).Scan(&left, &attempts)
		if err != nil {
			return err
		}
		if left == 0 {
			if err := r.queueCommitment(ctx, tx, id, name); err != nil {
				return err
			}
			return r.settle(ctx, tx, id)
		}
		what := "tried again"
		if hold != "" {
			wait, what = r.opts.Retry.ProbeEvery, "the configuration, here or there, needs a change; tried again"
			if err := r.holdDestination(ctx, tx, name, hold, wait); err != nil {
				return err
			}
		} else {
			wait = r.opts.Retry.wait(attempts)
		}
		reason := fmt.Sprintf("%s: %s; %s in %s (attempt %d)", name, cmp.Or(hold, strings.Join(again, "; ")), what, wait.Round(time.Second), attempts)
		_, err = r.move(ctx, tx, id, Delivering, reason, Delivering)
		return err
	})
	return orSnooze(err, wait)
}

func orSnooze(err error, wait time.Duration) error {
	if err == nil && wait > 0 {
		return river.JobSnooze(wait)
	}
	return err
}

// wait is how long to wait after the n-th attempt.
func (r Retry) wait(n int) time.Duration {
	d := r.First
	for range min(n, 40) - 1 {
		if d = 2 * d; d >= r.Max {
			d = r.Max
			break
		}
	}
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
}

// meaning gives what an answer means for the object, and for what to do.
func meaning(o dimse.Outcome) (DeliveryState, dimse.Kind) {
	switch kind := o.Kind(); {
	case kind == dimse.Stored:
		return Stored, kind
	case o.ContextRefused:
		return ContextRefused, kind
	case kind == dimse.Permanent && o.Err != nil:
		return Parked, kind // it is our file that is wrong
	case kind == dimse.Permanent:
		return Rejected, kind
	default:
		return Pending, kind
	}
}

func status(o dimse.Outcome) int {
	if o.ContextRefused || o.Err != nil {
		return -1
	}
	return int(o.Status)
}

// pending lists what of a case is still to be sent to a destination, in the order of sending; what has failed more often
// comes last, so that an object that breaks every association does not keep the others back.
func (r *Router) pending(ctx context.Context, id, destination string) ([]parcel, error) {
	return collect(ctx, r.db.index, func(rows *sql.Rows) (p parcel, err error) {
		var created int64
		err = rows.Scan(&p.seq, &p.attempts, &p.role, &p.file, &created)
		p.created = fromMicros(created)
		return p, err
	}, `SELECT b.seq, b.attempts, o.role, o.file, b.created_at FROM outbox b JOIN object o ON o.case_id = b.case_id AND o.seq = b.seq
		WHERE b.case_id = ? AND b.destination = ? AND b.state = ? ORDER BY b.attempts, b.seq`, id, destination, Pending)
}

// recordOutcome notes the outcome of one attempt at one object, unless a person has ended the case meanwhile. It is
// recorded even if the attempt's own time is over: an answer that was received must not be asked for again.
func (r *Router) recordOutcome(ctx context.Context, id, destination string, p parcel, state DeliveryState, status int, comment string) error {
	ctx, cancel := afterwards(ctx)
	defer cancel()
	_, err := r.db.state.ExecContext(ctx, `UPDATE outbox SET state = ?, attempts = attempts + 1, status = ?, comment = ?, updated_at = ?
		WHERE case_id = ? AND destination = ? AND seq = ? AND state = ?`, state, status, comment, micros(time.Now()), id, destination, p.seq, Pending)
	if err != nil {
		return fmt.Errorf("record that %s of case %s is %s at %s: %w", p.role, id, state, destination, err)
	}
	if state != Stored && state != Pending {
		r.log.Warn("an object was not delivered", "case", id, "object", p.role, "destination", destination, "outcome", state, "comment", comment)
	}
	return nil
}

// settle gives a case its final state once nothing of it is pending anywhere.
func (r *Router) settle(ctx context.Context, tx *sql.Tx, id string) error {
	type fate struct {
		destination, role, comment string
		state                      DeliveryState
	}
	fates, err := collect(ctx, tx, func(rows *sql.Rows) (f fate, err error) {
		err = rows.Scan(&f.destination, &f.role, &f.state, &f.comment)
		return f, err
	}, `SELECT b.destination, o.role, b.state, b.comment FROM outbox b JOIN object o ON o.case_id = b.case_id AND o.seq = b.seq
		WHERE b.case_id = ? ORDER BY b.destination, b.seq`, id)
	if err != nil {
		return err
	}
	stored := 0
	var missing []string
	for _, f := range fates {
		switch f.state {
		case Pending:
			return nil
		case Stored:
			stored++
		default:
			missing = append(missing, fmt.Sprintf("%s: %s %s (%s)", f.destination, f.role, f.state, f.comment))
		}
	}
	remarks, err := collect(ctx, tx, scanText, `SELECT remark FROM cases WHERE id = ?1 AND remark <> ''
		UNION ALL SELECT role || ' is kept here: ' || note FROM object WHERE case_id = ?1 AND withheld = 1`, id)
	if err != nil {
		return err
	}
	state := PartlyDelivered
	switch {
	case len(missing) == 0:
		state = Delivered
	case stored == 0:
		state = NotDelivered
	}
	_, err = r.move(ctx, tx, id, state, strings.Join(append(missing, remarks...), "; "), Delivering)
	return err
}

// probe says how long a destination is to be left alone. One that was held because its answer asked for a change of
// configuration is asked with C-ECHO, once each Retry.ProbeEvery, before anything is sent to it again.
func (r *Router) probe(ctx context.Context, d Destination) (time.Duration, error) {
	var until int64
	err := r.db.index.QueryRowContext(ctx, `SELECT until_at FROM destination_hold WHERE name = ?`, d.Name).Scan(&until)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if wait := time.Until(fromMicros(until)); wait > 0 {
		return wait, nil
	}
	answer := r.opts.Client.Echo(ctx, d.Peer)
	if dimse.ErrorKind(answer) == dimse.Configuration {
		wait := r.opts.Retry.ProbeEvery
		return wait, inTx(ctx, r.db.state, func(tx *sql.Tx) error { return r.holdDestination(ctx, tx, d.Name, answer.Error(), wait) })
	}
	// Any other answer, also none, is dealt with by sending.
	_, err = r.db.state.ExecContext(ctx, `DELETE FROM destination_hold WHERE name = ?`, d.Name)
	return 0, err
}

func (r *Router) holdDestination(ctx context.Context, tx *sql.Tx, name, reason string, wait time.Duration) error {
	r.log.Error("a destination refuses us: check its configuration and ours", "destination", name, "answer", reason, "next_probe_in", wait)
	_, err := tx.ExecContext(ctx, `INSERT INTO destination_hold (name, until_at, reason) VALUES (?, ?, ?)
		ON CONFLICT (name) DO UPDATE SET until_at = excluded.until_at, reason = excluded.reason`, name, micros(time.Now().Add(wait)), reason)
	return err
}

func (r *Router) destination(name string) (Destination, bool) {
	i := slices.IndexFunc(r.opts.Destinations, func(d Destination) bool { return d.Name == name })
	if i < 0 {
		return Destination{}, false
	}
	return r.opts.Destinations[i], true
}
