package radiomics

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Compat names what the values equal.
const Compat = "pyradiomics 3.0.1"

// Settings are PyRadiomics' settings by their own names (its documentation, "Customizing the Extraction"). A setting that
// PyRadiomics lets stand as None is a pointer or an empty list here.
type Settings struct {
	Normalize             bool      `json:"normalize"`
	NormalizeScale        float64   `json:"normalizeScale"`
	RemoveOutliers        *float64  `json:"removeOutliers"`        // in standard deviations
	ResampledPixelSpacing []float64 `json:"resampledPixelSpacing"` // mm along x, y, z; 0 keeps an axis; empty: no resampling
	Interpolator          string    `json:"interpolator"`          // sitkBSpline, sitkLinear, sitkNearestNeighbor; empty: no resampling
	PadDistance           int       `json:"padDistance"`           // voxels of the new grid
	PreCrop               bool      `json:"preCrop"`
	Label                 int       `json:"label"`
	MinimumROIDimensions  int       `json:"minimumROIDimensions"`
	MinimumROISize        *int      `json:"minimumROISize"`
	GeometryTolerance     *float64  `json:"geometryTolerance"`
	CorrectMask           bool      `json:"correctMask"`

	ResegmentRange []float64 `json:"resegmentRange"`
	ResegmentMode  string    `json:"resegmentMode"` // absolute, relative, sigma
	ResegmentShape bool      `json:"resegmentShape"`

	BinWidth         float64 `json:"binWidth"`
	BinCount         *int    `json:"binCount"`
	VoxelArrayShift  float64 `json:"voxelArrayShift"`
	Distances        []int   `json:"distances"`
	SymmetricalGLCM  bool    `json:"symmetricalGLCM"`
	WeightingNorm    string  `json:"weightingNorm"` // empty, manhattan, euclidean, infinity, no_weighting
	GLDMAlpha        int     `json:"gldm_a"`
	Force2D          bool    `json:"force2D"`
	Force2DDimension int     `json:"force2Ddimension"` // 0 is z, 1 y, 2 x

	Sigma              []Sigma `json:"sigma"`
	Wavelet            string  `json:"wavelet"`
	Level              int     `json:"level"`
	StartLevel         int     `json:"start_level"`
	GradientUseSpacing bool    `json:"gradientUseSpacing"`
	LBP3DLevels        int     `json:"lbp3DLevels"`
	LBP3DRadius        float64 `json:"lbp3DIcosphereRadius"`
	LBP3DSubdivision   int     `json:"lbp3DIcosphereSubdivision"`
}

// Sigma is a width of the LoG filter in mm, as it was written: the name of the image repeats it.
type Sigma struct {
	MM   float64
	Text string // as Python prints it: 1.0, 2.5, and 1 where an integer was written
}

// MarshalJSON writes the number as it stands in the names.
func (s Sigma) MarshalJSON() ([]byte, error) { return []byte(s.Text), nil }

// UnmarshalJSON reads what MarshalJSON writes.
func (s *Sigma) UnmarshalJSON(b []byte) error {
	v, err := strconv.ParseFloat(string(b), 64)
	*s = Sigma{v, string(b)}
	return err
}

// sigmas makes widths that print as Python's floats do.
func sigmas(mm ...float64) []Sigma {
	var out []Sigma
	for _, v := range mm {
		out = append(out, Sigma{v, pythonFloat(v)})
	}
	return out
}

