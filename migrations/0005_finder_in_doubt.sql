-- Whether the network that finds cells was in doubt about a frame: its cells are kept, and an alert asks to look at them.
ALTER TABLE frames ADD COLUMN in_doubt INTEGER NOT NULL DEFAULT 0 CHECK (in_doubt IN (0, 1));

-- One row per frame ever seen: what became of it and why.
DROP VIEW ledger_view;
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
    frames.in_doubt,
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
