package router

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// pairDue plans the patients whose series have changed, except those with a series still arriving: a better
// reconstruction of the same scan often comes in the same association.
func (r *Router) pairDue(ctx context.Context) error {
	type patient struct{ id, issuer string }
	due, err := collect(ctx, r.db.index, func(rows *sql.Rows) (p patient, err error) {
		err = rows.Scan(&p.id, &p.issuer)
		return p, err
	}, `SELECT patient_id, issuer FROM pairing_due d WHERE NOT EXISTS
		(SELECT 1 FROM series s WHERE s.patient_id = d.patient_id AND s.issuer = d.issuer AND s.state = ?)`, Receiving)
	if err != nil {
		return fmt.Errorf("look for pairs: %w", err)
	}
	for _, p := range due {
		err := inTx(ctx, r.db.state, func(tx *sql.Tx) error { return r.pairPatient(ctx, tx, p.id, p.issuer) })
		if err != nil {
			return fmt.Errorf("look for pairs: %w", err)
		}
	}
	return nil
}

// pairPatient finds the pairs of one patient and makes their cases, with the jobs that analyse them.
func (r *Router) pairPatient(ctx context.Context, tx *sql.Tx, patientID, issuer string) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM pairing_due WHERE patient_id = ? AND issuer = ?`, patientID, issuer); err != nil {
		return err
	}
	series, err := r.candidates(ctx, tx, patientID, issuer)
	if err != nil {
		return err
	}
	cases, err := collect(ctx, tx, func(rows *sql.Rows) (p past, err error) {
		err = rows.Scan(&p.id, &p.preSeries, &p.postSeries, &p.preSet, &p.postSet, &p.state, &p.hold, &p.contours)
		return p, err
	}, `SELECT id, pre_series, post_series, pre_set, post_set, state, hold, contours FROM cases WHERE patient_id = ? AND issuer = ? ORDER BY created_at, id`,
		patientID, issuer)
	if err != nil {
		return err
	}
	scans := scansOf(series)
	pairs, waiting := plan(scans, cases)
	used := map[string]bool{}
	for _, c := range cases {
		if c.state != Superseded {
			used[c.preSeries], used[c.postSeries] = true, true
		}
	}
	desk, err := r.contourDesk(ctx, tx, patientID, issuer)
	if err != nil {
		return err
	}
	for _, p := range pairs {
		used[p.pre.seriesUID], used[p.post.seriesUID] = true, true
		p.contours = desk.set(desk.sides(p.pre.seriesUID, p.post.seriesUID))
		if err := r.makeCase(ctx, tx, patientID, issuer, p); err != nil {
			return err
		}
	}
	if err := r.renewCases(ctx, tx, desk, cases, pairs); err != nil {
		return err
	}
	if err := r.settleContours(ctx, tx, desk); err != nil {
		return err
	}
	for _, s := range scans {
		for _, c := range s.series {
			state, reason := stateSpare, "another series of the same scan is used"
			if used[c.seriesUID] {
				state, reason = stateUsed, ""
			} else if why, ok := waiting[c.seriesUID]; ok {
				state, reason = Waiting, why
			}
			if err := r.setSeries(ctx, tx, c.seriesUID, state, reason); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *Router) candidates(ctx context.Context, tx *sql.Tx, patientID, issuer string) ([]candidate, error) {
	return collect(ctx, tx, func(rows *sql.Rows) (c candidate, err error) {
		var text string
		if err := rows.Scan(&c.seriesUID, &c.studyUID, &c.set, &text); err != nil {
			return c, err
		}
		if err := json.Unmarshal([]byte(text), &c.facts); err != nil {
			return c, fmt.Errorf("series %s: %w", c.seriesUID, err)
		}
		c.label = r.wording.label(c.facts.SeriesDescription)
		c.studyLabel = r.wording.label(c.facts.StudyDescription)
		return c, nil
	}, `SELECT series_uid, study_uid, set_digest, facts FROM series WHERE patient_id = ? AND issuer = ? AND state IN (?, ?, ?)`,
		patientID, issuer, Waiting, stateUsed, stateSpare)
}

// makeCase enters a pair, freezes the instances it stands on, ends a case it replaces that has sent nothing yet, and
// queues the analysis.
func (r *Router) makeCase(ctx context.Context, tx *sql.Tx, patientID, issuer string, p pairing) error {
	id, err := freeID(ctx, tx, p)
	if err != nil {
		return err
	}
	state, hold := Queued, ""
	switch {
	case p.hold != "":
		state, hold = Held, holdPairing
	case p.contours.Hold != "":
		state, hold, p.hold = Held, holdContour, p.contours.Hold
	}
	now := micros(time.Now())
	_, err = tx.ExecContext(ctx, `INSERT INTO cases (id, state, reason, hold, patient_id, issuer, pre_series, post_series, pre_set, post_set,
		contours, predecessor, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, id, state, p.hold, hold, patientID, issuer,
		p.pre.seriesUID, p.post.seriesUID, p.pre.set, p.post.set, p.contours.key(), p.predecessor, now, now)
	if err != nil {
		return err
	}
	for role, c := range map[string]candidate{"pre": p.pre, "post": p.post} {
		_, err := tx.ExecContext(ctx, `INSERT INTO case_instance (case_id, role, sop_uid) SELECT ?, ?, sop_uid FROM instance WHERE series_uid = ?`,
			id, role, c.seriesUID)
		if err != nil {
			return err
		}
	}
	if err := r.record(ctx, tx, id, state, p.hold); err != nil {
		return err
	}
	if p.predecessor != "" {
		if _, err := r.end(ctx, tx, p.predecessor, Superseded, "replaced by case "+id+": its series have changed", Queued, Analysing, Held, Failed); err != nil {
			return err
		}
	}
	r.log.Info("pair found", "case", id, "pre", p.pre.seriesUID, "post", p.post.seriesUID, "days", p.daysBetween(), "replaces", p.predecessor)
	if state != Queued {
		return nil
	}
	return r.queueAnalysis(ctx, tx, id)
}

