package router

import (
	"context"
	"database/sql"
	"time"
)

// takeUp repairs what a crash, a restart or a changed configuration has left behind. It runs under the node's lock,
// before any worker: whatever looks as if it were being worked on is not.
func (r *Router) takeUp(ctx context.Context, tx *sql.Tx) error {
	for _, step := range []func(context.Context, *sql.Tx) error{
		r.freeJobs, r.reopenCases, r.dropStrangers, r.sendKept, r.requeueDeliveries,
	} {
		if err := step(ctx, tx); err != nil {
			return err
		}
	}
	return nil
}

// freeJobs makes every job that was running, or waited for its turn to be tried again, available at once. River by
// itself would rescue a running one after an hour, and elect a maintainer only when the dead process's term has ended.
// Attempts stay counted. A series that was arriving gets its quiet time anew, for its sender to come back.
func (r *Router) freeJobs(ctx context.Context, tx *sql.Tx) error {
	for _, q := range []string{
		`DELETE FROM river_leader`,
		`UPDATE river_job SET state = 'available', scheduled_at = datetime('now', 'subsec') WHERE state IN ('running', 'retryable', 'scheduled')`,
		`DELETE FROM destination_hold`,
	} {
		if _, err := tx.ExecContext(ctx, q); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, `UPDATE series SET last_at = ? WHERE state = ?`, micros(time.Now()), Receiving)
	return err
}

// reopenCases returns interrupted analyses to the queue, and gives a job to every queued case that has none.
func (r *Router) reopenCases(ctx context.Context, tx *sql.Tx) error {
	interrupted, err := collect(ctx, tx, scanText, `SELECT id FROM cases WHERE state = ?`, Analysing)
	if err != nil {
		return err
	}
	for _, id := range interrupted {
		if _, err := r.move(ctx, tx, id, Queued, "the node was stopped during the analysis", Analysing); err != nil {
			return err
		}
	}
	idle, err := collect(ctx, tx, scanText, `SELECT id FROM cases c WHERE state = ? AND NOT EXISTS
		(SELECT 1 FROM river_job j WHERE j.id = c.job AND j.state = 'available')`, Queued)
	if err != nil {
		return err
	}
	for _, id := range idle {
		if err := r.queueAnalysis(ctx, tx, id); err != nil {
			return err
		}
	}
	return nil
}

// dropStrangers parks what waits for a destination that the configuration no longer names.
func (r *Router) dropStrangers(ctx context.Context, tx *sql.Tx) error {
	waiting, err := collect(ctx, tx, scanText, `SELECT DISTINCT destination FROM outbox WHERE state = ?`, Pending)
	if err != nil {
		return err
	}
	for _, name := range waiting {
		if _, ok := r.destination(name); ok {
			continue
		}
		ids, err := collect(ctx, tx, scanText, `SELECT DISTINCT case_id FROM outbox WHERE state = ? AND destination = ?`, Pending, name)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE outbox SET state = ?, comment = ?, updated_at = ? WHERE state = ? AND destination = ?`,
			Parked, "the configuration no longer names this destination", micros(time.Now()), Pending, name)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if err := r.settle(ctx, tx, id); err != nil {
				return err
			}
		}
	}
	return nil
}

// sendKept sends, once destinations are configured, the results that were made when there were none.
func (r *Router) sendKept(ctx context.Context, tx *sql.Tx) error {
	if len(r.opts.Destinations) == 0 {
		return nil
	}
	kept, err := collect(ctx, tx, scanText, `SELECT id FROM cases WHERE state = ?`, Kept)
	if err != nil {
		return err
	}
	for _, id := range kept {
		if err := r.fillOutbox(ctx, tx, id, Kept); err != nil {
			return err
		}
	}
	return nil
}

// requeueDeliveries gives a job to everything pending that has none.
func (r *Router) requeueDeliveries(ctx context.Context, tx *sql.Tx) error {
	type delivery struct{ id, destination string }
	idle, err := collect(ctx, tx, func(rows *sql.Rows) (d delivery, err error) {
		err = rows.Scan(&d.id, &d.destination)
		return d, err
	}, `SELECT DISTINCT case_id, destination FROM outbox o WHERE state = ? AND NOT EXISTS
		(SELECT 1 FROM river_job j WHERE j.kind = ? AND j.state = 'available'
		 AND json_extract(j.args, '$.case') = o.case_id AND json_extract(j.args, '$.destination') = o.destination)`,
		Pending, deliverArgs{}.Kind())
	if err != nil {
		return err
	}
	for _, d := range idle {
		if err := r.queueDelivery(ctx, tx, d.id, d.destination); err != nil {
			return err
		}
	}
	return nil
}
