package router

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"rfanode/analysis"
	"rfanode/analysis/ct"
	"rfanode/durable"
	"rfanode/sr"
)

// writeResult writes what an analysis has found to the folder of the case: findings.json, summary.png and features.json,
// with a number for each further lesion, features.csv, and the objects if anything is final. The files are durable before the state of the case says
// that they exist; an attempt that is repeated writes the same again.
func (r *Router) writeResult(ctx context.Context, id string, pre, post *ct.Series, findings []analysis.Findings, opts sr.Options) (result, error) {
	dir := r.folder(id)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return result{}, fmt.Errorf("make the folder of case %s: %w", id, err)
	}
	w := &resultFiles{dir: dir, written: map[string]bool{}}
	for i, f := range findings {
		if err := w.findings(i, f); err != nil {
			return result{}, err
		}
		if err := w.summary(i, pre, post, f, opts); err != nil {
			r.log.Warn("no summary picture", "case", id, "lesion", f.Lesion, "error", err)
		}
	}
	if err := w.features(id, findings); err != nil {
		return result{}, err
	}
	res := result{state: Held, reason: heldReason(findings), findings: findings}
	if anyFinal(findings) {
		objects, err := sr.Build(ctx, pre, post, findings, opts)
		if err != nil {
			return result{}, fmt.Errorf("make the result objects: %w", err)
		}
		for _, o := range objects {
			err := w.file(objectFile(o), func(f io.Writer) error { _, err := f.Write(o.Data); return err })
			if err != nil {
				return result{}, err
			}
		}
		res.state, res.objects = Delivering, objects
	}
	return res, w.removeOthers()
}

// heldReason says why lesions are held; empty if none is.
func heldReason(findings []analysis.Findings) string {
	if len(findings) == 0 {
		return "the analysis found no lesion"
	}
	var why []string
	for _, f := range findings {
		if f.Status == analysis.Final {
			continue
		}
		text := strings.Join(f.Reasons, "; ")
		if text == "" {
			text = "held without a reason given"
		}
		if len(findings) > 1 {
			text = fmt.Sprintf("lesion %d is held: %s", f.Lesion, text)
		}
		why = append(why, text)
	}
	return strings.Join(why, "; ")
}

func objectFile(o sr.Object) string { return o.Role + ".dcm" }

// resultFiles writes into the folder of a case and knows what it has written.
type resultFiles struct {
	dir     string
	written map[string]bool
}

func (w *resultFiles) file(name string, write func(io.Writer) error) error {
	w.written[name] = true
	return durable.WriteFile(filepath.Join(w.dir, name), write)
}

// numbered is findings.json, findings-2.json …
func numbered(i int, stem, extension string) string {
	if i == 0 {
		return stem + extension
	}
	return fmt.Sprintf("%s-%d%s", stem, i+1, extension)
}

func (w *resultFiles) findings(i int, f analysis.Findings) error {
	return w.file(numbered(i, "findings", ".json"), func(out io.Writer) error {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(f)
	})
}

func (w *resultFiles) summary(i int, pre, post *ct.Series, f analysis.Findings, opts sr.Options) error {
	picture, err := sr.Summary(pre, post, f, opts)
	if err != nil {
		return err
	}
	return w.file(numbered(i, "summary", ".png"), func(out io.Writer) error { return png.Encode(out, picture) })
}

// removeOthers deletes what an earlier attempt with another outcome has left: findings that no longer hold must not lie
// beside those that do.
func (w *resultFiles) removeOthers() error {
	entries, err := os.ReadDir(w.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !w.written[e.Name()] && e.Type().IsRegular() {
			err = errors.Join(err, os.Remove(filepath.Join(w.dir, e.Name())))
		}
	}
	return err
}

// storeResult enters a result: the state of the case, its objects, and one outbox row for each object and destination
// with the jobs that send them.
func (r *Router) storeResult(ctx context.Context, tx *sql.Tx, id string, res result) error {
	ok, err := r.move(ctx, tx, id, res.state, res.reason, Analysing)
	if err != nil || !ok {
		return err // dropped or replaced meanwhile: nothing of it goes out
	}
	if err := r.pairingDueFor(ctx, tx, id); err != nil {
		return err
	}
	if err := storeFeatures(ctx, tx, id, res.findings); err != nil {
		return err
	}
	if res.state == Held {
		_, err := tx.ExecContext(ctx, `UPDATE cases SET hold = ?, released_at = 0 WHERE id = ?`, holdAnalysis, id)
		return err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE cases SET hold = '', remark = ? WHERE id = ?`, res.reason, id); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM object WHERE case_id = ?`, id); err != nil {
		return err
	}
	for seq, o := range res.objects {
		_, err := tx.ExecContext(ctx, `INSERT INTO object (case_id, seq, role, sop_class, sop_uid, study_uid, series_uid, file, note, withheld)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, id, seq, o.Role, o.SOPClassUID, o.SOPInstanceUID, o.StudyInstanceUID,
			o.SeriesInstanceUID, objectFile(o), o.Note, o.Withheld)
		if err != nil {
			return err
		}
	}
	return r.fillOutbox(ctx, tx, id, Delivering)
}

// fillOutbox has the objects of a case sent to every destination; without one it ends as kept.
func (r *Router) fillOutbox(ctx context.Context, tx *sql.Tx, id string, from State) error {
	var reason string
	if err := tx.QueryRowContext(ctx, `SELECT remark FROM cases WHERE id = ?`, id).Scan(&reason); err != nil {
		return err
	}
	if len(r.opts.Destinations) == 0 {
		_, err := r.move(ctx, tx, id, Kept, reason, from)
		return err
	}
	if _, err := r.move(ctx, tx, id, Delivering, reason, from); err != nil {
		return err
	}
	now := micros(time.Now())
	for _, d := range r.opts.Destinations {
		_, err := tx.ExecContext(ctx, `INSERT INTO outbox (case_id, seq, destination, state, created_at, updated_at)
			SELECT case_id, seq, ?, ?, ?, ? FROM object WHERE case_id = ? AND withheld = 0`, d.Name, Pending, now, now, id)
		if err != nil {
			return err
		}
		if err := r.queueDelivery(ctx, tx, id, d.Name); err != nil {
			return err
		}
	}
	return nil
}
