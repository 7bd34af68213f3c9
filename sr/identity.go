package sr

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"rfanode/analysis"
	"rfanode/analysis/ct"
)

// Series numbers relative to Options.SeriesNumberBase: one series a kind, the same in every case.
const (
	defaultSeriesNumber = 9000 // report
	segSeriesOffset     = 1    // segmentation, in the study of its CT
	captureSeriesOffset = 2    // summary pictures
	segPreSameStudy     = 5    // segmentation of the pre CT when both CTs are in one study
)

// Reference names an object in its study and series.
type Reference struct {
	StudyInstanceUID, SeriesInstanceUID string
	SOPClassUID, SOPInstanceUID         string
}

// lesion is a final lesion with its identity.
type lesion struct {
	f *analysis.Findings
}

// label is the beginning of the lesion's tracking identifiers.
func (l lesion) label() string { return fmt.Sprintf("Lesion%d", l.f.Lesion) }

// caseData is what all objects of one pair share while they are made.
type caseData struct {
	pre, post     *ct.Series
	lesions       []lesion
	opts          Options
	identity      []string // fields of every identifier but the role
	fonts         *fontSet
	segmentations []segmentation // filled by planSegmentations
}

// newCase checks that findings and series belong together and keeps the final lesions, in the order of their numbers.
func newCase(pre, post *ct.Series, findings []analysis.Findings, opts Options) (*caseData, error) {
	if pre == nil || post == nil {
		return nil, errors.New("building result objects needs both the pre and the post series")
	}
	if pre.Patient.ID != post.Patient.ID || pre.Issuer != post.Issuer {
		return nil, errors.New("pre and post series carry different patient identities: hold the case, do not report")
	}
	if err := checkSeries(pre); err != nil {
		return nil, fmt.Errorf("pre series: %w", err)
	}
	if err := checkSeries(post); err != nil {
		return nil, fmt.Errorf("post series: %w", err)
	}
	opts.setDefaults(post)
	c := &caseData{pre: pre, post: post, opts: opts}
	for i := range findings {
		f := &findings[i]
		if f.Status != analysis.Final {
			continue
		}
		if err := checkFinal(f, pre, post); err != nil {
			return nil, fmt.Errorf("findings of lesion %d: %w", f.Lesion, err)
		}
		c.lesions = append(c.lesions, lesion{f})
	}
	if len(c.lesions) == 0 {
		return nil, ErrNothingFinal
	}
	slices.SortStableFunc(c.lesions, func(a, b lesion) int { return a.f.Lesion - b.f.Lesion })
	for i := 1; i < len(c.lesions); i++ {
		if c.lesions[i].f.Lesion == c.lesions[i-1].f.Lesion {
			return nil, fmt.Errorf("two findings carry lesion number %d", c.lesions[i].f.Lesion)
		}
	}
	var err error
	if c.fonts, err = loadFonts(opts.Font); err != nil {
		return nil, err
	}
	c.identity, err = identity(pre, post, c.lesions, opts)
	return c, err
}

