package study

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"rfanode/analysis/survival"
)

// Sets of a study.
const (
	Train    = "train"
	Internal = "internal"
	External = "external"
)

// Sets in the order of every table.
var Sets = []string{Train, Internal, External}

// Cohort is the study's table: one patient an index. A missing covariate is NaN.
type Cohort struct {
	ID, Center, Set []string // Set is empty until Split has run, unless the table has the column
	Y               survival.Outcome
	Names           []string // covariates in file order
	Columns         map[string][]float64
	FeatureNames    []string
	Features        [][]float64
	LostFeatures    []string // columns left out because a patient has no value
	Profile         string   // of the features, and the hash of their settings, where the table says (rfanode features)
	SettingsSHA256  string
	Hash            string // SHA-256 of the tables read
}

// reserved columns are no covariates.
var reserved = []string{"id", "time", "event", "set", "center", "centre"}

const (
	maxTableBytes = 1 << 30
	maxPatients   = 1_000_000
)

// ReadCohort reads the cohort table (CSV, UTF-8, header): id, time (months from the ablation), event (0 censored, 1 local
// progression, 2 death without it), optional set (train, internal, external) and center; every other column is a numeric
// covariate, empty where missing. A column sex or gender with M and F becomes male, 1 and 0. Without tcr1, tcr gives it.
// features may be nil: a table of id and radiomic features, plain or gzip.
func ReadCohort(table, features io.Reader) (*Cohort, error) {
	hash := sha256.New()
	rows, err := readRows(io.TeeReader(table, hash))
	if err != nil {
		return nil, fmt.Errorf("cohort table: %w", err)
	}
	c := &Cohort{Columns: make(map[string][]float64)}
	if err := c.parse(rows); err != nil {
		return nil, fmt.Errorf("cohort table: %w", err)
	}
	if features != nil {
		rows, err := readRows(io.TeeReader(features, hash))
		if err != nil {
			return nil, fmt.Errorf("features table: %w", err)
		}
		if err := c.parseFeatures(rows); err != nil {
			return nil, fmt.Errorf("features table: %w", err)
		}
	}
	c.Hash = hex.EncodeToString(hash.Sum(nil))
	return c, nil
}

// readRows reads CSV, unpacking gzip by its first bytes.
func readRows(r io.Reader) ([][]string, error) {
	head := make([]byte, 2)
	n, err := io.ReadFull(r, head)
	if err != nil {
		return nil, errors.New("the file is empty")
	}
	r = io.MultiReader(strings.NewReader(string(head[:n])), r)
	if head[0] == 0x1f && head[1] == 0x8b {
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, err
		}
		defer z.Close()
		r = z
	}
	d := csv.NewReader(io.LimitReader(r, maxTableBytes))
	d.ReuseRecord = false
	rows, err := d.ReadAll()
	switch {
	case err != nil:
		return nil, err
	case len(rows) < 2:
		return nil, errors.New("a header and at least one row are needed")
	case len(rows) > maxPatients:
		return nil, fmt.Errorf("%d rows, more than %d", len(rows), maxPatients)
	}
	rows[0][0] = strings.TrimPrefix(rows[0][0], "\ufeff")
	for k := range rows[0] {
		rows[0][k] = strings.TrimSpace(rows[0][k])
	}
	return rows, nil
}

func (c *Cohort) parse(rows [][]string) error {
	column := make(map[string]int)
	for j, name := range rows[0] {
		if _, twice := column[name]; twice || name == "" {
			return fmt.Errorf("column %d: name %q is empty or used twice", j+1, name)
		}
		column[name] = j
	}
	for _, need := range []string{"id", "time", "event"} {
		if _, ok := column[need]; !ok {
			return fmt.Errorf("no column %q", need)
		}
	}
	seen := make(map[string]bool)
	for k, r := range rows[1:] {
		id := strings.TrimSpace(r[column["id"]])
		if id == "" || seen[id] {
			return fmt.Errorf("row %d: id %q is empty or a duplicate", k+2, id)
		}
		seen[id] = true
		t, err := strconv.ParseFloat(r[column["time"]], 64)
		if err != nil || !(t > 0) || math.IsInf(t, 0) {
			return fmt.Errorf("patient %s: time %q: months > 0 are needed", id, r[column["time"]])
		}
		e, err := strconv.Atoi(r[column["event"]])
		if err != nil || e < survival.Censored || e > survival.Competing {
			return fmt.Errorf("patient %s: event %q: 0, 1 or 2 is needed", id, r[column["event"]])
		}
		c.ID, c.Y.Time, c.Y.Event = append(c.ID, id), append(c.Y.Time, t), append(c.Y.Event, e)
		if j, ok := column["set"]; ok {
			if !slices.Contains(Sets, r[j]) {
				return fmt.Errorf("patient %s: set %q: train, internal or external is needed", id, r[j])
			}
			c.Set = append(c.Set, r[j])
		}
		center := ""
		for _, n := range []string{"center", "centre"} {
			if j, ok := column[n]; ok {
				center = r[j]
			}
		}
		c.Center = append(c.Center, center)
	}
	for j, name := range rows[0] {
		if slices.Contains(reserved, name) {
			continue
		}
		if err := c.parseCovariate(name, j, rows[1:]); err != nil {
			return err
		}
	}
	return c.derive()
}

