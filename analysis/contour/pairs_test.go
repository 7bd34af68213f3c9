package contour

import (
	"os/exec"
	"path/filepath"
	"testing"

	"rfanode/analysis/ct"
	"rfanode/analysis/volume"
	"rfanode/internal/tooltest"
)

// The segmentations of the real pairs (written by highdicom) are the masks they were made from, voxel for voxel.
func TestRealPairs(t *testing.T) {
	if testing.Short() {
		t.Skip("unpacks two CTs")
	}
	shared := tooltest.Shared(t)
	for _, name := range []string{"pair-lidc-covered", "pair-r01-partial"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if out, err := exec.Command("tar", "xJf", filepath.Join(shared, "data", name+".tar.xz"), "-C", dir).CombinedOutput(); err != nil {
				t.Fatalf("unpack: %v\n%s", err, out)
			}
			dir = filepath.Join(dir, name)
			for _, s := range []struct{ series, seg, mask string }{{"pre", "seg_gtr_pre.dcm", "gtr_pre.nii.gz"}, {"post", "seg_ptz_post.dcm", "ptz_post.nii.gz"}} {
				series, err := ct.LoadDir(t.Context(), filepath.Join(dir, s.series))
				if err != nil {
					t.Fatal(err)
				}
				c, err := Read(filepath.Join(dir, s.seg))
				if err != nil {
					t.Fatal(err)
				}
				if len(c.Structures) != 1 || c.Kind != SEG || len(c.Series) != 1 || c.Series[0] != series.SeriesInstanceUID || c.Maker.Manufacturer == "" || c.Made.IsZero() {
					t.Errorf("%s: %d structures, series %v, maker %+v, made %s", s.seg, len(c.Structures), c.Series, c.Maker, c.Made)
				}
				got, err := c.Mask(series, 0)
				if err != nil {
					t.Fatal(err)
				}
				file, err := volume.ReadMaskNIfTI(filepath.Join(dir, s.mask))
				if err != nil {
					t.Fatal(err)
				}
				want := volume.ResampleNearest(file, series.Volume.Geometry) // the file's axes run the other way
				if n := different(got, want); n > 0 || want.Count() == 0 {
					t.Errorf("%s and %s differ in %d of %d voxels", s.seg, s.mask, n, want.Count())
				}
				other := "post"
				if s.series == "post" {
					other = "pre"
				}
				wrong, err := ct.LoadDir(t.Context(), filepath.Join(dir, other))
				if err != nil {
					t.Fatal(err)
				}
				if _, err := c.Mask(wrong, 0); problemOf(err) != OtherFrame {
					t.Errorf("%s on the %s series: %v", s.seg, other, err)
				}
			}
		})
	}
}
