package main

import (
	"image"
	"image/color"
	"math"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"

	"rfanode/analysis/volume"
)

// panelSize is the side of a panel, pixels; below it stands its caption.
const (
	panelSize     = 440
	captionHeight = 34
)

// panel is a coronal cut through a point of post, patient's right at the left, head at the top.
type panel struct {
	*image.RGBA
	centre  volume.Vec // LPS mm
	mmPerPx float64
}

func newPanel(centre volume.Vec, fov float64) *panel {
	return &panel{image.NewRGBA(image.Rect(0, 0, panelSize, panelSize)), centre, fov / panelSize}
}

// at is the point of post that a place in the panel shows.
func (p *panel) at(x, y float64) volume.Vec {
	return volume.Vec{
		p.centre[0] + (x-panelSize/2)*p.mmPerPx,
		p.centre[1],
		p.centre[2] - (y-panelSize/2)*p.mmPerPx,
	}
}

// paint sets every pixel to what colour says of its point of post.
func (p *panel) paint(colour func(volume.Vec) color.RGBA) {
	for y := range panelSize {
		for x := range panelSize {
			p.SetRGBA(x, y, colour(p.at(float64(x)+0.5, float64(y)+0.5)))
		}
	}
}

// contour draws where level, any function of a point of post, crosses zero.
func (p *panel) contour(level func(volume.Vec) float64, c color.RGBA, width float64) {
	for y := range panelSize {
		for x := range panelSize {
			fx, fy := float64(x)+0.5, float64(y)+0.5
			l := level(p.at(fx, fy))
			slope := math.Hypot(level(p.at(fx+0.5, fy))-level(p.at(fx-0.5, fy)), level(p.at(fx, fy+0.5))-level(p.at(fx, fy-0.5)))
			if slope > 1e-6 {
				p.blend(x, y, c, width/2+0.5-math.Abs(l)/slope)
			}
		}
	}
}

func (p *panel) blend(x, y int, c color.RGBA, alpha float64) {
	p.SetRGBA(x, y, mix(p.RGBAAt(x, y), c, alpha))
}

func mix(a, b color.RGBA, share float64) color.RGBA {
	share = min(max(share, 0), 1)
	m := func(a, b uint8) uint8 { return uint8(math.Round(float64(a)*(1-share) + float64(b)*share)) }
	return color.RGBA{m(a.R, b.R), m(a.G, b.G), m(a.B, b.B), 255}
}

// grey is a CT value in the lung window.
func grey(hu float32) uint8 { return uint8(255 * min(max((hu+1250)/1500, 0), 1)) }

// sheet puts panels side by side with their captions.
func sheet(panels []*panel, captions []string) (image.Image, error) {
	const gap, columns = 10, 2
	rows := (len(panels) + columns - 1) / columns
	out := image.NewRGBA(image.Rect(0, 0, columns*(panelSize+gap)+gap, rows*(panelSize+captionHeight)+gap))
	for i := range out.Pix {
		out.Pix[i] = 255
	}
	face, err := captionFace()
	if err != nil {
		return nil, err
	}
	for i, p := range panels {
		left, top := gap+i%columns*(panelSize+gap), gap+i/columns*(panelSize+captionHeight)
		for y := range panelSize {
			for x := range panelSize {
				out.SetRGBA(left+x, top+y, p.RGBAAt(x, y))
			}
		}
		d := font.Drawer{Dst: out, Src: image.Black, Face: face, Dot: fixed.P(left, top+panelSize+20)}
		d.DrawString(captions[i])
	}
	return out, nil
}

func captionFace() (font.Face, error) {
	f, err := opentype.Parse(goregular.TTF)
	if err != nil {
		return nil, err
	}
	return opentype.NewFace(f, &opentype.FaceOptions{Size: 15, DPI: 72, Hinting: font.HintingFull})
}
