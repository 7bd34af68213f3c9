package contour

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"

	"rfanode/analysis/volume"
	"rfanode/internal/tooltest"
)

// A structure set and a report that DCMTK has written (from their text forms) say the same as before.
func TestWrittenByDCMTK(t *testing.T) {
	dump, undump := tooltest.Need(t, "dcmdump"), tooltest.Need(t, "dump2dcm")
	toXML, fromXML := tooltest.Need(t, "dsr2xml"), tooltest.Need(t, "xml2dsr")
	dir := madeObjects(t)
	for _, c := range []struct {
		object            string
		text, back        string
		textArgs, backArg []string
	}{
		{"struct.dcm", dump, undump, []string{"+L", "-q"}, []string{"-q", "+l", "1000000"}},
		{"explicit.dcm", dump, undump, []string{"+L", "-q"}, []string{"-q", "+te", "+l", "1000000"}},
		{"report.dcm", toXML, fromXML, []string{"-q"}, []string{"-q"}},
		{"ohif.dcm", toXML, fromXML, []string{"-q"}, []string{"-q"}},
	} {
		t.Run(c.object, func(t *testing.T) {
			text, written := filepath.Join(t.TempDir(), "text"), filepath.Join(t.TempDir(), c.object)
			out, err := exec.Command(c.text, append(c.textArgs, filepath.Join(dir, c.object))...).Output()
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(text, out, 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command(c.back, append(c.backArg, text, written)...).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			before, err := Read(filepath.Join(dir, c.object))
			if err != nil {
				t.Fatal(err)
			}
			after, err := Read(written)
			if err != nil {
				t.Fatal(err)
			}
			if len(before.Structures) != len(after.Structures) || len(before.Structures) == 0 {
				t.Fatalf("%d structures became %d", len(before.Structures), len(after.Structures))
			}
			for i, s := range before.Structures {
				if a := after.Structures[i]; a.Label != s.Label || !reflect.DeepEqual(a.points, s.points) || !reflect.DeepEqual(a.shape, s.shape) {
					t.Errorf("structure %d %q became %q with other coordinates", s.Number, s.Label, a.Label)
				}
			}
		})
	}
}

// A segmentation that dcmqi has written is the mask it was made from. It comes with the
// Python environment.
func TestWrittenByDCMQI(t *testing.T) {
	convert := filepath.Join(filepath.Dir(tooltest.Python(t)), "itkimage2segimage")
	if _, err := os.Stat(convert); err != nil {
		convert = tooltest.Need(t, "itkimage2segimage")
	}
	dir := madeObjects(t)
	series := madeSeries(t, dir)
	want := madeMask(t, dir, series, "binary-1.mask")
	image, meta, object := filepath.Join(t.TempDir(), "m.nii.gz"), filepath.Join(t.TempDir(), "m.json"), filepath.Join(t.TempDir(), "m.dcm")
	if err := volume.WriteMaskNIfTI(image, want); err != nil {
		t.Fatal(err)
	}
	text := `{"ContentCreatorName":"Doctor^Who","SeriesDescription":"drawn","SeriesNumber":"300","InstanceNumber":"1","BodyPartExamined":"CHEST",
		"segmentAttributes":[[{"labelID":1,"SegmentDescription":"GTR","SegmentLabel":"GTR","SegmentAlgorithmType":"MANUAL",
		"SegmentedPropertyCategoryCodeSequence":{"CodeValue":"49755003","CodingSchemeDesignator":"SCT","CodeMeaning":"Morphologically Abnormal Structure"},
		"SegmentedPropertyTypeCodeSequence":{"CodeValue":"108369006","CodingSchemeDesignator":"SCT","CodeMeaning":"Neoplasm"}}]]}`
	if err := os.WriteFile(meta, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(convert, "--inputImageList", image, "--inputDICOMDirectory", filepath.Join(dir, "ct"), "--inputMetadata", meta,
		"--outputDICOM", object, "--skip").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	c, err := Read(object)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Mask(series, 0)
	if err != nil {
		t.Fatal(err)
	}
	if n := different(got, want); n > 0 {
		t.Errorf("%d of %d voxels differ", n, want.Count())
	}
}
