package sr

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"math"
	"strconv"

	"rfanode/analysis"
	"rfanode/analysis/ct"
	"rfanode/analysis/volume"
)

// Layout of the picture, pixels.
const (
	pictureSize  = 1024
	gap          = 4
	panelSize    = 336
	titleHeight  = 44
	footerHeight = 40
	row1         = titleHeight
	row2         = row1 + panelSize + gap
	row3         = row2 + panelSize + gap
	textWidth    = pictureSize - 24
)

// Field of view of the panels: the structures and what lies around them, so that the chest wall or a vessel nearby
// shows, but not less than a hand's breadth.
const (
	aroundMM = 25
	minFOV   = 110
)

var (
	white    = color.RGBA{240, 243, 246, 255}
	grey     = color.RGBA{160, 168, 178, 255}
	ink      = color.RGBA{24, 28, 34, 255} // background of text
	redInk   = color.RGBA{255, 70, 70, 255}
	greenInk = color.RGBA{90, 210, 120, 255}
)

// picture is what the summary shows. pre, post and every part of the findings may be nil: a held case shows what there
// is.
type picture struct {
	pre, post *ct.Series
	f         *analysis.Findings
	fonts     *fontSet
	sentences []string
	lesions   int
	version   string
	img       *image.RGBA
}

// Summary draws the picture of one lesion, 1024 × 1024 pixels: axial, coronal and sagittal planes of the post CT through
// the point of the smallest margin, the pre CT at the tumour, the shares of the tumour's surface by margin, the main
// numbers and the sentences of the report. For a held case it shows what there is and why the case is held. No name and
// no identification is drawn.
func Summary(pre, post *ct.Series, f analysis.Findings, opts Options) (image.Image, error) {
	if pre == nil && post == nil {
		return nil, errors.New("a summary picture needs at least one of the two series")
	}
	opts.setDefaults(post)
	fonts, err := loadFonts(opts.Font)
	if err != nil {
		return nil, err
	}
	p := picture{pre: pre, post: post, f: &f, fonts: fonts, lesions: 1, version: opts.Version}
	slices := 0
	if post != nil && post.Volume != nil {
		slices = post.Volume.Size[2]
	}
	p.sentences = resultSentences(&f, slices)
	if f.Status == analysis.Final && pre != nil && post != nil {
		if c, err := newCase(pre, post, []analysis.Findings{f}, opts); err == nil { // series without DICOM identity have no objects, but a picture
			c.planSegmentations()
			p.sentences = c.sentences(c.lesions[0])
		}
	}
	return p.draw(), nil
}

func (p *picture) draw() *image.RGBA {
	p.img = image.NewRGBA(image.Rect(0, 0, pictureSize, pictureSize))
	fill(p.img, p.img.Rect, ink)
	p.title()
	p.postPanels()
	p.prePanel(image.Pt(gap, row2))
	p.histogram(image.Rect(gap*2+panelSize, row2, gap*2+2*panelSize, row2+panelSize))
	p.numbers(image.Rect(gap*3+2*panelSize, row2, gap*3+3*panelSize, row2+panelSize))
	p.text(image.Rect(12, row3+4, 12+textWidth, pictureSize-footerHeight))
	p.footer()
	return p.img
}

func (p *picture) held() bool { return p.f.Status != analysis.Final }

func (p *picture) title() {
	big, small := p.fonts.face(22, true), p.fonts.face(16, false)
	name := "Ablation margin summary"
	if p.lesions > 1 || p.f.Lesion > 1 {
		name += " · lesion " + strconv.Itoa(p.f.Lesion)
	}
	x := big.draw(p.img, 12, 30, name, white)
	if p.post != nil && p.pre != nil && !p.pre.Acquired.IsZero() && !p.post.Acquired.IsZero() {
		small.draw(p.img, x+16, 30, "pre "+p.pre.Acquired.Format("2006-01-02")+"   post "+p.post.Acquired.Format("2006-01-02"), grey)
	}
	if p.held() {
		s := "HELD - not a result"
		big.draw(p.img, pictureSize-12-big.width(s), 30, s, redInk)
	} else {
		s := "RESEARCH USE ONLY"
		big.draw(p.img, pictureSize-12-big.width(s), 30, s, redInk)
	}
}

func (p *picture) footer() {
	f, small := p.fonts.face(18, true), p.fonts.face(13, false)
	y := pictureSize - 14
	f.draw(p.img, 12, y, RUO, redInk)
	s := "rfanode " + p.version
	small.draw(p.img, pictureSize-12-small.width(s), y, s, grey)
}

