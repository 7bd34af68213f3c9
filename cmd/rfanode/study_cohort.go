package main

import (
	"context"
	"fmt"

	"rfanode/analysis/phantom"
)

// phantomCohortCmd writes a synthetic cohort for `rfanode study`.
type phantomCohortCmd struct {
	Out        string `short:"o" required:"" placeholder:"DIR" help:"Folder for cohort.csv, features.csv.gz and truth.json."`
	Seed       uint64 `help:"The same seed gives the same cohort." default:"1"`
	Weak       bool   `help:"The features say nothing of the outcome."`
	Competing  bool   `help:"Some patients die without progression (event 2)."`
	Missing    bool   `help:"Some covariate values are missing."`
	Separation bool   `help:"No event among the completely covered."`
}

func (c *phantomCohortCmd) Run(ctx context.Context) error {
	cohort, err := phantom.MakeCohort(ctx, phantom.CohortOptions{Seed: c.Seed, Weak: c.Weak, Competing: c.Competing, Missing: c.Missing, Separation: c.Separation})
	if err != nil {
		return err
	}
	if err := cohort.Write(c.Out); err != nil {
		return err
	}
	events := 0
	for _, e := range cohort.Event {
		if e == 1 {
			events++
		}
	}
	fmt.Printf("%d synthetic patients, %d with progression, %d features: %s\n", len(cohort.ID), events, len(cohort.FeatureNames), c.Out)
	return nil
}
