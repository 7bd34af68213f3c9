package sr

import (
	"bytes"
	"fmt"

	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"
)

// fields are the elements of a data set or of a sequence item, as read.
type fields map[tag.Tag]*dicom.Element

// parse reads a Part 10 file that this package wrote. The library trusts declared lengths and can panic, so files from
// elsewhere are checked (dimse.CheckFile) before they come here; a panic becomes an error.
func parse(data []byte) (f fields, err error) {
	defer func() {
		if r := recover(); r != nil {
			f, err = nil, fmt.Errorf("not a readable DICOM file: %v", r)
		}
	}()
	ds, err := dicom.Parse(bytes.NewReader(data), int64(len(data)), nil, dicom.SkipProcessingPixelDataValue())
	if err != nil {
		return nil, fmt.Errorf("reading a DICOM file of %d bytes: %w", len(data), err)
	}
	return fieldsOf(ds.Elements), nil
}

func fieldsOf(elements []*dicom.Element) fields {
	f := fields{}
	for _, e := range elements {
		f[e.Tag] = e
	}
	return f
}

func (f fields) strings(t tag.Tag) []string {
	if e, ok := f[t]; ok {
		if v, ok := e.Value.GetValue().([]string); ok {
			return v
		}
	}
	return nil
}

// text is the first value, empty if there is none.
func (f fields) text(t tag.Tag) string {
	if v := f.strings(t); len(v) > 0 {
		return v[0]
	}
	return ""
}

func (f fields) ints(t tag.Tag) []int {
	if e, ok := f[t]; ok {
		if v, ok := e.Value.GetValue().([]int); ok {
			return v
		}
	}
	return nil
}

func (f fields) int(t tag.Tag) int {
	if v := f.ints(t); len(v) > 0 {
		return v[0]
	}
	return 0
}

func (f fields) items(t tag.Tag) []fields {
	e, ok := f[t]
	if !ok {
		return nil
	}
	v, ok := e.Value.GetValue().([]*dicom.SequenceItemValue)
	if !ok {
		return nil
	}
	out := make([]fields, 0, len(v))
	for _, i := range v {
		if elements, ok := i.GetValue().([]*dicom.Element); ok {
			out = append(out, fieldsOf(elements))
		}
	}
	return out
}

// first is the first item of a sequence, empty if there is none.
func (f fields) first(t tag.Tag) fields {
	if i := f.items(t); len(i) > 0 {
		return i[0]
	}
	return fields{}
}

func (f fields) code(t tag.Tag) Code {
	i := f.first(t)
	return Code{i.text(tag.CodeValue), i.text(tag.CodingSchemeDesignator), i.text(tag.CodeMeaning)}
}

func (f fields) pixelData() []byte {
	if e, ok := f[tag.PixelData]; ok {
		if p, ok := e.Value.GetValue().(dicom.PixelDataInfo); ok {
			return p.UnprocessedValueData
		}
	}
	return nil
}

// ObjectHeader is what a reader needs to place an object.
type ObjectHeader struct {
	Reference
	PatientName, PatientID          string
	SeriesNumber, SeriesDescription string
	FrameOfReferenceUID             string // images only
	Laterality                      string
}

func (f fields) header() ObjectHeader {
	return ObjectHeader{
		Reference: Reference{f.text(tag.StudyInstanceUID), f.text(tag.SeriesInstanceUID), f.text(tag.SOPClassUID), f.text(tag.SOPInstanceUID)},

		PatientName: f.text(tag.PatientName), PatientID: f.text(tag.PatientID),
		SeriesNumber: f.text(tag.SeriesNumber), SeriesDescription: f.text(tag.SeriesDescription),
		FrameOfReferenceUID: f.text(tag.FrameOfReferenceUID), Laterality: f.text(tag.Laterality),
	}
}

// references flattens an evidence sequence.
func (f fields) references(t tag.Tag) []Reference {
	var out []Reference
	for _, study := range f.items(t) {
		for _, series := range study.items(tag.ReferencedSeriesSequence) {
			for _, s := range series.items(tag.ReferencedSOPSequence) {
				out = append(out, Reference{study.text(tag.StudyInstanceUID), series.text(tag.SeriesInstanceUID), s.text(tag.ReferencedSOPClassUID), s.text(tag.ReferencedSOPInstanceUID)})
			}
		}
	}
	return out
}
