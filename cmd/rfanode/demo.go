package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"rfanode/analysis/phantom"
	"rfanode/config"
	"rfanode/dimse"
	"rfanode/router"
	"rfanode/scp"
	"rfanode/scp/archive"
	"rfanode/sr"
)

type demoCmd struct {
	JSON bool   `help:"Print the comparison as JSON on standard output."`
	Out  string `help:"Folder for summary.png and the objects that came back." default:"rfanode-demo" placeholder:"DIR"`
	Seed uint64 `help:"Phantom to use." default:"1" hidden:""`
}

// The demo's own limits.
const (
	demoTimeout = 10 * time.Minute
	demoQuiet   = 2 * time.Second // the sender is on this machine: nothing is late
)

// demoResult is what came back over the network, beside the truth.
type demoResult struct {
	Pass        bool       `json:"pass"` // |measured − true TCR| ≤ 0.03
	TCR         compared   `json:"tcr"`
	TCRRange    [2]float64 `json:"tcr_range"`
	MAM         compared   `json:"mam_mm"`
	GTR         compared   `json:"gtr_post_ml"`
	PTZ         compared   `json:"ptz_ml"`
	PTV         compared   `json:"ptv_ml"`
	Sentences   []string   `json:"sentences"` // of the report
	Seconds     float64    `json:"seconds"`   // from the last C-STORE of the CT to the last object received
	SummaryFile string     `json:"summary"`
}

type compared struct {
	Measured float64 `json:"measured"`
	True     float64 `json:"true"`
}

func (c *demoCmd) Run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, demoTimeout)
	defer cancel()
	show := newProgress(os.Stderr)
	defer show.end()
	work, err := os.MkdirTemp("", "rfanode-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)

	show.stage("making a synthetic patient: CT before the ablation and 30 days after it")
	pair, err := phantom.Pair(ctx, phantom.Options{Seed: c.Seed})
	if err != nil {
		return err
	}
	if err := pair.WriteDICOM(filepath.Join(work, "scanner")); err != nil {
		return err
	}
	result, err := c.mainJob(ctx, work, pair, show)
	if err != nil {
		return err
	}
	show.end()
	if c.JSON {
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "  ")
		err = out.Encode(result)
	} else {
		result.print(os.Stdout)
	}
	if err != nil {
		return err
	}
	if !result.Pass {
		return exitError(1)
	}
	return nil
}

// mainJob runs node and PACS, sends the pair as a scanner would, and waits for what comes back.
func (c *demoCmd) mainJob(ctx context.Context, work string, pair *phantom.PairResult, show *progress) (*demoResult, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	group, ctx := errgroup.WithContext(ctx)

	pacs, err := startPACS(ctx, group, filepath.Join(work, "pacs"))
	if err != nil {
		return nil, err
	}
	cfg := config.Default()
	cfg.Listen = "127.0.0.1:0"
	cfg.Data = filepath.Join(work, "node")
	cfg.Series.Quiet.Duration = demoQuiet
	cfg.Limits.DiskReserveGiB = 0
	cfg.Destinations = []config.Destination{{Name: "pacs", AETitle: pacsTitle, Address: pacs.address}}
	stuck := make(chan error, 1)
	n, err := openNode(ctx, cfg, slog.New(slog.DiscardHandler), func(k router.Case) {
		show.stage("case %s: %s", k.ID, k.State)
		switch k.State {
		case router.Held, router.Failed, router.NotDelivered, router.PartlyDelivered:
			select {
			case stuck <- fmt.Errorf("case %s: %s: %s", k.ID, k.State, k.Reason):
			default:
			}
		}
	})
	if err != nil {
		return nil, err
	}
	group.Go(func() error { return n.run(ctx) })

	sent, err := sendFolder(ctx, filepath.Join(work, "scanner"), dimse.Peer{AETitle: cfg.AETitle, Address: n.listeners[0].Addr().String()}, show)
	if err != nil {
		return nil, err
	}
	show.stage("%d CT images sent to the node by C-STORE", sent)
	began := time.Now()
	objects, err := pacs.wait(ctx, stuck)
	if err != nil {
		return nil, err
	}
	result, err := c.readBack(objects, pair.Truth)
	if err != nil {
		return nil, err
	}
	result.Seconds = time.Since(began).Seconds()
	stop()
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return nil, err
	}
	return result, c.keepSummary(filepath.Join(work, "node", "results"), result)
}

// sendFolder sends every DICOM file below dir on one association, as a scanner does after a scan.
func sendFolder(ctx context.Context, dir string, node dimse.Peer, show *progress) (int, error) {
	var objects []dimse.Object
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".dcm" {
			return err
		}
		o, err := dimse.FileObject(path)
		objects = append(objects, o)
		return err
	})
	if err != nil {
		return 0, err
	}
	show.stage("sending %d CT images as a scanner would", len(objects))
	scanner := dimse.Client{AETitle: "CT1"}
	var refused error
	err = scanner.Store(ctx, node, objects, func(i int, o dimse.Outcome) {
		if !o.Stored && refused == nil {
			refused = fmt.Errorf("the node did not store %s: status %04XH %s %w", objects[i].SOPInstanceUID, o.Status, o.Comment, o.Err)
		}
	})
	return len(objects), errors.Join(err, refused)
}

