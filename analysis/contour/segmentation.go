package contour

import (
	"encoding/binary"
	"io"
	"math"

	"github.com/suyashkumar/dicom/pkg/tag"

	"rfanode/analysis/ct/codec"
	"rfanode/analysis/volume"
	"rfanode/dimse"
)

// readSegmentation reads a segmentation: its segments, and for each frame where it lies and whose it is. The voxels stay
// packed until a segment is asked for.
func (c *Contour) readSegmentation(f fields, e encoded) error {
	c.readReferences(f)
	px, err := newPixels(f, e)
	if err != nil {
		return err
	}
	index := map[int]int{} // Segment Number → position in Structures
	for _, i := range f.items(tag.SegmentSequence) {
		n, ok := i.int(tag.SegmentNumber)
		if _, twice := index[n]; !ok || twice || n < 0 || len(index) >= maxStructures {
			return fault(Unreadable, "the numbers of its segments are missing, repeated, or more than %d", maxStructures)
		}
		index[n] = len(c.Structures)
		c.Structures = append(c.Structures, Structure{
			Number: n, Label: i.text(tag.SegmentLabel), Description: i.text(tag.SegmentDescription),
			Category: i.code(tag.SegmentedPropertyCategoryCodeSequence), Type: i.code(tag.SegmentedPropertyTypeCodeSequence),
			Algorithm: i.text(tag.SegmentAlgorithmType), Maker: i.text(tag.SegmentAlgorithmName),
			FrameOfReferenceUID: c.FrameOfReferenceUID,
		})
	}
	frames, err := c.readFrames(f, px, index)
	if err != nil {
		return err
	}
	step := stepOf(frames)
	own := make([]*raster, len(c.Structures))
	drawnOn := make([]set, len(c.Structures))
	for n, i := range index {
		own[i] = &raster{pixels: px, step: step, value: n}
	}
	for _, fr := range frames {
		if i := fr.segment; i >= 0 {
			own[i].frames = append(own[i].frames, fr)
			for _, uid := range fr.instances {
				drawnOn[i].add(uid)
			}
		}
	}
	for i, r := range own {
		if px.labels {
			r.frames = frames
		}
		c.Structures[i].shape, c.Structures[i].Instances = r, drawnOn[i].all
	}
	return nil
}

// readReferences lists the series and instances that the object names: Common Instance Reference (PS3.3 C.12.2).
func (c *Contour) readReferences(f fields) {
	var series, instances set
	groups := f.items(tag.ReferencedSeriesSequence)
	for _, study := range f.items(tag.StudiesContainingOtherReferencedInstancesSequence) {
		groups = append(groups, study.items(tag.ReferencedSeriesSequence)...)
	}
	for _, s := range groups {
		series.add(s.text(tag.SeriesInstanceUID))
		for _, i := range s.items(tag.ReferencedInstanceSequence) {
			instances.add(i.text(tag.ReferencedSOPInstanceUID))
		}
	}
	for _, i := range f.items(tag.SourceImageSequence) {
		instances.add(i.text(tag.ReferencedSOPInstanceUID))
	}
	c.Series, c.Instances = series.all, instances.all
}

// pixels are the packed frames.
type pixels struct {
	columns, rows int
	frames        int
	bits          int // 1, 8 or 16 a pixel
	labels        bool
	half          int // the value from which on a pixel belongs to a segment; of label maps: unused
	data          []byte
}

// encoded is where the pixel data of an object lie.
type encoded struct {
	syntax    string
	r         io.ReaderAt
	size      int64
	offset    int64
	fragments int // 0: not compressed
}

// maxPixels of a frame: 16 times the largest CT.
const maxPixels = 1 << 26

