package phantom

import (
	"fmt"
	"math"
	"time"
)

// Coverage says how much of tumour and margin the ablation zone holds.
type Coverage int

const (
	Partial    Coverage = iota // the zone misses a part: TCR 0.6 to 0.95
	Full                       // the whole tumour and more than 5 mm round it
	NoAblation                 // the same patient again, moved, without an ablation
)

func (c Coverage) String() string { return name(int(c), "partial", "full", "no ablation") }

// Kind is the density of the tumour.
type Kind int

const (
	Solid Kind = iota
	PartSolid
	GroundGlass
)

func (k Kind) String() string { return name(int(k), "solid", "part-solid", "ground glass") }

// Site is what the tumour touches.
type Site int

const (
	Free        Site = iota // nothing: the whole margin lies in the lung
	Subpleural              // the chest wall, which cuts it
	NearVessel              // a vessel of 3 to 6 mm
	Fissure                 // an interlobar fissure
	Mediastinal             // the mediastinum, which cuts it
)

func (s Site) String() string {
	return name(int(s), "free in the lung", "subpleural", "near a vessel", "at a fissure", "mediastinal")
}

// Kernel is the reconstruction kernel: sharpness and noise.
type Kernel int

const (
	Soft  Kernel = iota // B30f: smooth, correlated noise
	Sharp               // B70f: sharp, coarse noise
)

func (k Kernel) String() string { return name(int(k), "B30f", "B70f") }

func name(i int, names ...string) string {
	if i < 0 || i >= len(names) {
		return fmt.Sprintf("unknown (%d)", i)
	}
	return names[i]
}

// Options describe a pair. The zero value is a complete description: a solid tumour free in the lung, partly covered.
// A length of 0 means the default, a negative one means none.
type Options struct {
	Seed uint64 `json:"seed"`

	// Grid. The default field of view is 358 mm, the whole chest is covered.
	Size       int     `json:"size"`        // columns and rows; 256
	SpacingMM  float64 `json:"spacing_mm"`  // of the pixels; field of view / Size
	SliceMM    float64 `json:"slice_mm"`    // thickness and distance of the slices; 2
	Slices     int     `json:"slices"`      // fewer than cover the chest: the slices round the lesion
	ObliqueDeg float64 `json:"oblique_deg"` // tilt of the post slices about the left-right axis
	Reversed   bool    `json:"reversed"`    // instance numbers run upwards in post
	CutPost    bool    `json:"cut_post"`    // the scan range of post ends in the middle of the lesion

	// Appearance.
	Sex      string  `json:"sex"`      // M or F; by the seed
	Kernel   Kernel  `json:"kernel"`   // Soft
	NoiseHU  float64 `json:"noise_hu"` // standard deviation in soft tissue; 14 soft, 35 sharp
	Contrast bool    `json:"contrast"` // enhanced vessels in both

	OtherKernelPost   bool `json:"other_kernel_post"`   // post has the other kernel, with its noise
	OtherContrastPost bool `json:"other_contrast_post"` // post is enhanced where pre is not, or the reverse

	// Lesion.
	Tumour         Kind     `json:"tumour"`
	TumourRadiusMM float64  `json:"tumour_radius_mm"` // 7 to 12 by the seed
	Site           Site     `json:"site"`
	Nodules        int      `json:"nodules"` // further, untreated nodules of 2.5 to 6 mm radius
	Coverage       Coverage `json:"coverage"`
	HaloHU         float64  `json:"halo_hu"`         // of the zone's ground glass; -480 to -350 by the seed
	Tail           bool     `json:"tail"`            // the zone runs out along the needle track
	EffusionMM     float64  `json:"effusion_mm"`     // depth of a pleural effusion in post; none
	PneumothoraxMM float64  `json:"pneumothorax_mm"` // depth of a pneumothorax in post; none
	Contraction    float64  `json:"contraction"`     // shrinking of the tissue round the lesion, 0 to 0.2; none

	// Motion between the two.
	BreathingMM float64 `json:"breathing_mm"` // craniocaudal, at the base; 9
	RotationDeg float64 `json:"rotation_deg"` // 1 to 2 by the seed
	ShiftMM     float64 `json:"shift_mm"`     // length of the change of position; 3 to 7 by the seed
	RandomMM    float64 `json:"random_mm"`    // standard deviation of the random field; 1

	// Identity.
	PatientName    string    `json:"patient_name"` // "Wang^XiaoDong=王^小东"
	PatientID      string    `json:"patient_id"`   // "PHANTOM-" and the seed
	Acquired       time.Time `json:"acquired"`     // of pre; 2025-03-04 09:41:17 UTC
	Days           int       `json:"days"`         // from pre to post; 30
	SameStudy      bool      `json:"same_study"`   // pre and post are series of one study, 50 minutes apart
	NoDescriptions bool      `json:"no_descriptions"`
}

