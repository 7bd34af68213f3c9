package register

import (
	"math"
	"math/rand/v2"
	"testing"

	"rfanode/analysis/volume"
)

// field is a smooth random function of space, the sum of plane waves: an image that can be evaluated exactly anywhere.
type field struct {
	k     []volume.Vec
	phase []float64
	scale float64
}

// newField makes a field whose waves have lengths between one and three times waveMM.
func newField(seed uint64, waveMM float64) field {
	r := rand.New(rand.NewPCG(seed, 1))
	f := field{}
	for range 24 {
		d := volume.Vec{r.NormFloat64(), r.NormFloat64(), r.NormFloat64()}
		k := 2 * math.Pi / (waveMM * (1 + 2*r.Float64())) / norm(d)
		f.k = append(f.k, volume.Vec{k * d[0], k * d[1], k * d[2]})
		f.phase = append(f.phase, 2*math.Pi*r.Float64())
	}
	f.scale = math.Sqrt(2.0 / 24)
	return f
}

func (f field) at(p volume.Vec) float64 {
	s := 0.0
	for i, k := range f.k {
		s += math.Cos(k[0]*p[0] + k[1]*p[1] + k[2]*p[2] + f.phase[i])
	}
	return s * f.scale
}

// texture is an image of such a field.
func texture(t *testing.T, g volume.Geometry, waveMM float64, seed uint64) *image {
	t.Helper()
	f := newField(seed, waveMM)
	img := &image{Geometry: g, data: make([]uint16, g.Len()), scanned: g}
	for k := range g.Size[2] {
		for j := range g.Size[1] {
			for i := range g.Size[0] {
				img.data[g.Offset(i, j, k)] = grey(float32(-700 + 150*f.at(g.Point(volume.Vec{float64(i), float64(j), float64(k)}))))
			}
		}
	}
	return img
}

// chest is a textured body with two lungs that can be looked at in any position: the same point of the body always has
// the same value. place maps the point of a CT to the point of the body.
type chest struct {
	lungTexture, bodyTexture field
}

func newChest(seed uint64) chest { return chest{newField(seed, 14), newField(seed+1, 25)} }

// In the body's own coordinates: half axes of the ellipsoids, mm, and the lungs' centres.
var (
	bodyAxes = volume.Vec{80, 60, 90}
	lungAxes = volume.Vec{28, 40, 62}
	lungMid  = [2]volume.Vec{{-36, 0, 0}, {36, 0, 0}}
)

func ellipsoid(p, mid, axes volume.Vec) float64 {
	s := 0.0
	for a := range 3 {
		x := (p[a] - mid[a]) / axes[a]
		s += x * x
	}
	return s
}

func (c chest) inLung(p volume.Vec) bool {
	return ellipsoid(p, lungMid[0], lungAxes) < 1 || ellipsoid(p, lungMid[1], lungAxes) < 1
}

func (c chest) hu(p volume.Vec) float64 {
	switch {
	case c.inLung(p):
		return -820 + 130*c.lungTexture.at(p)
	case ellipsoid(p, volume.Vec{}, bodyAxes) < 1:
		return 40 + 30*c.bodyTexture.at(p)
	}
	return -1000
}

// scan returns the CT of the chest on g with its lungs. bodyPoint maps a point of the CT to the body; noise in HU.
func (c chest) scan(g volume.Geometry, bodyPoint Transform, noise float64, seed uint64) (*volume.Volume, *volume.Mask) {
	v, m := volume.New(g), volume.NewMask(g)
	r := rand.New(rand.NewPCG(seed, 2))
	for k := range g.Size[2] {
		for j := range g.Size[1] {
			for i := range g.Size[0] {
				p := bodyPoint.Map(g.Point(volume.Vec{float64(i), float64(j), float64(k)}))
				o := g.Offset(i, j, k)
				v.Data[o] = float32(c.hu(p) + noise*r.NormFloat64())
				if c.inLung(p) {
					m.Data[o] = 1
				}
			}
		}
	}
	return v, m
}
