package sr

import (
	"github.com/suyashkumar/dicom/pkg/tag"
)

// Code is a coded concept (PS3.3 8.8): value ≤ 16 characters, scheme, meaning ≤ 64 characters. Two codes are the same
// concept when value and scheme agree.
type Code struct{ Value, Scheme, Meaning string }

// Is reports whether two codes name the same concept.
func (c Code) Is(o Code) bool { return c.Value == o.Value && c.Scheme == o.Scheme }

func (c Code) String() string { return "(" + c.Value + "," + c.Scheme + ",\"" + c.Meaning + "\")" }

func (c Code) dataset() *dataset {
	d := &dataset{}
	d.put(tag.CodeValue, c.Value)
	d.put(tag.CodingSchemeDesignator, c.Scheme)
	d.put(tag.CodeMeaning, c.Meaning)
	return d
}

// Concepts of PS3.16 and of the terminologies it uses.
var (
	codeOncologyReport       = Code{"126001", "DCM", "Oncology Measurement Report"} // CID 7021
	codeLanguage             = Code{"121049", "DCM", "Language of Content Item and Descendants"}
	codeEnglish              = Code{"en-US", "RFC5646", "English (United States)"}
	codeObserverType         = Code{"121005", "DCM", "Observer Type"}
	codeDevice               = Code{"121007", "DCM", "Device"}
	codeDeviceUID            = Code{"121012", "DCM", "Device Observer UID"}
	codeDeviceName           = Code{"121013", "DCM", "Device Observer Name"}
	codeDeviceManufacturer   = Code{"121014", "DCM", "Device Observer Manufacturer"}
	codeDeviceModel          = Code{"121015", "DCM", "Device Observer Model Name"}
	codeDeviceSerial         = Code{"121016", "DCM", "Device Observer Serial Number"}
	codeProcedureReported    = Code{"121058", "DCM", "Procedure reported"}
	codeCTProcedure          = Code{"25045-6", "LN", "CT unspecified body region"}
	codeImageLibrary         = Code{"111028", "DCM", "Image Library"}
	codeImageLibraryGroup    = Code{"126200", "DCM", "Image Library Group"}
	codeSource               = Code{"260753009", "SCT", "Source"}
	codeModality             = Code{"121139", "DCM", "Modality"}
	codeCT                   = Code{"CT", "DCM", "Computed Tomography"}
	codeFrameOfReference     = Code{"112227", "DCM", "Frame of Reference UID"}
	codeRows                 = Code{"110910", "DCM", "Pixel Data Rows"}
	codeColumns              = Code{"110911", "DCM", "Pixel Data Columns"}
	codeHorizontalSpacing    = Code{"111026", "DCM", "Horizontal Pixel Spacing"}
	codeVerticalSpacing      = Code{"111066", "DCM", "Vertical Pixel Spacing"}
	codeSpacingBetweenSlices = Code{"112226", "DCM", "Spacing between slices"}
	codeSliceThickness       = Code{"112225", "DCM", "Slice Thickness"}
	codeImagingMeasurements  = Code{"126010", "DCM", "Imaging Measurements"}
	codeMeasurementGroup     = Code{"125007", "DCM", "Measurement Group"}
	codeTrackingID           = Code{"112039", "DCM", "Tracking Identifier"}
	codeTrackingUID          = Code{"112040", "DCM", "Tracking Unique Identifier"}
	codeFinding              = Code{"121071", "DCM", "Finding"}
	codeFindingSite          = Code{"363698007", "SCT", "Finding Site"}
	codeLaterality           = Code{"272741003", "SCT", "Laterality"}
	codeLung                 = Code{"39607008", "SCT", "Lung"}
	codeRight                = Code{"24028007", "SCT", "Right"}
	codeLeft                 = Code{"7771000", "SCT", "Left"}
	codeAlgorithmName        = Code{"111001", "DCM", "Algorithm Name"}
	codeAlgorithmVersion     = Code{"111003", "DCM", "Algorithm Version"}
	codeAlgorithmMaker       = Code{"122405", "DCM", "Algorithm Manufacturer"}
	codeAlgorithmParameters  = Code{"111002", "DCM", "Algorithm Parameters"}
	codeTimePoint            = Code{"C2348792", "UMLS", "Time Point"}
	codeTimePointType        = Code{"126072", "DCM", "Time Point Type"}
	codePretreatment         = Code{"C3539075", "UMLS", "Pretreatment"}
	codePosttreatment        = Code{"126074", "DCM", "Posttreatment"}
	codeComment              = Code{"121106", "DCM", "Comment"}
	codeMethod               = Code{"370129005", "SCT", "Measurement Method"}
	codeReferencedSegment    = Code{"121191", "DCM", "Referenced Segment"}
	codeSourceSeries         = Code{"121232", "DCM", "Source series for segmentation"}
	codeIllustration         = Code{"121200", "DCM", "Illustration of ROI"}
	codeVolume               = Code{"118565006", "SCT", "Volume"}
	codeVoxelSum             = Code{"126030", "DCM", "Sum of segmented voxel method for volume"}
	codeMaxDiameter          = Code{"L0JK", "IBSI", "Maximum 3D Diameter of a Mesh"}

	codeAcquisitionEquipment = Code{"109101", "DCM", "Acquisition Equipment"}
	codeProcessingEquipment  = Code{"109102", "DCM", "Processing Equipment"}
	codeSegmentationDerived  = Code{"113076", "DCM", "Segmentation"}
	codeSourceImage          = Code{"121322", "DCM", "Source image for image processing operation"}
	codeAbnormalStructure    = Code{"49755003", "SCT", "Morphologically Abnormal Structure"}
	codeSpatialConcept       = Code{"309825002", "SCT", "Spatial and Relational Concept"}
	codeNeoplasm             = Code{"108369006", "SCT", "Neoplasm"}
	codeNecrosis             = Code{"6574001", "SCT", "Necrosis"}
)

