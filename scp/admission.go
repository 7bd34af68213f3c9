package scp

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"rfanode/dimse"
)

// Peer is an application entity that may connect.
type Peer struct {
	AETitle    string
	Hosts      []string // IP addresses or CIDR ranges that it may come from; empty: any
	RequireTLS bool     // not over the plain port
	// Certificates are the subject alternative names (DNS name, IP address, e-mail address or URI) of which its
	// certificate must carry one; empty: any certificate that the listener takes. They imply RequireTLS.
	Certificates []string
	Services     []Service // that it may use besides verification; empty: all
}

// Service is what a peer may use.
type Service string

const (
	Store  Service = "store"
	Commit Service = "commit" // storage commitment, in both roles
)

// IdentityPolicy says what the user identity in a request (PS3.7 annex D.3.3.7) counts.
type IdentityPolicy int

const (
	IdentityIgnored  IdentityPolicy = iota // whoever they say they are
	IdentityChecked                        // who says who they are must be known; who does not may connect too
	IdentityRequired                       // only known users, only over TLS
)

// User is somebody who may connect, besides the peer being allowed.
type User struct {
	Name     string
	Passcode string // empty: the name alone will do
}

// rule is one entry for a calling AE title.
type rule struct {
	hosts        []netip.Prefix
	tls          bool
	certificates []string
	services     []Service
}

// serves says whether the rule lets a peer use a service.
func (r rule) serves(s Service) bool { return len(r.services) == 0 || slices.Contains(r.services, s) }

