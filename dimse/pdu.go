package dimse

import "fmt"

// pduType is the first byte of a protocol data unit (PS3.8 section 9.3.1).
type pduType byte

const (
	typeAssociateRQ pduType = 1 + iota
	typeAssociateAC
	typeAssociateRJ
	typePData
	typeReleaseRQ
	typeReleaseRP
	typeAbort
)

func (t pduType) String() string {
	names := [...]string{"A-ASSOCIATE-RQ", "A-ASSOCIATE-AC", "A-ASSOCIATE-RJ", "P-DATA-TF", "A-RELEASE-RQ",
		"A-RELEASE-RP", "A-ABORT"}
	if t >= 1 && int(t) <= len(names) {
		return names[t-1]
	}
	return fmt.Sprintf("PDU of unknown type %02XH", byte(t))
}

// pdu is one protocol data unit: *AssociateRQ, *AssociateAC, Reject, pData, releaseRQ, releaseRP or Abort.
type pdu interface{ pduType() pduType }

// AssociateRQ asks for an association (PS3.8 section 9.3.2).
type AssociateRQ struct {
	ProtocolVersion    uint16 // bit 0 stands for version 1
	CalledAE           string // who is asked; spaces at the ends are not significant and are gone
	CallingAE          string // who asks
	ApplicationContext string
	Contexts           []ProposedContext
	User               UserInformation
}

// ProposedContext offers one abstract syntax (an SOP class) in one or several transfer syntaxes.
type ProposedContext struct {
	ID               byte // odd
	AbstractSyntax   string
	TransferSyntaxes []string
}

// AssociateAC accepts an association (PS3.8 section 9.3.3).
type AssociateAC struct {
	ProtocolVersion     uint16
	CalledAE, CallingAE string // sent back as they came
	ApplicationContext  string
	Contexts            []ContextAnswer
	User                UserInformation
}

// ContextAnswer answers one proposed context.
type ContextAnswer struct {
	ID             byte
	Result         ContextResult
	TransferSyntax string // significant only when accepted
}

// ContextResult is the answer to a presentation context (PS3.8 table 9-18).
type ContextResult byte

const (
	ContextAccepted ContextResult = iota
	ContextUserRejected
	ContextNoReason
	ContextAbstractSyntax
	ContextTransferSyntaxes
)

func (r ContextResult) String() string {
	names := [...]string{"acceptance", "user rejection", "no reason (provider rejection)",
		"abstract syntax not supported", "transfer syntaxes not supported"}
	if int(r) < len(names) {
		return names[r]
	}
	return fmt.Sprintf("unknown result %d", byte(r))
}

// UserInformation is the user information item (PS3.7 annex D.3.3). Sub-items that are not listed are skipped.
type UserInformation struct {
	MaxLength              uint32 // longest P-DATA-TF the sender of this item takes, after the six-byte header; 0: no limit
	HasMaxLength           bool
	ImplementationClassUID string
	ImplementationVersion  string
	Async                  *AsyncWindow
	Roles                  []RoleSelection
	Identity               *UserIdentity     // of a request
	IdentityResponse       *IdentityResponse // of an acceptance
}

// AsyncWindow is the asynchronous operations window (PS3.7 D.3.3.3); 0 is no limit.
type AsyncWindow struct{ Invoked, Performed uint16 }

// RoleSelection is the SCP/SCU role selection for one SOP class (PS3.7 D.3.3.4).
type RoleSelection struct {
	SOPClassUID string
	SCU, SCP    bool
}

// UserIdentity is the user identity of a request (PS3.7 D.3.3.7). Its fields are secrets: never logged.
type UserIdentity struct {
	Type              byte // 1 name, 2 name and passcode, 3 Kerberos, 4 SAML, 5 JSON web token
	ResponseRequested bool
	Primary           []byte
	Secondary         []byte
}

// IdentityResponse is the acceptor's answer to a user identity (PS3.7 D.3.3.7.2): nothing for types 1 and 2.
type IdentityResponse struct{ Server []byte }

// NewUser is the identity of a user with a passcode, or by name alone if it is empty.
func NewUser(name, passcode string) *UserIdentity {
	if passcode == "" {
		return &UserIdentity{Type: 1, Primary: []byte(name)}
	}
	return &UserIdentity{Type: 2, Primary: []byte(name), Secondary: []byte(passcode)}
}

