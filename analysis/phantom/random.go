package phantom

import "math"

// stream is a splitmix64 generator (Steele, Lea, Flood 2014). Every part of a phantom draws from a stream of its own,
// named by seed and label, so that a change of one part leaves the others as they were.
type stream struct{ state uint64 }

func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// newStream returns the stream of the given label.
func newStream(seed uint64, label string) *stream {
	h := mix(seed + 0x9e3779b97f4a7c15)
	for _, c := range []byte(label) {
		h = mix(h + uint64(c) + 0x9e3779b97f4a7c15)
	}
	return &stream{h}
}

func (s *stream) next() uint64 {
	s.state += 0x9e3779b97f4a7c15
	return mix(s.state)
}

// unit is uniform in [0, 1).
func (s *stream) unit() float64 { return float64(s.next()>>11) / (1 << 53) }

// between is uniform in [lo, hi).
func (s *stream) between(lo, hi float64) float64 { return lo + (hi-lo)*s.unit() }

// normal has mean 0 and standard deviation 1 (Box and Muller).
func (s *stream) normal() float64 {
	return math.Sqrt(-2*math.Log(1-s.unit())) * math.Cos(2*math.Pi*s.unit())
}

// direction is uniform on the unit sphere.
func (s *stream) direction() vec {
	z, a := s.between(-1, 1), s.between(0, 2*math.Pi)
	r := math.Sqrt(1 - z*z)
	return vec{r * math.Cos(a), r * math.Sin(a), z}
}

// gauss4 is approximately normal with mean 0 and standard deviation 1: the sum of the four 16-bit parts of a hash.
func gauss4(h uint64) float32 {
	const scale = 1 / (65536 * 0.57735) // standard deviation of a sum of four uniforms is sqrt(4/12)
	sum := int32(h&0xffff) + int32(h>>16&0xffff) + int32(h>>32&0xffff) + int32(h>>48)
	return float32(sum-131070) * scale
}

// texture is a periodic tile of smooth random values with mean 0 and standard deviation 1, looked up in material
// coordinates so that what it draws moves with the tissue.
type texture struct{ data []float32 }

const (
	textureBits = 6
	textureSide = 1 << textureBits
	textureMask = textureSide - 1
)

// newTexture fills a tile with white noise, smooths it by a binomial kernel along each axis and normalises it.
func newTexture(seed uint64) *texture {
	n := textureSide
	a := make([]float32, n*n*n)
	for i := range a {
		a[i] = gauss4(mix(seed + uint64(i)*0x9e3779b97f4a7c15))
	}
	b := make([]float32, len(a))
	for _, stride := range []int{1, n, n * n} {
		span := stride * n
		for i := range a {
			base := i - i%span
			prev, next := base+(i%span+span-stride)%span, base+(i%span+stride)%span
			b[i] = 0.25*a[prev] + 0.5*a[i] + 0.25*a[next]
		}
		a, b = b, a
	}
	var sum, sq float64
	for _, v := range a {
		sum += float64(v)
		sq += float64(v) * float64(v)
	}
	mean := sum / float64(len(a))
	sd := math.Sqrt(sq/float64(len(a)) - mean*mean)
	for i := range a {
		a[i] = float32((float64(a[i]) - mean) / sd)
	}
	return &texture{a}
}

// at interpolates the tile at p / scale mm. The correlation length is about 1.5 × scale.
func (t *texture) at(p vec, scale float64) float64 {
	x, y, z := p[0]/scale+8192, p[1]/scale+8192, p[2]/scale+8192
	i, j, k := int(x), int(y), int(z)
	fx, fy, fz := float32(x-float64(i)), float32(y-float64(j)), float32(z-float64(k))
	i0, i1 := i&textureMask, (i+1)&textureMask
	j0, j1 := (j&textureMask)<<textureBits, ((j+1)&textureMask)<<textureBits
	k0, k1 := (k&textureMask)<<(2*textureBits), ((k+1)&textureMask)<<(2*textureBits)
	d := t.data
	a := d[k0|j0|i0] + fx*(d[k0|j0|i1]-d[k0|j0|i0])
	b := d[k0|j1|i0] + fx*(d[k0|j1|i1]-d[k0|j1|i0])
	c := d[k1|j0|i0] + fx*(d[k1|j0|i1]-d[k1|j0|i0])
	e := d[k1|j1|i0] + fx*(d[k1|j1|i1]-d[k1|j1|i0])
	a += fy * (b - a)
	c += fy * (e - c)
	return float64(a + fz*(c-a))
}