// parseHosts reads addresses and ranges.
func parseHosts(hosts []string) ([]netip.Prefix, error) {
	anywhere := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	if len(hosts) == 0 {
		return anywhere, nil
	}
	var prefixes []netip.Prefix
	for _, h := range hosts {
		if addr, err := netip.ParseAddr(h); err == nil {
			prefixes = append(prefixes, netip.PrefixFrom(addr, addr.BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(h)
		if err != nil {
			return nil, fmt.Errorf("host %q is neither an IP address nor a CIDR range", h)
		}
		prefixes = append(prefixes, p)
	}
	return prefixes, nil
}

// handshakeTime bounds the TLS handshake of a peer.
const handshakeTime = 10 * time.Second

// secure makes the TLS handshake, if the listener asks for one, in the goroutine of the connection.
func (n *node) secure(ctx context.Context, conn net.Conn) error {
	s, ok := conn.(*tls.Conn)
	if !ok {
		return nil
	}
	limit := handshakeTime
	if t := n.limits.Timeouts.Request; t > 0 {
		limit = min(limit, t)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := s.HandshakeContext(ctx)
	var header tls.RecordHeaderError
	switch {
	case errors.Is(err, io.EOF):
		return dimse.ErrHungUp
	case errors.As(err, &header) && header.RecordHeader[0] == 1:
		return fmt.Errorf("%w (a plain DICOM client on the TLS port?)", err)
	}
	return err
}

// admit decides whether the caller may have an association now, by which rule, and counts it if so.
func (n *node) admit(rq *dimse.AssociateRQ, from net.Conn) (rule, *dimse.Reject) {
	if !n.isOurs(rq.CalledAE) {
		return rule{}, &dimse.RejectCalledAE
	}
	r, err := n.mayConnect(rq.CallingAE, from)
	if err != nil {
		n.log.Warn("a peer may not connect", "calling", rq.CallingAE, "from", from.RemoteAddr().String(), "error", err)
		return r, &dimse.RejectCallingAE
	}
	if err := n.mayUse(rq.User.Identity, from); err != nil {
		n.log.Warn("a user is not let in", "calling", rq.CallingAE, "from", from.RemoteAddr().String(), "error", err)
		return r, &dimse.RejectProviderNoReason
	}
	if err := n.Archive.CheckSpace(); err != nil {
		n.log.Error("refusing an association: free some space", "error", err)
		return r, &dimse.RejectCongestion
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.all >= n.limits.Associations || n.open[rq.CallingAE] >= n.limits.PerPeer {
		return r, &dimse.RejectLocalLimit
	}
	n.all++
	n.open[rq.CallingAE]++
	return r, nil
}

func (n *node) leave(callingAE string) {
	if callingAE == "" {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all--
	if n.open[callingAE]--; n.open[callingAE] == 0 {
		delete(n.open, callingAE)
	}
}

func (n *node) isOurs(title string) bool {
	for _, t := range n.AETitles {
		if strings.TrimSpace(t) == title {
			return true
		}
	}
	return false
}

// mayConnect applies the list of peers and returns the rule that lets the caller in; the error says what is amiss.
func (n *node) mayConnect(title string, from net.Conn) (rule, error) {
	if !dimse.ValidAETitle(title) {
		return rule{}, dimse.ErrAETitle
	}
	if n.AllowAnyPeer {
		return rule{}, nil
	}
	rules, ok := n.peers[title]
	if !ok {
		return rule{}, errors.New("it is not among the peers")
	}
	addr, err := netip.ParseAddrPort(from.RemoteAddr().String())
	if err != nil {
		return rule{}, err
	}
	for _, r := range rules {
		if err = r.allows(addr.Addr().Unmap().WithZone(""), from); err == nil {
			return r, nil
		}
	}
	return rule{}, err
}

func (r rule) allows(addr netip.Addr, from net.Conn) error {
	if !slices.ContainsFunc(r.hosts, func(h netip.Prefix) bool { return h.Contains(addr) }) {
		return errors.New("it may not come from this address")
	}
	if !r.tls && len(r.certificates) == 0 {
		return nil
	}
	s, ok := from.(*tls.Conn)
	if !ok {
		return errors.New("it must use the TLS port")
	}
	if len(r.certificates) == 0 {
		return nil
	}
	certs := s.ConnectionState().PeerCertificates
	if len(certs) == 0 {
		return errors.New("it has no certificate")
	}
	names := alternativeNames(certs[0])
	for _, want := range r.certificates {
		if slices.ContainsFunc(names, func(have string) bool { return strings.EqualFold(have, want) }) {
			return nil
		}
	}
	return fmt.Errorf("its certificate is for %q", names)
}

// alternativeNames lists whom a certificate is for.
func alternativeNames(c *x509.Certificate) []string {
	names := append(slices.Clone(c.DNSNames), c.EmailAddresses...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	for _, u := range c.URIs {
		names = append(names, u.String())
	}
	return names
}

// Types of user identity (PS3.7 table D.3-14).
const (
	identityName     = 1
	identityPasscode = 2
)

// mayUse checks the user identity. On a plain connection it proves nothing, and a passcode would have been read by
// others: there it is ignored, or not enough.
func (n *node) mayUse(id *dimse.UserIdentity, from net.Conn) error {
	_, secure := from.(*tls.Conn)
	switch {
	case n.Identity == IdentityIgnored:
		return nil
	case n.Identity == IdentityRequired && !secure:
		return errors.New("a user identity is required, over TLS")
	case n.Identity == IdentityRequired && id == nil:
		return errors.New("a user identity is required, none was sent")
	case !secure || id == nil:
		return nil
	case id.Type != identityName && id.Type != identityPasscode:
		return fmt.Errorf("user identities of type %d cannot be checked here: send a name, or a name and a passcode", id.Type)
	}
	known := false
	for _, u := range n.Users {
		right := u.Passcode == "" || id.Type == identityPasscode && same(id.Secondary, u.Passcode)
		known = known || same(id.Primary, u.Name) && right
	}
	if !known {
		return errors.New("the user name or the passcode is not known")
	}
	return nil
}

// same compares secrets in a time that does not depend on them.
func same(got []byte, want string) bool {
	a, b := sha256.Sum256(got), sha256.Sum256([]byte(want))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}
