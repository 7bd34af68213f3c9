-- Contours and marks that people have drawn: SEG, RTSTRUCT and SR with coordinates. Patient data: contour.patient_id,
-- contour.issuer, contour.summary.
CREATE TABLE contour (
    sop_uid     TEXT PRIMARY KEY NOT NULL,
    id          TEXT NOT NULL,            -- short, for people
    patient_id  TEXT NOT NULL,
    issuer      TEXT NOT NULL,
    state       TEXT NOT NULL,            -- new: not read yet; else as contours.go says
    reason      TEXT NOT NULL DEFAULT '',
    summary     TEXT NOT NULL DEFAULT '', -- JSON of contour.Contour.Summary; empty: cannot be used
    made_at     INTEGER NOT NULL,         -- as it says, else when it was received: the newest one counts
    updated_at  INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX contour_state ON contour (state);
CREATE INDEX contour_patient ON contour (patient_id);

-- The series a contour refers to, directly or by their instances, as far as the index knows them.
CREATE TABLE contour_reference (
    sop_uid TEXT NOT NULL,
    uid     TEXT NOT NULL, -- of a series or an instance
    PRIMARY KEY (sop_uid, uid)
) WITHOUT ROWID;
CREATE INDEX contour_reference_uid ON contour_reference (uid);

-- A case is now a pair with the contours it uses: a new contour makes a new case of the same pair, which names the one it
-- replaces. SQLite cannot change a constraint: the table is made anew.
CREATE TABLE cases_003 (
    id          TEXT PRIMARY KEY NOT NULL,
    state       TEXT NOT NULL,
    reason      TEXT NOT NULL DEFAULT '',
    remark      TEXT NOT NULL DEFAULT '',   -- what a result does not hold: lesions that were held
    hold        TEXT NOT NULL DEFAULT '',   -- where a held case stopped: pairing, contour, analysis
    patient_id  TEXT NOT NULL,
    issuer      TEXT NOT NULL,
    pre_series  TEXT NOT NULL,
    post_series TEXT NOT NULL,
    pre_set     TEXT NOT NULL,
    post_set    TEXT NOT NULL,
    contours    TEXT NOT NULL DEFAULT '',   -- JSON of the contours it uses; empty: none
    predecessor TEXT NOT NULL DEFAULT '',   -- the case this one replaces
    result_no   INTEGER NOT NULL DEFAULT 0, -- 1, 2, … of the results in its studies, in the order they were made; 0: none yet
    released_at INTEGER NOT NULL DEFAULT 0, -- when a person released what the analysis held; 0: nobody has
    job         INTEGER NOT NULL DEFAULT 0, -- River job of the analysis
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    UNIQUE (pre_set, post_set, contours, predecessor) -- equal inputs are never analysed twice
) WITHOUT ROWID;
INSERT INTO cases_003 SELECT id, state, reason, remark, hold, patient_id, issuer, pre_series, post_series, pre_set, post_set, '',
    predecessor, result_no, released_at, job, created_at, updated_at FROM cases;
DROP TABLE cases;
ALTER TABLE cases_003 RENAME TO cases;
CREATE INDEX cases_state ON cases (state);
CREATE INDEX cases_patient ON cases (patient_id, issuer);
