package phantom

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"rfanode/analysis/ct"
	"rfanode/analysis/volume"
)

// WriteDICOM writes the pair into dir: pre/ and post/ with the CT images, gtr_pre.nii.gz, gtr_deformed_to_post.nii.gz
// and ptz_post.nii.gz on their grids, landmarks.csv (post x,y,z, pre x,y,z in LPS mm) and truth.json. The same pair
// gives the same bytes.
func (r *PairResult) WriteDICOM(dir string) error {
	for name, s := range map[string]*ct.Series{"pre": r.Pre, "post": r.Post} {
		if _, err := WriteSeries(filepath.Join(dir, name), s, nil); err != nil {
			return err
		}
	}
	return r.WriteTruth(dir)
}

// WriteTruth writes what WriteDICOM writes apart from the images.
func (r *PairResult) WriteTruth(dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fmt.Errorf("write the phantom's truth: %w", err)
	}
	for name, m := range map[string]*volume.Mask{"gtr_pre": r.GTRPre, "gtr_deformed_to_post": r.GTRPost, "ptz_post": r.PTZPost} {
		if err := volume.WriteMaskNIfTI(filepath.Join(dir, name+".nii.gz"), m); err != nil {
			return err
		}
	}
	var csv strings.Builder
	csv.WriteString("post_x,post_y,post_z,pre_x,pre_y,pre_z\n")
	for _, l := range r.Landmarks {
		fmt.Fprintf(&csv, "%.3f,%.3f,%.3f,%.3f,%.3f,%.3f\n", l.Post[0], l.Post[1], l.Post[2], l.Pre[0], l.Pre[1], l.Pre[2])
	}
	text, err := json.MarshalIndent(r.Truth, "", " ")
	if err != nil {
		return fmt.Errorf("encode the phantom's truth: %w", err)
	}
	for name, data := range map[string][]byte{"landmarks.csv": []byte(csv.String()), "truth.json": append(text, '\n')} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o666); err != nil {
			return fmt.Errorf("write the phantom's truth: %w", err)
		}
	}
	return nil
}

// WriteSeries writes the slices of a series for which keep(k) is true (nil: all) into dir as CT Image Storage, one file
// a slice, Explicit VR Little Endian, ISO_IR 192, and returns the paths in spatial order.
func WriteSeries(dir string, s *ct.Series, keep func(k int) bool) ([]string, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, fmt.Errorf("write series %s: %w", s.SeriesInstanceUID, err)
	}
	var paths []string
	for k := range s.Instances {
		if keep != nil && !keep(k) {
			continue
		}
		number, err := strconv.Atoi(s.Instances[k].InstanceNumber)
		if err != nil {
			return nil, fmt.Errorf("slice %d of series %s has instance number %q: %w", k, s.SeriesInstanceUID, s.Instances[k].InstanceNumber, err)
		}
		path := filepath.Join(dir, fmt.Sprintf("%04d.dcm", number))
		if err := writeFile(path, func(w io.Writer) error { return EncodeSlice(w, s, k) }); err != nil {
			return nil, err
		}
		paths = append(paths, path)
	}
	return paths, nil
}

func writeFile(path string, encode func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write image: %w", err)
	}
	b := bufio.NewWriter(f)
	err = encode(b)
	if err == nil {
		err = b.Flush()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("write image %s: %w", path, err)
	}
	return nil
}

// EncodeSlice writes slice k of a series as a Part 10 file. CT values are stored as unsigned 12-bit numbers with an
// intercept of -1024, as scanners do; values outside that range are cut.
func EncodeSlice(w io.Writer, s *ct.Series, k int) error {
	g := s.Volume.Geometry
	n := g.Size[0] * g.Size[1]
	pixels := make([]byte, 2*n)
	for i, v := range s.Volume.Data[k*n:][:n] {
		binary.LittleEndian.PutUint16(pixels[2*i:], uint16(clamp(float64(v)+1024, 0, 4095)))
	}
	im := image{
		header: &s.Header, instance: s.Instances[k], kind: []string{"ORIGINAL", "PRIMARY", "AXIAL"},
		rows: g.Size[1], columns: g.Size[0], spacing: [2]float64{g.Spacing[1], g.Spacing[0]}, along: g.Direction[0], down: g.Direction[1],
		origin: g.Point(vec{0, 0, float64(k)}), thickness: s.SliceThickness, gap: g.Spacing[2],
		taken: s.Acquired.Add(time.Duration(len(s.Instances)-1-k) * 25 * time.Millisecond), pixels: pixels,
	}
	return im.encode(w)
}

