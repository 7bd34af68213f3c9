package prognosis

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"rfanode/durable"
)

// ModelFile is the bundle's description; the networks lie beside it.
const ModelFile = "model.json"

const maxModelJSON = 32 << 20

// Write puts the bundle into a folder, which is made if need be: members first, model.json last, so that a folder with a
// model.json is whole. onnx holds the members' files in order; their hashes are set here.
func (b *Bundle) Write(dir string, onnx [][]byte) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	b.graphs = nil
	for k, data := range onnx {
		sum := sha256.Sum256(data)
		b.Members[k].File, b.Members[k].SHA256 = fmt.Sprintf("member-%02d.onnx", k), hex.EncodeToString(sum[:])
		g, err := DecodeONNX(data)
		if err != nil {
			return fmt.Errorf("bundle: member %d: %w", k, err)
		}
		b.graphs = append(b.graphs, g)
		if err := writeBytes(filepath.Join(dir, b.Members[k].File), data); err != nil {
			return fmt.Errorf("bundle: %w", err)
		}
	}
	j, err := json.MarshalIndent(b, "", " ")
	if err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	if err := writeBytes(filepath.Join(dir, ModelFile), append(j, '\n')); err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	return nil
}

func writeBytes(path string, b []byte) error {
	return durable.WriteFile(path, func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	})
}

// Load reads a bundle from a folder or a .zip file and refuses it, with the reason, unless everything in it fits
// together and its own test vectors come out right. Pickled models are never read: loading one can run any program.
func Load(path string) (*Bundle, error) {
	b, err := load(path)
	if err != nil {
		return nil, fmt.Errorf("bundle %s: %w", path, err)
	}
	return b, nil
}

func load(path string) (*Bundle, error) {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".pt", ".pth", ".pkl", ".joblib":
		return nil, errors.New("a pickled model is not read, since loading one can run any program: export it with tools/export_deepsurv.py")
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return read(os.DirFS(path))
	}
	z, err := zip.OpenReader(path)
	if err != nil {
		return nil, fmt.Errorf("neither a folder nor a zip file: %w", err)
	}
	defer z.Close()
	var root fs.FS = z
	for _, f := range z.File { // a zip of the folder itself
		if dir, name := filepath.Split(f.Name); name == ModelFile && dir != "" {
			if root, err = fs.Sub(z, strings.TrimSuffix(dir, "/")); err != nil {
				return nil, err
			}
			break
		}
	}
	return read(root)
}

func read(root fs.FS) (*Bundle, error) {
	j, err := readLimited(root, ModelFile, maxModelJSON)
	if err != nil {
		return nil, err
	}
	var b Bundle
	d := json.NewDecoder(bytes.NewReader(j))
	if err := d.Decode(&b); err != nil {
		return nil, fmt.Errorf("%s: %w", ModelFile, err)
	}
	if b.Schema != Schema { // before anything else: the rest may mean something different
		return nil, fmt.Errorf("schema %q is not known, %q is", b.Schema, Schema)
	}
	for _, m := range b.Members {
		if m.File != filepath.Base(m.File) || !fs.ValidPath(m.File) {
			return nil, fmt.Errorf("member %q: a plain file name is needed", m.File)
		}
		data, err := readLimited(root, m.File, maxONNXBytes)
		if err != nil {
			return nil, fmt.Errorf("member: %w", err)
		}
		if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != m.SHA256 {
			return nil, fmt.Errorf("member %s: its SHA-256 is not the one in %s: the file was changed or mixed up", m.File, ModelFile)
		}
		g, err := DecodeONNX(data)
		if err != nil {
			return nil, fmt.Errorf("member %s: %w", m.File, err)
		}
		b.graphs = append(b.graphs, g)
	}
	return &b, b.check()
}

func readLimited(root fs.FS, name string, limit int64) ([]byte, error) {
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s: more than %d bytes", name, limit)
	}
	return b, err
}

// Compatible says whether the node's extractor makes what the bundle's Radscore and inputs need: the feature names, and
// the same settings.
func (b *Bundle) Compatible(names []string, settingsSHA256 string) error {
	var need []string
	if b.Radscore != nil {
		need = append(need, b.Radscore.Names...)
	}
	for _, f := range b.Features {
		if f.Source == SourceRadiomics {
			need = append(need, f.Name)
		}
	}
	if len(need) == 0 {
		return nil
	}
	if b.Extraction.SettingsSHA256 != settingsSHA256 {
		return fmt.Errorf("bundle %s: its radiomic features were extracted with other settings (%.12s, here %.12s): retrain, or extract as it did", b.ID, b.Extraction.SettingsSHA256, settingsSHA256)
	}
	for _, n := range need {
		if !slices.Contains(names, n) {
			return fmt.Errorf("bundle %s: the extractor makes no feature %q", b.ID, n)
		}
	}
	return nil
}
