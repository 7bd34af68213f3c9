package analysis_test

import (
	"math"
	"path/filepath"
	"testing"

	"rfanode/analysis"
	"rfanode/analysis/coverage"
	"rfanode/analysis/ct"
	"rfanode/analysis/register"
	"rfanode/analysis/volume"
	"rfanode/internal/tooltest"
)

// With the true masks given, only the registration is left to err: the coverage must be the one that the same masks
// have under the true motion, and what they state as possible must hold the exact coverage, which was taken before the
// masks were cut into slices of 5 mm.
func TestGivenMasksOnRealPairs(t *testing.T) {
	if testing.Short() {
		t.Skip("two whole cases")
	}
	for name, exact := range map[string]float64{"pair-lidc-covered": 1, "pair-r01-partial": 0.759} {
		t.Run(name, func(t *testing.T) {
			dir := tooltest.SharedPair(t, name)
			pre, post := load(t, filepath.Join(dir, "pre")), load(t, filepath.Join(dir, "post"))
			gtr, ptz := readMask(t, filepath.Join(dir, "gtr_pre.nii.gz")), readMask(t, filepath.Join(dir, "ptz_post.nii.gz"))
			truth, err := register.ReadField(filepath.Join(dir, "field_post_to_pre_8mm.nii.gz"))
			if err != nil {
				t.Fatal(err)
			}
			same, err := coverage.Measure(t.Context(), coverage.Input{
				GTR: volume.SignedDistance(gtr), PTZ: volume.SignedDistance(ptz), ToPre: truth.Map, Lung: volume.NewMask(post.Volume.Geometry),
			})
			if err != nil {
				t.Fatal(err)
			}
			findings, err := analysis.Run(t.Context(), pre, post, analysis.Options{GTR: analysis.Given{Mask: gtr}, PTZ: analysis.Given{Mask: ptz}})
			if err != nil {
				t.Fatal(err)
			}
			f := findings[0]
			if len(findings) != 1 || f.Status != analysis.Final {
				t.Fatalf("%d findings, %s: %v", len(findings), f.Status, f.Reasons)
			}
			c := f.Coverage
			t.Logf("coverage %.3f (%.3f to %.3f); the same masks under the true motion %.3f, exact %.3f", c.TCR, c.TCRRange[0], c.TCRRange[1], same.TCR, exact)
			if math.Abs(c.TCR-same.TCR) > 0.02 {
				t.Errorf("coverage %.3f, the same masks under the true motion %.3f", c.TCR, same.TCR)
			}
			if exact < c.TCRRange[0]-1e-9 || exact > c.TCRRange[1]+1e-9 {
				t.Errorf("the exact coverage %.3f lies outside of the stated range %.3f to %.3f", exact, c.TCRRange[0], c.TCRRange[1])
			}
			if r := f.Registration; r.FoldedPercent > 0 || r.InverseMeanMM <= 0 || r.InverseMeanMM > 1 || r.LungDice < r.LungDiceLinear {
				t.Errorf("registration %+v", r)
			}
		})
	}
}

func load(t *testing.T, dir string) *ct.Series {
	t.Helper()
	s, err := ct.LoadDir(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func readMask(t *testing.T, path string) *volume.Mask {
	t.Helper()
	m, err := volume.ReadMaskNIfTI(path)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
