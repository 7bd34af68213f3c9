package scp_test

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"rfanode/dimse"
	"rfanode/scp"
)

// files lists what the archive holds below its folder, its lock aside.
func files(t testing.TB, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && d.Name() != "lock" {
			all = append(all, p)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Requests that cannot be accepted get the answer of PS3.8 section 9.3.4, or the abort before an association stands.
func TestRequestsRefused(t *testing.T) { requestsRefused(t, start(t, nil)) }

func requestsRefused(t *testing.T, r *receiver) {
	with := func(change func(*request)) []byte {
		rq := goodRequest()
		change(&rq)
		return rq.bytes()
	}
	for _, c := range []struct {
		name string
		send []byte
		want string
	}{
		{"protocol version", with(func(r *request) { r.version = 2 }), "RJ 1/2/2"},
		{"protocol version with others", with(func(r *request) { r.version = 3 }), "AC"},
		{"application context missing", with(func(r *request) { r.application = "" }), "RJ 1/1/2"},
		{"application context unknown", with(func(r *request) { r.application = "1.2.840.10008.3.1.1.2" }), "RJ 1/1/2"},
		{"called title", with(func(r *request) { r.called = "RFANOD" }), "RJ 1/1/7"},
		{"called title in other case", with(func(r *request) { r.called = "rfanode" }), "RJ 1/1/7"},
		{"calling title that is none", with(func(r *request) { r.calling = "A\\B" }), "RJ 1/1/3"},
		{"calling title empty", with(func(r *request) { r.calling = "" }), "RJ 1/1/3"},
		{"maximum length too small", with(func(r *request) { r.maxLength = 11 }), "RJ 1/1/1"},
		{"smallest maximum length", with(func(r *request) { r.maxLength = 12 }), "AC"},
		{"maximum length 0", with(func(r *request) { r.maxLength = 0 }), "AC"},
		{"context id even", with(func(r *request) { r.contexts[0] = proposed(2, dimse.Verification, "1.2.840.10008.1.2") }), "ABORT 0/0"},
		{"context id twice", with(func(r *request) { r.contexts[0] = proposed(3, dimse.Verification, "1.2.840.10008.1.2") }), "ABORT 0/0"},
		{"no contexts", with(func(r *request) { r.contexts = nil }), "AC"},
		{"unknown items", with(func(r *request) { r.extraItemsInUser = append(item(0x5F, []byte("?")), item(0x56, []byte{0, 0})...) }), "AC"},
		{"user identity", with(func(r *request) { r.extraItemsInUser = item(0x58, []byte{1, 0, 0, 1, 'x', 0, 0}) }), "AC"},
		{"item past the end", with(func(r *request) { r.contexts = [][]byte{{0x20, 0, 0xFF, 0xFF, 1}} }), "ABORT 0/0"},
		{"gigantic length", []byte{1, 0, 0xFF, 0xFF, 0xFF, 0xF0, 0, 1}, "ABORT 0/0"},
		{"HTTP", []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "ABORT 0/0"},
		{"TLS", []byte("\x16\x03\x01\x00\xA5\x01\x00\x00\xA1\x03\x03"), "ABORT 0/0"},
		{"P-DATA first", echo(1), "ABORT 0/0"},
		{"release first", releaseRQ, "ABORT 0/0"},
		{"unknown unit first", pdu(0x77, []byte("x")), "ABORT 0/0"},
		{"abort first", abortPDU, "closed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			start := time.Now()
			dial(t, r).send(c.send).expect(c.want)
			if took := time.Since(start); took > time.Second && c.want != "AC" {
				t.Errorf("took %v", took)
			}
		})
	}
	alive(t, r)
}

// alive makes sure that the node still serves.
func alive(t testing.TB, r *receiver) {
	t.Helper()
	start := time.Now()
	if err := (&dimse.Client{}).Echo(t.Context(), dimse.Peer{AETitle: "RFANODE", Address: r.addr}); err != nil {
		t.Fatalf("the node no longer serves: %v", err)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("C-ECHO took %v", took)
	}
}

// Violations inside an association end it with the standard's reason.
func TestAborts(t *testing.T) { aborts(t, start(t, nil)) }

func aborts(t *testing.T, r *receiver) {
	set := echoCommand(1)
	data := newInstance(1).encode(true)
	storeSet := storeCommand(1, ctClass, newInstance(1).uid)
	for _, c := range []struct {
		name string
		send []byte
		want string
	}{
		{"second request", goodRequest().bytes(), "ABORT 2/2"},
		{"accept", pdu(2, make([]byte, 68)), "ABORT 2/2"},
		{"reject", pdu(3, make([]byte, 4)), "ABORT 2/2"},
		{"release answer", pdu(6, make([]byte, 4)), "ABORT 2/2"},
		{"unknown unit", pdu(0x42, make([]byte, 4)), "ABORT 2/1"},
		{"P-DATA longer than agreed", pdu(4, make([]byte, 128<<10+1)), "ABORT 2/6"},
		{"P-DATA of 1 GiB", []byte{4, 0, 0x40, 0, 0, 0}, "ABORT 2/6"},
		{"no value", pdu(4), "ABORT 2/6"},
		{"value of length 0", pdu(4, []byte{0, 0, 0, 0, 1, 3}), "ABORT 2/6"},
		{"value of length 1", pdu(4, []byte{0, 0, 0, 1, 1, 3}), "ABORT 2/6"},
		{"value of length 7FFFFFFF", pdu(4, []byte{0x7F, 0xFF, 0xFF, 0xFF, 1, 3}), "ABORT 2/6"},
		{"value past the end of its unit", pdu(4, []byte{0, 0, 0, 3, 1, 3}), "ABORT 2/6"},
		{"rest of a unit", pdu(4, value(echoID, isCommand, set[:8]), []byte{0, 0}), "ABORT 2/6"},
		{"context not accepted", pdu(4, value(9, isCommand|isLast, set)), "ABORT 2/6"},
		{"data before a command", pdu(4, value(storeID, isData, data[:100])), "ABORT 2/6"},
		{"context changes inside a command", pdu(4, value(echoID, isCommand, set[:8]), value(storeID, isCommand|isLast, set[8:])), "ABORT 2/6"},
		{"data inside a command", pdu(4, value(echoID, isCommand, set[:8]), value(echoID, isData, set[8:])), "ABORT 2/6"},
		{"command inside data", append(pdu(4, value(storeID, isCommand|isLast, storeSet), value(storeID, isData, data[:100])), echo(2)...), "ABORT 2/6"},
		{"context changes inside data", pdu(4, value(storeID, isCommand|isLast, storeSet), value(storeID, isData, data[:100]), value(echoID, isData|isLast, data[100:200])), "ABORT 2/6"},
		{"context changes before data", pdu(4, value(storeID, isCommand|isLast, storeSet), value(echoID, isData, data[:100])), "ABORT 2/6"},
		{"element past the end of the command", pdu(4, value(echoID, isCommand|isLast, set[:len(set)-1])), "ABORT 2/6"},
		{"command without its field", pdu(4, value(echoID, isCommand|isLast, commandSet(0x0110, 1, 0x0800, 0x0101))), "ABORT 2/6"},
		{"data element in a command", pdu(4, value(echoID, isCommand|isLast, append(bytes.Clone(set), newInstance(1).encode(false)[:40]...))), "ABORT 2/6"},
		{"command of more than 64 KiB", pdu(4, value(echoID, isCommand, make([]byte, 65<<10))), "ABORT 0/0"},
		{"response", pdu(4, value(echoID, isCommand|isLast, commandSet(0x0100, 0x8030, 0x0120, 1, 0x0800, 0x0101, 0x0900, 0))), "ABORT 0/0"},
		{"release of a wrong length", pdu(5, make([]byte, 5)), "ABORT 2/6"},
	} {
		t.Run(c.name, func(t *testing.T) { associated(t, r).send(c.send).expect(c.want) })
	}
	alive(t, r)
	if left := files(t, r.dir); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// Unusual but legal.
func TestLegalOddities(t *testing.T) { legalOddities(t, start(t, nil)) }

func legalOddities(t *testing.T, r *receiver) {
	in := newInstance(7)
	data := in.encode(true)
	set := storeCommand(5, ctClass, in.uid)

	t.Run("several values in a unit, across messages", func(t *testing.T) {
		p := associated(t, r)
		p.send(pdu(4, value(storeID, isCommand, set[:11]), value(storeID, isCommand|isLast, set[11:]), value(storeID, isData, data[:33])),
			pdu(4, value(storeID, isData, data[33:]), value(storeID, isData|isLast, nil), value(echoID, isCommand|isLast, echoCommand(6))))
		if s := p.status(5); s != 0 {
			t.Errorf("C-STORE %04XH", s)
		}
		if s := p.status(6); s != 0 {
			t.Errorf("C-ECHO %04XH", s)
		}
		p.send(releaseRQ).expect("RP")
		p.expect("closed")
	})
	t.Run("fragments of one byte", func(t *testing.T) {
		p := associated(t, r)
		var b []byte
		for i := range set {
			last := byte(0)
			if i == len(set)-1 {
				last = isLast
			}
			b = append(b, pdu(4, value(storeID, isCommand|last, set[i:i+1]))...)
		}
		for i := range data[:1000] {
			b = append(b, pdu(4, value(storeID, isData, data[i:i+1]), value(storeID, isData, nil))...)
		}
		b = append(b, pdu(4, value(storeID, isData|isLast, data[1000:]))...)
		p.send(b)
		if s := p.status(5); s != 0 {
			t.Errorf("%04XH", s)
		}
	})
	t.Run("wrong group length, unknown elements", func(t *testing.T) {
		p := associated(t, r)
		odd := append(commandSet(0x0000, "\xFF\xFF\xFF\x7F", 0x0001, "retired"), echoCommand(9)...)
		p.send(pdu(4, value(echoID, isCommand|isLast, append(odd, commandSet(0x5110, "x")...))))
		if s := p.status(9); s != 0 {
			t.Errorf("%04XH", s)
		}
	})
	t.Run("cancel of nothing", func(t *testing.T) {
		p := associated(t, r)
		p.send(pdu(4, value(echoID, isCommand|isLast, commandSet(0x0100, 0x0FFF, 0x0120, 1, 0x0800, 0x0101))), echo(2))
		if s := p.status(2); s != 0 {
			t.Errorf("%04XH", s)
		}
	})
	if _, kept := dataSet(t, r.path(in.uid)); !bytes.Equal(kept, data) {
		t.Error("stored otherwise than sent")
	}
}

// Objects that are not stored: the right status, no file, and the association goes on.
func TestObjectsRefused(t *testing.T) { objectsRefused(t, start(t, nil)) }

func objectsRefused(t *testing.T, r *receiver) {
	in := newInstance(1)
	good := in.encode(true)
	other := in
	other.uid, other.class = "2.25.9", "1.2.840.10008.5.1.4.1.1.4"
	noSeries := in
	noSeries.series = ""
	nested := bytes.Clone(good[:bytes.Index(good, []byte{0x28, 0, 2, 0})])
	for range 20000 {
		nested = append(nested, "\x40\x00\x30\xA7SQ\x00\x00\xFF\xFF\xFF\xFF\xFE\xFF\x00\xE0\xFF\xFF\xFF\xFF"...)
	}
	badItem := append(bytes.Clone(good), "\xFC\xFF\xF0\xFFSQ\x00\x00\xFF\xFF\xFF\xFF\xFE\xFF\x00\xE0\xF8\xFF\xFF\xFF"...)
	hugeLength := append(bytes.Clone(good), "\xFC\xFF\xF0\xFFOB\x00\x00\xF0\xFF\xFF\xFF"...)
	for _, c := range []struct {
		name       string
		class, uid string
		data       []byte
		want       uint16
	}{
		{"class of another context", "1.2.840.10008.5.1.4.1.1.4", in.uid, good, 0x0122},
		{"UID empty", ctClass, "", good, 0x0117},
		{"UID of 70 digits", ctClass, strings.Repeat("12345.6789", 7), good, 0x0117},
		{"UID of letters", ctClass, "1.2.abc", good, 0x0117},
		{"UID that climbs", ctClass, "../../ESC1", good, 0x0117},
		{"UID that is a path", ctClass, "/tmp/rfanode-escape", good, 0x0117},
		{"UID with a NUL inside", ctClass, "1.2\x00.3", good, 0x0117},
		{"other UID inside", ctClass, "2.25.777", good, 0xA900},
		{"other class inside", ctClass, other.uid, other.encode(true), 0xA900},
		{"ends inside an element", ctClass, in.uid, good[:len(good)-7], 0xC001},
		{"element length FFFFFFF0", ctClass, in.uid, hugeLength, 0xC001},
		{"item beyond its sequence", ctClass, in.uid, badItem, 0xC001},
		{"implicit sent as explicit", ctClass, in.uid, in.encode(false), 0xC001},
		{"20,000 nested sequences", ctClass, in.uid, nested, 0xC002},
		{"no series", ctClass, in.uid, noSeries.encode(true), 0xC004},
		{"empty data set", ctClass, in.uid, nil, 0xC004},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := associated(t, r)
			p.send(store(1, c.class, c.uid, c.data))
			if s := p.status(1); s != c.want {
				t.Errorf("status %04XH, want %04XH", s, c.want)
			}
			p.send(echo(2))
			if s := p.status(2); s != 0 {
				t.Errorf("then C-ECHO %04XH", s)
			}
		})
	}
	if left := files(t, r.dir); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if n := len(r.stored()); n != 0 {
		t.Errorf("%d reported as stored", n)
	}
}

