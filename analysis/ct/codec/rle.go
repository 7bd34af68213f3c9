package codec

import "encoding/binary"

const rleHeader = 64

// decodeRLE decodes RLE Lossless (PS3.5 annex G): a segment of pack-bits for each byte of the pixel cell, the most
// significant one first.
func decodeRLE(src []byte, f Format, dst []uint16) error {
	if len(src) < rleHeader {
		return damaged("%d bytes of RLE", len(src))
	}
	segments := int(binary.LittleEndian.Uint32(src))
	if segments != f.BitsAllocated/8 {
		return damaged("%d RLE segments, pixel cells have %d bytes", segments, f.BitsAllocated/8)
	}
	clear(dst)
	for s := range segments {
		start := int64(binary.LittleEndian.Uint32(src[4+4*s:]))
		end := int64(len(src))
		if s+1 < segments {
			end = int64(binary.LittleEndian.Uint32(src[8+4*s:]))
		}
		if start < rleHeader || end < start || end > int64(len(src)) {
			return damaged("RLE segment %d from %d to %d of %d bytes", s+1, start, end, len(src))
		}
		if err := unpackBits(src[start:end], dst, uint(8*(segments-1-s))); err != nil {
			return err
		}
	}
	return nil
}

// unpackBits adds one byte plane, shifted to its place.
func unpackBits(src []byte, dst []uint16, shift uint) error {
	at := 0
	for i := 0; at < len(dst); {
		if i >= len(src) {
			return damaged("an RLE segment ends after %d of %d pixels", at, len(dst))
		}
		n := int8(src[i])
		i++
		switch {
		case n >= 0: // n + 1 bytes as they are
			count := int(n) + 1
			if i+count > len(src) || at+count > len(dst) {
				return damaged("an RLE run of %d bytes at pixel %d", count, at)
			}
			for _, b := range src[i : i+count] {
				dst[at] |= uint16(b) << shift
				at++
			}
			i += count
		case n != -128: // 1 − n times the next byte
			count := 1 - int(n)
			if i >= len(src) || at+count > len(dst) {
				return damaged("an RLE run of %d bytes at pixel %d", count, at)
			}
			v := uint16(src[i]) << shift
			for range count {
				dst[at] |= v
				at++
			}
			i++
		}
	}
	return nil
}
