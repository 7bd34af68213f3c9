package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"rfanode/analysis/contour"
	"rfanode/analysis/ct"
	"rfanode/analysis/radiomics"
	"rfanode/analysis/volume"
	"rfanode/durable"
)

type featuresCmd struct {
	Image   string `placeholder:"FILE" help:"Image: NIfTI, NRRD, or a folder with one DICOM CT series."`
	Mask    string `placeholder:"FILE" help:"Mask: NIfTI or NRRD, or DICOM SEG or RTSTRUCT as FILE or FILE#STRUCTURE (number or name)."`
	Label   int    `placeholder:"N" help:"Label of the region in the mask; without it 1, or the only one there is."`
	Cases   string `placeholder:"CASES.csv" help:"Many cases in one run, columns id,image,mask and perhaps label: one row a case in OUT.csv. A run that was stopped goes on where it stood."`
	Params  string `placeholder:"P.yaml" xor:"settings" help:"PyRadiomics parameter file."`
	Profile string `placeholder:"NAME" xor:"settings" help:"Settings by name: default, nonlinear, paper-literal, fine, hu."`
	IBSI    bool   `name:"ibsi" help:"IBSI's definitions where PyRadiomics deviates: Kurtosis, axis lengths."`
	Strict  bool   `help:"Refuse an image and a mask whose grids differ, instead of resampling the mask."`
	Threads int    `placeholder:"N" help:"Processors to use; without it all. The values do not depend on it."`
	Out     string `short:"o" required:"" placeholder:"FILE" help:"OUT.json or OUT.csv."`
}

func (c *featuresCmd) Run(ctx context.Context) error {
	debug.SetGCPercent(100) // only crops are in memory: the time is worth more here
	json, csv := strings.HasSuffix(c.Out, ".json"), strings.HasSuffix(c.Out, ".csv")
	if !json && !csv {
		return fmt.Errorf("-o %s: the name has to end in .json or .csv", c.Out)
	}
	if c.Label < 0 || c.Threads < 0 {
		return errors.New("--label and --threads take positive numbers")
	}
	p, err := c.profile()
	if err != nil {
		return err
	}
	for _, n := range p.Notes {
		fmt.Fprintln(os.Stderr, "note:", n)
	}
	p.Notes = nil
	if c.Cases != "" {
		if c.Image != "" || c.Mask != "" || c.Label != 0 {
			return errors.New("--cases names images, masks and labels in its file: leave out --image, --mask and --label")
		}
		if !csv {
			return fmt.Errorf("-o %s: with --cases the output is a table, its name has to end in .csv", c.Out)
		}
		return c.many(ctx, p)
	}
	if c.Image == "" || c.Mask == "" {
		return errors.New("--image and --mask are needed, or --cases")
	}
	row := radiomics.Row{ID: "1", Image: c.Image, Mask: c.Mask}
	row.Result, err = extractOne(ctx, c.Image, c.Mask, p, radiomics.Options{Label: c.Label, Strict: c.Strict, Threads: c.Threads})
	if err != nil {
		return err
	}
	for _, w := range row.Result.Warnings {
		fmt.Fprintln(os.Stderr, "warning:", w)
	}
	return durable.WriteFile(c.Out, func(w io.Writer) error {
		if csv {
			return radiomics.WriteCSV(w, p, row)
		}
		return writeFeaturesJSON(w, row)
	})
}

func (c *featuresCmd) profile() (radiomics.Profile, error) {
	var p radiomics.Profile
	var err error
	switch {
	case c.Params != "":
		p, err = radiomics.ReadParams(c.Params)
	case c.Profile != "":
		p, err = radiomics.Named(c.Profile)
	default:
		p = radiomics.Default()
	}
	p.IBSI = c.IBSI
	return p, err
}

func writeFeaturesJSON(w io.Writer, row radiomics.Row) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	return out.Encode(struct {
		Image string `json:"image"`
		Mask  string `json:"mask"`
		*featuresJSON
	}{row.Image, row.Mask, &featuresJSON{row.Result}})
}

// featuresJSON keeps the result's own JSON in a field of its name.
type featuresJSON struct {
	Result *radiomics.Result `json:"result"`
}

// extractOne reads image and mask as their names say.
func extractOne(ctx context.Context, image, mask string, p radiomics.Profile, o radiomics.Options) (*radiomics.Result, error) {
	file, structure, _ := strings.Cut(mask, "#")
	if name := strings.ToLower(file); strings.HasSuffix(name, ".nii") || strings.HasSuffix(name, ".nii.gz") || strings.HasSuffix(name, ".nrrd") || strings.HasSuffix(name, ".nhdr") {
		return radiomics.ExtractFiles(ctx, image, mask, p, o)
	}
	drawn, err := contour.Read(file)
	if err != nil {
		return nil, fmt.Errorf("mask %s: %w", file, err)
	}
	i, err := onlyArea(drawn, structure)
	if err != nil {
		return nil, fmt.Errorf("mask %s: %w", file, err)
	}
	return radiomics.ExtractDrawn(ctx, image, func(series *ct.Series) (*volume.Mask, error) {
		m, err := drawn.Mask(series, i)
		if err != nil {
			return nil, fmt.Errorf("mask %s: %w", file, err)
		}
		return m, nil
	}, p, o)
}

// onlyArea is the structure that is named, or the only one that encloses a region.
func onlyArea(c *contour.Contour, name string) (int, error) {
	if name != "" {
		return c.Structure(name)
	}
	found := -1
	for i, s := range c.Structures {
		if !s.Area() {
			continue
		}
		if found >= 0 {
			return 0, fmt.Errorf("it holds several regions, name one as FILE#STRUCTURE: there are %s", c.Names())
		}
		found = i
	}
	if found < 0 {
		return 0, errors.New("it holds no region")
	}
	return found, nil
}

func processors(asked int) int {
	if asked > 0 {
		return asked
	}
	return runtime.GOMAXPROCS(0)
}
