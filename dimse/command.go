package dimse

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// CommandField says what a message is (PS3.7 annex E.1); responses have bit 15 set.
type CommandField uint16

const (
	CStoreRQ       CommandField = 0x0001
	CGetRQ         CommandField = 0x0010
	CFindRQ        CommandField = 0x0020
	CMoveRQ        CommandField = 0x0021
	CEchoRQ        CommandField = 0x0030
	NEventReportRQ CommandField = 0x0100
	NGetRQ         CommandField = 0x0110
	NSetRQ         CommandField = 0x0120
	NActionRQ      CommandField = 0x0130
	NCreateRQ      CommandField = 0x0140
	NDeleteRQ      CommandField = 0x0150
	CCancelRQ      CommandField = 0x0FFF
	responseBit    CommandField = 0x8000
)

// Response is the field of the answer to f.
func (f CommandField) Response() CommandField { return f | responseBit }

// IsResponse says whether f answers another message.
func (f CommandField) IsResponse() bool { return f&responseBit != 0 }

func (f CommandField) String() string {
	name, ok := map[CommandField]string{CStoreRQ: "C-STORE", CGetRQ: "C-GET", CFindRQ: "C-FIND", CMoveRQ: "C-MOVE",
		CEchoRQ: "C-ECHO", NEventReportRQ: "N-EVENT-REPORT", NGetRQ: "N-GET", NSetRQ: "N-SET", NActionRQ: "N-ACTION",
		NCreateRQ: "N-CREATE", NDeleteRQ: "N-DELETE", CCancelRQ: "C-CANCEL"}[f&^responseBit]
	switch {
	case !ok:
		return fmt.Sprintf("command %04XH", uint16(f))
	case f.IsResponse():
		return name + "-RSP"
	}
	return name + "-RQ"
}

// Tag is a data element tag: group in the upper, element in the lower 16 bits.
type Tag uint32

func (t Tag) group() uint16 { return uint16(t >> 16) }

func (t Tag) String() string { return fmt.Sprintf("(%04X,%04X)", uint16(t>>16), uint16(t)) }

// Command elements (PS3.7 annex E.1). They exist only on the wire; all are Implicit VR Little Endian.
const (
	tagGroupLength             Tag    = 0x0000_0000
	tagAffectedSOPClassUID     Tag    = 0x0000_0002
	tagRequestedSOPClassUID    Tag    = 0x0000_0003
	tagCommandField            Tag    = 0x0000_0100
	tagMessageID               Tag    = 0x0000_0110
	tagMessageIDRespondedTo    Tag    = 0x0000_0120
	tagMoveDestination         Tag    = 0x0000_0600
	tagPriority                Tag    = 0x0000_0700
	tagDataSetType             Tag    = 0x0000_0800
	tagStatus                  Tag    = 0x0000_0900
	tagOffendingElement        Tag    = 0x0000_0901
	tagErrorComment            Tag    = 0x0000_0902
	tagAffectedSOPInstanceUID  Tag    = 0x0000_1000
	tagRequestedSOPInstanceUID Tag    = 0x0000_1001
	tagEventTypeID             Tag    = 0x0000_1002
	tagActionTypeID            Tag    = 0x0000_1008
	tagRemaining               Tag    = 0x0000_1020
	tagCompleted               Tag    = 0x0000_1021
	tagFailed                  Tag    = 0x0000_1022
	tagWarning                 Tag    = 0x0000_1023
	tagMoveOriginatorAE        Tag    = 0x0000_1030
	tagMoveOriginatorMessageID Tag    = 0x0000_1031
	noDataSet                         = 0x0101 // value of the Data Set Type when no data set follows
	maxErrorComment                   = 64     // characters of an LO
	commandElementHeader              = 8      // tag and length
	maxCommandSet                     = 64 << 10
	defaultPriority            uint16 = 0 // medium
)

// Command is the command set of one message. Which fields are written depends on Field; empty strings never are.
type Command struct {
	Field                   CommandField
	AffectedSOPClassUID     string
	RequestedSOPClassUID    string
	AffectedSOPInstanceUID  string
	RequestedSOPInstanceUID string
	MessageID               uint16 // of a request
	MessageIDRespondedTo    uint16 // of a response, and of C-CANCEL-RQ
	Priority                uint16
	HasDataSet              bool
	Status                  uint16 // of a response
	OffendingElements       []Tag
	ErrorComment            string // at most 64 characters are written
	EventTypeID             uint16 // of N-EVENT-REPORT
	ActionTypeID            uint16 // of N-ACTION
	MoveDestination         string // of C-MOVE: the AE title that objects go to
	SubOperations           SubOperations
	MoveOriginatorAE        string // of a C-STORE that is part of a C-MOVE
	MoveOriginatorMessageID uint16

	present map[Tag]bool // what was there when it was read
}

// SubOperations count the C-STOREs of a C-MOVE, in its responses.
type SubOperations struct{ Remaining, Completed, Failed, Warning uint16 }

