package sr

import (
	"context"
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"rfanode/analysis"
	"rfanode/analysis/ct"
	"rfanode/analysis/volume"
)

// variant describes a generated case: what can go wrong with geometry, names and results, one at a time.
type variant struct {
	name        string
	size        [3]int
	spacing     [3]float64
	angle       float64 // degrees of rotation about the left-right axis: an oblique stack
	flip        bool    // rows and columns reversed; with them the slice axis stays, so the slices descend when flipped again
	descending  bool    // slice axis points to the feet
	patient     string
	laterality  string
	lesions     int
	complete    bool
	sameStudy   bool
	noPrognosis bool
	lossy       bool
	bare        bool // header with nothing but what a CT must have
}

var baseVariant = variant{name: "axial", size: [3]int{64, 64, 24}, spacing: [3]float64{2, 2, 4}, patient: "Doe^Jane", laterality: "R", lesions: 1}

func variants() []variant {
	with := func(name string, change func(*variant)) variant {
		v := baseVariant
		v.name = name
		change(&v)
		return v
	}
	return []variant{
		baseVariant,
		with("oblique", func(v *variant) { v.angle = 15 }),
		with("reversed", func(v *variant) { v.flip, v.descending = true, false }),
		with("descending", func(v *variant) { v.descending = true }),
		with("anisotropic", func(v *variant) { v.size, v.spacing = [3]int{96, 64, 40}, [3]float64{1.25, 1.9, 2.5} }),
		with("chinese", func(v *variant) { v.patient = "Zhang^Wei=张^伟=" }),
		with("complete", func(v *variant) { v.complete = true }),
		with("two lesions", func(v *variant) { v.lesions = 2 }),
		with("no side", func(v *variant) { v.laterality = "" }),
		with("lossy", func(v *variant) { v.lossy = true }),
		with("bare header", func(v *variant) { v.bare, v.patient = true, "" }),
		with("one study", func(v *variant) { v.sameStudy, v.noPrognosis = true, true }),
	}
}

// geometry of the variant: a stack round the patient's middle.
func (v variant) geometry() volume.Geometry {
	s, c := math.Sincos(v.angle * math.Pi / 180)
	row, col := volume.Vec{1, 0, 0}, volume.Vec{0, c, s}
	if v.flip {
		row, col = scaled(row, -1), scaled(col, -1)
	}
	if v.descending {
		row = scaled(row, -1)
	}
	g := volume.Geometry{Size: v.size, Spacing: v.spacing, Direction: [3]volume.Vec{row, col, cross(row, col)}}
	half := g.Point(volume.Vec{float64(v.size[0]-1) / 2, float64(v.size[1]-1) / 2, float64(v.size[2]-1) / 2})
	g.Origin = scaled(half, -1)
	return g
}

func cross(a, b volume.Vec) volume.Vec {
	return volume.Vec{a[1]*b[2] - a[2]*b[1], a[2]*b[0] - a[0]*b[2], a[0]*b[1] - a[1]*b[0]}
}

func distance(a, b volume.Vec) float64 {
	return math.Sqrt((a[0]-b[0])*(a[0]-b[0]) + (a[1]-b[1])*(a[1]-b[1]) + (a[2]-b[2])*(a[2]-b[2]))
}

// ball is the set of voxels within r mm of a point.
func ball(g volume.Geometry, centre volume.Vec, r float64) *volume.Mask {
	m := volume.NewMask(g)
	eachVoxel(g, func(o int, p volume.Vec) {
		if distance(p, centre) <= r {
			m.Data[o] = 1
		}
	})
	return m
}

func eachVoxel(g volume.Geometry, do func(o int, p volume.Vec)) {
	o := 0
	for k := range g.Size[2] {
		for j := range g.Size[1] {
			for i := range g.Size[0] {
				do(o, g.Point(volume.Vec{float64(i), float64(j), float64(k)}))
				o++
			}
		}
	}
}

// testCase is a generated pair with its findings.
type testCase struct {
	pre, post *ct.Series
	findings  []analysis.Findings
}

// variantNamed finds one of the variants.
func variantNamed(name string) variant {
	for _, v := range variants() {
		if v.name == name {
			return v
		}
	}
	panic("no variant " + name)
}

