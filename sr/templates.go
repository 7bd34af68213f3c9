package sr

import (
	"rfanode/analysis/ct"
)

// tid1500 is the Measurement Report: language, observer, procedure, image library, measurement groups. The order at the
// top is significant. groups come as they are to be listed.
func (c *caseData) tid1500(groups []*item) *item {
	children := []*item{tid1204()}
	children = append(children, c.tid1002()...)
	children = append(children,
		coded(relConceptMod, codeProcedureReported, codeCTProcedure),
		c.tid1600(),
		container(relContains, codeImagingMeasurements, "", groups...))
	return container("", codeOncologyReport, "1500", children...)
}

// tid1204 is the Language of Content Item and Descendants.
func tid1204() *item { return coded(relConceptMod, codeLanguage, codeEnglish) }

// tid1002 is the Observer Context: a device (TID 1004).
func (c *caseData) tid1002() []*item {
	return []*item{
		coded(relObsContext, codeObserverType, codeDevice),
		uidRef(relObsContext, codeDeviceUID, c.deviceUID()),
		text(relObsContext, codeDeviceName, "RFANODE"),
		text(relObsContext, codeDeviceManufacturer, c.opts.Manufacturer),
		text(relObsContext, codeDeviceModel, modelName),
		text(relObsContext, codeDeviceSerial, c.opts.SerialNumber),
	}
}

// tid1600 is the Image Library: a group for each CT series. One image stands for its series; the evidence lists all.
func (c *caseData) tid1600() *item {
	return container(relContains, codeImageLibrary, "1600",
		container(relContains, codeImageLibraryGroup, "", c.tid1601(c.pre)),
		container(relContains, codeImageLibraryGroup, "", c.tid1601(c.post)))
}

// tid1601 is the Image Library Entry of the middle slice of a series, with its descriptors (TID 1602, 1604).
func (c *caseData) tid1601(s *ct.Series) *item {
	g := s.Volume.Geometry
	thickness := s.SliceThickness
	if thickness <= 0 {
		thickness = g.Spacing[2]
	}
	number := func(concept Code, v float64, unit Code) *item {
		return num(relAcqContext, concept, decimal(v, 6), unit)
	}
	return imageRef(relContains, codeSource, c.seriesReference(s, s.Instances[len(s.Instances)/2]), 0,
		coded(relAcqContext, codeModality, codeCT),
		uidRef(relAcqContext, codeFrameOfReference, s.FrameOfReferenceUID),
		number(codeRows, float64(g.Size[1]), unitPixels),
		number(codeColumns, float64(g.Size[0]), unitPixels),
		number(codeHorizontalSpacing, g.Spacing[0], unitMM),
		number(codeVerticalSpacing, g.Spacing[1], unitMM),
		number(codeSpacingBetweenSlices, g.Spacing[2], unitMM),
		number(codeSliceThickness, thickness, unitMM))
}

// roiGroup is what a volumetric group says; see tid1411.
type roiGroup struct {
	trackingID, trackingUID string
	finding                 Code
	laterality              string
	algorithm               []*item // TID 4019
	pre                     bool    // time point
	comments                []string
	measurements            []*item
	segmentation            Reference
	segment                 int
	series                  string // SeriesInstanceUID of the CT
	evaluations             []*item
	illustrations           []Reference
}

// tid1411 is the Volumetric ROI Measurements group. The case group is one too, bound to the ablation zone's segment:
// validators judge a group without region by the same template and find it wanting, and readers skip it. Comments come
// before the numbers, because viewers that print values without names show them first.
func tid1411(g roiGroup) *item {
	children := []*item{
		text(relObsContext, codeTrackingID, g.trackingID),
		uidRef(relObsContext, codeTrackingUID, g.trackingUID),
		coded(relContains, codeFinding, g.finding),
		findingSite(g.laterality),
	}
	children = append(children, g.algorithm...)
	children = append(children, tid1502(g.pre)...)
	for _, s := range g.comments {
		children = append(children, text(relContains, codeComment, s))
	}
	children = append(children, g.measurements...)
	children = append(children,
		imageRef(relContains, codeReferencedSegment, g.segmentation, g.segment),
		uidRef(relContains, codeSourceSeries, g.series))
	children = append(children, g.evaluations...)
	for _, r := range g.illustrations {
		children = append(children, imageRef(relContains, codeIllustration, r, 0))
	}
	return container(relContains, codeMeasurementGroup, "1411", children...)
}

func findingSite(laterality string) *item {
	site := coded(relConceptMod, codeFindingSite, codeLung)
	if side, ok := lateralityCode(laterality); ok {
		site.children = []*item{coded(relConceptMod, codeLaterality, side)}
	}
	return site
}

// tid1502 is the Time Point Context. Time Point Order is left out: validators and highdicom take it for a measurement.
func tid1502(pre bool) []*item {
	if pre {
		return []*item{text(relObsContext, codeTimePoint, "pre-RFA"), coded(relObsContext, codeTimePointType, codePretreatment)}
	}
	return []*item{text(relObsContext, codeTimePoint, "post-RFA"), coded(relObsContext, codeTimePointType, codePosttreatment)}
}

// tid4019 is the Algorithm Identification.
func tid4019(name, version, maker, parameters string) []*item {
	out := []*item{text(relConceptMod, codeAlgorithmName, name), text(relConceptMod, codeAlgorithmVersion, orUnknown(version))}
	if maker != "" {
		out = append(out, text(relConceptMod, codeAlgorithmMaker, maker))
	}
	if parameters != "" {
		out = append(out, text(relConceptMod, codeAlgorithmParameters, parameters))
	}
	return out
}

// tid300 is a Measurement: a number with its unit and, if there is one, its method. Decimals: how many are kept.
func tid300(concept Code, v float64, places int, unit Code, method *Code) *item {
	i := num(relContains, concept, decimal(v, places), unit)
	if method != nil {
		i.children = []*item{coded(relConceptMod, codeMethod, *method)}
	}
	return i
}
