package sr

import (
	"fmt"
	"image"

	"github.com/suyashkumar/dicom/pkg/tag"
)

func captureRole(number int) string { return fmt.Sprintf("sc-%d", number) }

// captureObject wraps the summary picture of a lesion as a Secondary Capture (PS3.3 A.8.1). The picture shows neither
// name nor identification, so BurnedInAnnotation is NO.
func (c *caseData) captureObject(l lesion) (Object, error) {
	n := c.number(l)
	ref := c.captureReference(l)
	p := picture{pre: c.pre, post: c.post, f: l.f, fonts: c.fonts, sentences: c.sentences(l), lesions: len(c.lesions), version: c.opts.Version}
	img := p.draw()

	d := c.header(objectHeader{ref: ref, modality: "OT", number: c.opts.SeriesNumberBase + captureSeriesOffset, instance: n,
		description: "RFANODE summary [RUO]", source: c.post, lesions: []lesion{l}, laterality: true})
	d.put(tag.ConversionType, "WSD")
	d.put(tag.DateOfSecondaryCapture, dicomDate(c.opts.Created))
	d.put(tag.TimeOfSecondaryCapture, dicomTime(c.opts.Created))
	d.put(tag.ImageType, []string{"DERIVED", "SECONDARY"})
	d.put(tag.PatientOrientation, "")
	d.put(tag.DerivationDescription, "Summary of the ablation assessment. "+RUO)
	d.put(tag.BurnedInAnnotation, "NO")
	lossy := "00"
	if c.post.LossyCompression {
		lossy = "01"
	}
	d.put(tag.LossyImageCompression, lossy)
	d.put(tag.SamplesPerPixel, 3)
	d.put(tag.PhotometricInterpretation, "RGB")
	d.put(tag.PlanarConfiguration, 0)
	d.put(tag.Rows, img.Rect.Dy())
	d.put(tag.Columns, img.Rect.Dx())
	d.put(tag.BitsAllocated, 8)
	d.put(tag.BitsStored, 8)
	d.put(tag.HighBit, 7)
	d.put(tag.PixelRepresentation, 0)
	d.pixels(rgbBytes(img))
	data, err := d.encode()
	return Object{Role: captureRole(n), SOPClassUID: ref.SOPClassUID, SOPInstanceUID: ref.SOPInstanceUID, StudyInstanceUID: ref.StudyInstanceUID,
		SeriesInstanceUID: ref.SeriesInstanceUID, Data: data}, err
}

func rgbBytes(img *image.RGBA) []byte {
	out := make([]byte, 0, img.Rect.Dx()*img.Rect.Dy()*3)
	for i := 0; i < len(img.Pix); i += 4 {
		out = append(out, img.Pix[i], img.Pix[i+1], img.Pix[i+2])
	}
	return out
}