// Commands that make no sense are answered, with their data set out of the way.
func TestCommandsRefused(t *testing.T) { commandsRefused(t, start(t, nil)) }

func commandsRefused(t *testing.T, r *receiver) {
	data := newInstance(1).encode(true)
	for _, c := range []struct {
		name string
		set  []byte
		data []byte
		id   byte
		want uint16
	}{
		{"store without UID", commandSet(0x0002, ctClass, 0x0100, 1, 0x0110, 1, 0x0800, 0), data, storeID, 0x0212},
		{"store without data set type, with data", commandSet(0x0002, ctClass, 0x0100, 1, 0x0110, 1, 0x1000, "1.2"), data, storeID, 0x0212},
		{"store without data set type, without data", commandSet(0x0002, ctClass, 0x0100, 1, 0x0110, 1, 0x1000, "1.2"), nil, storeID, 0x0212},
		{"store without data set", commandSet(0x0002, ctClass, 0x0100, 1, 0x0110, 1, 0x0800, 0x0101, 0x1000, "1.2"), nil, storeID, 0x0212},
		{"echo without class", commandSet(0x0100, 0x30, 0x0110, 1, 0x0800, 0x0101), nil, echoID, 0x0212},
		{"echo on a storage context", echoCommand(1), nil, storeID, 0x0122},
		{"find", commandSet(0x0002, ctClass, 0x0100, 0x20, 0x0110, 1, 0x0800, 0), data, storeID, 0x0211},
		{"unknown command", commandSet(0x0100, 0x7777, 0x0110, 1, 0x0800, 0x0101), nil, echoID, 0x0211},
		{"store on the verification context", storeCommand(1, dimse.Verification, "1.2"), data, echoID, 0x0122},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := associated(t, r)
			p.send(pdu(4, value(c.id, isCommand|isLast, c.set)))
			if c.data != nil {
				p.send(pdu(4, value(c.id, isData|isLast, c.data)))
			}
			if s := p.status(1); s != c.want {
				t.Errorf("status %04XH, want %04XH", s, c.want)
			}
			p.send(echo(2))
			if s := p.status(2); s != 0 {
				t.Errorf("then C-ECHO %04XH", s)
			}
		})
	}
}

