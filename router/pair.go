package router

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// sameScan: series of one study that began less than this apart are reconstructions, or contrast phases, of one scan.
// Between a scan before and a scan after an ablation lies the ablation itself.
const sameScan = 3 * time.Minute

// scan is one acquisition of a patient: its usable series differ in reconstruction only.
type scan struct {
	studyUID string
	at       time.Time // zero: not known
	label    label
	series   []candidate
}

func (s scan) has(seriesUID string) bool {
	return slices.ContainsFunc(s.series, func(c candidate) bool { return c.seriesUID == seriesUID })
}

// past is what pairing must know of an earlier case.
type past struct {
	id, preSeries, postSeries, preSet, postSet string
	state                                      State
	hold, contours                             string // where it is held; the contours it uses
}

// established says that the analysis found an ablation zone in the case's post scan.
func (p past) established() bool {
	switch p.state {
	case Delivering, Delivered, PartlyDelivered, NotDelivered, Kept:
		return true
	}
	return false
}

func (p past) inProgress() bool { return p.state == Queued || p.state == Analysing }

// pairing is a case to be made.
type pairing struct {
	pre, post   candidate
	predecessor string // the case it replaces
	hold        string // not empty: a person must look before it is analysed
	contours    contourSet
}

// scansOf groups the usable series of one patient, in the order of time, scans without a time last.
func scansOf(series []candidate) []scan {
	series = slices.Clone(series)
	slices.SortFunc(series, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(count(a.facts.Acquired.IsZero()), count(b.facts.Acquired.IsZero())),
			a.facts.Acquired.Compare(b.facts.Acquired), cmp.Compare(a.seriesUID, b.seriesUID))
	})
	var scans []scan
	for _, c := range series {
		i := slices.IndexFunc(scans, func(s scan) bool {
			return s.studyUID == c.studyUID && (s.label == c.label || s.label == unlabelled || c.label == unlabelled) &&
				s.at.IsZero() == c.facts.Acquired.IsZero() && c.facts.Acquired.Sub(s.at) < sameScan
		})
		if i < 0 {
			scans = append(scans, scan{studyUID: c.studyUID, at: c.facts.Acquired})
			i = len(scans) - 1
		}
		scans[i].series = append(scans[i].series, c)
		scans[i].label = cmp.Or(scans[i].label, c.label)
	}
	labelByStudy(scans)
	return scans
}

// labelByStudy lets the study description speak for the scan of a study with one scan. Where a study holds several, as
// when the scans before and after an ablation lie in one, its description cannot tell them apart.
func labelByStudy(scans []scan) {
	inStudy := map[string]int{}
	for _, s := range scans {
		inStudy[s.studyUID]++
	}
	for i, s := range scans {
		if s.label == unlabelled && inStudy[s.studyUID] == 1 {
			scans[i].label = s.series[0].studyLabel
		}
	}
}

// plan decides, for every scan of one patient, whether it is the later half of a pair that has not been analysed, and
// what the scans that belong to no pair wait for (series UID → reason). It depends on nothing but its arguments.
func plan(scans []scan, cases []past) (pairs []pairing, waiting map[string]string) {
	cases = slices.Clone(cases)
	paired := make([]bool, len(scans))
	waits := make([]string, len(scans))
	for i, s := range scans {
		earlier := caseOf(cases, s)
		if earlier != nil && !earlier.needsAnother(scans, s) {
			markPaired(paired, scans, i, earlier.preSeries)
			continue
		}
		j, why := preOf(scans, i, cases)
		if j < 0 {
			waits[i] = why
			continue
		}
		p := pairing{hold: identityDoubt(scans[j], s)}
		p.pre, p.post = choose(scans[j].series, s.series)
		paired[i], paired[j] = true, true
		if analysed(cases, p) {
			continue
		}
		if earlier != nil {
			p.predecessor = earlier.id
		}
		pairs = append(pairs, p)
		cases = append(cases, past{preSeries: p.pre.seriesUID, postSeries: p.post.seriesUID, preSet: p.pre.set, postSet: p.post.set, state: Queued})
	}
	waiting = map[string]string{}
	for i, s := range scans {
		if !paired[i] {
			for _, c := range s.series {
				waiting[c.seriesUID] = waits[i]
			}
		}
	}
	return pairs, waiting
}

func markPaired(paired []bool, scans []scan, post int, preSeries string) {
	paired[post] = true
	for j, s := range scans {
		if s.has(preSeries) {
			paired[j] = true
		}
	}
}

