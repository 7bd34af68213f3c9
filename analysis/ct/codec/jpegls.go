package codec

import (
	"encoding/binary"
	"math/bits"
)

// jpegLS is a decoder of ISO/IEC 14495-1 (ITU-T T.87) for one component. Names are the standard's.
type jpegLS struct {
	frameHeader
	near, maxVal, t1, t2, t3, reset int // parameters, from LSE or by default
	rng, qbpp, limit                int
	step                            int // 2·NEAR + 1

	a, n      [367]int32 // 365 contexts, then the two of run interruption
	b, c      [365]int32
	nn        [2]int32
	runIndex  int
	quantized []int8 // of gradients, from −maxVal to maxVal
	in        lsReader
}

// jpegLSRun is J of the standard (annex A.2.1): bits of a run's length by run index.
var jpegLSRun = [32]uint{0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13, 14, 15}

func decodeJPEGLS(src []byte, f Format, dst []uint16) error {
	var d jpegLS
	var preset []byte
	scan, at, err := segments(src, func(marker byte, body []byte) error {
		switch {
		case marker == markSOF55:
			return d.parse(body, f)
		case marker == markLSE && len(body) > 0 && body[0] == 1:
			preset = body
		case marker == markLSE:
			return damaged("JPEG-LS parameters %x are not supported", body[:min(len(body), 1)])
		case marker == markDRI && (len(body) != 2 || binary.BigEndian.Uint16(body) != 0):
			return damaged("JPEG-LS with restart intervals is not supported")
		case marker >= 0xC0 && marker <= 0xCF && marker != markDHT && marker != 0xC8 && marker != 0xCC:
			return damaged("JPEG process FF%02X where JPEG-LS (FFF7) is due", marker)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := d.startScan(scan, preset); err != nil {
		return err
	}
	d.in.src = src[at:]
	return d.decode(dst)
}

// startScan reads the scan header (annex C.2.3) and sets the parameters (annexes A.2.1, C.2.4.1).
func (d *jpegLS) startScan(b, preset []byte) error {
	if d.rows == 0 {
		return damaged("a scan before the frame header")
	}
	if len(b) < 6 || b[0] != 1 || b[1] != d.component {
		return damaged("a scan header of %d bytes that is not of the one component", len(b))
	}
	if b[2] != 0 || b[5]&0x0F != 0 {
		return damaged("JPEG-LS with a mapping table or a point transform is not supported")
	}
	d.near, d.maxVal, d.reset = int(b[3]), 1<<d.precision-1, 64
	var given [5]int
	if preset != nil {
		if len(preset) < 11 {
			return damaged("JPEG-LS parameters of %d bytes", len(preset))
		}
		for i := range given {
			given[i] = int(binary.BigEndian.Uint16(preset[1+2*i:]))
		}
	}
	if given[0] != 0 {
		if given[0] > d.maxVal {
			return damaged("largest sample %d of %d bits", given[0], d.precision)
		}
		d.maxVal = given[0]
	}
	if d.near > min(255, d.maxVal/2) {
		return damaged("near-lossless by %d of %d", d.near, d.maxVal)
	}
	d.defaultThresholds()
	for i, t := range []*int{&d.t1, &d.t2, &d.t3, &d.reset} {
		if given[1+i] != 0 {
			*t = given[1+i]
		}
	}
	if d.t1 < d.near+1 || d.t2 < d.t1 || d.t3 < d.t2 || d.t3 > d.maxVal || d.reset < 3 {
		return damaged("JPEG-LS thresholds %d, %d, %d, reset %d", d.t1, d.t2, d.t3, d.reset)
	}
	d.step = 2*d.near + 1
	d.rng = (d.maxVal+2*d.near)/d.step + 1
	d.qbpp = bits.Len(uint(d.rng - 1))
	bpp := max(2, bits.Len(uint(d.maxVal)))
	d.limit = 2 * (bpp + max(8, bpp))
	for i := range d.a {
		d.a[i], d.n[i] = int32(max(2, (d.rng+32)/64)), 1
	}
	d.quantize()
	return nil
}

// defaultThresholds is annex C.2.4.1.1.
func (d *jpegLS) defaultThresholds() {
	clamp := func(i, low int) int {
		if i > d.maxVal || i < low {
			return low
		}
		return i
	}
	if d.maxVal >= 128 {
		factor := (min(d.maxVal, 4095) + 128) / 256
		d.t1 = clamp(factor*(3-2)+2+3*d.near, d.near+1)
		d.t2 = clamp(factor*(7-3)+3+5*d.near, d.t1)
		d.t3 = clamp(factor*(21-4)+4+7*d.near, d.t2)
		return
	}
	factor := 256 / (d.maxVal + 1)
	d.t1 = clamp(max(2, 3/factor+3*d.near), d.near+1)
	d.t2 = clamp(max(3, 7/factor+5*d.near), d.t1)
	d.t3 = clamp(max(4, 21/factor+7*d.near), d.t2)
}

// quantize makes the table of annex A.3.3.
func (d *jpegLS) quantize() {
	d.quantized = make([]int8, 2*d.maxVal+1)
	for i := range d.quantized {
		g := i - d.maxVal
		v := max(g, -g)
		var q int8
		switch {
		case v <= d.near:
		case v < d.t1:
			q = 1
		case v < d.t2:
			q = 2
		case v < d.t3:
			q = 3
		default:
			q = 4
		}
		if g < 0 {
			q = -q
		}
		d.quantized[i] = q
	}
}

// decode goes through the lines. Each is kept with a sample before its first and one behind its last (annex A.2.1).
func (d *jpegLS) decode(dst []uint16) error {
	w := d.columns
	above, line := make([]int32, w+2), make([]int32, w+2)
	for y := range d.rows {
		above[w+1] = above[w]
		line[0] = above[1]
		for x := 1; x <= w; {
			ra, rb, rc, rd := line[x-1], above[x], above[x-1], above[x+1]
			q := 81*int(d.quantized[int(rd-rb)+d.maxVal]) + 9*int(d.quantized[int(rb-rc)+d.maxVal]) + int(d.quantized[int(rc-ra)+d.maxVal])
			if q == 0 {
				n, err := d.run(line, above, x)
				if err != nil {
					return err
				}
				x += n
				continue
			}
			v, err := d.regular(q, ra, rb, rc)
			if err != nil {
				return err
			}
			line[x] = v
			x++
		}
		if d.in.over() {
			return damaged("the scan ends in line %d of %d", y+1, d.rows)
		}
		for x, v := range line[1 : w+1] {
			dst[y*w+x] = uint16(v)
		}
		above, line = line, above
	}
	return nil
}

// regular decodes a sample in regular mode (annexes A.4 to A.6).
func (d *jpegLS) regular(q int, ra, rb, rc int32) (int32, error) {
	sign := int32(1)
	if q < 0 {
		q, sign = -q, -1
	}
	var px int32
	switch low, high := min(ra, rb), max(ra, rb); {
	case rc >= high:
		px = low
	case rc <= low:
		px = high
	default:
		px = ra + rb - rc
	}
	px = min(max(px+sign*d.c[q], 0), int32(d.maxVal))
	k := golombK(d.n[q], d.a[q])
	m, err := d.golomb(k, d.limit)
	if err != nil {
		return 0, err
	}
	var e int32
	switch {
	case d.near == 0 && k == 0 && 2*d.b[q] <= -d.n[q]:
		if e = (m - 1) / 2; m&1 == 0 {
			e = -(m / 2) - 1
		}
	case m&1 == 1:
		e = -(m + 1) / 2
	default:
		e = m / 2
	}
	d.update(q, e)
	return d.reconstruct(px, sign*e), nil
}

// update adapts a context (annex A.6).
func (d *jpegLS) update(q int, e int32) {
	d.b[q] += e * int32(d.step)
	d.a[q] += max(e, -e)
	if d.n[q] == int32(d.reset) {
		d.a[q] >>= 1
		d.b[q] >>= 1 // −((1 − B) >> 1) of a negative B is the same
		d.n[q] >>= 1
	}
	d.n[q]++
	if n := d.n[q]; d.b[q] <= -n {
		d.b[q] = max(d.b[q]+n, -n+1)
		d.c[q] = max(d.c[q]-1, -128)
	} else if d.b[q] > 0 {
		d.b[q] = min(d.b[q]-n, 0)
		d.c[q] = min(d.c[q]+1, 127)
	}
}

// reconstruct adds an error to a prediction (annex A.4.5).
func (d *jpegLS) reconstruct(px, e int32) int32 {
	v := px + e*int32(d.step)
	if v < -int32(d.near) {
		v += int32(d.rng * d.step)
	} else if v > int32(d.maxVal+d.near) {
		v -= int32(d.rng * d.step)
	}
	return min(max(v, 0), int32(d.maxVal))
}

// run decodes a run and the sample that ends it (annex A.7), and says how many samples that were.
func (d *jpegLS) run(line, above []int32, x int) (int, error) {
	ra := line[x-1]
	left := d.columns + 1 - x
	count := 0
	for d.in.bits(1) == 1 {
		full := 1 << jpegLSRun[d.runIndex]
		n := min(full, left-count)
		count += n
		if n == full && d.runIndex < 31 {
			d.runIndex++
		}
		if count == left {
			fillRun(line[x:x+count], ra)
			return count, nil
		}
		if d.in.over() {
			return 0, damaged("the scan ends in a run")
		}
	}
	count += int(d.in.bits(jpegLSRun[d.runIndex]))
	if count >= left {
		return 0, damaged("a run of %d samples, %d are left in the line", count, left)
	}
	fillRun(line[x:x+count], ra)
	v, err := d.interruption(ra, above[x+count])
	if err != nil {
		return 0, err
	}
	line[x+count] = v
	if d.runIndex > 0 {
		d.runIndex--
	}
	return count + 1, nil
}

func fillRun(line []int32, v int32) {
	for i := range line {
		line[i] = v
	}
}

// interruption decodes the sample that ends a run (annex A.7.2).
func (d *jpegLS) interruption(ra, rb int32) (int32, error) {
	kind := 0 // RItype
	if max(ra-rb, rb-ra) <= int32(d.near) {
		kind = 1
	}
	q := 365 + kind
	temp := d.a[q]
	if kind == 1 {
		temp += d.n[q] >> 1
	}
	k := golombK(d.n[q], temp)
	em, err := d.golomb(k, d.limit-int(jpegLSRun[d.runIndex])-1)
	if err != nil {
		return 0, err
	}
	m := em + int32(kind)
	odd := m&1 == 1
	e := (m + m&1) / 2
	if (k != 0 || 2*d.nn[kind] >= d.n[q]) == odd {
		e = -e
	}
	if e < 0 {
		d.nn[kind]++
	}
	d.a[q] += (em + 1 - int32(kind)) >> 1
	if d.n[q] == int32(d.reset) {
		d.a[q] >>= 1
		d.n[q] >>= 1
		d.nn[kind] >>= 1
	}
	d.n[q]++
	if kind == 1 {
		return d.reconstruct(ra, e), nil
	}
	if ra > rb {
		e = -e
	}
	return d.reconstruct(rb, e), nil
}

// golombK finds the parameter of the code (annex A.5.1).
func golombK(n, a int32) (k uint) {
	for int64(n)<<k < int64(a) && k < 24 {
		k++
	}
	return k
}

// golomb reads a value in limited-length Golomb code (annex A.5.3).
func (d *jpegLS) golomb(k uint, limit int) (int32, error) {
	most := limit - d.qbpp - 1
	zeros := d.in.zeros(most)
	if zeros > most {
		return 0, damaged("a code of more than %d bits at byte %d of the scan", limit, d.in.at)
	}
	if zeros < most {
		return int32(zeros)<<k | int32(d.in.bits(k)), nil
	}
	return int32(d.in.bits(uint(d.qbpp))) + 1, nil
}

// lsReader reads JPEG-LS bits: behind FF only seven bits of a byte count, unless it makes a marker, which ends the data
// (annex A.1). Zeros follow.
type lsReader struct {
	src  []byte
	at   int
	acc  uint64
	have uint
	past uint
	ff   bool // the last byte was FF
}

func (r *lsReader) fill() {
	for r.have <= 56 {
		switch {
		case r.at >= len(r.src), r.src[r.at] == 0xFF && (r.at+1 >= len(r.src) || r.src[r.at+1] >= 0x80):
			r.acc <<= 8
			r.have += 8
			r.past += 8
		case r.ff:
			r.ff = false
			r.acc = r.acc<<7 | uint64(r.src[r.at]&0x7F)
			r.have += 7
			r.at++
		default:
			b := r.src[r.at]
			r.acc = r.acc<<8 | uint64(b)
			r.have += 8
			r.ff = b == 0xFF
			r.at++
		}
	}
}

// bits reads n bits, at most 32.
func (r *lsReader) bits(n uint) uint32 {
	if r.have < n {
		r.fill()
	}
	r.have -= n
	return uint32(r.acc >> r.have & (1<<n - 1))
}

// zeros counts zero bits up to a one, which is taken too; more than most is returned as most + 1.
func (r *lsReader) zeros(most int) int {
	for count := 0; ; {
		if r.have == 0 {
			r.fill()
		}
		window := r.acc << (64 - r.have)
		n := bits.LeadingZeros64(window)
		if n >= int(r.have) {
			count += int(r.have)
			r.have = 0
			if count > most {
				return most + 1
			}
			continue
		}
		count += n
		r.have -= uint(n) + 1
		if count > most {
			return most + 1
		}
		return count
	}
}

func (r *lsReader) over() bool { return r.past > r.have }