// A transfer that breaks off leaves nothing behind, however it breaks off.
func TestBreakOffs(t *testing.T) { breakOffs(t, start(t, nil)) }

func breakOffs(t *testing.T, r *receiver) {
	in := newInstance(1)
	whole := store(1, ctClass, in.uid, in.encode(true))
	half := whole[:len(whole)-3000]
	inUnit := pdu(4, value(storeID, isCommand|isLast, storeCommand(1, ctClass, in.uid)), value(storeID, isData, in.encode(true)[:4000]))
	t.Run("connection closed", func(t *testing.T) { associated(t, r).send(half).conn.Close() })
	t.Run("connection reset", func(t *testing.T) {
		p := associated(t, r).send(half)
		_ = p.conn.(*net.TCPConn).SetLinger(0)
		p.conn.Close()
	})
	t.Run("abort", func(t *testing.T) { associated(t, r).send(inUnit, abortPDU).expect("closed") })
	t.Run("abort, then more", func(t *testing.T) {
		associated(t, r).send(inUnit, abortPDU, echo(3), whole).expect("closed")
	})
	t.Run("release", func(t *testing.T) {
		p := associated(t, r).send(inUnit, releaseRQ)
		p.expect("RP")
		p.expect("closed")
	})
	alive(t, r)
	eventually(t, "nothing is left", func() bool { return len(files(t, r.dir)) == 0 })
	if n := len(r.stored()); n != 0 {
		t.Errorf("%d reported as stored", n)
	}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for range 200 {
		if ok() {
			return
		}
		time.Sleep(25 * time.Millisecond)
	}
	t.Errorf("not within 5 s: %s", what)
}

