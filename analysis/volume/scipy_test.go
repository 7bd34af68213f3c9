package volume

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"testing"
)

// reference is testdata/scipy.json, written by reference/volume.py of this repository.
type reference struct {
	Size       [3]int
	Spacing    [3]float64
	Distance   []float32
	Dilate     []uint8   `json:"dilate_2_6"`
	Erode      []uint8   `json:"erode_1_2"`
	Smooth     []float32 `json:"smooth_1_1"`
	Coarse     coarseGrid
	Parts6     []int   `json:"components_6"`
	Parts26    []int   `json:"components_26"`
	Filled     []uint8 `json:"filled"`
	SliceFills []uint8 `json:"filled_in_slices"`
}

type coarseGrid struct {
	Size        [3]int
	Start, Step Vec
	Values      []float32
}

// TestAgainstSciPy compares every operation with SciPy on the volume that reference/volume.py describes, in an oblique
// place, so that an axis mix-up shows.
func TestAgainstSciPy(t *testing.T) {
	raw, err := os.ReadFile("testdata/scipy.json")
	if err != nil {
		t.Fatal(err)
	}
	var want reference
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	v := New(oblique(want.Size, want.Spacing))
	porous, scattered := NewMask(v.Geometry), NewMask(v.Geometry)
	for k := range v.Size[2] {
		for j := range v.Size[1] {
			for i := range v.Size[0] {
				x, y, z := float64(i), float64(j), float64(k)
				v.Data[v.Offset(i, j, k)] = float32(100*math.Sin(0.9*x) + 50*math.Cos(0.7*y) + 30*math.Sin(1.3*z) + float64((7*i+5*j+3*k)%11))
				pattern := (7*i*i + 5*j*j + 3*k*k + i*j*k) % 10
				porous.Data[v.Offset(i, j, k)], scattered.Data[v.Offset(i, j, k)] = bit(pattern < 7), bit(pattern < 2)
			}
		}
	}
	m := Threshold(v, 40, 1e9)
	closeTo(t, "Distance", Distance(m).Data, want.Distance, 1e-4)
	closeTo(t, "Smooth", Smooth(v, 1.1).Data, want.Smooth, 1e-3)
	g := v.Geometry
	g.Size, g.Origin = want.Coarse.Size, v.Point(want.Coarse.Start)
	for a := range 3 {
		g.Spacing[a] *= want.Coarse.Step[a]
	}
	closeTo(t, "Resample", Resample(v, g, 0).Data, want.Coarse.Values, 1e-3)
	same(t, "Dilate", Dilate(m, 2.6).Data, want.Dilate)
	same(t, "Erode", Erode(m, 1.2).Data, want.Erode)
	same(t, "FillHoles", FillHoles(porous).Data, want.Filled)
	same(t, "FillHolesInSlices", FillHolesInSlices(porous).Data, want.SliceFills)
	for conn, parts := range map[int][]int{6: want.Parts6, 26: want.Parts26} {
		labels, sizes := Components(scattered, conn)
		found := slices.Sorted(slices.Values(sizes[1:]))
		if !slices.Equal(found, parts) {
			t.Errorf("Components(%d): sizes %v, SciPy %v", conn, found, parts)
		}
		count := make([]int, len(sizes))
		for _, l := range labels {
			count[l]++
		}
		if !slices.Equal(count, sizes) {
			t.Errorf("Components(%d): labels count %v, sizes say %v", conn, count, sizes)
		}
		if n := Largest(scattered, conn).Count(); n != parts[len(parts)-1] {
			t.Errorf("Largest(%d) has %d voxels, want %d", conn, n, parts[len(parts)-1])
		}
	}
}

// oblique is a grid turned about two axes, so that no axis is a patient axis.
func oblique(size [3]int, spacing [3]float64) Geometry {
	g := Axial(size, spacing, Vec{-31.5, 12.25, 700})
	c, s := math.Cos(0.3), math.Sin(0.3)
	e, f := math.Cos(-0.2), math.Sin(-0.2)
	g.Direction = [3]Vec{{c, s, 0}, {-s * e, c * e, f}, {s * f, -c * f, e}}
	return g
}

func closeTo(t *testing.T, what string, got, want []float32, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	for i := range got {
		if !(math.Abs(float64(got[i]-want[i])) <= tolerance) {
			t.Fatalf("%s: value %d is %g, want %g", what, i, got[i], want[i])
		}
	}
}

func same(t *testing.T, what string, got, want []uint8) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s differs", what)
	}
}
