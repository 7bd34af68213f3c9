package segment

import (
	"fmt"
	"math"

	"rfanode/analysis/volume"
)

// Limits beyond which a result is held for review. A wrong result is worse than none.
const (
	minLungL, maxLungL  = 1.0, 9.0
	minOneLungL         = 0.3
	minLungOverlap      = 0.90
	maxChangedElsewhere = 0.10
	changedHU           = 200
	effusionML          = 50 // of other new opacity thicker than effusionMM
	effusionMM          = 4
	otherMM             = 5 // nearer to the zone than this, other changes may be part of it or hide it
	freeAirML           = 20
	minGTRML, maxGTRML  = 0.05, 30
	maxHullShare        = 0.5
	maxCutOff           = 0.4
	minTumourShare      = 0.4 // of the tumour in its zone: a miss that gross is more likely the wrong nodule
	minZoneToTumour     = 1.5
	maxTumourElongation = 2.0
	groundGlassHU       = -300 // core of the tumour below
	thickSliceMM        = 4.5  // the glass of a part-solid tumour is not told from its blur on thicker slices
	endSlackMM          = 5    // nearer to the end of the scan than this, tumour or zone may go on beyond it
	maxGTREdgeMM        = 0.7  // two thresholds 0.2 of the contrast apart must agree to twice this
	maxPTZEdgeMM        = 0.9
)

func (l *Lesion) hold(reason string) { l.HoldReasons = append(l.HoldReasons, reason) }

// scene is what holds for all lesions of a pair.
type scene struct {
	figures    Figures
	hold, warn []string
}

// survey looks at the pair as a whole: lungs, registration, and what else has changed.
func (p *pair) survey(all []zone, found, bare []finding) scene {
	var s scene
	hold := func(format string, a ...any) { s.hold = append(s.hold, fmt.Sprintf(format, a...)) }
	for _, ct := range []struct {
		name  string
		lungs *Lungs
	}{{"pre", p.in.PreLungs}, {"post", p.in.PostLungs}} {
		r, l := ct.lungs.Right.VolumeML()/1000, ct.lungs.Left.VolumeML()/1000
		switch {
		case r+l < minLungL || r+l > maxLungL:
			hold("lung volume on the %s CT is %.1f L, expected %.0f to %.0f L", ct.name, r+l, minLungL, maxLungL)
		case r < minOneLungL:
			hold("the right lung is missing on the %s CT (%.1f L)", ct.name, r)
		case l < minOneLungL:
			hold("the left lung is missing on the %s CT (%.1f L)", ct.name, l)
		}
	}
	s.figures.LungOffsetHU = p.offsetHU
	if s.figures.LungOverlap = p.lungOverlap(); s.figures.LungOverlap < minLungOverlap {
		hold("the lungs overlap only by %.2f after the registration, expected %.2f", s.figures.LungOverlap, minLungOverlap)
	}
	zones := volume.NewMask(p.hull.Geometry)
	for _, f := range found {
		zones = volume.Union(zones, f.zone.mask)
	}
	others := volume.NewMask(p.hull.Geometry)
	near := volume.Dilate(zones, otherMM)
	for _, z := range all {
		if p.overlaps(z, found) {
			continue
		}
		s.figures.NextRadiusMM = max(s.figures.NextRadiusMM, z.radiusMM)
		if ml := z.mask.VolumeML(); ml > effusionML && z.radiusMM > effusionMM {
			others = volume.Union(others, z.mask)
			if volume.Intersect(near, z.mask).Count() > 0 {
				hold("%.0f mL of other new opacity beside the zone: effusion, collapse or bleeding", ml)
			} else {
				s.warn = append(s.warn, fmt.Sprintf("%.0f mL of other new opacity away from the zone: effusion, collapse or bleeding", ml))
			}
		}
	}
	air := p.freeAir(zones)
	if ml := air.VolumeML(); ml > freeAirML {
		others = volume.Union(others, air)
		if volume.Intersect(near, air).Count() > 0 {
			hold("%.0f mL of new air beside the lung and the zone: pneumothorax", ml)
		} else {
			s.warn = append(s.warn, fmt.Sprintf("%.0f mL of new air beside the lung, away from the zone: pneumothorax", ml))
		}
	}
	if s.figures.ChangedElsewhere = p.changedElsewhere(zones, others); s.figures.ChangedElsewhere > maxChangedElsewhere {
		hold("%.0f %% of the lung away from the zone changed by more than %d HU: collapse or a poor registration", 100*s.figures.ChangedElsewhere, changedHU)
	}
	for _, f := range bare {
		s.warn = append(s.warn, fmt.Sprintf("another new opacity of %.0f mL has no tumour under it on the pre CT", f.zone.mask.VolumeML()))
	}
	return s
}

