package sr

import (
	"math"

	"github.com/suyashkumar/dicom/pkg/tag"

	"rfanode/analysis"
	"rfanode/analysis/ct"
)

// Decimal places of numbers in the report.
const (
	placesMM      = 4
	placesPercent = 4
	placesVolume  = 6 // cm3: a reader can recompute the voxel sum to a thousandth even for a single voxel
	placesRatio   = 4
)

// reportObject writes the report (PS3.3 A.35.13, Comprehensive 3D SR), in the post study.
func (c *caseData) reportObject() (Object, error) {
	ref := Reference{c.post.StudyInstanceUID, c.seriesUID("sr"), Comprehensive3DSRStorage, c.uid("sr")}
	d := c.header(objectHeader{ref: ref, modality: "SR", number: c.opts.SeriesNumberBase, instance: 1,
		description: "RFANODE report [RUO]", source: c.post, lesions: c.lesions})
	d.put(tag.CodingSchemeIdentificationSequence, codingSchemes())
	d.put(tag.ReferencedPerformedProcedureStepSequence, []*dataset{})
	d.put(tag.PerformedProcedureCodeSequence, []*dataset{})
	d.put(tag.CompletionFlag, "COMPLETE")
	d.put(tag.VerificationFlag, "UNVERIFIED")
	d.put(tag.PreliminaryFlag, "PRELIMINARY")
	if p := c.opts.Predecessor; p != nil {
		d.put(tag.PredecessorDocumentsSequence, evidence([]Reference{*p}))
	}
	current, pertinent := c.evidence()
	d.put(tag.CurrentRequestedProcedureEvidenceSequence, evidence(current))
	if len(pertinent) > 0 {
		d.put(tag.PertinentOtherEvidenceSequence, evidence(pertinent))
	}
	d.putAll(c.tid1500(c.groups()).dataset())
	data, err := d.encode()
	return Object{Role: "sr", SOPClassUID: ref.SOPClassUID, SOPInstanceUID: ref.SOPInstanceUID, StudyInstanceUID: ref.StudyInstanceUID,
		SeriesInstanceUID: ref.SeriesInstanceUID, Data: data}, err
}

// evidence lists everything the report refers to: the post study's objects are the current procedure's evidence, those
// of another study are pertinent other evidence. When both CTs are in one study, all of it is current.
func (c *caseData) evidence() (current, pertinent []Reference) {
	add := func(r Reference) {
		if r.StudyInstanceUID == c.post.StudyInstanceUID {
			current = append(current, r)
		} else {
			pertinent = append(pertinent, r)
		}
	}
	for _, s := range []*ct.Series{c.post, c.pre} {
		for _, i := range objectsOf(s) {
			add(c.seriesReference(s, i))
		}
	}
	for i := range c.segmentations {
		add(c.segmentationReference(&c.segmentations[i]))
	}
	for _, l := range c.lesions {
		add(c.captureReference(l))
	}
	return current, pertinent
}

// evidence groups references by study and series, in order of first appearance (PS3.3 C.17.2, Hierarchical SOP Instance
// Reference Macro).
func evidence(refs []Reference) []*dataset {
	type series struct {
		uid       string
		instances []*dataset
	}
	type study struct {
		uid    string
		series []*series
	}
	var studies []*study
	for _, r := range refs {
		var st *study
		for _, x := range studies {
			if x.uid == r.StudyInstanceUID {
				st = x
			}
		}
		if st == nil {
			st = &study{uid: r.StudyInstanceUID}
			studies = append(studies, st)
		}
		var se *series
		for _, x := range st.series {
			if x.uid == r.SeriesInstanceUID {
				se = x
			}
		}
		if se == nil {
			se = &series{uid: r.SeriesInstanceUID}
			st.series = append(st.series, se)
		}
		se.instances = append(se.instances, referencedSOP(r))
	}
	var out []*dataset
	for _, st := range studies {
		var items []*dataset
		for _, se := range st.series {
			i := &dataset{}
			i.put(tag.SeriesInstanceUID, se.uid)
			i.put(tag.ReferencedSOPSequence, se.instances)
			items = append(items, i)
		}
		d := &dataset{}
		d.put(tag.StudyInstanceUID, st.uid)
		d.put(tag.ReferencedSeriesSequence, items)
		out = append(out, d)
	}
	return out
}

// groups are the measurement groups: the case group of each lesion first, then the structures.
func (c *caseData) groups() []*item {
	var out []*item
	for _, l := range c.lesions {
		out = append(out, c.caseGroup(l))
	}
	for _, l := range c.lesions {
		out = append(out,
			c.structureGroup(segment{kindGTRPre, l, l.f.GTR}, true),
			c.structureGroup(segment{kindGTRPost, l, l.f.GTRPost}, false),
			c.structureGroup(segment{kindPTV, l, l.f.PTV}, false),
			c.structureGroup(segment{kindPTZ, l, l.f.PTZ}, false),
			c.structureGroup(segment{kindUncovered, l, l.f.Uncovered}, false))
	}
	return out
}

