package router

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rfanode/analysis"
	"rfanode/analysis/ct"
	"rfanode/analysis/volume"
	"rfanode/dimse"
	"rfanode/sr"
)

// series describes a small CT series; the zero value is completed by write.
type series struct {
	patient, issuer, birth string
	study, uid             string
	studyText, text        string
	at                     time.Time
	slices                 int
	skip                   []int // slices left out: holes
	stepMM                 float64
	imageType              string
	modality               string
	model                  string
}

const testSide = 16 // rows and columns; a multiple of 8, so that segmentations are sent

// write puts the series into dir as DICOM files, each as a receiver's archive would, and returns their paths.
func (s series) write(t testing.TB, dir string) []string {
	t.Helper()
	if s.slices == 0 {
		s.slices = 24
	}
	if s.stepMM == 0 {
		s.stepMM = 5
	}
	if s.imageType == "" {
		s.imageType = `ORIGINAL\PRIMARY\AXIAL`
	}
	if s.modality == "" {
		s.modality = "CT"
	}
	if s.model == "" {
		s.model = "Test CT"
	}
	var paths []string
	for k := range s.slices {
		if slices.Contains(s.skip, k) {
			continue
		}
		sop := fmt.Sprintf("%s.%d", s.uid, k+1)
		path := filepath.Join(dir, sop+".dcm")
		temp := path + ".part"
		if err := os.WriteFile(temp, s.slice(k, sop), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(temp, path); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

// slice encodes one slice: Explicit VR Little Endian, Part 10.
func (s series) slice(k int, sop string) []byte {
	class := "1.2.840.10008.5.1.4.1.1.2"
	var set bytes.Buffer
	da, tm := "", ""
	if !s.at.IsZero() {
		da, tm = s.at.Format("20060102"), s.at.Format("150405")
	}
	text := func(group, element uint16, vr, value string) { put(&set, group, element, vr, []byte(value)) }
	number := func(group, element uint16, value uint16) {
		put(&set, group, element, "US", binary.LittleEndian.AppendUint16(nil, value))
	}
	text(0x0008, 0x0005, "CS", "ISO_IR 192")
	text(0x0008, 0x0008, "CS", s.imageType)
	text(0x0008, 0x0016, "UI", class)
	text(0x0008, 0x0018, "UI", sop)
	text(0x0008, 0x0020, "DA", da)
	text(0x0008, 0x0022, "DA", da)
	text(0x0008, 0x0030, "TM", tm)
	text(0x0008, 0x0032, "TM", tm)
	text(0x0008, 0x0060, "CS", s.modality)
	text(0x0008, 0x1030, "LO", s.studyText)
	text(0x0008, 0x103E, "LO", s.text)
	text(0x0008, 0x1090, "LO", s.model)
	text(0x0010, 0x0010, "PN", "Secret^Name")
	text(0x0010, 0x0020, "LO", s.patient)
	text(0x0010, 0x0021, "LO", s.issuer)
	text(0x0010, 0x0030, "DA", s.birth)
	text(0x0018, 0x5100, "CS", "HFS")
	text(0x0020, 0x000D, "UI", s.study)
	text(0x0020, 0x000E, "UI", s.uid)
	text(0x0020, 0x0013, "IS", fmt.Sprint(k+1))
	text(0x0020, 0x0032, "DS", fmt.Sprintf(`0\0\%g`, float64(k)*s.stepMM))
	text(0x0020, 0x0037, "DS", `1\0\0\0\1\0`)
	text(0x0020, 0x0052, "UI", s.study+".99")
	number(0x0028, 0x0002, 1)
	text(0x0028, 0x0004, "CS", "MONOCHROME2")
	number(0x0028, 0x0010, testSide)
	number(0x0028, 0x0011, testSide)
	text(0x0028, 0x0030, "DS", `5\5`)
	number(0x0028, 0x0100, 16)
	number(0x0028, 0x0101, 16)
	number(0x0028, 0x0102, 15)
	number(0x0028, 0x0103, 0)
	text(0x0028, 0x1052, "DS", "-1024")
	text(0x0028, 0x1053, "DS", "1")
	pixels := make([]byte, testSide*testSide*2)
	for i := range testSide * testSide {
		binary.LittleEndian.PutUint16(pixels[2*i:], uint16(200+(i*7+k*13)%64))
	}
	put(&set, 0x7FE0, 0x0010, "OW", pixels)

	var meta bytes.Buffer
	put(&meta, 2, 1, "OB", []byte{0, 1})
	put(&meta, 2, 2, "UI", []byte(class))
	put(&meta, 2, 3, "UI", []byte(sop))
	put(&meta, 2, 0x10, "UI", []byte("1.2.840.10008.1.2.1"))
	file := append(make([]byte, 128), "DICM"...)
	var length bytes.Buffer
	put(&length, 2, 0, "UL", binary.LittleEndian.AppendUint32(nil, uint32(meta.Len())))
	return slices.Concat(file, length.Bytes(), meta.Bytes(), set.Bytes())
}

func put(b *bytes.Buffer, group, element uint16, vr string, value []byte) {
	if len(value)%2 == 1 {
		pad := byte(' ')
		if vr == "UI" || vr == "OB" {
			pad = 0
		}
		value = append(value, pad)
	}
	head := binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint16(nil, group), element)
	head = append(head, vr...)
	if vr == "OB" || vr == "OW" || vr == "SQ" || vr == "UT" {
		head = binary.LittleEndian.AppendUint32(append(head, 0, 0), uint32(len(value)))
	} else {
		head = binary.LittleEndian.AppendUint16(head, uint16(len(value)))
	}
	b.Write(head)
	b.Write(value)
}

// enter indexes files as the receiver does.
func enter(ctx context.Context, r *Router, paths ...string) error {
	for _, path := range paths {
		h, err := dimse.CheckFile(path, dimse.CheckLimits{})
		if err != nil {
			return err
		}
		if err := r.Received(ctx, Received{Path: path, Header: h, CallingAE: "CT1", At: time.Now()}); err != nil {
			return err
		}
	}
	return nil
}

// finalFindings is what an analysis of any test pair finds: boxes in the middle of the grid.
func finalFindings(_ context.Context, pre, post *ct.Series, given analysis.Options) ([]analysis.Findings, error) {
	box := func(g volume.Geometry, half int) *analysis.Structure {
		m := volume.NewMask(g)
		c := [3]int{g.Size[0] / 2, g.Size[1] / 2, g.Size[2] / 2}
		for k := c[2] - half; k <= c[2]+half; k++ {
			for j := c[1] - half; j <= c[1]+half; j++ {
				for i := c[0] - half; i <= c[0]+half; i++ {
					m.Data[(k*g.Size[1]+j)*g.Size[0]+i] = 1
				}
			}
		}
		return &analysis.Structure{VolumeML: float64(m.Count()) * 0.125, NativeML: float64(m.Count()) * 0.125, Mask: m}
	}
	a, b := pre.Volume.Geometry, post.Volume.Geometry
	empty := &analysis.Structure{Mask: volume.NewMask(b)}
	return []analysis.Findings{{Schema: "rfanode-findings/1", Status: analysis.Final, Reasons: []string{}, Warnings: []string{}, Lesion: 1, Laterality: "R",
		GTR: box(a, 1), GTRPost: box(b, 1), PTV: box(b, 2), PTZ: box(b, 3), Uncovered: empty,
		Coverage: &analysis.Coverage{TCR: 1, TCRRange: [2]float64{0.98, 1}, TCRInLung: 1, TCR10: 0.9, Complete: true, MAMMM: 10, MAMP5MM: 10.5,
			MarginShare: [4]float64{0, 0, 0, 1}, Worst: analysis.Worst{Point: b.Point(volume.Vec{7, 7, 11}), Slice: 12, InstanceNumber: "12", Direction: "lateral"}},
		Registration: analysis.Registration{Method: "test", LungDice: 0.97, Determinant: 1},
		Algorithms:   []analysis.Algorithm{{Role: "ptz", Name: "test", Version: "1", Family: "Morphological Operations", Source: "test"}},
		Inputs: analysis.Inputs{Pre: analysis.Input{StudyInstanceUID: pre.StudyInstanceUID, SeriesInstanceUID: pre.SeriesInstanceUID, Instances: len(pre.Instances)},
			Post: analysis.Input{StudyInstanceUID: post.StudyInstanceUID, SeriesInstanceUID: post.SeriesInstanceUID, Instances: len(post.Instances)}},
	}}, nil
}

// node is a running router with its data folder and what it has reported.
type node struct {
	*Router
	dir     string // data folder; the "archive" is dir/archive
	mu      sync.Mutex
	changes []Case
	log     *logBuffer
	stop    func()
}

type logBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

// start runs a node until the test ends or stop is called. Options that are not set are quick ones.
func start(t *testing.T, opts Options) *node {
	t.Helper()
	if opts.Dir == "" {
		opts.Dir = t.TempDir()
	}
	n := &node{dir: opts.Dir, log: &logBuffer{}}
	if err := os.MkdirAll(filepath.Join(opts.Dir, "archive"), 0o700); err != nil {
		t.Fatal(err)
	}
	if opts.QuietTime == 0 {
		opts.QuietTime = 300 * time.Millisecond
	}
	if opts.Analyse == nil {
		opts.Analyse = finalFindings
	}
	if opts.Retry.First == 0 {
		opts.Retry.First, opts.Retry.Max = 50*time.Millisecond, 200*time.Millisecond
	}
	opts.Client = &dimse.Client{AETitle: "RFANODE"}
	opts.SR = sr.Options{SiteKey: "test", Version: "1"}
	opts.Log = slog.New(slog.NewTextHandler(n.log, &slog.HandlerOptions{Level: slog.LevelInfo}))
	opts.Changed = func(c Case) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.changes = append(n.changes, c)
	}
	r, err := Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	n.Router = r
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	n.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		if err := r.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if text := n.log.String(); strings.Contains(text, "Secret") || strings.Contains(text, "PID-") {
			t.Errorf("patient data in the log:\n%s", text)
		}
		if t.Failed() {
			t.Logf("log of the node:\n%s", n.log.String())
		}
	})
	t.Cleanup(n.stop)
	return n
}

