package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"rfanode/analysis"
	"rfanode/analysis/phantom"
)

type phantomCmd struct {
	Pair  phantomPairCmd  `cmd:"" help:"Write a synthetic pre and post CT with truth.json."`
	Table phantomTableCmd `cmd:"" help:"Analyse phantom pairs of many seeds; print measured against true."`

	Cohort phantomCohortCmd `cmd:"" help:"Write a synthetic cohort for rfanode study: follow-up, covariates, features."`
}

// phantomOptions are the flags that shape a phantom; what is left out is drawn from the seed.
type phantomOptions struct {
	Size           int     `help:"Columns and rows." default:"256"`
	Spacing        float64 `help:"Pixel spacing, mm; 0: the field of view of a chest over the columns."`
	Slice          float64 `help:"Slice thickness and distance, mm." default:"2"`
	TumourRadius   float64 `help:"Radius of the tumour, mm; 0: 7 to 12 by the seed."`
	Tumour         string  `help:"What the tumour is made of." enum:"solid,part-solid,ground-glass" default:"solid"`
	Site           string  `help:"What the tumour touches." enum:"free,subpleural,vessel,fissure,mediastinal" default:"free"`
	Coverage       string  `help:"How the zone covers the tumour and its margin." enum:"partial,full,none" default:"partial"`
	Kernel         string  `help:"Reconstruction kernel." enum:"soft,sharp" default:"soft"`
	Breathing      float64 `help:"Craniocaudal motion at the base of the lung, mm; 0: 9."`
	Nodules        int     `help:"Further nodules that were not treated."`
	SameStudy      bool    `help:"Pre and post are series of one study."`
	NoDescriptions bool    `help:"Leave study and series descriptions empty."`
}

func (o phantomOptions) options(seed uint64) phantom.Options {
	return phantom.Options{
		Seed: seed, Size: o.Size, SpacingMM: o.Spacing, SliceMM: o.Slice, TumourRadiusMM: o.TumourRadius,
		Tumour: map[string]phantom.Kind{"solid": phantom.Solid, "part-solid": phantom.PartSolid, "ground-glass": phantom.GroundGlass}[o.Tumour],
		Site: map[string]phantom.Site{"free": phantom.Free, "subpleural": phantom.Subpleural, "vessel": phantom.NearVessel,
			"fissure": phantom.Fissure, "mediastinal": phantom.Mediastinal}[o.Site],
		Coverage: map[string]phantom.Coverage{"partial": phantom.Partial, "full": phantom.Full, "none": phantom.NoAblation}[o.Coverage],
		Kernel:   map[string]phantom.Kernel{"soft": phantom.Soft, "sharp": phantom.Sharp}[o.Kernel],
		Nodules:  o.Nodules, BreathingMM: o.Breathing, SameStudy: o.SameStudy, NoDescriptions: o.NoDescriptions,
	}
}

type phantomPairCmd struct {
	phantomOptions
	Out  string `arg:"" help:"Folder: pre/, post/, truth.json, masks, landmarks.csv."`
	Seed uint64 `help:"The same seed gives the same pair." default:"1"`
}

func (c *phantomPairCmd) Run(ctx context.Context) error {
	pair, err := phantom.Pair(ctx, c.options(c.Seed))
	if err != nil {
		return err
	}
	if err := pair.WriteDICOM(c.Out); err != nil {
		return err
	}
	fmt.Printf("Phantom pair %d written to %s\n", c.Seed, c.Out)
	return nil
}

type phantomTableCmd struct {
	phantomOptions
	Seeds string `help:"Seeds, as A-B or A." default:"1-10"`
}

// Limits of the table's summary: the accuracy the main job is held to on slices of 2 mm, and what is plainly wrong.
const (
	tcrTolerance = 0.03
	tcrWrong     = 0.15
)

func (c *phantomTableCmd) Run(ctx context.Context) error {
	first, last, err := seedRange(c.Seeds)
	if err != nil {
		return err
	}
	var s tableSummary
	s.header(os.Stdout)
	for seed := first; seed <= last; seed++ {
		pair, err := phantom.Pair(ctx, c.options(seed))
		if err != nil {
			return fmt.Errorf("seed %d: %w", seed, err)
		}
		began := time.Now()
		findings, err := analysis.Run(ctx, pair.Pre, pair.Post, analysis.Options{})
		if err != nil {
			return fmt.Errorf("seed %d: %w", seed, err)
		}
		s.row(os.Stdout, seed, pair.Truth, findings, time.Since(began))
	}
	s.footer(os.Stdout)
	return nil
}

func seedRange(s string) (first, last uint64, err error) {
	a, b, isRange := strings.Cut(s, "-")
	if !isRange {
		b = a
	}
	first, err1 := strconv.ParseUint(a, 10, 64)
	last, err2 := strconv.ParseUint(b, 10, 64)
	if err1 != nil || err2 != nil || last < first {
		return 0, 0, fmt.Errorf("--seeds %q: write A-B, as in 1-10", s)
	}
	return first, last, nil
}

// tableSummary prints the table and counts what it shows.
type tableSummary struct {
	n, final, held, within, wrong, outside int
	sum, worst                             float64
}

func (s *tableSummary) header(w io.Writer) {
	fmt.Fprintf(w, "%5s  %-6s %7s %7s %7s  %-15s %7s %7s  %7s %7s  %7s %7s  %5s  %s\n", "seed", "status",
		"TCR", "true", "diff", "range", "MAM mm", "true", "GTR mL", "true", "PTZ mL", "true", "s", "reason")
}

func (s *tableSummary) row(w io.Writer, seed uint64, t phantom.Truth, findings []analysis.Findings, took time.Duration) {
	s.n++
	f := findings[0]
	if f.Coverage == nil || t.TCR == nil || t.MAMMM == nil {
		s.held++
		fmt.Fprintf(w, "%5d  %-6s %s %5.1f  %s\n", seed, f.Status, strings.Repeat(" ", 95), took.Seconds(), strings.Join(f.Reasons, "; "))
		return
	}
	c := f.Coverage
	diff := c.TCR - *t.TCR
	fmt.Fprintf(w, "%5d  %-6s %7.3f %7.3f %+7.3f  %5.3f to %5.3f %7.1f %7.1f  %7.2f %7.2f  %7.2f %7.2f  %5.1f  %s\n", seed, f.Status,
		c.TCR, *t.TCR, diff, c.TCRRange[0], c.TCRRange[1], c.MAMMM, *t.MAMMM, f.GTR.VolumeML, t.GTRML, f.PTZ.VolumeML, t.PTZML,
		took.Seconds(), strings.Join(f.Reasons, "; "))
	if f.Status == analysis.Held {
		s.held++
		return
	}
	s.final++
	s.sum += math.Abs(diff)
	s.worst = max(s.worst, math.Abs(diff))
	if math.Abs(diff) <= tcrTolerance {
		s.within++
	}
	if math.Abs(diff) > tcrWrong {
		s.wrong++
	}
	if *t.TCR < c.TCRRange[0] || *t.TCR > c.TCRRange[1] {
		s.outside++
	}
}

func (s *tableSummary) footer(w io.Writer) {
	fmt.Fprintf(w, "%d pairs: %d final, %d held; TCR within %.2f: %d; off by more than %.2f: %d; truth outside the stated range: %d",
		s.n, s.final, s.held, tcrTolerance, s.within, tcrWrong, s.wrong, s.outside)
	if s.final > 0 {
		fmt.Fprintf(w, "; mean error %.3f, largest %.3f", s.sum/float64(s.final), s.worst)
	}
	fmt.Fprintln(w)
}