// Missing returns the elements that a request of this kind must have and that were not there when it was read.
func (c *Command) Missing() []Tag {
	required := []Tag{tagMessageID, tagDataSetType}
	switch c.Field {
	case CStoreRQ:
		required = append(required, tagAffectedSOPClassUID, tagAffectedSOPInstanceUID)
	case CEchoRQ:
		required = append(required, tagAffectedSOPClassUID)
	case CFindRQ, CMoveRQ, CGetRQ:
		required = append(required, tagAffectedSOPClassUID)
	case NActionRQ:
		required = append(required, tagRequestedSOPClassUID, tagRequestedSOPInstanceUID, tagActionTypeID)
	case NEventReportRQ:
		required = append(required, tagAffectedSOPClassUID, tagAffectedSOPInstanceUID, tagEventTypeID)
	case CCancelRQ:
		required = []Tag{tagMessageIDRespondedTo}
	}
	var missing []Tag
	for _, t := range required {
		if !c.present[t] {
			missing = append(missing, t)
		}
	}
	return missing
}

// parseCommand reads a command set. Group length and unknown elements are ignored; whether anything required is missing
// is asked later, by Missing, so that the peer can be given a proper answer.
func parseCommand(b []byte) (Command, error) {
	c := Command{present: make(map[Tag]bool)}
	r := &reader{unit: "command set", b: b}
	dataSetType := uint16(noDataSet)
	for r.left() > 0 {
		head, err := r.take("element", commandElementHeader)
		if err != nil {
			return c, err
		}
		tag := Tag(binary.LittleEndian.Uint16(head))<<16 | Tag(binary.LittleEndian.Uint16(head[2:]))
		length := binary.LittleEndian.Uint32(head[4:])
		if uint64(length) > uint64(r.left()) {
			return c, r.fail("element "+tag.String(), "length %d, %d bytes left", length, r.left())
		}
		value, err := r.take("element "+tag.String(), int(length))
		if err != nil {
			return c, err
		}
		if tag.group() != 0 {
			return c, r.fail("element "+tag.String(), "not a command element")
		}
		us := func(to *uint16) {
			if len(value) == 2 {
				*to = binary.LittleEndian.Uint16(value)
				c.present[tag] = true
			}
		}
		text := func(to *string) {
			*to = trimUID(value)
			c.present[tag] = true
		}
		switch tag {
		case tagAffectedSOPClassUID:
			text(&c.AffectedSOPClassUID)
		case tagRequestedSOPClassUID:
			text(&c.RequestedSOPClassUID)
		case tagAffectedSOPInstanceUID:
			text(&c.AffectedSOPInstanceUID)
		case tagRequestedSOPInstanceUID:
			text(&c.RequestedSOPInstanceUID)
		case tagCommandField:
			us((*uint16)(&c.Field))
		case tagMessageID:
			us(&c.MessageID)
		case tagMessageIDRespondedTo:
			us(&c.MessageIDRespondedTo)
		case tagPriority:
			us(&c.Priority)
		case tagDataSetType:
			us(&dataSetType)
		case tagStatus:
			us(&c.Status)
		case tagEventTypeID:
			us(&c.EventTypeID)
		case tagActionTypeID:
			us(&c.ActionTypeID)
		case tagRemaining:
			us(&c.SubOperations.Remaining)
		case tagCompleted:
			us(&c.SubOperations.Completed)
		case tagFailed:
			us(&c.SubOperations.Failed)
		case tagWarning:
			us(&c.SubOperations.Warning)
		case tagMoveDestination:
			text(&c.MoveDestination)
			c.MoveDestination = strings.TrimSpace(c.MoveDestination)
		case tagErrorComment:
			text(&c.ErrorComment)
		case tagMoveOriginatorAE:
			text(&c.MoveOriginatorAE)
			c.MoveOriginatorAE = strings.TrimSpace(c.MoveOriginatorAE)
		case tagMoveOriginatorMessageID:
			us(&c.MoveOriginatorMessageID)
		case tagOffendingElement:
			for ; len(value) >= 4; value = value[4:] {
				c.OffendingElements = append(c.OffendingElements,
					Tag(binary.LittleEndian.Uint16(value))<<16|Tag(binary.LittleEndian.Uint16(value[2:])))
			}
		}
	}
	c.HasDataSet = dataSetType != noDataSet
	if !c.present[tagCommandField] {
		return c, &SyntaxError{r.unit, "element " + tagCommandField.String(), r.base, "missing"}
	}
	return c, nil
}

