package router

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"rfanode/analysis"
	"rfanode/analysis/contour"
	"rfanode/analysis/ct"
	"rfanode/analysis/volume"
)

const contourCame = "a contour has come"

// renewCases gives each pair the contours that are there for it now. A case that has brought no result yet is queued
// again, whatever held it, but for a doubt about the patient; one that has, or that is being analysed, is followed by a
// new case of the same instances.
func (r *Router) renewCases(ctx context.Context, tx *sql.Tx, d *desk, cases []past, made []pairing) error {
	if r.opts.IgnoreContours {
		return nil
	}
	seen, replaced := map[string]bool{}, map[string]bool{}
	for _, p := range made {
		seen[p.post.seriesUID], replaced[p.predecessor] = true, true
	}
	for _, c := range slices.Backward(cases) {
		if c.state == Superseded || replaced[c.id] || seen[c.postSeries] {
			continue
		}
		seen[c.postSeries] = true
		if c.state == Dropped {
			continue
		}
		set := d.set(d.sides(c.preSeries, c.postSeries))
		if set.key() == c.contours {
			continue
		}
		if err := r.renewCase(ctx, tx, c, set); err != nil {
			return err
		}
	}
	return nil
}

func (r *Router) renewCase(ctx context.Context, tx *sql.Tx, c past, set contourSet) error {
	switch c.state {
	case Queued, Held, Failed:
	default:
		return r.followCase(ctx, tx, c, set)
	}
	hold := c.hold
	if hold != holdPairing || c.state != Held {
		if hold = ""; set.Hold != "" {
			hold = holdContour
		}
	}
	_, err := tx.ExecContext(ctx, `UPDATE cases SET contours = ?, hold = ?, released_at = 0 WHERE id = ?`, set.key(), hold, c.id)
	switch {
	case err != nil || hold == holdPairing:
		return err
	case hold == holdContour:
		_, err = r.move(ctx, tx, c.id, Held, set.Hold, Queued, Held, Failed)
		return err
	}
	r.log.Info(contourCame, "case", c.id)
	if _, err := r.move(ctx, tx, c.id, Queued, contourCame, Queued, Held, Failed); err != nil {
		return err
	}
	return r.queueAnalysis(ctx, tx, c.id)
}

// followCase makes the case that follows another on the same instances.
func (r *Router) followCase(ctx context.Context, tx *sql.Tx, c past, set contourSet) error {
	id, err := freeID(ctx, tx, pairing{pre: candidate{set: c.preSet}, post: candidate{set: c.postSet}})
	if err != nil {
		return err
	}
	state, hold := Queued, ""
	if set.Hold != "" {
		state, hold = Held, holdContour
	}
	now := micros(time.Now())
	_, err = tx.ExecContext(ctx, `INSERT INTO cases (id, state, reason, hold, patient_id, issuer, pre_series, post_series, pre_set, post_set, contours,
		predecessor, created_at, updated_at) SELECT ?, ?, ?, ?, patient_id, issuer, pre_series, post_series, pre_set, post_set, ?, id, ?, ?
		FROM cases WHERE id = ?`, id, state, set.Hold, hold, set.key(), now, now, c.id)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO case_instance (case_id, role, sop_uid) SELECT ?, role, sop_uid FROM case_instance WHERE case_id = ?`, id, c.id)
	if err != nil {
		return err
	}
	if err := r.record(ctx, tx, id, state, set.Hold); err != nil {
		return err
	}
	if _, err := r.end(ctx, tx, c.id, Superseded, "replaced by case "+id+": "+contourCame, Analysing); err != nil {
		return err
	}
	r.log.Info(contourCame, "case", id, "replaces", c.id)
	if state != Queued {
		return nil
	}
	return r.queueAnalysis(ctx, tx, id)
}

// usedContour is a contour that an analysis is given.
type usedContour struct {
	used
	path string
}

func usedContours(ctx context.Context, tx *sql.Tx, text string) ([]usedContour, error) {
	set, err := readContourSet(text)
	if err != nil {
		return nil, err
	}
	var all []usedContour
	for _, u := range set.Used {
		c := usedContour{used: u}
		err := tx.QueryRowContext(ctx, `SELECT path FROM instance WHERE sop_uid = ?`, u.SOP).Scan(&c.path)
		if errors.Is(err, sql.ErrNoRows) {
			err = fmt.Errorf("the contour %s is not in the index: start the node again to rebuild it", u.SOP)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

// given reads the contours of a case on the grids of its series. An *contour.Error says why one cannot be used.
func (r *Router) given(ctx context.Context, in input, pre, post *ct.Series) (opts analysis.Options, err error) {
	for _, u := range in.contours {
		series, to := pre, &opts.GTR
		if u.Role == contour.Zone {
			series, to = post, &opts.PTZ
		}
		c, err := contour.Read(u.path)
		if err != nil {
			return opts, fmt.Errorf("contour of the %s: %w", u.Role, err)
		}
		if u.Structure >= len(c.Structures) {
			return opts, fmt.Errorf("contour of the %s: the object has changed since it arrived", u.Role)
		}
		to.What, to.By = c.Origin(u.Structure), c.Maker.Creator
		if c.Structures[u.Structure].Area() {
			to.Mask, err = c.Mask(series, u.Structure)
		} else {
			to.Point, err = r.pointOf(ctx, c, series, u.Structure)
		}
		if err != nil {
			return opts, fmt.Errorf("contour of the %s: %w", u.Role, err)
		}
	}
	return opts, nil
}

// pointOf places a point. It may be marked on an image of another reconstruction of the scan.
func (r *Router) pointOf(ctx context.Context, c *contour.Contour, series *ct.Series, i int) (*volume.Vec, error) {
	p, err := c.PointOn(series, i, func(sop string) (ct.InstanceHeader, bool) {
		var path string
		if err := r.db.index.QueryRowContext(ctx, `SELECT path FROM instance WHERE sop_uid = ?`, sop).Scan(&path); err != nil {
			return ct.InstanceHeader{}, false
		}
		h, err := ct.ReadHeader(path)
		return h, err == nil
	})
	return &p, err
}
