package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"rfanode/analysis"
	"rfanode/analysis/study"
)

// studyCmd does the paper's study on a cohort.
type studyCmd struct {
	Cohort   string `required:"" placeholder:"CSV" help:"Patients: id, time (months), event (0, 1 progression, 2 death first), set or center, tcr, covariates."`
	Features string `placeholder:"CSV" help:"Radiomic features: id and one column each; .gz is read too."`
	Spec     string `placeholder:"JSON" help:"What to change of the defaults (docs/method.md)."`
	Out      string `short:"o" required:"" placeholder:"DIR" help:"Folder for report.html, result.json, tables, figures and the model bundle."`
	Quiet    bool   `short:"q" help:"Say nothing while it runs."`
}

func (c *studyCmd) Run(ctx context.Context) error {
	spec := study.DefaultSpec()
	if c.Spec != "" {
		f, err := os.Open(c.Spec)
		if err != nil {
			return err
		}
		defer f.Close()
		if spec, err = study.ReadSpec(f); err != nil {
			return fmt.Errorf("%s: %w", c.Spec, err)
		}
	}
	table, err := os.Open(c.Cohort)
	if err != nil {
		return err
	}
	defer table.Close()
	var features io.Reader // a nil *os.File in it would not be nil
	if c.Features != "" {
		f, err := os.Open(c.Features)
		if err != nil {
			return err
		}
		defer f.Close()
		features = f
	}
	cohort, err := study.ReadCohort(table, features)
	if err != nil {
		return err
	}
	start := time.Now()
	progress := func(what string) {
		if !c.Quiet {
			fmt.Fprintf(os.Stderr, "%6.1f s  %s\n", time.Since(start).Seconds(), what)
		}
	}
	r, err := study.Run(ctx, cohort, spec, "rfanode "+analysis.Version, progress)
	if err != nil {
		return err
	}
	if err := r.Write(c.Out); err != nil {
		return err
	}
	fmt.Print(r.Summary())
	fmt.Printf("%s/report.html\n", c.Out)
	return nil
}
