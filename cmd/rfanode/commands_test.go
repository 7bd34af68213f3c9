package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rfanode/analysis"
	"rfanode/analysis/ct"
	"rfanode/analysis/phantom"
	"rfanode/analysis/volume"
	"rfanode/config"
)

// run runs the program and returns its exit status and all it printed.
func run(t *testing.T, dir string, args ...string) (int, string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), rfanode(t), args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// Everything there is can be found from the help.
func TestHelpNamesEveryCommand(t *testing.T) {
	status, out := run(t, t.TempDir(), "--help")
	if status != 0 {
		t.Errorf("exit status %d", status)
	}
	for _, command := range []string{"serve", "demo", "analyze", "check", "cases list", "cases release", "cases drop", "cases features", "segment", "register", "features", "study", "model verify", "phantom pair", "phantom cohort", "config init"} {
		if !strings.Contains(out, command) {
			t.Errorf("no %q in the help:\n%s", command, out)
		}
	}
}

func TestConfigInitIsTheExample(t *testing.T) {
	if _, out := run(t, t.TempDir(), "config", "init"); out != config.Example {
		t.Error("not the documented example")
	}
}

// An installer runs check and is told what to do.
func TestCheck(t *testing.T) {
	dir := t.TempDir()
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "rfanode.toml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	common := "listen = \"" + freeAddress(t) + "\"\n"
	tail := "[limits]\ndisk_reserve_gib = 0\n"
	nobody := freeAddress(t)
	n := newNode(t, "")
	n.start()
	destination := func(title, address string) string {
		return "[[destination]]\nname = \"pacs\"\nae_title = \"" + title + "\"\naddress = \"" + address + "\"\n"
	}
	for name, tc := range map[string]struct {
		text   string
		status int
		want   []string
	}{
		"all is well":       {common + destination("RFANODE", n.address) + tail, 0, []string{"ok     destination pacs", "is free", "only this machine"}},
		"nobody there":      {common + destination("PACS", nobody) + tail, 1, []string{"WRONG  destination pacs (PACS at " + nobody + ")"}},
		"wrong AE title":    {common + destination("OTHER", n.address) + tail, 1, []string{"WRONG  destination pacs (OTHER at"}},
		"a node is running": {"listen = \"" + n.address + "\"\n" + tail, 0, []string{"a node with our AE title RFANODE is running there"}},
		"no data folder":    {common + "data = \"/proc/rfanode\"\n" + tail, 1, []string{"WRONG  data folder /proc/rfanode"}},
	} {
		t.Run(name, func(t *testing.T) {
			write(tc.text)
			status, out := run(t, dir, "check")
			if status != tc.status {
				t.Errorf("exit status %d, want %d", status, tc.status)
			}
			for _, want := range tc.want {
				if !strings.Contains(out, want) {
					t.Errorf("no %q in\n%s", want, out)
				}
			}
		})
	}
	write("ae_titel = \"X\"\n")
	if status, out := run(t, dir, "check"); status != 1 || !strings.Contains(out, "ae_titel") {
		t.Errorf("status %d, %s", status, out)
	}
}

// A second node on the same data folder would clear what the first one is receiving.
func TestSecondNodeIsRefused(t *testing.T) {
	n := newNode(t, "")
	n.start()
	text, err := os.ReadFile(n.config)
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "rfanode.toml")
	if err := os.WriteFile(other, []byte(strings.Replace(string(text), n.address, freeAddress(t), 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, out := run(t, t.TempDir(), "serve", "-c", other); status != 1 || !strings.Contains(out, "another rfanode node is running") {
		t.Errorf("status %d: %s", status, out)
	}
	n.stop()
}

func TestCasesWithoutANode(t *testing.T) {
	if status, out := run(t, t.TempDir(), "cases"); status != 1 || !strings.Contains(out, "rfanode serve") {
		t.Errorf("status %d: %s", status, out)
	}
}

// Researchers have NIfTI: the same figures, and no DICOM object for a patient who is not named.
func TestAnalyzeNIfTI(t *testing.T) {
	if testing.Short() {
		t.Skip("an analysis")
	}
	pair, err := phantom.Pair(t.Context(), phantom.Options{Seed: 3, Size: 160, SliceMM: 3})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, v := range map[string]*volume.Volume{"pre.nii.gz": pair.Pre.Volume, "post.nii.gz": pair.Post.Volume} {
		if err := volume.WriteNIfTI(filepath.Join(dir, name), v); err != nil {
			t.Fatal(err)
		}
	}
	status, out := run(t, dir, "analyze", "pre.nii.gz", "post.nii.gz", "-o", "out")
	if status != 0 {
		t.Fatalf("exit status %d\n%s", status, out)
	}
	var f analysis.Findings
	readJSON(t, filepath.Join(dir, "out", "findings.json"), &f)
	var read [2]*ct.Series
	for i, from := range []*ct.Series{pair.Pre, pair.Post} {
		if read[i], err = ct.FromNIfTI(filepath.Join(dir, []string{"pre.nii.gz", "post.nii.gz"}[i])); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(read[i].Volume.Data, from.Volume.Data) || !read[i].Volume.Geometry.Same(from.Volume.Geometry) {
			t.Errorf("scan %d has changed on its way through NIfTI", i)
		}
	}
	direct, err := analysis.Run(context.Background(), read[0], read[1], analysis.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if f.Coverage.TCR != direct[0].Coverage.TCR {
		t.Errorf("TCR %v from the command, %v from the same scans", f.Coverage.TCR, direct[0].Coverage.TCR)
	}
	for _, name := range []string{"gtr_pre.nii.gz", "gtr_post.nii.gz", "ptv_post.nii.gz", "ptz_post.nii.gz", "uncovered_post.nii.gz", "summary.png"} {
		if _, err := os.Stat(filepath.Join(dir, "out", name)); err != nil {
			t.Error(err)
		}
	}
	if objects, _ := filepath.Glob(filepath.Join(dir, "out", "*.dcm")); len(objects) > 0 {
		t.Errorf("DICOM objects without an identity: %v", objects)
	}
}

// A held case ends with status 3, for scripts.
func TestAnalyzeHeld(t *testing.T) {
	good := anyPair(t).dir
	dir := t.TempDir()
	post := copyFolder(t, filepath.Join(good, "post"))
	modify(t, post, "-ma", "PatientID=SOMEBODY-ELSE")
	status, out := run(t, dir, "analyze", filepath.Join(good, "pre"), post, "-o", "out")
	if status != exitHeld || !strings.Contains(out, "different patients") {
		t.Errorf("exit status %d\n%s", status, out)
	}
	if _, err := os.Stat(filepath.Join(dir, "out", "summary.png")); err != nil {
		t.Error(err)
	}
}
