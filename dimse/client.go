package dimse

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
)

// Client is a service class user: it opens associations and asks. The zero value works, as RFANODE. It may be used by
// several goroutines; every call has its own association.
type Client struct {
	AETitle  string       // who we say we are; empty: RFANODE
	Timeouts Timeouts     // zero: the defaults
	Log      *slog.Logger // nil: silent
}

// DefaultAETitle is the title of the node unless another is configured.
const DefaultAETitle = "RFANODE"

func (c *Client) named() *Client {
	d := *c
	if d.AETitle == "" {
		d.AETitle = DefaultAETitle
	}
	d.Log = c.log()
	return &d
}

// log is the client's logger.
func (c *Client) log() *slog.Logger {
	if c.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return c.Log
}

// Echo asks peer for a sign of life (C-ECHO, PS3.7 section 9.1.5).
func (c *Client) Echo(ctx context.Context, peer Peer) error {
	c = c.named()
	as, err := c.request(ctx, peer, []ProposedContext{{1, Verification,
		[]string{ExplicitVRLittleEndian, ImplicitVRLittleEndian}}})
	if err != nil {
		return err
	}
	defer as.Close()
	context, ok := as.Contexts[1]
	if !ok {
		_ = as.Release()
		return fmt.Errorf("%s at %s does not accept verification (C-ECHO)", peer.AETitle, peer.Address)
	}
	if err := as.Send(context.ID, Command{Field: CEchoRQ, MessageID: 1, AffectedSOPClassUID: Verification}, nil); err != nil {
		return err
	}
	rsp, err := as.answer(CEchoRQ, 1)
	if err != nil {
		return err
	}
	if rsp.Status != StatusSuccess {
		_ = as.Release()
		return fmt.Errorf("%s answered C-ECHO with status %04XH %q", peer.AETitle, rsp.Status, rsp.ErrorComment)
	}
	return as.Release()
}

// answer waits for the response to the message id.
func (as *Association) answer(to CommandField, id uint16) (Command, error) {
	m, err := as.Next()
	switch {
	case errors.Is(err, ErrReleased):
		return Command{}, fmt.Errorf("%w instead of an answer to %s", err, to)
	case err != nil:
		return Command{}, err
	case m.Command.Field != to.Response() || m.Command.MessageIDRespondedTo != id || !m.Command.present[tagStatus]:
		return Command{}, as.abort(AbortByUser, fmt.Errorf("%s for message %d instead of the answer to %s %d",
			m.Command.Field, m.Command.MessageIDRespondedTo, to, id))
	}
	return m.Command, nil
}

// Accepts asks peer which of some SOP classes it takes, in Explicit or Implicit VR Little Endian, without using them.
func (c *Client) Accepts(ctx context.Context, peer Peer, classes ...string) (map[string]bool, error) {
	var contexts []ProposedContext
	for i, class := range classes[:min(len(classes), maxContexts)] {
		contexts = append(contexts, ProposedContext{byte(2*i + 1), class, smallSyntaxes})
	}
	as, err := c.named().request(ctx, peer, contexts)
	if err != nil {
		return nil, err
	}
	defer as.Close()
	taken := make(map[string]bool)
	for _, pc := range as.Contexts {
		taken[pc.AbstractSyntax] = true
	}
	return taken, as.Release()
}
