package router

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Release lets a case go on, by the decision of a person:
//
//   - held before its analysis (the patient's identity was in doubt): it is analysed;
//   - held because a contour that came for it is unclear: it is analysed without that one;
//   - held by the analysis: it is analysed again, and what has everything a report needs is sent, marked as released by a
//     person; if nothing has, it is held again;
//   - failed: it is tried again from the beginning;
//   - objects that were refused or given up: they are sent again.
//
// It works beside a running node, which takes the case up within a second, and without one, for its next start.
func (r *Router) Release(ctx context.Context, id string) error {
	id = normalID(id)
	err := inTx(ctx, r.db.state, func(tx *sql.Tx) error {
		var state State
		var hold string
		err := tx.QueryRowContext(ctx, `SELECT state, hold FROM cases WHERE id = ?`, id).Scan(&state, &hold)
		if errors.Is(err, sql.ErrNoRows) {
			return r.noRelease(ctx, tx, id)
		}
		if err != nil {
			return err
		}
		switch state {
		case Held:
			if hold == holdAnalysis {
				if _, err := tx.ExecContext(ctx, `UPDATE cases SET released_at = ? WHERE id = ?`, micros(time.Now()), id); err != nil {
					return err
				}
			}
			return r.analyseAgain(ctx, tx, id, "released by a person", Held)
		case Failed:
			return r.analyseAgain(ctx, tx, id, "to be tried again, by the decision of a person", Failed)
		case PartlyDelivered, NotDelivered, Delivering:
			return r.sendAgain(ctx, tx, id, state)
		case Kept:
			return errors.New("it is done and kept here: add a destination to the configuration and start the node again")
		}
		return fmt.Errorf("it is %s: there is nothing to release", state)
	})
	if err != nil {
		return fmt.Errorf("release case %s: %w", id, err)
	}
	return nil
}

// noRelease says why an ID that names no pair cannot be released.
func (r *Router) noRelease(ctx context.Context, tx *sql.Tx, id string) error {
	var state State
	err := tx.QueryRowContext(ctx, `SELECT state FROM series WHERE id = ? AND state NOT IN (?, ?, ?)`, id, stateUsed, stateSpare, stateStored).Scan(&state)
	if errors.Is(err, sql.ErrNoRows) {
		err = tx.QueryRowContext(ctx, `SELECT state FROM contour WHERE id = ? AND state IN (?, ?)`, id, ContourRefused, ContourWaiting).Scan(&state)
		if err == nil {
			return errors.New("it is a contour: send a corrected one, or its CT series, or drop it")
		}
	}
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNoCase
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("it is a single series, %s: send what it lacks, or drop it", state)
}

func (r *Router) analyseAgain(ctx context.Context, tx *sql.Tx, id, reason string, from State) error {
	if _, err := r.move(ctx, tx, id, Queued, reason, from); err != nil {
		return err
	}
	return r.queueAnalysis(ctx, tx, id)
}

func (r *Router) sendAgain(ctx context.Context, tx *sql.Tx, id string, from State) error {
	now := micros(time.Now())
	again, err := collect(ctx, tx, scanText, `UPDATE outbox SET state = ?, attempts = 0, comment = '', created_at = ?, updated_at = ?
		WHERE case_id = ? AND state IN (?, ?, ?) RETURNING destination`, Pending, now, now, id, ContextRefused, Rejected, Parked)
	if err != nil {
		return err
	}
	if len(again) == 0 {
		return fmt.Errorf("it is %s and nothing of it was refused or given up", from)
	}
	if _, err := r.move(ctx, tx, id, Delivering, "sent again by the decision of a person", from); err != nil {
		return err
	}
	slices.Sort(again)
	for _, name := range slices.Compact(again) {
		if err := r.queueDelivery(ctx, tx, id, name); err != nil {
			return err
		}
	}
	return nil
}

// Drop ends a case, or takes a single series out of consideration. What was sent already stays sent. A case that is
// being analysed is stopped by the node within a second. The same instances do not bring a dropped case back; a new
// instance of its series makes a new case.
func (r *Router) Drop(ctx context.Context, id string) error {
	id = normalID(id)
	const reason = "dropped by a person"
	err := inTx(ctx, r.db.state, func(tx *sql.Tx) error {
		ok, err := r.end(ctx, tx, id, Dropped, reason, Queued, Analysing, Held, Failed, Delivering, PartlyDelivered, NotDelivered, Kept)
		if errors.Is(err, ErrNoCase) {
			err = r.dropSeries(ctx, tx, id, reason)
			if errors.Is(err, ErrNoCase) {
				err = r.dropContour(ctx, tx, id, reason)
			}
			return err
		}
		if err == nil && !ok {
			return errors.New("it has ended already")
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("drop case %s: %w", id, err)
	}
	return nil
}

func (r *Router) dropSeries(ctx context.Context, tx *sql.Tx, id, reason string) error {
	var uid, patientID, issuer string
	err := tx.QueryRowContext(ctx, `SELECT series_uid, patient_id, issuer FROM series WHERE id = ? AND state IN (?, ?, ?)`,
		id, Receiving, Waiting, NotAnalysable).Scan(&uid, &patientID, &issuer)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNoCase
	}
	if err != nil {
		return err
	}
	if err := r.setSeries(ctx, tx, uid, Dropped, reason); err != nil {
		return err
	}
	return pairingDue(ctx, tx, patientID, issuer)
}
