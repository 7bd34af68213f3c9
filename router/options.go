package router

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"rfanode/analysis"
	"rfanode/analysis/contour"
	"rfanode/analysis/ct"
	"rfanode/dimse"
	"rfanode/sr"
)

// Options of a Router. Dir is required; every other zero value works.
type Options struct {
	Dir            string        // data folder: rfanode.db, results/, the lock of the node
	Client         *dimse.Client // sends to destinations; nil only without destinations
	Destinations   []Destination // none: results are kept in Dir
	QuietTime      time.Duration // a series without a new instance for this long is looked at; 0: 30 s
	Rules          Rules         // words that tell pre from post
	Retry          Retry         // of deliveries
	AnalysisTime   time.Duration // a longer analysis is stopped; 0: 30 min
	Parallel       int           // analyses at once; 0: 1 (each may use all cores)
	SR             sr.Options    // how objects are made; Created, Predecessor and the series number are set for each case
	Log            *slog.Logger  // nil: discarded
	Contours       contour.Words // words that tell what a contour stands for
	IgnoreContours bool          // contours that arrive are stored and not used
	// Analyse is given the contours and marks that are to be used in GTR and PTZ. nil: analysis.Run
	Analyse func(ctx context.Context, pre, post *ct.Series, given analysis.Options) ([]analysis.Findings, error)
	Changed func(Case) // called in order for every change of state, from one goroutine of Run; nil: nobody watches
}

// Destination receives results by C-STORE.
type Destination struct {
	Name       string // as people call it, unique
	Peer       dimse.Peer
	Commitment bool // it is asked to commit to what it has stored
}

// Retry says how a delivery is repeated after a transient failure: First, doubled each time up to Max, each wait
// shortened or lengthened by up to a fifth at random, until GiveUp after the result was made; then the object is parked,
// never dropped. The same pauses lie between the attempts of an analysis. A destination whose answer asks for a change of configuration is probed with C-ECHO every ProbeEvery.
type Retry struct {
	First, Max, GiveUp, ProbeEvery time.Duration // 0: 5 s, 15 min, 7 days, 15 min
	ReportWithin                   time.Duration // a storage commitment without a report for so long is asked for anew; 0: 1 h
}

const (
	defaultQuietTime    = 30 * time.Second
	defaultAnalysisTime = 30 * time.Minute
)

func (o *Options) setDefaults() error {
	if o.Dir == "" {
		return fmt.Errorf("router: no data folder given")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Analyse == nil {
		o.Analyse = analysis.Run
	}
	o.QuietTime = orElse(o.QuietTime, defaultQuietTime)
	o.AnalysisTime = orElse(o.AnalysisTime, defaultAnalysisTime)
	o.Parallel = orElse(o.Parallel, 1)
	o.Retry.First = orElse(o.Retry.First, 5*time.Second)
	o.Retry.Max = orElse(o.Retry.Max, 15*time.Minute)
	o.Retry.GiveUp = orElse(o.Retry.GiveUp, 7*24*time.Hour)
	o.Retry.ProbeEvery = orElse(o.Retry.ProbeEvery, 15*time.Minute)
	o.Retry.ReportWithin = orElse(o.Retry.ReportWithin, time.Hour)
	seen := map[string]bool{}
	for _, d := range o.Destinations {
		if d.Name == "" || seen[d.Name] {
			return fmt.Errorf("router: destination name %q: each destination needs a name of its own", d.Name)
		}
		seen[d.Name] = true
	}
	if len(o.Destinations) > 0 && o.Client == nil {
		return fmt.Errorf("router: destinations are configured but no client to send with")
	}
	return nil
}

func orElse[T int | time.Duration](v, otherwise T) T {
	if v > 0 {
		return v
	}
	return otherwise
}
