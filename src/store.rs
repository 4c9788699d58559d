//! The memory: one SQLite database with the ledger and the results. SQL stands only in this module's files.
//!
//! One writer connection with `synchronous=FULL`, several readers, WAL. Progress moves only together with the result.

pub mod alerts;
pub mod calls;
pub mod export;
pub mod facts;
pub mod ledger;
pub mod places;
pub mod probe;
pub mod query;
pub mod record;
pub mod runs;
pub mod series;
pub mod stored;
pub mod summary;

use sqlx::Connection as _;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;

/// How long a statement waits for another process that holds the database (an open shell, a backup).
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Read connections.
const READERS: u32 = 4;

/// What can go wrong with the database.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The file cannot be opened or created.
    #[error("open database {path}: check that the folder exists and can be written to")]
    Open {
        /// The database file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: sqlx::Error,
    },
    /// The schema cannot be brought up to date.
    #[error(
        "bring database {path} up to date: it was written by a newer cytowatch or is damaged; move it away or restore a backup"
    )]
    Migrate {
        /// The database file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: sqlx::migrate::MigrateError,
    },
    /// A database on a network share would be damaged sooner or later.
    #[error(
        "database {path} lies on {file_system}, where SQLite's locks and syncs cannot be trusted: set store.database to a local disk"
    )]
    OnShare {
        /// The database file.
        path: PathBuf,
        /// The file system's name.
        file_system: String,
    },
    /// Another process has the database.
    #[error("database {path} is in use by another cytowatch: stop that one or choose another store.database")]
    InUse {
        /// The database file.
        path: PathBuf,
    },
    /// The lock beside the database cannot be taken.
    #[error("lock database {path}: check the folder's permissions")]
    Lock {
        /// The database file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The database is damaged.
    #[error("database {path} is damaged ({finding}): restore a backup, or export what is left and start anew")]
    Damaged {
        /// The database file.
        path: PathBuf,
        /// SQLite's first finding.
        finding: String,
    },
    /// A statement failed.
    #[error("{operation}")]
    Statement {
        /// What was to be done.
        operation: &'static str,
        /// The cause.
        #[source]
        source: sqlx::Error,
    },
    /// A stored value is not what this software writes.
    #[error("database holds a value that this cytowatch did not write: {what}")]
    Unreadable {
        /// Which value.
        what: String,
    },
}

impl StoreError {
    /// Stable code for metrics, the ledger and the API.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Open { .. } => "store_open",
            Self::Migrate { .. } => "store_migrate",
            Self::OnShare { .. } => "store_on_share",
            Self::InUse { .. } => "store_in_use",
            Self::Lock { .. } => "store_lock",
            Self::Damaged { .. } => "store_damaged",
            Self::Statement { .. } => "store_statement",
            Self::Unreadable { .. } => "store_unreadable",
        }
    }

    /// Whether the same statement may succeed later without anybody changing the software: disk full, I/O, busy.
    pub fn may_pass(&self) -> bool {
        let Self::Statement { source, .. } = self else { return false };
        match source {
            sqlx::Error::Database(error) => {
                // Primary result codes: BUSY 5, LOCKED 6, NOMEM 7, READONLY 8, IOERR 10, FULL 13, CANTOPEN 14.
                let code = error.code().and_then(|code| code.parse::<i32>().ok()).unwrap_or(0) & 0xff;
                matches!(code, 5 | 6 | 7 | 8 | 10 | 13 | 14)
            }
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut => true,
            _ => false,
        }
    }
}

/// Names the operation of a failed statement.
pub(crate) fn doing(operation: &'static str) -> impl FnOnce(sqlx::Error) -> StoreError {
    move |source| StoreError::Statement { operation, source }
}

/// An open database.
#[derive(Debug, Clone)]
pub struct Store {
    writer: SqlitePool,
    readers: Readers,
}

impl Store {
    /// Opens `path` for reading and writing; creates it and brings its schema up to date.
    ///
    /// # Errors
    /// - [`StoreError::Open`]: not a database, or not writable;
    /// - [`StoreError::Migrate`]: written by a newer version.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let open_error = |source| StoreError::Open { path: path.to_owned(), source };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .after_release(|connection, _| Box::pin(left_no_transaction(connection)))
            .connect_with(options.clone())
            .await
            .map_err(open_error)?;
        sqlx::migrate!().run(&writer).await.map_err(|source| StoreError::Migrate { path: path.to_owned(), source })?;
        let readers = reader_pool(options).await.map_err(open_error)?;
        Ok(Self { writer, readers })
    }

    /// The read connections.
    pub fn readers(&self) -> &Readers {
        &self.readers
    }

    /// The one write connection.
    pub(crate) fn writer(&self) -> &SqlitePool {
        &self.writer
    }

    /// Closes all connections; the write-ahead log is folded into the database.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// Whether `connection` may be used again: it is in no transaction.
///
/// `SQLite` ends a transaction by itself when the disk is full or fails. sqlx then still counts it as open, makes a savepoint
/// inside nothing of the next one, and a second failure leaves that savepoint open for ever: the lock is never given back and
/// nothing is committed any more, without an error. Such a connection is closed; the next write opens another.
async fn left_no_transaction(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    // A dropped transaction's rollback waits in the connection's queue; this comes behind it.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

/// Connections that only read.
pub type Readers = SqlitePool;

/// Read-only connections to a database that exists, for commands that must not change it.
///
/// # Errors
/// When `path` is not a database that can be read.
pub async fn open_read_only(path: &Path) -> Result<Readers, StoreError> {
    let options = SqliteConnectOptions::new().filename(path).busy_timeout(BUSY_TIMEOUT);
    reader_pool(options).await.map_err(|source| StoreError::Open { path: path.to_owned(), source })
}

async fn reader_pool(options: SqliteConnectOptions) -> Result<Readers, sqlx::Error> {
    SqlitePoolOptions::new()
        .max_connections(READERS)
        .connect_with(options.create_if_missing(false).read_only(true))
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen on 2026-11-23: a disk that was full twice left the daemon "recording" into a transaction that never ended.
    #[tokio::test]
    async fn a_transaction_that_sqlite_ended_by_itself_does_not_hold_the_next_ones() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("cytowatch.db");
        let store = Store::open(&database).await.unwrap();
        // What SQLite does when the disk is full, behind the back of whoever holds the transaction.
        let mut ended = store.writer().begin().await.unwrap();
        sqlx::query("ROLLBACK").execute(&mut *ended).await.unwrap();
        drop(ended);
        // Refused half-way, as by a disk that is still full.
        let mut refused = store.writer().begin().await.unwrap();
        sqlx::query("INSERT INTO sessions (instrument, name, first_seen_unix_ms) VALUES ('a', 'refused', 0)")
            .execute(&mut *refused)
            .await
            .unwrap();
        drop(refused);
        probe::takes_a_write(&database).await.unwrap();

        let mut kept = store.writer().begin().await.unwrap();
        sqlx::query("INSERT INTO sessions (instrument, name, first_seen_unix_ms) VALUES ('a', 'kept', 0)")
            .execute(&mut *kept)
            .await
            .unwrap();
        kept.commit().await.unwrap();
        let others = open_read_only(&database).await.unwrap();
        let names: Vec<String> = sqlx::query_scalar("SELECT name FROM sessions").fetch_all(&others).await.unwrap();
        assert_eq!(names, ["kept"]);
        others.close().await;
        store.close().await;
    }
}
