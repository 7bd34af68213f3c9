package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"rfanode/analysis"
	"rfanode/analysis/contour"
	"rfanode/analysis/ct"
	"rfanode/analysis/volume"
	"rfanode/config"
	"rfanode/durable"
	"rfanode/sr"
)

type analyzeCmd struct {
	Pre    string `arg:"" help:"CT before the ablation: a folder with one DICOM series, or a .nii.gz file."`
	Post   string `arg:"" help:"CT after the ablation."`
	Out    string `short:"o" required:"" placeholder:"DIR" help:"Folder for findings.json, masks, SR, SEG and summary.png."`
	GTR    string `name:"gtr" placeholder:"FILE" help:"Tumour on the CT before, drawn elsewhere: .nii.gz, or DICOM SEG, RTSTRUCT or SR (a point), as FILE or FILE#SEGMENT; left out: found here."`
	PTZ    string `name:"ptz" placeholder:"FILE" help:"Ablation zone on the CT after, in the same way."`
	JSON   bool   `help:"Print the findings as JSON on standard output."`
	Config string `short:"c" placeholder:"FILE" help:"Configuration whose models under [segment] are used; left out: none."`
	Font   string `placeholder:"FILE" help:"Font for text beyond Latin in the summary image."`
}

const exitHeld = 3

func (c *analyzeCmd) Run(ctx context.Context) error {
	show := newProgress(os.Stderr)
	defer show.end()
	show.stage("reading")
	pre, err := readSeries(ctx, c.Pre)
	if err != nil {
		return fmt.Errorf("pre series %s: %w", c.Pre, err)
	}
	post, err := readSeries(ctx, c.Post)
	if err != nil {
		return fmt.Errorf("post series %s: %w", c.Post, err)
	}
	options := analysis.Options{Progress: func(s string) { show.stage("%s", s) }}
	if c.Config != "" {
		cfg, err := config.Read(c.Config)
		if err != nil {
			return err
		}
		options.Models = modelsOf(cfg.Segment)
	}
	if options.GTR, err = readGiven(c.GTR, pre, contour.Tumour); err != nil {
		return fmt.Errorf("tumour: %w", err)
	}
	if options.PTZ, err = readGiven(c.PTZ, post, contour.Zone); err != nil {
		return fmt.Errorf("ablation zone: %w", err)
	}
	findings, err := analysis.Run(ctx, pre, post, options)
	if err != nil {
		return err
	}
	show.stage("writing %s", c.Out)
	if err := os.MkdirAll(c.Out, 0o755); err != nil {
		return err
	}
	objects := sr.Options{SiteKey: config.Default().Report.Site, Version: analysis.Version, Font: c.Font}
	if err := writeFindings(c.Out, pre, post, findings, objects); err != nil {
		return err
	}
	if err := writeObjects(ctx, c.Out, pre, post, findings, objects); err != nil {
		return err
	}
	show.end()
	held := false
	for _, f := range findings {
		held = held || f.Status == analysis.Held
		if !c.JSON {
			printFindings(os.Stdout, f)
		}
	}
	if c.JSON {
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "  ")
		for _, f := range findings {
			if err := out.Encode(f); err != nil {
				return err
			}
		}
	} else {
		fmt.Printf("Written to %s. %s\n", c.Out, sr.RUO)
	}
	if held {
		return exitError(exitHeld)
	}
	return nil
}

func readSeries(ctx context.Context, path string) (*ct.Series, error) {
	if strings.HasSuffix(path, ".nii.gz") || strings.HasSuffix(path, ".nii") {
		return ct.FromNIfTI(path)
	}
	return ct.LoadDir(ctx, path)
}

// writeFindings writes what people and programs read: findings, masks on the CT grids, the picture. Further lesions have
// their number in the name.
func writeFindings(dir string, pre, post *ct.Series, findings []analysis.Findings, options sr.Options) error {
	var table bytes.Buffer
	if some, err := analysis.WriteFeatures(&table, filepath.Base(dir), findings); err != nil {
		return err
	} else if some {
		if err := durable.WriteFile(filepath.Join(dir, "features.csv"), func(w io.Writer) error { _, err := table.WriteTo(w); return err }); err != nil {
			return err
		}
	}
	for _, f := range findings {
		suffix := ""
		if f.Lesion > 1 {
			suffix = fmt.Sprintf("-%d", f.Lesion)
		}
		err := durable.WriteFile(filepath.Join(dir, "findings"+suffix+".json"), func(w io.Writer) error {
			out := json.NewEncoder(w)
			out.SetIndent("", "  ")
			return out.Encode(f)
		})
		if err != nil {
			return err
		}
		for name, s := range map[string]*analysis.Structure{
			"gtr_pre": f.GTR, "gtr_post": f.GTRPost, "ptv_post": f.PTV, "ptz_post": f.PTZ, "uncovered_post": f.Uncovered,
		} {
			if s == nil || s.Mask == nil {
				continue
			}
			if err := volume.WriteMaskNIfTI(filepath.Join(dir, name+suffix+".nii.gz"), s.Mask); err != nil {
				return err
			}
		}
		picture, err := sr.Summary(pre, post, f, options)
		if err != nil {
			return fmt.Errorf("summary image: %w", err)
		}
		err = durable.WriteFile(filepath.Join(dir, "summary"+suffix+".png"), func(w io.Writer) error { return png.Encode(w, picture) })
		if err != nil {
			return err
		}
	}
	return nil
}

// writeObjects writes the DICOM objects of the final lesions. Series that come from NIfTI belong to no patient and get
// none.
func writeObjects(ctx context.Context, dir string, pre, post *ct.Series, findings []analysis.Findings, options sr.Options) error {
	final := func(f analysis.Findings) bool { return f.Status == analysis.Final }
	if pre.StudyInstanceUID == "" || post.StudyInstanceUID == "" || !slices.ContainsFunc(findings, final) {
		return nil
	}
	objects, err := sr.Build(ctx, pre, post, findings, options)
	if err != nil {
		return err
	}
	for _, o := range objects {
		err := durable.WriteFile(filepath.Join(dir, o.Role+".dcm"), func(w io.Writer) error { _, err := w.Write(o.Data); return err })
		if err != nil {
			return err
		}
	}
	return nil
}

// printFindings says in a few lines what was found.
func printFindings(w io.Writer, f analysis.Findings) {
	fmt.Fprintf(w, "Lesion %d: %s\n", f.Lesion, f.Status)
	for _, r := range f.Reasons {
		fmt.Fprintf(w, "  held because %s\n", r)
	}
	if f.Coverage != nil {
		c := f.Coverage
		fmt.Fprintf(w, "  target coverage ratio %.3f (%.3f to %.3f), within the lung %.3f\n", c.TCR, c.TCRRange[0], c.TCRRange[1], c.TCRInLung)
		fmt.Fprintf(w, "  minimal ablative margin %.1f mm (5th percentile %.1f mm), %s\n", c.MAMMM, c.MAMP5MM, c.Worst.Direction)
		fmt.Fprintf(w, "  tumour %.2f mL, ablation zone %.2f mL, uncovered target %.2f mL\n", f.GTR.VolumeML, f.PTZ.VolumeML, c.UncoveredML)
	}
	for _, r := range f.Warnings {
		fmt.Fprintf(w, "  note: %s\n", r)
	}
}
