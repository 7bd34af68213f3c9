package router

import (
	"strings"
	"testing"
	"time"

	"rfanode/dimse"
	"rfanode/sr"
)

// A receiver that is down for a while gets the result when it is back, under the same UIDs.
func TestReceiverIsDown(t *testing.T) {
	t.Parallel()
	p := &pacs{}
	stop := p.listen(t, "127.0.0.1:0")
	stop()
	n := start(t, Options{Destinations: []Destination{p.destination}})
	n.receive(t, both(pairOf("PID-20"))...)
	c := n.wait(t, "delivering, with the reason", func(c Case) bool { return c.State == Delivering && strings.Contains(c.Reason, "pacs: ") })
	if o := c.Objects[0].Outcomes[0]; o.State != Pending || o.Attempts == 0 || o.Comment == "" {
		t.Errorf("outcome while it is down: %+v", o)
	}
	p.listen(t, p.destination.Peer.Address)
	d := n.waitState(t, Delivered)
	if p.count() != len(d.Objects) || d.Reason != "" {
		t.Errorf("%d of %d objects, reason %q", p.count(), len(d.Objects), d.Reason)
	}
}

func both(a, b series) []series { return []series{a, b} }

// One refused context does not stop the others, is shown for the object, and can be tried again after a change there.
func TestContextRefused(t *testing.T) {
	t.Parallel()
	p := startPACS(t, &pacs{refuse: []string{sr.SegmentationStorage}})
	n := start(t, Options{Destinations: []Destination{p.destination}})
	n.receive(t, both(pairOf("PID-21"))...)
	c := n.waitState(t, PartlyDelivered)
	if !strings.Contains(c.Reason, "seg-post context refused") {
		t.Errorf("reason %q", c.Reason)
	}
	for _, o := range c.Objects {
		want := Stored
		if o.SOPClassUID == sr.SegmentationStorage {
			want = ContextRefused
		}
		if o.Outcomes[0].State != want {
			t.Errorf("%s: %+v", o.Role, o.Outcomes[0])
		}
	}
	p.set(func() { p.refuse = nil })
	if err := n.Release(t.Context(), c.ID); err != nil {
		t.Fatal(err)
	}
	n.waitState(t, Delivered)
	for uid, times := range p.times {
		if times != 1 {
			t.Errorf("%s arrived %d times", uid, times)
		}
	}
}

// A receiver that wants nothing of us: rejected for good, object by object, no loop.
func TestEverythingRejected(t *testing.T) {
	t.Parallel()
	asked := 0
	p := startPACS(t, &pacs{answer: func(string) uint16 { asked++; return 0xA900 }})
	n := start(t, Options{Destinations: []Destination{p.destination}})
	n.receive(t, both(pairOf("PID-22"))...)
	c := n.waitState(t, NotDelivered)
	if o := c.Objects[0].Outcomes[0]; o.State != Rejected || o.Status != "A900H" || o.Attempts != 1 {
		t.Errorf("outcome %+v", o)
	}
	time.Sleep(500 * time.Millisecond)
	p.set(func() {
		if asked != len(c.Objects) {
			t.Errorf("%d objects were offered %d times", len(c.Objects), asked)
		}
	})
}

// An answer that means "later" is tried again, for that object only.
func TestOutOfResources(t *testing.T) {
	t.Parallel()
	left := 2
	p := startPACS(t, &pacs{answer: func(string) uint16 {
		if left--; left >= 0 {
			return 0xA700
		}
		return dimse.StatusSuccess
	}})
	n := start(t, Options{Destinations: []Destination{p.destination}})
	n.receive(t, both(pairOf("PID-23"))...)
	c := n.waitState(t, Delivered)
	for uid, times := range p.times {
		if times != 1 {
			t.Errorf("%s arrived %d times", uid, times)
		}
	}
	if a := c.Objects[0].Outcomes[0].Attempts; a != 2 {
		t.Errorf("%d attempts", a)
	}
}

// An object that breaks every association does not keep the others back.
func TestOneObjectBreaksTheAssociation(t *testing.T) {
	t.Parallel()
	culprit := ""
	p := startPACS(t, &pacs{answer: func(sop string) uint16 {
		if culprit == "" {
			culprit = sop
		}
		if sop == culprit {
			return breaks
		}
		return dimse.StatusSuccess
	}})
	n := start(t, Options{Destinations: []Destination{p.destination}})
	n.receive(t, both(pairOf("PID-28"))...)
	n.wait(t, "delivered but for one object", func(c Case) bool {
		return c.State == Delivering && len(c.Objects) > 1 && p.count() == len(c.Objects)-1
	})
}

