package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestDefaultIsTheDocumentedExample(t *testing.T) {
	c := Default()
	if c.AETitle != "RFANODE" || c.Listen != "127.0.0.1:11112" || !c.AllowAnyPeer || c.Data != "./rfanode-data" {
		t.Errorf("defaults: %+v", c)
	}
	if c.Series.Quiet.Duration != 30*time.Second || c.Limits.Associations != 128 {
		t.Errorf("defaults: %+v", c)
	}
	if len(c.Destinations) != 0 || len(c.Peers) != 0 {
		t.Error("the default must not name a peer or a destination")
	}
}

// Whoever takes the comment signs off the example gets a working file.
func TestExampleWithEveryOptionOn(t *testing.T) {
	var lines []string
	for _, l := range strings.Split(Example, "\n") {
		for _, key := range []string{"[[", "ae_title", "hosts", "name", "address", "pre ", "post ", "require_tls", "services", "certificate", "tls ", "server_name", "user ", "passcode",
			"commitment", "listen", "key", "authorities", "tumour", "zone", "ignore"} {
			if strings.HasPrefix(l, "# "+key) {
				l = l[2:]
				break
			}
		}
		lines = append(lines, l)
	}
	c, err := parse(nil, strings.Join(lines, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	if c.TLS.Listen != ":2762" || !c.TLS.Mutual || len(c.Identity.Users) != 1 || !c.Destinations[0].TLS || !c.Peers[0].RequireTLS {
		t.Errorf("%+v", c)
	}
	if !c.Contours.Use || len(c.Contours.Tumour) != 4 || len(c.Contours.Zone) != 3 || len(c.Contours.Ignore) != 2 {
		t.Errorf("contours: %+v", c.Contours)
	}
	if len(c.Peers) != 1 || c.Peers[0].AETitle != "CT1" || len(c.Destinations) != 1 || len(c.Series.Pre) == 0 {
		t.Errorf("%+v", c)
	}
}

func TestReadRefusesWithTheCure(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"unknown key":                {"ae_titel = \"X\"", "ae_titel"},
		"wrong type":                 {"[limits]\nassociations = \"many\"", "associations"},
		"syntax, with line":          {"ae_title = \"X\"\nlisten = ", "line 2"},
		"long title":                 {"ae_title = \"ABCDEFGHIJKLMNOPQ\"", "at most 16"},
		"backslash":                  {`ae_title = 'A\B'`, "backslash"},
		"nobody may send":            {"allow_any_peer = false", "[[peer]]"},
		"bad network":                {"[[peer]]\nae_title = \"A\"\nhosts = [\"10.0.0.0/99\"]", "10.0.0.0/99"},
		"no port":                    {"[[destination]]\nname = \"p\"\nae_title = \"P\"\naddress = \"host\"", "host:port"},
		"same name twice":            {"[[destination]]\nname = \"p\"\nae_title = \"P\"\naddress = \"h:1\"\n[[destination]]\nname = \"p\"\nae_title = \"P\"\naddress = \"h:2\"", "name of its own"},
		"contour words":              {"[contours]\nzone = [\"(\"]", "contours"},
		"time span":                  {"[series]\nquiet = \"soon\"", "no time span"},
		"regular expression":         {"[series]\npre = [\"(\"]", "regular expression"},
		"level":                      {"[log]\nlevel = \"loud\"", "log.level"},
		"zero time span":             {"[series]\nquiet = \"0s\"", "more than zero"},
		"no port at all":             {"listen = \"\"", "nobody could send"},
		"key without certificate":    {"[tls]\nkey = \"k\"", "belong together"},
		"mutual without authorities": {"[tls]\nlisten = \":2762\"\ncertificate = \"c\"\nkey = \"k\"", "tls.authorities"},
		"plain passcode":             {"[[destination]]\nname = \"p\"\nae_title = \"P\"\naddress = \"h:1\"\nuser = \"u\"\npasscode = \"x\"", "over TLS only"},
		"peer without TLS port":      {"[[peer]]\nae_title = \"A\"\nrequire_tls = true", "tls.listen"},
		"no such service":            {"[[peer]]\nae_title = \"A\"\nservices = [\"find\"]", "services"},
		"identity policy":            {"[identity]\npolicy = \"maybe\"", "identity.policy"},
		"no user":                    {"[identity]\npolicy = \"check\"", "identity.user"},
		"font that is absent":        {"[report]\nfont = \"/nowhere.ttf\"", "report.font"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "rfanode.toml")
			if err := os.WriteFile(path, []byte(tc.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Read(path)
			if err == nil {
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %q does not name the file and %q", err, tc.want)
			}
		})
	}
}

func TestParseHost(t *testing.T) {
	for in, want := range map[string]string{"10.1.2.3": "10.1.2.3/32", "10.0.0.0/8": "10.0.0.0/8", "::1": "::1/128"} {
		if p, err := ParseHost(in); err != nil || p.String() != want {
			t.Errorf("%s: %v, %v", in, p, err)
		}
	}
}
