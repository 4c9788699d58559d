//! A session as the daemon would have left it: samples, fields of view, frames, cells with tracks and scores, gaps,
//! failures, waiting frames, alerts. A pure function of its arguments, and the frames can be painted to match.

mod shown;

use cytowatch::store::Store;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqlitePool;
use std::f64::consts::TAU;
use std::path::Path;

pub(crate) use shown::{explain, paint};

pub(crate) const WIDTH_PX: usize = 1280;
pub(crate) const HEIGHT_PX: usize = 960;
pub(crate) const PIXEL_SIZE_UM: f64 = 0.65;
const MINUTE_MS: i64 = 60_000;

/// How much is seeded.
#[derive(Clone, Copy)]
pub(crate) struct Scale {
    pub(crate) fovs_per_sample: i64,
    pub(crate) times: i64,
    pub(crate) cells_per_fov: i64,
    /// When the last frame was acquired, UTC.
    pub(crate) end_unix_ms: i64,
}

struct Sample {
    name: &'static str,
    label: Option<&'static str>,
    mean_logit: f64,
}

const SAMPLES: [Sample; 3] = [
    Sample { name: "m405", label: Some("high"), mean_logit: 1.35 },
    Sample { name: "m610", label: Some("low"), mean_logit: -1.15 },
    Sample { name: "um12", label: None, mean_logit: 0.18 },
];

/// One number in 0..1 from four.
fn noise(a: i64, b: i64, c: i64, d: i64) -> f64 {
    let mut mixed = 0x9e37_79b9_7f4a_7c15_u64;
    for part in [a, b, c, d] {
        mixed = (mixed ^ part as u64).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^= mixed >> 29;
    }
    (mixed >> 11) as f64 / (1_u64 << 53) as f64
}

/// About N(0, 1).
fn normal(a: i64, b: i64, c: i64, d: i64) -> f64 {
    (0..4).map(|part| noise(a, b, c, d * 4 + part)).sum::<f64>() * 1.732 - 3.464
}

/// One cell of a field of view at a time.
pub(crate) struct SeededCell {
    pub(crate) number: i64,
    pub(crate) x_px: f64,
    pub(crate) y_px: f64,
    radius_px: f64,
    spikes: i64,
    spike: f64,
    turn: f64,
    pub(crate) logit: f64,
    pub(crate) withheld: Option<&'static str>,
    pub(crate) touches_border: bool,
}

impl SeededCell {
    fn radius_at(&self, angle: f64) -> f64 {
        let lobes = 1.0 + 0.12 * (2.0 * angle + self.turn).cos() + 0.05 * (3.0 * angle - self.turn).cos();
        let spikes: f64 = (0..self.spikes)
            .map(|spike| {
                let at = self.turn + TAU * (spike as f64 / self.spikes as f64 + 0.07 * (spike % 2) as f64);
                let apart = (angle - at + TAU / 2.0).rem_euclid(TAU) - TAU / 2.0;
                self.spike * (-(apart / 0.16).powi(2)).exp()
            })
            .sum();
        self.radius_px * (lobes + spikes)
    }

    pub(crate) fn outline(&self) -> Vec<[f32; 2]> {
        (0..64)
            .map(|step| {
                let angle = TAU * f64::from(step) / 64.0;
                let radius = self.radius_at(angle);
                let x = (self.x_px + radius * angle.cos()).clamp(0.0, WIDTH_PX as f64 - 1.0);
                let y = (self.y_px + radius * angle.sin()).clamp(0.0, HEIGHT_PX as f64 - 1.0);
                [x as f32, y as f32]
            })
            .collect()
    }
}

