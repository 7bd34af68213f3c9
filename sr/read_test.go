package sr

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	grailbio "github.com/grailbio/go-dicom"
	"github.com/grailbio/go-dicom/dicomtag"
	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"rfanode/analysis/volume"
)

func nan() float64 { return math.NaN() }

// What ReadReport returns is what the findings say.
func TestReadReport(t *testing.T) {
	for _, v := range variants() {
		c, objects := v.standard()
		r := mustReport(t, objects["sr"].Data)
		if r.PatientName != strings.TrimSpace(v.patient) || r.PatientID != "P-0042" || r.StudyInstanceUID != c.post.StudyInstanceUID {
			t.Errorf("%s: header %+v", v.name, r.ObjectHeader)
		}
		for _, f := range c.findings {
			g, ok := r.Case(f.Lesion)
			if !ok {
				t.Fatalf("%s: no case group of lesion %d", v.name, f.Lesion)
			}
			checkValues(t, v.name, g, map[string]float64{"TCR": f.Coverage.TCR * 100, "MAM": f.Coverage.MAMMM, "MAMLUNG": *f.Coverage.MAMInLung, "UNCOVVOL": f.Coverage.UncoveredML})
			class, _ := g.Evaluation("COVCLASS")
			if (class.Value == "COVFULL") != f.Coverage.Complete {
				t.Errorf("%s: class %v, complete %v", v.name, class, f.Coverage.Complete)
			}
			if use, _ := g.Evaluation("USE"); use.Meaning != RUO {
				t.Errorf("%s: intended use %v", v.name, use)
			}
			if u, ok := r.Group(fmt.Sprintf("Lesion%d UNCOV", f.Lesion)); !ok {
				t.Errorf("%s: no group of the uncovered target", v.name)
			} else {
				checkValues(t, v.name, u, map[string]float64{"118565006": f.Uncovered.NativeML})
			}
		}
		checkEvidence(t, v.name, c, objects, r)
	}
}

func checkValues(t *testing.T, name string, g Group, want map[string]float64) {
	t.Helper()
	for code, w := range want {
		if x, ok := g.Value(code); !ok || math.Abs(x-w) > 1e-4 {
			t.Errorf("%s, %s: %s = %v, want %v", name, g.TrackingID, code, x, w)
		}
	}
}

// Every object the report refers to is listed as evidence, in the part of its study.
func checkEvidence(t *testing.T, name string, c testCase, objects map[string]Object, r *Report) {
	t.Helper()
	listed := map[string]bool{}
	for _, ref := range r.Current {
		listed[ref.SOPInstanceUID] = true
		if ref.StudyInstanceUID != c.post.StudyInstanceUID {
			t.Errorf("%s: current evidence from study %s", name, ref.StudyInstanceUID)
		}
	}
	for _, ref := range r.Pertinent {
		listed[ref.SOPInstanceUID] = true
		if ref.StudyInstanceUID == c.post.StudyInstanceUID {
			t.Errorf("%s: the post study as pertinent other evidence", name)
		}
	}
	if c.pre.StudyInstanceUID == c.post.StudyInstanceUID && len(r.Pertinent) > 0 {
		t.Errorf("%s: one study, but other evidence", name)
	}
	for role, o := range objects {
		if role != "sr" && !listed[o.SOPInstanceUID] {
			t.Errorf("%s: %s is no evidence", name, role)
		}
	}
	for _, i := range append(slices.Clone(c.pre.Instances), c.post.Instances...) {
		if !listed[i.SOPInstanceUID] {
			t.Errorf("%s: CT slice %s is no evidence", name, i.SOPInstanceUID)
		}
	}
	for _, g := range r.Groups {
		if !listed[g.Segmentation.SOPInstanceUID] || g.Segment < 1 {
			t.Errorf("%s: %s refers to segment %d of %s", name, g.TrackingID, g.Segment, g.Segmentation.SOPInstanceUID)
		}
	}
}

// The masks come back bit for bit on the grid of the CT.
func TestReadSegmentation(t *testing.T) {
	for _, v := range variants() {
		c, objects := v.standard()
		post, pre := mustSegmentation(t, objects["seg-post"].Data), mustSegmentation(t, objects["seg-pre"].Data)
		for n, f := range c.findings {
			for i, m := range []*volume.Mask{f.GTRPost.Mask, f.PTV.Mask, f.PTZ.Mask, f.Uncovered.Mask} {
				checkMask(t, v.name, post.Segments[4*n+i], m)
			}
			checkMask(t, v.name, pre.Segments[n], f.GTR.Mask)
		}
		if pre.FrameOfReferenceUID != c.pre.FrameOfReferenceUID || pre.SourceSeries != c.pre.SeriesInstanceUID || len(pre.Sources) != len(c.pre.Instances) {
			t.Errorf("%s: the pre segmentation refers to %d slices of %s", v.name, len(pre.Sources), pre.SourceSeries)
		}
	}
}

func checkMask(t *testing.T, name string, s Segment, want *volume.Mask) {
	t.Helper()
	m, err := s.On(want.Geometry)
	if err != nil {
		t.Errorf("%s, %s: %v", name, s.Label, err)
	} else if !bytes.Equal(m.Data, want.Data) {
		t.Errorf("%s, %s: %d voxels read, %d written", name, s.Label, m.Count(), want.Count())
	}
}

// A grid that does not contain the segment's planes is refused instead of shifting the mask.
func TestSegmentOnWrongGrid(t *testing.T) {
	c, objects := baseVariant.standard()
	s := mustSegmentation(t, objects["seg-pre"].Data).Segments[0]
	g := c.pre.Volume.Geometry
	g.Origin[0] += 1
	if _, err := s.On(g); err == nil {
		t.Error("a shifted grid is taken")
	}
	g = c.pre.Volume.Geometry
	g.Size[2] = 3
	if _, err := s.On(g); err == nil {
		t.Error("a grid without the planes is taken")
	}
}

