package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rfanode/analysis/phantom"
	"rfanode/config"
	"rfanode/dimse"
	"rfanode/internal/tooltest"
	"rfanode/router"
)

// binary is the program under test, built once.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "rfanode-test-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "rfanode")
	out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := binary(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	if pair, err := phantomFolder(); err == nil {
		os.RemoveAll(pair.dir)
	}
	os.Exit(code)
}

func rfanode(t *testing.T) string {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// phantomPair is one pair as DICOM, made once for all tests that need any good pair.
type phantomPair struct {
	dir   string
	truth phantom.Truth
}

var phantomFolder = sync.OnceValues(func() (phantomPair, error) {
	dir, err := os.MkdirTemp("", "rfanode-pair-")
	if err != nil {
		return phantomPair{}, err
	}
	pair, err := phantom.Pair(context.Background(), phantom.Options{Seed: 1})
	if err != nil {
		return phantomPair{}, err
	}
	return phantomPair{dir, pair.Truth}, pair.WriteDICOM(dir)
})

func anyPair(t *testing.T) phantomPair {
	t.Helper()
	p, err := phantomFolder()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// writePhantom makes a pair of its own and returns its folder.
func writePhantom(t *testing.T, o phantom.Options) (string, *phantom.PairResult) {
	t.Helper()
	pair, err := phantom.Pair(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := pair.WriteDICOM(dir); err != nil {
		t.Fatal(err)
	}
	return dir, pair
}

// running is a `rfanode serve` of a test.
type running struct {
	t       *testing.T
	config  string // file
	data    string
	address string
	cmd     *exec.Cmd
	log     *syncBuffer
}

// newNode prepares a data folder and a configuration that sends to the destination at pacs ("" for none); start runs it.
func newNode(t *testing.T, pacs string) *running {
	t.Helper()
	dir := t.TempDir()
	n := &running{t: t, config: filepath.Join(dir, "rfanode.toml"), data: filepath.Join(dir, "data"), address: freeAddress(t)}
	text := fmt.Sprintf("listen = %q\ndata = %q\n[series]\nquiet = \"2s\"\n[limits]\ndisk_reserve_gib = 0\n", n.address, n.data)
	if pacs != "" {
		text += fmt.Sprintf("[[destination]]\nname = \"pacs\"\nae_title = \"ORTHANC\"\naddress = %q\n", pacs)
	}
	if err := os.WriteFile(n.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Read(n.config); err != nil {
		t.Fatal(err)
	}
	return n
}

func (n *running) start() {
	n.t.Helper()
	n.log = &syncBuffer{}
	n.cmd = exec.Command(rfanode(n.t), "serve", "-c", n.config)
	n.cmd.Stderr = n.log
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() {
		n.kill()
		if n.t.Failed() {
			n.t.Logf("log of the node:\n%s", n.log.String())
		}
	})
	eventually(n.t, 30*time.Second, "the node answers C-ECHO", func() bool {
		client := dimse.Client{}
		ctx, cancel := context.WithTimeout(n.t.Context(), time.Second)
		defer cancel()
		return client.Echo(ctx, dimse.Peer{AETitle: "RFANODE", Address: n.address}) == nil
	})
}

// kill ends the node as a power cut would.
func (n *running) kill() {
	if n.cmd.ProcessState == nil {
		n.cmd.Process.Kill()
		n.cmd.Wait()
	}
}

// stop asks the node to end, as service managers do.
func (n *running) stop() {
	n.t.Helper()
	n.cmd.Process.Signal(syscall.SIGTERM)
	ended := make(chan error, 1)
	go func() { ended <- n.cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			n.t.Errorf("after SIGTERM: %v", err)
		}
	case <-time.After(30 * time.Second):
		n.t.Error("the node did not end within 30 s of SIGTERM")
	}
}

// cases asks the running node's data folder, as an operator would.
func (n *running) cases() []router.Case {
	n.t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command(rfanode(n.t), "cases", "-c", n.config, "--json")
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		n.t.Fatalf("rfanode cases: %v\n%s", err, stderr.String())
	}
	var cases []router.Case
	if err := json.Unmarshal(out, &cases); err != nil {
		n.t.Fatalf("rfanode cases: %v\n%s", err, out)
	}
	return cases
}

// waitFor waits until a case has one of the states, and returns it.
func (n *running) waitFor(limit time.Duration, states ...router.State) router.Case {
	n.t.Helper()
	var found router.Case
	eventually(n.t, limit, fmt.Sprintf("a case is %v", states), func() bool {
		for _, c := range n.cases() {
			for _, s := range states {
				if c.State == s {
					found = c
					return true
				}
			}
		}
		return false
	})
	return found
}

// send sends folders with DCMTK, as a scanner would.
func (n *running) send(dirs ...string) {
	n.t.Helper()
	storescu := tooltest.Need(n.t, "storescu")
	host, port, _ := net.SplitHostPort(n.address)
	args := append([]string{"-R", "-aet", "CT1", "-aec", "RFANODE", host, port, "+sd", "+r", "+sp", "*.dcm"}, dirs...)
	if out, err := exec.CommandContext(n.t.Context(), storescu, args...).CombinedOutput(); err != nil {
		n.t.Fatalf("storescu: %v\n%s", err, out)
	}
}

func eventually(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not within %s: %s", limit, what)
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// syncBuffer collects the output of a process while the test reads it.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// noErrors runs dciodvfy on a file and reports every line that begins with Error.
func noErrors(t *testing.T, path string) {
	t.Helper()
	out, _ := exec.Command(tooltest.Need(t, "dciodvfy"), "-new", path).CombinedOutput() // its exit status counts warnings too
	if len(out) == 0 {
		t.Errorf("%s: dciodvfy said nothing", path)
	}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "Error") {
			t.Errorf("%s: dciodvfy: %s", path, lines.Text())
		}
	}
}
