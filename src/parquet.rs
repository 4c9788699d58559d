//! Apache Parquet, as much of it as a table of texts and numbers needs: written, never read.
//!
//! Takes named columns of text or 64-bit floating point, every value of which may be absent, and rows; gives a file that any
//! Parquet reader takes (format version 1, data pages v1, PLAIN, uncompressed). The two hundred lines here stand for a
//! dependency of some forty crates. Structures follow `parquet.thrift` of the format's specification; its numbers are named
//! where they are used.
//!
//! Rows are kept until there are [`GROUP_ROWS`], then written as one row group: memory does not grow with the table.

use std::io::{self, Write};

/// Rows per row group.
const GROUP_ROWS: usize = 20_000;
const MAGIC: &[u8; 4] = b"PAR1";

// Types of Thrift's compact protocol.
const I32: u8 = 5;
const I64: u8 = 6;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const STRUCT: u8 = 12;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8 text.
    Text,
    /// 64-bit floating point.
    Number,
}

/// One value of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing stands there.
    Absent,
    /// For a column of texts.
    Text(String),
    /// For a column of numbers.
    Number(f64),
}

/// A file under way.
#[derive(Debug)]
pub struct Writer<W: Write> {
    out: W,
    written: u64,
    columns: Vec<Column>,
    rows: usize,
    all_rows: usize,
    groups: Vec<Group>,
}

/// A column's name and its values since the last row group.
#[derive(Debug)]
struct Column {
    name: String,
    kind: Kind,
    present: Vec<bool>,
    values: Vec<u8>,
}

/// Where a row group's columns lie: `(offset, bytes)` each.
#[derive(Debug)]
struct Group {
    rows: usize,
    chunks: Vec<(u64, usize)>,
}

impl<W: Write> Writer<W> {
    /// Begins a file with these columns.
    ///
    /// # Errors
    /// When `out` cannot be written to.
    pub fn new(mut out: W, columns: &[(String, Kind)]) -> io::Result<Self> {
        out.write_all(MAGIC)?;
        let column = |(name, kind): &(String, Kind)| Column {
            name: name.clone(),
            kind: *kind,
            present: Vec::new(),
            values: Vec::new(),
        };
        let columns = columns.iter().map(column).collect();
        Ok(Self { out, written: MAGIC.len() as u64, columns, rows: 0, all_rows: 0, groups: Vec::new() })
    }

    /// Adds a row. A value of another kind than its column's, or a missing one, is absent.
    ///
    /// # Errors
    /// When `out` cannot be written to.
    pub fn row(&mut self, values: &[Value]) -> io::Result<()> {
        for (index, column) in self.columns.iter_mut().enumerate() {
            let bytes = match (column.kind, values.get(index)) {
                (Kind::Text, Some(Value::Text(text))) => {
                    let len = u32::try_from(text.len()).map_err(io::Error::other)?;
                    Some([&len.to_le_bytes(), text.as_bytes()].concat())
                }
                (Kind::Number, Some(Value::Number(number))) => Some(number.to_le_bytes().to_vec()),
                _ => None,
            };
            column.present.push(bytes.is_some());
            column.values.extend(bytes.unwrap_or_default());
        }
        self.rows += 1;
        if self.rows >= GROUP_ROWS { self.end_group() } else { Ok(()) }
    }

