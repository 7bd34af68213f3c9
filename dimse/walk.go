package dimse

import (
	"encoding/binary"
	"fmt"
	"hash"
	"io"
)

// Tags that the walk stops at.
const (
	tagSOPClassUID         Tag = 0x0008_0016
	tagSOPInstanceUID      Tag = 0x0008_0018
	tagModality            Tag = 0x0008_0060
	tagPatientID           Tag = 0x0010_0020
	tagIssuerOfPatientID   Tag = 0x0010_0021
	tagStudyInstanceUID    Tag = 0x0020_000D
	tagSeriesInstanceUID   Tag = 0x0020_000E
	tagFrameOfReferenceUID Tag = 0x0020_0052
	tagEncapsulatedDoc     Tag = 0x0042_0011
	tagWaveformData        Tag = 0x5400_1010
	tagPixelData           Tag = 0x7FE0_0010
	tagTrailingPadding     Tag = 0xFFFC_FFFC
	groupPixelData             = 0x7FE0

	tagItem              Tag = 0xFFFE_E000
	tagItemDelimiter     Tag = 0xFFFE_E00D
	tagSequenceDelimiter Tag = 0xFFFE_E0DD
	groupDelimiters          = 0xFFFE
)

// level is one open nesting level of the walk.
type level struct {
	kind     levelKind
	end      int64 // first byte behind it, by its own length or else by that of what it lies in
	open     bool  // undefined length: a delimiter ends it
	implicit bool  // its content is Implicit VR Little Endian (inside UN of undefined length, PS3.5 section 6.2.2)
}

type levelKind int

const (
	elements  levelKind = iota // the data set itself, or an item
	sequence                   // items follow
	fragments                  // encapsulated pixel data: items without elements follow
)

// walk is the state of one check. It keeps its own stack: a recursive descent would let the peer choose the depth of
// the goroutine's stack, and running out of that cannot be recovered from.
type walk struct {
	in          *input
	size        int64
	sizeUnknown bool // size is only an upper bound
	enc         transferSyntax
	limits      CheckLimits
	h           *Header
	content     hash.Hash // if not nil: gets the content, whatever its encoding; see ContentDigest

	stack []level
	buf   [8]byte // for heads of elements
	count int64
	tag   Tag // of the last top-level element begun, for messages
}

func (w *walk) fail(status uint16, format string, args ...any) error {
	return &CheckError{status, w.tag, w.in.off, fmt.Sprintf(format, args...)}
}

func (w *walk) run() error {
	w.stack = append(w.stack, level{kind: elements, end: w.size, implicit: !w.enc.explicit})
	for {
		top := &w.stack[len(w.stack)-1]
		if !top.open && w.in.off == top.end && !(w.sizeUnknown && len(w.stack) == 1) {
			if w.pop(); len(w.stack) == 0 {
				return nil
			}
			continue
		}
		if w.sizeUnknown {
			if w.in.off >= w.limits.Inflated {
				return w.fail(StatusTooLarge, "inflates to more than %d bytes", w.limits.Inflated)
			}
			if len(w.stack) == 1 {
				if _, err := w.in.r.Peek(1); err == io.EOF {
					return nil
				}
			}
		}
		var err error
		switch top.kind {
		case elements:
			err = w.element(top)
		case sequence:
			err = w.item(top)
		case fragments:
			err = w.fragment(top)
		}
		if err != nil {
			return err
		}
	}
}

// push opens a level whose content begins at the current offset.
func (w *walk) push(kind levelKind, parent *level, length uint32, implicit bool) error {
	if len(w.stack) > w.limits.Depth {
		return w.fail(StatusTooDeep, "nested more than %d deep", w.limits.Depth)
	}
	l := level{kind: kind, end: parent.end, open: length == undefinedLength, implicit: implicit}
	if !l.open {
		l.end = w.in.off + int64(length)
	}
	w.stack = append(w.stack, l)
	return nil
}

// pop closes the innermost level.
func (w *walk) pop() {
	n := len(w.stack) - 1
	if n > 0 && w.stack[n].kind == elements {
		w.note('E')
	}
	w.stack = w.stack[:n]
}

