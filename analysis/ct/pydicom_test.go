package ct

import (
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"rfanode/internal/tooltest"
)

// TestAgainstPydicomFiles reads the test files that come with pydicom (all kinds of objects, character sets, broken
// files) and compares the header with pydicom's reading. What pydicom reads by being lenient may be refused here, but
// never read differently.
func TestAgainstPydicomFiles(t *testing.T) {
	python := tooltest.Python(t)
	script := `
import json, pathlib, warnings, pydicom
warnings.simplefilter("ignore")
root = pathlib.Path(pydicom.__file__).parent / "data"
out = []
for path in sorted(root.rglob("*.dcm")):
    try:
        d = pydicom.dcmread(path, stop_before_pixels=True)
        d.decode()
        text = lambda k: str(d.get(k, "") or "").strip(" \0")
        out.append({"path": str(path), "syntax": str(d.file_meta.get("TransferSyntaxUID", "")), "name": text("PatientName"),
          "id": text("PatientID"), "uid": text("SOPInstanceUID"), "modality": text("Modality"), "study": text("StudyDescription"),
          "rows": int(d.get("Rows", 0) or 0), "columns": int(d.get("Columns", 0) or 0)})
    except Exception:
        pass
print(json.dumps(out))`
	out, err := exec.Command(python, "-c", script).Output()
	if err != nil {
		t.Fatalf("pydicom: %v", err)
	}
	var files []struct {
		Path, Syntax, Name, ID, UID, Modality, Study string
		Rows, Columns                                int
	}
	if err := json.Unmarshal(out, &files); err != nil {
		t.Fatal(err)
	}
	read := 0
	for _, f := range files {
		h, err := ReadHeader(f.Path)
		if err != nil {
			if !errors.Is(err, ErrNotDICOM) {
				t.Logf("%v", err)
			}
			continue
		}
		read++
		got := []string{h.Name, h.ID, h.SOPInstanceUID, h.Modality, h.StudyDescription, h.TransferSyntaxUID}
		for i, want := range []string{f.Name, f.ID, f.UID, f.Modality, f.Study, f.Syntax} {
			if strings.TrimRight(got[i], "=^ ") != strings.TrimRight(want, "=^ ") {
				t.Errorf("%s: %q, pydicom reads %q", f.Path, got[i], want)
			}
		}
		if h.Rows != f.Rows || h.Columns != f.Columns {
			t.Errorf("%s: %d × %d, pydicom reads %d × %d", f.Path, h.Rows, h.Columns, f.Rows, f.Columns)
		}
	}
	if read < len(files)/2 {
		t.Errorf("only %d of %d files were read", read, len(files))
	}
	t.Logf("%d of %d files read", read, len(files))
}
