package ct

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"rfanode/analysis/volume"
)

// Limits of what is taken as a stack.
const (
	MinSlices = 20      // a chest CT of 10 mm slices has more; below it the lung is not covered
	maxSide   = 4096    // rows or columns; scanners make 512 to 2048
	maxVoxels = 1 << 29 // 2 GB as float32: 2048 slices of 512 × 512
	sameVec   = 1e-3    // of a direction cosine: under half a millimetre over a 400 mm field
	evenness  = 0.15    // of the spacing, by which a slice may miss its place (positions are rounded and couches slip)
	samePlace = 0.01    // mm, below which two slices lie in one place
	missing   = 1.5     // × the usual step: a slice is missing
	axialCos  = 0.7     // of the angle between slice normal and body axis, beyond which the slices are not axial
	ctImage   = "1.2.840.10008.5.1.4.1.1.2"
)

// Problem says what kind of fault makes a set of instances no regular stack.
type Problem string

const (
	NotCT       Problem = "not CT"
	Localizer   Problem = "localizer"
	TooFew      Problem = "too few slices"
	SeveralSets Problem = "several series"
	NoPlane     Problem = "no position"
	NotAxial    Problem = "not axial"
	Mixed       Problem = "mixed slices"
	Duplicates  Problem = "duplicate slices"
	Gap         Problem = "gap"
	Uneven      Problem = "uneven spacing"
	Tilted      Problem = "tilted gantry"
	Pixels      Problem = "unreadable pixels"
)

// StackError refuses a set of instances as a volume. Reason is a sentence for people, with the cure where there is one.
type StackError struct {
	Problem Problem
	Reason  string
}

func (e *StackError) Error() string { return e.Reason }

func refuse(p Problem, format string, args ...any) error {
	return &StackError{p, fmt.Sprintf(format, args...)}
}

// IsProblem reports whether err is a StackError of the kind p.
func IsProblem(err error, p Problem) bool {
	var s *StackError
	return errors.As(err, &s) && s.Problem == p
}

// CheckStack reports, as a *StackError, the first thing that keeps the instances from being one regular stack of axial
// CT slices with readable pixels; nil if nothing does. The order of the instances does not matter.
func CheckStack(headers []InstanceHeader) error {
	_, _, err := stack(headers)
	return err
}

// stack sorts the instances along row × column and gives the grid they form.
func stack(headers []InstanceHeader) ([]InstanceHeader, volume.Geometry, error) {
	var g volume.Geometry
	for _, check := range []func([]InstanceHeader) error{checkKind, checkIdentity, checkPlanes, checkAlike, checkPixels} {
		if err := check(headers); err != nil {
			return nil, g, err
		}
	}
	first := headers[0]
	row, col, normal := axes(first)
	sorted := slices.Clone(headers)
	slices.SortStableFunc(sorted, func(a, b InstanceHeader) int {
		switch d := dot(a.Position, normal) - dot(b.Position, normal); {
		case d < 0:
			return -1
		case d > 0:
			return 1
		}
		return strings.Compare(a.SOPInstanceUID, b.SOPInstanceUID)
	})
	step, err := checkSteps(sorted, normal)
	if err != nil {
		return nil, g, err
	}
	g = volume.Geometry{Size: [3]int{first.Columns, first.Rows, len(sorted)},
		Spacing: [3]float64{first.PixelSpacing[1], first.PixelSpacing[0], step}, Direction: [3]volume.Vec{row, col, normal}}
	if voxels := int64(g.Size[0]) * int64(g.Size[1]) * int64(g.Size[2]); voxels > maxVoxels {
		return nil, g, refuse(Mixed, "%d slices of %d × %d are more than the %d voxels that are taken", g.Size[2], g.Size[0], g.Size[1], maxVoxels)
	}
	if g.Origin, err = checkColumn(sorted, g); err != nil {
		return nil, g, err
	}
	return sorted, g, nil
}

// checkKind: CT slices, no localizer, enough of them.
func checkKind(headers []InstanceHeader) error {
	for _, h := range headers {
		if slices.Contains(h.ImageType, "LOCALIZER") {
			return refuse(Localizer, "the series is a localizer (scout view, image %s), not a stack of slices", h.InstanceNumber)
		}
		if h.SOPClassUID != ctImage && !(isMultiFrame(h.SOPClassUID) && h.Frame > 0) || h.Modality != "" && h.Modality != "CT" {
			return refuse(NotCT, "image %s is no CT Image (modality %q, SOP class %s)", h.InstanceNumber, h.Modality, h.SOPClassUID)
		}
	}
	if n := len(headers); n < MinSlices {
		return refuse(TooFew, "the series has %d slices; at least %d are needed to cover the lung", n, MinSlices)
	}
	return nil
}