func (c *Cohort) parseCovariate(name string, j int, rows [][]string) error {
	sex := name == "sex" || name == "gender"
	v := make([]float64, len(rows))
	for i, r := range rows {
		s := strings.TrimSpace(r[j])
		switch {
		case s == "" || s == "NA":
			v[i] = math.NaN()
		case sex && (s == "M" || s == "m"):
			v[i] = 1
		case sex && (s == "F" || s == "f"):
			v[i] = 0
		default:
			x, err := strconv.ParseFloat(s, 64)
			if err != nil || math.IsInf(x, 0) || math.IsNaN(x) {
				return fmt.Errorf("patient %s: %s is %q: a number is needed, or nothing if it is missing", c.ID[i], name, s)
			}
			v[i] = x
		}
	}
	if sex {
		name = "male"
	}
	if _, twice := c.Columns[name]; twice {
		return fmt.Errorf("column %q is there twice", name)
	}
	c.Names, c.Columns[name] = append(c.Names, name), v
	return nil
}

// derive makes tcr1 from tcr, and checks both.
func (c *Cohort) derive() error {
	tcr, ok := c.Columns["tcr"]
	if !ok {
		return nil
	}
	for i, v := range tcr {
		if v < 0 || v > 1 {
			return fmt.Errorf("patient %s: tcr %g is not a ratio", c.ID[i], v)
		}
	}
	if _, ok := c.Columns["tcr1"]; ok {
		return nil
	}
	one := make([]float64, len(tcr))
	for i, v := range tcr {
		switch {
		case math.IsNaN(v):
			one[i] = v
		case v >= 1:
			one[i] = 1
		}
	}
	c.Names, c.Columns["tcr1"] = append(c.Names, "tcr1"), one
	return nil
}

// described are the columns of a features table that say what a row is about (rfanode features writes them).
var described = []string{"id", "image", "mask", "label", "profile", "settings_sha256", "warnings", "error"}

// describeRow takes the profile and its hash from a row, which must be those of the other rows, and refuses a row that
// says why it has no features.
func (c *Cohort) describeRow(header, row []string) error {
	for j, name := range header {
		switch name {
		case "error":
			if row[j] != "" {
				return fmt.Errorf("patient %s has no features: %s", row[0], row[j])
			}
		case "profile":
			c.Profile = row[j]
		case "settings_sha256":
			if c.SettingsSHA256 != "" && row[j] != c.SettingsSHA256 {
				return fmt.Errorf("patient %s was extracted with other settings than those before: extract all with the same", row[0])
			}
			c.SettingsSHA256 = row[j]
		}
	}
	return nil
}

// parseFeatures keeps the columns that every patient has; rows of unknown patients are refused.
func (c *Cohort) parseFeatures(rows [][]string) error {
	if rows[0][0] != "id" {
		return fmt.Errorf("the first column is %q: id is needed", rows[0][0])
	}
	at := make(map[string]int, len(c.ID))
	for i, id := range c.ID {
		at[id] = i
	}
	var names []string
	var from []int // their columns
	for j, n := range rows[0] {
		if !slices.Contains(described, n) {
			names, from = append(names, n), append(from, j)
		}
	}
	values := make([][]float64, len(names))
	for j := range values {
		values[j] = make([]float64, len(c.ID))
		for i := range values[j] {
			values[j][i] = math.NaN()
		}
	}
	done := make(map[string]bool)
	for _, r := range rows[1:] {
		i, ok := at[r[0]]
		if !ok {
			return fmt.Errorf("patient %q is not in the cohort table", r[0])
		}
		if done[r[0]] {
			return fmt.Errorf("patient %s has two rows", r[0])
		}
		done[r[0]] = true
		if err := c.describeRow(rows[0], r); err != nil {
			return err
		}
		for j, col := range from {
			s := r[col]
			if s == "" {
				continue
			}
			v, err := strconv.ParseFloat(s, 64)
			if err != nil {
				return fmt.Errorf("patient %s: %s is %q: a number is needed", r[0], names[j], s)
			}
			values[j][i] = v
		}
	}
	for i, id := range c.ID {
		if !done[id] {
			return fmt.Errorf("patient %s (row %d of the cohort table) has no features", id, i+2)
		}
	}
	for j, v := range values {
		if slices.ContainsFunc(v, func(x float64) bool { return math.IsNaN(x) || math.IsInf(x, 0) }) {
			c.LostFeatures = append(c.LostFeatures, names[j])
			continue
		}
		c.FeatureNames, c.Features = append(c.FeatureNames, names[j]), append(c.Features, v)
	}
	return nil
}

// Rows of a set.
func (c *Cohort) Rows(set string) []int {
	var out []int
	for i, s := range c.Set {
		if s == set {
			out = append(out, i)
		}
	}
	return out
}
