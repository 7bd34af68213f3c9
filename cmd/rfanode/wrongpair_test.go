package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rfanode/analysis/phantom"
	"rfanode/internal/tooltest"
	"rfanode/router"
)

// Nothing may come out of what is not the pair of one patient's ablation, and an operator must see why.
func TestWrongPairsGiveNoResult(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes")
	}
	good := anyPair(t).dir
	for name, tc := range map[string]struct {
		prepare func(t *testing.T) []string // folders to send
		state   router.State                // of the line that tells
		reason  string                      // a part of it
	}{
		"other patient": {func(t *testing.T) []string {
			post := copyFolder(t, filepath.Join(good, "post"))
			modify(t, post, "-ma", "PatientID=SOMEBODY-ELSE")
			return []string{filepath.Join(good, "pre"), post}
		}, router.Waiting, "pair"},
		"one series only": {func(t *testing.T) []string { return []string{filepath.Join(good, "post")} }, router.Waiting, "pair"},
		"localizer": {func(t *testing.T) []string {
			post := copyFolder(t, filepath.Join(good, "post"))
			modify(t, post, "-ma", `ImageType=ORIGINAL\PRIMARY\LOCALIZER`)
			return []string{filepath.Join(good, "pre"), post}
		}, router.NotAnalysable, "localizer"},
		"series with a hole": {func(t *testing.T) []string {
			post := copyFolder(t, filepath.Join(good, "post"))
			keepFiles(t, post, func(i, n int) bool { return i != n/2 && i != n/2+1 })
			return []string{filepath.Join(good, "pre"), post}
		}, router.NotAnalysable, "gap"},
		"three slices": {func(t *testing.T) []string {
			post := copyFolder(t, filepath.Join(good, "post"))
			keepFiles(t, post, func(i, n int) bool { return i < 3 })
			return []string{filepath.Join(good, "pre"), post}
		}, router.NotAnalysable, "3 slices"},
		"lungs cut at the lesion": {func(t *testing.T) []string {
			dir, _ := writePhantom(t, phantom.Options{Seed: 2, CutPost: true})
			return []string{dir}
		}, router.Held, "scan"},
		"no ablation between the scans": {func(t *testing.T) []string {
			dir, _ := writePhantom(t, phantom.Options{Seed: 3, Coverage: phantom.NoAblation, NoDescriptions: true})
			return []string{dir}
		}, router.Held, "no new opacity"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, "")
			n.start()
			n.send(tc.prepare(t)...)
			eventually(t, caseLimit, "a line "+string(tc.state)+" with the reason "+tc.reason, func() bool {
				for _, c := range n.cases() {
					if c.State == tc.state && strings.Contains(strings.ToLower(c.Reason), tc.reason) {
						t.Logf("%s: %s", c.State, c.Reason)
						return true
					}
				}
				return false
			})
			time.Sleep(3 * time.Second) // longer than a series is waited for
			for _, c := range n.cases() {
				switch c.State {
				case router.Queued, router.Analysing, router.Delivering, router.Delivered, router.Kept:
					t.Errorf("case %s is %s", c.ID, c.State)
				}
			}
			if found, _ := filepath.Glob(filepath.Join(n.data, "results", "*", "*.dcm")); len(found) > 0 {
				t.Errorf("result objects were made: %v", found)
			}
		})
	}
}

func copyFolder(t *testing.T, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), filepath.Base(from))
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

func modify(t *testing.T, dir string, options ...string) {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(dir, "*.dcm"))
	args := append(append([]string{"-nb"}, options...), files...)
	if out, err := exec.Command(tooltest.Need(t, "dcmodify"), args...).CombinedOutput(); err != nil {
		t.Fatalf("dcmodify: %v\n%s", err, out)
	}
}

// keepFiles removes the files of a folder, in the order of their names, that keep does not want.
func keepFiles(t *testing.T, dir string, keep func(i, n int) bool) {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(dir, "*.dcm"))
	for i, f := range files {
		if keep(i, len(files)) {
			continue
		}
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
}