// pythonFloat prints a float as Python's str does: the shortest digits, with a point.
func pythonFloat(v float64) string {
	if a := math.Abs(v); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(v, 'e', -1, 64)
	}
	s := strconv.FormatFloat(v, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// defaults are PyRadiomics' own where nothing is said.
func defaults() Settings {
	return Settings{
		NormalizeScale: 1, Interpolator: "sitkBSpline", PadDistance: 5, Label: 1, MinimumROIDimensions: 2, ResegmentMode: "absolute",
		BinWidth: 25, Distances: []int{1}, SymmetricalGLCM: true, Wavelet: "coif1", Level: 1, GradientUseSpacing: true,
		LBP3DLevels: 2, LBP3DRadius: 1, LBP3DSubdivision: 1,
	}
}

// resamples reports whether image and mask go onto a new grid.
func (s *Settings) resamples() bool { return len(s.ResampledPixelSpacing) > 0 && s.Interpolator != "" }

// ImageType is one entry of imageType: a filter and the settings that hold for its images alone.
type ImageType struct {
	Name     string
	Settings Settings // the profile's, with this image type's own on top
}

// Class is one entry of featureClass. No features named: all that PyRadiomics has not deprecated.
type Class struct {
	Name     string
	Features []string
}

// Profile says what is computed and how. The profiles by name are those of Named; others are read by ReadParams.
type Profile struct {
	Name     string
	Settings Settings
	Images   []ImageType
	Classes  []Class
	Notes    []string // what was read but has no effect
	IBSI     bool     // correct the features that deviate from IBSI's definitions: Kurtosis, MinorAxisLength, LeastAxisLength and what follows from them
}

// ProfileNames are the profiles that Named knows, the first being the one of a case.
var ProfileNames = []string{"default", "nonlinear", "paper-literal", "fine", "hu"}

// Named returns a profile by its name.
//
//	default        z-score × 100, 1 mm, bin width 25; original, LoG 1–5 mm, wavelet: 1316 values
//	nonlinear      the other reading of the paper's count: original, wavelet, square, square root, logarithm, exponential, gradient
//	paper-literal  default with z-score × 1: one or two grey levels are left
//	fine           default with bin width 5
//	hu             default without z-score: bins of 25 HU
func Named(name string) (Profile, error) {
	if !slices.Contains(ProfileNames, name) {
		return Profile{}, fmt.Errorf("radiomics: no profile %q: there are %s", name, strings.Join(ProfileNames, ", "))
	}
	s := defaults()
	s.Normalize, s.NormalizeScale = name != "hu", 100
	s.ResampledPixelSpacing = []float64{1, 1, 1}
	switch name {
	case "paper-literal", "hu":
		s.NormalizeScale = 1
	case "fine":
		s.BinWidth = 5
	}
	p := Profile{Name: name, Settings: s}
	images := []string{"Original", "LoG", "Wavelet"}
	if name == "nonlinear" {
		images = []string{"Original", "Wavelet", "Square", "SquareRoot", "Logarithm", "Exponential", "Gradient"}
	}
	for _, image := range images {
		t := ImageType{Name: image, Settings: s}
		if image == "LoG" {
			t.Settings.Sigma = sigmas(1, 2, 3, 4, 5)
		}
		p.Images = append(p.Images, t)
	}
	for _, c := range []string{"shape", "firstorder", "glcm", "gldm", "glrlm", "glszm", "ngtdm"} {
		p.Classes = append(p.Classes, Class{Name: c})
	}
	return p, nil
}

// Default is the profile of a case.
func Default() Profile {
	p, err := Named(ProfileNames[0])
	if err != nil {
		panic(err) // the first name is known
	}
	return p
}

// MarshalJSON writes what determines the values: settings, image types with their own settings, classes.
func (p Profile) MarshalJSON() ([]byte, error) {
	type image struct {
		Name string                     `json:"name"`
		Own  map[string]json.RawMessage `json:"settings,omitempty"`
	}
	type class struct {
		Name     string   `json:"name"`
		Features []string `json:"features,omitempty"`
	}
	out := struct {
		Compat   string   `json:"compat"`
		Settings Settings `json:"settings"`
		Images   []image  `json:"imageType"`
		Classes  []class  `json:"featureClass"`
		IBSI     bool     `json:"ibsi,omitempty"`
	}{Compat: Compat, Settings: p.Settings, IBSI: p.IBSI}
	for _, i := range p.Images {
		own, err := i.Settings.beyond(&p.Settings)
		if err != nil {
			return nil, err
		}
		out.Images = append(out.Images, image{i.Name, own})
	}
	for _, c := range p.Classes {
		out.Classes = append(out.Classes, class(c))
	}
	return json.Marshal(out)
}

// beyond are the settings that differ from the others.
func (s *Settings) beyond(others *Settings) (map[string]json.RawMessage, error) {
	var maps [2]map[string]json.RawMessage
	for i, from := range []*Settings{s, others} {
		b, err := json.Marshal(from)
		if err == nil {
			err = json.Unmarshal(b, &maps[i])
		}
		if err != nil {
			return nil, err
		}
	}
	for key, value := range maps[0] {
		if string(value) == string(maps[1][key]) || key == "label" {
			delete(maps[0], key)
		}
	}
	return maps[0], nil
}

// Hash identifies settings, image types and classes: SHA-256 of Profile's JSON, hexadecimal. The name of the profile and
// the label do not enter. A model carries it and refuses values of another.
func (p Profile) Hash() string {
	p.Settings.Label = 1
	b, err := json.Marshal(p)
	if err != nil {
		panic(err) // only numbers and strings; ReadParams lets no infinite number in
	}
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}
