package radiomics

import (
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// ReadParams reads a PyRadiomics parameter file (YAML, or JSON, which is YAML too). An unknown key, a value of the wrong
// kind or out of range is an error that names it, as PyRadiomics' own schema has it.
func ReadParams(path string) (Profile, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Profile{}, fmt.Errorf("reading the parameter file: %w", err)
	}
	p, err := ParseParams(b)
	if err != nil {
		return Profile{}, fmt.Errorf("parameter file %s: %w", path, err)
	}
	return p, nil
}

// ParseParams is ReadParams on the text itself.
func ParseParams(text []byte) (Profile, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return Profile{}, err
	}
	p := Profile{Name: "file", Settings: defaults()}
	if len(doc.Content) == 0 {
		return p, errors.New("the file is empty")
	}
	var images, classes, settings *yaml.Node
	err := eachKey(doc.Content[0], func(key string, value *yaml.Node) error {
		switch key {
		case "setting":
			settings = value
		case "imageType":
			images = value
		case "featureClass":
			classes = value
		case "voxelSetting":
			p.note("voxelSetting has no effect: features of the whole region are computed, no voxel maps")
		default:
			return fmt.Errorf("line %d: unknown key %q: there are setting, imageType, featureClass", value.Line, key)
		}
		return nil
	})
	if err != nil {
		return p, err
	}
	if err := p.Settings.apply(settings, p.note); err != nil {
		return p, err
	}
	if err := p.readImages(images); err != nil {
		return p, err
	}
	if err := p.readClasses(classes); err != nil {
		return p, err
	}
	return p, p.check()
}

func (p *Profile) note(format string, args ...any) {
	p.Notes = append(p.Notes, fmt.Sprintf(format, args...))
}

// isNull reports whether nothing is said.
func isNull(n *yaml.Node) bool { return n == nil || n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

func eachKey(n *yaml.Node, do func(key string, value *yaml.Node) error) error {
	if isNull(n) {
		return nil
	}
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: a mapping of names to values is needed", n.Line)
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i].Value
		if seen[key] {
			return fmt.Errorf("line %d: %q stands twice", n.Content[i].Line, key)
		}
		seen[key] = true
		value := n.Content[i+1]
		for value.Kind == yaml.AliasNode {
			value = value.Alias
		}
		if err := do(key, value); err != nil {
			return err
		}
	}
	return nil
}

// imageTypes are those of PyRadiomics that are computed here.
var imageTypes = []string{"Original", "LoG", "Wavelet", "Square", "SquareRoot", "Logarithm", "Exponential", "Gradient", "LBP3D"}

func (p *Profile) readImages(n *yaml.Node) error {
	err := eachKey(n, func(key string, value *yaml.Node) error {
		if key == "LBP2D" {
			return fmt.Errorf("line %d: image type LBP2D is not supported: take it out, or use LBP3D", value.Line)
		}
		if !slices.Contains(imageTypes, key) {
			return fmt.Errorf("line %d: unknown image type %q: there are %s", value.Line, key, strings.Join(imageTypes, ", "))
		}
		t := ImageType{Name: key, Settings: p.Settings}
		if err := t.Settings.apply(value, p.note); err != nil {
			return fmt.Errorf("image type %s: %w", key, err)
		}
		p.Images = append(p.Images, t)
		return nil
	})
	if len(p.Images) == 0 {
		p.Images = []ImageType{{Name: "Original", Settings: p.Settings}}
	}
	return err
}

