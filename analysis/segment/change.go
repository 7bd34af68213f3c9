package segment

import (
	"context"
	"math"

	"rfanode/analysis/register"
	"rfanode/analysis/volume"
)

// pair is the two CTs on the work grid of the post CT, brought together by the linear registration. A deformable one
// would pull the dark lung over the new opacity and explain the change away.
type pair struct {
	in     LesionInput
	post   *volume.Volume
	pre    *volume.Volume // carried to the grid of post, densities matched
	change *volume.Volume // post minus pre, HU; 0 outside hull
	hull   *volume.Mask   // lung of the post CT: its own hull and that of pre, which no consolidation has opened
	// offsetHU is what the lung of post is denser by: the depth of the breath.
	offsetHU float64
}

// smoothMM is the in-plane sigma of the work images: noise and vessel edges down, zones of 10 mm unharmed.
const smoothMM = 1

// noCT stands for voxels that the other CT did not scan.
const noCT = -3000

func newPair(ctx context.Context, in LesionInput) (*pair, error) {
	p := &pair{in: in, post: volume.SmoothInPlane(workVolume(in.Post), smoothMM)}
	pre := volume.SmoothInPlane(workVolume(in.Pre), smoothMM)
	g := p.post.Geometry
	preHull := share(in.PreLungs.Hull)
	postHull := share(in.PostLungs.Hull)
	p.pre, p.hull, p.change = volume.New(g), volume.NewMask(g), volume.New(g)
	for k := range g.Size[2] {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for j := range g.Size[1] {
			for i := range g.Size[0] {
				o := g.Offset(i, j, k)
				at := pre.Index(in.ToPre.Map(g.Point(volume.Vec{float64(i), float64(j), float64(k)})))
				p.pre.Data[o] = pre.At(at, noCT)
				if postHull.Data[o] >= 0.5 || preHull.At(at, 0) >= 0.5 {
					p.hull.Data[o] = 1
				}
			}
		}
	}
	p.matchDensity()
	return p, nil
}

// matchDensity adds to pre the median difference of the aerated lung and computes the change.
func (p *pair) matchDensity() {
	const aeratedHU, limit = -600, 150
	histogram := make([]int32, 2*limit+1)
	for i, in := range p.hull.Data {
		if a, b := p.pre.Data[i], p.post.Data[i]; in != 0 && a > noCT && a < aeratedHU && b < aeratedHU {
			histogram[min(max(int(math.Round(float64(b-a)))+limit, 0), 2*limit)]++
		}
	}
	p.offsetHU = float64(medianBin(histogram) - limit)
	if p.offsetHU == -limit { // nothing to compare
		p.offsetHU = 0
	}
	for i, in := range p.hull.Data {
		if p.pre.Data[i] <= noCT {
			continue
		}
		if p.pre.Data[i] < aeratedHU {
			p.pre.Data[i] += float32(p.offsetHU)
		}
		if in != 0 {
			p.change.Data[i] = p.post.Data[i] - p.pre.Data[i]
		}
	}
}

// warped evaluates pre, carried to the frame of post, on the grid g.
func warped(pre *volume.Volume, toPre register.Transform, g volume.Geometry, outside float32) *volume.Volume {
	out := volume.New(g)
	for k := range g.Size[2] {
		for j := range g.Size[1] {
			for i := range g.Size[0] {
				at := pre.Index(toPre.Map(g.Point(volume.Vec{float64(i), float64(j), float64(k)})))
				out.Data[g.Offset(i, j, k)] = pre.At(at, outside)
			}
		}
	}
	return out
}

// warpedMask carries a mask of pre to a grid of post, by the nearest voxel.
func warpedMask(pre *volume.Mask, toPre register.Transform, g volume.Geometry) *volume.Mask {
	out := volume.NewMask(g)
	for k := range g.Size[2] {
		for j := range g.Size[1] {
			for i := range g.Size[0] {
				out.Data[g.Offset(i, j, k)] = uint8(valueAt(pre, toPre.Map(g.Point(volume.Vec{float64(i), float64(j), float64(k)}))))
			}
		}
	}
	return out
}
