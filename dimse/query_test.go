package dimse

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// responses builds the answers of a query peer: pending ones with a match each, then, unless it is zero, a final one.
func pendingFind(context byte, match Attributes) pData {
	p := response(context, Command{Field: CFindRQ.Response(), MessageIDRespondedTo: 1, Status: StatusPending, HasDataSet: true})
	b := AppendAttributes(nil, match, true)
	p.values = append(p.values, pdv{pdvHeader{uint32(len(b)), context, false, true}, b})
	return p
}

func match(study string) Attributes {
	var a Attributes
	a.Add(TagStudyInstanceUID, "UI", study)
	return a
}

func finalFind(status uint16) pData {
	return response(1, Command{Field: CFindRQ.Response(), MessageIDRespondedTo: 1, Status: status})
}

func cancelled(conn net.Conn) bool {
	for {
		p, err := readPDU(conn)
		if err != nil {
			return false
		}
		if d, ok := p.(pData); ok && d.values[0].command {
			if c, err := parseCommand(d.values[0].fragment); err == nil && c.Field == CCancelRQ && c.MessageIDRespondedTo == 1 {
				return true
			}
		}
	}
}

func TestFindMatches(t *testing.T) {
	peer := acceptor(t, func(c net.Conn, rq *AssociateRQ) {
		write(c, accepting(rq, 0), pendingFind(1, match("1.2.1")), pendingFind(1, match("1.2.2")), finalFind(StatusSuccess))
	})
	var got []string
	err := (&Client{Timeouts: quick}).Find(t.Context(), peer, match(""), func(a Attributes) error {
		got = append(got, a.Text(TagStudyInstanceUID))
		return nil
	})
	if err != nil || strings.Join(got, " ") != "1.2.1 1.2.2" {
		t.Errorf("%v, %v", got, err)
	}
}

// A query that is not wanted any more is cancelled at the peer; one that the peer does not let go is aborted.
func TestFindEndsEarly(t *testing.T) {
	for _, c := range []struct {
		name string
		heed bool
		stop func(cancel context.CancelFunc) error
		want error
	}{
		{"enough", true, func(context.CancelFunc) error { return ErrStop }, nil},
		{"a fault of ours", true, func(context.CancelFunc) error { return io.ErrShortBuffer }, io.ErrShortBuffer},
		{"the context ends", true, func(cancel context.CancelFunc) error { cancel(); return nil }, context.Canceled},
		{"the peer does not heed it", false, func(cancel context.CancelFunc) error { cancel(); return nil }, context.Canceled},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			heard := make(chan bool, 1)
			peer := acceptor(t, func(conn net.Conn, rq *AssociateRQ) {
				write(conn, accepting(rq, 0), pendingFind(1, match("1.2.1")))
				heard <- cancelled(conn)
				if c.heed {
					write(conn, pendingFind(1, match("1.2.2")), finalFind(StatusCancelled))
				}
			})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			n, start := 0, time.Now()
			err := (&Client{Timeouts: quick}).Find(ctx, peer, match(""), func(Attributes) error { n++; return c.stop(cancel) })
			if !errors.Is(err, c.want) || c.want == nil && err != nil {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if n != 1 {
				t.Errorf("%d matches after the end", n-1)
			}
			if !<-heard {
				t.Error("no C-CANCEL came")
			}
			if took := time.Since(start); took > cancelGrace+3*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

// Failures of queries are of the right kind.
func TestQueryFailures(t *testing.T) {
	for _, c := range []struct {
		name string
		play script
		kind Kind
		want string
	}{
		{"out of resources", func(c net.Conn, rq *AssociateRQ) { write(c, accepting(rq, 0), finalFind(0xA700)) }, Transient, "A700H"},
		{"identifier refused", func(c net.Conn, rq *AssociateRQ) { write(c, accepting(rq, 0), finalFind(0xA900)) }, Permanent, "A900H"},
		{"not offered", func(c net.Conn, rq *AssociateRQ) {
			ac := accepting(rq, 0)
			ac.Contexts[0].Result = ContextAbstractSyntax
			write(c, ac)
		}, Configuration, "does not accept"},
		{"never answers", func(c net.Conn, rq *AssociateRQ) { write(c, accepting(rq, 0)) }, Transient, "no answer"},
		{"a match that cannot be read", func(c net.Conn, rq *AssociateRQ) {
			p := pendingFind(1, match("1.2"))
			p.values[1].fragment[4] = 0xFF
			write(c, accepting(rq, 0), p, finalFind(StatusSuccess))
		}, Transient, "cannot be read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := (&Client{Timeouts: quick}).Find(t.Context(), acceptor(t, c.play), match(""), func(Attributes) error { return nil })
			if err == nil || !strings.Contains(err.Error(), c.want) || ErrorKind(err) != c.kind {
				t.Errorf("%v is %v", err, ErrorKind(err))
			}
		})
	}
}

// C-MOVE tells how many objects came through.
func TestMove(t *testing.T) {
	answer := func(status uint16, o SubOperations) pData {
		return response(1, Command{Field: CMoveRQ.Response(), MessageIDRespondedTo: 1, Status: status, SubOperations: o})
	}
	var failed Attributes
	failed.Add(TagFailedSOPInstances, "UI", `1.2.3\1.2.4`)
	list := AppendAttributes(nil, failed, true)
	set := appendCommand(nil, Command{Field: CMoveRQ.Response(), MessageIDRespondedTo: 1, Status: StatusSubOperationsFailed,
		HasDataSet: true, SubOperations: SubOperations{0, 1, 2, 0}})
	final := pData{[]pdv{{pdvHeader{uint32(len(set)), 1, true, true}, set}, {pdvHeader{uint32(len(list)), 1, false, true}, list}}}
	var asked Command
	peer := acceptor(t, func(c net.Conn, rq *AssociateRQ) {
		write(c, accepting(rq, 0))
		if p, err := readPDU(c); err == nil {
			asked, _ = parseCommand(p.(pData).values[0].fragment)
		}
		write(c, answer(StatusPending, SubOperations{3, 0, 0, 0}), answer(StatusPending, SubOperations{1, 1, 1, 0}), final)
	})
	var seen []SubOperations
	r, err := (&Client{Timeouts: quick}).Move(t.Context(), peer, "RFANODE", match("1.2"), func(o SubOperations) error {
		seen = append(seen, o)
		return nil
	})
	var status *StatusError
	if !errors.As(err, &status) || status.Status != StatusSubOperationsFailed {
		t.Errorf("%v", err)
	}
	if r.Completed != 1 || r.Failed != 2 || strings.Join(r.FailedInstances, " ") != "1.2.3 1.2.4" || len(seen) != 2 {
		t.Errorf("%+v, progress %v", r, seen)
	}
	if asked.MoveDestination != "RFANODE" || asked.AffectedSOPClassUID != StudyRootMove {
		t.Errorf("asked %+v", asked)
	}
	unknown := acceptor(t, func(c net.Conn, rq *AssociateRQ) {
		write(c, accepting(rq, 0), answer(StatusDestinationUnknown, SubOperations{}))
	})
	if _, err := (&Client{Timeouts: quick}).Move(t.Context(), unknown, "RFANODE", match("1.2"), nil); ErrorKind(err) != Configuration {
		t.Errorf("destination unknown: %v", err)
	}
}
