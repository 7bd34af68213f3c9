package router

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rfanode/analysis"
	"rfanode/analysis/ct"
)

// The main job: a pair that arrives comes back as objects, once, and what happened can be followed.
func TestPairComesBack(t *testing.T) {
	t.Parallel()
	p := startPACS(t, &pacs{})
	n := start(t, Options{Destinations: []Destination{p.destination}})
	pre, post := pairOf("PID-7")
	n.receive(t, post, pre) // the later one first: order of arrival means nothing
	c := n.waitState(t, Delivered)

	if len(c.Series) != 2 || c.Series[0].Role != "pre" || c.Series[0].SeriesInstanceUID != pre.uid || c.Series[1].SeriesInstanceUID != post.uid {
		t.Errorf("series of the case: %+v", c.Series)
	}
	if len(c.Objects) < 3 || p.count() != len(c.Objects) {
		t.Fatalf("%d objects, %d arrived", len(c.Objects), p.count())
	}
	for _, o := range c.Objects {
		if len(o.Outcomes) != 1 || o.Outcomes[0].State != Stored || p.times[o.SOPInstanceUID] != 1 {
			t.Errorf("%s: %+v, arrived %d times", o.Role, o.Outcomes, p.times[o.SOPInstanceUID])
		}
	}
	if c.Objects[len(c.Objects)-1].Role != "sr" {
		t.Error("the report is not the last object: its references do not resolve when it arrives")
	}
	for _, name := range []string{"findings.json", "summary.png", "sr.dcm", "seg-post.dcm"} {
		if _, err := os.Stat(filepath.Join(c.Folder, name)); err != nil {
			t.Error(err)
		}
	}
	var f analysis.Findings
	if text, err := os.ReadFile(filepath.Join(c.Folder, "findings.json")); err != nil || json.Unmarshal(text, &f) != nil || f.Status != analysis.Final {
		t.Errorf("findings.json: %v, status %q", err, f.Status)
	}

	// The same files entered again, as at every start, and the results coming back by a routing rule, start nothing.
	n.receive(t, pre, post)
	n.returnResults(t, c)
	time.Sleep(time.Second)
	all, err := n.Cases(t.Context())
	if err != nil || len(all) != 1 {
		t.Errorf("%v; cases: %s", err, lines(all))
	}
	n.stop()
	var states []State
	for _, ch := range n.changes {
		if ch.ID == c.ID {
			states = append(states, ch.State)
		}
	}
	if want := []State{Queued, Analysing, Delivering, Delivered}; !slices.Equal(states, want) {
		t.Errorf("reported states %q, want %q", states, want)
	}
}

// returnResults has the node receive its own objects.
func (n *node) returnResults(t *testing.T, c Case) {
	t.Helper()
	for _, o := range c.Objects {
		if err := enter(t.Context(), n.Router, o.File); err != nil {
			t.Fatal(err)
		}
	}
}

// The usual case of the method's paper: both scans in one study, beside other reconstructions and a localizer. One case
// comes of it, which says why each other series is not used.
func TestPairInOneStudy(t *testing.T) {
	t.Parallel()
	n := start(t, Options{})
	at := time.Date(2024, 3, 1, 9, 0, 0, 0, time.UTC)
	in := func(uid string, minutes int, change func(*series)) series {
		s := series{patient: "PID-16", study: "1.2.16", uid: uid, at: at.Add(time.Duration(minutes) * time.Minute), studyText: "CT guided RFA post"}
		change(&s)
		return s
	}
	same := func(*series) {}
	n.receive(t, in("1.2.16.4", 41, func(s *series) { s.stepMM = 10 }), in("1.2.16.3", 41, same), in("1.2.16.2", 0, same),
		in("1.2.16.1", 0, func(s *series) { s.imageType, s.slices = `ORIGINAL\PRIMARY\LOCALIZER`, 1 }))
	n.waitState(t, Kept)
	all, err := n.Cases(t.Context())
	if err != nil || len(all) != 1 {
		t.Fatalf("%v; cases: %s", err, lines(all))
	}
	var got []string
	for _, s := range all[0].Series {
		got = append(got, s.SeriesInstanceUID+" "+s.Role+s.Reason)
	}
	want := []string{"1.2.16.2 pre", "1.2.16.3 post", "1.2.16.1 localizer: ", "1.2.16.4 another series of the same scan is used"}
	if !slices.EqualFunc(got, want, strings.HasPrefix) {
		t.Errorf("series %q, want %q", got, want)
	}
}

