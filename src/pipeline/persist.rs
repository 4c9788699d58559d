//! Patience with the database: a full disk or a busy file pauses the daemon, it does not end it.

use crate::status::{Stage, Status};
use crate::store::StoreError;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Pause between two attempts.
const RETRY: Duration = Duration::from_secs(1);

/// One stage's patience.
#[derive(Debug)]
pub struct Patience {
    status: Arc<Status>,
    stage: Stage,
    stop: watch::Receiver<bool>,
    paused: bool,
}

impl Patience {
    /// The patience of `stage`; it ends when `stop` becomes true.
    pub fn new(status: Arc<Status>, stage: Stage, stop: watch::Receiver<bool>) -> Self {
        Self { status, stage, stop, paused: false }
    }

    /// Waits a moment after the database refused, and says in the status why nothing moves.
    ///
    /// # Errors
    /// The same `error`, when it will not pass by itself or the daemon is asked to stop.
    pub async fn wait_out(&mut self, error: StoreError) -> Result<(), StoreError> {
        if !error.may_pass() || *self.stop.borrow() {
            return Err(error);
        }
        let chain = super::chain(&error);
        if !self.paused {
            tracing::error!(stage = self.stage.name(), code = error.code(), "paused: {chain}");
            self.paused = true;
        }
        metrics::counter!("cytowatch_store_retries_total").increment(1);
        self.status.set_paused(Some(format!("database: {chain}")));
        self.status.beat(self.stage);
        tokio::select! {
            () = tokio::time::sleep(RETRY) => {}
            _ = self.stop.changed() => {}
        }
        Ok(())
    }

    /// The database accepted.
    pub fn accepted(&mut self) {
        if self.paused {
            tracing::info!(stage = self.stage.name(), "the database accepts writes again");
            self.status.set_paused(None);
            self.paused = false;
        }
    }
}

/// Repeats a write of the store as long as the patience lasts; gives what it gives.
///
/// A macro because an async closure that borrows cannot be sent to another thread.
macro_rules! persist {
    ($patience:expr, $write:expr) => {
        loop {
            match $write.await {
                Ok(value) => {
                    $patience.accepted();
                    break value;
                }
                Err(error) => $patience.wait_out(error).await?,
            }
        }
    };
}
pub(super) use persist;