func (p *Profile) readClasses(n *yaml.Node) error {
	err := eachKey(n, func(key string, value *yaml.Node) error {
		if key == "shape2D" {
			p.note("shape2D is not computed")
			return nil
		}
		known := featureNames[key]
		if known == nil {
			return fmt.Errorf("line %d: unknown feature class %q: there are shape, firstorder, glcm, gldm, glrlm, glszm, ngtdm", value.Line, key)
		}
		c := Class{Name: key}
		if !isNull(value) {
			if value.Kind != yaml.SequenceNode {
				return fmt.Errorf("line %d: class %s needs a list of features, or nothing for all", value.Line, key)
			}
			for _, f := range value.Content {
				switch {
				case slices.Contains(c.Features, f.Value):
				case slices.Contains(known, f.Value) || slices.Contains(deprecated[key], f.Value):
					c.Features = append(c.Features, f.Value)
				case slices.Contains(withdrawn[key], f.Value):
					p.note("%s %s is withdrawn in %s and is left out, as there", key, f.Value, Compat)
				default:
					return fmt.Errorf("line %d: class %s has no feature %q", f.Line, key, f.Value)
				}
			}
		}
		p.Classes = append(p.Classes, c)
		return nil
	})
	if err == nil && len(p.Classes) == 0 && isNull(n) {
		for _, c := range classNames {
			p.Classes = append(p.Classes, Class{Name: c})
		}
	}
	return err
}

// check refuses what no single key shows.
func (p *Profile) check() error {
	if n := len(p.Settings.ResampledPixelSpacing); n != 0 && n != 3 {
		return fmt.Errorf("resampledPixelSpacing has %d numbers: three are needed, mm along x, y, z", n)
	}
	for _, t := range p.Images {
		if t.Name == "LoG" && len(t.Settings.Sigma) == 0 {
			p.note("image type LoG has no sigma: no LoG image, as in %s", Compat)
		}
	}
	return nil
}

// apply puts the settings of a mapping on top of s.
func (s *Settings) apply(n *yaml.Node, note func(string, ...any)) error {
	return eachKey(n, func(key string, v *yaml.Node) error {
		set, ok := setters[key]
		if !ok {
			if slices.Contains(ignored, key) {
				note("%s has no effect here", key)
				return nil
			}
			return fmt.Errorf("line %d: unknown setting %q: look for a slip of the pen in its name", v.Line, key)
		}
		if err := set(s, v); err != nil {
			return fmt.Errorf("line %d: setting %s: %w", v.Line, key, err)
		}
		return nil
	})
}

// ignored are settings that PyRadiomics knows and that change no value here.
var ignored = []string{"additionalInfo", "label_channel", "lbp2DRadius", "lbp2DSamples", "lbp2DMethod", "kernelRadius", "maskedKernel", "initValue", "voxelBatch"}

