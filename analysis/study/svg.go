package study

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// plot draws into an SVG with axes: data coordinates in, a self-contained picture out. It holds no script and no font.
type plot struct {
	b                      strings.Builder
	w, h                   float64
	left, right, top, foot float64
	x0, x1, y0, y1         float64
	legend                 []string
}

// Colours of the series, told apart by people with colour-blindness (Okabe and Ito).
var palette = []string{"#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"}

func newPlot(title string, w, h, x0, x1, y0, y1 float64) *plot {
	p := &plot{w: w, h: h, left: 58, right: 16, top: 34, foot: 48, x0: x0, x1: x1, y0: y0, y1: y1}
	fmt.Fprintf(&p.b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %s %s" width="%s" height="%s" font-family="sans-serif" font-size="12" role="img"><title>%s</title><rect width="%s" height="%s" fill="#fff"/>`,
		px(w), px(h), px(w), px(h), html.EscapeString(title), px(w), px(h))
	p.text(w/2, 18, "middle", 14, title)
	return p
}

// px prints a coordinate with two decimals, so that the bytes do not hang on the last bits.
func px(v float64) string {
	s := fmt.Sprintf("%.2f", v)
	s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	if s == "-0" {
		return "0"
	}
	return s
}

func (p *plot) x(v float64) float64 { return p.left + (v-p.x0)/(p.x1-p.x0)*(p.w-p.left-p.right) }
func (p *plot) y(v float64) float64 { return p.h - p.foot - (v-p.y0)/(p.y1-p.y0)*(p.h-p.top-p.foot) }

func (p *plot) text(x, y float64, anchor string, size int, s string) {
	fmt.Fprintf(&p.b, `<text x="%s" y="%s" text-anchor="%s" font-size="%d">%s</text>`, px(x), px(y), anchor, size, html.EscapeString(s))
}

func (p *plot) segment(x1, y1, x2, y2 float64, style string) {
	fmt.Fprintf(&p.b, `<line x1="%s" y1="%s" x2="%s" y2="%s" %s/>`, px(x1), px(y1), px(x2), px(y2), style)
}

// axes draws ticks at the given values; labels nil prints the values.
func (p *plot) axes(xName, yName string, xTicks, yTicks []float64) {
	p.segment(p.left, p.h-p.foot, p.w-p.right, p.h-p.foot, `stroke="#333"`)
	p.segment(p.left, p.top, p.left, p.h-p.foot, `stroke="#333"`)
	for _, t := range xTicks {
		p.segment(p.x(t), p.h-p.foot, p.x(t), p.h-p.foot+5, `stroke="#333"`)
		p.text(p.x(t), p.h-p.foot+18, "middle", 11, tick(t))
	}
	for _, t := range yTicks {
		p.segment(p.left-5, p.y(t), p.left, p.y(t), `stroke="#333"`)
		p.text(p.left-8, p.y(t)+4, "end", 11, tick(t))
	}
	p.text((p.left+p.w-p.right)/2, p.h-10, "middle", 12, xName)
	fmt.Fprintf(&p.b, `<text transform="translate(14 %s) rotate(-90)" text-anchor="middle">%s</text>`, px((p.top+p.h-p.foot)/2), html.EscapeString(yName))
}

func tick(v float64) string {
	if math.Abs(v) < 1e-12 {
		return "0"
	}
	return fmt.Sprintf("%.4g", v)
}

// line through points, cut where a value is not finite and clipped to the frame.
func (p *plot) line(x, y []float64, colour, dash string) {
	var d strings.Builder
	pen := false
	for i := range x {
		if math.IsNaN(y[i]) || math.IsInf(y[i], 0) || y[i] < p.y0-1e-9 || y[i] > p.y1+1e-9 || x[i] < p.x0-1e-9 || x[i] > p.x1+1e-9 {
			pen = false
			continue
		}
		c := "L"
		if !pen {
			c, pen = "M", true
		}
		fmt.Fprintf(&d, "%s%s %s", c, px(p.x(x[i])), px(p.y(y[i])))
	}
	if d.Len() == 0 {
		return
	}
	fmt.Fprintf(&p.b, `<path d="%s" fill="none" stroke="%s" stroke-width="1.6"`, d.String(), colour)
	if dash != "" {
		fmt.Fprintf(&p.b, ` stroke-dasharray="%s"`, dash)
	}
	p.b.WriteString("/>")
}

// steps is a curve that keeps its value until the next time.
func (p *plot) steps(x, y []float64, colour string) {
	var sx, sy []float64
	last := 1.0
	sx, sy = append(sx, 0), append(sy, last)
	for i := range x {
		if x[i] > p.x1 {
			break
		}
		sx, sy = append(sx, x[i], x[i]), append(sy, last, y[i])
		last = y[i]
	}
	p.line(append(sx, min(p.x1, x[len(x)-1])), append(sy, last), colour, "")
}

func (p *plot) dot(x, y float64, colour string) {
	if !math.IsNaN(x) && !math.IsNaN(y) {
		fmt.Fprintf(&p.b, `<circle cx="%s" cy="%s" r="3.2" fill="%s"/>`, px(p.x(x)), px(p.y(y)), colour)
	}
}

func (p *plot) key(name, colour string) {
	p.legend = append(p.legend, fmt.Sprintf(`<rect x="-12" y="-8" width="9" height="9" fill="%s"/><text x="0" y="0" font-size="11">%s</text>`, colour, html.EscapeString(name)))
}

// done closes the picture; the legend stands at the given corner of the frame (0 to 1 each way).
func (p *plot) done(fx, fy float64) string {
	for k, l := range p.legend {
		fmt.Fprintf(&p.b, `<g transform="translate(%s %s)">%s</g>`, px(p.left+fx*(p.w-p.left-p.right)+12), px(p.top+fy*(p.h-p.top-p.foot)+15*float64(k)), l)
	}
	p.b.WriteString("</svg>")
	return p.b.String()
}

// ticks are about n round values that span a to b.
func ticks(a, b float64, n int) []float64 {
	if !(b > a) {
		return []float64{a}
	}
	step := math.Pow(10, math.Floor(math.Log10((b-a)/float64(n))))
	for _, m := range []float64{1, 2, 5, 10} {
		if (b-a)/(step*m) <= float64(n) {
			step *= m
			break
		}
	}
	var out []float64
	for k := math.Ceil(a/step - 1e-9); k*step <= b+1e-9*step; k++ {
		out = append(out, k*step)
	}
	return out
}
