package nnunet

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func readFile(t testing.TB, path ...string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// What the recipe does not cover is refused by the name it has in the plans, never approximated.
func TestPlansRefuse(t *testing.T) {
	good := string(readFile(t, "testdata", "isotropic", "plans.json"))
	if _, err := parsePlans([]byte(good), "3d_fullres"); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct{ old, new, says string }{
		"cascade":             {`"inherits_from": "base",`, `"inherits_from": "base", "previous_stage": "3d_lowres",`, "cascade"},
		"z-score":             {`"CTNormalization"`, `"ZScoreNormalization"`, "ZScoreNormalization"},
		"two channels":        {"\"CTNormalization\"", "\"CTNormalization\", \"CTNormalization\"", "2 input channels"},
		"mask for norm":       {"\"use_mask_for_norm\": [\n    false", "\"use_mask_for_norm\": [\n    true", "use_mask_for_norm"},
		"preprocessor":        {`"DefaultPreprocessor"`, `"MyPreprocessor"`, "MyPreprocessor"},
		"torch resampling":    {`"resampling_fn_data": "resample_data_or_seg_to_shape"`, `"resampling_fn_data": "resample_torch_fornnunet"`, "resample_torch_fornnunet"},
		"torch probabilities": {`"resampling_fn_probabilities": "resample_data_or_seg_to_shape"`, `"resampling_fn_probabilities": "resample_torch_simple"`, "resample_torch_simple"},
		"order":               {`"order": 3`, `"order": 2`, "order must be 3"},
		"order z":             {`"order_z": 0`, `"order_z": 1`, "order_z 1"},
		"2-D":                 {"\"patch_size\": [\n    16,", "\"patch_size\": [", "not three-dimensional"},
		"own label manager":   {`"label_manager": "LabelManager"`, `"label_manager": "MyManager"`, "MyManager"},
		"inherits itself":     {`"inherits_from": "base"`, `"inherits_from": "3d_fullres"`, "inherits from itself"},
		"inherits nothing":    {`"inherits_from": "base"`, `"inherits_from": "gone"`, `"gone"`},
		"transpose":           {`"transpose_forward": [`, `"transpose_forward": [ 0,`, "transpose_forward"},
		"no intensities":      {`"percentile_00_5"`, `"percentile"`, "intensities"},
		"spacing 0":           {"1.4,", "0,", "spacing"},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(good, tc.old, tc.new, 1)
			if text == good {
				t.Fatalf("%q is not in the plans", tc.old)
			}
			_, err := parsePlans([]byte(text), "3d_fullres")
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%v; it should say %q", err, tc.says)
			}
		})
	}
	var refused *UnsupportedError
	if _, err := parsePlans([]byte("\x80\x03}q"), ""); !errors.As(err, &refused) || !strings.Contains(err.Error(), "v2") {
		t.Errorf("a pickle of v1: %v", err)
	}
}

