//! `cytowatch runtime`: fetches ONNX Runtime, and says which one would be loaded.

use super::say;
use crate::infer::onnx;
use crate::infer::runtime::{self, Installed, Kind};
use anyhow::Context as _;
use std::path::PathBuf;

/// Fetches ONNX Runtime, and says which one would be loaded.
///
/// ONNX Runtime runs the model about twice as fast as the built-in engine, which serves when it is absent.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Download, check and install the pinned ONNX Runtime 1.27.0 (19 MB; needs Python 3 with pip).
    ///
    /// The wheel is downloaded by `python3 -m pip download --require-hashes`; its sha256 and the library's are
    /// checked, and the finished folder takes its place in one step. Nothing else on the machine changes. Installing
    /// again does nothing when the library is there and right.
    Install {
        /// Where to install; the default is `$XDG_DATA_HOME/cytowatch/runtime`, else `~/.local/share/cytowatch/runtime`.
        /// For a service, use `/usr/local/lib/cytowatch`.
        #[arg(long)]
        dir: Option<PathBuf>,
        /// The build with Intel's OpenVINO instead (84 MB, x86-64 only), for the setting engine = "openvino".
        #[arg(long)]
        openvino: bool,
    },
    /// Say which ONNX Runtime would be loaded, load it, and say whether it can be used.
    Show {
        /// The setting `runtime_library`, to be tried.
        #[arg(long)]
        library: Option<PathBuf>,
        /// The build with OpenVINO.
        #[arg(long)]
        openvino: bool,
    },
}

/// Runs `cytowatch runtime`.
///
/// # Errors
/// When nothing could be installed, or no ONNX Runtime can be used.
pub fn run(args: &Args) -> anyhow::Result<()> {
    match &args.command {
        Command::Install { dir, openvino } => match runtime::install(kind(*openvino), dir.as_deref())? {
            Installed::Already(library) => say(&format!("ONNX Runtime is installed: {}", library.display()))?,
            Installed::Now(library) => say(&format!("Installed ONNX Runtime: {}", library.display()))?,
        },
        Command::Show { library, openvino } => {
            let switch = std::env::var(runtime::TELEMETRY_SWITCH).unwrap_or_default();
            say(&format!("{}={switch}", runtime::TELEMETRY_SWITCH))?;
            let library = onnx::find_library(kind(*openvino), library.as_deref())?;
            onnx::load_library(&library).context("the built-in engine would serve")?;
            say(&format!("ONNX Runtime can be used: {}", library.display()))?;
        }
    }
    Ok(())
}

fn kind(openvino: bool) -> Kind {
    if openvino { Kind::OpenVino } else { Kind::Plain }
}
