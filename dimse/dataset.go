package dimse

import (
	"bufio"
	"compress/flate"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
)

// CheckLimits bound what an encoded data set may contain. A zero field stands for its default.
type CheckLimits struct {
	Depth    int   // nested sequences and items; 64
	Elements int64 // 5 million
	Value    int64 // bytes of one value that is not bulk data; 64 MiB
	Inflated int64 // bytes of a deflated data set once inflated; 2 GiB, and never more than 64 MiB + 100 times its size
}

func (l CheckLimits) withDefaults(size int64) CheckLimits {
	if l.Depth <= 0 {
		l.Depth = 64
	}
	if l.Elements <= 0 {
		l.Elements = 5_000_000
	}
	if l.Value <= 0 {
		l.Value = 64 << 20
	}
	if l.Inflated <= 0 {
		l.Inflated = DefaultMaxDataSet
	}
	l.Inflated = min(l.Inflated, 64<<20+100*size)
	return l
}

// Header is what the check of an encoded data set reports. Strings are the bytes of the top-level element without its
// padding, undecoded; empty if the element is missing or empty.
type Header struct {
	TransferSyntaxUID   string
	SOPClassUID         string            // (0008,0016)
	SOPInstanceUID      string            // (0008,0018)
	Modality            string            // (0008,0060)
	PatientID           string            // (0010,0020)
	IssuerOfPatientID   string            // (0010,0021)
	StudyInstanceUID    string            // (0020,000D)
	SeriesInstanceUID   string            // (0020,000E)
	FrameOfReferenceUID string            // (0020,0052)
	PixelDataOffset     int64             // of the value of (7FE0,0010); 0: none. Encapsulated: of its first item
	PixelDataLength     int64             // encapsulated: up to the sequence delimiter
	PixelDataFragments  int               // items of an encapsulated pixel data, the offset table included; 0: native
	Digest              [sha256.Size]byte // SHA-256 of the encoded data set
}

// CheckError says why a data set is not taken.
type CheckError struct {
	Status uint16 // the C-STORE status that says so
	Tag    Tag    // the element concerned; 0: none
	Offset int64  // byte offset in the data set (deflated: once inflated)
	What   string
}

func (e *CheckError) Error() string {
	return fmt.Sprintf("%s at byte %d of the data set, %s", e.Tag, e.Offset, e.What)
}

// transferSyntax is what the check must know of an encoding (PS3.5 annex A).
type transferSyntax struct{ explicit, bigEndian, deflated, encapsulated bool }

// encodingOf knows every transfer syntax of the standard by its arc: what is not one of the first four is explicit,
// little endian, with encapsulated pixel data (PS3.5 A.4).
func encodingOf(uid string) (transferSyntax, bool) {
	switch uid {
	case ImplicitVRLittleEndian:
		return transferSyntax{}, true
	case ExplicitVRLittleEndian:
		return transferSyntax{explicit: true}, true
	case DeflatedExplicitVRLittleEndian:
		return transferSyntax{explicit: true, deflated: true}, true
	case ExplicitVRBigEndian:
		return transferSyntax{explicit: true, bigEndian: true}, true
	}
	for _, arc := range []string{"1.2.840.10008.1.2.4.", "1.2.840.10008.1.2.5"} {
		if strings.HasPrefix(uid, arc) {
			return transferSyntax{explicit: true, encapsulated: true}, true
		}
	}
	return transferSyntax{}, false
}

// KnownTransferSyntax says whether the check can read data sets in this encoding.
func KnownTransferSyntax(uid string) bool {
	_, ok := encodingOf(uid)
	return ok
}

// CheckDataSet walks an encoded data set of size bytes without recursion and without trusting any length (PS3.5 section
// 7), and returns what identifies it, with its digest. The error is a *CheckError unless reading failed. A data set
// that passes has every length inside its parent, bounded nesting, a study and a series: a DICOM library may see it.
func CheckDataSet(r io.ReaderAt, size int64, transferSyntax string, limits CheckLimits) (Header, error) {
	h, err := CheckStructure(r, size, transferSyntax, limits)
	if err != nil {
		return h, err
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(r, 0, size)); err != nil {
		return h, fmt.Errorf("read the data set: %w", err)
	}
	sum.Sum(h.Digest[:0])
	return h, nil
}

