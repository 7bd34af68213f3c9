package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"rfanode/analysis/radiomics"
	"rfanode/durable"
)

// featureCase is a line of the file of cases.
type featureCase struct {
	id, image, mask string
	label           int // 0: not given
}

// readFeatureCases reads a CSV with the columns id, image, mask and perhaps label, in any order and case; other columns
// are passed over. Paths are relative to the working folder, else to the folder of the file.
func readFeatureCases(path string) ([]featureCase, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("--cases: %w", err)
	}
	defer f.Close()
	in := csv.NewReader(f)
	in.TrimLeadingSpace = true
	head, err := in.Read()
	if err != nil {
		return nil, fmt.Errorf("--cases %s: no header: columns id,image,mask and perhaps label are needed", path)
	}
	column := map[string]int{}
	for i, h := range head {
		column[strings.ToLower(strings.TrimSpace(strings.TrimPrefix(h, "\ufeff")))] = i
	}
	for _, need := range []string{"id", "image", "mask"} {
		if _, ok := column[need]; !ok {
			return nil, fmt.Errorf("--cases %s: no column %q: columns id,image,mask and perhaps label are needed", path, need)
		}
	}
	seen := map[string]int{}
	var out []featureCase
	for {
		record, err := in.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("--cases %s: %w", path, err)
		}
		line, _ := in.FieldPos(0)
		c := featureCase{id: strings.TrimSpace(record[column["id"]]), image: beside(path, record[column["image"]]), mask: beside(path, record[column["mask"]])}
		if c.id == "" || c.image == "" || c.mask == "" {
			return nil, fmt.Errorf("--cases %s, line %d: id, image and mask may not be empty", path, line)
		}
		if first, ok := seen[c.id]; ok {
			return nil, fmt.Errorf("--cases %s, line %d: id %q stands in line %d too", path, line, c.id, first)
		}
		seen[c.id] = line
		if i, ok := column["label"]; ok && strings.TrimSpace(record[i]) != "" {
			if c.label, err = strconv.Atoi(strings.TrimSpace(record[i])); err != nil || c.label < 1 {
				return nil, fmt.Errorf("--cases %s, line %d: label %q is no positive whole number", path, line, record[i])
			}
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("--cases %s: no case in it", path)
	}
	return out, nil
}

func beside(list, path string) string {
	path = strings.TrimSpace(path)
	file, _, _ := strings.Cut(path, "#")
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	if _, err := os.Stat(file); err == nil {
		return path
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(list), file)); err == nil {
		return filepath.Join(filepath.Dir(list), path)
	}
	return path
}

// many extracts all cases. Finished rows go to OUT.csv.partial at once; the whole table is written in the order of the
// cases at the end, and a rerun takes from both what it would compute again.
func (c *featuresCmd) many(ctx context.Context, p radiomics.Profile) error {
	cases, err := readFeatureCases(c.Cases)
	if err != nil {
		return err
	}
	partial := c.Out + ".partial"
	header := radiomics.Header(p)
	done := map[string][]string{}
	for _, path := range []string{c.Out, partial} {
		if err := readRows(path, header, done); err != nil {
			return err
		}
	}
	rows := make([][]string, len(cases))
	var todo []int
	for i, k := range cases {
		if r := done[k.id]; r != nil && k.same(r, p) {
			rows[i] = r
		} else {
			todo = append(todo, i)
		}
	}
	show := &bar{total: len(cases), done: len(cases) - len(todo), show: newProgress(os.Stderr)}
	defer show.show.end()
	if show.done > 0 {
		fmt.Fprintf(os.Stderr, "%d of %d cases are there already\n", show.done, len(cases))
	}
	journal, err := openJournal(partial, header, rows)
	if err != nil {
		return err
	}
	defer journal.Close()
	failed, err := c.run(ctx, p, cases, todo, rows, journal, show)
	if err != nil {
		return err
	}
	err = durable.WriteFile(c.Out, func(w io.Writer) error {
		out := csv.NewWriter(w)
		if err := out.Write(header); err != nil {
			return err
		}
		return out.WriteAll(rows)
	})
	if err != nil {
		return err
	}
	if err := os.Remove(partial); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d cases have no features, the column error of %s says why; a rerun tries them again", failed, len(cases), c.Out)
	}
	return nil
}

// run works through the cases of todo, some at a time.
func (c *featuresCmd) run(ctx context.Context, p radiomics.Profile, cases []featureCase, todo []int, rows [][]string, journal io.Writer, show *bar) (failed int, err error) {
	threads := processors(c.Threads)
	workers := max(1, min(threads, len(todo)))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	out := csv.NewWriter(journal)
	var mutex sync.Mutex
	for _, i := range todo {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			k := cases[i]
			row := radiomics.Row{ID: k.id, Image: k.image, Mask: k.mask}
			row.Result, row.Err = extractOne(ctx, k.image, k.mask, p, radiomics.Options{Label: k.label, Strict: c.Strict, Threads: max(1, threads/workers)})
			if errors.Is(row.Err, context.Canceled) {
				return row.Err
			}
			mutex.Lock()
			defer mutex.Unlock()
			rows[i] = row.Record(p)
			if row.Err != nil {
				failed++
				show.show.end()
				fmt.Fprintf(os.Stderr, "case %s: %v\n", k.id, row.Err)
			}
			if err := out.Write(rows[i]); err != nil {
				return err
			}
			out.Flush()
			show.step(k.id)
			return out.Error()
		})
	}
	return failed, group.Wait()
}

// same reports whether a row is what the case would give: same files, label and settings, and no error.
func (k featureCase) same(row []string, p radiomics.Profile) bool {
	return row[1] == k.image && row[2] == k.mask && (k.label == 0 || row[3] == strconv.Itoa(k.label)) && row[5] == p.Hash() && row[7] == ""
}

// readRows reads the rows of a table that an earlier run wrote; a last line that was cut off is passed over.
func readRows(path string, header []string, into map[string][]string) error {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	in := csv.NewReader(f)
	in.FieldsPerRecord = -1
	for n := 0; ; n++ {
		record, err := in.Read()
		if err != nil {
			return nil // the end, or what a stopped run did not finish
		}
		if n == 0 {
			if strings.Join(record, ",") != strings.Join(header, ",") {
				return fmt.Errorf("%s is there and has other columns: it was made with other settings; move it away or name another -o", path)
			}
			continue
		}
		if len(record) == len(header) {
			into[record[0]] = record
		}
	}
}

// openJournal begins the file of finished rows anew with those that are there.
func openJournal(path string, header []string, rows [][]string) (*os.File, error) {
	err := durable.WriteFile(path, func(w io.Writer) error {
		out := csv.NewWriter(w)
		if err := out.Write(header); err != nil {
			return err
		}
		for _, r := range rows {
			if r != nil {
				if err := out.Write(r); err != nil {
					return err
				}
			}
		}
		out.Flush()
		return out.Error()
	})
	if err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
}

// bar shows how far a long run is.
type bar struct {
	total, done int
	new         int
	show        *progress
}

func (b *bar) step(id string) {
	b.done++
	b.new++
	const width = 30
	filled := width * b.done / b.total
	left := ""
	if b.done < b.total {
		seconds := time.Since(b.show.began).Seconds() / float64(b.new) * float64(b.total-b.done)
		left = ", " + time.Duration(seconds*float64(time.Second)).Round(time.Second).String() + " left"
	}
	b.show.stage("[%s%s] %d of %d%s  %s", strings.Repeat("#", filled), strings.Repeat(".", width-filled), b.done, b.total, left, id)
}
