package router

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"rfanode/analysis/contour"
)

// drawing is a contour that could be used, with what the index knows of what it refers to.
type drawing struct {
	sop, id, patientID, issuer string
	madeAt                     int64
	contour                    *contour.Contour
	seriesOf                   map[string]string // instance it refers to → its series, as far as known
	before                     State             // what became of it in earlier planning
	state                      State             // and in this one
	reason                     string
}

// canvas is a CT series that contours may be drawn on.
type canvas struct {
	uid, studyUID, patientID, issuer string
	frame                            string // Frame of Reference UID; empty: not known
	acquired                         time.Time
}

// used is one contour that a case stands on.
type used struct {
	Role      contour.Role `json:"role"` // gtr, ptz
	SOP       string       `json:"sop"`
	Structure int          `json:"structure"` // position in the object
}

// contourSet is what the contours of a patient say for one pair.
type contourSet struct {
	Used []used `json:"used,omitempty"`
	Hold string `json:"hold,omitempty"` // why they do not say it clearly
}

// key is how a case keeps its set; empty for none.
func (s contourSet) key() string {
	if len(s.Used) == 0 && s.Hold == "" {
		return ""
	}
	text, err := json.Marshal(s)
	if err != nil {
		return "" // texts and numbers: cannot happen
	}
	return string(text)
}

func readContourSet(text string) (s contourSet, err error) {
	if text != "" {
		err = json.Unmarshal([]byte(text), &s)
	}
	return s, err
}

// desk is what planning needs to place the contours of one patient.
type desk struct {
	words    *contour.Wording
	canvases map[string]canvas // by series UID
	drawings []*drawing        // the newest first
}

// contourDesk reads the contours that may concern a patient: of the same Patient ID, or referring to its series.
func (r *Router) contourDesk(ctx context.Context, tx *sql.Tx, patientID, issuer string) (*desk, error) {
	d := &desk{words: r.contourWords, canvases: map[string]canvas{}}
	var err error
	d.drawings, err = collect(ctx, tx, func(rows *sql.Rows) (*drawing, error) {
		w := &drawing{state: ContourWaiting, reason: "its CT series is not part of a pair yet", seriesOf: map[string]string{}}
		var text string
		if err := rows.Scan(&w.sop, &w.id, &w.patientID, &w.issuer, &w.madeAt, &w.before, &text); err != nil {
			return nil, err
		}
		return w, json.Unmarshal([]byte(text), &w.contour)
	}, `SELECT sop_uid, id, patient_id, issuer, made_at, state, summary FROM contour WHERE summary <> '' AND
		(patient_id = ?1 AND (issuer = ?2 OR issuer = '' OR ?2 = '') OR sop_uid IN
		(SELECT f.sop_uid FROM contour_reference f JOIN series s ON s.series_uid = f.uid WHERE s.patient_id = ?1 AND s.issuer = ?2) OR sop_uid IN
		(SELECT f.sop_uid FROM contour_reference f JOIN instance i ON i.sop_uid = f.uid JOIN series s ON s.series_uid = i.series_uid
			WHERE s.patient_id = ?1 AND s.issuer = ?2)) ORDER BY made_at DESC, sop_uid DESC`, patientID, issuer)
	if err != nil || len(d.drawings) == 0 {
		return d, err
	}
	addCanvas := func(query string, args ...any) error {
		all, err := collect(ctx, tx, func(rows *sql.Rows) (c canvas, err error) {
			var text string
			if err := rows.Scan(&c.uid, &c.studyUID, &c.patientID, &c.issuer, &text); err != nil {
				return c, err
			}
			var f facts
			if text != "" {
				err = json.Unmarshal([]byte(text), &f)
			}
			c.frame, c.acquired = f.Frame, f.Acquired
			return c, err
		}, `SELECT series_uid, study_uid, patient_id, issuer, facts FROM series WHERE modality = 'CT' AND `+query, args...)
		for _, c := range all {
			d.canvases[c.uid] = c
		}
		return err
	}
	if err := addCanvas(`patient_id = ? AND issuer = ?`, patientID, issuer); err != nil {
		return nil, err
	}
	for _, w := range d.drawings {
		if err := addCanvas(`series_uid IN (SELECT uid FROM contour_reference WHERE sop_uid = ?1) OR series_uid IN (SELECT series_uid FROM instance
			WHERE sop_uid IN (SELECT uid FROM contour_reference WHERE sop_uid = ?1))`, w.sop); err != nil {
			return nil, err
		}
		_, err := collect(ctx, tx, func(rows *sql.Rows) (struct{}, error) {
			var sop, series string
			err := rows.Scan(&sop, &series)
			w.seriesOf[sop] = series
			return struct{}{}, err
		}, `SELECT i.sop_uid, i.series_uid FROM instance i JOIN contour_reference f ON f.uid = i.sop_uid WHERE f.sop_uid = ?`, w.sop)
		if err != nil {
			return nil, err
		}
	}
	for _, w := range d.drawings {
		if why := d.refusal(w); why != "" {
			w.state, w.reason = ContourRefused, why
		}
	}
	return d, nil
}

