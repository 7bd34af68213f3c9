package scp_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"rfanode/dimse"
	"rfanode/internal/tooltest"
	"rfanode/scp"
)

// served is a `rfanode serve` with quick timers.
type served struct {
	receiver
	cmd    *exec.Cmd
	log    *output
	secure string // address of the TLS port
	ended  chan error
}

// buildNode builds the program.
func buildNode(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "rfanode")
	build := exec.Command("go", "build", "-o", program, "./cmd/rfanode")
	build.Dir = tooltest.ModuleRoot()
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the node: %v\n%s", err, out)
	}
	return program
}

// serve starts a node of its own, with a plain and a TLS port.
func serve(t *testing.T, program string, tls dimse.CredentialFiles) *served {
	t.Helper()
	dir := t.TempDir()
	s := &served{log: &output{}, ended: make(chan error, 1)}
	s.host, s.port = "127.0.0.1", freePort(t)
	s.addr, s.secure = net.JoinHostPort(s.host, s.port), net.JoinHostPort(s.host, freePort(t))
	s.dir = filepath.Join(dir, "data", "archive")
	config := filepath.Join(dir, "rfanode.toml")
	text := fmt.Sprintf(`listen = %q
data = %q
[tls]
listen = %q
certificate = %q
key = %q
authorities = %q
[limits]
associations = 1000
disk_reserve_gib = 0
request = "2s"
stall = "4s"
`, s.addr, filepath.Join(dir, "data"), s.secure, tls.Certificate, tls.Key, tls.Authorities)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.cmd = exec.Command(program, "serve", "-c", config)
	s.cmd.Stderr = s.log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.ended <- s.cmd.Wait() }()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		if t.Failed() {
			t.Logf("log of the node:\n%.20000s", s.log.String())
		}
	})
	for range 300 {
		if strings.Count(s.log.String(), "msg=listening") == 2 {
			return s
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("the node does not start")
	return nil
}

// descriptors counts the open files of the node.
func (s *served) descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/" + strconv.Itoa(s.cmd.Process.Pid) + "/fd")
	if err != nil {
		t.Skip("no /proc:", err)
	}
	return len(all)
}

// memory is the most that the node has had, KiB.
func (s *served) memory(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/" + strconv.Itoa(s.cmd.Process.Pid) + "/status")
	if err != nil {
		t.Skip("no /proc:", err)
	}
	for _, line := range strings.Split(string(text), "\n") {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmHWM:" {
			n, _ := strconv.Atoi(f[1])
			return n
		}
	}
	return 0
}

// The whole table of hostile peers against the program as it is installed; afterwards it serves as before, holds nothing
// of what they opened, and ends in good order.
func TestServeWithstands(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs the program")
	}
	ca := newAuthority(t, "ca")
	s := serve(t, buildNode(t), ca.issue("node", mustKey(rsa.GenerateKey(rand.Reader, 2048))))
	before := s.descriptors(t)
	for name, test := range map[string]func(*testing.T, *receiver){"requests": requestsRefused, "aborts": aborts,
		"oddities": legalOddities, "objects": objectsRefused, "commands": commandsRefused, "break-offs": breakOffs,
		"duplicates": duplicates, "deflate bomb": deflateBomb} {
		t.Run(name, func(t *testing.T) {
			test(t, &s.receiver)
			for _, f := range files(t, s.dir) { // so that the next one finds nothing
				os.Remove(f)
			}
		})
	}
	t.Run("500 half-open", func(t *testing.T) {
		for _, address := range []string{s.addr, s.secure} {
			for range 250 {
				conn, err := net.Dial("tcp", address)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
			}
		}
		start := time.Now()
		if err := (&dimse.Client{}).Echo(t.Context(), dimse.Peer{AETitle: "RFANODE", Address: s.addr}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("C-ECHO took %v", took)
		}
	})
	t.Run("200 associations at once", func(t *testing.T) { atOnce(t, &s.receiver, 200) })
	t.Run("a byte now and then", func(t *testing.T) { trickling(t, &s.receiver) })
	alive(t, &s.receiver)
	if kib := s.memory(t); kib > 300<<10 {
		t.Errorf("%d MiB of memory at the peak", kib>>10)
	}
	eventually(t, "every descriptor is given back", func() bool { return s.descriptors(t) <= before+2 })
	drainOnTerm(t, s)
}

// atOnce has many associations in the middle of an object at the same time, and then finishes them all.
func atOnce(t *testing.T, r *receiver, n int) {
	objects := make([][]byte, n) // made beforehand: between its two halves no peer may take longer than the timer allows
	for k := range n {
		in := newInstance(1000 + k)
		in.pixels = 200_000
		objects[k] = store(1, ctClass, in.uid, in.encode(true))
	}
	const half = 150_000
	peers := make([]*peer, n)
	for k := range n {
		peers[k] = associated(t, r).send(objects[k][:half])
	}
	alive(t, r)
	for k, p := range peers {
		p.send(objects[k][half:])
	}
	for k, p := range peers {
		if status := p.status(1); status != 0 {
			t.Errorf("association %d: %04XH", k, status)
		}
		p.send(releaseRQ).expect("RP")
	}
	if stored := files(t, r.dir); len(stored) != n {
		t.Errorf("%d files", len(stored))
	}
}

// trickling peers are dropped by the timer of the request.
func trickling(t *testing.T, r *receiver) {
	p := dial(t, r)
	start := time.Now()
	for _, b := range goodRequest().bytes() {
		if _, err := p.conn.Write([]byte{b}); err != nil {
			break
		}
		if time.Since(start) > 10*time.Second {
			t.Fatal("still connected")
		}
		time.Sleep(100 * time.Millisecond)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("dropped after %v", took)
	}
}

// drainOnTerm sends SIGTERM in the middle of an object: it is finished, acknowledged and whole, nobody else gets in, and
// the program ends by itself with success.
func drainOnTerm(t *testing.T, s *served) {
	p := associated(t, &s.receiver)
	in := newInstance(77)
	whole := store(1, ctClass, in.uid, in.encode(true))
	p.send(whole[:len(whole)/2])
	time.Sleep(100 * time.Millisecond)
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "no new connection is taken", func() bool {
		conn, err := net.Dial("tcp", s.addr)
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	p.send(whole[len(whole)/2:])
	if status := p.status(1); status != 0 {
		t.Errorf("the object under way: %04XH", status)
	}
	p.send(releaseRQ).expect("RP")
	select {
	case err := <-s.ended:
		if err != nil {
			t.Errorf("after SIGTERM: %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("the node does not end")
	}
	if _, kept := dataSet(t, s.path(in.uid)); !bytes.Equal(kept, in.encode(true)) {
		t.Error("the object under way is not whole")
	}
}

// A peer that sends a byte a second inside an object is dropped by the trickle limit, and its half object is gone.
func TestTrickleInsideAnObject(t *testing.T) {
	r := start(t, func(s *scp.Server) {
		s.Limits.Timeouts = dimse.Timeouts{Trickle: 500 * time.Millisecond, Stall: 5 * time.Second, Linger: 50 * time.Millisecond}
	})
	in := newInstance(1)
	whole := store(1, ctClass, in.uid, in.encode(true))
	p := associated(t, r).send(whole[:1000])
	start := time.Now()
	for i := 1000; i < len(whole) && time.Since(start) < 10*time.Second; i++ {
		if _, err := p.conn.Write(whole[i : i+1]); err != nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("dropped after %v", took)
	}
	_, _ = io.Copy(io.Discard, p.conn)
	eventually(t, "nothing is left", func() bool { return len(files(t, r.dir)) == 0 })
}
