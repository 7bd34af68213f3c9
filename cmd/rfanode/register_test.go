package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"rfanode/analysis/phantom"
	"rfanode/analysis/register"
	"rfanode/analysis/volume"
)

// The command is how others compare this registration with theirs: points, masks and the field must say the same, and be
// right.
func TestRegisterCommand(t *testing.T) {
	if testing.Short() {
		t.Skip("registers two chests")
	}
	dir, pair := writePhantom(t, phantom.Options{Seed: 4, Size: 128, SliceMM: 4})
	out := t.TempDir()
	var points strings.Builder
	points.WriteString("x,y,z\n")
	for _, l := range pair.Landmarks {
		for a, x := range l.Post {
			points.WriteString(strconv.FormatFloat(x, 'f', 3, 64) + []string{",", ",", "\n"}[a])
		}
	}
	csvPath := filepath.Join(out, "points.csv")
	if err := os.WriteFile(csvPath, []byte(points.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	fieldPath, warped := filepath.Join(out, "field.nii.gz"), filepath.Join(out, "gtr.nii.gz")
	cmd := exec.Command(rfanode(t), "register", filepath.Join(dir, "post"), filepath.Join(dir, "pre"), "--points", csvPath,
		"--warp", filepath.Join(dir, "gtr_pre.nii.gz"), warped, "--warp", filepath.Join(dir, "pre"), filepath.Join(out, "pre.nii"), "--field", fieldPath)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, &stderr)
	}
	records, err := csv.NewReader(bytes.NewReader(stdout)).ReadAll()
	if err != nil || len(records) != len(pair.Landmarks)+1 || strings.Join(records[0], ",") != "x,y,z,moved_x,moved_y,moved_z" {
		t.Fatalf("%d lines for %d points, header %v: %v", len(records), len(pair.Landmarks), records[0], err)
	}
	field, err := register.ReadField(fieldPath)
	if err != nil {
		t.Fatal(err)
	}
	sum, before, apart := 0.0, 0.0, 0.0
	for i, l := range pair.Landmarks {
		var q volume.Vec
		for a := range 3 {
			if q[a], err = strconv.ParseFloat(records[i+1][3+a], 64); err != nil {
				t.Fatal(err)
			}
		}
		sum += distanceMM(q, l.Pre)
		before += distanceMM(l.Post, l.Pre)
		apart = max(apart, distanceMM(q, field.Map(l.Post)))
	}
	n := float64(len(pair.Landmarks))
	if sum/n > 1.2 || sum > before/4 {
		t.Errorf("points are off by %.2f mm on average, before registration %.2f mm", sum/n, before/n)
	}
	if apart > 0.01 {
		t.Errorf("field and points differ by %.3f mm", apart)
	}
	post, err := volume.ReadNIfTI(filepath.Join(out, "pre.nii"))
	if err != nil {
		t.Fatal(err)
	}
	mask, err := volume.ReadMaskNIfTI(warped)
	if err != nil {
		t.Fatal(err)
	}
	if !post.Same(pair.Post.Volume.Geometry) || !mask.Same(pair.Post.Volume.Geometry) || mask.Count() == 0 {
		t.Errorf("what was warped does not lie on the grid of fixed, or is empty: %v, %v, %d voxels", post.Size, mask.Size, mask.Count())
	}
	stdout, err = exec.Command(rfanode(t), "register", filepath.Join(dir, "post"), filepath.Join(dir, "pre"), "--json").Output()
	var r registration
	if err != nil || json.Unmarshal(stdout, &r) != nil || r.Field.LungDice < 0.95 || r.Linear.Levels == 0 {
		t.Errorf("--json: %v: %s", err, stdout)
	}
}

func distanceMM(a, b volume.Vec) float64 {
	return math.Sqrt((a[0]-b[0])*(a[0]-b[0]) + (a[1]-b[1])*(a[1]-b[1]) + (a[2]-b[2])*(a[2]-b[2]))
}

func TestParsePoints(t *testing.T) {
	p, err := parsePoints(strings.NewReader("x,y,z\n1,-2.50, 3e1\n"))
	if err != nil || len(p) != 1 || p[0].at != (volume.Vec{1, -2.5, 30}) || p[0].text[1] != "-2.50" {
		t.Errorf("%+v, %v", p, err)
	}
	for bad, want := range map[string]string{
		"": "empty", "1,2,3\n": "header", "x,y,z\n1,2\n": "wrong number of fields", "x,y,z\n1,2,three\n": "point 1", "x,y\n": "wrong number of fields",
	} {
		if _, err := parsePoints(strings.NewReader(bad)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", bad, err, want)
		}
	}
}
