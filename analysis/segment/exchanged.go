package segment

import (
	"fmt"

	"rfanode/analysis/volume"
)

// minAgreement is the overlap (Dice) below which two segmenters have not found the same thing: one of them then holds
// half as much again or more of what the other does not.
const minAgreement = 0.5

// Exchanged is a lesion whose tumour, zone or both another segmenter, a trained model, has found: nil leaves what there
// is. What is implausible, lies outside of the lungs, or is not what the classical segmenter sees there holds the lesion.
func (l Lesion) Exchanged(gtr, ptz *volume.Mask, preLungs, postLungs *Lungs) Lesion {
	l.HoldReasons = append([]string{}, l.HoldReasons...)
	if ptz != nil {
		l.compare("ablation zone", ptz, l.PTZ.Mask, postLungs.Hull)
		l.PTZ = Structure{Mask: ptz, Level: volume.SignedDistance(ptz)}
	}
	if gtr != nil {
		l.compare("tumour", gtr, l.GTR.Mask, preLungs.Hull)
		l.GTR = Structure{Mask: gtr, Level: volume.SignedDistance(gtr)}
		if ml := gtr.VolumeML(); ml < minGTRML || ml > maxGTRML {
			l.hold(fmt.Sprintf("the model's tumour has %.2f mL, expected %.2f to %d mL", ml, minGTRML, maxGTRML))
		}
	}
	if l.GTR.Mask != nil && l.PTZ.Mask != nil {
		if tumour, zone := l.GTR.Mask.VolumeML(), l.PTZ.Mask.VolumeML(); zone < minZoneToTumour*tumour {
			l.hold(fmt.Sprintf("the zone (%.1f mL) is not larger than %.1f times the tumour (%.1f mL)", zone, minZoneToTumour, tumour))
		}
	}
	return l
}

// compare holds a model's structure that is not what the classical segmenter found, or that lies outside of the lungs.
func (l *Lesion) compare(name string, model, classical, hull *volume.Mask) {
	if inside := volume.Intersect(model, hull).Count(); 2*inside < model.Count() {
		l.hold(fmt.Sprintf("the model's %s lies to %.0f %% outside of the lungs", name, 100-100*float64(inside)/float64(model.Count())))
	}
	if classical == nil || classical.Count() == 0 {
		return
	}
	both := volume.Intersect(model, classical).Count()
	if d := 2 * float64(both) / float64(model.Count()+classical.Count()); d < minAgreement {
		l.hold(fmt.Sprintf("model and built-in segmenter disagree on the %s (%.1f and %.1f mL, Dice %.2f)", name, model.VolumeML(), classical.VolumeML(), d))
	}
}
