package dimse

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// FileMeta is the file meta information (PS3.10 section 7.1) as far as it is used here.
type FileMeta struct {
	SOPClassUID       string
	SOPInstanceUID    string
	TransferSyntaxUID string
	SourceAE          string // (0002,0016): who sent it
	// Digest is the SHA-256 of the encoded data set, kept in our private information (0002,0102) of the files that we
	// write; zero in the files of others.
	Digest [sha256.Size]byte
}

// File meta elements.
const (
	tagMetaGroupLength     Tag = 0x0002_0000
	tagMetaVersion         Tag = 0x0002_0001
	tagMetaSOPClass        Tag = 0x0002_0002
	tagMetaSOPInstance     Tag = 0x0002_0003
	tagMetaTransferSyntax  Tag = 0x0002_0010
	tagMetaImplementation  Tag = 0x0002_0012
	tagMetaVersionName     Tag = 0x0002_0013
	tagMetaSourceAE        Tag = 0x0002_0016
	tagMetaPrivateCreator  Tag = 0x0002_0100
	tagMetaPrivateInfo     Tag = 0x0002_0102
	preambleLength             = 128
	metaStart                  = preambleLength + 4 // behind "DICM"
	metaGroupLengthElement     = 12
	maxMeta                    = 1 << 20
)

// AppendFileMeta appends what precedes the data set in a Part 10 file: a preamble of zeros (whatever a sender's preamble
// held is not kept: it can make the file executable), "DICM" and group 2. The digest is its last 32 bytes.
func AppendFileMeta(b []byte, m FileMeta) []byte {
	b = append(b, make([]byte, preambleLength)...)
	b = append(b, "DICM"...)
	group := len(b)
	b = appendExplicit(b, tagMetaGroupLength, "UL", make([]byte, 4))
	b = appendExplicit(b, tagMetaVersion, "OB", []byte{0, 1})
	uid := func(t Tag, v string) { b = appendExplicit(b, t, "UI", padded(v, 0)) }
	uid(tagMetaSOPClass, m.SOPClassUID)
	uid(tagMetaSOPInstance, m.SOPInstanceUID)
	uid(tagMetaTransferSyntax, m.TransferSyntaxUID)
	uid(tagMetaImplementation, ImplementationClassUID)
	b = appendExplicit(b, tagMetaVersionName, "SH", padded(ImplementationVersion, ' '))
	if m.SourceAE != "" {
		b = appendExplicit(b, tagMetaSourceAE, "AE", padded(m.SourceAE, ' '))
	}
	uid(tagMetaPrivateCreator, ImplementationClassUID)
	b = appendExplicit(b, tagMetaPrivateInfo, "OB", m.Digest[:])
	binary.LittleEndian.PutUint32(b[group+8:], uint32(len(b)-group-metaGroupLengthElement))
	return b
}

func padded(v string, pad byte) []byte {
	if len(v)%2 == 1 {
		return append([]byte(v), pad)
	}
	return []byte(v)
}

// appendExplicit appends an element in Explicit VR Little Endian.
func appendExplicit(b []byte, t Tag, vr string, value []byte) []byte {
	b = binary.LittleEndian.AppendUint16(b, t.group())
	b = binary.LittleEndian.AppendUint16(b, uint16(t))
	b = append(b, vr...)
	if longForm(vr) {
		b = append(b, 0, 0)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(value)))
	} else {
		b = binary.LittleEndian.AppendUint16(b, uint16(len(value)))
	}
	return append(b, value...)
}

// ErrNotPart10 means that a file does not begin like a DICOM file.
var ErrNotPart10 = errors.New("no DICOM file: \"DICM\" is missing at byte 128")

// ReadFileMeta reads the beginning of a Part 10 file of size bytes. The data set begins at offset.
func ReadFileMeta(r io.ReaderAt, size int64) (m FileMeta, offset int64, err error) {
	head := make([]byte, metaStart+metaGroupLengthElement)
	if _, err := r.ReadAt(head, 0); err != nil {
		return m, 0, ErrNotPart10
	}
	if !bytes.Equal(head[preambleLength:metaStart], []byte("DICM")) {
		return m, 0, ErrNotPart10
	}
	first := head[metaStart:]
	if binary.LittleEndian.Uint16(first) != 2 || binary.LittleEndian.Uint16(first[2:]) != 0 || string(first[4:6]) != "UL" {
		return m, 0, errors.New("file meta information does not begin with its group length (0002,0000)")
	}
	length := int64(binary.LittleEndian.Uint32(first[8:]))
	offset = int64(len(head)) + length
	if length > maxMeta || offset > size {
		return m, 0, fmt.Errorf("file meta information of %d bytes in a file of %d", length, size)
	}
	group := make([]byte, length)
	if _, err := r.ReadAt(group, int64(len(head))); err != nil {
		return m, 0, fmt.Errorf("read the file meta information: %w", err)
	}
	if err := m.parse(group); err != nil {
		return m, 0, err
	}
	if m.TransferSyntaxUID == "" {
		return m, 0, errors.New("file meta information without a transfer syntax (0002,0010)")
	}
	return m, offset, nil
}

