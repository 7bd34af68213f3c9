package ct

import (
	"fmt"
	"slices"
	"strconv"
)

// Multi-frame CT: Enhanced CT and what converters make of single slices (PS3.3 A.38, A.70). Where each frame lies and how
// its values are scaled stands in functional groups, shared by all frames or one a frame (PS3.3 C.7.6.16).
const (
	enhancedCT       = "1.2.840.10008.5.1.4.1.1.2.1"
	legacyEnhancedCT = "1.2.840.10008.5.1.4.1.1.2.2"

	tagSharedGroups     tag = 0x52009229
	tagFrameGroups      tag = 0x52009230
	tagFrameContent     tag = 0x00209111
	tagPlanePosition    tag = 0x00209113
	tagPlaneOrientation tag = 0x00209116
	tagPixelMeasures    tag = 0x00289110
	tagValueTransform   tag = 0x00289145
	tagCTFrameType      tag = 0x00189329
	tagFrameType        tag = 0x00089007
	tagFrameAcquired    tag = 0x00189074

	maxFrames = 8192 // slices; four times the longest single-frame series that is taken
)

// groupMacros are the functional groups that are read, each a sequence of one item.
var groupMacros = []tag{tagFrameContent, tagPlanePosition, tagPlaneOrientation, tagPixelMeasures, tagValueTransform, tagCTFrameType}

// groupValues are the attributes read of them.
var groupValues = []tag{tagPosition, tagOrientation, tagPixelSpacing, tagThickness, tagIntercept, tagSlope, tagFrameType, tagFrameAcquired}

// isMultiFrame says whether a SOP class is one of a multi-frame CT.
func isMultiFrame(sopClass string) bool {
	return sopClass == enhancedCT || sopClass == legacyEnhancedCT
}

// groupItem holds the values of one item of functional groups.
type groupItem map[tag][]byte

// ReadFrames is ReadHeader for objects of several frames too: it returns a header for each frame, in the order of the
// frames, with what the functional groups say of it. An object of one frame, or of another kind, has one.
func ReadFrames(path string) ([]InstanceHeader, error) {
	d, err := readDataset(path, wanted)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	headers, err := d.headers()
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	for k := range headers {
		headers[k].Path = path
	}
	return headers, nil
}

func (d *dataset) headers() ([]InstanceHeader, error) {
	base := d.header()
	if !isMultiFrame(base.SOPClassUID) {
		return []InstanceHeader{base}, nil
	}
	if base.Frames < 1 || base.Frames > maxFrames || len(d.frames) != base.Frames {
		return nil, fmt.Errorf("it says it has %d frames and describes %d", base.Frames, len(d.frames))
	}
	var shared groupItem
	if len(d.shared) > 0 {
		shared = d.shared[0]
	}
	headers := make([]InstanceHeader, base.Frames)
	for k := range headers {
		headers[k] = d.frame(base, shared, d.frames[k], k+1)
	}
	return headers, nil
}

// frame is the header of one frame: its own groups over the shared ones over what the object says as a whole.
func (d *dataset) frame(base InstanceHeader, shared, own groupItem, number int) InstanceHeader {
	f := dataset{order: d.order, values: map[tag][]byte{}}
	for _, t := range groupValues {
		for _, from := range []groupItem{own, shared, d.values} {
			if v, ok := from[t]; ok {
				f.values[t] = v
				break
			}
		}
	}
	h := base
	h.Frame = number
	h.InstanceNumber = strconv.Itoa(number)
	h.PlaneStated, h.RescaleStated = false, false
	f.plane(&h)
	f.rescale(&h)
	if t, ok := f.decimals(tagThickness, 1); ok && t[0] > 0 {
		h.SliceThickness = t[0]
	}
	if v := f.plain(tagFrameType); v != "" {
		h.ImageType = splitValues(v)
	}
	if v := f.plain(tagFrameAcquired); len(v) >= 8 {
		if t, _, ok := moment(v[:8], v[8:]); ok {
			h.Acquired = t
		}
	}
	return h
}

// groups reads the items of a sequence of functional groups.
func (w *walker) groups(e element) ([]groupItem, error) {
	var items []groupItem
	explicit := w.explicit && e.vr != "UN"
	err := w.eachItem(e, explicit, func(end int64) error {
		if len(items) == maxFrames {
			return fmt.Errorf("more than %d frames", maxFrames)
		}
		item := groupItem{}
		items = append(items, item)
		return w.eachElement(end, explicit, func(macro element) error {
			if !slices.Contains(groupMacros, macro.tag) {
				return w.pass(macro, explicit, 2)
			}
			return w.eachItem(macro, explicit, func(end int64) error {
				return w.eachElement(end, explicit, func(leaf element) error { return w.leaf(item, leaf, explicit) })
			})
		})
	})
	return items, err
}

// leaf keeps a value that is read, and passes over any other.
func (w *walker) leaf(item groupItem, e element, explicit bool) error {
	if !slices.Contains(groupValues, e.tag) || e.length == undefinedLength {
		return w.pass(e, explicit, 3)
	}
	if e.length > maxValue {
		return fmt.Errorf("%s: a value of %d bytes, at most %d are read", e.tag, e.length, maxValue)
	}
	v, err := w.take(int(e.length))
	if err != nil {
		return err
	}
	item[e.tag] = slices.Clone(v)
	return nil
}

// pass goes over an element's value, whatever it is.
func (w *walker) pass(e element, explicit bool, depth int) error {
	if e.length == undefinedLength {
		return w.items(explicit && e.vr != "UN", depth)
	}
	return w.skip(int64(e.length))
}

// eachItem calls f at the beginning of each item of a sequence; end is where the item ends, −1 if a delimiter tells.
func (w *walker) eachItem(e element, explicit bool, f func(end int64) error) error {
	end := int64(-1)
	if e.length != undefinedLength {
		if end = w.at + int64(e.length); end > w.size {
			return fmt.Errorf("%s is %d bytes long, %d follow", e.tag, e.length, w.size-w.at)
		}
	}
	for w.at != end {
		if end >= 0 && w.at > end {
			return fmt.Errorf("an item of %s runs past its end", e.tag)
		}
		i, err := w.next(explicit)
		switch {
		case err != nil:
			return err
		case i.tag == tagSequenceEnd && end < 0:
			return nil
		case i.tag != tagItem:
			return fmt.Errorf("%s where an item should be, at offset %d", i.tag, w.at)
		}
		itemEnd := int64(-1)
		if i.length != undefinedLength {
			if itemEnd = w.at + int64(i.length); itemEnd > w.size || end >= 0 && itemEnd > end {
				return fmt.Errorf("an item of %s runs past its end", e.tag)
			}
		}
		if err := f(itemEnd); err != nil {
			return err
		}
	}
	return nil
}

// eachElement calls f for each element of an item, which must go over its value.
func (w *walker) eachElement(end int64, explicit bool, f func(element) error) error {
	for w.at != end {
		if end >= 0 && w.at > end {
			return fmt.Errorf("an element runs past its item, at offset %d", w.at)
		}
		e, err := w.next(explicit)
		switch {
		case err != nil:
			return err
		case e.tag == tagItemEnd && end < 0:
			return nil
		}
		if err := f(e); err != nil {
			return err
		}
	}
	return nil
}
