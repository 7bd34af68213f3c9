package scp_test

import (
	"io"
	"net"
	"testing"
	"time"

	"rfanode/dimse"
	"rfanode/scp"
)

// Whatever a peer sends in an association, the association ends once the peer has nothing more to say, and nothing is
// stored that does not pass the check.
func FuzzAssociation(f *testing.F) {
	r := start(f, func(s *scp.Server) {
		s.Limits.Timeouts = dimse.Timeouts{Idle: 2 * time.Second, Stall: 2 * time.Second, Linger: 10 * time.Millisecond}
	})
	in := newInstance(1)
	in.pixels = 64
	f.Add(append(echo(1), releaseRQ...))
	f.Add(store(1, ctClass, in.uid, in.encode(true)))
	f.Add(pdu(4, value(storeID, isCommand|isLast, storeCommand(5, ctClass, in.uid)), value(storeID, isData, []byte("x"))))
	f.Add(append(pdu(4, value(echoID, isCommand|isLast, commandSet(0x0100, 0x0FFF, 0x0120, 1, 0x0800, 0x0101))), abortPDU...))
	f.Fuzz(func(t *testing.T, b []byte) {
		conn, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Skip(err) // out of ports
		}
		defer conn.Close()
		before := len(r.stored())
		p := &peer{t, conn}
		p.send(goodRequest().bytes()).expect("AC")
		p.send(b)
		_ = conn.(*net.TCPConn).CloseWrite()
		_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.Copy(io.Discard, conn); err != nil {
			if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
				t.Fatal("the association does not end")
			}
		}
		for _, e := range r.stored()[before:] {
			if _, err := dimse.CheckFile(e.Path, dimse.CheckLimits{}); err != nil {
				t.Errorf("stored: %v", err)
			}
		}
	})
}
