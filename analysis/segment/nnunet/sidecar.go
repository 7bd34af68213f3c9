package nnunet

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// SidecarName is the file beside plans.json that holds what only the checkpoint or a person knows.
const SidecarName = "rfanode-model.json"

// SidecarSchema names the meaning of its fields.
const SidecarSchema = "rfanode-nnunet/1"

// sidecar is rfanode-model.json. tools/export_nnunet.py writes it.
type sidecar struct {
	Schema        string    `json:"schema"`
	Name          string    `json:"name"`
	Version       string    `json:"version"`
	DatasetName   string    `json:"dataset_name"`
	PlansName     string    `json:"plans_name"`
	Configuration string    `json:"configuration"`
	Trainer       string    `json:"trainer"`
	Folds         []fold    `json:"folds"`
	PlansSHA256   string    `json:"plans_sha256"`
	DatasetSHA256 string    `json:"dataset_sha256"`
	InputName     string    `json:"input_name"`
	OutputName    string    `json:"output_name"`
	Channels      int       `json:"channels"`
	Heads         int       `json:"heads"`
	PatchSize     []int     `json:"patch_size"`
	MirrorAxes    []int     `json:"mirror_axes"` // null: the model must not be mirrored
	TTA           bool      `json:"tta"`
	TileStep      float64   `json:"tile_step"`
	Orientation   string    `json:"array_orientation"`  // "RAS": x grows to the right, y to the front, z upwards
	OrientedBy    string    `json:"orientation_source"` // "reader", "training image" or "operator"
	Wrapper       *wrapper  `json:"wrapper"`
	SelfCheck     selfCheck `json:"selfcheck"`
	Training      training  `json:"training"`
}

type fold struct {
	K      json.RawMessage `json:"k"` // a number, or "all"
	File   string          `json:"file"`
	SHA256 string          `json:"sha256"`
}

type selfCheck struct {
	File       string  `json:"file"`
	SHA256     string  `json:"sha256"`
	MaxAbsDiff float64 `json:"max_abs_diff_torch_ort"`
}

// training says where a model comes from, for the people who read results.
type training struct {
	N          int    `json:"n"`
	What       string `json:"what"`
	Licence    string `json:"licence"`
	Validation string `json:"validation"`
}

// parseSidecar reads and checks what needs no other file.
func parseSidecar(data []byte) (*sidecar, error) {
	var s sidecar
	if err := parseJSON(data, &s, SidecarName); err != nil {
		return nil, err
	}
	if s.Schema != SidecarSchema {
		return nil, unsupported("%s has the schema %q, this program reads %q: export the model again with the tools/export_nnunet.py of this release", SidecarName, s.Schema, SidecarSchema)
	}
	bad := func(format string, args ...any) error {
		return damaged(SidecarName+": "+format, args...)
	}
	switch {
	case s.Name == "" || s.Version == "":
		return nil, bad("name and version are needed: they stand in every result")
	case len(s.Folds) == 0 || len(s.Folds) > 32:
		return nil, bad("%d folds", len(s.Folds))
	case s.InputName == "" || s.OutputName == "":
		return nil, bad("input_name or output_name is missing")
	case s.Channels != 1:
		return nil, unsupported("a model with %d input channels: one CT is all there is", s.Channels)
	case len(s.PatchSize) != 3:
		return nil, bad("patch_size %v does not have three sides", s.PatchSize)
	case !(s.TileStep > 0 && s.TileStep <= 1):
		return nil, bad("tile_step %g is not above 0 and at most 1", s.TileStep)
	case s.SelfCheck.File == "" || s.SelfCheck.SHA256 == "":
		return nil, bad("the self-check is missing: export the model again")
	case s.OrientedBy == "":
		return nil, bad("orientation_source is missing: it must be known how the arrays lay that the model was trained on")
	}
	for _, f := range s.Folds {
		if f.SHA256 == "" || !plainName(f.File) {
			return nil, bad("fold %s: file %q and its sha256 are needed, the file in the same folder", f.K, f.File)
		}
	}
	if !plainName(s.SelfCheck.File) {
		return nil, bad("selfcheck file %q must lie in the same folder", s.SelfCheck.File)
	}
	if _, err := parseOrientation(s.Orientation); err != nil {
		return nil, bad("array_orientation: %v", err)
	}
	if err := checkMirrorAxes(s.MirrorAxes); err != nil {
		return nil, bad("mirror_axes: %v", err)
	}
	if s.Wrapper != nil {
		if err := s.Wrapper.check(); err != nil {
			return nil, err
		}
	}
	return &s, nil
}

// plainName says whether a file name leads nowhere else.
func plainName(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.ContainsAny(name, `/\`)
}

func checkMirrorAxes(axes []int) error {
	for i, a := range axes {
		if a < 0 || a > 2 || slices.Contains(axes[:i], a) {
			return fmt.Errorf("%v are not different axes of three", axes)
		}
	}
	return nil
}

// agree compares the sidecar with the files it belongs to.
func (s *sidecar) agree(p *plans, l *labelSet, plansData, datasetData []byte) error {
	if err := checkHash("plans.json", plansData, s.PlansSHA256); err != nil {
		return err
	}
	if err := checkHash("dataset.json", datasetData, s.DatasetSHA256); err != nil {
		return err
	}
	if !slices.Equal(s.PatchSize, p.patch[:]) {
		return damaged("%s has patch_size %v, plans.json %v", SidecarName, s.PatchSize, p.patch)
	}
	if s.Heads != l.heads {
		return damaged("%s has %d heads, dataset.json %d", SidecarName, s.Heads, l.heads)
	}
	return nil
}

func checkHash(name string, data []byte, want string) error {
	if got := hashOf(data); !strings.EqualFold(got, want) {
		return wrongHash(name, got, want)
	}
	return nil
}

func hashOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func checkFileHash(dir, name, want string) error {
	got, err := fileHash(filepath.Join(dir, name))
	if errors.Is(err, os.ErrNotExist) {
		return damaged("%s has no %s, which %s names: copy the whole folder", dir, name, SidecarName)
	}
	if err != nil {
		return err
	}
	if !strings.EqualFold(got, want) {
		return wrongHash(name, got, want)
	}
	return nil
}

func wrongHash(name, got, want string) error {
	return damaged("%s is not the file that was exported (SHA-256 %.12s…, %s says %.12s…): copy the folder again, or export again", name, got, SidecarName, want)
}

func fileHash(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("reading %s: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// digest is the SHA-256 over the hashes of all that makes a model's answers: plans, labels, weights.
func digest(parts ...string) string {
	return hashOf([]byte(strings.ToLower(strings.Join(parts, "\n"))))
}
