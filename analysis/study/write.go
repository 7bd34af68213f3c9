package study

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"rfanode/analysis/prognosis"
	"rfanode/durable"
)

func key(h float64) string { return prognosis.HorizonKey(h) }

// Write puts the study into a folder, which is made if need be: report.html, result.json, tripod.md, predictions.csv, a
// CSV of every table (tables/) and an SVG of every figure (figures/), and the bundle (bundle/), which is loaded again to
// prove it.
func (r *Result) Write(dir string) error {
	for _, d := range []string{dir, filepath.Join(dir, "tables"), filepath.Join(dir, "figures")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return fmt.Errorf("study: %w", err)
		}
	}
	files := []struct {
		name  string
		write func(io.Writer) error
	}{{"report.html", r.Report}, {"tripod.md", r.Tripod}, {"predictions.csv", r.predictions}, {"result.json", func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", " ")
		return e.Encode(r)
	}}}
	for k, t := range r.tables() {
		files = append(files, struct {
			name  string
			write func(io.Writer) error
		}{filepath.Join("tables", fmt.Sprintf("%02d.csv", k+1)), func(w io.Writer) error {
			c := csv.NewWriter(w)
			c.Write([]string{t.Title})
			c.Write(t.Head)
			c.WriteAll(t.Rows)
			return c.Error()
		}})
	}
	for _, f := range r.figures() {
		files = append(files, struct {
			name  string
			write func(io.Writer) error
		}{filepath.Join("figures", f.Name+".svg"), func(w io.Writer) error {
			_, err := io.WriteString(w, f.SVG)
			return err
		}})
	}
	for _, f := range files {
		if err := durable.WriteFile(filepath.Join(dir, f.name), f.write); err != nil {
			return fmt.Errorf("study: %s: %w", f.name, err)
		}
	}
	var onnx [][]byte
	for _, n := range r.fitted.Net.Ensemble.Members {
		onnx = append(onnx, prognosis.EncodeONNX(n, r.bundle.ID))
	}
	bundle := filepath.Join(dir, "bundle")
	if err := r.bundle.Write(bundle, onnx); err != nil {
		return err
	}
	if _, err := prognosis.Load(bundle); err != nil {
		return fmt.Errorf("study: the bundle just written does not load: %w", err)
	}
	return nil
}

// predictions of every patient by every model.
func (r *Result) predictions(w io.Writer) error {
	c := csv.NewWriter(w)
	head := []string{"id", "set", "time", "event", "radscore"}
	for _, m := range Models {
		head = append(head, m+"_log_risk")
		for _, h := range r.Horizons {
			head = append(head, m+"_free_"+key(h))
		}
	}
	if err := c.Write(append(head, "deepsurv_spread")); err != nil {
		return err
	}
	g := func(v float64) string { return strconv.FormatFloat(v, 'g', 17, 64) }
	for _, set := range Sets {
		s := r.scores[set]
		if s == nil {
			continue
		}
		for k, row := range s.Rows {
			line := []string{r.cohort.ID[row], set, g(s.Y.Time[k]), strconv.Itoa(s.Y.Event[k]), g(s.Radscore[k])}
			for _, m := range Models {
				line = append(line, g(s.LogRisk[m][k]))
				for _, h := range r.Horizons {
					line = append(line, g(r.fitted.Free(m, h, s.LogRisk[m][k])))
				}
			}
			if err := c.Write(append(line, g(s.Ensemble.Spread[k]))); err != nil {
				return err
			}
		}
	}
	c.Flush()
	return c.Error()
}