// Which configuration is meant when nobody says so.
func TestOnlyConfiguration(t *testing.T) {
	c := `{"patch_size": [8,8,8], "spacing": [1,1,1]}`
	for name, tc := range map[string]struct{ configurations, want string }{
		"full resolution first": {`{"2d": {"patch_size": [8,8]}, "3d_lowres": ` + c + `, "3d_fullres": ` + c + `}`, "3d_fullres"},
		"the only one":          {`{"2d": {"patch_size": [8,8]}, "3d_lowres": ` + c + `}`, "3d_lowres"},
		"several":               {`{"a": ` + c + `, "b": ` + c + `}`, ""},
		"none":                  {`{"2d": {"patch_size": [8,8]}}`, ""},
	} {
		var f plansFile
		if err := parseJSON([]byte(`{"configurations": `+tc.configurations+`}`), &f, name); err != nil {
			t.Fatal(err)
		}
		got, err := f.onlyConfiguration()
		if got != tc.want || (err == nil) != (tc.want != "") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestDataset(t *testing.T) {
	for name, tc := range map[string]struct {
		labels, more string
		heads        int
		order        []int
		says         string
	}{
		"labels":           {`{"background": 0, "a": 1, "b": 2}`, "", 3, nil, ""},
		"ignore":           {`{"background": 0, "a": 1, "ignore": 2}`, "", 2, nil, ""},
		"lists of one":     {`{"background": 0, "a": [1]}`, "", 2, nil, ""},
		"regions in order": {`{"background": 0, "whole": [1, 2], "core": 2}`, `, "regions_class_order": [1, 2]`, 2, []int{1, 2}, ""},
		"gap":              {`{"background": 0, "a": 2}`, "", 0, nil, "gaps"},
		"no background":    {`{"a": 1}`, "", 0, nil, "background"},
		"only background":  {`{"background": 0}`, "", 0, nil, "no label but"},
		"order missing":    {`{"background": 0, "whole": [1, 2], "core": 2}`, "", 0, nil, "regions_class_order"},
		"too many":         {`{"background": 0, "a": 300}`, "", 0, nil, "300"},
		"negative":         {`{"background": 0, "a": -1}`, "", 0, nil, "-1"},
		"words":            {`{"background": 0, "a": "one"}`, "", 0, nil, "neither a number"},
	} {
		s, err := parseDataset([]byte(`{"channel_names": {"0": "CT"}, "labels": ` + tc.labels + tc.more + `}`))
		if tc.says != "" {
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%s: %v; it should say %q", name, err, tc.says)
			}
			continue
		}
		if err != nil || s.heads != tc.heads || !slices.Equal(s.order, tc.order) {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
	}
	if _, err := parseDataset([]byte(`{"channel_names": {"0": "CT", "1": "PET"}, "labels": {"background": 0, "a": 1}}`)); err == nil {
		t.Error("two channels passed")
	}
}

func TestOrientationLetters(t *testing.T) {
	for _, s := range []string{"", "RA", "RAX", "RLS", "RASS", "ras"} {
		if _, err := parseOrientation(s); err == nil {
			t.Errorf("%q passed", s)
		}
	}
}

// Files of a model folder come from elsewhere: whatever stands in them, reading ends with a value or an error.
func TestDamagedFilesNeverPanic(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	files := map[string][]byte{}
	for _, name := range []string{"plans.json", "dataset.json", SidecarName, "selfcheck.npz"} {
		files[name] = readFile(t, "testdata", "regions", name)
	}
	dir := t.TempDir()
	for range 3000 {
		for name, good := range files {
			bad := damage(r, good)
			switch name {
			case "plans.json":
				parsePlans(bad, "")
				parsePlans(bad, "3d_fullres")
			case "dataset.json":
				parseDataset(bad)
			case SidecarName:
				parseSidecar(bad)
			}
		}
	}
	for i := range 200 {
		bad := damage(r, files["selfcheck.npz"])
		path := filepath.Join(dir, "a.npz")
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readNpz(path, "input", "index", "logits_0"); err == nil && i == 0 {
			t.Log("the first damage was not noticed") // the hash notices it
		}
	}
}

// damage changes, removes or doubles a few bytes.
func damage(r *rand.Rand, good []byte) []byte {
	bad := bytes.Clone(good)
	for range 1 + r.IntN(3) {
		i := r.IntN(len(bad))
		switch r.IntN(5) {
		case 0:
			bad[i] = byte(r.Uint32())
		case 1:
			bad = bad[:i+1]
		case 2:
			n := min(len(bad)-i, 1+r.IntN(30))
			bad = append(bad[:i:i], bad[i+n:]...)
		case 3:
			bad = append(bad[:i:i], append([]byte("-9e99"), bad[i:]...)...)
		default:
			bad[i] = "0123456789[]{},\"-"[r.IntN(17)]
		}
		if len(bad) == 0 {
			return []byte("{")
		}
	}
	return bad
}

func FuzzNpy(f *testing.F) {
	f.Add([]byte("\x93NUMPY\x01\x00\x46\x00{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }        \n\x00\x00\x80\x3f\x00\x00\x00\x40"))
	f.Add([]byte("\x93NUMPY\x02\x00\xff\xff\xff\xff"))
	f.Add([]byte("\x93NUMPY\x01\x00\x50\x00{'descr': '<f8', 'fortran_order': False, 'shape': (999999999, 999999999), }     \n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := readNpy(bytes.NewReader(data))
		if err == nil && len(n.values) > len(data) {
			t.Errorf("%d values out of %d bytes", len(n.values), len(data))
		}
	})
}
