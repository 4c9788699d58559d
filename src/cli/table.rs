//! A table that a command writes: CSV (RFC 4180, UTF-8, one header line), to a file or to standard output.

use anyhow::Context as _;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// A table under way.
pub(super) struct Table {
    out: Box<dyn Write>,
}

impl Table {
    /// Begins a table at `path`, or on standard output when there is none.
    pub(super) fn create(path: Option<&Path>, header: &[String]) -> anyhow::Result<Self> {
        let mut table = Self { out: output(path)? };
        table.row(header)?;
        Ok(table)
    }

    /// Writes one line.
    pub(super) fn row(&mut self, fields: &[String]) -> io::Result<()> {
        let quoted: Vec<String> = fields.iter().map(|field| quoted(field)).collect();
        self.out.write_all(quoted.join(",").as_bytes())?;
        self.out.write_all(b"\r\n")
    }

    /// Ends the table; without this its end may be missing.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The file at `path`, or standard output when there is none; buffered.
pub(super) fn output(path: Option<&Path>) -> anyhow::Result<Box<dyn Write>> {
    Ok(match path {
        Some(path) => {
            let file = File::create(path).with_context(|| format!("create {}", path.display()))?;
            Box::new(BufWriter::new(file))
        }
        None => Box::new(BufWriter::new(io::stdout())),
    })
}

fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_survives_awkward_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        let row = |fields: [&str; 2]| fields.map(str::to_owned);
        let mut table = Table::create(Some(&path), &row(["file", "score"])).unwrap();
        table.row(&row(["a, \"b\".png", "0.5"])).unwrap();
        table.finish().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "file,score\r\n\"a, \"\"b\"\".png\",0.5\r\n");
    }
}