// Without a destination results are kept, and leave when one is configured.
func TestKeptUntilADestinationIsConfigured(t *testing.T) {
	t.Parallel()
	n := start(t, Options{})
	pre, post := pairOf("PID-8")
	n.receive(t, pre, post)
	c := n.waitState(t, Kept)
	if len(c.Objects) == 0 {
		t.Error("no objects")
	}
	n.stop()

	p := startPACS(t, &pacs{})
	n = start(t, Options{Dir: n.dir, Destinations: []Destination{p.destination}, Analyse: func(context.Context, *ct.Series, *ct.Series, analysis.Options) ([]analysis.Findings, error) {
		t.Error("analysed again")
		return nil, nil
	}})
	if d := n.waitState(t, Delivered); d.ID != c.ID || p.count() != len(c.Objects) {
		t.Errorf("case %s, %d objects arrived", d.ID, p.count())
	}
}

// Series that cannot be used say why; none of them makes a case.
func TestUnusableSeries(t *testing.T) {
	t.Parallel()
	n := start(t, Options{Analyse: func(context.Context, *ct.Series, *ct.Series, analysis.Options) ([]analysis.Findings, error) {
		t.Error("analysed")
		return nil, nil
	}})
	at := time.Date(2024, 3, 1, 9, 0, 0, 0, time.UTC)
	n.receive(t,
		series{patient: "PID-1", study: "1.1", uid: "1.1.1", at: at, text: "whole"},
		series{patient: "PID-1", study: "1.2", uid: "1.2.1", at: at.AddDate(0, 0, 9), imageType: `ORIGINAL\PRIMARY\LOCALIZER`},
		series{patient: "PID-1", study: "1.3", uid: "1.3.1", at: at.AddDate(0, 0, 9), slices: 3},
		series{patient: "PID-1", study: "1.4", uid: "1.4.1", at: at.AddDate(0, 0, 9), skip: []int{9}},
		series{patient: "PID-1", issuer: "other", study: "1.5", uid: "1.5.1", at: at.AddDate(0, 0, 9)},
		series{patient: "PID-2", study: "1.6", uid: "1.6.1", at: at.AddDate(0, 0, 9)},
		series{patient: "", study: "1.7", uid: "1.7.1", at: at},
		series{patient: "PID-1", study: "1.8", uid: "1.8.1", modality: "MR", at: at.AddDate(0, 0, 9)},
		series{patient: "PID-1", study: "1.9", uid: "1.9.1", model: "rfanode", at: at.AddDate(0, 0, 9)},
	)
	want := map[string]struct {
		state  State
		reason string
	}{
		"1.1.1": {Waiting, "there is no other usable CT"},
		"1.2.1": {NotAnalysable, "localizer"},
		"1.3.1": {NotAnalysable, "3 slices"},
		"1.4.1": {NotAnalysable, "slices are missing between 40.0 and 50.0 mm"},
		"1.5.1": {Waiting, "there is no other usable CT"},
		"1.6.1": {Waiting, "there is no other usable CT"},
		"1.7.1": {NotAnalysable, "no Patient ID"},
	}
	n.wait(t, "settled", func(Case) bool {
		all, err := n.Cases(t.Context())
		return err == nil && len(all) == len(want) && !slices.ContainsFunc(all, func(c Case) bool {
			return c.State == Receiving || c.Reason == lookingForPair
		})
	})
	all, err := n.Cases(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		w := want[c.Series[0].SeriesInstanceUID]
		if c.State != w.state || !strings.Contains(c.Reason, w.reason) {
			t.Errorf("series %s: %s, %q; want %s, %q", c.Series[0].SeriesInstanceUID, c.State, c.Reason, w.state, w.reason)
		}
	}
	if err := n.Release(t.Context(), all[0].ID); err == nil {
		t.Error("a single series was released")
	}
}

