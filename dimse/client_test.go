package dimse

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"
)

// script is what a scripted acceptor does with one connection, after it has read the request.
type script func(conn net.Conn, rq *AssociateRQ)

// acceptor listens and plays the script for every connection, until the test ends.
func acceptor(t testing.TB, play script) Peer {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			if p, err := readPDU(conn); err == nil {
				play(conn, p.(*AssociateRQ))
			}
			_, _ = io.Copy(io.Discard, conn) // until the client hangs up
			conn.Close()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	return Peer{AETitle: "SCRIPT", Address: ln.Addr().String()}
}

func readPDU(r io.Reader) (pdu, error) {
	var head [pduHeaderLength]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	t, n := parsePDUHeader(head)
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, err
	}
	return parsePDU(t, body)
}

func write(conn net.Conn, units ...pdu) {
	var b []byte
	for _, u := range units {
		b = appendPDU(b, u)
	}
	_, _ = conn.Write(b)
}

// accepting answers every context with its first transfer syntax.
func accepting(rq *AssociateRQ, maxLength uint32) *AssociateAC {
	ac := &AssociateAC{ProtocolVersion: 1, CalledAE: rq.CalledAE, CallingAE: rq.CallingAE, ApplicationContext: ApplicationContext,
		User: UserInformation{MaxLength: maxLength, HasMaxLength: true}}
	for _, c := range rq.Contexts {
		ac.Contexts = append(ac.Contexts, ContextAnswer{c.ID, ContextAccepted, c.TransferSyntaxes[0]})
	}
	return ac
}

func response(context byte, c Command) pData {
	set := appendCommand(nil, c)
	return pData{[]pdv{{pdvHeader{uint32(len(set)), context, true, true}, set}}}
}

func testObject(data []byte) Object {
	return Object{SOPClassUID: "1.2.840.10008.5.1.4.1.1.2", SOPInstanceUID: "1.2.3", TransferSyntaxUID: ExplicitVRLittleEndian,
		Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }}
}

var quick = Timeouts{Connect: time.Second, Request: 400 * time.Millisecond, Response: 400 * time.Millisecond,
	Stall: 400 * time.Millisecond, Linger: 50 * time.Millisecond}