// checkIdentity: one patient, one study, one series, one frame of reference.
func checkIdentity(headers []InstanceHeader) error {
	a := headers[0]
	for _, b := range headers[1:] {
		if a.SeriesInstanceUID != b.SeriesInstanceUID || a.StudyInstanceUID != b.StudyInstanceUID || a.ID != b.ID || a.Issuer != b.Issuer {
			return refuse(SeveralSets, "images %s and %s belong to different series or patients", a.InstanceNumber, b.InstanceNumber)
		}
		if a.FrameOfReferenceUID != b.FrameOfReferenceUID {
			return refuse(Mixed, "images %s and %s have different frames of reference", a.InstanceNumber, b.InstanceNumber)
		}
	}
	return nil
}

// checkPlanes: position, orientation and spacing are there and possible.
func checkPlanes(headers []InstanceHeader) error {
	for _, h := range headers {
		if !h.PlaneStated {
			return refuse(NoPlane, "image %s does not say where it lies (position, orientation or pixel spacing is missing or no number)", h.InstanceNumber)
		}
		r, c := h.RowDirection, h.ColDirection
		if math.Abs(dot(r, r)-1) > 0.01 || math.Abs(dot(c, c)-1) > 0.01 || math.Abs(dot(r, c)) > 0.01 {
			return refuse(NoPlane, "image %s has an impossible orientation %v %v", h.InstanceNumber, r, c)
		}
		if !(h.PixelSpacing[0] > 0.01 && h.PixelSpacing[1] > 0.01 && h.PixelSpacing[0] < 10 && h.PixelSpacing[1] < 10) {
			return refuse(NoPlane, "image %s has an impossible pixel spacing %v mm", h.InstanceNumber, h.PixelSpacing)
		}
		if _, _, n := axes(h); math.Abs(n[2]) < axialCos {
			return refuse(NotAxial, "the slices are not axial (slice normal %.2f %.2f %.2f): send the axial reconstruction", n[0], n[1], n[2])
		}
	}
	return nil
}

// checkAlike: all slices have the size, spacing and orientation of the first.
func checkAlike(headers []InstanceHeader) error {
	a := headers[0]
	for _, b := range headers[1:] {
		switch {
		case a.Rows != b.Rows || a.Columns != b.Columns:
			return refuse(Mixed, "image %s has %d × %d pixels, image %s %d × %d", a.InstanceNumber, a.Columns, a.Rows, b.InstanceNumber, b.Columns, b.Rows)
		case !near(a.PixelSpacing[0], b.PixelSpacing[0], sameVec) || !near(a.PixelSpacing[1], b.PixelSpacing[1], sameVec):
			return refuse(Mixed, "images %s and %s have different pixel spacings %v and %v mm", a.InstanceNumber, b.InstanceNumber, a.PixelSpacing, b.PixelSpacing)
		case apart(a.RowDirection, b.RowDirection) > sameVec || apart(a.ColDirection, b.ColDirection) > sameVec:
			return refuse(Mixed, "images %s and %s have different orientations", a.InstanceNumber, b.InstanceNumber)
		}
	}
	return nil
}

// checkPixels: one 16-bit grey sample a pixel, in a transfer syntax that can be decoded; uncompressed, as many bytes as
// the size says; scaled to HU. What compressed pixels are called is not asked: some senders leave the photometric
// interpretation of a colour image behind.
func checkPixels(headers []InstanceHeader) error {
	for _, h := range headers {
		bad := func(format string, args ...any) error {
			return refuse(Pixels, "image %s: "+format, append([]any{h.InstanceNumber}, args...)...)
		}
		switch {
		case !canDecode(h.TransferSyntaxUID):
			return bad("its pixels are compressed as %s: send Explicit or Implicit VR Little Endian", transferSyntaxName(h.TransferSyntaxUID))
		case h.TransferSyntaxUID == deflated && h.Frames > 1: // every frame would inflate all of them
			return bad("it is a deflated multi-frame object: send Explicit or Implicit VR Little Endian")
		case h.Rows < 1 || h.Columns < 1 || h.Rows > maxSide || h.Columns > maxSide:
			return bad("%d rows and %d columns are not possible", h.Rows, h.Columns)
		case h.SamplesPerPix != 1 || h.Frames != 1 && h.Frame == 0 || !h.grey():
			return bad("%d frames of %d samples, %s: a CT slice has one grey sample a pixel", h.Frames, h.SamplesPerPix, h.Photometric)
		case h.BitsAllocated != 16 || h.BitsStored < 8 || h.BitsStored > 16 || h.HighBit < h.BitsStored-1 || h.HighBit > 15:
			return bad("%d bits in %d with high bit %d are not supported", h.BitsStored, h.BitsAllocated, h.HighBit)
		case !h.pixelIsPresent:
			return bad("it has no pixel data")
		case h.encapsulated() != (h.pixelLength < 0):
			return bad("its pixel data are not in the form of %s", transferSyntaxName(h.TransferSyntaxUID))
		case !h.encapsulated() && h.pixelLength != int64(h.Rows)*int64(h.Columns)*int64(h.Frames)*2:
			return bad("%d bytes of pixels where %d × %d pixels need %d", h.pixelLength, h.Columns, h.Rows, int64(h.Rows)*int64(h.Columns)*int64(h.Frames)*2)
		case !h.RescaleStated:
			return bad("rescale slope or intercept is missing, so its values are no Hounsfield units")
		}
	}
	return nil
}

