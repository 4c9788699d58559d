//! `cytowatch explain rank`: which latent features drive the score.

use crate::cli::model::ModelArgs;
use crate::cli::stored::ScoredBy;
use crate::cli::{ConfigArgs, say, stored};
use crate::explain::drivers::{Driver, FEWEST_CELLS, TrackMean, drivers};
use crate::explain::rank::rank;
use crate::id::{BundleId, SessionId};
use crate::infer::discriminant::score;
use crate::store::series::for_each_track;
use crate::store::{self, Readers};
use anyhow::bail;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Seed of the bootstrap.
const SEED: u64 = 56;

/// Arguments of `explain rank`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Rank over the cells of this session (its name, instrument/name, or number; `all` for every session): correlation per
    /// sample, with a bootstrap. When absent, the ranking is the model's own.
    #[arg(long)]
    session: Option<String>,
    /// The database, with `--session`; replaces store.database.
    #[arg(long, requires = "session")]
    database: Option<PathBuf>,
    /// Print JSON for programs, with `--session`.
    #[arg(long, requires = "session")]
    json: bool,
    /// Whose scores, with `--session`.
    #[command(flatten)]
    scored_by: ScoredBy,
    /// The model, without `--session`; with it, the bundle of the newest run is taken.
    #[command(flatten)]
    model: ModelArgs,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let Some(session) = &args.session else { return by_the_model(&args.model) };
    let found = drivers(&cells(args, session)?, SEED);
    if found.is_empty() {
        bail!("no sample has {FEWEST_CELLS} followed cells with a score: nothing can be ranked yet");
    }
    if args.json {
        return Ok(say(&serde_json::to_string_pretty(&found)?)?);
    }
    say("feature  correlation  95 % interval      prominence  first in")?;
    for driver in &found {
        say(&line(driver))?;
    }
    Ok(())
}

fn line(driver: &Driver) -> String {
    let (low, high) = driver.interval;
    let samples: Vec<String> = driver.by_sample.iter().map(|(name, r)| format!("{name} {r:.2}")).collect();
    format!(
        "{:>7}{:>13.3}  {low:>6.3} to {high:>6.3}{:>14.2}{:>8.1} %  {}",
        driver.feature,
        driver.correlation,
        driver.prominence,
        100.0 * driver.first_share,
        samples.join(", ")
    )
}

fn cells(args: &Args, session: &str) -> anyhow::Result<BTreeMap<String, Vec<TrackMean>>> {
    let database = args.database.clone();
    let config = ConfigArgs { config: args.model.config.clone(), folder: None, database };
    let database = config.settings()?.store.database;
    crate::cli::block_on(async {
        let readers = store::open_read_only(&database).await?;
        let bundle = args.scored_by.bundle(&readers).await?;
        let chosen = match session {
            "all" => None,
            name => Some(stored::session(&readers, name).await?),
        };
        tracks_by_sample(&readers, bundle.bundle_id, chosen).await
    })
}

/// Mean descriptor and score of every track that `bundle` scored (of one session, or of all), by sample.
pub(super) async fn tracks_by_sample(
    readers: &Readers,
    bundle: BundleId,
    session: Option<SessionId>,
) -> anyhow::Result<BTreeMap<String, Vec<TrackMean>>> {
    let mut samples: BTreeMap<String, Vec<TrackMean>> = BTreeMap::new();
    for_each_track(readers, bundle, session, &mut |series| {
        let cell = TrackMean {
            fov: format!("{}/{}", series.session, series.fov),
            latent: series.mean_latent(),
            score: score(series.mean_logit()),
        };
        samples.entry(series.sample).or_default().push(cell);
    })
    .await?;
    Ok(samples)
}

fn by_the_model(model: &ModelArgs) -> anyhow::Result<()> {
    let model = model.load()?;
    say("feature  correlation  prominence")?;
    for drive in rank(&model.bundle().facts) {
        say(&format!("{:>7}{:>13.3}{:>12.2}", drive.feature, drive.correlation, drive.prominence))?;
    }
    Ok(())
}