/// The cells of a field of view (from 1) at a time: the same numbers for database and picture.
pub(crate) fn cells_at(fov: i64, time: i64, scale: Scale) -> Vec<SeededCell> {
    let sample = &SAMPLES[((fov - 1) / scale.fovs_per_sample) as usize];
    (0..scale.cells_per_fov)
        .map(|cell| {
            let own = |what: i64| noise(fov, cell, what, 0);
            let t = time as f64;
            let wander = |what: i64, speed: f64| {
                60.0 * (t * speed * (0.5 + own(what)) + TAU * own(what + 1)).sin()
                    + 25.0 * (t * 0.11 + TAU * own(what + 2)).sin()
            };
            let columns = (scale.cells_per_fov as f64).sqrt().ceil() as i64;
            let place = |index: i64, of: i64, length: usize, what: i64| {
                (index as f64 + 0.25 + 0.5 * own(what)) / of as f64 * length as f64
            };
            let rows = (scale.cells_per_fov + columns - 1) / columns;
            let x_px =
                (place(cell % columns, columns, WIDTH_PX, 1) + wander(10, 0.03)).clamp(6.0, WIDTH_PX as f64 - 6.0);
            let y_px =
                (place(cell / columns, rows, HEIGHT_PX, 2) + wander(20, 0.025)).clamp(6.0, HEIGHT_PX as f64 - 6.0);
            let logit = sample.mean_logit
                + 1.1 * normal(fov, cell, 7, 0)
                + 0.25 * normal(fov, 0, 8, 0)
                + 0.8 * (t * 0.05 + TAU * own(30)).sin()
                + 0.45 * normal(fov, cell, time, 9);
            let radius_px = 20.0 + 14.0 * own(3);
            let edge = 1.6 * radius_px;
            let touches_border =
                x_px < edge || y_px < edge || x_px > WIDTH_PX as f64 - edge || y_px > HEIGHT_PX as f64 - edge;
            let withheld = if touches_border {
                Some("touches_border")
            } else if own(40) < 0.05 {
                Some("out_of_domain")
            } else {
                None
            };
            SeededCell {
                number: cell + 1,
                x_px,
                y_px,
                radius_px,
                spikes: if logit > 0.0 { 3 + (own(5) * 3.0) as i64 } else { (own(5) * 2.0) as i64 },
                spike: if logit > 0.0 { 0.75 } else { 0.3 },
                turn: TAU * own(6) + 0.03 * t,
                logit,
                withheld,
                touches_border,
            }
        })
        .collect()
}

/// The time at which the n-th frame was acquired.
fn acquired_unix_ms(time: i64, scale: Scale) -> i64 {
    scale.end_unix_ms - (scale.times - 1 - time) * MINUTE_MS
}

/// Creates the database and seeds it.
pub(crate) async fn create(path: &Path, scale: Scale) -> Store {
    let store = Store::open(path).await.unwrap();
    store.close().await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).foreign_keys(true);
    let pool = SqlitePool::connect_with(options).await.unwrap();
    let mut tx = pool.begin().await.unwrap();
    places(&mut tx, scale).await;
    for fov in 1..=SAMPLES.len() as i64 * scale.fovs_per_sample {
        for time in 0..scale.times {
            frame(&mut tx, fov, time, scale).await;
        }
    }
    sums(&mut tx).await;
    calls(&mut tx, scale).await;
    alerts(&mut tx, scale).await;
    tx.commit().await.unwrap();
    pool.close().await;
    Store::open(path).await.unwrap()
}

async fn execute(tx: &mut SqliteConnection, sql: &'static str) {
    sqlx::query(sql).execute(&mut *tx).await.unwrap();
}

async fn places(tx: &mut SqliteConnection, scale: Scale) {
    let start = acquired_unix_ms(0, scale);
    let hash = "5".repeat(64);
    sqlx::query("INSERT INTO bundles (bundle_id, sha256, name, version, first_used_unix_ms) VALUES (1, ?1, 'melanoma-sim-w16', '1.0.0', ?2)")
        .bind(&hash)
        .bind(start)
        .execute(&mut *tx)
        .await
        .unwrap();
    sqlx::query("INSERT INTO runs VALUES (1, ?1, NULL, '0.1.0', 'scope-pc', 4711, '{}', ?2, 1, 'ort', 'frames')")
        .bind(start)
        .bind(&hash)
        .execute(&mut *tx)
        .await
        .unwrap();
    sqlx::query("INSERT INTO sessions VALUES (1, 'Ti2-incubator', '2026-03-12 plate 4', ?1)")
        .bind(start)
        .execute(&mut *tx)
        .await
        .unwrap();
    for (sample, facts) in (1_i64..).zip(&SAMPLES) {
        sqlx::query("INSERT INTO samples VALUES (?1, 1, ?2, ?3)")
            .bind(sample)
            .bind(facts.name)
            .bind(facts.label)
            .execute(&mut *tx)
            .await
            .unwrap();
        for place in 0..scale.fovs_per_sample {
            let fov = (sample - 1) * scale.fovs_per_sample + place + 1;
            sqlx::query("INSERT INTO fields_of_view (fov_id, session_id, sample_id, name) VALUES (?1, 1, ?2, ?3)")
                .bind(fov)
                .bind(sample)
                .bind(format!("s{fov:02}"))
                .execute(&mut *tx)
                .await
                .unwrap();
        }
    }
}

/// Id of a frame: readable, and the painter finds field of view and time again.
pub(crate) fn frame_id(fov: i64, time: i64) -> i64 {
    (time + 1) * 1000 + fov
}

