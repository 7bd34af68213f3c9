package study

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"rfanode/analysis/prognosis"
	"rfanode/analysis/survival"
)

// Spec is what a study leaves to choose (study.json); missing fields take the defaults of DefaultSpec.
type Spec struct {
	Seed    uint64 `json:"seed"`
	Title   string `json:"title,omitempty"`
	Author  string `json:"author,omitempty"`  // organisation, for the bundle
	Created string `json:"created,omitempty"` // date, for the bundle; never taken from the clock

	Extraction *prognosis.Extraction `json:"extraction,omitempty"` // how the features were made, where their table does not say

	Clinical     []string `json:"clinical,omitempty"`    // covariates of the clinical model; empty: by Selection
	Selection    string   `json:"selection"`             // prespecified (the paper's male, fib, tcr1) or univariable (P < .05, then multivariable)
	Categorical  []string `json:"categorical,omitempty"` // covariates compared as categories and entered as dummies
	MeanSD       []string `json:"mean_sd,omitempty"`     // covariates described by mean and SD whatever Shapiro-Wilk says
	MedianIQR    []string `json:"median_iqr,omitempty"`  // by median and quartiles
	Missing      string   `json:"missing"`               // complete (cases without a value are left out of a model) or median
	QuantileType int      `json:"quantile_type"`         // 7 or 6

	Filter        float64 `json:"filter"`         // |Pearson r| from which a feature is redundant
	Folds         int     `json:"folds"`          // of the LASSO's cross-validation
	Repeats       int     `json:"repeats"`        // draws of the folds; the median lambda is used
	InnerRepeats  int     `json:"inner_repeats"`  // the same inside cross-fitting
	LambdaRule    string  `json:"lambda_rule"`    // min or 1se
	CrossfitFolds int     `json:"crossfit_folds"` // of the Radscore and of the network's baseline; 0: in-sample scores (optimistic)
	Inputs        string  `json:"inputs"`         // radscore, or features: the selected features themselves enter the network

	Network  *survival.Architecture `json:"network,omitempty"` // nil: the default for the number of inputs
	Training survival.TrainOptions  `json:"training"`
	L2Grid   []float64              `json:"l2_grid,omitempty"` // L2 chosen by cross-validation inside train; empty: training.l2
	Ensemble int                    `json:"ensemble"`          // networks

	Horizons   []float64 `json:"horizons"`   // months
	Tau        float64   `json:"tau"`        // of Uno's C, months
	Bootstraps int       `json:"bootstraps"` // draws for every interval
	Nested     int       `json:"nested"`     // folds of a cross-validation of the whole procedure; 0: none
	Optimism   int       `json:"optimism"`   // bootstraps of the whole procedure; 0: none (hours)
	Permute    int       `json:"permute"`    // runs of the whole procedure with the outcome permuted; 0: none
}

// DefaultSpec is the study as the project's notes settle it.
func DefaultSpec() Spec {
	return Spec{Seed: 1, Selection: "prespecified", Categorical: []string{"location"}, Missing: "complete", QuantileType: 7,
		Filter: .9, Folds: 10, Repeats: 20, InnerRepeats: 3, LambdaRule: "min", CrossfitFolds: 10, Inputs: "radscore",
		Training: survival.DefaultTraining(), Ensemble: 10, Horizons: []float64{12, 24, 36}, Tau: 36, Bootstraps: 1000}
}

// ReadSpec reads study.json over the defaults; unknown fields are refused by name.
func ReadSpec(r io.Reader) (Spec, error) {
	s := DefaultSpec()
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return s, fmt.Errorf("study specification: %w", err)
	}
	return s, s.Check()
}

// Check says what of the specification cannot be.
func (s Spec) Check() error {
	bad := func(what string, v any) error {
		return fmt.Errorf("study specification: %s %v is not possible", what, v)
	}
	switch {
	case s.Selection != "prespecified" && s.Selection != "univariable":
		return bad("selection", s.Selection)
	case s.Missing != "complete" && s.Missing != "median":
		return bad("missing", s.Missing)
	case s.QuantileType != 6 && s.QuantileType != 7:
		return bad("quantile_type", s.QuantileType)
	case !(s.Filter > 0 && s.Filter <= 1):
		return bad("filter", s.Filter)
	case s.Folds < 3 || s.Repeats < 1 || s.InnerRepeats < 1 || s.CrossfitFolds == 1 || s.CrossfitFolds < 0:
		return bad("folds, repeats, inner_repeats or crossfit_folds", []int{s.Folds, s.Repeats, s.InnerRepeats, s.CrossfitFolds})
	case s.LambdaRule != "min" && s.LambdaRule != "1se":
		return bad("lambda_rule", s.LambdaRule)
	case s.Inputs != "radscore" && s.Inputs != "features":
		return bad("inputs", s.Inputs)
	case s.Ensemble < 1 || s.Ensemble > 1000:
		return bad("ensemble", s.Ensemble)
	case len(s.Horizons) == 0 || !slices.IsSorted(s.Horizons) || s.Horizons[0] <= 0:
		return bad("horizons", s.Horizons)
	case s.Bootstraps < 0 || s.Nested < 0 || s.Nested == 1 || s.Optimism < 0 || s.Permute < 0 || !(s.Tau > 0):
		return bad("bootstraps, nested, optimism, permute or tau", []any{s.Bootstraps, s.Nested, s.Optimism, s.Permute, s.Tau})
	}
	return nil
}
