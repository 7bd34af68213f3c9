package scp_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"rfanode/dimse"
)

const ctClass = "1.2.840.10008.5.1.4.1.1.2"

// instance is a small CT image to be encoded.
type instance struct {
	class, uid, study, series string
	patient                   string
	pixels                    int // bytes
	fill                      byte
}

func newInstance(n int) instance {
	return instance{class: ctClass, uid: fmt.Sprintf("2.25.4711.%d", n), study: "2.25.4711.100001",
		series: "2.25.4711.100002", patient: "Prüfung^Näme", pixels: 2 * 64 * 64, fill: byte(n)}
}

type element struct {
	tag   uint32
	vr    string
	value []byte
}

// encode writes the instance as a data set, explicit or implicit, little endian.
func (i instance) encode(explicit bool) []byte {
	text := func(tag uint32, vr, v string) element {
		if len(v)%2 == 1 {
			if vr == "UI" {
				v += "\x00"
			} else {
				v += " "
			}
		}
		return element{tag, vr, []byte(v)}
	}
	us := func(tag uint32, v uint16) element {
		return element{tag, "US", binary.LittleEndian.AppendUint16(nil, v)}
	}
	pixels := make([]byte, i.pixels)
	for k := range pixels {
		pixels[k] = byte(k)*31 ^ i.fill
	}
	var b []byte
	for _, e := range []element{
		text(0x00080005, "CS", "ISO_IR 192"), text(0x00080008, "CS", "ORIGINAL\\PRIMARY\\AXIAL"),
		text(0x00080016, "UI", i.class), text(0x00080018, "UI", i.uid), text(0x00080060, "CS", "CT"),
		text(0x00100010, "PN", i.patient), text(0x00100020, "LO", "PID-1"), text(0x00100021, "LO", "ISSUER"),
		text(0x0020000D, "UI", i.study), text(0x0020000E, "UI", i.series), text(0x00200013, "IS", "1"),
		text(0x00200052, "UI", "2.25.4711.100003"), us(0x00280002, 1), text(0x00280004, "CS", "MONOCHROME2"),
		us(0x00280010, 64), us(0x00280011, 64), us(0x00280100, 16), us(0x00280101, 16), us(0x00280102, 15),
		us(0x00280103, 1), {0x7FE00010, "OW", pixels},
	} {
		b = e.append(b, explicit)
	}
	return b
}

func (e element) append(b []byte, explicit bool) []byte {
	b = binary.LittleEndian.AppendUint16(b, uint16(e.tag>>16))
	b = binary.LittleEndian.AppendUint16(b, uint16(e.tag))
	switch {
	case !explicit:
		b = binary.LittleEndian.AppendUint32(b, uint32(len(e.value)))
	case e.vr == "OW" || e.vr == "SQ" || e.vr == "UN" || e.vr == "OB":
		b = append(append(b, e.vr...), 0, 0)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(e.value)))
	default:
		b = binary.LittleEndian.AppendUint16(append(b, e.vr...), uint16(len(e.value)))
	}
	return append(b, e.value...)
}

// writeSeries writes n instances as Part 10 files.
func writeSeries(t testing.TB, dir string, n int, syntax string) []string {
	t.Helper()
	var paths []string
	for k := range n {
		i := newInstance(k)
		b := dimse.AppendFileMeta(nil, dimse.FileMeta{SOPClassUID: i.class, SOPInstanceUID: i.uid, TransferSyntaxUID: syntax})
		b = append(b, i.encode(syntax == dimse.ExplicitVRLittleEndian)...)
		p := filepath.Join(dir, fmt.Sprintf("%04d.dcm", k))
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, p)
	}
	return paths
}
