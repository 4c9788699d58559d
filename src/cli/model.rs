//! `cytowatch model`: checks a model bundle and says what it is.

use super::say;
use crate::infer::architecture::AutoencoderSpec;
use crate::infer::bundle::Bundle;
use crate::infer::{EngineChoice, InferSettings, Model, untrained};
use crate::settings::Settings;
use std::path::PathBuf;

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
        Command::Untrained { bundle, width, downsample, seed } => {
            Ok(untrained::write_bundle(bundle, AutoencoderSpec::new(*width, *downsample)?, *seed)?)
        }
    }
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
