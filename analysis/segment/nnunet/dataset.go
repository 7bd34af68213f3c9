package nnunet

import (
	"encoding/json"
	"maps"
	"slices"
)

// labelSet is what dataset.json says the network's channels stand for.
type labelSet struct {
	names map[string][]int // what each label or region is made of in the label map; background left out
	heads int
	// regions: channel c, where it is above ½, gives the label order[c]; later channels overwrite earlier ones.
	// Without regions, the largest channel is the label, and order is nil.
	order []int
}

type datasetFile struct {
	Name     string        `json:"name"`
	Channels orderedObject `json:"channel_names"`
	Modality orderedObject `json:"modality"`
	Labels   orderedObject `json:"labels"`
	Order    []int         `json:"regions_class_order"`
	Ending   string        `json:"file_ending"`
}

// maxLabel bounds label values: a label map has a byte a voxel.
const maxLabel = 255

// parseDataset reads dataset.json as nnU-Net's LabelManager does.
func parseDataset(data []byte) (*labelSet, error) {
	const name = "dataset.json"
	var file datasetFile
	if err := parseJSON(data, &file, name); err != nil {
		return nil, err
	}
	channels := file.Channels
	if channels == nil {
		channels = file.Modality
	}
	if len(channels) != 1 {
		return nil, unsupported("%s names %d input channels: one CT is all there is", name, len(channels))
	}
	labels, err := file.values()
	if err != nil {
		return nil, err
	}
	if isRegions(labels) {
		return regionLabels(labels, file.Order)
	}
	return plainLabels(labels)
}

// label is an entry of dataset.json with the values it stands for.
type label struct {
	name   string
	values []int
}

func (l label) background() bool {
	return !slices.ContainsFunc(l.values, func(v int) bool { return v != 0 })
}

// values reads the labels in the order of the file; the ignore label is none of the network's.
func (f datasetFile) values() ([]label, error) {
	var out []label
	hasBackground := false
	for _, m := range f.Labels {
		l := label{name: m.name}
		var one int
		if json.Unmarshal(m.value, &one) == nil {
			l.values = []int{one}
		} else if json.Unmarshal(m.value, &l.values) != nil || len(l.values) == 0 {
			return nil, damaged("dataset.json: label %q has the value %.40s, which is neither a number nor a list of them", m.name, m.value)
		}
		for _, v := range l.values {
			if v < 0 || v > maxLabel {
				return nil, unsupported("dataset.json: label %q has the value %d; 0 to %d can be told apart", m.name, v, maxLabel)
			}
		}
		if m.name == "ignore" {
			continue
		}
		hasBackground = hasBackground || m.name == "background" && l.background()
		out = append(out, l)
	}
	if !hasBackground {
		return nil, damaged("dataset.json has no label background with the value 0")
	}
	return out, nil
}

func isRegions(labels []label) bool {
	return slices.ContainsFunc(labels, func(l label) bool { return len(l.values) > 1 })
}

func plainLabels(labels []label) (*labelSet, error) {
	s := &labelSet{names: map[string][]int{}}
	var values []int
	for _, l := range labels {
		v := l.values[0]
		values = append(values, v)
		if v != 0 {
			s.names[l.name] = []int{v}
		}
	}
	slices.Sort(values)
	values = slices.Compact(values)
	s.heads = len(values)
	if values[len(values)-1] != len(values)-1 {
		return nil, unsupported("dataset.json: labels %v have gaps; nnU-Net numbers them from 0 without any", values)
	}
	if s.heads < 2 {
		return nil, damaged("dataset.json has no label but background")
	}
	return s, nil
}

func regionLabels(labels []label, order []int) (*labelSet, error) {
	s := &labelSet{names: map[string][]int{}, order: order}
	for _, l := range labels {
		if l.background() {
			continue
		}
		s.names[l.name] = l.values
		s.heads++
	}
	if s.heads == 0 || len(order) != s.heads {
		return nil, damaged("dataset.json has %d regions but regions_class_order %v", s.heads, order)
	}
	for _, v := range order {
		if v < 0 || v > maxLabel {
			return nil, unsupported("dataset.json: regions_class_order has the value %d; 0 to %d can be told apart", v, maxLabel)
		}
	}
	return s, nil
}

// sorted are the names of the labels.
func (s *labelSet) sorted() []string { return slices.Sorted(maps.Keys(s.names)) }