func newPixels(f fields, e encoded) (*pixels, error) {
	p := &pixels{half: 1}
	var ok [4]bool
	p.columns, ok[0] = f.int(tag.Columns)
	p.rows, ok[1] = f.int(tag.Rows)
	p.frames, ok[2] = f.int(tag.NumberOfFrames)
	p.bits, ok[3] = f.int(tag.BitsAllocated)
	if ok != [4]bool{true, true, true, true} || p.columns < 1 || p.rows < 1 || p.columns > math.MaxUint16 || p.rows > math.MaxUint16 || p.frames < 1 {
		return nil, fault(Unreadable, "it declares no image size, no frames, or impossible ones")
	}
	switch kind := f.text(tag.SegmentationType); {
	case kind == "BINARY" && p.bits == 1:
	case kind == "FRACTIONAL" && p.bits == 8:
		most, stated := f.int(tag.MaximumFractionalValue)
		if !stated || most < 1 || most > 255 {
			most = 255
		}
		p.half = (most + 1) / 2
	case kind == "LABELMAP" && (p.bits == 8 || p.bits == 16):
		p.labels = true
	default:
		return nil, fault(Unsupported, "a segmentation of type %q with %d bits a pixel is not read", kind, p.bits)
	}
	if e.syntax == dimse.ExplicitVRBigEndian && p.bits != 8 {
		return nil, fault(Unsupported, "segmentations in Explicit VR Big Endian are not read")
	}
	plane := int64(p.columns) * int64(p.rows) // below 2^32, and so is the number of frames: no overflow
	if p.frames > math.MaxInt32 || plane > maxPixels {
		return nil, fault(Unsupported, "it declares %d frames of %d × %d pixels", p.frames, p.columns, p.rows)
	}
	want := (plane*int64(p.frames)*int64(p.bits) + 7) / 8
	if e.fragments > 0 {
		return p, p.decode(e, want)
	}
	p.data = f.pixelData()
	if int64(len(p.data)) < want {
		return nil, fault(Unreadable, "%d frames of %d × %d pixels do not fit into its %d bytes of pixel data", p.frames, p.columns, p.rows, len(p.data))
	}
	return p, nil
}

// decode unpacks compressed frames.
func (p *pixels) decode(e encoded, bytes int64) error {
	if p.bits == 1 || !codec.CanDecode(e.syntax) {
		return fault(Unsupported, "a segmentation with %d bits a pixel in the transfer syntax %s is not read", p.bits, e.syntax)
	}
	if bytes > maxFile || p.frames > e.fragments {
		return fault(Unreadable, "%d frames of %d × %d pixels in %d fragments: impossible, or more than %d MiB", p.frames, p.columns, p.rows, e.fragments, maxFile>>20)
	}
	fragments, err := codec.ReadFragments(e.r, e.offset, e.size)
	if err != nil {
		return fault(Unreadable, "its compressed pixel data: %v", err)
	}
	cells := make([]uint16, p.columns*p.rows)
	for n := range p.frames {
		frame, err := fragments.Frame(n, p.frames)
		if err == nil {
			err = codec.Decode(e.syntax, frame, codec.Format{Rows: p.rows, Columns: p.columns, BitsAllocated: p.bits}, cells)
		}
		if err != nil {
			return fault(Unreadable, "frame %d: %v", n+1, err)
		}
		for _, x := range cells {
			if p.bits == 8 {
				p.data = append(p.data, byte(x))
			} else {
				p.data = binary.LittleEndian.AppendUint16(p.data, x)
			}
		}
	}
	return nil
}

// set says whether pixel n of the whole object belongs to the segment with the number value.
func (p *pixels) set(n, value int) bool {
	switch {
	case p.bits == 1:
		return p.data[n>>3]>>(n&7)&1 != 0
	case p.bits == 16:
		return int(binary.LittleEndian.Uint16(p.data[2*n:])) == value
	case p.labels:
		return int(p.data[n]) == value
	}
	return int(p.data[n]) >= p.half
}

// segmentFrame is where one frame lies.
type segmentFrame struct {
	segment   int // position in Structures; −1: of all, in a label map
	number    int // of the frame, from 0
	origin    volume.Vec
	row, col  volume.Vec // unit vectors along a row and down a column
	spacing   [2]float64 // of columns and of rows, mm
	between   float64    // slices, as stated; 0: not stated
	thickness float64
	instances []string
}

