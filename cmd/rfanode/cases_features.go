package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"rfanode/analysis/radiomics"
	"rfanode/durable"
	"rfanode/router"
)

type casesFeaturesCmd struct {
	configFlag
	Out string `short:"o" placeholder:"FILE.csv" help:"Where to write; left out: standard output."`
}

func (c *casesFeaturesCmd) Run(ctx context.Context) error {
	store, err := openCases(ctx, c.configFlag)
	if err != nil {
		return err
	}
	defer store.Close()
	sets, err := store.Features(ctx)
	if err != nil {
		return err
	}
	if c.Out == "" {
		return writeFeatureSets(os.Stdout, sets)
	}
	return durable.WriteFile(c.Out, func(w io.Writer) error { return writeFeatureSets(w, sets) })
}

// writeFeatureSets writes one table. Values of other settings would be other features under the same name: a file holds
// those of the settings in use, and standard error tells how many lines are missing.
func writeFeatureSets(w io.Writer, sets []router.FeatureSet) error {
	profile := radiomics.Default()
	names, settings := profile.Names(), profile.Hash()
	out := csv.NewWriter(w)
	if err := out.Write(append([]string{"case", "lesion", "profile", "settings_sha256", "warnings"}, names...)); err != nil {
		return err
	}
	others := 0
	for _, s := range sets {
		if s.Settings != settings {
			others++
			continue
		}
		record := []string{s.Case, strconv.Itoa(s.Lesion), s.Profile, s.Settings, strings.Join(s.Warnings, "; ")}
		for _, n := range names {
			text := ""
			if v := s.Values[n]; v != nil {
				text = strconv.FormatFloat(*v, 'g', -1, 64)
			}
			record = append(record, text)
		}
		if err := out.Write(record); err != nil {
			return err
		}
	}
	out.Flush()
	if others > 0 {
		fmt.Fprintf(os.Stderr, "%d lesions were measured with other settings and are left out: have their cases analysed again\n", others)
	}
	return out.Error()
}
