package scp_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rfanode/dimse"
	"rfanode/internal/tooltest"
	"rfanode/scp"
)

// pynetdicom proposes every transfer syntax by itself and all kinds of extended negotiation at once: each context has its
// own answer, the window is granted within our limit, and what is not known here does no harm.
func TestExtendedNegotiation(t *testing.T) {
	python := tooltest.Python(t)
	syntaxes := []string{dimse.ExplicitVRLittleEndian, dimse.ImplicitVRLittleEndian, dimse.DeflatedExplicitVRLittleEndian,
		"1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.90",
		dimse.ExplicitVRBigEndian, "1.2.840.10008.1.2.4.81"}
	r := start(t, func(s *scp.Server) { s.TransferSyntaxes = syntaxes })
	script := filepath.Join(t.TempDir(), "negotiate.py")
	err := os.WriteFile(script, []byte(`
import sys
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import AllTransferSyntaxes, ExplicitVRLittleEndian
from pynetdicom import AE, build_context, build_role
from pynetdicom.pdu_primitives import (AsynchronousOperationsWindowNegotiation, SOPClassExtendedNegotiation,
    SOPClassCommonExtendedNegotiation, UserIdentityNegotiation)
from pynetdicom.sop_class import CTImageStorage, SecondaryCaptureImageStorage
port, ours = int(sys.argv[1]), sys.argv[2:]
ae = AE("PYSCU")
ae.requested_contexts = [build_context(CTImageStorage, ts) for ts in AllTransferSyntaxes][:120]
window = AsynchronousOperationsWindowNegotiation()
window.maximum_number_operations_invoked, window.maximum_number_operations_performed = 5, 1
extended = SOPClassExtendedNegotiation()
extended.sop_class_uid, extended.service_class_application_information = CTImageStorage, b"\x02\x00\x03\x00\x01\x00"
common = SOPClassCommonExtendedNegotiation()
common.sop_class_uid, common.service_class_uid = SecondaryCaptureImageStorage, "1.2.840.10008.4.2"
common.related_general_sop_class_identification = [CTImageStorage]
user = UserIdentityNegotiation()
user.user_identity_type, user.primary_field, user.positive_response_requested = 1, b"somebody", False
a = ae.associate("127.0.0.1", port, ae_title="RFANODE", ext_neg=[window, extended, common, user, build_role(CTImageStorage, scu_role=True, scp_role=True)])
assert a.is_established, "no association"
got = {str(c.transfer_syntax[0]) for c in a.accepted_contexts}
wrong = got ^ {t for t in ours if t in set(map(str, AllTransferSyntaxes))}
assert not wrong, wrong
items = {type(i).__name__: i for i in a.acceptor.user_information}
w = items["AsynchronousOperationsWindowNegotiation"]
assert (w.maximum_number_operations_invoked, w.maximum_number_operations_performed) == (5, 1), w
role = items["SCP_SCU_RoleSelectionNegotiation"]
assert role.scu_role and not role.scp_role, role
d = Dataset()
d.file_meta = FileMetaDataset(); d.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
d.SOPClassUID, d.SOPInstanceUID, d.StudyInstanceUID, d.SeriesInstanceUID, d.PatientID = CTImageStorage, "1.2.3.4", "1.2.3", "1.2.3.1", "P"
d.file_meta.MediaStorageSOPClassUID, d.file_meta.MediaStorageSOPInstanceUID = d.SOPClassUID, d.SOPInstanceUID
d.is_little_endian, d.is_implicit_VR = True, False
assert a.send_c_store(d).Status == 0
a.release()
print(len(got), "contexts accepted")
`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	out, err := run(t, python, append([]string{"-W", "ignore", script, r.port}, syntaxes...)...)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Log(strings.TrimSpace(out))
	if n := len(r.stored()); n != 1 {
		t.Errorf("%d stored", n)
	}
}

// A peer that may only store, or only ask for commitment, finds the other contexts refused to it, and C-ECHO allowed.
func TestPeerServices(t *testing.T) {
	r := start(t, func(s *scp.Server) {
		committing(t, t.TempDir(), nil)(s)
		s.AllowAnyPeer = false
		s.Peers = []scp.Peer{{AETitle: "STORES", Services: []scp.Service{scp.Store}}, {AETitle: "COMMITS", Services: []scp.Service{scp.Commit}},
			{AETitle: "BOTH"}}
	})
	for title, want := range map[string][2]bool{"STORES": {true, false}, "COMMITS": {false, true}, "BOTH": {true, true}} {
		taken, err := (&dimse.Client{AETitle: title}).Accepts(t.Context(), dimse.Peer{AETitle: "RFANODE", Address: r.addr},
			dimse.Verification, ctClass, dimse.StorageCommitment)
		if err != nil || !taken[dimse.Verification] || taken[ctClass] != want[0] || taken[dimse.StorageCommitment] != want[1] {
			t.Errorf("%s: %v, %v", title, taken, err)
		}
	}
	rq := goodRequest()
	rq.calling = "COMMITS"
	body := dial(t, r).send(rq.bytes()).expect("AC")
	if !bytes.Contains(body, []byte{storeID, 0, 1, 0}) {
		t.Error("the refusal is not \"user rejection\"")
	}
}
