//! Configuration: as written, then validated. Unknown keys are refused by name.
//!
//! Order, later wins: the shipped `config/default.toml`, the file given with `--config`, environment variables
//! `CYTOWATCH_<SECTION>__<KEY>`, flags of the command.

use crate::alert::AlertSettings;
use crate::infer::InferSettings;
use crate::infer::finder::FindSettings;
use crate::pipeline::PipelineSettings;
use crate::sample::call::CallRule;
use crate::sample::certificate::Expected;
use crate::serve::ServeSettings;
use crate::track::TrackSettings;
use crate::units::PixelSize;
use crate::watch::WatchSettings;
use crate::watch::naming::TemplateError;
use config::{Config, ConfigError, Environment, File, FileFormat, Map};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The shipped configuration: every key with its default and what it means.
pub const DEFAULT_TOML: &str = include_str!("../config/default.toml");

/// Why a configuration cannot be used.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// It cannot be read or holds a wrong or unknown key; the cause names it.
    #[error("configuration {origin} cannot be used")]
    Read {
        /// Which file, or the environment.
        origin: String,
        /// The cause, with the key.
        #[source]
        source: ConfigError,
    },
    /// A value is out of its range.
    #[error("configuration key {key}: {problem}")]
    Value {
        /// The key, with its section.
        key: &'static str,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A file-name template cannot be used.
    #[error("configuration key watch.templates or watch.ignore")]
    Template(#[source] TemplateError),
}

impl SettingsError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Read { .. } => "settings_read",
            Self::Value { .. } => "settings_value",
            Self::Template(_) => "settings_template",
        }
    }
}

/// `[instrument]`: the microscope.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InstrumentSettings {
    /// Its name, in the database and on the page.
    pub name: String,
    /// Pixel size in the sample plane, um; when absent each file has to tell its own.
    pub pixel_size_um: Option<PixelSize>,
    /// Believe `pixel_size_um` even where a file tells another one. Otherwise the scores of such a file are withheld.
    pub trust_pixel_size: bool,
    /// How wide a typical cell is, um; `docs/detection.md` says how much hangs on it.
    pub cell_diameter_um: f64,
    /// The focal plane that is analysed, as numbered in names or metadata; when absent all are.
    pub z_index: Option<i64>,
}

impl Default for InstrumentSettings {
    fn default() -> Self {
        Self {
            name: "microscope".to_owned(),
            pixel_size_um: None,
            trust_pixel_size: false,
            cell_diameter_um: 20.0,
            z_index: None,
        }
    }
}

/// `[store]`: the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreSettings {
    /// The database file, on a local disk.
    pub database: PathBuf,
    /// Free disk space below which no frame is admitted, bytes; work goes on by itself when there is room again.
    pub min_free_bytes: u64,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self { database: PathBuf::from("cytowatch.db"), min_free_bytes: 256 << 20 }
    }
}

/// The whole configuration.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The microscope.
    pub instrument: InstrumentSettings,
    /// The watched folder.
    pub watch: WatchSettings,
    /// How much is worked on at once.
    pub pipeline: PipelineSettings,
    /// How cells are found.
    pub detect: FindSettings,
    /// How cells are linked.
    pub track: TrackSettings,
    /// The model.
    pub infer: InferSettings,
    /// The database.
    pub store: StoreSettings,
    /// The page and the API.
    pub serve: ServeSettings,
    /// How many frames a session should have.
    pub expected: Expected,
    /// When a sample is called high or low.
    pub call: CallRule,
    /// When somebody is told.
    pub alert: AlertSettings,
}

impl Settings {
    /// Reads the configuration: defaults, then `file`, then the environment.
    ///
    /// # Errors
    /// [`SettingsError::Read`] with the key's name.
    pub fn load(file: Option<&Path>) -> Result<Self, SettingsError> {
        Self::load_with(file, std::env::vars())
    }

