package nnunet

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
)

// plans is what plans.json says about one 3-D configuration. Axes are those of the model: z,y,x after transposing.
type plans struct {
	configuration string
	reader        string // image_reader_writer
	transpose     [3]int // model axis m is axis transpose[m] of the array z,y,x
	spacing       [3]float64
	patch         [3]int
	clip          [2]float32 // percentile_00_5, percentile_99_5
	mean, std     float32
	separateData  separation
	separateOut   separation
}

// separation is nnU-Net's rule for resampling one axis apart from the others.
type separation struct {
	force     *bool
	threshold float64
}

// anisotropy is nnU-Net's ANISO_THRESHOLD.
const anisotropy = 3

// Bounds of what is taken for a plan. They are far beyond any real model and keep later arithmetic in range.
const (
	maxPatchSide   = 1024
	maxPatchVoxels = 1 << 27
	minSpacing     = 0.01
	maxSpacing     = 100
)

type plansFile struct {
	PlansName        string                                `json:"plans_name"`
	TransposeForward []int                                 `json:"transpose_forward"`
	Reader           string                                `json:"image_reader_writer"`
	LabelManager     string                                `json:"label_manager"`
	Intensities      map[string]intensities                `json:"foreground_intensity_properties_per_channel"`
	IntensitiesOld   map[string]intensities                `json:"foreground_intensity_properties_by_modality"`
	Configurations   map[string]map[string]json.RawMessage `json:"configurations"`
}

type intensities struct {
	Mean *float64 `json:"mean"`
	Std  *float64 `json:"std"`
	Low  *float64 `json:"percentile_00_5"`
	High *float64 `json:"percentile_99_5"`
}

type configurationFile struct {
	Spacing       []float64       `json:"spacing"`
	PatchSize     []int           `json:"patch_size"`
	Normalization []string        `json:"normalization_schemes"`
	UseMask       []bool          `json:"use_mask_for_norm"`
	Preprocessor  string          `json:"preprocessor_name"`
	Resampling    string          `json:"resampling_fn_data"`
	ResamplingArg resamplingFile  `json:"resampling_fn_data_kwargs"`
	Back          string          `json:"resampling_fn_probabilities"`
	BackArg       resamplingFile  `json:"resampling_fn_probabilities_kwargs"`
	Previous      json.RawMessage `json:"previous_stage"`
}

type resamplingFile struct {
	Order     *int     `json:"order"`
	OrderZ    int      `json:"order_z"`
	Force     *bool    `json:"force_separate_z"`
	Threshold *float64 `json:"separate_z_anisotropy_threshold"`
}

// parsePlans reads plans.json. An empty configuration stands for 3d_fullres, or else the only 3-D one there is.
func parsePlans(data []byte, configuration string) (*plans, error) {
	const name = "plans.json"
	var file plansFile
	if err := parseJSON(data, &file, name); err != nil {
		return nil, err
	}
	if len(file.Configurations) == 0 {
		return nil, unsupported("%s has no configurations: it is no nnU-Net v2 plan; retrain or re-export v1 models with v2", name)
	}
	if configuration == "" {
		var err error
		if configuration, err = file.onlyConfiguration(); err != nil {
			return nil, err
		}
	}
	c, err := file.configuration(configuration)
	if err != nil {
		return nil, err
	}
	p := &plans{configuration: configuration, reader: file.Reader}
	if file.LabelManager != "" && file.LabelManager != "LabelManager" {
		return nil, unsupported("label_manager %q", file.LabelManager)
	}
	if err := c.check(configuration); err != nil {
		return nil, err
	}
	for a := range 3 {
		p.spacing[a], p.patch[a] = c.Spacing[a], c.PatchSize[a]
	}
	p.separateData, p.separateOut = c.ResamplingArg.separation(), c.BackArg.separation()
	if p.transpose, err = permutation(file.TransposeForward); err != nil {
		return nil, err
	}
	return p, p.takeIntensities(file)
}

