package dimse

import (
	"strings"
	"testing"
)

// Every storage class of the standard is one, and what else lies in the arc is not.
func TestStorageClasses(t *testing.T) {
	all := StorageClasses()
	if len(all) < 190 { // 196 in 2024; the standard only adds
		t.Errorf("%d classes", len(all))
	}
	seen := map[string]bool{}
	for _, c := range all {
		if !IsStorageClass(c.UID) || !strings.Contains(c.Name, "Storage") || seen[c.UID] {
			t.Errorf("%+v", c)
		}
		seen[c.UID] = true
	}
	for _, uid := range []string{"1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.66.7", "1.2.840.10008.5.1.4.1.1.88.34"} {
		if !seen[uid] {
			t.Errorf("%s is missing", uid)
		}
	}
	for _, uid := range []string{Verification, StorageCommitment, StudyRootFind, StudyRootMove, "1.2.840.10008.5.1.4.1.1.201.1.1",
		"1.2.840.10008.5.1.4.1.1.200.4", "1.2.840.10008.5.1.4.1.1", "1.2.840.10008.5.1.4.1.1.", "1.2.3", "1.2.840.10008.1.3.10", ""} {
		if IsStorageClass(uid) {
			t.Errorf("%q counts as storage", uid)
		}
	}
	if !IsStorageClass("1.2.840.10008.5.1.4.1.1.999.1") {
		t.Error("a class newer than this program is refused")
	}
}
