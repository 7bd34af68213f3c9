package ct

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"

	"rfanode/analysis/ct/codec"
)

// readPixels reads the slice's pixels as HU by a table of all 16-bit patterns; CheckStack has found the header possible.
func (h *InstanceHeader) readPixels(out, table []float32) error {
	cells := make([]uint16, len(out))
	if err := h.readCells(cells); err != nil {
		return fmt.Errorf("reading the pixels of %s: %w", h.Path, err)
	}
	for i, c := range cells {
		out[i] = table[c]
	}
	return nil
}

// readCells reads the pixel cells of the slice, decoded.
func (h *InstanceHeader) readCells(cells []uint16) error {
	f, err := os.Open(h.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	data, size := io.ReaderAt(f), info.Size()
	if h.TransferSyntaxUID == deflated {
		b, err := inflate(io.NewSectionReader(f, h.metaLength, size-h.metaLength), size)
		if err != nil {
			return err
		}
		data, size = bytes.NewReader(b), int64(len(b))
	}
	if h.pixelLength < 0 {
		return h.decodeCells(data, size, cells)
	}
	raw := make([]byte, 2*len(cells))
	if _, err := data.ReadAt(raw, h.pixelOffset+int64(h.frameIndex())*int64(len(raw))); err != nil {
		return err
	}
	if h.TransferSyntaxUID == explicitBig {
		for i := range cells {
			cells[i] = binary.BigEndian.Uint16(raw[2*i:])
		}
		return nil
	}
	for i := range cells {
		cells[i] = binary.LittleEndian.Uint16(raw[2*i:])
	}
	return nil
}

// frameIndex is the place of the frame in the pixel data, from 0.
func (h *InstanceHeader) frameIndex() int { return max(h.Frame, 1) - 1 }

// decodeCells decodes the frame of an encapsulated pixel data.
func (h *InstanceHeader) decodeCells(data io.ReaderAt, size int64, cells []uint16) error {
	fragments, err := codec.ReadFragments(data, h.pixelOffset, size)
	if err != nil {
		return err
	}
	frame, err := fragments.Frame(h.frameIndex(), h.Frames)
	if err != nil {
		return err
	}
	return codec.Decode(h.TransferSyntaxUID, frame, codec.Format{Rows: h.Rows, Columns: h.Columns, BitsAllocated: h.BitsAllocated}, cells)
}