// Broken files give an error, never a panic.
func TestReadersRefuse(t *testing.T) {
	_, objects := baseVariant.standard()
	for _, data := range [][]byte{nil, []byte("DICM"), make([]byte, 300), objects["sc-1"].Data} {
		if _, err := ReadReport(data); err == nil {
			t.Errorf("%d bytes taken for a report", len(data))
		}
		if _, err := ReadSegmentation(data); err == nil {
			t.Errorf("%d bytes taken for a segmentation", len(data))
		}
	}
	for _, role := range []string{"sr", "seg-post"} {
		data := objects[role].Data
		for n := 140; n < len(data)-2; n += len(data)/97 + 1 {
			_, errR := ReadReport(data[:n])
			_, errS := ReadSegmentation(data[:n])
			if errR == nil && errS == nil {
				t.Errorf("%s cut at %d of %d bytes was read", role, n, len(data))
			}
		}
	}
}

// Frames that are no planes of one stack are refused, not shifted to the nearest.
func TestFramesOffTheStackAreRefused(t *testing.T) {
	_, objects := baseVariant.standard()
	data := objects["seg-post"].Data
	position := mustFrames(t, data)[1].first(tag.PlanePositionSequence).strings(tag.ImagePositionPatient)
	for _, z := range []string{"-0.12", "9e99"} {
		old := strings.Join(position, "\\")
		replacement := strings.Join([]string{position[0], position[1], z}, "\\")
		if replacement += strings.Repeat(" ", max(0, len(old)-len(replacement))); len(replacement) != len(old) {
			replacement = replacement[len(replacement)-len(old):]
		}
		bad := bytes.Replace(data, []byte(old), []byte(replacement), 1)
		if bytes.Equal(bad, data) {
			t.Fatal("the position was not found")
		}
		if _, err := ReadSegmentation(bad); err == nil || !strings.Contains(err.Error(), "frame") {
			t.Errorf("z = %s: %v", z, err)
		}
	}
}

// A second, independent library reads the same elements with the same values.
func TestSecondLibraryReadsTheSame(t *testing.T) {
	for _, v := range []variant{variantNamed("oblique"), variantNamed("chinese"), variantNamed("two lesions")} {
		_, objects := v.standard()
		for role, o := range objects {
			ours, err := dicom.Parse(bytes.NewReader(o.Data), int64(len(o.Data)), nil, dicom.SkipProcessingPixelDataValue())
			if err != nil {
				t.Fatal(err)
			}
			theirs, err := grailbio.ReadDataSetInBytes(o.Data, grailbio.ReadOptions{})
			if err != nil {
				t.Fatalf("%s %s: %v", v.name, role, err)
			}
			var a, b []string
			flattenOurs(&a, "", ours.Elements)
			flattenTheirs(&b, "", theirs.Elements)
			if len(a) < 50 || !slices.Equal(a, b) {
				for i := range min(len(a), len(b)) {
					if a[i] != b[i] {
						t.Errorf("%s %s: %.120q, the other library %.120q", v.name, role, a[i], b[i])
						break
					}
				}
				t.Errorf("%s %s: %d elements, the other library %d", v.name, role, len(a), len(b))
			}
		}
	}
}

func flattenOurs(out *[]string, path string, elements []*dicom.Element) {
	for _, e := range elements {
		name := fmt.Sprintf("%s(%04X,%04X)", path, e.Tag.Group, e.Tag.Element)
		switch v := e.Value.GetValue().(type) {
		case []*dicom.SequenceItemValue:
			for n, i := range v {
				flattenOurs(out, fmt.Sprintf("%s[%d]", name, n), i.GetValue().([]*dicom.Element))
			}
		case dicom.PixelDataInfo:
			*out = append(*out, fmt.Sprintf("%s=%x", name, v.UnprocessedValueData))
		case []string:
			*out = append(*out, name+"="+strings.Join(v, "\\"))
		default:
			*out = append(*out, fmt.Sprintf("%s=%v", name, v))
		}
	}
}

func flattenTheirs(out *[]string, path string, elements []*grailbio.Element) {
	for _, e := range elements {
		name := fmt.Sprintf("%s(%04X,%04X)", path, e.Tag.Group, e.Tag.Element)
		var values []string
		nested := false
		for n, v := range e.Value {
			switch x := v.(type) {
			case *grailbio.Element:
				nested = true
				var items []*grailbio.Element
				for _, i := range x.Value {
					items = append(items, i.(*grailbio.Element))
				}
				flattenTheirs(out, fmt.Sprintf("%s[%d]", name, n), items)
			case grailbio.PixelDataInfo:
				values = append(values, fmt.Sprintf("%x", bytes.Join(x.Frames, nil)))
			case dicomtag.Tag:
				values = append(values, fmt.Sprint(x.Group), fmt.Sprint(x.Element))
			case string:
				values = append(values, strings.TrimRight(x, " \x00"))
			default:
				values = append(values, fmt.Sprint(x))
			}
		}
		switch {
		case nested || e.VR == "SQ":
		case e.VR == "US" || e.VR == "UL" || e.VR == "AT" || e.VR == "OB" && e.Tag != dicomtag.PixelData:
			*out = append(*out, fmt.Sprintf("%s=[%s]", name, strings.Trim(strings.Join(values, " "), "[]")))
		default:
			*out = append(*out, name+"="+strings.Join(values, "\\"))
		}
	}
}
