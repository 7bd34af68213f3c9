package scp_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
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
	"rfanode/scp/archive"
)

// A node that says nobody may connect, or cannot know what it should, must not start silently.
func TestServeRefusesBadSettings(t *testing.T) {
	a, err := archive.Open(t.TempDir(), archive.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	for name, s := range map[string]*scp.Server{
		"nobody may connect":      {AETitles: []string{"A"}, Archive: a},
		"no title":                {AllowAnyPeer: true, Archive: a},
		"no archive":              {AllowAnyPeer: true, AETitles: []string{"A"}},
		"title too long":          {AllowAnyPeer: true, AETitles: []string{"A_TITLE_OF_17_CHA"}, Archive: a},
		"host is a name":          {AETitles: []string{"A"}, Archive: a, Peers: []scp.Peer{{AETitle: "B", Hosts: []string{"ct.local"}}}},
		"unknown transfer syntax": {AllowAnyPeer: true, AETitles: []string{"A"}, Archive: a, TransferSyntaxes: []string{"1.2.3"}},
	} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Serve(t.Context(), ln); err == nil {
			t.Errorf("%s: started", name)
		}
	}
}

// A stop lets an object under way finish, takes no new associations, and ends within the drain time though a peer stays.
func TestDrain(t *testing.T) {
	a, err := archive.Open(t.TempDir(), archive.Options{ReserveBytes: -1, ReservePercent: -1, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	s := &scp.Server{AETitles: []string{"RFANODE"}, AllowAnyPeer: true, Archive: a,
		Limits: scp.Limits{Drain: 500 * time.Millisecond}}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln) }()
	r := &receiver{addr: ln.Addr().String()}
	p := associated(t, r)
	silent := dial(t, r)
	in := newInstance(1)
	whole := store(1, ctClass, in.uid, in.encode(true))
	p.send(whole[:len(whole)/2])
	stopped := time.Now()
	cancel()
	time.Sleep(100 * time.Millisecond)
	if conn, err := net.Dial("tcp", r.addr); err == nil {
		conn.Close()
		t.Error("a new connection was taken")
	}
	silent.expect("closed")
	p.send(whole[len(whole)/2:])
	if s := p.status(1); s != 0 {
		t.Errorf("the object under way: %04XH", s)
	}
	p.expect("ABORT 0/0") // for staying
	if err := <-done; err != nil {
		t.Error(err)
	}
	if took := time.Since(stopped); took > 3*time.Second {
		t.Errorf("took %v to stop", took)
	}

	// The same server serves again.
	if ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel = context.WithCancel(context.Background())
	go func() { done <- s.Serve(ctx, ln) }()
	for range 3 {
		alive(t, &receiver{addr: ln.Addr().String()})
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// certificate makes a self-signed pair for 127.0.0.1.
func certificate(t testing.TB) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "node"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// The same server speaks TLS through a TLS listener, and a certificate that is refused is a matter of configuration,
// whichever side refuses it.
func TestTLS(t *testing.T) {
	cert, pool := certificate(t)
	stranger, strangers := certificate(t)
	a, err := archive.Open(t.TempDir(), archive.Options{ReserveBytes: -1, ReservePercent: -1, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	s := &scp.Server{AETitles: []string{"RFANODE"}, AllowAnyPeer: true, Archive: a}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, ClientCAs: pool,
		ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln) }()
	defer func() { cancel(); <-done }()

	client := &dimse.Client{}
	echo := func(config *tls.Config) error {
		return client.Echo(t.Context(), dimse.Peer{AETitle: "RFANODE", Address: ln.Addr().String(), TLS: config})
	}
	if err := echo(&tls.Config{RootCAs: pool, Certificates: []tls.Certificate{cert}}); err != nil {
		t.Errorf("mutual TLS: %v", err)
	}
	for name, config := range map[string]*tls.Config{
		"node unknown to us":     {RootCAs: strangers, Certificates: []tls.Certificate{cert}},
		"we unknown to the node": {RootCAs: pool, Certificates: []tls.Certificate{stranger}},
		"without a certificate":  {RootCAs: pool},
	} {
		if err := echo(config); err == nil || dimse.ErrorKind(err) != dimse.Configuration {
			t.Errorf("%s: %v is %v", name, err, dimse.ErrorKind(err))
		}
	}
	if err := echo(nil); err == nil {
		t.Error("plain DICOM on the TLS port")
	}
}

// Every storage class that a current toolkit knows must be accepted, or a PACS's job with such an object fails.
func TestEveryStorageClass(t *testing.T) {
	python := tooltest.Python(t)
	r := start(t, nil)
	script := filepath.Join(t.TempDir(), "contexts.py")
	err := os.WriteFile(script, []byte(`
import sys
from pynetdicom import AE, AllStoragePresentationContexts as every
refused = []
uids = [c.abstract_syntax for c in every]
for i in range(0, len(uids), 100):
    ae = AE()
    for uid in uids[i:i + 100]:
        ae.add_requested_context(uid)
    a = ae.associate("127.0.0.1", int(sys.argv[1]), ae_title="RFANODE")
    if not a.is_established:
        sys.exit("no association")
    refused += [c.abstract_syntax for c in a.rejected_contexts]
    a.release()
print(len(uids), "proposed, refused:", refused)
sys.exit(1 if refused else 0)
`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	out, err := run(t, python, script, r.port)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Log(strings.TrimSpace(out))
}

// pynetdicom is a third, independent sender.
func TestPynetdicomSends(t *testing.T) {
	python := tooltest.Python(t)
	r := start(t, nil)
	dir := t.TempDir()
	paths := writeSeries(t, dir, 4, dimse.ImplicitVRLittleEndian)
	out, err := run(t, python, "-m", "pynetdicom", "storescu", r.host, r.port, dir, "-aec", "RFANODE", "-cx")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if n := len(r.stored()); n != len(paths) {
		t.Errorf("%d stored\n%s", n, out)
	}
}
