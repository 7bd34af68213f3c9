package router

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"rfanode/analysis/ct"
)

// quietSeries is a series that may be whole.
type quietSeries struct {
	uid, patientID, issuer string
	lastAt                 int64
}

// examineQuiet looks at every series that has been quiet for long enough and decides whether it can be used.
func (r *Router) examineQuiet(ctx context.Context) error {
	due, err := collect(ctx, r.db.index, func(rows *sql.Rows) (s quietSeries, err error) {
		err = rows.Scan(&s.uid, &s.patientID, &s.issuer, &s.lastAt)
		return s, err
	}, `SELECT series_uid, patient_id, issuer, last_at FROM series WHERE state = ? AND last_at <= ? ORDER BY last_at`,
		Receiving, micros(time.Now().Add(-r.opts.QuietTime)))
	if err != nil {
		return fmt.Errorf("look for whole series: %w", err)
	}
	for _, s := range due {
		if err := r.examine(ctx, s); err != nil {
			return fmt.Errorf("examine series %s: %w", s.uid, err)
		}
	}
	return nil
}

// verdict is what became of a quiet series.
type verdict struct {
	state  State
	reason string
	facts  string
	set    string
}

func (r *Router) examine(ctx context.Context, s quietSeries) error {
	v, err := r.judgeSeries(ctx, s)
	if err != nil {
		return err
	}
	return inTx(ctx, r.db.state, func(tx *sql.Tx) error {
		// Not if another instance has come meanwhile: the series is looked at again after that one.
		done, err := tx.ExecContext(ctx, `UPDATE series SET facts = ?, set_digest = ? WHERE series_uid = ? AND state = ? AND last_at = ?`,
			v.facts, v.set, s.uid, Receiving, s.lastAt)
		if err != nil {
			return err
		}
		if n, err := done.RowsAffected(); err != nil || n == 0 {
			return err
		}
		if err := r.setSeries(ctx, tx, s.uid, v.state, v.reason); err != nil {
			return err
		}
		return pairingDue(ctx, tx, s.patientID, s.issuer)
	})
}

func pairingDue(ctx context.Context, tx *sql.Tx, patientID, issuer string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO pairing_due (patient_id, issuer) VALUES (?, ?) ON CONFLICT DO NOTHING`, patientID, issuer)
	return err
}

// judgeSeries reads the headers of a series. An error is one of the database or the context; whatever is wrong with the
// series itself is the verdict.
func (r *Router) judgeSeries(ctx context.Context, s quietSeries) (verdict, error) {
	type file struct{ sopUID, path string }
	files, err := collect(ctx, r.db.index, func(rows *sql.Rows) (f file, err error) {
		err = rows.Scan(&f.sopUID, &f.path)
		return f, err
	}, `SELECT sop_uid, path FROM instance WHERE series_uid = ?`, s.uid)
	if err != nil {
		return verdict{}, err
	}
	headers := make([]ct.InstanceHeader, 0, len(files))
	uids := make([]string, 0, len(files))
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return verdict{}, err
		}
		frames, err := ct.ReadFrames(f.path)
		if err != nil {
			return verdict{state: NotAnalysable, reason: fmt.Sprintf("instance %s cannot be read: %v", f.sopUID, err)}, nil
		}
		headers, uids = append(headers, frames...), append(uids, f.sopUID)
	}
	if len(headers) == 0 {
		return verdict{state: NotAnalysable, reason: "the index knows no instance of it"}, nil
	}
	if strings.EqualFold(strings.TrimSpace(headers[0].ModelName), ownModelName) {
		return verdict{state: stateStored, reason: "made by rfanode"}, nil
	}
	text, err := json.Marshal(factsOf(headers)) // also of an unusable series: people find it by its date and description
	if err != nil {
		return verdict{}, err
	}
	v := verdict{state: NotAnalysable, facts: string(text), set: setDigest(s.uid, uids)}
	fault := ct.CheckStack(headers)
	switch {
	case s.patientID == "":
		v.reason = "it carries no Patient ID, so that its pair cannot be found safely: correct it and send again"
	case fault != nil:
		v.reason = stackReason(fault)
	default:
		v.state, v.reason = Waiting, lookingForPair
	}
	return v, nil
}

// stackReason names the kind of fault before its description.
func stackReason(err error) string {
	var fault *ct.StackError
	if errors.As(err, &fault) {
		return string(fault.Problem) + ": " + fault.Reason
	}
	return err.Error()
}

// lookingForPair is the reason of a usable series until pairing has looked at its patient.
const lookingForPair = "looking for its pair"

// ownModelName is the Manufacturer's Model Name of everything package sr makes.
const ownModelName = "rfanode"
