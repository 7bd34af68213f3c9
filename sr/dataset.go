package sr

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"
)

// dataset collects data elements in any order; encoding sorts them by tag (PS3.5 7.1). The first error is kept and
// returned by encode, so that a module reads as a list of its attributes.
type dataset struct {
	elements []*dicom.Element
	err      error
}

// put adds an element; its VR is the first of the dictionary (PS3.6). value: string, []string, int, []int, []float64,
// []byte, Code, *dataset or []*dataset (a sequence). An empty string is an empty value.
func (d *dataset) put(t tag.Tag, value any) {
	info, err := tag.Find(t)
	if err != nil {
		d.fail(t, err)
		return
	}
	d.putVR(t, info.VRs[0], value)
}

func (d *dataset) putVR(t tag.Tag, vr string, value any) {
	var data any
	switch v := value.(type) {
	case string:
		data = stringValues(v)
	case []string:
		data = v
	case int:
		data = []int{v}
	case Code:
		data = [][]*dicom.Element{d.item(t, v.dataset())}
	case *dataset:
		data = [][]*dicom.Element{d.item(t, v)}
	case []*dataset:
		items := make([][]*dicom.Element, 0, len(v))
		for _, i := range v {
			items = append(items, d.item(t, i))
		}
		data = items
	default:
		data = v
	}
	dv, err := dicom.NewValue(data)
	if err != nil {
		d.fail(t, err)
		return
	}
	d.elements = append(d.elements, &dicom.Element{Tag: t, ValueRepresentation: tag.GetVRKind(t, vr), RawValueRepresentation: vr, Value: dv})
}

// stringValues makes an empty string an element without value instead of one empty value; both encode to length 0.
func stringValues(s string) []string {
	if s == "" {
		return []string{}
	}
	return []string{s}
}

// putAll copies the elements of a module.
func (d *dataset) putAll(m *dataset) {
	d.elements = append(d.elements, m.elements...)
	if d.err == nil {
		d.err = m.err
	}
}

func (d *dataset) item(t tag.Tag, i *dataset) []*dicom.Element {
	if err := i.sort(); err != nil {
		d.fail(t, err)
	}
	return i.elements
}

func (d *dataset) fail(t tag.Tag, err error) {
	if d.err == nil {
		d.err = fmt.Errorf("%v: %w", t, err)
	}
}

func (d *dataset) sort() error {
	slices.SortStableFunc(d.elements, func(a, b *dicom.Element) int { return a.Tag.Compare(b.Tag) })
	for i := 1; i < len(d.elements); i++ {
		if d.elements[i].Tag == d.elements[i-1].Tag {
			d.fail(d.elements[i].Tag, fmt.Errorf("the element is there twice"))
		}
	}
	return d.err
}

// pixels sets Pixel Data to raw bytes, padded to an even length once at the end (PS3.5 8.1.1), VR OB: with 8 or fewer
// bits allocated both OB and OW are allowed (PS3.5 A.2). The library cannot pack 1-bit frames, so it is given bytes.
func (d *dataset) pixels(data []byte) {
	if len(data)%2 == 1 {
		data = append(data, 0)
	}
	d.putVR(tag.PixelData, "OB", dicom.PixelDataInfo{IntentionallyUnprocessed: true, UnprocessedValueData: data})
}

// encode writes the data set as a Part 10 file (PS3.10 7.1), Explicit VR Little Endian.
func (d *dataset) encode() ([]byte, error) {
	class, instance := d.uidOf(tag.SOPClassUID), d.uidOf(tag.SOPInstanceUID)
	d.putVR(tag.FileMetaInformationVersion, "OB", []byte{0, 1})
	d.put(tag.MediaStorageSOPClassUID, class)
	d.put(tag.MediaStorageSOPInstanceUID, instance)
	d.put(tag.TransferSyntaxUID, explicitVRLittleEndianUID)
	d.put(tag.ImplementationClassUID, implementationClassUID)
	d.put(tag.ImplementationVersionName, "RFANODE")
	if err := d.sort(); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := dicom.Write(&b, dicom.Dataset{Elements: d.elements}); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func (d *dataset) uidOf(t tag.Tag) string {
	for _, e := range d.elements {
		if v, ok := e.Value.GetValue().([]string); ok && e.Tag == t && len(v) == 1 {
			return v[0]
		}
	}
	d.fail(t, fmt.Errorf("the identifier is missing"))
	return ""
}

// maxDS is the length of a Decimal String (PS3.5 table 6.2-1).
const maxDS = 16

// decimal prints a number as DS without exponent, as exactly as 16 characters allow, at most `decimals` places.
func decimal(x float64, decimals int) string {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return "" // callers leave such values out; an empty DS is never a wrong number
	}
	for ; decimals >= 0; decimals-- {
		s := strconv.FormatFloat(x, 'f', decimals, 64)
		if strings.Contains(s, ".") {
			s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
		}
		if s == "-0" {
			s = "0"
		}
		if len(s) <= maxDS {
			return s
		}
	}
	return ""
}

// geometryDecimals are enough for a hundredth of a micrometre and for direction cosines.
const geometryDecimals = 13

func decimals(xs ...float64) []string {
	out := make([]string, len(xs))
	for i, x := range xs {
		out[i] = decimal(x, geometryDecimals)
	}
	return out
}

func dicomDate(t time.Time) string { return t.Format("20060102") }
func dicomTime(t time.Time) string { return t.Format("150405") }
