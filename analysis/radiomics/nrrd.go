package radiomics

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"rfanode/analysis/volume"
)

// openNRRD reads the header of an NRRD file (teem.sourceforge.net/nrrd/format.html): a volume of three dimensions, raw or
// gzip, voxels in the same file or in one beside it. Spacing and axes come from "space directions" as ITK takes them.
func openNRRD(path string) (source, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := bufio.NewReader(f)
	var read int64
	fields := map[string]string{}
	for n := 0; ; n++ {
		text, err := r.ReadString('\n')
		if err != nil || n > 1000 {
			return nil, errors.New("the header has no end (an empty line)")
		}
		read += int64(len(text))
		text = strings.TrimRight(text, "\r\n")
		if n == 0 && !strings.HasPrefix(text, "NRRD") {
			return nil, errors.New("no NRRD file")
		}
		if text == "" {
			break
		}
		if key, value, ok := strings.Cut(text, ": "); ok && !strings.HasPrefix(text, "#") {
			fields[strings.ToLower(key)] = strings.TrimSpace(value)
		}
		if fields["data file"] != "" || fields["datafile"] != "" {
			if _, err := r.Peek(1); err != nil { // a detached header may end with the file
				break
			}
		}
	}
	s := &fileSource{path: path, skip: read, order: binary.LittleEndian, slope: 1}
	if name := fields["data file"] + fields["datafile"]; name != "" {
		if strings.ContainsAny(name, " %") && !fileExists(filepath.Join(filepath.Dir(path), name)) || name == "LIST" {
			return nil, errors.New("voxels spread over several files are not supported")
		}
		s.path, s.skip = name, 0
		if !filepath.IsAbs(name) {
			s.path = filepath.Join(filepath.Dir(path), name)
		}
	}
	return s, s.nrrdFields(fields)
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

var nrrdTypes = map[string]cellType{
	"signed char": cellInt8, "int8": cellInt8, "int8_t": cellInt8,
	"uchar": cellUint8, "unsigned char": cellUint8, "uint8": cellUint8, "uint8_t": cellUint8,
	"short": cellInt16, "short int": cellInt16, "signed short": cellInt16, "signed short int": cellInt16, "int16": cellInt16, "int16_t": cellInt16,
	"ushort": cellUint16, "unsigned short": cellUint16, "unsigned short int": cellUint16, "uint16": cellUint16, "uint16_t": cellUint16,
	"int": cellInt32, "signed int": cellInt32, "int32": cellInt32, "int32_t": cellInt32,
	"uint": cellUint32, "unsigned int": cellUint32, "uint32": cellUint32, "uint32_t": cellUint32,
	"longlong": cellInt64, "long long": cellInt64, "long long int": cellInt64, "int64": cellInt64, "int64_t": cellInt64,
	"ulonglong": cellUint64, "unsigned long long": cellUint64, "uint64": cellUint64, "uint64_t": cellUint64,
	"float": cellFloat, "double": cellDouble,
}

func (s *fileSource) nrrdFields(fields map[string]string) (err error) {
	if fields["dimension"] != "3" {
		return fmt.Errorf("dimension %q: a volume of three dimensions is needed", fields["dimension"])
	}
	if s.cell = nrrdTypes[fields["type"]]; s.cell.bytes == 0 {
		return fmt.Errorf("type %q is not supported", fields["type"])
	}
	switch fields["encoding"] {
	case "raw":
	case "gzip", "gz":
		s.gz = true
	default:
		return fmt.Errorf("encoding %q is not supported: raw and gzip are", fields["encoding"])
	}
	if fields["endian"] == "big" {
		s.order = binary.BigEndian
	}
	if skip := fields["byte skip"] + fields["byteskip"]; skip != "" {
		n, err := strconv.ParseInt(skip, 10, 64)
		switch {
		case err != nil || n < -1 || n == -1 && s.gz:
			return fmt.Errorf("byte skip %q is not supported", skip)
		case n == -1:
			s.skip = -1
		case !s.gz:
			s.skip += n
		case n > 0:
			return errors.New("byte skip in packed voxels is not supported")
		}
	}
	if skip := fields["line skip"] + fields["lineskip"]; skip != "" && skip != "0" {
		return errors.New("line skip is not supported")
	}
	sizes := strings.Fields(fields["sizes"])
	if len(sizes) != 3 {
		return fmt.Errorf("sizes %q: three numbers are needed", fields["sizes"])
	}
	for a, t := range sizes {
		if s.g.Size[a], err = strconv.Atoi(t); err != nil {
			return fmt.Errorf("sizes %q: three numbers are needed", fields["sizes"])
		}
	}
	if err := s.nrrdPlace(fields); err != nil {
		return err
	}
	return checkGrid(s.g)
}

// nrrdPlace reads spacing, axes and origin, turned to LPS.
func (s *fileSource) nrrdPlace(fields map[string]string) error {
	s.g.Direction = [3]volume.Vec{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}
	s.g.Spacing = [3]float64{1, 1, 1}
	sign := [3]float64{1, 1, 1}
	switch strings.ToLower(fields["space"]) {
	case "right-anterior-superior", "ras":
		sign = [3]float64{-1, -1, 1}
	case "left-anterior-superior", "las":
		sign = [3]float64{1, -1, 1}
	}
	if text := fields["space directions"]; text != "" {
		v, err := vectors(text)
		if err != nil || len(v) != 3 {
			return fmt.Errorf("space directions %q: three vectors of three numbers are needed", text)
		}
		for a := range 3 {
			n := math.Sqrt(v[a][0]*v[a][0] + v[a][1]*v[a][1] + v[a][2]*v[a][2])
			s.g.Spacing[a] = n
			for r := range 3 {
				s.g.Direction[a][r] = sign[r]*v[a][r]/n + 0 // no negative zero
			}
		}
	} else if text := fields["spacings"]; text != "" {
		for a, t := range strings.Fields(text) {
			v, err := strconv.ParseFloat(t, 64)
			if err != nil || a > 2 {
				return fmt.Errorf("spacings %q: three numbers are needed", text)
			}
			s.g.Spacing[a] = v
		}
	}
	if text := fields["space origin"]; text != "" {
		v, err := vectors(text)
		if err != nil || len(v) != 1 {
			return fmt.Errorf("space origin %q: three numbers are needed", text)
		}
		for r := range 3 {
			s.g.Origin[r] = sign[r] * v[0][r]
		}
	}
	return nil
}

// vectors reads (x,y,z) (x,y,z) ….
func vectors(text string) ([][3]float64, error) {
	var out [][3]float64
	for _, part := range strings.Split(strings.ReplaceAll(text, " ", ""), ")") {
		if part == "" {
			continue
		}
		words := strings.Split(strings.TrimPrefix(part, "("), ",")
		if len(words) != 3 {
			return nil, fmt.Errorf("%q is no vector", part)
		}
		var v [3]float64
		for a, w := range words {
			x, err := strconv.ParseFloat(w, 64)
			if err != nil {
				return nil, err
			}
			v[a] = x
		}
		out = append(out, v)
	}
	return out, nil
}
