package analysis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"rfanode/analysis/segment"
	"rfanode/analysis/segment/nnunet"
	"rfanode/analysis/volume"
)

// Models are trained nnU-Net models that take the place of the classical segmenter, a structure each; nil: classical.
type Models struct{ Lungs, GTR, PTZ *Model }

// Crop says what a model is shown of a CT.
type Crop string

const (
	CropModel  Crop = ""       // the lungs if the model asks for it, else the whole CT
	CropNone   Crop = "none"   // the whole CT
	CropLungs  Crop = "lungs"  // the box round the lungs
	CropLesion Crop = "lesion" // the box round the lesion as the classical segmenter found it
)

// Model is one model and how it is used. It opens its folder when it is first needed and keeps it verified.
type Model struct {
	Dir         string
	Runtime     nnunet.Options
	Labels      []string // of the model, that make up the structure
	Right, Left []string // for lungs: those of the two sides; Labels is then not used
	Mirror      bool     // average over mirrored images
	Step        float64  // of the tiles; 0: the model's own
	Crop        Crop
	MarginMM    float64 // round lungs or lesion; 0: 20
	MemoryBytes int64   // 0: no limit
	// Fallback lets the classical segmenter take over where the model cannot be used or finds nothing; the result says
	// so. Without it the case is held.
	Fallback bool

	mu     sync.Mutex
	opened *nnunet.Model
}

// cropMarginMM is what TotalSegmentator leaves round the lungs.
const cropMarginMM = 20

// artificial is the family (CID 7162) of a network.
const artificial = "Artificial Intelligence"

// Open reads and verifies the model, once; a failure is tried again at the next call, so that a cure needs no restart.
// Names of labels that the model does not have are an error.
func (m *Model) Open(ctx context.Context) (*nnunet.Model, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.opened != nil && m.opened.Unchanged() {
		return m.opened, nil
	}
	model, err := nnunet.Open(ctx, m.Dir, m.Runtime)
	if err != nil {
		return nil, err
	}
	have := model.Describe().Labels
	for _, l := range slices.Concat(m.Labels, m.Right, m.Left) {
		if !slices.Contains(have, l) {
			return nil, fmt.Errorf("nnU-Net model %s has no label %q; it has %s", m.Dir, l, strings.Join(have, ", "))
		}
	}
	m.opened = model
	return model, nil
}

// shown is what there is to crop to.
type shown struct {
	lungs  *volume.Mask // nil: not known yet
	lesion *volume.Mask // nil: none
}

// run segments a CT. progress is told of every tile.
func (m *Model) run(ctx context.Context, v *volume.Volume, s shown, progress func(done, total int)) (*nnunet.Labels, error) {
	model, err := m.Open(ctx)
	if err != nil {
		return nil, err
	}
	opts := nnunet.SegmentOptions{Mirror: m.Mirror, Step: m.Step, MarginMM: m.MarginMM, MemoryBytes: m.MemoryBytes, Progress: progress}
	asked, margin := model.Crop()
	if opts.MarginMM == 0 {
		opts.MarginMM = cropMarginMM
		if asked {
			opts.MarginMM = margin
		}
	}
	switch {
	case m.Crop == CropLesion && s.lesion != nil && s.lesion.Count() > 0:
		opts.Within = s.lesion
	case m.Crop == CropNone, m.Crop == CropModel && !asked:
	default:
		opts.Within = s.lungs
	}
	return model.Segment(ctx, v, opts)
}

// algorithm names the model in the results.
func (m *Model) algorithm(role string) Algorithm {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.opened.Describe()
	parameters := fmt.Sprintf("nnU-Net v2 %s, %d folds, ONNX Runtime %s, SHA-256 %s, mirroring %t", d.Configuration, d.Folds, d.Runtime, d.SHA256, m.Mirror)
	if m.Step > 0 {
		parameters += fmt.Sprintf(", step %g", m.Step)
	}
	if m.Crop != CropModel {
		parameters += ", cropped: " + string(m.Crop)
	}
	return Algorithm{Role: role, Name: d.Name, Version: d.Version, Family: artificial, Source: fmt.Sprintf("nnU-Net, SHA-256 %.32s", d.SHA256), Parameters: parameters}
}

// roleNames are the structures in words.
var roleNames = map[string]string{"lungs": "the lungs", "gtr": "the tumour", "ptz": "the ablation zone"}

