package codec

import "encoding/binary"

// jpegLossless is a decoder of the lossless process with Huffman coding (ISO/IEC 10918-1 annex H).
type jpegLossless struct {
	frameHeader
	tables   [4]*huffman
	restart  int // samples between two restart markers; 0: none
	selector int // predictor, 1 to 7
	shift    int // point transform
}

func decodeJPEGLossless(src []byte, f Format, dst []uint16) error {
	var d jpegLossless
	scan, at, err := segments(src, func(marker byte, body []byte) error { return d.segment(marker, body, f) })
	if err != nil {
		return err
	}
	table, err := d.startScan(scan)
	if err != nil {
		return err
	}
	return d.decode(src[at:], table, dst)
}

func (d *jpegLossless) segment(marker byte, body []byte, f Format) error {
	switch {
	case marker == markSOF3:
		return d.parse(body, f)
	case marker == markDHT:
		return d.huffmanTables(body)
	case marker == markDRI:
		if len(body) < 2 {
			return damaged("a restart interval of %d bytes", len(body))
		}
		d.restart = int(binary.BigEndian.Uint16(body))
	case marker >= 0xC0 && marker <= 0xCF && marker != 0xC8 && marker != 0xCC:
		return damaged("JPEG process FF%02X where the lossless one (FFC3) is due", marker)
	}
	return nil
}

// startScan reads the scan header (annex B.2.3) and returns the table of the component.
func (d *jpegLossless) startScan(b []byte) (*huffman, error) {
	if d.rows == 0 {
		return nil, damaged("a scan before the frame header")
	}
	if len(b) < 6 || b[0] != 1 {
		return nil, damaged("a scan header of %d bytes", len(b))
	}
	d.selector, d.shift = int(b[3]), int(b[5]&0x0F)
	table := b[2] >> 4
	switch {
	case b[1] != d.component:
		return nil, damaged("a scan of component %d, the frame has %d", b[1], d.component)
	case d.selector < 1 || d.selector > 7:
		return nil, damaged("predictor %d", d.selector)
	case d.shift >= d.precision:
		return nil, damaged("point transform %d of %d bits", d.shift, d.precision)
	case table > 3 || d.tables[table] == nil:
		return nil, damaged("Huffman table %d is not defined", table)
	case d.restart%d.columns != 0: // H.1.1: whole lines
		return nil, damaged("a restart interval of %d samples, lines have %d", d.restart, d.columns)
	}
	return d.tables[table], nil
}

// decode reads the differences and adds the predictions (annex H.1.2). The first line, and the first after a restart,
// is predicted from the left, its first sample from the middle of the range.
func (d *jpegLossless) decode(src []byte, table *huffman, dst []uint16) error {
	in := bitReader{src: src}
	restartLines := d.restart / d.columns
	middle := int32(1) << (d.precision - d.shift - 1)
	line := make([]int32, d.columns) // samples before the point transform is undone
	above := make([]int32, d.columns)
	fresh := 0 // line at which prediction has begun anew
	for y := range d.rows {
		if restartLines > 0 && y > 0 && y%restartLines == 0 {
			if err := in.nextRestart(); err != nil {
				return err
			}
			fresh = y
		}
		for x := range line {
			diff, err := table.difference(&in)
			if err != nil {
				return err
			}
			var p int32
			switch {
			case x == 0 && y == fresh:
				p = middle
			case y == fresh:
				p = line[x-1]
			case x == 0:
				p = above[0]
			default:
				p = d.predict(line[x-1], above[x], above[x-1])
			}
			v := (p + diff) & 0xFFFF
			line[x] = v
			dst[y*d.columns+x] = uint16(v << d.shift)
		}
		if in.over() {
			return damaged("the scan ends in line %d of %d", y+1, d.rows)
		}
		line, above = above, line
	}
	return nil
}

// predict is table H.1.
func (d *jpegLossless) predict(a, b, c int32) int32 {
	switch d.selector {
	case 1:
		return a
	case 2:
		return b
	case 3:
		return c
	case 4:
		return a + b - c
	case 5:
		return a + (b-c)>>1
	case 6:
		return b + (a-c)>>1
	}
	return (a + b) >> 1
}