// readFrames reads the functional groups (PS3.3 C.7.6.16), each of which may stand once for all frames or in each.
func (c *Contour) readFrames(f fields, px *pixels, index map[int]int) ([]segmentFrame, error) {
	shared := f.first(tag.SharedFunctionalGroupsSequence)
	items := f.items(tag.PerFrameFunctionalGroupsSequence)
	if len(items) != px.frames {
		return nil, fault(Unreadable, "it declares %d frames and describes %d", px.frames, len(items))
	}
	frames := make([]segmentFrame, len(items))
	for n, item := range items {
		group := func(t tag.Tag) fields {
			if g := item.first(t); len(g) > 0 {
				return g
			}
			return shared.first(t)
		}
		fr := &frames[n]
		fr.segment, fr.number = -1, n
		if !px.labels {
			number, ok := group(tag.SegmentIdentificationSequence).int(tag.ReferencedSegmentNumber)
			i, known := index[number]
			if !ok || !known {
				return nil, fault(Unreadable, "frame %d belongs to no segment that it describes", n+1)
			}
			fr.segment = i
		}
		if !fr.place(group(tag.PlanePositionSequence), group(tag.PlaneOrientationSequence), group(tag.PixelMeasuresSequence)) {
			return nil, fault(Unreadable, "frame %d has no usable position, orientation or pixel spacing: it cannot be placed in the patient", n+1)
		}
		for _, d := range item.items(tag.DerivationImageSequence) {
			for _, s := range d.items(tag.SourceImageSequence) {
				fr.instances = append(fr.instances, s.text(tag.ReferencedSOPInstanceUID))
			}
		}
	}
	return frames, nil
}

// place takes the plane of a frame (PS3.3 C.7.6.16.2.1, .3 and .4); false if it is no plane.
func (fr *segmentFrame) place(position, orientation, measures fields) bool {
	p, ok1 := position.numbers(tag.ImagePositionPatient, 3)
	o, ok2 := orientation.numbers(tag.ImageOrientationPatient, 6)
	s, ok3 := measures.numbers(tag.PixelSpacing, 2)
	if !ok1 || !ok2 || !ok3 || !(s[0] > 1e-3 && s[1] > 1e-3) {
		return false
	}
	fr.origin, fr.row, fr.col = volume.Vec(p), volume.Vec(o[:3]), volume.Vec(o[3:])
	fr.spacing = [2]float64{s[1], s[0]}
	if b, ok := measures.numbers(tag.SpacingBetweenSlices, 1); ok {
		fr.between = math.Abs(b[0])
	}
	if t, ok := measures.numbers(tag.SliceThickness, 1); ok {
		fr.thickness = math.Abs(t[0])
	}
	return unit(&fr.row) && unit(&fr.col) && math.Abs(dot(fr.row, fr.col)) < sameAxis
}

func (fr segmentFrame) normal() volume.Vec { return cross(fr.row, fr.col) }

// stepOf is the distance of the planes of a segmentation, mm: as stated if the planes lie at multiples of it, else their
// smallest distance, else the thickness; 0 if nothing tells.
func stepOf(frames []segmentFrame) float64 {
	if len(frames) == 0 {
		return 0
	}
	first := frames[0]
	smallest, fits := math.Inf(1), first.between > 0
	n := first.normal()
	seen := map[int64]bool{}
	var at []float64
	for _, fr := range frames {
		x := dot(sub(fr.origin, first.origin), n)
		if key := int64(math.Round(x * 1000)); !seen[key] {
			seen[key] = true
			at = append(at, x)
		}
		if fits {
			k := x / first.between
			fits = math.Abs(k-math.Round(k)) < 0.05
		}
	}
	for _, d := range gaps(at) {
		if d > 0.01 {
			smallest = min(smallest, d)
		}
	}
	switch {
	case fits:
		return first.between
	case !math.IsInf(smallest, 1):
		return smallest
	case first.between > 0:
		return first.between
	}
	return first.thickness
}
