package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"rfanode/analysis"
	"rfanode/analysis/phantom"
	"rfanode/analysis/volume"
)

type phantomCmd struct {
	Pair  phantomPairCmd  `cmd:"" help:"Write a synthetic pre and post CT with truth.json."`
	Table phantomTableCmd `cmd:"" help:"Analyse hard phantom pairs of many seeds; print measured against true."`

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
	Seeds string `help:"Seeds, as A-B or A." default:"1-10"`
}

// Limits of the table's summary, those the default segmentation is held to.
const (
	tcrTolerance = 0.05
	tcrWrong     = 0.15
	thickSliceMM = 2.5  // up to here the stated range is to be no wider than
	thinWidth    = 0.06 // this,
	thickWidth   = 0.15 // and beyond no wider than this
	smallMM      = 8    // tumours smaller than this on slices of smallSliceMM may be held
	smallSliceMM = 5
)

func (c *phantomTableCmd) Run(ctx context.Context) error {
	first, last, err := seedRange(c.Seeds)
	if err != nil {
		return err
	}
	var s tableSummary
	s.header(os.Stdout)
	for seed := first; seed <= last; seed++ {
		pair, err := phantom.HardPair(ctx, seed)
		if err != nil {
			return fmt.Errorf("seed %d: %w", seed, err)
		}
		findings, err := analysis.Run(ctx, pair.Pre, pair.Post, analysis.Options{})
		if err != nil {
			return fmt.Errorf("seed %d: %w", seed, err)
		}
		s.row(os.Stdout, seed, pair, findings)
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
	n, final, held, excused, within, wrong, inside, narrow int
	errors                                                 []float64
}

func (s *tableSummary) header(w io.Writer) {
	fmt.Fprintf(w, "%5s  %-12s %5s %5s  %-16s %-7s  %5s %5s  %-14s %6s  %5s %5s  %-6s %s\n", "seed", "tumour", "mm", "slice", "site", "zone",
		"true", "TCR", "range", "error", "GTR", "PTZ", "status", "reason")
}

// row prints one pair. Of several findings the one that is final counts: a second final one would be a result for a tumour
// that nobody treated, and is counted as wrong.
func (s *tableSummary) row(w io.Writer, seed uint64, pair *phantom.PairResult, findings []analysis.Findings) {
	t, o := pair.Truth, pair.Truth.Options
	s.n++
	fmt.Fprintf(w, "%5d  %-12s %5.1f %5.1f  %-16s %-7s  %5.3f", seed, o.Tumour, 2*o.TumourRadiusMM, o.SliceMM, o.Site, o.Coverage, *t.TCR)
	f, finals := findings[0], 0
	for _, x := range findings {
		if x.Status == analysis.Final {
			if finals == 0 {
				f = x
			}
			finals++
		}
	}
	if finals > 1 {
		s.wrong++
		f.Reasons = append(f.Reasons, fmt.Sprintf("%d final lesions", finals))
	}
	if f.Coverage == nil {
		fmt.Fprintf(w, " %s", strings.Repeat(" ", 41))
	} else {
		c := f.Coverage
		fmt.Fprintf(w, " %5.3f  %5.3f to %5.3f %+6.3f  %5.3f %5.3f ", c.TCR, c.TCRRange[0], c.TCRRange[1], c.TCR-*t.TCR, dice(f.GTR.Mask, pair.GTRPre), dice(f.PTZ.Mask, pair.PTZPost))
	}
	fmt.Fprintf(w, " %-6s %s\n", f.Status, strings.Join(f.Reasons, "; "))
	if f.Status == analysis.Held || f.Coverage == nil {
		s.held++
		if o.SliceMM >= smallSliceMM && 2*o.TumourRadiusMM < smallMM {
			s.excused++
		}
		return
	}
	s.count(f.Coverage.TCRRange, f.Coverage.TCR, *t.TCR, o.SliceMM)
}

func (s *tableSummary) count(stated [2]float64, tcr, truth, sliceMM float64) {
	const rounding = 1e-9
	s.final++
	miss := math.Abs(tcr - truth)
	s.errors = append(s.errors, miss)
	if miss <= tcrTolerance {
		s.within++
	}
	if miss > tcrWrong {
		s.wrong++
	}
	if truth >= stated[0]-rounding && truth <= stated[1]+rounding {
		s.inside++
	}
	width := thickWidth
	if sliceMM <= thickSliceMM {
		width = thinWidth
	}
	if stated[1]-stated[0] <= width {
		s.narrow++
	}
}

// dice is the overlap of two masks; 0 where one is missing or lies on another grid.
func dice(a, b *volume.Mask) float64 {
	if a == nil || b == nil || !a.Same(b.Geometry) || a.Count()+b.Count() == 0 {
		return 0
	}
	return 2 * float64(volume.Intersect(a, b).Count()) / float64(a.Count()+b.Count())
}

func (s *tableSummary) footer(w io.Writer) {
	share := func(n, of int) float64 { return 100 * float64(n) / float64(max(of, 1)) }
	fmt.Fprintf(w, "%d pairs: within %.2f or held %.1f %% (to reach: 95); held %.1f %% (at most 10), %d more with tumours under %d mm on slices of %d mm; off by more than %.2f without being held: %d (0)\n",
		s.n, tcrTolerance, share(s.within+s.held, s.n), share(s.held-s.excused, s.n), s.excused, smallMM, smallSliceMM, tcrWrong, s.wrong)
	if s.final == 0 {
		return
	}
	slices.Sort(s.errors)
	sum := 0.0
	for _, x := range s.errors {
		sum += x
	}
	fmt.Fprintf(w, "%d final: error of TCR %.3f on average, %.3f in the middle, %.3f at most; truth within the stated range %.1f %%; range as narrow as asked (%.2f up to %.1f mm, else %.2f) %.1f %%\n",
		s.final, sum/float64(s.final), s.errors[len(s.errors)/2], s.errors[len(s.errors)-1], share(s.inside, s.final), thinWidth, thickSliceMM, thickWidth, share(s.narrow, s.final))
}
