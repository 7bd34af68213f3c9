package contour

import (
	"strings"

	"github.com/suyashkumar/dicom/pkg/tag"

	"rfanode/analysis/volume"
)

// readReport reads the coordinates of a structured report: SCOORD on an image and SCOORD3D in the patient (PS3.3
// C.18.6, C.18.9), wherever in the content tree they stand. Those of one measurement group of TID 1500 (PS3.16) are one
// structure; others belong to the item that they hang from. Items without coordinates are left out.
func (c *Contour) readReport(f fields) error {
	w := &reportWalk{c: c, root: f}
	c.readEvidence(f)
	w.children(f, nil)
	if w.err != nil {
		return w.err
	}
	for i := range w.groups {
		g := &w.groups[i]
		if len(g.points) == 0 {
			continue
		}
		var drawnOn set
		for _, p := range g.points {
			drawnOn.add(p.instance)
		}
		g.Number, g.Instances = len(c.Structures)+1, drawnOn.all
		c.Structures = append(c.Structures, *g)
	}
	return nil
}

// readEvidence lists what the report refers to (PS3.3 C.17.2).
func (c *Contour) readEvidence(f fields) {
	var series, instances set
	for _, t := range []tag.Tag{tag.CurrentRequestedProcedureEvidenceSequence, tag.PertinentOtherEvidenceSequence} {
		for _, study := range f.items(t) {
			for _, s := range study.items(tag.ReferencedSeriesSequence) {
				series.add(s.text(tag.SeriesInstanceUID))
				for _, i := range s.items(tag.ReferencedSOPSequence) {
					instances.add(i.text(tag.ReferencedSOPInstanceUID))
				}
			}
		}
	}
	c.Series, c.Instances = series.all, instances.all
}

// reportWalk goes through a content tree.
type reportWalk struct {
	c      *Contour
	root   fields
	groups []Structure
	err    error
}

// concept names that are looked for; where older reports use another code, both.
var (
	conceptGroup      = []string{"125007:DCM"}
	conceptTracking   = []string{"112039:DCM"}
	conceptFinding    = []string{"121071:DCM"}
	conceptSite       = []string{"363698007:SCT", "G-C0E3:SRT"}
	conceptComment    = []string{"121106:DCM"}
	conceptPerson     = []string{"121008:DCM"}
	conceptDeviceUID  = []string{"121012:DCM"}
	conceptDeviceName = []string{"121013:DCM", "121015:DCM"}
	conceptMaker      = []string{"121014:DCM"}
)

func is(concept Code, list []string) bool {
	for _, s := range list {
		if concept.Value+":"+concept.Scheme == s {
			return true
		}
	}
	return false
}

// children walks the items below one; group points at the structure they belong to, nil outside of any.
func (w *reportWalk) children(parent fields, group *int) {
	for _, item := range parent.items(tag.ContentSequence) {
		if w.err != nil {
			return
		}
		w.item(parent, item, group)
	}
}

func (w *reportWalk) item(parent, item fields, group *int) {
	concept := item.code(tag.ConceptNameCodeSequence)
	kind := item.text(tag.ValueType)
	switch {
	case is(concept, conceptGroup) && kind == "CONTAINER":
		group = w.newGroup(Structure{})
	case kind == "SCOORD" || kind == "SCOORD3D":
		if group == nil {
			owner := parent.code(tag.ConceptNameCodeSequence)
			group = w.newGroup(Structure{Label: firstOf(concept.Meaning, owner.Meaning)})
		}
		if group != nil {
			w.coordinates(item, kind, &w.groups[*group])
		}
	case group != nil:
		w.describe(concept, item, &w.groups[*group])
	default:
		w.observer(concept, item)
	}
	w.children(item, group)
}

func (w *reportWalk) newGroup(s Structure) *int {
	if len(w.groups) >= maxStructures {
		w.err = fault(Unsupported, "the report has more than %d groups of measurements", maxStructures)
		return nil
	}
	w.groups = append(w.groups, s)
	n := len(w.groups) - 1
	return &n
}

