package radiomics

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
)

// gunzip reads gzip (RFC 1952, deflate RFC 1951). Unpacking the image is the largest part of the work on a small region,
// and the standard library's reader takes twice to three times as long: it asks for its input byte by byte.
type gunzip struct {
	r    io.Reader
	in   []byte // what is read ahead: in[pos:end]
	pos  int
	end  int
	eof  bool
	bits uint64 // n bits that are read but not used, the next one lowest
	n    uint
	lack uint // bits of bits that the input did not have

	out  []byte // unpacked: out[given:made] is not handed out yet, up to 32 KB before are history
	made int
	give int

	literals  [1<<literalBits + 1024]uint32
	distances [1<<distanceBits + 1024]uint32
	block     int // what is being unpacked
	final     bool
	stored    int // bytes left of a stored block
	crc, size uint32
	members   int
	err       error
}

const (
	history      = 1 << 15
	outSize      = 1 << 17
	longest      = 258
	slack        = 16
	literalBits  = 11
	distanceBits = 9
)

// States of block.
const (
	atHeader = iota
	atBlock
	inStored
	inCodes
)

var (
	errGzip  = errors.New("the packed data are damaged")
	errShort = errors.New("the packed data end too early")
)

func newGunzip(r io.Reader) *gunzip {
	return &gunzip{r: r, in: make([]byte, 1<<16), out: make([]byte, outSize+longest+slack)}
}

func (z *gunzip) Read(p []byte) (int, error) {
	for z.give == z.made {
		if z.err != nil {
			return 0, z.err
		}
		if z.made > outSize-history {
			copy(z.out, z.out[z.made-history:z.made])
			z.made, z.give = history, history
		}
		from := z.made
		z.err = z.more()
		z.crc = crc32.Update(z.crc, crc32.IEEETable, z.out[from:z.made])
		z.size += uint32(z.made - from)
		if z.err == nil && z.block == atHeader {
			z.err = z.trailer()
		}
	}
	n := copy(p, z.out[z.give:z.made])
	z.give += n
	return n, nil
}

// more unpacks until out is full or the member ends; the member's end is block atHeader after final.
func (z *gunzip) more() error {
	for z.made <= outSize {
		switch z.block {
		case atHeader:
			if err := z.header(); err != nil {
				return err
			}
			z.block, z.final = atBlock, false
		case atBlock:
			if z.final {
				z.block = atHeader
				return nil
			}
			if err := z.beginBlock(); err != nil {
				return err
			}
		case inStored:
			if err := z.copyStored(); err != nil {
				return err
			}
		case inCodes:
			if err := z.codes(); err != nil {
				return err
			}
		}
	}
	return nil
}

// need makes sure of at least 48 bits; where the input has ended they are zeros, and lack counts them.
func (z *gunzip) need() error {
	for z.n < 48 {
		if z.pos == z.end && !z.eof {
			if err := z.read(); err != nil {
				return err
			}
		}
		if z.pos < z.end {
			z.bits |= uint64(z.in[z.pos]) << z.n
			z.pos++
		} else {
			z.lack += 8
		}
		z.n += 8
	}
	return nil
}

func (z *gunzip) read() error {
	kept := copy(z.in, z.in[z.pos:z.end])
	z.pos, z.end = 0, kept
	for range 100 {
		n, err := z.r.Read(z.in[z.end:])
		z.end += n
		if err == io.EOF {
			z.eof = true
			return nil
		}
		if err != nil || n > 0 {
			return err
		}
	}
	return io.ErrNoProgress
}

// take uses k ≤ 32 bits.
func (z *gunzip) take(k uint) (uint64, error) {
	if err := z.need(); err != nil {
		return 0, err
	}
	v := z.bits & (1<<k - 1)
	z.bits >>= k
	z.n -= k
	return v, z.enough()
}

// enough reports that no bit was used that was not there.
func (z *gunzip) enough() error {
	if z.lack > z.n {
		return errShort
	}
	return nil
}

func (z *gunzip) byteAligned() {
	z.bits >>= z.n % 8
	z.n -= z.n % 8
}