// Peers that fall silent are dropped by a timer, and everything they held is released.
func TestSilence(t *testing.T) {
	before := runtime.NumGoroutine()
	r := start(t, func(s *scp.Server) {
		s.Limits.Timeouts = dimse.Timeouts{Request: 300 * time.Millisecond, Idle: 600 * time.Millisecond,
			Stall: 300 * time.Millisecond, Linger: 100 * time.Millisecond}
	})
	in := newInstance(1)
	whole := store(1, ctClass, in.uid, in.encode(true))
	for _, c := range []struct {
		name string
		peer func(*testing.T) *peer
	}{
		{"nothing at all", func(t *testing.T) *peer { return dial(t, r) }},
		{"half a request", func(t *testing.T) *peer { return dial(t, r).send(goodRequest().bytes()[:100]) }},
		{"a request byte by byte", func(t *testing.T) *peer {
			p := dial(t, r)
			for _, b := range goodRequest().bytes()[:20] {
				p.send([]byte{b})
				time.Sleep(30 * time.Millisecond)
			}
			return p
		}},
		{"between messages", func(t *testing.T) *peer { return associated(t, r) }},
		{"inside a header", func(t *testing.T) *peer { return associated(t, r).send([]byte{4, 0}) }},
		{"inside an object", func(t *testing.T) *peer { return associated(t, r).send(whole[:len(whole)/2]) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			start := time.Now()
			p := c.peer(t)
			p.expect("ABORT 0/0")
			if took := time.Since(start); took > 3*time.Second {
				t.Errorf("took %v", took)
			}
			p.conn.Close()
		})
	}
	alive(t, r)
	eventually(t, "goroutines end", func() bool { return runtime.NumGoroutine() <= before+4 })
	eventually(t, "nothing is left", func() bool { return len(files(t, r.dir)) == 0 })
}

