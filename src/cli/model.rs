//! `cytowatch model`: checks a model bundle, says what it is, and fits anew what needs no training.

mod discriminant;

use super::say;
use crate::cells::{DetectSettings, FrameVerdict};
use crate::evaluate::changes::{self, FilmPlan, FollowedCell};
use crate::evaluate::detector::Detector;
use crate::infer::architecture::AutoencoderSpec;
use crate::infer::bundle::{self, Bundle, ValidityLimits};
use crate::infer::{EngineChoice, InferSettings, Model, untrained};
use crate::learn::guard::{self, FrameSeen, FramesPlan};
use crate::learn::state::{self, SeenFrame};
use crate::settings::Settings;
use crate::units::PixelSize;
use anyhow::Context as _;
use std::path::{Path, PathBuf};

/// Seeds of the panels that limits are fitted on: other tumours and days than those that networks are trained and measured on.
pub(super) const GUARD_PANELS: [u64; 8] = [31, 32, 33, 34, 35, 36, 37, 38];

/// The films that the reading of a cell's state is fitted on; crowded, since what misleads is seen there.
pub(super) const STATE_FILMS: FilmPlan =
    FilmPlan { panel: 41, fields: 48, minutes: 300, interval_min: 2, field_px: 640, field_cells: 10 };

/// Which model a command uses.
#[derive(Debug, Clone, clap::Args)]
pub struct ModelArgs {
    /// Configuration file (TOML), for its section `[infer]`.
    #[arg(long, short, env = "CYTOWATCH_CONFIG")]
    pub config: Option<PathBuf>,
    /// The bundle's folder; replaces infer.bundle.
    #[arg(long)]
    pub bundle: Option<PathBuf>,
    /// The engine; replaces infer.engine.
    #[arg(long, value_enum)]
    pub engine: Option<EngineChoice>,
}

impl ModelArgs {
    fn settings(&self) -> anyhow::Result<InferSettings> {
        let mut settings = Settings::load(self.config.as_deref())?.infer;
        if let Some(bundle) = &self.bundle {
            settings.bundle.clone_from(bundle);
        }
        settings.engine = self.engine.unwrap_or(settings.engine);
        Ok(settings)
    }

    /// The bundle's folder.
    ///
    /// # Errors
    /// When the configuration is wrong.
    pub fn bundle_folder(&self) -> anyhow::Result<PathBuf> {
        Ok(self.settings()?.bundle)
    }

    /// The model, loaded; says so when the built-in engine serves although it was not asked for.
    ///
    /// # Errors
    /// When the configuration or the bundle is wrong.
    pub fn load(&self) -> anyhow::Result<Model> {
        let model = Model::load(&self.settings()?)?;
        if let Some(why) = model.fallback() {
            tracing::warn!("the built-in engine serves: {why}");
        }
        Ok(model)
    }
}

