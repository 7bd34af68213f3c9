package ct

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"testing"

	"rfanode/analysis/volume"
)

// object is a DICOM object under construction: attributes with their value representation and encoded value.
type object map[tag]attribute

type attribute struct {
	vr    string
	value []byte
}

func (o object) text(t tag, vr, value string) object {
	if len(value)%2 == 1 {
		pad := " "
		if vr == "UI" {
			pad = "\x00"
		}
		value += pad
	}
	o[t] = attribute{vr, []byte(value)}
	return o
}

func (o object) short(t tag, value int) object {
	o[t] = attribute{"US", binary.LittleEndian.AppendUint16(nil, uint16(value))}
	return o
}

func (o object) without(tags ...tag) object {
	for _, t := range tags {
		delete(o, t)
	}
	return o
}

// encode gives the Part 10 file in the transfer syntax.
func (o object) encode(transferSyntax string) []byte {
	var out, meta bytes.Buffer
	put(&meta, tagTransferSyntax, attribute{"UI", pad(transferSyntax)}, true)
	out.Write(make([]byte, 128))
	out.WriteString("DICM")
	put(&out, 0x00020000, attribute{"UL", binary.LittleEndian.AppendUint32(nil, uint32(meta.Len()))}, true)
	out.Write(meta.Bytes())
	tags := make([]tag, 0, len(o))
	for t := range o {
		tags = append(tags, t)
	}
	sort.Slice(tags, func(i, j int) bool { return tags[i] < tags[j] })
	for _, t := range tags {
		put(&out, t, o[t], transferSyntax != implicitLittle)
	}
	return out.Bytes()
}

func pad(uid string) []byte {
	if len(uid)%2 == 1 {
		uid += "\x00"
	}
	return []byte(uid)
}

func put(out *bytes.Buffer, t tag, a attribute, explicit bool) {
	le := binary.LittleEndian
	head := le.AppendUint16(nil, uint16(t>>16))
	head = le.AppendUint16(head, uint16(t))
	length := uint32(len(a.value))
	if a.vr == "SQ" { // of undefined length; the value holds the items and the delimiter
		length = undefinedLength
	}
	switch {
	case !explicit:
		head = le.AppendUint32(head, length)
	case a.vr == "OW" || a.vr == "SQ" || a.vr == "UN":
		head = le.AppendUint32(append(head, a.vr[0], a.vr[1], 0, 0), length)
	default:
		head = le.AppendUint16(append(head, a.vr...), uint16(length))
	}
	out.Write(head)
	out.Write(a.value)
}

// testStack describes a small CT series.
type testStack struct {
	slices        int
	signed        bool
	bits          int // stored
	geometry      volume.Geometry
	value         func(i, j, k int) int // stored value
	slope, offset float64
}

// small is a right-handed stack of 24 slices of 8 × 6 pixels, turned by a few degrees.
func small() testStack {
	g := volume.Axial([3]int{8, 6, 24}, [3]float64{0.7, 0.8, 2.5}, volume.Vec{-120.5, -98.25, -310})
	g.Direction[0], g.Direction[1] = volume.Vec{0.996195, 0.087156, 0}, volume.Vec{-0.087156, 0.996195, 0}
	return testStack{slices: 24, signed: true, bits: 16, geometry: g, slope: 1, offset: -10,
		value: func(i, j, k int) int { return 100*k + 10*j + i - 1000 }}
}

// slice is the object of slice k.
func (s testStack) slice(k int) object {
	g := s.geometry
	p := g.Point(volume.Vec{0, 0, float64(k)})
	r, c := g.Direction[0], g.Direction[1]
	pixels := make([]byte, 0, 2*g.Size[0]*g.Size[1])
	mask := uint16(1<<s.bits - 1)
	for j := range g.Size[1] {
		for i := range g.Size[0] {
			pixels = binary.LittleEndian.AppendUint16(pixels, uint16(s.value(i, j, k))&mask)
		}
	}
	signed := 0
	if s.signed {
		signed = 1
	}
	o := object{}
	o.text(tagCharset, "CS", "ISO_IR 192").text(tagImageType, "CS", "ORIGINAL\\PRIMARY\\AXIAL")
	o.text(tagSOPClass, "UI", ctImage).text(tagSOPInstance, "UI", fmt.Sprintf("1.2.3.4.%d", k+1))
	o.text(tagStudyDate, "DA", "20260301").text(tagSeriesDate, "DA", "20260301").text(tagAcqDate, "DA", "20260301")
	o.text(tagAcqTime, "TM", fmt.Sprintf("1015%02d.5", k)).text(tagModality, "CS", "CT")
	o.text(0x0008103E, "LO", "肺窗 5 mm").text(0x00100010, "PN", "Wang^XiaoDong=王^小东").text(0x00100020, "LO", "P-1")
	o.text(tagThickness, "DS", "2.5").text(0x0020000D, "UI", "1.2.3.1").text(0x0020000E, "UI", "1.2.3.2")
	o.text(0x00200011, "IS", "4").text(tagInstanceNumber, "IS", fmt.Sprint(s.slices-k)).text(0x00200052, "UI", "1.2.3.3")
	o.text(tagPosition, "DS", fmt.Sprintf("%.4f\\%.4f\\%.4f", p[0], p[1], p[2]))
	o.text(tagOrientation, "DS", fmt.Sprintf("%.6f\\%.6f\\%.6f\\%.6f\\%.6f\\%.6f", r[0], r[1], r[2], c[0], c[1], c[2]))
	o.short(tagSamples, 1).text(tagPhotometric, "CS", "MONOCHROME2").short(tagRows, g.Size[1]).short(tagColumns, g.Size[0])
	o.text(tagPixelSpacing, "DS", fmt.Sprintf("%g\\%g", g.Spacing[1], g.Spacing[0]))
	o.short(tagBitsAllocated, 16).short(tagBitsStored, s.bits).short(tagHighBit, s.bits-1).short(tagPixelRep, signed)
	o.text(tagIntercept, "DS", fmt.Sprint(s.offset)).text(tagSlope, "DS", fmt.Sprint(s.slope))
	o[tagPixelData] = attribute{"OW", pixels}
	return o
}

// write stores the stack's objects, changed by edit, and returns their paths.
func (s testStack) write(t testing.TB, dir, transferSyntax string, edit func(k int, o object) object) []string {
	t.Helper()
	var paths []string
	for k := range s.slices {
		o := s.slice(k)
		if edit != nil {
			o = edit(k, o)
		}
		if o == nil {
			continue
		}
		path := filepath.Join(dir, fmt.Sprintf("%03d.dcm", (k*7)%s.slices)) // file order is not slice order
		if err := os.WriteFile(path, o.encode(transferSyntax), 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}
