package ct

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"rfanode/analysis/volume"
)

// InstanceHeader is what one instance says of itself, read without its pixels. Of the geometry and the pixels it holds
// what the file states, possible or not: CheckStack judges it.
type InstanceHeader struct {
	Header
	Path              string
	TransferSyntaxUID string
	SOPClassUID       string
	SOPInstanceUID    string
	InstanceNumber    string
	Modality          string
	ImageType         []string // (0008,0008): ORIGINAL, PRIMARY, AXIAL …
	AcquisitionNumber string

	Rows, Columns  int
	PlaneStated    bool          // position, orientation and pixel spacing are there and numbers
	Position       volume.Vec    // centre of the first pixel, LPS mm
	RowDirection   volume.Vec    // of increasing column index
	ColDirection   volume.Vec    // of increasing row index
	PixelSpacing   [2]float64    // (0028,0030): between rows, between columns, mm
	SamplesPerPix  int           // 1 if not stated
	Frames         int           // 1 if not stated
	Frame          int           // of a multi-frame object, from 1; 0: of one that has no frames
	Photometric    string        // MONOCHROME2
	BitsAllocated  int           // 16
	BitsStored     int           // 12 or 16
	HighBit        int           // BitsStored − 1
	Signed         bool          // (0028,0103) = 1
	RescaleStated  bool          // slope and intercept are there and numbers
	Slope          float64       // HU per stored unit
	Intercept      float64       // HU
	padding        *paddingRange // stored values that are no measurement
	metaLength     int64         // bytes of the file before its data set
	pixelOffset    int64
	pixelLength    int64 // −1: encapsulated
	pixelIsPresent bool
}

// paddingRange is Pixel Padding Value (0028,0120) to Pixel Padding Range Limit (0028,0121), as 16-bit patterns.
type paddingRange struct{ value, limit uint16 }

// Attributes that are read, by their place in a header.
const (
	tagCharset        tag = 0x00080005
	tagImageType      tag = 0x00080008
	tagSOPClass       tag = 0x00080016
	tagSOPInstance    tag = 0x00080018
	tagStudyDate      tag = 0x00080020
	tagSeriesDate     tag = 0x00080021
	tagAcqDate        tag = 0x00080022
	tagContentDate    tag = 0x00080023
	tagAcqDateTime    tag = 0x0008002A
	tagStudyTime      tag = 0x00080030
	tagSeriesTime     tag = 0x00080031
	tagAcqTime        tag = 0x00080032
	tagContentTime    tag = 0x00080033
	tagModality       tag = 0x00080060
	tagThickness      tag = 0x00180050
	tagAcqNumber      tag = 0x00200012
	tagInstanceNumber tag = 0x00200013
	tagPosition       tag = 0x00200032
	tagOrientation    tag = 0x00200037
	tagSamples        tag = 0x00280002
	tagPhotometric    tag = 0x00280004
	tagFrames         tag = 0x00280008
	tagRows           tag = 0x00280010
	tagColumns        tag = 0x00280011
	tagPixelSpacing   tag = 0x00280030
	tagBitsAllocated  tag = 0x00280100
	tagBitsStored     tag = 0x00280101
	tagHighBit        tag = 0x00280102
	tagPixelRep       tag = 0x00280103
	tagPadding        tag = 0x00280120
	tagPaddingLimit   tag = 0x00280121
	tagIntercept      tag = 0x00281052
	tagSlope          tag = 0x00281053
	tagLossy          tag = 0x00282110
)

// texts are the attributes that Header copies as text.
var texts = []struct {
	tag tag
	put func(h *Header, s string)
}{
	{0x00100010, func(h *Header, s string) { h.Name = s }},
	{0x00100020, func(h *Header, s string) { h.ID = s }},
	{0x00100021, func(h *Header, s string) { h.Issuer = s }},
	{0x00100030, func(h *Header, s string) { h.BirthDate = s }},
	{0x00100040, func(h *Header, s string) { h.Sex = s }},
	{0x0020000D, func(h *Header, s string) { h.StudyInstanceUID = s }},
	{tagStudyDate, func(h *Header, s string) { h.StudyDate = s }},
	{tagStudyTime, func(h *Header, s string) { h.StudyTime = s }},
	{0x00200010, func(h *Header, s string) { h.StudyID = s }},
	{0x00081030, func(h *Header, s string) { h.StudyDescription = s }},
	{0x00080050, func(h *Header, s string) { h.AccessionNumber = s }},
	{0x00080090, func(h *Header, s string) { h.ReferringPhysicianName = s }},
	{0x0020000E, func(h *Header, s string) { h.SeriesInstanceUID = s }},
	{0x00200011, func(h *Header, s string) { h.SeriesNumber = s }},
	{0x0008103E, func(h *Header, s string) { h.SeriesDescription = s }},
	{0x00200052, func(h *Header, s string) { h.FrameOfReferenceUID = s }},
	{0x00201040, func(h *Header, s string) { h.PositionReference = s }},
	{0x00185100, func(h *Header, s string) { h.PatientPosition = s }},
	{0x00180015, func(h *Header, s string) { h.BodyPart = s }},
	{0x00080070, func(h *Header, s string) { h.Manufacturer = s }},
	{0x00081090, func(h *Header, s string) { h.ModelName = s }},
	{0x00080080, func(h *Header, s string) { h.InstitutionName = s }},
	{0x00081010, func(h *Header, s string) { h.StationName = s }},
	{0x00181000, func(h *Header, s string) { h.DeviceSerialNumber = s }},
	{0x00181020, func(h *Header, s string) { h.SoftwareVersions = s }},
	{0x00181210, func(h *Header, s string) { h.ConvolutionKernel = s }},
	{0x00180010, func(h *Header, s string) { h.ContrastAgent = s }},
}