// receive writes a series into the archive and indexes it.
func (n *node) receive(t *testing.T, all ...series) {
	t.Helper()
	for _, s := range all {
		if err := enter(t.Context(), n.Router, s.write(t, filepath.Join(n.dir, "archive"))...); err != nil {
			t.Fatal(err)
		}
	}
}

const patience = 3 * time.Minute // for a busy machine and the race detector; nothing waits that long otherwise

// wait returns the first case, in any order of cases, for which ok.
func (n *node) wait(t *testing.T, what string, ok func(Case) bool) Case {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		all, err := n.Cases(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if i := slices.IndexFunc(all, ok); i >= 0 {
			return all[i]
		}
		if time.Now().After(end) {
			t.Fatalf("no case is %s within %s; there are: %s\n%s", what, patience, lines(all), n.log.String())
		}
	}
}

func (n *node) waitState(t *testing.T, s State) Case {
	t.Helper()
	return n.wait(t, string(s), func(c Case) bool { return c.State == s })
}

func lines(all []Case) string {
	var b strings.Builder
	for _, c := range all {
		fmt.Fprintf(&b, "\n  %s %s: %s", c.ID, c.State, c.Reason)
	}
	return b.String()
}

// breaks as an answer makes the receiver abort the association instead.
const breaks = 0xFFFF

