-- The ledger (sources, frames) and the results (cells, inferences, tracks). Times are UTC milliseconds since 1970
-- (`_unix_ms`); lengths are px or um as the column says; every table is STRICT and every range is checked, so that a
-- wrong number cannot get in. Rows are found again by natural keys, so that writing twice changes nothing.

-- One process of the daemon with one configuration; or (`purpose` scores) one that let another bundle look at the cells of a
-- finished session again.
CREATE TABLE runs (
    run_id            INTEGER PRIMARY KEY,
    started_unix_ms   INTEGER NOT NULL,
    ended_unix_ms     INTEGER,
    software_version  TEXT NOT NULL,
    host              TEXT NOT NULL,
    process_id        INTEGER NOT NULL,
    settings_json     TEXT NOT NULL CHECK (json_valid(settings_json)),
    settings_sha256   TEXT NOT NULL CHECK (length(settings_sha256) = 64),
    bundle_id         INTEGER REFERENCES bundles (bundle_id),
    engine            TEXT NOT NULL,
    purpose           TEXT NOT NULL DEFAULT 'frames' CHECK (purpose IN ('frames', 'scores'))
) STRICT;

-- Model bundles that have been used; found again by the hash over their files. `training` is what drift is measured against:
-- mean and spread of the training set's descriptors, and the discriminant's weights.
CREATE TABLE bundles (
    bundle_id         INTEGER PRIMARY KEY,
    sha256            TEXT NOT NULL UNIQUE CHECK (length(sha256) = 64),
    name              TEXT NOT NULL,
    version           TEXT NOT NULL,
    first_used_unix_ms INTEGER NOT NULL,
    training          TEXT CHECK (json_valid(training))
) STRICT;

-- One acquisition run: a folder or one container file.
CREATE TABLE sessions (
    session_id        INTEGER PRIMARY KEY,
    instrument        TEXT NOT NULL,
    name              TEXT NOT NULL,
    first_seen_unix_ms INTEGER NOT NULL,
    UNIQUE (instrument, name)
) STRICT;

-- What is in the well; `label` is what is known about it beforehand, never what we computed.
CREATE TABLE samples (
    sample_id         INTEGER PRIMARY KEY,
    session_id        INTEGER NOT NULL REFERENCES sessions (session_id),
    name              TEXT NOT NULL,
    label             TEXT CHECK (label IN ('high', 'low')),
    UNIQUE (session_id, name)
) STRICT;

-- A place imaged again and again; instruments number the places of each sample from the beginning. `linker_state` is the tracker's memory after `last_linked_time_index`, written in
-- the transaction that recorded that frame: a restart continues from exactly there.
CREATE TABLE fields_of_view (
    fov_id            INTEGER PRIMARY KEY,
    session_id        INTEGER NOT NULL REFERENCES sessions (session_id),
    sample_id         INTEGER NOT NULL REFERENCES samples (sample_id),
    name              TEXT NOT NULL,
    last_linked_time_index INTEGER,
    linker_state      TEXT CHECK (linker_state IS NULL OR json_valid(linker_state)),
    UNIQUE (session_id, sample_id, name)
) STRICT;

-- A file (or an OME-Zarr folder) that holds frames and may still grow. `path` is relative to the watched folder.
CREATE TABLE sources (
    source_id         INTEGER PRIMARY KEY,
    path              TEXT NOT NULL UNIQUE,
    size_bytes        INTEGER NOT NULL CHECK (size_bytes >= 0),
    modified_unix_ns  INTEGER NOT NULL,
    first_seen_unix_ms INTEGER NOT NULL
) STRICT;

-- The ledger: one row per frame from the moment it is known.
--   seen -> waiting(reason) -> ready -> processing -> done | failed(code)
-- `processing` is written before the work starts, together with the attempt; a restart puts it back to `ready`.
CREATE TABLE frames (
    frame_id          INTEGER PRIMARY KEY,
    source_id         INTEGER NOT NULL REFERENCES sources (source_id),
    plane_index       INTEGER NOT NULL CHECK (plane_index >= 0),
    fov_id            INTEGER REFERENCES fields_of_view (fov_id),
    time_index        INTEGER,
    channel           TEXT,
    z_index           INTEGER,
    state             TEXT NOT NULL CHECK (state IN ('seen', 'waiting', 'ready', 'processing', 'done', 'failed', 'skipped')),
    reason            TEXT,
    code              TEXT,
    attempts          INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    first_seen_unix_ms INTEGER NOT NULL,
    closed_unix_ms    INTEGER,
    committed_unix_ms INTEGER,
    run_id            INTEGER REFERENCES runs (run_id),
    acquired_unix_ms  INTEGER,
    width_px          INTEGER CHECK (width_px > 0),
    height_px         INTEGER CHECK (height_px > 0),
    pixel_size_um     REAL CHECK (pixel_size_um > 0),
    background_counts REAL,
    evenness          REAL CHECK (evenness BETWEEN 0 AND 1),
    focus             REAL,
    saturated_share   REAL CHECK (saturated_share BETWEEN 0 AND 1),
    verdict           TEXT CHECK (verdict IN ('usable', 'empty', 'out_of_focus', 'too_dense', 'wrong_kind')),
    linked            INTEGER NOT NULL DEFAULT 0 CHECK (linked IN (0, 1)),
    UNIQUE (source_id, plane_index),
    CHECK ((state = 'failed') = (code IS NOT NULL)),
    CHECK ((state = 'done') <= (committed_unix_ms IS NOT NULL))
) STRICT;
CREATE INDEX frames_by_state ON frames (state, fov_id, time_index);
CREATE INDEX frames_by_fov ON frames (fov_id, time_index);

