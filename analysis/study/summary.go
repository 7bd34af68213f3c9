package study

import (
	"fmt"
	"strings"
)

// Summary is the study in a few lines, the paper's C beside.
func (r *Result) Summary() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Research use only. %d features given, %d after the filter, %d selected; bundle %s\n", r.Features.Given, r.Features.Kept, r.Features.Selected, r.bundle.ID)
	for _, set := range Sets {
		for _, m := range Models {
			if p := r.Performance[set]; p != nil {
				x := p[m]
				fmt.Fprintf(&b, "%-20s %-24s C %-24s Brier(%g) %-24s slope %s\n", setTitle[set], ModelTitle[m], interval(x.C), middle(r.Horizons), interval(x.Brier[key(middle(r.Horizons))]), three(float64(x.Slope[0])))
			}
		}
	}
	fmt.Fprintf(&b, "the paper's DeepSurv: C %.3f, %.3f, %.3f\n", Paper.C[Train], Paper.C[Internal], Paper.C[External])
	return b.String()
}
