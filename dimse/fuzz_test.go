package dimse

import (
	"bytes"
	"testing"
)

// A unit that reads must write back to something that reads the same; nothing may panic.
func FuzzPDU(f *testing.F) {
	for _, p := range []pdu{fullRequest(), RejectCalledAE, AbortByUser, releaseRQ{},
		&AssociateAC{ProtocolVersion: 1, Contexts: []ContextAnswer{{1, 0, ImplicitVRLittleEndian}}},
		pData{[]pdv{{pdvHeader{3, 1, true, true}, []byte("abc")}}}} {
		f.Add(byte(p.pduType()), appendPDU(nil, p)[pduHeaderLength:])
	}
	f.Fuzz(func(t *testing.T, kind byte, body []byte) {
		p, err := parsePDU(pduType(kind), body)
		if err != nil {
			return
		}
		b := appendPDU(nil, p)
		if _, err := parsePDU(pduType(kind), b[pduHeaderLength:]); err != nil && len(b) < 1<<16 {
			t.Errorf("%+v is written as what does not read: %v", p, err)
		}
	})
}

func FuzzCommand(f *testing.F) {
	f.Add(appendCommand(nil, Command{Field: CStoreRQ, MessageID: 1, AffectedSOPClassUID: "1.2", AffectedSOPInstanceUID: "1.2.3"}))
	f.Add(appendCommand(nil, Command{Field: CEchoRQ.Response(), Status: 0x122, ErrorComment: "no", OffendingElements: []Tag{1}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := parseCommand(b)
		if err != nil {
			return
		}
		_ = c.Missing()
		if _, err := parseCommand(appendCommand(nil, c)); err != nil {
			t.Errorf("%+v is written as what does not read: %v", c, err)
		}
	})
}

// What passes the check lies inside its bounds.
func FuzzDataSet(f *testing.F) {
	syntaxes := []string{ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian,
		"1.2.840.10008.1.2.4.70"}
	e := explicitSet()
	e.head(0x0040_A730, "SQ", undef).item(tagItem, undef).item(tagItemDelimiter, 0).item(tagSequenceDelimiter, 0)
	e.el(tagPixelData, "OW", "pixels")
	f.Add(1, e.Bytes())
	f.Add(0, (&encoder{implicit: true}).study().el(tagPixelData, "OW", "pixels").Bytes())
	f.Add(2, (&encoder{big: true}).study().Bytes())
	f.Add(3, deflated(f, e.Bytes()))
	f.Add(4, explicitSet().head(tagPixelData, "OB", undef).item(tagItem, 0).item(tagSequenceDelimiter, 0).Bytes())
	f.Fuzz(func(t *testing.T, ts int, b []byte) {
		syntax := syntaxes[uint(ts)%uint(len(syntaxes))]
		h, err := CheckDataSet(bytes.NewReader(b), int64(len(b)), syntax, CheckLimits{Inflated: 1 << 20})
		if err != nil || syntax == DeflatedExplicitVRLittleEndian {
			return
		}
		if h.PixelDataOffset < 0 || h.PixelDataLength < 0 || h.PixelDataOffset+h.PixelDataLength > int64(len(b)) {
			t.Errorf("pixel data at %d, %d bytes, in a data set of %d", h.PixelDataOffset, h.PixelDataLength, len(b))
		}
	})
}

// A small data set that reads is written to what reads the same.
func FuzzAttributes(f *testing.F) {
	f.Add(true, AppendAttributes(nil, someAttributes(), true))
	f.Add(false, AppendAttributes(nil, someAttributes(), false))
	e := &encoder{}
	e.head(0x0008_1199, "SQ", undef).item(tagItem, undef).el(0x0008_1155, "UI", "1.2.3\x00").item(tagItemDelimiter, 0).item(tagSequenceDelimiter, 0)
	f.Add(true, e.Bytes())
	f.Fuzz(func(t *testing.T, explicit bool, b []byte) {
		syntax := ImplicitVRLittleEndian
		if explicit {
			syntax = ExplicitVRLittleEndian
		}
		a, err := ReadAttributes(bytes.NewReader(b), syntax)
		if err != nil {
			return
		}
		_, _ = a.Text(TagTransactionUID), a.Number(TagFailureReason)
		if len(b) > 1<<15 { // a value of more than 64 KiB cannot be written in every VR
			return
		}
		if _, err := ReadAttributes(bytes.NewReader(AppendAttributes(nil, a, explicit)), syntax); err != nil {
			t.Errorf("%+v is written as what does not read: %v", a, err)
		}
	})
}
