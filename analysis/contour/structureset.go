package contour

import (
	"math"
	"strings"

	"github.com/suyashkumar/dicom/pkg/tag"

	"rfanode/analysis/volume"
)

// readStructureSet reads an RT Structure Set: Structure Set Module (PS3.3 C.8.8.5), ROI Contour Module (C.8.8.6), RT ROI
// Observations Module (C.8.8.8).
func (c *Contour) readStructureSet(f fields) error {
	c.Label = f.text(tag.StructureSetLabel)
	c.readReferencedFrames(f)
	index := map[int]int{} // ROI Number → position in Structures
	for _, i := range f.items(tag.StructureSetROISequence) {
		n, ok := i.int(tag.ROINumber)
		if _, twice := index[n]; !ok || twice || len(index) >= maxStructures {
			return fault(Unreadable, "the numbers of its regions are missing, repeated, or more than %d", maxStructures)
		}
		index[n] = len(c.Structures)
		c.Structures = append(c.Structures, Structure{Number: n, Label: i.text(tag.ROIName), Description: i.text(tag.ROIDescription),
			Algorithm: i.text(tag.ROIGenerationAlgorithm), FrameOfReferenceUID: firstOf(i.text(tag.ReferencedFrameOfReferenceUID), c.FrameOfReferenceUID)})
	}
	for _, i := range f.items(tag.ROIContourSequence) {
		n, ok := i.int(tag.ReferencedROINumber)
		at, known := index[n]
		if !ok || !known {
			return fault(Unreadable, "it has contours of a region %d that it does not describe", n)
		}
		if err := c.Structures[at].readContours(i.items(tag.ContourSequence)); err != nil {
			return err
		}
	}
	for _, i := range f.items(tag.RTROIObservationsSequence) {
		n, _ := i.int(tag.ReferencedROINumber)
		at, known := index[n]
		if !known {
			continue
		}
		s := &c.Structures[at]
		s.Type = i.code(tag.RTROIIdentificationCodeSequence)
		if kind := i.text(tag.RTROIInterpretedType); s.Type.Value == "" && kind != "" {
			s.Type = Code{Value: kind, Meaning: kind} // GTV, CTV, PTV, ORGAN …
		}
		s.Description = firstOf(s.Description, i.text(tag.ROIObservationLabel))
		s.Maker = i.text(tag.ROIInterpreter)
	}
	return nil
}

// readReferencedFrames lists what the structure set was drawn on.
func (c *Contour) readReferencedFrames(f fields) {
	var series, instances, frames set
	for _, fr := range f.items(tag.ReferencedFrameOfReferenceSequence) {
		frames.add(fr.text(tag.FrameOfReferenceUID))
		for _, study := range fr.items(tag.RTReferencedStudySequence) {
			for _, s := range study.items(tag.RTReferencedSeriesSequence) {
				series.add(s.text(tag.SeriesInstanceUID))
				for _, i := range s.items(tag.ContourImageSequence) {
					instances.add(i.text(tag.ReferencedSOPInstanceUID))
				}
			}
		}
	}
	c.Series, c.Instances = series.all, instances.all
	if c.FrameOfReferenceUID == "" && len(frames.all) == 1 {
		c.FrameOfReferenceUID = frames.all[0]
	}
}

// readContours takes the contours of one region. Closed planar ones enclose it; of what is open, a line for a distance
// or a curve, the centre is kept as a point.
func (s *Structure) readContours(items []fields) error {
	var closed polygons
	drawnOn := set{}
	for _, uid := range s.Instances {
		drawnOn.add(uid)
	}
	for n, i := range items {
		for _, image := range i.items(tag.ContourImageSequence) {
			drawnOn.add(image.text(tag.ReferencedSOPInstanceUID))
		}
		x, ok := i.numbers(tag.ContourData, -1)
		if !ok || len(x)%3 != 0 {
			return fault(Unreadable, "contour %d of region %d: its coordinates are no finite numbers in threes", n+1, s.Number)
		}
		points := make([]volume.Vec, 0, len(x)/3)
		for ; len(x) > 0; x = x[3:] {
			points = append(points, volume.Vec(x[:3]))
		}
		switch kind := i.text(tag.ContourGeometricType); {
		case len(points) == 0:
		case strings.HasPrefix(kind, "CLOSED"): // CLOSED_PLANAR, CLOSEDPLANAR_XOR
			if len(points) >= 3 {
				closed = append(closed, points)
			}
		case kind == "POINT" || strings.HasPrefix(kind, "OPEN"):
			s.points = append(s.points, somewhere{point: centreOf(points)})
		default:
			return fault(Unsupported, "contour %d of region %d is of the kind %q", n+1, s.Number, kind)
		}
	}
	s.Instances = drawnOn.all
	if len(closed) > 0 {
		s.shape = closed
	}
	return nil
}

