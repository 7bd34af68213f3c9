package router

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// cand is a usable series for the tests of pairing: "name" is its UID, its set changes with version.
func cand(uid, study string, at time.Time, text string) candidate {
	w, err := Rules{}.compile()
	if err != nil {
		panic(err)
	}
	return candidate{seriesUID: uid, studyUID: study, set: uid + "/1", label: w.label(text),
		facts: facts{Acquired: at, Original: true, Columns: 512, Slices: 60, StepMM: 5, ExtentMM: 300, FieldMM: 350}}
}

func day(n int) time.Time { return time.Date(2024, 1, 1, 10, 0, 0, 0, time.UTC).AddDate(0, 0, n) }

func caseFor(id, pre, post string, s State) past {
	return past{id: id, preSeries: pre, postSeries: post, preSet: pre + "/1", postSet: post + "/1", state: s}
}

func TestPlan(t *testing.T) {
	none := time.Time{}
	changed := cand("b", "2", day(1), "")
	changed.set = "b/2"
	onlyDate := cand("b", "2", day(0).Truncate(24*time.Hour), "")
	for name, c := range map[string]struct {
		series []candidate
		cases  []past
		pairs  string // "pre>post" or "pre>post replaces id", in order
		waits  string // "series: part of the reason"
	}{
		"one scan waits": {series: []candidate{cand("a", "1", day(0), "")}, waits: "a: there is no other usable CT"},
		"the earlier is pre, without any description": {series: []candidate{cand("b", "2", day(1), ""), cand("a", "1", day(0), "")}, pairs: "a>b"},
		"pre and post in one study":                   {series: []candidate{cand("b", "1", day(0).Add(40*time.Minute), ""), cand("a", "1", day(0), "")}, pairs: "a>b"},
		"two reconstructions of one scan are no pair": {series: []candidate{cand("b", "1", day(0).Add(2*time.Second), ""), cand("a", "1", day(0), "")},
			waits: "a: there is no other usable CT, b: there is no other usable CT"},
		"descriptions split what time does not": {series: []candidate{cand("b", "1", day(0).Add(2*time.Minute), "post RFA"), cand("a", "1", day(0), "pre RFA")}, pairs: "a>b"},
		"a labelled pre is preferred to a later scan without a label": {series: []candidate{
			cand("a", "1", day(0), "pre RFA"), cand("n", "2", day(1), "needle"), cand("b", "2", day(1).Add(time.Hour), "post RFA")},
			pairs: "a>n, a>b"},
		"a labelled pre is never post": {series: []candidate{cand("a", "1", day(0), ""), cand("b", "2", day(1), "pre RFA")},
			waits: "a: there is no other usable CT, b: made before the ablation"},
		"a labelled post is never pre": {series: []candidate{cand("a", "1", day(0), "post RFA"), cand("b", "2", day(1), "")},
			waits: "a: made after the ablation, b: there is no other usable CT"},
		"two sessions": {series: []candidate{cand("a", "1", day(0), "pre RFA"), cand("b", "2", day(1), "post RFA"),
			cand("c", "3", day(90), "pre RFA"), cand("d", "4", day(91), "post RFA")}, pairs: "a>b, c>d"},
		"a third scan waits for the outcome of the first pair": {series: []candidate{cand("a", "1", day(0), ""), cand("b", "2", day(1), ""), cand("c", "3", day(30), "")},
			cases: []past{caseFor("x", "a", "b", Analysing)}, waits: "c: its outcome decides"},
		"three scans at once": {series: []candidate{cand("a", "1", day(0), ""), cand("b", "2", day(1), ""), cand("c", "3", day(30), "")},
			pairs: "a>b", waits: "c: its outcome decides"},
		"a follow-up goes with the scan before the ablation": {series: []candidate{cand("a", "1", day(0), ""), cand("b", "2", day(1), ""), cand("c", "3", day(30), "")},
			cases: []past{caseFor("x", "a", "b", Delivered)}, pairs: "a>c"},
		"a scan in which no zone was found can be pre": {series: []candidate{cand("a", "1", day(0), ""), cand("b", "2", day(1), ""), cand("c", "3", day(30), "")},
			cases: []past{caseFor("x", "a", "b", Held)}, pairs: "b>c"},
		"a pair is analysed once":         {series: []candidate{cand("a", "1", day(0), ""), cand("b", "2", day(1), "")}, cases: []past{caseFor("x", "a", "b", Delivered)}},
		"not again after it was held":     {series: []candidate{cand("a", "1", day(0), ""), cand("b", "2", day(1), "")}, cases: []past{caseFor("x", "a", "b", Held)}},
		"not again after it was dropped":  {series: []candidate{cand("a", "1", day(0), ""), cand("b", "2", day(1), "")}, cases: []past{caseFor("x", "a", "b", Dropped)}},
		"again when its instances change": {series: []candidate{cand("a", "1", day(0), ""), changed}, cases: []past{caseFor("x", "a", "b", Delivered)}, pairs: "a>b replaces x"},
		"a thinner series later, after a result: nothing": {series: []candidate{cand("a", "1", day(0), ""), cand("b", "2", day(1), ""), thin(cand("t", "2", day(1), ""))},
			cases: []past{caseFor("x", "a", "b", Delivered)}},
		"another series later, after a hold: again": {series: []candidate{cand("a", "1", day(0), ""), tiny(cand("b", "2", day(1), "")), cand("t", "2", day(1), "")},
			cases: []past{caseFor("x", "a", "b", Held)}, pairs: "a>t replaces x"},
		"equal times": {series: []candidate{cand("a", "1", day(0), ""), cand("b", "2", day(0), "")},
			waits: "a: there is no other usable CT, b: same acquisition time"},
		"equal times, told apart by description": {series: []candidate{cand("a", "1", day(0), "post RFA"), cand("b", "2", day(0), "pre RFA")}, waits: "a: made after the ablation, b: made before"},
		"a date without a time, on the same day": {series: []candidate{cand("a", "1", day(0), ""), onlyDate}, waits: "a: same acquisition time, b: there is no other usable CT"},
		"no times at all":                        {series: []candidate{cand("a", "1", none, ""), cand("b", "2", none, "")}, waits: "a: no acquisition date, b: no acquisition date"},
		"no times, but described":                {series: []candidate{cand("a", "1", none, "post RFA"), cand("b", "2", none, "pre RFA")}, pairs: "b>a"},
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 { // in any order of arrival
				pairs, waiting := plan(scansOf(c.series), c.cases)
				var got []string
				for _, p := range pairs {
					s := p.pre.seriesUID + ">" + p.post.seriesUID
					if p.predecessor != "" {
						s += " replaces " + p.predecessor
					}
					got = append(got, s)
				}
				if s := strings.Join(got, ", "); s != c.pairs {
					t.Errorf("pairs %q, want %q", s, c.pairs)
				}
				n := 0
				for _, w := range strings.Split(c.waits, ", ") {
					if uid, reason, ok := strings.Cut(w, ": "); ok {
						n++
						if !strings.Contains(waiting[uid], reason) {
							t.Errorf("%s waits for %q, want %q", uid, waiting[uid], reason)
						}
					}
				}
				if len(waiting) != n {
					t.Errorf("waiting: %v, want %q", waiting, c.waits)
				}
				slices.Reverse(c.series)
			}
		})
	}
}

