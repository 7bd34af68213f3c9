package scp

import (
	"slices"

	"rfanode/dimse"
)

// asyncWindow is how many operations a peer may have under way at most. We answer in order; a window only lets the peer
// send the next object while we make the last one durable.
const asyncWindow = 8

// verificationSyntaxes are for C-ECHO, which has no data set.
var verificationSyntaxes = []string{dimse.ExplicitVRLittleEndian, dimse.ImplicitVRLittleEndian}

// negotiate answers the proposed contexts, each on its own: many senders propose one context a transfer syntax. An
// association without any accepted context is still an association.
func (n *node) negotiate(rq *dimse.AssociateRQ, secure bool) ([]dimse.ContextAnswer, dimse.UserInformation) {
	answers := make([]dimse.ContextAnswer, 0, len(rq.Contexts))
	for _, c := range rq.Contexts {
		answers = append(answers, n.answer(c))
	}
	var own dimse.UserInformation
	own.Roles = roles(rq)
	if id := rq.User.Identity; id != nil && id.ResponseRequested && n.Identity != IdentityIgnored && secure {
		own.IdentityResponse = &dimse.IdentityResponse{} // empty for a name, with or without a passcode
	}
	if w := rq.User.Async; w != nil {
		granted := uint16(asyncWindow)
		if w.Invoked != 0 {
			granted = min(granted, w.Invoked)
		}
		own.Async = &dimse.AsyncWindow{Invoked: granted, Performed: 1}
	}
	return answers, own
}

// roles answers the role selections (PS3.7 annex D.3.3.4) for the classes that were proposed: we serve, the peer uses.
func roles(rq *dimse.AssociateRQ) []dimse.RoleSelection {
	var answers []dimse.RoleSelection
	for _, r := range rq.User.Roles {
		if slices.ContainsFunc(rq.Contexts, func(c dimse.ProposedContext) bool { return c.AbstractSyntax == r.SOPClassUID }) {
			answers = append(answers, dimse.RoleSelection{SOPClassUID: r.SOPClassUID, SCU: r.SCU})
		}
	}
	return answers
}

// answer decides on one context. Our order of transfer syntaxes counts, not the peer's.
func (n *node) answer(c dimse.ProposedContext) dimse.ContextAnswer {
	a := dimse.ContextAnswer{ID: c.ID, TransferSyntax: dimse.ImplicitVRLittleEndian} // a refusal carries one too
	var ours []string
	switch {
	case c.AbstractSyntax == dimse.Verification:
		ours = verificationSyntaxes
	case dimse.IsStorageClass(c.AbstractSyntax), n.AcceptUnknownClasses && dimse.IsUnknownClass(c.AbstractSyntax):
		ours = n.syntaxes
	default:
		a.Result = dimse.ContextAbstractSyntax
		return a
	}
	for _, ts := range ours {
		for _, offered := range c.TransferSyntaxes {
			if ts == offered {
				a.TransferSyntax = ts
				return a
			}
		}
	}
	a.Result = dimse.ContextTransferSyntaxes
	return a
}
