package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"

	"rfanode/analysis/segment"
	"rfanode/analysis/segment/nnunet"
	"rfanode/analysis/volume"
)

type segmentCmd struct {
	Image    string  `arg:"" placeholder:"IMG" help:"CT: a .nii.gz file, or a folder with one DICOM series."`
	Model    string  `required:"" placeholder:"DIR" help:"Model folder that tools/export_nnunet.py wrote, or a bare one: plans.json, dataset.json, model.onnx."`
	Out      string  `short:"o" required:"" placeholder:"SEG" help:"Label map to write, .nii.gz or .nii, on the CT's own grid."`
	Mirror   bool    `help:"Average over mirrored images, where the model allows it: eight times the time."`
	Step     float64 `placeholder:"S" help:"Step from tile to tile as a part of the patch, above 0 to 1; left out: the model's own, usually 0.5. 0.8 takes about half the time of 0.5."`
	Crop     string  `enum:"model,none,lungs" default:"model" help:"Crop to the lungs first: as the model asks for (model), never (none), always (lungs)."`
	Region   string  `placeholder:"FILE" help:"Crop to the box round a mask (.nii.gz) on the CT's grid instead."`
	Margin   float64 `default:"20" placeholder:"MM" help:"Margin round the lungs or the region, mm."`
	Memory   float64 `placeholder:"GIB" help:"Refuse an image that would take more memory; left out: no limit."`
	Library  string  `name:"onnx-library" placeholder:"FILE" help:"ONNX Runtime; left out: RFANODE_ONNXRUNTIME, beside rfanode, the user's cache folder."`
	Provider string  `name:"provider" enum:"cpu,cuda" default:"cpu" help:"Where the network is computed: cpu, or cuda with a library built for it."`
	JSON     bool    `help:"Print what was found as JSON on standard output."`
}

// segmented is what the command prints.
type segmented struct {
	Model  nnunet.Description `json:"model"`
	Labels []labelVolume      `json:"labels"`
}

type labelVolume struct {
	Name     string  `json:"name"`
	Voxels   int     `json:"voxels"`
	VolumeML float64 `json:"volume_ml"`
}

func (c *segmentCmd) Run(ctx context.Context) error {
	if !isNIfTI(c.Out) {
		return fmt.Errorf("-o writes NIfTI: %s should end in .nii.gz or .nii", c.Out)
	}
	show := newProgress(os.Stderr)
	defer show.end()
	show.stage("reading")
	image, err := readImage(ctx, c.Image) // in the order of its file: a bare model folder takes the axes as they come
	if err != nil {
		return err
	}
	show.stage("checking the model")
	model, err := nnunet.Open(ctx, c.Model, nnunet.Options{Library: c.Library, Provider: provider(c.Provider), Bare: true})
	if err != nil {
		return err
	}
	options := nnunet.SegmentOptions{
		Mirror: c.Mirror, Step: c.Step, MarginMM: c.Margin, MemoryBytes: int64(c.Memory * (1 << 30)),
		Progress: func(done, total int) { show.stage("tile %d of %d", min(done+1, total), total) },
	}
	if options.Within, err = c.within(ctx, image, model, show); err != nil {
		return err
	}
	labels, err := model.Segment(ctx, image, options)
	if err != nil {
		return err
	}
	show.stage("writing %s", c.Out)
	if err := volume.WriteLabelsNIfTI(c.Out, labels.Geometry, labels.Data); err != nil {
		return err
	}
	show.end()
	found := segmented{model.Describe(), volumes(labels)}
	if c.JSON {
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "  ")
		return out.Encode(found)
	}
	found.print(os.Stdout, c.Out)
	return nil
}

func provider(name string) nnunet.Provider {
	if name == "cpu" {
		return nnunet.CPU
	}
	return nnunet.Provider(name)
}

// within is the mask to crop to; nil: the whole image.
func (c *segmentCmd) within(ctx context.Context, image *volume.Volume, model *nnunet.Model, show *progress) (*volume.Mask, error) {
	if c.Region != "" {
		m, err := volume.ReadMaskNIfTI(c.Region)
		if err == nil && !m.Geometry.Same(image.Geometry) {
			err = fmt.Errorf("the region %s lies on another grid than the image", c.Region)
		}
		return m, err
	}
	wanted, _ := model.Crop()
	if c.Crop == "none" || c.Crop == "model" && !wanted {
		return nil, nil
	}
	show.stage("lungs")
	series, err := readSeries(ctx, c.Image) // as every other command reads it; the image may run the other way
	if err != nil {
		return nil, err
	}
	lungs, err := segment.FindLungs(ctx, series.Volume)
	if err != nil {
		return nil, fmt.Errorf("cropping to the lungs: %w: --crop none takes the whole image", err)
	}
	return volume.ResampleNearest(lungs.Hull, image.Geometry), nil
}

func volumes(l *nnunet.Labels) []labelVolume {
	var counts [256]int
	for _, v := range l.Data {
		counts[v]++
	}
	out := []labelVolume{}
	for name, values := range l.Names {
		n := 0
		for _, v := range values {
			n += counts[v]
		}
		out = append(out, labelVolume{name, n, float64(n) * l.VoxelML()})
	}
	slices.SortFunc(out, func(a, b labelVolume) int {
		if d := slices.Compare(l.Names[a.Name], l.Names[b.Name]); d != 0 {
			return d
		}
		return slices.Compare([]string{a.Name}, []string{b.Name})
	})
	return out
}

func (s segmented) print(w io.Writer, path string) {
	m := s.Model
	fmt.Fprintf(w, "Model %s %s (%s, %d folds, SHA-256 %.12s…, ONNX Runtime %s)\n", m.Name, m.Version, m.Configuration, m.Folds, m.SHA256, m.Runtime)
	for _, l := range s.Labels {
		fmt.Fprintf(w, "  %-24s %10.2f mL  %9d voxels\n", l.Name, l.VolumeML, l.Voxels)
	}
	fmt.Fprintf(w, "Written to %s. Research use only.\n", path)
}