func (o *Options) setDefaults(post *ct.Series) {
	if o.Version == "" {
		o.Version = "0"
	}
	if o.Manufacturer == "" {
		o.Manufacturer = "rfanode"
	}
	if o.SerialNumber == "" {
		sum := sha256.Sum256([]byte("rfanode serial number\x00" + o.SiteKey))
		o.SerialNumber = "RFANODE-" + strings.ToUpper(hex.EncodeToString(sum[:4]))
	}
	if o.Created.IsZero() && post != nil {
		o.Created = post.Acquired
	}
	if o.Created.IsZero() {
		o.Created = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	if o.SeriesNumberBase == 0 {
		o.SeriesNumberBase = defaultSeriesNumber
	}
}

func checkSeries(s *ct.Series) error {
	switch {
	case s.Volume == nil || s.Volume.Len() == 0:
		return errors.New("it has no volume")
	case s.StudyInstanceUID == "" || s.SeriesInstanceUID == "":
		return errors.New("it has no DICOM identity (read from NIfTI?): result objects cannot refer to it")
	case s.FrameOfReferenceUID == "":
		return errors.New("it has no Frame of Reference UID: a segmentation cannot be placed")
	case len(s.Instances) != s.Volume.Size[2]:
		return fmt.Errorf("%d instances for %d slices", len(s.Instances), s.Volume.Size[2])
	}
	return nil
}

// checkFinal makes sure that a final lesion has all that a report shows: a result with a part missing must not look whole.
func checkFinal(f *analysis.Findings, pre, post *ct.Series) error {
	if f.Coverage == nil {
		return errors.New("final, but there is no coverage")
	}
	if f.Lesion < 1 {
		return errors.New("the lesion has no number")
	}
	for _, s := range []struct {
		name   string
		s      *analysis.Structure
		series *ct.Series
		empty  bool
	}{{"gtr", f.GTR, pre, false}, {"gtr_post", f.GTRPost, post, false}, {"ptv", f.PTV, post, false}, {"ptz", f.PTZ, post, false}, {"uncovered", f.Uncovered, post, true}} {
		switch {
		case s.s == nil || s.s.Mask == nil:
			return fmt.Errorf("final, but %s has no mask", s.name)
		case !s.s.Mask.Geometry.Same(s.series.Volume.Geometry):
			return fmt.Errorf("the mask of %s is not on the grid of its CT series", s.name)
		case len(s.s.Mask.Data) != s.s.Mask.Len():
			return fmt.Errorf("the mask of %s has %d values for %d voxels", s.name, len(s.s.Mask.Data), s.s.Mask.Len())
		case !s.empty && s.s.Mask.Count() == 0:
			return fmt.Errorf("final, but the mask of %s is empty", s.name)
		}
	}
	return nil
}

// identity lists what makes this result this result: site, inputs, program, configuration, findings with their masks,
// and the predecessor. Archives answer success to changed content under a known identifier and keep the old object, so
// whatever can change the content has to change the identifier; the digest of the findings sees to that.
func identity(pre, post *ct.Series, lesions []lesion, opts Options) ([]string, error) {
	h := sha256.New()
	for _, l := range lesions {
		b, err := json.Marshal(l.f)
		if err != nil {
			return nil, fmt.Errorf("findings of lesion %d: %w", l.f.Lesion, err)
		}
		h.Write(b)
		for _, s := range []*analysis.Structure{l.f.GTR, l.f.GTRPost, l.f.PTV, l.f.PTZ, l.f.Uncovered} {
			h.Write(s.Mask.Data)
		}
	}
	predecessor := ""
	if opts.Predecessor != nil {
		predecessor = opts.Predecessor.SOPInstanceUID
	}
	return []string{opts.SiteKey, instanceDigest(pre), instanceDigest(post), opts.Version, opts.ConfigDigest,
		strconv.Itoa(opts.SeriesNumberBase), strconv.FormatBool(opts.SendUnaligned),
		hex.EncodeToString(h.Sum(nil)), predecessor}, nil
}

func instanceDigest(s *ct.Series) string {
	uids := make([]string, 0, len(s.Instances))
	for _, i := range s.Instances {
		uids = append(uids, i.SOPInstanceUID)
	}
	slices.Sort(uids)
	return strings.Join(uids, "\\")
}

// uid is the identifier of an object or of a part of it: role "sr", "seg-post" …, with a suffix "/series", "/dim".
func (c *caseData) uid(role string) string { return ct.UID(append([]string{role}, c.identity...)...) }

// seriesUID is that of the series an object of the role goes into; instances of one kind share it.
func (c *caseData) seriesUID(kind string) string { return c.uid(kind + "/series") }

// trackingUID names a structure of a lesion across SEG, SR and follow-ups: no version is part of it.
func (c *caseData) trackingUID(l lesion, structure string) string {
	return ct.UID("tracking", c.opts.SiteKey, c.post.Issuer, c.post.Patient.ID, l.label(), structure)
}

// deviceUID is the Device Observer UID of this node.
func (c *caseData) deviceUID() string { return ct.UID("device", c.opts.SiteKey, c.opts.SerialNumber) }

// objectsOf lists the objects of a series, each once: a multi-frame one holds many slices.
func objectsOf(s *ct.Series) []ct.Instance {
	var objects []ct.Instance
	seen := map[string]bool{}
	for _, i := range s.Instances {
		if !seen[i.SOPInstanceUID] {
			seen[i.SOPInstanceUID] = true
			objects = append(objects, i)
		}
	}
	return objects
}

func (c *caseData) seriesReference(s *ct.Series, i ct.Instance) Reference {
	return Reference{s.StudyInstanceUID, s.SeriesInstanceUID, i.SOPClassUID, i.SOPInstanceUID}
}

func (c *caseData) segmentationReference(s *segmentation) Reference {
	return Reference{s.source.StudyInstanceUID, c.seriesUID(s.kind), SegmentationStorage, c.uid(s.role)}
}

func (c *caseData) captureReference(l lesion) Reference {
	return Reference{c.post.StudyInstanceUID, c.seriesUID("sc"), SecondaryCaptureStorage, c.uid(captureRole(c.number(l)))}
}

// number is the 1-based position of a lesion among those reported.
func (c *caseData) number(l lesion) int {
	return 1 + slices.IndexFunc(c.lesions, func(o lesion) bool { return o.f == l.f })
}