func thin(c candidate) candidate { c.facts.StepMM, c.facts.Slices = 1, 300; return c }
func tiny(c candidate) candidate { c.facts.FieldMM = 120; return c }

func TestStudyDescriptionSpeaksForASingleScan(t *testing.T) {
	a, b, c := cand("a", "1", day(0), ""), cand("b", "2", day(1), ""), cand("c", "2", day(1).Add(time.Hour), "")
	a.studyLabel, b.studyLabel, c.studyLabel = labelledPre, labelledPost, labelledPost
	if s := scansOf([]candidate{a, b}); s[0].label != labelledPre || s[1].label != labelledPost {
		t.Error("the study descriptions are not heard")
	}
	if s := scansOf([]candidate{a, b, c}); s[1].label != unlabelled || s[2].label != unlabelled {
		t.Error("a study description labels two scans of its study alike")
	}
}

func TestChoose(t *testing.T) {
	base := facts{Original: true, Columns: 512, Slices: 60, StepMM: 5, ExtentMM: 300, FieldMM: 350, Kernel: "B30F"}
	series := func(uid string, change func(*facts)) candidate {
		f := base
		change(&f)
		return candidate{seriesUID: uid, facts: f}
	}
	thick := series("thick", func(*facts) {})
	thin := series("thin", func(f *facts) { f.StepMM, f.Slices = 1, 300 })
	thinner := series("thinner", func(f *facts) { f.StepMM, f.Slices = 0.6, 500 })
	lung := series("lung", func(f *facts) { f.StepMM, f.Slices, f.Kernel = 1, 300, "B70F" })
	derived := series("derived", func(f *facts) { f.StepMM, f.Slices, f.Original = 1, 300, false })
	target := series("target", func(f *facts) { f.StepMM, f.Slices, f.FieldMM = 1, 300, 150 })
	short := series("short", func(f *facts) { f.StepMM, f.Slices, f.ExtentMM = 1, 60, 60 })
	odd := series("odd", func(f *facts) { f.StepMM, f.Slices, f.Columns = 1, 300, 511 })
	for name, c := range map[string]struct {
		pre, post []candidate
		want      string
	}{
		"thin in both":                        {[]candidate{thick, thin}, []candidate{thin, thick}, "thin thin"},
		"alike before thin":                   {[]candidate{thick}, []candidate{thin, thick}, "thick thick"},
		"no thinner than useful":              {[]candidate{thin}, []candidate{thinner, thin}, "thin thin"},
		"same kernel":                         {[]candidate{lung, thin}, []candidate{thin}, "thin thin"},
		"no targeted reconstruction":          {[]candidate{thick, target}, []candidate{thick}, "thick thick"},
		"no detail":                           {[]candidate{short, thick}, []candidate{thin}, "thick thin"},
		"no derived images":                   {[]candidate{derived, thick}, []candidate{derived, thick}, "thick thick"},
		"derived images if there is no other": {[]candidate{derived}, []candidate{derived}, "derived derived"},
		"columns that viewers can show":       {[]candidate{odd, thick}, []candidate{odd, thick}, "thick thick"},
	} {
		a, b := choose(c.pre, c.post)
		if got := a.seriesUID + " " + b.seriesUID; got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		slices.Reverse(c.pre)
		slices.Reverse(c.post)
		if x, y := choose(c.pre, c.post); x.seriesUID != a.seriesUID || y.seriesUID != b.seriesUID {
			t.Errorf("%s: the choice depends on the order of arrival", name)
		}
	}
}

func TestShortIDs(t *testing.T) {
	seen := map[string]bool{}
	for i := range 2000 {
		id := shortID("case", fmt.Sprint(i))
		if len(id) != 6 || strings.Trim(id, idAlphabet) != "" || id != normalID(" "+strings.ToUpper(id)+"\n") {
			t.Fatalf("ID %q", id)
		}
		seen[id] = true
	}
	if len(seen) < 1990 {
		t.Errorf("%d different IDs of 2000", len(seen))
	}
}
