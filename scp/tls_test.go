package scp_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rfanode/dimse"
	"rfanode/internal/tooltest"
	"rfanode/scp"
)

// authority signs certificates for tests.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  crypto.Signer
	dir  string
	file string // its certificate
}

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.key = mustKey(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.file = a.write(name+".crt", "CERTIFICATE", der)
	return a
}

func mustKey[K crypto.Signer](key K, err error) crypto.Signer {
	if err != nil {
		panic(err)
	}
	return key
}

func (a *authority) write(name, kind string, der []byte) string {
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return path
}

// issue makes a certificate for this machine under a name, with a key of its own.
func (a *authority) issue(name string, key crypto.Signer) dimse.CredentialFiles {
	a.t.Helper()
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{name + ".hospital"}}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return dimse.CredentialFiles{Certificate: a.write(name+".crt", "CERTIFICATE", der),
		Key: a.write(name+".key", "PRIVATE KEY", secret), Authorities: a.file}
}

var (
	aKey       = mustKey(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	anotherKey = mustKey(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
)

func credentials(t testing.TB, files dimse.CredentialFiles) *dimse.Credentials {
	t.Helper()
	c, err := dimse.LoadCredentials(files, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// listenTLS is listen for DICOM over TLS.
func listenTLS(t testing.TB, c *dimse.Credentials, mutual bool) net.Listener {
	t.Helper()
	config, err := c.Server(mutual)
	if err != nil {
		t.Fatal(err)
	}
	return tls.NewListener(listen(t), config)
}

func echoOver(t testing.TB, r *receiver, config func() (*tls.Config, error), user *dimse.UserIdentity) error {
	t.Helper()
	return (&dimse.Client{}).Echo(t.Context(), dimse.Peer{AETitle: "RFANODE", Address: r.addr, TLS: config, User: user})
}

// Only peers with a certificate of our authority get in, and a certificate that is refused is a matter of configuration,
// whichever side refuses it.
func TestMutualTLS(t *testing.T) {
	ca, strangers := newAuthority(t, "ca"), newAuthority(t, "strangers")
	node := ca.issue("node", aKey)
	r := startOn(t, listenTLS(t, credentials(t, node), true), nil)
	client := ca.issue("client", anotherKey)
	if err := echoOver(t, r, credentials(t, client).Client(""), nil); err != nil {
		t.Errorf("mutual TLS: %v", err)
	}
	if err := echoOver(t, r, credentials(t, client).Client("node.hospital"), nil); err != nil {
		t.Errorf("by the name in the certificate: %v", err)
	}
	stranger := strangers.issue("stranger", anotherKey)
	for name, config := range map[string]func() (*tls.Config, error){
		"node unknown to us": credentials(t, dimse.CredentialFiles{Certificate: client.Certificate, Key: client.Key,
			Authorities: strangers.file}).Client(""),
		"we unknown to the node": credentials(t, dimse.CredentialFiles{Certificate: stranger.Certificate, Key: stranger.Key,
			Authorities: ca.file}).Client(""),
		"without a certificate": credentials(t, dimse.CredentialFiles{Authorities: ca.file}).Client(""),
		"another name":          credentials(t, client).Client("pacs.hospital"),
		"TLS 1.1": func() (*tls.Config, error) {
			return &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11, InsecureSkipVerify: true}, nil
		},
		"a suite without forward secrecy": func() (*tls.Config, error) {
			return &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256},
				InsecureSkipVerify: true}, nil
		},
	} {
		if err := echoOver(t, r, config, nil); err == nil || dimse.ErrorKind(err) != dimse.Configuration {
			t.Errorf("%s: %v is %v", name, err, dimse.ErrorKind(err))
		}
	}
	if err := echoOver(t, r, nil, nil); err == nil {
		t.Error("plain DICOM on the TLS port")
	}
	silent, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close() // a client that never begins its handshake holds up nobody
	if err := echoOver(t, r, credentials(t, client).Client(""), nil); err != nil {
		t.Errorf("beside a silent one: %v", err)
	}
}

// Both versions are spoken, and the newer one unless the client cannot.
func TestTLSVersions(t *testing.T) {
	ca := newAuthority(t, "ca")
	config, err := credentials(t, ca.issue("node", aKey)).Server(false)
	if err != nil {
		t.Fatal(err)
	}
	ln := tls.NewListener(listen(t), config)
	defer ln.Close()
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			_ = conn.(*tls.Conn).HandshakeContext(context.Background())
			conn.Close()
		}
	}()
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	for limit, want := range map[uint16]uint16{0: tls.VersionTLS13, tls.VersionTLS13: tls.VersionTLS13, tls.VersionTLS12: tls.VersionTLS12} {
		conn, err := tls.Dial("tcp", ln.Addr().String(), &tls.Config{RootCAs: roots, MaxVersion: limit})
		if err != nil {
			t.Fatal(err)
		}
		if got := conn.ConnectionState().Version; got != want {
			t.Errorf("limit %x: version %x", limit, got)
		}
		conn.Close()
	}
}