// A peer that asks and asks and never reads the answers fills our send buffer; it must not hold the association.
func TestPeerThatDoesNotRead(t *testing.T) {
	r := startOn(t, smallBuffers{listen(t)}, func(s *scp.Server) {
		s.Limits.Timeouts = dimse.Timeouts{Stall: 300 * time.Millisecond, Linger: 100 * time.Millisecond}
		s.Limits.Associations = 1
	})
	p := dial(t, r)
	_ = p.conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	p.send(goodRequest().bytes()).expect("AC")
	_ = p.conn.SetWriteDeadline(time.Now().Add(30 * time.Second))
	flood := bytes.Repeat(echo(1), 100)
	var err error
	for err == nil {
		_, err = p.conn.Write(flood)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("the association stands")
	}
	eventually(t, "the only place is free again", func() bool {
		kind, _, _ := dial(t, r).send(goodRequest().bytes()).pdu()
		return kind == 2
	})
}

// smallBuffers keeps little of what the peer does not read.
type smallBuffers struct{ net.Listener }

func (l smallBuffers) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		_ = conn.(*net.TCPConn).SetWriteBuffer(4 << 10)
	}
	return conn, err
}

// Silent connections must not keep good peers out.
func TestHalfOpen(t *testing.T) {
	r := start(t, func(s *scp.Server) { s.Limits.HalfOpen = 50; s.Limits.Associations = 4 })
	var conns []net.Conn
	for range 120 {
		conn, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conns = append(conns, conn)
	}
	alive(t, r)
	_ = conns[0].SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.Copy(io.Discard, conns[0]); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the oldest connection was not dropped")
	}
}

