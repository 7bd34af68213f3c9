package codec

import (
	"encoding/binary"
	"fmt"
	"io"
)

// maxFragments bounds the list of an encapsulated pixel data: a multi-frame of ten thousand slices in a hundred parts.
const maxFragments = 1 << 20

// span is a part of a file.
type span struct{ at, length int64 }

// Fragments are the items of encapsulated pixel data (PS3.5 annex A.4).
type Fragments struct {
	r       io.ReaderAt
	offsets []uint32 // of the frames' first items, from the basic offset table; often empty, sometimes wrong
	items   []span
	base    int64 // of the first item behind the table
}

// ReadFragments lists the items of the encapsulated pixel data whose first item begins at offset; nothing beyond end is
// read. No pixel is.
func ReadFragments(r io.ReaderAt, offset, end int64) (*Fragments, error) {
	f := &Fragments{r: r}
	for first := true; ; first = false {
		var head [8]byte
		if offset+int64(len(head)) > end {
			return nil, damaged("the fragments break off at byte %d", offset)
		}
		if _, err := r.ReadAt(head[:], offset); err != nil {
			return nil, fmt.Errorf("read a fragment: %w", err)
		}
		offset += int64(len(head))
		length := int64(binary.LittleEndian.Uint32(head[4:]))
		switch string(head[:4]) {
		case "\xFE\xFF\xDD\xE0":
			return f, nil
		case "\xFE\xFF\x00\xE0":
		default:
			return nil, damaged("tag %x at byte %d where a fragment is due", head[:4], offset-int64(len(head)))
		}
		if length > end-offset {
			return nil, damaged("a fragment of %d bytes, %d before the end", length, end-offset)
		}
		if len(f.items) == maxFragments {
			return nil, damaged("more than %d fragments", maxFragments)
		}
		if first {
			if err := f.table(offset, length); err != nil {
				return nil, err
			}
			f.base = offset + length
		} else {
			f.items = append(f.items, span{offset, length})
		}
		offset += length
	}
}

// table reads the basic offset table.
func (f *Fragments) table(at, length int64) error {
	if length%4 != 0 || length > 4*maxFragments {
		return nil // no table that could be used; frames are found without
	}
	b := make([]byte, length)
	if _, err := f.r.ReadAt(b, at); err != nil && length > 0 {
		return fmt.Errorf("read the offset table: %w", err)
	}
	for ; len(b) > 0; b = b[4:] {
		f.offsets = append(f.offsets, binary.LittleEndian.Uint32(b))
	}
	return nil
}

// Frame reads the compressed bytes of one of a number of frames, from 0. A single frame has all fragments; of several
// each has what the offset table says, or one fragment, or those up to the next that begins like a frame.
func (f *Fragments) Frame(index, frames int) ([]byte, error) {
	if index < 0 || index >= frames {
		return nil, fmt.Errorf("frame %d of %d", index+1, frames)
	}
	from, to, ok := f.byTable(index, frames)
	switch {
	case frames == 1:
		from, to = 0, len(f.items)
	case ok:
	case len(f.items) == frames:
		from, to = index, index+1
	default:
		var err error
		if from, to, err = f.byContent(index, frames); err != nil {
			return nil, err
		}
	}
	size := int64(0)
	for _, s := range f.items[from:to] {
		size += s.length
	}
	out := make([]byte, size) // as much as the file has: the items lie in it, one after another
	at := int64(0)
	for _, s := range f.items[from:to] {
		if _, err := f.r.ReadAt(out[at:at+s.length], s.at); err != nil && s.length > 0 {
			return nil, fmt.Errorf("read a fragment: %w", err)
		}
		at += s.length
	}
	if size == 0 {
		return nil, damaged("frame %d is empty", index+1)
	}
	return out, nil
}

// byTable finds the items of a frame by the offset table, if that points at items.
func (f *Fragments) byTable(index, frames int) (from, to int, ok bool) {
	if len(f.offsets) != frames {
		return 0, 0, false
	}
	find := func(offset uint32) int {
		for i, s := range f.items {
			if s.at-8-f.base == int64(offset) {
				return i
			}
		}
		return -1
	}
	if from = find(f.offsets[index]); from < 0 {
		return 0, 0, false
	}
	to = len(f.items)
	if index+1 < frames {
		to = find(f.offsets[index+1])
	}
	return from, to, to > from
}

// byContent finds the items of a frame by how streams begin: JPEG and JPEG-LS with FFD8, JPEG 2000 with FF4F.
func (f *Fragments) byContent(index, frames int) (from, to int, err error) {
	var starts []int
	for i, s := range f.items {
		var b [2]byte
		if s.length < 2 {
			continue
		}
		if _, err := f.r.ReadAt(b[:], s.at); err != nil {
			return 0, 0, fmt.Errorf("read a fragment: %w", err)
		}
		if b[0] == 0xFF && (b[1] == markSOI || b[1] == 0x4F) {
			starts = append(starts, i)
		}
	}
	if len(starts) != frames {
		return 0, 0, damaged("%d frames in %d fragments, of which %d begin one", frames, len(f.items), len(starts))
	}
	starts = append(starts, len(f.items))
	return starts[index], starts[index+1], nil
}
