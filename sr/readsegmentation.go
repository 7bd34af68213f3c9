package sr

import (
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/suyashkumar/dicom/pkg/tag"

	"rfanode/analysis/volume"
)

// Segmentation is a segmentation as read back from its DICOM object.
type Segmentation struct {
	ObjectHeader
	Segments     []Segment
	SourceSeries string   // SeriesInstanceUID of the CT
	Sources      []string // SOP Instance UIDs of the CT slices referenced
}

// Segment is one segment and its voxels.
type Segment struct {
	Number                  int
	Label                   string
	Category, Property      Code
	TrackingID, TrackingUID string
	CIELab                  []int
	// Mask spans the planes from the first to the last that any segment uses; On puts it on the grid of the whole CT.
	Mask *volume.Mask
}

// On places the segment on a grid that contains its planes, such as that of the CT.
func (s Segment) On(g volume.Geometry) (*volume.Mask, error) {
	m := s.Mask
	shift := g.Index(m.Origin)
	k0 := math.Round(shift[2])
	part := g
	part.Origin, part.Size[2] = g.Point(volume.Vec{0, 0, k0}), m.Size[2]
	if k0 < 0 || int(k0)+m.Size[2] > g.Size[2] || !part.Same(m.Geometry) {
		return nil, errors.New("the segment's planes are no planes of this grid")
	}
	out := volume.NewMask(g)
	copy(out.Data[int(k0)*g.Size[0]*g.Size[1]:], m.Data)
	return out, nil
}

// maxSegmentVoxels bounds the masks that ReadSegmentation makes: 16 segments of 512 × 512 × 256.
const maxSegmentVoxels = 1 << 30

// ReadSegmentation reads a segmentation that Build wrote: BINARY, one orientation and spacing, planes of one stack.
func ReadSegmentation(data []byte) (*Segmentation, error) {
	f, err := parse(data)
	if err != nil {
		return nil, err
	}
	if c := f.text(tag.SOPClassUID); c != SegmentationStorage || f.text(tag.SegmentationType) != "BINARY" {
		return nil, fmt.Errorf("SOP class %q, type %q: no binary segmentation", c, f.text(tag.SegmentationType))
	}
	s := &Segmentation{ObjectHeader: f.header()}
	series := f.first(tag.ReferencedSeriesSequence)
	s.SourceSeries = series.text(tag.SeriesInstanceUID)
	for _, i := range series.items(tag.ReferencedInstanceSequence) {
		s.Sources = append(s.Sources, i.text(tag.ReferencedSOPInstanceUID))
	}
	for n, i := range f.items(tag.SegmentSequence) {
		g := Segment{Number: i.int(tag.SegmentNumber), Label: i.text(tag.SegmentLabel),
			Category: i.code(tag.SegmentedPropertyCategoryCodeSequence), Property: i.code(tag.SegmentedPropertyTypeCodeSequence),
			TrackingID: i.text(tag.TrackingID), TrackingUID: i.text(tag.TrackingUID), CIELab: i.ints(tag.RecommendedDisplayCIELabValue)}
		if g.Number != n+1 {
			return nil, fmt.Errorf("segment %d carries number %d", n+1, g.Number)
		}
		s.Segments = append(s.Segments, g)
	}
	return s, s.readFrames(f)
}