// Over the limits the next association is refused for now, and let in when one has ended.
func TestAssociationLimits(t *testing.T) {
	r := start(t, func(s *scp.Server) { s.Limits.Associations = 3; s.Limits.PerPeer = 2 })
	titled := func(title string) []byte {
		rq := goodRequest()
		rq.calling = title
		return rq.bytes()
	}
	first := dial(t, r).send(titled("A"))
	first.expect("AC")
	dial(t, r).send(titled("A")).expect("AC")
	dial(t, r).send(titled("A")).expect("RJ 2/3/2")
	dial(t, r).send(titled("B")).expect("AC")
	dial(t, r).send(titled("C")).expect("RJ 2/3/2")
	first.send(releaseRQ).expect("RP")
	eventually(t, "the place is free again", func() bool {
		kind, _, _ := dial(t, r).send(titled("A")).pdu()
		return kind == 2
	})
}

// Contexts are answered one by one, in our order of preference.
func TestNegotiation(t *testing.T) { negotiation(t, start(t, nil)) }

func negotiation(t *testing.T, r *receiver) {
	rq := goodRequest()
	const explicit, implicit, jpeg = dimse.ExplicitVRLittleEndian, dimse.ImplicitVRLittleEndian, "1.2.840.10008.1.2.4.50"
	rq.contexts = [][]byte{
		proposed(1, ctClass, implicit, explicit), proposed(3, ctClass, implicit), proposed(5, ctClass, jpeg),
		proposed(7, "1.2.840.10008.5.1.4.1.2.2.1", implicit), proposed(9, "1.2.3.4", explicit), proposed(255, ctClass, jpeg, explicit),
	}
	rq.extraItemsInUser = item(0x53, []byte{0, 0, 0, 0})
	p := dial(t, r)
	body := p.send(rq.bytes()).expect("AC")
	want := map[byte]string{1: "0 " + explicit, 3: "0 " + implicit, 5: "4", 7: "3", 9: "3", 255: "0 " + explicit}
	for b := body[68:]; len(b) >= 4; {
		n := int(binary.BigEndian.Uint16(b[2:]))
		if b[0] == 0x21 {
			id, got := b[4], fmt.Sprint(b[6])
			if b[6] == 0 {
				got += " " + string(b[12:4+n])
			}
			if got != want[id] {
				t.Errorf("context %d: %s, want %s", id, got, want[id])
			}
			delete(want, id)
		}
		if b[0] == 0x50 && !bytes.Contains(b, []byte{0x53, 0, 0, 4, 0, 8, 0, 1}) {
			t.Error("the window is not (8,1)")
		}
		b = b[4+n:]
	}
	if len(want) != 0 {
		t.Errorf("not answered: %v", want)
	}
}

