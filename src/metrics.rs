//! Prometheus metrics: installs the recorder, describes every metric, renders them.
//!
//! Names are `cytowatch_<noun>_<unit>[_total]`; labels come from closed sets (stage, code), never from paths, ids or
//! fields of view, so that the number of series stays bounded. Counts are taken over from [`StatusReport`] when
//! rendered: in every answer admitted = recorded + failed + put back + in flight.

use crate::status::StatusReport;
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use std::time::Duration;
use thiserror::Error;

/// Seconds, from a fast stage to a long backlog.
const SECONDS_BUCKETS: [f64; 16] =
    [0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0];
/// Cells per batch.
const BATCH_BUCKETS: [f64; 8] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];

/// Why metrics cannot be kept.
#[derive(Debug, Error)]
#[error("install the metrics recorder: another one is installed already")]
pub struct MetricsError(#[source] BuildError);

impl MetricsError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        "metrics_install"
    }
}

/// The recorder's end that renders.
#[derive(Debug, Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
}

/// Facts for `/metrics` that only the server knows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StoreFacts {
    /// Size of the database with its write-ahead log, bytes.
    pub database_size_bytes: u64,
    /// Alerts that are open.
    pub open_alerts: usize,
    /// When the newest result was committed, UTC.
    pub last_frame_unix_ms: Option<i64>,
}

impl Metrics {
    /// Installs the recorder for the whole process and describes every metric.
    ///
    /// # Errors
    /// When a recorder is installed already.
    pub fn install() -> Result<Self, MetricsError> {
        let handle = builder().and_then(PrometheusBuilder::install_recorder).map_err(MetricsError)?;
        describe();
        Ok(Self { handle })
    }

    /// Keeps the histograms' memory bounded while nobody asks; call every few seconds.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }

    /// The text for Prometheus.
    pub fn render(&self, status: Option<&StatusReport>, store: StoreFacts) -> String {
        if let Some(status) = status {
            take_over(status);
        }
        gauge!("cytowatch_database_size_bytes").set(store.database_size_bytes as f64);
        gauge!("cytowatch_alerts_open").set(store.open_alerts as f64);
        if let Some(last) = store.last_frame_unix_ms {
            gauge!("cytowatch_last_frame_timestamp_seconds").set(last as f64 / 1e3);
        }
        self.handle.render()
    }
}

/// Frames that entered the ledger.
pub fn frames_seen(count: u64) {
    counter!("cytowatch_frames_seen_total").increment(count);
}

/// One look at the watched folder took `took`.
pub fn scan_took(took: Duration) {
    histogram!("cytowatch_scan_duration_seconds").record(took.as_secs_f64());
}

/// The model ran on a batch of `cells` cells.
pub fn batch_ran(cells: usize, took: Duration) {
    histogram!("cytowatch_batch_size_cells").record(cells as f64);
    histogram!("cytowatch_model_duration_seconds").record(took.as_secs_f64());
}

/// An alert's message was sent, or not.
pub fn webhook_tried(arrived: bool) {
    counter!("cytowatch_webhook_tries_total", "outcome" => if arrived { "delivered" } else { "failed" }).increment(1);
}

/// The server answered with this status code.
pub fn http_answered(status: u16) {
    let class = match status / 100 {
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    };
    counter!("cytowatch_http_responses_total", "class" => class).increment(1);
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS_BUCKETS)?
        .set_buckets_for_metric(Matcher::Suffix("_cells".to_owned()), &BATCH_BUCKETS)
}

