package router

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rfanode/analysis"
	"rfanode/analysis/contour"
	"rfanode/analysis/ct"
	"rfanode/sr"
)

// record keeps what analyses were given.
type record struct {
	mu  sync.Mutex
	all []analysis.Options
}

func (r *record) analyse(ctx context.Context, pre, post *ct.Series, given analysis.Options) ([]analysis.Findings, error) {
	r.mu.Lock()
	r.all = append(r.all, given)
	r.mu.Unlock()
	return finalFindings(ctx, pre, post, given)
}

func (r *record) last(t *testing.T) analysis.Options {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.all) == 0 {
		t.Fatal("nothing was analysed")
	}
	return r.all[len(r.all)-1]
}

func (n *node) waitContour(t *testing.T, sop string, ends ...State) Case {
	t.Helper()
	return n.wait(t, "on contour "+sop, func(c Case) bool {
		return slices.ContainsFunc(c.Contours, func(x Contour) bool { return x.SOPInstanceUID == sop }) && slices.Contains(ends, c.State)
	})
}

func (n *node) lines(t *testing.T) []Case {
	t.Helper()
	all, err := n.Cases(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// settled waits until no contour is unread and no patient is to be looked at.
func (n *node) settled(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		var open int
		err := n.db.index.QueryRowContext(t.Context(), `SELECT (SELECT count(*) FROM contour WHERE state = 'new') + (SELECT count(*) FROM pairing_due)`).Scan(&open)
		if err != nil {
			t.Fatal(err)
		}
		if open == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatal("contours are not taken up")
		}
	}
}

// A radiologist corrects a delivered result: a new version comes, which names the one it replaces and whose contour it
// used. The same object again changes nothing; a newer one does; an older one that arrives late does not.
func TestContourMakesANewVersion(t *testing.T) {
	t.Parallel()
	p := startPACS(t, &pacs{})
	var rec record
	n := start(t, Options{Destinations: []Destination{p.destination}, Analyse: rec.analyse})
	pre, post := pairOf("PID-101")
	n.receive(t, pre, post)
	first := n.waitState(t, Delivered)
	if g := rec.last(t); g.GTR.Mask != nil || g.PTZ.Mask != nil {
		t.Error("a contour is given that nobody has drawn")
	}

	d := onSeries(pre, "1.2.9.1", box("GTR", 22))
	n.draw(t, d)
	second := n.waitContour(t, d.sop, Delivered)
	if second.ID == first.ID || second.Predecessor != first.ID || second.Contours[0].Role != "gtr" {
		t.Errorf("the new version: %+v", second)
	}
	g := rec.last(t)
	if g.GTR.Mask == nil || g.GTR.Mask.Count() != 5*9*9 || g.PTZ.Mask != nil || !strings.Contains(g.GTR.What, d.sop) || g.GTR.By != "Secret^Doctor" {
		t.Errorf("given: %+v", g.GTR)
	}
	if c, err := n.Case(t.Context(), first.ID); err != nil || c.State != Delivered {
		t.Errorf("the first case is %s, %v", c.State, err)
	}
	report := readReport(t, second)
	if len(report.Predecessor) != 1 || report.Predecessor[0].SOPInstanceUID != readReport(t, first).SOPInstanceUID {
		t.Errorf("predecessor of the new report: %+v", report.Predecessor)
	}

	n.draw(t, d)
	late := onSeries(pre, "1.2.9.2", box("GTR", 12))
	late.at = d.at.Add(-time.Hour)
	n.draw(t, late)
	n.settled(t)
	if all := n.lines(t); len(all) != 2 {
		t.Errorf("the same and an older contour changed something: %s", lines(all))
	}

	newer := onSeries(pre, "1.2.9.3", box("tumour", 17))
	newer.at = d.at.Add(time.Hour)
	n.draw(t, newer)
	third := n.waitContour(t, newer.sop, Delivered)
	zone := onSeries(post, "1.2.9.4", box("Segment 1", 32))
	n.draw(t, zone)
	fourth := n.waitContour(t, zone.sop, Delivered)
	if third.Predecessor != second.ID || fourth.Predecessor != third.ID || len(fourth.Contours) != 2 {
		t.Errorf("third replaces %s, fourth %s on %+v", third.Predecessor, fourth.Predecessor, fourth.Contours)
	}
	if g := rec.last(t); g.GTR.Mask == nil || g.GTR.Mask.Count() != 5*7*7 || g.PTZ.Mask == nil || g.PTZ.Mask.Count() != 5*13*13 {
		t.Error("the fourth version does not stand on the newest contours of both scans")
	}
	n.returnResults(t, fourth)
	n.settled(t)
	if all := n.lines(t); len(all) != 4 {
		t.Errorf("our own results came back and became contours: %s", lines(all))
	}
}

