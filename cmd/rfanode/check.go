package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"rfanode/analysis/ct/codec"
	"rfanode/config"
	"rfanode/dimse"
	"rfanode/durable"
	"rfanode/sr"
)

type checkCmd struct {
	configFlag
}

// checkTimeout bounds what one peer may take to answer.
const checkTimeout = 15 * time.Second

func (c *checkCmd) Run(ctx context.Context) error {
	cfg, source, err := c.read()
	if err != nil {
		return err
	}
	r := checkReport{w: os.Stdout}
	r.ok("%s", source)
	r.checkData(cfg)
	client := &dimse.Client{AETitle: cfg.AETitle}
	r.checkCodecs()
	secure := r.checkTLS(cfg)
	r.checkPort(ctx, cfg, client)
	r.checkPeers(ctx, cfg, client, secure)
	r.checkModels(ctx, cfg.Segment)
	if r.wrong > 0 {
		return exitError(1)
	}
	return nil
}

// checkReport prints a line a finding and counts what is wrong.
type checkReport struct {
	w     io.Writer
	wrong int
}

func (r *checkReport) ok(format string, args ...any) {
	fmt.Fprintf(r.w, "ok     "+format+"\n", args...)
}
func (r *checkReport) note(format string, args ...any) {
	fmt.Fprintf(r.w, "note   "+format+"\n", args...)
}
func (r *checkReport) bad(format string, args ...any) {
	r.wrong++
	fmt.Fprintf(r.w, "WRONG  "+format+"\n", args...)
}

func (r *checkReport) checkData(c *config.Config) {
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		r.bad("data folder %s: %v: make it, or let `data` name another folder", c.Data, err)
		return
	}
	probe := filepath.Join(c.Data, ".check")
	err := durable.WriteFile(probe, func(w io.Writer) error { _, err := w.Write([]byte("rfanode check\n")); return err })
	if err != nil {
		r.bad("data folder %s: %v: give the account that runs rfanode the right to write there", c.Data, err)
		return
	}
	os.Remove(probe)
	var fs syscall.Statfs_t
	if err := syscall.Statfs(c.Data, &fs); err == nil {
		free := float64(fs.Bavail) * float64(fs.Bsize) / (1 << 30)
		if free < c.Limits.DiskReserveGiB {
			r.bad("data folder %s: %.1f GiB free, less than limits.disk_reserve_gib = %g: nothing would be accepted; free some space", c.Data, free, c.Limits.DiskReserveGiB)
			return
		}
		r.ok("data folder %s, %.0f GiB free", c.Data, free)
		return
	}
	r.ok("data folder %s", c.Data)
}

// checkCodecs says what compressed CT is accepted.
func (r *checkReport) checkCodecs() {
	if v := codec.OpenJPEGVersion(); v != "" {
		r.ok("compressed CT is accepted as JPEG Lossless, JPEG-LS, RLE and, by OpenJPEG %s, JPEG 2000", v)
		return
	}
	r.note("compressed CT is accepted as JPEG Lossless, JPEG-LS and RLE; for JPEG 2000 install OpenJPEG (libopenjp2)")
}

// expiresSoon is how long before its end a certificate is spoken of.
const expiresSoon = 30 * 24 * time.Hour

// checkTLS reads the certificate files and looks whether the TLS port is free.
func (r *checkReport) checkTLS(c *config.Config) *dimse.Credentials {
	secure, err := credentials(c, nil)
	if err != nil {
		r.bad("%v", err)
		return nil
	}
	if secure == nil {
		return nil
	}
	if end := secure.Expires(); !end.IsZero() {
		switch left := time.Until(end); {
		case left < 0:
			r.bad("certificate %s ended on %s: renew it", c.TLS.Certificate, end.Format(time.DateOnly))
		case left < expiresSoon:
			r.note("certificate %s ends on %s: renew it; the node reads the new file by itself", c.TLS.Certificate, end.Format(time.DateOnly))
		default:
			r.ok("certificate %s, until %s", c.TLS.Certificate, end.Format(time.DateOnly))
		}
	}
	if c.TLS.Listen == "" {
		return secure
	}
	l, err := net.Listen("tcp", c.TLS.Listen)
	switch {
	case err == nil:
		l.Close()
		r.ok("TLS port %s is free", c.TLS.Listen)
	case errors.Is(err, syscall.EADDRINUSE):
		r.note("TLS port %s is in use, by a running node or by another program", c.TLS.Listen)
	default:
		r.bad("TLS port %s: %v: let `tls.listen` name an address of this machine and a free port", c.TLS.Listen, err)
	}
	if !c.TLS.Mutual {
		r.note("tls.mutual is false: senders are not asked for a certificate")
	}
	return secure
}

