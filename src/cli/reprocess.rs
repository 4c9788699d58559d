//! `cytowatch reprocess`: another bundle on a finished session.

use super::verify::{optics, settings_of};
use super::{ConfigArgs, say, stored};
use crate::daemon::{self, begin_run};
use crate::infer::{EngineChoice, Model, bundle};
use crate::pipeline::caller::Caller;
use crate::pipeline::recompute::Recomputer;
use crate::pipeline::reprocess;
use crate::serve::live::Live;
use crate::status::unix_ms;
use crate::store::Store;
use crate::store::runs::Purpose;
use crate::store::stored::{stored_frames, stored_runs};
use anyhow::{Context as _, bail, ensure};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Arguments of `reprocess`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: cytowatch reprocess 260105 --bundle models/new --database scope.db\n\
                        then:    cytowatch export samples --scored-by \"new 1.0.0\" --database scope.db")]
pub struct Args {
    /// The session: its name, instrument/name, or number.
    pub session: String,
    /// The other bundle's folder.
    #[arg(long)]
    pub bundle: PathBuf,
    /// The engine; when absent, the one that the session was scored with.
    #[arg(long, value_enum)]
    pub engine: Option<EngineChoice>,
    /// The configuration: the database, and (with --folder) where the frames lie when not where they lay. Everything else is
    /// taken from the settings that are stored with each run.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// Scores every cell of the session with the other bundle.
///
/// Frames, cells, tracks and the first scores stay as they are; the new
/// scores and calls stand beside them under the new bundle's name. Doing it again goes on where it ended.
///
/// # Errors
/// When a daemon uses the database, the bundle is the one that scored the session already, or a frame could not be scored
/// (each is named).
pub fn run(args: &Args) -> anyhow::Result<()> {
    let database = args.config.settings()?.store.database;
    super::block_on(async {
        let _lock = daemon::lock_database(&database)?;
        ensure!(database.is_file(), "there is no database {}", database.display());
        let store = Store::open(&database).await?;
        let outcome = all_frames(args, &store).await;
        store.close().await;
        outcome
    })
}

async fn all_frames(args: &Args, store: &Store) -> anyhow::Result<()> {
    let session = stored::session(store.readers(), &args.session).await?;
    let runs = stored_runs(store.readers(), session).await?;
    let first = runs.first().context("the session has no analysed frames")?;
    let of_runs = runs.iter().map(|run| {
        let settings = settings_of(run)?;
        Ok((run.run, (run.bundle, optics(&settings)?, settings)))
    });
    let of_runs: BTreeMap<_, _> = of_runs.collect::<anyhow::Result<_>>()?;
    let mut settings = settings_of(first)?;
    settings.infer.bundle = bundle::find(args.bundle.clone());
    settings.infer.engine = args.engine.unwrap_or(settings.infer.engine);
    let model = Model::load(&settings.infer)?;
    ensure!(
        runs.iter().all(|run| run.bundle_sha256 != model.bundle().identity),
        "this bundle has scored the session already: `cytowatch verify` computes its scores again"
    );
    let name = format!("{} {}", model.bundle().name, model.bundle().version);
    let (run, bundle) = begin_run(store, &settings, &model, Purpose::Scores).await?;
    let mut recomputer = Recomputer::new(model);
    let (mut frames, mut cells, mut without, mut left_out) = (0_u64, 0, 0_u64, 0_u64);
    for frame in stored_frames(store.readers(), session).await? {
        let Some((first, optics, settings)) = of_runs.get(&frame.run) else { continue };
        let path = args.config.folder.as_ref().unwrap_or(&settings.watch.folder).join(&frame.path);
        let with = (optics.clone(), settings.track);
        match reprocess::frame(store, &mut recomputer, (&frame, &path), with, (*first, bundle)).await {
            Ok(0) => without += 1,
            Ok(scored) => (frames, cells) = (frames + 1, cells + scored),
            Err(error @ reprocess::ReprocessError::Store(_)) => return Err(error.into()),
            Err(error) => {
                left_out += 1;
                say(&format!("{} time {}: {}: {error}", frame.fov_name, frame.time, error.code()))?;
            }
        }
    }
    Caller::new(store.clone(), Arc::new(Live::new(unix_ms())), bundle, settings.call).look(Some(session)).await?;
    store.end_run(run, unix_ms()).await?;
    say(&format!(
        "{frames} frames with {cells} cells scored by {name}, {without} had nothing new to score, {left_out} left out"
    ))?;
    if left_out > 0 {
        bail!("{left_out} frames could not be scored by {name}");
    }
    Ok(())
}
