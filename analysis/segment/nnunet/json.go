package nnunet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// maxJSON bounds what is read of a JSON file; plans of real models have some tens of kB.
const maxJSON = 16 << 20

// readBounded reads a file of at most limit bytes.
func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	if int64(len(data)) > limit {
		return nil, damaged("%s is larger than %d MiB: this is no file of an nnU-Net model", path, limit>>20)
	}
	return data, nil
}

func readJSON(dir, name string) ([]byte, error) {
	data, err := readBounded(filepath.Join(dir, name), maxJSON)
	if errors.Is(err, os.ErrNotExist) {
		return nil, damaged("%s has no %s: it is no folder of an exported nnU-Net v2 model; tools/export_nnunet.py makes one", dir, name)
	}
	return data, err
}

func parseJSON(data []byte, into any, name string) error {
	if len(data) > 0 && data[0] == 0x80 { // pickle protocol mark
		return unsupported("%s is a Python pickle, as nnU-Net v1 wrote: retrain or re-export the model with v2", name)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return damaged("%s: %v", name, err)
	}
	return nil
}

// member is one entry of a JSON object.
type member struct {
	name  string
	value json.RawMessage
}

// orderedObject keeps the order in which a JSON object lists its members: with regions, nnU-Net numbers the channels of
// its network by it.
type orderedObject []member

func (o *orderedObject) UnmarshalJSON(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	token, err := d.Token()
	if err != nil {
		return err
	}
	if token != json.Delim('{') {
		return errors.New("an object is needed")
	}
	*o = nil
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		m := member{name: fmt.Sprint(name)}
		if err := d.Decode(&m.value); err != nil {
			return err
		}
		*o = append(*o, m)
	}
	return nil
}