    /// Ends the file; without this it is none. Gives back what it was written to.
    ///
    /// # Errors
    /// When `out` cannot be written to.
    pub fn finish(mut self) -> io::Result<W> {
        self.end_group()?;
        let footer = self.footer();
        self.out.write_all(&footer)?;
        self.out.write_all(&u32::try_from(footer.len()).map_err(io::Error::other)?.to_le_bytes())?;
        self.out.write_all(MAGIC)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn end_group(&mut self) -> io::Result<()> {
        let rows = std::mem::take(&mut self.rows);
        if rows == 0 {
            return Ok(());
        }
        let mut chunks = Vec::with_capacity(self.columns.len());
        for column in &mut self.columns {
            let levels = levels(&std::mem::take(&mut column.present));
            let body = [levels, std::mem::take(&mut column.values)].concat();
            let header = page_header(rows, body.len());
            self.out.write_all(&header)?;
            self.out.write_all(&body)?;
            let len = header.len() + body.len();
            chunks.push((self.written, len));
            self.written += len as u64;
        }
        self.all_rows += rows;
        self.groups.push(Group { rows, chunks });
        Ok(())
    }

    /// `FileMetaData`.
    fn footer(&self) -> Vec<u8> {
        let mut file = Struct::default();
        file.number(1, I32, 1);
        file.list(2, STRUCT, self.columns.len() + 1);
        let mut root = Struct::default();
        root.text(4, "table");
        root.number(5, I32, self.columns.len() as i64);
        file.bytes.extend(root.end());
        for column in &self.columns {
            let mut element = Struct::default();
            element.number(1, I32, column.kind.physical());
            // OPTIONAL
            element.number(3, I32, 1);
            element.text(4, &column.name);
            if column.kind == Kind::Text {
                // UTF8
                element.number(6, I32, 0);
            }
            file.bytes.extend(element.end());
        }
        file.number(3, I64, self.all_rows as i64);
        file.list(4, STRUCT, self.groups.len());
        for group in &self.groups {
            file.bytes.extend(self.row_group(group));
        }
        file.text(6, concat!("cytowatch version ", env!("CARGO_PKG_VERSION")));
        file.end()
    }

    /// `RowGroup`.
    fn row_group(&self, group: &Group) -> Vec<u8> {
        let mut row_group = Struct::default();
        row_group.list(1, STRUCT, group.chunks.len());
        for (column, (offset, len)) in self.columns.iter().zip(&group.chunks) {
            let mut chunk = Struct::default();
            chunk.number(2, I64, *offset as i64);
            chunk.field(3, STRUCT);
            let mut meta = Struct::default();
            meta.number(1, I32, column.kind.physical());
            meta.list(2, I32, 2);
            // PLAIN, RLE
            meta.bytes.extend([zigzag(0), zigzag(3)].concat());
            meta.list(3, BINARY, 1);
            meta.bytes.extend(binary(&column.name));
            // UNCOMPRESSED
            meta.number(4, I32, 0);
            meta.number(5, I64, group.rows as i64);
            meta.number(6, I64, *len as i64);
            meta.number(7, I64, *len as i64);
            meta.number(9, I64, *offset as i64);
            chunk.bytes.extend(meta.end());
            row_group.bytes.extend(chunk.end());
        }
        row_group.number(2, I64, group.chunks.iter().map(|(_, len)| *len as i64).sum());
        row_group.number(3, I64, group.rows as i64);
        row_group.end()
    }
}

impl Kind {
    /// The format's number for the physical type: `BYTE_ARRAY` or `DOUBLE`.
    fn physical(self) -> i64 {
        match self {
            Self::Text => 6,
            Self::Number => 5,
        }
    }
}

/// `PageHeader` of a data page v1.
fn page_header(rows: usize, len: usize) -> Vec<u8> {
    let mut header = Struct::default();
    // DATA_PAGE
    header.number(1, I32, 0);
    header.number(2, I32, len as i64);
    header.number(3, I32, len as i64);
    header.field(5, STRUCT);
    let mut page = Struct::default();
    page.number(1, I32, rows as i64);
    // PLAIN values, RLE levels
    for (field, encoding) in [(2, 0), (3, 3), (4, 3)] {
        page.number(field, I32, encoding);
    }
    header.bytes.extend(page.end());
    header.end()
}

/// Definition levels, one bit each, as one bit-packed run with its length before it.
fn levels(present: &[bool]) -> Vec<u8> {
    let groups = present.len().div_ceil(8);
    let mut run = varint((groups as u64) << 1 | 1);
    run.extend(present.chunks(8).map(|eight| eight.iter().rev().fold(0_u8, |byte, bit| byte << 1 | u8::from(*bit))));
    [(run.len() as u32).to_le_bytes().to_vec(), run].concat()
}

/// A structure of Thrift's compact protocol under way.
#[derive(Default)]
struct Struct {
    bytes: Vec<u8>,
    last: u8,
}

impl Struct {
    /// Begins field `id`, which is larger than the one before by at most 15.
    fn field(&mut self, id: u8, kind: u8) {
        self.bytes.push((id - self.last) << 4 | kind);
        self.last = id;
    }

    fn number(&mut self, id: u8, kind: u8, value: i64) {
        self.field(id, kind);
        self.bytes.extend(zigzag(value));
    }

    fn text(&mut self, id: u8, text: &str) {
        self.field(id, BINARY);
        self.bytes.extend(binary(text));
    }

    /// Begins a list; its elements follow.
    fn list(&mut self, id: u8, kind: u8, len: usize) {
        self.field(id, LIST);
        match u8::try_from(len) {
            Ok(short) if short < 15 => self.bytes.push(short << 4 | kind),
            _ => {
                self.bytes.push(0xf0 | kind);
                self.bytes.extend(varint(len as u64));
            }
        }
    }

    fn end(mut self) -> Vec<u8> {
        self.bytes.push(0);
        self.bytes
    }
}

fn binary(text: &str) -> Vec<u8> {
    [varint(text.len() as u64), text.as_bytes().to_vec()].concat()
}

fn zigzag(value: i64) -> Vec<u8> {
    varint(((value << 1) ^ (value >> 63)).cast_unsigned())
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_thrift_does() {
        assert_eq!(varint(300), [0xac, 0x02]);
        assert_eq!((zigzag(0), zigzag(-1), zigzag(1), zigzag(-65)), (vec![0], vec![1], vec![2], vec![0x81, 0x01]));
        let mut structure = Struct::default();
        structure.number(1, I32, 5);
        structure.list(3, BINARY, 20);
        assert_eq!(structure.end(), [0x15, 0x0a, 0x29, 0xf8, 0x14, 0]);
    }

    #[test]
    fn levels_are_packed_from_the_lowest_bit() {
        assert_eq!(levels(&[true, false, true, true, false, false, false, false, true]), [3, 0, 0, 0, 5, 0b1101, 1]);
    }

    #[test]
    fn a_file_says_where_everything_lies() {
        let columns = [("file".to_owned(), Kind::Text), ("score".to_owned(), Kind::Number)];
        let mut writer = Writer::new(Vec::new(), &columns).unwrap();
        writer.row(&[Value::Text("a.png".to_owned()), Value::Number(0.25)]).unwrap();
        writer.row(&[Value::Text("b".to_owned()), Value::Absent]).unwrap();
        let file = writer.finish().unwrap();
        assert!(file.starts_with(MAGIC) && file.ends_with(MAGIC));
        let len = file.len();
        let footer = u32::from_le_bytes(file[len - 8..len - 4].try_into().unwrap()) as usize;
        let group = &file[4..len - 8 - footer];
        // The page of texts: levels 11, then length and bytes of each; the page of numbers: levels 01, then one number.
        let texts = [2, 0, 0, 0, 3, 0b11, 5, 0, 0, 0, b'a', b'.', b'p', b'n', b'g', 1, 0, 0, 0, b'b'];
        let numbers = [&[2, 0, 0, 0, 3, 0b01][..], &0.25_f64.to_le_bytes()].concat();
        assert!(group.windows(texts.len()).any(|bytes| bytes == texts));
        assert!(group.ends_with(&numbers));
    }
}
