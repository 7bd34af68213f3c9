package sr

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"rfanode/analysis"
)

// sentences are the Comment items of a lesion's case group: what a radiologist asks for, in a fixed order, readable
// where a viewer prints values without their names. With several lesions each sentence names its own.
func (c *caseData) sentences(l lesion) []string {
	f := l.f
	out := resultSentences(f, c.post.Volume.Size[2])
	for i := range c.segmentations {
		if s := &c.segmentations[i]; s.withheld != "" {
			which := "post"
			if s.kind == "seg-pre" {
				which = "pre"
			}
			out = append(out, fmt.Sprintf("Segmentation of the %s CT not sent: %s; see the summary image", which, s.withheld))
		}
	}
	if len(c.lesions) > 1 {
		for i := range out {
			out[i] = fmt.Sprintf("Lesion %d: %s", f.Lesion, out[i])
		}
	}
	return append(out, RUO)
}

// comments are the sentences of the report: with the names of those who drew or marked something, before the last one.
func (c *caseData) comments(l lesion) []string {
	all := c.sentences(l)
	return slices.Insert(all, len(all)-1, promptNames(l.f)...)
}

// resultSentences say what the findings say; parts that do not exist are left out. slices is the number of slices of
// the post series.
func resultSentences(f *analysis.Findings, slices int) []string {
	var out []string
	if f.Coverage != nil {
		out = append(out, coverageSentence(f.Coverage), marginSentence(f, slices), shareSentence(f.Coverage), volumeSentence(f))
	}
	if f.Prognosis != nil {
		out = append(out, prognosisSentence(f.Prognosis))
	} else if f.Coverage != nil {
		out = append(out, "Prognosis: not available")
	}
	if s := registrationSentence(f.Registration); s != "" {
		out = append(out, s)
	}
	out = append(out, promptSentences(f)...)
	if r := reviewReasons(f); len(r) > 0 && f.Status == analysis.Final {
		out = append(out, "Review required: "+strings.Join(r, "; "))
	}
	return out
}

func coverageSentence(c *analysis.Coverage) string {
	class := "insufficient coverage"
	if c.Complete {
		class = "complete coverage"
	}
	s := fmt.Sprintf("3D target coverage ratio (TCR): %s %% of the 5 mm target (range %s-%s %% from the uncertainty of masks and registration); within the lung %s %%; %s",
		percentText(c.TCR), percentText(c.TCRRange[0]), percentText(c.TCRRange[1]), percentText(c.TCRInLung), class)
	if c.TCRInLung >= tcrOutsideLung && c.TCR < 1 {
		s += "; the rest of the target lies outside the lung"
	}
	return s
}

// tcrOutsideLung: from this coverage within the lung on, what is missing of the plain ratio is chest wall.
const tcrOutsideLung = 0.995

func marginSentence(f *analysis.Findings, slices int) string {
	c := f.Coverage
	parts := []string{fmt.Sprintf("Minimal ablative margin: %s mm (5th percentile %s mm)", cut(c.MAMMM, 1), cut(c.MAMP5MM, 1))}
	w := c.Worst
	if w.Direction != "" {
		parts = append(parts, w.Direction)
	}
	if w.Slice > 0 {
		s := fmt.Sprintf("slice %d of %d", w.Slice, slices)
		if w.InstanceNumber != "" {
			s += fmt.Sprintf(" (image %s)", w.InstanceNumber)
		}
		parts = append(parts, s)
	}
	switch f.Laterality {
	case "R":
		parts = append(parts, "right lung")
	case "L":
		parts = append(parts, "left lung")
	}
	if w.PleuraMM != nil {
		parts = append(parts, fmt.Sprintf("%.0f mm from pleura", *w.PleuraMM))
	}
	if c.MAMInLung != nil {
		parts = append(parts, fmt.Sprintf("margin of the surface over 5 mm from pleura %s mm", cut(*c.MAMInLung, 1)))
	}
	return strings.Join(parts, ", ")
}

func shareSentence(c *analysis.Coverage) string {
	s := c.MarginShare
	return fmt.Sprintf("Tumor surface by margin: < 0 mm %s %%, 0-5 mm %s %%, 5-10 mm %s %%, >= 10 mm %s %%", percentText(s[0]), percentText(s[1]), percentText(s[2]), percentText(s[3]))
}

