package ct

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// tag is an attribute's group and element number.
type tag uint32

func (t tag) String() string { return fmt.Sprintf("(%04X,%04X)", uint32(t)>>16, uint32(t)&0xFFFF) }

const (
	tagTransferSyntax tag = 0x00020010
	tagPixelData      tag = 0x7FE00010
	tagItem           tag = 0xFFFEE000
	tagItemEnd        tag = 0xFFFEE00D
	tagSequenceEnd    tag = 0xFFFEE0DD

	undefinedLength = 0xFFFFFFFF
	maxDepth        = 32       // of nested sequences; real CT has at most 5
	maxValue        = 64 << 10 // bytes of one attribute that is kept; names and descriptions are far shorter
	maxMeta         = 64 << 10 // bytes of the file meta information
)

// dataset is what is kept of one Part 10 file: the values of the attributes asked for, still encoded, and where the
// pixels lie. No memory is taken on the word of a length field: values not asked for are skipped, those asked for are
// bounded, and everything must fit into the file.
type dataset struct {
	transferSyntax string
	order          binary.ByteOrder // of numbers
	values         map[tag][]byte
	shared, frames []groupItem // functional groups of multi-frame objects
	pixelOffset    int64       // 0: no pixel data; deflated: in the data set once inflated
	pixelLength    int64       // -1: encapsulated (undefined length)
	metaLength     int64       // bytes of the file before the data set
}

// readDataset walks a file (PS3.10 7.1, PS3.5 7) up to its pixel data and keeps the top-level attributes that want
// names.
func readDataset(path string, want map[tag]bool) (*dataset, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	return walkFile(f, info.Size(), want)
}

func walkFile(r io.ReaderAt, size int64, want map[tag]bool) (*dataset, error) {
	w := &walker{in: io.NewSectionReader(r, 0, size), size: size, want: want, explicit: true,
		out: &dataset{values: map[tag][]byte{}, order: binary.LittleEndian}}
	w.buf = bufio.NewReaderSize(w.in, 16<<10)
	preamble, err := w.take(132)
	if err != nil || string(preamble[128:]) != "DICM" {
		return nil, ErrNotDICOM
	}
	if err := w.meta(); err != nil {
		return nil, fmt.Errorf("file meta information: %w", err)
	}
	w.out.metaLength = w.at
	switch uid := w.out.transferSyntax; uid {
	case implicitLittle:
		w.explicit = false
	case explicitBig:
		w.out.order = binary.BigEndian
	case deflated:
		if err := w.inflate(); err != nil {
			return nil, err
		}
	case "":
		return nil, errors.New("file meta information: no Transfer Syntax UID (0002,0010)")
	}
	if err := w.elements(); err != nil {
		return nil, err
	}
	return w.out, nil
}

// ErrNotDICOM says that a file is no DICOM Part 10 file.
var ErrNotDICOM = errors.New("not a DICOM file (no DICM after the preamble)")

// walker reads a file front to back; at is the offset of the next byte.
type walker struct {
	in       *io.SectionReader
	buf      *bufio.Reader
	at, size int64
	explicit bool
	want     map[tag]bool
	out      *dataset
	scratch  []byte
}

// inflate makes the walker go on in the inflated data set (PS3.5 A.5), which offsets count from then on.
func (w *walker) inflate() error {
	data, err := inflate(io.NewSectionReader(w.in, w.at, w.size-w.at), w.size)
	if err != nil {
		return err
	}
	w.at, w.size = 0, int64(len(data))
	w.in = io.NewSectionReader(bytes.NewReader(data), 0, w.size)
	w.buf.Reset(w.in)
	return nil
}

// maxInflated bounds a deflated data set, which is held in memory whole: a slice of 4096 × 4096 has 32 MiB.
const maxInflated = 256 << 20

