package dimse

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func fullRequest() *AssociateRQ {
	return &AssociateRQ{ProtocolVersion: 1, CalledAE: "CALLED", CallingAE: "CALLING", ApplicationContext: ApplicationContext,
		Contexts: []ProposedContext{
			{1, Verification, []string{ImplicitVRLittleEndian}},
			{3, "1.2.840.10008.5.1.4.1.1.2", []string{ExplicitVRLittleEndian, ImplicitVRLittleEndian}},
		},
		User: UserInformation{MaxLength: 16384, HasMaxLength: true, ImplementationClassUID: "1.2.3",
			ImplementationVersion: "TEST_1", Async: &AsyncWindow{5, 1}, Roles: []RoleSelection{{"1.2.840.10008.1.20.1", false, true}},
			Identity: &UserIdentity{2, true, []byte("name"), []byte("pass")}}}
}

// What is written is read back the same.
func TestPDURoundTrip(t *testing.T) {
	for _, p := range []pdu{
		fullRequest(),
		&AssociateAC{ProtocolVersion: 1, CalledAE: "CALLED", CallingAE: "CALLING", ApplicationContext: ApplicationContext,
			Contexts: []ContextAnswer{{1, ContextAccepted, ImplicitVRLittleEndian}, {3, ContextTransferSyntaxes, ImplicitVRLittleEndian}},
			User:     UserInformation{MaxLength: 0, HasMaxLength: true, IdentityResponse: &IdentityResponse{[]byte("ticket")}}},
		RejectCalledAE,
		pData{[]pdv{{pdvHeader{3, 1, true, true}, []byte("abc")}, {pdvHeader{0, 3, false, true}, []byte{}}}},
		releaseRQ{}, releaseRP{}, AbortInvalidParameter,
	} {
		t.Run(p.pduType().String(), func(t *testing.T) {
			b := appendPDU(nil, p)
			kind, length := parsePDUHeader([pduHeaderLength]byte(b))
			if int(length) != len(b)-pduHeaderLength {
				t.Fatalf("length %d of %d bytes", length, len(b))
			}
			got, err := parsePDU(kind, b[pduHeaderLength:])
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, p) {
				t.Errorf("got  %+v\nwant %+v", got, p)
			}
			for cut := range length {
				if _, err := parsePDU(kind, b[pduHeaderLength:pduHeaderLength+cut]); err == nil && p.pduType() != typePData &&
					p.pduType() != typeAssociateRQ && p.pduType() != typeAssociateAC {
					t.Errorf("cut to %d bytes it still reads", cut)
				}
			}
		})
	}
}

// The bytes of the standard's tables (PS3.8 section 9.3), written down by hand: a reader and a writer that share one error would
// pass the round trip.
func TestPDUBytes(t *testing.T) {
	item := func(s string) string { return strings.ReplaceAll(s, " ", "") }
	uid := hex.EncodeToString
	rq := item("01 00 000000c8 0001 0000") +
		uid([]byte("ANY-SCP         ")) + uid([]byte("ECHOSCU         ")) + strings.Repeat("00", 32) +
		item("10 00 0015") + uid([]byte("1.2.840.10008.3.1.1.1")) +
		item("20 00 002e 01 00 00 00 30 00 0011") + uid([]byte("1.2.840.10008.1.1")) + item("40 00 0011") + uid([]byte("1.2.840.10008.1.2")) +
		item("50 00 0035 51 00 0004 00004000 52 00 0015") + uid([]byte("1.2.276.0.7230010.3.0")) +
		item("53 00 0004 0002 0001 55 00 0008") + uid([]byte("OFFIS_36"))
	b, err := hex.DecodeString(rq)
	if err != nil {
		t.Fatal(err)
	}
	want := &AssociateRQ{ProtocolVersion: 1, CalledAE: "ANY-SCP", CallingAE: "ECHOSCU", ApplicationContext: ApplicationContext,
		Contexts: []ProposedContext{{1, Verification, []string{ImplicitVRLittleEndian}}},
		User: UserInformation{MaxLength: 16384, HasMaxLength: true, ImplementationClassUID: "1.2.276.0.7230010.3.0",
			ImplementationVersion: "OFFIS_36", Async: &AsyncWindow{2, 1}}}
	got, err := parsePDU(typeAssociateRQ, b[pduHeaderLength:])
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v", got)
	}
	if written := appendPDU(nil, want); !bytes.Equal(written, b) {
		t.Errorf("written\n%x\nwant\n%x", written, b)
	}
	for text, p := range map[string]pdu{
		"03 00 00000004 00 01 01 07": RejectCalledAE, "05 00 00000004 00000000": releaseRQ{},
		"06 00 00000004 00000000": releaseRP{}, "07 00 00000004 0000 02 06": AbortInvalidParameter,
		"04 00 00000008 00000004 0b 03 6162": pData{[]pdv{{pdvHeader{2, 11, true, true}, []byte("ab")}}},
	} {
		if got := hex.EncodeToString(appendPDU(nil, p)); got != item(text) {
			t.Errorf("%s is written %s, want %s", p.pduType(), got, item(text))
		}
	}
}

