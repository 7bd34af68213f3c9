package phantom

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
)

// Write puts cohort.csv (one patient a row), features.csv.gz and truth.json into a folder, which is made if need be.
func (c *Cohort) Write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("cohort: %w", err)
	}
	for _, f := range []struct {
		name  string
		write func(io.Writer) error
	}{{"cohort.csv", c.writeTable}, {"features.csv.gz", c.writeFeatures}, {"truth.json", c.writeTruth}} {
		if err := writeTo(filepath.Join(dir, f.name), f.write); err != nil {
			return fmt.Errorf("cohort: %w", err)
		}
	}
	return nil
}

func writeTo(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	b := bufio.NewWriter(f)
	if err := write(b); err != nil {
		f.Close()
		return err
	}
	if err := b.Flush(); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

func (c *Cohort) writeTable(w io.Writer) error {
	row := []byte("id,center,set,time,event")
	for _, k := range c.Covariates {
		row = append(row, ","+k.Name...)
	}
	row = append(row, '\n')
	for i := range c.ID {
		row = append(row, fmt.Sprintf("%s,%s,%s,%.1f,%d", c.ID[i], c.Center[i], c.Set[i], c.Time[i], c.Event[i])...)
		for _, k := range c.Covariates {
			row = append(row, ',')
			if !math.IsNaN(k.Value[i]) {
				row = strconv.AppendFloat(row, k.Value[i], 'f', k.Decimals, 64)
			}
		}
		row = append(row, '\n')
	}
	_, err := w.Write(row)
	return err
}

func (c *Cohort) writeFeatures(w io.Writer) error {
	z := gzip.NewWriter(w)
	row := []byte("id")
	for _, n := range c.FeatureNames {
		row = append(row, ","+n...)
	}
	row = append(row, '\n')
	for i, id := range c.ID {
		row = append(row, id...)
		for _, f := range c.Features {
			row = append(row, ',')
			row = strconv.AppendFloat(row, f[i], 'g', 7, 64)
		}
		row = append(row, '\n')
		if _, err := z.Write(row); err != nil {
			return err
		}
		row = row[:0]
	}
	return z.Close()
}

func (c *Cohort) writeTruth(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	return e.Encode(c.Truth)
}
