package dimse

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"
)

// Peer is an application entity that we connect to.
type Peer struct {
	AETitle string
	Address string // host:port
	// TLS gives the configuration of each connection; nil: plain TCP. Credentials.Client makes it.
	TLS func() (*tls.Config, error)
	// User is who we say we are beyond the AE title; nil: nobody in particular. A passcode goes only over TLS.
	User *UserIdentity
}

// ErrAETitle means that an AE title cannot be one.
var ErrAETitle = errors.New("an AE title has 1 to 16 printable ASCII characters and no backslash")

// ErrPlainPasscode means that a passcode would have been sent so that anybody can read it.
var ErrPlainPasscode = errors.New("a passcode is sent over TLS only")

// ConnectError means that no connection came about.
type ConnectError struct {
	Peer Peer
	Err  error
}

func (e *ConnectError) Error() string {
	return fmt.Sprintf("connect to %s at %s: %v", e.Peer.AETitle, e.Peer.Address, e.Err)
}
func (e *ConnectError) Unwrap() error { return e.Err }

// request opens an association with peer for the given contexts.
func (c *Client) request(ctx context.Context, peer Peer, contexts []ProposedContext, roles ...RoleSelection) (*Association, error) {
	for _, title := range []string{c.AETitle, peer.AETitle} {
		if !ValidAETitle(title) {
			return nil, fmt.Errorf("%w: %q", ErrAETitle, title)
		}
	}
	if peer.User != nil && len(peer.User.Secondary) > 0 && peer.TLS == nil {
		return nil, fmt.Errorf("%w: %s", ErrPlainPasscode, peer.AETitle)
	}
	times := c.Timeouts.withDefaults()
	conn, err := dial(ctx, peer, times.Connect)
	if err != nil {
		return nil, &ConnectError{peer, err}
	}
	as := newAssociation(ctx, conn, awaitingAnswer, times, 0, 0)
	as.CalledAE, as.CallingAE = peer.AETitle, c.AETitle
	if err := c.associate(as, contexts, peer.User, roles); err != nil {
		as.Close()
		return nil, err
	}
	return as, nil
}

func (c *Client) associate(as *Association, contexts []ProposedContext, user *UserIdentity, roles []RoleSelection) error {
	rq := &AssociateRQ{ProtocolVersion: 1, CalledAE: as.CalledAE, CallingAE: as.CallingAE,
		ApplicationContext: ApplicationContext, Contexts: contexts,
		User: UserInformation{MaxLength: as.maxPDU, HasMaxLength: true, ImplementationClassUID: ImplementationClassUID,
			ImplementationVersion: ImplementationVersion, Identity: user, Roles: roles}}
	if err := as.w.send(appendPDU(nil, rq), as.times.Stall); err != nil {
		return as.lost("ask for the association", err)
	}
	p, err := as.receive()
	if err != nil {
		return err
	}
	if r, ok := p.(Reject); ok {
		as.state, as.err = awaitingClose, &RejectedError{Reject: r, ByPeer: true}
		return as.err
	}
	ac, ok := p.(*AssociateAC)
	if !ok { // the state table takes nothing else
		return as.abort(AbortUnexpectedPDU, fmt.Errorf("%s instead of an answer", p.pduType()))
	}
	if ac.User.HasMaxLength && ac.User.MaxLength > 0 && ac.User.MaxLength < minPeerPDU {
		return as.abort(AbortByUser, fmt.Errorf("the peer takes only %d bytes a unit", ac.User.MaxLength))
	}
	proposed := make(map[byte]ProposedContext, len(contexts))
	for _, p := range contexts {
		proposed[p.ID] = p
	}
	for _, a := range ac.Contexts {
		p, ok := proposed[a.ID]
		if !ok || a.Result != ContextAccepted {
			continue
		}
		for _, ts := range p.TransferSyntaxes { // an answer that was not offered counts as a refusal
			if ts == a.TransferSyntax {
				as.Contexts[a.ID] = PresentationContext{a.ID, p.AbstractSyntax, ts}
			}
		}
	}
	as.establish(ac.User, as.times.Response)
	return nil
}

// dial connects, by TLS if the peer asks for it, within limit.
func dial(ctx context.Context, peer Peer, limit time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", peer.Address)
	if err != nil || peer.TLS == nil {
		return conn, err
	}
	config, err := peer.TLS()
	if err != nil {
		conn.Close()
		return nil, err
	}
	if config.ServerName == "" && !config.InsecureSkipVerify {
		host, _, err := net.SplitHostPort(peer.Address)
		if err != nil {
			conn.Close()
			return nil, err
		}
		config = config.Clone()
		config.ServerName = host
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, fmt.Errorf("TLS: %w", err)
	}
	return secure, nil
}