// Reject refuses an association (PS3.8 section 9.3.4).
type Reject struct {
	Result RejectResult
	Source RejectSource
	Reason byte // its meaning depends on Source: see String
}

// RejectResult says whether asking again later makes sense.
type RejectResult byte

const (
	RejectedPermanent RejectResult = 1
	RejectedTransient RejectResult = 2
)

// RejectSource says who refused.
type RejectSource byte

const (
	SourceUser             RejectSource = 1
	SourceProviderACSE     RejectSource = 2
	SourceProviderPresence RejectSource = 3
)

// The rejections that are used here, by the names of PS3.8 table 9-21.
var (
	RejectNoReason           = Reject{RejectedPermanent, SourceUser, 1}
	RejectApplicationContext = Reject{RejectedPermanent, SourceUser, 2}
	RejectCallingAE          = Reject{RejectedPermanent, SourceUser, 3}
	RejectCalledAE           = Reject{RejectedPermanent, SourceUser, 7}
	RejectProtocolVersion    = Reject{RejectedPermanent, SourceProviderACSE, 2}
	RejectProviderNoReason   = Reject{RejectedPermanent, SourceProviderACSE, 1} // of a user identity
	RejectCongestion         = Reject{RejectedTransient, SourceProviderPresence, 1}
	RejectLocalLimit         = Reject{RejectedTransient, SourceProviderPresence, 2}
)

func (r Reject) String() string {
	result := map[RejectResult]string{RejectedPermanent: "permanent", RejectedTransient: "transient"}[r.Result]
	if result == "" {
		result = "unknown result"
	}
	reason := map[[2]byte]string{
		{1, 1}: "no reason given", {1, 2}: "application context name not supported",
		{1, 3}: "calling AE title not recognized", {1, 7}: "called AE title not recognized",
		{2, 1}: "no reason given", {2, 2}: "protocol version not supported",
		{3, 1}: "temporary congestion", {3, 2}: "local limit exceeded",
	}[[2]byte{byte(r.Source), r.Reason}]
	if reason == "" {
		reason = "reserved reason"
	}
	return fmt.Sprintf("%s (%s, %d/%d/%d)", reason, result, r.Result, r.Source, r.Reason)
}

// Abort ends an association at once (PS3.8 section 9.3.8).
type Abort struct{ Source, Reason byte }

// The aborts that are used here, by the names of PS3.8 table 9-26. AbortByUser is also the answer to anything wrong
// before the association stands (action AA-1).
var (
	AbortByUser               = Abort{0, 0}
	AbortUnknownPDU           = Abort{2, 1}
	AbortUnexpectedPDU        = Abort{2, 2}
	AbortUnknownParameter     = Abort{2, 4}
	AbortUnexpectedParameter  = Abort{2, 5}
	AbortInvalidParameter     = Abort{2, 6}
	abortReasonsOfTheProvider = [...]string{"reason not specified", "unrecognized PDU", "unexpected PDU", "reserved",
		"unrecognized PDU parameter", "unexpected PDU parameter", "invalid PDU parameter value"}
)

func (a Abort) String() string {
	switch {
	case a.Source == 0:
		return "by the service user"
	case a.Source == 2 && int(a.Reason) < len(abortReasonsOfTheProvider):
		return fmt.Sprintf("by the service provider: %s (%d/%d)", abortReasonsOfTheProvider[a.Reason], a.Source, a.Reason)
	}
	return fmt.Sprintf("%d/%d", a.Source, a.Reason)
}

// pData carries presentation data values (PS3.8 section 9.3.5).
type pData struct{ values []pdv }

// pdv is one presentation data value: a fragment of a command set or of a data set.
type pdv struct {
	pdvHeader
	fragment []byte
}

// pdvHeader is what precedes the fragment (PS3.8 annex E.2).
type pdvHeader struct {
	length  uint32 // of the fragment
	context byte
	command bool
	last    bool
}

type (
	releaseRQ struct{}
	releaseRP struct{}
)

func (*AssociateRQ) pduType() pduType { return typeAssociateRQ }
func (*AssociateAC) pduType() pduType { return typeAssociateAC }
func (Reject) pduType() pduType       { return typeAssociateRJ }
func (pData) pduType() pduType        { return typePData }
func (releaseRQ) pduType() pduType    { return typeReleaseRQ }
func (releaseRP) pduType() pduType    { return typeReleaseRP }
func (Abort) pduType() pduType        { return typeAbort }