// inflate inflates a data set of a file of size bytes. It stops at what no CT needs.
func inflate(r io.Reader, size int64) ([]byte, error) {
	limit := min(maxInflated, 64<<20+100*size)
	data, err := io.ReadAll(io.LimitReader(flate.NewReader(bufio.NewReader(r)), limit+1))
	if err != nil {
		return nil, fmt.Errorf("inflating the data set: %w", err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("the data set inflates to more than %d bytes", limit)
	}
	return data, nil
}

// take returns the next n bytes, valid until the next call.
func (w *walker) take(n int) ([]byte, error) {
	if int64(n) > w.size-w.at {
		return nil, io.ErrUnexpectedEOF
	}
	if cap(w.scratch) < n {
		w.scratch = make([]byte, n)
	}
	b := w.scratch[:n]
	if _, err := io.ReadFull(w.buf, b); err != nil {
		return nil, err
	}
	w.at += int64(n)
	return b, nil
}

// skip passes over n bytes, which must be there.
func (w *walker) skip(n int64) error {
	if n > w.size-w.at {
		return fmt.Errorf("a length of %d bytes at offset %d, %d bytes before the end of the file", n, w.at, w.size-w.at)
	}
	w.at += n
	if n <= int64(w.buf.Buffered()) {
		_, err := w.buf.Discard(int(n))
		return err
	}
	if _, err := w.in.Seek(w.at, io.SeekStart); err != nil {
		return err
	}
	w.buf.Reset(w.in)
	return nil
}

// element is the head of an element: what comes before its value.
type element struct {
	tag    tag
	vr     string // empty in Implicit VR and for items
	length uint32
}

// longVR are the value representations with a 32-bit length in Explicit VR (PS3.5 table 7.1-1).
const longVR = "OB OD OF OL OV OW SQ SV UC UN UR UT UV"

func (w *walker) next(explicit bool) (element, error) {
	var e element
	b, err := w.take(8)
	if err != nil {
		return e, err
	}
	order := w.out.order
	if !explicit {
		order = binary.LittleEndian
	}
	e.tag = tag(uint32(order.Uint16(b))<<16 | uint32(order.Uint16(b[2:])))
	if !explicit || e.tag>>16 == 0xFFFE {
		e.length = order.Uint32(b[4:])
		return e, nil
	}
	if !capital(b[4]) || !capital(b[5]) {
		return e, fmt.Errorf("%s at offset %d has no value representation", e.tag, w.at-8)
	}
	e.vr = string(b[4:6])
	e.length = uint32(order.Uint16(b[6:]))
	if strings.Contains(longVR, e.vr) {
		if b, err = w.take(4); err != nil {
			return e, err
		}
		e.length = order.Uint32(b)
	}
	return e, nil
}

func capital(c byte) bool { return c >= 'A' && c <= 'Z' }

// meta reads group 0002, which is always Explicit VR Little Endian.
func (w *walker) meta() error {
	for {
		if b, err := w.buf.Peek(2); err != nil || binary.LittleEndian.Uint16(b) != 2 {
			return nil
		}
		e, err := w.next(true)
		if err != nil {
			return err
		}
		if e.length > maxMeta || w.at > maxMeta {
			return fmt.Errorf("%s is too long (%d bytes)", e.tag, e.length)
		}
		value, err := w.take(int(e.length))
		if err != nil {
			return err
		}
		if e.tag == tagTransferSyntax {
			w.out.transferSyntax = strings.Trim(string(value), " \x00")
		}
	}
}

// elements reads the top level of the data set, up to the pixel data or the end of the file.
func (w *walker) elements() error {
	for w.at < w.size {
		e, err := w.next(w.explicit)
		if err != nil {
			return fmt.Errorf("the data set breaks off at offset %d: %w", w.at, err)
		}
		if e.tag == tagPixelData {
			w.out.pixelOffset, w.out.pixelLength = w.at, int64(e.length)
			if e.length == undefinedLength {
				w.out.pixelLength = -1
			} else if int64(e.length) > w.size-w.at {
				return fmt.Errorf("the pixel data should have %d bytes, %d follow: the file is cut short", e.length, w.size-w.at)
			}
			return nil
		}
		if err := w.value(e); err != nil {
			return fmt.Errorf("%s: %w", e.tag, err)
		}
	}
	return nil
}

// value keeps or passes over one element's value.
func (w *walker) value(e element) (err error) {
	switch e.tag {
	case tagSharedGroups:
		w.out.shared, err = w.groups(e)
		return err
	case tagFrameGroups:
		w.out.frames, err = w.groups(e)
		return err
	}
	if e.length == undefinedLength {
		// In Explicit VR only SQ and UN may have it; UN of undefined length is a sequence in Implicit VR (PS3.5 6.2.2).
		return w.items(w.explicit && e.vr != "UN", 1)
	}
	if !w.want[e.tag] || e.vr == "SQ" {
		return w.skip(int64(e.length))
	}
	if e.length > maxValue {
		return fmt.Errorf("a value of %d bytes, at most %d are read", e.length, maxValue)
	}
	value, err := w.take(int(e.length))
	if err != nil {
		return fmt.Errorf("a value of %d bytes, %d bytes before the end of the file: %w", e.length, w.size-w.at, err)
	}
	w.out.values[e.tag] = append([]byte(nil), value...)
	return nil
}

// items passes over the items of a sequence of undefined length.
func (w *walker) items(explicit bool, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("sequences nested deeper than %d", maxDepth)
	}
	for {
		e, err := w.next(explicit)
		switch {
		case err != nil:
			return err
		case e.tag == tagSequenceEnd:
			return nil
		case e.tag != tagItem:
			return fmt.Errorf("%s where an item should be, at offset %d", e.tag, w.at)
		case e.length != undefinedLength:
			err = w.skip(int64(e.length))
		default:
			err = w.item(explicit, depth)
		}
		if err != nil {
			return err
		}
	}
}

// item passes over the elements of an item of undefined length.
func (w *walker) item(explicit bool, depth int) error {
	for {
		e, err := w.next(explicit)
		switch {
		case err != nil:
			return err
		case e.tag == tagItemEnd:
			return nil
		case e.length == undefinedLength:
			err = w.items(explicit && e.vr != "UN", depth+1)
		default:
			err = w.skip(int64(e.length))
		}
		if err != nil {
			return err
		}
	}
}