// A hole that is filled later makes the series usable; a slice that comes after the result makes a new case that names
// the old one, and the old report is named as the predecessor.
func TestLateSlices(t *testing.T) {
	t.Parallel()
	p := startPACS(t, &pacs{})
	n := start(t, Options{Destinations: []Destination{p.destination}})
	pre, post := pairOf("PID-9")
	post.skip = []int{7}
	n.receive(t, pre, post)
	c := n.waitState(t, NotAnalysable)
	if !strings.Contains(c.Reason, "missing") {
		t.Errorf("reason %q", c.Reason)
	}
	post.skip = nil
	n.receive(t, post) // all but one are known
	first := n.waitState(t, Delivered)
	sent := p.count()

	post.slices = 25
	n.receive(t, post)
	second := n.wait(t, "delivered a second time", func(c Case) bool { return c.State == Delivered && c.ID != first.ID })
	if second.Predecessor != first.ID {
		t.Errorf("predecessor %q, want %q", second.Predecessor, first.ID)
	}
	if p.count() != 2*sent {
		t.Errorf("%d objects after %d: a new result must be new objects", p.count(), sent)
	}
	report := second.Objects[len(second.Objects)-1]
	if old := first.Objects[len(first.Objects)-1]; !strings.Contains(string(p.stored[report.SOPInstanceUID]), old.SOPInstanceUID) {
		t.Error("the new report does not name the old one")
	}
	if !strings.Contains(string(p.stored[report.SOPInstanceUID]), "9010") {
		t.Error("the second report of the study has the series number of the first")
	}
}

// A held case is visible with its reason, can be released by another process, and goes out marked as released.
func TestHeldAndReleased(t *testing.T) {
	t.Parallel()
	p := startPACS(t, &pacs{})
	n := start(t, Options{Destinations: []Destination{p.destination}, Analyse: func(ctx context.Context, pre, post *ct.Series, _ analysis.Options) ([]analysis.Findings, error) {
		f, err := finalFindings(ctx, pre, post, analysis.Options{})
		f[0].Status, f[0].Reasons = analysis.Held, []string{"the lungs are cut by the scan range"}
		return f, err
	}})
	pre, post := pairOf("PID-10")
	n.receive(t, pre, post)
	c := n.waitState(t, Held)
	if !strings.Contains(c.Reason, "cut by the scan range") || p.count() != 0 {
		t.Errorf("reason %q, %d objects sent", c.Reason, p.count())
	}
	if _, err := os.Stat(filepath.Join(c.Folder, "summary.png")); err != nil {
		t.Errorf("no picture to decide by: %v", err)
	}

	other, err := Open(t.Context(), Options{Dir: n.dir}) // as `rfanode cases` does
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := other.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "another rfanode node") {
		t.Errorf("a second node on the folder: %v", err)
	}
	if err := other.Release(t.Context(), strings.ToUpper(c.ID)); err != nil {
		t.Fatal(err)
	}
	d := n.waitState(t, Delivered)
	if !d.Released || d.ID != c.ID {
		t.Errorf("case %s, released %t", d.ID, d.Released)
	}
	text, err := os.ReadFile(filepath.Join(d.Folder, "findings.json"))
	if err != nil || !strings.Contains(string(text), "Released by a person") || !strings.Contains(string(text), "cut by the scan range") {
		t.Errorf("the findings do not say that a person released them: %v", err)
	}
	if err := other.Release(t.Context(), c.ID); err == nil {
		t.Error("a delivered case was released again")
	}
	if err := other.Release(t.Context(), "nosuch"); err == nil || !strings.Contains(err.Error(), "no such case") {
		t.Errorf("release of nothing: %v", err)
	}
}

// A held case without anything to report is held again after a release.
func TestReleaseOfNothing(t *testing.T) {
	t.Parallel()
	var runs atomic.Int32
	n := start(t, Options{Analyse: func(context.Context, *ct.Series, *ct.Series, analysis.Options) ([]analysis.Findings, error) {
		runs.Add(1)
		return []analysis.Findings{{Status: analysis.Held, Lesion: 1, Reasons: []string{"no ablation zone was found"}, Warnings: []string{}}}, nil
	}})
	pre, post := pairOf("PID-11")
	n.receive(t, pre, post)
	c := n.waitState(t, Held)
	if err := n.Release(t.Context(), c.ID); err != nil {
		t.Fatal(err)
	}
	n.wait(t, "held again", func(c Case) bool { return c.State == Held && runs.Load() == 2 })
	if err := n.Drop(t.Context(), c.ID); err != nil {
		t.Fatal(err)
	}
	n.waitState(t, Dropped)
	n.receive(t, pre, post) // known instances do not bring it back
	time.Sleep(time.Second)
	if c, err := n.Case(t.Context(), c.ID); err != nil || c.State != Dropped {
		t.Errorf("%v %s", err, c.State)
	}
}

