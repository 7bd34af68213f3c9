package sr

import (
	"strconv"

	"github.com/suyashkumar/dicom/pkg/tag"

	"rfanode/analysis/ct"
)

// RUO is what every object says of itself. DICOM has no attribute for it, so it stands in the series description, in the
// report's case group and last sentence, in the picture and in the contribution description.
const RUO = "RESEARCH USE ONLY - not for primary diagnosis"

// implementationClassUID names this writer in the file meta information (PS3.7 D.3.3.2).
var implementationClassUID = ct.UID("implementation class")

// objectHeader is what is special about one object's header.
type objectHeader struct {
	ref         Reference
	modality    string
	number      int // Series Number
	instance    int // Instance Number
	description string
	source      *ct.Series // whose patient, study and equipment it belongs to: the series it is drawn on
	lesions     []lesion
	laterality  bool // writes Laterality (0020,0060): images do, SR and SEG documents have it elsewhere
}

// header makes the modules common to all objects: SOP Common, Patient, General Study, General Series and (Enhanced)
// General Equipment (PS3.3 C.12.1, C.7.1.1, C.7.2.1, C.7.3.1, C.7.5). Values of the patient and the study are those of
// the source series, unchanged; empty stays empty (type 2).
func (c *caseData) header(h objectHeader) *dataset {
	d := &dataset{}
	date, clock := dicomDate(c.opts.Created), dicomTime(c.opts.Created)
	d.put(tag.SpecificCharacterSet, "ISO_IR 192")
	d.put(tag.InstanceCreationDate, date)
	d.put(tag.InstanceCreationTime, clock)
	d.put(tag.SOPClassUID, h.ref.SOPClassUID)
	d.put(tag.SOPInstanceUID, h.ref.SOPInstanceUID)

	s := h.source
	d.put(tag.PatientName, s.Name)
	d.put(tag.PatientID, s.Patient.ID)
	if s.Issuer != "" {
		d.put(tag.IssuerOfPatientID, s.Issuer)
	}
	d.put(tag.PatientBirthDate, s.BirthDate)
	d.put(tag.PatientSex, s.Sex)

	d.put(tag.StudyInstanceUID, s.StudyInstanceUID)
	d.put(tag.StudyDate, s.StudyDate)
	d.put(tag.StudyTime, s.StudyTime)
	d.put(tag.StudyID, s.StudyID)
	if s.StudyDescription != "" {
		d.put(tag.StudyDescription, s.StudyDescription)
	}
	d.put(tag.AccessionNumber, s.AccessionNumber)
	d.put(tag.ReferringPhysicianName, s.ReferringPhysicianName)

	d.put(tag.Modality, h.modality)
	d.put(tag.SeriesInstanceUID, h.ref.SeriesInstanceUID)
	d.put(tag.SeriesNumber, strconv.Itoa(h.number))
	d.put(tag.InstanceNumber, strconv.Itoa(h.instance))
	d.put(tag.SeriesDescription, h.description)
	d.put(tag.SeriesDate, date)
	d.put(tag.SeriesTime, clock)
	d.put(tag.ContentDate, date)
	d.put(tag.ContentTime, clock)
	if h.laterality {
		d.put(tag.Laterality, commonLaterality(h.lesions))
	}

	d.put(tag.Manufacturer, c.opts.Manufacturer)
	d.put(tag.ManufacturerModelName, modelName)
	d.put(tag.DeviceSerialNumber, c.opts.SerialNumber)
	d.put(tag.SoftwareVersions, softwareVersions(c.opts.Version, h.lesions))
	d.put(tag.ContributingEquipmentSequence, c.contributions(s))
	return d
}

// modelName is the Manufacturer's Model Name.
const modelName = "rfanode"

// softwareVersions lists the program and each algorithm with its version (LO: at most 64 characters each), without
// repetition.
func softwareVersions(version string, lesions []lesion) []string {
	out := []string{"rfanode " + version}
	seen := map[string]bool{out[0]: true}
	for _, l := range lesions {
		for _, a := range l.f.Algorithms {
			if v := cutLength(a.Name+" "+a.Version, 64); !seen[v] {
				seen[v] = true
				out = append(out, v)
			}
		}
	}
	return out
}

// contributions says which scanner made the images and what this program did (PS3.3 C.12.1, CID 7005).
func (c *caseData) contributions(s *ct.Series) []*dataset {
	var items []*dataset
	if s.Manufacturer != "" { // type 1 in the item
		a := &dataset{}
		a.put(tag.PurposeOfReferenceCodeSequence, codeAcquisitionEquipment)
		a.put(tag.Manufacturer, s.Manufacturer)
		putIf(a, tag.ManufacturerModelName, s.ModelName)
		putIf(a, tag.DeviceSerialNumber, s.DeviceSerialNumber)
		putIf(a, tag.SoftwareVersions, s.SoftwareVersions)
		putIf(a, tag.InstitutionName, s.InstitutionName)
		putIf(a, tag.StationName, s.StationName)
		items = append(items, a)
	}
	p := &dataset{}
	p.put(tag.PurposeOfReferenceCodeSequence, codeProcessingEquipment)
	p.put(tag.Manufacturer, c.opts.Manufacturer)
	p.put(tag.ManufacturerModelName, modelName)
	p.put(tag.DeviceSerialNumber, c.opts.SerialNumber)
	p.put(tag.SoftwareVersions, "rfanode "+c.opts.Version)
	p.put(tag.ContributionDateTime, dicomDate(c.opts.Created)+dicomTime(c.opts.Created))
	p.put(tag.ContributionDescription, RUO)
	return append(items, p)
}

func putIf(d *dataset, t tag.Tag, v string) {
	if v != "" {
		d.put(t, v)
	}
}

// commonLaterality is R or L when all lesions lie on that side, else empty.
func commonLaterality(lesions []lesion) string {
	side := ""
	for i, l := range lesions {
		if _, known := lateralityCode(l.f.Laterality); !known || i > 0 && l.f.Laterality != side {
			return ""
		}
		side = l.f.Laterality
	}
	return side
}

// cutLength shortens a string to n characters, for VRs with a limit.
func cutLength(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n])
	}
	return s
}

// referencedSOP is an item that names an object by class and instance.
func referencedSOP(r Reference) *dataset {
	d := &dataset{}
	d.put(tag.ReferencedSOPClassUID, r.SOPClassUID)
	d.put(tag.ReferencedSOPInstanceUID, r.SOPInstanceUID)
	return d
}
