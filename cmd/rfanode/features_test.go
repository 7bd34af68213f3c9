package main

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"rfanode/analysis/volume"
)

// featureFiles writes an image and a mask with the labels 1 and 2.
func featureFiles(t *testing.T, dir, name string, seed float64) (image, mask string) {
	t.Helper()
	g := volume.Axial([3]int{48, 44, 30}, [3]float64{0.8, 0.8, 1.5}, volume.Vec{-20, -30, 40})
	v, m := volume.New(g), volume.NewMask(g)
	for k := range g.Size[2] {
		for j := range g.Size[1] {
			for i := range g.Size[0] {
				o := g.Offset(i, j, k)
				x := float64(i)*0.37 + float64(j)*0.53 + float64(k)*0.91 + seed
				v.Data[o] = float32(math.Round(200*math.Sin(x) + 150*math.Cos(3*x+float64(i)) - 400))
				for label, c := range [2][3]int{{16, 20, 14}, {36, 24, 14}} {
					a, b, d := i-c[0], j-c[1], 2*(k-c[2])
					if a*a+b*b+d*d < 90 {
						m.Data[o] = uint8(label + 1)
					}
				}
			}
		}
	}
	image, mask = filepath.Join(dir, name+"_image.nii.gz"), filepath.Join(dir, name+"_mask.nii.gz")
	if err := errors.Join(volume.WriteNIfTI(image, v), volume.WriteMaskNIfTI(mask, m)); err != nil {
		t.Fatal(err)
	}
	return image, mask
}

