package ct

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rfanode/internal/tooltest"
)

// makeEnhanced turns the single-frame series in sys.argv[1] into multi-frame objects in sys.argv[2]: Enhanced CT written
// with pydicom, with what differs in the frame's own groups and the rest shared, and highdicom's legacy conversion.
const makeEnhanced = `
import sys, copy, pathlib, warnings, pydicom, numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless, JPEGLSLossless, generate_uid
warnings.simplefilter("ignore")
src, dest = map(pathlib.Path, sys.argv[1:])
slices = [pydicom.dcmread(p) for p in sorted(src.glob("*.dcm"))]
a = slices[0]
def item(**kw):
    d = Dataset()
    for k, v in kw.items(): setattr(d, k, v)
    return d
def enhanced():
    d = Dataset()
    d.file_meta = FileMetaDataset()
    d.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    for k in ("SpecificCharacterSet", "StudyDate", "SeriesDate", "Modality", "SeriesDescription", "PatientName", "PatientID", "StudyInstanceUID",
              "SeriesInstanceUID", "SeriesNumber", "FrameOfReferenceUID", "SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns",
              "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"):
        setattr(d, k, a[k].value)
    d.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    d.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"
    d.SOPInstanceUID = "1.2.3.99"
    d.file_meta.MediaStorageSOPClassUID, d.file_meta.MediaStorageSOPInstanceUID = d.SOPClassUID, d.SOPInstanceUID
    d.AcquisitionDateTime = "20260301101500"
    d.NumberOfFrames = len(slices)
    d.SharedFunctionalGroupsSequence = [item(
        PlaneOrientationSequence=[item(ImageOrientationPatient=a.ImageOrientationPatient)],
        PixelMeasuresSequence=[item(PixelSpacing=a.PixelSpacing, SliceThickness=a.SliceThickness)],
        CTImageFrameTypeSequence=[item(FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"])],
        FrameAnatomySequence=[item(FrameLaterality="U", AnatomicRegionSequence=[item(CodeValue="x", CodingSchemeDesignator="y", CodeMeaning="z")])])]
    d.PerFrameFunctionalGroupsSequence = [item(
        FrameContentSequence=[item(FrameAcquisitionDateTime="20260301101530", InStackPositionNumber=i + 1)],
        PlanePositionSequence=[item(ImagePositionPatient=s.ImagePositionPatient)],
        PixelValueTransformationSequence=[item(RescaleIntercept=s.RescaleIntercept, RescaleSlope=s.RescaleSlope, RescaleType="HU")],
        ) for i, s in enumerate(slices)]
    d.PixelData = b"".join(s.PixelData for s in slices)
    d["PixelData"].VR = "OW"
    return d
d = enhanced(); d.save_as(dest / "explicit.dcm", enforce_file_format=True)
d = enhanced(); d.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian; d.save_as(dest / "implicit.dcm", enforce_file_format=True)
d = enhanced()
for s in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
    d[s].is_undefined_length = True
    for i in d[s].value: i.is_undefined_length_sequence_item = True
d.save_as(dest / "undefined.dcm", enforce_file_format=True)
for name, uid in (("rle", RLELossless), ("jls", JPEGLSLossless)):
    d = enhanced(); d.compress(uid, generate_instance_uid=False); d.save_as(dest / (name + ".dcm"), enforce_file_format=True)
try:
    from highdicom.legacy import LegacyConvertedEnhancedCTImage
    for s in slices:
        s.PatientSex, s.PatientBirthDate, s.StudyID, s.AccessionNumber, s.StudyTime = "", "", "", "", "101500"
        s.AcquisitionNumber, s.Manufacturer, s.KVP, s.PatientPosition, s.BodyPartExamined = 1, "x", 120, "HFS", "CHEST"
        s.BurnedInAnnotation, s.ReferringPhysicianName, s.PositionReferenceIndicator = "NO", "", ""
    LegacyConvertedEnhancedCTImage(slices, series_instance_uid=a.SeriesInstanceUID, series_number=5, sop_instance_uid="1.2.3.98", instance_number=1).save_as(dest / "legacy.dcm")
except Exception as e:
    print("no legacy conversion:", repr(e))
`