/// What can be done with a bundle.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Check a bundle as `run` does before it is ready: hashes, contract, both networks against their test tensors.
    Check {
        /// The bundle's folder.
        bundle: PathBuf,
        /// Which engine to check it with.
        #[arg(long, value_enum, default_value_t)]
        engine: EngineChoice,
    },
    /// Fit anew beyond which limits scores are withheld, on cells that are found in simulated frames, and store them in the bundle:
    /// crowded boxes, cells of another size, descriptors, looks and reconstructions. The networks stay as they are; the bundle's
    /// hash changes. To be run again whenever the network that finds cells is another one.
    FitGuard {
        /// The bundle's folder.
        bundle: PathBuf,
        /// Seeds of simulated panels: days that the bundle was neither trained nor measured on.
        #[arg(long, value_delimiter = ',', default_values_t = GUARD_PANELS)]
        panels: Vec<u64>,
        /// Fields of view per day and tumour.
        #[arg(long, default_value_t = 1)]
        fovs: usize,
        /// Time points per field.
        #[arg(long, default_value_t = 2)]
        time_points: usize,
        /// Minutes between two time points.
        #[arg(long, default_value_t = 60)]
        stride: usize,
        /// Folder of the network that finds cells, `auto` or `none`.
        #[arg(long, default_value = "auto")]
        finder: PathBuf,
    },
    /// Fit anew what changes of state are read from (the score and both hallmarks, `docs/calls.md`), on simulated films in which
    /// cells are found, described and followed as the daemon does it, and store it in the bundle. Everything else stays as it is; the
    /// bundle's hash changes. To be run again whenever the network that finds cells is another one.
    FitState {
        /// The bundle's folder.
        bundle: PathBuf,
        /// Seed of the simulated panel: another one than `evaluate changes` judges on.
        #[arg(long, default_value_t = STATE_FILMS.panel)]
        panel: u64,
        /// Fields of view, evenly over the panel's days and tumours.
        #[arg(long, default_value_t = STATE_FILMS.fields)]
        fields: usize,
        /// Length of the films, min.
        #[arg(long, default_value_t = STATE_FILMS.minutes)]
        minutes: usize,
        /// Folder of the network that finds cells, `auto` or `none`.
        #[arg(long, default_value = "auto")]
        finder: PathBuf,
    },
    /// Fit the discriminant anew on simulated cells that the bundle's own networks describe, measure it on another panel, and store
    /// both, as `train` does after training. The networks and limits stay as they are; the bundle's hash changes.
    FitDiscriminant(discriminant::Args),
    /// Write a small bundle with random weights, for tests of the software.
    #[command(hide = true)]
    Untrained {
        /// Where to write it.
        bundle: PathBuf,
        /// Channels after the first convolution.
        #[arg(long, default_value_t = 4)]
        width: usize,
        /// 1: full resolution, 2: half.
        #[arg(long, default_value_t = 2)]
        downsample: usize,
        /// The same seed gives the same bytes.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
}

/// Runs `cytowatch model`.
///
/// # Errors
/// When the bundle breaks its contract, or cannot be written.
pub fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Check { bundle, engine } => {
            let model = ModelArgs { config: None, bundle: Some(bundle.clone()), engine: Some(*engine) };
            let mut model = model.load()?;
            model.decode(&[])?;
            describe(model.bundle(), model.engine_name())
        }
        Command::FitGuard { bundle, panels, fovs, time_points, stride, finder } => {
            let plan =
                |panel: &u64| FramesPlan { panel: *panel, fovs: *fovs, time_points: *time_points, stride: *stride };
            fit_guard(
                bundle,
                &panels.iter().map(plan).collect::<Vec<_>>(),
                &Detector::open(finder, &InferSettings::default())?,
            )
        }
        Command::FitState { bundle, panel, fields, minutes, finder } => {
            let plan = FilmPlan { panel: *panel, fields: *fields, minutes: *minutes, ..STATE_FILMS };
            fit_state(bundle, plan, &Detector::open(finder, &InferSettings::default())?)
        }
        Command::FitDiscriminant(args) => discriminant::run(args),
        Command::Untrained { bundle, width, downsample, seed } => {
            Ok(untrained::write_bundle(bundle, AutoencoderSpec::new(*width, *downsample)?, *seed)?)
        }
    }
}

