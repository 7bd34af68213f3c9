package analysis_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"rfanode/analysis"
	"rfanode/analysis/phantom"
	"rfanode/analysis/segment/nnunet"
	"rfanode/analysis/volume"
	"rfanode/internal/tooltest"
)

// threshold is a model whose answer can be foreseen: dense is what lies above -350 HU. reference/nnunet.py makes it.
func threshold(t *testing.T) *analysis.Model {
	return &analysis.Model{
		Dir: "testdata/threshold-model", Runtime: nnunet.Options{Library: tooltest.ONNXRuntime(t)}, Labels: []string{"dense"}, Crop: analysis.CropLesion,
	}
}

func algorithm(f analysis.Findings, role string) analysis.Algorithm {
	for _, a := range f.Algorithms {
		if a.Role == role {
			return a
		}
	}
	return analysis.Algorithm{}
}

// small is a pair for what is decided before any image is looked at.
func small(t *testing.T) *phantom.PairResult {
	t.Helper()
	pair, err := phantom.Pair(t.Context(), phantom.Options{Seed: 1, Size: 64, SliceMM: 5})
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func missing(t *testing.T, fallback bool) *analysis.Model {
	return &analysis.Model{Dir: filepath.Join(t.TempDir(), "gone"), Labels: []string{"x"}, Fallback: fallback}
}

// A model's tumour takes the place of the classical one under the same zone, and the result names the model. Where a
// model cannot be used and a fallback is allowed, the result says that the classical segmenter took over.
func TestModelMakesTheTumour(t *testing.T) {
	if testing.Short() {
		t.Skip("an analysis")
	}
	pair := coarse(t)
	findings, err := analysis.Run(t.Context(), pair.Pre, pair.Post, analysis.Options{Models: analysis.Models{GTR: threshold(t), PTZ: missing(t, true)}})
	if err != nil {
		t.Fatal(err)
	}
	f := findings[0]
	if len(findings) != 1 || f.GTR == nil || f.Status != analysis.Final {
		t.Fatalf("%d findings: %s %v", len(findings), f.Status, f.Reasons)
	}
	a := algorithm(f, "gtr")
	if a.Name != "rfanode-threshold" || a.Version != "1" || a.Family != "Artificial Intelligence" || !strings.Contains(a.Parameters, "SHA-256") {
		t.Errorf("the tumour was made by %+v", a)
	}
	truth := pair.GTRPre
	overlap := 2 * float64(volume.Intersect(f.GTR.Mask, truth).Count()) / float64(f.GTR.Mask.Count()+truth.Count())
	if overlap < 0.7 { // another component, or a mask turned about an axis, would overlap by less than half
		t.Errorf("Dice of the tumour %.2f", overlap)
	}
	if a := algorithm(f, "ptz"); a.Name != "rfanode-classical" || !strings.Contains(strings.Join(f.Warnings, ";"), "because the model could not be used") {
		t.Errorf("the zone was made by %+v; %v", a, f.Warnings)
	}
}

// A model that cannot be used holds the case with the cure, and never falls back unseen.
func TestModelThatCannotBeUsedHolds(t *testing.T) {
	pair := small(t)
	unknown := threshold(t)
	unknown.Labels = []string{"lung_nodules"}
	noLibrary := threshold(t)
	noLibrary.Runtime.Library = "/nowhere/libonnxruntime.so"
	for cure, models := range map[string]analysis.Models{
		"export_nnunet.py":        {PTZ: missing(t, false)},
		"install-onnxruntime":     {Lungs: noLibrary},
		`no label "lung_nodules"`: {GTR: unknown},
	} {
		findings, err := analysis.Run(t.Context(), pair.Pre, pair.Post, analysis.Options{Models: models})
		if err != nil {
			t.Fatal(err)
		}
		if f := findings[0]; f.Status != analysis.Held || !strings.Contains(strings.Join(f.Reasons, ";"), cure) {
			t.Errorf("%s: %s: %v", cure, f.Status, f.Reasons)
		}
	}
}

// A cancelled run is no doubt about the patient, whatever the model was doing.
func TestModelIsCancelled(t *testing.T) {
	pair := small(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if f, err := analysis.Run(ctx, pair.Pre, pair.Post, analysis.Options{Models: analysis.Models{GTR: threshold(t)}}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", f, err)
	}
}
