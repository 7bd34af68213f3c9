package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"

	"rfanode/analysis/ct"
	"rfanode/analysis/register"
	"rfanode/analysis/segment"
	"rfanode/analysis/volume"
)

type registerCmd struct {
	Fixed  string    `arg:"" help:"CT after the ablation: a folder with one DICOM series, or a .nii.gz file."`
	Moving string    `arg:"" help:"CT before the ablation."`
	Points string    `placeholder:"P.csv" help:"Points of fixed, LPS mm, header x,y,z: standard output is then a CSV x,y,z,moved_x,moved_y,moved_z."`
	Warp   warpFlags `placeholder:"IN OUT" help:"Bring an image or a mask of moving (NIfTI or DICOM folder) into fixed, written to OUT as NIfTI; may be repeated."`
	Field  string    `placeholder:"F.nii.gz" help:"Write the displacement from a point of fixed to its point of moving, LPS mm, round the lungs."`
	JSON   bool      `help:"Print the quality figures as JSON on standard output."`
}

// warpFlags collects the two values of each --warp.
type warpFlags []struct{ in, out string }

// Decode takes both values: kong gives a flag one.
func (w *warpFlags) Decode(ctx *kong.DecodeContext) error {
	var f struct{ in, out string }
	if err := ctx.Scan.PopValueInto("IN", &f.in); err != nil {
		return err
	}
	if err := ctx.Scan.PopValueInto("OUT", &f.out); err != nil {
		return fmt.Errorf("write --warp IN OUT: %w", err)
	}
	if !isNIfTI(f.out) {
		return fmt.Errorf("--warp writes NIfTI: %s should end in .nii.gz or .nii", f.out)
	}
	*w = append(*w, f)
	return nil
}

func isNIfTI(path string) bool {
	return strings.HasSuffix(path, ".nii.gz") || strings.HasSuffix(path, ".nii")
}

// registration is what the command prints as JSON.
type registration struct {
	Linear register.LinearResult      `json:"linear"`
	Field  register.DeformableQuality `json:"deformable"`
	Doubts []string                   `json:"doubts"`
}

func (c *registerCmd) Run(ctx context.Context) error {
	if c.JSON && c.Points != "" {
		return errors.New("--points and --json both want standard output: use one of them")
	}
	if c.Field != "" && !isNIfTI(c.Field) {
		return fmt.Errorf("--field writes NIfTI: %s should end in .nii.gz or .nii", c.Field)
	}
	points, err := readPoints(c.Points)
	if err != nil {
		return err
	}
	show := newProgress(os.Stderr)
	defer show.end()
	r, field, fixed, err := c.register(ctx, show)
	if err != nil {
		return err
	}
	for _, w := range c.Warp {
		show.stage("warping %s", w.in)
		if err := warpFile(ctx, w.in, w.out, field, fixed); err != nil {
			return err
		}
	}
	if c.Field != "" {
		if err := field.WriteNIfTI(c.Field); err != nil {
			return err
		}
	}
	show.end()
	switch {
	case c.Points != "":
		for _, d := range r.Doubts {
			fmt.Fprintln(os.Stderr, "doubtful:", d)
		}
		return writePoints(os.Stdout, points, field)
	case c.JSON:
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "  ")
		return out.Encode(r)
	}
	r.print(os.Stdout)
	return nil
}

// register reads both scans and brings them together. Of fixed only the grid is returned, so that the images can go.
func (c *registerCmd) register(ctx context.Context, show *progress) (registration, *register.Field, volume.Geometry, error) {
	var r registration
	show.stage("reading")
	fixed, err := readSeries(ctx, c.Fixed)
	if err != nil {
		return r, nil, volume.Geometry{}, fmt.Errorf("fixed series %s: %w", c.Fixed, err)
	}
	moving, err := readSeries(ctx, c.Moving)
	if err != nil {
		return r, nil, volume.Geometry{}, fmt.Errorf("moving series %s: %w", c.Moving, err)
	}
	show.stage("lungs")
	fixedLung, movingLung, err := lungHulls(ctx, fixed, moving)
	if err != nil {
		return r, nil, volume.Geometry{}, err
	}
	show.stage("linear part")
	r.Linear, err = register.Linear(ctx, fixed.Volume, moving.Volume, fixedLung, movingLung, register.LinearOptions{})
	if err != nil {
		return r, nil, volume.Geometry{}, err
	}
	show.stage("deformable part")
	var field *register.Field
	field, r.Field, err = register.Deformable(ctx, fixed.Volume, moving.Volume, fixedLung, movingLung, r.Linear.Affine, register.DeformableOptions{})
	if err != nil {
		return r, nil, volume.Geometry{}, err
	}
	r.Doubts = r.Field.Doubts()
	if r.Linear.Fallback {
		r.Doubts = append(r.Doubts, "the linear part fell back to a translation")
	}
	return r, field, fixed.Volume.Geometry, nil
}

