package prognosis

import (
	"encoding/json"
	"math"

	"rfanode/analysis/survival"
)

// Schema is the version of the bundle's model.json that is written and read.
const Schema = "rfa-survival/1"

// Endpoint of every model: local tumour progression.
const Endpoint = "LTP"

// Kinds of model.
const (
	KindDeepSurv = "deepsurv"
	KindCox      = "cox"
)

// Sources of a feature.
const (
	SourceClinical  = "clinical"
	SourceTCR       = "tcr"
	SourceRadiomics = "radiomics"
	SourceRadscore  = "radscore"
)

// Num is a number that JSON writes as null when it is not finite: "could not be estimated".
type Num float64

// MarshalJSON writes null for NaN and infinities.
func (n Num) MarshalJSON() ([]byte, error) {
	if v := float64(n); math.IsNaN(v) || math.IsInf(v, 0) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

// UnmarshalJSON reads null as NaN.
func (n *Num) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*n = Num(math.NaN())
		return nil
	}
	return json.Unmarshal(b, (*float64)(n))
}

// Nums converts.
func Nums(v []float64) []Num {
	var out []Num
	for _, x := range v {
		out = append(out, Num(x))
	}
	return out
}

// Bundle is model.json with its networks: everything a node needs to turn a case's values into a risk.
type Bundle struct {
	Schema        string                 `json:"schema"`
	ID            string                 `json:"id"`
	Version       string                 `json:"version"`
	Kind          string                 `json:"kind"`
	Endpoint      string                 `json:"endpoint"`
	Competing     string                 `json:"competing"` // censored or cif
	TimeUnit      string                 `json:"time_unit"`
	Members       []Member               `json:"members"`
	Features      []Feature              `json:"features"`
	Radscore      *Radscore              `json:"radscore,omitempty"`
	Extraction    Extraction             `json:"extraction"`
	Cox           CoxModel               `json:"cox"`
	LogRiskCenter float64                `json:"log_risk_center"`
	Baseline      Baseline               `json:"baseline"`
	Competitor    *Baseline              `json:"baseline_competing,omitempty"` // cause 2, no covariates, if competing is cif
	Horizons      []float64              `json:"horizons"`
	RiskBands     []Band                 `json:"risk_bands,omitempty"`
	Training      TrainingRecord         `json:"training"`
	Performance   map[string]Performance `json:"performance"`
	Provenance    Provenance             `json:"provenance"`
	TestVectors   []TestVector           `json:"test_vectors"`

	graphs []*Graph
}

// Member is one network of the ensemble.
type Member struct {
	File   string `json:"file"`
	SHA256 string `json:"sha256"`
	Seed   uint64 `json:"seed"`
}

// Feature is one input of the network, in its order. x = (value - Mean) / SD; a coded input has Mean 0 and SD 1.
type Feature struct {
	Name    string             `json:"name"`
	Source  string             `json:"source"`
	Unit    string             `json:"unit,omitempty"`
	Coding  map[string]float64 `json:"coding,omitempty"`
	TCRCut  float64            `json:"tcr_cut,omitempty"` // source tcr: the input is 1 when TCR >= the cut; 0: TCR itself
	Mean    float64            `json:"mean"`
	SD      float64            `json:"sd"`
	Min     float64            `json:"min"` // range in training
	Max     float64            `json:"max"`
	Missing string             `json:"missing"` // refuse or median
	Median  float64            `json:"median"`
}

// Radscore is the weighted sum of radiomic features: sum of coef (value - mean). No names: no feature was selected.
type Radscore struct {
	Names              []string  `json:"names"`
	Coef               []float64 `json:"coef"`
	Mean               []float64 `json:"mean"`
	SD                 []float64 `json:"sd"`
	Lambda             float64   `json:"lambda"`
	Rule               string    `json:"rule"`
	Filter             Filter    `json:"filter"`
	Crossfit           bool      `json:"crossfit"` // models were fitted on out-of-fold scores
	SelectionFrequency []float64 `json:"selection_frequency"`
}

// Filter of redundant features.
type Filter struct {
	Method    string  `json:"method"`
	Threshold float64 `json:"threshold"`
}

