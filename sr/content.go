package sr

import (
	"github.com/suyashkumar/dicom/pkg/tag"
)

// Relationship types and value types of content items (PS3.3 C.17.3).
const (
	relContains   = "CONTAINS"
	relConceptMod = "HAS CONCEPT MOD"
	relObsContext = "HAS OBS CONTEXT"
	relAcqContext = "HAS ACQ CONTEXT"

	valueContainer = "CONTAINER"
	valueCode      = "CODE"
	valueText      = "TEXT"
	valueNum       = "NUM"
	valueUIDRef    = "UIDREF"
	valueImage     = "IMAGE"
)

// item is one content item of an SR tree (PS3.3 C.17.3); only the fields of its value type are used.
type item struct {
	relation  string // to its parent; empty at the root
	valueType string
	concept   Code
	template  string // TID of a container
	code      Code   // CODE; the unit of a NUM
	text      string // TEXT, UIDREF; the number of a NUM, as DS
	ref       Reference
	segment   int // Referenced Segment Number of an IMAGE, 0: none
	children  []*item
}

func container(relation string, concept Code, template string, children ...*item) *item {
	return &item{relation: relation, valueType: valueContainer, concept: concept, template: template, children: children}
}

func coded(relation string, concept, value Code, children ...*item) *item {
	return &item{relation: relation, valueType: valueCode, concept: concept, code: value, children: children}
}

func text(relation string, concept Code, value string) *item {
	return &item{relation: relation, valueType: valueText, concept: concept, text: value}
}

func uidRef(relation string, concept Code, uid string) *item {
	return &item{relation: relation, valueType: valueUIDRef, concept: concept, text: uid}
}

func imageRef(relation string, concept Code, ref Reference, segment int, children ...*item) *item {
	return &item{relation: relation, valueType: valueImage, concept: concept, ref: ref, segment: segment, children: children}
}

// num is a NUM item; ds is the number as it is to be written.
func num(relation string, concept Code, ds string, unit Code, children ...*item) *item {
	return &item{relation: relation, valueType: valueNum, concept: concept, text: ds, code: unit, children: children}
}

// dataset encodes the item and its children.
func (i *item) dataset() *dataset {
	d := &dataset{}
	putIf(d, tag.RelationshipType, i.relation)
	d.put(tag.ValueType, i.valueType)
	d.put(tag.ConceptNameCodeSequence, i.concept)
	switch i.valueType {
	case valueContainer:
		d.put(tag.ContinuityOfContent, "CONTINUOUS")
		if i.template != "" {
			t := &dataset{}
			t.put(tag.MappingResource, "DCMR")
			t.put(tag.TemplateIdentifier, i.template)
			d.put(tag.ContentTemplateSequence, t)
		}
	case valueCode:
		d.put(tag.ConceptCodeSequence, i.code)
	case valueText:
		d.put(tag.TextValue, i.text)
	case valueUIDRef:
		d.put(tag.UID, i.text)
	case valueNum:
		v := &dataset{}
		v.put(tag.MeasurementUnitsCodeSequence, i.code)
		v.put(tag.NumericValue, i.text)
		d.put(tag.MeasuredValueSequence, v)
	case valueImage:
		r := referencedSOP(i.ref)
		if i.segment > 0 {
			r.put(tag.ReferencedSegmentNumber, i.segment)
		}
		d.put(tag.ReferencedSOPSequence, r)
	}
	if len(i.children) > 0 {
		var children []*dataset
		for _, c := range i.children {
			children = append(children, c.dataset())
		}
		d.put(tag.ContentSequence, children)
	}
	return d
}
