// Package contour reads what a person, or another program, has drawn or marked on a CT series: a DICOM Segmentation
// (PS3.3 A.51, C.8.20; binary, fractional or label map), an RT Structure Set (A.19, C.8.8.5, C.8.8.6), or the
// coordinates in a structured report (A.35; TID 1500 of PS3.16 and its like). Each structure becomes a mask on the grid
// of a CT series, or points in the patient. An object of another patient or another frame of reference, outside of the
// CT or empty is refused with the reason in plain words; nothing is moved or guessed.
//
// Objects come from anywhere: the encoding is checked (dimse.CheckDataSet) before anything is read, sizes and numbers
// are bounded, and a fault in them is an error, never a panic. Words say which structure stands for the tumour and which for the zone; the package knows nothing of cases.
package contour

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/suyashkumar/dicom/pkg/tag"

	"rfanode/analysis/volume"
	"rfanode/dimse"
)

// Kind of object.
type Kind string

const (
	SEG      Kind = "SEG"
	RTSTRUCT Kind = "RTSTRUCT"
	SR       Kind = "SR"
)

// SOP classes that are read (PS3.6 annex A).
const (
	segmentationStorage  = "1.2.840.10008.5.1.4.1.1.66.4"
	labelMapStorage      = "1.2.840.10008.5.1.4.1.1.66.7"
	structureSetStorage  = "1.2.840.10008.5.1.4.1.1.481.3"
	enhancedSR           = "1.2.840.10008.5.1.4.1.1.88.22"
	comprehensiveSR      = "1.2.840.10008.5.1.4.1.1.88.33"
	comprehensive3DSR    = "1.2.840.10008.5.1.4.1.1.88.34"
	extensibleSR         = "1.2.840.10008.5.1.4.1.1.88.35"
	maxFile              = 1 << 30  // bytes; a segmentation of 600 slices of 512 × 512 with 50 segments has half of it
	maxText              = 64 << 20 // bytes of an object that is all text: in memory it takes ten times as much
	maxStructures        = 4096
	maxCoordinateMM      = 1e5 // beyond any scanner
	sameAxis             = 1e-3
	maxSourceVoxels      = 1 << 28
	maxReferencedObjects = 1 << 20
)

// KindOf says what kind of contour object a SOP class is; empty: none that is read here.
func KindOf(sopClassUID string) Kind {
	switch sopClassUID {
	case segmentationStorage, labelMapStorage:
		return SEG
	case structureSetStorage:
		return RTSTRUCT
	case enhancedSR, comprehensiveSR, comprehensive3DSR, extensibleSR:
		return SR
	}
	return ""
}

// Contour is one such object.
type Contour struct {
	Kind                                                             Kind
	SOPClassUID, SOPInstanceUID, StudyInstanceUID, SeriesInstanceUID string
	PatientID, Issuer                                                string
	FrameOfReferenceUID                                              string   // of the object; empty: its structures say
	Series                                                           []string // Series Instance UIDs it refers to
	Instances                                                        []string // SOP Instance UIDs it refers to
	Label, Description                                               string   // of the object, or of its series
	Maker                                                            Maker
	Made                                                             time.Time // as the object says, on its maker's clock; zero: it does not
	Structures                                                       []Structure
}

// Maker says who made the object.
type Maker struct {
	Manufacturer, Model, Software, Serial string
	DeviceUID                             string
	Creator                               string `json:"-"` // a person's name: patient-like data, never for logs or state
}

// Structure is one segment, region of interest, or group of measurements.
type Structure struct {
	Number      int    // Segment Number, ROI Number, or the position of the group in the report, from 1
	Label       string // Segment Label, ROI Name, Tracking Identifier
	Description string
	Category    Code
	Type        Code   // what it is: Segmented Property Type, interpreted type of an ROI, Finding
	Site        Code   // where, in a report
	Algorithm   string // MANUAL, SEMIAUTOMATIC, AUTOMATIC; empty: not stated
	Maker       string // name of the algorithm, or of the person who interpreted the ROI

	FrameOfReferenceUID string   // empty: not stated, the instances place it
	Instances           []string // SOP Instance UIDs it was drawn on, as far as stated

	Region bool // it encloses a region
	Points int  // that it marks

	shape  shape       // nil: points only
	points []somewhere // centres of what was marked
}