// WriteLocalizer writes the scout view that belongs to a series, the frontal projection of its volume, as a series of
// its own in the same study: CT Image Storage with ImageType value 3 LOCALIZER (PS3.3 C.8.2.1.1.1).
func WriteLocalizer(dir string, s *ct.Series) (string, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return "", fmt.Errorf("write localizer: %w", err)
	}
	g := s.Volume.Geometry
	h := s.Header
	h.SeriesInstanceUID = ct.UID("phantom/1", s.SeriesInstanceUID, "localizer")
	h.SeriesNumber, h.SeriesDescription = "1", "Topogram"
	pixels := make([]byte, 2*g.Size[0]*g.Size[2])
	for k := range g.Size[2] {
		for i := range g.Size[0] {
			sum := 0.0
			for j := range g.Size[1] {
				sum += attenuation(s.Volume.Data[g.Offset(i, j, k)])
			}
			row := g.Size[2] - 1 - k
			binary.LittleEndian.PutUint16(pixels[2*(row*g.Size[0]+i):], uint16(clamp(sum*g.Spacing[1]/250+24, 0, 4095)))
		}
	}
	im := image{
		header: &h, kind: []string{"ORIGINAL", "PRIMARY", "LOCALIZER"},
		instance: ct.Instance{SOPClassUID: ctImageStorage, SOPInstanceUID: ct.UID("phantom/1", h.SeriesInstanceUID, "1"), InstanceNumber: "1"},
		rows:     g.Size[2], columns: g.Size[0], spacing: [2]float64{g.Spacing[2], g.Spacing[0]},
		along: g.Direction[0], down: scale(g.Direction[2], -1),
		origin:    g.Point(vec{0, float64(g.Size[1]-1) / 2, float64(g.Size[2] - 1)}),
		thickness: 0.6, taken: s.Acquired.Add(-2 * time.Minute), pixels: pixels,
	}
	path := filepath.Join(dir, "localizer.dcm")
	return path, writeFile(path, im.encode)
}

// attenuation is the attenuation relative to air in thousandths of water.
func attenuation(hu float32) float64 { return max(0, float64(hu)+1000) }

// image is one CT image as it is encoded.
type image struct {
	header         *ct.Header
	instance       ct.Instance
	kind           []string // ImageType
	rows, columns  int
	spacing        [2]float64 // between rows, between columns
	along, down    vec        // a row, a column
	origin         vec
	thickness, gap float64 // gap 0: not one of a stack
	taken          time.Time
	pixels         []byte
}

// decimal is a DS value: at most 16 characters.
func decimal(x float64) string {
	s := strconv.FormatFloat(x, 'f', -1, 64)
	for digits := 12; len(s) > 16; digits-- {
		s = strconv.FormatFloat(x, 'f', digits, 64)
	}
	if s == "-0" {
		return "0"
	}
	return s
}

func decimals(xs ...float64) []string {
	out := make([]string, len(xs))
	for i, x := range xs {
		out[i] = decimal(x)
	}
	return out
}