// A certificate that has been renewed is used for the next connection; one that is damaged is not.
func TestCertificateReload(t *testing.T) {
	old, fresh := newAuthority(t, "ca"), newAuthority(t, "ca")
	files := old.issue("node", aKey)
	r := startOn(t, listenTLS(t, credentials(t, files), false), nil)
	trusting := func(a *authority) func() (*tls.Config, error) {
		return credentials(t, dimse.CredentialFiles{Authorities: a.file}).Client("")
	}
	if err := echoOver(t, r, trusting(old), nil); err != nil {
		t.Fatal(err)
	}
	renewed := fresh.issue("node", anotherKey)
	move := func(from, to string) {
		b, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, b, 0o600); err != nil {
			t.Fatal(err)
		}
		later := time.Now().Add(time.Minute)
		_ = os.Chtimes(to, later, later) // the clock of the file system may be coarse
	}
	move(renewed.Certificate, files.Certificate) // the key does not fit yet: the old pair stays
	if err := echoOver(t, r, trusting(old), nil); err != nil {
		t.Errorf("between the two files: %v", err)
	}
	move(renewed.Key, files.Key)
	if err := echoOver(t, r, trusting(fresh), nil); err != nil {
		t.Errorf("after the renewal: %v", err)
	}
	if err := echoOver(t, r, trusting(old), nil); err == nil {
		t.Error("the old certificate is still in use")
	}
}

// Keys that BCP 195 calls too short are refused, ours at the start.
func TestShortKeys(t *testing.T) {
	t.Setenv("GODEBUG", "rsa1024min=0")
	ca := newAuthority(t, "ca")
	short, err := rsa.GenerateKey(rand.Reader, 1536)
	if err != nil {
		t.Fatal(err)
	}
	weak := ca.issue("weak", short)
	if _, err := dimse.LoadCredentials(weak, nil); err == nil || !strings.Contains(err.Error(), "too short") {
		t.Errorf("our own: %v", err)
	}
	r := startOn(t, listenTLS(t, credentials(t, ca.issue("node", aKey)), true), nil)
	pair, err := tls.LoadX509KeyPair(weak.Certificate, weak.Key)
	if err != nil {
		t.Fatal(err)
	}
	err = echoOver(t, r, func() (*tls.Config, error) {
		return &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{pair}}, nil
	}, nil)
	if err == nil {
		t.Error("a peer with a short key got in")
	}
}

