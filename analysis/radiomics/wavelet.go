package radiomics

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// wavelets.txt holds the decomposition filters of PyWavelets' discrete wavelets, a line each: name, lo or hi, numbers; and
// lo32 or hi32 where those that PyWavelets takes for float32 images are not the same numbers rounded.
//
//go:embed wavelets.txt
var waveletText string

// waveletFilters are the low-pass and high-pass decomposition filters of a wavelet, as float64 and as float32.
type waveletFilters struct{ low, high, low32, high32 []float64 }

var waveletTable = sync.OnceValue(func() map[string]*waveletFilters {
	table := map[string]*waveletFilters{}
	for line := range strings.Lines(waveletText) {
		words := strings.Fields(line)
		if len(words) < 3 {
			continue
		}
		if table[words[0]] == nil {
			table[words[0]] = &waveletFilters{}
		}
		var f []float64
		for _, w := range words[2:] {
			v, err := strconv.ParseFloat(w, 64)
			if err != nil {
				panic("wavelets.txt: " + err.Error()) // a mistake in the program, found by its tests
			}
			f = append(f, v)
		}
		w := table[words[0]]
		switch words[1] {
		case "lo":
			w.low, w.low32 = f, singles(f)
		case "hi":
			w.high, w.high32 = f, singles(f)
		case "lo32":
			w.low32 = f
		case "hi32":
			w.high32 = f
		}
	}
	return table
})

func wavelet(name string) (*waveletFilters, error) {
	if w := waveletTable()[name]; w != nil {
		return w, nil
	}
	return nil, fmt.Errorf("no discrete wavelet %q: haar, db1–db38, sym2–sym20, coif1–coif17, bior…, rbio…, dmey are there", name)
}

// subband is one image of a decomposition.
type subband struct {
	name string // wavelet-LLH, wavelet2-HHH …; letter 1 is the x axis
	f    *field
}

// waveletImages decomposes a field as PyRadiomics does: an axis of odd length gets its first sample appended, then the
// undecimated transform of PyWavelets (swtn, one level, periodic) along x, y and z; further levels take the approximation
// through the same filters again. They come in PyRadiomics' order, the approximation last.
func waveletImages(f *field, s *Settings) ([]subband, error) {
	filters, err := wavelet(s.Wavelet)
	if err != nil {
		return nil, err
	}
	w := newTransform(f, filters)
	axes := []int{0, 1, 2}
	if s.Force2D {
		flat := 2 - s.Force2DDimension
		axes = append(axes[:flat], axes[flat+1:]...)
	}
	data := w.pad(f)
	approximation := func() {
		for _, axis := range axes {
			data = w.convolve(data, axis, w.low)
		}
	}
	for range s.StartLevel {
		approximation()
	}
	var out []subband
	prefix := "wavelet-"
	for level := 1; level <= s.Level; level++ {
		if level > 1 {
			prefix = fmt.Sprintf("wavelet%d-", level)
		}
		bands := []subband{{"", &field{data: data}}}
		for _, axis := range axes {
			var next []subband
			for _, b := range bands {
				next = append(next, subband{b.name + "L", &field{data: w.convolve(b.f.data, axis, w.low)}},
					subband{b.name + "H", &field{data: w.convolve(b.f.data, axis, w.high)}})
			}
			bands = next
		}
		for _, b := range bands[1:] {
			out = append(out, subband{prefix + b.name, w.unpad(f, b.f.data)})
		}
		data = bands[0].f.data
	}
	return append(out, subband{prefix + strings.Repeat("L", len(axes)), w.unpad(f, data)}), nil
}

// transform convolves padded grids.
type transform struct {
	size      [3]int // padded
	whole     [3]bool
	low, high []float64
	single    bool
}

func newTransform(f *field, w *waveletFilters) *transform {
	t := &transform{size: f.size, low: w.low, high: w.high, single: f.single}
	for a := range 3 {
		t.whole[a] = f.whole(a)
		if t.whole[a] {
			t.size[a] += f.size[a] % 2
		}
	}
	if f.single {
		t.low, t.high = w.low32, w.high32
	}
	return t
}

func singles(f []float64) []float64 {
	out := make([]float64, len(f))
	for i, v := range f {
		out[i] = round32(v)
	}
	return out
}

// pad appends the first sample along odd axes.
func (t *transform) pad(f *field) []float64 {
	out := make([]float64, 0, t.size[0]*t.size[1]*t.size[2])
	for k := range t.size[2] {
		for j := range t.size[1] {
			row := f.data[((k%f.size[2])*f.size[1]+j%f.size[1])*f.size[0]:][:f.size[0]]
			out = append(out, row...)
			if t.size[0] > f.size[0] {
				out = append(out, row[0])
			}
		}
	}
	return out
}

func (t *transform) unpad(f *field, data []float64) *field {
	out := make([]float64, 0, len(f.data))
	for k := range f.size[2] {
		for j := range f.size[1] {
			out = append(out, data[(k*t.size[1]+j)*t.size[0]:][:f.size[0]]...)
		}
	}
	return f.like(out, f.single)
}

// convolve is out[k] = Σ_j h[j] x[(k + len(h)/2 − j) mod n] along an axis. In a part of an image the places near a cut
// are wrong; they are outside what is asked for. Float32 sums run in PyWavelets' order: at the far end the samples from
// the near end come first.
func (t *transform) convolve(x []float64, axis int, h []float64) []float64 {
	out := make([]float64, len(x))
	n := t.size[axis]
	run := [3]int{1, t.size[0], t.size[0] * t.size[1]}[axis] // samples side by side that share their place along the axis
	order := make([]int, len(h))
	for block := 0; block < len(x); block += n * run {
		for k := range n {
			to := out[block+k*run:][:run]
			wrapped := min(max(k+len(h)/2-n+1, 0), len(h))
			for j := range h {
				order[j] = j
				if j < wrapped {
					order[j] = wrapped - 1 - j
				}
			}
			if len(h) == 6 && !t.single {
				six(to, x[block:], h, k, n, run)
				continue
			}
			for _, j := range order {
				c := h[j]
				i := ((k+len(h)/2-j)%n + n) % n
				from := x[block+i*run:][:run]
				if t.single {
					for l, v := range from {
						to[l] = round32(to[l] + round32(c*v))
					}
					continue
				}
				for l, v := range from {
					to[l] += float64(c * v)
				}
			}
		}
	}
	return out
}

// six is convolve for the six taps of coif1 and its like, in one pass over the samples.
func six(to, x, h []float64, k, n, run int) {
	row := func(j int) []float64 { return x[((k+3-j)%n+n)%n*run:][:len(to)] }
	a, b, c, d, e, f := row(0), row(1), row(2), row(3), row(4), row(5)
	h0, h1, h2, h3, h4, h5 := h[0], h[1], h[2], h[3], h[4], h[5]
	for l := range to {
		to[l] = float64(h0*a[l]) + float64(h1*b[l]) + float64(h2*c[l]) + float64(h3*d[l]) + float64(h4*e[l]) + float64(h5*f[l])
	}
}