func (m *FileMeta) parse(group []byte) error {
	r := &reader{unit: "file meta information", b: group, base: metaStart + metaGroupLengthElement}
	var creator string
	for r.left() > 0 {
		head, err := r.take("element", 8)
		if err != nil {
			return err
		}
		tag := Tag(binary.LittleEndian.Uint16(head))<<16 | Tag(binary.LittleEndian.Uint16(head[2:]))
		length := uint32(binary.LittleEndian.Uint16(head[6:]))
		if longForm(string(head[4:6])) {
			l, err := r.take("element "+tag.String(), 4)
			if err != nil {
				return err
			}
			length = binary.LittleEndian.Uint32(l)
		}
		if int64(length) > int64(r.left()) {
			return r.fail("element "+tag.String(), "length %d, %d bytes left", length, r.left())
		}
		value, err := r.take("element "+tag.String(), int(length))
		if err != nil {
			return err
		}
		switch tag {
		case tagMetaSOPClass:
			m.SOPClassUID = trimUID(value)
		case tagMetaSOPInstance:
			m.SOPInstanceUID = trimUID(value)
		case tagMetaTransferSyntax:
			m.TransferSyntaxUID = trimUID(value)
		case tagMetaSourceAE:
			m.SourceAE = strings.Trim(string(value), " \x00")
		case tagMetaPrivateCreator:
			creator = trimUID(value)
		case tagMetaPrivateInfo:
			if creator == ImplementationClassUID && len(value) == len(m.Digest) {
				copy(m.Digest[:], value)
			}
		}
	}
	return nil
}

// CheckFile checks the data set of a Part 10 file like CheckDataSet, and computes its digest. Offsets in the header count
// from the first byte of the file (deflated: of the inflated data set).
func CheckFile(path string, limits CheckLimits) (Header, error) {
	h, _, err := checkFile(path, limits, true)
	return h, err
}

// ReadFile is CheckFile for files of our own archive: the digest is the one recorded when the file was written, so that
// pixel data need not be read.
func ReadFile(path string, limits CheckLimits) (Header, FileMeta, error) {
	return checkFile(path, limits, false)
}

func checkFile(path string, limits CheckLimits, digest bool) (Header, FileMeta, error) {
	fail := func(err error) (Header, FileMeta, error) {
		return Header{}, FileMeta{}, fmt.Errorf("check %s: %w", path, err)
	}
	f, err := os.Open(path)
	if err != nil {
		return Header{}, FileMeta{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fail(err)
	}
	meta, offset, err := ReadFileMeta(f, info.Size())
	if err != nil {
		return fail(err)
	}
	size := info.Size() - offset
	check := CheckDataSet
	if !digest && meta.Digest != [sha256.Size]byte{} {
		check = CheckStructure
	}
	h, err := check(io.NewSectionReader(f, offset, size), size, meta.TransferSyntaxUID, limits)
	if err != nil {
		return fail(err)
	}
	if h.Digest == ([sha256.Size]byte{}) {
		h.Digest = meta.Digest
	}
	if h.PixelDataOffset > 0 && h.TransferSyntaxUID != DeflatedExplicitVRLittleEndian {
		h.PixelDataOffset += offset
	}
	return h, meta, nil
}

// FileObject describes the instance in a Part 10 file, to be sent.
func FileObject(path string) (Object, error) {
	f, err := os.Open(path)
	if err != nil {
		return Object{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Object{}, fmt.Errorf("read %s: %w", path, err)
	}
	meta, offset, err := ReadFileMeta(f, info.Size())
	if err != nil {
		return Object{}, fmt.Errorf("read %s: %w", path, err)
	}
	if !ValidUID(meta.SOPClassUID) || !ValidUID(meta.SOPInstanceUID) {
		return Object{}, fmt.Errorf("read %s: the file meta information lacks a valid SOP class or instance UID", path)
	}
	return Object{
		SOPClassUID:       meta.SOPClassUID,
		SOPInstanceUID:    meta.SOPInstanceUID,
		TransferSyntaxUID: meta.TransferSyntaxUID,
		Open: func() (io.ReadCloser, error) {
			f, err := os.Open(path)
			if err != nil {
				return nil, err
			}
			if _, err := f.Seek(offset, io.SeekStart); err != nil {
				f.Close()
				return nil, err
			}
			return f, nil
		},
	}, nil
}
