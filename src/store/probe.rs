//! Whether the database takes a write now.

use super::{StoreError, doing};
use crate::store::query::statements;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use std::path::Path;
use std::time::Duration;

/// How long somebody else's write may take.
const PATIENCE: Duration = Duration::from_secs(3);

statements! {
    TAKE = "BEGIN IMMEDIATE";
    GIVE_BACK = "ROLLBACK";
}

/// Opens the database afresh, takes the right to write, and gives it back. Changes nothing.
///
/// # Errors
/// When the file is not there, cannot be written, or somebody else has been writing for three seconds.
pub async fn takes_a_write(database: &Path) -> Result<(), StoreError> {
    let open_error = |source| StoreError::Open { path: database.to_owned(), source };
    let options = SqliteConnectOptions::new().filename(database).busy_timeout(PATIENCE);
    let mut connection: SqliteConnection = options.connect().await.map_err(open_error)?;
    let asked = ask(&mut connection).await;
    connection.close().await.map_err(doing("close the database after asking it"))?;
    asked
}

async fn ask(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    sqlx::query(TAKE).execute(&mut *connection).await.map_err(doing("take the right to write"))?;
    sqlx::query(GIVE_BACK).execute(connection).await.map_err(doing("give back the right to write"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[tokio::test]
    async fn a_database_that_somebody_else_writes_takes_no_write() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("cytowatch.db");
        assert_eq!(takes_a_write(&database).await.unwrap_err().code(), "store_open");
        let store = Store::open(&database).await.unwrap();
        takes_a_write(&database).await.unwrap();
        let other = store.writer().begin_with(TAKE).await.unwrap();
        let refused = takes_a_write(&database).await.unwrap_err();
        assert!(refused.code() == "store_statement" && refused.may_pass(), "{refused:?}");
        other.rollback().await.unwrap();
        takes_a_write(&database).await.unwrap();
        store.close().await;
    }
}
