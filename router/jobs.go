package router

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"log/slog"
	"time"

	"github.com/riverqueue/river"
)

// analyseArgs is the job that analyses one case.
type analyseArgs struct {
	Case string `json:"case"`
}

func (analyseArgs) Kind() string { return "analyse_case" }

// deliverArgs is the job that sends the objects of one case to one destination.
type deliverArgs struct {
	Case        string `json:"case"`
	Destination string `json:"destination"`
}

func (deliverArgs) Kind() string { return "deliver_results" }

const (
	analysisQueue = "analyse"
	// A failed analysis is repeated twice: most failures repeat themselves, but memory may have been short for a moment.
	maxAnalyses = 3
	// A case during which the node itself has died this often is the likely cause of that.
	maxCrashes = 5
	// Deliveries end by their own clock (Retry.GiveUp), not by a count.
	maxDeliveryErrors = 10000
	deliveryTimeout   = 15 * time.Minute // of one association with all objects of a case
)

// deliveryQueue: one queue a destination, one worker a queue, so that a slow destination holds up nobody else and
// sees one association at a time.
func deliveryQueue(destination string) string {
	sum := sha256.Sum256([]byte(destination))
	return "deliver_" + hex.EncodeToString(sum[:6])
}

// queueAnalysis inserts the job of a case in the transaction that made the case queued.
func (r *Router) queueAnalysis(ctx context.Context, tx *sql.Tx, id string) error {
	job, err := r.jobs.InsertTx(ctx, tx, analyseArgs{Case: id}, &river.InsertOpts{Queue: analysisQueue, MaxAttempts: maxCrashes + maxAnalyses})
	if err != nil {
		return fmt.Errorf("queue the analysis of case %s: %w", id, err)
	}
	_, err = tx.ExecContext(ctx, `UPDATE cases SET job = ? WHERE id = ?`, job.Job.ID, id)
	return err
}

// queueDelivery inserts the job of a case and a destination in the transaction that made the outbox rows pending.
func (r *Router) queueDelivery(ctx context.Context, tx *sql.Tx, id, destination string) error {
	_, err := r.jobs.InsertTx(ctx, tx, deliverArgs{Case: id, Destination: destination},
		&river.InsertOpts{Queue: deliveryQueue(destination), MaxAttempts: maxDeliveryErrors})
	if err != nil {
		return fmt.Errorf("queue the delivery of case %s to %s: %w", id, destination, err)
	}
	return nil
}

type analyseWorker struct {
	river.WorkerDefaults[analyseArgs]
	r *Router
}

func (w *analyseWorker) Timeout(*river.Job[analyseArgs]) time.Duration { return w.r.opts.AnalysisTime }

func (w *analyseWorker) NextRetry(job *river.Job[analyseArgs]) time.Time {
	return time.Now().Add(w.r.opts.Retry.wait(job.Attempt))
}

func (w *analyseWorker) Work(ctx context.Context, job *river.Job[analyseArgs]) error {
	return w.r.analyse(ctx, job)
}

type deliverWorker struct {
	river.WorkerDefaults[deliverArgs]
	r *Router
}

func (w *deliverWorker) Timeout(*river.Job[deliverArgs]) time.Duration { return deliveryTimeout }

func (w *deliverWorker) Work(ctx context.Context, job *river.Job[deliverArgs]) error {
	return w.r.deliver(ctx, job)
}

// riverLog lets warnings and errors of the job queue through; its other lines say nothing to an operator.
func riverLog(log *slog.Logger) *slog.Logger { return slog.New(warnings{log.Handler()}) }

type warnings struct{ slog.Handler }

func (w warnings) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && w.Handler.Enabled(ctx, l)
}
func (w warnings) WithAttrs(a []slog.Attr) slog.Handler { return warnings{w.Handler.WithAttrs(a)} }
func (w warnings) WithGroup(name string) slog.Handler   { return warnings{w.Handler.WithGroup(name)} }
