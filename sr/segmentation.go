package sr

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/suyashkumar/dicom/pkg/tag"

	"rfanode/analysis/ct"
)

// maxFrames is the number of frames from which an object is split: Weasis 4.6.0 switches segmentations of more than 400
// frames off (issue 680), and browsers become slow.
const maxFrames = 400

// segmentation is one Segmentation object: segments in one frame of reference, and what decides how it is written.
type segmentation struct {
	role     string // "seg-post", "seg-post-2", "seg-pre" …
	kind     string // "seg-post" or "seg-pre": the series
	instance int    // Instance Number
	source   *ct.Series
	segments []segment
	frames   []segFrame
	withheld string // why it is not to be sent; empty: it is
}

// segFrame is plane k of the source series, of the segment with the given number.
type segFrame struct{ segment, k int }

// planSegmentations decides which objects there are, which frames they have and whether they can be sent.
func (c *caseData) planSegmentations() {
	c.segmentations = nil
	for _, in := range []struct {
		kind   string
		source *ct.Series
		pre    bool
	}{{"seg-post", c.post, false}, {"seg-pre", c.pre, true}} {
		for i, part := range splitSegments(c.segmentsOf(in.pre)) {
			role := in.kind
			if i > 0 {
				role += "-" + strconv.Itoa(i+1)
			}
			s := segmentation{role: role, kind: in.kind, instance: i + 1, source: in.source, segments: part, frames: framesOf(part)}
			s.align(c.opts.SendUnaligned)
			c.segmentations = append(c.segmentations, s)
		}
	}
}

// splitSegments keeps all segments together below maxFrames; else tumour and ablation zone go into one object, target
// and uncovered target into another, and if that is not enough, each lesion for itself.
func splitSegments(all []segment) [][]segment {
	if len(framesOf(all)) < maxFrames {
		return [][]segment{all}
	}
	var zones, targets []segment
	for _, s := range all {
		if s.role == "coverage" {
			targets = append(targets, s)
		} else {
			zones = append(zones, s)
		}
	}
	var out [][]segment
	for _, part := range [][]segment{zones, targets} {
		if len(part) == 0 {
			continue
		}
		if len(framesOf(part)) < maxFrames {
			out = append(out, part)
			continue
		}
		for start := 0; start < len(part); {
			end := start
			for end < len(part) && part[end].lesion == part[start].lesion {
				end++
			}
			out = append(out, part[start:end])
			start = end
		}
	}
	return out
}

// framesOf lists the planes that are not empty, by segment, then along the stack. Empty frames are left out: viewers
// need none of them, and every segment keeps its description.
func framesOf(segments []segment) []segFrame {
	var out []segFrame
	for n, s := range segments {
		m := s.s.Mask
		plane := m.Size[0] * m.Size[1]
		for k := range m.Size[2] {
			if slices.Contains(m.Data[k*plane:(k+1)*plane], 1) {
				out = append(out, segFrame{n + 1, k})
			}
		}
	}
	return out
}

// align handles frames that do not begin or end on byte boundaries. Archives that take frames apart by the byte refuse
// a number of columns that is no multiple of 8 and hand out the whole object instead. Measured with OHIF 3.13.2 on
// Orthanc 1.10.1: right when rows × columns is a multiple of 8 and the pixel data need no pad byte, hanging or drawing
// scrambled voxels otherwise. So one empty frame makes the payload even where that can help; else the object stays here.
func (s *segmentation) align(sendUnaligned bool) {
	rows, columns := s.source.Volume.Size[1], s.source.Volume.Size[0]
	if columns%8 == 0 {
		return
	}
	if rows*columns%8 == 0 {
		if rows*columns/8*len(s.frames)%2 == 0 || s.addEmptyFrame() {
			return
		}
	}
	if !sendUnaligned {
		s.withheld = fmt.Sprintf("the CT's %d columns and %d rows do not fill whole bytes with 1-bit pixels, and viewers draw such a segmentation wrongly or hang", columns, rows)
	}
}

// addEmptyFrame adds a frame without voxels on a plane that a segment does not use, next to those it uses.
func (s *segmentation) addEmptyFrame() bool {
	planes := s.source.Volume.Size[2]
	for n := range s.segments {
		last := -1
		for _, f := range s.frames {
			if f.segment == n+1 {
				last = f.k
			}
		}
		for step := range planes {
			f := segFrame{n + 1, (last + 1 + step) % planes}
			if !slices.Contains(s.frames, f) {
				s.frames = append(s.frames, f)
				slices.SortFunc(s.frames, func(a, b segFrame) int {
					if a.segment != b.segment {
						return a.segment - b.segment
					}
					return a.k - b.k
				})
				return true
			}
		}
	}
	return false
}

