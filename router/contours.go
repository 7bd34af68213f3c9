package router

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"rfanode/analysis/contour"
	"rfanode/dimse"
)

// States of a contour that arrived: a SEG, RTSTRUCT, or SR with coordinates.
const (
	ContourWaiting State = "contour without a case" // its CT series is not part of a pair
	ContourRefused State = "contour refused"        // it cannot be used; Reason says why

	contourNew      State = "new"      // not read yet
	contourUsed     State = "used"     // a case stands on it
	contourReplaced State = "replaced" // a newer one is used
	contourUnclear  State = "unclear"  // it holds its case
	contourIgnored  State = "ignored"  // made by rfanode, or about something else
)

// noteContour enters a contour object in the transaction that enters its instance. It is read later: C-STORE must not
// wait for that.
func (r *Router) noteContour(ctx context.Context, tx *sql.Tx, h dimse.Header, at time.Time) error {
	if r.opts.IgnoreContours || contour.KindOf(h.SOPClassUID) == "" {
		return nil
	}
	if own, err := isOwnObject(ctx, tx, h.SOPInstanceUID); err != nil || own {
		return err
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO contour (sop_uid, id, patient_id, issuer, state, made_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO NOTHING`, h.SOPInstanceUID, shortID("contour", h.SOPInstanceUID), h.PatientID, h.IssuerOfPatientID, contourNew,
		micros(at), micros(time.Now()))
	return err
}

// keptInstances of those a structure was drawn on are kept: any one of them places it.
const keptInstances = 3

// readContours reads the contours that have arrived.
func (r *Router) readContours(ctx context.Context) error {
	type arrived struct{ sop, path string }
	all, err := collect(ctx, r.db.index, func(rows *sql.Rows) (a arrived, err error) {
		err = rows.Scan(&a.sop, &a.path)
		return a, err
	}, `SELECT c.sop_uid, i.path FROM contour c JOIN instance i ON i.sop_uid = c.sop_uid WHERE c.state = ? ORDER BY c.made_at, c.sop_uid`, contourNew)
	if err != nil {
		return fmt.Errorf("look for contours: %w", err)
	}
	for _, a := range all {
		if err := ctx.Err(); err != nil {
			return err
		}
		c, state, reason, err := r.judgeContour(a.path)
		if err != nil {
			return fmt.Errorf("read contour %s: %w", a.sop, err)
		}
		err = inTx(ctx, r.db.state, func(tx *sql.Tx) error { return r.storeContour(ctx, tx, a.sop, c, state, reason) })
		if err != nil {
			return fmt.Errorf("read contour %s: %w", a.sop, err)
		}
	}
	return nil
}

// judgeContour reads one contour. The error is one of the disk; what is wrong with the object is the verdict.
func (r *Router) judgeContour(path string) (c *contour.Contour, state State, reason string, err error) {
	c, err = contour.Read(path)
	var known *contour.Error
	switch {
	case errors.As(err, &known):
		return nil, ContourRefused, known.Reason, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, ContourRefused, "its file is gone from the archive", nil
	case err != nil:
		return nil, "", "", err
	case ownContour(c):
		return nil, contourIgnored, "made by rfanode", nil
	case !slices.ContainsFunc(c.Structures, contour.Structure.Marked):
		if c.Kind == contour.SR {
			return nil, contourIgnored, "a report without coordinates", nil
		}
		return nil, ContourRefused, "it is empty: nothing is drawn in it", nil
	case !r.contourWords.About(c):
		return nil, contourIgnored, "neither a tumour nor an ablation zone is drawn in it", nil
	}
	return c.Summary(keptInstances), ContourWaiting, "its CT series is not part of a pair yet", nil
}

// ownContour says whether rfanode made an object, here or elsewhere. A viewer that edits one of ours may keep our model
// name, but writes who did it.
func ownContour(c *contour.Contour) bool {
	creator := strings.TrimSpace(c.Maker.Creator)
	return strings.EqualFold(strings.TrimSpace(c.Maker.Model), ownModelName) && (creator == "" || strings.HasPrefix(strings.ToUpper(creator), "RFANODE^"))
}

// storeContour enters what a contour is about, and has the patients it may concern looked at again.
func (r *Router) storeContour(ctx context.Context, tx *sql.Tx, sop string, c *contour.Contour, state State, reason string) error {
	if err := r.setContour(ctx, tx, sop, state, reason); err != nil || c == nil {
		return err
	}
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE contour SET summary = ? WHERE sop_uid = ?`, text, sop); err != nil {
		return err
	}
	if !c.Made.IsZero() {
		if _, err := tx.ExecContext(ctx, `UPDATE contour SET made_at = ? WHERE sop_uid = ?`, micros(c.Made), sop); err != nil {
			return err
		}
	}
	for _, uid := range references(c) {
		if _, err := tx.ExecContext(ctx, `INSERT INTO contour_reference (sop_uid, uid) VALUES (?, ?) ON CONFLICT DO NOTHING`, sop, uid); err != nil {
			return err
		}
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO pairing_due (patient_id, issuer)
		SELECT patient_id, issuer FROM series s WHERE s.patient_id = (SELECT patient_id FROM contour WHERE sop_uid = ?1)
			OR s.series_uid IN (SELECT uid FROM contour_reference WHERE sop_uid = ?1)
			OR s.series_uid IN (SELECT series_uid FROM instance WHERE sop_uid IN (SELECT uid FROM contour_reference WHERE sop_uid = ?1))
		ON CONFLICT DO NOTHING`, sop)
	return err
}

// references are the UIDs of series and instances by which a contour can be placed.
func references(c *contour.Contour) []string {
	all := slices.Concat(c.Series, c.Instances)
	for _, s := range c.Structures {
		all = append(all, s.Instances...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// setContour changes the state of a contour, and records that if a person should know.
func (r *Router) setContour(ctx context.Context, tx *sql.Tx, sop string, to State, reason string) error {
	var id string
	err := tx.QueryRowContext(ctx, `UPDATE contour SET state = ?, reason = ?, updated_at = ? WHERE sop_uid = ? AND (state <> ? OR reason <> ?)
		RETURNING id`, to, reason, micros(time.Now()), sop, to, reason).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil || to != ContourRefused && to != ContourWaiting {
		return err
	}
	return r.record(ctx, tx, id, to, reason)
}

// loadContour is a contour that no case shows, as a line of its own.
func (r *Router) loadContour(ctx context.Context, id string) (Case, error) {
	c := Case{ID: id}
	var updated int64
	s := Series{Instances: 1}
	err := r.db.index.QueryRowContext(ctx, `SELECT c.state, c.reason, c.patient_id, c.issuer, c.updated_at, s.study_uid, s.series_uid FROM contour c
		JOIN instance i ON i.sop_uid = c.sop_uid JOIN series s ON s.series_uid = i.series_uid WHERE c.id = ? AND c.state IN (?, ?)`,
		id, ContourRefused, ContourWaiting).Scan(&c.State, &c.Reason, &c.PatientID, &c.Issuer, &updated, &s.StudyInstanceUID, &s.SeriesInstanceUID)
	if err != nil {
		return Case{}, err
	}
	c.Created, c.Updated, c.Series = fromMicros(updated), fromMicros(updated), []Series{s}
	return c, nil
}

// dropContour takes a contour that no case shows out of consideration.
func (r *Router) dropContour(ctx context.Context, tx *sql.Tx, id, reason string) error {
	var sop string
	err := tx.QueryRowContext(ctx, `SELECT sop_uid FROM contour WHERE id = ? AND state IN (?, ?)`, id, ContourRefused, ContourWaiting).Scan(&sop)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNoCase
	}
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE contour SET summary = '' WHERE sop_uid = ?`, sop); err != nil {
		return err
	}
	if err := r.setContour(ctx, tx, sop, Dropped, reason); err != nil {
		return err
	}
	return r.record(ctx, tx, id, Dropped, reason)
}
