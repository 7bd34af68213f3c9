package radiomics

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"rfanode/analysis/volume"
)

// Value is one feature.
type Value struct {
	Name   string // as PyRadiomics names it: original_shape_MeshVolume, wavelet-LLH_glcm_Imc1
	Value  float64
	Reason string // why Value is NaN; empty otherwise
}

// Image tells how one image of a profile was binned.
type Image struct {
	Name    string `json:"name"`
	Levels  int    `json:"levels"`  // grey levels present in the region
	Highest int    `json:"highest"` // the highest level
	Reason  string `json:"reason,omitempty"`
}

// Result holds the features of one region and what they rest on.
type Result struct {
	Profile      Profile
	Values       []Value // in PyRadiomics' order; every name of the profile is there
	Images       []Image
	Label        int
	RegionVoxels [2]int          // in the mask, and on the grid the features are taken from
	Grid         volume.Geometry // that grid: the crop, or the image's own
	BoxLow       [3]int          // box of the region on it
	BoxSize      [3]int
	ImageMean    float64 // of the whole image, before anything is done to it
	ImageSD      float64 // N − 1
	ImageVoxels  int
	Warnings     []string
}

func newResult(p *Profile, pre *prepared) *Result {
	r := &Result{Profile: *p, Label: pre.region.label, Grid: pre.onto, BoxLow: pre.roi.at, BoxSize: pre.roi.size,
		RegionVoxels: [2]int{pre.region.n, len(pre.roi.voxels)}, ImageMean: pre.whole.Mean, ImageSD: pre.whole.SD, ImageVoxels: pre.whole.Voxels}
	r.Warnings = append(append(r.Warnings, p.Notes...), pre.warn...)
	return r
}

// collect puts the values in order: shape, then the classes of each image.
func (r *Result) collect(p *Profile, shapes map[string]float64, images []imageFeatures) {
	for _, c := range p.Classes {
		if c.Name == "shape" {
			for _, f := range c.features() {
				r.add("original_shape_"+f, shapes[f], "the value is not finite")
			}
		}
	}
	var coarse, important []string
	for _, i := range images {
		r.Images = append(r.Images, Image{i.name, i.levels, i.highest, i.reason})
		for _, c := range p.Classes {
			if c.Name == "shape" {
				continue
			}
			values := i.classes[c.Name]
			for _, f := range c.features() {
				name := i.name + "_" + c.Name + "_" + f
				v, ok := values[f]
				if !ok {
					r.add(name, math.NaN(), i.reason)
					continue
				}
				r.add(name, v, whyNone(c.Name, f))
			}
		}
		if i.reason != "" {
			r.Warnings = append(r.Warnings, fmt.Sprintf("no features of %s: %s", i.name, i.reason))
		} else if i.levels <= 2 {
			coarse = append(coarse, i.name)
			if i.name == "original" || strings.HasPrefix(i.name, "log-") || strings.HasSuffix(i.name, "-LLL") {
				important = append(important, i.name)
			}
		}
	}
	if len(coarse) > 0 {
		w := fmt.Sprintf("coarse binning: at most two grey levels in %d of %d images (%s)", len(coarse), len(images), strings.Join(coarse, ", "))
		if len(important) > 0 {
			w += fmt.Sprintf("; in %s texture features say next to nothing: a smaller binWidth is needed", strings.Join(important, ", "))
		}
		r.Warnings = append(r.Warnings, w)
	}
}

func (r *Result) add(name string, v float64, why string) {
	if math.IsInf(v, 0) {
		v = math.NaN()
	}
	if !math.IsNaN(v) {
		why = ""
	}
	r.Values = append(r.Values, Value{name, v, why})
}

// whyNone says why a feature of an image that was computed has no value.
func whyNone(class, feature string) string {
	switch {
	case class == "glcm" && feature == "Imc2":
		return "no two voxels of the region touch, or rounding makes the joint entropy the larger"
	case class == "glcm":
		return "no two voxels of the region touch"
	case class == "glrlm":
		return "no line of any direction meets the region twice"
	case feature == "RobustMeanAbsoluteDeviation":
		return "no value lies between the 10th and 90th percentile"
	}
	return "the value is not finite"
}

// Get returns the value of a name; NaN if the profile has no such feature.
func (r *Result) Get(name string) float64 {
	for _, v := range r.Values {
		if v.Name == name {
			return v.Value
		}
	}
	return math.NaN()
}

// Names are the names of the values in their order.
func (r *Result) Names() []string {
	out := make([]string, len(r.Values))
	for i, v := range r.Values {
		out[i] = v.Name
	}
	return out
}

// Record is a value as a table writes it: 17 digits at most, empty if there is none.
func (v Value) Record() string {
	if math.IsNaN(v.Value) {
		return ""
	}
	return strconv.FormatFloat(v.Value, 'g', -1, 64)
}

// MarshalJSON writes the result: features as an object in order, null where there is no value and then a reason.
func (r *Result) MarshalJSON() ([]byte, error) {
	var features strings.Builder
	features.WriteByte('{')
	reasons := map[string]string{}
	for i, v := range r.Values {
		if i > 0 {
			features.WriteByte(',')
		}
		features.WriteString(strconv.Quote(v.Name))
		features.WriteByte(':')
		if s := v.Record(); s != "" {
			features.WriteString(s)
		} else {
			features.WriteString("null")
			reasons[v.Name] = v.Reason
		}
	}
	features.WriteByte('}')
	out := struct {
		Compat       string            `json:"compat"`
		Profile      string            `json:"profile"`
		Hash         string            `json:"settings_sha256"`
		Settings     Profile           `json:"configuration"`
		Label        int               `json:"label"`
		MaskVoxels   int               `json:"mask_voxels"`
		RegionVoxels int               `json:"region_voxels"`
		Size         [3]int            `json:"grid_size"`
		Spacing      [3]float64        `json:"grid_spacing_mm"`
		Origin       volume.Vec        `json:"grid_origin_mm"`
		Direction    [3]volume.Vec     `json:"grid_axes"`
		BoxLow       [3]int            `json:"box_low"`
		BoxSize      [3]int            `json:"box_size"`
		Mean         float64           `json:"image_mean"`
		SD           float64           `json:"image_sd"`
		Voxels       int               `json:"image_voxels"`
		Images       []Image           `json:"images"`
		Warnings     []string          `json:"warnings,omitempty"`
		Missing      map[string]string `json:"missing,omitempty"`
		Features     json.RawMessage   `json:"features"`
	}{Compat, r.Profile.Name, r.Profile.Hash(), r.Profile, r.Label, r.RegionVoxels[0], r.RegionVoxels[1], r.Grid.Size, r.Grid.Spacing, r.Grid.Origin,
		r.Grid.Direction, r.BoxLow, r.BoxSize, r.ImageMean, r.ImageSD, r.ImageVoxels, r.Images, r.Warnings, reasons, json.RawMessage(features.String())}
	return json.Marshal(out)
}
