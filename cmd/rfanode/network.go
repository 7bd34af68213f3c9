package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"rfanode/config"
	"rfanode/dimse"
	"rfanode/scp"
)

// credentials reads the certificate files; nil if TLS is not used.
func credentials(c *config.Config, log *slog.Logger) (*dimse.Credentials, error) {
	used := c.TLS.Listen != ""
	for _, d := range c.Destinations {
		used = used || d.TLS
	}
	for _, p := range c.Peers {
		used = used || p.TLS
	}
	if !used {
		return nil, nil
	}
	return dimse.LoadCredentials(dimse.CredentialFiles{Certificate: c.TLS.Certificate, Key: c.TLS.Key,
		Authorities: c.TLS.Authorities}, log)
}

// destinationPeer is where results for a destination go.
func destinationPeer(d config.Destination, credentials *dimse.Credentials) dimse.Peer {
	p := dimse.Peer{AETitle: d.AETitle, Address: d.Address}
	if d.TLS {
		p.TLS = credentials.Client(d.ServerName)
	}
	if d.User != "" {
		p.User = dimse.NewUser(d.User, d.Passcode)
	}
	return p
}

// addresses are where reports of storage commitment go, by AE title: to peers with an address, and to destinations.
func addresses(c *config.Config, credentials *dimse.Credentials) map[string]dimse.Peer {
	all := map[string]dimse.Peer{}
	for _, d := range c.Destinations {
		all[d.AETitle] = destinationPeer(d, credentials)
	}
	for _, p := range c.Peers {
		if p.Address == "" {
			continue
		}
		peer := dimse.Peer{AETitle: p.AETitle, Address: p.Address}
		if p.TLS {
			peer.TLS = credentials.Client("")
		}
		all[p.AETitle] = peer
	}
	return all
}

// senderRules says who may send to us.
func senderRules(c *config.Config) (peers []scp.Peer, policy scp.IdentityPolicy, users []scp.User) {
	for _, p := range c.Peers {
		peer := scp.Peer{AETitle: p.AETitle, Hosts: p.Hosts, RequireTLS: p.RequireTLS, Certificates: p.Certificates}
		for _, s := range p.Services {
			peer.Services = append(peer.Services, scp.Service(s))
		}
		peers = append(peers, peer)
	}
	for _, u := range c.Identity.Users {
		users = append(users, scp.User{Name: u.Name, Passcode: u.Passcode})
	}
	policy = map[string]scp.IdentityPolicy{config.IdentityIgnored: scp.IdentityIgnored,
		config.IdentityChecked: scp.IdentityChecked, config.IdentityRequired: scp.IdentityRequired}[c.Identity.Policy]
	return peers, policy, users
}

// openListeners opens the plain port and the TLS port, whichever are configured.
func openListeners(c *config.Config, credentials *dimse.Credentials) (listeners []net.Listener, err error) {
	defer func() {
		if err != nil {
			for _, l := range listeners {
				l.Close()
			}
		}
	}()
	open := func(address string) error {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return fmt.Errorf("port: %w: is another program using it? `rfanode check` tells", err)
		}
		listeners = append(listeners, l)
		return nil
	}
	if c.Listen != "" {
		if err := open(c.Listen); err != nil {
			return listeners, err
		}
	}
	if c.TLS.Listen == "" {
		return listeners, nil
	}
	if credentials == nil {
		return listeners, errors.New("TLS port without certificate files") // config has checked that they are named
	}
	secure, err := credentials.Server(c.TLS.Mutual)
	if err != nil {
		return listeners, err
	}
	if err := open(c.TLS.Listen); err != nil {
		return listeners, err
	}
	last := len(listeners) - 1
	listeners[last] = tls.NewListener(listeners[last], secure)
	return listeners, nil
}