var wanted = func() map[tag]bool {
	w := map[tag]bool{}
	for _, t := range texts {
		w[t.tag] = true
	}
	for _, t := range []tag{tagCharset, tagImageType, tagSOPClass, tagSOPInstance, tagSeriesDate, tagAcqDate, tagContentDate,
		tagAcqDateTime, tagSeriesTime, tagAcqTime, tagContentTime, tagModality, tagThickness, tagAcqNumber, tagInstanceNumber,
		tagPosition, tagOrientation, tagSamples, tagPhotometric, tagFrames, tagRows, tagColumns, tagPixelSpacing, tagBitsAllocated,
		tagBitsStored, tagHighBit, tagPixelRep, tagPadding, tagPaddingLimit, tagIntercept, tagSlope, tagLossy} {
		w[t] = true
	}
	return w
}()

// ReadHeader reads one DICOM file up to its pixels. It accepts any kind of object in any transfer syntax of the standard,
// whether its pixels can be decoded or not, and refuses what is no DICOM file (ErrNotDICOM) and what breaks off or
// contradicts itself.
func ReadHeader(path string) (InstanceHeader, error) {
	d, err := readDataset(path, wanted)
	if err != nil {
		return InstanceHeader{}, fmt.Errorf("reading %s: %w", path, err)
	}
	h := d.header()
	h.Path = path
	return h, nil
}

func (d *dataset) header() InstanceHeader {
	charsets := strings.Split(d.plain(tagCharset), "\\")
	for i := range charsets {
		charsets[i] = strings.TrimSpace(charsets[i])
	}
	h := InstanceHeader{TransferSyntaxUID: d.transferSyntax, SOPClassUID: d.plain(tagSOPClass), SOPInstanceUID: d.plain(tagSOPInstance),
		InstanceNumber: d.plain(tagInstanceNumber), Modality: d.plain(tagModality), AcquisitionNumber: d.plain(tagAcqNumber),
		Rows: d.number(tagRows, 0), Columns: d.number(tagColumns, 0), SamplesPerPix: d.number(tagSamples, 1),
		Photometric: d.plain(tagPhotometric), BitsAllocated: d.number(tagBitsAllocated, 0), BitsStored: d.number(tagBitsStored, 0),
		HighBit: d.number(tagHighBit, 0), Signed: d.number(tagPixelRep, 0) == 1, Frames: 1,
		metaLength: d.metaLength, pixelOffset: d.pixelOffset, pixelLength: d.pixelLength, pixelIsPresent: d.pixelOffset > 0}
	for _, t := range texts {
		t.put(&h.Header, decodeText(d.values[t.tag], charsets))
	}
	h.ImageType = splitValues(d.plain(tagImageType))
	if s := d.plain(tagFrames); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			n = -1
		}
		h.Frames = n
	}
	d.plane(&h)
	d.rescale(&h)
	if t, ok := d.decimals(tagThickness, 1); ok && t[0] > 0 {
		h.SliceThickness = t[0]
	}
	if v := d.values[tagPadding]; len(v) == 2 {
		p := paddingRange{value: d.order.Uint16(v)}
		p.limit = p.value
		if l := d.values[tagPaddingLimit]; len(l) == 2 {
			p.limit = d.order.Uint16(l)
		}
		h.padding = &p
	}
	h.LossyCompression = d.plain(tagLossy) == "01"
	h.Acquired = d.acquired()
	return h
}

// rescale reads the modality transformation (PS3.3 C.11.1).
func (d *dataset) rescale(h *InstanceHeader) {
	slope, ok1 := d.decimals(tagSlope, 1)
	intercept, ok2 := d.decimals(tagIntercept, 1)
	if ok1 && ok2 && slope[0] != 0 {
		h.RescaleStated, h.Slope, h.Intercept = true, slope[0], intercept[0]
	}
}

func splitValues(s string) (values []string) {
	for _, v := range strings.Split(s, "\\") {
		values = append(values, strings.TrimSpace(v))
	}
	return values
}