func (v variant) build() testCase {
	g := v.geometry()
	pre := v.series(g, "pre", time.Date(2026, 1, 5, 9, 30, 0, 0, time.UTC))
	post := v.series(g, "post", time.Date(2026, 2, 4, 10, 15, 0, 0, time.UTC))
	if v.sameStudy {
		post.StudyInstanceUID = pre.StudyInstanceUID
	}
	c := testCase{pre: pre, post: post}
	for n := range v.lesions {
		at := volume.Vec{-24 + float64(n)*46, 4, -6 + float64(n)*8}
		c.findings = append(c.findings, v.lesion(n+1, at, pre, post))
	}
	return c
}

// series is a chest: soft tissue, two lungs, a spine.
func (v variant) series(g volume.Geometry, name string, at time.Time) *ct.Series {
	s := &ct.Series{Volume: volume.New(g)}
	s.Patient = ct.Patient{Name: v.patient, ID: "P-0042", Issuer: "HOSPITAL", BirthDate: "19600102", Sex: "F"}
	s.StudyInstanceUID = ct.UID("test study", v.name, name)
	s.SeriesInstanceUID = ct.UID("test series", v.name, name)
	s.FrameOfReferenceUID = ct.UID("test frame", v.name, name)
	s.StudyDate, s.StudyTime, s.StudyID = at.Format("20060102"), at.Format("150405"), "1"
	s.StudyDescription, s.AccessionNumber = "Chest CT "+name, "A-"+name
	s.Manufacturer, s.ModelName, s.SliceThickness = "ACME", "Scanner 1", g.Spacing[2]
	s.Acquired, s.LossyCompression = at, v.lossy
	if v.bare {
		s.Header = ct.Header{Patient: ct.Patient{ID: "P-0042"}, StudyInstanceUID: s.StudyInstanceUID, SeriesInstanceUID: s.SeriesInstanceUID, FrameOfReferenceUID: s.FrameOfReferenceUID}
	}
	for k := range g.Size[2] {
		s.Instances = append(s.Instances, ct.Instance{SOPClassUID: "1.2.840.10008.5.1.4.1.1.2", SOPInstanceUID: ct.UID("test slice", v.name, name, fmt.Sprint(k)), InstanceNumber: fmt.Sprint(g.Size[2] - k)})
	}
	eachVoxel(g, func(o int, p volume.Vec) {
		hu := -1000.0
		if math.Hypot(p[0]/60, p[1]/52) < 1 {
			hu = 40
		}
		for _, side := range []float64{-1, 1} {
			if distance(volume.Vec{p[0] / 24, p[1] / 38, p[2] / 60}, volume.Vec{side * 27 / 24}) < 1 {
				hu = -860 + 25*math.Sin(p[0]/3)*math.Sin(p[1]/4)*math.Sin(p[2]/5)
			}
		}
		if math.Hypot(p[0], p[1]-38) < 9 {
			hu = 350
		}
		s.Volume.Data[o] = float32(hu)
	})
	return s
}