// caseOf returns the latest case (cases are in the order they were made) with this scan as its post scan.
func caseOf(cases []past, s scan) *past {
	for i := len(cases) - 1; i >= 0; i-- {
		if s.has(cases[i].postSeries) && cases[i].state != Superseded {
			return &cases[i]
		}
	}
	return nil
}

// needsAnother says whether a scan that has a case deserves a new one: the instances of a series the case stands on have
// changed; or it brought no result, and another series or another pre scan has come that would now be preferred.
func (p *past) needsAnother(scans []scan, post scan) bool {
	for _, s := range scans {
		for _, c := range s.series {
			if c.seriesUID == p.preSeries && c.set != p.preSet || c.seriesUID == p.postSeries && c.set != p.postSet {
				return true
			}
		}
	}
	return p.state == Held || p.state == Failed
}

// analysed says whether this very pair has a case already.
func analysed(cases []past, p pairing) bool {
	return slices.ContainsFunc(cases, func(c past) bool { return c.preSet == p.pre.set && c.postSet == p.post.set })
}

// preOf finds the scan that shows the tumour before the ablation that scan i may show: the latest earlier one whose
// description says so; else the latest earlier one that is not known to show an ablation itself. Otherwise -1 and what
// is being waited for.
func preOf(scans []scan, i int, cases []past) (int, string) {
	post := scans[i]
	if post.label == labelledPre {
		return -1, "its pair has not arrived: its description says it was made before the ablation, and there is no usable CT after it"
	}
	if post.at.IsZero() {
		return preWithoutTime(scans, i)
	}
	unlabelledPre, undecided, sameTime := -1, false, false
	for j := i - 1; j >= 0; j-- {
		s := scans[j]
		switch {
		case s.at.IsZero() || s.label == labelledPost:
		case sameMoment(s.at, post.at) && (s.label == unlabelled || post.label == unlabelled):
			sameTime = true
		case s.label == labelledPre:
			return j, ""
		case unlabelledPre >= 0 || undecided:
		default:
			switch c := caseOf(cases, s); {
			case c != nil && c.inProgress():
				undecided = true
			case c == nil || !c.established():
				unlabelledPre = j
			}
		}
	}
	switch {
	case undecided:
		return -1, "an earlier pair of this patient is being analysed; its outcome decides which scan is the one before the ablation"
	case unlabelledPre >= 0:
		return unlabelledPre, ""
	case sameTime:
		return -1, "another scan of this patient carries the same acquisition time and no description says which came first: correct the times and send again"
	case post.label == labelledPost:
		return -1, "its pair has not arrived: its description says it was made after the ablation, and there is no usable CT before it"
	}
	return -1, "its pair has not arrived: there is no other usable CT with the same Patient ID and issuer"
}

// sameMoment says whether two times cannot be ordered: they are equal, or on one day and one of them is a date only.
func sameMoment(a, b time.Time) bool {
	const day = 24 * time.Hour
	dateOnly := a.Truncate(day).Equal(a) || b.Truncate(day).Equal(b)
	return a.Equal(b) || dateOnly && a.Truncate(day).Equal(b.Truncate(day))
}

// preWithoutTime pairs a scan whose acquisition time is missing only when descriptions leave no choice.
func preWithoutTime(scans []scan, i int) (int, string) {
	found := -1
	if scans[i].label == labelledPost {
		for j, s := range scans {
			if s.label == labelledPre {
				if found >= 0 {
					found = -1
					break
				}
				found = j
			}
		}
	}
	if found < 0 {
		return -1, "it carries no acquisition date and time, so that before and after cannot be told apart: correct it and send again"
	}
	return found, ""
}

// identityDoubt compares what else identifies a patient; a same Patient ID with another birth date is a mix-up until a
// person says otherwise.
func identityDoubt(pre, post scan) string {
	for _, a := range pre.series {
		for _, b := range post.series {
			if differ(a.facts.BirthDate, b.facts.BirthDate) {
				return "the two scans carry the same Patient ID but different birth dates"
			}
			if differ(a.facts.Sex, b.facts.Sex) {
				return "the two scans carry the same Patient ID but different sexes"
			}
		}
	}
	return ""
}

func differ(a, b string) bool { return a != "" && b != "" && a != b }

// daysBetween is for the log: how far the scans of a pair lie apart.
func (p pairing) daysBetween() string {
	if p.pre.facts.Acquired.IsZero() || p.post.facts.Acquired.IsZero() {
		return "unknown"
	}
	return fmt.Sprintf("%.1f", p.post.facts.Acquired.Sub(p.pre.facts.Acquired).Hours()/24)
}