// drawnOn lists the series that a structure was drawn on, as far as its object says and the index knows.
func (w *drawing) drawnOn(s contour.Structure) []string {
	var all []string
	for _, i := range s.Instances {
		all = append(all, w.seriesOf[i])
	}
	if len(all) == 0 {
		all = append(all, w.contour.Series...)
		for _, i := range w.contour.Instances {
			all = append(all, w.seriesOf[i])
		}
	}
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(uid string) bool { return uid == "" })
}

// refusal says what is wrong with a contour against the series that it names itself; empty if nothing is.
func (d *desk) refusal(w *drawing) string {
	for _, s := range w.contour.Structures {
		if !s.Marked() {
			continue
		}
		known, fits := 0, 0
		for _, uid := range w.drawnOn(s) {
			c, ok := d.canvases[uid]
			if !ok {
				continue
			}
			if w.patientID != c.patientID || w.issuer != "" && c.issuer != "" && w.issuer != c.issuer {
				return "it carries another patient identity than the CT series that it was drawn on"
			}
			known++
			if c.frame == "" || s.FrameOfReferenceUID == "" || c.frame == s.FrameOfReferenceUID {
				fits++
			}
		}
		if known > 0 && fits == 0 {
			return fmt.Sprintf("structure %d was drawn in another frame of reference than that of the CT series that it refers to", s.Number)
		}
	}
	return ""
}

// side of a pair that a structure lies on.
type side int

const (
	nowhere side = iota
	onPre
	onPost
	onEither // the two scans share their frame of reference, and the object does not say which was drawn on
)

// place says on which scan of a pair a structure lies: on the one whose series it was drawn on; else, as when another
// reconstruction of the scan was drawn on, on the one in whose frame of reference it lies.
func (d *desk) place(w *drawing, s contour.Structure, pre, post canvas) side {
	series := w.drawnOn(s)
	toPre, toPost := slices.Contains(series, pre.uid), slices.Contains(series, post.uid)
	switch {
	case toPre && !toPost:
		return onPre
	case toPost && !toPre:
		return onPost
	}
	frame := s.FrameOfReferenceUID
	beside := map[side]bool{} // scans that the series it was drawn on belong to, by time
	for _, uid := range series {
		c := d.canvases[uid]
		frame = cmp.Or(frame, c.frame)
		for at, scan := range map[side]canvas{onPre: pre, onPost: post} {
			if c.studyUID != "" && c.studyUID == scan.studyUID && !c.acquired.IsZero() && c.acquired.Sub(scan.acquired).Abs() < sameScan {
				beside[at] = true
			}
		}
	}
	inPre, inPost := frame != "" && frame == pre.frame, frame != "" && frame == post.frame
	switch {
	case inPre && !inPost:
		return onPre
	case inPost && !inPre:
		return onPost
	case !inPre && !inPost && !(toPre && toPost):
		return nowhere
	case beside[onPre] && !beside[onPost]:
		return onPre
	case beside[onPost] && !beside[onPre]:
		return onPost
	}
	return onEither
}

