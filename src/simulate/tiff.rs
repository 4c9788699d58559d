//! A small writer of baseline TIFF: 16-bit grey, one strip per page, single or many pages.
//!
//! Takes counts, gives bytes in the order in which instruments write them: pixels first, then the page's directory, and
//! last of all the link that makes the page part of the file. A file that is cut short anywhere is therefore evidently
//! unfinished, and a file that grows holds whole pages at every moment.

use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::Path;

/// What stands on a page besides its pixels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page<'a> {
    /// Columns.
    pub(super) width_px: usize,
    /// `[height, width]` values, row after row.
    pub(super) counts: &'a [u16],
    /// Side of a pixel, um.
    pub(super) pixel_um: f64,
    /// Description (OME-XML, or nothing).
    pub(super) description: Option<&'a str>,
    /// Whether pixels are packed (compression 32773): label images become small.
    pub(super) packed: bool,
}

/// Bytes of the file's header.
const HEADER_BYTES: u32 = 8;
/// Where the header holds the offset of the first directory.
const FIRST_LINK: u32 = 4;
const LONG: u16 = 4;
const SHORT: u16 = 3;
const ASCII: u16 = 2;
const RATIONAL: u16 = 5;

/// The header of a file whose first directory stands at `first` (0 = none yet).
fn header(first: u32) -> Vec<u8> {
    let mut bytes = b"II\x2a\x00".to_vec();
    bytes.extend_from_slice(&first.to_le_bytes());
    bytes
}

/// A whole file of one page.
pub(super) fn single(page: &Page<'_>) -> Vec<u8> {
    let (body, directory, _) = laid_out(page, HEADER_BYTES);
    let mut bytes = header(directory);
    bytes.extend_from_slice(&body);
    bytes
}

/// Pixels and directory of a page whose first byte stands at `start`; then the offset of the directory and that of its link
/// to the next page.
fn laid_out(page: &Page<'_>, start: u32) -> (Vec<u8>, u32, u32) {
    let mut body: Vec<u8> = if page.packed {
        page.counts.chunks(page.width_px.max(1)).flat_map(pack_row).collect()
    } else {
        page.counts.iter().flat_map(|c| c.to_le_bytes()).collect()
    };
    let strip_bytes = body.len() as u32;
    let align = |body: &mut Vec<u8>| body.resize(body.len().next_multiple_of(2), 0);
    align(&mut body);
    let description_at = start + body.len() as u32;
    let text = page.description.map(|t| [t.as_bytes(), &[0]].concat()).unwrap_or_default();
    body.extend_from_slice(&text);
    align(&mut body);
    let resolution_at = start + body.len() as u32;
    // Pixels per centimetre, as a fraction of whole numbers.
    body.extend_from_slice(&((1e10 / page.pixel_um / 1e3).round() as u32).to_le_bytes());
    body.extend_from_slice(&1000_u32.to_le_bytes());
    let directory_at = start + body.len() as u32;
    let height = (page.counts.len() / page.width_px.max(1)) as u32;
    let mut entries: Vec<(u16, u16, u32, u32)> = vec![
        (256, LONG, 1, page.width_px as u32),
        (257, LONG, 1, height),
        (258, SHORT, 1, 16),
        (259, SHORT, 1, if page.packed { 32773 } else { 1 }),
        (262, SHORT, 1, 1),
        (273, LONG, 1, start),
        (277, SHORT, 1, 1),
        (278, LONG, 1, height),
        (279, LONG, 1, strip_bytes),
        (282, RATIONAL, 1, resolution_at),
        (283, RATIONAL, 1, resolution_at),
        (296, SHORT, 1, 3),
    ];
    if !text.is_empty() {
        entries.push((270, ASCII, text.len() as u32, description_at));
        entries.sort_unstable();
    }
    body.extend_from_slice(&(entries.len() as u16).to_le_bytes());
    for (tag, kind, count, value) in entries {
        body.extend_from_slice(&tag.to_le_bytes());
        body.extend_from_slice(&kind.to_le_bytes());
        body.extend_from_slice(&count.to_le_bytes());
        body.extend_from_slice(&value.to_le_bytes());
    }
    let link_at = start + body.len() as u32;
    body.extend_from_slice(&0_u32.to_le_bytes());
    (body, directory_at, link_at)
}

/// One row, packed: runs of equal bytes as (1 - length, byte), the rest as (length - 1, bytes).
fn pack_row(row: &[u16]) -> Vec<u8> {
    let bytes: Vec<u8> = row.iter().flat_map(|c| c.to_le_bytes()).collect();
    let mut packed = Vec::new();
    let mut plain: Vec<u8> = Vec::new();
    let write_plain = |plain: &mut Vec<u8>, packed: &mut Vec<u8>| {
        for part in plain.chunks(128) {
            packed.push((part.len() - 1) as u8);
            packed.extend_from_slice(part);
        }
        plain.clear();
    };
    for run in bytes.chunk_by(|a, b| a == b) {
        if run.len() < 3 {
            plain.extend_from_slice(run);
            continue;
        }
        write_plain(&mut plain, &mut packed);
        for part in run.chunks(128) {
            if let (Some(&byte), length) = (part.first(), part.len()) {
                packed.push(if length == 1 { 0 } else { (257 - length) as u8 });
                packed.push(byte);
            }
        }
    }
    write_plain(&mut plain, &mut packed);
    packed
}

/// A file of many pages that grows in place.
#[derive(Debug)]
pub(super) struct Growing {
    file: std::fs::File,
    length: u32,
    link_at: u32,
}

impl Growing {
    /// A new file without pages.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let mut file = std::fs::File::create(path)?;
        file.write_all(&header(0))?;
        Ok(Self { file, length: HEADER_BYTES, link_at: FIRST_LINK })
    }

    /// Appends a page; calls `halfway` when half of its bytes are on disk.
    pub(super) fn append(&mut self, page: &Page<'_>, halfway: &mut dyn FnMut()) -> io::Result<()> {
        let (body, directory_at, next_link) = laid_out(page, self.length);
        let length = u32::try_from(body.len()).ok().and_then(|n| self.length.checked_add(n)).ok_or_else(|| {
            io::Error::new(io::ErrorKind::FileTooLarge, "a TIFF file holds at most 4 GB: write fewer frames")
        })?;
        let (first, second) = body.split_at(body.len() / 2);
        self.file.seek(SeekFrom::Start(u64::from(self.length)))?;
        self.file.write_all(first)?;
        self.file.flush()?;
        halfway();
        self.file.write_all(second)?;
        // Only now does the page belong to the file.
        self.file.seek(SeekFrom::Start(u64::from(self.link_at)))?;
        self.file.write_all(&directory_at.to_le_bytes())?;
        self.file.flush()?;
        self.length = length;
        self.link_at = next_link;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
