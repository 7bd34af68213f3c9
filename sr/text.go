package sr

import (
	"fmt"
	"image"
	"image/color"
	"os"
	"strings"
	"unicode"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
)

// fontSet is what the picture writes with: the embedded Go fonts, so that it looks the same on every machine, and a
// configured font for characters they lack.
type fontSet struct {
	regular, bold *sfnt.Font
	fallback      *sfnt.Font // nil: none
	faces         map[faceKey]*textFace
}

type faceKey struct {
	size int // pixels
	bold bool
}

// loadFonts parses the fonts; path may be empty.
func loadFonts(path string) (*fontSet, error) {
	s := &fontSet{faces: map[faceKey]*textFace{}}
	var err error
	if s.regular, err = opentype.Parse(goregular.TTF); err != nil {
		return nil, fmt.Errorf("reading the embedded font: %w", err)
	}
	if s.bold, err = opentype.Parse(gobold.TTF); err != nil {
		return nil, fmt.Errorf("reading the embedded bold font: %w", err)
	}
	if path == "" {
		return s, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the configured font: %w", err)
	}
	collection, err := opentype.ParseCollection(data) // takes a single font too
	if err != nil {
		return nil, fmt.Errorf("the configured font %s is no TrueType or OpenType font: %w", path, err)
	}
	if s.fallback, err = collection.Font(0); err != nil {
		return nil, fmt.Errorf("the configured font %s: %w", path, err)
	}
	return s, nil
}

// textFace is a size of the fonts; each character comes from the first font that has it.
type textFace struct {
	fonts []*sfnt.Font
	faces []font.Face
	size  int
	buf   sfnt.Buffer
}

func (s *fontSet) face(size int, bold bool) *textFace {
	key := faceKey{size, bold}
	if f, ok := s.faces[key]; ok {
		return f
	}
	f := &textFace{size: size}
	main := s.regular
	if bold {
		main = s.bold
	}
	for _, sf := range []*sfnt.Font{main, s.fallback} {
		if sf == nil {
			continue
		}
		face, err := opentype.NewFace(sf, &opentype.FaceOptions{Size: float64(size), DPI: 72, Hinting: font.HintingNone})
		if err != nil {
			continue // NewFace fails on no options that are given here; the other font remains
		}
		f.fonts, f.faces = append(f.fonts, sf), append(f.faces, face)
	}
	s.faces[key] = f
	return f
}

// faceFor is the face of the first font that has the character, else the main one, which draws its box for it.
func (f *textFace) faceFor(r rune) font.Face {
	for i, sf := range f.fonts {
		if g, err := sf.GlyphIndex(&f.buf, r); err == nil && g != 0 {
			return f.faces[i]
		}
	}
	return f.faces[0]
}

// width of a string in pixels.
func (f *textFace) width(s string) int {
	var w fixed.Int26_6
	for _, r := range s {
		if a, ok := f.faceFor(r).GlyphAdvance(r); ok {
			w += a
		}
	}
	return w.Ceil()
}

// draw writes s with its baseline at y, beginning at x, and returns where it ends.
func (f *textFace) draw(img *image.RGBA, x, y int, s string, c color.Color) int {
	src := image.NewUniform(c)
	d := font.Drawer{Dst: img, Src: src, Dot: fixed.P(x, y)}
	for _, r := range s {
		d.Face = f.faceFor(r)
		d.DrawString(string(r))
	}
	return d.Dot.X.Ceil()
}

// drawShadowed writes on an image: white on a dark edge stays readable on lung and on bone.
func (f *textFace) drawShadowed(img *image.RGBA, x, y int, s string, c color.Color) {
	for _, o := range [...][2]int{{-1, 0}, {1, 0}, {0, -1}, {0, 1}, {1, 1}, {-1, -1}} {
		f.draw(img, x+o[0], y+o[1], s, color.Black)
	}
	f.draw(img, x, y, s, c)
}

// wrap breaks a text into lines no wider than the given pixels: at spaces, and between wide characters, which have none.
func (f *textFace) wrap(s string, width int) []string {
	var lines []string
	line, word := "", ""
	flush := func() {
		switch {
		case line == "":
			line = word
		case f.width(line+word) <= width:
			line += word
		default:
			lines = append(lines, strings.TrimRight(line, " "))
			line = strings.TrimLeft(word, " ")
		}
		word = ""
		for f.width(line) > width && len([]rune(line)) > 1 { // one word wider than the line
			r := []rune(line)
			n := len(r) - 1
			for n > 1 && f.width(string(r[:n])) > width {
				n--
			}
			lines = append(lines, string(r[:n]))
			line = string(r[n:])
		}
	}
	for _, r := range s {
		if r != noBreakSpace && unicode.IsSpace(r) {
			flush()
			word = " "
			continue
		}
		if isWide(r) {
			flush()
		}
		word += string(r)
	}
	flush()
	if line = strings.TrimSpace(line); line != "" {
		lines = append(lines, line)
	}
	return lines
}

const noBreakSpace = '\u00a0'

// keepUnits ties units to their numbers, so that no line begins with "%".
var keepUnits = strings.NewReplacer(" %", "\u00a0%", " mm", "\u00a0mm", " cm3", "\u00a0cm3", " g/L", "\u00a0g/L")

// isWide: characters between which a line may break.
func isWide(r rune) bool { return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana) }
