package segment

import (
	"context"
	"fmt"

	"rfanode/analysis/volume"
)

// LungsFromMasks takes the right and the left lung as another segmenter, a trained model, has found them, both on the
// CT's grid, and completes them as FindLungs does: holes filled, hull closed. One may be empty. Less than 100 mL of lung
// is an error that wraps ErrNoLungs.
func LungsFromMasks(ctx context.Context, right, left *volume.Mask) (*Lungs, error) {
	if right.VolumeML()+left.VolumeML() < minLungPartML {
		return nil, fmt.Errorf("%w: %.0f mL are called lung", ErrNoLungs, right.VolumeML()+left.VolumeML())
	}
	r, l := volume.Threshold(share(right), 0.5, 1), volume.Threshold(share(left), 0.5, 1)
	separate(r, l)
	return lungsOf(ctx, r, l, right.Geometry)
}
