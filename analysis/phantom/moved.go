package phantom

import (
	"context"
	"fmt"
	"math"

	"rfanode/analysis/volume"
)

// MovedSite is where in the lung the nodule of a moved case lies.
type MovedSite int

const (
	MovedFree       MovedSite = iota // lung all round
	MovedSubpleural                  // on the chest wall, which cuts the zone
	MovedFissure                     // beside a sheet that crosses the lung
	MovedDiaphragm                   // over the diaphragm
	MovedVessels                     // near the large vessels of the hilum
)

// MovedSites are all of them.
var MovedSites = []MovedSite{MovedFree, MovedSubpleural, MovedFissure, MovedDiaphragm, MovedVessels}

func (s MovedSite) String() string {
	return name(int(s), "free", "subpleural", "perifissural", "diaphragm", "vessels")
}

// MovedOptions describe a moved case. The zero value is complete: a smooth motion of 15 mm, a nodule free in the lung.
type MovedOptions struct {
	Seed        uint64
	Sliding     bool // the lung slides along the chest wall; otherwise the motion fades over centimetres
	Site        MovedSite
	AmplitudeMM float64 // craniocaudal at the level of the dome; 0: 15
	Contraction float64 // of the tissue at the nodule, 0 to 0.2: see motion
	SpacingMM   float64 // of the isotropic grid of both volumes; 0: 2
	Points      int     // test points; 0: 4000
}

func (o MovedOptions) withDefaults() (MovedOptions, error) {
	if o.AmplitudeMM == 0 {
		o.AmplitudeMM = 15
	}
	if o.SpacingMM == 0 {
		o.SpacingMM = 2
	}
	if o.Points == 0 {
		o.Points = 4000
	}
	switch {
	case o.Site < MovedFree || o.Site > MovedVessels:
		return o, fmt.Errorf("phantom: site %d of a moved case: choose %d to %d", o.Site, MovedFree, MovedVessels)
	case !(math.Abs(o.AmplitudeMM) <= 40):
		return o, fmt.Errorf("phantom: a motion of %g mm: choose up to 40", o.AmplitudeMM)
	case !(o.Contraction >= 0 && o.Contraction <= 0.2):
		return o, fmt.Errorf("phantom: contraction of %g: choose 0 to 0.2", o.Contraction)
	case !(o.SpacingMM >= 1 && o.SpacingMM <= 5):
		return o, fmt.Errorf("phantom: a grid of %g mm: choose 1 to 5", o.SpacingMM)
	case o.Points < 0:
		return o, fmt.Errorf("phantom: %d test points", o.Points)
	}
	return o, nil
}

// MovedCase is one anatomy twice: with a nodule (Moving, pre), and moved by a known map with an ablation zone in its
// place (Fixed, post). Both share anatomy and grid, not noise.
type MovedCase struct {
	Fixed, Moving         *volume.Volume // post and pre, whole HU, on one isotropic axial grid
	FixedLung, MovingLung *volume.Mask   // both lungs with nodule and zone
	Zone                  *volume.Mask   // on the grid of Fixed: voxels whose centre lies in the zone
	ZoneLevel             *volume.Volume // on the grid of Fixed, mm-like, > 0 in the zone, 0 at its surface
	TumourLevel           *volume.Volume // on a grid of 1 mm in the frame of pre, mm-like, > 0 in the tumour
	Centre                volume.Vec     // of the nodule in pre, LPS mm
	CentrePost            volume.Vec     // what post shows of it
	TestPoints            []Landmark     // in the lung: 3 mm from its border, 25 mm from the nodule, target inside pre
	LeastDet              float64        // least det(I + ∇u) on the grid; > 0

	options MovedOptions
	motion  *movedMotion
	nodule  tumourBall
	zone    movedZone
}

// Rules of the test points.
const (
	pointDepthMM  = 3.0
	pointNoduleMM = 25.0
)

// ToPre maps a point of Fixed to the point of Moving that shows the same tissue, LPS mm: the true registration.
func (c *MovedCase) ToPre(p volume.Vec) volume.Vec { return c.motion.toPre(p) }

