-- Views for people: one row per cell, track, sample and frame, with units in the names. They are part of the public
-- interface: columns are only ever added. Times are UTC milliseconds since 1970.
--
-- Scores are per model bundle. A track's score is the sigmoid of its mean logit over the cells that are not withheld; a sample's
-- score is the mean over its tracks, as in a call: every cell counts the same, however long it was seen.

-- One row per cell and bundle (one row without scores when no bundle has seen the cell).
CREATE VIEW cells_view AS
SELECT
    cells.cell_id,
    sessions.instrument,
    sessions.name AS session,
    samples.name AS sample,
    samples.label AS sample_label,
    fields_of_view.name AS fov,
    frames.frame_id,
    frames.time_index,
    frames.channel,
    frames.acquired_unix_ms,
    frames.verdict AS frame_verdict,
    sources.path,
    cells.number AS cell_number,
    cells.track_id,
    tracks.number AS track_number,
    cells.x_px,
    cells.y_px,
    frames.pixel_size_um,
    cells.touches_border,
    cells.area_um2,
    cells.perimeter_um,
    cells.eccentricity,
    cells.solidity,
    cells.major_axis_um,
    cells.minor_axis_um,
    cells.protrusion_count,
    cells.protrusion_total_um,
    cells.protrusion_longest_um,
    cells.scattering,
    bundles.bundle_id,
    bundles.name AS bundle,
    bundles.version AS bundle_version,
    inferences.logit,
    CASE WHEN inferences.withheld IS NULL THEN inferences.score END AS score,
    inferences.withheld AS withheld_reason,
    inferences.distance
FROM cells
JOIN frames ON frames.frame_id = cells.frame_id
JOIN sources ON sources.source_id = frames.source_id
LEFT JOIN fields_of_view ON fields_of_view.fov_id = frames.fov_id
LEFT JOIN samples ON samples.sample_id = fields_of_view.sample_id
LEFT JOIN sessions ON sessions.session_id = fields_of_view.session_id
LEFT JOIN tracks ON tracks.track_id = cells.track_id
LEFT JOIN inferences ON inferences.cell_id = cells.cell_id
LEFT JOIN bundles ON bundles.bundle_id = inferences.bundle_id;

-- One row per track and bundle (one row without scores when no bundle has seen the track).
CREATE VIEW tracks_view AS
SELECT
    tracks.track_id,
    sessions.instrument,
    sessions.name AS session,
    samples.name AS sample,
    samples.label AS sample_label,
    fields_of_view.name AS fov,
    tracks.number AS track_number,
    tracks.parent_number AS parent_track_number,
    tracks.first_time_index,
    tracks.last_time_index,
    tracks.cell_count,
    tracks.first_x_px,
    tracks.first_y_px,
    tracks.last_x_px,
    tracks.last_y_px,
    tracks.path_px,
    bundles.bundle_id,
    bundles.name AS bundle,
    bundles.version AS bundle_version,
    track_scores.scored_count AS scored_cell_count,
    track_scores.withheld_count AS withheld_cell_count,
    track_scores.logit_sum / nullif(track_scores.scored_count, 0) AS mean_logit,
    track_scores.score
FROM tracks
JOIN fields_of_view ON fields_of_view.fov_id = tracks.fov_id
JOIN samples ON samples.sample_id = fields_of_view.sample_id
JOIN sessions ON sessions.session_id = fields_of_view.session_id
LEFT JOIN track_scores ON track_scores.track_id = tracks.track_id
LEFT JOIN bundles ON bundles.bundle_id = track_scores.bundle_id;

-- One row per sample and bundle that scored it, with the call as it stands (one row without scores when no bundle has).
CREATE VIEW samples_view AS
SELECT
    samples.sample_id,
    sessions.instrument,
    sessions.name AS session,
    samples.name AS sample,
    samples.label AS sample_label,
    bundles.bundle_id,
    bundles.name AS bundle,
    bundles.version AS bundle_version,
    (SELECT count(*) FROM fields_of_view WHERE fields_of_view.sample_id = samples.sample_id) AS fov_count,
    (SELECT count(*) FROM fields_of_view JOIN tracks ON tracks.fov_id = fields_of_view.fov_id
     WHERE fields_of_view.sample_id = samples.sample_id) AS track_count,
    sums.scored_cell_count,
    sums.withheld_cell_count,
    sums.mean_logit,
    sums.score,
    calls.verdict AS call,
    calls.reason AS call_reason,
    calls.score AS call_score,
    calls.interval_low AS call_interval_low,
    calls.interval_high AS call_interval_high,
    calls.cell_count AS call_cell_count,
    calls.cells_needed,
    calls.fovs_needed,
    calls.first_called,
    calls.first_called_unix_ms
FROM samples
JOIN sessions ON sessions.session_id = samples.session_id
LEFT JOIN (
    SELECT
        fields_of_view.sample_id,
        track_scores.bundle_id,
        sum(track_scores.scored_count) AS scored_cell_count,
        sum(track_scores.withheld_count) AS withheld_cell_count,
        sum(track_scores.logit_sum) / nullif(sum(track_scores.scored_count), 0) AS mean_logit,
        avg(track_scores.score) AS score
    FROM fields_of_view
    JOIN tracks ON tracks.fov_id = fields_of_view.fov_id
    JOIN track_scores ON track_scores.track_id = tracks.track_id
    GROUP BY fields_of_view.sample_id, track_scores.bundle_id
) AS sums ON sums.sample_id = samples.sample_id
LEFT JOIN bundles ON bundles.bundle_id = sums.bundle_id
LEFT JOIN calls ON calls.sample_id = samples.sample_id AND calls.bundle_id = bundles.bundle_id;

-- One row per frame ever seen: what became of it and why.
CREATE VIEW ledger_view AS
SELECT
    frames.frame_id,
    sessions.instrument,
    sessions.name AS session,
    samples.name AS sample,
    fields_of_view.name AS fov,
    sources.path,
    frames.plane_index,
    frames.time_index,
    frames.channel,
    frames.z_index,
    frames.state,
    frames.reason,
    frames.code AS failure_code,
    frames.attempts,
    frames.first_seen_unix_ms,
    frames.closed_unix_ms,
    frames.committed_unix_ms,
    frames.committed_unix_ms - frames.closed_unix_ms AS latency_ms,
    frames.acquired_unix_ms,
    frames.width_px,
    frames.height_px,
    frames.pixel_size_um,
    frames.verdict,
    frames.focus,
    frames.background_counts,
    frames.evenness,
    frames.saturated_share,
    (SELECT count(*) FROM cells WHERE cells.frame_id = frames.frame_id) AS cell_count,
    runs.software_version
FROM frames
JOIN sources ON sources.source_id = frames.source_id
LEFT JOIN fields_of_view ON fields_of_view.fov_id = frames.fov_id
LEFT JOIN samples ON samples.sample_id = fields_of_view.sample_id
LEFT JOIN sessions ON sessions.session_id = fields_of_view.session_id
LEFT JOIN runs ON runs.run_id = frames.run_id;