// describe takes what a group says of itself.
func (w *reportWalk) describe(concept Code, item fields, s *Structure) {
	switch {
	case is(concept, conceptTracking):
		s.Label = firstOf(s.Label, item.text(tag.TextValue))
	case is(concept, conceptFinding):
		s.Type = item.code(tag.ConceptCodeSequence)
	case is(concept, conceptSite):
		s.Site = item.code(tag.ConceptCodeSequence)
	case is(concept, conceptComment):
		s.Description = firstOf(s.Description, item.text(tag.TextValue))
	}
}

// observer takes who made the report (TID 1002 of PS3.16).
func (w *reportWalk) observer(concept Code, item fields) {
	m := &w.c.Maker
	switch {
	case is(concept, conceptPerson):
		m.Creator = firstOf(m.Creator, item.text(tag.PersonName))
	case is(concept, conceptDeviceUID):
		m.DeviceUID = firstOf(m.DeviceUID, item.text(tag.UID))
	case is(concept, conceptDeviceName):
		m.Model = firstOf(m.Model, item.text(tag.TextValue))
	case is(concept, conceptMaker):
		m.Manufacturer = firstOf(m.Manufacturer, item.text(tag.TextValue))
	}
}

// coordinates adds the centre of a graphic to a structure.
func (w *reportWalk) coordinates(item fields, kind string, s *Structure) {
	dimensions, instance, frame := 3, "", 0
	if kind == "SCOORD" {
		dimensions = 2
		if instance, frame = w.imageOf(item); instance == "" {
			w.err = fault(Unsupported, "the report marks a place on an image that it does not name")
			return
		}
	} else {
		space := item.text(tag.ReferencedFrameOfReferenceUID)
		if s.FrameOfReferenceUID != "" && s.FrameOfReferenceUID != space {
			w.err = fault(Unsupported, "one group of measurements of the report lies in several frames of reference")
			return
		}
		s.FrameOfReferenceUID = space
	}
	x, ok := item.numbers(tag.GraphicData, -1)
	if !ok || len(x) == 0 || len(x)%dimensions != 0 {
		w.err = fault(Unreadable, "coordinates in the report are no finite numbers in groups of %d", dimensions)
		return
	}
	points := make([]volume.Vec, len(x)/dimensions)
	for i := range points {
		copy(points[i][:], x[i*dimensions:][:dimensions])
	}
	graphic := strings.ToUpper(item.text(tag.GraphicType))
	switch {
	case graphic == "CIRCLE": // its centre, and a point on it
		points = points[:1]
	case len(points) > 1 && points[0] == points[len(points)-1]: // closed: the first point counts once
		points = points[:len(points)-1]
	}
	s.points = append(s.points, somewhere{point: centreOf(points), instance: instance, frame: frame})
}

// imageOf is the SOP Instance UID of the image that coordinates were selected from, stated below them or by reference,
// and its frame.
func (w *reportWalk) imageOf(item fields) (uid string, frame int) {
	for _, child := range item.items(tag.ContentSequence) {
		if path := child.ints(tag.ReferencedContentItemIdentifier); len(path) > 0 {
			child = w.referenced(path)
		}
		image := child.first(tag.ReferencedSOPSequence)
		if uid := image.text(tag.ReferencedSOPInstanceUID); uid != "" && child.text(tag.ValueType) == "IMAGE" {
			frame, _ := image.int(tag.ReferencedFrameNumber)
			return uid, frame
		}
	}
	return "", 0
}

// referenced follows a content item identifier: 1 is the root, then positions in its Content Sequences (PS3.3 C.18.2).
func (w *reportWalk) referenced(path []int) fields {
	at := w.root
	for n, i := range path {
		if n == 0 {
			continue
		}
		items := at.items(tag.ContentSequence)
		if i < 1 || i > len(items) {
			return fields{}
		}
		at = items[i-1]
	}
	return at
}