// header reads the header of a member; io.EOF when the input ends before a further one.
func (z *gunzip) header() error {
	if err := z.need(); err != nil {
		return err
	}
	if z.members > 0 && z.lack >= z.n {
		return io.EOF
	}
	magic, err := z.take(24)
	if err != nil || magic != 0x088b1f {
		if z.members > 0 { // padding after the last member
			return io.EOF
		}
		return errGzip
	}
	z.members++
	flags, err := z.take(8)
	if err != nil {
		return err
	}
	for range 6 {
		if _, err := z.take(8); err != nil {
			return err
		}
	}
	if flags&4 != 0 {
		n, err := z.take(16)
		for ; n > 0 && err == nil; n-- {
			_, err = z.take(8)
		}
		if err != nil {
			return err
		}
	}
	for _, text := range [2]uint64{8, 16} { // name, comment
		for flags&text != 0 {
			c, err := z.take(8)
			if err != nil {
				return err
			}
			if c == 0 {
				break
			}
		}
	}
	if flags&2 != 0 {
		if _, err := z.take(16); err != nil {
			return err
		}
	}
	z.crc, z.size = 0, 0
	return nil
}

func (z *gunzip) trailer() error {
	z.byteAligned()
	crc, err := z.take(32)
	if err != nil {
		return err
	}
	size, err := z.take(32)
	if err != nil {
		return err
	}
	if uint32(crc) != z.crc || uint32(size) != z.size {
		return errGzip
	}
	return nil
}

func (z *gunzip) beginBlock() error {
	v, err := z.take(3)
	if err != nil {
		return err
	}
	z.final = v&1 == 1
	switch v >> 1 {
	case 0:
		z.byteAligned()
		v, err := z.take(32)
		if err != nil {
			return err
		}
		if uint16(v) != ^uint16(v>>16) {
			return errGzip
		}
		z.stored, z.block = int(uint16(v)), inStored
		return nil
	case 1:
		var lengths [288 + 32]uint8
		for i := range lengths {
			switch {
			case i < 144, i >= 280 && i < 288:
				lengths[i] = 8
			case i < 256:
				lengths[i] = 9
			case i < 280:
				lengths[i] = 7
			default:
				lengths[i] = 5
			}
		}
		z.block = inCodes
		return z.tables(lengths[:288], lengths[288:])
	case 2:
		z.block = inCodes
		return z.dynamic()
	}
	return errGzip
}