// overlaps reports whether a new opacity is one of the findings, or a part of one.
func (p *pair) overlaps(z zone, found []finding) bool {
	for _, f := range found {
		for i, x := range z.mask.Data {
			if x&f.zone.mask.Data[i] != 0 {
				return true
			}
		}
	}
	return false
}

// lungOverlap is the Dice coefficient of the two hulls on the work grid of post.
func (p *pair) lungOverlap() float64 {
	pre, post := warpedMask(p.in.PreLungs.Hull, p.in.ToPre, p.hull.Geometry), share(p.in.PostLungs.Hull)
	both, sum := 0, 0
	for i, x := range pre.Data {
		y := uint8(0)
		if post.Data[i] >= 0.5 {
			y = 1
		}
		both += int(x & y)
		sum += int(x) + int(y)
	}
	if sum == 0 {
		return 0
	}
	return 2 * float64(both) / float64(sum)
}

// changedElsewhere is the share of the hull, more than 10 mm from the zones and not at its rim nor in others, that
// changed by more than changedHU.
func (p *pair) changedElsewhere(zones, others *volume.Mask) float64 {
	const awayMM, rimMM = 10, 5
	near, inner := volume.Dilate(volume.Union(zones, others), awayMM), volume.Erode(p.hull, rimMM)
	n, changed := 0, 0
	for i, x := range inner.Data {
		if x == 0 || near.Data[i] != 0 {
			continue
		}
		n++
		if math.Abs(float64(p.change.Data[i])) > changedHU {
			changed++
		}
	}
	if n == 0 {
		return 0
	}
	return float64(changed) / float64(n)
}

// freeAir is air that is darker than lung and was not there before, thicker than 6 mm, away from zones.
func (p *pair) freeAir(zones *volume.Mask) *volume.Mask {
	const airOnlyHU, darkerHU, halfMM = -960, -60, 3
	near := volume.Dilate(zones, zoneCloseMM)
	air := volume.NewMask(p.hull.Geometry)
	for i, x := range p.hull.Data {
		if x != 0 && near.Data[i] == 0 && p.post.Data[i] < airOnlyHU && p.change.Data[i] < darkerHU && p.pre.Data[i] > noCT {
			air.Data[i] = 1
		}
	}
	return volume.Open(air, halfMM)
}

// choice records how clearly the nodule was chosen.
func (l *Lesion) choice(p *pair, f finding) {
	l.Figures.Overlap = f.nodules[0].overlap
	if f.marked && p.in.Marks.onPre() {
		return // a person has chosen it; a zone that misses it is a finding, not a doubt
	}
	if l.Figures.Overlap < minOverlap {
		l.hold(fmt.Sprintf("no tumour on the pre CT lies clearly under the new opacity: the nearest has %.2f of its volume there, expected %.2f", l.Figures.Overlap, minOverlap))
	}
	if len(f.nodules) > 1 {
		l.Figures.RunnerUp = f.nodules[1].score() / f.nodules[0].score()
	}
	if l.Figures.RunnerUp > maxRunnerUp {
		l.hold(fmt.Sprintf("two nodules lie under the zone and either may be the one treated (the second scores %.2f of the first)", l.Figures.RunnerUp))
	}
}

// measure fills the figures of the surfaces.
func (l *Lesion) measure(gtr, ptz surface) {
	f := &l.Figures
	f.ShellHU, f.GlassHU = gtr.shellHU, gtr.glassHU
	f.TumourHU, f.TumourLungHU, f.ZoneHU, f.ZoneLungHU = gtr.insideHU, gtr.lungHU, ptz.insideHU, ptz.lungHU
	f.GTRML, f.PTZML = gtr.mask.VolumeML(), ptz.mask.VolumeML()
	f.GTRRangeML, f.PTZRangeML = gtr.rangeML, ptz.rangeML
	f.TumourShare = ptz.tumourShare
	f.GTRCutOff = cutOff(gtr.mask, gtr.hull)
	f.GTREdgeMM, f.PTZEdgeMM = edgeMM(gtr.rangeML), edgeMM(ptz.rangeML)
	f.Elongation = elongation(gtr.mask)
	f.GTRPleura, f.PTZPleura = hullArea(gtr.mask, gtr.hull), hullArea(ptz.mask, ptz.hull)
}