// lungHulls finds the lungs of both scans, one after the other: side by side they would set the command's peak of memory.
func lungHulls(ctx context.Context, fixed, moving *ct.Series) (f, m *volume.Mask, err error) {
	l, err := segment.FindLungs(ctx, fixed.Volume)
	if err != nil {
		return nil, nil, fmt.Errorf("fixed series: %w", err)
	}
	f = l.Hull
	if l, err = segment.FindLungs(ctx, moving.Volume); err != nil {
		return nil, nil, fmt.Errorf("moving series: %w", err)
	}
	return f, l.Hull, nil
}

// warpFile brings an image, or a mask (all values 0 or 1), of moving into the grid of fixed.
func warpFile(ctx context.Context, in, out string, t register.Transform, g volume.Geometry) error {
	s, err := readImage(ctx, in)
	if err != nil {
		return fmt.Errorf("--warp %s: %w", in, err)
	}
	if m := asMask(s); m != nil {
		w, err := register.WarpMask(ctx, m, t, g)
		if err != nil {
			return err
		}
		return volume.WriteMaskNIfTI(out, w)
	}
	w, err := register.WarpVolume(ctx, s, t, g, -1024)
	if err != nil {
		return err
	}
	return volume.WriteNIfTI(out, w)
}

func readImage(ctx context.Context, path string) (*volume.Volume, error) {
	if isNIfTI(path) {
		return volume.ReadNIfTI(path)
	}
	s, err := ct.LoadDir(ctx, path)
	if err != nil {
		return nil, err
	}
	return s.Volume, nil
}

// asMask is v as a mask, nil if it holds anything but 0 and 1.
func asMask(v *volume.Volume) *volume.Mask {
	for _, x := range v.Data {
		if x != 0 && x != 1 {
			return nil
		}
	}
	return volume.Threshold(v, 0.5, 1)
}

// point is a line of the CSV: the numbers as they were written, and their values.
type point struct {
	text [3]string
	at   volume.Vec
}

// readPoints reads a CSV with the header x,y,z; no path, no points.
func readPoints(path string) ([]point, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("--points: %w", err)
	}
	defer f.Close()
	p, err := parsePoints(f)
	if err != nil {
		return nil, fmt.Errorf("--points %s: %w", path, err)
	}
	return p, nil
}

func parsePoints(r io.Reader) ([]point, error) {
	in := csv.NewReader(r)
	in.FieldsPerRecord = 3
	in.TrimLeadingSpace = true
	head, err := in.Read()
	if err == io.EOF {
		return nil, errors.New("the file is empty: the header x,y,z is needed")
	}
	if err != nil {
		return nil, err
	}
	if head[0] != "x" || head[1] != "y" || head[2] != "z" {
		return nil, fmt.Errorf("the header is %q: x,y,z is needed", strings.Join(head, ","))
	}
	var points []point
	for {
		record, err := in.Read()
		if err == io.EOF {
			return points, nil
		}
		if err != nil {
			return nil, err
		}
		var p point
		for a, s := range record {
			p.text[a] = s
			if p.at[a], err = strconv.ParseFloat(strings.TrimSpace(s), 64); err != nil {
				return nil, fmt.Errorf("point %d: %q is no number", len(points)+1, s)
			}
		}
		points = append(points, p)
	}
}

// writePoints prints the points with where they lie in moving.
func writePoints(w io.Writer, points []point, f *register.Field) error {
	out := csv.NewWriter(w)
	if err := out.Write([]string{"x", "y", "z", "moved_x", "moved_y", "moved_z"}); err != nil {
		return err
	}
	beyond := 0
	for _, p := range points {
		if !f.Defined(p.at) {
			beyond++
		}
		q := f.Map(p.at)
		record := p.text[:]
		for _, x := range q {
			record = append(record, strconv.FormatFloat(x, 'f', 4, 64))
		}
		if err := out.Write(record); err != nil {
			return err
		}
	}
	out.Flush()
	if beyond > 0 {
		fmt.Fprintf(os.Stderr, "rfanode: %d of %d points lie away from the lungs or beyond a scan: where they are said to move is only a continuation\n", beyond, len(points))
	}
	return out.Error()
}

// print says in a few lines how well the scans were brought together.
func (r registration) print(w io.Writer) {
	q := r.Field
	fmt.Fprintf(w, "Linear part: volume × %.3f, rotation %.1f degrees, %d of its levels accepted\n", r.Linear.VolumeScale, r.Linear.RotationDegree, r.Linear.Levels)
	fmt.Fprintf(w, "Deformable part: moves lung by %.1f mm on average, %.1f mm at most\n", q.MeanMM, q.MaxMM)
	fmt.Fprintf(w, "  overlap of the lungs %.3f (%.3f before), descriptor bits that differ %.1f (%.1f before)\n", q.LungDice, q.LungDiceBefore, q.BitsAfter, q.BitsBefore)
	fmt.Fprintf(w, "  deep in the lung %.0f %% of the bits that differ 20 mm beside the place\n", 100*q.Likeness)
	fmt.Fprintf(w, "  forward and backward differ by %.2f mm (95th percentile %.2f mm)\n", q.InverseMeanMM, q.InverseP95MM)
	fmt.Fprintf(w, "  local volume × %.2f to %.2f, folding in %.2f %% of the lung\n", q.Min, q.Max, q.FoldingPercent)
	for _, d := range r.Doubts {
		fmt.Fprintf(w, "  doubtful: %s\n", d)
	}
}
