package radiomics

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rfanode/analysis/volume"
)

// box is a textured image of 24 × 22 × 20 voxels of 1 mm, its mask empty.
func box() (*volume.Volume, *volume.Mask) {
	v, _ := window([3]int{}, [3]int{24, 22, 20}, straight, [3]float64{}, 0)
	return v, volume.NewMask(v.Geometry)
}

func fill(m *volume.Mask, low, high [3]int, value uint8) {
	for k := low[2]; k < high[2]; k++ {
		for j := low[1]; j < high[1]; j++ {
			for i := low[0]; i < high[0]; i++ {
				m.Data[m.Offset(i, j, k)] = value
			}
		}
	}
}

func TestRefused(t *testing.T) {
	raw := "setting: {binWidth: 25}"
	thick := "setting: {binWidth: 25, resampledPixelSpacing: [9, 9, 9]}"
	for _, c := range []struct {
		name, params, want string
		change             func(v *volume.Volume, m *volume.Mask)
	}{
		{"empty mask", raw, "the mask is empty", func(*volume.Volume, *volume.Mask) {}},
		{"one voxel", raw, "a single voxel", func(_ *volume.Volume, m *volume.Mask) { m.Data[m.Offset(5, 5, 5)] = 1 }},
		{"one line", raw, "along 1 axes, at least 2", func(_ *volume.Volume, m *volume.Mask) { fill(m, [3]int{5, 5, 5}, [3]int{12, 6, 6}, 1) }},
		{"one voxel by resampling", thick, "8 in the mask, before resampling", func(_ *volume.Volume, m *volume.Mask) { fill(m, [3]int{3, 3, 3}, [3]int{5, 5, 5}, 1) }},
		{"too small", "setting: {minimumROISize: 8}", "minimumROISize", func(_ *volume.Volume, m *volume.Mask) { fill(m, [3]int{5, 5, 5}, [3]int{7, 7, 7}, 1) }},
		{"label absent", raw, "no label 1: there are 3 (8 voxels)", func(_ *volume.Volume, m *volume.Mask) { fill(m, [3]int{5, 5, 5}, [3]int{7, 7, 7}, 3) }},
		{"NaN outside the region", raw, "voxel (1, 2, 3)", func(v *volume.Volume, m *volume.Mask) {
			fill(m, [3]int{5, 5, 5}, [3]int{9, 9, 9}, 1)
			v.Data[v.Offset(1, 2, 3)] = float32(math.NaN())
		}},
		{"infinite value", raw, "voxel (1, 2, 3)", func(v *volume.Volume, m *volume.Mask) {
			fill(m, [3]int{5, 5, 5}, [3]int{9, 9, 9}, 1)
			v.Data[v.Offset(1, 2, 3)] = float32(math.Inf(-1))
		}},
		{"constant image and z-score", "setting: {normalize: true}", "one value everywhere", func(v *volume.Volume, m *volume.Mask) {
			fill(m, [3]int{5, 5, 5}, [3]int{9, 9, 9}, 1)
			for i := range v.Data {
				v.Data[i] = 7
			}
		}},
		{"region beyond the image", raw, "partly outside the image", func(_ *volume.Volume, m *volume.Mask) {
			fill(m, [3]int{0, 5, 5}, [3]int{9, 9, 9}, 1)
			m.Origin[0] -= 2
		}},
		{"resegmentation leaves nothing", "setting: {resegmentRange: [9000]}", "resegmentRange leaves 0 of 64", func(_ *volume.Volume, m *volume.Mask) { fill(m, [3]int{5, 5, 5}, [3]int{9, 9, 9}, 1) }},
		{"values and size disagree", raw, "values for", func(v *volume.Volume, m *volume.Mask) {
			fill(m, [3]int{5, 5, 5}, [3]int{9, 9, 9}, 1)
			v.Data = v.Data[:len(v.Data)-1]
		}},
		{"a grid without end", "setting: {resampledPixelSpacing: [0.001, 0.001, 0.001]}", "a larger resampledPixelSpacing", func(_ *volume.Volume, m *volume.Mask) { fill(m, [3]int{5, 5, 5}, [3]int{9, 9, 9}, 1) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, m := box()
			c.change(v, m)
			_, err := Extract(t.Context(), v, m, params(t, c.params))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v does not say %q", err, c.want)
			}
		})
	}
}

