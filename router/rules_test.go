package router

import "testing"

func TestDefaultWording(t *testing.T) {
	w, err := Rules{}.compile()
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]label{
		"CT chest post RFA":                labelledPost,
		"PRE-RFA lung 1.0":                 labelledPre,
		"postRFA":                          labelledPost,
		"RFA_post":                         labelledPost,
		"RFA immediate post":               labelledPost,
		"Chest before the ablation":        labelledPre,
		"after CT-guided lung ablation":    labelledPost,
		"prior to MWA":                     labelledPre,
		"post-microwave ablation":          labelledPost,
		"Thorax nach RFA":                  labelledPost,
		"CT vor der Ablation":              labelledPre,
		"prä-RFA":                          labelledPre,
		"nach Thermoablation":              labelledPost,
		"avant ablation":                   labelledPre,
		"TDM après l'ablation":             labelledPost,
		"contrôle après radiofréquence":    labelledPost,
		"antes de la ablación":             labelledPre,
		"TC después de ablación":           labelledPost,
		"消融术前":                             labelledPre,
		"肺射频消融术后复查":                        labelledPost,
		"術後":                               labelledPost,
		"微波消融后":                            labelledPost,
		"Post contrast 1.0 B30f":           unlabelled,
		"PRE CONTRAST":                     unlabelled,
		"RFA post contrast":                unlabelled,
		"Thorax nach KM, RFA":              unlabelled,
		"pre and post RFA":                 unlabelled,
		"CT thorax pre/post RFA":           unlabelled,
		"vor und nach Ablation":            unlabelled,
		"pre RFA and post RFA":             unlabelled,
		"RFA":                              unlabelled,
		"Thorax 1.0 Lung":                  unlabelled,
		"prefab ablation":                  unlabelled,
		"Vorschau Ablation":                unlabelled,
		"postoperative":                    unlabelled,
		"":                                 unlabelled,
		"posterior rfa":                    unlabelled,
		"RFA guidance, expiration, supine": unlabelled,
	} {
		if got := w.label(text); got != want {
			t.Errorf("%q: label %d, want %d", text, got, want)
		}
	}
}

func TestOwnWording(t *testing.T) {
	w, err := Rules{Pre: []string{`\bplanung\b`}, Post: []string{`\bkontrolle\b`}}.compile()
	if err != nil {
		t.Fatal(err)
	}
	if w.label("CT Kontrolle") != labelledPost || w.label("Planung") != labelledPre || w.label("post RFA") != unlabelled {
		t.Error("configured words do not replace the default ones")
	}
	if _, err := (Rules{Pre: []string{"("}}).compile(); err == nil {
		t.Error("a broken rule was taken")
	}
}
