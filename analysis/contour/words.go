package contour

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Role is what a structure stands for.
type Role string

const (
	Tumour  Role = "gtr"   // the tumour before the ablation (GTR)
	Zone    Role = "ptz"   // the ablation zone (PTZ)
	either  Role = "both"  // named as both
	unnamed Role = ""      // its names say nothing
	other   Role = "other" // named as something else
)

func (r Role) String() string {
	switch r {
	case Tumour:
		return "tumour"
	case Zone:
		return "ablation zone"
	}
	return string(r)
}

// Words tell what a structure stands for: regular expressions (RE2), case ignored, searched in its label; where that
// says nothing, in its description and in the meanings of its codes, and against "value:scheme" of its type code.
// Ignore comes first. An empty list: the default.
type Words struct {
	Tumour, Zone, Ignore []string
}

const (
	wordStart = `(?:^|[^\p{L}])(?:`
	wordEnd   = `)(?:$|[^\p{L}])`
)

// DefaultWords is the wording used where none is given: English, German, French, Spanish and Chinese.
func DefaultWords() Words {
	return Words{
		Tumour: []string{
			wordStart + `gtr|gtv|\p{L}*t(?:umou?r|umeur|umores?)\p{L}*|nodul\p{L}*|n[oó]dulos?|neoplas\p{L}*|l[eéä]sion\p{L}*|\p{L}*m[eé]tasta\p{L}*|carcinoma\p{L}*|\p{L}*karzinom\p{L}*|\p{L}*rundherd\p{L}*|herd|mass(?:e|a)?|knoten` + wordEnd,
			`肿瘤|腫瘤|结节|結節|病灶|癌`,
		},
		Zone: []string{
			wordStart + `ptz|\p{L}*abl(?:ation|aci[oó]n|ated|atie)\p{L}*|zone|zona|coag\p{L}*|koag\p{L}*|ne[ck]ro[st]\p{L}*|n[eé]crose` + wordEnd,
			`消融|坏死|壞死|凝固`,
		},
		Ignore: []string{wordStart + `ptv|ctv|itv|uncovered` + wordEnd},
	}
}

// elsewhere are words for what lies around: it is left aside where neither tumour nor zone is named.
var elsewhere = regexp.MustCompile(`(?i)` + wordStart + `lungs?|lunge\p{L}*|poumon\p{L}*|pulm[oó]n\p{L}*|lobes?|lappen|airways?|trachea|bronch\p{L}*|heart|herz|aorta|vessels?|gef[aä](?:ss|ß)e?|arter\p{L}*|vein|ven[ae]|ribs?|rippe\p{L}*|spine|spinal\p{L}*|vertebra\p{L}*|liver|leber|kidney|spleen|stomach|o?esophagus|body|skin|external|couch|organ|avoidance|support|bolus|marker|needle|electrode|applicator|muscle|fat|thyroid` + wordEnd + `|肺|气管|心|主动脉`)

// Wording is Words, compiled.
type Wording struct{ tumour, zone, ignore []*regexp.Regexp }

// Compile checks the expressions.
func (w Words) Compile() (*Wording, error) {
	standard := DefaultWords()
	out := &Wording{}
	for _, l := range []struct {
		what         string
		from, ifNone []string
		to           *[]*regexp.Regexp
	}{{"tumours", w.Tumour, standard.Tumour, &out.tumour}, {"zones", w.Zone, standard.Zone, &out.zone}, {"what is ignored", w.Ignore, standard.Ignore, &out.ignore}} {
		from := l.from
		if len(from) == 0 {
			from = l.ifNone
		}
		for _, pattern := range from {
			re, err := regexp.Compile("(?i)" + pattern)
			if err != nil {
				return nil, fmt.Errorf("expression %q for %s: %w", pattern, l.what, err)
			}
			*l.to = append(*l.to, re)
		}
	}
	return out, nil
}

// role is what the names of a structure say.
func (w *Wording) role(s Structure) Role {
	if r := w.read(s.Label); r != unnamed {
		return r
	}
	for _, text := range []string{s.Description, s.Type.Meaning, s.Type.Value + ":" + s.Type.Scheme} {
		if r := w.read(text); r != unnamed {
			return r
		}
	}
	anatomy := s.Category.Value == "123037004" && s.Category.Scheme == "SCT" || s.Category.Value == "T-D000A" && s.Category.Scheme == "SRT"
	if anatomy || elsewhere.MatchString(s.Label) || elsewhere.MatchString(s.Type.Meaning) {
		return other
	}
	return unnamed
}

func (w *Wording) read(text string) Role {
	text = strings.TrimSpace(text)
	match := func(list []*regexp.Regexp) bool {
		return slices.ContainsFunc(list, func(re *regexp.Regexp) bool { return re.MatchString(text) })
	}
	switch tumour, zone := match(w.tumour), match(w.zone); {
	case match(w.ignore):
		return other
	case tumour && zone:
		return either
	case tumour:
		return Tumour
	case zone:
		return Zone
	}
	return unnamed
}

// Name is the role that the names of a structure say; false if they say none, or both.
func (w *Wording) Name(s Structure) (Role, bool) {
	r := w.role(s)
	return r, r == Tumour || r == Zone
}

// About says whether any structure of an object could be a tumour or a zone.
func (w *Wording) About(c *Contour) bool {
	return slices.ContainsFunc(c.Structures, func(s Structure) bool { return s.Marked() && w.role(s) != other })
}

// Unclear is the Problem of an object that does not say which of its structures is meant, or what it stands for.
const Unclear Problem = "unclear"

// Choose finds, among structures (positions in c.Structures; nil: all) that were drawn on one CT, the one that stands
// for the role that this CT calls for: Tumour before the ablation, Zone after it. One that is named so goes first; a
// single one whose names say nothing is taken for it. It is −1 if there is none of either kind, only others, such as
// organs; and an *Error (Unclear) where several could be meant, or what is drawn is named for the other CT.
func (w *Wording) Choose(c *Contour, structures []int, want Role) (int, error) {
	if structures == nil {
		for i := range c.Structures {
			structures = append(structures, i)
		}
	}
	by := map[Role][]int{}
	for _, i := range structures {
		if c.Structures[i].Marked() {
			r := w.role(c.Structures[i])
			by[r] = append(by[r], i)
		}
	}
	named, open := by[want], by[unnamed]
	if len(named) == 0 {
		named = by[either]
	}
	against := by[Tumour]
	if want == Tumour {
		against = by[Zone]
	}
	switch {
	case len(named) == 1:
		return named[0], nil
	case len(named) > 1:
		return 0, fault(Unclear, "structures %s are all named as %s: send one at a time", c.numbers(named), want)
	case len(open) == 1 && len(against) == 0:
		return open[0], nil
	case len(open) > 0:
		return 0, fault(Unclear, "none of the structures %s is named as %s: name one so", c.numbers(append(open, against...)), want)
	case len(against) > 0:
		return 0, fault(Unclear, "structure %s is not named as %s, but lies on the CT that shows it: draw it on the other CT, or name it so", c.numbers(against), want)
	}
	return -1, nil
}

func (c *Contour) numbers(of []int) string {
	const most = 8
	slices.Sort(of)
	var names []string
	for n, i := range of {
		if n == most {
			names = append(names, "…")
			break
		}
		names = append(names, fmt.Sprint(c.Structures[i].Number))
	}
	return strings.Join(names, ", ")
}
