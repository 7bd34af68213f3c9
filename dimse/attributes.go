package dimse

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Attributes is a small data set in memory, in ascending order of tags: the identifier of a query, the information of
// an action or an event. Images never are.
type Attributes []Attribute

// Attribute is one element of Attributes.
type Attribute struct {
	Tag   Tag
	VR    string       // empty when it was read from Implicit VR
	Value []byte       // encoded, without padding for text; nil for a sequence
	Items []Attributes // of a sequence
}

// Attributes that the services of this package use (PS3.6 section 6).
const (
	TagSOPClassUID           = tagSOPClassUID
	TagSOPInstanceUID        = tagSOPInstanceUID
	TagQueryRetrieveLevel    = Tag(0x0008_0052)
	TagRetrieveAETitle       = Tag(0x0008_0054)
	TagFailedSOPInstances    = Tag(0x0008_0058)
	TagStudyDate             = Tag(0x0008_0020)
	TagModality              = tagModality
	TagModalitiesInStudy     = Tag(0x0008_0061)
	TagReferencedSOPClass    = Tag(0x0008_1150)
	TagReferencedSOPInstance = Tag(0x0008_1155)
	TagTransactionUID        = Tag(0x0008_1195)
	TagFailureReason         = Tag(0x0008_1197)
	TagFailedSOPSequence     = Tag(0x0008_1198)
	TagReferencedSOPSequence = Tag(0x0008_1199)
	TagPatientID             = tagPatientID
	TagIssuerOfPatientID     = tagIssuerOfPatientID
	TagStudyInstanceUID      = tagStudyInstanceUID
	TagSeriesInstanceUID     = tagSeriesInstanceUID
	TagSeriesInstances       = Tag(0x0020_1209) // Number of Series Related Instances
)

const (
	maxAttributes     = 4 << 20 // bytes; a commitment request has about 150 an instance, so 27,000 instances
	maxAttributeDepth = 16
)

// Add puts an attribute with a text value in its place; a second one with the same tag replaces the first.
func (a *Attributes) Add(t Tag, vr, value string) {
	a.put(Attribute{Tag: t, VR: vr, Value: []byte(value)})
}

// AddItems puts a sequence in its place.
func (a *Attributes) AddItems(t Tag, items []Attributes) {
	a.put(Attribute{Tag: t, VR: "SQ", Items: items})
}

// AddNumber puts an attribute of VR US in its place.
func (a *Attributes) AddNumber(t Tag, v uint16) {
	a.put(Attribute{Tag: t, VR: "US", Value: binary.LittleEndian.AppendUint16(nil, v)})
}

func (a *Attributes) put(e Attribute) {
	i, found := slices.BinarySearchFunc(*a, e.Tag, func(x Attribute, t Tag) int { return int(int64(x.Tag) - int64(t)) })
	if found {
		(*a)[i] = e
		return
	}
	*a = slices.Insert(*a, i, e)
}

func (a Attributes) get(t Tag) (Attribute, bool) {
	for _, e := range a {
		if e.Tag == t {
			return e, true
		}
	}
	return Attribute{}, false
}

// Has says whether the attribute is there, be it empty.
func (a Attributes) Has(t Tag) bool { _, ok := a.get(t); return ok }

// Text is the value of an attribute without its padding, undecoded; empty if it is missing.
func (a Attributes) Text(t Tag) string {
	e, _ := a.get(t)
	return trimValue(e.Value)
}

// Number is the value of an attribute of VR US; 0 if it is missing.
func (a Attributes) Number(t Tag) uint16 {
	if e, _ := a.get(t); len(e.Value) >= 2 {
		return binary.LittleEndian.Uint16(e.Value)
	}
	return 0
}

// Items are the items of a sequence; none if it is missing.
func (a Attributes) Items(t Tag) []Attributes {
	e, _ := a.get(t)
	return e.Items
}

// AppendAttributes appends the data set, encoded as Implicit or Explicit VR Little Endian. Sequences have defined
// lengths; attributes without a VR become UN in Explicit VR.
func AppendAttributes(b []byte, a Attributes, explicit bool) []byte {
	for _, e := range a {
		value := e.Value
		switch { // what came in Implicit VR has none
		case e.Items != nil:
			e.VR = "SQ"
		case e.VR == "":
			e.VR = "UN"
		}
		if e.Items != nil || e.VR == "SQ" {
			value = nil
			for _, item := range e.Items {
				body := AppendAttributes(nil, item, explicit)
				value = append(appendElement(value, tagItem, nil), body...)
				binary.LittleEndian.PutUint32(value[len(value)-len(body)-4:], uint32(len(body)))
			}
		} else if len(value)%2 == 1 {
			pad := byte(' ')
			if e.VR == "UI" || e.VR == "OB" || e.VR == "UN" {
				pad = 0
			}
			value = append(slices.Clone(value), pad)
		}
		if explicit {
			b = appendExplicit(b, e.Tag, e.VR, value)
		} else {
			b = appendElement(b, e.Tag, value)
		}
	}
	return b
}