-- The same cell over time, numbered within its field of view.
CREATE TABLE tracks (
    track_id          INTEGER PRIMARY KEY,
    fov_id            INTEGER NOT NULL REFERENCES fields_of_view (fov_id),
    number            INTEGER NOT NULL CHECK (number > 0),
    parent_number     INTEGER CHECK (parent_number <> number),
    first_time_index  INTEGER NOT NULL,
    last_time_index   INTEGER NOT NULL CHECK (last_time_index >= first_time_index),
    cell_count        INTEGER NOT NULL CHECK (cell_count > 0),
    first_x_px        REAL NOT NULL,
    first_y_px        REAL NOT NULL,
    last_x_px         REAL NOT NULL,
    last_y_px         REAL NOT NULL,
    path_px           REAL NOT NULL CHECK (path_px >= 0),
    UNIQUE (fov_id, number)
) STRICT;

-- One detection in one frame. `outline` is a closed polygon: little-endian f32 pairs x, y in px.
CREATE TABLE cells (
    cell_id           INTEGER PRIMARY KEY,
    frame_id          INTEGER NOT NULL REFERENCES frames (frame_id) ON DELETE CASCADE,
    number            INTEGER NOT NULL CHECK (number > 0),
    track_id          INTEGER REFERENCES tracks (track_id),
    x_px              REAL NOT NULL,
    y_px              REAL NOT NULL,
    outline           BLOB NOT NULL CHECK (length(outline) % 8 = 0),
    touches_border    INTEGER NOT NULL CHECK (touches_border IN (0, 1)),
    area_um2          REAL NOT NULL CHECK (area_um2 > 0),
    perimeter_um      REAL NOT NULL CHECK (perimeter_um >= 0),
    eccentricity      REAL NOT NULL CHECK (eccentricity BETWEEN 0 AND 1),
    solidity          REAL NOT NULL CHECK (solidity BETWEEN 0 AND 1.001),
    major_axis_um     REAL NOT NULL CHECK (major_axis_um >= 0),
    minor_axis_um     REAL NOT NULL CHECK (minor_axis_um >= 0),
    protrusion_count  INTEGER NOT NULL CHECK (protrusion_count >= 0),
    protrusion_total_um REAL NOT NULL CHECK (protrusion_total_um >= 0),
    protrusion_longest_um REAL NOT NULL CHECK (protrusion_longest_um >= 0),
    scattering        REAL NOT NULL,
    UNIQUE (frame_id, number)
) STRICT;
CREATE INDEX cells_by_track ON cells (track_id) WHERE track_id IS NOT NULL;

-- What a bundle said about a cell. `latent` is 56 little-endian f32. `logit` is the discriminant before the sigmoid:
-- the discriminant is linear, so the score of a track's mean descriptor is the sigmoid of its mean logit.
-- When `withheld` is set, the score must not be shown or counted; it says why.
CREATE TABLE inferences (
    cell_id           INTEGER NOT NULL REFERENCES cells (cell_id) ON DELETE CASCADE,
    bundle_id         INTEGER NOT NULL REFERENCES bundles (bundle_id),
    latent            BLOB NOT NULL CHECK (length(latent) = 224),
    logit             REAL NOT NULL,
    score             REAL NOT NULL CHECK (score BETWEEN 0 AND 1),
    distance          REAL NOT NULL CHECK (distance >= 0),
    withheld          TEXT,
    PRIMARY KEY (cell_id, bundle_id)
) STRICT, WITHOUT ROWID;

-- Running sums per track and bundle over the cells whose score is not withheld, and the score that they give: the sigmoid of
-- the mean logit, NULL before the first.
CREATE TABLE track_scores (
    track_id          INTEGER NOT NULL REFERENCES tracks (track_id),
    bundle_id         INTEGER NOT NULL REFERENCES bundles (bundle_id),
    scored_count      INTEGER NOT NULL CHECK (scored_count >= 0),
    withheld_count    INTEGER NOT NULL CHECK (withheld_count >= 0),
    logit_sum         REAL NOT NULL,
    score             REAL CHECK (score BETWEEN 0 AND 1),
    PRIMARY KEY (track_id, bundle_id)
) STRICT, WITHOUT ROWID;
