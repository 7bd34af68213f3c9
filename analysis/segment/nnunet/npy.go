package nnunet

import (
	"archive/zip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// numbers is an array of a .npy file (NumPy Enhancement Proposal 1), its values in double precision.
type numbers struct {
	shape  []int
	values []float64
}

// Bounds of a .npy file: a header has some hundred bytes, and the largest array, a patch, is bounded by the plans.
const (
	maxNpyHeader = 64 << 10
	maxNpyValues = maxPatchVoxels
)

var npyHeader = regexp.MustCompile(`^\s*\{\s*'descr':\s*'([<|>=]?[a-z]\d+)',\s*'fortran_order':\s*(True|False),\s*'shape':\s*\(([\d,\sL]*)\),?\s*\}\s*$`)

// readNpy reads little-endian numbers in C order.
func readNpy(r io.Reader) (numbers, error) {
	var out numbers
	head := make([]byte, 10)
	if _, err := io.ReadFull(r, head); err != nil || string(head[:6]) != "\x93NUMPY" {
		return out, errors.New("not a .npy array")
	}
	length := int(binary.LittleEndian.Uint16(head[8:]))
	if head[6] > 1 { // versions 2 and 3 have four bytes of length
		more := make([]byte, 2)
		if _, err := io.ReadFull(r, more); err != nil {
			return out, errors.New("the .npy header is cut short")
		}
		length |= int(binary.LittleEndian.Uint16(more)) << 16
	}
	if length > maxNpyHeader {
		return out, fmt.Errorf("a .npy header of %d bytes is impossible", length)
	}
	text := make([]byte, length)
	if _, err := io.ReadFull(r, text); err != nil {
		return out, errors.New("the .npy header is cut short")
	}
	m := npyHeader.FindStringSubmatch(string(text))
	if m == nil || m[2] == "True" {
		return out, fmt.Errorf("the .npy header %.80q is not of an array in C order", text)
	}
	count := 1
	for field := range strings.SplitSeq(m[3], ",") {
		if field = strings.TrimSpace(field); field == "" {
			continue
		}
		n, err := strconv.Atoi(field)
		if err != nil || n < 1 || n > maxNpyValues || count > maxNpyValues/n {
			return out, fmt.Errorf("a .npy array of the shape (%s) is impossible here", m[3])
		}
		count *= n
		out.shape = append(out.shape, n)
	}
	width, value, err := npyType(m[1])
	if err != nil {
		return out, err
	}
	// Values are read in pieces, so that memory grows only with what the file really holds.
	piece := make([]byte, 4096*width)
	for len(out.values) < count {
		b := piece[:min(4096, count-len(out.values))*width]
		if _, err := io.ReadFull(r, b); err != nil {
			return out, fmt.Errorf("the .npy array ends after %d of %d values", len(out.values), count)
		}
		for i := 0; i < len(b); i += width {
			out.values = append(out.values, value(b[i:]))
		}
	}
	return out, nil
}

func npyType(descr string) (width int, value func([]byte) float64, err error) {
	le := binary.LittleEndian
	switch descr {
	case "<f2":
		return 2, func(b []byte) float64 { return float64(half(le.Uint16(b)).float()) }, nil
	case "<f4":
		return 4, func(b []byte) float64 { return float64(math.Float32frombits(le.Uint32(b))) }, nil
	case "<f8":
		return 8, func(b []byte) float64 { return math.Float64frombits(le.Uint64(b)) }, nil
	case "<i2":
		return 2, func(b []byte) float64 { return float64(int16(le.Uint16(b))) }, nil
	case "<i4":
		return 4, func(b []byte) float64 { return float64(int32(le.Uint32(b))) }, nil
	case "<i8":
		return 8, func(b []byte) float64 { return float64(int64(le.Uint64(b))) }, nil
	case "|u1":
		return 1, func(b []byte) float64 { return float64(b[0]) }, nil
	}
	return 0, nil, fmt.Errorf("a .npy array of type %s cannot be read", descr)
}

// readNpz reads the named arrays of a .npz file; names that it lacks are an error.
func readNpz(path string, names ...string) (map[string]numbers, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	z, err := zip.NewReader(f, info.Size())
	if err != nil {
		return nil, damaged("%s is no .npz file: %v", path, err)
	}
	out := map[string]numbers{}
	for _, name := range names {
		member, err := z.Open(name + ".npy")
		if err != nil {
			return nil, damaged("%s has no array %q", path, name)
		}
		out[name], err = readNpy(member)
		member.Close()
		if err != nil {
			return nil, damaged("%s, array %q: %v", path, name, err)
		}
	}
	return out, nil
}
