//! `cytowatch verify`: recomputes a stored session and says whether the same bits come out.

use super::{ConfigArgs, say};
use crate::id::RunId;
use crate::infer::{EngineChoice, Model};
use crate::pipeline::analyse::Optics;
use crate::pipeline::verify::Verifier;
use crate::settings::Settings;
use crate::store;
use crate::store::facts::sessions_named;
use crate::store::stored::{StoredRun, stored_cells, stored_frames, stored_runs};
use anyhow::{Context as _, bail, ensure};
use clap::ValueEnum as _;
use std::collections::BTreeMap;
use std::path::PathBuf;

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
        let named = sessions_named(&readers, &args.session).await?;
        let session = super::certify::the_one(&args.session, &named)?.session_id;
        let runs = stored_runs(&readers, session).await?;
        let first = runs.first().context("the session has no analysed frames")?;
        ensure!(
            runs.iter().all(|run| run.bundle_sha256 == first.bundle_sha256 && run.engine == first.engine),
            "the session was analysed with several bundles or engines: nothing that was computed with one can be \
             verified with another"
        );
        let settings: BTreeMap<RunId, Settings> =
            runs.iter().map(|run| Ok((run.run, settings_of(run)?))).collect::<anyhow::Result<_>>()?;
        let mut verifier = Verifier::new(model_of(args, first, settings.get(&first.run))?);
        let mut tally = Tally::default();
        for frame in stored_frames(&readers, session).await? {
            let cells = stored_cells(&readers, frame.frame, first.bundle).await?;
            let Some(settings) = settings.get(&frame.run) else { continue };
            let folder = args.config.folder.as_ref().unwrap_or(&settings.watch.folder);
            let with = (optics(settings), settings.track);
            tally.frames += 1;
            tally.cells += cells.len() as u64;
            match verifier.differences((&frame, &cells), &folder.join(&frame.path), with) {
                Ok(differences) => {
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

fn settings_of(run: &StoredRun) -> anyhow::Result<Settings> {
    serde_json::from_str(&run.settings_json)
        .with_context(|| format!("run {} was stored by a version with other settings", run.run))
}

fn optics(settings: &Settings) -> Optics {
    Optics { pixel_size: settings.instrument.pixel_size_um, cell_diameter_um: settings.instrument.cell_diameter_um }
}

/// The model that the run used, by hash and engine.
fn model_of(args: &Args, run: &StoredRun, settings: Option<&Settings>) -> anyhow::Result<Model> {
    let mut settings = settings.map(|it| it.infer.clone()).unwrap_or_default();
    if let Some(bundle) = &args.bundle {
        settings.bundle.clone_from(bundle);
    }
    settings.engine = EngineChoice::from_str(&run.engine, true).unwrap_or(settings.engine);
    let model = Model::load(&settings)?;
    ensure!(
        model.bundle().identity == run.bundle_sha256,
        "bundle {} is {}, but the session was scored with {}: give that one with --bundle",
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