// set decides which contours a pair uses: for each scan the newest that was drawn on it. If that one is unclear the pair
// is held. What became of each contour is noted in it.
func (d *desk) set(pre, post canvas) contourSet {
	var s contourSet
	for _, on := range []struct {
		role contour.Role
		side side
	}{{contour.Tumour, onPre}, {contour.Zone, onPost}} {
		done := false
		for _, w := range d.drawings { // the newest first
			if w.state == ContourRefused || w.patientID != pre.patientID || w.issuer != "" && pre.issuer != "" && w.issuer != pre.issuer {
				continue
			}
			here := d.here(w, on.role, on.side, pre, post)
			i, err := -1, error(nil)
			switch {
			case len(here) > 0:
				i, err = d.words.Choose(w.contour, here, on.role)
			case d.uncertain(w, pre, post):
				err = errEitherScan
			default:
				continue
			}
			switch {
			case done:
				w.become(contourReplaced, "a newer contour is used")
			case err != nil:
				done = true
				reason := reasonOf(err)
				w.become(contourUnclear, reason)
				if strings.Contains(s.Hold, w.id) {
					continue // it may lie on either scan: said once
				}
				if s.Hold != "" {
					s.Hold += "; "
				}
				s.Hold += fmt.Sprintf("the contour %s (%s) is unclear: %s", w.id, w.contour.Kind, reason)
			case i < 0:
				w.become(contourIgnored, "neither a tumour nor an ablation zone is drawn in it")
			default:
				done = true
				s.Used = append(s.Used, used{on.role, w.sop, i})
				w.become(contourUsed, "")
			}
		}
	}
	return s
}

// become notes the best that happened to a contour: one that is used for one scan and replaced for the other is used.
func (w *drawing) become(state State, reason string) {
	rank := map[State]int{ContourWaiting: 0, contourIgnored: 1, contourReplaced: 2, contourUnclear: 3, contourUsed: 4}
	if rank[state] > rank[w.state] {
		w.state, w.reason = state, reason
	}
}

// here lists the structures of a contour that lie on one scan; of those that may lie on either, the ones that are named
// for this scan's role.
func (d *desk) here(w *drawing, role contour.Role, on side, pre, post canvas) []int {
	var out []int
	for i, s := range w.contour.Structures {
		if !s.Marked() {
			continue
		}
		at := d.place(w, s, pre, post)
		named, ok := d.words.Name(s)
		if at == on || at == onEither && ok && named == role {
			out = append(out, i)
		}
	}
	return out
}

// uncertain says whether a contour may lie on either scan and its names do not say on which.
func (d *desk) uncertain(w *drawing, pre, post canvas) bool {
	return slices.ContainsFunc(w.contour.Structures, func(s contour.Structure) bool {
		_, named := d.words.Name(s)
		return s.Marked() && !named && d.place(w, s, pre, post) == onEither
	})
}

var errEitherScan = errors.New("the two scans share their frame of reference, and it does not say on which of them it was drawn: name it as tumour or ablation zone")

func reasonOf(err error) string {
	var known *contour.Error
	if errors.As(err, &known) {
		return known.Reason
	}
	return err.Error()
}

// sides are the two scans of a pair.
func (d *desk) sides(preSeries, postSeries string) (pre, post canvas) {
	get := func(uid string) canvas {
		c := d.canvases[uid]
		c.uid = cmp.Or(c.uid, uid)
		return c
	}
	return get(preSeries), get(postSeries)
}

// settleContours writes down what became of the contours.
func (r *Router) settleContours(ctx context.Context, tx *sql.Tx, d *desk) error {
	for _, w := range d.drawings {
		if w.state == ContourWaiting && w.before != contourNew && w.before != ContourRefused {
			continue // a case of the same Patient ID with another issuer may stand on it
		}
		if err := r.setContour(ctx, tx, w.sop, w.state, w.reason); err != nil {
			return err
		}
	}
	return nil
}