// pacs is a receiver of results.
type pacs struct {
	destination Destination
	refuse      []string                // SOP classes whose context is refused
	reject      *dimse.Reject           // of every association
	answer      func(sop string) uint16 // status of an object; nil: success
	// commit answers a request for storage commitment; nil as the report: none on this association. Without it the
	// service is refused.
	commit func(rq dimse.CommitmentRequest) *dimse.CommitmentReport

	mu     sync.Mutex
	stored map[string][]byte // data set by SOP Instance UID
	times  map[string]int    // how often it came
	bad    []string          // came again with other content
	asked  int               // associations
	echoes int
}

func startPACS(t *testing.T, p *pacs) *pacs {
	t.Helper()
	p.listen(t, "127.0.0.1:0")
	return p
}

// listen serves until the test ends or the returned function is called.
func (p *pacs) listen(t *testing.T, address string) (stop func()) {
	t.Helper()
	ln, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	if p.destination.Name == "" {
		p.destination.Name = "pacs"
	}
	p.destination.Peer = dimse.Peer{AETitle: "PACS", Address: ln.Addr().String()}
	p.mu.Lock()
	if p.stored == nil {
		p.stored, p.times = map[string][]byte{}, map[string]int{}
	}
	p.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() { p.serve(ctx, conn) })
		}
	})
	stop = sync.OnceFunc(func() { ln.Close(); cancel(); all.Wait() })
	t.Cleanup(stop)
	return stop
}

