// Package config reads the one configuration file, strictly: an unknown key, a wrong type or a value that cannot work is
// an error that names the key and the cure. The documented example (rfanode.toml, embedded) is the default.
package config

import (
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

// Example is the documented example configuration, and at the same time the default.
//
//go:embed rfanode.toml
var Example string

// Config is the whole configuration. Each field is described in rfanode.toml.
type Config struct {
	AETitle              string        `toml:"ae_title"`
	Listen               string        `toml:"listen"`
	Data                 string        `toml:"data"`
	AllowAnyPeer         bool          `toml:"allow_any_peer"`
	AcceptUnknownClasses bool          `toml:"accept_unknown_classes"`
	AcceptAnySyntax      bool          `toml:"accept_any_transfer_syntax"`
	Peers                []Peer        `toml:"peer"`
	Destinations         []Destination `toml:"destination"`
	TLS                  TLS           `toml:"tls"`
	Identity             Identity      `toml:"identity"`
	Series               Series        `toml:"series"`
	Contours             Contours      `toml:"contours"`
	Analysis             Analysis      `toml:"analysis"`
	Segment              Segment       `toml:"segment"`
	Delivery             Delivery      `toml:"delivery"`
	Report               Report        `toml:"report"`
	Limits               Limits        `toml:"limits"`
	Log                  Log           `toml:"log"`
}

// Peer may send to us.
type Peer struct {
	AETitle      string   `toml:"ae_title"`
	Hosts        []string `toml:"hosts"`
	RequireTLS   bool     `toml:"require_tls"`
	Certificates []string `toml:"certificates"`
	Address      string   `toml:"address"`
	TLS          bool     `toml:"tls"`
	Services     []string `toml:"services"`
}

// Destination receives results.
type Destination struct {
	Name       string `toml:"name"`
	AETitle    string `toml:"ae_title"`
	Address    string `toml:"address"`
	TLS        bool   `toml:"tls"`
	ServerName string `toml:"server_name"`
	User       string `toml:"user"`
	Passcode   string `toml:"passcode"`
	Commitment bool   `toml:"commitment"`
}

// Series says when a series is whole and which of two is which.
type Series struct {
	Quiet   Duration `toml:"quiet"`
	Pre     []string `toml:"pre"`
	Post    []string `toml:"post"`
	MaxDays int      `toml:"max_days"`
}

// Contours says whether what people draw is used, and which words tell what it stands for.
type Contours struct {
	Use    bool     `toml:"use"`
	Tumour []string `toml:"tumour"`
	Zone   []string `toml:"zone"`
	Ignore []string `toml:"ignore"`
}

// Analysis bounds a case.
type Analysis struct {
	Timeout Duration `toml:"timeout"`
}

// Delivery bounds the retries of the outbox.
type Delivery struct {
	KeepTrying Duration `toml:"keep_trying"`
}

// Report shapes the result objects.
type Report struct {
	Site string `toml:"site"`
	Font string `toml:"font"`
}

// Limits bound what a peer can make us use.
type Limits struct {
	Associations   int      `toml:"associations"`
	ObjectMiB      int      `toml:"object_mib"`
	Idle           Duration `toml:"idle"`
	Request        Duration `toml:"request"`
	Stall          Duration `toml:"stall"`
	Drain          Duration `toml:"drain"`
	DiskReserveGiB float64  `toml:"disk_reserve_gib"`
}

// Log says what is written to standard error.
type Log struct {
	Level  string `toml:"level"`
	Format string `toml:"format"`
}

// Duration is a time span as in "90s" or "168h".
type Duration struct{ time.Duration }

// UnmarshalText reads a duration in Go's notation.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf(`%q is no time span: write "90s", "30m" or "168h"`, text)
	}
	d.Duration = v
	return nil
}

// Default is the configuration without a file.
func Default() *Config {
	c, err := parse(nil, Example)
	if err != nil {
		panic("config: the embedded example is broken: " + err.Error()) // a test reads it; it cannot happen in a build that passed
	}
	return c
}

// Read reads and checks a configuration file over the defaults.
func Read(path string) (*Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	c, err := parse(Default(), string(data))
	if err != nil {
		return nil, fmt.Errorf("configuration %s: %w", path, err)
	}
	return c, nil
}

