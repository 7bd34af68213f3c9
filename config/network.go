package config

import (
	"net"
	"slices"
)

// TLS is DICOM over TLS: a port of its own, and the certificates that connections to destinations use too.
type TLS struct {
	Listen      string `toml:"listen"`
	Certificate string `toml:"certificate"`
	Key         string `toml:"key"`
	Authorities string `toml:"authorities"`
	Mutual      bool   `toml:"mutual"`
}

// Identity says what a user identity in an association request counts.
type Identity struct {
	Policy string `toml:"policy"`
	Users  []User `toml:"user"`
}

// User is who may present a user identity.
type User struct {
	Name     string `toml:"name"`
	Passcode string `toml:"passcode"`
}

// Policies of Identity.
const (
	IdentityIgnored  = "ignore"
	IdentityChecked  = "check"
	IdentityRequired = "require"
)

// checkNetwork is check for ports, TLS and user identities.
func (c *Config) checkNetwork(add func(format string, args ...any)) {
	port := func(key, address string) {
		if _, _, err := net.SplitHostPort(address); err != nil {
			add(`%s = %q: write "host:port", or ":port" for every address of this machine`, key, address)
		}
	}
	if c.Listen == "" && c.TLS.Listen == "" {
		add("listen and tls.listen are empty: nobody could send")
	}
	if c.Listen != "" {
		port("listen", c.Listen)
	}
	t := c.TLS
	if (t.Certificate == "") != (t.Key == "") {
		add("tls: certificate and key belong together: name both files")
	}
	if t.Listen != "" {
		port("tls.listen", t.Listen)
		if t.Certificate == "" {
			add("tls.listen: the port needs tls.certificate and tls.key")
		}
		if t.Mutual && t.Authorities == "" {
			add("tls.mutual: name in tls.authorities who signs the certificates of the senders, or set mutual = false")
		}
	}
	for _, p := range c.Peers {
		secure := p.RequireTLS || len(p.Certificates) > 0
		if secure && c.TLS.Listen == "" {
			add("peer %s: it must use TLS, but there is no tls.listen", p.AETitle)
		}
		if len(p.Certificates) > 0 && !c.TLS.Mutual {
			add("peer %s: certificates: nobody is asked for a certificate while tls.mutual is false", p.AETitle)
		}
		for _, s := range p.Services {
			if s != "store" && s != "commit" {
				add(`peer %s: services: %q is none: "store" or "commit"`, p.AETitle, s)
			}
		}
		if p.Address != "" {
			if _, _, err := net.SplitHostPort(p.Address); err != nil {
				add(`peer %s: address = %q: write "host:port"`, p.AETitle, p.Address)
			}
		}
	}
	for _, d := range c.Destinations {
		if d.Passcode != "" && d.User == "" {
			add("destination %s: passcode without a user", d.Name)
		}
		if d.Passcode != "" && !d.TLS {
			add("destination %s: a passcode is sent over TLS only: set tls = true", d.Name)
		}
	}
	if !slices.Contains([]string{IdentityIgnored, IdentityChecked, IdentityRequired}, c.Identity.Policy) {
		add("identity.policy = %q: %s, %s or %s", c.Identity.Policy, IdentityIgnored, IdentityChecked, IdentityRequired)
	} else if c.Identity.Policy != IdentityIgnored && len(c.Identity.Users) == 0 {
		add("identity.policy = %q: add an [[identity.user]]", c.Identity.Policy)
	}
	if c.Identity.Policy == IdentityRequired && c.TLS.Listen == "" {
		add("identity.policy = %q counts over TLS only, but there is no tls.listen", c.Identity.Policy)
	}
	for i, u := range c.Identity.Users {
		if u.Name == "" {
			add("identity.user %d: name is empty", i+1)
		}
	}
}