// missing reports the values that are not there, and fails on one without a reason.
func missing(t *testing.T, r *Result) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, v := range r.Values {
		if math.IsNaN(v.Value) {
			if out[v.Name] = v.Reason; v.Reason == "" {
				t.Errorf("%s is missing without a reason", v.Name)
			}
		} else if math.IsInf(v.Value, 0) || v.Reason != "" {
			t.Errorf("%s is %g, reason %q", v.Name, v.Value, v.Reason)
		}
	}
	return out
}

func warned(r *Result, words string) bool {
	return strings.Contains(strings.Join(r.Warnings, "\n"), words)
}

func TestAccepted(t *testing.T) {
	all := "{imageType: {Original: {}, LoG: {sigma: [1.0, 30.0]}, Wavelet: {}, Square: {}, SquareRoot: {}, Logarithm: {}, Exponential: {}, Gradient: {}, LBP3D: {}}, setting: {binWidth: 25}}"
	t.Run("mask without a zero", func(t *testing.T) {
		v, m := box()
		fill(m, [3]int{}, m.Size, 1)
		r := mustExtract(t, v, m, params(t, "setting: {binWidth: 25}"))
		if r.RegionVoxels[1] != m.Len() || !warned(r, "touches the border") || len(missing(t, r)) != 0 {
			t.Errorf("%d voxels, warnings %q", r.RegionVoxels[1], r.Warnings)
		}
	})
	t.Run("at the border, every filter, one too wide", func(t *testing.T) {
		v, m := box()
		fill(m, [3]int{0, 0, 0}, [3]int{8, 7, 6}, 1)
		r := mustExtract(t, v, m, params(t, all))
		for name, why := range missing(t, r) {
			if !strings.HasPrefix(name, "log-sigma-30-0-mm-3D_") || !strings.Contains(why, "needs at least 31") {
				t.Errorf("%s: %s", name, why)
			}
		}
		if !warned(r, "no features of log-sigma-30-0-mm-3D") || !warned(r, "touches the border") {
			t.Errorf("warnings %q", r.Warnings)
		}
	})
	t.Run("one slice", func(t *testing.T) {
		v, m := box()
		fill(m, [3]int{4, 4, 6}, [3]int{12, 11, 7}, 1)
		r := mustExtract(t, v, m, Default())
		if f := r.Get("original_shape_Flatness"); math.Abs(f) > 1e-7 || !warned(r, "one voxel thick along axis z") {
			t.Errorf("flatness %g, warnings %q", f, r.Warnings)
		}
		missing(t, r)
	})
	t.Run("flat region", func(t *testing.T) {
		v, m := box()
		fill(m, [3]int{4, 4, 4}, [3]int{12, 11, 9}, 1)
		for i, in := range m.Data {
			if in != 0 {
				v.Data[i] = 40
			}
		}
		r := mustExtract(t, v, m, params(t, "setting: {binWidth: 25}"))
		for name, want := range map[string]float64{"firstorder_Skewness": 0, "firstorder_Kurtosis": 0, "glcm_Imc1": 0, "glcm_Imc2": 0, "glcm_Contrast": 0,
			"glcm_Correlation": 1, "glcm_MCC": 1, "glcm_Id": 1, "ngtdm_Coarseness": 1e6, "ngtdm_Busyness": 0, "ngtdm_Strength": 0} {
			if got := r.Get("original_" + name); math.Abs(got-want) > 1e-12 {
				t.Errorf("%s %g, not %g", name, got, want)
			}
		}
		if !warned(r, "coarse binning") || !warned(r, "a smaller binWidth") || len(missing(t, r)) != 0 {
			t.Errorf("warnings %q", r.Warnings)
		}
	})
	t.Run("two voxels apart", func(t *testing.T) {
		v, m := box()
		m.Data[m.Offset(4, 4, 4)], m.Data[m.Offset(9, 12, 4)] = 1, 1
		r := mustExtract(t, v, m, params(t, "setting: {binWidth: 25}"))
		gone := missing(t, r)
		if gone["original_glcm_Contrast"] == "" || gone["original_firstorder_RobustMeanAbsoluteDeviation"] == "" || len(gone) < 25 {
			t.Errorf("missing: %v", gone)
		}
	})
	t.Run("more levels than the limit", func(t *testing.T) {
		v, m := box()
		fill(m, [3]int{4, 4, 4}, [3]int{12, 11, 9}, 1)
		r := mustExtract(t, v, m, params(t, "{imageType: {Original: {}, Square: {binWidth: 50}}, setting: {binWidth: 0.0001}}"))
		for name, why := range missing(t, r) {
			if !strings.HasPrefix(name, "original_") || !strings.Contains(why, "a larger binWidth is needed") {
				t.Errorf("%s: %s", name, why)
			}
		}
		if math.IsNaN(r.Get("square_glcm_Contrast")) || math.IsNaN(r.Get("original_shape_MeshVolume")) {
			t.Error("what does not depend on the bins is missing too")
		}
	})
	t.Run("image of zeros", func(t *testing.T) {
		v, m := box()
		fill(m, [3]int{4, 4, 4}, [3]int{12, 11, 9}, 1)
		clear(v.Data)
		missing(t, mustExtract(t, v, m, params(t, all)))
	})
	t.Run("other grid", func(t *testing.T) {
		v, m := box()
		m.Origin, m.Spacing = volume.Vec{1.3, 0.4, 2.1}, [3]float64{0.8, 0.8, 0.8}
		fill(m, [3]int{4, 4, 4}, [3]int{14, 13, 12}, 1)
		r := mustExtract(t, v, m, params(t, "setting: {binWidth: 25}"))
		if !warned(r, "different grids") || !warned(r, "origins 2.1 mm apart") {
			t.Errorf("warnings %q", r.Warnings)
		}
		if _, err := ExtractWith(t.Context(), v, m, Default(), Options{Strict: true}); err == nil || !strings.Contains(err.Error(), "different grids") {
			t.Errorf("strict: %v", err)
		}
	})
}

