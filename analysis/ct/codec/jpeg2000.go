package codec

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"
)

// Transfer syntaxes of JPEG 2000 and of its high-throughput form, which OpenJPEG decodes.
const (
	JPEG2000Lossless   = "1.2.840.10008.1.2.4.90"
	JPEG2000           = "1.2.840.10008.1.2.4.91"
	HTJ2KLossless      = "1.2.840.10008.1.2.4.201"
	HTJ2KLosslessRPCL  = "1.2.840.10008.1.2.4.202"
	HTJ2K              = "1.2.840.10008.1.2.4.203"
	openJPEGVariable   = "RFANODE_OPENJPEG" // names the library where the system does not find it
	openJPEGForHT      = "2.5"              // the first version with HTJ2K
	openJPEGStreamSize = 64 << 10
)

var openJPEGNames = []string{"libopenjp2.so.7", "libopenjp2.so", "libopenjp2.7.dylib", "libopenjp2.dylib"}

// openJPEG is the library, as far as it is used (openjpeg.h of version 2).
type openJPEG struct {
	version string

	defaultParameters func(parameters unsafe.Pointer)
	createDecompress  func(format int32) uintptr
	setupDecoder      func(codec uintptr, parameters unsafe.Pointer) int32
	destroyCodec      func(codec uintptr)
	streamCreate      func(bufferSize uintptr, isInput int32) uintptr
	streamDestroy     func(stream uintptr)
	setRead           func(stream, fn uintptr)
	setSkip           func(stream, fn uintptr)
	setSeek           func(stream, fn uintptr)
	setUserData       func(stream, data, free uintptr)
	setDataLength     func(stream uintptr, length uint64)
	readHeader        func(stream, codec uintptr, image *unsafe.Pointer) int32
	decode            func(codec, stream uintptr, image unsafe.Pointer) int32
	endDecompress     func(codec, stream uintptr) int32
	imageDestroy      func(image unsafe.Pointer)

	read, skip, seek uintptr // our functions, as C calls them
}

// opjImage and opjComponent are opj_image_t and opj_image_comp_t as far as they are read.
type opjImage struct {
	x0, y0, x1, y1, components uint32
	colorSpace                 int32
	component                  *opjComponent
}

type opjComponent struct {
	dx, dy, w, h uint32
	_            [2]uint32 // x0, y0
	precision    uint32
	_            [4]uint32 // bpp, signed, resolutions decoded, factor
	data         *int32
}

const (
	opjCodecJ2K         = 0        // a bare code stream, as DICOM has it
	opjDecoderParameter = 16 << 10 // opj_dparameters_t has about 8.3 KiB; the library clears as much as it needs
)

// library is OpenJPEG, looked for once; nil if there is none.
var library = sync.OnceValue(func() *openJPEG {
	l, err := loadOpenJPEG()
	if err != nil {
		return nil
	}
	return l
})

