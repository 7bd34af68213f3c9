package codec

import "encoding/binary"

// JPEG markers (ISO/IEC 10918-1 table B.1) and those of JPEG-LS (ISO/IEC 14495-1 table C.1).
const (
	markSOF3  = 0xC3 // lossless, Huffman
	markDHT   = 0xC4
	markRST0  = 0xD0
	markRST7  = 0xD7
	markSOI   = 0xD8
	markEOI   = 0xD9
	markSOS   = 0xDA
	markDRI   = 0xDD
	markSOF55 = 0xF7 // JPEG-LS
	markLSE   = 0xF8 // JPEG-LS preset parameters
	markTEM   = 0x01
)

// frameHeader is what a start-of-frame segment says.
type frameHeader struct {
	precision     int // bits a sample
	rows, columns int
	component     byte
}

// segments walks the marker segments of a JPEG stream. It calls each for every segment but the entropy-coded data,
// which begin at the offset that is returned, behind the start of scan, whose body is returned too.
func segments(src []byte, each func(marker byte, body []byte) error) (scan []byte, data int, err error) {
	if len(src) < 4 || src[0] != 0xFF || src[1] != markSOI {
		return nil, 0, damaged("no JPEG stream")
	}
	for i := 2; ; {
		for i+1 < len(src) && src[i] == 0xFF && src[i+1] == 0xFF { // fill bytes
			i++
		}
		if i+4 > len(src) || src[i] != 0xFF {
			return nil, 0, damaged("no marker at byte %d of the JPEG stream", i)
		}
		marker := src[i+1]
		i += 2
		if marker == markTEM || marker >= markRST0 && marker <= markRST7 {
			continue
		}
		if marker == markEOI {
			return nil, 0, damaged("a JPEG stream without a scan")
		}
		n := int(binary.BigEndian.Uint16(src[i:]))
		if n < 2 || i+n > len(src) {
			return nil, 0, damaged("segment FF%02X of %d bytes at byte %d of %d", marker, n, i, len(src))
		}
		body := src[i+2 : i+n]
		i += n
		if marker == markSOS {
			return body, i, nil
		}
		if err := each(marker, body); err != nil {
			return nil, 0, err
		}
	}
}

// parse reads a start-of-frame segment and compares it with what the data set says.
func (h *frameHeader) parse(body []byte, f Format) error {
	if len(body) < 6 {
		return damaged("a frame header of %d bytes", len(body))
	}
	h.precision = int(body[0])
	h.rows, h.columns = int(binary.BigEndian.Uint16(body[1:])), int(binary.BigEndian.Uint16(body[3:]))
	if body[5] != 1 || len(body) < 9 {
		return damaged("%d colour components where one grey is due", body[5])
	}
	h.component = body[6]
	switch {
	case h.rows != f.Rows || h.columns != f.Columns:
		return damaged("%d × %d pixels, the data set says %d × %d", h.columns, h.rows, f.Columns, f.Rows)
	case h.precision < 2 || h.precision > f.BitsAllocated:
		return damaged("%d bits a sample in pixel cells of %d", h.precision, f.BitsAllocated)
	}
	return nil
}
