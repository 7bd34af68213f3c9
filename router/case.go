package router

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// State of a case, or of a series that belongs to none yet. The values are shown to people.
type State string

const (
	Receiving       State = "receiving"                // a series: instances may still come
	NotAnalysable   State = "not analysable"           // a series: localizer, hole, too few slices …
	Waiting         State = "waiting for its pair"     // a series: usable
	Queued          State = "queued"                   // a pair: its analysis has not begun
	Analysing       State = "analysing"                //
	Held            State = "held"                     // nothing is sent before a person releases it
	Delivering      State = "delivering"               // the result stands; at least one object is still to be sent
	Delivered       State = "delivered"                // every destination has stored every object that was to be sent
	PartlyDelivered State = "partly delivered"         // every object has its final outcome, some were refused or given up
	NotDelivered    State = "not delivered"            // every object has its final outcome, and none was stored anywhere
	Kept            State = "done, kept locally"       // the result stands; no destination is configured
	Failed          State = "failed"                   // attempts used up
	Dropped         State = "dropped"                  // ended by a person
	Superseded      State = "replaced by a later case" // its input has changed before a result was sent
)

// States of a series that Cases does not show by itself.
const (
	stateUsed   State = "used"   // part of a case
	stateSpare  State = "spare"  // another series of the same scan is used
	stateStored State = "stored" // not CT, or made by rfanode itself: kept, not analysed
)

// ErrNoCase is returned for an ID that names no case.
var ErrNoCase = errors.New("no such case")

// Case is one line of what the node is about: a pair with its result, or a series that is not part of a pair yet.
// PatientID and StudyDate are patient data: show them to the operator, never log them.
type Case struct {
	ID          string    `json:"id"`
	State       State     `json:"state"`
	Reason      string    `json:"reason,omitempty"` // why it is held, failed, waiting, not analysable or only partly delivered, in plain words
	PatientID   string    `json:"patient_id,omitempty"`
	Issuer      string    `json:"issuer_of_patient_id,omitempty"`
	Series      []Series  `json:"series"`
	Contours    []Contour `json:"contours,omitempty"` // drawn or marked by a person and used
	Objects     []Object  `json:"objects,omitempty"`
	Folder      string    `json:"folder,omitempty"`      // findings.json, summary.png and the objects, once there are any
	Predecessor string    `json:"predecessor,omitempty"` // the case this one replaces
	Released    bool      `json:"released,omitempty"`    // by a person, after it was held
	Created     time.Time `json:"created"`
	Updated     time.Time `json:"updated"`
}

// Series is a series as the index knows it.
type Series struct {
	Role              string    `json:"role,omitempty"` // pre, post; empty: not used, Reason says why
	Reason            string    `json:"reason,omitempty"`
	StudyInstanceUID  string    `json:"study_instance_uid"`
	SeriesInstanceUID string    `json:"series_instance_uid"`
	StudyDate         string    `json:"study_date,omitempty"`
	Description       string    `json:"description,omitempty"`
	Acquired          time.Time `json:"acquired,omitzero"`
	Instances         int       `json:"instances"`
}

// Contour is what a person, or another program, has drawn or marked and a case stands on.
type Contour struct {
	Role           string `json:"role"` // gtr: the tumour; ptz: the ablation zone
	SOPInstanceUID string `json:"sop_instance_uid"`
	Structure      int    `json:"structure"` // its position in the object, from 1
}

// Object is one result object with its fate at each destination.
type Object struct {
	Role           string    `json:"role"`
	SOPClassUID    string    `json:"sop_class_uid"`
	SOPInstanceUID string    `json:"sop_instance_uid"`
	File           string    `json:"file"`
	Note           string    `json:"note,omitempty"` // why it is not sent
	Outcomes       []Outcome `json:"outcomes,omitempty"`
}

// Outcome is what became of one object at one destination.
type Outcome struct {
	Destination string          `json:"destination"`
	State       DeliveryState   `json:"state"`
	Attempts    int             `json:"attempts"`
	Status      string          `json:"status,omitempty"` // last DIMSE status, "A700H"
	Comment     string          `json:"comment,omitempty"`
	Commitment  CommitmentState `json:"commitment,omitempty"`
	Updated     time.Time       `json:"updated"`
}

