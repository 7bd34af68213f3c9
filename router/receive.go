package router

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"rfanode/dimse"
)

// Received is one instance that lies in the archive.
type Received struct {
	Path      string // its Part 10 file
	Header    dimse.Header
	CallingAE string
	At        time.Time // when it was received; zero: now
}

// Received enters an instance in the index. It is idempotent, so that the whole archive can be entered again at every
// start, and cheap: nothing is read but the header that the check of the data set has produced, and its commit does not
// wait for the disk, since the archive can always rebuild it. A new instance of a series re-opens that series.
func (r *Router) Received(ctx context.Context, in Received) error {
	h := in.Header
	h.PatientID, h.IssuerOfPatientID = strings.TrimSpace(h.PatientID), strings.TrimSpace(h.IssuerOfPatientID)
	if h.SOPInstanceUID == "" || h.SeriesInstanceUID == "" || h.StudyInstanceUID == "" {
		return fmt.Errorf("index %s: it lacks a study, series or instance UID", in.Path)
	}
	r.receiving.Lock()
	defer r.receiving.Unlock()

	var known string
	err := r.db.index.QueryRowContext(ctx, `SELECT path FROM instance WHERE sop_uid = ?`, h.SOPInstanceUID).Scan(&known)
	if err == nil && known == in.Path {
		return nil
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("index instance %s: %w", h.SOPInstanceUID, err)
	}
	err = inTx(ctx, r.db.index, func(tx *sql.Tx) error {
		if known != "" { // the archive has moved
			_, err := tx.ExecContext(ctx, `UPDATE instance SET path = ? WHERE sop_uid = ?`, in.Path, h.SOPInstanceUID)
			return err
		}
		at := in.At
		if at.IsZero() {
			at = time.Now()
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO instance (sop_uid, series_uid, sop_class, path, received_at) VALUES (?, ?, ?, ?, ?)`,
			h.SOPInstanceUID, h.SeriesInstanceUID, h.SOPClassUID, in.Path, micros(at))
		if err != nil {
			return err
		}
		if err := r.noteContour(ctx, tx, h, at); err != nil {
			return err
		}
		return r.growSeries(ctx, tx, h)
	})
	if err != nil {
		return fmt.Errorf("index instance %s: %w", h.SOPInstanceUID, err)
	}
	return nil
}

// growSeries makes the series of a new instance, or opens it again. Quiet time counts from the moment the index grew,
// not from when the instance was received: while an index is being rebuilt, no series is whole.
func (r *Router) growSeries(ctx context.Context, tx *sql.Tx, h dimse.Header) error {
	now := micros(time.Now())
	var state State
	err := tx.QueryRowContext(ctx, `SELECT state FROM series WHERE series_uid = ?`, h.SeriesInstanceUID).Scan(&state)
	if errors.Is(err, sql.ErrNoRows) {
		state, reason := Receiving, ""
		if own, err := isOwnObject(ctx, tx, h.SOPInstanceUID); err != nil {
			return err
		} else if own {
			state, reason = stateStored, "made by rfanode"
		} else if h.Modality != "CT" {
			state, reason = stateStored, "not a CT series"
		}
		id := shortID("series", h.SeriesInstanceUID)
		_, err := tx.ExecContext(ctx, `INSERT INTO series (series_uid, id, study_uid, patient_id, issuer, modality, state, reason,
			first_at, last_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, h.SeriesInstanceUID, id, h.StudyInstanceUID,
			h.PatientID, h.IssuerOfPatientID, h.Modality, state, reason, now, now, now)
		if err != nil || state != Receiving {
			return err
		}
		return r.record(ctx, tx, id, Receiving, "")
	}
	if err != nil {
		return err
	}
	switch state {
	case stateStored, Dropped:
		return nil
	case Receiving:
		_, err := tx.ExecContext(ctx, `UPDATE series SET last_at = ? WHERE series_uid = ?`, now, h.SeriesInstanceUID)
		return err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE series SET last_at = ? WHERE series_uid = ?`, now, h.SeriesInstanceUID); err != nil {
		return err
	}
	return r.setSeries(ctx, tx, h.SeriesInstanceUID, Receiving, "")
}

// isOwnObject says whether an instance is a result of this node that has come back, as routing rules make them do.
func isOwnObject(ctx context.Context, q querier, sopUID string) (bool, error) {
	var n int
	err := q.QueryRowContext(ctx, `SELECT count(*) FROM object WHERE sop_uid = ?`, sopUID).Scan(&n)
	return n > 0, err
}

// setSeries changes the state of a series and records that, if it is a change.
func (r *Router) setSeries(ctx context.Context, tx *sql.Tx, seriesUID string, to State, reason string) error {
	var id string
	err := tx.QueryRowContext(ctx, `UPDATE series SET state = ?, reason = ?, updated_at = ? WHERE series_uid = ? AND (state <> ? OR reason <> ?)
		RETURNING id`, to, reason, micros(time.Now()), seriesUID, to, reason).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return r.record(ctx, tx, id, to, reason)
}

// record appends to the history from which Options.Changed and the log are fed.
func (r *Router) record(ctx context.Context, q querier, id string, state State, reason string) error {
	_, err := q.ExecContext(ctx, `INSERT INTO event (id, state, reason, at) VALUES (?, ?, ?, ?)`, id, state, reason, micros(time.Now()))
	return err
}
