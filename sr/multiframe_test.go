package sr

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"rfanode/internal/tooltest"
)

// A multi-frame CT is one object with many slices: results refer to it once, and each frame of a segmentation names the
// CT's frame that it was drawn on.
func TestMultiFrameSource(t *testing.T) {
	c := baseVariant.build()
	const uid = "1.2.3.4711"
	for k := range c.post.Instances {
		i := &c.post.Instances[k]
		i.SOPClassUID, i.SOPInstanceUID, i.Frame = "1.2.840.10008.5.1.4.1.1.2.1", uid, k+1
	}
	objects := buildObjects(t, c, testOptions())
	seg := objects["seg-post"].Data
	frames := len(mustFrames(t, seg))
	numbers := bytes.Count(seg, binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint16(nil, 0x0008), 0x1160))
	if numbers != frames {
		t.Errorf("%d Referenced Frame Numbers in %d frames", numbers, frames)
	}
	if n := bytes.Count(seg, []byte(uid)); n != frames+1 { // and once in the list of referenced instances
		t.Errorf("the CT is named %d times in %d frames", n, frames)
	}
	dciodvfy := tooltest.Need(t, "dciodvfy")
	for _, role := range []string{"seg-post", "sr"} {
		path := filepath.Join(t.TempDir(), role+".dcm")
		if err := os.WriteFile(path, objects[role].Data, 0o600); err != nil {
			t.Fatal(err)
		}
		out, _ := exec.Command(dciodvfy, "-new", path).CombinedOutput()
		for _, line := range strings.Split(string(out), "\n") {
			if strings.HasPrefix(line, "Error") {
				t.Errorf("%s: dciodvfy: %s", role, line)
			}
		}
	}
}
