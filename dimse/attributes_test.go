package dimse

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

func someAttributes() Attributes {
	var item, a Attributes
	item.Add(TagReferencedSOPInstance, "UI", "1.2.3")
	item.Add(TagReferencedSOPClass, "UI", "1.2.840.10008.5.1.4.1.1.2")
	item.AddNumber(TagFailureReason, 0x0112)
	a.AddItems(TagFailedSOPSequence, []Attributes{item, item})
	a.Add(TagTransactionUID, "UI", "2.25.1")
	a.Add(TagQueryRetrieveLevel, "CS", "STUDY")
	a.Add(TagPatientID, "LO", "")
	return a
}

// What is written is read the same, in both encodings, and cut short anywhere it is refused or shorter, never wrong.
func TestAttributes(t *testing.T) {
	a := someAttributes()
	for _, syntax := range []string{ImplicitVRLittleEndian, ExplicitVRLittleEndian} {
		b := AppendAttributes(nil, a, syntax == ExplicitVRLittleEndian)
		got, err := ReadAttributes(bytes.NewReader(b), syntax)
		if err != nil {
			t.Fatal(err)
		}
		if got.Text(TagTransactionUID) != "2.25.1" || got.Text(TagQueryRetrieveLevel) != "STUDY" || !got.Has(TagPatientID) ||
			len(got.Items(TagFailedSOPSequence)) != 2 || got.Items(TagFailedSOPSequence)[1].Number(TagFailureReason) != 0x0112 {
			t.Errorf("%s: %+v", syntax, got)
		}
		if again := AppendAttributes(nil, got, syntax == ExplicitVRLittleEndian); !bytes.Equal(again, b) {
			t.Errorf("%s: written again otherwise", syntax)
		}
		for cut := range b {
			part, err := ReadAttributes(bytes.NewReader(b[:cut]), syntax)
			if err == nil && len(part) > 0 && !reflect.DeepEqual(part, got[:len(part)]) {
				t.Errorf("%s, cut to %d bytes: %+v", syntax, cut, part)
			}
		}
	}
}

// Undefined lengths read as well, and hostile nesting and lengths are errors.
func TestAttributesForms(t *testing.T) {
	e := &encoder{}
	e.head(0x0008_1199, "SQ", undef).item(tagItem, undef).el(0x0008_1155, "UI", "1.2.3\x00").item(tagItemDelimiter, 0).
		item(tagItem, 14).el(0x0008_1155, "UI", "1.2.4\x00").item(tagSequenceDelimiter, 0)
	got, err := ReadAttributes(bytes.NewReader(e.Bytes()), ExplicitVRLittleEndian)
	if err != nil || len(got.Items(TagReferencedSOPSequence)) != 2 || got.Items(TagReferencedSOPSequence)[1].Text(TagReferencedSOPInstance) != "1.2.4" {
		t.Errorf("%+v, %v", got, err)
	}
	deep := &encoder{}
	for range 100_000 {
		deep.head(0x0008_1199, "SQ", undef).item(tagItem, undef)
	}
	for name, b := range map[string][]byte{
		"deep":            deep.Bytes(),
		"length":          (&encoder{}).head(0x0008_0052, "OB", 0xFFFFFFF0).Bytes(),
		"item length":     (&encoder{}).head(0x0008_1199, "SQ", undef).item(tagItem, 0xFFFFFFF0).Bytes(),
		"no item":         (&encoder{}).head(0x0008_1199, "SQ", undef).el(0x0008_1155, "UI", "1.2.3\x00").Bytes(),
		"stray delimiter": (&encoder{}).item(tagSequenceDelimiter, 0).Bytes(),
		"too long":        bytes.Repeat((&encoder{}).el(0x0008_0052, "CS", "STUDY ").Bytes(), maxAttributes/14+1),
	} {
		if _, err := ReadAttributes(bytes.NewReader(b), ExplicitVRLittleEndian); err == nil {
			t.Errorf("%s: read", name)
		}
	}
	if _, err := ReadAttributes(strings.NewReader(""), ExplicitVRBigEndian); err == nil {
		t.Error("big endian: read")
	}
}
