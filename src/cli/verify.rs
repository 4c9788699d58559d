//! `cytowatch verify`: recomputes a stored session and says whether the same bits come out.

use super::stored::ScoredBy;
use super::{ConfigArgs, say, stored};
use crate::id::RunId;
use crate::infer::Model;
use crate::infer::finder::Finder;
use crate::pipeline::analyse::Optics;
use crate::pipeline::recompute::Recomputer;
use crate::pipeline::verify::differences;
use crate::settings::Settings;
use crate::store;
use crate::store::stored::{StoredRun, later_run, stored_cells, stored_frames, stored_runs};
use anyhow::{Context as _, bail, ensure};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Differences that are listed; the rest is counted.
const LISTED: usize = 200;

/// Arguments of `verify`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The session: its name, instrument/name, or number.
    pub session: String,
    /// The bundle's folder, when it lies elsewhere now.
    #[arg(long)]
    pub bundle: Option<PathBuf>,
    /// Whose scores are verified.
    #[command(flatten)]
    pub scored_by: ScoredBy,
    /// The configuration: the database, and (with --folder) where the frames lie when not where they lay. Everything else is
    /// taken from the settings that are stored with each run.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// What came out.
#[derive(Debug, Default)]
struct Tally {
    frames: u64,
    cells: u64,
    values: u64,
    differing_frames: u64,
    unreadable: u64,
}

/// Recomputes every analysed frame of the session from its file: cells, descriptors, scores, tracks. The database is only read.
///
/// # Errors
/// When anything differs or cannot be recomputed (the list is printed), or the bundle is not the one that was used.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let database = args.config.settings()?.store.database;
    super::block_on(async {
        let readers = store::open_read_only(&database).await?;
        let session = stored::session(&readers, &args.session).await?;
        let runs = stored_runs(&readers, session).await?;
        let first = runs.first().context("the session has no analysed frames")?;
        ensure!(
            runs.iter().all(|run| run.bundle_sha256 == first.bundle_sha256 && run.engine == first.engine),
            "the session was analysed with several bundles or engines: nothing that was computed with one can be \
             verified with another"
        );
        let settings: BTreeMap<RunId, Settings> =
            runs.iter().map(|run| Ok((run.run, settings_of(run)?))).collect::<anyhow::Result<_>>()?;
        let judged = match &args.scored_by.scored_by {
            None => first.clone(),
            Some(_) => match args.scored_by.bundle(&readers).await?.bundle_id {
                bundle if bundle == first.bundle => first.clone(),
                bundle => later_run(&readers, bundle).await?.context("this bundle has not looked at the session")?,
            },
        };
        let mut recomputer = Recomputer::new(model_of(args, &judged)?);
        let optics: BTreeMap<RunId, Optics> =
            settings.iter().map(|(run, it)| Ok((*run, optics(it)?))).collect::<anyhow::Result<_>>()?;
        let mut tally = Tally::default();
        for frame in stored_frames(&readers, session).await? {
            let cells = stored_cells(&readers, frame.frame, judged.bundle).await?;
            let (Some(settings), Some(optics)) = (settings.get(&frame.run), optics.get(&frame.run)) else { continue };
            let folder = args.config.folder.as_ref().unwrap_or(&settings.watch.folder);
            let with = (optics.clone(), settings.track);
            tally.frames += 1;
            tally.cells += cells.len() as u64;
            match recomputer.recompute(&frame, &folder.join(&frame.path), with) {
                Ok(now) => {
                    let differences = differences((&frame, &cells), &now);
                    tally.differing_frames += u64::from(!differences.is_empty());
                    for it in differences {
                        tally.list(&format!(
                            "{} time {} cell {} {}: stored {}, now {}",
                            frame.fov_name, frame.time, it.cell, it.value, it.stored, it.recomputed
                        ))?;
                    }
                }
                Err(error) => {
                    tally.unreadable += 1;
                    let code = error.code();
                    tally.list(&format!("{} time {}: {code}: {error}", frame.fov_name, frame.time))?;
                }
            }
        }
        tally.verdict()
    })
}

impl Tally {
    fn list(&mut self, line: &str) -> std::io::Result<()> {
        self.values += 1;
        if self.values as usize <= LISTED { say(line) } else { Ok(()) }
    }

    fn verdict(&self) -> anyhow::Result<()> {
        let Self { frames, cells, values, differing_frames, unreadable } = self;
        if *values == 0 {
            return Ok(say(&format!("SAME: {frames} frames with {cells} cells were recomputed to the same bits"))?);
        }
        bail!(
            "NOT THE SAME: of {frames} frames, {differing_frames} differ and {unreadable} could not be recomputed ({values} \
             lines, at most {LISTED} listed)"
        )
    }
}

/// The settings that are stored with a run, with the engine that it came to use.
pub(super) fn settings_of(run: &StoredRun) -> anyhow::Result<Settings> {
    let mut settings: Settings = serde_json::from_str(&run.settings_json)
        .with_context(|| format!("run {} was stored by a version with other settings", run.run))?;
    settings.infer = settings.infer.with_engine(&run.engine);
    Ok(settings)
}

/// What the workers knew about the instrument, and how they found cells.
///
/// # Errors
/// When the network that they used cannot be loaded.
pub(super) fn optics(settings: &Settings) -> anyhow::Result<Optics> {
    Ok(Optics {
        pixel_size: settings.instrument.pixel_size_um,
        trust_pixel_size: settings.instrument.trust_pixel_size,
        cell_diameter_um: settings.instrument.cell_diameter_um,
        finder: Finder::choose(&settings.detect, &settings.infer)?.map(Arc::new),
    })
}

/// The model that the run used, by hash and engine.
fn model_of(args: &Args, run: &StoredRun) -> anyhow::Result<Model> {
    let mut settings = settings_of(run)?.infer;
    if let Some(bundle) = &args.bundle {
        settings.bundle.clone_from(bundle);
    }
    let model = Model::load(&settings)?;
    ensure!(
        model.bundle().identity == run.bundle_sha256,
        "bundle {} is {}, but these scores are of {}: give that one with --bundle",
        settings.bundle.display(),
        model.bundle().identity,
        run.bundle_sha256
    );
    ensure!(
        model.engine_name() == run.engine,
        "the session was scored with engine {}, which cannot be used here: {}",
        run.engine,
        model.fallback().map_or_else(String::new, ToString::to_string)
    );
    Ok(model)
}
