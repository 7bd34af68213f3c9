package router

import (
	"cmp"
	"math"
	"slices"
)

// candidate is a whole, regular series of a patient.
type candidate struct {
	seriesUID, studyUID, set string
	facts                    facts
	label, studyLabel        label // by series and by study description
}

// Coverage that a chest CT has and a detail of it has not.
const (
	lungExtentMM = 150 // along the patient; adult lungs are 200 to 300 mm high
	lungFieldMM  = 220 // across; smaller fields are targeted reconstructions of one lesion
)

// bestStepMM: thicker slices blur the margin; thinner ones add noise, memory and time, but nothing that an analysis on a
// grid of 1 mm could use.
const bestStepMM = 1.0

// choose picks one series of each scan. The order of preference, each only where those before it leave a tie:
//
//  1. slices that cover the lungs (ct.CheckStack has refused what is not axial);
//  2. original images before derived ones (reformats, projections);
//  3. columns that are a multiple of 8: viewers and archives draw other segmentations wrongly or not at all;
//  4. slice spacings of the two alike, within a factor of 1.5;
//  5. the same reconstruction kernel in both;
//  6. slice spacings near 1 mm;
//  7. the longer stack;
//  8. the series UIDs, so that the choice never depends on the order of arrival.
func choose(pre, post []candidate) (candidate, candidate) {
	type choice struct{ pre, post candidate }
	var all []choice
	for _, a := range pre {
		for _, b := range post {
			all = append(all, choice{a, b})
		}
	}
	best := slices.MinFunc(all, func(x, y choice) int {
		if c := slices.Compare(badness(x.pre, x.post), badness(y.pre, y.post)); c != 0 {
			return c
		}
		return cmp.Or(cmp.Compare(x.pre.seriesUID, y.pre.seriesUID), cmp.Compare(x.post.seriesUID, y.post.seriesUID))
	})
	return best.pre, best.post
}

// badness holds rules 1 to 7 of choose; less is better.
func badness(a, b candidate) []float64 {
	each := func(bad func(facts) bool) float64 { return count(bad(a.facts)) + count(bad(b.facts)) }
	ratio := math.Abs(math.Log2(math.Max(a.facts.StepMM, 0.1) / math.Max(b.facts.StepMM, 0.1)))
	kernels := a.facts.Kernel != "" && b.facts.Kernel != "" && a.facts.Kernel != b.facts.Kernel
	return []float64{
		each(func(f facts) bool { return f.ExtentMM < lungExtentMM || f.FieldMM < lungFieldMM }),
		each(func(f facts) bool { return !f.Original }),
		each(func(f facts) bool { return f.Columns%8 != 0 }),
		count(ratio > math.Log2(1.5)),
		count(kernels),
		offStep(a.facts) + offStep(b.facts),
		-math.Round(a.facts.ExtentMM + b.facts.ExtentMM),
	}
}

// offStep is how far the slice spacing is from the best, in quarters of a millimetre, so that rounding of positions
// decides nothing.
func offStep(f facts) float64 {
	return math.Round(math.Abs(f.StepMM-bestStepMM)*4) / 4
}

func count(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
