package phantom

import "context"

// Hard returns the options of a pair that is hard to analyse in one of the ways that patients are: tumours of 5 to 35 mm
// of any density and site, either kernel, slices of 1, 2.5 or 5 mm, breathing of up to 20 mm, further nodules, effusion
// or air in the pleural space, faint or tailed zones. The same seed gives the same options.
//
// Contraction of the ablated tissue is left out: where a tumour has shrunk to cannot be seen in two images, so it is a
// limit of the method and not a matter of the segmentation.
func Hard(seed uint64) Options {
	s := newStream(seed, "hard")
	chance := func(p float64) bool { return s.unit() < p }
	o := Options{Seed: seed}
	o.SliceMM = []float64{1, 2.5, 5}[s.next()%3]
	o.TumourRadiusMM = s.between(2.5, 17.5)
	switch x := s.unit(); { // the shares of the paper's 217 tumours
	case x < 0.42:
		o.Tumour = Solid
	case x < 0.73:
		o.Tumour = PartSolid
	default:
		o.Tumour = GroundGlass
	}
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
	return o
}

// HardPair makes the pair of Hard(seed). A tumour that fits nowhere at its site, with its zone, is made smaller by a
// tenth until it does.
func HardPair(ctx context.Context, seed uint64) (*PairResult, error) {
	r, err := settleHard(ctx, seed)
	if err != nil {
		return nil, err
	}
	return r, r.show(ctx)
}

func settleHard(ctx context.Context, seed uint64) (*PairResult, error) {
	const least = 2.5 // mm
	o := Hard(seed)
	for {
		r, err := settle(ctx, o)
		if err == nil || ctx.Err() != nil || o.TumourRadiusMM == least {
			return r, err
		}
		o.TumourRadiusMM = max(0.9*o.TumourRadiusMM, least)
	}
}
