package radiomics

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"rfanode/analysis/volume"
)

// Options are what a call can say beside the profile. The zero value is right for a case.
type Options struct {
	Label   int  // 0: the profile's; if that is 1 and the mask has one other label, that one
	Strict  bool // refuse an image and a mask whose grids differ
	Threads int  // 0: as many as there are processors. The values do not depend on it
}

// Extract computes the features of profile p of the voxels set in m, from the image v (values as they are, HU for CT). The
// grids may differ: then the mask is resampled and the result says so. An error says what stands against any feature at
// all (an empty mask, a single voxel, NaN in the image …); a value that cannot be computed is NaN with a reason.
func Extract(ctx context.Context, v *volume.Volume, m *volume.Mask, p Profile) (*Result, error) {
	return ExtractWith(ctx, v, m, p, Options{})
}

// ExtractWith is Extract with options; of a mask in memory there is only one label.
func ExtractWith(ctx context.Context, v *volume.Volume, m *volume.Mask, p Profile, o Options) (*Result, error) {
	o.Label = 1
	return extract(ctx, newVolumeSource(v), maskSource{m}, p, o)
}

func extract(ctx context.Context, image, mask source, p Profile, o Options) (*Result, error) {
	pre, err := prepare(ctx, image, mask, &p, o)
	if err != nil {
		return nil, fmt.Errorf("radiomics: %w", err)
	}
	r := newResult(&p, pre)
	recipes := pre.recipes(&p)
	threads := o.Threads
	if threads <= 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(threads)
	var shapes map[string]float64
	if slices.ContainsFunc(p.Classes, func(c Class) bool { return c.Name == "shape" }) {
		group.Go(func() error {
			shapes = shape(pre.shape, p.IBSI)
			return ctx.Err()
		})
	}
	images := make([]imageFeatures, len(recipes))
	for i := range recipes {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			images[i] = recipes[i].features(pre, &p)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	r.collect(&p, shapes, images)
	return r, nil
}

// recipe makes one image of a profile, as the values of the voxels of the region.
type recipe struct {
	name     string
	settings *Settings
	make     func() (values []float64, single bool, err error)
}

// imageFeatures are the features of one image by class and name, or why there are none.
type imageFeatures struct {
	name    string
	classes map[string]map[string]float64
	levels  int
	highest int
	reason  string
}

// recipes lists the images of a profile in PyRadiomics' order.
func (pre *prepared) recipes(p *Profile) []recipe {
	var out []recipe
	for i := range p.Images {
		out = append(out, pre.recipesOf(&p.Images[i])...)
	}
	return out
}

// imageNames are the names of the images that a type makes, in their order.
func (t *ImageType) imageNames() []string {
	s := &t.Settings
	switch t.Name {
	case "LoG":
		var out []string
		for _, sigma := range s.Sigma {
			out = append(out, "log-sigma-"+strings.ReplaceAll(sigma.Text, ".", "-")+"-mm-3D")
		}
		return out
	case "Wavelet":
		return waveletNames(s)
	case "LBP3D":
		var out []string
		for l := range s.LBP3DLevels {
			out = append(out, fmt.Sprintf("lbp-3D-m%d", l+1))
		}
		return append(out, "lbp-3D-k")
	}
	return []string{simple[t.Name]}
}

// Names are the names of all values of the profile, in their order: shape, then image by image the classes.
func (p Profile) Names() []string {
	var out []string
	for _, c := range p.Classes {
		if c.Name == "shape" {
			for _, f := range c.features() {
				out = append(out, "original_shape_"+f)
			}
		}
	}
	for i := range p.Images {
		for _, image := range p.Images[i].imageNames() {
			for _, c := range p.Classes {
				if c.Name == "shape" {
					continue
				}
				for _, f := range c.features() {
					out = append(out, image+"_"+c.Name+"_"+f)
				}
			}
		}
	}
	return out
}

// simple are the names of the images that a type makes one of.
var simple = map[string]string{"Original": "original", "Square": "square", "SquareRoot": "squareroot", "Logarithm": "logarithm", "Exponential": "exponential", "Gradient": "gradient"}

func (pre *prepared) recipesOf(t *ImageType) []recipe {
	s, names := &t.Settings, t.imageNames()
	one := func(name string, make func() (*field, error)) recipe {
		return recipe{name, s, func() ([]float64, bool, error) {
			f, err := make()
			if err != nil {
				return nil, false, err
			}
			return pre.roi.gather(f), f.single, nil
		}}
	}
	switch t.Name {
	case "Original":
		return []recipe{one(names[0], func() (*field, error) { return pre.f, nil })}
	case "Gradient":
		return []recipe{one(names[0], func() (*field, error) { return gradient(pre.near(t), s.GradientUseSpacing), nil })}
	case "LoG":
		var out []recipe
		for i, sigma := range s.Sigma {
			out = append(out, one(names[i], func() (*field, error) {
				if err := pre.roomForLoG(sigma.MM); err != nil {
					return nil, err
				}
				only := ImageType{Name: "LoG", Settings: Settings{Sigma: []Sigma{sigma}}}
				f := pre.near(&only)
				var low [3]int
				for a := range 3 {
					low[a] = pre.roi.at[a] - f.at[a]
				}
				return laplacianOfGaussian(f, sigma.MM, low, pre.roi.size), nil
			}))
		}
		return out
	case "Wavelet":
		return pre.shared(s, names, func() ([][]float64, bool, error) {
			bands, err := waveletImages(pre.near(t), s)
			if err != nil {
				return nil, false, err
			}
			var out [][]float64
			for _, b := range bands {
				out = append(out, pre.roi.gather(b.f))
			}
			return out, pre.f.single, nil
		})
	case "LBP3D":
		return pre.shared(s, names, func() ([][]float64, bool, error) {
			return localBinaryPatterns3D(pre.near(t), pre.roi, s), false, nil
		})
	}
	return []recipe{one(names[0], func() (*field, error) { return pointwise(pre.near(t), t.Name) })}
}

// shared makes recipes of images that come out of one computation; whoever needs the first of them computes all.
func (pre *prepared) shared(s *Settings, names []string, all func() ([][]float64, bool, error)) []recipe {
	type made struct {
		values [][]float64
		single bool
	}
	once := sync.OnceValues(func() (made, error) {
		v, single, err := all()
		return made{v, single}, err
	})
	var out []recipe
	for i, name := range names {
		out = append(out, recipe{name, s, func() ([]float64, bool, error) {
			m, err := once()
			if err != nil {
				return nil, false, err
			}
			return m.values[i], m.single, nil
		}})
	}
	return out
}

// waveletNames are the names of waveletImages' images.
func waveletNames(s *Settings) []string {
	letters := 3
	if s.Force2D {
		letters = 2
	}
	var out []string
	prefix := "wavelet-"
	for level := 1; level <= s.Level; level++ {
		if level > 1 {
			prefix = fmt.Sprintf("wavelet%d-", level)
		}
		for band := 1; band < 1<<letters; band++ {
			name := prefix
			for l := letters - 1; l >= 0; l-- {
				name += "LH"[band>>l&1 : band>>l&1+1]
			}
			out = append(out, name)
		}
	}
	return append(out, prefix+strings.Repeat("L", letters))
}

// near is the part of the image that a filter feels; all of it when the image is a crop on its own.
func (pre *prepared) near(t *ImageType) *field {
	f := pre.f
	if f.size == f.full {
		return f
	}
	pad, wrap := t.margin(f.spacing)
	var at, size [3]int
	for a := range 3 {
		at[a] = max(pre.roi.at[a]-pad[a], f.at[a])
		size[a] = min(pre.roi.at[a]+pre.roi.size[a]+pad[a], f.at[a]+f.size[a]) - at[a]
		if wrap && (at[a] == 0 || at[a]+size[a] == f.full[a]) {
			at[a], size[a] = f.at[a], f.size[a]
		}
	}
	if at == f.at && size == f.size {
		return f
	}
	return f.crop(at, size)
}

// roomForLoG refuses an image that is too small for the filter, by PyRadiomics' rules.
func (pre *prepared) roomForLoG(sigma float64) error {
	f := pre.f
	for a := range 3 {
		if f.full[a] < 4 {
			return fmt.Errorf("the crop is %d voxels long along axis %s: LoG needs at least 4", f.full[a], "xyz"[a:a+1])
		}
		if need := int(math.Ceil(sigma/f.spacing[a])) + 1; f.full[a] < need {
			return fmt.Errorf("the crop is %d voxels long along axis %s: LoG of %g mm needs at least %d", f.full[a], "xyz"[a:a+1], sigma, need)
		}
	}
	return nil
}

var errNotFinite = errors.New("the filter gives values that are no finite numbers")

// features makes the image and computes the classes.
func (rec *recipe) features(pre *prepared, p *Profile) imageFeatures {
	out := imageFeatures{name: rec.name, classes: map[string]map[string]float64{}}
	x, single, err := rec.make()
	if err == nil {
		for _, v := range x {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				err = errNotFinite
				break
			}
		}
	}
	var l *levels
	if err == nil {
		l, err = discretise(x, single, rec.settings)
	}
	if err != nil {
		out.reason = err.Error()
		return out
	}
	out.levels, out.highest = len(l.values), l.high
	r, s := pre.roi, rec.settings
	rim := 1
	for _, d := range s.Distances {
		rim = max(rim, d)
	}
	g := newGrid(r, l, rim)
	near := sync.OnceValue(func() *neighbourhood { return g.look(s) })
	for _, c := range p.Classes {
		var values map[string]float64
		switch c.Name {
		case "firstorder":
			values = firstOrder(x, l, s, r.spacing[0]*r.spacing[1]*r.spacing[2])
			if p.IBSI {
				values["Kurtosis"] -= 3
			}
		case "glcm":
			values = cooccurrence(g, s, r.spacing)
		case "gldm":
			values = dependence(g, near())
		case "glrlm":
			values = runLengths(g, s, r.spacing)
		case "glszm":
			values = sizeZones(g, s)
		case "ngtdm":
			values = toneDifference(g, near())
		default:
			continue
		}
		out.classes[c.Name] = values
	}
	return out
}
