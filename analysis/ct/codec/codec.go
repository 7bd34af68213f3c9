// Package codec decodes the compressed pixel data of one grey frame (PS3.5 annex A.4 and section 8.2): RLE Lossless
// (PS3.5 annex G), JPEG Lossless (ISO/IEC 10918-1 process 14), JPEG-LS lossless and near-lossless (ISO/IEC 14495-1), and
// JPEG 2000 with HTJ2K where the machine has OpenJPEG. It finds the frames in the fragments of encapsulated pixel data.
// What a frame claims about itself is checked before memory is taken or anything is written; damaged data are errors.
package codec

import (
	"errors"
	"fmt"
	"slices"
)

// Transfer syntaxes (PS3.6 table A-1).
const (
	RLELossless       = "1.2.840.10008.1.2.5"
	JPEGLossless      = "1.2.840.10008.1.2.4.57"
	JPEGLosslessFirst = "1.2.840.10008.1.2.4.70" // first-order prediction, what nearly all JPEG CT is
	JPEGLSLossless    = "1.2.840.10008.1.2.4.80"
	JPEGLSNear        = "1.2.840.10008.1.2.4.81"
)

// Format is what the data set says of a frame. Its pixels have one sample each.
type Format struct {
	Rows, Columns int
	BitsAllocated int // 8 or 16
}

// decoder decodes src into dst, a pixel cell an element, row after row.
type decoder func(src []byte, f Format, dst []uint16) error

var decoders = map[string]decoder{
	RLELossless:       decodeRLE,
	JPEGLossless:      decodeJPEGLossless,
	JPEGLosslessFirst: decodeJPEGLossless,
	JPEGLSLossless:    decodeJPEGLS,
	JPEGLSNear:        decodeJPEGLS,
	JPEG2000Lossless:  decodeJPEG2000,
	JPEG2000:          decodeJPEG2000,
	HTJ2KLossless:     decodeJPEG2000,
	HTJ2KLosslessRPCL: decodeJPEG2000,
	HTJ2K:             decodeJPEG2000,
}

// TransferSyntaxes lists the compressed transfer syntaxes that can be decoded on this machine, the ones without loss
// first.
func TransferSyntaxes() []string {
	all := append([]string{JPEGLosslessFirst, JPEGLossless, JPEGLSLossless, RLELossless, JPEGLSNear}, jpeg2000Syntaxes()...)
	slices.SortStableFunc(all, func(a, b string) int { return loss(a) - loss(b) })
	return all
}

func loss(transferSyntax string) int {
	if Lossy(transferSyntax) {
		return 1
	}
	return 0
}

// CanDecode says whether frames in a transfer syntax can be decoded.
func CanDecode(transferSyntax string) bool {
	return slices.Contains(TransferSyntaxes(), transferSyntax)
}

// Lossy says whether a transfer syntax may change pixels.
func Lossy(transferSyntax string) bool {
	return transferSyntax == JPEGLSNear || transferSyntax == JPEG2000 || transferSyntax == HTJ2K
}

// ErrDamaged means that a frame does not follow the rules of its compression.
var ErrDamaged = errors.New("damaged compressed pixel data")

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrDamaged, fmt.Sprintf(format, args...))
}

// Decode decodes one frame into dst, which has a cell for each pixel. A cell holds what the uncompressed pixel cell
// would, as far as the compressed form keeps it: bits above the stored ones may be missing.
func Decode(transferSyntax string, src []byte, f Format, dst []uint16) error {
	decode := decoders[transferSyntax]
	if decode == nil {
		return fmt.Errorf("pixel data in transfer syntax %s cannot be decoded", transferSyntax)
	}
	if f.Rows < 1 || f.Columns < 1 || f.Rows > 1<<16 || f.Columns > 1<<16 || len(dst) != f.Rows*f.Columns {
		return fmt.Errorf("%d × %d pixels into %d cells", f.Columns, f.Rows, len(dst))
	}
	if f.BitsAllocated != 8 && f.BitsAllocated != 16 {
		return fmt.Errorf("%d bits allocated", f.BitsAllocated)
	}
	return decode(src, f, dst)
}

// ExternalSyntaxes are decoded by a library that the machine may have.
func ExternalSyntaxes() []string {
	return []string{JPEG2000Lossless, HTJ2KLossless, HTJ2KLosslessRPCL, JPEG2000, HTJ2K}
}

// External says whether a transfer syntax is one of ExternalSyntaxes.
func External(transferSyntax string) bool { return slices.Contains(ExternalSyntaxes(), transferSyntax) }
