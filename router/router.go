package router

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"golang.org/x/sync/errgroup"

	"rfanode/analysis/contour"
)

// Router is the state of a node and, while Run runs, what acts on it. Its methods may be used from several goroutines,
// and, but for Run, from several processes on one data folder.
type Router struct {
	opts         Options
	log          *slog.Logger
	db           *database
	wording      *wording
	contourWords *contour.Wording
	jobs         *river.Client[*sql.Tx] // inserts and cancels; Run has its own client that works

	locking   sync.Mutex
	lock      *nodeLock       // nil: this process is not the node
	receiving sync.Mutex      // Received: one writer at a time waits less than several that poll the database's lock
	building  sync.Mutex      // numbers of results in a study are given one after another
	running   sync.Map        // case ID → context.CancelCauseFunc of its analysis
	stopping  context.Context // of Run, for workers to tell a shutdown from a time-out
}

// intervals at which the state is looked at. The file is the only channel between processes, so that what another one
// writes is noticed after at most this long.
const (
	watchEvery = 200 * time.Millisecond
	tickEvery  = 200 * time.Millisecond
	afterError = 5 * time.Second  // pause before a failing database is asked again
	stopWithin = 30 * time.Second // for workers to notice that the node ends
)

// Open opens the state in opts.Dir, making it as needed. It takes no lock: any number of processes may look at cases,
// release and drop them; only one may Run.
func Open(ctx context.Context, opts Options) (*Router, error) {
	if err := opts.setDefaults(); err != nil {
		return nil, err
	}
	wording, err := opts.Rules.compile()
	if err != nil {
		return nil, err
	}
	contourWords, err := opts.Contours.Compile()
	if err != nil {
		return nil, fmt.Errorf("words for contours: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(opts.Dir, "results"), 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	r := &Router{opts: opts, log: opts.Log, wording: wording, contourWords: contourWords, stopping: context.Background()}
	if r.db, err = openDatabase(ctx, filepath.Join(opts.Dir, "rfanode.db"), opts.Log); err != nil {
		return nil, err
	}
	r.jobs, err = river.NewClient(riversqlite.New(r.db.state), &river.Config{Logger: riverLog(opts.Log)})
	if err != nil {
		r.db.close()
		return nil, fmt.Errorf("open the job queue: %w", err)
	}
	return r, nil
}

// Lock makes this process the node of the data folder until Close, or returns ErrNodeRunning. Run does it by itself; call
// it before anything else that only one process may do to the folder, such as clearing what a crash has left.
func (r *Router) Lock() error {
	r.locking.Lock()
	defer r.locking.Unlock()
	if r.lock != nil {
		return nil
	}
	var err error
	r.lock, err = lockNode(r.opts.Dir)
	return err
}

// Close gives state and folder back. Run must have returned.
func (r *Router) Close() error {
	r.locking.Lock()
	defer r.locking.Unlock()
	err := r.db.close()
	if r.lock != nil {
		r.lock.release()
		r.lock = nil
	}
	return err
}

// Run is the node at work: it sees series become whole, pairs them, analyses, delivers, and reports changes, until ctx
// is done. It returns ErrNodeRunning if another process does so on this folder, and nil after an orderly end. A Router
// runs once.
func (r *Router) Run(ctx context.Context) error {
	if err := r.Lock(); err != nil {
		return err
	}
	r.stopping = ctx

	var lastEvent int64
	if err := r.db.index.QueryRowContext(ctx, `SELECT coalesce(max(seq), 0) FROM event`).Scan(&lastEvent); err != nil {
		return fmt.Errorf("read the history: %w", err)
	}
	if err := inTx(ctx, r.db.state, func(tx *sql.Tx) error { return r.takeUp(ctx, tx) }); err != nil {
		return fmt.Errorf("take up what was left: %w", err)
	}
	client, err := r.startWorkers(ctx)
	if err != nil {
		return err
	}
	var loops errgroup.Group
	loops.Go(func() error { r.loop(ctx, tickEvery, r.tick); return nil })
	loops.Go(func() error {
		r.loop(ctx, watchEvery, func(ctx context.Context) error { return r.watch(ctx, &lastEvent) })
		return nil
	})
	<-ctx.Done()
	_ = loops.Wait()
	select {
	case <-client.Stopped():
	case <-time.After(stopWithin):
		return fmt.Errorf("a worker did not end within %s of the shutdown; its job is taken up again at the next start", stopWithin)
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := r.watch(last, &lastEvent); err != nil {
		r.log.Warn("last changes are not reported", "error", err)
	}
	return nil
}

func (r *Router) startWorkers(ctx context.Context) (*river.Client[*sql.Tx], error) {
	workers := river.NewWorkers()
	if err := errors.Join(river.AddWorkerSafely(workers, &analyseWorker{r: r}), river.AddWorkerSafely(workers, &deliverWorker{r: r}),
		river.AddWorkerSafely(workers, &commitWorker{r: r})); err != nil {
		return nil, fmt.Errorf("register the workers: %w", err)
	}
	queues := map[string]river.QueueConfig{analysisQueue: {MaxWorkers: r.opts.Parallel}}
	for _, d := range r.opts.Destinations {
		queues[deliveryQueue(d.Name)] = river.QueueConfig{MaxWorkers: 1}
	}
	client, err := river.NewClient(riversqlite.New(r.db.state), &river.Config{
		Queues:            queues,
		Workers:           workers,
		Logger:            riverLog(r.log),
		FetchPollInterval: 250 * time.Millisecond,
		JobTimeout:        max(r.opts.AnalysisTime, deliveryTimeout),
		JobStuckHandler:   r.jobStuck,
		MaxAttempts:       maxCrashes,
	})
	if err != nil {
		return nil, fmt.Errorf("prepare the workers: %w", err)
	}
	if err := client.Start(ctx); err != nil {
		return nil, fmt.Errorf("start the workers: %w", err)
	}
	return client, nil
}

// jobStuck is told of a job that goes on although its time is over and it was told to stop. The first such job gets a
// substitute for its place, so that one case cannot stop all others; more would use up the machine.
func (r *Router) jobStuck(_ context.Context, stuck river.JobStuckHandlerParams) river.JobStuckHandlerResult {
	r.log.Error("a job does not end although its time is over: start the node again soon", "job", stuck.ID, "kind", stuck.Kind, "stuck", stuck.TotalStuckJobs)
	return river.JobStuckHandlerResult{AddWorkerSlot: stuck.TotalStuckJobs <= 1}
}

// loop calls f at once and then every so often until ctx is done. An error is logged here; f is tried again.
func (r *Router) loop(ctx context.Context, every time.Duration, f func(context.Context) error) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		next := every
		if err := f(ctx); err != nil && ctx.Err() == nil {
			r.log.Error("the router cannot go on; it tries again", "error", err, "in", afterError)
			next = afterError
		}
		timer.Reset(next)
	}
}

func (r *Router) tick(ctx context.Context) error {
	if err := r.examineQuiet(ctx); err != nil {
		return err
	}
	if err := r.readContours(ctx); err != nil {
		return err
	}
	return r.pairDue(ctx)
}

// watch reports the changes since the last call, also those that other processes made.
func (r *Router) watch(ctx context.Context, last *int64) error {
	type event struct {
		seq        int64
		id, reason string
		state      State
	}
	events, err := collect(ctx, r.db.index, func(rows *sql.Rows) (e event, err error) {
		err = rows.Scan(&e.seq, &e.id, &e.state, &e.reason)
		return e, err
	}, `SELECT seq, id, state, reason FROM event WHERE seq > ? ORDER BY seq LIMIT 1000`, *last)
	if err != nil {
		return fmt.Errorf("read the history: %w", err)
	}
	for _, e := range events {
		*last = e.seq
		if e.state == stateUsed || e.state == stateSpare || e.state == stateStored {
			continue // of a series: nothing to tell
		}
		if stop, ok := r.running.Load(e.id); ok && (e.state == Dropped || e.state == Superseded) {
			stop.(context.CancelCauseFunc)(errEnded)
		}
		r.log.Info(string(e.state), "case", e.id, "reason", e.reason)
		if r.opts.Changed == nil {
			continue
		}
		c, err := r.Case(ctx, e.id)
		if err != nil && !errors.Is(err, ErrNoCase) {
			return err
		}
		c.ID, c.State, c.Reason = e.id, e.state, e.reason // as it was then
		r.opts.Changed(c)
	}
	return nil
}