// Units (UCUM).
var (
	unitMM      = Code{"mm", "UCUM", "millimeter"}
	unitPixels  = Code{"{pixels}", "UCUM", "Pixels"}
	unitCM3     = Code{"cm3", "UCUM", "cubic centimeter"}
	unitPercent = Code{"%", "UCUM", "Percent"}
	unitOne     = Code{"1", "UCUM", "no units"}
)

// algorithmFamilies is CID 7162 "Surface Processing Algorithm Families" by meaning, as analysis.Algorithm.Family gives it.
var algorithmFamilies = func() map[string]Code {
	m := map[string]Code{}
	for _, c := range []Code{
		{"123101", "DCM", "Neighborhood Analysis"}, {"123102", "DCM", "Adaptive Filtering"}, {"123103", "DCM", "Edge Detection"},
		{"123104", "DCM", "Morphological Operations"}, {"123105", "DCM", "Histogram Analysis"},
		{"123106", "DCM", "Multi-Scale/Resolution Filtering"}, {"123107", "DCM", "Cluster Analysis"},
		{"123108", "DCM", "Multispectral Processing"}, {"123109", "DCM", familyManual},
		{"123110", "DCM", familyAI}, {"123111", "DCM", "Deformable Models"},
	} {
		m[c.Meaning] = c
	}
	return m
}()

const (
	familyManual = "Manual Processing"
	familyAI     = "Artificial Intelligence"
)

// algorithmFamily is the code of a family; one the standard does not know is said to be another, never guessed.
func algorithmFamily(meaning string) Code {
	if c, ok := algorithmFamilies[meaning]; ok {
		return c
	}
	return codeOtherAlgorithm
}

func lateralityCode(side string) (Code, bool) {
	switch side {
	case "R":
		return codeRight, true
	case "L":
		return codeLeft, true
	}
	return Code{}, false
}
