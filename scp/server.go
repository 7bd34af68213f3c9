// Package scp is the receiving node: it listens, decides who may connect and what is accepted, answers C-ECHO, stores
// what C-STORE brings (storage SCP, PS3.4 annex B, level 2 full), and answers for what it has stored (storage commitment,
// PS3.4 annex J). An instance is acknowledged only after it is on disk for good. How the protocol works is dimse's matter, how instances are kept is scp/archive's; what becomes of them
// is nobody's here.
package scp

import (
	"container/list"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"rfanode/dimse"
	"rfanode/scp/archive"
)

// Limits bound what peers can occupy. A zero field stands for its default.
type Limits struct {
	Associations int           // at a time; 128
	PerPeer      int           // of one calling AE title; 32
	HalfOpen     int           // connections that have not asked for an association yet; 4096. Over it the oldest goes
	Drain        time.Duration // that running associations get to end when the server stops; 10 s
	MaxPDU       uint32        // bytes of a P-DATA-TF that we take; 128 KiB
	MaxDataSet   int64         // bytes of a data set; 2 GiB
	Timeouts     dimse.Timeouts
}

func (l Limits) withDefaults() Limits {
	if l.Associations <= 0 {
		l.Associations = 128
	}
	if l.PerPeer <= 0 {
		l.PerPeer = 32
	}
	if l.HalfOpen <= 0 {
		l.HalfOpen = 4096
	}
	if l.Drain <= 0 {
		l.Drain = 10 * time.Second
	}
	return l
}

// Server is a storage SCP. Its fields are set before Serve and not changed after.
type Server struct {
	AETitles     []string // ours, compared exactly; at least one
	AllowAnyPeer bool     // any calling AE title from anywhere
	Peers        []Peer   // who else may connect
	Limits       Limits
	Archive      *archive.Archive
	// TransferSyntaxes are accepted for storage, the first that a peer offers of them, in this order. Nil: Explicit,
	// then Implicit VR Little Endian. Only what the rest of the program can decode belongs here.
	TransferSyntaxes []string
	// AnyTransferSyntax accepts, where none of TransferSyntaxes is offered, the first other one whose data sets can be
	// checked: objects that nobody here will look at are stored too.
	AnyTransferSyntax bool
	// Identity says what the user identity of a request counts; Users are those who are known.
	Identity IdentityPolicy
	Users    []User
	// AcceptUnknownClasses stores what is no storage SOP class of the standard too (private classes).
	AcceptUnknownClasses bool
	// Stored is called with every instance that was acknowledged as stored, an identical duplicate included, by the
	// goroutine of its association, which waits for it before it takes the next message. May be nil.
	Stored func(archive.Entry)
	// Commitments answers requests for storage commitment; nil: the service is not offered.
	Commitments *Committer
	// CommitmentReport is told the reports on the commitments that this node has asked for, and by whom they come. An
	// error is answered with a failure, so that the peer brings the report again. Nil: none are taken.
	CommitmentReport func(aeTitle string, r dimse.CommitmentReport) error
	Log              *slog.Logger // nil: silent

	once sync.Once
	read chan struct{} // places for those who read a data set into memory
	rqs  chan struct{} // places for large association requests
	mu   sync.Mutex
	half list.List      // of net.Conn, oldest first
	open map[string]int // associations by calling AE title
	all  int
}

// Serve accepts associations on ln until ctx is done; then it takes no new ones, gives the running ones Limits.Drain to
// end, aborts those that have not, and returns nil. It closes ln. It may run for several listeners at a time, which
// share the limits; ln may be a TLS listener.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	defer ln.Close()
	n, err := s.node()
	if err != nil {
		return err
	}
	// Associations outlive ctx by the time of the drain.
	work, abort := context.WithCancelCause(context.WithoutCancel(ctx))
	defer abort(nil)
	defer context.AfterFunc(ctx, func() { ln.Close() })()

	var running sync.WaitGroup
	err = n.accept(ctx, ln, func(conn net.Conn) {
		waiting := n.halfOpen(conn) // here, so that the order of the list is that of arrival
		running.Go(func() { n.handle(work, conn, waiting) })
	})
	ended := make(chan struct{})
	go func() { running.Wait(); close(ended) }()
	drain := time.NewTimer(n.limits.Drain)
	defer drain.Stop()
	s.dropHalfOpen()
	select {
	case <-ended:
	case <-drain.C:
		abort(errors.New("this node is shutting down"))
		<-ended
	}
	return err
}

// largeRequests is how many requests of more than 64 KiB are read at a time: of the connections that have not asked yet
// each may hold 64 KiB, these up to 1 MiB.
const largeRequests = 64

// node is a Server with its settings checked and completed.
type node struct {
	*Server
	limits   Limits
	syntaxes []string
	peers    map[string][]rule // by calling AE title; any of them lets in
	log      *slog.Logger
}

