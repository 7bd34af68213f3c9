package study

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"sort"

	"rfanode/analysis/survival"
)

// Split fills Set where the table has none: the first centre (by name) is the development centre, the others are
// external; of the development patients ceil(.7 n) train and the rest validate internally, events and the others apart
// (largest remainder), in the order of SHA-256(seed|id). Every set must hold an event.
func (c *Cohort) Split(seed uint64) error {
	if c.Set == nil {
		c.draw(seed)
	}
	for _, s := range Sets {
		rows := c.Rows(s)
		if len(rows) == 0 && s != Train {
			continue // a study without that set
		}
		if n := c.Y.Pick(rows).Events(); n == 0 {
			return fmt.Errorf("split: the %s set of %d patients has no event: nothing can be measured there", s, len(rows))
		}
	}
	return nil
}

func (c *Cohort) draw(seed uint64) {
	first := c.Center[0]
	for _, s := range c.Center {
		if s < first {
			first = s
		}
	}
	c.Set = make([]string, len(c.ID))
	var groups [2][]int // without and with the event
	for i, s := range c.Center {
		if s != first {
			c.Set[i] = External
			continue
		}
		k := 0
		if c.Y.Event[i] == survival.Event {
			k = 1
		}
		groups[k] = append(groups[k], i)
	}
	n := float64(len(groups[0]) + len(groups[1]))
	train := int(math.Ceil(.7*n - 1e-9))
	share := func(g []int) (int, float64) {
		x := float64(train) * float64(len(g)) / n
		return int(x), x - math.Floor(x)
	}
	events, rest := share(groups[1])
	others, restOthers := share(groups[0])
	if events+others < train {
		if rest >= restOthers {
			events++
		} else {
			others++
		}
	}
	for k, take := range []int{others, events} {
		g := groups[k]
		key := func(i int) string {
			h := sha256.Sum256([]byte(fmt.Sprintf("%d|%s", seed, c.ID[i])))
			return string(h[:])
		}
		sort.Slice(g, func(a, b int) bool { return key(g[a]) < key(g[b]) })
		for r, i := range g {
			c.Set[i] = Internal
			if r < take {
				c.Set[i] = Train
			}
		}
	}
}

// SplitHash is the SHA-256 of who is in which set.
func (c *Cohort) SplitHash() string {
	h := sha256.New()
	for i, id := range c.ID {
		fmt.Fprintf(h, "%s|%s\n", id, c.Set[i])
	}
	return hex.EncodeToString(h.Sum(nil))
}
