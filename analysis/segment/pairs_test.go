package segment

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"rfanode/analysis/ct"
	"rfanode/analysis/register"
	"rfanode/analysis/volume"
	"rfanode/internal/tooltest"
)

// The real CTs of the shared data, by the linear registration alone and without any hint: the right tumour, masks as
// good as two readers, a coverage near the truth, and nothing where there was no ablation.
func TestRealPairs(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some 20 s of processor time")
	}
	shared := tooltest.Shared(t)
	for _, name := range []string{"pair-lidc-covered", "pair-r01-partial"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if out, err := exec.Command("tar", "-xJf", filepath.Join(shared, "data", name+".tar.xz"), "-C", dir).CombinedOutput(); err != nil {
				t.Skipf("cannot unpack %s: %v %s", name, err, out)
			}
			realPair(t, filepath.Join(dir, name))
		})
	}
}

func realPair(t *testing.T, dir string) {
	ctx := context.Background()
	in := LesionInput{Pre: loadCT(t, filepath.Join(dir, "pre")), Post: loadCT(t, filepath.Join(dir, "post"))}
	in = withLungs(t, in)
	linear, err := register.Linear(ctx, in.Post, in.Pre, in.PostLungs.Hull, in.PreLungs.Hull, register.LinearOptions{})
	if err != nil {
		t.Fatal(err)
	}
	in.ToPre = linear.Affine
	l := one(t, in)
	if len(l.HoldReasons) > 0 || l.Laterality != "R" {
		t.Errorf("side %q, held %q", l.Laterality, l.HoldReasons)
	}
	gtr, ptz := dice(l.GTR.Mask, readMask(t, dir, "gtr_pre")), dice(l.PTZ.Mask, readMask(t, dir, "ptz_post"))
	truth := readField(t, filepath.Join(dir, "field_post_to_pre_8mm.nii.gz"))
	var want struct{ TCR float64 }
	if data, err := os.ReadFile(filepath.Join(dir, "truth.json")); err != nil || json.Unmarshal(data, &want) != nil {
		t.Fatalf("truth.json: %v", err)
	}
	tcr := coverageOf(l, truth)
	t.Logf("Dice GTR %.3f, PTZ %.3f; TCR %.3f, truth %.3f; %+v", gtr, ptz, tcr, want.TCR, l.Figures)
	if gtr < 0.85 || ptz < 0.93 {
		t.Errorf("Dice GTR %.3f (want 0.85), PTZ %.3f (want 0.93)", gtr, ptz)
	}
	if math.Abs(tcr-want.TCR) > 0.04 {
		t.Errorf("TCR %.3f, truth %.3f", tcr, want.TCR)
	}

	// The same patient again, moved, without an ablation.
	in.Post, in.PostLungs = warped(in.Pre, truth, in.Post.Geometry, -1024), nil
	_, err = Lesions(ctx, withLungs(t, in))
	var none *NoLesionError
	if !errors.As(err, &none) {
		t.Errorf("moved, not ablated: error %v, want a NoLesionError", err)
	}
}

func loadCT(t *testing.T, dir string) *volume.Volume {
	t.Helper()
	s, err := ct.LoadDir(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return s.Volume
}

func readMask(t *testing.T, dir, name string) *volume.Mask {
	t.Helper()
	v, err := volume.ReadNIfTI(filepath.Join(dir, name+".nii.gz"))
	if err != nil {
		t.Fatal(err)
	}
	return volume.Threshold(v, 0.5, 2)
}

func dice(a, b *volume.Mask) float64 {
	return 2 * float64(volume.Intersect(a, b).Count()) / float64(a.Count()+b.Count())
}

// coverageOf takes the coverage of the tumour with 5 mm round it from the levels, on a 1 mm grid.
func coverageOf(l Lesion, toPre register.Transform) float64 {
	c, half := l.PTZ.Mask.Centroid(), 45
	g := volume.Axial([3]int{2*half + 1, 2*half + 1, 2*half + 1}, [3]float64{1, 1, 1},
		volume.Vec{c[0] - float64(half), c[1] - float64(half), c[2] - float64(half)})
	gtr, ptz := volume.NewMask(g), volume.NewMask(g)
	for k := range g.Size[2] {
		for j := range g.Size[1] {
			for i := range g.Size[0] {
				o, p := g.Offset(i, j, k), g.Point(volume.Vec{float64(i), float64(j), float64(k)})
				if l.GTR.Level.AtSlices(l.GTR.Level.Index(toPre.Map(p)), -1) > 0 {
					gtr.Data[o] = 1
				}
				if l.PTZ.Level.AtSlices(l.PTZ.Level.Index(p), -1) > 0 {
					ptz.Data[o] = 1
				}
			}
		}
	}
	ptv := volume.Dilate(gtr, 5)
	return float64(volume.Intersect(ptv, ptz).Count()) / float64(ptv.Count())
}

// field is a displacement on a coarse grid, LPS mm.
type field [3]*volume.Volume

func (f field) Map(p volume.Vec) volume.Vec {
	q := p
	for c, v := range f {
		at := v.Index(p)
		for a := range 3 {
			at[a] = min(max(at[a], 0), float64(v.Size[a]-1))
		}
		q[c] += float64(v.At(at, 0))
	}
	return q
}

// readField reads a NIfTI vector image (dim[5] = 3, float32) as three scalar ones.
func readField(t *testing.T, path string) (f field) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(unzipped)
	if err != nil {
		t.Fatal(err)
	}
	le := binary.LittleEndian
	n := int(le.Uint16(data[42:])) * int(le.Uint16(data[44:])) * int(le.Uint16(data[46:])) * 4
	offset := int(math.Float32frombits(le.Uint32(data[108:])))
	if le.Uint16(data[50:]) != 3 || le.Uint16(data[70:]) != 16 || len(data) < offset+3*n {
		t.Fatalf("%s is no field of three float32 components", path)
	}
	for c := range f {
		part := bytes.Clone(data[:offset])
		le.PutUint16(part[40:], 3) // dim[0]
		le.PutUint16(part[50:], 1) // dim[5]
		name := filepath.Join(t.TempDir(), "component.nii")
		if err := os.WriteFile(name, append(part, data[offset+c*n:][:n]...), 0o600); err != nil {
			t.Fatal(err)
		}
		if f[c], err = volume.ReadNIfTI(name); err != nil {
			t.Fatal(err)
		}
	}
	return f
}
