package router

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rfanode/analysis"
	"rfanode/analysis/ct"
	"rfanode/analysis/radiomics"
	"rfanode/analysis/volume"
)

// withFeatures adds real features of a made-up image to what the tests' analysis finds.
func withFeatures(ctx context.Context, pre, post *ct.Series, given analysis.Options) ([]analysis.Findings, error) {
	all, err := finalFindings(ctx, pre, post, given)
	if err != nil {
		return nil, err
	}
	g := volume.Axial([3]int{24, 24, 24}, [3]float64{1, 1, 1}, volume.Vec{})
	v, m := volume.New(g), volume.NewMask(g)
	for i := range v.Data {
		v.Data[i] = float32(i * 7919 % 613)
	}
	for k := 8; k < 16; k++ {
		for j := 8; j < 16; j++ {
			for i := 8; i < 16; i++ {
				m.Data[g.Offset(i, j, k)] = 1
			}
		}
	}
	r, err := radiomics.Extract(ctx, v, m, radiomics.Default())
	if err != nil {
		return nil, err
	}
	all[0].Features = &analysis.Features{Compat: radiomics.Compat, Profile: r.Profile.Name, Settings: r.Profile.Hash(), Count: len(r.Values), Result: r}
	return all, nil
}

// Features lie beside the findings and in the index, with their settings, and go with the case.
func TestFeaturesOfACase(t *testing.T) {
	t.Parallel()
	n := start(t, Options{Analyse: withFeatures})
	pre, post := pairOf("PID-31")
	n.receive(t, pre, post)
	c := n.waitState(t, Kept)

	var kept struct {
		Settings map[string]any      `json:"configuration"`
		Features map[string]*float64 `json:"features"`
	}
	text, err := os.ReadFile(filepath.Join(c.Folder, "features.json"))
	if err != nil || json.Unmarshal(text, &kept) != nil || len(kept.Features) != 1316 || len(kept.Settings) == 0 {
		t.Fatalf("features.json: %v, %d features, %d settings", err, len(kept.Features), len(kept.Settings))
	}
	f, err := os.Open(filepath.Join(c.Folder, "features.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	table, err := csv.NewReader(f).ReadAll()
	if err != nil || len(table) != 2 || table[1][0] != c.ID+"-1" || !slices.Contains(table[0], "original_shape_MeshVolume") {
		t.Fatalf("features.csv: %v, %d lines", err, len(table))
	}
	if strings.Contains(string(text)+strings.Join(table[1], ","), "PID-31") {
		t.Error("the patient is named beside the features")
	}

	sets, err := n.Features(t.Context())
	if err != nil || len(sets) != 1 || sets[0].Case != c.ID || sets[0].Lesion != 1 || sets[0].Settings != radiomics.Default().Hash() {
		t.Fatalf("%v: %d sets", err, len(sets))
	}
	for name, v := range kept.Features {
		got, ok := sets[0].Values[name]
		if !ok || (got == nil) != (v == nil) || v != nil && *got != *v {
			t.Fatalf("%s differs between the file and the index", name)
		}
	}
}