func TestLabels(t *testing.T) {
	v, m := box()
	fill(m, [3]int{4, 4, 4}, [3]int{8, 8, 8}, 255)
	dir := t.TempDir()
	image, mask := filepath.Join(dir, "i.nii.gz"), filepath.Join(dir, "m.nii.gz")
	write := func() {
		t.Helper()
		if err := errors.Join(volume.WriteNIfTI(image, v), volume.WriteMaskNIfTI(mask, m)); err != nil {
			t.Fatal(err)
		}
	}
	write()
	p := params(t, "setting: {binWidth: 25}")
	r, err := ExtractFiles(t.Context(), image, mask, p, Options{})
	if err != nil || r.Label != 255 || !warned(r, "its only label 255 is taken") {
		t.Fatalf("%v, %v", r, err)
	}
	if _, err := ExtractFiles(t.Context(), image, mask, p, Options{Label: 2}); err == nil || !strings.Contains(err.Error(), "no label 2: there are 255 (64 voxels)") {
		t.Error(err)
	}
	fill(m, [3]int{10, 4, 4}, [3]int{13, 8, 8}, 7)
	write()
	if _, err := ExtractFiles(t.Context(), image, mask, p, Options{}); err == nil || !strings.Contains(err.Error(), "7 (48 voxels), 255 (64 voxels)") {
		t.Error(err)
	}
	if r, err := ExtractFiles(t.Context(), image, mask, p, Options{Label: 7}); err != nil || r.RegionVoxels[0] != 48 {
		t.Error(err)
	}
}

func TestCancelled(t *testing.T) {
	v, m := ball(6)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Extract(ctx, v, m, Default()); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestParams(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "empty"},
		{"settings: {}", `unknown key "settings"`},
		{"setting: {binwidth: 5}", `unknown setting "binwidth"`},
		{"setting: {binWidth: -5}", "above 0"},
		{"setting: {binWidth: wide}", "a number is needed"},
		{"setting: {binWidth: .inf}", "finite"},
		{"setting: {normalize: 1}", "true or false"},
		{"setting: {label: 1.5}", "a whole number"},
		{"setting: {interpolator: sitkGaussian}", "not supported"},
		{"setting: {resampledPixelSpacing: [1, 1]}", "three are needed"},
		{"setting: {wavelet: coif99}", "no discrete wavelet"},
		{"setting: {resegmentRange: [1, 2, 3]}", "3 thresholds"},
		{"setting: {weightingNorm: l2}", "one of"},
		{"setting: {binWidth: 5, binWidth: 6}", ""},
		{"imageType: {LBP2D: {}}", "LBP2D is not supported"},
		{"imageType: {Sharpened: {}}", "unknown image type"},
		{"imageType: {LoG: {sigmas: [1]}}", `image type LoG: line 1: unknown setting "sigmas"`},
		{"featureClass: {glcm: [Contrast, Contrasst]}", `no feature "Contrasst"`},
		{"featureClass: {glxm: }", "unknown feature class"},
		{"[1, 2]", "a mapping"},
		{"a: b: c", ""},
	} {
		_, err := ParseParams([]byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: error %v does not say %q", c.text, err, c.want)
		}
	}
	p := params(t, `
imageType:
  Original: {}
  LoG: {sigma: [1.0, 3, 2.5]}
  Wavelet: {binWidth: 10, wavelet: haar, level: 2}
featureClass:
  shape:
  glcm: [Contrast, Id, Homogeneity1]
  firstorder: ['Mean', 'StandardDeviation']
setting:
  binWidth: 25
  resampledPixelSpacing: [0, 0, 3]
  interpolator: 'sitkLinear'
  weightingNorm: null
  label: 2
  additionalInfo: true
`)
	names := p.Names()
	for _, want := range []string{"original_shape_MeshVolume", "original_firstorder_StandardDeviation", "log-sigma-1-0-mm-3D_glcm_Id", "log-sigma-3-mm-3D_glcm_Contrast",
		"log-sigma-2-5-mm-3D_firstorder_Mean", "wavelet-HHH_glcm_Contrast", "wavelet2-LLL_glcm_Contrast"} {
		found := false
		for _, n := range names {
			found = found || n == want
		}
		if !found {
			t.Errorf("no %s among the names", want)
		}
	}
	if len(names) != 14+(1+3+15)*4 || len(p.Notes) != 2 {
		t.Errorf("%d names, notes %q", len(names), p.Notes)
	}
	if a, b := p.Images[0].Settings.BinWidth, p.Images[2].Settings.BinWidth; a != 25 || b != 10 {
		t.Errorf("bin widths %g and %g", a, b)
	}
}