// Rules a peer: over which port, and with whose certificate.
func TestPeerCertificates(t *testing.T) {
	ca := newAuthority(t, "ca")
	node := credentials(t, ca.issue("node", aKey))
	client := credentials(t, ca.issue("ct1", anotherKey)).Client("")
	rules := func(s *scp.Server) {
		s.AllowAnyPeer = false
		s.Peers = []scp.Peer{{AETitle: "OVER_TLS", RequireTLS: true}, {AETitle: "CT1", Certificates: []string{"CT1.hospital"}},
			{AETitle: "CT2", Certificates: []string{"ct2.hospital"}}, {AETitle: "ANYHOW"}}
	}
	secure, plain := startOn(t, listenTLS(t, node, true), rules), start(t, rules)
	open := startOn(t, listenTLS(t, node, false), rules)
	for _, c := range []struct {
		title                string
		secure, plain, asked bool // whether it gets in: by TLS with its certificate, plain, by TLS unasked for one
	}{{"OVER_TLS", true, false, true}, {"CT1", true, false, false}, {"CT2", false, false, false}, {"ANYHOW", true, true, true}} {
		ask := func(r *receiver, config func() (*tls.Config, error)) bool {
			c := dimse.Client{AETitle: c.title}
			return c.Echo(t.Context(), dimse.Peer{AETitle: "RFANODE", Address: r.addr, TLS: config}) == nil
		}
		if got := ask(secure, client); got != c.secure {
			t.Errorf("%s by TLS: %v", c.title, got)
		}
		if got := ask(plain, nil); got != c.plain {
			t.Errorf("%s plain: %v", c.title, got)
		}
		if got := ask(open, client); got != c.asked {
			t.Errorf("%s by TLS without its certificate being asked for: %v", c.title, got)
		}
	}
}

// User identity (PS3.7 annex D.3.3.7): what is configured decides whether it is checked and whether it must be there.
func TestUserIdentity(t *testing.T) {
	ca := newAuthority(t, "ca")
	node := credentials(t, ca.issue("node", aKey))
	config := credentials(t, dimse.CredentialFiles{Authorities: ca.file}).Client("")
	users := []scp.User{{Name: "router", Passcode: "s3cret"}, {Name: "viewer"}}
	for policy, expect := range map[scp.IdentityPolicy]map[string]bool{
		scp.IdentityIgnored:  {"none": true, "right": true, "wrong": true, "name alone": true, "passcode left out": true, "unknown": true, "token": true},
		scp.IdentityChecked:  {"none": true, "right": true, "wrong": false, "name alone": true, "passcode left out": false, "unknown": false, "token": false},
		scp.IdentityRequired: {"none": false, "right": true, "wrong": false, "name alone": true, "passcode left out": false, "unknown": false, "token": false},
	} {
		r := startOn(t, listenTLS(t, node, false), func(s *scp.Server) { s.Identity, s.Users = policy, users })
		for name, id := range map[string]*dimse.UserIdentity{"none": nil, "right": dimse.NewUser("router", "s3cret"),
			"wrong": dimse.NewUser("router", "secret"), "name alone": dimse.NewUser("viewer", ""),
			"passcode left out": dimse.NewUser("router", ""), "unknown": dimse.NewUser("nobody", "s3cret"),
			"token": {Type: 5, Primary: []byte("eyJ")}} {
			err := echoOver(t, r, config, id)
			if (err == nil) != expect[name] {
				t.Errorf("policy %d, %s: %v", policy, name, err)
			}
			if err != nil && (dimse.ErrorKind(err) != dimse.Configuration || !strings.Contains(err.Error(), "1/2/1")) {
				t.Errorf("policy %d, %s: %v is not the permanent rejection", policy, name, err)
			}
		}
	}
	plain := start(t, func(s *scp.Server) { s.Identity, s.Users = scp.IdentityRequired, users })
	if err := echoOver(t, plain, nil, dimse.NewUser("viewer", "")); err == nil {
		t.Error("an identity over a plain connection was enough")
	}
	if err := echoOver(t, plain, nil, dimse.NewUser("router", "s3cret")); err == nil || dimse.ErrorKind(err) != dimse.Configuration {
		t.Errorf("a passcode over a plain connection: %v", err)
	}
}

