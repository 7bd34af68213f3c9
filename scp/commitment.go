package scp

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"rfanode/dimse"
	"rfanode/durable"
	"rfanode/scp/archive"
)

// Committer is the storage commitment SCP (PS3.4 annex J): it answers whether the archive has what a peer has sent. A
// request is on disk before it is answered, so that its report goes out whatever happens in between. Reports go to the
// address of the peer, on an association of our own; a peer without an address gets its report at once on the
// association in which it asked.
type Committer struct {
	Dir     string // of the requests whose report is still to be brought
	Archive *archive.Archive
	Client  *dimse.Client
	Peers   map[string]dimse.Peer // where reports go, by AE title
	Retry   CommitRetry
	Log     *slog.Logger // nil: silent

	once sync.Once
	wake chan struct{}
	mu   sync.Mutex // of the folder's names
}

// CommitRetry says how a report is repeated: First, doubled up to Max, until GiveUp after the request.
type CommitRetry struct {
	First, Max, GiveUp time.Duration // 0: 5 s, 15 min, 24 h
}

func (r CommitRetry) withDefaults() CommitRetry {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&r.First, 5*time.Second)
	def(&r.Max, 15*time.Minute)
	def(&r.GiveUp, 24*time.Hour)
	return r
}

// maxPending bounds the requests that wait for their report: some days of a large department.
const maxPending = 10_000

// pending is a request whose report is to be brought, as it is kept on disk.
type pending struct {
	AETitle string                  `json:"ae_title"`
	Asked   time.Time               `json:"asked"`
	Request dimse.CommitmentRequest `json:"request"`
}

func (c *Committer) log() *slog.Logger {
	if c.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return c.Log
}

func (c *Committer) signal() chan struct{} {
	c.once.Do(func() { c.wake = make(chan struct{}, 1) })
	return c.wake
}

// file names a request by peer and transaction, never by anything that a peer chose.
func (c *Committer) file(aeTitle, transaction string) string {
	sum := sha256.Sum256([]byte(aeTitle + "\n" + transaction))
	return filepath.Join(c.Dir, hex.EncodeToString(sum[:])+".json")
}

var (
	errTransactionInUse = errors.New("the Transaction UID is in use for other instances")
	errTooManyPending   = errors.New("too many requests wait for their report")
)

// keep puts a request on disk. The same one again is fine.
func (c *Committer) keep(aeTitle string, rq dimse.CommitmentRequest) error {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	path := c.file(aeTitle, rq.TransactionUID)
	switch known, err := readPending(path); {
	case err == nil && !slices.Equal(known.Request.References, rq.References):
		return errTransactionInUse
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if names, err := c.list(); err != nil {
		return err
	} else if len(names) >= maxPending {
		return errTooManyPending
	}
	text, err := json.Marshal(pending{aeTitle, time.Now(), rq})
	if err != nil {
		return err
	}
	err = durable.WriteFile(path, func(w io.Writer) error { _, err := w.Write(text); return err })
	if err != nil {
		return err
	}
	select {
	case c.signal() <- struct{}{}:
	default: // it looks already
	}
	return nil
}

func (c *Committer) list() ([]string, error) { return filepath.Glob(filepath.Join(c.Dir, "*.json")) }

func readPending(path string) (p pending, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return p, err
	}
	return p, json.Unmarshal(text, &p)
}

// judge looks every instance up: in the archive, of the class named, unchanged on disk. One that is named again is not
// read again. The error is that of ctx.
func (c *Committer) judge(ctx context.Context, rq dimse.CommitmentRequest) (dimse.CommitmentReport, error) {
	report := dimse.CommitmentReport{TransactionUID: rq.TransactionUID}
	known := map[dimse.Reference]uint16{}
	for _, ref := range rq.References {
		if ctx.Err() != nil {
			return report, context.Cause(ctx)
		}
		reason, ok := known[ref]
		if !ok {
			reason = c.reason(ref)
			known[ref] = reason
		}
		if reason != dimse.StatusSuccess {
			report.Failed = append(report.Failed, dimse.FailedReference{Reference: ref, Reason: reason})
			continue
		}
		report.Committed = append(report.Committed, ref)
	}
	return report, nil
}

// reason says why an instance cannot be committed; success if it can.
func (c *Committer) reason(ref dimse.Reference) uint16 {
	entry, err := c.Archive.Get(ref.SOPInstanceUID)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return dimse.FailureNoSuchObject
	case err == nil && entry.Header.SOPClassUID != ref.SOPClassUID:
		return dimse.FailureClassConflict
	case err == nil:
		err = c.Archive.Verify(entry)
	}
	if err != nil {
		c.log().Error("a stored instance is damaged: restore it from a copy", "sop_instance", ref.SOPInstanceUID, "error", err)
		return dimse.FailureProcessing
	}
	return dimse.StatusSuccess
}

