package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"rfanode/analysis"
	"rfanode/analysis/contour"
	"rfanode/analysis/ct"
	"rfanode/analysis/volume"
)

// readGiven reads what --gtr or --ptz names: a mask in NIfTI, or a DICOM SEG, RTSTRUCT or SR with coordinates, whose
// structure may be named behind a #, by number or label. Nothing where nothing is named.
func readGiven(arg string, series *ct.Series, role contour.Role) (analysis.Given, error) {
	if arg == "" {
		return analysis.Given{}, nil
	}
	if strings.HasSuffix(arg, ".nii.gz") || strings.HasSuffix(arg, ".nii") {
		m, err := volume.ReadMaskNIfTI(arg)
		return analysis.Given{Mask: m}, err
	}
	path, name, named := cutSegment(arg)
	c, err := contour.Read(path)
	if err != nil {
		return analysis.Given{}, fmt.Errorf("%s: %w", path, err)
	}
	var i int
	if named {
		i, err = c.Structure(name)
	} else if i, err = chooseStructure(c, role); err == nil && i < 0 {
		err = fmt.Errorf("there is no structure that could be the %s", role)
	}
	if err != nil {
		return analysis.Given{}, fmt.Errorf("%s: %w (it holds %s; name one as %s#NUMBER)", path, err, c.Names(), filepath.Base(path))
	}
	g, err := givenFrom(c, i, series)
	if err != nil {
		return analysis.Given{}, fmt.Errorf("%s: %w", path, err)
	}
	return g, nil
}

// cutSegment splits FILE#SEGMENT at the last #.
func cutSegment(arg string) (path, segment string, named bool) {
	if i := strings.LastIndex(arg, "#"); i >= 0 {
		return arg[:i], arg[i+1:], true
	}
	return arg, "", false
}

func chooseStructure(c *contour.Contour, role contour.Role) (int, error) {
	words, err := contour.Words{}.Compile()
	if err != nil {
		return 0, err
	}
	return words.Choose(c, nil, role)
}

// givenFrom takes structure i of an object as the analysis needs it: the region, or the point.
func givenFrom(c *contour.Contour, i int, series *ct.Series) (g analysis.Given, err error) {
	g.What, g.By = c.Origin(i), c.Maker.Creator
	if c.Structures[i].Region {
		g.Mask, err = c.Mask(series, i)
		return g, err
	}
	p, err := c.Point(series, i)
	g.Point = &p
	return g, err
}
