package nnunet

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"slices"
	"testing"
)

// reference is testdata/reference.json, which reference/nnunet.py writes with the public packages it names.
type reference struct {
	Cases map[string]struct {
		Spacing [3]float64 `json:"spacing_zyx"`
		Step    float64    `json:"step"`
		Mirror  bool       `json:"mirror"`
		Counts  []int      `json:"counts"`
	} `json:"cases"`
	Resize []struct {
		In, Out []int
		Order   int
		Values  []float64
		Result  []float64
	} `json:"resize"`
	Starts   [][]json.RawMessage `json:"tile_starts"`
	Gaussian []struct {
		Patch  [3]int
		SHA256 string
		Middle []float64
	} `json:"gaussian"`
	Threshold half `json:"sigmoid_threshold_bits"`
}

func readReference(t testing.TB) reference {
	t.Helper()
	data, err := os.ReadFile("testdata/reference.json")
	if err != nil {
		t.Fatal(err)
	}
	var r reference
	if err := json.Unmarshal(data, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// Resizing is scikit-image's, in one, two and three dimensions.
func TestResizeIsSkimages(t *testing.T) {
	for _, tc := range readReference(t).Resize {
		var in, out [3]int
		for a := range 3 { // leading axes of one sample make an array of any dimension a volume
			in[a], out[a] = 1, 1
			if d := a - (3 - len(tc.In)); d >= 0 {
				in[a], out[a] = tc.In[d], tc.Out[d]
			}
		}
		values := make([]float32, len(tc.Values))
		for i, v := range tc.Values {
			values[i] = float32(v)
		}
		var got []float32
		if tc.Order == 3 {
			a, err := picture{data: values, grid: dense(in)}.resample(t.Context(), out, -1)
			if err != nil {
				t.Fatal(err)
			}
			got = a.data
		} else {
			got = linearOf(values, in, out)
		}
		for i, want := range tc.Result {
			if d := math.Abs(float64(got[i]) - want); d > 6e-5 { // single precision at 500
				t.Errorf("order %d, %v to %v: value %d is %g, should be %g", tc.Order, tc.In, tc.Out, i, got[i], want)
				break
			}
		}
	}
}

// linearOf resizes by the decoder's own steps.
func linearOf(values []float32, in, out [3]int) []float32 {
	l := &logits{heads: 1, size: in, padded: in, values: make([]half, len(values))}
	for i, v := range values {
		l.values[i] = toHalf(v)
	}
	d := newDecoder(l, nil, out, -1)
	plane, row, line := make([]float64, in[1]*in[2]), make([]float64, in[2]), make([]float64, out[2])
	var got []float32
	for z := range out[0] {
		d.blend(plane, 0, z)
		for y := range out[1] {
			d.row(row, plane, y)
			d.t[2].read(line, row, 1, 0)
			for _, v := range line {
				got = append(got, float32(v))
			}
		}
	}
	return got
}

func TestTileStartsAreNNUNets(t *testing.T) {
	for _, tc := range readReference(t).Starts {
		var size, patch int
		var step float64
		var want []int
		for i, into := range []any{&size, &patch, &step, &want} {
			if err := json.Unmarshal(tc[i], into); err != nil {
				t.Fatal(err)
			}
		}
		if got := tileStarts(size, patch, step); !slices.Equal(got, want) {
			t.Errorf("image %d, patch %d, step %g: tiles at %v, should be %v", size, patch, step, got, want)
		}
	}
}

// The weights decide how overlapping answers mix; in the corners they are the smallest numbers that half precision has.
func TestGaussianIsNNUNets(t *testing.T) {
	for _, tc := range readReference(t).Gaussian {
		g := gaussian(tc.Patch)
		for i, want := range tc.Middle {
			at := (tc.Patch[0]/2*tc.Patch[1]+tc.Patch[1]/2)*tc.Patch[2] + i
			if got := float64(g[at].float()); got != want {
				t.Errorf("patch %v: weight %d is %g, should be %g", tc.Patch, i, got, want)
			}
		}
		var b bytes.Buffer
		binary.Write(&b, binary.LittleEndian, g)
		if sum := sha256.Sum256(b.Bytes()); hex.EncodeToString(sum[:]) != tc.SHA256 {
			t.Errorf("patch %v: weights differ from nnU-Net's", tc.Patch)
		}
	}
}

func TestRegionThresholdIsNNUNets(t *testing.T) {
	if want := readReference(t).Threshold; regionThreshold != want {
		t.Errorf("a region begins at half %#04x, should be %#04x", regionThreshold, want)
	}
}

// nnU-Net's rule for the axis that is resampled apart.
func TestSeparateAxis(t *testing.T) {
	yes, no := true, false
	for _, tc := range []struct {
		name            string
		s               separation
		current, target [3]float64
		want            int
	}{
		{"thick slices", separation{threshold: 3}, [3]float64{5, 0.7, 0.7}, [3]float64{1.5, 1.5, 1.5}, 0},
		{"exactly three times is not more", separation{threshold: 3}, [3]float64{3, 1, 1}, [3]float64{1, 1, 1}, -1},
		{"thick target", separation{threshold: 3}, [3]float64{1, 1, 1}, [3]float64{1, 1, 4}, 2},
		{"two coarse axes", separation{threshold: 3}, [3]float64{0.24, 1.25, 1.25}, [3]float64{1, 1, 1}, -1},
		{"two coarse axes, and a thick target", separation{threshold: 3}, [3]float64{0.24, 1.25, 1.25}, [3]float64{5, 1, 1}, -1},
		{"never", separation{force: &no, threshold: 3}, [3]float64{5, 0.7, 0.7}, [3]float64{1, 1, 1}, -1},
		{"always", separation{force: &yes, threshold: 3}, [3]float64{1, 1.2, 1}, [3]float64{1, 1, 1}, 1},
		{"always, all alike", separation{force: &yes, threshold: 3}, [3]float64{1, 1, 1}, [3]float64{1, 1, 1}, -1},
	} {
		if got := tc.s.axis(tc.current, tc.target); got != tc.want {
			t.Errorf("%s: axis %d, should be %d", tc.name, got, tc.want)
		}
	}
}

func TestMirrorings(t *testing.T) {
	got := mirrorings([]int{0, 1, 2})
	want := [][]int{nil, {0}, {1}, {2}, {0, 1}, {0, 2}, {1, 2}, {0, 1, 2}}
	if !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("%v", got)
	}
	if got := mirrorings(nil); len(got) != 1 {
		t.Errorf("without axes: %v", got)
	}
}

// Padding by an odd number of voxels lies with its smaller half in front, and is 0.
func TestCutPads(t *testing.T) {
	s := &slider{patch: [3]int{1, 1, 5}}
	image := array{size: [3]int{1, 1, 2}, data: []float32{7, 8}}
	got := make([]float32, 5)
	s.cut(got, image, [3]int{}, [3]int{0, 0, 1})
	if want := []float32{0, 7, 8, 0, 0}; !slices.Equal(got, want) {
		t.Errorf("%v, should be %v", got, want)
	}
}

// Answers too large for half precision are refused, as nnU-Net does, and not turned into labels.
func TestOverflowIsRefused(t *testing.T) {
	l := &logits{heads: 1, size: [3]int{1, 1, 2}, padded: [3]int{1, 1, 2}, values: []half{toHalf(1), halfInf}}
	if err := l.divide(t.Context(), []half{toHalf(1), toHalf(1)}); err == nil {
		t.Error("infinity passed")
	}
}