// appendCommand appends the encoded command set.
func appendCommand(b []byte, c Command) []byte {
	start := len(b)
	b = appendElement(b, tagGroupLength, make([]byte, 4))
	us := func(t Tag, v uint16) { b = appendElement(b, t, binary.LittleEndian.AppendUint16(nil, v)) }
	text := func(t Tag, v string, pad byte) {
		if v == "" {
			return
		}
		if len(v)%2 == 1 {
			v += string(pad)
		}
		b = appendElement(b, t, []byte(v))
	}
	text(tagAffectedSOPClassUID, c.AffectedSOPClassUID, 0)
	text(tagRequestedSOPClassUID, c.RequestedSOPClassUID, 0)
	us(tagCommandField, uint16(c.Field))
	if c.Field.IsResponse() || c.Field == CCancelRQ {
		us(tagMessageIDRespondedTo, c.MessageIDRespondedTo)
	} else {
		us(tagMessageID, c.MessageID)
	}
	if c.Field == CMoveRQ {
		text(tagMoveDestination, c.MoveDestination, ' ')
	}
	switch c.Field {
	case CStoreRQ, CFindRQ, CMoveRQ, CGetRQ:
		us(tagPriority, c.Priority)
	}
	if c.HasDataSet {
		us(tagDataSetType, 0)
	} else {
		us(tagDataSetType, noDataSet)
	}
	if c.Field.IsResponse() {
		us(tagStatus, c.Status)
	}
	if len(c.OffendingElements) > 0 {
		var v []byte
		for _, t := range c.OffendingElements {
			v = binary.LittleEndian.AppendUint16(v, t.group())
			v = binary.LittleEndian.AppendUint16(v, uint16(t))
		}
		b = appendElement(b, tagOffendingElement, v)
	}
	text(tagErrorComment, c.ErrorComment[:min(len(c.ErrorComment), maxErrorComment)], ' ')
	text(tagAffectedSOPInstanceUID, c.AffectedSOPInstanceUID, 0)
	text(tagRequestedSOPInstanceUID, c.RequestedSOPInstanceUID, 0)
	switch {
	case c.Field&^responseBit == NEventReportRQ && c.EventTypeID != 0:
		us(tagEventTypeID, c.EventTypeID)
	case c.Field&^responseBit == NActionRQ && c.ActionTypeID != 0:
		us(tagActionTypeID, c.ActionTypeID)
	case c.Field == CMoveRQ.Response():
		us(tagRemaining, c.SubOperations.Remaining)
		us(tagCompleted, c.SubOperations.Completed)
		us(tagFailed, c.SubOperations.Failed)
		us(tagWarning, c.SubOperations.Warning)
	}
	if c.MoveOriginatorAE != "" {
		text(tagMoveOriginatorAE, c.MoveOriginatorAE, ' ')
		us(tagMoveOriginatorMessageID, c.MoveOriginatorMessageID)
	}
	binary.LittleEndian.PutUint32(b[start+commandElementHeader:], uint32(len(b)-start-commandElementHeader-4))
	return b
}

func appendElement(b []byte, t Tag, value []byte) []byte {
	b = binary.LittleEndian.AppendUint16(b, t.group())
	b = binary.LittleEndian.AppendUint16(b, uint16(t))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(value)))
	return append(b, value...)
}

// Status codes (PS3.7 annex C, PS3.4 annex B.2.3) that are answered here.
const (
	StatusSuccess              uint16 = 0x0000
	StatusCancelled            uint16 = 0xFE00
	StatusPending              uint16 = 0xFF00
	StatusPendingWithWarning   uint16 = 0xFF01 // optional keys are not all supported
	StatusProcessingFailure    uint16 = 0x0110
	StatusNoSuchInstance       uint16 = 0x0112
	StatusNoSuchEventType      uint16 = 0x0113
	StatusInvalidArgument      uint16 = 0x0115
	StatusInvalidInstance      uint16 = 0x0117
	StatusNoSuchClass          uint16 = 0x0118
	StatusClassConflict        uint16 = 0x0119
	StatusMissingAttribute     uint16 = 0x0120
	StatusNoSuchAction         uint16 = 0x0123
	StatusDestinationUnknown   uint16 = 0xA801 // C-MOVE
	StatusSubOperationsFailed  uint16 = 0xB000 // C-MOVE: some of them
	StatusClassNotSupported    uint16 = 0x0122
	StatusNotAuthorized        uint16 = 0x0124
	StatusDuplicateInvocation  uint16 = 0x0210
	StatusUnrecognizedOp       uint16 = 0x0211
	StatusMistypedArgument     uint16 = 0x0212
	StatusResourceLimitation   uint16 = 0x0213
	StatusOutOfResources       uint16 = 0xA700
	StatusDataSetMismatch      uint16 = 0xA900
	StatusCannotUnderstand     uint16 = 0xC000
	StatusTruncated            uint16 = 0xC001 // an element or the data set ends where it must not
	StatusTooDeep              uint16 = 0xC002 // nesting
	StatusTooLarge             uint16 = 0xC003 // size, number of elements, inflation
	StatusNoStudyOrSeries      uint16 = 0xC004
	statusWarningStoreCoercion uint16 = 0xB000
)