/// Frames that did not go well.
enum Fate {
    Done,
    Missing,
    Failed(&'static str, &'static str),
    Waiting(&'static str),
}

fn fate(fov: i64, time: i64, scale: Scale) -> Fate {
    match (fov, time) {
        (4, 31 | 32) => Fate::Missing,
        (2, 17) | (5, 44) => Fate::Failed("source_truncated", "strip 12 of 16 ends before its data"),
        (7, 60) => Fate::Failed("frame_size_changed", "1280 x 960 px before, 640 x 480 px now"),
        (6, time) if time == scale.times - 1 => Fate::Waiting("file still growing (41 of 64 MB)"),
        _ => Fate::Done,
    }
}

async fn frame(tx: &mut SqliteConnection, fov: i64, time: i64, scale: Scale) {
    let fate = fate(fov, time, scale);
    let id = frame_id(fov, time);
    let acquired = acquired_unix_ms(time, scale);
    let committed = acquired + 900 + (600.0 * noise(fov, time, 1, 1)) as i64;
    let (state, code, reason) = match fate {
        Fate::Missing => return,
        Fate::Done => ("done", None, None),
        Fate::Failed(code, reason) => ("failed", Some(code), Some(reason)),
        Fate::Waiting(reason) => ("waiting", None, Some(reason)),
    };
    let done = state == "done";
    sqlx::query("INSERT INTO sources VALUES (?1, ?2, 2457600, ?3, ?4)")
        .bind(id)
        .bind(format!("plate4/s{fov:02}/t{time:04}.tif"))
        .bind(acquired * 1_000_000)
        .bind(acquired)
        .execute(&mut *tx)
        .await
        .unwrap();
    sqlx::query(
        "INSERT INTO frames (frame_id, source_id, plane_index, fov_id, time_index, channel, state, reason, code,
            attempts, first_seen_unix_ms, closed_unix_ms, committed_unix_ms, run_id, acquired_unix_ms, width_px,
            height_px, pixel_size_um, background_counts, evenness, focus, saturated_share, verdict, linked)
        VALUES (?1, ?1, 0, ?2, ?3, 'phase', ?4, ?5, ?6, 1, ?7, ?8, ?9, 1, ?7, ?10, ?11, ?12, ?13, 0.91, ?14, 0.0002,
            ?15, 1)",
    )
    .bind(id)
    .bind(fov)
    .bind(time)
    .bind(state)
    .bind(reason)
    .bind(code)
    .bind(acquired)
    .bind(done.then_some(acquired + 300))
    .bind((state != "waiting").then_some(committed))
    .bind(WIDTH_PX as i64)
    .bind(HEIGHT_PX as i64)
    .bind(PIXEL_SIZE_UM)
    .bind(done.then(|| 11_800.0 + 120.0 * (time as f64 * 0.05).sin()))
    .bind(done.then(|| 0.42 + 0.02 * noise(fov, time, 2, 2)))
    .bind(done.then_some("usable"))
    .execute(&mut *tx)
    .await
    .unwrap();
    if done {
        for cell in cells_at(fov, time, scale) {
            insert_cell(tx, (fov, time), id, &cell).await;
        }
    }
}

async fn insert_cell(tx: &mut SqliteConnection, (fov, time): (i64, i64), frame: i64, cell: &SeededCell) {
    let track = fov * 1000 + cell.number;
    if time == 0 {
        sqlx::query("INSERT INTO tracks VALUES (?1, ?2, ?3, NULL, 0, 0, 1, ?4, ?5, ?4, ?5, 0.0, 0.0)")
            .bind(track)
            .bind(fov)
            .bind(cell.number)
            .bind(cell.x_px)
            .bind(cell.y_px)
            .execute(&mut *tx)
            .await
            .unwrap();
    }
    let outline: Vec<u8> = cell.outline().iter().flatten().flat_map(|value| value.to_le_bytes()).collect();
    let area_um2 = 3.3 * cell.radius_px.powi(2) * PIXEL_SIZE_UM.powi(2);
    let id = frame * 1000 + cell.number;
    let protrusion_um = cell.spike * cell.radius_px * PIXEL_SIZE_UM;
    sqlx::query(
        "INSERT INTO cells VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 0.62, 0.87, ?11, ?12, ?13, ?14, ?15, ?16)",
    )
    .bind(id)
    .bind(frame)
    .bind(cell.number)
    .bind(track)
    .bind(cell.x_px)
    .bind(cell.y_px)
    .bind(outline)
    .bind(cell.touches_border)
    .bind(area_um2)
    .bind(6.8 * cell.radius_px * PIXEL_SIZE_UM)
    .bind(2.3 * cell.radius_px * PIXEL_SIZE_UM)
    .bind(1.7 * cell.radius_px * PIXEL_SIZE_UM)
    .bind(cell.spikes)
    .bind(cell.spikes as f64 * protrusion_um)
    .bind(if cell.spikes > 0 { protrusion_um } else { 0.0 })
    .bind(0.1 + 0.04 * cell.logit.clamp(-2.0, 3.0))
    .execute(&mut *tx)
    .await
    .unwrap();
    let latent: Vec<u8> =
        (0..56).flat_map(|feature| (normal(fov, cell.number, feature, 3) as f32).to_le_bytes()).collect();
    sqlx::query("INSERT INTO inferences VALUES (?1, 1, ?2, ?3, ?4, ?5, ?6)")
        .bind(id)
        .bind(latent)
        .bind(cell.logit)
        .bind(1.0 / (1.0 + (-cell.logit).exp()))
        .bind(7.0 + normal(fov, cell.number, time, 4).abs())
        .bind(cell.withheld)
        .execute(&mut *tx)
        .await
        .unwrap();
}