func (p *pacs) serve(ctx context.Context, conn net.Conn) {
	acceptor := dimse.Acceptor{Negotiate: func(rq *dimse.AssociateRQ, _ net.Conn) ([]dimse.ContextAnswer, dimse.UserInformation, *dimse.Reject) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.asked++
		if p.reject != nil {
			return nil, dimse.UserInformation{}, p.reject
		}
		var answers []dimse.ContextAnswer
		for _, c := range rq.Contexts {
			a := dimse.ContextAnswer{ID: c.ID, TransferSyntax: c.TransferSyntaxes[0]}
			if slices.Contains(p.refuse, c.AbstractSyntax) || c.AbstractSyntax == dimse.StorageCommitment && p.commit == nil {
				a.Result = dimse.ContextAbstractSyntax
			}
			answers = append(answers, a)
		}
		return answers, dimse.UserInformation{}, nil
	}}
	as, err := acceptor.Accept(ctx, conn)
	if err != nil {
		return
	}
	defer as.Close()
	for {
		m, err := as.Next()
		if err != nil {
			return
		}
		status := uint16(dimse.StatusSuccess)
		if m.Command.Field.IsResponse() { // to our report
			continue
		}
		if m.Command.Field == dimse.NActionRQ {
			rq, status, _ := dimse.ReadCommitmentRequest(m)
			report := p.commit(rq)
			if as.Respond(m, status, "") != nil || report != nil && as.SendReport(m.Context, 1, *report) != nil {
				return
			}
			continue
		}
		if m.Command.Field == dimse.CEchoRQ {
			p.mu.Lock()
			p.echoes++
			p.mu.Unlock()
		} else {
			data, err := io.ReadAll(m.Data)
			if err != nil {
				return
			}
			if status = p.keep(m.Command.AffectedSOPInstanceUID, data); status == breaks {
				return // and abort
			}
		}
		if as.Respond(m, status, "") != nil {
			return
		}
	}
}

func (p *pacs) keep(sop string, data []byte) uint16 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.answer != nil {
		if status := p.answer(sop); status != dimse.StatusSuccess {
			return status
		}
	}
	if before, ok := p.stored[sop]; ok && !bytes.Equal(before, data) {
		p.bad = append(p.bad, sop)
	}
	p.stored[sop] = data
	p.times[sop]++
	return dimse.StatusSuccess
}

func (p *pacs) set(change func()) { p.mu.Lock(); defer p.mu.Unlock(); change() }

func (p *pacs) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.stored)
}

// A pair of the same patient, a month apart.
func pairOf(patient string) (pre, post series) {
	at := time.Date(2024, 3, 1, 9, 0, 0, 0, time.UTC)
	id := strings.TrimPrefix(patient, "PID-")
	pre = series{patient: patient, study: "1.2." + id + ".1", uid: "1.2." + id + ".1.1", at: at}
	post = series{patient: patient, study: "1.2." + id + ".2", uid: "1.2." + id + ".2.1", at: at.AddDate(0, 1, 0)}
	return pre, post
}
