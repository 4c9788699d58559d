//! `cytowatch serve`: the page and the API over a finished session. Nothing is watched, nothing is written.

use crate::pipeline::{explainer, reread};
use crate::serve::live::Live;
use crate::serve::picture::PictureFault;
use crate::serve::{self, Parts, ServeSettings, ServeState};
use crate::status::unix_ms;
use crate::store::{open_read_only, query};
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
    /// The folder that the session was watched in, to show its pictures; without it outlines and numbers are shown.
    #[arg(long, value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
    /// The bundle that scored the cells, to explain their scores; without it the page does not.
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
    let parts = Parts {
        status: None,
        readers,
        database: args.database.clone(),
        folder: None,
        live: Arc::new(Live::new(unix_ms())),
        read_frame: match args.folder.clone() {
            Some(folder) => reread::door(folder),
            None => Arc::new(|source| Err(PictureFault::Gone { path: source.path.clone() })),
        },
        explain: args.bundle.clone().map(explainer::door),
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