// CheckStructure is CheckDataSet without the digest, for those who have it already. It does not read pixel data.
func CheckStructure(r io.ReaderAt, size int64, transferSyntax string, limits CheckLimits) (Header, error) {
	h := Header{TransferSyntaxUID: transferSyntax}
	w, err := newWalk(r, size, &h, limits)
	if err != nil {
		return h, err
	}
	if err := w.run(); err != nil {
		return h, w.explain(err)
	}
	if h.StudyInstanceUID == "" || h.SeriesInstanceUID == "" {
		return h, &CheckError{Status: StatusNoStudyOrSeries, Tag: tagStudyInstanceUID, Offset: w.in.off,
			What: "no Study or Series Instance UID"}
	}
	return h, nil
}

// ErrNoContentDigest means that the content of this encoding cannot be compared with that of others.
var ErrNoContentDigest = errors.New("big endian: no digest of the content")

// ContentDigest is a digest of what a data set says, not of how it is encoded: Implicit, Explicit or deflated, defined
// or undefined lengths of sequences and items, group lengths and trailing padding make no difference. Many nodes
// re-encode what they pass on, so that the same instance arrives in other bytes. Encapsulated pixel data are compared as
// they are. Private sequences in Implicit VR are not recognized as such and may differ from their explicit form.
func ContentDigest(r io.ReaderAt, size int64, transferSyntax string, limits CheckLimits) (digest [sha256.Size]byte, err error) {
	w, err := newWalk(r, size, &Header{TransferSyntaxUID: transferSyntax}, limits)
	if err != nil {
		return digest, err
	}
	if w.enc.bigEndian {
		return digest, ErrNoContentDigest
	}
	w.content = sha256.New()
	if err := w.run(); err != nil {
		return digest, w.explain(err)
	}
	w.content.Sum(digest[:0])
	return digest, nil
}

// newWalk prepares a walk over a data set whose transfer syntax stands in h.
func newWalk(r io.ReaderAt, size int64, h *Header, limits CheckLimits) (*walk, error) {
	enc, ok := encodingOf(h.TransferSyntaxUID)
	if !ok {
		return nil, &CheckError{Status: StatusCannotUnderstand,
			What: fmt.Sprintf("unknown transfer syntax %q", h.TransferSyntaxUID)}
	}
	limits = limits.withDefaults(size)
	section := io.NewSectionReader(r, 0, size)
	w := &walk{h: h, limits: limits, enc: enc}
	if enc.deflated {
		inflate := flate.NewReader(bufio.NewReader(section))
		w.in = &input{r: bufio.NewReaderSize(io.LimitReader(inflate, limits.Inflated+1), 32<<10)}
		w.size, w.sizeUnknown = limits.Inflated, true
	} else {
		w.in = &input{r: bufio.NewReaderSize(section, 4<<10), seek: section}
		w.size = size
	}
	return w, nil
}

// explain turns an end of input, and what the inflater says, into what they mean for the data set.
func (w *walk) explain(err error) error {
	var corrupt flate.CorruptInputError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return w.fail(StatusTruncated, "the data set ends inside an element")
	case errors.As(err, &corrupt):
		return w.fail(StatusTruncated, "the deflated data are damaged")
	}
	return err
}

// input counts what it reads and can skip without reading.
type input struct {
	r    *bufio.Reader
	seek *io.SectionReader // nil: skipping means reading
	off  int64
}

func (in *input) read(p []byte) error {
	n, err := io.ReadFull(in.r, p)
	in.off += int64(n)
	return err
}

func (in *input) skip(n int64) error {
	if n <= int64(in.r.Buffered()) || in.seek == nil {
		d, err := io.CopyN(io.Discard, in.r, n)
		in.off += d
		return err
	}
	in.off += n
	if _, err := in.seek.Seek(in.off, io.SeekStart); err != nil {
		return err
	}
	in.r.Reset(in.seek)
	return nil
}

// peek reports whether the next bytes are want, without taking them.
func (in *input) peek(want []byte) bool {
	b, err := in.r.Peek(len(want))
	return err == nil && string(b) == string(want)
}

const undefinedLength = math.MaxUint32
