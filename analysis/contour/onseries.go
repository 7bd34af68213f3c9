package contour

import (
	"errors"
	"fmt"
	"slices"

	"rfanode/analysis/ct"
	"rfanode/analysis/volume"
)

// maxOutside is the share of a region that may lie outside of the CT: a rim that rounding of positions cuts off.
const maxOutside = 0.02

// Mask is structure i (position in Structures) on the grid of a CT series. Where pixel is voxel, nothing is changed;
// otherwise a voxel belongs to it if at least half of it lies inside. The error is an *Error.
func (c *Contour) Mask(series *ct.Series, i int) (*volume.Mask, error) {
	if err := c.belongs(series, i); err != nil {
		return nil, err
	}
	s := c.Structures[i]
	if s.shape == nil {
		return nil, fault(Empty, "%s encloses no region", s.name())
	}
	m, outside, all, err := s.shape.on(series.Volume.Geometry)
	switch {
	case err != nil:
		return nil, err
	case !all:
		return nil, fault(Empty, "%s is empty", s.name())
	case outside > maxOutside:
		return nil, fault(Outside, "%.0f %% of %s lies outside of the CT series", 100*outside, s.name())
	case m.Count() == 0:
		return nil, fault(Empty, "%s is smaller than a voxel of the CT series", s.name())
	}
	return m, nil
}

// Point is the place that structure i marks, LPS mm: the mean of its points, or the centre of its region. The error is
// an *Error.
func (c *Contour) Point(series *ct.Series, i int) (volume.Vec, error) {
	return c.PointOn(series, i, nil)
}

// PointOn is Point for marks that may lie on images of another series in the same frame of reference, which image finds
// by SOP Instance UID.
func (c *Contour) PointOn(series *ct.Series, i int, image func(sop string) (ct.InstanceHeader, bool)) (volume.Vec, error) {
	if i < 0 || i >= len(c.Structures) || c.Structures[i].shape != nil {
		m, err := c.Mask(series, i)
		if err != nil {
			return volume.Vec{}, err
		}
		return m.Centroid(), nil
	}
	s := c.Structures[i]
	inSeries := func(p somewhere) int {
		return slices.IndexFunc(series.Instances, func(i ct.Instance) bool {
			return i.SOPInstanceUID == p.instance && (i.Frame == 0 || i.Frame == p.frame)
		})
	}
	onImages := len(s.points) > 0 && s.points[0].instance != ""
	if err := c.belongs(series, i); err != nil && (!onImages || image == nil || problem(err) != OtherFrame) {
		return volume.Vec{}, err
	}
	if len(s.points) == 0 {
		return volume.Vec{}, fault(Empty, "%s is empty", s.name())
	}
	g := series.Volume.Geometry
	var all []volume.Vec
	for _, p := range s.points {
		q := p.point
		if p.instance != "" {
			// Pixel coordinates count from the corner of the first pixel, so that its centre is at ½, ½ (PS3.3 C.18.6.1.1).
			if k := inSeries(p); k >= 0 {
				q = g.Point(volume.Vec{p.point[0] - 0.5, p.point[1] - 0.5, float64(k)})
			} else if h, ok := lookUp(image, p.instance); ok && h.PlaneStated && h.FrameOfReferenceUID == series.FrameOfReferenceUID && h.Patient.ID == series.Patient.ID {
				for a := range 3 {
					q[a] = h.Position[a] + h.RowDirection[a]*h.PixelSpacing[1]*(p.point[0]-0.5) + h.ColDirection[a]*h.PixelSpacing[0]*(p.point[1]-0.5)
				}
			} else {
				return volume.Vec{}, fault(OtherScan, "%s is marked on an image that is not part of the CT series, nor known to lie in its frame of reference", s.name())
			}
		}
		if !within(g, g.Index(q)) {
			return volume.Vec{}, fault(Outside, "%s lies outside of the CT series", s.name())
		}
		all = append(all, q)
	}
	return centreOf(all), nil
}

func lookUp(image func(string) (ct.InstanceHeader, bool), sop string) (ct.InstanceHeader, bool) {
	if image == nil {
		return ct.InstanceHeader{}, false
	}
	return image(sop)
}

func problem(err error) Problem {
	var e *Error
	if errors.As(err, &e) {
		return e.Problem
	}
	return ""
}

// belongs says whether a structure was drawn on this patient in this coordinate system. Series from NIfTI have neither.
func (c *Contour) belongs(series *ct.Series, i int) error {
	if i < 0 || i >= len(c.Structures) {
		return fault(Unsupported, "there is no structure %d (there are %s)", i+1, c.list())
	}
	if series.StudyInstanceUID == "" {
		return nil
	}
	if c.PatientID != series.Patient.ID || c.Issuer != "" && series.Issuer != "" && c.Issuer != series.Issuer {
		return fault(OtherPerson, "the contour and the CT series carry different patient identities")
	}
	s := c.Structures[i]
	if s.FrameOfReferenceUID != "" {
		if s.FrameOfReferenceUID != series.FrameOfReferenceUID {
			return fault(OtherFrame, "%s was drawn in another frame of reference than that of the CT series", s.name())
		}
		return nil
	}
	if slices.Contains(c.Series, series.SeriesInstanceUID) {
		return nil
	}
	for _, in := range series.Instances {
		if slices.Contains(s.Instances, in.SOPInstanceUID) {
			return nil
		}
	}
	return fault(OtherFrame, "%s states no frame of reference and refers to no image of the CT series", s.name())
}

// name is how sentences call a structure: by its number, since labels are free text that may name a person.
func (s Structure) name() string { return fmt.Sprintf("structure %d", s.Number) }