// checkSteps gives the distance from slice to slice, or says where slices are missing, doubled or uneven.
func checkSteps(sorted []InstanceHeader, normal volume.Vec) (float64, error) {
	at := make([]float64, len(sorted))
	steps := make([]float64, 0, len(sorted)-1)
	for i, h := range sorted {
		at[i] = dot(h.Position, normal)
		if i > 0 {
			steps = append(steps, at[i]-at[i-1])
		}
	}
	doubled := 0
	where := 0
	for i, s := range steps {
		if s < samePlace {
			doubled, where = doubled+1, i
		}
	}
	if doubled > 0 {
		return 0, refuse(Duplicates, "%d slices lie where another one lies (images %s and %s at %.1f mm): more than one acquisition or reconstruction in the series",
			doubled, sorted[where].InstanceNumber, sorted[where+1].InstanceNumber, at[where])
	}
	ordered := slices.Sorted(slices.Values(steps))
	usual := ordered[len(ordered)/2]
	var gaps []string
	for i, s := range steps {
		if s > missing*usual {
			gaps = append(gaps, fmt.Sprintf("%.1f and %.1f mm", at[i], at[i+1]))
		}
	}
	if len(gaps) > 0 {
		more := ""
		if len(gaps) > 3 {
			more = fmt.Sprintf(" and %d more places", len(gaps)-3)
			gaps = gaps[:3]
		}
		return 0, refuse(Gap, "slices are missing between %s%s (slice distance %.2f mm, %d slices there)", strings.Join(gaps, ", "), more, usual, len(sorted))
	}
	step := (at[len(at)-1] - at[0]) / float64(len(at)-1)
	for i := range at {
		if off := at[i] - at[0] - float64(i)*step; math.Abs(off) > evenness*step {
			return 0, refuse(Uneven, "the slices are not evenly spaced: image %s lies %.2f mm from its place (mean distance %.2f mm)", sorted[i].InstanceNumber, off, step)
		}
	}
	return step, nil
}

// checkColumn gives the origin of the stack, or refuses slices that are not one above the other. A tilted gantry makes
// them drift along their own plane; the volume would have to be sheared and results would no longer lie on the slices.
func checkColumn(sorted []InstanceHeader, g volume.Geometry) (volume.Vec, error) {
	first, last := sorted[0].Position, sorted[len(sorted)-1].Position
	g.Origin = first
	limit := min(g.Spacing[0], g.Spacing[1])
	for k, h := range sorted {
		want := g.Point(volume.Vec{0, 0, float64(k)})
		d := sub(h.Position, want)
		along := dot(d, g.Direction[2])
		across := math.Sqrt(max(0, dot(d, d)-along*along))
		if across > limit {
			v := sub(last, first)
			n := dot(v, g.Direction[2])
			tilt := math.Atan2(math.Sqrt(max(0, dot(v, v)-n*n)), n) * 180 / math.Pi
			if tilt < 0.1 {
				return first, refuse(Mixed, "image %s is shifted by %.1f mm within its plane", h.InstanceNumber, across)
			}
			return first, refuse(Tilted, "the gantry was tilted by %.1f degrees: send a reconstruction without tilt", tilt)
		}
	}
	return first, nil
}

// axes gives the exactly orthonormal directions of rows, columns and slices.
func axes(h InstanceHeader) (row, col, normal volume.Vec) {
	row = unit(h.RowDirection)
	d := dot(row, h.ColDirection)
	col = h.ColDirection
	for c := range 3 {
		col[c] -= d * row[c]
	}
	col = unit(col)
	normal = volume.Vec{row[1]*col[2] - row[2]*col[1], row[2]*col[0] - row[0]*col[2], row[0]*col[1] - row[1]*col[0]}
	return row, col, normal
}

func dot(a, b volume.Vec) float64 { return a[0]*b[0] + a[1]*b[1] + a[2]*b[2] }

func sub(a, b volume.Vec) volume.Vec { return volume.Vec{a[0] - b[0], a[1] - b[1], a[2] - b[2]} }

func unit(a volume.Vec) volume.Vec {
	n := math.Sqrt(dot(a, a))
	return volume.Vec{a[0] / n, a[1] / n, a[2] / n}
}

// apart is the largest difference of two vectors' components.
func apart(a, b volume.Vec) float64 {
	d := sub(a, b)
	return max(math.Abs(d[0]), math.Abs(d[1]), math.Abs(d[2]))
}

// near reports whether two positive numbers differ by at most a share.
func near(a, b, share float64) bool { return math.Abs(a-b) <= share*max(a, b) }
