// Package prognosis turns coverage, clinical values and radiomic features into what is known of the risk of local tumour
// progression.
//
// A site that has trained a model (rfanode study, or PyTorch and tools/export_deepsurv.py) hands it over as a Bundle: a
// model.json and one ONNX file a network. Load refuses it, by name, unless everything in it fits together and its own
// test vectors come out; Predict applies it to one patient, in plain Go.
//
// Without a model trained at the site there is one embedded default, "published-cox3/1": the relative hazard from the
// hazard ratios of the multivariable Cox model that Wang et al. 2026 (doi 10.13929/j.issn.1003-3289.2026.03.004) print.
// It gives no probability, no risk band and no score: the paper prints no baseline hazard.
package prognosis

import (
	"fmt"
	"math"
	"strings"
)

// Published is the embedded default model.
const (
	PublishedModel = "published-cox3/1"
	Unvalidated    = "UNVALIDATED" // model status: not validated at this site
	paperDOI       = "10.13929/j.issn.1003-3289.2026.03.004"

	referenceFIB = 3.0 // g/L, the training cohort's median
	z95          = 1.959964
)

// effect is one hazard ratio of the multivariable model as it is printed, with its 95 % limits.
type effect struct{ hr, lo, hi float64 }

var (
	fibrinogen = effect{1.540, 1.170, 2.027} // per g/L; the unit is not printed, the spread that the interval implies fits g/L
	complete   = effect{0.110, 0.044, 0.273} // TCR = 1 against TCR < 1
)

// The third printed effect, gender 1.568 (1.020 to 2.410), is left out: the paper does not say which sex it belongs to.

func (e effect) log() float64      { return math.Log(e.hr) }
func (e effect) variance() float64 { s := (math.Log(e.hi) - math.Log(e.lo)) / (2 * z95); return s * s }

// Result is a relative hazard; the fields are those of findings.json's prognosis.
type Result struct {
	Model          string
	Status         string
	RelativeHazard float64
	CI95           [2]float64 // limits of the 95 % confidence interval
	Reference      string     // the patient it is relative to
	InputsUsed     []string
	InputsMissing  []string
	Text           string // the sentences for people
}

// Published gives the relative hazard of local tumour progression against the reference patient (TCR < 1, fibrinogen
// 3.0 g/L). fib is the fibrinogen in g/L, nil if there is none: then the reference value is assumed, and the result says
// so. tcr1 says whether coverage was complete. The covariance of the two effects is not published and taken as 0. A
// fibrinogen that is not possible counts as missing, with a sentence that says why: a wrong unit (mg/dL) must not look
// like a hazard.
func Published(fib *float64, tcr1 bool) Result {
	r := Result{Model: PublishedModel, Status: Unvalidated, Reference: "patient with TCR < 1 and fibrinogen 3.0 g/L", InputsUsed: []string{"tcr"}}
	log, variance := 0.0, 0.0
	if tcr1 {
		log += complete.log()
		variance += complete.variance()
	}
	remark := ""
	switch {
	case fib == nil:
		remark = "Fibrinogen not available, reference value assumed."
	case !(*fib > 0.1 && *fib < 20):
		remark = fmt.Sprintf("Fibrinogen of %g g/L is not possible (100 mg/dL are 1 g/L), reference value assumed.", *fib)
	default:
		r.InputsUsed = append(r.InputsUsed, "fibrinogen")
		d := *fib - referenceFIB
		log += d * fibrinogen.log()
		variance += d * d * fibrinogen.variance()
	}
	if remark != "" {
		r.InputsMissing = append(r.InputsMissing, "fibrinogen")
	}
	half := z95 * math.Sqrt(variance)
	r.RelativeHazard, r.CI95 = math.Exp(log), [2]float64{math.Exp(log - half), math.Exp(log + half)}
	r.Text = r.text(remark)
	return r
}

// text says what the figure is and what it is not.
func (r Result) text(remark string) string {
	s := []string{"RESEARCH USE ONLY.",
		fmt.Sprintf("Relative hazard of local tumour progression %.2f (95 %% CI %.2f-%.2f) versus a %s, from published hazard ratios (doi %s) of one retrospective study of 217 patients; not validated at this site; not a probability.",
			r.RelativeHazard, r.CI95[0], r.CI95[1], r.Reference, paperDOI)}
	if remark != "" {
		s = append(s, remark)
	}
	return strings.Join(append(s, "Sex not used.", "Absolute risk: not available (no site-trained model)."), " ")
}