func TestBadPDUs(t *testing.T) {
	for name, c := range map[string]struct {
		kind pduType
		hex  string
	}{
		"no value in P-DATA":              {typePData, ""},
		"value of length 0":               {typePData, "0000000001 03"},
		"value of length 1":               {typePData, "0000000101 03"},
		"value past the end":              {typePData, "7fffffff0103"},
		"value one byte past the end":     {typePData, "0000000301 03"},
		"rest too short for a value":      {typePData, "000000020103 0000"},
		"abort too short":                 {typeAbort, "000000"},
		"reject too long":                 {typeAssociateRJ, "0001010100"},
		"request without its fixed part":  {typeAssociateRQ, "0001"},
		"unknown type":                    {8, "00000000"},
		"role selection past its item":    {typeAssociateRQ, strings.Repeat("00", 68) + "50000008 54000004 00ff 3132"},
		"user identity past its item":     {typeAssociateRQ, strings.Repeat("00", 68) + "50000008 58000004 0101 00ff"},
		"context item past the end":       {typeAssociateRQ, strings.Repeat("00", 68) + "2000ffff 01000000"},
		"context answer without its head": {typeAssociateAC, strings.Repeat("00", 68) + "21000002 0100"},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := hex.DecodeString(strings.ReplaceAll(c.hex, " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			_, err = parsePDU(c.kind, b)
			var syntax *SyntaxError
			if !errors.As(err, &syntax) || syntax.Field == "" {
				t.Errorf("got %v", err)
			}
		})
	}
}

// PS3.8 table 9-10, the rows for units that arrive, in the standard's own names of actions.
func TestStateTable(t *testing.T) {
	want := map[state]string{ // RQ AC RJ P-DATA REL-RQ REL-RP ABORT unknown
		awaitingRequest: "AE-6 AA-1 AA-1 AA-1 AA-1 AA-1 AA-2 AA-1",
		awaitingAnswer:  "AA-8 AE-3 AE-4 AA-8 AA-8 AA-8 AA-3 AA-8",
		established:     "AA-8 AA-8 AA-8 DT-2 AR-2 AA-8 AA-3 AA-8",
		awaitingRelease: "AA-8 AA-8 AA-8 AR-6 AR-8 AR-3 AA-3 AA-8",
		awaitingClose:   "AA-7 AA-6 AA-6 AA-6 AA-6 AA-6 AA-2 AA-7",
	}
	means := map[string][]action{"AE-6": {take}, "AE-3": {take}, "AE-4": {take}, "DT-2": {take}, "AR-3": {take},
		"AA-1": {abortAtOnce}, "AA-2": {end}, "AA-3": {end}, "AR-2": {answerRelease}, "AR-8": {answerRelease},
		"AR-6": {skip}, "AA-6": {skip}, "AA-8": {abortUnexpected, abortUnknown},
		"AA-7": {skip}, // the standard repeats A-ABORT to one that no longer listens; closing says the same
	}
	for s, row := range want {
		for i, name := range strings.Fields(row) {
			got := actionFor(s, pduType(i+1))
			ok := false
			for _, a := range means[name] {
				ok = ok || a == got
			}
			if !ok {
				t.Errorf("state %d, %v: action %d, want %s", s, pduType(i+1), got, name)
			}
		}
		if actionFor(s, 0) != actionFor(s, 200) {
			t.Errorf("state %d: unknown types differ", s)
		}
	}
}