// lesion puts a tumour of 7 mm radius and an ablation zone into the volumes and measures them on the native grid.
func (v variant) lesion(n int, at volume.Vec, pre, post *ct.Series) analysis.Findings {
	g := post.Volume.Geometry
	shift, radius := volume.Vec{4, 2, 0}, 13.5
	if v.complete {
		radius = 20
	}
	gtr, gtrPost, ptv := ball(g, at, 7), ball(g, at, 7), ball(g, at, 12)
	zone := volume.Vec{at[0] + shift[0], at[1] + shift[1], at[2] + shift[2]}
	ptz, uncovered, covered := ball(g, zone, radius), volume.NewMask(g), 0
	for o := range ptv.Data {
		uncovered.Data[o] = ptv.Data[o] &^ ptz.Data[o]
		covered += int(ptv.Data[o] & ptz.Data[o])
		if gtr.Data[o] == 1 {
			pre.Volume.Data[o] = 30
		}
		if ptz.Data[o] == 1 {
			post.Volume.Data[o] = -350
		}
		if gtrPost.Data[o] == 1 {
			post.Volume.Data[o] = 20
		}
	}
	of := func(m *volume.Mask) *analysis.Structure {
		return &analysis.Structure{VolumeML: m.VolumeML() * 1.01, NativeML: m.VolumeML(), Mask: m}
	}
	f := analysis.Findings{Schema: "rfanode-findings/1", Status: analysis.Final, Reasons: []string{}, Lesion: n, Laterality: v.laterality,
		Warnings: []string{"fibrinogen not available, reference value assumed"},
		GTR:      of(gtr), GTRPost: of(gtrPost), PTV: of(ptv), PTZ: of(ptz), Uncovered: of(uncovered)}
	f.GTR.MaxDiameterMM = 14.123456
	tcr := float64(covered) / float64(ptv.Count())
	worst := volume.Vec{at[0] - 7, at[1], at[2]}
	pleura, inLung, errorMM := 8.4, 3.2, 1.3
	idx := g.Index(worst)
	k := int(math.Round(idx[2]))
	mam := radius - distance(worst, zone)
	f.Coverage = &analysis.Coverage{TCR: tcr, TCRRange: [2]float64{tcr * 0.95, min(1, tcr*1.03)}, TCRInLung: min(1, tcr*1.01), TCR10: tcr * 0.6,
		Complete: tcr == 1, MAMMM: mam, MAMP5MM: mam + 0.6, MAMInLung: &inLung, MarginShare: [4]float64{0.0004, 0.1196, 0.8, 0.08},
		UncoveredML: uncovered.VolumeML(),
		Worst:       analysis.Worst{Point: worst, Slice: k + 1, InstanceNumber: post.Instances[k].InstanceNumber, Direction: "lateral", PleuraMM: &pleura}}
	f.Registration = analysis.Registration{Method: "affine + local", LungDice: 0.9712345, LesionErrorMM: &errorMM}
	if !v.noPrognosis {
		f.Prognosis = &analysis.Prognosis{Model: "published-cox3/1", Status: "UNVALIDATED", RelativeHazard: 0.11, CI95: [2]float64{0.0442, 0.274},
			Reference: "TCR < 1, fibrinogen 3.0 g/L", InputsUsed: []string{"TCR"}, InputsMissing: []string{"fibrinogen"},
			Text: "Relative hazard of local tumour progression 0.11 (95 % CI 0.04-0.27) versus a patient with TCR < 1 and fibrinogen 3.0 g/L; not a probability."}
	}
	f.Algorithms = []analysis.Algorithm{
		{Role: "gtr", Name: "rfanode-classical", Version: "1", Family: "Morphological Operations", Source: "rfanode"},
		{Role: "ptz", Name: "rfanode-classical", Version: "1", Family: "Histogram Analysis", Source: "rfanode"},
		{Role: "coverage", Name: "rfanode-coverage", Version: "1", Family: "Morphological Operations", Source: "doi 10.13929/j.issn.1003-3289.2026.03.004"}}
	return f
}

func testOptions() Options {
	return Options{SiteKey: "test", Version: "0.1", Created: time.Date(2026, 2, 4, 11, 0, 0, 0, time.UTC), ConfigDigest: "00ff"}
}

// buildObjects builds a variant and returns its objects by role.
func buildObjects(t *testing.T, c testCase, opts Options) map[string]Object {
	t.Helper()
	objects, err := Build(t.Context(), c.pre, c.post, c.findings, opts)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]Object{}
	for _, o := range objects {
		out[o.Role] = o
	}
	return out
}

func structure(m *volume.Mask) *analysis.Structure {
	return &analysis.Structure{VolumeML: m.VolumeML(), NativeML: m.VolumeML(), Mask: m}
}

// built are the objects of each variant, made once for all tests that only read them.
var built = func() map[string]func() (testCase, []Object) {
	m := map[string]func() (testCase, []Object){}
	for _, v := range variants() {
		m[v.name] = sync.OnceValues(func() (testCase, []Object) {
			c := v.build()
			objects, err := Build(context.Background(), c.pre, c.post, c.findings, testOptions())
			if err != nil {
				panic(err)
			}
			return c, objects
		})
	}
	return m
}()

// standard returns a variant's case and its objects by role. They are shared: do not change them.
func (v variant) standard() (testCase, map[string]Object) {
	c, objects := built[v.name]()
	out := map[string]Object{}
	for _, o := range objects {
		out[o.Role] = o
	}
	return c, out
}