// Several operations under way, as a granted window allows: all are answered.
func TestPipelining(t *testing.T) { pipelining(t, start(t, nil)) }

func pipelining(t *testing.T, r *receiver) {
	p := associated(t, r)
	var b []byte
	for k := range 8 {
		in := newInstance(k)
		b = append(b, store(k+1, ctClass, in.uid, in.encode(true))...)
	}
	p.send(b)
	for k := range 8 {
		if s := p.status(uint16(k + 1)); s != 0 {
			t.Errorf("object %d: %04XH", k, s)
		}
	}
}

// A known UID with other content is refused and kept beside the first; the same content again, in whatever encoding, is
// fine and written once.
func TestDuplicates(t *testing.T) { duplicates(t, start(t, nil)) }

func duplicates(t *testing.T, r *receiver) {
	in := newInstance(5)
	other := in
	other.fill++
	for i, c := range []struct {
		data []byte
		want uint16
	}{{in.encode(true), 0}, {in.encode(true), 0}, {other.encode(true), 0xA900}, {in.encode(true), 0}} {
		p := associated(t, r)
		p.send(store(1, ctClass, in.uid, c.data))
		if s := p.status(1); s != c.want {
			t.Errorf("%d: %04XH, want %04XH", i, s, c.want)
		}
	}
	if _, kept := dataSet(t, r.path(in.uid)); !bytes.Equal(kept, in.encode(true)) {
		t.Error("the first one was not kept")
	}
	if n := len(files(t, r.dir)); n != 2 {
		t.Errorf("%d files, want the first and the conflict", n)
	}
}

// A megabyte that inflates to a gigabyte costs neither memory nor time.
func TestDeflateBomb(t *testing.T) {
	deflateBomb(t, start(t, func(s *scp.Server) {
		s.TransferSyntaxes = []string{dimse.ExplicitVRLittleEndian, dimse.DeflatedExplicitVRLittleEndian}
	}))
}

func deflateBomb(t *testing.T, r *receiver) {
	in := newInstance(6)
	in.pixels = 0
	head := in.encode(true)
	binary.LittleEndian.PutUint32(head[len(head)-4:], 1<<30) // the length of the pixel data
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	zeros := make([]byte, 1<<20)
	write := func(p []byte) {
		_, _ = w.Write(p)
		_ = w.Flush()
	}
	write(head)
	write(zeros)
	before := b.Len()
	write(zeros) // what this adds stands for a megabyte of zeros behind zeros, as often as it is repeated
	megabyte := bytes.Clone(b.Bytes()[before:])
	for range 1<<10 - 2 {
		b.Write(megabyte)
	}
	_ = w.Close()
	rq := goodRequest()
	rq.contexts = [][]byte{proposed(storeID, ctClass, dimse.DeflatedExplicitVRLittleEndian)}
	p := dial(t, r)
	p.send(rq.bytes()).expect("AC")
	start := time.Now()
	p.send(store(1, ctClass, in.uid, b.Bytes()))
	if s := p.status(1); s != 0xC003 {
		t.Errorf("%d bytes that inflate to a gigabyte: %04XH", b.Len(), s)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
	if n := len(files(t, r.dir)); n != 0 {
		t.Errorf("%d files", n)
	}
}
