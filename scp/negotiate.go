package scp

import (
	"slices"

	"rfanode/dimse"
)

// asyncWindow is how many operations a peer may have under way at most. We answer in order; a window only lets the peer
// send the next object while we make the last one durable.
const asyncWindow = 8

// smallSyntaxes are for what is no image.
var smallSyntaxes = []string{dimse.ExplicitVRLittleEndian, dimse.ImplicitVRLittleEndian}

// negotiate answers the proposed contexts, each on its own: many senders propose one context a transfer syntax. An
// association without any accepted context is still an association.
func (n *node) negotiate(rq *dimse.AssociateRQ, by rule, secure bool) ([]dimse.ContextAnswer, dimse.UserInformation) {
	answers := make([]dimse.ContextAnswer, 0, len(rq.Contexts))
	for _, c := range rq.Contexts {
		answers = append(answers, n.answer(c, by, rq.User.Roles))
	}
	var own dimse.UserInformation
	own.Roles = n.roles(rq)
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

// roles answers the role selections (PS3.7 annex D.3.3.4) for the classes that were proposed: we serve, the peer uses;
// but reports on the commitments that we ask for come from a peer that serves.
func (n *node) roles(rq *dimse.AssociateRQ) []dimse.RoleSelection {
	var answers []dimse.RoleSelection
	for _, r := range rq.User.Roles {
		if slices.ContainsFunc(rq.Contexts, func(c dimse.ProposedContext) bool { return c.AbstractSyntax == r.SOPClassUID }) {
			answers = append(answers, n.role(r))
		}
	}
	return answers
}

func (n *node) role(r dimse.RoleSelection) dimse.RoleSelection {
	if r.SOPClassUID != dimse.StorageCommitment {
		return dimse.RoleSelection{SOPClassUID: r.SOPClassUID, SCU: r.SCU}
	}
	return dimse.RoleSelection{SOPClassUID: r.SOPClassUID, SCU: r.SCU && n.Commitments != nil, SCP: r.SCP && n.CommitmentReport != nil}
}

// commits says whether a peer can use storage commitment in a role that it wants.
func (n *node) commits(wanted []dimse.RoleSelection) bool {
	for _, r := range wanted {
		if r.SOPClassUID == dimse.StorageCommitment {
			r = n.role(r)
			return r.SCU || r.SCP
		}
	}
	return n.Commitments != nil // without a selection the peer uses
}

// takes says whether objects of a class are stored.
func (n *node) takes(class string) bool {
	return dimse.IsStorageClass(class) || n.AcceptUnknownClasses && dimse.IsUnknownClass(class)
}

// answer decides on one context. Our order of transfer syntaxes counts, not the peer's.
func (n *node) answer(c dimse.ProposedContext, by rule, wanted []dimse.RoleSelection) dimse.ContextAnswer {
	a := dimse.ContextAnswer{ID: c.ID, TransferSyntax: dimse.ImplicitVRLittleEndian} // a refusal carries one too
	var ours []string
	switch {
	case c.AbstractSyntax == dimse.Verification:
		ours = smallSyntaxes
	case c.AbstractSyntax == dimse.StorageCommitment && !by.serves(Commit), n.takes(c.AbstractSyntax) && !by.serves(Store):
		a.Result = dimse.ContextUserRejected
		return a
	case c.AbstractSyntax == dimse.StorageCommitment && n.commits(wanted):
		ours = smallSyntaxes
	case n.takes(c.AbstractSyntax):
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
	if n.AnyTransferSyntax && n.takes(c.AbstractSyntax) {
		for _, ts := range c.TransferSyntaxes {
			if dimse.KnownTransferSyntax(ts) {
				a.TransferSyntax = ts
				return a
			}
		}
	}
	a.Result = dimse.ContextTransferSyntaxes
	return a
}