// Same Patient ID, other birth date: nothing is analysed before a person says so.
func TestIdentityInDoubt(t *testing.T) {
	t.Parallel()
	n := start(t, Options{})
	pre, post := pairOf("PID-12")
	pre.birth, post.birth = "19500101", "19510101"
	n.receive(t, pre, post)
	c := n.waitState(t, Held)
	if !strings.Contains(c.Reason, "birth dates") {
		t.Errorf("reason %q", c.Reason)
	}
	if err := n.Release(t.Context(), c.ID); err != nil {
		t.Fatal(err)
	}
	n.waitState(t, Kept)
}

// Dropping a case that is being analysed stops the analysis, and nothing of it goes out.
func TestDropDuringAnalysis(t *testing.T) {
	t.Parallel()
	p := startPACS(t, &pacs{})
	began, stopped := make(chan struct{}), make(chan struct{})
	n := start(t, Options{Destinations: []Destination{p.destination}, Analyse: func(ctx context.Context, pre, post *ct.Series, _ analysis.Options) ([]analysis.Findings, error) {
		close(began)
		<-ctx.Done()
		close(stopped)
		return nil, ctx.Err()
	}})
	pre, post := pairOf("PID-13")
	n.receive(t, pre, post)
	c := n.waitState(t, Analysing)
	<-began
	other, err := Open(t.Context(), Options{Dir: n.dir})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := other.Drop(t.Context(), c.ID); err != nil {
		t.Fatal(err)
	}
	select {
	case <-stopped:
	case <-time.After(patience):
		t.Fatal("the analysis goes on")
	}
	time.Sleep(300 * time.Millisecond)
	if c, err := n.Case(t.Context(), c.ID); err != nil || c.State != Dropped || p.count() != 0 {
		t.Errorf("%v, state %s, %d objects sent", err, c.State, p.count())
	}
}

// An analysis that fails is repeated, and in the end the case says so instead of vanishing; so does one that panics.
func TestFailedAnalysis(t *testing.T) {
	t.Parallel()
	var runs atomic.Int32
	n := start(t, Options{AnalysisTime: 3 * time.Second, Analyse: func(ctx context.Context, pre, post *ct.Series, _ analysis.Options) ([]analysis.Findings, error) {
		switch runs.Add(1) {
		case 1:
			panic("index out of range")
		case 2:
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return nil, os.ErrNotExist
	}})
	pre, post := pairOf("PID-14")
	n.receive(t, pre, post)
	c := n.waitState(t, Failed)
	if !strings.Contains(c.Reason, "attempt 3 of 3") || runs.Load() != maxAnalyses {
		t.Errorf("reason %q after %d runs", c.Reason, runs.Load())
	}
	reasons := ""
	n.stop()
	for _, ch := range n.changes {
		reasons += ch.Reason + "\n"
	}
	if !strings.Contains(reasons, "index out of range") || !strings.Contains(reasons, "longer than 3s") {
		t.Errorf("the attempts' reasons are not told: %s", reasons)
	}
}

// An orderly stop during an analysis costs no attempt, and the next start takes it up.
func TestStopDuringAnalysis(t *testing.T) {
	t.Parallel()
	n := start(t, Options{Analyse: func(ctx context.Context, pre, post *ct.Series, _ analysis.Options) ([]analysis.Findings, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	pre, post := pairOf("PID-15")
	n.receive(t, pre, post)
	n.waitState(t, Analysing)
	n.stop()
	n = start(t, Options{Dir: n.dir})
	n.waitState(t, Kept)
}

// Folders have any name; the state lies in the folder that was named, readable by its owner only.
func TestStrangeFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a b?c#d%41;é")
	r, err := Open(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	info, err := os.Stat(filepath.Join(dir, "rfanode.db"))
	if err != nil || info.Size() == 0 || info.Mode().Perm() != 0o600 {
		t.Errorf("the state: %v, %+v", err, info)
	}
	if info, err := os.Stat(filepath.Join(dir, "rfanode.db-wal")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the journal: %v, %+v", err, info)
	}
}

// The state of a later program is not touched.
func TestLaterSchema(t *testing.T) {
	dir := t.TempDir()
	r, err := Open(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.db.state.Exec("PRAGMA user_version = 99"); err != nil {
		t.Fatal(err)
	}
	r.Close()
	if _, err := Open(t.Context(), Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "later rfanode") {
		t.Errorf("error %v", err)
	}
}
