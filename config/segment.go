package config

import (
	"fmt"
	"slices"
)

// Segment names trained models in place of the classical segmenter.
type Segment struct {
	OnnxLibrary string  `toml:"onnx_library"`
	Provider    string  `toml:"provider"`
	MemoryGiB   float64 `toml:"memory_gib"`
	Lungs       Model   `toml:"lungs"`
	GTR         Model   `toml:"gtr"`
	PTZ         Model   `toml:"ptz"`
}

// Model is the model of one structure; without Model the structure is found classically.
type Model struct {
	Model    string   `toml:"model"`
	Labels   []string `toml:"labels"`
	Right    []string `toml:"right"`
	Left     []string `toml:"left"`
	Mirror   bool     `toml:"mirror"`
	Step     float64  `toml:"step"`
	Crop     string   `toml:"crop"`
	MarginMM float64  `toml:"margin_mm"`
	Fallback string   `toml:"fallback"`
}

// Roles are the structures a model can be named for, with their models.
func (s *Segment) Roles() map[string]*Model {
	return map[string]*Model{"lungs": &s.Lungs, "gtr": &s.GTR, "ptz": &s.PTZ}
}

func (s *Segment) check() (errs []error) {
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !slices.Contains([]string{"cpu", "cuda"}, s.Provider) {
		add("segment.provider = %q: cpu or cuda", s.Provider)
	}
	if s.MemoryGiB < 0 {
		add("segment.memory_gib: cannot be negative; 0 is no limit")
	}
	for _, role := range []string{"lungs", "gtr", "ptz"} {
		m := s.Roles()[role]
		key := "segment." + role + "."
		if m.Model == "" {
			if len(m.Labels)+len(m.Right)+len(m.Left) > 0 || m.Mirror || m.Step != 0 || m.Crop != "" || m.MarginMM != 0 || m.Fallback != "" {
				add("%smodel: name the model's folder, or leave the whole section out", key)
			}
			continue
		}
		if role == "lungs" && (len(m.Right) == 0 || len(m.Left) == 0 || len(m.Labels) > 0) {
			add("%sright and %sleft: name the model's labels of either lung, and no labels", key, key)
		}
		if role != "lungs" && (len(m.Labels) == 0 || len(m.Right)+len(m.Left) > 0) {
			add("%slabels: name the labels of the model that make up the structure", key)
		}
		if m.Step < 0 || m.Step > 1 {
			add("%sstep = %g: above 0 and at most 1", key, m.Step)
		}
		if !slices.Contains([]string{"", "model", "none", "lungs", "lesion"}, m.Crop) || role == "lungs" && (m.Crop == "lungs" || m.Crop == "lesion") {
			add("%scrop = %q: model, none, lungs or lesion; for the lungs model or none", key, m.Crop)
		}
		if m.MarginMM < 0 {
			add("%smargin_mm: cannot be negative", key)
		}
		if !slices.Contains([]string{"", "hold", "classical"}, m.Fallback) {
			add("%sfallback = %q: hold or classical", key, m.Fallback)
		}
	}
	return errs
}
