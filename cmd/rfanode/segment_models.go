package main

import (
	"context"
	"fmt"

	"rfanode/analysis"
	"rfanode/analysis/segment/nnunet"
	"rfanode/config"
)

// modelsOf turns the configuration's models into those of the analysis.
func modelsOf(c config.Segment) analysis.Models {
	of := func(m config.Model) *analysis.Model {
		if m.Model == "" {
			return nil
		}
		crop := analysis.Crop(m.Crop)
		if m.Crop == "model" {
			crop = analysis.CropModel
		}
		return &analysis.Model{
			Dir:     m.Model,
			Runtime: nnunet.Options{Library: c.OnnxLibrary, Provider: provider(c.Provider)},
			Labels:  m.Labels, Right: m.Right, Left: m.Left,
			Mirror: m.Mirror, Step: m.Step, Crop: crop, MarginMM: m.MarginMM,
			MemoryBytes: int64(c.MemoryGiB * (1 << 30)), Fallback: m.Fallback == "classical",
		}
	}
	return analysis.Models{Lungs: of(c.Lungs), GTR: of(c.GTR), PTZ: of(c.PTZ)}
}

// modelSettings is what of the models' configuration can change a result; empty without models. Which model it was, by
// its hash, stands in the findings.
func modelSettings(c config.Segment) string {
	text := ""
	for _, role := range []string{"lungs", "gtr", "ptz"} {
		if m := c.Roles()[role]; m.Model != "" {
			text += fmt.Sprintf(" %s=%+v provider=%s", role, *m, c.Provider)
		}
	}
	return text
}

// checkModels opens every model that is configured, as the node would.
func (r *checkReport) checkModels(ctx context.Context, c config.Segment) {
	all := modelsOf(c)
	none := true
	for _, m := range []struct {
		role  string
		model *analysis.Model
	}{{"lungs", all.Lungs}, {"gtr", all.GTR}, {"ptz", all.PTZ}} {
		if m.model == nil {
			continue
		}
		none = false
		model, err := m.model.Open(ctx)
		if err != nil {
			r.bad("segment.%s: %v", m.role, err)
			continue
		}
		d := model.Describe()
		r.ok("segment.%s: model %s %s (%s, %d folds, SHA-256 %.12s…), self-check passed, ONNX Runtime %s", m.role, d.Name, d.Version, d.Configuration, d.Folds, d.SHA256, d.Runtime)
		if m.model.Fallback {
			r.note("segment.%s: the built-in segmenter takes over if the model cannot be used or finds nothing", m.role)
		}
	}
	if none {
		r.note("no model under [segment]: the built-in segmenter finds lungs, tumour and zone")
	}
}
