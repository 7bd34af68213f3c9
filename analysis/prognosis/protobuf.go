package prognosis

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// What of Protocol Buffers an ONNX file needs: varints, 32-bit numbers and length-prefixed fields. Field numbers are
// those of onnx.proto (ONNX IR version 8).

// message is a protobuf message under construction.
type message []byte

func (m *message) varint(field int, v int64) {
	*m = binary.AppendUvarint(*m, uint64(field)<<3)
	*m = binary.AppendUvarint(*m, uint64(v)) // a negative number takes ten bytes
}

func (m *message) bytes(field int, b []byte) {
	*m = binary.AppendUvarint(*m, uint64(field)<<3|2)
	*m = binary.AppendUvarint(*m, uint64(len(b)))
	*m = append(*m, b...)
}

func (m *message) text(field int, s string) { m.bytes(field, []byte(s)) }

// field is one field of a message being read: number for varints and 32-bit values, data for the others.
type field struct {
	id     int
	wire   int
	number uint64
	data   []byte
}

var errTruncated = errors.New("the file ends inside a field")

// eachField visits the fields of a message.
func eachField(b []byte, visit func(f field) error) error {
	for len(b) > 0 {
		key, n := binary.Uvarint(b)
		if n <= 0 || key>>3 == 0 || key>>3 > 1<<29 {
			return errTruncated
		}
		b = b[n:]
		f := field{id: int(key >> 3), wire: int(key & 7)}
		switch f.wire {
		case 0:
			if f.number, n = binary.Uvarint(b); n <= 0 {
				return errTruncated
			}
		case 1:
			if n = 8; len(b) < n {
				return errTruncated
			}
			f.data = b[:n]
		case 5:
			if n = 4; len(b) < n {
				return errTruncated
			}
			f.data, f.number = b[:n], uint64(binary.LittleEndian.Uint32(b))
		case 2:
			size, k := binary.Uvarint(b)
			if k <= 0 || size > uint64(len(b)-k) {
				return errTruncated
			}
			f.data, n = b[k:k+int(size)], k+int(size)
		default:
			return fmt.Errorf("wire type %d is not known", f.wire)
		}
		b = b[n:]
		if err := visit(f); err != nil {
			return err
		}
	}
	return nil
}

// ints reads a repeated integer, packed or one by one.
func (f field) ints(out []int64) ([]int64, error) {
	if f.wire == 0 {
		return append(out, int64(f.number)), nil
	}
	for b := f.data; len(b) > 0; {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, errTruncated
		}
		out, b = append(out, int64(v)), b[n:]
	}
	return out, nil
}

// floats reads a repeated 32-bit float, packed or one by one.
func (f field) floats(out []float64) ([]float64, error) {
	if f.wire == 5 {
		return append(out, float64(math.Float32frombits(uint32(f.number)))), nil
	}
	if f.wire != 2 || len(f.data)%4 != 0 {
		return nil, errTruncated
	}
	for b := f.data; len(b) > 0; b = b[4:] {
		out = append(out, float64(math.Float32frombits(binary.LittleEndian.Uint32(b))))
	}
	return out, nil
}