const pacsTitle = "DEMOPACS"

// demoPACS receives results and keeps them.
type demoPACS struct {
	address string
	stored  chan archive.Entry
}

func startPACS(ctx context.Context, group *errgroup.Group, dir string) (*demoPACS, error) {
	store, err := archive.Open(dir, archive.Options{ReserveBytes: -1, ReservePercent: -1})
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &demoPACS{address: listener.Addr().String(), stored: make(chan archive.Entry, 64)}
	server := &scp.Server{AETitles: []string{pacsTitle}, AllowAnyPeer: true, Archive: store, Stored: func(e archive.Entry) { p.stored <- e }}
	group.Go(func() error { return errors.Join(server.Serve(ctx, listener), store.Close()) })
	return p, nil
}

// wait returns the objects of a result, the report last.
func (p *demoPACS) wait(ctx context.Context, stuck <-chan error) (map[string][]byte, error) {
	objects := map[string][]byte{} // by SOP Instance UID
	for {
		select {
		case e := <-p.stored:
			data, err := os.ReadFile(e.Path)
			if err != nil {
				return nil, err
			}
			objects[e.Header.SOPInstanceUID] = data
			if e.Header.Modality == "SR" {
				return objects, nil
			}
		case err := <-stuck:
			return nil, err
		case <-ctx.Done():
			return nil, fmt.Errorf("no report came back: %w", context.Cause(ctx))
		}
	}
}

// readBack takes the figures from the objects that the PACS holds: coverage from the report, volumes from the masks.
func (c *demoCmd) readBack(objects map[string][]byte, truth phantom.Truth) (*demoResult, error) {
	if err := os.MkdirAll(c.Out, 0o755); err != nil {
		return nil, err
	}
	r := &demoResult{
		TCR: compared{True: *truth.TCR}, MAM: compared{True: *truth.MAMMM},
		GTR: compared{True: truth.GTRPostML}, PTZ: compared{True: truth.PTZML}, PTV: compared{True: truth.PTVML},
	}
	for _, data := range objects {
		report, err := sr.ReadReport(data)
		if err == nil {
			err = r.takeReport(report)
			if err != nil {
				return nil, err
			}
			if err := os.WriteFile(filepath.Join(c.Out, "sr.dcm"), data, 0o644); err != nil {
				return nil, err
			}
			continue
		}
		seg, err := sr.ReadSegmentation(data)
		if err != nil || len(seg.Segments) < 4 {
			continue // the summary picture, or the tumour on pre
		}
		for i, to := range []*compared{&r.GTR, &r.PTV, &r.PTZ} {
			to.Measured = seg.Segments[i].Mask.VolumeML()
		}
		if err := os.WriteFile(filepath.Join(c.Out, "seg-post.dcm"), data, 0o644); err != nil {
			return nil, err
		}
	}
	if r.Sentences == nil || r.PTZ.Measured == 0 {
		return nil, errors.New("the objects that came back hold no report or no segmentation")
	}
	r.Pass = math.Abs(r.TCR.Measured-r.TCR.True) <= tcrTolerance
	return r, nil
}

func (r *demoResult) takeReport(report *sr.Report) error {
	group, ok := report.Case(1)
	if !ok {
		return errors.New("the report has no group for lesion 1")
	}
	tcr, ok1 := group.Value("TCR")
	mam, ok2 := group.Value("MAM")
	if !ok1 || !ok2 {
		return errors.New("the report states no coverage or no margin")
	}
	r.TCR.Measured, r.MAM.Measured, r.Sentences = tcr/100, mam, report.Sentences()
	return nil
}

// keepSummary copies the picture that stands in the results of the node.
func (c *demoCmd) keepSummary(results string, r *demoResult) error {
	found, err := filepath.Glob(filepath.Join(results, "*", "summary.png"))
	if err != nil || len(found) == 0 {
		return errors.Join(err, errors.New("the node wrote no summary.png"))
	}
	data, err := os.ReadFile(found[0])
	if err != nil {
		return err
	}
	r.SummaryFile = filepath.Join(c.Out, "summary.png")
	return os.WriteFile(r.SummaryFile, data, 0o644)
}

func (r *demoResult) print(w io.Writer) {
	for _, s := range r.Sentences {
		fmt.Fprintln(w, "  "+s)
	}
	fmt.Fprintf(w, "\n%-28s %10s %10s\n", "read back from the PACS", "measured", "true")
	line := func(what string, c compared, format string) {
		fmt.Fprintf(w, "%-28s %10s %10s\n", what, fmt.Sprintf(format, c.Measured), fmt.Sprintf(format, c.True))
	}
	line("target coverage ratio", r.TCR, "%.3f")
	line("minimal ablative margin, mm", r.MAM, "%.1f")
	line("tumour (GTR), mL", r.GTR, "%.2f")
	line("target (PTV), mL", r.PTV, "%.2f")
	line("ablation zone (PTZ), mL", r.PTZ, "%.2f")
	verdict := "within"
	if !r.Pass {
		verdict = "NOT within"
	}
	fmt.Fprintf(w, "\nCoverage is %s %.2f of the truth. %.0f s from the last C-STORE to the report. Picture: %s\n", verdict, tcrTolerance, r.Seconds, r.SummaryFile)
}