func readTable(t *testing.T, path string) [][]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestFeaturesCommand(t *testing.T) {
	dir := t.TempDir()
	image, mask := featureFiles(t, dir, "a", 0)
	status, out := run(t, dir, "features", "--image", image, "--mask", mask, "--profile", "fine", "-o", "out.json")
	if status != 0 || !strings.Contains(out, "several labels, 1 is taken") {
		t.Fatalf("exit status %d: %s", status, out)
	}
	var got struct {
		Result struct {
			Profile  string
			Hash     string `json:"settings_sha256"`
			Features map[string]*float64
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "out.json"))
	if err == nil {
		err = json.Unmarshal(text, &got)
	}
	if err != nil || len(got.Result.Features) != 1316 || got.Result.Profile != "fine" {
		t.Fatalf("%d features, profile %q: %v", len(got.Result.Features), got.Result.Profile, err)
	}
	if status, out := run(t, dir, "features", "--image", image, "--mask", mask, "--profile", "fine", "--threads", "1", "-o", "out.csv"); status != 0 {
		t.Fatal(out)
	}
	rows := readTable(t, filepath.Join(dir, "out.csv"))
	for i, name := range rows[0][8:] {
		if v, err := strconv.ParseFloat(rows[1][8+i], 64); err != nil || v != *got.Result.Features[name] {
			t.Errorf("%s is %s in the table, %v in the JSON", name, rows[1][8+i], got.Result.Features[name])
		}
	}
	// The other label, the settings from a file.
	yaml := "imageType: {Original: {}}\nfeatureClass: {shape: [VoxelVolume]}\nsetting: {label: 2}\n"
	if err := os.WriteFile(filepath.Join(dir, "p.yaml"), []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, out := run(t, dir, "features", "--image", image, "--mask", mask, "--params", "p.yaml", "-o", "two.csv"); status != 0 {
		t.Fatal(out)
	}
	rows = readTable(t, filepath.Join(dir, "two.csv"))
	if len(rows[0]) != 9 || rows[0][8] != "original_shape_VoxelVolume" || rows[1][3] != "2" {
		t.Errorf("header %v, row %v", rows[0], rows[1])
	}
	for _, c := range []struct {
		want string
		args []string
	}{
		{"no label 9", []string{"--image", image, "--mask", mask, "--label", "9", "-o", "x.csv"}},
		{"no profile", []string{"--image", image, "--mask", mask, "--profile", "best", "-o", "x.csv"}},
		{".json or .csv", []string{"--image", image, "--mask", mask, "-o", "x.txt"}},
		{"--image and --mask are needed", []string{"-o", "x.csv"}},
		{"leave out --image", []string{"--cases", "c.csv", "--image", image, "-o", "x.csv"}},
		{"no such file", []string{"--image", image, "--mask", "none.nii", "-o", "x.csv"}},
		{"a folder with a DICOM series", []string{"--image", filepath.Join(dir, "p.yaml"), "--mask", mask, "-o", "x.csv"}},
	} {
		if status, out := run(t, dir, append([]string{"features"}, c.args...)...); status == 0 || !strings.Contains(out, c.want) {
			t.Errorf("%v: exit status %d, no %q in %s", c.args, status, c.want, out)
		}
	}
}

// A table of cases that was killed half way goes on where it stood, and is at the end what it would have been.
func TestFeaturesOfManyCases(t *testing.T) {
	dir := t.TempDir()
	var list strings.Builder
	list.WriteString("Mask,id,Image,label\n")
	const n = 16
	for i := range n {
		name := fmt.Sprintf("c%02d", i)
		image, mask := featureFiles(t, dir, name, float64(i))
		label := ""
		if i%2 == 1 {
			label = "2"
		}
		if i == 7 {
			mask = filepath.Join(dir, "lost.nii.gz")
		}
		fmt.Fprintf(&list, "%s,%s,%s,%s\n", filepath.Base(mask), name, image, label)
	}
	if err := os.WriteFile(filepath.Join(dir, "cases.csv"), []byte(list.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	status, out := run(t, dir, "features", "--cases", "cases.csv", "--threads", "2", "-o", "whole.csv")
	if status == 0 || !strings.Contains(out, "case c07") || !strings.Contains(out, "1 of 16 cases have no features") || !strings.Contains(out, "of 16") {
		t.Fatalf("exit status %d: %s", status, out)
	}
	whole := readTable(t, filepath.Join(dir, "whole.csv"))
	if len(whole) != n+1 || len(whole[1]) != 8+1316 || whole[8][7] == "" || whole[8][8] != "" || whole[2][3] != "2" || whole[1][3] != "1" {
		t.Fatalf("%d rows of %d columns", len(whole), len(whole[1]))
	}

	cmd := exec.CommandContext(t.Context(), rfanode(t), "features", "--cases", "cases.csv", "--threads", "1", "-o", "killed.csv")
	cmd.Dir = dir
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	partial := filepath.Join(dir, "killed.csv.partial")
	for range 600 {
		if b, err := os.ReadFile(partial); err == nil && strings.Count(string(b), "\n") > 4 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed: its status says so
	f, err := os.OpenFile(partial, os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString("c15,half a li")
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	_, out = run(t, dir, "features", "--cases", "cases.csv", "-o", "killed.csv")
	if !strings.Contains(out, "cases are there already") {
		t.Errorf("nothing was taken from the stopped run: %s", out)
	}
	if again := readTable(t, filepath.Join(dir, "killed.csv")); !slices.EqualFunc(again, whole, func(a, b []string) bool { return slices.Equal(a, b) }) {
		t.Error("the resumed table differs")
	}
	if _, err := os.Stat(partial); err == nil {
		t.Error("the file of finished rows is left behind")
	}
	// What is there is not computed again; what failed is tried again; other settings do not mix.
	if err := os.Rename(filepath.Join(dir, "c07_mask.nii.gz"), filepath.Join(dir, "lost.nii.gz")); err != nil {
		t.Fatal(err)
	}
	if status, out := run(t, dir, "features", "--cases", "cases.csv", "-o", "killed.csv"); status != 0 || !strings.Contains(out, "15 of 16 cases are there already") {
		t.Errorf("exit status %d: %s", status, out)
	}
	if status, out := run(t, dir, "features", "--cases", "cases.csv", "--profile", "nonlinear", "-o", "killed.csv"); status == 0 || !strings.Contains(out, "other columns") {
		t.Errorf("exit status %d: %s", status, out)
	}
	for text, want := range map[string]string{"id,image\n": `no column "mask"`, "": "no header", "id,image,mask\n": "no case", "id,image,mask\na,b,c\na,b,c\n": "stands in line 2 too",
		"id,image,mask,label\na,b,c,x\n": "no positive whole number", "id,image,mask\na,,c\n": "may not be empty"} {
		if err := os.WriteFile(filepath.Join(dir, "bad.csv"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if status, out := run(t, dir, "features", "--cases", "bad.csv", "-o", "bad_out.csv"); status == 0 || !strings.Contains(out, want) {
			t.Errorf("%q: exit status %d, no %q in %s", text, status, want, out)
		}
	}
}
