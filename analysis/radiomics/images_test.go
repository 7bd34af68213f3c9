package radiomics

import (
	"os"
	"path/filepath"
	"testing"

	"rfanode/internal/tooltest"
)

// imageFolder holds the images of PyRadiomics' source distribution: RFANODE_PYRADIOMICS_DATA, or where tools/pyradiomics-images
// unpacks them.
func imageFolder(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("RFANODE_PYRADIOMICS_DATA")
	if dir == "" {
		dir = filepath.Join(tooltest.ModuleRoot(), ".cache", "pyradiomics-data")
	}
	if _, err := os.Stat(filepath.Join(dir, "lung1_image.nrrd")); err != nil {
		t.Skipf("the images of PyRadiomics are not at %s: run make images, or set RFANODE_PYRADIOMICS_DATA", dir)
	}
	return dir
}

func TestImagesEqualPyRadiomics(t *testing.T) {
	dir := imageFolder(t)
	for _, name := range []string{"lung1", "lung2", "brain1", "brain2", "breast1"} {
		for _, ref := range readReferences(t, "testdata/"+name+".json.gz") {
			t.Run(name+"/"+ref.Name, func(t *testing.T) {
				p := ref.profile(t)
				r, err := ExtractFiles(t.Context(), filepath.Join(dir, name+"_image.nrrd"), filepath.Join(dir, name+"_label.nrrd"), p, Options{})
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("largest relative error %.1e in %d values", compare(t, r, &ref), len(ref.Values))
			})
		}
	}
}