// layer is a structure as it is drawn.
type layer struct {
	mask *volume.Mask
	kind structureKind
	fill float64
}

func layers(g volume.Geometry, in ...layer) []layer {
	var out []layer
	for _, l := range in {
		if l.mask != nil && l.mask.Size == g.Size && len(l.mask.Data) == g.Len() {
			out = append(out, l)
		}
	}
	return out
}

func maskOf(s *analysis.Structure) *volume.Mask {
	if s == nil {
		return nil
	}
	return s.Mask
}

// postPanels draws the three planes of the post CT through the point of the smallest margin; without one, through the
// middle of the structures; without structures, through the middle of the scan.
func (p *picture) postPanels() {
	if p.post == nil || p.post.Volume == nil {
		for i := range 3 {
			p.emptyPanel(image.Pt(gap+i*(panelSize+gap), row1), "no post series")
		}
		return
	}
	g := p.post.Volume.Geometry
	f := p.f
	ls := layers(g,
		layer{maskOf(f.PTV), kindPTV, 0}, layer{maskOf(f.PTZ), kindPTZ, 0},
		layer{maskOf(f.GTRPost), kindGTRPost, 0}, layer{maskOf(f.Uncovered), kindUncovered, 0.38})
	centre, fov := frame(g, ls)
	var mark *volume.Vec
	if f.Coverage != nil {
		m := g.Index(f.Coverage.Worst.Point)
		mark = &m
	}
	for i, v := range []view{axial, coronal, sagittal} {
		at := image.Pt(gap+i*(panelSize+gap), row1)
		c := centre
		through := newPlane(g, v, c, fov, panelSize).through
		if mark != nil {
			c[through] = mark[through]
			if v == axial && f.Coverage.Worst.Slice > 0 {
				c[through] = float64(f.Coverage.Worst.Slice - 1) // the slice that the sentence names
			}
		}
		pl := newPlane(g, v, c, fov, panelSize)
		caption := v.String() + ", post"
		if v == axial {
			caption += sliceCaption(p.post, pl)
		}
		p.panel(at, pl, p.post.Volume, ls, mark, caption)
	}
}

// prePanel draws the axial plane of the pre CT with the tumour at its widest.
func (p *picture) prePanel(at image.Point) {
	if p.pre == nil || p.pre.Volume == nil {
		p.emptyPanel(at, "no pre series")
		return
	}
	g := p.pre.Volume.Geometry
	ls := layers(g, layer{maskOf(p.f.GTR), kindGTRPre, 0})
	centre, fov := frame(g, ls)
	if len(ls) > 0 {
		if k, ok := widestPlane(ls[0].mask, patientAxes(g)[2]); ok {
			centre[patientAxes(g)[2]] = float64(k)
		}
		if p.post != nil && p.post.Volume != nil && p.f.PTZ != nil { // the same scale as beside it
			_, fov = frame(p.post.Volume.Geometry, layers(p.post.Volume.Geometry, layer{maskOf(p.f.PTV), kindPTV, 0}, layer{maskOf(p.f.PTZ), kindPTZ, 0}))
		}
	}
	pl := newPlane(g, axial, centre, fov, panelSize)
	p.panel(at, pl, p.pre.Volume, ls, nil, "Axial, pre"+sliceCaption(p.pre, pl))
}

// sliceCaption says which slice an axial panel shows, if it shows one.
func sliceCaption(s *ct.Series, pl plane) string {
	if pl.through != 2 {
		return ""
	}
	k := int(pl.centre[2])
	if k < 0 || k >= len(s.Instances) {
		return ""
	}
	caption := fmt.Sprintf(", slice %d of %d", k+1, len(s.Instances))
	if n := s.Instances[k].InstanceNumber; n != "" {
		caption += " (image " + n + ")"
	}
	return caption
}

// frame is the centre (voxel indices) of the structures and the field of view, mm, that shows them all.
func frame(g volume.Geometry, ls []layer) (volume.Vec, float64) {
	lo := [3]int{math.MaxInt, math.MaxInt, math.MaxInt}
	hi := [3]int{-1, -1, -1}
	for _, l := range ls {
		o := 0
		for k := range g.Size[2] {
			for j := range g.Size[1] {
				for i := range g.Size[0] {
					if l.mask.Data[o] != 0 {
						for a, x := range [3]int{i, j, k} {
							lo[a], hi[a] = min(lo[a], x), max(hi[a], x)
						}
					}
					o++
				}
			}
		}
	}
	var centre volume.Vec
	fov := 0.0
	if hi[0] < 0 {
		for a := range 3 {
			centre[a] = float64(g.Size[a]-1) / 2
			if a != patientAxes(g)[2] {
				fov = max(fov, float64(g.Size[a])*g.Spacing[a])
			}
		}
		return centre, fov
	}
	for a := range 3 {
		centre[a] = float64(lo[a]+hi[a]) / 2
		fov = max(fov, float64(hi[a]-lo[a]+1)*g.Spacing[a]+2*aroundMM)
	}
	return centre, max(fov, minFOV)
}