// Run brings reports until ctx is done, those of an earlier run first. It returns nil then.
func (c *Committer) Run(ctx context.Context) error {
	retry := c.Retry.withDefaults()
	attempts := map[string]int{}
	next := map[string]time.Time{}
	for {
		names, err := c.list()
		if err != nil {
			return fmt.Errorf("look for commitment requests: %w", err)
		}
		wait := retry.Max
		away := map[string]error{} // peers that could not be reached this time round, with the reason
		for _, path := range names {
			if left := time.Until(next[path]); left > 0 {
				wait = min(wait, left)
				continue
			}
			done, err := c.bring(ctx, path, retry.GiveUp, away)
			if ctx.Err() != nil {
				return nil
			}
			if done {
				delete(attempts, path)
				delete(next, path)
				continue
			}
			pause := min(retry.First<<min(attempts[path], 20), retry.Max)
			attempts[path]++
			next[path] = time.Now().Add(pause)
			wait = min(wait, pause)
			c.log().Warn("a commitment report was not taken; it is tried again", "in", pause, "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-c.signal():
		case <-time.After(wait):
		}
	}
}

// bring makes one attempt at one report, unless its peer is away. It says whether the matter is closed, for better or
// worse.
func (c *Committer) bring(ctx context.Context, path string, giveUp time.Duration, away map[string]error) (done bool, err error) {
	p, err := readPending(path)
	if err != nil {
		c.log().Error("a commitment request cannot be read and is set aside", "path", path, "error", err)
		return true, os.Rename(path, path+".bad")
	}
	peer, ok := c.Peers[p.AETitle]
	if !ok || time.Since(p.Asked) > giveUp {
		c.log().Error("a commitment report was given up: look at the address of the peer", "peer", p.AETitle,
			"transaction", p.Request.TransactionUID, "address_known", ok)
		return c.forget(path)
	}
	if err := away[p.AETitle]; err != nil {
		return false, err
	}
	report, err := c.judge(ctx, p.Request)
	if err != nil {
		return false, err
	}
	if err := c.Client.ReportCommitment(ctx, peer, report); err != nil {
		err = fmt.Errorf("report to %s at %s: %w", peer.AETitle, peer.Address, err)
		var answer *dimse.StatusError
		if !errors.As(err, &answer) {
			away[p.AETitle] = err
		}
		return false, err
	}
	c.log().Info("commitment reported", "peer", p.AETitle, "committed", len(report.Committed), "failed", len(report.Failed))
	return c.forget(path)
}

// forget removes a request that is done with.
func (c *Committer) forget(path string) (bool, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	return true, nil
}

// inMemory bounds how many requests and reports are in memory at a time: a list of instances takes several times its
// encoded size.
const inMemory = 4

// memory waits for a place to read a data set into; the returned function gives it back.
func (x *exchange) memory() (release func(), err error) {
	select {
	case x.read <- struct{}{}:
		return func() { <-x.read }, nil
	case <-x.ctx.Done():
		return nil, context.Cause(x.ctx)
	}
}

// ErrUnknownTransaction is returned by Server.CommitmentReport for a transaction that nobody here has begun.
var ErrUnknownTransaction = errors.New("no such storage commitment transaction")

// commit answers a request for storage commitment (N-ACTION). Where no address is known for the peer, the report
// follows at once on this association.
func (x *exchange) commit(m *dimse.Message) error {
	if m.Context.AbstractSyntax != dimse.StorageCommitment || x.Commitments == nil {
		return x.as.Respond(m, dimse.StatusUnrecognizedOp, "storage commitment is not offered")
	}
	release, err := x.memory()
	if err != nil {
		return err
	}
	defer release()
	rq, status, err := dimse.ReadCommitmentRequest(m)
	if err != nil {
		x.log.Warn("commitment request refused", "error", err)
		return x.as.Respond(m, status, err.Error())
	}
	_, addressed := x.Commitments.Peers[x.as.CallingAE]
	if addressed {
		if err := x.Commitments.keep(x.as.CallingAE, rq); err != nil {
			x.log.Error("a commitment request cannot be taken", "error", err)
			status := dimse.StatusProcessingFailure
			if errors.Is(err, errTooManyPending) {
				status = dimse.StatusResourceLimitation
			}
			return x.as.Respond(m, status, err.Error())
		}
		return x.as.Respond(m, dimse.StatusSuccess, "")
	}
	if err := x.as.Respond(m, dimse.StatusSuccess, ""); err != nil {
		return err
	}
	report, err := x.Commitments.judge(x.ctx, rq)
	if err != nil {
		return err
	}
	x.reports++
	x.log.Info("commitment reported on the same association", "committed", len(report.Committed), "failed", len(report.Failed))
	return x.as.SendReport(m.Context, x.reports, report)
}

// reported takes a report on a commitment that we have asked for (N-EVENT-REPORT).
func (x *exchange) reported(m *dimse.Message) error {
	if m.Context.AbstractSyntax != dimse.StorageCommitment || x.CommitmentReport == nil {
		return x.as.Respond(m, dimse.StatusUnrecognizedOp, "reports are not taken here")
	}
	release, err := x.memory()
	if err != nil {
		return err
	}
	defer release()
	report, status, err := dimse.ReadCommitmentReport(m)
	if err != nil {
		x.log.Warn("commitment report refused", "error", err)
		return x.as.Respond(m, status, err.Error())
	}
	switch err := x.CommitmentReport(x.as.CallingAE, report); {
	case errors.Is(err, ErrUnknownTransaction):
		x.log.Warn("a commitment report on a transaction that is not ours")
		return x.as.Respond(m, dimse.StatusInvalidArgument, "unknown transaction")
	case err != nil:
		x.log.Error("a commitment report could not be recorded", "error", err)
		return x.as.Respond(m, dimse.StatusProcessingFailure, "")
	}
	return x.as.Respond(m, dimse.StatusSuccess, "")
}
