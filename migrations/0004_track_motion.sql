-- How fast and how directly a cell went: the straight way from its first to its newest place beside the way it took.
ALTER TABLE tracks ADD COLUMN net_px REAL NOT NULL DEFAULT 0 CHECK (net_px >= 0);

-- Tracks that are there already; SQLite has no root, Newton's steps from above reach it.
UPDATE tracks SET net_px = (
    WITH RECURSIVE newton(step, square, root) AS (
        SELECT 0, dx * dx + dy * dy, abs(dx) + abs(dy) + 1e-9
        FROM (SELECT tracks.last_x_px - tracks.first_x_px AS dx, tracks.last_y_px - tracks.first_y_px AS dy)
        UNION ALL
        SELECT step + 1, square, (root + square / root) / 2 FROM newton WHERE step < 12
    )
    SELECT root FROM newton WHERE step = 12
)
WHERE path_px > 0;

-- One row per track and bundle (one row without scores when no bundle has seen the track). `um_per_frame` is the mean speed
-- along the path from one time index to the next, `directness` the straight way's share of the path (0 came back, 1 straight).
DROP VIEW tracks_view;
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
    tracks.path_px * scale.pixel_size_um AS path_um,
    tracks.net_px * scale.pixel_size_um AS net_um,
    tracks.path_px * scale.pixel_size_um / nullif(tracks.last_time_index - tracks.first_time_index, 0) AS um_per_frame,
    min(tracks.net_px / nullif(tracks.path_px, 0), 1) AS directness,
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
LEFT JOIN frames AS scale ON scale.frame_id = (
    SELECT frame_id FROM frames
    WHERE frames.fov_id = tracks.fov_id AND frames.time_index = tracks.first_time_index AND frames.state = 'done'
    LIMIT 1
)
LEFT JOIN track_scores ON track_scores.track_id = tracks.track_id
LEFT JOIN bundles ON bundles.bundle_id = track_scores.bundle_id;
