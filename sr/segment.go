package sr

import (
	"fmt"
	"math"

	"github.com/suyashkumar/dicom/pkg/tag"

	"rfanode/analysis"
)

// rgb is an sRGB colour.
type rgb [3]uint8

// structureKind is what all lesions' segments of one kind share. The colours are those of the picture's outlines too.
type structureKind struct {
	name     string // end of the tracking identifier
	label    string // SegmentLabel
	category Code   // Segmented Property Category
	property Code   // Segmented Property Type, also the Finding of the report's group
	colour   rgb
	role     string // analysis.Algorithm.Role of what made it
}

var (
	kindGTRPre    = structureKind{"GTR", "GTR tumor (pre)", codeAbnormalStructure, codeNeoplasm, rgb{230, 60, 60}, "gtr"}
	kindGTRPost   = structureKind{"GTR", "GTR tumor (pre, deformed to post)", codeAbnormalStructure, codeNeoplasm, rgb{230, 60, 60}, "gtr"}
	kindPTV       = structureKind{"PTV", "PTV target (GTR + 5 mm)", codeSpatialConcept, codePTV, rgb{60, 120, 255}, "coverage"}
	kindPTZ       = structureKind{"PTZ", "PTZ ablation zone", codeAbnormalStructure, codeNecrosis, rgb{255, 200, 0}, "ptz"}
	kindUncovered = structureKind{"UNCOV", "Uncovered target", codeSpatialConcept, codeUncovered, rgb{255, 0, 255}, "coverage"}
)

// segment is one structure of one lesion, as a segment of a segmentation.
type segment struct {
	structureKind
	lesion lesion
	s      *analysis.Structure
}

// segmentsOf lists the segments of the lesions in the order in which they are numbered: 1-4, 5-8, … in the post frame.
func (c *caseData) segmentsOf(pre bool) []segment {
	var out []segment
	for _, l := range c.lesions {
		if pre {
			out = append(out, segment{kindGTRPre, l, l.f.GTR})
			continue
		}
		out = append(out, segment{kindGTRPost, l, l.f.GTRPost}, segment{kindPTV, l, l.f.PTV}, segment{kindPTZ, l, l.f.PTZ}, segment{kindUncovered, l, l.f.Uncovered})
	}
	return out
}

func (s segment) trackingID() string { return s.lesion.label() + " " + s.name }

// algorithm is what made the segment; a part the findings do not name is said to be made by this program.
func (s segment) algorithm(version string) analysis.Algorithm {
	return algorithmOf(s.lesion.f, s.role, version)
}

func algorithmOf(f *analysis.Findings, role, version string) analysis.Algorithm {
	for _, a := range f.Algorithms {
		if a.Role == role {
			return a
		}
	}
	return analysis.Algorithm{Role: role, Name: "rfanode", Version: version}
}

// segmentItem is the item of the Segment Sequence (PS3.3 C.8.20.4).
func (c *caseData) segmentItem(number int, s segment) *dataset {
	label := s.label
	if len(c.lesions) > 1 {
		label = fmt.Sprintf("Lesion %d: %s", s.lesion.f.Lesion, label)
	}
	d := &dataset{}
	d.put(tag.SegmentNumber, number)
	d.put(tag.SegmentLabel, label)
	d.put(tag.SegmentedPropertyCategoryCodeSequence, s.category)
	d.put(tag.SegmentedPropertyTypeCodeSequence, s.property)
	d.put(tag.TrackingID, s.trackingID())
	d.put(tag.TrackingUID, c.trackingUID(s.lesion, s.name))
	lab := s.colour.cieLab()
	d.put(tag.RecommendedDisplayCIELabValue, []int(lab[:]))

	a := s.algorithm(c.opts.Version)
	kind := "AUTOMATIC"
	if a.Family == familyManual || a.Prompt != "" {
		kind = "SEMIAUTOMATIC"
	}
	d.put(tag.SegmentAlgorithmType, kind)
	d.put(tag.SegmentAlgorithmName, cutLength(a.Name, 64))
	id := &dataset{}
	id.put(tag.AlgorithmFamilyCodeSequence, algorithmFamily(a.Family))
	id.put(tag.AlgorithmName, cutLength(a.Name, 64))
	id.put(tag.AlgorithmVersion, cutLength(orUnknown(a.Version), 64))
	putIf(id, tag.AlgorithmSource, cutLength(a.Source, 64))
	d.put(tag.SegmentationAlgorithmIdentificationSequence, id)

	site := codeLung.dataset()
	if side, ok := lateralityCode(s.lesion.f.Laterality); ok {
		site.put(tag.AnatomicRegionModifierSequence, side)
	}
	d.put(tag.AnatomicRegionSequence, site)
	return d
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// cieLab encodes the colour as PCS-Values (PS3.3 C.10.7.1.1): sRGB → linear → XYZ (D65) → L*a*b*, stored as
// L·65535/100 and (a+128)·65535/255, (b+128)·65535/255.
func (c rgb) cieLab() [3]int {
	var lin [3]float64
	for i, v := range c {
		x := float64(v) / 255
		if x <= 0.04045 {
			lin[i] = x / 12.92
		} else {
			lin[i] = math.Pow((x+0.055)/1.055, 2.4)
		}
	}
	r, g, b := lin[0], lin[1], lin[2]
	f := func(t float64) float64 {
		if t > 216.0/24389 {
			return math.Cbrt(t)
		}
		return (24389.0/27*t + 16) / 116
	}
	fx := f((0.4124564*r + 0.3575761*g + 0.1804375*b) / 0.95047)
	fy := f(0.2126729*r + 0.7151522*g + 0.0721750*b)
	fz := f((0.0193339*r + 0.1191920*g + 0.9503041*b) / 1.08883)
	l, la, lb := 116*fy-16, 500*(fx-fy), 200*(fy-fz)
	return [3]int{int(math.Round(l * 65535 / 100)), int(math.Round((la + 128) * 65535 / 255)), int(math.Round((lb + 128) * 65535 / 255))}
}
