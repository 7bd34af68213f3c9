package router

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riversqlite"

	"rfanode/analysis"
	"rfanode/analysis/contour"
	"rfanode/analysis/ct"
	"rfanode/sr"
)

// Where a held case stopped.
const (
	holdPairing  = "pairing"  // before its analysis: the identity of the patient is in doubt
	holdContour  = "contour"  // before its analysis: a contour that came for it is unclear
	holdAnalysis = "analysis" // the analysis holds its findings
)

// errEnded stops the analysis of a case that was dropped or replaced.
var errEnded = errors.New("the case was ended")

// input is what the analysis of a case stands on.
type input struct {
	id                  string
	prePaths, postPaths []string
	created             time.Time
	releasedAt          int64
	contours            []usedContour
}

// result is what an analysis has come to.
type result struct {
	state    State // Delivering or Held
	reason   string
	objects  []sr.Object
	findings []analysis.Findings
}

// analyse is one attempt at one case. Whatever it decides is one transaction with the completion of the job, so that a
// kill before it repeats the attempt and a kill after it repeats nothing.
func (r *Router) analyse(ctx context.Context, job *river.Job[analyseArgs]) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	r.running.Store(job.Args.Case, stop) // before the claim, so that no end of the case is missed
	defer r.running.Delete(job.Args.Case)
	in, ok, err := r.claim(ctx, job)
	if err != nil || !ok {
		return err
	}
	began := time.Now()
	res, err := r.runCase(ctx, in)
	if err != nil {
		return r.analysisFailed(ctx, job, err)
	}
	err = r.finishAnalysis(ctx, job, func(tx *sql.Tx) error { return r.storeResult(ctx, tx, in.id, res) })
	if err == nil {
		r.log.Info("analysis ended", "case", in.id, "took", time.Since(began).Round(10*time.Millisecond))
	}
	return err
}

// claim begins an attempt. It says no if the case is no longer to be analysed.
func (r *Router) claim(ctx context.Context, job *river.Job[analyseArgs]) (in input, ok bool, err error) {
	in.id = job.Args.Case
	if job.Attempt > maxCrashes {
		reason := fmt.Sprintf("the node has ended %d times while it analysed this case; it is not tried again by itself", job.Attempt-1)
		return in, false, r.finishAnalysis(ctx, job, func(tx *sql.Tx) error { return r.fail(ctx, tx, in.id, reason) })
	}
	err = inTx(ctx, r.db.state, func(tx *sql.Tx) error {
		var jobID, created int64
		var contours string
		err := tx.QueryRowContext(ctx, `SELECT job, created_at, released_at, contours FROM cases WHERE id = ?`, in.id).
			Scan(&jobID, &created, &in.releasedAt, &contours)
		if errors.Is(err, sql.ErrNoRows) || jobID != job.ID {
			return nil // a job of an earlier release of the case
		}
		if err != nil {
			return err
		}
		in.created = fromMicros(created)
		if ok, err = r.move(ctx, tx, in.id, Analysing, "", Queued, Analysing); err != nil || !ok {
			return err
		}
		if in.contours, err = usedContours(ctx, tx, contours); err != nil {
			return err
		}
		for role, to := range map[string]*[]string{"pre": &in.prePaths, "post": &in.postPaths} {
			*to, err = collect(ctx, tx, scanText, `SELECT i.path FROM case_instance c JOIN instance i ON i.sop_uid = c.sop_uid
				WHERE c.case_id = ? AND c.role = ? ORDER BY i.sop_uid`, in.id, role)
			if err != nil {
				return err
			}
		}
		return nil
	})
	return in, ok, err
}