// The hash is that of what determines the values, however it was said.
func TestHash(t *testing.T) {
	a, b := Default(), params(t, "{imageType: {Original: {}, LoG: {sigma: [1.0, 2.0, 3.0, 4.0, 5.0]}, Wavelet: {}}, featureClass: {shape: , firstorder: , glcm: , gldm: , glrlm: , glszm: , ngtdm: }, setting: {label: 4, normalize: true, normalizeScale: 100, resampledPixelSpacing: [1, 1, 1], interpolator: sitkBSpline, binWidth: 25}}")
	if a.Hash() != b.Hash() {
		x, _ := json.Marshal(a)
		y, _ := json.Marshal(b)
		t.Errorf("the default profile and the same from a file differ:\n%s\n%s", x, y)
	}
	b.Settings.BinWidth = 5
	if a.Hash() == b.Hash() {
		t.Error("another bin width has the same hash")
	}
}

// Files that are cut off or changed at any place: an error or values, never a panic.
func TestDamagedFiles(t *testing.T) {
	v, m := box()
	fill(m, [3]int{4, 4, 4}, [3]int{9, 9, 9}, 1)
	dir := t.TempDir()
	image, mask := filepath.Join(dir, "i.nii"), filepath.Join(dir, "m.nii")
	if err := errors.Join(volume.WriteNIfTI(image, v), volume.WriteMaskNIfTI(mask, m)); err != nil {
		t.Fatal(err)
	}
	nifti, err := os.ReadFile(mask)
	if err != nil {
		t.Fatal(err)
	}
	header := "NRRD0004\ntype: uchar\ndimension: 3\nspace: left-posterior-superior\nsizes: 24 22 20\nspace directions: (1,0,0) (0,1,0) (0,0,1)\nkinds: domain domain domain\nencoding: raw\nspace origin: (0,0,0)\n\n"
	p := params(t, "{featureClass: {shape: [MeshVolume]}, setting: {binWidth: 25}}")
	try := func(name string, b []byte) {
		t.Helper()
		path := filepath.Join(dir, "damaged"+name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if r, err := ExtractFiles(t.Context(), image, path, p, Options{}); err == nil {
			missing(t, r)
		}
	}
	good := append([]byte(header), m.Data...)
	path := filepath.Join(dir, "good.nrrd")
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	if r, err := ExtractFiles(t.Context(), image, path, p, Options{}); err != nil || r.RegionVoxels[0] != 125 {
		t.Fatal(err)
	}
	for i := 0; i < 352; i += 2 {
		for _, x := range []byte{0x00, 0xff} {
			b := append([]byte(nil), nifti...)
			b[i], b[i+1] = x, x
			try(".nii", b)
		}
	}
	for i := range len(header) {
		b := append([]byte(nil), good...)
		b[i] = "0- \n\xff"[i%5]
		try(".nrrd", b)
	}
	for _, n := range []int{0, 1, 100, 348, len(nifti) - 1} {
		try(".nii", nifti[:n])
		try(".nrrd", good[:min(n, len(good))])
	}
}