// However an acceptor misbehaves, the client ends soon, takes nothing for stored, and says what happened.
func TestBadAcceptors(t *testing.T) {
	ok := Command{Field: CStoreRQ.Response(), MessageIDRespondedTo: 1}
	wrongID, echo := ok, ok
	wrongID.MessageIDRespondedTo = 2
	echo.Field = CEchoRQ.Response()
	accepted := func(then ...pdu) script {
		return func(conn net.Conn, rq *AssociateRQ) { write(conn, append([]pdu{accepting(rq, 16384)}, then...)...) }
	}
	for _, c := range []struct {
		name string
		play script
		want string // in the error
		kind Kind
	}{
		{"hangs up", func(conn net.Conn, _ *AssociateRQ) { conn.Close() }, "closed the connection", Transient},
		{"is silent", func(net.Conn, *AssociateRQ) {}, "timeout", Transient},
		{"rejects for good", func(c net.Conn, _ *AssociateRQ) { write(c, RejectCallingAE) }, "calling AE title not recognized", Configuration},
		{"rejects for now", func(c net.Conn, _ *AssociateRQ) { write(c, RejectCongestion) }, "temporary congestion", Transient},
		{"aborts", func(c net.Conn, _ *AssociateRQ) { write(c, AbortByUser) }, "aborted", Transient},
		{"sends a request itself", func(c net.Conn, rq *AssociateRQ) { write(c, rq) }, "unexpected", Transient},
		{"speaks HTTP", func(c net.Conn, _ *AssociateRQ) { _, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n") }, "unknown type", Transient},
		{"announces a gigabyte", func(c net.Conn, _ *AssociateRQ) { _, _ = c.Write([]byte{2, 0, 0x40, 0, 0, 0}) }, "length", Transient},
		{"takes 11 bytes", func(c net.Conn, rq *AssociateRQ) { write(c, accepting(rq, 11)) }, "only 11 bytes", Transient},
		{"never answers", accepted(), "timeout", Transient},
		{"answers another message", accepted(response(1, wrongID)), "instead of the answer", Transient},
		{"answers another operation", accepted(response(1, echo)), "instead of the answer", Transient},
		{"answers on another context", accepted(response(77, ok)), "context 77", Transient},
		{"releases instead", accepted(releaseRQ{}), "released", Transient},
		{"aborts instead", accepted(AbortByUser), "aborted", Transient},
		{"accepts twice", func(c net.Conn, rq *AssociateRQ) { write(c, accepting(rq, 0), accepting(rq, 0)) }, "unexpected", Transient},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			peer := acceptor(t, c.play)
			start := time.Now()
			err := (&Client{Timeouts: quick}).Store(t.Context(), peer, []Object{testObject([]byte("data"))}, func(i int, o Outcome) {
				if o.Stored {
					t.Error("counts as stored")
				}
			})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if kind := ErrorKind(err); kind != c.kind {
				t.Errorf("%v is %v", err, kind)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

// An acceptor that answers with a transfer syntax that was not offered has refused.
func TestAnswerNotOffered(t *testing.T) {
	peer := acceptor(t, func(conn net.Conn, rq *AssociateRQ) {
		ac := accepting(rq, 0)
		for i := range ac.Contexts {
			ac.Contexts[i].TransferSyntax = "1.2.840.10008.1.2.4.50"
		}
		ac.Contexts = append(ac.Contexts, ContextAnswer{201, ContextAccepted, ExplicitVRLittleEndian})
		write(conn, ac)
		if _, err := readPDU(conn); err == nil {
			write(conn, releaseRP{})
		}
	})
	var got []Outcome
	err := (&Client{Timeouts: quick}).Store(t.Context(), peer, []Object{testObject(nil)}, func(_ int, o Outcome) { got = append(got, o) })
	if err != nil || len(got) != 1 || !got[0].ContextRefused {
		t.Errorf("%v, %+v", err, got)
	}
}

// Objects arrive whole for every maximum length and object size, in units that keep to the maximum.
func TestFragmentation(t *testing.T) {
	for _, limit := range []uint32{12, 13, 100, 16384, 0} {
		for _, size := range []int{0, 1, 2, 5, 6, 7, 93, 94, 95, 96, 16378, 16379, 300_000} {
			if limit < 100 && size > 1000 {
				continue
			}
			data := make([]byte, size)
			for i := range data {
				data[i] = byte(i * 7)
			}
			var command, got []byte
			peer := acceptor(t, func(conn net.Conn, rq *AssociateRQ) {
				write(conn, accepting(rq, limit))
				for {
					p, err := readPDU(conn)
					if err != nil {
						return
					}
					switch p := p.(type) {
					case releaseRQ:
						write(conn, releaseRP{})
						return
					case pData:
						total := 0
						for _, v := range p.values {
							total += pdvHeaderLength + len(v.fragment)
							if v.command {
								command = append(command, v.fragment...)
								continue
							}
							got = append(got, v.fragment...)
							if v.last {
								write(conn, response(v.context, Command{Field: CStoreRQ.Response(), MessageIDRespondedTo: 1}))
							}
						}
						if limit > 0 && total > int(limit) {
							t.Errorf("a unit of %d bytes, the maximum is %d", total, limit)
						}
					}
				}
			})
			stored := false
			err := (&Client{}).Store(t.Context(), peer, []Object{testObject(data)}, func(_ int, o Outcome) { stored = o.Stored })
			if err != nil || !stored || !bytes.Equal(got, data) {
				t.Errorf("maximum %d, object of %d bytes: %v, %d bytes arrived", limit, size, err, len(got))
			}
			if c, err := parseCommand(command); err != nil || c.AffectedSOPInstanceUID != "1.2.3" {
				t.Errorf("maximum %d: command %+v, %v", limit, c, err)
			}
		}
	}
}

// A cancelled context ends the association at once and leaves nothing running.
func TestCancel(t *testing.T) {
	before := runtime.NumGoroutine()
	peer := acceptor(t, func(conn net.Conn, rq *AssociateRQ) { write(conn, accepting(rq, 0)) })
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(200*time.Millisecond, cancel)
	start := time.Now()
	err := (&Client{Timeouts: Timeouts{Linger: 50 * time.Millisecond}}).Store(ctx, peer, []Object{testObject(nil)}, func(int, Outcome) {})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("took %v", took)
	}
	for range 100 {
		if runtime.NumGoroutine() <= before+3 { // the acceptor's
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
}

// More pairs of class and transfer syntax than an association has contexts need a second association.
func TestManyContexts(t *testing.T) {
	associations := 0
	peer := acceptor(t, func(conn net.Conn, rq *AssociateRQ) {
		associations++
		write(conn, accepting(rq, 0))
		for {
			p, err := readPDU(conn)
			if err != nil {
				return
			}
			if _, ok := p.(releaseRQ); ok {
				write(conn, releaseRP{})
				return
			}
			for _, v := range p.(pData).values {
				if v.command {
					c, err := parseCommand(v.fragment)
					if err != nil {
						return
					}
					write(conn, response(v.context, Command{Field: CStoreRQ.Response(), MessageIDRespondedTo: c.MessageID}))
				}
			}
		}
	})
	var objects []Object
	for k := range 100 {
		o := testObject(nil)
		o.SOPClassUID += "." + strings.Repeat("1", k%20+1) + "." + strings.Repeat("2", k/20+1)
		objects = append(objects, o)
	}
	stored := make(map[int]bool)
	err := (&Client{}).Store(t.Context(), peer, objects, func(i int, o Outcome) { stored[i] = o.Stored })
	if err != nil || len(stored) != 100 || associations != 2 {
		t.Errorf("%v, %d stored, %d associations", err, len(stored), associations)
	}
}

// A peer that trickles bytes must not hold an association: the time we wait for it counts, ours does not.
func TestTrickle(t *testing.T) {
	server, client := net.Pipe()
	defer client.Close()
	w := newWire(t.Context(), server)
	defer w.Close()
	w.wait = time.Second
	w.meter(true)
	w.waited, w.got = w.trickle-time.Nanosecond, 60*trickleRate-2
	go func() { _, _ = client.Write([]byte("x")) }()
	if _, err := w.Read(make([]byte, 8)); !errors.Is(err, errStalled) {
		t.Errorf("got %v", err)
	}
	w.waited, w.got = w.trickle-time.Nanosecond, 60*trickleRate
	go func() { _, _ = client.Write([]byte("x")) }()
	if _, err := w.Read(make([]byte, 8)); err != nil || w.got != 0 {
		t.Errorf("a peer that is fast enough: %v, window of %d bytes", err, w.got)
	}
}

// Large requests wait for a place in memory, small ones do not; a peer that holds a place loses it with its time.
func TestLargeRequestsWait(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	a := Acceptor{Timeouts: Timeouts{Request: time.Second, Linger: 50 * time.Millisecond}, Large: make(chan struct{}, 1),
		Negotiate: func(rq *AssociateRQ, _ net.Conn) ([]ContextAnswer, UserInformation, *Reject) {
			return nil, UserInformation{}, nil
		}}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				if as, err := a.Accept(t.Context(), conn); err == nil {
					as.Close()
				}
			}()
		}
	}()
	dial := func(send []byte) net.Conn {
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := conn.Write(send); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	answer := func(conn net.Conn) string {
		p, err := readPDU(conn)
		if err != nil {
			return err.Error()
		}
		return p.pduType().String()
	}
	large := fullRequest()
	for range 120 {
		c := ProposedContext{ID: byte(2*len(large.Contexts) + 1), AbstractSyntax: "1.2.840.10008.5.1.4.1.1.2"}
		for range 40 {
			c.TransferSyntaxes = append(c.TransferSyntaxes, ExplicitVRLittleEndian)
		}
		large.Contexts = append(large.Contexts, c)
	}
	whole := appendPDU(nil, large)
	if len(whole) < largeAssociatePDU {
		t.Fatalf("only %d bytes", len(whole))
	}
	holder := dial(whole[:1000])
	defer holder.Close()
	time.Sleep(100 * time.Millisecond)
	waiting := dial(whole)
	defer waiting.Close()
	small := dial(appendPDU(nil, fullRequest()))
	defer small.Close()
	if got := answer(small); got != "A-ASSOCIATE-AC" {
		t.Errorf("a small request beside it: %s", got)
	}
	start := time.Now()
	if got := answer(waiting); got != "A-ASSOCIATE-AC" && got != "A-ABORT" {
		t.Errorf("the one that waits: %s", got)
	}
	if took := time.Since(start); took < 300*time.Millisecond {
		t.Errorf("it waited only %v", took)
	}
	if got := answer(dial(whole)); got != "A-ASSOCIATE-AC" {
		t.Errorf("after the holder has lost its place: %s", got)
	}
}
