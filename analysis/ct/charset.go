package ct

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// Character sets: Specific Character Set (0008,0005), PS3.3 C.12.1.1.2 and PS3.5 6.1. Everything is decoded to UTF-8.

// whole are the character sets without code extensions that encode a value as a whole.
var whole = map[string]encoding.Encoding{"GB18030": simplifiedchinese.GB18030, "GBK": simplifiedchinese.GBK}

// page is a graphic character set that an escape sequence, or the first value of (0008,0005), brings into G0 or G1.
type page struct {
	bytes  int               // a character has
	prefix []byte            // that makes its bytes a character of enc
	enc    encoding.Encoding // nil: ASCII
}

var (
	ascii    = &page{bytes: 1}
	romaji   = &page{bytes: 1} // JIS X 0201: ASCII but for ¥ and ‾
	katakana = &page{bytes: 1, prefix: []byte{0x8E}, enc: japanese.EUCJP}
	kanji    = &page{bytes: 2, enc: japanese.EUCJP}
	kanji2   = &page{bytes: 2, prefix: []byte{0x8F}, enc: japanese.EUCJP}
	hangul   = &page{bytes: 2, enc: korean.EUCKR}
	hanzi    = &page{bytes: 2, enc: simplifiedchinese.GBK}
)

func single(m *charmap.Charmap) *page { return &page{bytes: 1, enc: m} }

// right are the sets in G1 by the number of their registration: ISO_IR n, ISO 2022 IR n.
var right = map[string]*page{"100": single(charmap.ISO8859_1), "101": single(charmap.ISO8859_2), "109": single(charmap.ISO8859_3),
	"110": single(charmap.ISO8859_4), "144": single(charmap.ISO8859_5), "127": single(charmap.ISO8859_6), "126": single(charmap.ISO8859_7),
	"138": single(charmap.ISO8859_8), "148": single(charmap.ISO8859_9), "203": single(charmap.ISO8859_15), "166": single(charmap.Windows874),
	"13": katakana, "149": hangul, "58": hanzi}

// escape sequences after ESC (PS3.3 tables C.12-3 and C.12-4), and whether they change G1.
var escapes = []struct {
	code string
	set  *page
	g1   bool
}{{"(B", ascii, false}, {"(J", romaji, false}, {"$B", kanji, false}, {"$@", kanji, false}, {"$(D", kanji2, false},
	{")I", katakana, true}, {"$)C", hangul, true}, {"$)A", hanzi, true}, {"-A", right["100"], true}, {"-B", right["101"], true},
	{"-C", right["109"], true}, {"-D", right["110"], true}, {"-L", right["144"], true}, {"-G", right["127"], true},
	{"-F", right["126"], true}, {"-H", right["138"], true}, {"-M", right["148"], true}, {"-b", right["203"], true}, {"-T", right["166"], true}}

// decodeText turns the bytes of a text value into UTF-8 and trims the padding. Bytes that the stated character set does
// not have become U+FFFD. Without a stated set, or with one that is unknown, bytes beyond ASCII are taken as UTF-8 if
// they are valid as such, else as Latin-1, which loses nothing.
func decodeText(raw []byte, charsets []string) string {
	return strings.Trim(decodeRaw(raw, charsets), " \x00")
}

func decodeRaw(raw []byte, charsets []string) string {
	plain := true
	for _, c := range raw {
		plain = plain && c < 0x80 && c != 0x1B
	}
	if plain {
		return string(raw)
	}
	first := ""
	if len(charsets) > 0 {
		first = charsets[0]
	}
	if first == "ISO_IR 192" {
		return strings.ToValidUTF8(string(raw), "\uFFFD")
	}
	if e, ok := whole[first]; ok {
		return decode(e, raw)
	}
	// The set of G1 before any escape sequence: that of the first value; of the others if the first names none, because
	// senders leave the escape sequence out when only one other set is in use.
	var start *page
	for _, c := range charsets {
		if start == nil {
			start = right[c[strings.LastIndexByte(c, ' ')+1:]]
		}
	}
	if start == nil {
		if utf8.Valid(raw) && !strings.Contains(string(raw), "\x1B") {
			return string(raw)
		}
		start = right["100"]
	}
	left := ascii
	if strings.HasSuffix(first, "IR 13") {
		left = romaji
	}
	return decodeExtended(raw, left, start)
}

// decodeExtended decodes text with code extensions (ISO 2022); delimiters bring the initial sets back (PS3.5 6.1.2.5.3).
func decodeExtended(raw []byte, left, right *page) string {
	var out strings.Builder
	g0, g1 := left, right
	for i := 0; i < len(raw); {
		c := raw[i]
		if c == 0x1B {
			i++
			for _, e := range escapes {
				if strings.HasPrefix(string(raw[i:min(i+3, len(raw))]), e.code) {
					if e.g1 {
						g1 = e.set
					} else {
						g0 = e.set
					}
					i += len(e.code)
					break
				}
			}
			continue
		}
		set := g1
		if c < 0x80 {
			set = g0
			if c <= 0x20 || g0.bytes == 1 {
				if strings.IndexByte("^=\\\r\n\f", c) >= 0 {
					g0, g1 = left, right
				}
				out.WriteRune(asciiRune(c, g0))
				i++
				continue
			}
		}
		n := min(set.bytes, len(raw)-i)
		char := append([]byte(nil), set.prefix...)
		for _, b := range raw[i : i+n] {
			char = append(char, b|0x80)
		}
		out.WriteString(decode(set.enc, char))
		i += n
	}
	return out.String()
}

func asciiRune(c byte, set *page) rune {
	if set == romaji && c == 0x7E {
		return '‾'
	}
	return rune(c) // a backslash stays one even in JIS X 0201, where it looks like ¥: it separates values
}

func decode(e encoding.Encoding, raw []byte) string {
	out, err := e.NewDecoder().Bytes(raw)
	if err != nil {
		return "\uFFFD"
	}
	return string(out)
}
