package study

import (
	"encoding/json"

	"rfanode/analysis/prognosis"
	"rfanode/analysis/survival"
)

// Result is everything a study found: result.json, and what the report is drawn from.
type Result struct {
	Software    string                         `json:"software"`
	Spec        Spec                           `json:"spec"`
	DataSHA     string                         `json:"data_sha256"`
	SplitSHA    string                         `json:"split_sha256"`
	Flow        []Flow                         `json:"flow"`
	Horizons    []float64                      `json:"horizons"`
	Table1      []Table1Row                    `json:"table1"`
	Univariable []Effect                       `json:"univariable_train"`
	Clinical    []Effect                       `json:"clinical_model_train"`
	WithScore   []Effect                       `json:"clinical_radscore_model_train"`
	AllPatients []Effect                       `json:"clinical_model_all_patients"` // as the paper printed it; used for nothing
	Selection   *Selection                     `json:"selection,omitempty"`
	Features    FeatureFlow                    `json:"features"`
	Radscore    prognosis.Radscore             `json:"radscore"`
	LambdaDraws []float64                      `json:"lambda_draws"`
	Inputs      []InputResult                  `json:"network_inputs"`
	Network     NetworkResult                  `json:"network"`
	Performance map[string]map[string]*Metrics `json:"performance"` // by set, by model
	Sensitivity []Sensitivity                  `json:"sensitivity"`
	Incidence   []IncidenceRow                 `json:"competing_risk,omitempty"`
	Subgroups   []Subgroup                     `json:"subgroups"`
	Nested      *Resampling                    `json:"nested,omitempty"`
	Optimism    *Resampling                    `json:"optimism,omitempty"`
	Permuted    *Resampling                    `json:"permuted,omitempty"`
	Surrogate   prognosis.Num                  `json:"nomogram_r2_with_network"`
	Remarks     []string                       `json:"remarks"`

	cohort *Cohort
	fitted *Fitted
	scores map[string]*Scores
	bundle *prognosis.Bundle
}

// Flow counts patients of a set.
type Flow struct {
	Set                                                string
	Patients, Events, Competing, Censored, NotComplete int
}

// FeatureFlow counts features on their way to the Radscore.
type FeatureFlow struct {
	Given          int           `json:"given"`
	Lost           []string      `json:"lost"` // a patient has no value
	Kept           int           `json:"kept_by_filter"`
	Selected       int           `json:"selected"`
	EventsPerInput prognosis.Num `json:"events_per_candidate"`
}

// InputResult describes one input of the network.
type InputResult struct {
	Name         string        `json:"name"`
	Mean         float64       `json:"mean"`
	SD           float64       `json:"sd"`
	Attention    prognosis.Num `json:"attention"`
	AttentionSD  prognosis.Num `json:"attention_sd_over_networks"`
	Weighted     prognosis.Num `json:"mean_abs_weighted"`
	Importance   prognosis.Num `json:"permutation_importance"` // drop of C when the input is permuted, validation rows
	ImportanceSD prognosis.Num `json:"permutation_importance_sd"`
}

// NetworkResult describes the ensemble.
type NetworkResult struct {
	Architecture survival.Architecture    `json:"architecture"`
	Options      survival.TrainOptions    `json:"options"`
	Seeds        []uint64                 `json:"seeds"`
	Trainings    []survival.Training      `json:"trainings"`
	Gamma        float64                  `json:"gamma"`
	Baseline     string                   `json:"baseline"`
	TrainOOF     prognosis.Num            `json:"c_train_out_of_fold"`
	L2           map[string]prognosis.Num `json:"l2_tried,omitempty"`
	MemberC      map[string][2]float64    `json:"member_c_range"` // least and largest C of a single network, by set
}

// Sensitivity is the clinical model with one thing changed.
type Sensitivity struct {
	Name    string                   `json:"name"`
	Effects []Effect                 `json:"effects"`
	C       map[string]prognosis.Num `json:"c"`
}

// IncidenceRow compares the cumulative incidence with what 1 - Kaplan-Meier says when death is censored.
type IncidenceRow struct {
	Set                      string
	Months                   float64
	Incidence, KM, Competing prognosis.Num
}

// Subgroup is the C of a model in part of the validation patients.
type Subgroup struct {
	Name   string        `json:"name"`
	N      int           `json:"n"`
	Events int           `json:"events"`
	C      prognosis.Num `json:"C"`
}

// Resampling is the C of the whole procedure in repeated runs.
type Resampling struct {
	Runs     int                      `json:"runs"`
	C        map[string]prognosis.Num `json:"c"`
	SD       map[string]prognosis.Num `json:"sd"`
	Apparent map[string]prognosis.Num `json:"apparent,omitempty"`
	Optimism map[string]prognosis.Num `json:"optimism,omitempty"`
}

// MarshalJSON writes what could not be estimated as null.
func (e Effect) MarshalJSON() ([]byte, error) {
	type line struct {
		Name   string          `json:"name"`
		N      int             `json:"n"`
		Events int             `json:"events"`
		HR     prognosis.Num   `json:"hr"`
		Lower  prognosis.Num   `json:"lower"`
		Upper  prognosis.Num   `json:"upper"`
		Z      prognosis.Num   `json:"z"`
		P      prognosis.Num   `json:"p"`
		PH     prognosis.Num   `json:"ph_p"`
		Firth  []prognosis.Num `json:"firth,omitempty"`
		Note   string          `json:"note,omitempty"`
	}
	l := line{e.Name, e.N, e.Events, prognosis.Num(e.HR), prognosis.Num(e.Lower), prognosis.Num(e.Upper), prognosis.Num(e.Z), prognosis.Num(e.P), prognosis.Num(e.PH), nil, e.Note}
	if e.Firth != nil {
		l.Firth = prognosis.Nums(e.Firth[:])
	}
	return json.Marshal(l)
}

// Paper holds what the paper printed, to be read beside the site's figures.
var Paper = struct {
	C, Brier map[string]float64
	HR       map[string][3]float64 // multivariable
	Uni      map[string][3]float64
}{
	map[string]float64{Train: .906, Internal: .809, External: .861},
	map[string]float64{Train: .187, Internal: .177, External: .182},
	map[string][3]float64{"gender": {1.568, 1.020, 2.410}, "fib": {1.540, 1.170, 2.027}, "tcr1": {.110, .044, .273}},
	map[string][3]float64{"gender": {1.534, 1.008, 2.336}, "fib": {1.490, 1.141, 1.944}, "nature": {.711, .544, .928}, "tcr1": {.101, .041, .248}},
}

// The two remarks that stand in every report beside the paper's figures.
const (
	remarkBrier = "The paper's Brier scores (0.187, 0.177, 0.182; horizon not stated) do not show good calibration. In simulation a calibrated proportional-hazards model with the printed C would score about 0.08, 0.11 and 0.135; 0.177 to 0.187 is what the three printed hazard ratios alone reach (null model 0.23). Read Brier together with IPA, calibration slope, O:E and the curve."
	remarkLeak  = "The printed confidence intervals suggest (an inference, not a statement of the paper) that the clinical factors were chosen on all 217 patients, validation sets included. In simulation with outcomes that depend on nothing, features chosen on all patients give a validation C of .61, chosen on the training set .50. Here everything is chosen on the training rows."
)
