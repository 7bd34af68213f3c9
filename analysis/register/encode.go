package register

import "math"

// encodeRow writes the 60-bit descriptor of each voxel of a row from its twelve distances: with m the least of them and
// V the mean of what is above m, channel c has one bit for every threshold above (r[c]-m)/V, at bit 5c (thermometer
// code), so that the bits in which two descriptors differ count the differences of their levels.
func encodeRow(out []uint64, r *[12][]uint32) {
	n := len(out)
	r0, r1, r2, r3 := r[0][:n], r[1][:n], r[2][:n], r[3][:n]
	r4, r5, r6, r7 := r[4][:n], r[5][:n], r[6][:n], r[7][:n]
	r8, r9, r10, r11 := r[8][:n], r[9][:n], r[10][:n], r[11][:n]
	var e [12]int64
	for x := range out {
		e[0], e[1], e[2], e[3] = int64(r0[x]), int64(r1[x]), int64(r2[x]), int64(r3[x])
		e[4], e[5], e[6], e[7] = int64(r4[x]), int64(r5[x]), int64(r6[x]), int64(r7[x])
		e[8], e[9], e[10], e[11] = int64(r8[x]), int64(r9[x]), int64(r10[x]), int64(r11[x])
		least := min(e[0], e[1], e[2], e[3], e[4], e[5], e[6], e[7], e[8], e[9], e[10], e[11])
		sum := e[0] + e[1] + e[2] + e[3] + e[4] + e[5] + e[6] + e[7] + e[8] + e[9] + e[10] + e[11] - 12*least
		if sum == 0 {
			out[x] = channelMask
			continue
		}
		// (e-m)/V < t is e < m + tV; for a whole number e that is e < ceil of the right side.
		mean := float64(sum) / 12
		t0 := least + ceil(mindThresholds[0]*mean)
		t1 := least + ceil(mindThresholds[1]*mean)
		t2 := least + ceil(mindThresholds[2]*mean)
		t3 := least + ceil(mindThresholds[3]*mean)
		t4 := least + ceil(mindThresholds[4]*mean)
		var code uint64
		for c, v := range &e {
			// The sign bit of v-t is set where v < t.
			bits := uint64(v-t0)>>63 | uint64(v-t1)>>63<<1 | uint64(v-t2)>>63<<2 | uint64(v-t3)>>63<<3 | uint64(v-t4)>>63<<4
			code |= bits << (5 * uint(c))
		}
		out[x] = code
	}
}

func ceil(v float64) int64 { return int64(math.Ceil(v)) }
