package analysis_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"rfanode/analysis"
	"rfanode/analysis/phantom"
	"rfanode/analysis/volume"
)

// coarse is a pair that is analysed in seconds.
func coarse(t *testing.T) *phantom.PairResult {
	t.Helper()
	pair, err := phantom.Pair(t.Context(), phantom.Options{Seed: 3, Size: 160, SliceMM: 3})
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// The identifiers of result objects stand on the findings: were a rerun to differ in one bit, the PACS would get a second
// result instead of the same one.
func TestRunIsTheSameForAnyNumberOfProcessors(t *testing.T) {
	if testing.Short() {
		t.Skip("two analyses")
	}
	pair := coarse(t)
	var first []analysis.Findings
	for _, processors := range []int{1, 3} {
		before := runtime.GOMAXPROCS(processors)
		findings, err := analysis.Run(t.Context(), pair.Pre, pair.Post, analysis.Options{})
		runtime.GOMAXPROCS(before)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = findings
			continue
		}
		if a, b := text(t, first), text(t, findings); a != b {
			t.Errorf("findings differ:\n%s\n%s", a, b)
		}
		for i, f := range findings {
			for name, pair := range map[string][2]*analysis.Structure{
				"gtr": {first[i].GTR, f.GTR}, "gtr post": {first[i].GTRPost, f.GTRPost}, "ptv": {first[i].PTV, f.PTV},
				"ptz": {first[i].PTZ, f.PTZ}, "uncovered": {first[i].Uncovered, f.Uncovered},
			} {
				if !slices.Equal(pair[0].Mask.Data, pair[1].Mask.Data) {
					t.Errorf("mask %s differs", name)
				}
			}
		}
	}
	f := first[0]
	if f.Status != analysis.Final {
		t.Fatalf("%s: %v", f.Status, f.Reasons)
	}
	if d := math.Abs(f.Coverage.TCR - *pair.Truth.TCR); d > 0.05 {
		t.Errorf("TCR %.3f is off by %.3f from the true %.3f", f.Coverage.TCR, d, *pair.Truth.TCR)
	}
	if f.Laterality != pair.Truth.Side {
		t.Errorf("side %q, true %q", f.Laterality, pair.Truth.Side)
	}
	if f.Inputs.Days == nil || *f.Inputs.Days != 30 {
		t.Errorf("days between the scans: %v", f.Inputs.Days)
	}
}

func text(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// What headers alone make doubtful is held before any image is looked at.
func TestRunHoldsDoubtfulPairs(t *testing.T) {
	small, err := phantom.Pair(t.Context(), phantom.Options{Seed: 1, Size: 64, SliceMM: 5})
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		change func(p *phantom.PairResult)
		reason string
	}{
		"other patient": {func(p *phantom.PairResult) { p.Post.Patient.ID = "OTHER" }, "different patients"},
		"other issuer":  {func(p *phantom.PairResult) { p.Post.Patient.Issuer = "OTHER" }, "different patients"},
		"prone":         {func(p *phantom.PairResult) { p.Post.PatientPosition = "HFP" }, "prone"},
		"wrong order":   {func(p *phantom.PairResult) { p.Post.Acquired = p.Pre.Acquired.Add(-time.Hour) }, "before"},
		"no lungs": {func(p *phantom.PairResult) {
			v := volume.New(p.Post.Volume.Geometry) // water everywhere
			p.Post.Volume = v
		}, "lung"},
	} {
		t.Run(name, func(t *testing.T) {
			pre, post := *small.Pre, *small.Post
			p := &phantom.PairResult{Pre: &pre, Post: &post}
			tc.change(p)
			findings, err := analysis.Run(t.Context(), p.Pre, p.Post, analysis.Options{})
			if err != nil {
				t.Fatal(err)
			}
			f := findings[0]
			if len(findings) != 1 || f.Status != analysis.Held || !strings.Contains(strings.Join(f.Reasons, ";"), tc.reason) {
				t.Errorf("%d findings, %s: %q", len(findings), f.Status, f.Reasons)
			}
			if f.Coverage != nil || f.Prognosis != nil {
				t.Error("a held case must not state a coverage here")
			}
		})
	}
}

// A cancelled analysis is no finding.
func TestRunStopsWhenCancelled(t *testing.T) {
	pair, err := phantom.Pair(t.Context(), phantom.Options{Seed: 1, Size: 64, SliceMM: 5})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if findings, err := analysis.Run(ctx, pair.Pre, pair.Post, analysis.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", findings, err)
	}
}