// find is the object that holds a structure of a lesion, and the number of its segment there.
func (c *caseData) find(l lesion, k structureKind, pre bool) (*segmentation, int) {
	for i := range c.segmentations {
		s := &c.segmentations[i]
		for n, g := range s.segments {
			if g.lesion == l && g.name == k.name && (s.kind == "seg-pre") == pre {
				return s, n + 1
			}
		}
	}
	return nil, 0 // planSegmentations has put every structure of a final lesion somewhere
}

// segmentationObject writes the object (PS3.3 A.51): BINARY, native grid, frames contiguous.
func (c *caseData) segmentationObject(s *segmentation) (Object, error) {
	if len(s.frames) == 0 {
		return Object{}, fmt.Errorf("no voxel in any segment")
	}
	ref := c.segmentationReference(s)
	description, number := "RFANODE SEG GTR/PTV/PTZ [RUO]", c.opts.SeriesNumberBase+segSeriesOffset
	if s.kind == "seg-pre" {
		description = "RFANODE SEG GTR [RUO]"
		if c.pre.StudyInstanceUID == c.post.StudyInstanceUID {
			number = c.opts.SeriesNumberBase + segPreSameStudy
		}
	}
	d := c.header(objectHeader{ref: ref, modality: "SEG", number: number, instance: s.instance, description: description,
		source: s.source, lesions: s.lesions()})
	d.put(tag.CodingSchemeIdentificationSequence, codingSchemes())
	d.put(tag.FrameOfReferenceUID, s.source.FrameOfReferenceUID)
	d.put(tag.PositionReferenceIndicator, s.source.PositionReference)
	d.putAll(s.imageModules())
	var items []*dataset
	for n, g := range s.segments {
		items = append(items, c.segmentItem(n+1, g))
	}
	d.put(tag.SegmentSequence, items)
	d.putAll(s.referencedSeries())
	d.putAll(s.dimensions(c.uid(s.role + "/dim")))
	d.put(tag.SharedFunctionalGroupsSequence, s.sharedGroups())
	d.put(tag.PerFrameFunctionalGroupsSequence, s.perFrameGroups())
	d.pixels(s.pack())
	data, err := d.encode()
	return Object{Role: s.role, SOPClassUID: ref.SOPClassUID, SOPInstanceUID: ref.SOPInstanceUID, StudyInstanceUID: ref.StudyInstanceUID,
		SeriesInstanceUID: ref.SeriesInstanceUID, Data: data, Withheld: s.withheld != "", Note: s.withheld}, err
}

func (s *segmentation) lesions() []lesion {
	var out []lesion
	for _, g := range s.segments {
		if !slices.Contains(out, g.lesion) {
			out = append(out, g.lesion)
		}
	}
	return out
}

// imageModules are General Image, Image Pixel and Segmentation Image (PS3.3 C.7.6.1, C.7.6.3, C.8.20.2).
func (s *segmentation) imageModules() *dataset {
	d := &dataset{}
	d.put(tag.ImageType, []string{"DERIVED", "PRIMARY"})
	d.put(tag.ContentLabel, "RFANODE")
	d.put(tag.ContentDescription, "Tumor, target and ablation zone")
	d.put(tag.ContentCreatorName, "RFANODE^Auto")
	d.put(tag.SamplesPerPixel, 1)
	d.put(tag.PhotometricInterpretation, "MONOCHROME2")
	d.put(tag.NumberOfFrames, strconv.Itoa(len(s.frames)))
	d.put(tag.Rows, s.source.Volume.Size[1])
	d.put(tag.Columns, s.source.Volume.Size[0])
	d.put(tag.BitsAllocated, 1)
	d.put(tag.BitsStored, 1)
	d.put(tag.HighBit, 0)
	d.put(tag.PixelRepresentation, 0)
	lossy := "00"
	if s.source.LossyCompression {
		lossy = "01"
	}
	d.put(tag.LossyImageCompression, lossy)
	d.put(tag.SegmentationType, "BINARY")
	d.put(tag.SegmentsOverlap, "YES")
	return d
}

// referencedSeries is the Common Instance Reference Module (PS3.3 C.12.2): the CT series with all instances used.
func (s *segmentation) referencedSeries() *dataset {
	var instances []*dataset
	for _, i := range objectsOf(s.source) {
		instances = append(instances, referencedSOP(Reference{SOPClassUID: i.SOPClassUID, SOPInstanceUID: i.SOPInstanceUID}))
	}
	series := &dataset{}
	series.put(tag.SeriesInstanceUID, s.source.SeriesInstanceUID)
	series.put(tag.ReferencedInstanceSequence, instances)
	d := &dataset{}
	d.put(tag.ReferencedSeriesSequence, series)
	return d
}

