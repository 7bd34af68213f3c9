package analysis

import "rfanode/analysis/volume"

// Status says whether the findings may go out as a result.
type Status string

const (
	Final Status = "final" // sent, marked as needing review like every result of the default algorithms
	Held  Status = "held"  // not sent: Reasons say why, in plain words
)

// Findings is what one lesion's pre- and post-ablation CT say. It is findings.json (docs/findings.md) and the one input
// of the report. Lengths are in mm, volumes in mL, ratios 0 to 1; a value that does not exist is nil and left out.
type Findings struct {
	Schema       string       `json:"schema"` // "rfanode-findings/1"
	Status       Status       `json:"status"`
	Reasons      []string     `json:"reasons"`              // why it is held; empty when final
	Warnings     []string     `json:"warnings"`             // what a reader of a final result must know
	Lesion       int          `json:"lesion"`               // 1-based number of the lesion in this pair
	Laterality   string       `json:"laterality,omitempty"` // "R" or "L"
	GTR          *Structure   `json:"gtr,omitempty"`        // the tumour, on the pre grid
	GTRPost      *Structure   `json:"gtr_post,omitempty"`   // the tumour carried into the post frame
	PTV          *Structure   `json:"ptv,omitempty"`        // GTR + 5 mm, post frame
	PTZ          *Structure   `json:"ptz,omitempty"`        // the ablation zone, on the post grid
	Uncovered    *Structure   `json:"uncovered,omitempty"`  // PTV and not PTZ
	Coverage     *Coverage    `json:"coverage,omitempty"`
	Features     *Features    `json:"features,omitempty"` // of the ablation zone on post
	Registration Registration `json:"registration"`
	Prognosis    *Prognosis   `json:"prognosis,omitempty"`
	Algorithms   []Algorithm  `json:"algorithms"`
	Inputs       Inputs       `json:"inputs"`
}

// Structure is one region: its volume, measured where the method says it is exact, and its mask on the native grid of
// the CT it belongs to (the one that the segmentation object shows).
type Structure struct {
	VolumeML      float64      `json:"volume_ml"`                 // of the region itself, from the 1 mm grid where one is used
	NativeML      float64      `json:"native_volume_ml"`          // voxel sum of the mask on the CT's grid
	MaxDiameterMM float64      `json:"max_diameter_mm,omitempty"` // largest 3-D diameter of the tumour
	Mask          *volume.Mask `json:"-"`                         // on the CT's own grid
}

// Coverage says how much of the target lies inside the ablation zone. Grid: 1 mm isotropic, post frame.
type Coverage struct {
	TCR       float64    `json:"tcr"`                      // vol(PTV ∩ PTZ) / vol(PTV)
	TCRRange  [2]float64 `json:"tcr_range"`                // what the uncertainty of masks, slice thickness and registration leaves open
	TCRInLung float64    `json:"tcr_in_lung"`              // the same with the PTV clipped to lung
	TCR10     float64    `json:"tcr_10mm"`                 // the same with a margin of 10 mm
	Complete  bool       `json:"complete"`                 // the paper's dichotomy: TCR = 1
	MAMMM     float64    `json:"mam_mm"`                   // minimal ablative margin: minimum signed distance, GTR surface to PTZ surface
	MAMP5MM   float64    `json:"mam_p5_mm"`                // 5th percentile of the same
	MAMInLung *float64   `json:"mam_in_lung_mm,omitempty"` // surface within 5 mm of the pleura left out; nil: no such surface
	// MarginShare is the share of the tumour's surface with a margin < 0, 0 to < 5, 5 to < 10 and ≥ 10 mm; it sums to 1.
	MarginShare [4]float64 `json:"margin_share"`
	UncoveredML float64    `json:"uncovered_ml"`
	Worst       Worst      `json:"worst"` // where the margin is smallest
}

// Worst is the point of the tumour's surface with the smallest margin.
type Worst struct {
	Point          volume.Vec `json:"point_lps_mm"`
	Slice          int        `json:"slice"`               // 1-based slice of the post series, in spatial order
	InstanceNumber string     `json:"instance_number"`     // of that slice, as a viewer shows it
	Direction      string     `json:"direction"`           // seen from the tumour's centre: "posterolateral", "superior" …
	PleuraMM       *float64   `json:"pleura_mm,omitempty"` // distance to the pleura
}

