package router

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rfanode/analysis"
	"rfanode/analysis/ct"
	"rfanode/dimse"
	"rfanode/sr"
)

// nodeEnv makes the test binary a node of its own, to be killed: "data folder|address of the receiver|analysis time".
const nodeEnv = "RFANODE_TEST_NODE"

func TestMain(m *testing.M) {
	if v := os.Getenv(nodeEnv); v != "" {
		if err := childNode(strings.Split(v, "|")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// childNode runs a node on a data folder: at start it enters the whole archive, then what appears in it, as the receiver
// would. It prints a line for every change and every analysis that it begins.
func childNode(args []string) error {
	dir, address := args[0], args[1]
	takes, err := time.ParseDuration(args[2])
	if err != nil {
		return err
	}
	ctx := context.Background()
	var out sync.Mutex
	tell := func(format string, a ...any) { out.Lock(); defer out.Unlock(); fmt.Printf(format+"\n", a...) }
	r, err := Open(ctx, Options{Dir: dir, QuietTime: 700 * time.Millisecond, SR: sr.Options{SiteKey: "test", Version: "1"},
		Client: &dimse.Client{}, Destinations: []Destination{{Name: "pacs", Peer: dimse.Peer{AETitle: "PACS", Address: address}}},
		Log:     slog.New(slog.NewTextHandler(os.Stderr, nil)),
		Changed: func(c Case) { tell("%s %s", strings.ReplaceAll(string(c.State), " ", "_"), c.ID) },
		Analyse: func(ctx context.Context, pre, post *ct.Series, _ analysis.Options) ([]analysis.Findings, error) {
			tell("begin %d", len(post.Instances))
			select {
			case <-time.After(takes):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			return finalFindings(ctx, pre, post, analysis.Options{})
		}})
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	for {
		files, err := filepath.Glob(filepath.Join(dir, "archive", "*.dcm"))
		if err != nil {
			return err
		}
		if err := enter(ctx, r, files...); err != nil {
			return err
		}
		select {
		case err := <-ended:
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// child is a node in a process of its own.
type child struct {
	cmd    *exec.Cmd
	killed sync.Once
	lines  chan string
	stderr bytes.Buffer
}

func startChild(t *testing.T, dir, address string, takes time.Duration) *child {
	t.Helper()
	c := &child{cmd: exec.Command(os.Args[0]), lines: make(chan string, 1000)}
	c.cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s|%s|%s", nodeEnv, dir, address, takes))
	c.cmd.Stderr = &c.stderr
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(c.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			c.lines <- s.Text()
		}
	}()
	t.Cleanup(c.kill)
	return c
}

// kill is kill -9.
func (c *child) kill() {
	c.killed.Do(func() {
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
	})
}

// until reads lines up to one that begins with prefix, and returns all of them.
func (c *child) until(t *testing.T, prefix string) []string {
	t.Helper()
	var seen []string
	limit := time.After(patience)
	for {
		select {
		case l, ok := <-c.lines:
			if !ok {
				t.Fatalf("the node ended before %q; it said %q\n%s", prefix, seen, c.stderr.String())
			}
			seen = append(seen, l)
			if strings.HasPrefix(l, prefix) {
				return seen
			}
		case <-limit:
			t.Fatalf("no %q within %s; the node said %q\n%s", prefix, patience, seen, c.stderr.String())
		}
	}
}

// checkOnce makes sure that one result arrived, whole, and nothing else.
func checkOnce(t *testing.T, p *pacs, dir string) {
	t.Helper()
	r, err := Open(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	all, err := r.Cases(t.Context())
	if err != nil || len(all) != 1 || all[0].State != Delivered {
		t.Fatalf("%v; cases: %s", err, lines(all))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.bad) > 0 {
		t.Errorf("objects came with two contents under one UID: %q", p.bad)
	}
	if len(p.stored) != len(all[0].Objects) {
		t.Errorf("%d different objects arrived of a result of %d", len(p.stored), len(all[0].Objects))
	}
	for _, o := range all[0].Objects {
		if p.stored[o.SOPInstanceUID] == nil {
			t.Errorf("%s has not arrived", o.Role)
		}
	}
	if _, err := os.Stat(filepath.Join(all[0].Folder, "findings.json")); err != nil {
		t.Error(err)
	}
}

func crashSetup(t *testing.T) (dir, archive string) {
	t.Helper()
	dir = t.TempDir()
	archive = filepath.Join(dir, "archive")
	if err := os.Mkdir(archive, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir, archive
}

// kill -9 while instances arrive: those that were acknowledged are in the archive, are all indexed, and with those that
// come later make the one case.
func TestKillWhileReceiving(t *testing.T) {
	t.Parallel()
	p := startPACS(t, &pacs{})
	dir, archive := crashSetup(t)
	pre, post := pairOf("PID-30")
	c := startChild(t, dir, p.destination.Peer.Address, 0)
	pre.write(t, archive)
	half := post
	half.slices = 12
	half.write(t, archive)
	c.until(t, "receiving")
	c.kill()
	c = startChild(t, dir, p.destination.Peer.Address, 0)
	post.write(t, archive) // the sender comes back with everything
	seen := c.until(t, "delivered")
	if n := len(slices.DeleteFunc(seen, func(l string) bool { return !strings.HasPrefix(l, "begin") })); n != 1 {
		t.Errorf("%d analyses: %q", n, seen)
	}
	checkOnce(t, p, dir)
}

// kill -9 while a case is being analysed, twice: it is taken up again at once, and its result arrives once.
func TestKillWhileAnalysing(t *testing.T) {
	t.Parallel()
	p := startPACS(t, &pacs{})
	dir, archive := crashSetup(t)
	pre, post := pairOf("PID-31")
	pre.write(t, archive)
	post.write(t, archive)
	for range 2 {
		c := startChild(t, dir, p.destination.Peer.Address, time.Minute)
		c.until(t, "begin")
		c.kill()
	}
	c := startChild(t, dir, p.destination.Peer.Address, 100*time.Millisecond)
	c.until(t, "delivered")
	checkOnce(t, p, dir)
}

// kill -9 between the objects of a delivery, before the answer to one was recorded: the rest arrives, nothing twice with
// another content, and nothing is analysed again.
func TestKillWhileDelivering(t *testing.T) {
	t.Parallel()
	for _, after := range []int{0, 1, 2} {
		t.Run(fmt.Sprintf("after %d objects", after), func(t *testing.T) {
			t.Parallel()
			var c atomic.Pointer[child]
			came, killed := 0, false
			p := &pacs{}
			p.answer = func(string) uint16 {
				if came++; came > after && !killed {
					killed = true
					c.Load().kill() // it never sees the answer
				}
				return dimse.StatusSuccess
			}
			startPACS(t, p)
			dir, archive := crashSetup(t)
			pre, post := pairOf(fmt.Sprintf("PID-4%d", after))
			pre.write(t, archive)
			post.write(t, archive)
			c.Store(startChild(t, dir, p.destination.Peer.Address, 0))
			c.Load().until(t, "begin")
			for range c.Load().lines { // until it is dead
			}
			again := startChild(t, dir, p.destination.Peer.Address, 0)
			for _, l := range again.until(t, "delivered") {
				if strings.HasPrefix(l, "begin") {
					t.Error("analysed again")
				}
			}
			checkOnce(t, p, dir)
		})
	}
}

// kill -9 at any moment, again and again, each time a little later.
func TestKillAtAnyMoment(t *testing.T) {
	t.Parallel()
	p := startPACS(t, &pacs{})
	dir, archive := crashSetup(t)
	pre, post := pairOf("PID-34")
	pre.write(t, archive)
	post.write(t, archive)
	for after := 50 * time.Millisecond; after < 1500*time.Millisecond; after += 170 * time.Millisecond {
		c := startChild(t, dir, p.destination.Peer.Address, 0)
		time.Sleep(after)
		c.kill()
	}
	c := startChild(t, dir, p.destination.Peer.Address, 0)
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if p.count() > 0 && stateOf(t, dir) == Delivered {
			break
		}
	}
	c.kill()
	checkOnce(t, p, dir)
}

// stateOf reads the state of the one case from beside the node.
func stateOf(t *testing.T, dir string) State {
	t.Helper()
	r, err := Open(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	all, err := r.Cases(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 1 {
		return ""
	}
	return all[0].State
}

// A case during which the node dies again and again is given up instead of taking the node down at every start.
func TestCaseThatKillsTheNode(t *testing.T) {
	t.Parallel()
	p := startPACS(t, &pacs{})
	dir, archive := crashSetup(t)
	pre, post := pairOf("PID-33")
	pre.write(t, archive)
	post.write(t, archive)
	for range maxCrashes {
		c := startChild(t, dir, p.destination.Peer.Address, time.Minute)
		c.until(t, "begin")
		c.kill()
	}
	c := startChild(t, dir, p.destination.Peer.Address, time.Minute)
	c.until(t, "failed")
	c.kill()
	r, err := Open(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	all, err := r.Cases(t.Context())
	if err != nil || len(all) != 1 || !strings.Contains(all[0].Reason, "ended 5 times") {
		t.Errorf("%v; cases: %s", err, lines(all))
	}
	if _, err := json.Marshal(all); err != nil {
		t.Error(err)
	}
}