// Map is ToPre, so that the case is itself a transform.
func (c *MovedCase) Map(p volume.Vec) volume.Vec { return c.motion.toPre(p) }

// TumourDepth is the depth of a point of pre inside the tumour, mm, negative outside.
func (c *MovedCase) TumourDepth(p volume.Vec) float64 { return c.nodule.depth(p) }

// ZoneDepth is the depth of a point of post inside the zone, in mm of the tissue, negative outside.
func (c *MovedCase) ZoneDepth(p volume.Vec) float64 { return c.zone.depth(c.motion.toPre(p)) }

// Moved makes a registration case from a chest CT, which stands for the anatomy (it should show no ablation zone): a
// scan of real anatomy or the Pre of a Pair. The base is smoothed in the plane, so that its own noise is no fingerprint
// that both images share, and is then a function of space that both images sample; each has fresh noise. Seed and options
// decide everything, on any number of processors. The error says what cannot be made: a base without lungs, no place for
// the site, a motion that folds in all attempts, or ctx done.
func Moved(ctx context.Context, base *volume.Volume, opts MovedOptions) (*MovedCase, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	b, err := newMovedBase(base, o.SpacingMM)
	if err != nil {
		return nil, fmt.Errorf("phantom: moved case of seed %d: %w", o.Seed, err)
	}
	c := &MovedCase{options: o, MovingLung: b.lung}
	if c.Centre, err = b.site(newStream(o.Seed, "moved site"), o.Site); err != nil {
		return nil, fmt.Errorf("phantom: moved case of seed %d: %w", o.Seed, err)
	}
	c.nodule = newTumourBall(newStream(o.Seed, "moved nodule"), c.Centre)
	c.zone = newMovedZone(newStream(o.Seed, "moved zone"), c.Centre, b)
	if err := c.move(ctx, b); err != nil {
		return nil, fmt.Errorf("phantom: moved case of seed %d: %w", o.Seed, err)
	}
	if err := c.show(ctx, b); err != nil {
		return nil, err
	}
	c.TestPoints = c.points(newStream(o.Seed, "moved points"))
	return c, nil
}

// move draws motions until one does not fold.
func (c *MovedCase) move(ctx context.Context, b *movedBase) error {
	for n := range attempts {
		var err error
		if c.motion, err = newMovedMotion(ctx, b, c.options, n); err != nil {
			return err
		}
		if c.CentrePost, err = c.motion.toPost(c.Centre); err != nil {
			return err
		}
		if c.options.Contraction > 0 {
			c.motion.contract(c.CentrePost, c.options.Contraction)
		}
		if err := c.motion.determinants(ctx); err != nil {
			return err
		}
		if c.LeastDet = c.motion.leastDet; c.LeastDet > 0 {
			return nil
		}
	}
	return fmt.Errorf("a motion of %g mm folds in all of %d attempts: choose a smaller one", c.options.AmplitudeMM, attempts)
}

// points draws the test points from the lung of post.
func (c *MovedCase) points(s *stream) []Landmark {
	g := c.FixedLung.Geometry
	depth := volume.SignedDistance(c.FixedLung)
	var places []int32
	for i, d := range depth.Data {
		if d >= pointDepthMM+float32(g.Spacing[0]) {
			places = append(places, int32(i))
		}
	}
	var out []Landmark
	for tries := 0; len(out) < c.options.Points && len(places) > 0 && tries < 20*c.options.Points; tries++ {
		i := int(places[s.next()%uint64(len(places))])
		n := g.Size[0] * g.Size[1]
		p := g.Point(vec{
			float64(i%g.Size[0]) + s.between(-0.5, 0.5),
			float64(i/g.Size[0]%g.Size[1]) + s.between(-0.5, 0.5),
			float64(i/n) + s.between(-0.5, 0.5),
		})
		q := c.ToPre(p)
		if distance(p, c.CentrePost) > pointNoduleMM && contains(c.Moving.Geometry, q) {
			out = append(out, Landmark{Post: p, Pre: q})
		}
	}
	return out
}