// An association rejected for good asks for a person: the destination is left alone but for a probe, and delivery goes
// on when the probe is answered. Another destination is not held up meanwhile.
func TestRejectedAssociation(t *testing.T) {
	t.Parallel()
	p := startPACS(t, &pacs{reject: &dimse.RejectCallingAE})
	q := startPACS(t, &pacs{destination: Destination{Name: "second"}})
	n := start(t, Options{Destinations: []Destination{p.destination, q.destination}, Retry: Retry{First: 20 * time.Millisecond, ProbeEvery: time.Second}})
	n.receive(t, both(pairOf("PID-24"))...)
	n.wait(t, "told to change the configuration", func(c Case) bool { return strings.Contains(c.Reason, "configuration") })
	c := n.wait(t, "stored at the second destination", func(c Case) bool {
		return len(c.Objects) > 0 && q.count() == len(c.Objects)
	})
	if c.State != Delivering {
		t.Errorf("state %s while one destination is waiting", c.State)
	}
	p.set(func() {
		if p.asked > 3 {
			t.Errorf("%d associations in the first moments of a hold", p.asked)
		}
		p.reject = nil
	})
	c = n.waitState(t, Delivered)
	if p.echoes == 0 || p.count() != len(c.Objects) {
		t.Errorf("%d probes, %d of %d objects", p.echoes, p.count(), len(c.Objects))
	}
}

// What cannot be delivered for too long is parked, not dropped: visible, and sent when a person says so.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	p := &pacs{}
	stop := p.listen(t, "127.0.0.1:0")
	stop()
	n := start(t, Options{Destinations: []Destination{p.destination}, Retry: Retry{First: 50 * time.Millisecond, Max: 50 * time.Millisecond, GiveUp: 300 * time.Millisecond}})
	n.receive(t, both(pairOf("PID-25"))...)
	c := n.waitState(t, NotDelivered)
	if o := c.Objects[0].Outcomes[0]; o.State != Parked || !strings.Contains(o.Comment, "given up") {
		t.Errorf("outcome %+v", o)
	}
	p.listen(t, p.destination.Peer.Address)
	if err := n.Release(t.Context(), c.ID); err != nil {
		t.Fatal(err)
	}
	n.waitState(t, Delivered)
}

// A destination that is taken out of the configuration ends what waits for it, visibly.
func TestDestinationGone(t *testing.T) {
	t.Parallel()
	p := &pacs{}
	stop := p.listen(t, "127.0.0.1:0")
	stop()
	n := start(t, Options{Destinations: []Destination{p.destination}})
	n.receive(t, both(pairOf("PID-26"))...)
	n.waitState(t, Delivering)
	n.stop()
	n = start(t, Options{Dir: n.dir})
	if c := n.waitState(t, NotDelivered); !strings.Contains(c.Reason, "no longer names") {
		t.Errorf("reason %q", c.Reason)
	}
}

// Waits longer than the job queue's own rhythm of 5 s go through its scheduler, which runs in an elected process only.
func TestLongWait(t *testing.T) {
	t.Parallel()
	left := 1
	p := startPACS(t, &pacs{answer: func(string) uint16 {
		if left--; left >= 0 {
			return 0xA700
		}
		return dimse.StatusSuccess
	}})
	n := start(t, Options{Destinations: []Destination{p.destination}, Retry: Retry{First: 7 * time.Second}})
	n.receive(t, both(pairOf("PID-27"))...)
	n.wait(t, "told to come back", func(c Case) bool { return strings.Contains(c.Reason, "A700H") })
	n.waitState(t, Delivered)
}

func TestRetryWaits(t *testing.T) {
	r := Retry{First: 5 * time.Second, Max: 15 * time.Minute}
	for n, want := range map[int]time.Duration{1: 5 * time.Second, 2: 10 * time.Second, 4: 40 * time.Second, 9: 15 * time.Minute, 5000: 15 * time.Minute} {
		for range 50 {
			if got := r.wait(n); got < want*79/100 || got > want*121/100 {
				t.Errorf("after %d attempts: %s, want %s ± 20 %%", n, got, want)
			}
		}
	}
}