// use notes in the findings that a model made a structure, or, with an error, that the classical segmenter did in its
// place. Without a fallback the error comes back and holds the case.
func (f *Findings) use(ctx context.Context, role string, m *Model, err error) error {
	var a Algorithm
	switch {
	case err == nil:
		a = m.algorithm(role)
	case ctx.Err() != nil:
		return errors.Join(ctx.Err(), err)
	case !m.Fallback:
		return fmt.Errorf("the model for %s cannot be used: %w", roleNames[role], err)
	default:
		f.warn("%s: segmented by the classical algorithm, because the model could not be used: %v", roleNames[role], err)
		return nil
	}
	f.Algorithms = slices.Clone(f.Algorithms)
	for i := range f.Algorithms {
		if f.Algorithms[i].Role == role {
			f.Algorithms[i] = a
		}
	}
	return nil
}

// openModels opens the models before anything is computed: one that cannot be used holds the case at once, or leaves its
// structure to the classical segmenter.
func (f *Findings) openModels(ctx context.Context, opts *Options) error {
	for _, m := range []struct {
		role  string
		model **Model
	}{{"lungs", &opts.Models.Lungs}, {"gtr", &opts.Models.GTR}, {"ptz", &opts.Models.PTZ}} {
		if *m.model == nil {
			continue
		}
		if _, err := (*m.model).Open(ctx); err != nil {
			if err := f.use(ctx, m.role, *m.model, err); err != nil {
				return err
			}
			*m.model = nil
		}
	}
	return nil
}

// lungs finds the lungs of both scans, by the model if there is one.
func (f *Findings) lungs(ctx context.Context, pre, post *volume.Volume, m *Model, stage func(string)) (preLungs, postLungs *segment.Lungs, err error) {
	if m == nil {
		return bothLungs(ctx, pre, post)
	}
	if preLungs, err = m.lungs(ctx, pre, "pre CT", stage); err == nil {
		postLungs, err = m.lungs(ctx, post, "post CT", stage)
	}
	failed := err != nil
	if err := f.use(ctx, "lungs", m, err); err != nil {
		return nil, nil, err
	}
	if failed {
		return bothLungs(ctx, pre, post)
	}
	return preLungs, postLungs, nil
}

func (m *Model) lungs(ctx context.Context, v *volume.Volume, name string, stage func(string)) (*segment.Lungs, error) {
	l, err := m.run(ctx, v, shown{}, tiles(stage, "lungs of the "+name))
	if err != nil {
		return nil, err
	}
	right, err := l.Mask(m.Right...)
	if err != nil {
		return nil, err
	}
	left, err := l.Mask(m.Left...)
	if err != nil {
		return nil, err
	}
	lungs, err := segment.LungsFromMasks(ctx, right, left)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return lungs, nil
}

// tiles tells a person how far a network is.
func tiles(stage func(string), what string) func(done, total int) {
	return func(done, total int) { stage(fmt.Sprintf("%s: tile %d of %d", what, min(done+1, total), total)) }
}