// A multi-frame object loads as the single-frame series that it was made of, in every encoding of groups and pixels.
func TestEnhancedCT(t *testing.T) {
	python := tooltest.Python(t)
	s := small()
	src, dest := t.TempDir(), t.TempDir()
	want, err := Load(t.Context(), s.write(t, src, explicitLittle, nil))
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(python, "-c", makeEnhanced, src, dest).CombinedOutput()
	if err != nil {
		t.Fatalf("pydicom: %v\n%s", err, out)
	}
	t.Logf("%s", out)
	for _, c := range [][]string{{"dcmcjpeg", "+e1"}, {"dcmcjpeg", "+e1", "+fs", "1", "-ot"}, {"dcmcjpls", "+el", "+fs", "1"}, {"dcmcrle", "-ot"}} {
		name := strings.Join(c, "") + ".dcm"
		args := append(slices.Clone(c[1:]), filepath.Join(dest, "explicit.dcm"), filepath.Join(dest, name))
		if out, err := exec.Command(tooltest.Need(t, c[0]), args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", c, err, out)
		}
	}
	files, err := filepath.Glob(filepath.Join(dest, "*.dcm"))
	if err != nil || len(files) < 9 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, path := range files {
		name := filepath.Base(path)
		got, err := Load(t.Context(), []string{path})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !slices.Equal(got.Volume.Data, want.Volume.Data) || !sameGeometry(got.Volume.Geometry.Origin, want.Volume.Geometry.Origin) ||
			got.Volume.Geometry.Size != want.Volume.Geometry.Size || got.ID != want.ID {
			t.Errorf("%s: another volume", name)
		}
		frames := map[int]bool{}
		for _, i := range got.Instances {
			if i.SOPInstanceUID != got.Instances[0].SOPInstanceUID || i.Frame < 1 || i.Frame > s.slices || frames[i.Frame] {
				t.Errorf("%s: instance %+v", name, i)
			}
			frames[i.Frame] = true
		}
		if _, err := LoadDir(t.Context(), src); err != nil {
			t.Error(err)
		}
	}
}

func sameGeometry(a, b [3]float64) bool {
	for i := range a {
		if d := a[i] - b[i]; d > 1e-3 || d < -1e-3 {
			return false
		}
	}
	return true
}

// Groups that do not fit the frames, nest or run past their end are errors.
func TestHostileGroups(t *testing.T) {
	item := func(body string) string {
		return "\xFE\xFF\x00\xE0\xFF\xFF\xFF\xFF" + body + "\xFE\xFF\x0D\xE0\x00\x00\x00\x00"
	}
	const end = "\xFE\xFF\xDD\xE0\x00\x00\x00\x00"
	position := "\x20\x00\x13\x91SQ\x00\x00\xFF\xFF\xFF\xFF" + item("\x20\x00\x32\x00DS\x06\x000\\0\\0 ") + end
	object := func(frames, groups string) []byte {
		o := small().slice(0)
		o.text(tagSOPClass, "UI", enhancedCT).text(tagFrames, "IS", frames)
		o[tagFrameGroups] = attribute{"SQ", []byte(groups)}
		return o.encode(explicitLittle)
	}
	for name, c := range map[string]struct {
		data []byte
		says string
	}{
		"one frame":            {object("1", item(position)+end), ""},
		"fewer than it says":   {object("2", item(position)+end), "describes 1"},
		"more than it says":    {object("1", item(position)+item(position)+end), "describes 2"},
		"no number":            {object("x", item(position)+end), "describes"},
		"two billion":          {object("2000000000", item(position)+end), "describes 1"},
		"an item past its end": {object("1", "\xFE\xFF\x00\xE0\xF0\xFF\xFF\x7F"+end), "past its end"},
		"no item":              {object("1", position), "item should be"},
		"too many":             {object("1", strings.Repeat(item(""), maxFrames+1)+end), "more than"},
		"nested": {object("1", item("\x08\x00\x40\x11SQ\x00\x00\xFF\xFF\xFF\xFF"+strings.Repeat("\xFE\xFF\x00\xE0\xFF\xFF\xFF\xFF\x08\x00\x40\x11SQ\x00\x00\xFF\xFF\xFF\xFF", 100))),
			"nested deeper"},
	} {
		path := filepath.Join(t.TempDir(), "f.dcm")
		if err := os.WriteFile(path, c.data, 0o600); err != nil {
			t.Fatal(err)
		}
		frames, err := ReadFrames(path)
		switch {
		case c.says == "" && (err != nil || len(frames) != 1 || frames[0].Frame != 1):
			t.Errorf("%s: %+v, %v", name, frames, err)
		case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
	for cut, whole := 0, object("1", item(position)+end); cut < len(whole); cut++ {
		d, err := walkFile(bytes.NewReader(whole[:cut]), int64(cut), wanted)
		if err == nil && len(d.frames) > 1 {
			t.Errorf("cut to %d bytes: %d frames", cut, len(d.frames))
		}
	}
}
