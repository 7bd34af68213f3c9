// Package router decides what happens to what was received. It keeps an index of series and instances in one SQLite
// file, sees when a series is whole, finds the scan before and the scan after one ablation, has the pair analysed once,
// keeps the results as files and delivers them through an outbox that records an outcome for every object and
// destination. Everything it knows is in that file: a change of state and the jobs it causes (River) are one
// transaction, so that a kill at any moment loses nothing and does nothing twice.
//
// The way of a series:
//
//	receiving ─ quiet ─▶ regular stack? ─ yes ─▶ waiting for its pair ─▶ part of a case
//	    ▲                      └ no ─▶ not analysable (with the reason)
//	    └───────── a late slice re-opens it, whatever became of it ─────────┘
//
// and of a case:
//
//	queued ─▶ analysing ─▶ delivering ─▶ delivered | partly delivered | not delivered
//	   │          ├─▶ held (a person releases or drops it) ─▶ queued
//	   │          ├─▶ done, kept locally (no destination configured)
//	   └──────────┴─▶ failed (attempts used up)
//
// A contour or a mark that a person has drawn (SEG, RTSTRUCT, SR with coordinates) belongs to the pair whose scans it was
// drawn on: by the series it refers to, else by Frame of Reference UID. For each scan the newest one counts. It queues a
// case that has no result yet, whatever held it; one that has is followed by a new case, which names it as its
// predecessor. One that is unclear holds the case; one that cannot be used is refused, as a line of its own.
//
// A destination can be asked to answer for what it has stored (storage commitment, PS3.4 annex J): what it has lost is
// sent again, what it says nothing about is shown as unconfirmed.
//
// Delivery follows PS3.4 Annex B (C-STORE) and PS3.7 Annex C (what a status means for a retry). The package must not
// know how an image is analysed or how an object is encoded: package analysis and package sr do.
package router
