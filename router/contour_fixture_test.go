package router

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// drawing of a test: an RT structure set with boxes, or, with points only, a report. Zero values are left out.
type drawn struct {
	sop, patient, issuer string
	frame, series        string
	instances            []string
	at                   time.Time
	model                string // of its maker, which then names no person
	regions              []region
}

// region is a box on the slices k0 … k1 of the small test CT, or, without slices, a point.
type region struct {
	label  string
	k0, k1 int
	half   float64    // of the box, mm
	point  [3]float64 // its centre
}

const (
	structureSetClass = "1.2.840.10008.5.1.4.1.1.481.3"
	reportClass       = "1.2.840.10008.5.1.4.1.1.88.34"
)

// onSeries draws on a series of the test: its frame of reference and its patient.
func onSeries(s series, sop string, regions ...region) drawn {
	return drawn{sop: sop, patient: s.patient, issuer: s.issuer, frame: s.study + ".99", series: s.uid, at: time.Date(2024, 6, 1, 12, 0, 0, 0, time.UTC), regions: regions}
}

func box(label string, half float64) region {
	return region{label: label, k0: 9, k1: 13, half: half, point: [3]float64{40, 40, 55}}
}
func mark(label string) region { return region{label: label, point: [3]float64{40, 40, 55}} }

// elements encodes a data set in Explicit VR Little Endian.
type elements struct{ bytes.Buffer }

func (e *elements) text(group, element uint16, vr, value string) {
	put(&e.Buffer, group, element, vr, []byte(value))
}

func (e *elements) floats(group, element uint16, values ...float64) {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(v)))
	}
	put(&e.Buffer, group, element, "FL", b)
}

func (e *elements) sequence(group, element uint16, items ...func(*elements)) {
	var all bytes.Buffer
	for _, item := range items {
		var i elements
		item(&i)
		all.Write([]byte{0xFE, 0xFF, 0x00, 0xE0})
		all.Write(binary.LittleEndian.AppendUint32(nil, uint32(i.Len())))
		all.Write(i.Bytes())
	}
	put(&e.Buffer, group, element, "SQ", all.Bytes())
}

func (e *elements) code(group, element uint16, value, scheme, meaning string) {
	e.sequence(group, element, func(i *elements) {
		i.text(0x0008, 0x0100, "SH", value)
		i.text(0x0008, 0x0102, "SH", scheme)
		i.text(0x0008, 0x0104, "LO", meaning)
	})
}

// write puts the object into a folder, as an archive does, and returns its path.
func (d drawn) write(t testing.TB, dir string) string {
	t.Helper()
	report := d.regions[0].half == 0
	class, modality := structureSetClass, "RTSTRUCT"
	if report {
		class, modality = reportClass, "SR"
	}
	var e elements
	e.text(0x0008, 0x0005, "CS", "ISO_IR 192")
	e.text(0x0008, 0x0016, "UI", class)
	e.text(0x0008, 0x0018, "UI", d.sop)
	if !d.at.IsZero() {
		e.text(0x0008, 0x0023, "DA", d.at.Format("20060102"))
		e.text(0x0008, 0x0033, "TM", d.at.Format("150405"))
	}
	e.text(0x0008, 0x0060, "CS", modality)
	e.text(0x0008, 0x0070, "LO", "Viewer")
	if d.model != "" {
		e.text(0x0008, 0x1090, "LO", d.model)
	}
	if d.model == "" {
		e.text(0x0008, 0x1070, "PN", "Secret^Doctor")
	}
	e.text(0x0010, 0x0010, "PN", "Secret^Name")
	e.text(0x0010, 0x0020, "LO", d.patient)
	if d.issuer != "" {
		e.text(0x0010, 0x0021, "LO", d.issuer)
	}
	e.text(0x0020, 0x000D, "UI", "1.2.77")
	e.text(0x0020, 0x000E, "UI", d.sop+".1")
	if report {
		d.report(&e)
	} else {
		d.structureSet(&e)
	}
	path := filepath.Join(dir, d.sop+".dcm")
	if err := os.WriteFile(path+".part", part10(class, d.sop, e.Bytes()), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".part", path); err != nil {
		t.Fatal(err)
	}
	return path
}

func part10(class, sop string, set []byte) []byte {
	var meta, length bytes.Buffer
	put(&meta, 2, 1, "OB", []byte{0, 1})
	put(&meta, 2, 2, "UI", []byte(class))
	put(&meta, 2, 3, "UI", []byte(sop))
	put(&meta, 2, 0x10, "UI", []byte("1.2.840.10008.1.2.1"))
	put(&length, 2, 0, "UL", binary.LittleEndian.AppendUint32(nil, uint32(meta.Len())))
	return slices.Concat(make([]byte, 128), []byte("DICM"), length.Bytes(), meta.Bytes(), set)
}