// widestPlane is the index along an axis where the mask has most voxels.
func widestPlane(m *volume.Mask, axis int) (int, bool) {
	counts := make([]int, m.Size[axis])
	o := 0
	for k := range m.Size[2] {
		for j := range m.Size[1] {
			for i := range m.Size[0] {
				if m.Data[o] != 0 {
					counts[[3]int{i, j, k}[axis]]++
				}
				o++
			}
		}
	}
	best := 0
	for k, n := range counts {
		if n > counts[best] {
			best = k
		}
	}
	return best, counts[best] > 0
}

func (p *picture) emptyPanel(at image.Point, why string) {
	fill(p.img, image.Rectangle{at, at.Add(image.Pt(panelSize, panelSize))}, background)
	f := p.fonts.face(16, false)
	f.draw(p.img, at.X+(panelSize-f.width(why))/2, at.Y+panelSize/2, why, grey)
}

// panel draws one plane with outlines, crosshair, letters, scale bar and caption.
func (p *picture) panel(at image.Point, pl plane, v *volume.Volume, ls []layer, mark *volume.Vec, caption string) {
	sub := p.img.SubImage(image.Rectangle{at, at.Add(image.Pt(panelSize, panelSize))}).(*image.RGBA)
	drawCT(sub, at, pl, v)
	for _, l := range ls {
		drawMask(sub, at, pl, l.mask, l.kind.colour, l.fill, 0.95)
	}
	if mark != nil {
		x, y := pl.pixel(*mark)
		drawCrosshair(sub, at, pl, x, y)
	}
	letter, small := p.fonts.face(17, true), p.fonts.face(14, false)
	mid := panelSize / 2
	letter.drawShadowed(sub, at.X+6, at.Y+mid+6, pl.labels[0], white)
	letter.drawShadowed(sub, at.X+panelSize-6-letter.width(pl.labels[1]), at.Y+mid+6, pl.labels[1], white)
	letter.drawShadowed(sub, at.X+mid-letter.width(pl.labels[2])/2, at.Y+38, pl.labels[2], white)
	letter.drawShadowed(sub, at.X+mid-letter.width(pl.labels[3])/2, at.Y+panelSize-8, pl.labels[3], white)
	small.drawShadowed(sub, at.X+6, at.Y+17, caption, white)

	mm := scaleBarMM(pl)
	length := int(math.Round(mm / pl.mmPerPix))
	x, y := at.X+panelSize-10-length, at.Y+panelSize-12
	fill(sub, image.Rect(x-1, y-1, x+length+1, y+4), color.RGBA{0, 0, 0, 255})
	fill(sub, image.Rect(x, y, x+length, y+3), white)
	s := fmt.Sprintf("%.0f mm", mm)
	small.drawShadowed(sub, x+(length-small.width(s))/2, y-6, s, white)
}

// histogram shows how much of the tumour's surface has which margin.
func (p *picture) histogram(r image.Rectangle) {
	fill(p.img, r, background)
	head, small, bold := p.fonts.face(16, true), p.fonts.face(14, false), p.fonts.face(15, true)
	head.draw(p.img, r.Min.X+12, r.Min.Y+26, "Tumor surface by margin", white)
	if p.f.Coverage == nil {
		small.draw(p.img, r.Min.X+12, r.Min.Y+56, "not measured", grey)
		return
	}
	colours := [4]color.RGBA{{235, 64, 64, 255}, {245, 150, 50, 255}, {110, 200, 110, 255}, {50, 150, 90, 255}}
	names := [4]string{"< 0", "0 to < 5", "5 to < 10", ">= 10"}
	base, top := r.Max.Y-56, r.Min.Y+64
	width := (r.Dx() - 24) / 4
	for i, share := range p.f.Coverage.MarginShare {
		x := r.Min.X + 12 + i*width
		h := int(math.Round(min(max(share, 0), 1) * float64(base-top)))
		if share > 0 && h == 0 {
			h = 1
		}
		fill(p.img, image.Rect(x+8, base-h, x+width-8, base), colours[i])
		s := percentText(share) + " %"
		bold.draw(p.img, x+(width-bold.width(s))/2, base-h-7, s, white)
		small.draw(p.img, x+(width-small.width(names[i]))/2, base+20, names[i], white)
	}
	fill(p.img, image.Rect(r.Min.X+12, base, r.Max.X-12, base+1), grey)
	axis := "margin, mm"
	small.draw(p.img, r.Min.X+(r.Dx()-small.width(axis))/2, base+42, axis, grey)
}

