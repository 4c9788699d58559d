-- Alerts: each is raised once and cleared once. `rule` is the stable name of the rule, `subject` what it speaks of
-- (a field of view, a sample, the folder; empty when it speaks of the whole instrument).
CREATE TABLE alerts (
    alert_id          INTEGER PRIMARY KEY,
    rule              TEXT NOT NULL CHECK (length(rule) > 0),
    subject           TEXT NOT NULL,
    severity          TEXT NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    text              TEXT NOT NULL CHECK (length(text) > 0),
    raised_unix_ms    INTEGER NOT NULL,
    cleared_unix_ms   INTEGER CHECK (cleared_unix_ms >= raised_unix_ms)
) STRICT;
-- At most one open alert per rule and subject: raising twice is impossible, not only unlikely.
CREATE UNIQUE INDEX alerts_open ON alerts (rule, subject) WHERE cleared_unix_ms IS NULL;

-- Webhook messages: waiting -> delivered | given_up. Written in the transaction that raises or clears the alert, so
-- that a restart forgets none. `body` is sent as it stands here and signed.
CREATE TABLE deliveries (
    delivery_id       INTEGER PRIMARY KEY,
    alert_id          INTEGER NOT NULL REFERENCES alerts (alert_id),
    event             TEXT NOT NULL CHECK (event IN ('raised', 'cleared')),
    body              TEXT NOT NULL CHECK (json_valid(body)),
    state             TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'given_up')),
    attempts          INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    due_unix_ms       INTEGER NOT NULL,
    last_error        TEXT,
    UNIQUE (alert_id, event)
) STRICT;
CREATE INDEX deliveries_due ON deliveries (due_unix_ms) WHERE state = 'waiting';

-- The live call on a sample by a bundle: what is said now, what was called first and when, and the memory that the next look
-- needs (`tracker`).
CREATE TABLE calls (
    sample_id         INTEGER NOT NULL REFERENCES samples (sample_id),
    bundle_id         INTEGER NOT NULL REFERENCES bundles (bundle_id),
    verdict           TEXT NOT NULL CHECK (verdict IN ('high', 'low', 'undecided', 'withheld')),
    reason            TEXT NOT NULL,
    score             REAL CHECK (score BETWEEN 0 AND 1),
    interval_low      REAL CHECK (interval_low BETWEEN 0 AND 1),
    interval_high     REAL CHECK (interval_high BETWEEN interval_low AND 1),
    cell_count        INTEGER NOT NULL CHECK (cell_count >= 0),
    fov_count         INTEGER NOT NULL CHECK (fov_count >= 0),
    withheld_share    REAL NOT NULL CHECK (withheld_share BETWEEN 0 AND 1),
    cells_needed      INTEGER CHECK (cells_needed >= 0),
    fovs_needed       INTEGER CHECK (fovs_needed >= 0),
    standing_since_unix_ms INTEGER,
    first_called      TEXT CHECK (first_called IN ('high', 'low')),
    first_called_unix_ms INTEGER,
    updated_unix_ms   INTEGER NOT NULL,
    tracker           TEXT NOT NULL CHECK (json_valid(tracker)),
    PRIMARY KEY (sample_id, bundle_id)
) STRICT, WITHOUT ROWID;
