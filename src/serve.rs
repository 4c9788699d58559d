//! The live page, the API, health and metrics.
//!
//! Takes the readers' end of the store, the [`Status`] and the ring of events ([`live::Live`]); gives an HTTP server
//! that only reads. It promises: loopback unless told otherwise, a token on every other address, no path from a
//! request ever near the file system (pages are embedded, pictures are found by row id), bounded size, time and
//! number of everything a client can ask for.
//!
//! ```text
//! connection -> limits (number, time for the head) -> guard (headers, host, token, concurrency, time)
//!   -> page (embedded) | api (store::query, Status) | events (Live) | health | metrics
//! ```
//!
//! Without a [`Status`] it is a viewer of a finished session: same page, nothing live.

pub mod api;
pub mod course;
pub mod explanation;
pub mod extract;
pub mod guard;
pub mod health;
pub mod listen;
pub mod live;
pub mod page;
pub mod picture;
pub mod problem;
pub mod settings;

pub use settings::{ServeError, ServeSettings};

use crate::folder::FolderProbe;
use crate::metrics::Metrics;
use crate::status::Status;
use crate::store::Readers;
use axum::Router;
use course::Courses;
use explanation::{Explain, Explanations};
use guard::{Access, Token};
use live::Live;
use picture::{Pictures, ReadFrame};
use problem::Problem;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// What the server is built from.
pub struct Parts {
    /// What the daemon is doing; `None` for a viewer of a finished session.
    pub status: Option<Arc<Status>>,
    /// Read connections.
    pub readers: Readers,
    /// The database file, for its size.
    pub database: PathBuf,
    /// The watched folder, for health; `None` for a viewer.
    pub folder: Option<Arc<FolderProbe>>,
    /// The ring of events.
    pub live: Arc<Live>,
    /// Reads a frame's pixels again.
    pub read_frame: ReadFrame,
    /// Explains a cell's score; `None` without a model.
    pub explain: Option<Explain>,
    /// The metrics recorder; `None` answers 404.
    pub metrics: Option<Metrics>,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Parts")
            .field("database", &self.database)
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

/// Shared by all requests.
#[derive(Debug, Clone)]
pub struct ServeState {
    pub(crate) status: Option<Arc<Status>>,
    pub(crate) readers: Readers,
    pub(crate) database: Arc<PathBuf>,
    pub(crate) folder: Option<Arc<FolderProbe>>,
    pub(crate) live: Arc<Live>,
    pub(crate) pictures: Arc<Pictures>,
    pub(crate) explanations: Arc<Explanations>,
    pub(crate) courses: Arc<Courses>,
    pub(crate) metrics: Option<Metrics>,
    pub(crate) access: Arc<Access>,
}

impl ServeState {
    /// The state of a server that follows `settings`.
    ///
    /// # Errors
    /// - [`ServeError::TokenNeeded`]: an address that others can reach, without a token;
    /// - [`ServeError::TokenRead`], [`ServeError::TokenWeak`]: the token file.
    pub fn new(parts: Parts, settings: &ServeSettings) -> Result<Self, ServeError> {
        let token = settings.token_file.as_deref().map(Token::read).transpose()?;
        if token.is_none() && !settings.listen.ip().is_loopback() {
            return Err(ServeError::TokenNeeded { listen: settings.listen });
        }
        Ok(Self {
            status: parts.status,
            readers: parts.readers,
            database: Arc::new(parts.database),
            folder: parts.folder,
            live: parts.live,
            pictures: Pictures::new(parts.read_frame),
            explanations: Explanations::new(parts.explain),
            courses: Arc::default(),
            metrics: parts.metrics,
            access: Arc::new(Access::new(token, settings)),
        })
    }
}

/// The routes with everything that guards them.
pub fn router(state: ServeState) -> Router {
    let routes = Router::new()
        .merge(page::routes())
        .merge(health::routes())
        .nest("/api/v1", api::routes())
        .fallback(|| async { Problem::not_found("page") })
        .method_not_allowed_fallback(|| async {
            Problem::new(
                axum::http::StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "this server only answers GET and HEAD here",
            )
        });
    guard::around(routes, &state).with_state(state)
}

/// Serves until `shutdown` turns true, then lets running answers end (bounded).
pub async fn run(listener: TcpListener, state: ServeState, shutdown: watch::Receiver<bool>) {
    let live = Arc::clone(&state.live);
    let ticker = tick(state.clone(), shutdown.clone());
    let most_connections = state.access.max_connections();
    let serving = listen::serve(listener, router(state), shutdown, (most_connections, move || live.close()));
    tokio::join!(ticker, serving);
}

/// Binds the address of `settings`.
///
/// # Errors
/// [`ServeError::Bind`] when it is taken or not ours.
pub async fn bind(settings: &ServeSettings) -> Result<TcpListener, ServeError> {
    let listen = settings.listen;
    TcpListener::bind(listen).await.map_err(|source| ServeError::Bind { listen, source })
}

/// Every two seconds: the status to everybody who listens, upkeep of the metrics.
async fn tick(state: ServeState, mut shutdown: watch::Receiver<bool>) {
    let mut every = tokio::time::interval(std::time::Duration::from_secs(2));
    loop {
        tokio::select! {
            _ = every.tick() => {}
            changed = shutdown.changed() => if changed.is_err() || *shutdown.borrow() { return },
        }
        if let Some(metrics) = &state.metrics {
            metrics.upkeep();
        }
        if let Some(status) = &state.status
            && state.live.has_listeners()
        {
            state.live.publish(&live::Event::Status(Box::new(status.report())));
        }
    }
}
