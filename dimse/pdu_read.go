package dimse

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
)

const (
	pduHeaderLength = 6 // type, reserved, length
	pdvHeaderLength = 6 // length, presentation context id, message control header
)

// SyntaxError is a protocol unit that breaks its own form. Offset counts from the unit's first byte.
type SyntaxError struct {
	Unit   string // what was being read: "A-ASSOCIATE-RQ", "P-DATA-TF", "command set"
	Field  string
	Offset int
	What   string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%s, byte %d, %s: %s", e.Unit, e.Offset, e.Field, e.What)
}

// parsePDUHeader reads the six bytes that begin every unit.
func parsePDUHeader(b [pduHeaderLength]byte) (t pduType, length uint32) {
	return pduType(b[0]), binary.BigEndian.Uint32(b[2:])
}

// parsePDU reads the body of a unit, that is, what follows its six-byte header. It keeps no reference to body except in
// the fragments of pData.
func parsePDU(t pduType, body []byte) (pdu, error) {
	r := &reader{unit: t.String(), b: body, base: pduHeaderLength}
	switch t {
	case typeAssociateRQ:
		return parseAssociateRQ(r)
	case typeAssociateAC:
		return parseAssociateAC(r)
	case typePData:
		return parsePData(r)
	case typeAssociateRJ, typeReleaseRQ, typeReleaseRP, typeAbort:
		f, err := r.take("body", 4)
		if err != nil {
			return nil, err
		}
		if r.left() > 0 {
			return nil, r.fail("length", "%d bytes too many", r.left())
		}
		switch t {
		case typeAssociateRJ:
			return Reject{RejectResult(f[1]), RejectSource(f[2]), f[3]}, nil
		case typeReleaseRQ:
			return releaseRQ{}, nil
		case typeReleaseRP:
			return releaseRP{}, nil
		}
		return Abort{f[2], f[3]}, nil
	}
	return nil, &SyntaxError{Unit: r.unit, Field: "PDU type", What: "not one of 01H to 07H"}
}

func parseAssociateRQ(r *reader) (*AssociateRQ, error) {
	rq := &AssociateRQ{}
	var err error
	if rq.ProtocolVersion, rq.CalledAE, rq.CallingAE, err = parseAssociateHead(r); err != nil {
		return nil, err
	}
	for r.left() > 0 {
		kind, item, err := r.item("variable item")
		if err != nil {
			return nil, err
		}
		switch kind {
		case itemApplicationContext:
			rq.ApplicationContext = trimUID(item.b)
		case itemProposedContext:
			c, err := parseProposedContext(item)
			if err != nil {
				return nil, err
			}
			rq.Contexts = append(rq.Contexts, c)
		case itemUserInformation:
			if rq.User, err = parseUser(item); err != nil {
				return nil, err
			}
		}
	}
	return rq, nil
}

func parseAssociateAC(r *reader) (*AssociateAC, error) {
	ac := &AssociateAC{}
	var err error
	if ac.ProtocolVersion, ac.CalledAE, ac.CallingAE, err = parseAssociateHead(r); err != nil {
		return nil, err
	}
	for r.left() > 0 {
		kind, item, err := r.item("variable item")
		if err != nil {
			return nil, err
		}
		switch kind {
		case itemApplicationContext:
			ac.ApplicationContext = trimUID(item.b)
		case itemContextAnswer:
			f, err := item.take("presentation context", 4)
			if err != nil {
				return nil, err
			}
			c := ContextAnswer{ID: f[0], Result: ContextResult(f[2])}
			for item.left() > 0 {
				kind, sub, err := item.item("presentation context sub-item")
				if err != nil {
					return nil, err
				}
				if kind == itemTransferSyntax {
					c.TransferSyntax = trimUID(sub.b)
				}
			}
			ac.Contexts = append(ac.Contexts, c)
		case itemUserInformation:
			if ac.User, err = parseUser(item); err != nil {
				return nil, err
			}
		}
	}
	return ac, nil
}

func parseAssociateHead(r *reader) (version uint16, called, calling string, err error) {
	f, err := r.take("fixed part", 68)
	if err != nil {
		return 0, "", "", err
	}
	ae := func(b []byte) string { return strings.Trim(string(b), " \x00") }
	return binary.BigEndian.Uint16(f), ae(f[4:20]), ae(f[20:36]), nil
}

func parseProposedContext(r *reader) (ProposedContext, error) {
	f, err := r.take("presentation context", 4)
	if err != nil {
		return ProposedContext{}, err
	}
	c := ProposedContext{ID: f[0]}
	for r.left() > 0 {
		kind, sub, err := r.item("presentation context sub-item")
		if err != nil {
			return ProposedContext{}, err
		}
		switch kind {
		case itemAbstractSyntax:
			c.AbstractSyntax = trimUID(sub.b)
		case itemTransferSyntax:
			c.TransferSyntaxes = append(c.TransferSyntaxes, trimUID(sub.b))
		}
	}
	return c, nil
}

