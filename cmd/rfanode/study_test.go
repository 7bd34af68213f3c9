package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestStudyCommand: a synthetic cohort from the command line becomes a report and a bundle that `model verify` loads and
// `model show` applies; a patient with an impossible value is refused.
func TestStudyCommand(t *testing.T) {
	dir := t.TempDir()
	ctx := context.Background()
	cohort := phantomCohortCmd{Out: filepath.Join(dir, "cohort"), Seed: 5}
	if err := cohort.Run(ctx); err != nil {
		t.Fatal(err)
	}
	spec := filepath.Join(dir, "study.json")
	quick := `{"filter": 0.5, "folds": 3, "repeats": 1, "inner_repeats": 1, "crossfit_folds": 2, "ensemble": 2, "bootstraps": 5, "clinical": ["male", "tcr1"],
		"training": {"lr": 0.01, "l2": 0.01, "dropout": 0, "epochs": 30, "hold_out": 0}}`
	if err := os.WriteFile(spec, []byte(quick), 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out")
	study := studyCmd{Cohort: filepath.Join(cohort.Out, "cohort.csv"), Features: filepath.Join(cohort.Out, "features.csv.gz"), Spec: spec, Out: out, Quiet: true}
	if err := study.Run(ctx); err != nil {
		t.Fatal(err)
	}
	html, err := os.ReadFile(filepath.Join(out, "report.html"))
	if err != nil || !strings.Contains(string(html), "Research use only") {
		t.Errorf("report: %v", err)
	}
	bundle := filepath.Join(out, "bundle")
	if err := (&modelVerifyCmd{Bundle: bundle}).Run(); err != nil {
		t.Error(err)
	}
	if err := (&modelShowCmd{Bundle: bundle}).Run(); err != nil {
		t.Error(err)
	}
	values := filepath.Join(dir, "values.json")
	if err := os.WriteFile(values, []byte(`{"sex": {"code": "F"}, "tcr": {"value": 1.4}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (&modelShowCmd{Bundle: bundle, Values: values}).Run(); err == nil {
		t.Error("a coverage of 1.4 was accepted")
	}
	if err := (&modelVerifyCmd{Bundle: dir}).Run(); err == nil || !strings.Contains(err.Error(), "model.json") {
		t.Errorf("a folder without a bundle: %v", err)
	}
	if err := (&studyCmd{Cohort: filepath.Join(dir, "none.csv"), Out: out}).Run(ctx); err == nil {
		t.Error("a missing table was accepted")
	}
}
