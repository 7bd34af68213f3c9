package config

import (
	"strings"
	"testing"
)

// The section as the example shows it names a model; a part of it that cannot work is said with its key.
func TestSegmentModels(t *testing.T) {
	good := "[segment.gtr]\nmodel = \"/srv/m\"\nlabels = [\"lung_nodules\"]\nstep = 0.8\ncrop = \"lesion\"\nfallback = \"classical\"\n"
	c, err := parse(Default(), good)
	if err != nil {
		t.Fatal(err)
	}
	if m := c.Segment.GTR; m.Model != "/srv/m" || m.Step != 0.8 || m.Fallback != "classical" || c.Segment.PTZ.Model != "" {
		t.Errorf("%+v", c.Segment)
	}
	for text, key := range map[string]string{
		"[segment]\nprovider = \"tpu\"":                                                     "segment.provider",
		"[segment]\nmemory_gib = -1":                                                        "segment.memory_gib",
		"[segment.gtr]\nlabels = [\"a\"]":                                                   "segment.gtr.model",
		"[segment.gtr]\nmodel = \"m\"":                                                      "segment.gtr.labels",
		"[segment.ptz]\nmodel = \"m\"\nlabels = [\"a\"]\nstep = 2":                          "segment.ptz.step",
		"[segment.ptz]\nmodel = \"m\"\nlabels = [\"a\"]\ncrop = \"heart\"":                  "segment.ptz.crop",
		"[segment.ptz]\nmodel = \"m\"\nlabels = [\"a\"]\nfallback = \"guess\"":              "segment.ptz.fallback",
		"[segment.ptz]\nmodel = \"m\"\nlabels = [\"a\"]\nmargin_mm = -1":                    "segment.ptz.margin_mm",
		"[segment.lungs]\nmodel = \"m\"\nlabels = [\"a\"]":                                  "segment.lungs.right",
		"[segment.lungs]\nmodel = \"m\"\nright = [\"a\"]\nleft = [\"b\"]\ncrop = \"lungs\"": "segment.lungs.crop",
	} {
		if _, err := parse(Default(), text); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%q: %v; it should name %s", text, err, key)
		}
	}
}