func readReport(t *testing.T, c Case) *sr.Report {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(c.Folder, "sr.dcm"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := sr.ReadReport(data)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A contour that is there before its pair is used when the pair comes, also when it is the last thing before a kill.
func TestContourBeforeItsPair(t *testing.T) {
	t.Parallel()
	var rec record
	n := start(t, Options{Analyse: rec.analyse})
	pre, post := pairOf("PID-102")
	d := onSeries(pre, "1.2.9.11", box("nodule", 22))
	n.draw(t, d)
	c := n.waitState(t, ContourWaiting)
	if !strings.Contains(c.Reason, "not part of a pair") {
		t.Errorf("reason %q", c.Reason)
	}
	n.receive(t, pre, post)
	n.waitContour(t, d.sop, Kept)
	if all := n.lines(t); len(all) != 1 || len(rec.all) != 1 {
		t.Errorf("%d analyses, cases: %s", len(rec.all), lines(all))
	}
	// Entered in the index, not yet read, and the node ends: the next start takes it up.
	n.stop()
	offline, err := Open(t.Context(), Options{Dir: n.dir, Analyse: rec.analyse})
	if err != nil {
		t.Fatal(err)
	}
	newer := onSeries(pre, "1.2.9.12", box("nodule", 12))
	newer.at = d.at.Add(time.Hour)
	if err := enter(t.Context(), offline, newer.write(t, filepath.Join(n.dir, "archive"))); err != nil {
		t.Fatal(err)
	}
	if err := offline.Close(); err != nil {
		t.Fatal(err)
	}
	third := start(t, Options{Dir: n.dir, Analyse: rec.analyse})
	third.waitContour(t, newer.sop, Kept)
}

// What must not be used is refused, with the reason where a person sees it, and the result stands.
func TestContourRefused(t *testing.T) {
	t.Parallel()
	var rec record
	n := start(t, Options{Analyse: rec.analyse})
	pre, post := pairOf("PID-103")
	n.receive(t, pre, post)
	n.waitState(t, Kept)
	frame := onSeries(pre, "1.2.9.21", box("GTR", 22))
	frame.frame = "1.2.3.4"
	person := onSeries(pre, "1.2.9.22", box("GTR", 22))
	person.patient = "PID-999"
	empty := onSeries(pre, "1.2.9.23", region{label: "GTR", k0: 9, k1: 8, half: 1})
	own := onSeries(pre, "1.2.9.24", box("GTR", 22))
	own.model = "rfanode"
	organs := onSeries(pre, "1.2.9.25", box("left lung", 30), box("aorta", 10))
	unrelated := onSeries(series{patient: pre.patient, study: "1.2.55", uid: "1.2.55.1"}, "1.2.9.26", box("GTR", 22))
	for _, d := range []drawn{frame, person, empty, own, organs, unrelated} {
		n.draw(t, d)
	}
	damaged := filepath.Join(n.dir, "archive", "1.2.9.27.dcm")
	whole, err := os.ReadFile(onSeries(pre, "1.2.9.27", box("GTR", 22)).write(t, t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(damaged, []byte(strings.ReplaceAll(string(whole), `\18\`, `\xx\`)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := enter(t.Context(), n.Router, damaged); err != nil {
		t.Fatal(err)
	}
	n.settled(t)
	want := map[string]string{"1.2.9.21": "another frame of reference", "1.2.9.22": "another patient identity", "1.2.9.23": "empty", "1.2.9.26": "not part of a pair",
		"1.2.9.27": "no finite numbers"}
	for _, c := range n.lines(t) {
		if c.State != ContourRefused && c.State != ContourWaiting {
			continue
		}
		sop := strings.TrimSuffix(c.Series[0].SeriesInstanceUID, ".1")
		if !strings.Contains(c.Reason, want[sop]) || want[sop] == "" {
			t.Errorf("%s: %s, %q, want %q", sop, c.State, c.Reason, want[sop])
		}
		delete(want, sop)
		if err := n.Release(t.Context(), c.ID); err == nil || !strings.Contains(err.Error(), "it is a contour") {
			t.Errorf("release %s: %v", c.ID, err)
		}
		if err := n.Drop(t.Context(), c.ID); err != nil {
			t.Errorf("drop %s: %v", c.ID, err)
		}
	}
	if len(want) > 0 || len(rec.all) != 1 {
		t.Errorf("not shown: %v; %d analyses, want 1", want, len(rec.all))
	}
	if all := n.lines(t); len(all) != 1 || all[0].State != Kept {
		t.Errorf("after dropping them: %s", lines(all))
	}
}

// A contour that does not say what it is holds the case; a clear one that is newer frees it, and so does a person.
func TestUnclearContour(t *testing.T) {
	t.Parallel()
	var rec record
	n := start(t, Options{Analyse: rec.analyse})
	pre, post := pairOf("PID-104")
	n.receive(t, pre, post)
	first := n.waitState(t, Kept)
	d := onSeries(pre, "1.2.9.31", box("Segment 1", 12), box("Segment 2", 22))
	n.draw(t, d)
	second := n.waitState(t, Held)
	if !strings.Contains(second.Reason, "none of the structures 1, 2 is named as tumour") || second.Predecessor != first.ID {
		t.Errorf("held case: %+v", second)
	}
	wrong := onSeries(post, "1.2.9.32", box("GTR", 12))
	n.draw(t, wrong)
	n.wait(t, "held for both", func(c Case) bool { return c.ID == second.ID && strings.Contains(c.Reason, "draw it on the other CT") })
	clear := onSeries(pre, "1.2.9.33", box("Segment 1", 12), box("GTR", 22))
	clear.at = d.at.Add(time.Minute)
	n.draw(t, clear)
	zone := onSeries(post, "1.2.9.34", box("PTZ", 32))
	zone.at = d.at.Add(time.Minute)
	n.draw(t, zone)
	third := n.waitContour(t, zone.sop, Kept)
	if third.ID != second.ID || len(third.Contours) != 2 || third.Contours[0].Structure != 2 {
		t.Errorf("the freed case: %+v", third)
	}

	worse := onSeries(pre, "1.2.9.35", box("nodule 1", 12), box("nodule 2", 22))
	worse.at = d.at.Add(time.Hour)
	n.draw(t, worse)
	fourth := n.waitState(t, Held)
	if err := n.Release(t.Context(), fourth.ID); err != nil {
		t.Fatal(err)
	}
	released := n.wait(t, "released", func(c Case) bool { return c.ID == fourth.ID && c.State == Kept })
	if len(released.Contours) != 1 || released.Contours[0].Role != "ptz" {
		t.Errorf("released case: %+v", released.Contours)
	}
}

// A case that the analysis holds is freed by a contour, under its own name.
func TestContourFreesAHeldCase(t *testing.T) {
	t.Parallel()
	n := start(t, Options{Analyse: func(ctx context.Context, pre, post *ct.Series, given analysis.Options) ([]analysis.Findings, error) {
		f, err := finalFindings(ctx, pre, post, given)
		if given.GTR.Mask == nil {
			f[0].Status, f[0].Reasons = analysis.Held, []string{"mark the tumour"}
		}
		return f, err
	}})
	pre, post := pairOf("PID-105")
	n.receive(t, pre, post)
	c := n.waitState(t, Held)
	outside := onSeries(pre, "1.2.9.41", region{label: "GTR", k0: 60, k1: 64, half: 22, point: [3]float64{40, 40, 0}})
	n.draw(t, outside)
	n.wait(t, "held for the contour", func(x Case) bool {
		return x.ID == c.ID && x.State == Held && strings.Contains(x.Reason, "outside of the CT")
	})
	d := onSeries(pre, "1.2.9.42", box("GTR", 22))
	d.at = outside.at.Add(time.Minute)
	n.draw(t, d)
	if freed := n.waitContour(t, d.sop, Kept); freed.ID != c.ID {
		t.Errorf("case %s is freed as %s", c.ID, freed.ID)
	}
}

// A contour that comes while the case is being analysed does not wait for an outcome that nobody needs.
func TestContourDuringTheAnalysis(t *testing.T) {
	t.Parallel()
	began := make(chan struct{}, 10)
	n := start(t, Options{Analyse: func(ctx context.Context, pre, post *ct.Series, given analysis.Options) ([]analysis.Findings, error) {
		began <- struct{}{}
		if given.GTR.Mask == nil {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return finalFindings(ctx, pre, post, given)
	}})
	pre, post := pairOf("PID-106")
	n.receive(t, pre, post)
	<-began
	d := onSeries(pre, "1.2.9.51", box("GTR", 22))
	n.draw(t, d)
	c := n.waitContour(t, d.sop, Kept)
	if before, err := n.Case(t.Context(), c.Predecessor); err != nil || before.State != Superseded {
		t.Errorf("the interrupted case: %+v, %v", before, err)
	}
}

// A point in a report chooses the tumour: in the patient, on an image of the series, or of another reconstruction.
func TestPointInAReport(t *testing.T) {
	t.Parallel()
	var rec record
	n := start(t, Options{Analyse: rec.analyse})
	pre, post := pairOf("PID-107")
	thick := pre
	thick.uid, thick.stepMM, thick.slices = pre.uid+"9", 10, 20
	n.receive(t, pre, post, thick)
	n.waitState(t, Kept)
	d := onSeries(pre, "1.2.9.61", mark("nodule"))
	n.draw(t, d)
	n.waitContour(t, d.sop, Kept)
	want := [3]float64{40, 40, 55}
	if p := rec.last(t).GTR.Point; p == nil || *p != want {
		t.Errorf("point %v, want %v", p, want)
	}
	for i, image := range []string{pre.uid + ".12", thick.uid + ".6"} {
		d := onSeries(pre, "1.2.9.6"+string(rune('2'+i)), mark("Length"))
		d.at, d.frame, d.instances = d.at.Add(time.Duration(i+1)*time.Minute), "", []string{image}
		if i == 1 {
			d.series = thick.uid
		}
		want[2] = []float64{55, 50}[i]
		n.draw(t, d)
		n.waitContour(t, d.sop, Kept)
		if p := rec.last(t).GTR.Point; p == nil || *p != want {
			t.Errorf("on %s: point %v, want %v", image, p, want)
		}
	}
}

// Both scans in one study with one frame of reference, as in a CT-guided ablation: the series that was drawn on tells.
func TestContourWithinOneFrame(t *testing.T) {
	t.Parallel()
	n := start(t, Options{})
	at := time.Date(2024, 3, 1, 9, 0, 0, 0, time.UTC)
	pre := series{patient: "PID-108", study: "1.2.108", uid: "1.2.108.1", at: at}
	post := series{patient: "PID-108", study: "1.2.108", uid: "1.2.108.2", at: at.Add(40 * time.Minute)}
	n.receive(t, pre, post)
	n.waitState(t, Kept)
	d := onSeries(post, "1.2.9.71", box("Segment 1", 22))
	n.draw(t, d)
	if c := n.waitContour(t, d.sop, Kept); c.Contours[0].Role != "ptz" {
		t.Errorf("drawn on the CT after: %+v", c.Contours)
	}
	open := onSeries(pre, "1.2.9.72", box("Segment 1", 22))
	open.series, open.at = "", d.at.Add(time.Minute)
	n.draw(t, open)
	held := n.waitState(t, Held)
	if !strings.Contains(held.Reason, "share their frame of reference") {
		t.Errorf("reason %q", held.Reason)
	}
	named := onSeries(pre, "1.2.9.73", box("tumour", 22))
	named.series, named.at = "", d.at.Add(time.Hour)
	n.draw(t, named)
	zone := onSeries(post, "1.2.9.74", box("PTZ", 22))
	zone.at = named.at
	n.draw(t, zone)
	if c := n.waitContour(t, zone.sop, Kept); len(c.Contours) != 2 || c.Contours[0].SOPInstanceUID != named.sop {
		t.Errorf("named as tumour: %+v", c.Contours)
	}
}

// Contours can be switched off.
func TestContoursIgnored(t *testing.T) {
	t.Parallel()
	n := start(t, Options{IgnoreContours: true})
	pre, post := pairOf("PID-109")
	n.receive(t, pre, post)
	n.waitState(t, Kept)
	n.draw(t, onSeries(pre, "1.2.9.81", box("GTR", 22)))
	n.settled(t)
	if all := n.lines(t); len(all) != 1 || len(all[0].Contours) > 0 {
		t.Errorf("cases: %s", lines(all))
	}
}

// Our own segmentations can be read back as contours, voxel for voxel: what a viewer edits and returns starts from them.
func TestOwnSegmentationAsContour(t *testing.T) {
	t.Parallel()
	n := start(t, Options{})
	pre, post := pairOf("PID-110")
	n.receive(t, pre, post)
	c := n.waitState(t, Kept)
	c2, err := contour.Read(filepath.Join(c.Folder, "seg-post.dcm"))
	if err != nil {
		t.Fatal(err)
	}
	series, err := ct.LoadDir(t.Context(), archiveOf(t, post))
	if err != nil {
		t.Fatal(err)
	}
	f, err := finalFindings(t.Context(), series, series, analysis.Options{})
	if err != nil {
		t.Fatal(err)
	}
	words, err := contour.Words{}.Compile()
	if err != nil {
		t.Fatal(err)
	}
	i, err := words.Choose(c2, nil, contour.Zone)
	if err != nil {
		t.Fatal(err)
	}
	m, err := c2.Mask(series, i)
	if err != nil || !slices.Equal(m.Data, f[0].PTZ.Mask.Data) {
		t.Errorf("the zone of our own segmentation: %v, the same: %v", err, err == nil && slices.Equal(m.Data, f[0].PTZ.Mask.Data))
	}
	var known *contour.Error
	if _, err := c2.Mask(series, 3); !errors.As(err, &known) || known.Problem != contour.Empty {
		t.Errorf("the empty segment: %v", err)
	}
}

// archiveOf is a folder with one series.
func archiveOf(t *testing.T, s series) string {
	t.Helper()
	dir := t.TempDir()
	s.write(t, dir)
	return dir
}

// kill -9 again and again while contours arrive: none is lost, none is used twice, and the newest one counts.
func TestKillWhileContoursArrive(t *testing.T) {
	t.Parallel()
	p := startPACS(t, &pacs{})
	dir, archive := crashSetup(t)
	pre, post := pairOf("PID-111")
	pre.write(t, archive)
	post.write(t, archive)
	c := startChild(t, dir, p.destination.Peer.Address, 20*time.Millisecond)
	c.until(t, "delivered")
	const versions = 6
	var d drawn
	for v := range versions {
		d = onSeries(pre, "1.2.9.9"+string(rune('0'+v)), box("GTR", 12+5*float64(v%3)))
		d.at = d.at.Add(time.Duration(v) * time.Minute)
		d.write(t, archive)
		// From before the contour is read to after its result is on the way.
		time.Sleep(time.Duration(v) * 150 * time.Millisecond)
		c.kill()
		c = startChild(t, dir, p.destination.Peer.Address, 20*time.Millisecond)
	}
	r, err := Open(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	n := &node{Router: r, dir: dir, log: &logBuffer{}}
	last := n.waitContour(t, d.sop, Delivered)
	n.wait(t, "done with everything", func(Case) bool {
		return !slices.ContainsFunc(n.lines(t), func(c Case) bool { return c.State != Delivered && c.State != Superseded })
	})
	seen := map[string]bool{}
	for at := last; ; {
		key := ""
		for _, x := range at.Contours {
			key += x.SOPInstanceUID + " "
		}
		if seen[key] {
			t.Errorf("two cases stand on the contours %q", key)
		}
		seen[key] = true
		if at.Predecessor == "" {
			break
		}
		if at, err = r.Case(t.Context(), at.Predecessor); err != nil {
			t.Fatal(err)
		}
	}
	if all := n.lines(t); len(all) != len(seen) {
		t.Errorf("%d cases, %d in the chain of the last: %s", len(all), len(seen), lines(all))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.bad) > 0 {
		t.Errorf("objects came with two contents under one UID: %q", p.bad)
	}
	for _, o := range last.Objects {
		if p.stored[o.SOPInstanceUID] == nil {
			t.Errorf("%s of the last version has not arrived", o.Role)
		}
	}
}

// A data folder of the program before contours keeps its cases.
func TestCasesSurviveTheNewSchema(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	old, err := sql.Open("sqlite", dataSource(filepath.Join(dir, "rfanode.db"), "FULL"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"001_index_cases_outbox.sql", "002_commitment.sql"} {
		text, err := migrations.ReadFile("migrations/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := old.Exec(string(text)); err != nil {
			t.Fatal(err)
		}
	}
	_, err = old.Exec(`PRAGMA user_version = 2; INSERT INTO cases (id, state, reason, patient_id, issuer, pre_series, post_series, pre_set, post_set,
		predecessor, result_no, released_at, created_at, updated_at) VALUES ('abc234', 'held', 'because', 'PID-112', 'H', '1.1', '1.2', 'a', 'b', 'zzz222', 3, 7, 1, 2)`)
	if err != nil {
		t.Fatal(err)
	}
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := Open(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c, err := r.Case(t.Context(), "abc234")
	if err != nil || c.State != Held || c.Reason != "because" || c.PatientID != "PID-112" || c.Predecessor != "zzz222" || !c.Released || len(c.Contours) != 0 {
		t.Errorf("%+v, %v", c, err)
	}
}
