package sr

import (
	"fmt"
	"strconv"

	"github.com/suyashkumar/dicom/pkg/tag"
)

// Report is a report as read back from its DICOM object.
type Report struct {
	ObjectHeader
	Title       Code
	Predecessor []Reference
	Current     []Reference // evidence of the post study
	Pertinent   []Reference // evidence of other studies
	Groups      []Group     // in the order of the document: case groups first
}

// Group is a Measurement Group (TID 1411).
type Group struct {
	TrackingID, TrackingUID string
	Finding                 Code
	Laterality              Code   // zero: not stated
	TimePoint               string // "pre-RFA", "post-RFA"
	Comments                []string
	Measurements            []Measurement
	Evaluations             []Evaluation
	Segmentation            Reference // SOP class and instance only
	Segment                 int
	SourceSeries            string // SeriesInstanceUID of the CT
	Illustrations           []string
}

// Measurement is a number with its unit.
type Measurement struct {
	Name, Unit, Method Code
	Value              float64
}

// Evaluation is a coded statement.
type Evaluation struct{ Name, Value Code }

// Value is the measurement with the given code value: "TCR" (%), "MAM" (mm), "118565006" (volume, cm3) …
func (g Group) Value(code string) (float64, bool) {
	for _, m := range g.Measurements {
		if m.Name.Value == code {
			return m.Value, true
		}
	}
	return 0, false
}

// Evaluation is the value of the coded statement with the given code value: "COVCLASS", "REVIEW" …
func (g Group) Evaluation(code string) (Code, bool) {
	for _, e := range g.Evaluations {
		if e.Name.Value == code {
			return e.Value, true
		}
	}
	return Code{}, false
}

// Group is the first group with the tracking identifier ("Lesion1 GTR"); for the tumour that is the one on the pre CT.
func (r *Report) Group(trackingID string) (Group, bool) {
	for _, g := range r.Groups {
		if g.TrackingID == trackingID {
			return g, true
		}
	}
	return Group{}, false
}

// Case is the case group of a lesion: coverage, margins, prognosis, sentences.
func (r *Report) Case(lesion int) (Group, bool) {
	return r.Group(fmt.Sprintf("Lesion%d ablation assessment", lesion))
}

// Sentences are the comments of all case groups, in order.
func (r *Report) Sentences() []string {
	var out []string
	for _, g := range r.Groups {
		out = append(out, g.Comments...)
	}
	return out
}

// ReadReport reads a report that Build wrote.
func ReadReport(data []byte) (*Report, error) {
	f, err := parse(data)
	if err != nil {
		return nil, err
	}
	if c := f.text(tag.SOPClassUID); c != Comprehensive3DSRStorage {
		return nil, fmt.Errorf("SOP class %q is no Comprehensive 3D SR", c)
	}
	r := &Report{ObjectHeader: f.header(), Title: f.code(tag.ConceptNameCodeSequence),
		Predecessor: f.references(tag.PredecessorDocumentsSequence),
		Current:     f.references(tag.CurrentRequestedProcedureEvidenceSequence),
		Pertinent:   f.references(tag.PertinentOtherEvidenceSequence)}
	for _, top := range f.items(tag.ContentSequence) {
		if !top.code(tag.ConceptNameCodeSequence).Is(codeImagingMeasurements) {
			continue
		}
		for _, i := range top.items(tag.ContentSequence) {
			g, err := readGroup(i)
			if err != nil {
				return nil, fmt.Errorf("measurement group %d: %w", len(r.Groups)+1, err)
			}
			r.Groups = append(r.Groups, g)
		}
	}
	if len(r.Groups) == 0 {
		return nil, fmt.Errorf("the report %s has no measurement group", r.SOPInstanceUID)
	}
	return r, nil
}

func readGroup(f fields) (Group, error) {
	var g Group
	for _, i := range f.items(tag.ContentSequence) {
		concept := i.code(tag.ConceptNameCodeSequence)
		switch i.text(tag.ValueType) {
		case valueText:
			g.readText(concept, i.text(tag.TextValue))
		case valueUIDRef:
			switch {
			case concept.Is(codeTrackingUID):
				g.TrackingUID = i.text(tag.UID)
			case concept.Is(codeSourceSeries):
				g.SourceSeries = i.text(tag.UID)
			}
		case valueCode:
			g.readCode(concept, i)
		case valueNum:
			m, err := readMeasurement(concept, i)
			if err != nil {
				return g, err
			}
			g.Measurements = append(g.Measurements, m)
		case valueImage:
			ref := i.first(tag.ReferencedSOPSequence)
			switch {
			case concept.Is(codeReferencedSegment):
				g.Segmentation = Reference{SOPClassUID: ref.text(tag.ReferencedSOPClassUID), SOPInstanceUID: ref.text(tag.ReferencedSOPInstanceUID)}
				g.Segment = ref.int(tag.ReferencedSegmentNumber)
			case concept.Is(codeIllustration):
				g.Illustrations = append(g.Illustrations, ref.text(tag.ReferencedSOPInstanceUID))
			}
		}
	}
	return g, nil
}

func (g *Group) readText(concept Code, value string) {
	switch {
	case concept.Is(codeTrackingID):
		g.TrackingID = value
	case concept.Is(codeComment):
		g.Comments = append(g.Comments, value)
	case concept.Is(codeTimePoint):
		g.TimePoint = value
	}
}

func (g *Group) readCode(concept Code, i fields) {
	value := i.code(tag.ConceptCodeSequence)
	switch {
	case concept.Is(codeFinding):
		g.Finding = value
	case concept.Is(codeFindingSite):
		for _, child := range i.items(tag.ContentSequence) {
			if child.code(tag.ConceptNameCodeSequence).Is(codeLaterality) {
				g.Laterality = child.code(tag.ConceptCodeSequence)
			}
		}
	case i.text(tag.RelationshipType) == relContains:
		g.Evaluations = append(g.Evaluations, Evaluation{concept, value})
	}
}

func readMeasurement(concept Code, i fields) (Measurement, error) {
	v := i.first(tag.MeasuredValueSequence)
	x, err := strconv.ParseFloat(v.text(tag.NumericValue), 64)
	if err != nil {
		return Measurement{}, fmt.Errorf("the value of %v: %w", concept, err)
	}
	m := Measurement{Name: concept, Unit: v.code(tag.MeasurementUnitsCodeSequence), Value: x}
	for _, child := range i.items(tag.ContentSequence) {
		if child.code(tag.ConceptNameCodeSequence).Is(codeMethod) {
			m.Method = child.code(tag.ConceptCodeSequence)
		}
	}
	return m, nil
}
