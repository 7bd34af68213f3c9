package router

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"

	"rfanode/analysis"
)

// FeatureSet holds the radiomics features of one ablation zone, as the index keeps them.
type FeatureSet struct {
	Case     string
	Lesion   int
	Profile  string              // name of the settings
	Settings string              // SHA-256 of them
	Values   map[string]*float64 // by name; nil: the value does not exist for this zone
	Warnings []string
}

// features writes features.csv and features.json, which has the settings too, if any lesion has features.
func (w *resultFiles) features(id string, findings []analysis.Findings) error {
	n := 0
	for i, f := range findings {
		if f.Features == nil {
			continue
		}
		n++
		err := w.file(numbered(i, "features", ".json"), func(out io.Writer) error { return json.NewEncoder(out).Encode(f.Features.Result) })
		if err != nil {
			return err
		}
	}
	if n == 0 {
		return nil
	}
	return w.file("features.csv", func(out io.Writer) error { _, err := analysis.WriteFeatures(out, id, findings); return err })
}

// storeFeatures puts the features of a case into the index in place of those of an earlier attempt.
func storeFeatures(ctx context.Context, tx *sql.Tx, id string, findings []analysis.Findings) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM feature_set WHERE case_id = ?`, id); err != nil {
		return err
	}
	for _, f := range findings {
		if f.Features == nil {
			continue
		}
		text, err := json.Marshal(f.Features.Result)
		if err != nil {
			return fmt.Errorf("features of lesion %d: %w", f.Lesion, err)
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO feature_set (case_id, lesion, profile, settings_sha256, result) VALUES (?, ?, ?, ?, ?)`,
			id, f.Lesion, f.Features.Profile, f.Features.Settings, string(text))
		if err != nil {
			return err
		}
	}
	return nil
}

// Features returns the features of every case that stands: dropped and replaced ones are left out.
func (r *Router) Features(ctx context.Context) ([]FeatureSet, error) {
	scan := func(rows *sql.Rows) (s FeatureSet, err error) {
		var text string
		if err := rows.Scan(&s.Case, &s.Lesion, &s.Profile, &s.Settings, &text); err != nil {
			return s, err
		}
		kept := struct {
			Features *map[string]*float64 `json:"features"`
			Warnings *[]string            `json:"warnings"`
		}{&s.Values, &s.Warnings}
		if err := json.Unmarshal([]byte(text), &kept); err != nil {
			return s, fmt.Errorf("features of case %s, lesion %d: %w", s.Case, s.Lesion, err)
		}
		return s, nil
	}
	return collect(ctx, r.db.index, scan, `SELECT f.case_id, f.lesion, f.profile, f.settings_sha256, f.result
		FROM feature_set f JOIN cases c ON c.id = f.case_id
		WHERE c.state NOT IN (?, ?) AND NOT EXISTS (SELECT 1 FROM cases later WHERE later.predecessor = c.id AND later.state NOT IN (?, ?))
		ORDER BY f.case_id, f.lesion`, Dropped, Superseded, Dropped, Superseded)
}