// note adds a mark, and numbers after it, to the content.
func (w *walk) note(mark byte, numbers ...uint32) {
	if w.content == nil {
		return
	}
	b := append(make([]byte, 0, 16), mark)
	for _, n := range numbers {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	w.content.Write(b)
}

// pass goes over a value, and adds it to the content.
func (w *walk) pass(length uint32) error {
	if w.content == nil || length == 0 {
		return w.in.skip(int64(length))
	}
	w.note('V', length)
	n, err := io.CopyN(w.content, w.in.r, int64(length))
	w.in.off += n
	return err
}

// order is the byte order of what lies in l.
func (w *walk) order(l *level) binary.ByteOrder {
	if w.enc.bigEndian && !l.implicit {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// need fails unless n bytes lie before the end of l.
func (w *walk) need(l *level, n int64) error {
	if n > l.end-w.in.off {
		if w.sizeUnknown && l.end == w.size {
			return w.fail(StatusTooLarge, "inflates to more than %d bytes", w.limits.Inflated)
		}
		return w.fail(StatusTruncated, "%d bytes where only %d are left", n, l.end-w.in.off)
	}
	return nil
}

func (w *walk) readTag(l *level) (Tag, error) {
	if w.count++; w.count > w.limits.Elements {
		return 0, w.fail(StatusTooLarge, "more than %d elements", w.limits.Elements)
	}
	if err := w.need(l, 8); err != nil { // every element has at least eight bytes
		return 0, err
	}
	b := w.buf[:4]
	if err := w.in.read(b); err != nil {
		return 0, err
	}
	o := w.order(l)
	return Tag(o.Uint16(b))<<16 | Tag(o.Uint16(b[2:])), nil
}

func (w *walk) readLength(l *level) (uint32, error) {
	if err := w.need(l, 4); err != nil {
		return 0, err
	}
	b := w.buf[:4]
	if err := w.in.read(b); err != nil {
		return 0, err
	}
	return w.order(l).Uint32(b), nil
}

// element reads one element of a data set or of an item.
func (w *walk) element(l *level) error {
	tag, err := w.readTag(l)
	if err != nil {
		return err
	}
	top := len(w.stack) == 1
	if top {
		w.tag = tag
	}
	switch tag.group() {
	case groupDelimiters:
		length, err := w.readLength(l)
		if err != nil {
			return err
		}
		if tag != tagItemDelimiter || !l.open || length != 0 {
			return w.fail(StatusTruncated, "%s of length %d where an element is due", tag, length)
		}
		w.pop()
		return nil
	case 0x0000, 0x0002:
		return w.fail(StatusCannotUnderstand, "%s does not belong into a data set", tag)
	}
	vr, length, err := w.vrAndLength(l)
	if err != nil {
		return err
	}
	if length == undefinedLength {
		w.note('T', uint32(tag))
		return w.openElement(l, tag, vr, top)
	}
	if err := w.need(l, int64(length)); err != nil {
		return err
	}
	if w.content != nil && (tag&0xFFFF == 0 || tag == tagTrailingPadding) { // group lengths and padding are form
		return w.in.skip(int64(length))
	}
	w.note('T', uint32(tag))
	if vr == "SQ" || vr == "" && w.looksLikeSequence(tag, length) {
		return w.push(sequence, l, length, l.implicit)
	}
	if int64(length) > w.limits.Value && !isBulk(tag) {
		return w.fail(StatusTooLarge, "a value of %d bytes", length)
	}
	if !top || w.content != nil {
		return w.pass(length)
	}
	return w.value(tag, length)
}

// openElement begins an element of undefined length.
func (w *walk) openElement(l *level, tag Tag, vr string, top bool) error {
	switch {
	case tag == tagPixelData && w.enc.encapsulated:
		if top {
			w.h.PixelDataOffset = w.in.off
		}
		return w.push(fragments, l, undefinedLength, l.implicit)
	case vr == "SQ", vr == "" && tag != tagPixelData:
		return w.push(sequence, l, undefinedLength, l.implicit)
	case vr == "UN":
		return w.push(sequence, l, undefinedLength, true)
	}
	return w.fail(StatusTruncated, "undefined length with VR %q", vr)
}

// vrAndLength reads what follows a tag. In Implicit VR the VR is empty.
func (w *walk) vrAndLength(l *level) (vr string, length uint32, err error) {
	if l.implicit {
		length, err = w.readLength(l)
		return "", length, err
	}
	b := w.buf[:4]
	if err := w.in.read(b); err != nil { // readTag has seen that they are there
		return "", 0, err
	}
	vr = string(b[:2])
	if !longForm(vr) {
		return vr, uint32(w.order(l).Uint16(b[2:4])), nil
	}
	if vr[0] < 'A' || vr[0] > 'Z' || vr[1] < 'A' || vr[1] > 'Z' {
		return "", 0, w.fail(StatusTruncated, "no value representation but %q", vr)
	}
	length, err = w.readLength(l)
	return vr, length, err
}

// longForm says whether an element of this VR has a 32-bit length in Explicit VR (PS3.5 section 7.1.2): all but the ones
// of the first editions of the standard, so that any VR still to come has it (section 6.2).
func longForm(vr string) bool {
	switch vr {
	case "AE", "AS", "AT", "CS", "DA", "DS", "DT", "FL", "FD", "IS", "LO", "LT", "PN", "SH", "SL", "SS", "ST", "TM", "UI",
		"UL", "US":
		return false
	}
	return true
}

// looksLikeSequence tells sequences of defined length in Implicit VR from other values without a dictionary: the value
// begins with an item. Private elements stay unopened; nobody reads them as sequences either without knowing better.
func (w *walk) looksLikeSequence(tag Tag, length uint32) bool {
	return length >= 8 && tag.group()%2 == 0 && !isBulk(tag) && w.in.peek([]byte{0xFE, 0xFF, 0x00, 0xE0})
}

// isBulk names the elements that may be larger than the limit of a value.
func isBulk(t Tag) bool {
	return t.group() == groupPixelData || t == tagEncapsulatedDoc || t == tagWaveformData
}

// value takes or skips the value of a top-level element.
func (w *walk) value(tag Tag, length uint32) error {
	var to *string
	switch tag {
	case tagPixelData:
		w.h.PixelDataOffset, w.h.PixelDataLength = w.in.off, int64(length)
	case tagSOPClassUID:
		to = &w.h.SOPClassUID
	case tagSOPInstanceUID:
		to = &w.h.SOPInstanceUID
	case tagModality:
		to = &w.h.Modality
	case tagPatientID:
		to = &w.h.PatientID
	case tagIssuerOfPatientID:
		to = &w.h.IssuerOfPatientID
	case tagStudyInstanceUID:
		to = &w.h.StudyInstanceUID
	case tagSeriesInstanceUID:
		to = &w.h.SeriesInstanceUID
	case tagFrameOfReferenceUID:
		to = &w.h.FrameOfReferenceUID
	}
	const longest = 1024 // no LO, CS or UI is anywhere near
	if to == nil || length > longest {
		return w.in.skip(int64(length))
	}
	b := make([]byte, length)
	if err := w.in.read(b); err != nil {
		return err
	}
	*to = trimValue(b)
	return nil
}

// item reads the head of an item of a sequence, or the sequence's delimiter.
func (w *walk) item(l *level) error {
	tag, length, err := w.itemHead(l)
	if err != nil || tag == 0 {
		return err
	}
	if length != undefinedLength {
		if err := w.need(l, int64(length)); err != nil {
			return err
		}
	}
	w.note('I')
	return w.push(elements, l, length, l.implicit)
}

// fragment skips one fragment of encapsulated pixel data, or ends it.
func (w *walk) fragment(l *level) error {
	start := w.in.off
	tag, length, err := w.itemHead(l)
	if err != nil {
		return err
	}
	top := len(w.stack) == 2
	if tag == 0 {
		if len(w.stack) == 1 { // itemHead has closed the pixel data of the data set itself
			w.h.PixelDataLength = start - w.h.PixelDataOffset
		}
		return nil
	}
	if length == undefinedLength {
		return w.fail(StatusTruncated, "a fragment of undefined length")
	}
	if err := w.need(l, int64(length)); err != nil {
		return err
	}
	if top {
		w.h.PixelDataFragments++
	}
	w.note('F')
	return w.pass(length)
}

// itemHead reads the tag and length of an item. At the sequence delimiter it closes the level and returns tag 0.
func (w *walk) itemHead(l *level) (Tag, uint32, error) {
	tag, err := w.readTag(l)
	if err != nil {
		return 0, 0, err
	}
	length, err := w.readLength(l)
	if err != nil {
		return 0, 0, err
	}
	switch {
	case tag == tagItem:
		return tag, length, nil
	case tag == tagSequenceDelimiter && l.open && length == 0:
		w.pop()
		return 0, 0, nil
	}
	return 0, 0, w.fail(StatusTruncated, "%s of length %d where an item is due", tag, length)
}

// trimValue takes the padding off a string value.
func trimValue(b []byte) string {
	start, end := 0, len(b)
	for end > 0 && (b[end-1] == 0 || b[end-1] == ' ') {
		end--
	}
	for start < end && b[start] == ' ' {
		start++
	}
	return string(b[start:end])
}
