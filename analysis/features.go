package analysis

import (
	"context"
	"fmt"
	"io"

	"rfanode/analysis/radiomics"
	"rfanode/analysis/volume"
)

// Features says which features of the ablation zone go with the findings; the values are in the table that WriteFeatures
// writes.
type Features struct {
	Compat   string            `json:"compat"`          // what they are equal to: "pyradiomics 3.0.1"
	Profile  string            `json:"profile"`         // name of the settings
	Settings string            `json:"settings_sha256"` // and their hash
	Count    int               `json:"count"`
	Missing  int               `json:"missing"` // values that do not exist for this zone
	Result   *radiomics.Result `json:"-"`
}

// takeFeatures computes the paper's features of the zone on post. What stands against them is a warning: the coverage
// does not rest on them.
func (f *Findings) takeFeatures(ctx context.Context, post *volume.Volume, zone *volume.Mask) error {
	r, err := radiomics.Extract(ctx, post, zone, radiomics.Default())
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		f.warn("no features of the ablation zone: %v", err)
		return nil
	}
	f.Features = &Features{
		Compat: radiomics.Compat, Profile: r.Profile.Name, Settings: r.Profile.Hash(), Count: len(r.Values), Result: r,
	}
	for _, v := range r.Values {
		if v.Reason != "" {
			f.Features.Missing++
		}
	}
	return nil
}

// WriteFeatures writes features.csv: a line a lesion that has features, its identifier made of id and the lesion's
// number. It writes nothing and returns false if none has.
func WriteFeatures(w io.Writer, id string, findings []Findings) (bool, error) {
	var rows []radiomics.Row
	for _, f := range findings {
		if f.Features != nil && f.Features.Result != nil {
			rows = append(rows, radiomics.Row{
				ID: fmt.Sprintf("%s-%d", id, f.Lesion), Image: f.Inputs.Post.SeriesInstanceUID, Mask: "ptz", Result: f.Features.Result,
			})
		}
	}
	if len(rows) == 0 {
		return false, nil
	}
	return true, radiomics.WriteCSV(w, rows[0].Result.Profile, rows...)
}
