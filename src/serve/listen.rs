//! The accept loop: a bounded number of connections, a bounded time for a request's head, an orderly end.

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// How long a client may take to send a request's head, and how long a connection may idle between requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(20);
/// Longest head, bytes.
const HEAD_BYTES: usize = 16 << 10;
/// How long running answers may take after the stop.
const DRAIN: Duration = Duration::from_secs(5);
/// Pause after a failed accept (too many open files): it must not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts until `shutdown` turns true, then calls `closing` (which ends endless answers) and drains. At most `most_connections` are open at a time.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    mut shutdown: watch::Receiver<bool>,
    (most_connections, closing): (usize, impl FnOnce()),
) {
    let permits = Arc::new(Semaphore::new(most_connections.max(1)));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            changed = shutdown.changed() => {
                if changed.is_err() || *shutdown.borrow() { break }
                continue;
            }
            Some(_ended) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = accept(&listener, &permits) => accepted,
        };
        match accepted {
            Some((stream, permit)) => {
                let (router, shutdown) = (router.clone(), shutdown.clone());
                connections.spawn(async move {
                    connection(stream, router, shutdown).await;
                    drop(permit);
                });
            }
            None => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
    closing();
    let drained = tokio::time::timeout(DRAIN, async { while connections.join_next().await.is_some() {} }).await;
    if drained.is_err() {
        tracing::warn!(connections = connections.len(), "answers that did not end in time were cut off");
    }
    connections.shutdown().await;
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits).acquire_owned().await.ok()?;
    let accepted = listener.accept().await;
    match accepted {
        Ok((stream, _peer)) => Some((stream, permit)),
        Err(error) => {
            tracing::warn!(error = %error, "a connection could not be accepted");
            None
        }
    }
}

/// One connection until its client leaves, errs or dawdles, or the server stops.
async fn connection(stream: TcpStream, router: Router, mut shutdown: watch::Receiver<bool>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(error = %error, "set_nodelay was refused");
    }
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    let mut stopping = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(error = %error, "a connection ended early");
                }
                return;
            }
            changed = shutdown.changed(), if !stopping => {
                if changed.is_err() || *shutdown.borrow() {
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}
