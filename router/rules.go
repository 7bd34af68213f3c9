package router

import (
	"fmt"
	"regexp"
	"strings"
)

// Rules are the words that tell a scan before an ablation from one after it: regular expressions (RE2), case ignored,
// searched in the series description and, when that says nothing, in the study description. Empty: the wording below,
// in English, German, French, Spanish and Chinese. They only help: without a match acquisition time decides.
type Rules struct {
	Pre, Post []string
}

// label is what descriptions say about a scan.
type label int

const (
	unlabelled label = iota
	labelledPre
	labelledPost
)

// Pieces of the default wording. The bare words "pre" and "post" mean nothing here: they mostly speak of contrast
// medium. They count beside a word for the treatment.
const (
	wordPre    = `pre|prior[\s_]+to|before|prä|prae|vor|avant|pré|antes|previ[oa]`
	wordPost   = `post|after|nach|après|apres|despu[eé]s|tras`
	treatment  = `t?rfa|rf|mwa|pmwa|cryo|rfta|(?:thermo|cryo|kryo|radio(?:frequency|frequenz)?|mi[ck]ro(?:wave|wellen)|rf|mw)?[\s_\-]?abl(?:ation(?:s?therapie)?|aci[oó]n|ated|atie)?|ablación|radiofr[eé]quence|radiofrecuencia|radiofrequenz\p{L}*|radiofrequency|microwave|mikrowelle\p{L}*|microondas|micro-?ondes`
	fillers    = `ct|tc|tdm|lung|lunge|pulmonary|pulmonaire|pulmonar|the|of|der|die|dem|den|einer|la|le|l|de|du|por|par|percutaneous|perkutaner?|guided|gesteuerter?`
	gap        = `[\s_\-./:’']*`
	fillerGap  = gap + `(?:(?:` + fillers + `)` + gap + `){0,3}`
	wordStart  = `(?:^|[^\p{L}\p{N}])`
	wordEnd    = `(?:$|[^\p{L}\p{N}])`
	immediate  = `(?:immediate(?:ly)?|direct(?:ly)?|unmittelbar|sofort|inm[eé]diat[oae]?|imm)`
	contrastRE = `(?i)(?:pre|post|vor|nach|avant|après|apres|antes|despu[eé]s|sans|avec|sin|con|ohne|mit|with|without|w/?o?)[\s_\-]*(?:de[\s_]+|i\.?v\.?[\s_]*)?(?:contrast\p{L}*|kontrast\p{L}*|km|gado\p{L}*|iv|injection|c[+-])`
)

// defaultRules is the wording used when the configuration names none. Chinese is written without spaces, so its terms
// are not bounded by them: 术前/术后 before/after the operation, 消融 ablation, 射频 radiofrequency, 微波 microwave.
func defaultRules() Rules {
	about := func(when, otherwise string) []string {
		return []string{
			// The other word may stand between, as in "pre and post RFA", which then speaks of both.
			wordStart + `(?:` + when + `)(?:` + gap + `(?:(?:and|und|et|y|&|\+)` + gap + `)?(?:` + otherwise + `))?` + fillerGap + `(?:` + treatment + `)` + wordEnd,
			wordStart + `(?:` + treatment + `)[\s_\-./:]+(?:` + immediate + `[\s_\-]+)?(?:` + when + `)` + wordEnd,
		}
	}
	return Rules{
		Pre:  append(about(wordPre, wordPost), `(?:消融|射频|射頻|微波|手?[术術])(?:治疗|治療|消融|[术術])?(?:之)?前`, `[术術]前`),
		Post: append(about(wordPost, wordPre), `(?:消融|射频|射頻|微波|手?[术術])(?:治疗|治療|消融|[术術])?(?:之)?[后後]`, `[术術][后後]`),
	}
}

// wording is Rules, compiled.
type wording struct {
	pre, post []*regexp.Regexp
	contrast  *regexp.Regexp
}

func (r Rules) compile() (*wording, error) {
	if len(r.Pre) == 0 && len(r.Post) == 0 {
		r = defaultRules()
	}
	w := &wording{contrast: regexp.MustCompile(contrastRE)}
	for _, list := range []struct {
		name string
		from []string
		to   *[]*regexp.Regexp
	}{{"pre", r.Pre, &w.pre}, {"post", r.Post, &w.post}} {
		for _, pattern := range list.from {
			re, err := regexp.Compile("(?i)" + pattern)
			if err != nil {
				return nil, fmt.Errorf("description rule %q for %s series: %w", pattern, list.name, err)
			}
			*list.to = append(*list.to, re)
		}
	}
	return w, nil
}

// label reads a description. One that speaks of both before and after says nothing.
func (w *wording) label(description string) label {
	d := w.contrast.ReplaceAllString(strings.TrimSpace(description), " ")
	pre, post := matchAny(w.pre, d), matchAny(w.post, d)
	switch {
	case pre && !post:
		return labelledPre
	case post && !pre:
		return labelledPost
	}
	return unlabelled
}

func matchAny(list []*regexp.Regexp, s string) bool {
	for _, re := range list {
		if re.MatchString(s) {
			return true
		}
	}
	return false
}