func centreOf(points []volume.Vec) (c volume.Vec) {
	for _, p := range points {
		for a := range 3 {
			c[a] += p[a] / float64(len(points))
		}
	}
	return c
}

// polygons are closed planar contours, LPS mm. What an odd number of them encloses in a plane is inside: a hole is a
// contour within a contour, or is joined to the outer one by a channel without width (keyhole, C.8.8.6.3).
type polygons [][]volume.Vec

// flatMM is how far the points of a contour may lie off a plane: coordinates are often rounded to 0.1 mm.
const flatMM = 0.25

func (p polygons) on(g volume.Geometry) (*volume.Mask, float64, bool, error) {
	if p.flat(g) {
		return p.inSlices(g)
	}
	own, err := p.ownGrid(g)
	if err != nil {
		return nil, 0, false, err
	}
	src, _, all, err := p.inSlices(own)
	if err != nil || !all {
		return volume.NewMask(g), 0, false, err
	}
	if lo, hi, ok := src.Bounds(); ok { // with room, so that the surface is inside of the grid
		padded, err := roomFor(src.Geometry, lo, hi)
		if err != nil {
			return nil, 0, false, err
		}
		part := src.Crop(lo, hi)
		padded.Paste(part, [3]int{room, room, room})
		src = padded
	}
	return carried(src, g), outsideOf(src, g), true, nil
}

// flat says whether every contour lies in one plane along the slices of a grid.
func (p polygons) flat(g volume.Geometry) bool {
	for _, points := range p {
		lo, hi := math.Inf(1), math.Inf(-1)
		for _, q := range points {
			z := dot(q, g.Direction[2])
			lo, hi = min(lo, z), max(hi, z)
		}
		if hi-lo > flatMM {
			return false
		}
	}
	return true
}

// ownGrid is a grid along the planes of contours that were drawn in another direction than the slices of g.
func (p polygons) ownGrid(g volume.Geometry) (volume.Geometry, error) {
	var normal volume.Vec // of the contour with the largest area (Newell's sum)
	for _, points := range p {
		var n volume.Vec
		for i := range points {
			c := cross(sub(points[i], points[0]), sub(points[(i+1)%len(points)], points[0]))
			for a := range 3 {
				n[a] += c[a]
			}
		}
		if dot(n, n) > dot(normal, normal) {
			normal = n
		}
	}
	l := math.Sqrt(dot(normal, normal))
	if !(l > 0) {
		return g, fault(Empty, "its contours enclose no area")
	}
	for a := range 3 {
		normal[a] /= l
	}
	row := g.Direction[0]
	if math.Abs(dot(row, normal)) > 0.9 {
		row = g.Direction[1]
	}
	along := dot(row, normal)
	for a := range 3 {
		row[a] -= along * normal[a]
	}
	l = math.Sqrt(dot(row, row))
	for a := range 3 {
		row[a] /= l
	}
	own := volume.Geometry{Direction: [3]volume.Vec{row, cross(normal, row), normal}}
	if !p.flat(own) {
		return g, fault(Unsupported, "its contours lie in planes of several directions")
	}
	pixel := min(g.Spacing[0], g.Spacing[1])
	var at []float64
	lo, hi := volume.Vec{math.Inf(1), math.Inf(1), math.Inf(1)}, volume.Vec{math.Inf(-1), math.Inf(-1), math.Inf(-1)}
	for _, points := range p {
		at = append(at, dot(points[0], normal))
		for _, q := range points {
			for a := range 3 {
				x := dot(q, own.Direction[a])
				lo[a], hi[a] = min(lo[a], x), max(hi[a], x)
			}
		}
	}
	step := usualGap(at, pixel)
	own.Spacing = [3]float64{pixel, pixel, step}
	voxels := 1.0
	for a := range 3 {
		n := math.Ceil((hi[a]-lo[a])/own.Spacing[a]) + 3
		if voxels *= n; voxels > maxSourceVoxels {
			return g, fault(Unsupported, "its contours span more than %d million voxels", maxSourceVoxels>>20)
		}
		own.Size[a] = int(n)
		for c := range 3 {
			own.Origin[c] += own.Direction[a][c] * (lo[a] - own.Spacing[a])
		}
	}
	return own, nil
}

// usualGap is the median distance of planes, mm; otherwise if there is only one.
func usualGap(at []float64, otherwise float64) float64 {
	var apart []float64
	for _, d := range gaps(at) {
		if d > samePlaneMM {
			apart = append(apart, d)
		}
	}
	if len(apart) == 0 {
		return otherwise
	}
	gaps(apart) // sorts
	return apart[len(apart)/2]
}
