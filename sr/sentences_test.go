package sr

import (
	"strings"
	"testing"

	"rfanode/analysis"
)

// "100 %" must never stand for 99.96 %, "5.0 mm" never for 4.97 mm, and "0" never for something.
func TestNumbersAreCutOff(t *testing.T) {
	for _, x := range []struct{ got, want string }{
		{percentText(1), "100"}, {percentText(0.9996), "99.9"}, {percentText(0.99999), "99.9"}, {percentText(0.29), "29.0"},
		{percentText(0), "0"}, {percentText(0.0001), "< 0.1"}, {percentText(0.945), "94.5"},
		{cut(4.97, 1), "4.9"}, {cut(5, 1), "5.0"}, {cut(-0.04, 1), "-0.1"}, {cut(-3, 1), "-3.0"}, {cut(0, 1), "0.0"}, {cut(0.97123, 2), "0.97"},
		{volumeText(0), "0"}, {volumeText(0.004), "< 0.01"}, {volumeText(0.579), "0.57"}, {volumeText(17.09), "17.0"},
		{decimal(1.0/3, 13), "0.3333333333333"}, {decimal(-123456.7890123456, 13), "-123456.78901235"}, {decimal(-1e-20, 13), "0"}, {decimal(250, 4), "250"},
		{decimal(nan(), 4), ""}, {decimal(1e300, 4), ""},
	} {
		if x.got != x.want {
			t.Errorf("%q, want %q", x.got, x.want)
		}
	}
}

// The sentences are what many readers see of the report: all parts there, in order.
func TestSentences(t *testing.T) {
	c, objects := baseVariant.standard()
	f := c.findings[0]
	s := mustReport(t, objects["sr"].Data).Sentences()
	for i, want := range []string{"3D target coverage ratio (TCR): 8", "Minimal ablative margin: 2.3 mm (5th percentile 2.9 mm), lateral, slice ", "Tumor surface by margin: < 0 mm < 0.1 %, 0-5 mm 11.9 %",
		"Uncovered target volume: ", "Model published-cox3/1: Relative hazard", "Registration (affine + local): lung Dice 0.97", "Review required: fibrinogen not available", RUO} {
		if i >= len(s) || !strings.HasPrefix(s[i], want) {
			t.Fatalf("sentence %d of %q, want %q", i+1, s, want)
		}
	}
	for i, want := range []string{"insufficient coverage", "(image " + f.Coverage.Worst.InstanceNumber + "), right lung, 8 mm from pleura"} {
		if !strings.Contains(s[i], want) {
			t.Errorf("%q does not say %q", s[i], want)
		}
	}
	two := variantNamed("two lesions")
	_, objects = two.standard()
	second, _ := mustReport(t, objects["sr"].Data).Case(2)
	if !strings.HasPrefix(second.Comments[0], "Lesion 2: 3D target") {
		t.Errorf("the second lesion's sentence does not name it: %q", second.Comments[0])
	}
	_, objects = variantNamed("one study").standard()
	if all := strings.Join(mustReport(t, objects["sr"].Data).Sentences(), "\n"); !strings.Contains(all, "Prognosis: not available") {
		t.Error("a missing prognosis is not said to be missing")
	}
}

// A target that is whole within the lung but not beyond it is said to be so.
func TestRestOutsideLung(t *testing.T) {
	c := analysis.Coverage{TCR: 0.9, TCRInLung: 0.996}
	if s := coverageSentence(&c); !strings.Contains(s, "outside the lung") {
		t.Errorf("%q", s)
	}
	c.TCRInLung = 0.95
	if s := coverageSentence(&c); strings.Contains(s, "outside the lung") {
		t.Errorf("%q", s)
	}
}

// Codes keep to the limits of the standard, and no value means two things.
func TestCodes(t *testing.T) {
	c, _ := variantNamed("two lesions").standard()
	data, err := newCase(c.pre, c.post, c.findings, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	data.planSegmentations()
	meaning := map[[2]string]string{}
	var walk func(i *item)
	check := func(c Code) {
		if c.Value == "" || c.Scheme == "" || c.Meaning == "" || len(c.Value) > 16 || len(c.Meaning) > 64 {
			t.Errorf("%v: empty or too long", c)
		}
		key := [2]string{c.Scheme, c.Value}
		if m, ok := meaning[key]; ok && m != c.Meaning {
			t.Errorf("%v also means %q", c, m)
		}
		meaning[key] = c.Meaning
	}
	walk = func(i *item) {
		check(i.concept)
		if i.valueType == valueCode || i.valueType == valueNum {
			check(i.code)
		}
		for _, child := range i.children {
			walk(child)
		}
	}
	walk(data.tid1500(data.groups()))
	for _, c := range modelStatus {
		check(c)
	}
	for _, c := range algorithmFamilies {
		check(c)
	}
	for _, s := range append(data.segmentsOf(true), data.segmentsOf(false)...) {
		check(s.category)
		check(s.property)
	}
	if len(meaning) < 60 {
		t.Errorf("only %d codes seen", len(meaning))
	}
	if got := algorithmFamily("Astrology"); got != codeOtherAlgorithm {
		t.Errorf("an unknown family became %v", got)
	}
}
