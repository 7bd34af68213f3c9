package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rfanode/dimse"
	"rfanode/sr"
)

// selfSigned writes a certificate for this machine that is its own authority, and its key.
func selfSigned(t *testing.T, dir string, until time.Time) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "node"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: until, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	certificate, key = filepath.Join(dir, "node.crt"), filepath.Join(dir, "node.key")
	for path, block := range map[string]*pem.Block{certificate: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certificate, key
}

// `rfanode check` speaks TLS to a destination as `rfanode serve` will, says when a certificate ends, and what a
// destination would refuse.
func TestCheckNetwork(t *testing.T) {
	dir := t.TempDir()
	certificate, key := selfSigned(t, dir, time.Now().Add(24*time.Hour))
	files := fmt.Sprintf("certificate = %q\nkey = %q\nauthorities = %q\n", certificate, key, certificate)
	n := newNode(t, "")
	secure := freeAddress(t)
	text, err := os.ReadFile(n.config)
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, "[tls]\nlisten = \""+secure+"\"\n"+files...)
	if err := os.WriteFile(n.config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	n.start()
	picky := refusing(t, sr.SegmentationStorage)
	destination := func(address, more string) string {
		return "listen = \"" + freeAddress(t) + "\"\n[limits]\ndisk_reserve_gib = 0\n[[destination]]\nname = \"pacs\"\nae_title = \"RFANODE\"\naddress = \"" + address + "\"\n" + more
	}
	for name, tc := range map[string]struct {
		text   string
		status int
		want   []string
	}{
		"TLS":            {destination(secure, "tls = true\ncommitment = true\n") + "[tls]\n" + files, 0, []string{"takes everything", "renew it; the node reads"}},
		"another name":   {destination(secure, "tls = true\nserver_name = \"pacs.hospital\"\n") + "[tls]\n" + files, 1, []string{"WRONG  destination pacs", "pacs.hospital"}},
		"plain":          {destination(secure, ""), 1, []string{"WRONG  destination pacs"}},
		"no such file":   {destination(secure, "tls = true\n") + "[tls]\ncertificate = \"nowhere.crt\"\nkey = \"nowhere.key\"\n", 1, []string{"WRONG  TLS:", "nowhere.crt"}},
		"refuses a kind": {destination(picky, ""), 1, []string{"does not take Segmentations: allow them there"}},
	} {
		t.Run(name, func(t *testing.T) {
			work := t.TempDir()
			if err := os.WriteFile(filepath.Join(work, "rfanode.toml"), []byte(tc.text), 0o600); err != nil {
				t.Fatal(err)
			}
			status, out := run(t, work, "check")
			if status != tc.status {
				t.Errorf("exit status %d, want %d\n%s", status, tc.status, out)
			}
			for _, want := range tc.want {
				if !strings.Contains(out, want) {
					t.Errorf("no %q in\n%s", want, out)
				}
			}
		})
	}
}

// refusing is a destination that takes all but one SOP class. It returns its address.
func refusing(t *testing.T, class string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	acceptor := dimse.Acceptor{Negotiate: func(rq *dimse.AssociateRQ, _ net.Conn) ([]dimse.ContextAnswer, dimse.UserInformation, *dimse.Reject) {
		var answers []dimse.ContextAnswer
		for _, c := range rq.Contexts {
			a := dimse.ContextAnswer{ID: c.ID, TransferSyntax: c.TransferSyntaxes[0]}
			if c.AbstractSyntax == class {
				a.Result = dimse.ContextAbstractSyntax
			}
			answers = append(answers, a)
		}
		return answers, dimse.UserInformation{}, nil
	}}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			as, err := acceptor.Accept(t.Context(), conn)
			if err != nil {
				continue
			}
			for m, err := as.Next(); err == nil; m, err = as.Next() {
				if as.Respond(m, dimse.StatusSuccess, "") != nil {
					break
				}
			}
			as.Close()
		}
	}()
	return ln.Addr().String()
}

// The running node answers requests for storage commitment, and takes reports only on what it has asked for.
func TestNodeCommitment(t *testing.T) {
	n := newNode(t, "")
	n.start()
	client, peer := &dimse.Client{AETitle: "CT1"}, dimse.Peer{AETitle: "RFANODE", Address: n.address}
	unknown := dimse.Reference{SOPClassUID: "1.2.840.10008.5.1.4.1.1.2", SOPInstanceUID: "1.2.3"}
	report, err := client.RequestCommitment(t.Context(), peer, dimse.CommitmentRequest{TransactionUID: "2.25.1", References: []dimse.Reference{unknown}}, 10*time.Second)
	if err != nil || report == nil || len(report.Failed) != 1 || report.Failed[0].Reason != dimse.FailureNoSuchObject {
		t.Errorf("%+v, %v", report, err)
	}
	var answer *dimse.StatusError
	err = client.ReportCommitment(t.Context(), peer, dimse.CommitmentReport{TransactionUID: "2.25.1", Committed: []dimse.Reference{unknown}})
	if !errors.As(err, &answer) || answer.Status != dimse.StatusInvalidArgument {
		t.Errorf("a report on an unknown transaction: %v", err)
	}
}
