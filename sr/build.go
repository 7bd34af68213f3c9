package sr

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rfanode/analysis"
	"rfanode/analysis/ct"
)

// Options are what the objects say beyond the findings. The zero value works, but then two sites make the same
// identifiers from the same images.
type Options struct {
	SiteKey      string    // makes identifiers and the device serial number this site's own
	Version      string    // of the program; empty: "0"
	Manufacturer string    // empty: "rfanode"
	SerialNumber string    // Device Serial Number; empty: derived from SiteKey
	Created      time.Time // dates and times written into the objects; take it from the job, so that a rerun repeats it. Zero: the acquisition of the post series
	ConfigDigest string    // SHA-256 of everything in the configuration that can change a result; part of every identifier
	// Font is a TrueType or OpenType file (or collection) for characters the embedded Go fonts lack, such as Chinese.
	Font string
	// Predecessor is the report that this one replaces, nil for the first.
	Predecessor *Reference
	// SeriesNumberBase is the Series Number of the report, 0: 9000. A second result in the same study takes 9010, and so on.
	SeriesNumberBase int
	// SendUnaligned lets a segmentation out although its frames do not begin on byte boundaries (see alignment). Several
	// viewers and archives draw such an object wrongly or hang, so the default is to keep it here.
	SendUnaligned bool
}

// Object is one DICOM object, ready to be stored or sent.
type Object struct {
	Role              string // "seg-post", "seg-pre", "sc-1" …, "sr"; a segmentation too large for one object: "seg-post-2" …
	SOPClassUID       string
	SOPInstanceUID    string
	StudyInstanceUID  string
	SeriesInstanceUID string
	Data              []byte // the whole Part 10 file, Explicit VR Little Endian
	Withheld          bool   // made, referenced by the report, but not to be sent
	Note              string // why it is withheld; empty otherwise
}

// SOP classes of what this package writes (PS3.6 annex A).
const (
	SegmentationStorage       = "1.2.840.10008.5.1.4.1.1.66.4"
	SecondaryCaptureStorage   = "1.2.840.10008.5.1.4.1.1.7"
	Comprehensive3DSRStorage  = "1.2.840.10008.5.1.4.1.1.88.34"
	explicitVRLittleEndianUID = "1.2.840.10008.1.2.1"
)

// ErrNothingFinal is returned by Build when no lesion is final: a held case sends nothing.
var ErrNothingFinal = errors.New("no final lesion: nothing to report")

// Build makes the result objects of one pre/post pair in the order in which they are to be sent: segmentations, summary
// pictures, report, so that the report's references resolve when it arrives. Held lesions are left out.
func Build(ctx context.Context, pre, post *ct.Series, findings []analysis.Findings, opts Options) ([]Object, error) {
	c, err := newCase(pre, post, findings, opts)
	if err != nil {
		return nil, err
	}
	c.planSegmentations()
	var objects []Object
	for i := range c.segmentations {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		o, err := c.segmentationObject(&c.segmentations[i])
		if err != nil {
			return nil, fmt.Errorf("making the %s object: %w", c.segmentations[i].role, err)
		}
		objects = append(objects, o)
	}
	for _, l := range c.lesions {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		o, err := c.captureObject(l)
		if err != nil {
			return nil, fmt.Errorf("making the summary picture of lesion %d: %w", l.f.Lesion, err)
		}
		objects = append(objects, o)
	}
	o, err := c.reportObject()
	if err != nil {
		return nil, fmt.Errorf("making the report: %w", err)
	}
	return append(objects, o), nil
}
