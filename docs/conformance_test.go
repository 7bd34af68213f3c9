// Package docs_test holds what the documents say against the code.
package docs_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"rfanode/analysis/ct"
	"rfanode/analysis/ct/codec"
	"rfanode/config"
	"rfanode/dimse"
)

var update = flag.Bool("update", false, "write the generated parts of conformance.md anew")

const statement = "conformance.md"

// generated are the parts of the conformance statement that come from the code, by name.
func generated() map[string]string {
	var classes, syntaxes strings.Builder
	classes.WriteString("| UID | name | |\n|---|---|---|\n")
	for _, c := range dimse.StorageClasses() {
		retired := ""
		if c.Retired {
			retired = "retired"
		}
		fmt.Fprintf(&classes, "| %s | %s | %s |\n", c.UID, c.Name, retired)
	}
	syntaxes.WriteString("| UID | name | |\n|---|---|---|\n")
	for _, uid := range ct.AllTransferSyntaxes() {
		remark := ""
		if codec.External(uid) {
			remark = "where the machine has OpenJPEG"
			if strings.HasPrefix(uid, "1.2.840.10008.1.2.4.20") {
				remark += " 2.5"
			}
		}
		fmt.Fprintf(&syntaxes, "| %s | %s | %s |\n", uid, ct.TransferSyntaxName(uid), remark)
	}
	return map[string]string{"storage classes": classes.String(), "transfer syntaxes": syntaxes.String()}
}

// The lists of the conformance statement are those of the code.
func TestConformanceStatement(t *testing.T) {
	b, err := os.ReadFile(statement)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for name, want := range generated() {
		part := regexp.MustCompile(`(?s)(<!-- generated: ` + name + ` -->\n)(.*?)(<!-- end -->)`)
		found := part.FindStringSubmatch(text)
		switch {
		case found == nil:
			t.Errorf("%s has no part for the %s", statement, name)
		case found[2] != want && *update:
			text = part.ReplaceAllString(text, "${1}"+want+"${3}")
		case found[2] != want:
			t.Errorf("%s: the %s are not those of the code: go test ./docs -update", statement, name)
		}
	}
	if *update && text != string(b) {
		if err := os.WriteFile(statement, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// Figures that the statement quotes are the defaults.
func TestConformanceFigures(t *testing.T) {
	b, err := os.ReadFile(statement)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(string(b)), " ")
	c := config.Default()
	_, port, _ := strings.Cut(c.Listen, ":")
	for _, want := range []string{
		dimse.ImplementationClassUID, dimse.ImplementationVersion, fmt.Sprint(dimse.DefaultMaxPDU) + " offered",
		fmt.Sprintf("| %d, of one calling AE title %d", c.Limits.Associations, c.Limits.Associations/4),
		fmt.Sprintf("%.0f s from connection to request", c.Limits.Request.Seconds()),
		fmt.Sprintf("%.0f min between messages", c.Limits.Idle.Minutes()),
		fmt.Sprintf("%.0f s inside a message without a byte", c.Limits.Stall.Seconds()),
		fmt.Sprintf("have %.0f s to end", c.Limits.Drain.Seconds()),
		fmt.Sprintf("for %.0f days (`delivery.keep_trying`)", c.Delivery.KeepTrying.Hours()/24),
		"Plain port " + port,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s does not say %q", statement, want)
		}
	}
}