// huffmanTables reads a segment that defines tables (annex B.2.4.2).
func (d *jpegLossless) huffmanTables(b []byte) error {
	for len(b) > 0 {
		if len(b) < 17 || b[0]&0x0F > 3 {
			return damaged("a Huffman table of %d bytes", len(b))
		}
		id := b[0] & 0x0F
		total := 0
		for _, n := range b[1:17] {
			total += int(n)
		}
		if len(b) < 17+total || total > 17 { // categories 0 to 16
			return damaged("a Huffman table of %d codes", total)
		}
		t, err := newHuffman(b[1:17], b[17:17+total])
		if err != nil {
			return err
		}
		d.tables[id] = t
		b = b[17+total:]
	}
	return nil
}

const fastBits = 9 // codes up to this long are found by one look

// huffman is a table of codes for categories of differences (annexes C and F.2.2.3).
type huffman struct {
	fast    [1 << fastBits]uint16 // length << 8 | category; 0: longer
	max     [17]int32             // by length: the largest code, or −1
	offset  [17]int32             // by length: index of the first value minus the smallest code
	symbols []byte
}

func newHuffman(counts, symbols []byte) (*huffman, error) {
	t := &huffman{symbols: symbols}
	code, k := int32(0), int32(0)
	for length := 1; length <= 16; length++ {
		n := int32(counts[length-1])
		t.max[length] = -1
		if n > 0 {
			t.offset[length] = k - code
			for range n {
				if code >= 1<<length {
					return nil, damaged("a Huffman table with more codes of %d bits than there are", length)
				}
				if symbols[k] > 16 {
					return nil, damaged("category %d in a Huffman table", symbols[k])
				}
				if length <= fastBits {
					low := code << (fastBits - length)
					for i := range int32(1) << (fastBits - length) {
						t.fast[low+i] = uint16(length)<<8 | uint16(symbols[k])
					}
				}
				code++
				k++
			}
			t.max[length] = code - 1
		}
		code <<= 1
	}
	return t, nil
}

// difference reads one difference: its category, and as many further bits (annex F.2.2.1, H.2).
func (t *huffman) difference(in *bitReader) (int32, error) {
	in.fill()
	var category uint
	if e := t.fast[in.peek(fastBits)]; e != 0 {
		in.drop(uint(e >> 8))
		category = uint(e & 0xFF)
	} else {
		var code int32
		length := fastBits
		for {
			if length++; length > 16 {
				return 0, damaged("no Huffman code at byte %d of the scan", in.at)
			}
			code = int32(in.peek(uint(length)))
			if code <= t.max[length] {
				break
			}
		}
		in.drop(uint(length))
		category = uint(t.symbols[code+t.offset[length]])
	}
	switch category {
	case 0:
		return 0, nil
	case 16:
		return 32768, nil
	}
	v := int32(in.peek(category))
	in.drop(category)
	if v < 1<<(category-1) {
		v -= 1<<category - 1
	}
	return v, nil
}

// bitReader reads entropy-coded data: FF00 stands for FF, any other marker ends them, and zeros follow.
type bitReader struct {
	src  []byte
	at   int
	acc  uint64
	have uint // bits in acc, from the top of the low ones
	past uint // bits of zeros that were added at the end
}

// fill makes sure of at least 32 bits.
func (r *bitReader) fill() {
	for r.have <= 56 {
		var b byte
		switch {
		case r.at >= len(r.src), r.src[r.at] == 0xFF && (r.at+1 >= len(r.src) || r.src[r.at+1] != 0):
			r.past += 8
		case r.src[r.at] == 0xFF:
			b = 0xFF
			r.at += 2
		default:
			b = r.src[r.at]
			r.at++
		}
		r.acc = r.acc<<8 | uint64(b)
		r.have += 8
	}
}

func (r *bitReader) peek(n uint) uint64 { return r.acc >> (r.have - n) & (1<<n - 1) }

func (r *bitReader) drop(n uint) { r.have -= n }

// over says that more was read than there was.
func (r *bitReader) over() bool { return r.past > r.have }

// nextRestart goes on behind the next restart marker.
func (r *bitReader) nextRestart() error {
	if r.over() {
		return damaged("the scan ends before a restart marker")
	}
	for r.at+1 < len(r.src) && r.src[r.at] == 0xFF && r.src[r.at+1] == 0xFF {
		r.at++
	}
	if r.at+1 >= len(r.src) || r.src[r.at] != 0xFF || r.src[r.at+1] < markRST0 || r.src[r.at+1] > markRST7 {
		return damaged("no restart marker at byte %d of the scan", r.at)
	}
	*r = bitReader{src: r.src, at: r.at + 2}
	return nil
}
