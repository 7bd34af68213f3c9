// Package dimse is DICOM on the wire: the upper layer protocol over TCP (PS3.8 section 9) as acceptor and as requestor,
// the command sets of the message exchange (PS3.7 sections 6.3, 9 and annex E), a client for C-ECHO, C-STORE, C-FIND,
// C-MOVE and storage commitment (PS3.4 annexes B, C and J), TLS by BCP 195 (PS3.15 section B.12), and a bounded check of an
// encoded data set (PS3.5 section 7) that must pass before any DICOM library sees the bytes.
//
// It knows no disk layout, no database and nothing of what the images are for.
//
// How to read it: pdu.go has the protocol units as plain data, pdu_read.go and pdu_write.go turn them from and to bytes;
// state.go is the protocol's state table; wire.go is the connection with its time limits; association.go is one
// association, used from top to bottom by one goroutine, message.go what it exchanges, command.go the command set;
// accept.go and request.go open one, over TLS with what credentials.go reads; client.go, store.go, query.go and
// commitment.go are the client, attributes.go the small data sets that it exchanges, implicit.go converts for peers that
// take nothing else; dataset.go and walk.go are the check; part10.go is the file format; storageclasses.go is the list of
// the standard's storage classes.
package dimse
