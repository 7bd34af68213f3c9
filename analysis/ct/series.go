// Package ct turns the instances of one CT series, of one slice each or of many frames, into a volume in Hounsfield units
// with its full geometry in the patient (PS3.3 C.7.6.2 Image Plane, C.7.6.16 functional groups, C.8.2.1 CT Image,
// C.11.1.1.2 Modality LUT), and refuses, with the reason, what is no regular stack of axial-like slices. Compressed pixels
// are decoded by package codec. It also makes the unique identifiers of everything rfanode creates.
package ct

import (
	"time"

	"rfanode/analysis/volume"
)

// Series is one CT series as a volume.
type Series struct {
	Header
	Volume    *volume.Volume // HU; axis k runs along row × column, so that a right-handed LPS system results
	Instances []Instance     // one a slice, Instances[k] is slice k of Volume
}

// Instance is one slice of a series.
type Instance struct {
	SOPClassUID    string
	SOPInstanceUID string
	InstanceNumber string // (0020,0013), as a person finds the slice in a viewer; may be empty. Of a frame: its number
	Frame          int    // of a multi-frame object, from 1, so that several slices are of one object; 0: no frames
}

// Header holds what results copy from a series: values as they stand in the source, decoded to UTF-8; empty stays empty.
type Header struct {
	Patient
	StudyInstanceUID       string
	StudyDate              string // DA
	StudyTime              string // TM
	StudyID                string
	StudyDescription       string
	AccessionNumber        string
	ReferringPhysicianName string
	SeriesInstanceUID      string
	SeriesNumber           string
	SeriesDescription      string
	FrameOfReferenceUID    string
	PositionReference      string // (0020,1040)
	PatientPosition        string // (0018,5100): HFS, FFS, HFP …
	BodyPart               string
	Manufacturer           string
	ModelName              string
	InstitutionName        string
	StationName            string
	DeviceSerialNumber     string
	SoftwareVersions       string
	ConvolutionKernel      string
	ContrastAgent          string    // (0018,0010), empty: none stated
	SliceThickness         float64   // mm, (0018,0050); 0: not stated. The spacing of the volume comes from positions
	LossyCompression       bool      // (0028,2110) = 01
	Acquired               time.Time // start of the acquisition on the scanner's clock, as if in UTC; zero: not stated
}

// Patient identifies whose series it is (PS3.3 C.7.1.1).
type Patient struct {
	Name      string // PN, all component groups
	ID        string
	Issuer    string
	BirthDate string // DA
	Sex       string // M, F, O or empty
}
