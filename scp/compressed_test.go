package scp_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"rfanode/dimse"
	"rfanode/internal/tooltest"
	"rfanode/scp"
)

// Compressed objects, and those in other byte orders, are stored exactly as DCMTK sends them, in the transfer syntax that
// was negotiated for them.
func TestCompressedFromDCMTK(t *testing.T) {
	storescu := tooltest.Need(t, "storescu")
	syntaxes := []string{dimse.ExplicitVRLittleEndian, dimse.ImplicitVRLittleEndian, dimse.DeflatedExplicitVRLittleEndian,
		"1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.5",
		dimse.ExplicitVRBigEndian, "1.2.840.10008.1.2.4.81"}
	r := start(t, func(s *scp.Server) { s.TransferSyntaxes = syntaxes })
	dir := t.TempDir()
	plain := writeSeries(t, dir, 8, dimse.ExplicitVRLittleEndian)
	for i, c := range []struct {
		tool   []string // and its options
		offer  string   // of storescu
		syntax string
	}{
		{[]string{"dcmcjpeg", "+e1"}, "-xs", "1.2.840.10008.1.2.4.70"},
		{[]string{"dcmcjpls", "+el"}, "-xt", "1.2.840.10008.1.2.4.80"},
		{[]string{"dcmcrle"}, "-xr", "1.2.840.10008.1.2.5"},
		{[]string{"dcmconv", "+td"}, "-xd", dimse.DeflatedExplicitVRLittleEndian},
		{[]string{"dcmconv", "+tb"}, "-xb", dimse.ExplicitVRBigEndian},
		{[]string{"dcmconv", "+ti"}, "-xi", dimse.ImplicitVRLittleEndian},
		{[]string{"dcmcjpeg", "+el"}, "", "1.2.840.10008.1.2.4.57"},
	} {
		name := c.tool[0] + c.tool[len(c.tool)-1]
		t.Run(name, func(t *testing.T) {
			packed := filepath.Join(dir, name+".dcm")
			if out, err := run(t, tooltest.Need(t, c.tool[0]), append(c.tool[1:len(c.tool):len(c.tool)], plain[i], packed)...); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if c.offer == "" { // storescu does not offer it, our own sender does
				err := (&dimse.Client{}).Store(t.Context(), dimse.Peer{AETitle: "RFANODE", Address: r.addr}, objectsOf(t, []string{packed}),
					func(_ int, o dimse.Outcome) {
						if !o.Stored {
							t.Errorf("%v", o)
						}
					})
				if err != nil {
					t.Fatal(err)
				}
			} else if out, err := run(t, storescu, "-R", c.offer, "-aec", "RFANODE", r.host, r.port, packed); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			meta, sent := dataSet(t, packed)
			got, kept := dataSet(t, r.archive.Path(meta.SOPInstanceUID))
			if got.TransferSyntaxUID != c.syntax {
				t.Errorf("stored as %s, want %s", got.TransferSyntaxUID, c.syntax)
			}
			if c.syntax != dimse.DeflatedExplicitVRLittleEndian && !bytes.Equal(sent, kept) {
				t.Error("the stored data set is not the one sent")
			}
			if _, err := dimse.CheckFile(r.archive.Path(meta.SOPInstanceUID), dimse.CheckLimits{}); err != nil {
				t.Error(err)
			}
		})
	}
}

// A data set that is sent deflated is stored as it came, byte for byte.
func TestDeflatedAsSent(t *testing.T) {
	r := start(t, func(s *scp.Server) {
		s.TransferSyntaxes = []string{dimse.ExplicitVRLittleEndian, dimse.DeflatedExplicitVRLittleEndian}
	})
	dir := t.TempDir()
	plain := writeSeries(t, dir, 1, dimse.ExplicitVRLittleEndian)[0]
	packed := filepath.Join(dir, "deflated.dcm")
	if out, err := run(t, tooltest.Need(t, "dcmconv"), "+td", plain, packed); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	err := (&dimse.Client{}).Store(t.Context(), dimse.Peer{AETitle: "RFANODE", Address: r.addr}, objectsOf(t, []string{packed}),
		func(_ int, o dimse.Outcome) {
			if !o.Stored {
				t.Errorf("%v", o)
			}
		})
	if err != nil {
		t.Fatal(err)
	}
	meta, sent := dataSet(t, packed)
	if got, kept := dataSet(t, r.archive.Path(meta.SOPInstanceUID)); got.TransferSyntaxUID != meta.TransferSyntaxUID || !bytes.Equal(sent, kept) {
		t.Error("stored otherwise")
	}
	if _, err := os.Stat(r.archive.Path(meta.SOPInstanceUID)); err != nil {
		t.Error(err)
	}
}

// Where any transfer syntax is to be taken, one that nobody can decode is, unless a better one is offered.
func TestAnyTransferSyntax(t *testing.T) {
	const baseline = "1.2.840.10008.1.2.4.50"
	r := start(t, func(s *scp.Server) { s.AnyTransferSyntax = true })
	rq := goodRequest()
	rq.contexts = [][]byte{proposed(1, ctClass, baseline), proposed(3, ctClass, baseline, dimse.ImplicitVRLittleEndian),
		proposed(5, ctClass, "1.2.3.4"), proposed(7, dimse.Verification, baseline)}
	body := dial(t, r).send(rq.bytes()).expect("AC")
	for _, want := range [][]byte{
		item(0x21, []byte{1, 0, 0, 0}, item(0x40, []byte(baseline))),
		item(0x21, []byte{3, 0, 0, 0}, item(0x40, []byte(dimse.ImplicitVRLittleEndian))),
		item(0x21, []byte{5, 0, 4, 0}), item(0x21, []byte{7, 0, 4, 0}),
	} {
		if !bytes.Contains(body, want[4:8]) || len(want) > 8 && !bytes.Contains(body, want) {
			t.Errorf("not answered: %x", want)
		}
	}
}
