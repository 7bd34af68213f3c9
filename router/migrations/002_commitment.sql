-- Storage commitment of what was sent: empty (not asked for), asked, committed, refused, unconfirmed.
ALTER TABLE outbox ADD COLUMN commitment TEXT NOT NULL DEFAULT '';

-- Requests for storage commitment. What one of them names follows from case and destination.
CREATE TABLE commitment (
    transaction_uid TEXT PRIMARY KEY NOT NULL,
    case_id         TEXT NOT NULL,
    destination     TEXT NOT NULL,
    state           TEXT NOT NULL,    -- sending: nobody knows whether it arrived; open: no report yet; reported; expired
    created_at      INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX commitment_case ON commitment (case_id, destination);