func parseUser(r *reader) (UserInformation, error) {
	var u UserInformation
	for r.left() > 0 {
		kind, sub, err := r.item("user information sub-item")
		if err != nil {
			return u, err
		}
		switch kind {
		case itemMaxLength:
			f, err := sub.take("maximum length", 4)
			if err != nil {
				return u, err
			}
			u.MaxLength, u.HasMaxLength = binary.BigEndian.Uint32(f), true
		case itemImplementationClass:
			u.ImplementationClassUID = trimUID(sub.b)
		case itemImplementationName:
			u.ImplementationVersion = strings.TrimSpace(string(sub.b))
		case itemAsyncWindow:
			f, err := sub.take("asynchronous operations window", 4)
			if err != nil {
				return u, err
			}
			u.Async = &AsyncWindow{binary.BigEndian.Uint16(f), binary.BigEndian.Uint16(f[2:])}
		case itemRoleSelection:
			uid, err := sub.counted("SOP class of the role selection")
			if err != nil {
				return u, err
			}
			f, err := sub.take("roles", 2)
			if err != nil {
				return u, err
			}
			u.Roles = append(u.Roles, RoleSelection{trimUID(uid), f[0] == 1, f[1] == 1})
		case itemIdentityResponse:
			server, err := sub.counted("server response")
			if err != nil {
				return u, err
			}
			u.IdentityResponse = &IdentityResponse{bytes.Clone(server)}
		case itemUserIdentity:
			if u.Identity, err = parseIdentity(sub); err != nil {
				return u, err
			}
		}
	}
	return u, nil
}

func parseIdentity(r *reader) (*UserIdentity, error) {
	f, err := r.take("user identity", 2)
	if err != nil {
		return nil, err
	}
	id := &UserIdentity{Type: f[0], ResponseRequested: f[1] == 1}
	if id.Primary, err = r.counted("primary field"); err != nil {
		return nil, err
	}
	if id.Secondary, err = r.counted("secondary field"); err != nil {
		return nil, err
	}
	return id, nil
}

func parsePData(r *reader) (pData, error) {
	var p pData
	if r.left() == 0 {
		return p, r.fail("presentation data value", "missing")
	}
	for r.left() > 0 {
		h, err := parsePDVHeader(r)
		if err != nil {
			return p, err
		}
		fragment, err := r.take("fragment", int(h.length))
		if err != nil {
			return p, err
		}
		p.values = append(p.values, pdv{h, fragment})
	}
	return p, nil
}

// parsePDVHeader reads the header of a presentation data value that must end inside the unit r stands for.
func parsePDVHeader(r *reader) (pdvHeader, error) {
	f, err := r.take("header of a presentation data value", pdvHeaderLength)
	if err != nil {
		return pdvHeader{}, err
	}
	length := binary.BigEndian.Uint32(f)
	switch {
	case length < 2:
		return pdvHeader{}, r.fail("length of a presentation data value", "%d, at least 2 are needed", length)
	case int64(length)-2 > int64(r.left()):
		return pdvHeader{}, r.fail("length of a presentation data value", "%d runs past the end of the PDU", length)
	}
	return pdvHeader{length - 2, f[4], f[5]&1 != 0, f[5]&2 != 0}, nil
}

// reader takes fields from the front of b, which lies at base inside the unit.
type reader struct {
	unit string
	b    []byte
	base int
	more int // bytes of the unit that follow b and were not read yet
}

func (r *reader) left() int { return len(r.b) + r.more }

func (r *reader) fail(field, format string, args ...any) error {
	return &SyntaxError{r.unit, field, r.base, fmt.Sprintf(format, args...)}
}

func (r *reader) take(field string, n int) ([]byte, error) {
	if n > len(r.b) {
		return nil, r.fail(field, "%d bytes needed, %d left", n, len(r.b))
	}
	f := r.b[:n:n]
	r.b, r.base = r.b[n:], r.base+n
	return f, nil
}

// item takes an item: type, reserved byte, 16-bit length, body.
func (r *reader) item(field string) (kind byte, body *reader, err error) {
	head, err := r.take(field, 4)
	if err != nil {
		return 0, nil, err
	}
	at := r.base
	b, err := r.take(fmt.Sprintf("%s %02XH", field, head[0]), int(binary.BigEndian.Uint16(head[2:])))
	if err != nil {
		return 0, nil, err
	}
	return head[0], &reader{unit: r.unit, b: b, base: at}, nil
}

// counted takes a field that follows its 16-bit length.
func (r *reader) counted(field string) ([]byte, error) {
	n, err := r.take(field, 2)
	if err != nil {
		return nil, err
	}
	return r.take(field, int(binary.BigEndian.Uint16(n)))
}
