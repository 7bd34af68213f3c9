package register

import (
	"context"
	"fmt"
	"math"

	"rfanode/analysis/volume"
)

// Spacings of the internal grid that make sense, mm: finer ones show nothing new, on coarser ones a lung has too few
// blocks.
const (
	minSpacingMM = 0.5
	maxSpacingMM = 20
)

// maxGridVoxels bounds an internal grid, so that counts of voxels stay within 32 bits.
const maxGridVoxels = 1 << 31

// usable says why a volume cannot be registered. Values that are not finite would spread to their whole neighbourhood
// when the volume is resampled, and no filling is right for all of them: the caller knows what they stand for.
func usable(name string, v *volume.Volume) error {
	if v == nil || v.Len() <= 0 || len(v.Data) != v.Len() {
		return fmt.Errorf("register: the %s volume is empty or its data do not fit its grid", name)
	}
	if err := regular(v.Geometry); err != nil {
		return fmt.Errorf("register: the grid of the %s volume: %w", name, err)
	}
	plane := v.Size[0] * v.Size[1]
	bad := make([]int, v.Size[2])
	err := parallel(context.Background(), threadCount(0), v.Size[2], func(_, k int) {
		for _, x := range v.Data[k*plane:][:plane] {
			if x-x != 0 { // NaN, ±Inf
				bad[k]++
			}
		}
	})
	if err != nil {
		return err
	}
	n := 0
	for _, b := range bad {
		n += b
	}
	if n > 0 {
		return fmt.Errorf("register: %d voxels of the %s volume are not finite numbers: write -1024 where nothing was scanned", n, name)
	}
	return nil
}

// regular says why a grid is none: an axis without length, or axes that are not perpendicular.
func regular(g volume.Geometry) error {
	for a := range 3 {
		if s := g.Spacing[a]; !(s > 0) || math.IsInf(s, 0) {
			return fmt.Errorf("a spacing of %g mm along axis %d", s, a)
		}
		if o := g.Origin[a]; o-o != 0 {
			return fmt.Errorf("an origin of %g mm", o)
		}
		for b := range a + 1 {
			d, e := g.Direction[a], g.Direction[b]
			dot := d[0]*e[0] + d[1]*e[1] + d[2]*e[2]
			if a == b {
				dot--
			}
			if !(math.Abs(dot) < 1e-2) {
				return fmt.Errorf("its axes %d and %d are no unit vectors at right angles", b, a)
			}
		}
	}
	return nil
}

// lungGrids are the internal grids round the lungs of both volumes, or round the whole scans, of the spacing given (0: the
// default).
func lungGrids(fixed, moving *volume.Volume, fixedLung, movingLung *volume.Mask, spacing float64) (f, m volume.Geometry, err error) {
	if spacing == 0 {
		spacing = defaultSpacingMM
	}
	if !(spacing >= minSpacingMM && spacing <= maxSpacingMM) {
		return f, m, fmt.Errorf("register: a grid of %g mm: choose %g to %d", spacing, minSpacingMM, maxSpacingMM)
	}
	if f, err = lungGrid("fixed", fixed, fixedLung, spacing); err != nil {
		return f, m, err
	}
	m, err = lungGrid("moving", moving, movingLung, spacing)
	return f, m, err
}

func lungGrid(name string, v *volume.Volume, lung *volume.Mask, spacing float64) (volume.Geometry, error) {
	if err := usable(name, v); err != nil {
		return volume.Geometry{}, err
	}
	lo, hi := bounds(v.Geometry, [3]int{}, [3]int{v.Size[0] - 1, v.Size[1] - 1, v.Size[2] - 1})
	margin := 0.0
	if lung != nil {
		if lung.Len() <= 0 || len(lung.Data) != lung.Len() {
			return volume.Geometry{}, fmt.Errorf("register: the data of the lung mask of the %s volume do not fit its grid", name)
		}
		if err := regular(lung.Geometry); err != nil {
			return volume.Geometry{}, fmt.Errorf("register: the grid of the lung mask of the %s volume: %w", name, err)
		}
		a, b, ok := lung.Bounds()
		if !ok {
			return volume.Geometry{}, fmt.Errorf("register: the lung mask of the %s volume is empty: find the lungs first or pass none to use the whole scan", name)
		}
		l, h := bounds(lung.Geometry, a, b)
		for c := range 3 {
			if l[c] > hi[c] || h[c] < lo[c] {
				return volume.Geometry{}, fmt.Errorf("register: the lung mask of the %s volume lies beside it: it belongs to another series", name)
			}
		}
		lo, hi, margin = l, h, lungMarginMM
	}
	voxels := 1.0
	for c := range 3 {
		voxels *= (hi[c]-lo[c]+2*margin)/spacing + 1
	}
	if !(voxels < maxGridVoxels) {
		return volume.Geometry{}, fmt.Errorf("register: the %s volume is too large for a grid of %g mm (%.3g voxels): check its spacing", name, spacing, voxels)
	}
	return isotropic(spacing, margin, lo, hi, v.Geometry), nil
}