/// Tracks and their running sums, as the recorder keeps them.
async fn sums(tx: &mut SqliteConnection) {
    execute(
        tx,
        "UPDATE tracks SET last_time_index = found.last, cell_count = found.cells, path_px = 1.7 * found.cells,
            last_x_px = found.x, last_y_px = found.y
        FROM (SELECT cells.track_id AS track, max(frames.time_index) AS last, count(*) AS cells, cells.x_px AS x,
            cells.y_px AS y FROM cells JOIN frames ON frames.frame_id = cells.frame_id GROUP BY cells.track_id) AS found
        WHERE found.track = tracks.track_id",
    )
    .await;
    execute(
        tx,
        "INSERT INTO track_scores (track_id, bundle_id, scored_count, withheld_count, logit_sum, score) SELECT cells.track_id, inferences.bundle_id,
            count(*) FILTER (WHERE withheld IS NULL), count(withheld),
            coalesce(sum(logit) FILTER (WHERE withheld IS NULL), 0.0), avg(score) FILTER (WHERE withheld IS NULL)
        FROM cells JOIN inferences ON inferences.cell_id = cells.cell_id GROUP BY cells.track_id, inferences.bundle_id",
    )
    .await;
}

async fn calls(tx: &mut SqliteConnection, scale: Scale) {
    let rows = [
        (1, "high", "called", 0.74, 0.68, 0.80, None, Some(scale.end_unix_ms - 47 * MINUTE_MS)),
        (2, "low", "called", 0.27, 0.21, 0.33, None, Some(scale.end_unix_ms - 22 * MINUTE_MS)),
        (3, "undecided", "not_settled", 0.54, 0.45, 0.62, Some(34), None),
    ];
    for (sample, verdict, reason, score, low, high, needed, since) in rows {
        sqlx::query(
            "INSERT INTO calls VALUES (?1, 1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0.08, ?9, NULL, ?10, NULL, NULL, ?11, '{}')",
        )
        .bind(sample)
        .bind(verdict)
        .bind(reason)
        .bind(score)
        .bind(low)
        .bind(high)
        .bind(scale.cells_per_fov * scale.fovs_per_sample)
        .bind(scale.fovs_per_sample)
        .bind(needed)
        .bind(since)
        .bind(scale.end_unix_ms)
        .execute(&mut *tx)
        .await
        .unwrap();
    }
}

async fn alerts(tx: &mut SqliteConnection, scale: Scale) {
    let minutes_ago = |minutes: i64| scale.end_unix_ms - minutes * MINUTE_MS;
    for (rule, subject, severity, text, raised, cleared) in [
        ("stalled", "s03", "warning", "Field s03 gave no frame for 6 minutes (usual: 1 minute).", 80, Some(71)),
        ("call_reached", "m405", "info", "m405 is called high: score 0.74 (0.68 to 0.80).", 47, Some(47)),
        ("call_reached", "m610", "info", "m610 is called low: score 0.27 (0.21 to 0.33).", 22, Some(22)),
        ("disk_low", "", "warning", "21 GB are left on the results disk: about 9 h at this pace. Free some.", 12, None),
    ] {
        sqlx::query(
            "INSERT INTO alerts (rule, subject, severity, text, raised_unix_ms, cleared_unix_ms)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )
        .bind(rule)
        .bind(subject)
        .bind(severity)
        .bind(text)
        .bind(minutes_ago(raised))
        .bind(cleared.map(minutes_ago))
        .execute(&mut *tx)
        .await
        .unwrap();
    }
}
