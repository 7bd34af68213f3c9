package router

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"slices"
	"strings"
	"time"

	"rfanode/analysis/ct"
	"rfanode/analysis/volume"
)

// facts is what pairing looks at in a whole, regular series.
type facts struct {
	StudyDate         string    `json:"study_date,omitempty"`
	StudyDescription  string    `json:"study_description,omitempty"`
	SeriesDescription string    `json:"series_description,omitempty"`
	BirthDate         string    `json:"birth_date,omitempty"`
	Sex               string    `json:"sex,omitempty"`
	Acquired          time.Time `json:"acquired,omitzero"`
	Kernel            string    `json:"kernel,omitempty"`
	Original          bool      `json:"original"` // ImageType value 1 is ORIGINAL
	Frame             string    `json:"frame_of_reference,omitempty"`
	Columns           int       `json:"columns"`
	Slices            int       `json:"slices"`
	StepMM            float64   `json:"step_mm"`   // between slices, from positions
	ExtentMM          float64   `json:"extent_mm"` // along the slices
	FieldMM           float64   `json:"field_mm"`  // smaller side of the field of view
}

// factsOf describes a series. What it says of the geometry holds for a regular stack only (ct.CheckStack).
func factsOf(headers []ct.InstanceHeader) facts {
	first := headers[0]
	f := facts{
		StudyDate:         first.StudyDate,
		StudyDescription:  first.StudyDescription,
		SeriesDescription: first.SeriesDescription,
		BirthDate:         first.BirthDate,
		Sex:               first.Sex,
		Kernel:            strings.ToUpper(strings.TrimSpace(first.ConvolutionKernel)),
		Original:          true,
		Frame:             first.FrameOfReferenceUID,
		Columns:           first.Columns,
		Slices:            len(headers),
		FieldMM:           math.Min(float64(first.Columns)*first.PixelSpacing[1], float64(first.Rows)*first.PixelSpacing[0]),
	}
	r, c := first.RowDirection, first.ColDirection
	normal := volume.Vec{r[1]*c[2] - r[2]*c[1], r[2]*c[0] - r[0]*c[2], r[0]*c[1] - r[1]*c[0]}
	along := make([]float64, len(headers))
	for i, h := range headers {
		along[i] = h.Position[0]*normal[0] + h.Position[1]*normal[1] + h.Position[2]*normal[2]
		if len(h.ImageType) == 0 || !strings.EqualFold(h.ImageType[0], "ORIGINAL") {
			f.Original = false
		}
		if !h.Acquired.IsZero() && (f.Acquired.IsZero() || h.Acquired.Before(f.Acquired)) {
			f.Acquired = h.Acquired.UTC()
		}
	}
	f.ExtentMM = slices.Max(along) - slices.Min(along)
	if len(headers) > 1 {
		f.StepMM = f.ExtentMM / float64(len(headers)-1)
	}
	return f
}

// setDigest names a set of instances, in whatever order it arrived.
func setDigest(seriesUID string, sopUIDs []string) string {
	sorted := slices.Sorted(slices.Values(sopUIDs))
	sum := sha256.Sum256([]byte(seriesUID + "\n" + strings.Join(sorted, "\n")))
	return hex.EncodeToString(sum[:])
}

// idAlphabet has no characters that are mistaken for one another when read aloud or copied by hand, and no vowels that
// could spell words.
const idAlphabet = "23456789bcdfghjkmnpqrstvwxz"

// shortID is a name for people, derived from what it names: 6 characters, 27^6 = 387 million values.
func shortID(fields ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(fields, "\n")))
	id := make([]byte, 6)
	for i := range id {
		v := int(sum[2*i])<<8 | int(sum[2*i+1])
		id[i] = idAlphabet[v%len(idAlphabet)]
	}
	return string(id)
}
