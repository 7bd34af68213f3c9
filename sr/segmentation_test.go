package sr

import (
	"math"
	"strings"
	"testing"

	"github.com/suyashkumar/dicom/pkg/tag"

	"rfanode/analysis"
	"rfanode/analysis/volume"
)

// Colours as highdicom computes them, so that a viewer shows the colours of the picture.
func TestColours(t *testing.T) {
	for _, x := range []struct {
		kind structureKind
		want [3]int
	}{{kindGTRPre, [3]int{34252, 49435, 43201}}, {kindPTV, [3]int{35136, 39864, 14221}}, {kindPTZ, [3]int{54535, 34370, 54623}}, {kindUncovered, [3]int{39531, 58147, 17259}}} {
		got := x.kind.colour.cieLab()
		for i := range 3 {
			if math.Abs(float64(got[i]-x.want[i])) > 5 {
				t.Errorf("%s: %v, want %v", x.kind.label, got, x.want)
				break
			}
		}
	}
}

// In 1-bit objects, frames of grids that do not fill bytes are drawn wrongly by viewers: such an object stays here.
func TestAlignment(t *testing.T) {
	for _, x := range []struct {
		name      string
		size      [3]int
		withheld  bool
		send      bool
		extraFrom int // number of frames before the empty one, 0: none is added
	}{
		{name: "columns fill bytes", size: [3]int{64, 63, 20}},
		{name: "rows times columns do, even payload", size: [3]int{60, 64, 20}},
		{name: "rows times columns do, odd payload", size: [3]int{58, 60, 20}, extraFrom: 1},
		{name: "nothing does", size: [3]int{59, 61, 20}, withheld: true},
		{name: "nothing does, sent all the same", size: [3]int{59, 61, 20}, send: true},
	} {
		t.Run(x.name, func(t *testing.T) {
			v := baseVariant
			v.size, v.spacing = x.size, [3]float64{2, 2, 5}
			c := v.build()
			o := testOptions()
			o.SendUnaligned = x.send
			objects := buildObjects(t, c, o)
			post := objects["seg-post"]
			if post.Withheld != x.withheld || (post.Note != "") != x.withheld {
				t.Errorf("withheld %v, note %q", post.Withheld, post.Note)
			}
			r := mustReport(t, objects["sr"].Data)
			said := strings.Contains(strings.Join(r.Sentences(), "\n"), "Segmentation of the post CT not sent")
			if said != x.withheld {
				t.Errorf("the report says so: %v, want %v; %q", said, x.withheld, r.Sentences())
			}
			bits := x.size[0] * x.size[1] * len(mustFrames(t, post.Data))
			if !x.withheld && !x.send && (bits%8 != 0 || bits/8%2 != 0) && x.size[0]%8 != 0 {
				t.Errorf("%d bits of pixel data need padding", bits)
			}
			for i, m := range []*volume.Mask{c.findings[0].GTRPost.Mask, c.findings[0].PTV.Mask, c.findings[0].PTZ.Mask, c.findings[0].Uncovered.Mask} {
				checkMask(t, x.name, mustSegmentation(t, post.Data).Segments[i], m)
			}
		})
	}
}

func mustFrames(t *testing.T, data []byte) []fields {
	t.Helper()
	f, err := parse(data)
	if err != nil {
		t.Fatal(err)
	}
	return f.items(perFrameTag)
}

// An empty frame makes an odd payload even, without a voxel.
func TestEmptyFrameEvensThePayload(t *testing.T) {
	v := baseVariant
	v.size, v.spacing = [3]int{60, 62, 20}, [3]float64{2, 2, 5} // 465 bytes a frame
	c := v.build()
	frames := len(framesOf([]segment{{s: c.findings[0].GTR}}))
	if frames%2 == 0 {
		m := c.findings[0].GTR.Mask // make the number of planes odd
		m.Data[m.Offset(30, 31, 0)] = 1
		frames = len(framesOf([]segment{{s: c.findings[0].GTR}}))
	}
	o := buildObjects(t, c, testOptions())["seg-pre"]
	if n := len(mustFrames(t, o.Data)); n != frames+1 || o.Withheld {
		t.Errorf("%d frames, want %d and an empty one; withheld %v", n, frames, o.Withheld)
	}
	checkMask(t, "evened", mustSegmentation(t, o.Data).Segments[0], c.findings[0].GTR.Mask)
}

// From 400 frames on a viewer switches the overlay off: the object is split, and the report refers to the right parts.
func TestManyFramesAreSplit(t *testing.T) {
	v := baseVariant
	v.size, v.spacing, v.lesions = [3]int{16, 16, 400}, [3]float64{8, 8, 0.25}, 2
	c := v.build()
	objects := buildObjects(t, c, testOptions())
	first, second := mustSegmentation(t, objects["seg-post"].Data), mustSegmentation(t, objects["seg-post-2"].Data)
	r := mustReport(t, objects["sr"].Data)
	found := 0
	for role, o := range objects {
		if !strings.HasPrefix(role, "seg-post") {
			continue
		}
		if n := len(mustFrames(t, o.Data)); n >= maxFrames {
			t.Errorf("%s has %d frames", role, n)
		}
		s := mustSegmentation(t, o.Data)
		for _, g := range r.Groups {
			if g.Segmentation.SOPInstanceUID == s.SOPInstanceUID && !strings.HasSuffix(g.TrackingID, "assessment") {
				found++
				if id := s.Segments[g.Segment-1].TrackingID; id != g.TrackingID {
					t.Errorf("group %s refers to the segment of %s", g.TrackingID, id)
				}
			}
		}
	}
	if found != 8 || first.SeriesInstanceUID != second.SeriesInstanceUID || first.SOPInstanceUID == second.SOPInstanceUID {
		t.Errorf("%d structure groups refer to a post segmentation, want 8", found)
	}
}

var perFrameTag = tag.PerFrameFunctionalGroupsSequence

// When even the halves are too many frames, each lesion gets its own object; no segment is lost.
func TestSplitByLesion(t *testing.T) {
	g := volume.Axial([3]int{1, 1, 150}, [3]float64{1, 1, 1}, volume.Vec{})
	m := volume.NewMask(g)
	for i := range m.Data {
		m.Data[i] = 1
	}
	var all []segment
	for n := range 3 {
		l := lesion{&analysis.Findings{Lesion: n + 1}}
		for _, k := range []structureKind{kindGTRPost, kindPTV, kindPTZ, kindUncovered} {
			all = append(all, segment{k, l, structure(m)})
		}
	}
	seen := 0
	for _, part := range splitSegments(all) {
		if n := len(framesOf(part)); n >= maxFrames {
			t.Errorf("%d frames in one object", n)
		}
		for _, s := range part {
			seen++
			if s.lesion != part[0].lesion {
				t.Error("two lesions in one object")
			}
		}
	}
	if seen != len(all) {
		t.Errorf("%d segments in the parts, want %d", seen, len(all))
	}
}