func volumeSentence(f *analysis.Findings) string {
	s := "Uncovered target volume: " + volumeText(f.Coverage.UncoveredML) + " cm3"
	for _, v := range []struct {
		name string
		s    *analysis.Structure
	}{{"GTR", f.GTR}, {"target", f.PTV}, {"ablation zone", f.PTZ}} {
		if v.s != nil {
			s += "; " + v.name + " " + volumeText(v.s.VolumeML) + " cm3"
		}
	}
	return s + "; target coverage at 10 mm " + percentText(f.Coverage.TCR10) + " %"
}

func prognosisSentence(p *analysis.Prognosis) string {
	s := "Model " + p.Model + ": " + p.Text
	if len(p.InputsUsed) > 0 {
		s += " Inputs used: " + strings.Join(p.InputsUsed, ", ") + "."
	}
	if len(p.InputsMissing) > 0 {
		s += " Inputs missing: " + strings.Join(p.InputsMissing, ", ") + "."
	}
	return s
}

func registrationSentence(r analysis.Registration) string {
	if r.Method == "" {
		return ""
	}
	s := fmt.Sprintf("Registration (%s): lung Dice %s, %s %% folded", r.Method, cut(r.LungDice, 2), percentText(r.FoldedPercent/100))
	if r.LesionErrorMM != nil {
		s += fmt.Sprintf(", estimated error near the lesion %.1f mm", *r.LesionErrorMM)
	}
	if r.Fallback {
		s += ", linear part fell back to a translation"
	}
	return s
}

// prompts are the algorithms that a person gave something for, with what a reader calls their structures.
func prompts(f *analysis.Findings) (names []string, of []analysis.Algorithm) {
	for _, a := range f.Algorithms {
		if name := map[string]string{"gtr": "Tumor", "ptz": "Ablation zone"}[a.Role]; name != "" && a.Prompt != "" {
			names, of = append(names, name), append(of, a)
		}
	}
	return names, of
}

// promptSentences say whose contour or mark was used.
func promptSentences(f *analysis.Findings) []string {
	var out []string
	names, of := prompts(f)
	for i, a := range of {
		how := "segmented by " + a.Name + " at the "
		if a.Family == familyManual {
			how = "not computed, but taken from the "
		}
		out = append(out, names[i]+": "+how+a.Prompt)
	}
	return out
}

// promptNames say who drew or marked it: for the report only, never for pictures, logs or files outside of DICOM.
func promptNames(f *analysis.Findings) []string {
	var out []string
	names, of := prompts(f)
	for i, a := range of {
		if a.By != "" {
			out = append(out, names[i]+": drawn or marked by "+a.By)
		}
	}
	return out
}

// reviewReasons are the warnings, and that no trained model drew the structures where that is so.
func reviewReasons(f *analysis.Findings) []string {
	out := append([]string(nil), f.Warnings...)
	for _, a := range f.Algorithms {
		if (a.Role == "gtr" || a.Role == "ptz") && a.Family != familyAI && a.Family != familyManual {
			return append(out, "segmented by a classical algorithm, not a trained model")
		}
	}
	return out
}

// cut prints a number cut off at n decimals, not rounded, so that "100.0" never stands for 99.96 and "5.0" never for
// 4.97; it cuts towards minus infinity, so that a margin never looks larger than it is.
func cut(x float64, n int) string {
	p := math.Pow(10, float64(n))
	v := math.Floor(x*p+cutSlack) / p
	if v == 0 {
		v = 0 // no "-0.0"
	}
	return fmt.Sprintf("%.*f", n, v)
}

// cutSlack keeps binary fractions (0.29·100 = 28.999…) from losing a digit; counts of voxels differ by far more.
const cutSlack = 1e-9

// percentText prints a ratio as percent: "0" and "100" only for exactly none and exactly all.
func percentText(ratio float64) string {
	p := ratio * 100
	switch {
	case p <= 0:
		return "0"
	case p < 0.1:
		return "< 0.1"
	case p >= 100:
		return "100"
	}
	return cut(p, 1)
}

// volumeText prints cm3; what is not empty never prints as zero.
func volumeText(ml float64) string {
	switch {
	case ml <= 0:
		return "0"
	case ml < 0.01:
		return "< 0.01"
	}
	if ml < 10 {
		return cut(ml, 2)
	}
	return cut(ml, 1)
}