// ReadAttributes reads a whole data set encoded as Implicit or Explicit VR Little Endian, of at most 4 MiB and 16
// levels. The error says where it is broken.
func ReadAttributes(r io.Reader, transferSyntax string) (Attributes, error) {
	if transferSyntax != ImplicitVRLittleEndian && transferSyntax != ExplicitVRLittleEndian {
		return nil, fmt.Errorf("transfer syntax %s is not read here", transferSyntax)
	}
	b, err := io.ReadAll(io.LimitReader(r, maxAttributes+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxAttributes {
		return nil, fmt.Errorf("a data set of more than %d bytes where a few attributes are due", maxAttributes)
	}
	p := &attributeParser{reader{unit: "data set", b: b}}
	return p.elements(transferSyntax == ExplicitVRLittleEndian, false, 0)
}

type attributeParser struct{ reader }

var errTooDeep = errors.New("sequences are nested too deep")

// elements reads until the end, or until the delimiter of an item of undefined length.
func (p *attributeParser) elements(explicit, open bool, depth int) (Attributes, error) {
	if depth > maxAttributeDepth {
		return nil, errTooDeep
	}
	var all Attributes
	for p.left() > 0 {
		head, err := p.take("element", 8)
		if err != nil {
			return nil, err
		}
		e := Attribute{Tag: Tag(binary.LittleEndian.Uint16(head))<<16 | Tag(binary.LittleEndian.Uint16(head[2:]))}
		length := binary.LittleEndian.Uint32(head[4:])
		if e.Tag.group() == groupDelimiters {
			if open && e.Tag == tagItemDelimiter && length == 0 {
				return all, nil
			}
			return nil, p.fail(e.Tag.String(), "out of place")
		}
		within := explicit
		if explicit {
			e.VR, length = string(head[4:6]), uint32(binary.LittleEndian.Uint16(head[6:]))
			if longForm(e.VR) {
				l, err := p.take("length", 4)
				if err != nil {
					return nil, err
				}
				length = binary.LittleEndian.Uint32(l)
			}
			within = e.VR != "UN"
		}
		if err := p.value(&e, length, within, depth); err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	if open {
		return nil, p.fail("item", "its delimiter is missing")
	}
	return all, nil
}

// value reads a value or the items of a sequence.
func (p *attributeParser) value(e *Attribute, length uint32, explicit bool, depth int) error {
	if length == undefinedLength {
		return p.items(e, explicit, true, depth)
	}
	if int64(length) > int64(p.left()) {
		return p.fail(e.Tag.String(), "length %d, %d bytes left", length, p.left())
	}
	value, err := p.take(e.Tag.String(), int(length))
	if err != nil {
		return err
	}
	sub := attributeParser{reader{unit: p.unit, b: value, base: p.base - len(value)}}
	implicitSequence := e.VR == "" && e.Tag.group()%2 == 0 && len(value) >= 8 && string(value[:4]) == "\xFE\xFF\x00\xE0"
	if e.VR == "SQ" || implicitSequence {
		return sub.items(e, explicit, false, depth)
	}
	e.Value = value
	return nil
}

// items reads the items of a sequence, up to its delimiter if it is open.
func (p *attributeParser) items(e *Attribute, explicit, open bool, depth int) error {
	e.Items = []Attributes{}
	for p.left() > 0 {
		head, err := p.take("item", 8)
		if err != nil {
			return err
		}
		tag := Tag(binary.LittleEndian.Uint16(head))<<16 | Tag(binary.LittleEndian.Uint16(head[2:]))
		length := binary.LittleEndian.Uint32(head[4:])
		var item Attributes
		switch {
		case open && tag == tagSequenceDelimiter && length == 0:
			return nil
		case tag != tagItem:
			return p.fail(tag.String(), "an item is due")
		case length == undefinedLength:
			item, err = p.elements(explicit, true, depth+1)
		default:
			var body []byte
			if int64(length) > int64(p.left()) {
				return p.fail("item", "length %d, %d bytes left", length, p.left())
			}
			if body, err = p.take("item", int(length)); err == nil {
				sub := attributeParser{reader{unit: p.unit, b: body, base: p.base - len(body)}}
				item, err = sub.elements(explicit, false, depth+1)
			}
		}
		if err != nil {
			return err
		}
		e.Items = append(e.Items, item)
	}
	if open {
		return p.fail(e.Tag.String(), "its delimiter is missing")
	}
	return nil
}