/// Fits the limits of the guard on cells found in simulated frames and stores them in the bundle in `folder`.
///
/// # Errors
/// When the plans give too few cells, or the bundle cannot be read or written.
pub(super) fn fit_guard(folder: &Path, plans: &[FramesPlan], detector: &Detector) -> anyhow::Result<()> {
    let settings = DetectSettings::new(PixelSize::PAPER);
    let mut model = Model::load(&InferSettings { bundle: folder.to_owned(), ..InferSettings::default() })?;
    let mut fields = Vec::new();
    for plan in plans {
        fields.extend(guard::each_field(plan, |frame| {
            let found = detector.find(frame, &settings)?;
            // The scores of other frames are withheld whatever the bundle says.
            let usable = found.verdict == FrameVerdict::Usable;
            anyhow::Ok(if usable { FrameSeen::of(&found, &mut model)? } else { FrameSeen::default() })
        })?);
    }
    let before = &model.bundle().facts.validity;
    let limits = guard::refit(before, &fields).context("the plan gives too few cells to fit limits on")?;
    bundle::set_limits(folder, &limits)?;
    let cells: usize = fields.iter().flatten().map(|frame| frame.crops.len()).sum();
    say(&format!("fitted on {} fields, {cells} cells", fields.len()))?;
    if let Some(it) = &limits.surroundings {
        say(&format!(
            "others cover at most {:.1} % of a box; area {:.0} um2, spread of its logarithm {:.2} between cells and {:.2} between \
             frames, at most {:.2} standard errors away",
            100.0 * it.covered_limit,
            it.log_area_mean.exp(),
            it.log_area_cell_sd,
            it.log_area_frame_sd,
            it.size_limit
        ))?;
    }
    let old_and_new = |name: &str, old: Option<f64>, new: Option<f64>| match old.zip(new) {
        Some((old, new)) => say(&format!("{name} {old:.4}, now {new:.4}")),
        None => Ok(()),
    };
    let look = |limits: &ValidityLimits| limits.appearance.as_ref().map(|it| it.distance_limit);
    old_and_new("distance of the descriptor", before.distance_limit, limits.distance_limit)?;
    old_and_new("distance of the look", look(before), look(&limits))?;
    old_and_new("reconstruction", before.reconstruction_limit, limits.reconstruction_limit)?;
    Ok(())
}

/// Fits what changes of state are read from on rendered films and stores it in the bundle in `folder`.
///
/// # Errors
/// When the films hold too few cells, or the bundle cannot be read or written.
pub(super) fn fit_state(folder: &Path, plan: FilmPlan, detector: &Detector) -> anyhow::Result<()> {
    let mut model = Model::load(&InferSettings { bundle: folder.to_owned(), ..InferSettings::default() })?;
    let told = &mut |done| tracing::info!(done, of = plan.fields, "fields");
    let cells = changes::of_model(&mut model, detector, plan, told)?;
    let seen: Vec<Vec<SeenFrame>> = cells.iter().map(FollowedCell::seen).filter(|it| !it.is_empty()).collect();
    let reading =
        state::fit(&seen).context("the films hold too few cells to fit what changes of state are read from")?;
    bundle::set_state(folder, reading)?;
    say(&format!("state     {reading:?}, fitted on {} cells", seen.len()))?;
    Ok(())
}

fn describe(bundle: &Bundle, engine: &str) -> anyhow::Result<()> {
    let facts = &bundle.facts;
    say(&format!("{} {}, sha256 {}", bundle.name, bundle.version, bundle.identity))?;
    if let Some(spec) = facts.network {
        say(&format!(
            "width {}, {} px, {} + {} parameters, {:.3} GMAC per crop",
            spec.width(),
            spec.working_side_px(),
            spec.encoder_parameters(),
            spec.decoder_parameters(),
            spec.encoder_macs() as f64 / 1e9
        ))?;
    }
    say(&format!("crop {} um at {} um per pixel", facts.crop.box_um, facts.crop.pixel_size_um))?;
    say(&format!(
        "trained on {}{}",
        if facts.training.simulated { "simulated cells: " } else { "" },
        facts.training.data
    ))?;
    say(&format!("kept apart: {}", facts.training.split))?;
    for measured in &facts.measured {
        let (quantity, unit) = (&measured.quantity, measured.unit);
        let (value, low, high) = (measured.value, measured.low, measured.high);
        say(&format!("{quantity} per {unit}: {value:.3} ({low:.3} to {high:.3}), held out: {}", measured.held_out))?;
    }
    say(&format!("both networks give their test tensors with {engine}"))?;
    Ok(())
}