var setters = map[string]func(*Settings, *yaml.Node) error{
	"normalize":                 boolean(func(s *Settings) *bool { return &s.Normalize }),
	"normalizeScale":            float(func(s *Settings) *float64 { return &s.NormalizeScale }, positive),
	"removeOutliers":            optional(func(s *Settings) **float64 { return &s.RemoveOutliers }),
	"resampledPixelSpacing":     floats(func(s *Settings) *[]float64 { return &s.ResampledPixelSpacing }, notNegative),
	"interpolator":              interpolator,
	"padDistance":               integer(func(s *Settings) *int { return &s.PadDistance }, 0, 10000),
	"preCrop":                   boolean(func(s *Settings) *bool { return &s.PreCrop }),
	"label":                     integer(func(s *Settings) *int { return &s.Label }, 1, math.MaxInt32),
	"minimumROIDimensions":      integer(func(s *Settings) *int { return &s.MinimumROIDimensions }, 1, 3),
	"minimumROISize":            optionalInt(func(s *Settings) **int { return &s.MinimumROISize }),
	"geometryTolerance":         optional(func(s *Settings) **float64 { return &s.GeometryTolerance }),
	"correctMask":               boolean(func(s *Settings) *bool { return &s.CorrectMask }),
	"resegmentRange":            resegmentRange,
	"resegmentMode":             oneOf(func(s *Settings) *string { return &s.ResegmentMode }, "absolute", "relative", "sigma"),
	"resegmentShape":            boolean(func(s *Settings) *bool { return &s.ResegmentShape }),
	"binWidth":                  float(func(s *Settings) *float64 { return &s.BinWidth }, positive),
	"binCount":                  optionalInt(func(s *Settings) **int { return &s.BinCount }),
	"voxelArrayShift":           float(func(s *Settings) *float64 { return &s.VoxelArrayShift }, finite),
	"distances":                 distances,
	"symmetricalGLCM":           boolean(func(s *Settings) *bool { return &s.SymmetricalGLCM }),
	"weightingNorm":             oneOf(func(s *Settings) *string { return &s.WeightingNorm }, "", "manhattan", "euclidean", "infinity", "no_weighting"),
	"gldm_a":                    integer(func(s *Settings) *int { return &s.GLDMAlpha }, 0, math.MaxInt32),
	"force2D":                   boolean(func(s *Settings) *bool { return &s.Force2D }),
	"force2Ddimension":          integer(func(s *Settings) *int { return &s.Force2DDimension }, 0, 2),
	"sigma":                     sigma,
	"wavelet":                   waveletName,
	"level":                     integer(func(s *Settings) *int { return &s.Level }, 1, 32),
	"start_level":               integer(func(s *Settings) *int { return &s.StartLevel }, 0, 32),
	"gradientUseSpacing":        boolean(func(s *Settings) *bool { return &s.GradientUseSpacing }),
	"lbp3DLevels":               integer(func(s *Settings) *int { return &s.LBP3DLevels }, 1, 16),
	"lbp3DIcosphereRadius":      float(func(s *Settings) *float64 { return &s.LBP3DRadius }, positive),
	"lbp3DIcosphereSubdivision": integer(func(s *Settings) *int { return &s.LBP3DSubdivision }, 0, 5),
}

func boolean(field func(*Settings) *bool) func(*Settings, *yaml.Node) error {
	return func(s *Settings, n *yaml.Node) error {
		if n.Tag != "!!bool" {
			return fmt.Errorf("%q: true or false is needed", n.Value)
		}
		return n.Decode(field(s))
	}
}

func number(n *yaml.Node) (float64, error) {
	if n.Tag != "!!int" && n.Tag != "!!float" {
		return 0, fmt.Errorf("%q: a number is needed", n.Value)
	}
	var v float64
	if err := n.Decode(&v); err != nil {
		return 0, err
	}
	return v, finite(v)
}

func finite(v float64) error {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return fmt.Errorf("%g: a finite number is needed", v)
	}
	return nil
}

func positive(v float64) error {
	if v > 0 {
		return nil
	}
	return fmt.Errorf("%g: it has to be above 0", v)
}

func notNegative(v float64) error {
	if v >= 0 {
		return nil
	}
	return fmt.Errorf("%g: it may not be below 0", v)
}

func float(field func(*Settings) *float64, check func(float64) error) func(*Settings, *yaml.Node) error {
	return func(s *Settings, n *yaml.Node) (err error) {
		v, err := number(n)
		if err == nil {
			err = check(v)
		}
		if err == nil {
			*field(s) = v
		}
		return err
	}
}

func optional(field func(*Settings) **float64) func(*Settings, *yaml.Node) error {
	return func(s *Settings, n *yaml.Node) error {
		if isNull(n) {
			*field(s) = nil
			return nil
		}
		v, err := number(n)
		if err == nil {
			err = positive(v)
		}
		if err == nil {
			*field(s) = &v
		}
		return err
	}
}

func whole(n *yaml.Node, low, high int) (int, error) {
	if n.Tag != "!!int" {
		return 0, fmt.Errorf("%q: a whole number is needed", n.Value)
	}
	v, err := strconv.Atoi(n.Value)
	if err != nil || v < low || v > high {
		return 0, fmt.Errorf("%s: it has to lie between %d and %d", n.Value, low, high)
	}
	return v, nil
}