// caseGroup says what the treatment of one lesion achieved.
func (c *caseData) caseGroup(l lesion) *item {
	s, n := c.find(l, kindPTZ, false)
	a := algorithmOf(l.f, "coverage", c.opts.Version)
	return tid1411(roiGroup{
		trackingID:    l.label() + " ablation assessment",
		trackingUID:   c.trackingUID(l, "ablation assessment"),
		finding:       codeAssessment,
		laterality:    l.f.Laterality,
		algorithm:     tid4019(a.Name, a.Version, c.opts.Manufacturer, c.parameters()),
		comments:      c.comments(l),
		measurements:  caseMeasurements(l.f),
		segmentation:  c.segmentationReference(s),
		segment:       n,
		series:        c.post.SeriesInstanceUID,
		evaluations:   caseEvaluations(l.f),
		illustrations: []Reference{c.captureReference(l)},
	})
}

// structureGroup gives the volume of one segment: the voxel sum of that segment, so that a reader can recompute it.
func (c *caseData) structureGroup(g segment, pre bool) *item {
	s, n := c.find(g.lesion, g.structureKind, pre)
	a := g.algorithm(c.opts.Version)
	measurements := []*item{tid300(codeVolume, g.s.Mask.VolumeML(), placesVolume, unitCM3, &codeVoxelSum)}
	if pre && g.s.MaxDiameterMM > 0 {
		measurements = append(measurements, tid300(codeMaxDiameter, g.s.MaxDiameterMM, placesMM, unitMM, nil))
	}
	return tid1411(roiGroup{
		trackingID:   g.trackingID(),
		trackingUID:  c.trackingUID(g.lesion, g.name),
		finding:      g.property,
		laterality:   g.lesion.f.Laterality,
		algorithm:    tid4019(a.Name, a.Version, c.opts.Manufacturer, c.parameters()),
		pre:          pre,
		measurements: measurements,
		segmentation: c.segmentationReference(s),
		segment:      n,
		series:       s.source.SeriesInstanceUID,
	})
}

func (c *caseData) parameters() string {
	if c.opts.ConfigDigest == "" {
		return ""
	}
	return "configuration SHA-256 " + c.opts.ConfigDigest
}

// caseMeasurements are the numbers of the case group. A value that does not exist, or is no number, is left out; the
// sentences explain it.
func caseMeasurements(f *analysis.Findings) []*item {
	var out []*item
	add := func(concept Code, v, scale float64, places int, unit Code, method *Code) {
		if v *= scale; !math.IsNaN(v) && !math.IsInf(v, 0) {
			out = append(out, tid300(concept, v, places, unit, method))
		}
	}
	percent := func(concept Code, ratio float64, method *Code) {
		add(concept, ratio, 100, placesPercent, unitPercent, method)
	}
	mm := func(concept Code, v float64, method *Code) { add(concept, v, 1, placesMM, unitMM, method) }

	cov := f.Coverage
	percent(codeTCR, cov.TCR, &codeTCRMethod)
	percent(codeTCRLow, cov.TCRRange[0], nil)
	percent(codeTCRHigh, cov.TCRRange[1], nil)
	percent(codeTCRLung, cov.TCRInLung, &codeTCRLungMethod)
	percent(codeTCR10, cov.TCR10, &codeTCR10Method)
	mm(codeMAM, cov.MAMMM, &codeMAMMethod)
	mm(codeMAMP5, cov.MAMP5MM, nil)
	if cov.MAMInLung != nil {
		mm(codeMAMLung, *cov.MAMInLung, nil)
	}
	for i, code := range codeShares {
		percent(code, cov.MarginShare[i], nil)
	}
	add(codeUncoveredVolume, cov.UncoveredML, 1, placesVolume, unitCM3, nil)

	r := f.Registration
	add(codeRegDice, r.LungDice, 1, placesRatio, unitOne, nil)
	add(codeRegFold, r.FoldedPercent, 1, placesPercent, unitPercent, nil)
	if r.LesionErrorMM != nil {
		mm(codeRegError, *r.LesionErrorMM, nil)
	}
	if p := f.Prognosis; p != nil {
		add(codeRelativeHazard, p.RelativeHazard, 1, placesRatio, unitOne, nil)
		add(codeRelativeHazardLow, p.CI95[0], 1, placesRatio, unitOne, nil)
		add(codeRelativeHazardHigh, p.CI95[1], 1, placesRatio, unitOne, nil)
	}
	return out
}

// caseEvaluations are the coded statements of the case group.
func caseEvaluations(f *analysis.Findings) []*item {
	class, review := codeInsufficient, codeNoReview
	if f.Coverage.Complete {
		class = codeComplete
	}
	if len(reviewReasons(f)) > 0 {
		review = codeReviewRequired
	}
	out := []*item{coded(relContains, codeCoverageClass, class), coded(relContains, codeReview, review)}
	if f.Prognosis != nil {
		if status, ok := modelStatus[f.Prognosis.Status]; ok {
			out = append(out, coded(relContains, codeModelStatus, status))
		}
	}
	return append(out, coded(relContains, codeIntendedUse, codeResearchUseOnly))
}
