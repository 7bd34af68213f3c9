package register

import (
	"context"
	"encoding/json"
	"math/bits"
	"os"
	"strconv"
	"testing"

	"rfanode/analysis/volume"
)

// One bit wrong in a descriptor is seen by nobody and costs accuracy everywhere. testdata/mind.json comes from
// reference/mind.py, which follows the definition step by step.
func TestMindEqualsReference(t *testing.T) {
	data, err := os.ReadFile("testdata/mind.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Size  [3]int
		Step  int
		Image []uint16
		Codes []string
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	for n, c := range cases {
		img := &image{Geometry: volume.Axial(c.Size, [3]float64{2, 2, 2}, volume.Vec{}), data: c.Image}
		out := make([]uint64, img.Len())
		if err := mind(context.Background(), out, img, c.Step, 2); err != nil {
			t.Fatal(err)
		}
		for o, code := range out {
			if got := strconv.FormatUint(code, 10); got != c.Codes[o] {
				t.Fatalf("case %d (size %v, step %d): voxel %d has %s, the reference %s", n, c.Size, c.Step, o, got, c.Codes[o])
			}
		}
	}
}

// Slabs are described apart from each other: where they meet nothing may show.
func TestMindSlabsMeet(t *testing.T) {
	img := texture(t, volume.Axial([3]int{17, 13, 3*mindSlabPlanes + 5}, [3]float64{2, 2, 2}, volume.Vec{}), 4, 1)
	for s := 1; s <= 3; s++ {
		want := make([]uint64, img.Len())
		mindSlab(want, img, s, 0, img.Size[2], newMindScratch(img.Size[0], img.Size[1], s))
		got := make([]uint64, img.Len())
		if err := mind(context.Background(), got, img, s, 3); err != nil {
			t.Fatal(err)
		}
		for o := range got {
			if got[o] != want[o] {
				t.Fatalf("step %d: voxel %d differs between one slab and several", s, o)
			}
		}
	}
}

func TestMindOfConstantImage(t *testing.T) {
	img := &image{Geometry: volume.Axial([3]int{6, 6, 6}, [3]float64{2, 2, 2}, volume.Vec{}), data: make([]uint16, 216)}
	out := make([]uint64, 216)
	if err := mind(context.Background(), out, img, 2, 1); err != nil {
		t.Fatal(err)
	}
	for o, c := range out {
		if bits.OnesCount64(c) != 60 {
			t.Fatalf("voxel %d of a constant image has %d bits, want all 60", o, bits.OnesCount64(c))
		}
	}
}

// The unrolled loops for each block side must count what the plain definition counts, at the border too.
func TestMatchBlocksEqualsDefinition(t *testing.T) {
	img := texture(t, volume.Axial([3]int{23, 19, 21}, [3]float64{2, 2, 2}, volume.Vec{}), 4, 2)
	other := texture(t, img.Geometry, 4, 3)
	r, w := make([]uint64, img.Len()), make([]uint64, img.Len())
	ctx := context.Background()
	if err := mind(ctx, r, img, 1, 1); err != nil {
		t.Fatal(err)
	}
	if err := mind(ctx, w, other, 1, 1); err != nil {
		t.Fatal(err)
	}
	for g := 3; g <= maxBlock; g++ {
		b, l := newBlocks(img.Geometry, g), labels{2, 3}
		b.use(func(n int32) bool { return n%3 != 1 })
		cost, err := matchBlocks(ctx, r, w, b, l, 2)
		if err != nil {
			t.Fatal(err)
		}
		for i, node := range b.at {
			x, y, z := b.node(node)
			for n := range l.len() {
				d, want, count := l.displacement(n), 0, 0
				for k := 0; k < g; k += stride(g) {
					for j := 0; j < g; j += stride(g) {
						for i := range g {
							p := [3]int{x*g + i, y*g + j, z*g + k}
							o := img.Offset(clamp(p[0]+d[0], 23), clamp(p[1]+d[1], 19), clamp(p[2]+d[2], 21))
							want += bits.OnesCount64(r[img.Offset(p[0], p[1], p[2])] ^ w[o])
							count++
						}
					}
				}
				if got := int(cost[i*l.len()+n]); got != want || count != samples(g) {
					t.Fatalf("block side %d, node %d, displacement %v: %d bits of %d samples, want %d of %d", g, node, d, got, samples(g), want, count)
				}
			}
		}
	}
}
