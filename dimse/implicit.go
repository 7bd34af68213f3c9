package dimse

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// toImplicit re-encodes a data set from Explicit to Implicit VR Little Endian while it is read, for peers that take only
// the default transfer syntax (PS3.5 section 10.1). Values stay as they are; sequences and items of defined length get
// an undefined one, because their length changes and is not known before their end; retired group lengths are left out.
// Like the check it keeps its own, bounded stack.
type toImplicit struct {
	in    *bufio.Reader
	off   int64 // read from in
	out   bytes.Buffer
	value int64 // bytes of a value that are still to be copied
	stack []openLevel
	err   error
}

// openLevel is a sequence or item that is open in the source.
type openLevel struct {
	end  int64 // in the source; -1: its own delimiter ends it
	item bool
}

const maxTranscodeDepth = 64

func newImplicitReader(r io.Reader) io.Reader {
	return &toImplicit{in: bufio.NewReaderSize(r, 64<<10)}
}

func (c *toImplicit) Read(p []byte) (int, error) {
	for {
		switch {
		case c.out.Len() > 0:
			return c.out.Read(p)
		case c.err != nil:
			return 0, c.err
		case c.value > 0:
			n, err := c.in.Read(p[:min(int64(len(p)), c.value)])
			c.value -= int64(n)
			c.off += int64(n)
			if err != nil {
				c.err = c.unexpected(err)
			}
			return n, c.err
		}
		c.err = c.next()
	}
}

func (c *toImplicit) unexpected(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the data set ends inside an element, at byte %d", c.off)
	}
	return err
}

// next reads the head of an element or item and writes its implicit form.
func (c *toImplicit) next() error {
	if n := len(c.stack); n > 0 && c.stack[n-1].end == c.off {
		if c.stack[n-1].item {
			c.head(tagItemDelimiter, 0)
		} else {
			c.head(tagSequenceDelimiter, 0)
		}
		c.stack = c.stack[:n-1]
		return nil
	}
	if len(c.stack) == 0 {
		if _, err := c.in.Peek(1); err != nil {
			return err // io.EOF is the good end
		}
	}
	b, err := c.take(8)
	if err != nil {
		return err
	}
	tag := Tag(binary.LittleEndian.Uint16(b))<<16 | Tag(binary.LittleEndian.Uint16(b[2:]))
	if tag.group() == groupDelimiters {
		return c.delimiter(tag, binary.LittleEndian.Uint32(b[4:]))
	}
	vr, length := string(b[4:6]), uint32(binary.LittleEndian.Uint16(b[6:]))
	if longForm(vr) {
		if b, err = c.take(4); err != nil {
			return err
		}
		length = binary.LittleEndian.Uint32(b)
	}
	switch {
	case vr == "SQ":
		c.head(tag, undefinedLength)
		return c.push(length, false)
	case length == undefinedLength:
		return fmt.Errorf("%s at byte %d has an undefined length and VR %q: it cannot be sent as Implicit VR", tag, c.off, vr)
	case tag&0xFFFF == 0: // group length
		n, err := io.CopyN(io.Discard, c.in, int64(length))
		c.off += n
		if err != nil {
			return c.unexpected(err)
		}
		return nil
	}
	c.head(tag, length)
	c.value = int64(length)
	return nil
}

// delimiter passes on an item or a delimiter.
func (c *toImplicit) delimiter(tag Tag, length uint32) error {
	n := len(c.stack)
	switch {
	case tag == tagItem && n > 0 && !c.stack[n-1].item:
		c.head(tagItem, undefinedLength)
		return c.push(length, true)
	case n > 0 && c.stack[n-1].end < 0 && tag == tagItemDelimiter == c.stack[n-1].item && tag != tagItem:
		c.head(tag, 0)
		c.stack = c.stack[:n-1]
		return nil
	}
	return fmt.Errorf("%s at byte %d is out of place", tag, c.off)
}

func (c *toImplicit) push(length uint32, item bool) error {
	if len(c.stack) == maxTranscodeDepth {
		return fmt.Errorf("nested more than %d deep at byte %d", maxTranscodeDepth, c.off)
	}
	l := openLevel{end: -1, item: item}
	if length != undefinedLength {
		l.end = c.off + int64(length)
	}
	c.stack = append(c.stack, l)
	return nil
}

func (c *toImplicit) head(tag Tag, length uint32) {
	b := binary.LittleEndian.AppendUint16(nil, tag.group())
	b = binary.LittleEndian.AppendUint16(b, uint16(tag))
	c.out.Write(binary.LittleEndian.AppendUint32(b, length))
}

func (c *toImplicit) take(n int) ([]byte, error) {
	b := make([]byte, n)
	read, err := io.ReadFull(c.in, b)
	c.off += int64(read)
	if err != nil {
		return nil, c.unexpected(err)
	}
	return b, nil
}
