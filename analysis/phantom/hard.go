package phantom

// Hard returns the options of a pair that is hard to analyse in one of the ways that patients are: any density and site
// of the tumour, either kernel, thin or thick slices, deep breathing, further nodules, effusion, faint or tailed zones.
// The same seed gives the same options. The rest (identity, grid) may be set before Pair is called.
func Hard(seed uint64) Options {
	s := newStream(seed, "hard")
	chance := func(p float64) bool { return s.unit() < p }
	o := Options{Seed: seed}
	o.SliceMM = []float64{1, 2.5, 5}[s.next()%3]
	o.TumourRadiusMM = s.between(3.5, 14)
	o.Tumour = []Kind{Solid, Solid, Solid, PartSolid, GroundGlass}[s.next()%5]
	o.Site = []Site{Free, Free, Subpleural, Subpleural, NearVessel, Fissure, Mediastinal}[s.next()%7]
	o.Coverage = []Coverage{Full, Partial}[s.next()%2]
	o.BreathingMM = s.between(3, 20)
	o.RandomMM = s.between(0.5, 1.5)
	o.ShiftMM = s.between(2, 25)
	o.Nodules = int(s.next() % 5)
	o.Kernel = []Kernel{Soft, Sharp}[s.next()%2]
	o.OtherKernelPost = chance(0.15)
	o.Contrast = chance(0.3)
	o.OtherContrastPost = chance(0.15)
	o.Tail = chance(0.3)
	if chance(0.2) {
		o.EffusionMM = s.between(6, 22)
	}
	if chance(0.08) {
		o.PneumothoraxMM = s.between(5, 15)
	}
	if chance(0.25) {
		o.HaloHU = s.between(-650, -520)
	}
	if chance(0.3) {
		o.Contraction = s.between(0.03, 0.15)
	}
	return o
}
