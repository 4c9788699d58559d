//! `cytowatch changes`: when followed cells go from low to high or back.

use super::say;
use super::stored::{self, ScoredBy, StoredArgs};
use super::table::Table;
use crate::infer::state::StateReading;
use crate::sample::dynamics::{Dynamics, LogitAt, fit, follow};
use crate::store;
use crate::store::series::{self, TrackSeries, for_each_track};
use anyhow::{Context as _, ensure};

/// Tracks shorter than this many scored frames are left out: a stay of half an hour on either side does not fit in.
const FEWEST_FRAMES: usize = 60;

/// Arguments of `changes`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The session: its name, instrument/name, or number.
    pub session: String,
    /// Minutes from one time index to the next, where the files do not tell when they were acquired.
    #[arg(long, default_value_t = 1.0)]
    pub interval_min: f64,
    /// Mean logit of cells known to be low, where the search for the two states begins.
    #[arg(long, default_value_t = -0.5, allow_negative_numbers = true)]
    pub low_logit: f64,
    /// Mean logit of cells known to be high.
    #[arg(long, default_value_t = 0.5, allow_negative_numbers = true)]
    pub high_logit: f64,
    /// Leave out changes less sure than this, 0 to 1.
    #[arg(long, default_value_t = 0.5)]
    pub least_confidence: f64,
    /// Whose scores.
    #[command(flatten)]
    pub scored_by: ScoredBy,
    /// Where from and where to.
    #[command(flatten)]
    pub stored: StoredArgs,
}

/// A track's place and what its state is read from over time.
struct Followed {
    sample: String,
    fov: String,
    track_number: i64,
    frames: Vec<LogitAt>,
}

/// Measures the session's dynamics, then writes one line per change.
///
/// # Errors
/// When the database cannot be read, or there is too little to measure.
pub fn run(args: &Args) -> anyhow::Result<()> {
    ensure!(args.interval_min > 0.0, "--interval-min must be positive");
    let database = args.stored.config.settings()?.store.database;
    let tracks = super::block_on(async {
        let readers = store::open_read_only(&database).await?;
        let session = stored::session(&readers, &args.session).await?;
        let bundle = args.scored_by.bundle(&readers).await?;
        let reading = series::state_reading(&readers, bundle.bundle_id).await?;
        let mut tracks: Vec<Followed> = Vec::new();
        for_each_track(&readers, bundle.bundle_id, Some(session), &mut |series| {
            if series.points.len() >= FEWEST_FRAMES {
                tracks.push(followed(series, &reading, args.interval_min));
            }
        })
        .await?;
        anyhow::Ok(tracks)
    })?;
    let start = Dynamics { low_logit: args.low_logit, high_logit: args.high_logit, ..Dynamics::default() };
    let frames: Vec<Vec<LogitAt>> = tracks.iter().map(|it| it.frames.clone()).collect();
    let dynamics = fit(&start, &frames).context("measure how cells change")?;
    let header = ["sample", "fov", "track_number", "minute", "to", "confidence"].map(str::to_owned);
    let mut table = Table::create(args.stored.out.as_deref(), &header)?;
    let mut changes = 0;
    for track in &tracks {
        for change in follow(&dynamics, &track.frames).transitions {
            if change.confidence < args.least_confidence {
                continue;
            }
            changes += 1;
            let place = [track.sample.clone(), track.fov.clone(), track.track_number.to_string()];
            let what =
                [format!("{:.1}", change.minute), change.to.name().to_owned(), format!("{:.3}", change.confidence)];
            table.row(&[place, what].concat())?;
        }
    }
    table.finish()?;
    if args.stored.out.is_some() {
        say(&format!("{changes} changes of {} tracks with at least {FEWEST_FRAMES} scored frames", tracks.len()))?;
    }
    tracing::info!(?dynamics, "measured");
    Ok(())
}

fn followed(series: TrackSeries, reading: &StateReading, interval_min: f64) -> Followed {
    let known: Option<Vec<i64>> = series.points.iter().map(|point| point.acquired_unix_ms).collect();
    let began = known.as_ref().and_then(|times| times.first().copied());
    let minute = |time_index: i64, acquired: Option<i64>| match (began, acquired) {
        (Some(began), Some(at)) => (at - began) as f64 / 60_000.0,
        _ => time_index as f64 * interval_min,
    };
    let frames = series.points.iter();
    let frames = frames.map(|it| LogitAt {
        minute: minute(it.time_index, it.acquired_unix_ms),
        logit: reading.read(it.logit, &it.hallmarks),
    });
    Followed { frames: frames.collect(), sample: series.sample, fov: series.fov, track_number: series.track_number }
}