const (
	fieldOfViewMM = 358.4
	topMM         = 114.0  // height of the topmost slice over the carina
	bottomMM      = -164.0 // and of the lowest
)

// withDefaults returns the options with every default filled in.
func (o Options) withDefaults() (Options, error) {
	s := newStream(o.Seed, "options")
	radius, halo, turn, shift := s.between(7, 12), s.between(-480, -350), s.between(1, 2), s.between(3, 7)
	female := s.unit() < 0.4
	number := func(v *float64, fallback float64) {
		switch {
		case *v == 0:
			*v = fallback
		case *v < 0:
			*v = 0
		}
	}
	if o.Size == 0 {
		o.Size = 256
	}
	number(&o.SpacingMM, fieldOfViewMM/float64(max(o.Size, 1)))
	number(&o.SliceMM, 2)
	if o.Sex == "" {
		o.Sex = map[bool]string{true: "F", false: "M"}[female]
	}
	number(&o.NoiseHU, usualNoise(o.Kernel))
	number(&o.TumourRadiusMM, radius)
	if o.HaloHU == 0 {
		o.HaloHU = halo
	}
	number(&o.EffusionMM, 0)
	number(&o.PneumothoraxMM, 0)
	number(&o.BreathingMM, 9)
	number(&o.RotationDeg, turn)
	number(&o.ShiftMM, shift)
	number(&o.RandomMM, 1)
	if o.PatientName == "" {
		o.PatientName = "Wang^XiaoDong=王^小东"
	}
	if o.PatientID == "" {
		o.PatientID = fmt.Sprintf("PHANTOM-%d", o.Seed)
	}
	if o.Acquired.IsZero() {
		o.Acquired = time.Date(2025, 3, 4, 9, 41, 17, 0, time.UTC)
	}
	if o.Days == 0 {
		o.Days = 30
	}
	whole := int(math.Ceil((topMM-bottomMM)/max(o.SliceMM, 0.1))) + 1
	if o.Slices <= 0 || o.Slices > whole {
		o.Slices = whole
	}
	return o, o.check()
}

func (o Options) check() error {
	switch {
	case o.Size < 16 || o.Size > 1024:
		return fmt.Errorf("phantom: %d columns: choose 16 to 1024", o.Size)
	case o.SpacingMM < 0.2 || o.SpacingMM > 12:
		return fmt.Errorf("phantom: pixel spacing of %g mm: choose 0.2 to 12", o.SpacingMM)
	case o.SliceMM < 0.3 || o.SliceMM > 12:
		return fmt.Errorf("phantom: slices of %g mm: choose 0.3 to 12", o.SliceMM)
	case o.TumourRadiusMM < 1.5 || o.TumourRadiusMM > 30:
		return fmt.Errorf("phantom: tumour radius of %g mm: choose 1.5 to 30", o.TumourRadiusMM)
	case o.Kernel != Soft && o.Kernel != Sharp:
		return fmt.Errorf("phantom: kernel %d: choose %d (soft) or %d (sharp)", o.Kernel, Soft, Sharp)
	case o.Sex != "M" && o.Sex != "F":
		return fmt.Errorf("phantom: sex %q: choose M or F", o.Sex)
	case o.Contraction < 0 || o.Contraction > 0.3:
		return fmt.Errorf("phantom: contraction of %g: choose 0 to 0.3", o.Contraction)
	case math.Abs(o.ObliqueDeg) > 30:
		return fmt.Errorf("phantom: slices tilted by %g degrees: choose -30 to 30", o.ObliqueDeg)
	case o.Nodules < 0 || o.Nodules > 50:
		return fmt.Errorf("phantom: %d further nodules: choose 0 to 50", o.Nodules)
	}
	return nil
}

// post returns the options as they apply to the post series.
func (o Options) post() Options {
	if o.OtherKernelPost {
		usual := o.NoiseHU == usualNoise(o.Kernel)
		o.Kernel = map[Kernel]Kernel{Soft: Sharp, Sharp: Soft}[o.Kernel]
		if usual {
			o.NoiseHU = usualNoise(o.Kernel)
		}
	}
	o.Contrast = o.Contrast != o.OtherContrastPost
	return o
}

// usualNoise is the standard deviation in soft tissue, HU, that goes with a kernel.
func usualNoise(k Kernel) float64 {
	if k == Sharp {
		return 35
	}
	return 14
}

// blur is the width of an edge: the kernel's, at least the pixels' own.
func (o Options) blur() float64 {
	if o.Kernel == Sharp {
		return max(0.9, o.SpacingMM)
	}
	return max(1.5, 1.2*o.SpacingMM)
}

func (o Options) tablePre() float64 { return 134 + newStream(o.Seed, "table").between(0, 5) }
func (o Options) tablePost() float64 {
	return o.tablePre() + newStream(o.Seed, "table post").between(-4, 6)
}
