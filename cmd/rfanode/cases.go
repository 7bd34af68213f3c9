package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"text/tabwriter"

	"rfanode/router"
)

type casesCmd struct {
	List     casesListCmd     `cmd:"" default:"withargs" help:"List the cases and their state."`
	Release  casesReleaseCmd  `cmd:"" help:"Send what a held case has found, marked as released by a person; or analyse it again."`
	Drop     casesDropCmd     `cmd:"" help:"End a case: nothing of it is sent any more."`
	Features casesFeaturesCmd `cmd:"" help:"Write the radiomics features of all cases as CSV, a line a lesion."`
}

type casesListCmd struct {
	configFlag
	JSON bool `help:"Print JSON."`
}

// openCases opens the state of a node that may be running at the same time.
func openCases(ctx context.Context, f configFlag) (*router.Router, error) {
	c, _, err := f.read()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(c.Data); err != nil {
		return nil, fmt.Errorf("data folder: %w: name the node's configuration with -c, or start `rfanode serve` first", err)
	}
	return router.Open(ctx, router.Options{Dir: c.Data})
}

func (c *casesListCmd) Run(ctx context.Context) error {
	store, err := openCases(ctx, c.configFlag)
	if err != nil {
		return err
	}
	defer store.Close()
	cases, err := store.Cases(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "  ")
		return out.Encode(cases)
	}
	if len(cases) == 0 {
		fmt.Println("Nothing received yet.")
		return nil
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "CASE\tPATIENT\tSTATE\tSINCE (UTC)\tREASON")
	for _, k := range cases {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", k.ID, k.PatientID, k.State, k.Updated.UTC().Format("2006-01-02 15:04"), k.Reason)
	}
	return table.Flush()
}

type casesReleaseCmd struct {
	configFlag
	ID string `arg:"" help:"Case, as the list shows it."`
}

func (c *casesReleaseCmd) Run(ctx context.Context) error {
	store, err := openCases(ctx, c.configFlag)
	if err != nil {
		return err
	}
	defer store.Close()
	return store.Release(ctx, c.ID)
}

type casesDropCmd struct {
	configFlag
	ID string `arg:"" help:"Case, as the list shows it."`
}

func (c *casesDropCmd) Run(ctx context.Context) error {
	store, err := openCases(ctx, c.configFlag)
	if err != nil {
		return err
	}
	defer store.Close()
	return store.Drop(ctx, c.ID)
}