// Summary is the object without its regions and points, and with at most so many of the instances it refers to and of
// those each structure was drawn on: enough to decide what it is about, small enough to keep, and plain JSON.
func (c *Contour) Summary(instances int) *Contour {
	thin := func(all []string) []string {
		if len(all) <= instances {
			return all
		}
		out := make([]string, 0, instances)
		for i := range instances {
			out = append(out, all[i*(len(all)-1)/max(instances-1, 1)])
		}
		return out
	}
	s := *c
	s.Instances, s.Structures = thin(c.Instances), slices.Clone(c.Structures)
	for i := range s.Structures {
		x := &s.Structures[i]
		x.Instances, x.shape, x.points = thin(x.Instances), nil, nil
	}
	return &s
}

// Code is a coded concept.
type Code struct{ Value, Scheme, Meaning string }

// Area says whether the structure encloses a region; if not, it has points at most.
func (s Structure) Area() bool { return s.Region }

// Marked says whether the structure has anything at all.
func (s Structure) Marked() bool { return s.Region || s.Points > 0 }

// shape is a region drawn on some grid.
type shape interface {
	// on gives the region on a grid, and how much of it (0 to 1) lies outside of that. all is false if it is empty as
	// drawn.
	on(g volume.Geometry) (m *volume.Mask, outside float64, all bool, err error)
}

// somewhere is a point in the patient, or in an image.
type somewhere struct {
	point    volume.Vec // LPS mm; in an image: column and row, from the corner of the first pixel
	instance string     // SOP Instance UID of the image; empty: in the patient
	frame    int        // of the image, from 1; 0: not stated
}

// Problem is the kind of an Error.
type Problem string

const (
	Unreadable  Problem = "unreadable"         // no DICOM object that could be read
	Unsupported Problem = "unsupported"        // one of a kind that is not read here
	OtherPerson Problem = "other patient"      //
	OtherFrame  Problem = "frame of reference" // drawn in another coordinate system, or in none
	OtherScan   Problem = "other series"       // marked on an image that is not part of the series
	Outside     Problem = "outside the scan"   //
	Empty       Problem = "empty"              //
)

// Error says why a contour cannot be used.
type Error struct {
	Problem Problem
	Reason  string // a sentence
}

func (e *Error) Error() string { return e.Reason }

func fault(p Problem, format string, args ...any) error {
	return &Error{Problem: p, Reason: fmt.Sprintf(format, args...)}
}

// Read reads a Part 10 file. What is wrong with it is an *Error.
func Read(path string) (*Contour, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fault(Unsupported, "the file has %d MiB; at most %d are read", info.Size()>>20, maxFile>>20)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return Decode(data)
}

// Decode reads the bytes of a Part 10 file.
func Decode(data []byte) (c *Contour, err error) {
	defer func() { // the library trusts what it reads
		if r := recover(); r != nil {
			c, err = nil, fault(Unreadable, "the object cannot be read: %v", r)
		}
	}()
	r := bytes.NewReader(data)
	meta, offset, err := dimse.ReadFileMeta(r, r.Size())
	if err != nil {
		return nil, fault(Unreadable, "%v", err)
	}
	size := r.Size() - offset
	h, err := dimse.CheckStructure(io.NewSectionReader(r, offset, size), size, meta.TransferSyntaxUID, dimse.CheckLimits{Inflated: maxFile})
	if err != nil {
		return nil, fault(Unreadable, "the object is damaged: %v", err)
	}
	kind := KindOf(h.SOPClassUID)
	if kind == "" {
		return nil, fault(Unsupported, "SOP class %s is neither a segmentation, nor a structure set, nor a report with coordinates", h.SOPClassUID)
	}
	if kind != SEG && size > maxText {
		return nil, fault(Unsupported, "the object has %d MiB; at most %d are read of this kind", size>>20, maxText>>20)
	}
	f, err := parse(data)
	if err != nil {
		return nil, err
	}
	c = f.contour(kind)
	switch kind {
	case SEG:
		err = c.readSegmentation(f, encoded{syntax: meta.TransferSyntaxUID, r: r, size: r.Size(), offset: offset + h.PixelDataOffset, fragments: h.PixelDataFragments})
	case RTSTRUCT:
		err = c.readStructureSet(f)
	case SR:
		err = c.readReport(f)
	}
	if err != nil {
		var known *Error
		if !errors.As(err, &known) {
			err = fault(Unreadable, "%v", err)
		}
		return nil, err
	}
	for i := range c.Structures {
		s := &c.Structures[i]
		s.Region, s.Points = s.shape != nil, len(s.points)
	}
	return c, nil
}

