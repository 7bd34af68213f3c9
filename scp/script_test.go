package scp_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"rfanode/dimse"
)

// peer is a scripted peer: it writes bytes and says what must come back.
type peer struct {
	t    testing.TB
	conn net.Conn
}

func dial(t testing.TB, r *receiver) *peer {
	t.Helper()
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &peer{t, conn}
}

func (p *peer) send(parts ...[]byte) *peer {
	p.t.Helper()
	if err := p.conn.SetWriteDeadline(time.Now().Add(5 * time.Second)); err != nil {
		p.t.Fatal(err)
	}
	// An error is no matter: the node may have hung up in the middle, and has said why.
	_, _ = p.conn.Write(bytes.Join(parts, nil))
	return p
}

// pdu reads one unit.
func (p *peer) pdu() (kind byte, body []byte, err error) {
	_ = p.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	var head [6]byte
	if _, err := io.ReadFull(p.conn, head[:]); err != nil {
		return 0, nil, err
	}
	body = make([]byte, binary.BigEndian.Uint32(head[2:]))
	_, err = io.ReadFull(p.conn, body)
	return head[0], body, err
}

// expect reads one unit and compares it with what it is called: "AC", "RP", "RJ 1/1/7", "ABORT 2/6", "closed".
func (p *peer) expect(want string) []byte {
	p.t.Helper()
	kind, body, err := p.pdu()
	got := fmt.Sprintf("type %d", kind)
	switch {
	case err != nil:
		got = "closed"
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			got = "silence"
		}
	case kind == 2:
		got = "AC"
	case kind == 3:
		got = fmt.Sprintf("RJ %d/%d/%d", body[1], body[2], body[3])
	case kind == 4:
		got = "P-DATA"
	case kind == 6:
		got = "RP"
	case kind == 7:
		got = fmt.Sprintf("ABORT %d/%d", body[2], body[3])
	}
	if got != want {
		p.t.Fatalf("got %s, want %s", got, want)
	}
	return body
}

// status reads a response and returns its status; it must be for message id.
func (p *peer) status(id uint16) uint16 {
	p.t.Helper()
	set := p.expect("P-DATA")[6:]
	value := func(element uint16) (v uint16) {
		for b := set; len(b) >= 8; b = b[8+binary.LittleEndian.Uint32(b[4:]):] {
			if binary.LittleEndian.Uint16(b[2:]) == element {
				v = binary.LittleEndian.Uint16(b[8:])
			}
		}
		return v
	}
	if got := value(0x0120); got != id {
		p.t.Errorf("the answer is to message %d, not %d", got, id)
	}
	return value(0x0900)
}

func pdu(kind byte, body ...[]byte) []byte {
	b := bytes.Join(body, nil)
	return append(binary.BigEndian.AppendUint32([]byte{kind, 0}, uint32(len(b))), b...)
}

func item(kind byte, body ...[]byte) []byte {
	b := bytes.Join(body, nil)
	return append(binary.BigEndian.AppendUint16([]byte{kind, 0}, uint16(len(b))), b...)
}

// request is an A-ASSOCIATE-RQ that tests bend.
type request struct {
	version          uint16
	called, calling  string
	application      string
	maxLength        uint32
	contexts         [][]byte
	extraItemsInUser []byte
}

func proposed(id byte, abstract string, syntaxes ...string) []byte {
	b := item(0x30, []byte(abstract))
	for _, s := range syntaxes {
		b = append(b, item(0x40, []byte(s))...)
	}
	return item(0x20, []byte{id, 0, 0, 0}, b)
}

// Contexts of goodRequest.
const (
	echoID  = 1
	storeID = 3
)

func goodRequest() request {
	return request{version: 1, called: "RFANODE", calling: "SCRIPT", application: dimse.ApplicationContext, maxLength: 16384,
		contexts: [][]byte{proposed(echoID, dimse.Verification, dimse.ImplicitVRLittleEndian),
			proposed(storeID, ctClass, dimse.ImplicitVRLittleEndian, dimse.ExplicitVRLittleEndian)}}
}

func (r request) bytes() []byte {
	head := binary.BigEndian.AppendUint16(nil, r.version)
	head = append(head, fmt.Sprintf("\x00\x00%-16s%-16s", r.called, r.calling)...)
	head = append(head, make([]byte, 32)...)
	if r.application != "" {
		head = append(head, item(0x10, []byte(r.application))...)
	}
	user := item(0x51, binary.BigEndian.AppendUint32(nil, r.maxLength))
	return pdu(1, head, bytes.Join(r.contexts, nil), item(0x50, user, r.extraItemsInUser))
}

// associated opens an association with a node.
func associated(t testing.TB, r *receiver) *peer {
	t.Helper()
	p := dial(t, r)
	p.send(goodRequest().bytes()).expect("AC")
	return p
}

const (
	isData    = 0
	isCommand = 1
	isLast    = 2
)

func value(id, control byte, fragment []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(fragment)+2))
	return append(append(b, id, control), fragment...)
}

// commandSet encodes elements of group 0: uint16 or string values, in the order given.
func commandSet(pairs ...any) []byte {
	var b []byte
	for i := 0; i < len(pairs); i += 2 {
		e := element{tag: uint32(pairs[i].(int))}
		switch v := pairs[i+1].(type) {
		case int:
			e.value = binary.LittleEndian.AppendUint16(nil, uint16(v))
		case string:
			if e.value = []byte(v); len(v)%2 == 1 {
				e.value = append(e.value, 0)
			}
		}
		b = e.append(b, false)
	}
	return b
}

func echoCommand(id int) []byte {
	return commandSet(0x0002, dimse.Verification, 0x0100, 0x0030, 0x0110, id, 0x0800, 0x0101)
}

func storeCommand(id int, class, uid string) []byte {
	return commandSet(0x0002, class, 0x0100, 0x0001, 0x0110, id, 0x0700, 0, 0x0800, 0, 0x1000, uid)
}

// echo is a whole C-ECHO-RQ.
func echo(id int) []byte { return pdu(4, value(echoID, isCommand|isLast, echoCommand(id))) }

// store is a whole C-STORE-RQ of a data set in units of up to 16 KiB.
func store(id int, class, uid string, data []byte) []byte {
	b := pdu(4, value(storeID, isCommand|isLast, storeCommand(id, class, uid)))
	for {
		n := min(len(data), 16000)
		control := byte(isData)
		if n == len(data) {
			control |= isLast
		}
		b = append(b, pdu(4, value(storeID, control, data[:n]))...)
		if data = data[n:]; len(data) == 0 {
			return b
		}
	}
}

var (
	releaseRQ = pdu(5, make([]byte, 4))
	abortPDU  = pdu(7, make([]byte, 4))
)
