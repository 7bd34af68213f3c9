package ct

import (
	"testing"
	"time"
)

// TestCharacterSets: names as PS3.5 Annex H, I, J and K give them; a garbled name is a patient nobody finds.
func TestCharacterSets(t *testing.T) {
	for _, c := range []struct {
		name, raw, want string
		sets            []string
	}{
		{"Latin-1", "Buc^J\xe9r\xf4me", "Buc^Jérôme", []string{"ISO_IR 100"}},
		{"Greek", "\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2", "Διονυσιος", []string{"ISO_IR 126"}},
		{"Cyrillic", "\xbb\xee\xda\x63\xd5\xdc\xd1\xe3\xe0\xd3", "Люкcембург", []string{"ISO_IR 144"}},
		{"UTF-8", "Wang^XiaoDong=\xe7\x8e\x8b^\xe5\xb0\x8f\xe6\x9d\xb1", "Wang^XiaoDong=王^小東", []string{"ISO_IR 192"}},
		{"GB18030", "Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab", "Wang^XiaoDong=王^小东", []string{"GB18030"}},
		{"GBK", "Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab", "Wang^XiaoDong=王^小东", []string{"GBK"}},
		{"GBK with a backslash byte", "\x8a\x5c", "奬", []string{"GBK"}},
		{"Japanese, G0", "Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B", "Yamada^Tarou=山田^太郎=やまだ^たろう", []string{"", "ISO 2022 IR 87"}},
		{"Japanese, katakana first", "\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J", "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎", []string{"ISO 2022 IR 13", "ISO 2022 IR 87"}},
		{"Korean", "Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf", "Hong^Gildong=洪^吉洞=홍^길동", []string{"", "ISO 2022 IR 149"}},
		{"Korean without escapes", "\xc8\xab^\xb1\xe6\xb5\xbf", "홍^길동", []string{"", "ISO 2022 IR 149"}},
		{"Chinese, ISO 2022", "Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab", "Zhang^XiaoDong=张^小东", []string{"", "ISO 2022 IR 58"}},
		{"none stated, UTF-8", "M\xc3\xbcller", "Müller", []string{""}},
		{"none stated, Latin-1", "M\xfcller", "Müller", nil},
		{"padding", "ab \x00", "ab", nil},
		{"broken UTF-8", "a\xff", "a\uFFFD", []string{"ISO_IR 192"}},
		{"cut escape", "a\x1b$", "a$", []string{"", "ISO 2022 IR 87"}},
		{"cut pair", "\x1b$B;", "\uFFFD", []string{"", "ISO 2022 IR 87"}},
	} {
		if got := decodeText([]byte(c.raw), c.sets); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// TestAcquired: which of two series came first decides which is "before" and which "after" the ablation.
func TestAcquired(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.Parse("2006-01-02 15:04:05.999", s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, c := range []struct {
		name   string
		values map[tag]string
		want   time.Time
	}{
		{"acquisition", map[tag]string{tagAcqDate: "20260301", tagAcqTime: "101502.25", tagStudyDate: "20260228", tagStudyTime: "09"}, at("2026-03-01 10:15:02.25")},
		{"DateTime confirmed", map[tag]string{tagAcqDateTime: "20260301101502.5+0800", tagStudyDate: "20260301"}, at("2026-03-01 10:15:02.5")},
		{"DateTime stale", map[tag]string{tagAcqDateTime: "20260201101502", tagAcqDate: "20260301", tagSeriesDate: "20260301", tagStudyDate: "20260301"}, at("2026-03-01 00:00:00")},
		{"DateTime of the study's day, acquisition later", map[tag]string{tagAcqDateTime: "20260201101502", tagAcqDate: "20260301", tagStudyDate: "20260201"}, at("2026-03-01 00:00:00")},
		{"day from the acquisition, time from the series", map[tag]string{tagAcqDate: "20260301", tagSeriesDate: "20260301", tagSeriesTime: "1130"}, at("2026-03-01 11:30:00")},
		{"time of another day", map[tag]string{tagAcqDate: "20260302", tagStudyDate: "20260301", tagStudyTime: "113000"}, at("2026-03-02 00:00:00")},
		{"acquisition time without date", map[tag]string{tagAcqTime: "12", tagStudyDate: "20260301", tagStudyTime: "113000"}, at("2026-03-01 12:00:00")},
		{"old forms", map[tag]string{tagStudyDate: "2026.03.01", tagStudyTime: "11:30:05"}, at("2026-03-01 11:30:05")},
		{"nothing", map[tag]string{tagStudyDate: "unknown"}, time.Time{}},
	} {
		d := &dataset{values: map[tag][]byte{}}
		for k, v := range c.values {
			d.values[k] = []byte(v)
		}
		if got := d.acquired(); !got.Equal(c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
