package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"rfanode/analysis"
	"rfanode/analysis/contour"
	"rfanode/analysis/ct"
	"rfanode/config"
	"rfanode/dimse"
	"rfanode/router"
	"rfanode/scp"
	"rfanode/scp/archive"
	"rfanode/sr"
)

// node is what runs between the wire and the PACS: the receiver with its archive, and the router behind it.
type node struct {
	archive   *archive.Archive
	listeners []net.Listener // plain, TLS
	server    *scp.Server
	committer *scp.Committer
	router    *router.Router
	log       *slog.Logger
}

// openNode opens data folder, database and port, and rebuilds the index from the archive, so that what a crash left
// stored but not yet indexed is seen. changed is told every change of a case; it may be nil.
func openNode(ctx context.Context, c *config.Config, log *slog.Logger, changed func(router.Case)) (_ *node, err error) {
	secure, err := credentials(c, log)
	if err != nil {
		return nil, err
	}
	r, err := router.Open(ctx, routerOptions(c, secure, log, changed))
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
		}
	}()
	if err := r.Lock(); err != nil { // before the archive clears what a crash has left
		return nil, err
	}
	store, err := archive.Open(filepath.Join(c.Data, "archive"), archiveOptions(c, log))
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, store.Close())
		}
	}()
	n := &node{archive: store, router: r, log: log}
	n.server = &scp.Server{
		AETitles:     []string{c.AETitle},
		AllowAnyPeer: c.AllowAnyPeer,
		Limits: scp.Limits{
			Associations: c.Limits.Associations, PerPeer: max(1, c.Limits.Associations/4),
			MaxDataSet: int64(c.Limits.ObjectMiB) << 20, Drain: c.Limits.Drain.Duration,
			Timeouts: dimse.Timeouts{Idle: c.Limits.Idle.Duration, Request: c.Limits.Request.Duration, Stall: c.Limits.Stall.Duration},
		},
		TransferSyntaxes:     ct.TransferSyntaxes(),
		AcceptUnknownClasses: c.AcceptUnknownClasses,
		AnyTransferSyntax:    c.AcceptAnySyntax,
		Archive:              store,
		Log:                  log,
		Stored:               func(e archive.Entry) { n.received(context.WithoutCancel(ctx), e) },
	}
	n.server.Peers, n.server.Identity, n.server.Users = senderRules(c)
	n.committer = &scp.Committer{Dir: filepath.Join(c.Data, "commitment"), Archive: store,
		Client: &dimse.Client{AETitle: c.AETitle, Log: log}, Peers: addresses(c, secure), Log: log}
	n.server.Commitments = n.committer
	n.server.CommitmentReport = func(aeTitle string, report dimse.CommitmentReport) error {
		return n.committed(context.WithoutCancel(ctx), aeTitle, report)
	}
	if err := n.reindex(ctx, store); err != nil {
		return nil, err
	}
	n.listeners, err = openListeners(c, secure)
	return n, err
}

func routerOptions(c *config.Config, secure *dimse.Credentials, log *slog.Logger, changed func(router.Case)) router.Options {
	destinations := make([]router.Destination, len(c.Destinations))
	for i, d := range c.Destinations {
		destinations[i] = router.Destination{Name: d.Name, Peer: destinationPeer(d, secure), Commitment: d.Commitment}
	}
	models := modelsOf(c.Segment)
	return router.Options{
		Dir:            c.Data,
		Client:         &dimse.Client{AETitle: c.AETitle, Log: log},
		Destinations:   destinations,
		QuietTime:      c.Series.Quiet.Duration,
		Rules:          router.Rules{Pre: c.Series.Pre, Post: c.Series.Post},
		Contours:       contour.Words{Tumour: c.Contours.Tumour, Zone: c.Contours.Zone, Ignore: c.Contours.Ignore},
		IgnoreContours: !c.Contours.Use,
		Retry:          router.Retry{GiveUp: c.Delivery.KeepTrying.Duration},
		AnalysisTime:   c.Analysis.Timeout.Duration,
		SR:             sr.Options{SiteKey: c.Report.Site, Font: c.Report.Font, Version: analysis.Version, ConfigDigest: resultDigest(c)},
		Log:            log,
		Changed:        changed,
		Analyse: func(ctx context.Context, pre, post *ct.Series, given analysis.Options) ([]analysis.Findings, error) {
			given.MaxDays, given.Models = c.Series.MaxDays, models
			return analysis.Run(ctx, pre, post, given)
		},
	}
}

// resultDigest covers everything in the configuration that can change a result.
func resultDigest(c *config.Config) string {
	text := fmt.Appendf(nil, "max_days=%d font=%s", c.Series.MaxDays, c.Report.Font)
	return fmt.Sprintf("%x", sha256.Sum256(append(text, modelSettings(c.Segment)...)))
}

func archiveOptions(c *config.Config, log *slog.Logger) archive.Options {
	o := archive.Options{ReserveBytes: int64(c.Limits.DiskReserveGiB * (1 << 30)), Log: log}
	if c.Limits.DiskReserveGiB == 0 {
		o.ReserveBytes, o.ReservePercent = -1, -1 // 0 would stand for the defaults
	}
	return o
}

// reindex tells the router of every instance in the archive; what it knows already costs it a look.
func (n *node) reindex(ctx context.Context, store *archive.Archive) error {
	return store.Walk(ctx, func(e archive.Entry) error { return n.router.Received(ctx, received(e)) })
}

func received(e archive.Entry) router.Received {
	return router.Received{Path: e.Path, Header: e.Header, CallingAE: e.CallingAE, At: e.Received}
}

// received indexes an instance that is stored for good. If that fails the instance is safe all the same: the next start
// indexes it.
func (n *node) received(ctx context.Context, e archive.Entry) {
	ctx, cancel := context.WithTimeout(ctx, indexTimeout)
	defer cancel()
	if err := n.router.Received(ctx, received(e)); err != nil {
		n.log.Error("an instance is stored but not indexed: restart the node to index it", "sop_instance_uid", e.Header.SOPInstanceUID, "error", err)
	}
}

// committed hands the router a report on the storage commitment of our results.
func (n *node) committed(ctx context.Context, aeTitle string, report dimse.CommitmentReport) error {
	ctx, cancel := context.WithTimeout(ctx, indexTimeout)
	defer cancel()
	err := n.router.CommitmentReport(ctx, aeTitle, report)
	if errors.Is(err, router.ErrUnknownTransaction) {
		return fmt.Errorf("%w: %w", scp.ErrUnknownTransaction, err)
	}
	return err
}

// indexTimeout bounds how long an association waits for the index.
const indexTimeout = 30 * time.Second

// run serves until ctx is done: then running associations end within their limit, the workers stop, and everything is
// closed.
func (n *node) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, l := range n.listeners {
		group.Go(func() error { return n.server.Serve(ctx, l) })
	}
	group.Go(func() error { return n.committer.Run(ctx) })
	group.Go(func() error { return n.router.Run(ctx) })
	return errors.Join(group.Wait(), n.archive.Close(), n.router.Close())
}