var lengthOrder = [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// dynamic reads the code lengths of a block (RFC 1951, 3.2.7).
func (z *gunzip) dynamic() error {
	v, err := z.take(14)
	if err != nil {
		return err
	}
	nLiteral, nDistance, nLength := int(v&31)+257, int(v>>5&31)+1, int(v>>10)+4
	if nLiteral > 286 || nDistance > 30 {
		return errGzip
	}
	var short [19]uint8
	for _, i := range lengthOrder[:nLength] {
		v, err := z.take(3)
		if err != nil {
			return err
		}
		short[i] = uint8(v)
	}
	var table [1 << 7]uint32
	if !huffman(table[:], 7, short[:], func(symbol int) uint32 { return uint32(symbol) << 16 }) {
		return errGzip
	}
	var lengths [286 + 30]uint8
	for i := 0; i < nLiteral+nDistance; {
		if err := z.need(); err != nil {
			return err
		}
		e := table[z.bits&127]
		if e&kindMask == kindBad {
			return errGzip
		}
		if _, err := z.take(uint(e & 0xff)); err != nil {
			return err
		}
		symbol := e >> 16
		if symbol < 16 {
			lengths[i] = uint8(symbol)
			i++
			continue
		}
		repeat, value, extra := 3, uint8(0), uint(2)
		switch symbol {
		case 16:
			if i == 0 {
				return errGzip
			}
			value = lengths[i-1]
		case 17:
			extra = 3
		case 18:
			repeat, extra = 11, 7
		}
		v, err := z.take(extra)
		if err != nil {
			return err
		}
		repeat += int(v)
		if i+repeat > nLiteral+nDistance {
			return errGzip
		}
		for ; repeat > 0; repeat-- {
			lengths[i] = value
			i++
		}
	}
	if lengths[256] == 0 {
		return errGzip
	}
	return z.tables(lengths[:nLiteral], lengths[nLiteral:nLiteral+nDistance])
}

// An entry of a table: bits 0–7 how many bits to use, 8–11 how many further bits belong to the value, 12–14 its kind,
// 16–31 the value: a byte, the least length or distance, the place of a second table.
const (
	kindLiteral = 0 << 12
	kindLength  = 1 << 12
	kindEnd     = 2 << 12
	kindMore    = 3 << 12
	kindBad     = 4 << 12
	kindMask    = 7 << 12
)

var lengthEntries, distanceEntries = func() (l [29]uint32, d [30]uint32) {
	base := uint32(3)
	for i := range l {
		extra := uint32(0)
		if i >= 8 {
			extra = uint32(i-4) / 4
		}
		if i == 28 {
			base, extra = 258, 0
		}
		l[i] = base<<16 | kindLength | extra<<8
		base += 1 << extra
	}
	base = 1
	for i := range d {
		extra := uint32(0)
		if i >= 4 {
			extra = uint32(i-2) / 2
		}
		d[i] = base<<16 | kindLength | extra<<8
		base += 1 << extra
	}
	return l, d
}()

func (z *gunzip) tables(literals, distances []uint8) error {
	ok := huffman(z.literals[:], literalBits, literals, func(symbol int) uint32 {
		switch {
		case symbol < 256:
			return uint32(symbol)<<16 | kindLiteral
		case symbol == 256:
			return kindEnd
		case symbol-257 < len(lengthEntries):
			return lengthEntries[symbol-257]
		}
		return kindBad
	})
	ok = ok && huffman(z.distances[:], distanceBits, distances, func(symbol int) uint32 {
		if symbol < len(distanceEntries) {
			return distanceEntries[symbol]
		}
		return kindBad
	})
	if !ok {
		return errGzip
	}
	return nil
}

// huffman fills a table for codes of the given lengths: 1<<bits entries, then second tables for longer codes. It refuses
// lengths that are no code; a code may leave words unused only if it has a single word, or none.
func huffman(table []uint32, bits uint, lengths []uint8, entry func(symbol int) uint32) bool {
	var count, next [17]int
	for _, l := range lengths {
		count[l]++
	}
	used := len(lengths) - count[0]
	count[0] = 0
	code, left := 0, 1
	for l := 1; l <= 15; l++ {
		left = left<<1 - count[l]
		if left < 0 {
			return false
		}
		code = (code + count[l-1]) << 1
		next[l] = code
	}
	if left > 0 && !(used == 0 || used == 1 && count[1] == 1) {
		return false
	}
	first := 1 << bits
	for i := range table[:first] {
		table[i] = kindBad | 1
	}
	free := first
	// Where a second table begins, and for how many bits, by the first bits of its codes.
	longer := map[int]uint{}
	code15 := next
	for _, l := range lengths {
		if l > 0 {
			if uint(l) > bits {
				low := reverse(code15[l], int(l)) & (first - 1)
				longer[low] = max(longer[low], uint(l)-bits)
			}
			code15[l]++
		}
	}
	for symbol, l := range lengths {
		if l == 0 {
			continue
		}
		word := reverse(next[l], int(l))
		next[l]++
		e := entry(symbol)
		if uint(l) <= bits {
			for i := word; i < first; i += 1 << l {
				table[i] = e | uint32(l)
			}
			continue
		}
		low := word & (first - 1)
		second := longer[low]
		if table[low]&kindMask != kindMore {
			if free+1<<second > len(table) {
				return false
			}
			table[low] = uint32(free)<<16 | kindMore | uint32(second)<<8 | uint32(bits)
			for i := range 1 << second {
				table[free+i] = kindBad | 1
			}
			free += 1 << second
		}
		at := int(table[low] >> 16)
		for i := word >> bits; i < 1<<second; i += 1 << (uint(l) - bits) {
			table[at+i] = e | uint32(uint(l)-bits)
		}
	}
	return true
}

func reverse(code, n int) (r int) {
	for range n {
		r = r<<1 | code&1
		code >>= 1
	}
	return r
}

func (z *gunzip) copyStored() error {
	for z.stored > 0 && z.made <= outSize {
		if z.n >= 8 {
			v, err := z.take(8)
			if err != nil {
				return err
			}
			z.out[z.made] = byte(v)
			z.made++
			z.stored--
			continue
		}
		if z.pos == z.end {
			if z.eof {
				return errShort
			}
			if err := z.read(); err != nil {
				return err
			}
			continue
		}
		n := copy(z.out[z.made:min(z.made+z.stored, len(z.out))], z.in[z.pos:z.end])
		z.made += n
		z.pos += n
		z.stored -= n
	}
	if z.stored == 0 {
		z.block = atBlock
	}
	return nil
}

// codes unpacks a block until it ends or out is full.
func (z *gunzip) codes() error {
	out, made := z.out, z.made
	bits, n := z.bits, z.n
	defer func() { z.made = made }()
	for made <= outSize {
		// At least 48 bits: a length takes 15 + 5, a distance 15 + 13.
		if z.pos+8 <= z.end {
			bits |= binary.LittleEndian.Uint64(z.in[z.pos:]) << n
			z.pos += int(63-n) >> 3
			n |= 56
		} else {
			if n < 64 {
				bits &= 1<<n - 1
			}
			z.bits, z.n = bits, n
			if err := z.need(); err != nil {
				return err
			}
			if err := z.enough(); err != nil {
				return err
			}
			bits, n = z.bits, z.n
		}
		e := z.literals[bits&(1<<literalBits-1)]
		if e&kindMask == kindMore {
			bits >>= literalBits
			n -= literalBits
			e = z.literals[uint64(e>>16)+bits&(1<<(e>>8&15)-1)]
		}
		bits >>= e & 63
		n -= uint(e & 63)
		if e&kindMask == kindLiteral {
			out[made] = byte(e >> 16)
			made++
			// Two more literals fit into the bits that are left (at least 33).
			e = z.literals[bits&(1<<literalBits-1)]
			if e&kindMask != kindLiteral {
				continue
			}
			bits >>= e & 63
			n -= uint(e & 63)
			out[made] = byte(e >> 16)
			made++
			e = z.literals[bits&(1<<literalBits-1)]
			if e&kindMask != kindLiteral {
				continue
			}
			bits >>= e & 63
			n -= uint(e & 63)
			out[made] = byte(e >> 16)
			made++
			continue
		}
		if e&kindMask != kindLength {
			z.keep(bits, n)
			if e&kindMask == kindEnd {
				z.block = atBlock
				return z.enough()
			}
			return errGzip
		}
		extra := e >> 8 & 15
		length := int(e>>16) + int(bits&(1<<extra-1))
		bits >>= extra
		n -= uint(extra)
		d := z.distances[bits&(1<<distanceBits-1)]
		if d&kindMask == kindMore {
			bits >>= distanceBits
			n -= distanceBits
			d = z.distances[uint64(d>>16)+bits&(1<<(d>>8&15)-1)]
		}
		bits >>= d & 63
		n -= uint(d & 63)
		extra = d >> 8 & 15
		distance := int(d>>16) + int(bits&(1<<extra-1))
		bits >>= extra
		n -= uint(extra)
		if d&kindMask != kindLength || distance > made {
			z.keep(bits, n)
			return errGzip
		}
		from, to := made-distance, made
		made += length
		if distance >= 8 { // eight at a time, up to seven too many: there is room, and they are written again
			for ; to < made; from, to = from+8, to+8 {
				binary.LittleEndian.PutUint64(out[to:], binary.LittleEndian.Uint64(out[from:]))
			}
			continue
		}
		for ; to < made; from, to = from+1, to+1 {
			out[to] = out[from]
		}
	}
	z.keep(bits, n)
	return z.enough()
}

// keep stores the bits; those above n may be from input that counts as unread.
func (z *gunzip) keep(bits uint64, n uint) {
	if n < 64 {
		bits &= 1<<n - 1
	}
	z.bits, z.n = bits, n
}
