//! `cytowatch serve`: the page and the API over a finished session. Nothing is watched, nothing is written.

use crate::pipeline::{explainer, reread};
use crate::serve::live::Live;
use crate::serve::picture::{PictureFault, ReadFrame};
use crate::serve::{self, Parts, ServeSettings, ServeState};
use crate::settings::Settings;
use crate::status::unix_ms;
use crate::store::stored::newest_run;
use crate::store::{Readers, open_read_only, query};
use anyhow::Context as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;

/// Shows a finished session: the page and the API over its database, read-only.
///
/// Nothing is watched and nothing is written; the daemon may run on the same database meanwhile.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: cytowatch serve --database night-shift.db, then open http://127.0.0.1:8750/")]
pub struct Args {
    /// The session's database.
    #[arg(long, value_name = "FILE")]
    pub database: PathBuf,
    /// The folder with the session's frames, when they were moved; by default the one that was watched. Where a frame is not
    /// there, its outlines and numbers are shown.
    #[arg(long, value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
    /// The bundle that scored the cells, when it was moved; by default the one that the run used. Without it, scores are not
    /// explained.
    #[arg(long, value_name = "FOLDER")]
    pub bundle: Option<PathBuf>,
    /// Address and port; any other than a loopback address needs --token-file.
    #[arg(long, value_name = "ADDRESS", default_value_t = ServeSettings::default().listen)]
    pub listen: SocketAddr,
    /// File with the token that clients must show.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

/// Serves until interrupted.
///
/// # Errors
/// When the database cannot be read, or the address is taken.
pub fn run(args: &Args) -> anyhow::Result<()> {
    super::block_on(view(args))
}

async fn view(args: &Args) -> anyhow::Result<()> {
    let settings =
        ServeSettings { listen: args.listen, token_file: args.token_file.clone(), ..ServeSettings::default() };
    let readers = open_read_only(&args.database).await?;
    query::newest_commit(&readers)
        .await
        .with_context(|| format!("{} is not a database of cytowatch", args.database.display()))?;
    let Places { folder, bundle } = places(args, &readers).await?;
    let read_frame: ReadFrame = match folder {
        Some(folder) => reread::door(folder),
        None => Arc::new(|source| Err(PictureFault::Gone { path: source.path.clone() })),
    };
    let parts = Parts {
        status: None,
        readers,
        database: args.database.clone(),
        folder: None,
        live: Arc::new(Live::new(unix_ms())),
        read_frame: Arc::clone(&read_frame),
        explain: bundle.map(|bundle| explainer::door(bundle, read_frame)),
        metrics: None,
    };
    let state = ServeState::new(parts, &settings)?;
    let listener = serve::bind(&settings).await?;
    let (stop, stopped) = watch::channel(false);
    super::say(&format!("the page is open on http://{}/ (stop with Ctrl-C)", listener.local_addr()?))?;
    let serving = serve::run(listener, state, stopped);
    tokio::pin!(serving);
    tokio::select! {
        () = serving.as_mut() => {}
        interrupted = tokio::signal::ctrl_c() => {
            interrupted.context("listen for the interrupt signal")?;
            stop.send(true).context("tell the server to stop")?;
            serving.await;
        }
    }
    Ok(())
}

/// Where frames and bundle lie.
struct Places {
    folder: Option<PathBuf>,
    bundle: Option<PathBuf>,
}

/// What the operator says, otherwise what the newest run worked with, as far as it is there. A run of a version with other settings
/// says nothing.
async fn places(args: &Args, readers: &Readers) -> anyhow::Result<Places> {
    let run = newest_run(readers).await?;
    let settings = run.and_then(|run| serde_json::from_str::<Settings>(&run.settings_json).ok());
    let (watched, used) = settings.map(|settings| (settings.watch.folder, settings.infer.bundle)).unzip();
    let or_there = |said: &Option<PathBuf>, known: Option<PathBuf>| said.clone().or(known.filter(|path| path.is_dir()));
    Ok(Places { folder: or_there(&args.folder, watched), bundle: or_there(&args.bundle, used) })
}