func parse(c *Config, text string) (*Config, error) {
	if c == nil {
		c = new(Config)
	}
	meta, err := toml.Decode(text, c)
	if err != nil {
		var at toml.ParseError
		if errors.As(err, &at) {
			return nil, fmt.Errorf("line %d: %s", at.Position.Line, at.Message)
		}
		return nil, err
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		names := make([]string, len(unknown))
		for i, k := range unknown {
			names[i] = k.String()
		}
		return nil, fmt.Errorf("unknown key %s: see `rfanode config init` for the keys there are", strings.Join(names, ", "))
	}
	return c, c.check()
}

// check reports everything that is wrong, not only the first.
func (c *Config) check() error {
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	aeTitle := func(key, title string) {
		if err := checkAETitle(title); err != nil {
			add("%s: %w", key, err)
		}
	}
	aeTitle("ae_title", c.AETitle)
	c.checkNetwork(add)
	if c.Data == "" {
		add("data: name a folder")
	}
	if !c.AllowAnyPeer && len(c.Peers) == 0 {
		add("allow_any_peer is false and there is no [[peer]]: nobody could send; add a [[peer]] for each sender")
	}
	for i, p := range c.Peers {
		aeTitle(fmt.Sprintf("peer %d: ae_title", i+1), p.AETitle)
		for _, h := range p.Hosts {
			if _, err := ParseHost(h); err != nil {
				add("peer %s: hosts: %w", p.AETitle, err)
			}
		}
	}
	var names []string
	for i, d := range c.Destinations {
		if d.Name == "" || slices.Contains(names, d.Name) {
			add("destination %d: name %q: each destination needs a name of its own", i+1, d.Name)
		}
		names = append(names, d.Name)
		aeTitle("destination "+d.Name+": ae_title", d.AETitle)
		if _, _, err := net.SplitHostPort(d.Address); err != nil {
			add(`destination %s: address = %q: write "host:port"`, d.Name, d.Address)
		}
	}
	for _, r := range append(slices.Clone(c.Series.Pre), c.Series.Post...) {
		if _, err := regexp.Compile("(?i)" + r); err != nil {
			add("series: %q is no regular expression: %w", r, err)
		}
	}
	for _, r := range slices.Concat(c.Contours.Tumour, c.Contours.Zone, c.Contours.Ignore) {
		if _, err := regexp.Compile("(?i)" + r); err != nil {
			add("contours: %q is no regular expression: %w", r, err)
		}
	}
	positive := func(key string, ok bool) {
		if !ok {
			add("%s: must be more than zero", key)
		}
	}
	positive("series.quiet", c.Series.Quiet.Duration > 0)
	positive("series.max_days", c.Series.MaxDays > 0)
	positive("analysis.timeout", c.Analysis.Timeout.Duration > 0)
	positive("delivery.keep_trying", c.Delivery.KeepTrying.Duration > 0)
	positive("limits.associations", c.Limits.Associations > 0)
	positive("limits.object_mib", c.Limits.ObjectMiB > 0)
	positive("limits.idle", c.Limits.Idle.Duration > 0)
	positive("limits.request", c.Limits.Request.Duration > 0)
	positive("limits.stall", c.Limits.Stall.Duration > 0)
	positive("limits.drain", c.Limits.Drain.Duration > 0)
	if c.Limits.DiskReserveGiB < 0 {
		add("limits.disk_reserve_gib: cannot be negative")
	}
	for _, err := range c.Segment.check() {
		add("%w", err)
	}
	if c.Report.Site == "" {
		add("report.site: name this installation")
	}
	if c.Report.Font != "" {
		if _, err := os.Stat(c.Report.Font); err != nil {
			add("report.font: %w", err)
		}
	}
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, c.Log.Level) {
		add("log.level = %q: debug, info, warn or error", c.Log.Level)
	}
	if !slices.Contains([]string{"text", "json"}, c.Log.Format) {
		add("log.format = %q: text or json", c.Log.Format)
	}
	return errors.Join(errs...)
}

// checkAETitle holds a title against PS3.5 6.2, VR AE.
func checkAETitle(s string) error {
	if strings.TrimSpace(s) == "" {
		return errors.New("an AE title has at least one character")
	}
	if len(s) > 16 {
		return fmt.Errorf("%q has %d characters: an AE title has at most 16", s, len(s))
	}
	for _, r := range s {
		if r < 0x20 || r > 0x7e || r == '\\' {
			return fmt.Errorf("%q: an AE title is plain ASCII without a backslash", s)
		}
	}
	return nil
}

// ParseHost reads an address or a network in CIDR notation.
func ParseHost(s string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p, nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf(`%q is neither an address ("10.20.0.7") nor a network ("10.20.0.0/16")`, s)
	}
	return netip.PrefixFrom(a, a.BitLen()), nil
}
