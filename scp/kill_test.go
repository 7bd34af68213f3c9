package scp_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"rfanode/dimse"
	"rfanode/scp"
	"rfanode/scp/archive"
)

// nodeEnv makes this test program a node with its archive in the folder named, for the tests that kill it.
const nodeEnv = "RFANODE_TEST_NODE_ARCHIVE"

// soakEnv makes TestKilled long: 100 random moments in transfers of 600 instances.
const soakEnv = "RFANODE_SOAK"

func TestMain(m *testing.M) {
	if dir := os.Getenv(nodeEnv); dir != "" {
		if err := serveUntilKilled(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func serveUntilKilled(dir string) error {
	a, err := archive.Open(dir, archive.Options{ReserveBytes: -1, ReservePercent: -1})
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	return (&scp.Server{AETitles: []string{"RFANODE"}, AllowAnyPeer: true, Archive: a}).Serve(context.Background(), ln)
}

// A node that is killed at any moment has every instance that its senders saw acknowledged, whole, and nothing else
// under a final name; and it starts again.
func TestKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills processes")
	}
	dir := t.TempDir()
	rounds, instances := 5, 60
	if os.Getenv(soakEnv) != "" {
		rounds, instances = 100, 600
	}
	acknowledged := make(map[string][sha256.Size]byte) // digests of what was sent
	for round := range rounds {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), nodeEnv+"="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		kill := func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
		addr, err := bufio.NewReader(out).ReadString('\n')
		if err != nil {
			kill()
			t.Fatal("the node did not start")
		}
		var objects []dimse.Object
		sent := make(map[int][sha256.Size]byte)
		for k := range instances {
			in := newInstance(round*instances + k)
			in.pixels = 100_000
			data := in.encode(true)
			sent[k] = sha256.Sum256(data)
			objects = append(objects, dimse.Object{SOPClassUID: in.class, SOPInstanceUID: in.uid,
				TransferSyntaxUID: dimse.ExplicitVRLittleEndian, Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }})
		}
		moment := time.Duration(20+40*round) * time.Millisecond
		if rounds > 5 {
			moment = time.Duration(rand.Int64N(int64(10 * time.Second)))
		}
		timer := time.AfterFunc(moment, func() { _ = cmd.Process.Kill() })
		n := 0
		_ = (&dimse.Client{}).Store(t.Context(), dimse.Peer{AETitle: "RFANODE", Address: strings.TrimSpace(addr)}, objects,
			func(i int, o dimse.Outcome) {
				if o.Stored {
					acknowledged[objects[i].SOPInstanceUID] = sent[i]
					n++
				}
			})
		timer.Stop()
		kill()
		t.Logf("round %d: %d of %d acknowledged", round, n, instances)
	}
	a, err := archive.Open(dir, archive.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	found := 0
	err = a.Walk(t.Context(), func(e archive.Entry) error {
		found++
		if h, err := dimse.CheckFile(e.Path, dimse.CheckLimits{}); err != nil || h != e.Header {
			t.Errorf("%s: %v", e.Path, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for uid, digest := range acknowledged {
		if _, kept := dataSet(t, a.Path(uid)); sha256.Sum256(kept) != digest {
			t.Errorf("%s was acknowledged and is not what was sent", uid)
		}
	}
	if found < len(acknowledged) || len(files(t, dir)) != found {
		t.Errorf("%d acknowledged, %d found, %d files", len(acknowledged), found, len(files(t, dir)))
	}
}