// readFrames unpacks the frames into masks.
func (s *Segmentation) readFrames(f fields) error {
	frames := f.items(tag.PerFrameFunctionalGroupsSequence)
	g, err := planeGeometry(f)
	if err != nil {
		return err
	}
	if len(frames) == 0 || len(s.Segments) == 0 {
		return errors.New("no frames or no segments")
	}
	ks := make([]int, len(frames))
	first, last := 0, 0
	for n, fr := range frames {
		p, err := numbers(fr.first(tag.PlanePositionSequence).strings(tag.ImagePositionPatient), 3)
		if err != nil {
			return fmt.Errorf("position of frame %d: %w", n+1, err)
		}
		if n == 0 {
			g.Origin = volume.Vec(p)
		}
		if ks[n], err = planeNumber(g.Index(volume.Vec(p))); err != nil {
			return fmt.Errorf("frame %d: %w", n+1, err)
		}
		first, last = min(first, ks[n]), max(last, ks[n])
	}
	plane := g.Size[0] * g.Size[1]
	depth := last - first + 1
	bits := f.pixelData()
	if plane == 0 || depth > maxSegmentVoxels/plane/len(s.Segments) || len(bits) < (plane*len(frames)+7)/8 {
		return fmt.Errorf("%d planes of %d pixels, %d frames in %d bytes: not what it declares", depth, plane, len(frames), len(bits))
	}
	g.Origin, g.Size[2] = g.Point(volume.Vec{0, 0, float64(first)}), depth
	for i := range s.Segments {
		s.Segments[i].Mask = volume.NewMask(g)
	}
	for n, fr := range frames {
		number := fr.first(tag.SegmentIdentificationSequence).int(tag.ReferencedSegmentNumber)
		if number < 1 || number > len(s.Segments) {
			return fmt.Errorf("frame %d belongs to segment %d of %d", n+1, number, len(s.Segments))
		}
		out := s.Segments[number-1].Mask.Data[(ks[n]-first)*plane:]
		for i := range plane {
			b := n*plane + i
			out[i] = bits[b>>3] >> (b & 7) & 1
		}
	}
	return nil
}

// maxPlanes is the number of planes a stack can have, far beyond any CT.
const maxPlanes = 1 << 16

// planeNumber is the plane of the stack that begins with the first frame, by the voxel index of a frame's origin.
func planeNumber(idx volume.Vec) (int, error) {
	k := math.Round(idx[2])
	if !(math.Abs(k) < maxPlanes && math.Abs(idx[2]-k) < 0.01 && math.Abs(idx[0]) < 0.01 && math.Abs(idx[1]) < 0.01) {
		return 0, fmt.Errorf("its position lies at index %v of the first frame's stack: no plane of it", idx)
	}
	return int(k), nil
}

// planeGeometry reads what the frames share; origin and number of planes are still open.
func planeGeometry(f fields) (volume.Geometry, error) {
	var g volume.Geometry
	shared := f.first(tag.SharedFunctionalGroupsSequence)
	o, err := numbers(shared.first(tag.PlaneOrientationSequence).strings(tag.ImageOrientationPatient), 6)
	if err != nil {
		return g, fmt.Errorf("orientation: %w", err)
	}
	measures := shared.first(tag.PixelMeasuresSequence)
	px, err := numbers(measures.strings(tag.PixelSpacing), 2)
	if err != nil {
		return g, fmt.Errorf("pixel spacing: %w", err)
	}
	dz, err := numbers(measures.strings(tag.SpacingBetweenSlices), 1)
	if err != nil {
		return g, fmt.Errorf("spacing between slices: %w", err)
	}
	if px[0] <= 0 || px[1] <= 0 || dz[0] <= 0 {
		return g, errors.New("a spacing is not positive")
	}
	g.Size = [3]int{f.int(tag.Columns), f.int(tag.Rows), 1}
	g.Spacing = [3]float64{px[1], px[0], dz[0]}
	r, c := volume.Vec(o[:3]), volume.Vec(o[3:])
	g.Direction = [3]volume.Vec{r, c, {r[1]*c[2] - r[2]*c[1], r[2]*c[0] - r[0]*c[2], r[0]*c[1] - r[1]*c[0]}}
	return g, nil
}

// numbers parses n decimal strings.
func numbers(s []string, n int) ([]float64, error) {
	if len(s) != n {
		return nil, fmt.Errorf("%d values instead of %d", len(s), n)
	}
	out := make([]float64, n)
	for i, v := range s {
		x, err := strconv.ParseFloat(v, 64)
		if err != nil {
			return nil, err
		}
		out[i] = x
	}
	return out, nil
}