/// Takes over what the status counts.
fn take_over(status: &StatusReport) {
    let counts = &status.counts;
    counter!("cytowatch_frames_admitted_total").absolute(counts.admitted);
    counter!("cytowatch_frames_recorded_total").absolute(counts.recorded);
    counter!("cytowatch_frames_put_back_total").absolute(counts.put_back);
    counter!("cytowatch_cells_recorded_total").absolute(counts.cells);
    for (code, failed) in &counts.failed_by_code {
        counter!("cytowatch_frames_failed_total", "code" => code.clone()).absolute(*failed);
    }
    gauge!("cytowatch_frames_in_flight").set(counts.in_flight as f64);
    gauge!("cytowatch_frames_ready").set(counts.ready as f64);
    gauge!("cytowatch_frames_waiting").set(counts.waiting as f64);
    gauge!("cytowatch_backlog_eta_seconds").set(status.backlog_eta_s.unwrap_or(0.0));
    gauge!("cytowatch_resident_memory_bytes").set(status.resident_bytes as f64);
    gauge!("cytowatch_uptime_seconds").set(status.uptime_s);
    gauge!("cytowatch_ready").set(f64::from(u8::from(status.ready)));
    gauge!("cytowatch_paused").set(f64::from(u8::from(status.paused.is_some())));
    gauge!("cytowatch_engine_fallback").set(f64::from(u8::from(status.engine_warning.is_some())));
    gauge!("cytowatch_build_info", "version" => status.version.clone(), "engine" => status.engine.clone()).set(1.0);
    for stage in &status.stages {
        let name = stage.name.clone();
        gauge!("cytowatch_queue_depth_frames", "stage" => name.clone()).set(stage.queue_depth as f64);
        gauge!("cytowatch_queue_capacity_frames", "stage" => name.clone()).set(stage.queue_capacity as f64);
        gauge!("cytowatch_stage_busy_seconds", "stage" => name.clone()).set(stage.busy_s);
        gauge!("cytowatch_stage_blocked_seconds", "stage" => name.clone()).set(stage.blocked_s);
        gauge!("cytowatch_stage_beat_age_seconds", "stage" => name.clone()).set(stage.beat_age_s);
        gauge!("cytowatch_stage_alive", "stage" => name).set(f64::from(u8::from(stage.alive)));
    }
}

fn describe() {
    for (name, unit, text) in COUNTERS {
        describe_counter!(*name, *unit, *text);
        if !name.ends_with("failed_total") && !name.contains("webhook") && !name.contains("http") {
            counter!(*name).increment(0);
        }
    }
    for (name, unit, text) in GAUGES {
        describe_gauge!(*name, *unit, *text);
    }
    for (name, unit, text) in HISTOGRAMS {
        describe_histogram!(*name, *unit, *text);
    }
}

type Described = (&'static str, Unit, &'static str);

const COUNTERS: &[Described] = &[
    ("cytowatch_frames_seen_total", Unit::Count, "Frames that entered the ledger."),
    (
        "cytowatch_frames_admitted_total",
        Unit::Count,
        "Frames handed to the workers, or failed at the look that would have handed them over.",
    ),
    ("cytowatch_frames_recorded_total", Unit::Count, "Frames whose result is committed."),
    ("cytowatch_frames_failed_total", Unit::Count, "Frames that failed, by stable code."),
    ("cytowatch_frames_put_back_total", Unit::Count, "Frames given back to the ledger (stop, disk full)."),
    ("cytowatch_cells_recorded_total", Unit::Count, "Cells committed."),
    ("cytowatch_store_retries_total", Unit::Count, "Writes that the database refused and that were tried again."),
    ("cytowatch_webhook_tries_total", Unit::Count, "Tries to deliver an alert, by outcome."),
    ("cytowatch_http_responses_total", Unit::Count, "Answers of the server, by class of status."),
];