// onlyConfiguration is the configuration of a plan that nobody named.
func (f plansFile) onlyConfiguration() (string, error) {
	var found []string
	for name := range f.Configurations {
		if name == "3d_fullres" {
			return name, nil
		}
		if c, err := f.configuration(name); err == nil && len(c.PatchSize) == 3 && !c.cascade() {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	switch len(found) {
	case 0:
		return "", unsupported("plans.json has no single-stage 3-D configuration such as 3d_fullres or 3d_lowres")
	case 1:
		return found[0], nil
	}
	return "", unsupported("plans.json has several 3-D configurations (%s) and no 3d_fullres: the sidecar must name one", strings.Join(found, ", "))
}

// configuration gathers a configuration with what it inherits; a child's value wins.
func (f plansFile) configuration(name string) (configurationFile, error) {
	var c configurationFile
	merged := map[string]json.RawMessage{}
	seen := map[string]bool{}
	for at := name; at != ""; {
		fields, ok := f.Configurations[at]
		if !ok {
			return c, damaged("plans.json has no configuration %q", at)
		}
		if seen[at] {
			return c, damaged("plans.json: configuration %q inherits from itself", at)
		}
		seen[at] = true
		for key, value := range fields {
			if _, ok := merged[key]; !ok {
				merged[key] = value
			}
		}
		parent := ""
		if raw, ok := fields["inherits_from"]; ok {
			if err := parseJSON(raw, &parent, "plans.json, inherits_from of "+at); err != nil {
				return c, err
			}
		}
		at = parent
	}
	whole, err := json.Marshal(merged)
	if err != nil {
		return c, damaged("plans.json: %v", err)
	}
	return c, parseJSON(whole, &c, "plans.json, configuration "+name)
}

func (c configurationFile) cascade() bool {
	return len(c.Previous) > 0 && string(c.Previous) != "null"
}

// check refuses what the recipe of this package does not cover.
func (c configurationFile) check(name string) error {
	if len(c.PatchSize) != 3 || len(c.Spacing) != 3 {
		return unsupported("configuration %s is not three-dimensional (patch_size %v)", name, c.PatchSize)
	}
	voxels := 1
	for a := range 3 {
		if c.PatchSize[a] < 1 || c.PatchSize[a] > maxPatchSide {
			return damaged("plans.json: patch_size %v is impossible", c.PatchSize)
		}
		voxels *= c.PatchSize[a]
		if !(c.Spacing[a] >= minSpacing && c.Spacing[a] <= maxSpacing) {
			return damaged("plans.json: spacing %v is impossible", c.Spacing)
		}
	}
	if voxels > maxPatchVoxels {
		return damaged("plans.json: patch_size %v is impossible", c.PatchSize)
	}
	if c.cascade() {
		return unsupported("configuration %s is the second stage of a cascade (previous_stage %s): train or export 3d_fullres or 3d_lowres", name, c.Previous)
	}
	if len(c.Normalization) != 1 || len(c.UseMask) > 1 {
		return unsupported("a model with %d input channels: one CT is all there is", len(c.Normalization))
	}
	if c.Normalization[0] != "CTNormalization" {
		return unsupported("normalization_schemes %q: models trained on CT have CTNormalization", c.Normalization[0])
	}
	if len(c.UseMask) == 1 && c.UseMask[0] {
		return unsupported("use_mask_for_norm true")
	}
	if c.Preprocessor != "DefaultPreprocessor" {
		return unsupported("preprocessor_name %q", c.Preprocessor)
	}
	if err := c.ResamplingArg.check("resampling_fn_data", c.Resampling, 3); err != nil {
		return err
	}
	return c.BackArg.check("resampling_fn_probabilities", c.Back, 1)
}

func (r resamplingFile) check(key, function string, order int) error {
	if function != "resample_data_or_seg_to_shape" {
		return unsupported("%s %q: only resample_data_or_seg_to_shape", key, function)
	}
	if r.Order == nil || *r.Order != order {
		return unsupported("%s_kwargs: order must be %d", key, order)
	}
	if r.OrderZ != 0 {
		return unsupported("%s_kwargs: order_z %d, only 0", key, r.OrderZ)
	}
	if r.Threshold != nil && !(*r.Threshold > 0) {
		return damaged("plans.json: separate_z_anisotropy_threshold %g is impossible", *r.Threshold)
	}
	return nil
}

func (r resamplingFile) separation() separation {
	s := separation{force: r.Force, threshold: anisotropy}
	if r.Threshold != nil {
		s.threshold = *r.Threshold
	}
	return s
}

func permutation(axes []int) ([3]int, error) {
	var p [3]int
	if len(axes) != 3 {
		return p, damaged("plans.json: transpose_forward %v does not order three axes", axes)
	}
	copy(p[:], axes)
	sorted := slices.Sorted(slices.Values(axes))
	if !slices.Equal(sorted, []int{0, 1, 2}) {
		return p, damaged("plans.json: transpose_forward %v does not order three axes", axes)
	}
	return p, nil
}

func (p *plans) takeIntensities(f plansFile) error {
	all := f.Intensities
	if all == nil {
		all = f.IntensitiesOld
	}
	i, ok := all["0"]
	if !ok || i.Mean == nil || i.Std == nil || i.Low == nil || i.High == nil {
		return damaged("plans.json lacks the intensities of channel 0 (foreground_intensity_properties_per_channel)")
	}
	for _, x := range []float64{*i.Mean, *i.Std, *i.Low, *i.High} {
		if math.IsNaN(x) || math.Abs(x) > 1e9 {
			return damaged("plans.json: an intensity of channel 0 is %g", x)
		}
	}
	if *i.High <= *i.Low {
		return damaged("plans.json: percentile_99_5 (%g) is not above percentile_00_5 (%g)", *i.High, *i.Low)
	}
	p.mean, p.std = float32(*i.Mean), float32(max(*i.Std, 1e-8))
	p.clip = [2]float32{float32(*i.Low), float32(*i.High)}
	return nil
}

func (p *plans) String() string {
	return fmt.Sprintf("%s, patch %v, spacing %v mm (z,y,x)", p.configuration, p.patch, p.spacing)
}