    /// As [`Settings::load`], with the environment as an argument.
    ///
    /// # Errors
    /// [`SettingsError::Read`] with the key's name.
    pub fn load_with(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, SettingsError> {
        // Only names with a section are ours; others of the prefix may belong to anything.
        let ours: Map<String, String> =
            environment.into_iter().filter(|(name, _)| name.starts_with("CYTOWATCH_") && name.contains("__")).collect();
        let origin = file.map_or_else(|| "from the environment".to_owned(), |file| file.display().to_string());
        let read_error = |source| SettingsError::Read { origin: origin.clone(), source };
        let mut layers = Config::builder().add_source(File::from_str(DEFAULT_TOML, FileFormat::Toml));
        if let Some(file) = file {
            layers = layers.add_source(File::from(file).format(FileFormat::Toml));
        }
        layers
            .add_source(
                Environment::with_prefix("CYTOWATCH")
                    .prefix_separator("_")
                    .separator("__")
                    .try_parsing(true)
                    .source(Some(ours)),
            )
            .build()
            .map_err(read_error)?
            .try_deserialize()
            .map_err(read_error)
    }

    /// Checks what a type cannot: ranges, and that what must be given is given.
    ///
    /// # Errors
    /// [`SettingsError::Value`] or [`SettingsError::Template`] for the first key that is wrong.
    pub fn validate(&self) -> Result<(), SettingsError> {
        let refuse = |key, problem: &str| Err(SettingsError::Value { key, problem: problem.to_owned() });
        if self.watch.folder.as_os_str().is_empty() {
            return refuse("watch.folder", "is empty: set it to the folder that the instrument writes to");
        }
        if self.instrument.name.trim().is_empty() {
            return refuse("instrument.name", "is empty: give the instrument a name");
        }
        if !(1.0..=500.0).contains(&self.instrument.cell_diameter_um) {
            return refuse("instrument.cell_diameter_um", "must lie within 1..500 um");
        }
        if self.pipeline.max_in_flight == 0 || self.pipeline.max_in_flight > 1024 {
            return refuse("pipeline.max_in_flight", "must lie within 1..1024 frames");
        }
        if self.pipeline.workers > 1024 {
            return refuse("pipeline.workers", "must lie within 0..1024 threads (0 = one per core)");
        }
        if self.pipeline.max_attempts == 0 {
            return refuse("pipeline.max_attempts", "must be at least 1");
        }
        if self.store.database.as_os_str().is_empty() {
            return refuse("store.database", "is empty: set it to a file on a local disk");
        }
        crate::watch::naming::Naming::new(&self.watch.templates, &self.watch.ignore)
            .map(drop)
            .map_err(SettingsError::Template)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    fn load(text: &str, environment: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let file = written(text);
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Settings::load_with(Some(file.path()), environment)
    }

    #[test]
    fn the_shipped_defaults_are_the_types_defaults() {
        assert_eq!(Settings::load_with(None, []).unwrap(), Settings::default());
    }

    #[test]
    fn later_layers_win() {
        let text = "[instrument]\nname = \"left\"\npixel_size_um = 0.65\n";
        let settings = load(text, &[("CYTOWATCH_INSTRUMENT__NAME", "right"), ("CYTOWATCH_DATA", "/x")]).unwrap();
        assert_eq!(settings.instrument.name, "right");
        assert_eq!(settings.instrument.pixel_size_um.map(PixelSize::um), Some(0.65));
    }

    #[test]
    fn a_wrong_key_is_named() {
        for (text, word) in [
            ("[watch]\nfolderr = \"/x\"\n", "folderr"),
            ("[wach]\nfolder = \"/x\"\n", "wach"),
            ("[pipeline]\nworkers = \"many\"\n", "pipeline.workers"),
            ("[instrument]\npixel_size_um = -1.0\n", "pixel_size_um"),
        ] {
            let error = load(text, &[]).unwrap_err();
            let chain = crate::pipeline::chain(&error);
            assert!(chain.contains(word), "{chain} does not name {word}");
        }
        let error = load("", &[("CYTOWATCH_PIPELINE__WORKRES", "2")]).unwrap_err();
        assert!(crate::pipeline::chain(&error).to_lowercase().contains("workres"));
    }

    #[test]
    fn values_out_of_range_are_named() {
        let mut settings = Settings::default();
        assert!(settings.validate().unwrap_err().to_string().contains("watch.folder"));
        settings.watch.folder = PathBuf::from("/data");
        settings.validate().unwrap();
        settings.instrument.cell_diameter_um = f64::NAN;
        assert!(settings.validate().unwrap_err().to_string().contains("instrument.cell_diameter_um"));
        settings.instrument.cell_diameter_um = 20.0;
        settings.watch.templates = vec!["{nonsense}".into()];
        assert!(settings.validate().is_err());
    }
}
