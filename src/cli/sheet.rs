//! A table of texts and numbers that a command writes: Parquet when the file's name ends so, CSV otherwise.

use super::table::Table;
use crate::parquet::{Kind, Value, Writer};
use anyhow::Context as _;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

/// A table under way.
pub(super) enum Sheet {
    /// RFC 4180, to a file or to standard output.
    Csv(Table),
    /// Apache Parquet, to a file.
    Parquet(Writer<BufWriter<File>>),
}

impl Sheet {
    /// Begins a table with these columns at `path`, or as CSV on standard output when there is none.
    pub(super) fn create(path: Option<&Path>, columns: &[(String, Kind)]) -> anyhow::Result<Self> {
        if let Some(path) = path.filter(|path| path.extension().is_some_and(|end| end.eq_ignore_ascii_case("parquet")))
        {
            let file = File::create(path).with_context(|| format!("create {}", path.display()))?;
            return Ok(Self::Parquet(Writer::new(BufWriter::new(file), columns)?));
        }
        let names: Vec<String> = columns.iter().map(|(name, _)| name.clone()).collect();
        Ok(Self::Csv(Table::create(path, &names)?))
    }

    /// Writes one row.
    pub(super) fn row(&mut self, values: &[Value]) -> std::io::Result<()> {
        match self {
            Self::Csv(table) => table.row(&values.iter().map(text).collect::<Vec<_>>()),
            Self::Parquet(writer) => writer.row(values),
        }
    }

    /// Ends the table; without this its end may be missing.
    pub(super) fn finish(self) -> std::io::Result<()> {
        match self {
            Self::Csv(table) => table.finish(),
            Self::Parquet(writer) => writer.finish().map(|_| ()),
        }
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Absent => String::new(),
        Value::Text(text) => text.clone(),
        Value::Number(number) => number.to_string(),
    }
}