// Extraction is the profile of the radiomic features, which the node's must equal.
type Extraction struct {
	SettingsSHA256 string            `json:"settings_sha256"`
	ResampleMM     float64           `json:"resample_mm,omitempty"`
	Normalise      bool              `json:"normalise"`
	Scale          float64           `json:"scale,omitempty"`
	BinWidth       float64           `json:"bin_width,omitempty"`
	Filters        []string          `json:"filters,omitempty"`
	Mask           string            `json:"mask,omitempty"`
	ExpansionMM    float64           `json:"expansion_mm,omitempty"`
	Versions       map[string]string `json:"versions,omitempty"`
}

// CoxModel is the Cox regression on the same inputs, the model itself or its comparator. Coefficients are on the scale
// of the values, not standardised.
type CoxModel struct {
	Names []string    `json:"names"`
	Coef  []float64   `json:"coef"`
	Cov   [][]float64 `json:"cov"`
	Ties  string      `json:"ties"`
	Firth bool        `json:"firth"`
}

// Baseline is the cumulative baseline hazard at centred log risk 0: S(t) = exp(-H0(t) exp(gamma x log risk)).
type Baseline struct {
	Method  string  `json:"method"`
	Source  string  `json:"source"` // train or crossfit
	Gamma   float64 `json:"gamma"`
	MaxTime float64 `json:"max_time"` // last time with >= 10 at risk
	survival.Baseline
}

// Band is a risk group that the site has defined on its training set: log risks from From up to the next band.
type Band struct {
	Name string  `json:"name"`
	From float64 `json:"from"`
}

// TrainingRecord says how the model was made.
type TrainingRecord struct {
	N         int                    `json:"n"`
	Events    int                    `json:"events"`
	Dates     string                 `json:"dates,omitempty"`
	Centres   []string               `json:"centres,omitempty"`
	SplitSHA  string                 `json:"split_sha256"`
	Folds     int                    `json:"folds"`
	Ties      string                 `json:"ties"`
	LR        float64                `json:"lr"`
	L2        float64                `json:"l2"`
	Dropout   float64                `json:"dropout"`
	Epochs    int                    `json:"epochs"`
	EarlyStop bool                   `json:"early_stop"`
	Network   *survival.Architecture `json:"network,omitempty"`
	Seeds     []uint64               `json:"seeds,omitempty"`
	RNG       string                 `json:"rng"`
	Software  string                 `json:"software"`
}

// Estimate is a value with its 95 % interval: [estimate, low, high].
type Estimate [3]Num

// Performance of the model in one set.
type Performance struct {
	N          int                 `json:"n"`
	Events     int                 `json:"events"`
	C          Estimate            `json:"C"`
	Uno        map[string]Num      `json:"uno"`
	Brier      map[string]Estimate `json:"brier"`
	IBS        Estimate            `json:"ibs"`
	IPA        map[string]Num      `json:"ipa"` // train_km, own_km
	Slope      Estimate            `json:"slope"`
	OE         Num                 `json:"o_e"`
	DeltaCToMC Estimate            `json:"delta_c_vs_cox"`
}

// Provenance of the bundle.
type Provenance struct {
	Created     string `json:"created,omitempty"`
	AuthorOrg   string `json:"author_org,omitempty"`
	DataSHA     string `json:"data_sha256"`
	PaperDOI    string `json:"paper_doi"`
	Licence     string `json:"licence,omitempty"`
	IntendedUse string `json:"intended_use"`
	Status      string `json:"status"` // research or validated-at-site
}

// TestVector is one patient's values with what the model must say of them.
type TestVector struct {
	Raw     map[string]Input   `json:"raw"`
	X       []float64          `json:"x"`
	LogRisk float64            `json:"log_risk"`
	Surv    map[string]float64 `json:"surv"`
}

// Input is one value of a patient: a number with its unit, or a code (sex M or F).
type Input struct {
	Value float64 `json:"value,omitempty"`
	Unit  string  `json:"unit,omitempty"`
	Code  string  `json:"code,omitempty"`
}