func (d drawn) structureSet(e *elements) {
	var rois, contours []func(*elements)
	for n, r := range d.regions {
		number := fmt.Sprint(n + 1)
		rois = append(rois, func(i *elements) {
			i.text(0x3006, 0x0022, "IS", number)
			i.text(0x3006, 0x0024, "UI", d.frame)
			i.text(0x3006, 0x0026, "LO", r.label)
		})
		var loops []func(*elements)
		for k := r.k0; k <= r.k1; k++ {
			loops = append(loops, func(i *elements) {
				var text []string
				for _, c := range [][2]float64{{-1, -1}, {1, -1}, {1, 1}, {-1, 1}} {
					text = append(text, fmt.Sprintf(`%g\%g\%g`, r.point[0]+c[0]*r.half, r.point[1]+c[1]*r.half, float64(k)*5))
				}
				i.text(0x3006, 0x0042, "CS", "CLOSED_PLANAR")
				i.text(0x3006, 0x0050, "DS", strings.Join(text, `\`))
			})
		}
		contours = append(contours, func(i *elements) {
			i.sequence(0x3006, 0x0040, loops...)
			i.text(0x3006, 0x0084, "IS", number)
		})
	}
	e.sequence(0x3006, 0x0010, func(i *elements) {
		i.text(0x0020, 0x0052, "UI", d.frame)
		if d.series == "" {
			return
		}
		i.sequence(0x3006, 0x0012, func(i *elements) {
			i.sequence(0x3006, 0x0014, func(i *elements) {
				i.text(0x0020, 0x000E, "UI", d.series)
			})
		})
	})
	e.sequence(0x3006, 0x0020, rois...)
	e.sequence(0x3006, 0x0039, contours...)
}

// report marks points in the patient, or, where instances are given, on those images.
func (d drawn) report(e *elements) {
	if d.series != "" {
		e.sequence(0x0040, 0xA375, func(i *elements) {
			i.sequence(0x0008, 0x1115, func(i *elements) {
				i.text(0x0020, 0x000E, "UI", d.series)
			})
		})
	}
	var groups []func(*elements)
	for n, r := range d.regions {
		groups = append(groups, func(i *elements) {
			i.text(0x0040, 0xA010, "CS", "CONTAINS")
			i.text(0x0040, 0xA040, "CS", "CONTAINER")
			i.code(0x0040, 0xA043, "125007", "DCM", "Measurement Group")
			i.sequence(0x0040, 0xA730, func(i *elements) {
				i.text(0x0040, 0xA010, "CS", "HAS OBS CONTEXT")
				i.text(0x0040, 0xA040, "CS", "TEXT")
				i.code(0x0040, 0xA043, "112039", "DCM", "Tracking Identifier")
				i.text(0x0040, 0xA160, "UT", r.label)
			}, func(i *elements) {
				i.text(0x0040, 0xA010, "CS", "CONTAINS")
				if n >= len(d.instances) {
					i.text(0x0040, 0xA040, "CS", "SCOORD3D")
					i.floats(0x0070, 0x0022, r.point[:]...)
					i.text(0x0070, 0x0023, "CS", "POINT")
					i.text(0x3006, 0x0024, "UI", d.frame)
					return
				}
				i.text(0x0040, 0xA040, "CS", "SCOORD")
				i.sequence(0x0040, 0xA730, func(i *elements) {
					i.sequence(0x0008, 0x1199, func(i *elements) {
						i.text(0x0008, 0x1150, "UI", "1.2.840.10008.5.1.4.1.1.2")
						i.text(0x0008, 0x1155, "UI", d.instances[n])
					})
					i.text(0x0040, 0xA010, "CS", "SELECTED FROM")
					i.text(0x0040, 0xA040, "CS", "IMAGE")
				})
				i.floats(0x0070, 0x0022, r.point[0]/5+0.5, r.point[1]/5+0.5)
				i.text(0x0070, 0x0023, "CS", "POINT")
			})
		})
	}
	e.sequence(0x0040, 0xA730, groups...)
}

// draw has the node receive an object.
func (n *node) draw(t *testing.T, d drawn) {
	t.Helper()
	if err := enter(t.Context(), n.Router, d.write(t, filepath.Join(n.dir, "archive"))); err != nil {
		t.Fatal(err)
	}
}
