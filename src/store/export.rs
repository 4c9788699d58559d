//! Tables for other programs: the documented views as CSV (RFC 4180, UTF-8, one header line).

use super::{StoreError, doing};
use crate::id::BundleId;
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{Column as _, Row as _, TypeInfo as _, ValueRef as _};
use std::io::Write;

/// What can be exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Table {
    /// One row per frame ever seen: `ledger_view`.
    Frames,
    /// One row per cell: `cells_view`.
    Cells,
    /// One row per track: `tracks_view`.
    Tracks,
    /// One row per sample: `samples_view`.
    Samples,
}

impl Table {
    /// Rows in a stable order, so that two exports of the same content are the same bytes.
    fn statement(self) -> &'static str {
        match self {
            // The ledger knows no scores; it takes the same parameter.
            Self::Frames => "SELECT * FROM ledger_view WHERE ?1 IS NULL OR true ORDER BY path, plane_index",
            Self::Cells => {
                "SELECT * FROM cells_view WHERE bundle_id = ?1 OR bundle_id IS NULL
                 ORDER BY session, sample, fov, time_index, frame_id, cell_number"
            }
            Self::Tracks => {
                "SELECT * FROM tracks_view WHERE bundle_id = ?1 OR bundle_id IS NULL
                 ORDER BY session, sample, fov, track_number"
            }
            Self::Samples => {
                "SELECT * FROM samples_view WHERE bundle_id = ?1 OR bundle_id IS NULL ORDER BY session, sample"
            }
        }
    }
}

/// Writing a table failed.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The database refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The output cannot be written to.
    #[error("write the table")]
    Write(#[from] std::io::Error),
}

/// Writes `table` as CSV with the scores of `bundle`; gives the number of rows. Rows are streamed: memory does not grow with the table.
///
/// # Errors
/// When the database refuses or `out` cannot be written to.
pub async fn csv(
    readers: &SqlitePool,
    table: Table,
    bundle: Option<BundleId>,
    out: &mut impl Write,
) -> Result<u64, ExportError> {
    let mut reader = readers.acquire().await.map_err(doing("open the database for an export"))?;
    let described = sqlx::Executor::describe(&mut *reader, sqlx::SqlStr::from_static(table.statement()))
        .await
        .map_err(doing("describe a table"))?;
    let names: Vec<String> = described.columns().iter().map(|column| quoted(column.name())).collect();
    writeln!(out, "{}", names.join(","))?;
    let mut rows = sqlx::query(table.statement()).bind(bundle.map(|it| it.0)).fetch(&mut *reader);
    let mut count = 0;
    loop {
        let row = std::future::poll_fn(|context| tokio_stream::Stream::poll_next(rows.as_mut(), context)).await;
        let Some(row) = row.transpose().map_err(doing("read a table"))? else { return Ok(count) };
        let fields: Vec<String> =
            (0..row.len()).map(|at| field(&row, at)).collect::<Result<_, _>>().map_err(doing("read a row"))?;
        writeln!(out, "{}", fields.join(","))?;
        count += 1;
    }
}

/// A value as text: empty for NULL, the shortest text that reads back to the same number for numbers.
fn field(row: &SqliteRow, at: usize) -> Result<String, sqlx::Error> {
    let value = row.try_get_raw(at)?;
    if value.is_null() {
        return Ok(String::new());
    }
    Ok(match value.type_info().name() {
        "INTEGER" | "BOOLEAN" => row.try_get_unchecked::<i64, _>(at)?.to_string(),
        "REAL" => row.try_get_unchecked::<f64, _>(at)?.to_string(),
        _ => quoted(&row.try_get_unchecked::<String, _>(at)?),
    })
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}