// loadOpenJPEG finds the library by name, or by the environment. A panic of the binding (a function is missing) means
// that the library is another one.
func loadOpenJPEG() (l *openJPEG, err error) {
	names := openJPEGNames
	if path := os.Getenv(openJPEGVariable); path != "" {
		names = []string{path}
	}
	var handle uintptr
	for _, name := range names {
		if handle, err = purego.Dlopen(name, purego.RTLD_NOW|purego.RTLD_LOCAL); err == nil {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("OpenJPEG is not there: %w", err)
	}
	defer func() {
		if p := recover(); p != nil {
			l, err = nil, fmt.Errorf("not OpenJPEG 2: %v", p)
		}
	}()
	l = &openJPEG{}
	var version func() string
	for name, to := range map[string]any{
		"opj_version": &version, "opj_set_default_decoder_parameters": &l.defaultParameters,
		"opj_create_decompress": &l.createDecompress, "opj_setup_decoder": &l.setupDecoder, "opj_destroy_codec": &l.destroyCodec,
		"opj_stream_create": &l.streamCreate, "opj_stream_destroy": &l.streamDestroy, "opj_stream_set_read_function": &l.setRead,
		"opj_stream_set_skip_function": &l.setSkip, "opj_stream_set_seek_function": &l.setSeek,
		"opj_stream_set_user_data": &l.setUserData, "opj_stream_set_user_data_length": &l.setDataLength,
		"opj_read_header": &l.readHeader, "opj_decode": &l.decode, "opj_end_decompress": &l.endDecompress,
		"opj_image_destroy": &l.imageDestroy,
	} {
		purego.RegisterLibFunc(to, handle, name)
	}
	l.version = version()
	l.read, l.skip, l.seek = purego.NewCallback(sourceRead), purego.NewCallback(sourceSkip), purego.NewCallback(sourceSeek)
	return l, nil
}

// OpenJPEGVersion is the version of the library that decodes JPEG 2000 here; empty if there is none.
func OpenJPEGVersion() string {
	if l := library(); l != nil {
		return l.version
	}
	return ""
}

// jpeg2000Syntaxes lists what the library can decode.
func jpeg2000Syntaxes() []string {
	l := library()
	switch {
	case l == nil:
		return nil
	case !atLeast(l.version, openJPEGForHT):
		return []string{JPEG2000Lossless, JPEG2000}
	}
	return ExternalSyntaxes()
}

// atLeast compares versions of numbers and dots.
func atLeast(have, want string) bool {
	number := func(s string) (n []int) {
		for _, p := range strings.Split(s, ".") {
			v, _ := strconv.Atoi(p)
			n = append(n, v)
		}
		return n
	}
	return slices.Compare(number(have), number(want)) >= 0
}

// source is a code stream that the library reads.
type source struct {
	b  []byte
	at int64
}

// sources are those in use, by the number that stands for them on the C side, where Go pointers must not be kept.
var sources struct {
	sync.Mutex
	last uintptr
	open map[uintptr]*source
}

func openSource(b []byte) uintptr {
	sources.Lock()
	defer sources.Unlock()
	if sources.open == nil {
		sources.open = map[uintptr]*source{}
	}
	sources.last++
	sources.open[sources.last] = &source{b: b}
	return sources.last
}

func closeSource(id uintptr) {
	sources.Lock()
	defer sources.Unlock()
	delete(sources.open, id)
}

func sourceOf(id uintptr) *source {
	sources.Lock()
	defer sources.Unlock()
	return sources.open[id]
}

// sourceRead is opj_stream_read_fn: all ones at the end.
func sourceRead(to unsafe.Pointer, n, id uintptr) uintptr {
	s := sourceOf(id)
	if s == nil || s.at >= int64(len(s.b)) || n == 0 {
		return ^uintptr(0)
	}
	c := copy(unsafe.Slice((*byte)(to), n), s.b[s.at:])
	s.at += int64(c)
	return uintptr(c)
}

// sourceSkip is opj_stream_skip_fn: −1 beyond the end.
func sourceSkip(n int64, id uintptr) int64 {
	s := sourceOf(id)
	if s == nil || n < 0 && -n > s.at || n > int64(len(s.b))-s.at {
		return -1
	}
	s.at += n
	return n
}

// sourceSeek is opj_stream_seek_fn.
func sourceSeek(to int64, id uintptr) int32 {
	s := sourceOf(id)
	if s == nil || to < 0 || to > int64(len(s.b)) {
		return 0
	}
	s.at = to
	return 1
}

var errNoLibrary = errors.New("JPEG 2000 needs OpenJPEG 2, which this machine does not have")

// decodeJPEG2000 decodes one code stream (ISO/IEC 15444-1, -15). What it says of its size is compared with the data set
// before the library takes memory for it.
func decodeJPEG2000(src []byte, f Format, dst []uint16) error {
	l := library()
	if l == nil {
		return errNoLibrary
	}
	id := openSource(src)
	defer closeSource(id)
	stream := l.streamCreate(openJPEGStreamSize, 1)
	codec := l.createDecompress(opjCodecJ2K)
	if stream == 0 || codec == 0 {
		return errors.New("OpenJPEG has no memory")
	}
	defer l.streamDestroy(stream)
	defer l.destroyCodec(codec)
	l.setRead(stream, l.read)
	l.setSkip(stream, l.skip)
	l.setSeek(stream, l.seek)
	l.setUserData(stream, id, 0)
	l.setDataLength(stream, uint64(len(src)))
	parameters := make([]uint64, opjDecoderParameter/8)
	l.defaultParameters(unsafe.Pointer(&parameters[0]))
	if l.setupDecoder(codec, unsafe.Pointer(&parameters[0])) == 0 {
		return errors.New("OpenJPEG does not take its own parameters")
	}
	defer runtime.KeepAlive(parameters)

	var image unsafe.Pointer
	ok := l.readHeader(stream, codec, &image) != 0
	if image != nil {
		defer func() { l.imageDestroy(image) }()
	}
	if !ok || image == nil {
		return damaged("no JPEG 2000 code stream")
	}
	if err := (*opjImage)(image).check(f); err != nil {
		return err
	}
	if l.decode(codec, stream, image) == 0 || l.endDecompress(codec, stream) == 0 {
		return damaged("OpenJPEG cannot decode the JPEG 2000 code stream")
	}
	return (*opjImage)(image).cells(f, dst)
}

func (m *opjImage) check(f Format) error {
	if m.components != 1 || m.component == nil {
		return damaged("%d components where one grey is due", m.components)
	}
	c := m.component
	switch {
	case m.x0 != 0 || m.y0 != 0 || int(m.x1) != f.Columns || int(m.y1) != f.Rows || c.dx != 1 || c.dy != 1:
		return damaged("JPEG 2000 of %d × %d, the data set says %d × %d", m.x1-m.x0, m.y1-m.y0, f.Columns, f.Rows)
	case c.precision < 1 || int(c.precision) > f.BitsAllocated:
		return damaged("%d bits a sample in pixel cells of %d", c.precision, f.BitsAllocated)
	}
	return nil
}

// cells copies what was decoded. Values are kept as bit patterns: whether they are signed is for the data set to say, and
// some code streams say it wrong.
func (m *opjImage) cells(f Format, dst []uint16) error {
	c := m.component
	if int(c.w) != f.Columns || int(c.h) != f.Rows || c.data == nil {
		return damaged("OpenJPEG has decoded %d × %d pixels", c.w, c.h)
	}
	for i, v := range unsafe.Slice(c.data, len(dst)) {
		dst[i] = uint16(v)
	}
	return nil
}