// check holds what is implausible or cannot be measured well. What a person has drawn is not judged, and how well it was
// drawn is not known.
func (l *Lesion) check(p *pair, gtr, ptz surface) {
	if drawn := l.Marked && p.in.Marks.GTR != nil; !drawn {
		l.Figures.GTRErrorMM = surfaceError(l.Figures.GTREdgeMM, l.Figures.GTRPleura)
		l.checkTumour()
		l.checkGlass(p.in.Pre.Spacing[2])
	}
	if drawn := l.Marked && p.in.Marks.PTZ != nil; !drawn {
		l.Figures.PTZErrorMM = surfaceError(l.Figures.PTZEdgeMM, l.Figures.PTZPleura)
		l.checkZone()
		if !l.Marked && l.Figures.TumourShare < minTumourShare {
			l.hold(fmt.Sprintf("only %.0f %% of the tumour lies in the zone: another nodule may be the one treated", 100*l.Figures.TumourShare))
		}
	}
	f := l.Figures
	if f.PTZML < minZoneToTumour*f.GTRML {
		l.hold(fmt.Sprintf("the zone (%.1f mL) is not larger than %.1f times the tumour (%.1f mL)", f.PTZML, minZoneToTumour, f.GTRML))
	}
	if nearEnd(gtr) || nearEnd(ptz) {
		l.hold("tumour or zone reaches the end of the scan range")
	}
}

// checkZone holds what is no zone whose outline can be seen.
func (l *Lesion) checkZone() {
	f := l.Figures
	if f.PTZPleura > maxHullShare {
		l.hold(fmt.Sprintf("the zone is attached to pleura or mediastinum over %.0f %% of its outline: needs a contour", 100*f.PTZPleura))
	}
	if f.PTZEdgeMM > maxPTZEdgeMM {
		l.hold(fmt.Sprintf("the zone's outline is not sharp: another threshold moves it by %.1f mm", f.PTZEdgeMM))
	}
}

// checkTumour holds what is no plausible tumour.
func (l *Lesion) checkTumour() {
	f := l.Figures
	if f.GTRML < minGTRML || f.GTRML > maxGTRML {
		l.hold(fmt.Sprintf("tumour volume of %.2f mL, expected %.2f to %d mL", f.GTRML, minGTRML, maxGTRML))
	}
	if f.Elongation > maxTumourElongation {
		l.hold(fmt.Sprintf("what lies under the zone is %.1f times as long as wide: a vessel or a scar rather than a tumour", f.Elongation))
	}
	if f.GTRPleura > maxHullShare {
		l.hold(fmt.Sprintf("the tumour is attached to pleura or mediastinum over %.0f %% of its outline: needs a contour", 100*f.GTRPleura))
	}
	if f.GTRCutOff > maxCutOff {
		l.hold("the lung's outline ends in the middle of the tumour: what of it lies in the lung cannot be told")
	}
	if f.GTREdgeMM > maxGTREdgeMM {
		l.hold(fmt.Sprintf("the tumour's outline is not sharp: another threshold moves it by %.1f mm", f.GTREdgeMM))
	}
}

// checkGlass holds ground glass, where generated pairs show that the surface is not found well enough (docs/method.md).
func (l *Lesion) checkGlass(sliceMM float64) {
	switch f := l.Figures; {
	case f.TumourHU < groundGlassHU:
		l.hold("the tumour is ground glass, whose outline the program does not find well enough: needs a contour")
	case f.GlassHU != 0 && sliceMM > thickSliceMM:
		l.hold(fmt.Sprintf("the tumour is part-solid, and slices of %.1f mm do not show its ground glass well enough: needs a contour", sliceMM))
	}
}

// nearEnd reports whether a surface comes within endSlackMM of the first or last slice of its CT.
func nearEnd(s surface) bool {
	lo, hi, ok := s.mask.Bounds()
	if !ok {
		return false
	}
	below := float64(lo[2])*s.region.Spacing[2] + float64(s.region.lo[2])*s.region.ct.Spacing[2]
	above := float64(s.region.ct.Size[2]-1)*s.region.ct.Spacing[2] - float64(hi[2])*s.region.Spacing[2] - float64(s.region.lo[2])*s.region.ct.Spacing[2]
	return min(below, above) < endSlackMM
}