// encode writes the image: the modules of the CT Image IOD (PS3.3 A.3.3) in tag order.
func (im *image) encode(w io.Writer) error {
	h := im.header
	date, clock := im.taken.Format("20060102"), im.taken.Format("150405.000")
	series := h.Acquired.Add(-20 * time.Second)
	var set dicom.Dataset
	var failed error
	put := func(t tag.Tag, value any) {
		if s, ok := value.(string); ok {
			value = []string{s}
		}
		e, err := dicom.NewElement(t, value)
		if err != nil && failed == nil {
			failed = fmt.Errorf("element %v: %w", t, err)
			return
		}
		set.Elements = append(set.Elements, e)
	}
	optional := func(t tag.Tag, value string) {
		if value != "" {
			put(t, value)
		}
	}
	put(tag.FileMetaInformationVersion, []byte{0, 1})
	put(tag.MediaStorageSOPClassUID, im.instance.SOPClassUID)
	put(tag.MediaStorageSOPInstanceUID, im.instance.SOPInstanceUID)
	put(tag.TransferSyntaxUID, "1.2.840.10008.1.2.1")
	put(tag.ImplementationClassUID, ct.UID("implementation"))
	put(tag.ImplementationVersionName, "RFANODE_PHANTOM")

	put(tag.SpecificCharacterSet, "ISO_IR 192")
	put(tag.ImageType, im.kind)
	put(tag.SOPClassUID, im.instance.SOPClassUID)
	put(tag.SOPInstanceUID, im.instance.SOPInstanceUID)
	put(tag.StudyDate, h.StudyDate)
	put(tag.SeriesDate, series.Format("20060102"))
	put(tag.AcquisitionDate, date)
	put(tag.ContentDate, date)
	put(tag.StudyTime, h.StudyTime)
	put(tag.SeriesTime, series.Format("150405"))
	put(tag.AcquisitionTime, clock)
	put(tag.ContentTime, clock)
	put(tag.AccessionNumber, h.AccessionNumber)
	put(tag.Modality, "CT")
	put(tag.Manufacturer, h.Manufacturer)
	optional(tag.InstitutionName, h.InstitutionName)
	put(tag.ReferringPhysicianName, h.ReferringPhysicianName)
	optional(tag.StationName, h.StationName)
	optional(tag.StudyDescription, h.StudyDescription)
	optional(tag.SeriesDescription, h.SeriesDescription)
	optional(tag.ManufacturerModelName, h.ModelName)
	put(tag.PatientName, h.Patient.Name)
	put(tag.PatientID, h.Patient.ID)
	optional(tag.IssuerOfPatientID, h.Patient.Issuer)
	put(tag.PatientBirthDate, h.Patient.BirthDate)
	put(tag.PatientSex, h.Patient.Sex)
	optional(tag.ContrastBolusAgent, h.ContrastAgent)
	optional(tag.BodyPartExamined, h.BodyPart)
	put(tag.SliceThickness, decimal(im.thickness))
	put(tag.KVP, "120")
	if im.gap > 0 {
		put(tag.SpacingBetweenSlices, decimal(im.gap))
	}
	optional(tag.SoftwareVersions, h.SoftwareVersions)
	put(tag.ReconstructionDiameter, decimal(im.spacing[1]*float64(im.columns)))
	put(tag.ConvolutionKernel, h.ConvolutionKernel)
	put(tag.PatientPosition, h.PatientPosition)
	put(tag.StudyInstanceUID, h.StudyInstanceUID)
	put(tag.SeriesInstanceUID, h.SeriesInstanceUID)
	put(tag.StudyID, h.StudyID)
	put(tag.SeriesNumber, h.SeriesNumber)
	put(tag.AcquisitionNumber, "1")
	put(tag.InstanceNumber, im.instance.InstanceNumber)
	put(tag.ImagePositionPatient, decimals(im.origin[:]...))
	put(tag.ImageOrientationPatient, decimals(append(im.along[:], im.down[:]...)...))
	put(tag.FrameOfReferenceUID, h.FrameOfReferenceUID)
	put(tag.PositionReferenceIndicator, h.PositionReference)
	put(tag.SamplesPerPixel, []int{1})
	put(tag.PhotometricInterpretation, "MONOCHROME2")
	put(tag.Rows, []int{im.rows})
	put(tag.Columns, []int{im.columns})
	put(tag.PixelSpacing, decimals(im.spacing[:]...))
	put(tag.BitsAllocated, []int{16})
	put(tag.BitsStored, []int{12})
	put(tag.HighBit, []int{11})
	put(tag.PixelRepresentation, []int{0})
	put(tag.WindowCenter, []string{"-550", "40"})
	put(tag.WindowWidth, []string{"1500", "400"})
	put(tag.RescaleIntercept, "-1024")
	put(tag.RescaleSlope, "1")
	put(tag.RescaleType, "HU")
	put(tag.PixelData, dicom.PixelDataInfo{IntentionallyUnprocessed: true, UnprocessedValueData: im.pixels})
	if failed != nil {
		return failed
	}
	return dicom.Write(w, set)
}
