package sr

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"rfanode/analysis"
	"rfanode/analysis/volume"
)

// A rerun must be the same object, or archives keep the old one under the same name.
func TestBuildTwiceIsByteIdentical(t *testing.T) {
	for _, name := range []string{"axial", "oblique", "chinese", "two lesions"} {
		v := variantNamed(name)
		_, first := v.standard()
		again := v.build()
		second, err := Build(t.Context(), again.pre, again.post, again.findings, testOptions())
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range second {
			if a := first[b.Role]; a.SOPInstanceUID != b.SOPInstanceUID || !bytes.Equal(a.Data, b.Data) {
				t.Errorf("%s %s: two builds differ", v.name, b.Role)
			}
		}
	}
}

func TestOrderStudiesAndSeries(t *testing.T) {
	v := variantNamed("two lesions")
	c := v.build()
	objects, err := Build(t.Context(), c.pre, c.post, c.findings, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	var roles []string
	series := map[string]string{}
	for _, o := range objects {
		roles = append(roles, o.Role)
		want := c.post.StudyInstanceUID
		if o.Role == "seg-pre" {
			want = c.pre.StudyInstanceUID
		}
		if o.StudyInstanceUID != want {
			t.Errorf("%s is in study %s, want %s", o.Role, o.StudyInstanceUID, want)
		}
		kind := strings.TrimRight(o.Role, "-0123456789")
		if series[kind] == "" {
			series[kind] = o.SeriesInstanceUID
		}
		if series[kind] != o.SeriesInstanceUID {
			t.Errorf("%s: another series than the first of its kind", o.Role)
		}
	}
	if want := []string{"seg-post", "seg-pre", "sc-1", "sc-2", "sr"}; !slices.Equal(roles, want) {
		t.Errorf("roles %v, want %v", roles, want)
	}
}

// Whatever can change the content has to change the identifiers; tracking identifiers stay, so that follow-ups connect.
func TestIdentifiersFollowTheContent(t *testing.T) {
	base := baseVariant.build()
	uids := func(c testCase, o Options) (string, string) {
		r := mustReport(t, buildObjects(t, c, o)["sr"].Data)
		return r.SOPInstanceUID, r.Groups[1].TrackingUID
	}
	first, tracking := uids(base, testOptions())
	changes := map[string]func(c *testCase, o *Options){
		"version":       func(_ *testCase, o *Options) { o.Version = "0.2" },
		"configuration": func(_ *testCase, o *Options) { o.ConfigDigest = "aa" },
		"predecessor": func(_ *testCase, o *Options) {
			o.Predecessor = &Reference{"1.2", "1.3", Comprehensive3DSRStorage, "1.4"}
		},
		"prognosis":   func(c *testCase, _ *Options) { c.findings[0].Prognosis.RelativeHazard = 0.2 },
		"a voxel":     func(c *testCase, _ *Options) { c.findings[0].PTZ.Mask.Data[0] = 1 },
		"an instance": func(c *testCase, _ *Options) { c.pre.Instances[0].SOPInstanceUID = "1.2.3" },
	}
	for name, change := range changes {
		c, o := baseVariant.build(), testOptions()
		change(&c, &o)
		uid, track := uids(c, o)
		if uid == first {
			t.Errorf("another %s, the same report identifier", name)
		}
		if track != tracking {
			t.Errorf("another %s changed the tracking identifier", name)
		}
	}
	o := testOptions()
	o.SiteKey = "another"
	if uid, track := uids(baseVariant.build(), o); uid == first || track == tracking {
		t.Error("another site makes the same identifiers")
	}
}

func TestPredecessorAndSeriesNumbers(t *testing.T) {
	o := testOptions()
	o.Predecessor = &Reference{"1.2.1", "1.2.2", Comprehensive3DSRStorage, "1.2.3"}
	o.SeriesNumberBase = 9010
	objects := buildObjects(t, baseVariant.build(), o)
	r := mustReport(t, objects["sr"].Data)
	if len(r.Predecessor) != 1 || r.Predecessor[0] != *o.Predecessor {
		t.Errorf("predecessor %v", r.Predecessor)
	}
	if r.SeriesNumber != "9010" || mustSegmentation(t, objects["seg-post"].Data).SeriesNumber != "9011" {
		t.Error("series numbers do not follow the base")
	}
	one := buildObjects(t, variantNamed("one study").build(), testOptions())
	if a, b := mustSegmentation(t, one["seg-post"].Data), mustSegmentation(t, one["seg-pre"].Data); a.SeriesNumber == b.SeriesNumber || a.StudyInstanceUID != b.StudyInstanceUID {
		t.Errorf("one study: series numbers %s and %s", a.SeriesNumber, b.SeriesNumber)
	}
}

func TestBuildRefuses(t *testing.T) {
	cases := map[string]struct {
		change func(c *testCase)
		want   string
	}{
		"held":          {func(c *testCase) { c.findings[0].Status = analysis.Held }, "no final lesion"},
		"other patient": {func(c *testCase) { c.pre.Patient.ID = "other" }, "different patient identities"},
		"other issuer":  {func(c *testCase) { c.pre.Issuer = "other" }, "different patient identities"},
		"NIfTI":         {func(c *testCase) { c.post.StudyInstanceUID = "" }, "no DICOM identity"},
		"no frame":      {func(c *testCase) { c.pre.FrameOfReferenceUID = "" }, "Frame of Reference"},
		"no coverage":   {func(c *testCase) { c.findings[0].Coverage = nil }, "no coverage"},
		"no zone":       {func(c *testCase) { c.findings[0].PTZ = nil }, "ptz has no mask"},
		"empty zone":    {func(c *testCase) { clear(c.findings[0].PTZ.Mask.Data) }, "ptz is empty"},
		"analysis grid": {func(c *testCase) {
			c.findings[0].PTV.Mask = volume.NewMask(volume.Axial([3]int{9, 9, 9}, [3]float64{1, 1, 1}, volume.Vec{}))
		}, "not on the grid"},
		"short mask":     {func(c *testCase) { m := c.findings[0].PTV.Mask; m.Data = m.Data[:10] }, "10 values"},
		"lost instance":  {func(c *testCase) { c.pre.Instances = c.pre.Instances[1:] }, "instances for"},
		"no number":      {func(c *testCase) { c.findings[0].Lesion = 0 }, "no number"},
		"twice":          {func(c *testCase) { c.findings = append(c.findings, c.findings[0]) }, "two findings"},
		"no post":        {func(c *testCase) { c.post = nil }, "both"},
		"not a number":   {func(c *testCase) { c.findings[0].Coverage.MAMMM = nan() }, "NaN"},
		"nothing at all": {func(c *testCase) { c.findings = nil }, "no final lesion"},
		"no volume":      {func(c *testCase) { c.pre.Volume = nil }, "no volume"},
	}
	for name, x := range cases {
		c := baseVariant.build()
		x.change(&c)
		_, err := Build(t.Context(), c.pre, c.post, c.findings, testOptions())
		if err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, x.want)
		}
	}
	c := baseVariant.build()
	c.findings[0].Status = analysis.Held
	if _, err := Build(t.Context(), c.pre, c.post, c.findings, testOptions()); !errors.Is(err, ErrNothingFinal) {
		t.Errorf("a held case: %v, want ErrNothingFinal", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c = baseVariant.build()
	if _, err := Build(ctx, c.pre, c.post, c.findings, testOptions()); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// A held lesion beside a final one is left out; the other keeps its number.
func TestHeldLesionIsLeftOut(t *testing.T) {
	c := variantNamed("two lesions").build()
	c.findings[0].Status = analysis.Held
	objects := buildObjects(t, c, testOptions())
	s := mustSegmentation(t, objects["seg-post"].Data)
	if len(s.Segments) != 4 || s.Segments[0].TrackingID != "Lesion2 GTR" {
		t.Errorf("segments: %d, first %q", len(s.Segments), s.Segments[0].TrackingID)
	}
	if _, ok := mustReport(t, objects["sr"].Data).Case(1); ok {
		t.Error("the held lesion is in the report")
	}
}

// The zero options work; the time is then that of the post series.
func TestZeroOptions(t *testing.T) {
	c := baseVariant.build()
	objects, err := Build(t.Context(), c.pre, c.post, c.findings, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if want := []byte("20260204"); !bytes.Contains(objects[len(objects)-1].Data, want) {
		t.Error("no date of the post series in the report")
	}
	c.post.Acquired = time.Time{}
	if _, err := Build(t.Context(), c.pre, c.post, c.findings, Options{}); err != nil {
		t.Error(err)
	}
}

func mustReport(t *testing.T, data []byte) *Report {
	t.Helper()
	r, err := ReadReport(data)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func mustSegmentation(t *testing.T, data []byte) *Segmentation {
	t.Helper()
	s, err := ReadSegmentation(data)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
