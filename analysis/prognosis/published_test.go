package prognosis

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

// TestPublished: figures worked out from the printed hazard ratios by hand.
func TestPublished(t *testing.T) {
	for _, c := range []struct {
		fib        float64
		tcr1       bool
		hr, lo, hi float64
	}{{4.0, false, 1.5400, 1.1700, 2.0270}, {3.0, true, .1100, .0442, .2740}, {4.0, true, .1694, .0653, .4394}, {2.6, true, .0926, .0369, .2321},
		{2.6, false, .8414, .7538, .9391}, {4.2, true, .1847, .0700, .4874}, {3.0, false, 1, 1, 1}} {
		r := Published(&c.fib, c.tcr1)
		for _, v := range [3][2]float64{{r.RelativeHazard, c.hr}, {r.CI95[0], c.lo}, {r.CI95[1], c.hi}} {
			if math.Abs(v[0]-v[1]) > 6e-5 {
				t.Errorf("fibrinogen %g, complete %v: %.4f (%.4f-%.4f), want %.4f (%.4f-%.4f)", c.fib, c.tcr1, r.RelativeHazard, r.CI95[0], r.CI95[1], c.hr, c.lo, c.hi)
				break
			}
		}
		if len(r.InputsMissing) != 0 || strings.Contains(r.Text, "reference value assumed") {
			t.Errorf("fibrinogen is given, the text says: %s", r.Text)
		}
	}
}

// TestWithoutFibrinogen: the usual case. The TCR term alone, and the report must say what was assumed and what it is not.
func TestWithoutFibrinogen(t *testing.T) {
	r := Published(nil, true)
	if math.Abs(r.RelativeHazard-0.11) > 1e-9 || fmt.Sprint(r.InputsUsed, r.InputsMissing) != "[tcr] [fibrinogen]" {
		t.Errorf("%+v", r)
	}
	for _, s := range []string{"RESEARCH USE ONLY", "0.11 (95 % CI 0.04-0.27)", "not a probability", "not validated at this site", "Fibrinogen not available, reference value assumed", "Sex not used", "Absolute risk: not available"} {
		if !strings.Contains(r.Text, s) {
			t.Errorf("the text lacks %q: %s", s, r.Text)
		}
	}
}

// TestImpossibleFibrinogen: 300 mg/dL entered as g/L must not become a hazard.
func TestImpossibleFibrinogen(t *testing.T) {
	for _, fib := range []float64{300, 0, -1, math.NaN(), math.Inf(1)} {
		r := Published(&fib, true)
		if math.Abs(r.RelativeHazard-0.11) > 1e-9 || len(r.InputsMissing) != 1 || !strings.Contains(r.Text, "is not possible") {
			t.Errorf("fibrinogen %g: %+v", fib, r)
		}
	}
}
