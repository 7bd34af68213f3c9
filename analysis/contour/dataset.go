package contour

import (
	"bytes"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"
)

// fields are the elements of a data set or of a sequence item.
type fields map[tag.Tag]*dicom.Element

// parse reads a Part 10 file whose structure has been checked. Pixel data stay as they are.
func parse(data []byte) (fields, error) {
	ds, err := dicom.Parse(bytes.NewReader(data), int64(len(data)), nil, dicom.SkipProcessingPixelDataValue())
	if err != nil {
		return nil, fault(Unreadable, "the object cannot be read: %v", err)
	}
	return fieldsOf(ds.Elements), nil
}

func fieldsOf(elements []*dicom.Element) fields {
	f := fields{}
	for _, e := range elements {
		if e != nil && e.Value != nil {
			f[e.Tag] = e
		}
	}
	return f
}

func (f fields) value(t tag.Tag) any {
	if e, ok := f[t]; ok {
		return e.Value.GetValue()
	}
	return nil
}

// strings are the values of a text; one that was too long for its VR comes as bytes (UN, PS3.5 6.2.2).
func (f fields) strings(t tag.Tag) []string {
	switch v := f.value(t).(type) {
	case []string:
		return v
	case []byte:
		return strings.Split(string(v), "\\")
	}
	return nil
}

// text is the first value, empty if there is none.
func (f fields) text(t tag.Tag) string {
	if v := f.strings(t); len(v) > 0 {
		return strings.Trim(v[0], " \x00")
	}
	return ""
}

func (f fields) ints(t tag.Tag) []int {
	v, _ := f.value(t).([]int)
	return v
}

// int is a whole number, from a binary value or from IS; ok is false if there is none.
func (f fields) int(t tag.Tag) (n int, ok bool) {
	if v := f.ints(t); len(v) > 0 {
		return v[0], true
	}
	n, err := strconv.Atoi(f.text(t))
	return n, err == nil
}

// numbers are finite decimals or floats, n of them (n < 0: any number); ok is false otherwise.
func (f fields) numbers(t tag.Tag, n int) (out []float64, ok bool) {
	if v, isFloat := f.value(t).([]float64); isFloat {
		out = v
	} else {
		texts := f.strings(t)
		out = make([]float64, 0, len(texts))
		for _, s := range texts {
			x, err := strconv.ParseFloat(strings.Trim(s, " \x00"), 64)
			if err != nil {
				return nil, false
			}
			out = append(out, x)
		}
	}
	for _, x := range out {
		if math.IsNaN(x) || math.Abs(x) > maxCoordinateMM {
			return nil, false
		}
	}
	return out, len(out) == n || n < 0
}

func (f fields) items(t tag.Tag) []fields {
	v, ok := f.value(t).([]*dicom.SequenceItemValue)
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
	return Code{firstOf(i.text(tag.CodeValue), i.text(tag.LongCodeValue), i.text(tag.URNCodeValue)), i.text(tag.CodingSchemeDesignator), i.text(tag.CodeMeaning)}
}

// pixelData are the bytes of native pixel data.
func (f fields) pixelData() []byte {
	if p, ok := f.value(tag.PixelData).(dicom.PixelDataInfo); ok {
		return p.UnprocessedValueData
	}
	return nil
}

// firstMoment is the first date that is stated, with its time.
func firstMoment(f fields, pairs ...[2]tag.Tag) time.Time {
	for _, p := range pairs {
		day, err := time.Parse("20060102", f.text(p[0]))
		if err != nil {
			continue
		}
		clock, fraction, _ := strings.Cut(f.text(p[1]), ".")
		for _, layout := range []string{"150405", "1504", "15"} {
			if t, err := time.Parse(layout, clock); err == nil {
				day = day.Add(time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute + time.Duration(t.Second())*time.Second)
				break
			}
		}
		if x, err := strconv.ParseFloat("0."+fraction, 64); err == nil && fraction != "" {
			day = day.Add(time.Duration(math.Round(x*1e6)) * time.Microsecond)
		}
		return day
	}
	return time.Time{}
}

// set collects texts in the order of their first appearance, up to a bound.
type set struct {
	seen map[string]bool
	all  []string
}

func (s *set) add(v string) {
	if v == "" || s.seen[v] || len(s.all) >= maxReferencedObjects {
		return
	}
	if s.seen == nil {
		s.seen = map[string]bool{}
	}
	s.seen[v] = true
	s.all = append(s.all, v)
}
