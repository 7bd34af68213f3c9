package analysis

import (
	"testing"

	"rfanode/analysis/register"
	"rfanode/analysis/segment"
	"rfanode/analysis/segment/nnunet"
	"rfanode/analysis/volume"
)

// scene is a pre CT's grid with three nodules that a model has found, and a zone on post that lies on two of them.
func scene() (p *parts, l *segment.Lesion) {
	g := volume.Axial([3]int{30, 10, 10}, [3]float64{1, 1, 1}, volume.Vec{})
	m := volume.NewMask(g)
	for _, x := range []int{2, 3, 10, 11, 12, 20} { // nodules of 2, 3 and 1 voxels
		m.Data[g.Offset(x, 5, 5)] = 1
	}
	labels, _ := volume.Components(m, 26)
	post := g
	post.Origin = volume.Vec{100, 0, 0} // the patient lay 100 mm further to the left
	zone := volume.NewMask(post)
	for x := 3; x < 15; x++ {
		zone.Data[post.Offset(x, 5, 5)] = 1
	}
	back := register.Affine{M: [3][3]float64{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}, T: volume.Vec{-100, 0, 0}}
	return &parts{g, labels}, &segment.Lesion{PTZ: segment.Structure{Mask: zone}, ToPre: back}
}

// Of all nodules that a model finds, the treated one is where the zone lies, carried by the registration.
func TestNoduleUnderTheZone(t *testing.T) {
	p, l := scene()
	m := p.that(func(hit func(int)) { carried(l, p.geometry, hit) }, true)
	if m == nil || m.Count() != 3 || m.Data[m.Offset(11, 5, 5)] != 1 {
		t.Errorf("%v", m)
	}
	// A zone may be in pieces: all that it meets count.
	all := p.that(func(hit func(int)) { carried(l, p.geometry, hit) }, false)
	if all == nil || all.Count() != 5 {
		t.Errorf("%v", all)
	}
	l.ToPre = register.Affine{M: [3][3]float64{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}, T: volume.Vec{900, 0, 0}}
	if m := p.that(func(hit func(int)) { carried(l, p.geometry, hit) }, true); m != nil {
		t.Errorf("a zone outside of the pre CT has %d voxels of a nodule", m.Count())
	}
}

// Where the model has found nothing, the lesion is held, or keeps the classical structure and says so.
func TestModelFindsNothing(t *testing.T) {
	for _, fallback := range []bool{false, true} {
		found := []segment.Lesion{{}, {}}
		f := &Findings{Algorithms: algorithms()}
		m := &Model{Fallback: fallback, opened: new(nnunet.Model)}
		n := 0
		err := f.replace(t.Context(), "gtr", m, nil, found, func(*segment.Lesion) bool { n++; return n == 1 })
		if err != nil {
			t.Fatal(err)
		}
		if len(found[0].HoldReasons)+len(found[0].Warnings) != 0 {
			t.Errorf("the lesion with a nodule: %+v", found[0])
		}
		if held := len(found[1].HoldReasons) == 1; held == fallback || len(found[1].Warnings) == 1 != fallback {
			t.Errorf("fallback %t: %v, %v", fallback, found[1].HoldReasons, found[1].Warnings)
		}
	}
}