func (r *checkReport) checkPort(ctx context.Context, c *config.Config, client *dimse.Client) {
	if c.Listen == "" {
		return
	}
	l, err := net.Listen("tcp", c.Listen)
	if err == nil {
		l.Close()
		r.ok("port %s is free", c.Listen)
	} else if errors.Is(err, syscall.EADDRINUSE) {
		ctx, cancel := context.WithTimeout(ctx, checkTimeout)
		defer cancel()
		if err := client.Echo(ctx, dimse.Peer{AETitle: c.AETitle, Address: reachable(c.Listen)}); err == nil {
			r.ok("port %s: a node with our AE title %s is running there", c.Listen, c.AETitle)
		} else {
			r.bad("port %s is taken by another program (C-ECHO as %s: %v): end it, or let `listen` name another port", c.Listen, c.AETitle, err)
		}
	} else {
		r.bad("port %s: %v: let `listen` name an address of this machine and a free port", c.Listen, err)
	}
	if host, _, _ := net.SplitHostPort(c.Listen); host != "" {
		if a := net.ParseIP(host); a != nil && a.IsLoopback() {
			r.note(`only this machine can send to %s: set listen = ":11112" to accept from the network`, c.Listen)
		}
	}
	if c.AllowAnyPeer {
		r.note("any AE title may send: name the senders in [[peer]] and set allow_any_peer = false")
	}
}

// reachable is an address at which this machine reaches its own listener.
func reachable(listen string) string {
	host, port, _ := net.SplitHostPort(listen)
	if a := net.ParseIP(host); host == "" || a != nil && a.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

func (r *checkReport) checkPeers(ctx context.Context, c *config.Config, client *dimse.Client, secure *dimse.Credentials) {
	if len(c.Destinations) == 0 {
		r.note("no [[destination]]: results stay in the data folder")
	}
	for _, d := range c.Destinations {
		if d.TLS && secure == nil {
			r.bad("destination %s (%s at %s): not asked, TLS is not ready", d.Name, d.AETitle, d.Address)
			continue
		}
		asking, cancel := context.WithTimeout(ctx, checkTimeout)
		err := client.Echo(asking, destinationPeer(d, secure))
		cancel()
		if err != nil {
			r.bad("destination %s (%s at %s): C-ECHO: %v", d.Name, d.AETitle, d.Address, err)
			continue
		}
		r.ok("destination %s (%s at %s) answers C-ECHO", d.Name, d.AETitle, d.Address)
		r.checkClasses(ctx, d, client, destinationPeer(d, secure))
	}
}

// checkClasses says which of our results a destination would refuse.
func (r *checkReport) checkClasses(ctx context.Context, d config.Destination, client *dimse.Client, peer dimse.Peer) {
	names := map[string]string{sr.Comprehensive3DSRStorage: "Structured Reports (Comprehensive 3D SR)",
		sr.SegmentationStorage: "Segmentations", sr.SecondaryCaptureStorage: "summary images (Secondary Capture)"}
	if d.Commitment {
		names[dimse.StorageCommitment] = "requests for storage commitment"
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	taken, err := client.Accepts(ctx, peer, slices.Sorted(maps.Keys(names))...)
	if err != nil {
		r.bad("destination %s: asking what it takes: %v", d.Name, err)
		return
	}
	var refused []string
	for class, name := range names {
		if !taken[class] {
			refused = append(refused, name)
		}
	}
	if len(refused) > 0 {
		slices.Sort(refused)
		r.bad("destination %s does not take %s: allow them there", d.Name, strings.Join(refused, ", "))
		return
	}
	r.ok("destination %s takes everything that is sent to it", d.Name)
}
