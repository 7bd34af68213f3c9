package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"rfanode/internal/tooltest"
)

// orthanc is a real PACS on loopback.
type orthanc struct {
	t       *testing.T
	address string // DICOM
	url     string // REST
	config  string
	cmd     *exec.Cmd
}

func newOrthanc(t *testing.T) *orthanc {
	t.Helper()
	tooltest.Need(t, "Orthanc")
	dir := t.TempDir()
	o := &orthanc{t: t, address: freeAddress(t), config: filepath.Join(dir, "orthanc.json")}
	web := freeAddress(t)
	o.url = "http://" + web
	port := func(address string) json.RawMessage {
		_, p, _ := net.SplitHostPort(address)
		return json.RawMessage(p)
	}
	text, err := json.Marshal(map[string]any{
		"Name": "PACS of a test", "DicomAet": "ORTHANC", "DicomPort": port(o.address), "HttpPort": port(web),
		"RemoteAccessAllowed": false, "AuthenticationEnabled": false, "StorageDirectory": dir, "IndexDirectory": dir,
		"UnknownSopClassAccepted": true, "DefaultEncoding": "Utf8", "Plugins": []string{},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(o.config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return o
}

func (o *orthanc) start() {
	o.t.Helper()
	var log syncBuffer
	o.cmd = exec.Command(tooltest.Need(o.t, "Orthanc"), o.config)
	o.cmd.Stdout, o.cmd.Stderr = &log, &log
	if err := o.cmd.Start(); err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() {
		o.stop()
		if o.t.Failed() {
			o.t.Logf("log of Orthanc:\n%s", log.String())
		}
	})
	eventually(o.t, 60*time.Second, "Orthanc answers", func() bool {
		resp, err := http.Get(o.url + "/system")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

func (o *orthanc) stop() {
	if o.cmd != nil && o.cmd.ProcessState == nil {
		o.cmd.Process.Kill()
		o.cmd.Wait()
	}
}

func (o *orthanc) get(path string) []byte {
	o.t.Helper()
	resp, err := http.Get(o.url + path)
	if err != nil {
		o.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		o.t.Fatalf("GET %s: %s %v", path, resp.Status, err)
	}
	return data
}

// instances lists what the PACS holds, as Orthanc's own identifiers by SOP Instance UID.
func (o *orthanc) instances() map[string]string {
	o.t.Helper()
	var list []struct {
		ID   string
		Tags struct{ SOPInstanceUID string } `json:"MainDicomTags"`
	}
	if err := json.Unmarshal(o.get("/instances?expand"), &list); err != nil {
		o.t.Fatal(err)
	}
	out := map[string]string{}
	for _, i := range list {
		out[i.Tags.SOPInstanceUID] = i.ID
	}
	return out
}

// download writes every instance that the PACS holds into dir and returns the paths by modality.
func (o *orthanc) download(dir string) map[string][]string {
	o.t.Helper()
	out := map[string][]string{}
	for uid, id := range o.instances() {
		path := filepath.Join(dir, uid+".dcm")
		if err := os.WriteFile(path, o.get("/instances/"+id+"/file"), 0o600); err != nil {
			o.t.Fatal(err)
		}
		var tags struct{ Modality, StudyInstanceUID string }
		if err := json.Unmarshal(o.get(fmt.Sprintf("/instances/%s/simplified-tags", id)), &tags); err != nil {
			o.t.Fatal(err)
		}
		out[tags.Modality] = append(out[tags.Modality], path)
	}
	return out
}
