package scp_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"rfanode/dimse"
	"rfanode/internal/tooltest"
)

// startOrthanc runs Orthanc until the test ends, with the node known to it, and returns its DICOM peer and its REST root.
func startOrthanc(t *testing.T, r *receiver) (dimse.Peer, string) {
	t.Helper()
	program := tooltest.Need(t, "Orthanc")
	dir := t.TempDir()
	dicom, web := freePort(t), freePort(t)
	number := func(s string) int { n, _ := strconv.Atoi(s); return n }
	config, err := json.Marshal(map[string]any{
		"DicomAet": "ORTHANC", "DicomPort": number(dicom), "HttpPort": number(web), "RemoteAccessAllowed": false,
		"StorageDirectory": filepath.Join(dir, "storage"), "IndexDirectory": filepath.Join(dir, "index"), "Plugins": []string{},
		"DicomModalities": map[string]any{"rfanode": []any{"RFANODE", "127.0.0.1", number(r.port)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "orthanc.json")
	if err := os.WriteFile(path, config, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, path)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("Orthanc: %s", out.String())
		}
	})
	rest := "http://127.0.0.1:" + web
	for range 300 {
		if rsp, err := http.Get(rest + "/system"); err == nil {
			rsp.Body.Close()
			return dimse.Peer{AETitle: "ORTHANC", Address: "127.0.0.1:" + dicom}, rest
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("Orthanc does not answer")
	return dimse.Peer{}, ""
}

// Orthanc stands for the PACS on both sides of the node: it takes our objects, and sends its own to us.
func TestOrthanc(t *testing.T) {
	r := start(t, nil)
	peer, rest := startOrthanc(t, r)
	client := &dimse.Client{AETitle: "RFANODE"}
	if err := client.Echo(t.Context(), peer); err != nil {
		t.Fatal(err)
	}
	paths := writeSeries(t, t.TempDir(), 3, dimse.ExplicitVRLittleEndian)
	err := client.Store(t.Context(), peer, objectsOf(t, paths), func(i int, o dimse.Outcome) {
		if !o.Stored {
			t.Errorf("object %d: %v", i, o)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	get := func(path string, to any) {
		t.Helper()
		rsp, err := http.Get(rest + path)
		if err != nil {
			t.Fatal(err)
		}
		defer rsp.Body.Close()
		if err := json.NewDecoder(rsp.Body).Decode(to); err != nil {
			t.Fatal(err)
		}
	}
	var studies, instances []string
	get("/studies", &studies)
	get("/instances", &instances)
	if len(studies) != 1 || len(instances) != 3 {
		t.Fatalf("Orthanc has %d studies, %d instances", len(studies), len(instances))
	}
	body := fmt.Sprintf(`{"Resources":[%q],"Synchronous":true}`, studies[0])
	rsp, err := http.Post(rest+"/modalities/rfanode/store", "application/json", bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	defer rsp.Body.Close()
	answer, _ := io.ReadAll(rsp.Body)
	if rsp.StatusCode != http.StatusOK || len(r.stored()) != 3 {
		t.Fatalf("%s, %d stored here\n%s", rsp.Status, len(r.stored()), answer)
	}
	for _, p := range paths {
		meta, sent := dataSet(t, p)
		if _, kept := dataSet(t, r.archive.Path(meta.SOPInstanceUID)); !bytes.Equal(sent, kept) {
			t.Errorf("%s came back otherwise", filepath.Base(p))
		}
	}
}
