package analysis

import (
	"fmt"
	"math"
	"strings"
	"time"

	"rfanode/analysis/ct"
	"rfanode/analysis/prognosis"
)

// SchemaFindings names the meaning of the fields of Findings.
const SchemaFindings = "rfanode-findings/1"

// begin starts the findings of a pair: what is known before any image is looked at, and the doubts that raises.
func begin(pre, post *ct.Series, opts Options) Findings {
	f := Findings{
		Schema: SchemaFindings, Status: Final, Reasons: []string{}, Warnings: []string{}, Lesion: 1,
		Inputs:     Inputs{Pre: input(pre), Post: input(post)},
		Algorithms: algorithms(),
	}
	if pre.Patient.ID != post.Patient.ID || pre.Patient.Issuer != post.Patient.Issuer {
		f.hold("the two series belong to different patients")
	}
	if a, b := bodySide(pre.PatientPosition), bodySide(post.PatientPosition); a != "" && b != "" && a != b {
		f.hold("the patient lies %s in the pre CT and %s in the post CT", a, b)
	}
	f.describeInterval(pre, post, opts)
	if pre.ContrastAgent != "" != (post.ContrastAgent != "") {
		f.warn("contrast medium is stated for one of the two scans only")
	}
	if pre.ConvolutionKernel != post.ConvolutionKernel && pre.ConvolutionKernel != "" && post.ConvolutionKernel != "" {
		f.warn("the scans have different reconstruction kernels (%s, %s)", pre.ConvolutionKernel, post.ConvolutionKernel)
	}
	if pre.LossyCompression || post.LossyCompression {
		f.warn("the CT was compressed with loss")
	}
	return f
}

func (f *Findings) describeInterval(pre, post *ct.Series, opts Options) {
	if pre.Acquired.IsZero() || post.Acquired.IsZero() {
		return
	}
	if post.Acquired.Before(pre.Acquired) {
		f.hold("the post CT was acquired before the pre CT")
	}
	days := int(math.Round(post.Acquired.Sub(pre.Acquired).Hours() / 24))
	f.Inputs.Days = &days
	limit := opts.MaxDays
	if limit == 0 {
		limit = 180
	}
	if days > limit {
		f.warn("the scans lie %d days apart: zones shrink within months, so the margin may be read too small", days)
	}
}

// bodySide says how the patient lies, from Patient Position (PS3.3 C.7.3.1.1.2).
func bodySide(position string) string {
	switch {
	case strings.HasSuffix(position, "S"):
		return "supine"
	case strings.HasSuffix(position, "P"):
		return "prone"
	case strings.HasSuffix(position, "DR"), strings.HasSuffix(position, "DL"):
		return "on the side"
	}
	return ""
}

func input(s *ct.Series) Input {
	in := Input{StudyInstanceUID: s.StudyInstanceUID, SeriesInstanceUID: s.SeriesInstanceUID, Instances: len(s.Instances)}
	if s.Volume != nil {
		in.SpacingMM = s.Volume.Spacing
		if in.Instances == 0 {
			in.Instances = s.Volume.Size[2]
		}
	}
	if !s.Acquired.IsZero() {
		in.Acquired = s.Acquired.Format(time.RFC3339)
	}
	return in
}

// Names of what makes the findings. They stand in every result; a change of method changes the name.
const (
	classicalSegmenter = "rfanode-classical"
	registrationMethod = "rfanode-deeds+ring"
	morphology         = "Morphological Operations" // CID 7162
	paper              = "Wang et al. 2026, doi 10.13929/j.issn.1003-3289.2026.03.004"
)

func algorithms() []Algorithm {
	return []Algorithm{
		{Role: "lungs", Name: classicalSegmenter, Version: Version, Family: morphology, Source: "thresholds and hull; not a trained model"},
		{Role: "gtr", Name: classicalSegmenter, Version: Version, Family: morphology, Source: "change between the registered scans; not a trained model"},
		{Role: "ptz", Name: classicalSegmenter, Version: Version, Family: morphology, Source: "change between the registered scans; not a trained model"},
		{Role: "registration", Name: registrationMethod, Version: Version, Source: "deeds (Heinrich et al. 2013) for the lungs; the lung round the zone for the tumour"},
		{Role: "coverage", Name: "rfanode-coverage", Version: Version, Source: paper},
		{Role: "prognosis", Name: prognosis.PublishedModel, Version: Version, Source: paper},
	}
}

func (f *Findings) hold(format string, args ...any) {
	f.Status = Held
	f.Reasons = append(f.Reasons, fmt.Sprintf(format, args...))
}

func (f *Findings) warn(format string, args ...any) {
	f.Warnings = append(f.Warnings, fmt.Sprintf(format, args...))
}