// dimensions is the Multi-frame Dimension Module (PS3.3 C.7.6.17): segment, then position.
func (s *segmentation) dimensions(uid string) *dataset {
	organization := &dataset{}
	organization.put(tag.DimensionOrganizationUID, uid)
	index := func(pointer, group tag.Tag, label string) *dataset {
		i := &dataset{}
		i.put(tag.DimensionOrganizationUID, uid)
		i.put(tag.DimensionIndexPointer, []int{int(pointer.Group), int(pointer.Element)})
		i.put(tag.FunctionalGroupPointer, []int{int(group.Group), int(group.Element)})
		i.put(tag.DimensionDescriptionLabel, label)
		return i
	}
	d := &dataset{}
	d.put(tag.DimensionOrganizationSequence, organization)
	d.put(tag.DimensionIndexSequence, []*dataset{
		index(tag.ReferencedSegmentNumber, tag.SegmentIdentificationSequence, "Segment Number"),
		index(tag.ImagePositionPatient, tag.PlanePositionSequence, "Image Position Patient"),
	})
	return d
}

// sharedGroups are the functional groups all frames share (PS3.3 C.7.6.16.2).
func (s *segmentation) sharedGroups() *dataset {
	g := s.source.Volume.Geometry
	orientation := &dataset{}
	orientation.put(tag.ImageOrientationPatient, decimals(append(g.Direction[0][:], g.Direction[1][:]...)...))
	thickness := s.source.SliceThickness
	if thickness <= 0 {
		thickness = g.Spacing[2]
	}
	measures := &dataset{}
	measures.put(tag.SliceThickness, decimals(thickness))
	measures.put(tag.SpacingBetweenSlices, decimals(g.Spacing[2]))
	measures.put(tag.PixelSpacing, decimals(g.Spacing[1], g.Spacing[0])) // between rows, between columns
	d := &dataset{}
	d.put(tag.PlaneOrientationSequence, orientation)
	d.put(tag.PixelMeasuresSequence, measures)
	return d
}

// perFrameGroups place each frame: segment, dimension indices, position, and the CT slice it was drawn on, without which
// viewers do not attach the overlay.
func (s *segmentation) perFrameGroups() []*dataset {
	rank := s.planeRanks()
	items := make([]*dataset, 0, len(s.frames))
	for _, f := range s.frames {
		identification := &dataset{}
		identification.put(tag.ReferencedSegmentNumber, f.segment)
		content := &dataset{}
		content.put(tag.DimensionIndexValues, []int{f.segment, rank[f.k]})
		position := &dataset{}
		p := s.source.Volume.Point([3]float64{0, 0, float64(f.k)})
		position.put(tag.ImagePositionPatient, decimals(p[:]...))
		instance := s.source.Instances[f.k]
		source := referencedSOP(Reference{SOPClassUID: instance.SOPClassUID, SOPInstanceUID: instance.SOPInstanceUID})
		if instance.Frame > 0 {
			source.put(tag.ReferencedFrameNumber, strconv.Itoa(instance.Frame))
		}
		source.put(tag.PurposeOfReferenceCodeSequence, codeSourceImage)
		source.put(tag.SpatialLocationsPreserved, "YES")
		derivation := &dataset{}
		derivation.put(tag.DerivationCodeSequence, codeSegmentationDerived)
		derivation.put(tag.SourceImageSequence, source)
		d := &dataset{}
		d.put(tag.SegmentIdentificationSequence, identification)
		d.put(tag.FrameContentSequence, content)
		d.put(tag.PlanePositionSequence, position)
		d.put(tag.DerivationImageSequence, derivation)
		items = append(items, d)
	}
	return items
}

// planeRanks numbers the planes that occur, from 1 along the stack.
func (s *segmentation) planeRanks() map[int]int {
	var ks []int
	for _, f := range s.frames {
		ks = append(ks, f.k)
	}
	slices.Sort(ks)
	rank := map[int]int{}
	for i, k := range slices.Compact(ks) {
		rank[k] = i + 1
	}
	return rank
}

// pack writes the frames one bit a pixel, least significant bit first, without padding between frames (PS3.5 8.1.1,
// annex D).
func (s *segmentation) pack() []byte {
	plane := s.source.Volume.Size[0] * s.source.Volume.Size[1]
	out := make([]byte, (plane*len(s.frames)+7)/8)
	bit := 0
	for _, f := range s.frames {
		for _, v := range s.segments[f.segment-1].s.Mask.Data[f.k*plane : (f.k+1)*plane] {
			out[bit>>3] |= v & 1 << (bit & 7)
			bit++
		}
	}
	return out
}