// freeID derives the short name of a case from its input. A name that another case or series has already is salted.
func freeID(ctx context.Context, tx *sql.Tx, p pairing) (string, error) {
	for salt := 0; ; salt++ {
		id := shortID("case", p.pre.set, p.post.set, fmt.Sprint(salt))
		var n int
		err := tx.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM cases WHERE id = ?1) + (SELECT count(*) FROM series WHERE id = ?1)`, id).Scan(&n)
		if err != nil || n == 0 {
			return id, err
		}
	}
}

// move changes the state of a case if it is in one of the states from, and says whether it did.
func (r *Router) move(ctx context.Context, tx *sql.Tx, id string, to State, reason string, from ...State) (bool, error) {
	var now State
	var before string
	err := tx.QueryRowContext(ctx, `SELECT state, reason FROM cases WHERE id = ?`, id).Scan(&now, &before)
	if errors.Is(err, sql.ErrNoRows) {
		return false, fmt.Errorf("case %q: %w", id, ErrNoCase)
	}
	if err != nil || !slices.Contains(from, now) {
		return false, err
	}
	if now == to && before == reason {
		return true, nil
	}
	_, err = tx.ExecContext(ctx, `UPDATE cases SET state = ?, reason = ?, updated_at = ? WHERE id = ?`, to, reason, micros(time.Now()), id)
	if err != nil {
		return false, err
	}
	return true, r.record(ctx, tx, id, to, reason)
}

// end moves a case to a state in which nothing more is done for it. Its analysis, if one runs, is stopped by watch, which
// learns of it by the record, whichever process wrote that.
func (r *Router) end(ctx context.Context, tx *sql.Tx, id string, to State, reason string, from ...State) (bool, error) {
	ok, err := r.move(ctx, tx, id, to, reason, from...)
	if err != nil || !ok {
		return ok, err
	}
	_, err = tx.ExecContext(ctx, `UPDATE outbox SET state = ?, comment = ?, updated_at = ? WHERE case_id = ? AND state = ?`,
		Parked, "the case was ended before it was sent", micros(time.Now()), id, Pending)
	if err != nil {
		return false, err
	}
	return true, r.pairingDueFor(ctx, tx, id)
}