// DeliveryState of an object at a destination.
type DeliveryState string

const (
	Pending        DeliveryState = "pending"         // still to be sent, or to be tried again
	Stored         DeliveryState = "stored"          // the destination answered success, or a warning that comes with storing
	ContextRefused DeliveryState = "context refused" // the destination does not take this kind of object
	Rejected       DeliveryState = "rejected"        // the destination refused this object for good
	Parked         DeliveryState = "parked"          // given up after the configured time, or the file or destination is gone; Release tries again
)

// Cases lists what there is, the latest change first. It works beside a running node.
func (r *Router) Cases(ctx context.Context) ([]Case, error) {
	ids, err := collect(ctx, r.db.index, scanText, `SELECT id FROM cases`)
	if err != nil {
		return nil, fmt.Errorf("list the cases: %w", err)
	}
	// A series that cannot be used is no news where another one of its study is.
	loose, err := collect(ctx, r.db.index, scanText, `SELECT id FROM series s WHERE state IN (?, ?) OR state = ? AND NOT EXISTS
		(SELECT 1 FROM series u WHERE u.study_uid = s.study_uid AND u.state = ?)`, Receiving, Waiting, NotAnalysable, stateUsed)
	if err != nil {
		return nil, fmt.Errorf("list the series: %w", err)
	}
	drawn, err := collect(ctx, r.db.index, scanText, `SELECT id FROM contour WHERE state IN (?, ?)`, ContourRefused, ContourWaiting)
	if err != nil {
		return nil, fmt.Errorf("list the contours: %w", err)
	}
	cases := make([]Case, 0, len(ids)+len(loose)+len(drawn))
	for _, id := range slices.Concat(ids, loose, drawn) {
		c, err := r.Case(ctx, id)
		if errors.Is(err, ErrNoCase) {
			continue // became part of a case meanwhile
		}
		if err != nil {
			return nil, err
		}
		cases = append(cases, c)
	}
	slices.SortFunc(cases, func(a, b Case) int {
		if c := b.Updated.Compare(a.Updated); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return cases, nil
}

// Case returns the case or series with the given ID; ErrNoCase if there is none.
func (r *Router) Case(ctx context.Context, id string) (Case, error) {
	c, err := r.loadCase(ctx, normalID(id))
	if errors.Is(err, sql.ErrNoRows) {
		c, err = r.loadSeries(ctx, normalID(id))
	}
	if errors.Is(err, sql.ErrNoRows) {
		c, err = r.loadContour(ctx, normalID(id))
	}
	if errors.Is(err, sql.ErrNoRows) {
		return Case{}, fmt.Errorf("case %q: %w", id, ErrNoCase)
	}
	if err != nil {
		return Case{}, fmt.Errorf("read case %s: %w", id, err)
	}
	return c, nil
}

func normalID(id string) string { return strings.ToLower(strings.TrimSpace(id)) }

func (r *Router) loadCase(ctx context.Context, id string) (Case, error) {
	c := Case{ID: id}
	var pre, post string
	var created, updated int64
	var contours string
	err := r.db.index.QueryRowContext(ctx, `SELECT state, reason, patient_id, issuer, pre_series, post_series, contours, predecessor, released_at > 0,
		created_at, updated_at FROM cases WHERE id = ?`, id).
		Scan(&c.State, &c.Reason, &c.PatientID, &c.Issuer, &pre, &post, &contours, &c.Predecessor, &c.Released, &created, &updated)
	if err != nil {
		return Case{}, err
	}
	set, err := readContourSet(contours)
	if err != nil {
		return Case{}, err
	}
	for _, u := range set.Used {
		c.Contours = append(c.Contours, Contour{Role: string(u.Role), SOPInstanceUID: u.SOP, Structure: u.Structure + 1})
	}
	c.Created, c.Updated = fromMicros(created), fromMicros(updated)
	c.Series, err = collect(ctx, r.db.index, scanSeries, seriesColumns+` WHERE s.series_uid IN (?, ?) OR
		s.study_uid IN (SELECT study_uid FROM series WHERE series_uid IN (?, ?)) AND s.state IN (?, ?)
		ORDER BY s.series_uid`, pre, post, pre, post, stateSpare, NotAnalysable)
	if err != nil {
		return Case{}, err
	}
	for i, s := range c.Series {
		switch s.SeriesInstanceUID {
		case pre:
			c.Series[i].Role, c.Series[i].Reason = "pre", ""
		case post:
			c.Series[i].Role, c.Series[i].Reason = "post", ""
		}
	}
	order := map[string]int{"pre": -2, "post": -1}
	slices.SortStableFunc(c.Series, func(a, b Series) int { return order[a.Role] - order[b.Role] })
	if c.Objects, err = r.loadObjects(ctx, id); err != nil {
		return Case{}, err
	}
	switch c.State {
	case Queued, Analysing, Superseded:
	default:
		c.Folder = r.folder(id)
	}
	return c, nil
}

func (r *Router) loadSeries(ctx context.Context, id string) (Case, error) {
	c := Case{ID: id}
	var first, updated int64
	err := r.db.index.QueryRowContext(ctx, `SELECT state, reason, patient_id, issuer, first_at, updated_at FROM series
		WHERE id = ? AND state NOT IN (?, ?, ?)`, id, stateUsed, stateSpare, stateStored).
		Scan(&c.State, &c.Reason, &c.PatientID, &c.Issuer, &first, &updated)
	if err != nil {
		return Case{}, err
	}
	c.Created, c.Updated = fromMicros(first), fromMicros(updated)
	c.Series, err = collect(ctx, r.db.index, scanSeries, seriesColumns+` WHERE s.id = ?`, id)
	return c, err
}

const seriesColumns = `SELECT s.study_uid, s.series_uid, s.reason, s.facts,
	(SELECT count(*) FROM instance i WHERE i.series_uid = s.series_uid) FROM series s`

func scanSeries(rows *sql.Rows) (Series, error) {
	var s Series
	var text string
	if err := rows.Scan(&s.StudyInstanceUID, &s.SeriesInstanceUID, &s.Reason, &text, &s.Instances); err != nil {
		return Series{}, err
	}
	if text != "" {
		var f facts
		if err := json.Unmarshal([]byte(text), &f); err != nil {
			return Series{}, fmt.Errorf("series %s: %w", s.SeriesInstanceUID, err)
		}
		s.StudyDate, s.Description, s.Acquired = f.StudyDate, f.SeriesDescription, f.Acquired
	}
	return s, nil
}

func (r *Router) loadObjects(ctx context.Context, id string) ([]Object, error) {
	objects, err := collect(ctx, r.db.index, func(rows *sql.Rows) (o Object, err error) {
		err = rows.Scan(&o.Role, &o.SOPClassUID, &o.SOPInstanceUID, &o.File, &o.Note)
		o.File = filepath.Join(r.folder(id), o.File)
		return o, err
	}, `SELECT role, sop_class, sop_uid, file, note FROM object WHERE case_id = ? ORDER BY seq`, id)
	if err != nil {
		return nil, err
	}
	type row struct {
		seq int
		Outcome
	}
	rows, err := collect(ctx, r.db.index, func(rows *sql.Rows) (o row, err error) {
		var status int
		var updated int64
		err = rows.Scan(&o.seq, &o.Destination, &o.State, &o.Attempts, &status, &o.Comment, &o.Commitment, &updated)
		if status >= 0 {
			o.Status = fmt.Sprintf("%04XH", status)
		}
		o.Updated = fromMicros(updated)
		return o, err
	}, `SELECT seq, destination, state, attempts, status, comment, commitment, updated_at FROM outbox WHERE case_id = ? ORDER BY destination, seq`, id)
	if err != nil {
		return nil, err
	}
	for _, o := range rows {
		if o.seq < len(objects) {
			objects[o.seq].Outcomes = append(objects[o.seq].Outcomes, o.Outcome)
		}
	}
	return objects, nil
}

// folder is where the results of a case are kept.
func (r *Router) folder(id string) string { return filepath.Join(r.opts.Dir, "results", id) }
