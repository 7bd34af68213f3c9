-- Times are microseconds since 1970, UTC. Patient data: series.patient_id, series.issuer, series.facts, cases.patient_id,
-- cases.issuer; nothing else.

CREATE TABLE instance (
    sop_uid     TEXT PRIMARY KEY NOT NULL,
    series_uid  TEXT NOT NULL,
    sop_class   TEXT NOT NULL,
    path        TEXT NOT NULL,
    received_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX instance_series ON instance (series_uid);

CREATE TABLE series (
    series_uid    TEXT PRIMARY KEY NOT NULL,
    id            TEXT NOT NULL,            -- short, for people
    study_uid     TEXT NOT NULL,
    patient_id    TEXT NOT NULL,
    issuer        TEXT NOT NULL,
    modality      TEXT NOT NULL,
    state         TEXT NOT NULL,            -- receiving, waiting, used, spare, not analysable, stored, dropped
    reason        TEXT NOT NULL DEFAULT '',
    facts         TEXT NOT NULL DEFAULT '', -- JSON of what pairing looks at, once the series was whole
    set_digest    TEXT NOT NULL DEFAULT '', -- of its instances when it was whole
    first_at      INTEGER NOT NULL,
    last_at       INTEGER NOT NULL,         -- when the index last grew by an instance of it
    updated_at    INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX series_state ON series (state, last_at);
CREATE INDEX series_patient ON series (patient_id, issuer);
CREATE INDEX series_study ON series (study_uid);

-- Patients whose series have changed since pairing last looked.
CREATE TABLE pairing_due (
    patient_id TEXT NOT NULL,
    issuer     TEXT NOT NULL,
    PRIMARY KEY (patient_id, issuer)
) WITHOUT ROWID;

CREATE TABLE cases (
    id          TEXT PRIMARY KEY NOT NULL,
    state       TEXT NOT NULL,
    reason      TEXT NOT NULL DEFAULT '',
    remark      TEXT NOT NULL DEFAULT '',   -- what a result does not hold: lesions that were held
    hold        TEXT NOT NULL DEFAULT '',   -- where a held case stopped: pairing, analysis
    patient_id  TEXT NOT NULL,
    issuer      TEXT NOT NULL,
    pre_series  TEXT NOT NULL,
    post_series TEXT NOT NULL,
    pre_set     TEXT NOT NULL,
    post_set    TEXT NOT NULL,
    predecessor TEXT NOT NULL DEFAULT '',   -- the case this one replaces
    result_no   INTEGER NOT NULL DEFAULT 0, -- 1, 2, … of the results in its studies, in the order they were made; 0: none yet
    released_at INTEGER NOT NULL DEFAULT 0, -- when a person released what the analysis held; 0: nobody has
    job         INTEGER NOT NULL DEFAULT 0, -- River job of the analysis
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    UNIQUE (pre_set, post_set)              -- equal inputs are never analysed twice
) WITHOUT ROWID;
CREATE INDEX cases_state ON cases (state);
CREATE INDEX cases_patient ON cases (patient_id, issuer);

-- The instances a case stands on, frozen when it was made: a late slice changes the series, never the case.
CREATE TABLE case_instance (
    case_id TEXT NOT NULL,
    role    TEXT NOT NULL, -- pre, post
    sop_uid TEXT NOT NULL,
    PRIMARY KEY (case_id, role, sop_uid)
) WITHOUT ROWID;

CREATE TABLE object (
    case_id    TEXT NOT NULL,
    seq        INTEGER NOT NULL, -- order of sending
    role       TEXT NOT NULL,
    sop_class  TEXT NOT NULL,
    sop_uid    TEXT NOT NULL,
    study_uid  TEXT NOT NULL,
    series_uid TEXT NOT NULL,
    file       TEXT NOT NULL,    -- below the folder of results
    note       TEXT NOT NULL DEFAULT '',
    withheld   INTEGER NOT NULL DEFAULT 0, -- 1: kept here, not sent; note says why
    PRIMARY KEY (case_id, seq)
) WITHOUT ROWID;
CREATE INDEX object_sop ON object (sop_uid);
CREATE INDEX object_study ON object (study_uid);

CREATE TABLE outbox (
    case_id     TEXT NOT NULL,
    seq         INTEGER NOT NULL,
    destination TEXT NOT NULL,
    state       TEXT NOT NULL,              -- pending, stored, context refused, rejected, parked
    attempts    INTEGER NOT NULL DEFAULT 0,
    status      INTEGER NOT NULL DEFAULT -1, -- DIMSE status of the last answer; -1: none
    comment     TEXT NOT NULL DEFAULT '',
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    PRIMARY KEY (case_id, destination, seq)
) WITHOUT ROWID;
CREATE INDEX outbox_state ON outbox (state);

-- Destinations that are not tried for a while, because their answer asks for a change of configuration.
CREATE TABLE destination_hold (
    name       TEXT PRIMARY KEY NOT NULL,
    until_at   INTEGER NOT NULL,
    reason     TEXT NOT NULL
) WITHOUT ROWID;

-- Every change of state, in order: what Options.Changed reports, whichever process made it.
CREATE TABLE event (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    id      TEXT NOT NULL, -- of the case, or of the series while it belongs to none
    state   TEXT NOT NULL,
    reason  TEXT NOT NULL,
    at      INTEGER NOT NULL
);
CREATE INDEX event_id ON event (id, seq);
