package sr

import (
	"image"
	"image/color"
	"math"

	"rfanode/analysis/volume"
)

// Lung window, HU.
const (
	windowWidth  = 1500
	windowCentre = -500
)

// background is what lies outside the CT.
var background = color.RGBA{12, 14, 18, 255}

func fill(img *image.RGBA, r image.Rectangle, c color.RGBA) {
	r = r.Intersect(img.Rect)
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			img.SetRGBA(x, y, c)
		}
	}
}

// blend mixes a colour into a pixel; alpha 0 to 1.
func blend(img *image.RGBA, x, y int, c rgb, alpha float64) {
	if alpha <= 0 || !(image.Point{x, y}).In(img.Rect) {
		return
	}
	i := img.PixOffset(x, y)
	for k := range 3 {
		img.Pix[i+k] = uint8(math.Round(float64(img.Pix[i+k])*(1-alpha) + float64(c[k])*alpha))
	}
}

// drawCT fills the panel at the given corner with the plane of the CT.
func drawCT(img *image.RGBA, at image.Point, p plane, v *volume.Volume) {
	const outside = -1e9
	values := p.render(0, outside, func(o int) float64 { return float64(v.Data[o]) })
	for y := range p.size[1] {
		for x := range p.size[0] {
			hu := values[y*p.size[0]+x]
			c := background
			if hu > outside/2 {
				g := uint8(math.Round(255 * min(max((hu-windowCentre)/windowWidth+0.5, 0), 1)))
				c = color.RGBA{g, g, g, 255}
			}
			img.SetRGBA(at.X+x, at.Y+y, c)
		}
	}
}

// outlineWidth of a structure, pixels.
const outlineWidth = 2.2

// drawMask draws the outline of a mask, where its linear interpolation is one half, and fills it with the given opacity.
func drawMask(img *image.RGBA, at image.Point, p plane, m *volume.Mask, c rgb, fillAlpha, lineAlpha float64) {
	w, h := p.size[0], p.size[1]
	level := p.render(1, 0, func(o int) float64 { return float64(m.Data[o]) }) // with a rim, for the gradient
	for y := range h {
		for x := range w {
			i := (y+1)*(w+2) + x + 1
			if fillAlpha > 0 && level[i] >= 0.5 {
				blend(img, at.X+x, at.Y+y, c, fillAlpha)
			}
			gx, gy := (level[i+1]-level[i-1])/2, (level[i+w+2]-level[i-w-2])/2
			if g := math.Hypot(gx, gy); g > 1e-6 {
				distance := math.Abs(level[i]-0.5) / g // pixels, to first order
				blend(img, at.X+x, at.Y+y, c, lineAlpha*min(max(outlineWidth/2+0.5-distance, 0), 1))
			}
		}
	}
}

// drawCrosshair marks a point, leaving the point itself free.
func drawCrosshair(img *image.RGBA, at image.Point, p plane, x, y float64) {
	const gap, alpha = 9, 0.55
	c := rgb{0, 255, 255}
	px, py := int(math.Round(x-0.5)), int(math.Round(y-0.5))
	for i := range p.size[0] {
		if abs(i-px) > gap && py >= 0 && py < p.size[1] {
			blend(img, at.X+i, at.Y+py, c, alpha)
		}
	}
	for i := range p.size[1] {
		if abs(i-py) > gap && px >= 0 && px < p.size[0] {
			blend(img, at.X+px, at.Y+i, c, alpha)
		}
	}
}

func abs(i int) int {
	if i < 0 {
		return -i
	}
	return i
}

// scaleBar picks the longest of the usual lengths that takes no more than 30 % of the panel.
func scaleBarMM(p plane) float64 {
	fov := p.mmPerPix * float64(p.size[0])
	out := 5.0
	for _, mm := range []float64{10, 20, 50, 100} {
		if mm <= 0.3*fov {
			out = mm
		}
	}
	return out
}
