-- Features of the ablation zones. No patient data but the case they belong to.
CREATE TABLE feature_set (
    case_id         TEXT NOT NULL,
    lesion          INTEGER NOT NULL,
    profile         TEXT NOT NULL,
    settings_sha256 TEXT NOT NULL,
    result          TEXT NOT NULL, -- JSON of radiomics.Result: every setting, every value
    PRIMARY KEY (case_id, lesion)
) WITHOUT ROWID;