// runCase loads, analyses, and writes the results to the folder of the case. A doubt is a result; an error is something
// that may pass.
func (r *Router) runCase(ctx context.Context, in input) (res result, err error) {
	defer func() {
		if p := recover(); p != nil {
			r.log.Error("the analysis has a fault", "case", in.id, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = fmt.Errorf("a fault of the program (please report it): %v", p)
		}
	}()
	pre, err := ct.Load(ctx, in.prePaths)
	if err != nil {
		return held("the pre series cannot be loaded", err)
	}
	post, err := ct.Load(ctx, in.postPaths)
	if err != nil {
		return held("the post series cannot be loaded", err)
	}
	given, err := r.given(ctx, in, pre, post)
	if err != nil {
		return held("the case cannot use what was drawn", err)
	}
	findings, err := r.opts.Analyse(ctx, pre, post, given)
	if err != nil {
		return result{}, err
	}
	if err := ctx.Err(); err != nil {
		return result{}, err // never take what was cut short for a finding
	}
	if in.releasedAt != 0 {
		releaseFindings(findings, fromMicros(in.releasedAt))
	}
	opts, err := r.objectOptions(ctx, in, pre, post, findings)
	if err != nil {
		return result{}, err
	}
	return r.writeResult(ctx, in.id, pre, post, findings, opts)
}

// held turns what is wrong with the images into a result; other errors stay errors.
func held(what string, err error) (result, error) {
	var drawn *contour.Error
	if errors.As(err, &drawn) {
		return result{state: Held, reason: what + ": " + err.Error()}, nil
	}
	var stack *ct.StackError
	if errors.As(err, &stack) {
		return result{state: Held, reason: what + ": " + stackReason(stack)}, nil
	}
	return result{}, fmt.Errorf("%s: %w", what, err)
}

// releaseFindings marks what was held and has everything a report needs as released.
func releaseFindings(findings []analysis.Findings, at time.Time) {
	for i := range findings {
		f := &findings[i]
		if f.Status != analysis.Held || f.Coverage == nil || f.GTR == nil || f.GTRPost == nil || f.PTV == nil || f.PTZ == nil || f.Uncovered == nil {
			continue
		}
		f.Status = analysis.Final
		note := fmt.Sprintf("Released by a person on %s, after the program had held it: %s", at.Format("2006-01-02 15:04 UTC"), strings.Join(f.Reasons, "; "))
		f.Warnings = append([]string{note}, f.Warnings...)
		f.Reasons = nil
	}
}

// objectOptions fixes what the objects of a case say beyond its findings, so that every attempt makes the same bytes.
func (r *Router) objectOptions(ctx context.Context, in input, pre, post *ct.Series, findings []analysis.Findings) (sr.Options, error) {
	opts := r.opts.SR
	opts.Created = in.created
	if !anyFinal(findings) {
		return opts, nil
	}
	r.building.Lock()
	defer r.building.Unlock()
	err := inTx(ctx, r.db.state, func(tx *sql.Tx) error {
		n, err := resultNumber(ctx, tx, in.id, pre.StudyInstanceUID, post.StudyInstanceUID)
		if err != nil {
			return err
		}
		if n > 1 { // 9000, 9010, 9020 … (a study holds one result for each pair and rerun)
			opts.SeriesNumberBase = orElse(opts.SeriesNumberBase, 9000) + 10*(n-1)
		}
		opts.Predecessor, err = predecessorReport(ctx, tx, in.id)
		return err
	})
	return opts, err
}

func anyFinal(findings []analysis.Findings) bool {
	for _, f := range findings {
		if f.Status == analysis.Final {
			return true
		}
	}
	return false
}

// resultNumber gives a case its number among the results in its two studies, and keeps it.
func resultNumber(ctx context.Context, tx *sql.Tx, id, preStudy, postStudy string) (int, error) {
	var n int
	if err := tx.QueryRowContext(ctx, `SELECT result_no FROM cases WHERE id = ?`, id).Scan(&n); err != nil || n > 0 {
		return n, err
	}
	err := tx.QueryRowContext(ctx, `SELECT 1 + coalesce(max(c.result_no), 0) FROM cases c JOIN series s ON s.series_uid IN (c.pre_series, c.post_series)
		WHERE s.study_uid IN (?, ?)`, preStudy, postStudy).Scan(&n)
	if err != nil {
		return 0, err
	}
	_, err = tx.ExecContext(ctx, `UPDATE cases SET result_no = ? WHERE id = ?`, n, id)
	return n, err
}

// predecessorReport finds the report that a case replaces: that of the nearest case before it that has one.
func predecessorReport(ctx context.Context, tx *sql.Tx, id string) (*sr.Reference, error) {
	for seen := map[string]bool{}; !seen[id]; {
		seen[id] = true
		if err := tx.QueryRowContext(ctx, `SELECT predecessor FROM cases WHERE id = ?`, id).Scan(&id); err != nil {
			if errors.Is(err, sql.ErrNoRows) {
				return nil, nil
			}
			return nil, err
		}
		var ref sr.Reference
		err := tx.QueryRowContext(ctx, `SELECT study_uid, series_uid, sop_class, sop_uid FROM object WHERE case_id = ? AND role = 'sr'`, id).
			Scan(&ref.StudyInstanceUID, &ref.SeriesInstanceUID, &ref.SOPClassUID, &ref.SOPInstanceUID)
		if err == nil {
			return &ref, nil
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return nil, err
		}
	}
	return nil, nil
}

// analysisFailed decides what an error means: a shutdown or a person's drop is none of the case's, an attempt that
// failed is repeated, the last one marks the case failed.
func (r *Router) analysisFailed(ctx context.Context, job *river.Job[analyseArgs], err error) error {
	id := job.Args.Case
	switch {
	case r.stopping.Err() != nil:
		return river.JobSnooze(0) // available at the next start, without counting as an attempt
	case errors.Is(context.Cause(ctx), errEnded):
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		err = fmt.Errorf("it took longer than %s", r.opts.AnalysisTime)
	}
	last := job.Attempt >= maxAnalyses
	reason := fmt.Sprintf("attempt %d of %d: %v", job.Attempt, maxAnalyses, err)
	commit := func(tx *sql.Tx) error {
		if last {
			return r.fail(ctx, tx, id, reason)
		}
		_, err := r.move(ctx, tx, id, Queued, reason, Analysing)
		return err
	}
	ctx, cancel := afterwards(ctx)
	defer cancel()
	if last {
		return r.finishAnalysis(ctx, job, commit)
	}
	if e := inTx(ctx, r.db.state, commit); e != nil {
		return e
	}
	return err
}

// afterwards is a context to record the end of an attempt whose own time is over.
func afterwards(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
}

func (r *Router) fail(ctx context.Context, tx *sql.Tx, id, reason string) error {
	ok, err := r.move(ctx, tx, id, Failed, reason, Queued, Analysing)
	if err != nil || !ok {
		return err
	}
	return r.pairingDueFor(ctx, tx, id)
}

// pairingDueFor has the patient of a case looked at again: the outcome of one pair can decide the next.
func (r *Router) pairingDueFor(ctx context.Context, tx *sql.Tx, id string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO pairing_due (patient_id, issuer) SELECT patient_id, issuer FROM cases WHERE id = ? ON CONFLICT DO NOTHING`, id)
	return err
}

// finishAnalysis completes a job together with the change it leads to.
func (r *Router) finishAnalysis(ctx context.Context, job *river.Job[analyseArgs], change func(*sql.Tx) error) error {
	ctx, cancel := afterwards(ctx)
	defer cancel()
	return inTx(ctx, r.db.state, func(tx *sql.Tx) error {
		if err := change(tx); err != nil {
			return err
		}
		_, err := river.JobCompleteTx[*riversqlite.Driver](ctx, tx, job)
		return err
	})
}
