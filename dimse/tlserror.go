package dimse

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
)

// isCertificateError says whether one side refused the other's certificate or found no common TLS parameters: what only
// a change of the configuration can cure. With TLS 1.3 the server's refusal arrives after the handshake, as an alert at
// the first read.
func isCertificateError(err error) bool {
	var verify *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var header tls.RecordHeaderError
	var alert *net.OpError // crypto/tls wraps the alerts that it receives so
	return errors.Is(err, errShortKey) || errors.As(err, &verify) || errors.As(err, &unknown) || errors.As(err, &host) || errors.As(err, &invalid) ||
		errors.As(err, &header) || errors.As(err, &alert) && alert.Op == "remote error"
}
