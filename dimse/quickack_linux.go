package dimse

import (
	"net"
	"syscall"
)

// quickAck returns a function that asks the kernel to acknowledge what arrives at once. Many senders do not set
// TCP_NODELAY and end an object with a short segment that Nagle's algorithm holds back until our delayed acknowledgement
// comes, tens of milliseconds an object. Linux forgets the setting, so it is made again before every read.
func quickAck(conn net.Conn) func() {
	if t, ok := conn.(interface{ NetConn() net.Conn }); ok { // under TLS
		conn = t.NetConn()
	}
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return func() {}
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return func() {}
	}
	if _, ok := conn.(*net.TCPConn); !ok {
		return func() {}
	}
	set := func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1) }
	return func() { _ = raw.Control(set) } // best effort: it only costs time
}
