package phantom

import (
	"fmt"
	"time"

	"rfanode/analysis/ct"
	"rfanode/analysis/volume"
)

const ctImageStorage = "1.2.840.10008.5.1.4.1.1.2"

// headers makes the two series without their pixels.
func (o Options) headers(pre, post volume.Geometry) (*ct.Series, *ct.Series) {
	later := o.Acquired.AddDate(0, 0, o.Days).Add(24*time.Minute + 25*time.Second)
	if o.SameStudy {
		later = o.Acquired.Add(50*time.Minute + 12*time.Second)
	}
	a := o.series("pre", pre, o.Acquired)
	b := o.series("post", post, later)
	b.ConvolutionKernel, b.ContrastAgent = o.post().Kernel.String(), o.post().agent()
	a.StudyDescription, a.SeriesDescription = "CT CHEST", fmt.Sprintf("CHEST %.1f %s PRE RFA", o.SliceMM, o.Kernel)
	b.StudyDescription, b.SeriesDescription = "CT CHEST FOLLOW-UP RFA", fmt.Sprintf("CHEST %.1f %s POST RFA", o.SliceMM, o.post().Kernel)
	if o.SameStudy {
		b.StudyInstanceUID, b.StudyDate, b.StudyTime, b.StudyID = a.StudyInstanceUID, a.StudyDate, a.StudyTime, a.StudyID
		b.AccessionNumber, b.StudyDescription, b.SeriesNumber = a.AccessionNumber, a.StudyDescription, "5"
		b.FrameOfReferenceUID = a.FrameOfReferenceUID
	}
	if o.NoDescriptions {
		for _, s := range []*ct.Series{a, b} {
			s.StudyDescription, s.SeriesDescription = "", ""
		}
	}
	return a, b
}

// uid makes an identifier that belongs to these options: other options, other objects.
func (o Options) uid(role string) string { return ct.UID("phantom/1", fmt.Sprintf("%+v", o), role) }

func (o Options) series(role string, g volume.Geometry, start time.Time) *ct.Series {
	s := &ct.Series{Volume: volume.New(g)}
	s.Patient = ct.Patient{Name: o.PatientName, ID: o.PatientID, BirthDate: "19580612", Sex: o.Sex}
	s.StudyInstanceUID = o.uid(role + "/study")
	s.SeriesInstanceUID = o.uid(role + "/series")
	s.FrameOfReferenceUID = o.uid(role + "/frame")
	started := start.Add(-6 * time.Minute)
	s.StudyDate, s.StudyTime = started.Format("20060102"), started.Format("150405")
	s.StudyID = "1"
	s.AccessionNumber = "RFA" + started.Format("060102") + map[string]string{"pre": "A", "post": "B"}[role]
	s.SeriesNumber = "2"
	s.PatientPosition = "HFS"
	s.BodyPart = "CHEST"
	s.Manufacturer = "rfanode"
	s.ModelName = "phantom"
	s.InstitutionName = "Phantom"
	s.StationName = "PHANTOM"
	s.SoftwareVersions = "phantom/1"
	s.ConvolutionKernel = o.Kernel.String()
	s.ContrastAgent = o.agent()
	s.SliceThickness = o.SliceMM
	s.Acquired = start
	n := g.Size[2]
	for k := range n {
		number := n - k // as scanned: head first
		if o.Reversed && role == "post" {
			number = k + 1
		}
		s.Instances = append(s.Instances, ct.Instance{
			SOPClassUID: ctImageStorage, SOPInstanceUID: o.uid(fmt.Sprintf("%s/%d", role, k)), InstanceNumber: fmt.Sprint(number),
		})
	}
	return s
}

func (o Options) agent() string {
	if o.Contrast {
		return "IOMEPROL 400"
	}
	return ""
}
