//! Patience with the database: a full disk or a busy file pauses the daemon, it does not end it.

use crate::status::{Stage, Status};
use crate::store::StoreError;
use std::time::Duration;
use tokio::sync::watch;

/// Pause between two attempts.
const RETRY: Duration = Duration::from_secs(1);

/// Repeats `write` while the database refuses for a reason that may pass; meanwhile the status says why nothing moves.
///
/// # Errors
/// - the database refuses for a reason that will not pass by itself;
/// - it still refuses when the daemon is asked to stop.
pub async fn persist<T>(
    status: &Status,
    stage: Stage,
    stop: &mut watch::Receiver<bool>,
    write: impl AsyncFn() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let mut told = false;
    loop {
        match write().await {
            Ok(value) => {
                if told {
                    tracing::info!(stage = stage.name(), "the database accepts writes again");
                    status.set_paused(None);
                }
                return Ok(value);
            }
            Err(error) if error.may_pass() && !*stop.borrow() => {
                let chain = super::chain(&error);
                if !told {
                    tracing::error!(stage = stage.name(), code = error.code(), "paused: {chain}");
                    told = true;
                }
                metrics::counter!("cytowatch_store_retries_total").increment(1);
                status.set_paused(Some(format!("database: {chain}")));
                status.beat(stage);
                tokio::select! {
                    () = tokio::time::sleep(RETRY) => {}
                    _ = stop.changed() => {}
                }
            }
            Err(error) => return Err(error),
        }
    }
}