func TestCommandRoundTrip(t *testing.T) {
	for _, c := range []Command{
		{Field: CEchoRQ, MessageID: 7, AffectedSOPClassUID: Verification},
		{Field: CStoreRQ, MessageID: 65535, AffectedSOPClassUID: "1.2", AffectedSOPInstanceUID: "1.2.3", Priority: 2,
			HasDataSet: true, MoveOriginatorAE: "PACS", MoveOriginatorMessageID: 9},
		{Field: CStoreRQ.Response(), MessageIDRespondedTo: 7, Status: 0xA900, ErrorComment: "why", AffectedSOPInstanceUID: "1.2.3",
			OffendingElements: []Tag{tagSOPInstanceUID, tagPixelData}},
		{Field: CCancelRQ, MessageIDRespondedTo: 3},
		{Field: NActionRQ, MessageID: 1, RequestedSOPClassUID: "1.2.840.10008.1.20.1", RequestedSOPInstanceUID: "1.2", ActionTypeID: 1, HasDataSet: true},
		{Field: NEventReportRQ, MessageID: 2, AffectedSOPClassUID: "1.2.840.10008.1.20.1", AffectedSOPInstanceUID: "1.2", EventTypeID: 2, HasDataSet: true},
		{Field: CMoveRQ, MessageID: 3, AffectedSOPClassUID: StudyRootMove, MoveDestination: "RFANODE", HasDataSet: true},
		{Field: CMoveRQ.Response(), MessageIDRespondedTo: 3, Status: StatusPending, SubOperations: SubOperations{4, 3, 2, 1}},
	} {
		b := appendCommand(nil, c)
		if length := int(b[8]) | int(b[9])<<8; length != len(b)-12 {
			t.Errorf("%v: group length %d of %d", c.Field, length, len(b)-12)
		}
		got, err := parseCommand(b)
		if err != nil {
			t.Fatal(err)
		}
		if missing := got.Missing(); !c.Field.IsResponse() && len(missing) > 0 {
			t.Errorf("%v: missing %v", c.Field, missing)
		}
		got.present = nil
		if !reflect.DeepEqual(got, c) {
			t.Errorf("got  %+v\nwant %+v", got, c)
		}
	}
	long := appendCommand(nil, Command{Field: CEchoRQ.Response(), ErrorComment: strings.Repeat("x", 100)})
	if got, _ := parseCommand(long); len(got.ErrorComment) != maxErrorComment {
		t.Errorf("comment of %d characters", len(got.ErrorComment))
	}
}

func TestUIDs(t *testing.T) {
	for uid, want := range map[string]bool{"1.2.3": true, "": false, "1..2": false, ".1": false, "1.": false, "1.2a": false,
		"../../x": false, "/abs/x": false, "1.02": true, strings.Repeat("1", 64): true, strings.Repeat("1", 65): false} {
		if ValidUID(uid) != want {
			t.Errorf("ValidUID(%q) is %v", uid, !want)
		}
	}
	for uid, want := range map[string]bool{"1.2.840.10008.5.1.4.1.1.2": true, "1.2.840.10008.5.1.4.1.1.66.7": true,
		"1.2.840.10008.5.1.4.34.7": true, "1.2.840.10008.5.1.4.1.1.200.4": false, "1.2.840.10008.5.1.4.1.1.201.2": false,
		"1.2.840.10008.5.1.4.1.2.2.1": false, Verification: false, "1.2.840.10008.1.20.1": false,
		"1.2.840.10008.5.1.4.1.1.../x": false, "1.2.840.10008.5.1.4.1.1.": false} {
		if IsStorageClass(uid) != want {
			t.Errorf("IsStorageClass(%q) is %v", uid, !want)
		}
	}
}

// A reason must read well in a log: a number that only the standard explains helps nobody.
func TestReasonsPrint(t *testing.T) {
	for got, want := range map[string]string{
		RejectCallingAE.String():       "calling AE title not recognized (permanent, 1/1/3)",
		RejectLocalLimit.String():      "local limit exceeded (transient, 2/3/2)",
		Reject{9, 9, 9}.String():       "reserved reason (unknown result, 9/9/9)",
		AbortInvalidParameter.String(): "by the service provider: invalid PDU parameter value (2/6)",
		AbortByUser.String():           "by the service user",
		Abort{2, 77}.String():          "2/77",
		CStoreRQ.Response().String():   "C-STORE-RSP",
		pduType(0x42).String():         "PDU of unknown type 42H",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