func integer(field func(*Settings) *int, low, high int) func(*Settings, *yaml.Node) error {
	return func(s *Settings, n *yaml.Node) error {
		v, err := whole(n, low, high)
		if err == nil {
			*field(s) = v
		}
		return err
	}
}

func optionalInt(field func(*Settings) **int) func(*Settings, *yaml.Node) error {
	return func(s *Settings, n *yaml.Node) error {
		if isNull(n) {
			*field(s) = nil
			return nil
		}
		v, err := whole(n, 1, math.MaxInt32)
		if err == nil {
			*field(s) = &v
		}
		return err
	}
}

func list(n *yaml.Node, each func(*yaml.Node) error) error {
	if isNull(n) {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		return errors.New("a list is needed")
	}
	for _, item := range n.Content {
		if err := each(item); err != nil {
			return err
		}
	}
	return nil
}

func floats(field func(*Settings) *[]float64, check func(float64) error) func(*Settings, *yaml.Node) error {
	return func(s *Settings, n *yaml.Node) error {
		var out []float64
		err := list(n, func(item *yaml.Node) error {
			v, err := number(item)
			if err == nil {
				err = check(v)
			}
			out = append(out, v)
			return err
		})
		if err == nil {
			*field(s) = out
		}
		return err
	}
}

func resegmentRange(s *Settings, n *yaml.Node) error {
	if err := floats(func(s *Settings) *[]float64 { return &s.ResegmentRange }, finite)(s, n); err != nil {
		return err
	}
	if len(s.ResegmentRange) > 2 || !isNull(n) && len(s.ResegmentRange) == 0 {
		return fmt.Errorf("%d thresholds: one (the lower) or two are needed", len(s.ResegmentRange))
	}
	return nil
}

func distances(s *Settings, n *yaml.Node) error {
	var out []int
	err := list(n, func(item *yaml.Node) error {
		v, err := whole(item, 1, 50)
		out = append(out, v)
		return err
	})
	slices.Sort(out)
	out = slices.Compact(out)
	if err == nil && len(out) == 0 {
		err = errors.New("at least one distance is needed")
	}
	if err == nil {
		s.Distances = out
	}
	return err
}

func sigma(s *Settings, n *yaml.Node) error {
	var out []Sigma
	err := list(n, func(item *yaml.Node) error {
		v, err := number(item)
		if err == nil {
			err = positive(v)
		}
		text := pythonFloat(v)
		if item.Tag == "!!int" {
			text = strconv.FormatFloat(v, 'f', 0, 64)
		}
		out = append(out, Sigma{v, text})
		return err
	})
	if err == nil {
		s.Sigma = out
	}
	return err
}

func oneOf(field func(*Settings) *string, values ...string) func(*Settings, *yaml.Node) error {
	return func(s *Settings, n *yaml.Node) error {
		v := n.Value
		if isNull(n) {
			v = ""
		}
		if !slices.Contains(values, v) {
			return fmt.Errorf("%q: one of %s is needed", v, strings.Join(values, ", "))
		}
		*field(s) = v
		return nil
	}
}

func interpolator(s *Settings, n *yaml.Node) error {
	v := n.Value
	if isNull(n) {
		v = ""
	}
	if numbered := map[string]string{"1": "sitkNearestNeighbor", "2": "sitkLinear", "3": "sitkBSpline"}; numbered[v] != "" {
		v = numbered[v] // the values of SimpleITK's enumeration
	}
	if !slices.Contains([]string{"", "sitkNearestNeighbor", "sitkLinear", "sitkBSpline"}, v) {
		return fmt.Errorf("%q is not supported: sitkBSpline, sitkLinear and sitkNearestNeighbor are", v)
	}
	s.Interpolator = v
	return nil
}

func waveletName(s *Settings, n *yaml.Node) error {
	if _, err := wavelet(n.Value); err != nil {
		return err
	}
	s.Wavelet = n.Value
	return nil
}