// plane reads the Image Plane Module (PS3.3 C.7.6.2).
func (d *dataset) plane(h *InstanceHeader) {
	position, ok1 := d.decimals(tagPosition, 3)
	orientation, ok2 := d.decimals(tagOrientation, 6)
	spacing, ok3 := d.decimals(tagPixelSpacing, 2)
	if !ok1 || !ok2 || !ok3 {
		return
	}
	h.PlaneStated = true
	copy(h.Position[:], position)
	copy(h.RowDirection[:], orientation[:3])
	copy(h.ColDirection[:], orientation[3:])
	copy(h.PixelSpacing[:], spacing)
}

// plain is a value of the default repertoire.
func (d *dataset) plain(t tag) string { return strings.Trim(string(d.values[t]), " \x00") }

// number is a US value.
func (d *dataset) number(t tag, absent int) int {
	if v := d.values[t]; len(v) >= 2 {
		return int(d.order.Uint16(v))
	}
	return absent
}

// decimals is a DS value of n numbers; ok is false if it is absent or not n finite numbers.
func (d *dataset) decimals(t tag, n int) (out []float64, ok bool) {
	parts := strings.Split(d.plain(t), "\\")
	if len(parts) != n {
		return nil, false
	}
	for _, p := range parts {
		x, err := strconv.ParseFloat(strings.TrimSpace(p), 64)
		if err != nil || math.IsNaN(x) || math.Abs(x) > 1e6 {
			return nil, false
		}
		out = append(out, x)
	}
	return out, true
}

// acquired is the start of the acquisition from the best statement there is. Acquisition Date and Time come first;
// Acquisition DateTime only if its day is one that another date of the instance confirms, because copying and
// anonymising programs shift the others and forget it. Without an acquisition date the content, the series and the study
// stand in, in that order. A statement with a time of day goes before one without.
func (d *dataset) acquired() time.Time {
	dates := [4]string{d.plain(tagAcqDate), d.plain(tagContentDate), d.plain(tagSeriesDate), d.plain(tagStudyDate)}
	times := [4]string{d.plain(tagAcqTime), d.plain(tagContentTime), d.plain(tagSeriesTime), d.plain(tagStudyTime)}
	var day time.Time // the best date without a time
	try := func(date, clock string) (time.Time, bool) {
		t, timed, ok := moment(date, clock)
		if ok && !timed && day.IsZero() {
			day = t
		}
		return t, ok && timed
	}
	if t, ok := try(dates[0], times[0]); ok {
		return t
	}
	if dt := d.plain(tagAcqDateTime); len(dt) >= 8 && confirmed(dt[:8], dates) {
		clock := dt[8:]
		if i := strings.IndexAny(clock, "+-"); i >= 0 {
			clock = clock[:i] // the zone: the other statements have none, and only one clock can be compared
		}
		if t, ok := try(dt[:8], clock); ok {
			return t
		}
	}
	for i := 1; i < 4 && dates[0] == ""; i++ {
		if t, ok := try(dates[i], times[0]); ok {
			return t
		}
	}
	for i := 1; i < 4; i++ {
		// A later statement must not move the acquisition to another day than the one it is known to have been on.
		if t, ok := try(dates[i], times[i]); ok && (day.IsZero() || sameDay(day, t)) {
			return t
		}
	}
	return day
}

// confirmed reports whether a day is the acquisition's, or, if that is not stated, the series' or the study's.
func confirmed(day string, dates [4]string) bool {
	if dates[0] != "" {
		return strings.ReplaceAll(dates[0], ".", "") == day
	}
	return strings.ReplaceAll(dates[2], ".", "") == day || strings.ReplaceAll(dates[3], ".", "") == day
}

func sameDay(a, b time.Time) bool { return a.Year() == b.Year() && a.YearDay() == b.YearDay() }

// moment reads a DA and a TM value (PS3.5 6.2; the ACR-NEMA forms with dots and colons too).
func moment(date, clock string) (t time.Time, timed, ok bool) {
	t, err := time.Parse("20060102", strings.ReplaceAll(date, ".", ""))
	if err != nil {
		return time.Time{}, false, false
	}
	clock = strings.ReplaceAll(clock, ":", "")
	whole, fraction, _ := strings.Cut(clock, ".")
	layout := map[int]string{2: "15", 4: "1504", 6: "150405"}[len(whole)]
	c, err := time.Parse(layout, whole)
	if layout == "" || err != nil {
		return t, false, true
	}
	t = t.Add(time.Duration(c.Hour())*time.Hour + time.Duration(c.Minute())*time.Minute + time.Duration(c.Second())*time.Second)
	if f, err := strconv.ParseFloat("0."+fraction, 64); err == nil && fraction != "" {
		t = t.Add(time.Duration(math.Round(f*1e6)) * time.Microsecond)
	}
	return t, true, true
}