// findLesions finds the lesions of a pair. Which nodule was treated follows from the change between the scans, for
// models too, because a model finds every nodule there is; tumour and zone are then the model's. What a person has given
// goes before any model.
func (f *Findings) findLesions(ctx context.Context, in segment.LesionInput, opts Options, stage func(string)) ([]segment.Lesion, error) {
	found, err := lesions(ctx, in, opts)
	if err != nil {
		return nil, err
	}
	free := func(g Given) bool { return g.Mask == nil && g.Point == nil }
	if m := opts.Models.PTZ; m != nil && free(opts.PTZ) {
		if err := f.takeZones(ctx, in, found, m, stage); err != nil {
			return nil, err
		}
	}
	if m := opts.Models.GTR; m != nil && free(opts.GTR) {
		if err := f.takeTumours(ctx, in, found, m, stage); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// takeZones puts the model's zone in the place of the one found by the change.
func (f *Findings) takeZones(ctx context.Context, in segment.LesionInput, found []segment.Lesion, m *Model, stage func(string)) error {
	show := shown{lungs: in.PostLungs.Hull}
	for _, l := range found {
		show.lesion = joined(show.lesion, l.PTZ.Mask)
	}
	parts, err := m.parts(ctx, in.Post, show, tiles(stage, "ablation zone"))
	return f.replace(ctx, "ptz", m, err, found, func(l *segment.Lesion) bool {
		if l.PTZ.Mask == nil {
			return false
		}
		mask := parts.that(func(hit func(i int)) {
			for i, x := range l.PTZ.Mask.Data {
				if x != 0 {
					hit(i)
				}
			}
		}, false)
		if mask != nil {
			*l = l.Exchanged(nil, mask, in.PreLungs, in.PostLungs)
		}
		return mask != nil
	})
}

// takeTumours puts the model's nodule in the place of the one found under each zone: the one that most of the zone,
// carried to the pre CT, lies on.
func (f *Findings) takeTumours(ctx context.Context, in segment.LesionInput, found []segment.Lesion, m *Model, stage func(string)) error {
	show := shown{lungs: in.PreLungs.Hull}
	for _, l := range found {
		show.lesion = joined(show.lesion, l.GTR.Mask)
	}
	parts, err := m.parts(ctx, in.Pre, show, tiles(stage, "tumour"))
	return f.replace(ctx, "gtr", m, err, found, func(l *segment.Lesion) bool {
		if l.PTZ.Mask == nil {
			return false
		}
		mask := parts.that(func(hit func(i int)) { carried(l, in.Pre.Geometry, hit) }, true)
		if mask != nil {
			*l = l.Exchanged(mask, nil, in.PreLungs, in.PostLungs)
			l.Laterality = side(mask, in.PreLungs)
		}
		return mask != nil
	})
}

// replace exchanges a structure of each lesion. Where the model has found none, the lesion is held, or keeps what the
// classical segmenter found and says so.
func (f *Findings) replace(ctx context.Context, role string, m *Model, err error, found []segment.Lesion, exchange func(*segment.Lesion) bool) error {
	failed := err != nil
	if err := f.use(ctx, role, m, err); err != nil || failed {
		return err
	}
	for i := range found {
		l := &found[i]
		switch {
		case exchange(l):
		case m.Fallback:
			l.Warnings = append(l.Warnings, fmt.Sprintf("%s: segmented by the classical algorithm, because the model found nothing there", roleNames[role]))
		default:
			l.HoldReasons = append(l.HoldReasons, fmt.Sprintf("the model found nothing of %s where the scans have changed", roleNames[role]))
		}
	}
	return nil
}

func joined(a, b *volume.Mask) *volume.Mask {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return volume.Union(a, b)
}

// parts are the connected pieces of what a model found.
type parts struct {
	geometry volume.Geometry
	labels   []int32 // 0: none
}

func (m *Model) parts(ctx context.Context, v *volume.Volume, s shown, progress func(done, total int)) (*parts, error) {
	l, err := m.run(ctx, v, s, progress)
	if err != nil {
		return nil, err
	}
	mask, err := l.Mask(m.Labels...)
	if err != nil {
		return nil, err
	}
	labels, _ := volume.Components(mask, 26)
	return &parts{mask.Geometry, labels}, nil
}

// that is the pieces that a visit hits, or only the one it hits most; nil if it hits none.
func (p *parts) that(visit func(hit func(i int)), only bool) *volume.Mask {
	hits := map[int32]int{}
	visit(func(i int) {
		if n := p.labels[i]; n != 0 {
			hits[n]++
		}
	})
	most := int32(0)
	for n, count := range hits {
		if count > hits[most] || count == hits[most] && n < most {
			most = n
		}
	}
	if most == 0 {
		return nil
	}
	m := volume.NewMask(p.geometry)
	for i, n := range p.labels {
		if n == most || n != 0 && !only && hits[n] > 0 {
			m.Data[i] = 1
		}
	}
	return m
}

// carried visits the voxels of the pre CT that the zone of a lesion lies on.
func carried(l *segment.Lesion, pre volume.Geometry, visit func(i int)) {
	z := l.PTZ.Mask
	lo, hi, ok := z.Bounds()
	if !ok {
		return
	}
	for k := lo[2]; k <= hi[2]; k++ {
		for j := lo[1]; j <= hi[1]; j++ {
			for i := lo[0]; i <= hi[0]; i++ {
				if z.Data[z.Offset(i, j, k)] == 0 {
					continue
				}
				at := pre.Index(l.ToPre.Map(z.Point(volume.Vec{float64(i), float64(j), float64(k)})))
				var n [3]int
				inside := true
				for a := range 3 {
					n[a] = int(at[a] + 0.5)
					inside = inside && at[a] >= -0.5 && n[a] < pre.Size[a]
				}
				if inside {
					visit(pre.Offset(n[0], n[1], n[2]))
				}
			}
		}
	}
}