func (s *Server) node() (*node, error) {
	n := &node{Server: s, limits: s.Limits.withDefaults(), syntaxes: s.TransferSyntaxes, log: s.Log,
		peers: make(map[string][]rule)}
	if n.syntaxes == nil {
		n.syntaxes = []string{dimse.ExplicitVRLittleEndian, dimse.ImplicitVRLittleEndian}
	}
	for _, ts := range n.syntaxes {
		if !dimse.KnownTransferSyntax(ts) {
			return nil, fmt.Errorf("scp: the transfer syntax %q is unknown", ts)
		}
	}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	switch {
	case s.Archive == nil:
		return nil, errors.New("scp: no archive to store to")
	case len(s.AETitles) == 0:
		return nil, errors.New("scp: no AE title of our own")
	case len(s.Peers) == 0 && !s.AllowAnyPeer:
		return nil, errors.New("scp: nobody may connect: list the peers, or allow any peer explicitly")
	}
	for _, title := range s.AETitles {
		if !dimse.ValidAETitle(title) {
			return nil, fmt.Errorf("scp: %w: %q", dimse.ErrAETitle, title)
		}
	}
	for _, p := range s.Peers {
		if !dimse.ValidAETitle(p.AETitle) {
			return nil, fmt.Errorf("scp: peer: %w: %q", dimse.ErrAETitle, p.AETitle)
		}
		for _, s := range p.Services {
			if s != Store && s != Commit {
				return nil, fmt.Errorf("scp: peer %q: there is no service %q", p.AETitle, s)
			}
		}
		hosts, err := parseHosts(p.Hosts)
		if err != nil {
			return nil, fmt.Errorf("scp: peer %q: %w", p.AETitle, err)
		}
		title := strings.TrimSpace(p.AETitle)
		n.peers[title] = append(n.peers[title], rule{hosts, p.RequireTLS, p.Certificates, p.Services})
	}
	if s.Identity != IdentityIgnored && len(s.Users) == 0 {
		return nil, errors.New("scp: user identities are to be checked, but no user is known")
	}
	s.once.Do(func() {
		s.open = make(map[string]int)
		s.read = make(chan struct{}, inMemory)
		s.rqs = make(chan struct{}, largeRequests)
	})
	return n, nil
}

// accept takes connections until ctx is done. When the program has no file descriptors left it waits and goes on.
func (n *node) accept(ctx context.Context, ln net.Listener, take func(net.Conn)) error {
	const longest = time.Second
	pause := 5 * time.Millisecond
	for {
		conn, err := ln.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				conn.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("scp: the listener at %s was closed", ln.Addr())
		case err != nil:
			n.log.Warn("cannot take a connection; trying again", "error", err)
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
			pause = min(2*pause, longest)
		default:
			pause = 5 * time.Millisecond
			take(conn)
		}
	}
}

// handle is one connection from beginning to end. It calls waiting once the peer has asked for an association or gone.
func (n *node) handle(ctx context.Context, conn net.Conn, waiting func()) {
	log := n.log.With("from", conn.RemoteAddr().String())
	defer func() {
		if p := recover(); p != nil { // a fault of ours must not take the other associations along
			log.Error("fault in an association", "panic", p, "stack", string(debug.Stack()))
			conn.Close()
		}
	}()
	if err := n.secure(ctx, conn); err != nil {
		waiting()
		if !errors.Is(err, dimse.ErrHungUp) {
			log.Warn("no TLS connection", "error", err)
		}
		conn.Close()
		return
	}
	var counted string
	acceptor := dimse.Acceptor{Timeouts: n.limits.Timeouts, MaxPDU: n.limits.MaxPDU, MaxDataSet: n.limits.MaxDataSet,
		Large: n.rqs, Negotiate: func(rq *dimse.AssociateRQ, from net.Conn) ([]dimse.ContextAnswer, dimse.UserInformation, *dimse.Reject) {
			waiting()
			by, no := n.admit(rq, from)
			if no != nil {
				return nil, dimse.UserInformation{}, no
			}
			counted = rq.CallingAE
			_, secure := from.(*tls.Conn)
			answers, own := n.negotiate(rq, by, secure)
			return answers, own, nil
		}}
	as, err := acceptor.Accept(ctx, conn)
	waiting()
	// As soon as the association is over, not when the connection has lingered to its end.
	var left sync.Once
	leave := func() { left.Do(func() { n.leave(counted) }) }
	defer leave()
	switch {
	case errors.Is(err, dimse.ErrHungUp): // a port check; every load balancer makes one a second
		log.Debug("no association", "error", err)
		return
	case err != nil:
		log.Warn("no association", "error", err)
		return
	}
	defer as.Close()
	log = log.With("calling", as.CallingAE, "called", as.CalledAE)
	log.Info("association", "contexts", len(as.Contexts), "implementation", as.Peer.ImplementationVersion)
	x := &exchange{node: n, ctx: ctx, as: as, log: log}
	err = x.run()
	if errors.Is(err, dimse.ErrReleased) {
		err = nil
	}
	level := slog.LevelInfo
	if err != nil {
		level = slog.LevelWarn
	}
	log.Log(ctx, level, "association ended", "stored", x.stored, "refused", x.refused, "echoes", x.echoes, "error", err)
	leave()
}

// halfOpen counts a connection that has not asked yet, and closes the oldest of them when there are too many: a newcomer
// is more likely to be a good peer than one that has been silent all along. The returned function ends the count.
func (s *Server) halfOpen(conn net.Conn) (done func()) {
	limit := s.Limits.withDefaults().HalfOpen
	s.mu.Lock()
	e := s.half.PushBack(conn)
	var oldest net.Conn
	if s.half.Len() > limit {
		oldest, _ = s.half.Remove(s.half.Front()).(net.Conn)
	}
	s.mu.Unlock()
	if oldest != nil {
		oldest.Close()
	}
	return func() {
		s.mu.Lock()
		s.half.Remove(e) // does nothing if it is gone
		s.mu.Unlock()
	}
}

// dropHalfOpen closes the connections that have not asked yet.
func (s *Server) dropHalfOpen() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.half.Len() > 0 { // one by one: Init would leave the elements believing that they are in the list
		if conn, ok := s.half.Remove(s.half.Front()).(net.Conn); ok {
			conn.Close()
		}
	}
}