// Registration says how the pre CT was brought onto the post CT and how well that worked.
type Registration struct {
	Method          string   `json:"method"`
	Fallback        bool     `json:"fallback"`                   // the linear part fell back to a translation
	LungDice        float64  `json:"lung_dice"`                  // overlap of the lungs after registration
	LungDiceLinear  float64  `json:"lung_dice_linear"`           // and after its linear part alone
	RotationDeg     float64  `json:"rotation_deg"`               // of the linear part
	Determinant     float64  `json:"determinant"`                // of the linear part
	LesionErrorMM   *float64 `json:"lesion_error_mm,omitempty"`  // estimated error near the lesion
	RingResidualMM  *float64 `json:"ring_residual_mm,omitempty"` // mean residual of the fit to the lung round the zone
	RingPoints      int      `json:"ring_points,omitempty"`      // correspondences it stands on
	FoldedPercent   float64  `json:"folded_percent"`             // share of lung voxels with a Jacobian ≤ 0
	InverseMeanMM   float64  `json:"inverse_mean_mm"`            // how far forward and backward registration disagree in the lung, mean
	InverseP95MM    float64  `json:"inverse_p95_mm"`             // and 95th percentile
	LesionJacobian  *float64 `json:"lesion_jacobian,omitempty"`  // volume change of the map used for the tumour
	DescriptorRatio *float64 `json:"descriptor_ratio,omitempty"` // MIND distance round the zone under that map / under the linear part
	Likeness        float64  `json:"likeness"`                   // bits that differ deep in the lungs over those 20 mm beside: small where both scans show the same chest
	// The field of the whole lung, near the zone.
	ZoneJacobian         *[2]float64 `json:"zone_jacobian,omitempty"`          // least and greatest Jacobian within 20 mm of the zone
	FieldDescriptorRatio *float64    `json:"field_descriptor_ratio,omitempty"` // MIND distance round the zone under the field / under the linear part
	FieldTumourRatio     *float64    `json:"field_tumour_ratio,omitempty"`     // volume of the tumour were it carried by the field; for information, it is not
}

// Prognosis is a relative hazard, or, once a site has trained a model, its predictions.
type Prognosis struct {
	Model          string     `json:"model"`  // "published-cox3/1"
	Status         string     `json:"status"` // "UNVALIDATED"
	RelativeHazard float64    `json:"relative_hazard"`
	CI95           [2]float64 `json:"ci95"`
	Reference      string     `json:"reference"` // the patient it is relative to
	InputsUsed     []string   `json:"inputs_used"`
	InputsMissing  []string   `json:"inputs_missing"`
	Text           string     `json:"text"` // the sentence for people
}

// Algorithm names what produced a part of the findings.
type Algorithm struct {
	Role    string `json:"role"` // "lungs", "gtr", "ptz", "registration", "coverage", "prognosis"
	Name    string `json:"name"` // "rfanode-classical"
	Version string `json:"version"`
	Family  string `json:"family"` // CID 7162 code meaning, for segmentations: "Morphological Operations" …
	Source  string `json:"source"` // what it follows: a paper, a DOI
	// Parameters are what decides a trained model's answer: its whole SHA-256, folds, runtime; empty for the others.
	Parameters string `json:"parameters,omitempty"`
	Prompt     string `json:"prompt,omitempty"` // what a person gave for it: a contour, a point; empty: nothing
	By         string `json:"-"`                // that person's name: for the report only
}

// Inputs names what was analysed.
type Inputs struct {
	Pre  Input `json:"pre"`
	Post Input `json:"post"`
	Days *int  `json:"days_between,omitempty"` // from the pre to the post acquisition
}

// Input is one series.
type Input struct {
	StudyInstanceUID  string     `json:"study_instance_uid"`
	SeriesInstanceUID string     `json:"series_instance_uid"`
	Instances         int        `json:"instances"`
	Acquired          string     `json:"acquired,omitempty"` // RFC 3339
	SpacingMM         volume.Vec `json:"spacing_mm"`         // along rows, columns, slices
}
