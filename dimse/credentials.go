package dimse

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// CredentialFiles are what TLS needs, as PEM files.
type CredentialFiles struct {
	Certificate string // our certificate, followed by the intermediate ones; empty: a client without one
	Key         string // its private key
	Authorities string // who signs the certificates of our peers; empty: whom the operating system trusts
}

// Credentials are the contents of CredentialFiles, read again when a file has changed: a certificate is renewed without
// a restart. While new files cannot be used the old ones stay in use. They may be used by several goroutines.
//
// TLS follows BCP 195 (RFC 8996, RFC 9325), which the secure transport profiles of PS3.15 sections B.12 and B.13 ask
// for: version 1.3, or 1.2 with ephemeral elliptic curve keys and authenticated encryption, and certificates with RSA
// keys of at least 2048 or elliptic curve keys of at least 256 bits. Finite-field ephemeral keys (DHE) are not offered.
type Credentials struct {
	files CredentialFiles
	log   *slog.Logger

	mu     sync.Mutex
	marks  [3]fileMark // of the files as last tried
	loaded *loadedCredentials
}

// loadedCredentials is one state of the files.
type loadedCredentials struct {
	certificate *tls.Certificate // nil: none
	authorities *x509.CertPool   // nil: of the system
}

// fileMark tells whether a file has changed.
type fileMark struct {
	modified time.Time
	size     int64
}

// cipherSuites for TLS 1.2; those of TLS 1.3 are all good and cannot be chosen (RFC 9325 section 4.2).
var cipherSuites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// Least key lengths, bits (RFC 9325 section 4.5).
const (
	minRSABits   = 2048
	minCurveBits = 256
)

// LoadCredentials reads the files. log is told of renewals; nil: silent.
func LoadCredentials(files CredentialFiles, log *slog.Logger) (*Credentials, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c := &Credentials{files: files, log: log}
	marks, err := c.look()
	if err != nil {
		return nil, err
	}
	c.marks = marks
	c.loaded, err = c.read()
	return c, err
}

// look notes the state of the files.
func (c *Credentials) look() (marks [3]fileMark, err error) {
	for i, path := range []string{c.files.Certificate, c.files.Key, c.files.Authorities} {
		if path == "" {
			continue
		}
		info, err := os.Stat(path)
		if err != nil {
			return marks, fmt.Errorf("TLS: %w", err)
		}
		marks[i] = fileMark{info.ModTime(), info.Size()}
	}
	return marks, nil
}

func (c *Credentials) read() (*loadedCredentials, error) {
	l := &loadedCredentials{}
	if c.files.Certificate != "" {
		pair, err := tls.LoadX509KeyPair(c.files.Certificate, c.files.Key)
		if err != nil {
			return nil, fmt.Errorf("TLS: certificate %s with key %s: %w", c.files.Certificate, c.files.Key, err)
		}
		if err := strongEnough(pair.Leaf); err != nil {
			return nil, fmt.Errorf("TLS: certificate %s: %w: make a new one", c.files.Certificate, err)
		}
		l.certificate = &pair
	}
	if c.files.Authorities != "" {
		text, err := os.ReadFile(c.files.Authorities)
		if err != nil {
			return nil, fmt.Errorf("TLS: %w", err)
		}
		l.authorities = x509.NewCertPool()
		if !l.authorities.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("TLS: there is no certificate in %s (PEM is needed)", c.files.Authorities)
		}
	}
	return l, nil
}

// current is what the files hold now, or held when they could last be used.
func (c *Credentials) current() *loadedCredentials {
	c.mu.Lock()
	defer c.mu.Unlock()
	marks, err := c.look()
	if err == nil && marks == c.marks {
		return c.loaded
	}
	c.marks = marks // tried once each time they change
	var fresh *loadedCredentials
	if err == nil {
		fresh, err = c.read()
	}
	if err != nil {
		c.log.Error("the certificate files have changed and cannot be used; the old ones stay in use", "error", err)
		return c.loaded
	}
	c.log.Info("certificate files read again", "certificate", c.files.Certificate)
	c.loaded = fresh
	return fresh
}

// Expires is when our own certificate ends; zero without one.
func (c *Credentials) Expires() time.Time {
	if l := c.current(); l.certificate != nil {
		return l.certificate.Leaf.NotAfter
	}
	return time.Time{}
}

// Server is the configuration of a listener. mutual asks every client for a certificate that one of the authorities has
// signed.
func (c *Credentials) Server(mutual bool) (*tls.Config, error) {
	if c.files.Certificate == "" {
		return nil, errors.New("TLS: a listener needs a certificate and its key")
	}
	if mutual && c.files.Authorities == "" {
		return nil, errors.New("TLS: to check the certificates of clients, name the authorities that sign them")
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		l := c.current()
		config := &tls.Config{MinVersion: tls.VersionTLS12, CipherSuites: cipherSuites,
			Certificates: []tls.Certificate{*l.certificate}, VerifyConnection: checkKeys,
			// A resumed session would outlive the authorities that once let the client in.
			SessionTicketsDisabled: true}
		if mutual {
			config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, l.authorities
		}
		return config, nil
	}}, nil
}

// Client makes the configurations of connections to a peer whose certificate must be for name; empty: for the host of
// its address. The result goes into Peer.TLS.
func (c *Credentials) Client(name string) func() (*tls.Config, error) {
	return func() (*tls.Config, error) {
		l := c.current()
		config := &tls.Config{MinVersion: tls.VersionTLS12, CipherSuites: cipherSuites, RootCAs: l.authorities,
			ServerName: name, VerifyConnection: checkKeys}
		if l.certificate != nil {
			config.Certificates = []tls.Certificate{*l.certificate}
		}
		return config, nil
	}
}

// checkKeys refuses peers whose certificates have short keys.
func checkKeys(s tls.ConnectionState) error {
	for _, cert := range s.PeerCertificates {
		if err := strongEnough(cert); err != nil {
			return fmt.Errorf("certificate of the peer (%s): %w", cert.Subject, err)
		}
	}
	return nil
}

// errShortKey means that a certificate is not safe any more.
var errShortKey = errors.New("its key is too short (RSA needs 2048 bits, elliptic curves 256)")

func strongEnough(cert *x509.Certificate) error {
	switch key := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() < minRSABits {
			return errShortKey
		}
	case *ecdsa.PublicKey:
		if key.Curve.Params().BitSize < minCurveBits {
			return errShortKey
		}
	}
	return nil
}
