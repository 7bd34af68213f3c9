// Command rfanode is a DICOM node that measures lung tumour ablations: chest CT in by C-STORE, Structured Reports and
// Segmentations out. This package wires the rooms together and holds no algorithm.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/alecthomas/kong"

	"rfanode/analysis"
	"rfanode/config"
)

const description = `rfanode receives chest CT by C-STORE, finds the pre- and post-ablation series of a patient, measures how much of the
tumour and a 5 mm margin was covered, and returns the answer to the PACS as DICOM SR and SEG. Research use only.

Start with:   rfanode demo`

type cli struct {
	Serve    serveCmd         `cmd:"" help:"Run the node."`
	Demo     demoCmd          `cmd:"" help:"Show the main job on a synthetic patient, with nothing to set up."`
	Analyze  analyzeCmd       `cmd:"" help:"Analyse two CT series offline: DICOM folders or .nii.gz files."`
	Check    checkCmd         `cmd:"" help:"Check the configuration, the data folder, the port and every peer."`
	Cases    casesCmd         `cmd:"" help:"List the cases and their state; release or drop a held one."`
	Register registerCmd      `cmd:"" help:"Register two CTs: move points, images and masks, write the field."`
	Segment  segmentCmd       `cmd:"" help:"Run an nnU-Net model on one CT: a label for every voxel."`
	Features featuresCmd      `cmd:"" help:"Radiomics as PyRadiomics 3.0.1 gives them: one case, or a table of cases."`
	Phantom  phantomCmd       `cmd:"" help:"Make synthetic CT pairs with known truth."`
	Study    studyCmd         `cmd:"" help:"Do the prognosis study on a cohort: tables, figures, a model bundle."`
	Model    modelCmd         `cmd:"" help:"Verify or show a model bundle."`
	Config   configCmd        `cmd:"" help:"Print the documented example configuration."`
	Version  kong.VersionFlag `help:"Print the version."`
}

// exitError ends the program with a status of its own, its message already said.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

func main() {
	debug.SetGCPercent(50) // volumes are large and few: a lower peak is worth more than the few percent of time
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	parser := kong.Must(&cli{}, kong.Name("rfanode"), kong.Description(description), kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}), kong.Vars{"version": "rfanode " + analysis.Version})
	command, err := parser.Parse(os.Args[1:])
	parser.FatalIfErrorf(err)
	command.BindTo(ctx, (*context.Context)(nil))
	var exit exitError
	switch err := command.Run(); {
	case err == nil:
	case errors.As(err, &exit):
		os.Exit(int(exit))
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(os.Stderr, "rfanode: interrupted")
		os.Exit(130)
	default:
		fmt.Fprintln(os.Stderr, "rfanode:", err)
		os.Exit(1)
	}
}

// configFlag is the option of every command that works on a node's configuration.
type configFlag struct {
	Config string `short:"c" placeholder:"FILE" help:"Configuration file; without it ./rfanode.toml if that is there, else the defaults."`
}

// read returns the configuration and a sentence that says where it comes from.
func (f configFlag) read() (*config.Config, string, error) {
	const name = "rfanode.toml"
	path := f.Config
	if path == "" {
		if _, err := os.Stat(name); err != nil {
			return config.Default(), "no ./" + name + ": the defaults hold", nil
		}
		path = name
	}
	c, err := config.Read(path)
	return c, "configuration " + path, err
}

// newLog is the one place where a logger is set up. No patient data is logged above debug.
func newLog(w io.Writer, c config.Log) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		level = slog.LevelInfo
	}
	options := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