// contour begins with what all kinds have.
func (f fields) contour(kind Kind) *Contour {
	c := &Contour{
		Kind: kind, SOPClassUID: f.text(tag.SOPClassUID), SOPInstanceUID: f.text(tag.SOPInstanceUID),
		StudyInstanceUID: f.text(tag.StudyInstanceUID), SeriesInstanceUID: f.text(tag.SeriesInstanceUID),
		PatientID: f.text(tag.PatientID), Issuer: f.text(tag.IssuerOfPatientID), FrameOfReferenceUID: f.text(tag.FrameOfReferenceUID),
		Label: f.text(tag.ContentLabel), Description: f.text(tag.SeriesDescription),
		Maker: Maker{
			Manufacturer: f.text(tag.Manufacturer), Model: f.text(tag.ManufacturerModelName), Serial: f.text(tag.DeviceSerialNumber),
			Software: strings.Join(f.strings(tag.SoftwareVersions), " "), DeviceUID: f.text(tag.DeviceUID),
			Creator: firstOf(f.text(tag.ContentCreatorName), f.text(tag.OperatorsName)),
		},
	}
	c.Made = firstMoment(f, [2]tag.Tag{tag.ContentDate, tag.ContentTime}, [2]tag.Tag{tag.StructureSetDate, tag.StructureSetTime},
		[2]tag.Tag{tag.InstanceCreationDate, tag.InstanceCreationTime}, [2]tag.Tag{tag.SeriesDate, tag.SeriesTime})
	return c
}

// Structure returns the one that a person names: by number, or by label, case ignored.
func (c *Contour) Structure(name string) (int, error) {
	found := -1
	for i, s := range c.Structures {
		if fmt.Sprint(s.Number) == name {
			return i, nil
		}
		if strings.EqualFold(strings.TrimSpace(s.Label), strings.TrimSpace(name)) {
			if found >= 0 {
				return 0, fault(Unsupported, "several structures are called %q: name one by its number (there are %s)", name, c.list())
			}
			found = i
		}
	}
	if found < 0 {
		return 0, fault(Unsupported, "there is no structure %q (there are %s)", name, c.list())
	}
	return found, nil
}

// list names the structures for a person.
func (c *Contour) list() string {
	const most = 12
	var names []string
	for i, s := range c.Structures {
		if i == most {
			names = append(names, fmt.Sprintf("and %d more", len(c.Structures)-most))
			break
		}
		names = append(names, fmt.Sprintf("%d %q", s.Number, s.Label))
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// Names lists the structures, "1 "GTR", 2 "PTZ"".
func (c *Contour) Names() string { return c.list() }

func firstOf(s ...string) string {
	for _, v := range s {
		if v != "" {
			return v
		}
	}
	return ""
}

// Origin says in words what structure i is and where it comes from, without any person's name: "contour in the SEG
// 1.2.3, segment 1, of 2024-03-01 09:12, drawn with Vendor Viewer".
func (c *Contour) Origin(i int) string {
	s := c.Structures[i]
	what, how, part := "point", "marked", map[Kind]string{SEG: "segment", RTSTRUCT: "ROI", SR: "measurement"}[c.Kind]
	if s.Region {
		what, how = "contour", "drawn"
	}
	text := fmt.Sprintf("%s in the %s %s, %s %d", what, c.Kind, c.SOPInstanceUID, part, s.Number)
	if s.Algorithm == "AUTOMATIC" {
		text += ", made by a program"
	}
	if !c.Made.IsZero() {
		text += ", of " + c.Made.Format("2006-01-02 15:04")
	}
	if with := strings.TrimSpace(c.Maker.Manufacturer + " " + c.Maker.Model); with != "" {
		text += ", " + how + " with " + with
	}
	return text
}