// numbers shows the two main figures large, and the legend with the volumes.
func (p *picture) numbers(r image.Rectangle) {
	fill(p.img, r, background)
	label, big, small := p.fonts.face(15, false), p.fonts.face(38, true), p.fonts.face(14, false)
	x, y := r.Min.X+14, r.Min.Y+26
	if c := p.f.Coverage; c != nil {
		tone, class := redInk, "INSUFFICIENT COVERAGE"
		if c.Complete {
			tone, class = greenInk, "COMPLETE COVERAGE"
		}
		p.fonts.face(16, true).draw(p.img, x, y, class, tone)
		label.draw(p.img, x, y+28, "Target coverage (TCR)", grey)
		big.draw(p.img, x, y+66, percentText(c.TCR)+" %", white)
		small.draw(p.img, x, y+88, "range "+percentText(c.TCRRange[0])+" - "+percentText(c.TCRRange[1])+" %, in lung "+percentText(c.TCRInLung)+" %", grey)
		label.draw(p.img, x, y+120, "Minimal ablative margin", grey)
		big.draw(p.img, x, y+158, cut(c.MAMMM, 1)+" mm", white)
		small.draw(p.img, x, y+180, "5th percentile "+cut(c.MAMP5MM, 1)+" mm", grey)
	} else {
		p.fonts.face(16, true).draw(p.img, x, y, "NO COVERAGE MEASURED", redInk)
	}
	y = r.Max.Y - 96
	for _, e := range []struct {
		kind structureKind
		name string
		s    *analysis.Structure
	}{{kindGTRPre, "Tumor (GTR)", p.f.GTR}, {kindPTV, "Target: tumor + 5 mm (PTV)", p.f.PTV}, {kindPTZ, "Ablation zone (PTZ)", p.f.PTZ}, {kindUncovered, "Uncovered target", p.f.Uncovered}} {
		c := color.RGBA{e.kind.colour[0], e.kind.colour[1], e.kind.colour[2], 255}
		fill(p.img, image.Rect(x, y-9, x+22, y-5), c)
		small.draw(p.img, x+30, y, e.name, white)
		v := "-"
		switch {
		case e.kind == kindUncovered && p.f.Coverage != nil: // the figure that the sentence gives
			v = volumeText(p.f.Coverage.UncoveredML) + " cm3"
		case e.s != nil:
			v = volumeText(e.s.VolumeML) + " cm3"
		}
		small.draw(p.img, r.Max.X-14-small.width(v), y, v, white)
		y += 25
	}
}

// Sizes of the sentences: the largest at which they fit.
const (
	maxTextSize = 16
	minTextSize = 11
)

// text writes the sentences; a held case begins with its reasons.
func (p *picture) text(r image.Rectangle) {
	var red, plain []string
	if p.held() {
		for _, s := range p.f.Reasons {
			red = append(red, "Held: "+s)
		}
		if len(red) == 0 {
			red = append(red, "Held: no reason given")
		}
		for _, s := range p.f.Warnings {
			plain = append(plain, "Warning: "+s)
		}
	}
	for _, s := range p.sentences {
		if s != RUO { // the footer says it, larger
			plain = append(plain, s)
		}
	}
	for size := maxTextSize; ; size-- {
		face := p.fonts.face(size, false)
		step := size + size/4 + 1
		room := r.Dy() / step
		redLines, plainLines := wrapAll(face, red, r.Dx()), wrapAll(face, plain, r.Dx())
		n := len(redLines) + len(plainLines)
		if n > room && size > minTextSize {
			continue
		}
		y := r.Min.Y + size
		for i, line := range append(redLines, plainLines...) {
			if i == room-1 && n > room {
				face.draw(p.img, r.Min.X, y, "… more in the report", grey)
				return
			}
			c := white
			if i < len(redLines) {
				c = redInk
			}
			face.draw(p.img, r.Min.X, y, line, c)
			y += step
		}
		return
	}
}

func wrapAll(f *textFace, sentences []string, width int) []string {
	var out []string
	for _, s := range sentences {
		for i, line := range f.wrap(keepUnits.Replace(s), width-14) {
			if i > 0 {
				line = "    " + line
			} else {
				line = "• " + line
			}
			out = append(out, line)
		}
	}
	return out
}
