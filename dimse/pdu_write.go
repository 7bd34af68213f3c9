package dimse

import (
	"encoding/binary"
	"strings"
)

// Types of the items inside A-ASSOCIATE-RQ and -AC (PS3.8 sections 9.3.2 and 9.3.3, PS3.7 annex D.3.3).
const (
	itemApplicationContext  = 0x10
	itemProposedContext     = 0x20
	itemContextAnswer       = 0x21
	itemAbstractSyntax      = 0x30
	itemTransferSyntax      = 0x40
	itemUserInformation     = 0x50
	itemMaxLength           = 0x51
	itemImplementationClass = 0x52
	itemAsyncWindow         = 0x53
	itemRoleSelection       = 0x54
	itemImplementationName  = 0x55
	itemUserIdentity        = 0x58
	itemIdentityResponse    = 0x59
)

// appendPDU appends the bytes of p to b.
func appendPDU(b []byte, p pdu) []byte {
	start := len(b)
	b = append(b, byte(p.pduType()), 0, 0, 0, 0, 0)
	switch p := p.(type) {
	case *AssociateRQ:
		b = appendAssociateHead(b, p.ProtocolVersion, p.CalledAE, p.CallingAE)
		b = appendItem(b, itemApplicationContext, []byte(p.ApplicationContext))
		for _, c := range p.Contexts {
			body := appendItem([]byte{c.ID, 0, 0, 0}, itemAbstractSyntax, []byte(c.AbstractSyntax))
			for _, ts := range c.TransferSyntaxes {
				body = appendItem(body, itemTransferSyntax, []byte(ts))
			}
			b = appendItem(b, itemProposedContext, body)
		}
		b = appendItem(b, itemUserInformation, appendUser(nil, p.User))
	case *AssociateAC:
		b = appendAssociateHead(b, p.ProtocolVersion, p.CalledAE, p.CallingAE)
		b = appendItem(b, itemApplicationContext, []byte(p.ApplicationContext))
		for _, c := range p.Contexts {
			body := appendItem([]byte{c.ID, 0, byte(c.Result), 0}, itemTransferSyntax, []byte(c.TransferSyntax))
			b = appendItem(b, itemContextAnswer, body)
		}
		b = appendItem(b, itemUserInformation, appendUser(nil, p.User))
	case Reject:
		b = append(b, 0, byte(p.Result), byte(p.Source), p.Reason)
	case pData:
		for _, v := range p.values {
			v.length = uint32(len(v.fragment))
			b = append(appendPDVHeader(b, v.pdvHeader), v.fragment...)
		}
	case Abort:
		b = append(b, 0, 0, p.Source, p.Reason)
	case releaseRQ, releaseRP:
		b = append(b, 0, 0, 0, 0)
	}
	binary.BigEndian.PutUint32(b[start+2:], uint32(len(b)-start-pduHeaderLength))
	return b
}

func appendAssociateHead(b []byte, version uint16, called, calling string) []byte {
	b = binary.BigEndian.AppendUint16(b, version)
	b = append(b, 0, 0)
	b = appendAE(b, called)
	b = appendAE(b, calling)
	return append(b, make([]byte, 32)...)
}

// appendAE writes an AE title: 16 characters, padded with spaces.
func appendAE(b []byte, title string) []byte {
	if len(title) > 16 {
		title = title[:16]
	}
	return append(append(b, title...), strings.Repeat(" ", 16-len(title))...)
}

func appendItem(b []byte, kind byte, body []byte) []byte {
	b = append(b, kind, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(len(body)))
	return append(b, body...)
}

func appendUser(b []byte, u UserInformation) []byte {
	if u.HasMaxLength {
		b = appendItem(b, itemMaxLength, binary.BigEndian.AppendUint32(nil, u.MaxLength))
	}
	if u.ImplementationClassUID != "" {
		b = appendItem(b, itemImplementationClass, []byte(u.ImplementationClassUID))
	}
	if u.Async != nil {
		body := binary.BigEndian.AppendUint16(nil, u.Async.Invoked)
		b = appendItem(b, itemAsyncWindow, binary.BigEndian.AppendUint16(body, u.Async.Performed))
	}
	for _, r := range u.Roles {
		body := binary.BigEndian.AppendUint16(nil, uint16(len(r.SOPClassUID)))
		body = append(body, r.SOPClassUID...)
		b = appendItem(b, itemRoleSelection, append(body, bit(r.SCU), bit(r.SCP)))
	}
	if u.ImplementationVersion != "" {
		b = appendItem(b, itemImplementationName, []byte(u.ImplementationVersion))
	}
	if id := u.Identity; id != nil {
		body := []byte{id.Type, bit(id.ResponseRequested)}
		body = append(binary.BigEndian.AppendUint16(body, uint16(len(id.Primary))), id.Primary...)
		body = append(binary.BigEndian.AppendUint16(body, uint16(len(id.Secondary))), id.Secondary...)
		b = appendItem(b, itemUserIdentity, body)
	}
	if r := u.IdentityResponse; r != nil {
		body := binary.BigEndian.AppendUint16(nil, uint16(len(r.Server)))
		b = appendItem(b, itemIdentityResponse, append(body, r.Server...))
	}
	return b
}

// appendPDVHeader writes the six bytes before a fragment of h.length bytes.
func appendPDVHeader(b []byte, h pdvHeader) []byte {
	b = binary.BigEndian.AppendUint32(b, h.length+2)
	return append(b, h.context, bit(h.command)|bit(h.last)<<1)
}

func bit(v bool) byte {
	if v {
		return 1
	}
	return 0
}
