package dimse

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// Timeouts bound every wait for a peer. A zero field stands for its default.
type Timeouts struct {
	Connect  time.Duration // requestor: TCP (and TLS) connection; 10 s
	Request  time.Duration // ARTIM: acceptor, connection to whole request; requestor, request to answer; 30 s
	Idle     time.Duration // acceptor: between two messages; 300 s, because scanners do pause
	Response time.Duration // requestor: message sent to answer begun; 300 s
	Stall    time.Duration // inside a unit or a message without a byte, and for each write; 30 s
	Trickle  time.Duration // of waiting inside a message, in which 4 KiB/s must come; 60 s
	Linger   time.Duration // after our last word until the peer closes; 1 s
}

func (t Timeouts) withDefaults() Timeouts {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&t.Connect, 10*time.Second)
	def(&t.Request, 30*time.Second)
	def(&t.Idle, 300*time.Second)
	def(&t.Response, 300*time.Second)
	def(&t.Stall, 30*time.Second)
	def(&t.Trickle, 60*time.Second)
	def(&t.Linger, time.Second)
	return t
}

// trickleRate, bytes/s: a peer that trickles bytes inside a message is as bad as one that has stopped. Time in which we
// do not wait for the peer is not counted.
const trickleRate = 4 << 10

var errStalled = errors.New("the peer sends too slowly")

// wire is the connection under an association: each read waits at most wait, and never past until, and ends when ctx
// does.
type wire struct {
	net.Conn
	ctx   context.Context
	quick func() // asks the kernel to acknowledge at once; see quickAck
	stop  func() bool

	deaf    bool // the peer no longer takes what we send
	wait    time.Duration
	trickle time.Duration // window of the trickle limit
	until   time.Time     // zero: no such limit
	metered bool          // inside a message: count against the trickle limit
	waited  time.Duration
	got     int64
}

// newWire takes over conn; closing the wire closes it.
func newWire(ctx context.Context, conn net.Conn) *wire {
	w := &wire{Conn: conn, ctx: ctx, quick: quickAck(conn), trickle: time.Minute}
	past := time.Unix(1, 0)
	w.stop = context.AfterFunc(ctx, func() { conn.SetDeadline(past) })
	return w
}

func (w *wire) Read(p []byte) (int, error) {
	start := time.Now()
	deadline := start.Add(w.wait)
	if !w.until.IsZero() && w.until.Before(deadline) {
		deadline = w.until
	}
	if err := w.SetReadDeadline(deadline); err != nil {
		return 0, err
	}
	// After the deadline was set, or a cancellation just before would be overwritten.
	if w.ctx.Err() != nil {
		return 0, context.Cause(w.ctx)
	}
	w.quick()
	n, err := w.Conn.Read(p)
	if err != nil && w.ctx.Err() != nil {
		err = context.Cause(w.ctx)
	}
	if w.metered {
		w.waited += time.Since(start)
		w.got += int64(n)
		if w.waited >= w.trickle {
			if w.got < int64(trickleRate*w.trickle.Seconds()) {
				return n, fmt.Errorf("%w: %d bytes in %s", errStalled, w.got, w.waited.Round(time.Second))
			}
			w.waited, w.got = 0, 0
		}
	}
	return n, err
}

// meter starts or ends the count against the trickle limit.
func (w *wire) meter(on bool) { w.metered, w.waited, w.got = on, 0, 0 }

// send writes b whole within limit.
func (w *wire) send(b []byte, limit time.Duration) error {
	if err := w.SetWriteDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	if w.ctx.Err() != nil {
		return context.Cause(w.ctx)
	}
	_, err := w.Write(b)
	if err != nil {
		w.deaf = true
		if w.ctx.Err() != nil {
			err = context.Cause(w.ctx)
		}
	}
	return err
}

// hangUp closes the connection so that the peer can still read our last unit: closing a socket that has unread input
// makes the kernel send RST, which may destroy what we sent. So: close our side, read and drop for a while, close. A
// peer that does not take what we send gets the RST at once, or the kernel would keep the unsent rest for minutes.
func (w *wire) hangUp(linger time.Duration) {
	w.stop()
	defer w.Close()
	if w.deaf {
		conn := w.Conn
		if t, ok := conn.(interface{ NetConn() net.Conn }); ok { // TLS would wait to say goodbye
			conn = t.NetConn()
		}
		if t, ok := conn.(*net.TCPConn); ok {
			_ = t.SetLinger(0)
			t.Close()
		}
		return
	}
	half, ok := w.Conn.(interface{ CloseWrite() error })
	if !ok || w.SetDeadline(time.Now().Add(linger)) != nil || half.CloseWrite() != nil {
		return
	}
	const enough = 64 << 10
	buf := make([]byte, 4<<10)
	for dropped := 0; dropped < enough; {
		n, err := w.Conn.Read(buf)
		if err != nil {
			return
		}
		dropped += n
	}
}