const GAUGES: &[Described] = &[
    ("cytowatch_frames_in_flight", Unit::Count, "Frames between admission and commit."),
    ("cytowatch_frames_ready", Unit::Count, "Frames that are complete and wait for admission."),
    ("cytowatch_frames_waiting", Unit::Count, "Frames that are not complete, or held for an earlier one."),
    ("cytowatch_backlog_eta_seconds", Unit::Seconds, "Time until the backlog is worked off; 0 without one."),
    ("cytowatch_queue_depth_frames", Unit::Count, "Entries in the queue in front of a stage."),
    ("cytowatch_queue_capacity_frames", Unit::Count, "What that queue can hold."),
    ("cytowatch_stage_busy_seconds", Unit::Seconds, "Time a stage worked since the start, over its workers."),
    ("cytowatch_stage_blocked_seconds", Unit::Seconds, "Time a stage waited for the full queue behind it."),
    ("cytowatch_stage_beat_age_seconds", Unit::Seconds, "Age of a stage's last sign of life."),
    ("cytowatch_stage_alive", Unit::Count, "1 while a stage moves."),
    ("cytowatch_folder_problems", Unit::Count, "Files and folders that the last look could not read."),
    ("cytowatch_resident_memory_bytes", Unit::Bytes, "Resident memory."),
    ("cytowatch_database_size_bytes", Unit::Bytes, "Database with its write-ahead log."),
    ("cytowatch_last_frame_timestamp_seconds", Unit::Seconds, "When the newest result was committed, UTC."),
    ("cytowatch_alerts_open", Unit::Count, "Alerts that are open."),
    ("cytowatch_uptime_seconds", Unit::Seconds, "Time since the start."),
    ("cytowatch_ready", Unit::Count, "1 once the start-up has ended."),
    ("cytowatch_paused", Unit::Count, "1 while no frame is admitted."),
    ("cytowatch_engine_fallback", Unit::Count, "1 while the preferred engine is not used."),
    ("cytowatch_build_info", Unit::Count, "Always 1; the labels tell version and engine."),
];

const HISTOGRAMS: &[Described] = &[
    ("cytowatch_frame_latency_seconds", Unit::Seconds, "File closed to result committed."),
    ("cytowatch_stage_duration_seconds", Unit::Seconds, "One piece of work of a stage."),
    ("cytowatch_scan_duration_seconds", Unit::Seconds, "One look at the watched folder."),
    ("cytowatch_batch_size_cells", Unit::Count, "Cells of one frame that the model looks at in one go."),
    ("cytowatch_model_duration_seconds", Unit::Seconds, "The model over the cells of one frame."),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{Identity, Status};

    #[test]
    fn every_described_metric_is_rendered_with_bounded_labels() {
        let metrics = Metrics::install().unwrap();
        assert!(Metrics::install().is_err());
        let status = Status::new(Identity::default(), Duration::from_secs(5));
        status.count(|counts| {
            counts.admitted = 7;
            counts.recorded = 4;
            counts.failed = 1;
            counts.put_back = 1;
            counts.in_flight = 1;
            counts.failed_by_code.insert("frame_decode".to_owned(), 1);
        });
        frames_seen(9);
        scan_took(Duration::from_millis(3));
        batch_ran(8, Duration::from_millis(20));
        webhook_tried(true);
        http_answered(200);
        status.committed(Some(Duration::from_millis(150)));
        metrics::gauge!("cytowatch_folder_problems").set(0.0);
        counter!("cytowatch_store_retries_total").increment(0);
        status.add_work(crate::status::Stage::Cells, Duration::from_millis(5), 1);
        let facts = StoreFacts { database_size_bytes: 5, open_alerts: 2, last_frame_unix_ms: Some(1_000) };
        let text = metrics.render(Some(&status.report()), facts);
        for (name, _, _) in COUNTERS.iter().chain(GAUGES).chain(HISTOGRAMS) {
            assert!(text.contains(&format!("# TYPE {name} ")), "{name} is missing in\n{text}");
        }
        assert!(text.contains("cytowatch_frames_failed_total{code=\"frame_decode\"} 1"), "{text}");
        assert!(text.contains("cytowatch_frames_seen_total 9"), "{text}");
        let value = |name: &str| -> f64 {
            let line = text.lines().find(|line| line.split([' ', '{']).next() == Some(name)).unwrap();
            line.rsplit(' ').next().unwrap().parse().unwrap()
        };
        let ended = value("cytowatch_frames_recorded_total")
            + value("cytowatch_frames_failed_total")
            + value("cytowatch_frames_put_back_total")
            + value("cytowatch_frames_in_flight");
        assert!((value("cytowatch_frames_admitted_total") - ended).abs() < 1e-9, "{text}");
    }
}
