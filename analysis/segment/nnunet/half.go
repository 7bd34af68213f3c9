package nnunet

import "math"

// half is a number in IEEE 754 binary16. nnU-Net keeps the sums over overlapping tiles in it.
type half uint16

const (
	halfInf      half = 0x7c00
	halfSmallest half = 0x0001 // 2⁻²⁴, subnormal
)

// halfValues holds the value of every half; looking one up is cheaper than taking its bits apart.
var halfValues = func() (table [1 << 16]float32) {
	for h := range table {
		exponent, mantissa := h>>10&31, uint32(h&0x3ff)
		var x float32
		switch exponent {
		case 0:
			x = float32(mantissa) * (1.0 / (1 << 24))
		case 31:
			x = math.Float32frombits(0x7f800000 | mantissa<<13)
		default:
			x = math.Float32frombits(uint32(exponent+112)<<23 | mantissa<<13)
		}
		if h>>15 == 1 {
			x = math.Float32frombits(math.Float32bits(x) | 1<<31)
		}
		table[h] = x
	}
	return table
}()

// float is the value of h.
func (h half) float() float32 { return halfValues[h] }

// toHalf rounds to the nearest half, ties to even; beyond the largest half lies infinity.
func toHalf(x float32) half {
	bits := math.Float32bits(x)
	sign := half(bits >> 16 & 0x8000)
	bits &= 0x7fffffff
	switch {
	case bits >= 143<<23: // 65536 and more, infinity, NaN
		if bits > 0x7f800000 {
			return sign | 0x7e00 | half(bits>>13&0x1ff)
		}
		return sign | halfInf
	case bits < 113<<23: // below 2⁻¹⁴: adding ½ lets the adder round to a multiple of 2⁻²⁴
		return sign | half(math.Float32bits(math.Float32frombits(bits)+0.5)-math.Float32bits(0.5))
	}
	bits += 0xc8000fff + bits>>13&1 // exponent bias 127 → 15, and round
	return sign | half(bits>>13)
}

// doubleToHalf rounds once, directly from double precision, as numpy stores double precision into half.
func doubleToHalf(x float64) half {
	const down = 52 - 10 // bits of the mantissa that a half has no room for
	bits := math.Float64bits(x)
	sign := half(bits >> 48 & 0x8000)
	bits &= 1<<63 - 1
	switch {
	case bits >= 1039<<52: // 65536 and more, infinity, NaN
		if bits > 0x7ff<<52 {
			return sign | 0x7e00
		}
		return sign | halfInf
	case bits < 1009<<52: // below 2⁻¹⁴: adding 2²⁸ leaves 24 bits behind the point
		const magic = 1 << 28
		return sign | half(math.Float64bits(math.Float64frombits(bits)+magic)-math.Float64bits(magic))
	}
	bits -= 1008 << 52 // exponent bias 1023 → 15
	bits += 1<<(down-1) - 1 + bits>>down&1
	return sign | half(bits>>down)
}
