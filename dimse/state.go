package dimse

// state is where an association stands while its goroutine waits for the peer. The numbers are those of PS3.8 table
// 9-2; the states in which the local user, not the peer, is awaited do not exist here, because one goroutine does both.
type state int

const (
	awaitingRequest state = iota // Sta2: connected as acceptor
	awaitingAnswer               // Sta5: A-ASSOCIATE-RQ sent
	established                  // Sta6
	awaitingRelease              // Sta7: A-RELEASE-RQ sent
	awaitingClose                // Sta13: rejected, aborted or released; only the end of the connection is awaited
)

// action is what a unit that arrives calls for.
type action int

const (
	take            action = iota // hand it on
	skip                          // AA-6, AR-6: ignore it
	end                           // AA-3, AR-3: the association is over; close
	answerRelease                 // AR-2 + AR-4, AR-8 + AR-9: send A-RELEASE-RP
	abortAtOnce                   // AA-1: A-ABORT by the user, the association does not stand yet
	abortUnexpected               // AA-8: A-ABORT by the provider, unexpected PDU
	abortUnknown                  // AA-8: A-ABORT by the provider, unknown PDU
)

// stateTable is PS3.8 table 9-10 for the units that can arrive: a row a state, a column a type of unit.
var stateTable = [...][8]action{
	//                 RQ               AC               RJ               P-DATA           REL-RQ           REL-RP           ABORT  unknown
	awaitingRequest: {take, abortAtOnce, abortAtOnce, abortAtOnce, abortAtOnce, abortAtOnce, end, abortAtOnce},
	awaitingAnswer:  {abortUnexpected, take, take, abortUnexpected, abortUnexpected, abortUnexpected, end, abortUnknown},
	established:     {abortUnexpected, abortUnexpected, abortUnexpected, take, answerRelease, abortUnexpected, end, abortUnknown},
	awaitingRelease: {abortUnexpected, abortUnexpected, abortUnexpected, skip, answerRelease, take, end, abortUnknown},
	awaitingClose:   {skip, skip, skip, skip, skip, skip, end, skip},
}

// actionFor looks up what the arrival of a unit calls for.
func actionFor(s state, t pduType) action {
	if t < typeAssociateRQ || t > typeAbort {
		return stateTable[s][7]
	}
	return stateTable[s][t-1]
}