// The answer to a user identity is given only if it was asked for.
func TestIdentityResponse(t *testing.T) {
	ca := newAuthority(t, "ca")
	r := startOn(t, listenTLS(t, credentials(t, ca.issue("node", aKey)), false), func(s *scp.Server) {
		s.Identity, s.Users = scp.IdentityChecked, []scp.User{{Name: "x"}}
	})
	for asked, want := range map[byte]bool{0: false, 1: true} {
		roots := x509.NewCertPool()
		roots.AddCert(ca.cert)
		conn, err := tls.Dial("tcp", r.addr, &tls.Config{RootCAs: roots})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		rq := goodRequest()
		rq.extraItemsInUser = item(0x58, []byte{1, asked, 0, 1, 'x', 0, 0})
		body := (&peer{t, conn}).send(rq.bytes()).expect("AC")
		if got := bytes.Contains(body, []byte{0x59, 0, 0, 2, 0, 0}); got != want {
			t.Errorf("asked %d: answered %v", asked, got)
		}
	}
}

// DCMTK's TLS, as client and as server, with the keys and profiles that it ships with.
func TestDCMTKTLS(t *testing.T) {
	echoscu, storescu := tooltest.Need(t, "echoscu"), tooltest.Need(t, "storescu")
	ca := newAuthority(t, "ca")
	rsaKey := mustKey(rsa.GenerateKey(rand.Reader, 2048))
	node, client := ca.issue("node", rsaKey), ca.issue("client", mustKey(rsa.GenerateKey(rand.Reader, 2048)))
	lone := newAuthority(t, "strangers").issue("lone", rsaKey)
	r := startOn(t, listenTLS(t, credentials(t, node), true), func(s *scp.Server) {
		s.Identity, s.Users = scp.IdentityChecked, []scp.User{{Name: "router", Passcode: "s3cret"}}
	})
	secure := []string{"+tls", client.Key, client.Certificate, "+cf", ca.file, "-aec", "RFANODE"}
	for _, c := range []struct {
		name string
		args []string
		in   bool
	}{
		{"mutual", secure, true},
		{"non-downgrading profile", append([]string{"+py"}, secure...), true},
		{"BCP 195 profile", append([]string{"+px"}, secure...), true},
		{"extended profile", append([]string{"+pz"}, secure...), true},
		{"anonymous", []string{"+tla", "+cf", ca.file, "-aec", "RFANODE"}, false},
		{"a stranger's certificate", []string{"+tls", lone.Key, lone.Certificate, "+cf", ca.file, "-aec", "RFANODE"}, false},
		{"plain", []string{"-aec", "RFANODE"}, false},
	} {
		out, err := run(t, echoscu, append(c.args, r.host, r.port)...)
		if (err == nil) != c.in {
			t.Errorf("echoscu, %s: %v\n%s", c.name, err, out)
		}
	}
	dir := t.TempDir()
	paths := writeSeries(t, dir, 3, dimse.ExplicitVRLittleEndian)
	if out, err := run(t, storescu, append(append([]string{"-usr", "router", "-pwd", "s3cret", "-rsp"}, secure...), r.host, r.port, "+sd", dir)...); err != nil {
		t.Errorf("storescu: %v\n%s", err, out)
	}
	if n := len(r.stored()); n != 3 {
		t.Errorf("%d stored", n)
	}
	if out, err := run(t, storescu, append(append([]string{"-usr", "router", "-pwd", "wrong"}, secure...), r.host, r.port, "+sd", dir)...); err == nil {
		t.Errorf("storescu with a wrong passcode got in\n%s", out)
	}

	peer, received := startStoreSCP(t, "+tls", node.Key, node.Certificate, "+cf", ca.file)
	peer.TLS = credentials(t, client).Client("")
	err := (&dimse.Client{}).Store(t.Context(), peer, objectsOf(t, paths), func(i int, o dimse.Outcome) {
		if !o.Stored {
			t.Errorf("object %d: %v", i, o)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if files, _ := filepath.Glob(filepath.Join(received, "*")); len(files) != 3 {
		t.Errorf("storescp has %d files", len(files))
	}
	peer.TLS = credentials(t, lone).Client("")
	if err := (&dimse.Client{}).Echo(t.Context(), peer); err == nil || dimse.ErrorKind(err) != dimse.Configuration {
		t.Errorf("strangers: %v", err)
	}
}
