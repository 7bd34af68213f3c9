package contour

import "testing"

// What people call structures, and what it is read as.
func TestWords(t *testing.T) {
	w, err := Words{}.Compile()
	if err != nil {
		t.Fatal(err)
	}
	mass := Code{"4147007", "SCT", "Mass"}
	for label, want := range map[string]Role{
		"GTR": Tumour, "GTR_pre": Tumour, "gtv 1": Tumour, "GTV1": Tumour, "Tumor": Tumour, "tumour RLL": Tumour, "Nodule": Tumour, "nodule in right lower lobe": Tumour,
		"Target lesion": Tumour, "Läsion 2": Tumour, "肿瘤": Tumour, "肺结节": Tumour, "Lungenmetastase": Tumour,
		"PTZ": Zone, "Ablation zone": Zone, "ablated": Zone, "PTZ ablation zone": Zone, "Koagulationsnekrose": Zone, "消融区": Zone, "RFA_zone": Zone,
		"ablated tumor": either, "Lesion 1: PTZ ablation zone": either,
		"PTV target (GTR + 5 mm)": other, "Uncovered target": other, "Lesion 1: PTV target (GTR + 5 mm)": other, "left lung": other, "aorta": other, "肺": other,
		"Segment 1": unnamed, "": unnamed, "ROI-3": unnamed, "ozone": unnamed, "1": unnamed,
	} {
		if got := w.role(Structure{Label: label}); got != want {
			t.Errorf("%q is read as %q, want %q", label, got, want)
		}
	}
	if r := w.role(Structure{Label: "Segment 1", Type: mass}); r != Tumour {
		t.Errorf("a mass by its code is read as %q", r)
	}
	if r := w.role(Structure{Label: "PTZ", Type: mass}); r != Zone {
		t.Errorf("the label does not go before the code: %q", r)
	}
	if r := w.role(Structure{Label: "x", Category: Code{"123037004", "SCT", "Anatomical Structure"}}); r != other {
		t.Errorf("an anatomical structure is read as %q", r)
	}
	own, err := Words{Tumour: []string{`^108369006:SCT$`}}.Compile()
	if err != nil {
		t.Fatal(err)
	}
	if r := own.role(Structure{Label: "tumour"}); r != unnamed {
		t.Errorf("own words do not replace the default ones: %q", r)
	}
	if r := own.role(Structure{Type: Code{"108369006", "SCT", "Neoplasm"}}); r != Tumour {
		t.Errorf("a code by value is read as %q", r)
	}
	if _, err := (Words{Zone: []string{"("}}).Compile(); err == nil {
		t.Error("a broken expression is taken")
	}
}

// Which structure of an object stands for tumour or zone.
func TestChoose(t *testing.T) {
	w, err := Words{}.Compile()
	if err != nil {
		t.Fatal(err)
	}
	object := func(labels ...string) *Contour {
		c := &Contour{}
		for n, l := range labels {
			c.Structures = append(c.Structures, Structure{Number: n + 1, Label: l, Points: 1})
		}
		return c
	}
	ours := []string{"GTR tumor (pre, deformed to post)", "PTV target (GTR + 5 mm)", "PTZ ablation zone", "Uncovered target"}
	for _, c := range []struct {
		name    string
		labels  []string
		want    Role
		at      int
		unclear bool
	}{
		{"one without a name", []string{"Segment 1"}, Tumour, 0, false},
		{"one without a name, beside organs", []string{"left lung", "Segment 1", "aorta"}, Zone, 1, false},
		{"two without names", []string{"Segment 1", "Segment 2"}, Tumour, 0, true},
		{"one of two named", []string{"Segment 1", "nodule"}, Tumour, 1, false},
		{"two named", []string{"nodule 1", "nodule 2"}, Tumour, 0, true},
		{"our own, edited in a viewer", ours, Zone, 2, false},
		{"the tumour on the CT after", []string{"GTR"}, Zone, 0, true},
		{"the zone on the CT before, beside an unnamed one", []string{"PTZ", "Segment 2"}, Tumour, 0, true},
		{"only organs", []string{"left lung", "heart"}, Tumour, -1, false},
		{"named as both", []string{"ablated tumor"}, Zone, 0, false},
	} {
		got, err := w.Choose(object(c.labels...), nil, c.want)
		if c.unclear != (problemOf(err) == Unclear) || err == nil && got != c.at {
			t.Errorf("%s: structure %d, %v", c.name, got, err)
		}
	}
}
